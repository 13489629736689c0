"""Several models on the same items: how much better one is than another, item by item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from vaegan.errors import UserError
from vaegan.evaluation.result import INPUT, Restoration
from vaegan.evaluation.verdict import best_of
from vaegan.metrics.restoration import summarise

Differences: TypeAlias = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""``{CONDITION: {METRIC: {"A − B": {"mean", "ci95", "n", "unit", "better"}}}}``."""

METRICS = ("psnr", "ssim", "nrmse")


def paired_differences(restoration: Restoration, models: Sequence[str], *, seed: int = 0) -> Differences:
    """Means over items of one model's value less another's, with their bootstrap intervals.

    As all methods restore the same degraded items, what makes one item harder than another cancels: the interval of the
    difference is narrower than two overlapping intervals suggest.

    Args:
        restoration: with the values of all models.
        models: every pair of them is compared, and each with the classical method of the highest PSNR.
        seed: of the resampling.

    Raises:
        UserError: for a model that was not judged.
    """
    found: Differences = {}
    for condition, values in restoration.values.items():
        missing = [model for model in models if model not in values]
        if missing:
            raise UserError(
                f"no values of {', '.join(missing)} under {condition}",
                expected=f"some of {', '.join(values)}",
                mend="judge all models in one evaluate_restoration",
            )
        numbers = restoration.numbers[condition]
        known = restoration.strengths.get(condition) or {m: 0.0 for m in values if m not in (INPUT, *models)}
        for metric in METRICS:
            for a, b in _pairs(models, best_of(numbers, "psnr", known)):
                if metric not in numbers[a] or metric not in numbers[b]:
                    continue
                difference = np.asarray(values[a][metric] - values[b][metric])
                if np.isnan(difference).all():
                    continue
                entry = {key: numbers[a][metric][key] for key in ("unit", "better")}
                place = found.setdefault(condition, {}).setdefault(metric, {})
                place[f"{a} − {b}"] = {**summarise(difference, seed=seed), **entry}
    return found


def _pairs(models: Sequence[str], classical: str | None) -> Iterator[tuple[str, str]]:
    yield from combinations(models, 2)
    if classical is not None:
        yield from ((model, classical) for model in models)
