"""Does the spread of a restoration predict its error, and how is it brought to do so?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from torch import Tensor

from vaegan.data import SignalSet
from vaegan.degradation import Degradation
from vaegan.domain import Domain
from vaegan.errors import UserError
from vaegan.evaluation.latent import observed
from vaegan.evaluation.result import Uncertain, Uncertainty
from vaegan.metrics.restoration import summarise
from vaegan.models import Restored
from vaegan.models.spread import NORMAL_90, Calibration

Array: TypeAlias = NDArray[Any]
Restorer: TypeAlias = Callable[[Tensor, Tensor | None], Restored]
"""(Observed signals in model units, mask), both on the CPU, to mean and spread on the CPU."""

STEPS = 20
BINS = 12
BLOCK = 16


@dataclass(frozen=True)
class Validation:
    """Validation items, and what they suffer under each condition that they can be put under."""

    items: SignalSet
    conditions: Mapping[str, Degradation | None]


def calibrate(
    restorer: Restorer, domain: Domain, val: SignalSet, degradation: Degradation | None, *, n: int = 64, seed: int = 0
) -> Calibration:
    """Fits a calibration on validation items under the degradation of training.

    Args:
        restorer: gives mean and spread.
        domain: of the signals.
        val: validation items, never test items; those of which nothing is known do not count.
        degradation: what they suffer; not used where they have observed partners.
        n: items at most.
        seed: of their choice and of the degradation.

    Raises:
        UserError: for no item of which anything is known.
    """
    order = np.random.default_rng((seed, 4)).permutation(len(val))
    rows = np.sort(np.fromiter(islice((row for row in order if _told(val, row)), n), np.int64))
    if not len(rows):
        found = f"{len(val)} validation items of which nothing is known" if len(val) else "no validation item"
        raise UserError(f"{found} to calibrate on", expected="at least one", mend="give more data")
    restored = _restored(restorer, domain, val, rows, degradation, f"calibration/{seed}")
    return Calibration.fit(restored.y, restored.mask, Restored(restored.mean, restored.spread), restored.truth)


def _told(items: SignalSet, row: int) -> bool:
    """Whether anything is known of an item."""
    return not np.isnan(np.asarray(items.signals[row])).all()


def evaluate_uncertainty(
    restorer: Restorer,
    calibration: Calibration,
    domain: Domain,
    test: SignalSet,
    conditions: Mapping[str, Degradation | None],
    *,
    n: int,
    seed: int,
    validation: Validation | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Uncertainty:
    """How well spread predicts error on test items.

    ``coverage90_raw`` and ``coverage90`` are the shares of samples whose truth lies within 1.645 standard deviations (0.90
    is right), before and after the run's calibration. That knows the mixture of training alone;
    ``coverage90_recalibrated`` is after a calibration for each condition, on validation items under it. All else is of the
    spread calibrated so, or without such items by the run's calibration: ``spearman``, its rank correlation with the
    absolute error over the samples of an item (``spearman_raw`` before calibration); ``ause``, the area between its
    sparsification curve and that of the error itself (Ilg et al. 2018), as a share of the whole error, 0 is perfect; maps
    and curves.

    The measures are taken in model units, in which the spread is calibrated; maps and curves are in physical ones. Items
    of whose truth nothing is known do not count; where there are no others, the condition is left out.

    Args:
        restorer: gives mean and spread.
        calibration: fitted on validation items.
        domain: of the signals.
        test: items with their truth.
        conditions: degradations by name; ``None`` where the items have observed partners.
        n: items for each condition.
        seed: of their choice and of the degradations.
        validation: items to recalibrate on for each condition, never test items; ``None`` leaves that out.
        progress: called with the condition, the conditions done, and all.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(test))[: max(n, 1)])
    numbers: dict[str, dict[str, dict[str, Any]]] = {}
    shown: dict[str, Uncertain] = {}
    can_calibrate = validation is not None and any(_told(validation.items, row) for row in range(len(validation.items)))
    for done, (condition, degradation) in enumerate(conditions.items()):
        found = _restored(restorer, domain, test, rows, degradation, f"uncertainty/{seed}/{condition}")
        error, raw = (found.mean - found.truth).abs(), found.spread
        judged = int((~error.isnan()).flatten(1).any(1).sum())
        if not judged:
            continue
        blind = calibration(found.y, found.mask, Restored(found.mean, raw))
        wide, again = blind, None
        if can_calibrate and validation is not None and condition in validation.conditions:
            own = calibrate(restorer, domain, validation.items, validation.conditions[condition], seed=seed)
            wide = own(found.y, found.mask, Restored(found.mean, raw))
            again = {**summarise(_within(error, wide), seed=seed), "unit": "1", "target": 0.9}
        fraction, by_spread, by_error = _sparsification(error, wide)
        area = trapezoid(by_spread - by_error, fraction)
        whole = max(float(by_error[0]), 1e-12)
        shares = {"unit": "1", "better": "higher"}
        numbers[condition] = {
            "spearman_raw": {**summarise(_rank_correlation(raw, error), seed=seed), **shares},
            "spearman": {**summarise(_rank_correlation(wide, error), seed=seed), **shares},
            "coverage90_raw": {**summarise(_within(error, raw), seed=seed), "unit": "1", "target": 0.9},
            "coverage90": {**summarise(_within(error, blind), seed=seed), "unit": "1", "target": 0.9},
            **({} if again is None else {"coverage90_recalibrated": again}),
            "ause": {"mean": float(area) / whole, "n": judged, "unit": "1", "better": "lower"},
        }
        shown[condition] = _shown(domain, found, wide)
        if progress is not None:
            progress(condition, done + 1, len(conditions))
    return Uncertainty(numbers, shown, domain.draw, domain.spec.unit, calibration.n)


@dataclass(frozen=True)
class _Found:
    y: Tensor
    mask: Tensor | None
    mean: Tensor
    spread: Tensor
    truth: Tensor


def _restored(
    restorer: Restorer, domain: Domain, items: SignalSet, rows: Array, degradation: Degradation | None, key: str
) -> _Found:
    means, spreads, truths, seen, masks = [], [], [], [], []
    for first in range(0, len(rows), BLOCK):
        some: Sequence[int] = [int(row) for row in rows[first : first + BLOCK]]
        x, y, mask = observed(domain, items, some, degradation, f"{key}/{first}")
        restored = restorer(y, mask)
        means.append(restored.mean.float())
        spreads.append(torch.zeros_like(x) if restored.spread is None else restored.spread.float())
        truths.append(x)
        seen.append(y)
        masks.append(torch.ones_like(y[:, :1], dtype=torch.bool) if mask is None else mask)
    mask = torch.cat(masks)
    known = None if bool(mask.all()) else mask
    return _Found(torch.cat(seen), known, torch.cat(means), torch.cat(spreads), torch.cat(truths))


def _within(error: Tensor, spread: Tensor) -> Array:
    """(n,) share of an item's samples of known error that is within 1.645 spreads."""
    known = ~error.isnan()
    within = (error <= NORMAL_90 * spread) & known
    return np.asarray((within.flatten(1).double().sum(1) / known.flatten(1).double().sum(1)).numpy())


def _rank_correlation(spread: Tensor, error: Tensor) -> Array:
    """(n,) Spearman's rank correlation over the samples of each item.

    It is 0 where one of the two does not vary, and so says nothing of the other; NaN where no error is known.
    """
    from scipy.stats import rankdata

    values = []
    for a, b in zip(spread.flatten(1).numpy(), error.flatten(1).numpy(), strict=True):
        known = ~np.isnan(b)
        if not known.any():
            values.append(np.nan)
            continue
        x, y = rankdata(a[known]), rankdata(b[known])
        varies = x.std() > 0 and y.std() > 0
        values.append(float(np.corrcoef(x, y)[0, 1]) if varies else 0.0)
    return np.asarray(values)


def _sparsification(error: Tensor, spread: Tensor) -> tuple[Array, Array, Array]:
    """Share of samples left out, and the mean error of the rest: by spread, and by the error itself."""
    wrong, wide = _of_known(error, spread)
    fraction = np.linspace(0.0, 0.95, STEPS)

    def curve(order: Array) -> Array:
        rising = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
        left = np.maximum(1, np.round((1 - fraction) * len(order)).astype(int)) - 1
        return np.asarray(rising[left])

    return fraction, curve(np.argsort(wide, kind="stable")), curve(np.argsort(wrong, kind="stable"))


def _reliability(error: Tensor, spread: Tensor) -> Array:
    """(bins, 2): mean predicted standard deviation and root mean square error, in bins of one size."""
    wrong, wide = _of_known(error, spread)
    order = np.argsort(wide, kind="stable")
    bins = [(wide[part].mean(), np.sqrt(np.square(wrong[part]).mean())) for part in np.array_split(order, BINS)]
    return np.asarray(bins)


def _of_known(error: Tensor, spread: Tensor) -> tuple[Array, Array]:
    """Both, flat, where the truth is known."""
    known = ~error.isnan()
    return error[known].double().numpy(), spread[known].double().numpy()


def _shown(domain: Domain, found: _Found, spread: Tensor) -> Uncertain:
    """A few items, and the curves of all, in physical units.

    A model unit may be worth more of these at one level of the signal than at another, as with ranges seen as logarithms.

    Args:
        domain: knows the units.
        found: what was restored, in model units.
        spread: calibrated, in model units.
    """
    mean = found.mean.double()
    error = (domain.to_physical(mean) - domain.to_physical(found.truth.double())).abs()
    low, high = (domain.to_physical(mean + sign * spread.double()) for sign in (-1, 1))
    wide = (high - low).abs() / 2
    fraction, by_spread, by_error = _sparsification(error, wide)
    return Uncertain(
        restored=_physical(domain, found.mean[:4]),
        truth=_physical(domain, found.truth[:4]),
        spread=np.asarray(wide[:4].float().numpy()),
        error=np.asarray(error[:4].float().numpy()),
        reliability=_reliability(error, wide),
        fraction=fraction,
        by_spread=by_spread,
        by_error=by_error,
    )


def _physical(domain: Domain, x: Tensor) -> Array:
    return np.asarray(domain.to_physical(x.clamp(-1, 1)).numpy())
