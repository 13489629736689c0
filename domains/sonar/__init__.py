"""Sonar: forward-looking frames, sidescan waterfalls, and the surveyor's own formats."""

from domains.sonar.sonar import Sonar

__all__ = ["Sonar"]
