"""Judging: restorers on degraded test items, and the report of what came out."""

from __future__ import annotations

from vaegan.evaluation.environment import environment
from vaegan.evaluation.evaluator import Restorer, evaluate_restoration
from vaegan.evaluation.report import write_report
from vaegan.evaluation.result import Examples, Restoration

__all__ = ["Examples", "Restoration", "Restorer", "environment", "evaluate_restoration", "write_report"]
