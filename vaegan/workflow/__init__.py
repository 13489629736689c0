"""From a recipe to a run, and from runs to numbers and pages: train, evaluate, report, compare."""

from __future__ import annotations

from vaegan.workflow.comparing import compare
from vaegan.workflow.judging import Findings, evaluate, report
from vaegan.workflow.opening import open_run, tell_about
from vaegan.workflow.sweeping import sweep
from vaegan.workflow.training import train

__all__ = ["Findings", "compare", "evaluate", "open_run", "report", "sweep", "tell_about", "train"]
