"""How good a signal is: measures of a restoration, one value an item, and their summaries."""

from __future__ import annotations

from vaegan.metrics.restoration import RESTORATION, Metric, summarise

__all__ = ["RESTORATION", "Metric", "summarise"]
