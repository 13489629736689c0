"""The report of a run, and of runs beside each other: one page that works offline, and without scripts."""

from __future__ import annotations

from vaegan.evaluation.report.page import write_report

__all__ = ["write_report"]
