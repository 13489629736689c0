"""LiDAR: planar scans, and turns of spinning scanners."""

from domains.lidar.scans import PlanarScans
from domains.lidar.suite import ROBO3D
from domains.lidar.turns import Turns

__all__ = ["ROBO3D", "PlanarScans", "Turns"]
