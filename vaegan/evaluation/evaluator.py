"""Judges restorers on degraded test items, beside the input itself and well-set classical methods."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaegan.baselines import Baseline, Fitted, tune
from vaegan.baselines import Example as Pair
from vaegan.data import SignalSet, Split
from vaegan.degradation import Degradation, build, build_where_known, observe
from vaegan.domain import Domain
from vaegan.errors import DataError, UserError
from vaegan.evaluation.result import INPUT, MODEL, PAIRED, Examples, Restoration
from vaegan.metrics.restoration import RESTORATION, Metric, summarise

Array: TypeAlias = NDArray[Any]
Restorer: TypeAlias = Callable[[Tensor, Tensor | None], Tensor]
"""(Observed signals (batch, channels, *space) in model units, mask), both on the CPU, to restored signals."""
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the condition, the items judged so far, and the items in all conditions."""

EXAMPLES = 8
WORST = 10


def evaluate_restoration(
    restorers: Mapping[str, Restorer],
    domain: Domain,
    test: SignalSet,
    val: SignalSet | None,
    conditions: Sequence[str],
    *,
    n: int,
    seed: int,
    tuning: int = 24,
    with_baselines: bool = True,
    baselines: Mapping[str, Baseline] | None = None,
    measures: Mapping[str, Metric] | None = None,
    split: Split = "test",
    batch: int = 16,
    progress: Progress | None = None,
) -> Restoration:
    """Judges restorers, the input itself and classical methods on the same degraded test items.

    Each item is degraded on its own with a generator seeded from the seed, the item's row and the condition:
    no item's degradation depends on ``batch`` or on ``n``. Every restored signal is clipped to the spec's
    value range before it is judged, whatever the method.

    Args:
        restorers: by name; ``"model"`` is the main one. Restorers move tensors to their own device.
        domain: of the signals.
        test: the items to judge on; with ``observed`` partners the condition ``paired`` comes first.
        val: some of its items set the strengths of the classical methods, under the degradations of their split; never
            test items.
        conditions: degradations at stated severities, see :func:`vaegan.degradation.build`.
        n: items to judge, drawn without replacement; all where there are fewer.
        seed: of the choice of items and of every degradation.
        tuning: how many of ``val`` that are, at most; without any, the methods have middle strengths.
        with_baselines: whether the domain's classical methods are judged too.
        baselines: these instead of those that the domain has and that need not be fitted.
        measures: beside the general ones and the domain's own, by name.
        split: whose degradations the items suffer, where a domain's differ by split.
        batch: items given to a restorer at once.
        progress: called after every batch.

    Raises:
        UserError: for no test item, no restorer, names used twice, or a condition that cannot be built.
        DataError: when a restorer returns another shape, NaN or infinity.
    """
    if baselines is None:
        baselines = {name: method for name, method in domain.baselines().items() if not isinstance(method, Fitted)}
    baselines = dict(baselines) if with_baselines else {}
    _check_names(restorers, baselines, len(test))
    makers = domain.on_split(split).degradations()
    # First: it is the damage that the data are about, and where the training's are pairs the only one that it knows.
    built: dict[str, Degradation | None] = {} if test.observed is None else {PAIRED: None}
    built |= {c: build(c, makers) for c in conditions}
    chosen = np.random.default_rng(seed).permutation(len(test))[: max(n, 1)]
    rows = np.sort(chosen)  # a memory map is read in one direction
    # Neighbours in a set are often of one person or one recording: a random choice shows more of it.
    shown = np.sort(np.random.default_rng((seed, 1)).permutation(len(rows))[:EXAMPLES])
    metrics = {**RESTORATION, **domain.metrics(), **(measures or {})}
    judge = _Judge(domain, restorers, baselines, metrics, batch)
    quality = _quality(domain, metrics)
    main = MODEL if MODEL in restorers else next(iter(restorers))
    result = Restoration({}, {}, rows, {}, {}, {}, {}, {}, domain.draw, main, domain.points)
    for number, (condition, degradation) in enumerate(built.items()):
        source = _Source(domain, test, condition, degradation, seed)
        pairs = _tuning_pairs(domain, val, condition, tuning, seed) if baselines else []
        strengths = {name: tune(baseline, pairs, quality) for name, baseline in baselines.items()}
        values = judge.values(
            source,
            rows,
            strengths,
            _counting(progress, condition, number * len(rows), len(built) * len(rows)),
        )
        result.values[condition] = values
        result.numbers[condition] = judge.numbers(values)
        result.strengths[condition], result.tuned[condition] = strengths, len(pairs)
        scores = values[result.main]["psnr"]
        judged = int(np.count_nonzero(~np.isnan(scores)))  # the others are sorted last
        result.examples[condition] = judge.examples(source, rows, shown, strengths, values, result.main)
        if judged:
            worst = np.argsort(scores, kind="stable")[: min(WORST, judged)]
            result.worst[condition] = judge.examples(source, rows, worst, strengths, values, result.main)
    result.ms_per_item.update(judge.ms_per_item())
    return result


def _check_names(restorers: Mapping[str, Restorer], baselines: Mapping[str, Baseline], n_test: int) -> None:
    if not n_test:
        raise UserError("no test item to judge on", expected="at least one", mend="give data with a test split")
    if not restorers:
        raise UserError("no restorer to judge", expected="at least one", mend="pass restorers={'model': ...}")
    twice = set(restorers) & {INPUT, *baselines}
    if twice:
        raise UserError(f"restorers named {', '.join(sorted(twice))}", expected="names that no classical method has")


def _one_an_item(name: str, values: Array, n: int) -> Array:
    """What a measure gave, which may be a third party's.

    Raises:
        DataError: for anything but one number an item, NaN where it is not defined.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (n,) or np.isinf(found).any():
        what = f"an array of shape {found.shape}" if found.shape != (n,) else "an infinite value"
        raise DataError(
            f"the measure {name!r} gave {what} for {n} items",
            expected="one finite number an item, or NaN",
            mend="mend Domain.metrics",
        )
    return found


def _counting(progress: Progress | None, condition: str, before: int, total: int) -> Callable[[int], None]:
    return lambda done: None if progress is None else progress(condition, before + done, total)


@dataclass(frozen=True)
class _Source:
    """Degraded items of one set under one condition."""

    domain: Domain
    signals: SignalSet
    condition: str
    degradation: Degradation | None
    seed: int

    def item(self, row: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """Signal observed, mask and truth of a row in model units, each with a batch axis of 1; NaN is unknown truth."""
        x = self._model(self.signals.signals[row : row + 1])
        partner = None
        if self.degradation is None:
            assert self.signals.observed is not None
            partner = self._model(self.signals.observed[row : row + 1])
        digest = hashlib.sha256(f"{self.seed}/{row}/{self.condition}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        with torch.no_grad():
            seen = observe(x, self.degradation, gaps=self.domain.spec.gaps, observed=partner, generator=generator)
        return seen.y.float(), seen.mask, x

    def batch(self, rows: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Signals observed and masks of some rows, each degraded on its own."""
        items = [self.item(row) for row in rows]
        y = torch.cat([y for y, _, _ in items])
        masks = [mask for _, mask, _ in items]
        if all(mask is None for mask in masks):
            return y, None
        everything = torch.ones_like(y[:1, :1], dtype=torch.bool)
        return y, torch.cat([everything if mask is None else mask for mask in masks])

    def truth(self, rows: Sequence[int]) -> Array:
        """(batch, channels, *space) in physical units, double precision."""
        return np.stack([np.asarray(self.signals.signals[row], dtype=np.float64) for row in rows])

    def _model(self, signals: Array) -> Tensor:
        return self.domain.to_model(torch.from_numpy(np.array(signals))).float()


def _tuning_pairs(domain: Domain, val: SignalSet | None, condition: str, n: int, seed: int) -> list[Pair]:
    """A few validation items as they are observed under the degradations of their own split; none where it has none such."""
    if val is None or not min(n, len(val)) or (condition == PAIRED and val.observed is None):
        return []
    degradation: Degradation | None = None
    if condition != PAIRED:
        degradation = build_where_known(condition, domain.on_split("val").degradations())
        if degradation is None:
            return []
    source = _Source(domain, val, f"tuning/{condition}", degradation, seed)
    rows = np.sort(np.random.default_rng(seed).permutation(len(val))[:n])
    items = [source.item(int(row)) for row in rows]
    return [(y[0].numpy(), None if mask is None else mask[0].numpy(), x[0].numpy()) for y, mask, x in items]


def _quality(domain: Domain, metrics: Mapping[str, Metric]) -> Callable[[Array, Array], float] | None:
    """What classical methods are set by, of one item in model units; ``None`` for PSNR.

    Raises:
        UserError: for a measure that the domain has not.
    """
    name = domain.tuned_by()
    if name == "psnr":
        return None
    if name not in metrics:
        raise UserError(f"{type(domain).__name__}.tuned_by() is {name!r}", expected=f"one of {', '.join(metrics)}")
    metric, (low, high) = metrics[name], domain.spec.value_range
    sign = 1.0 if metric.better == "higher" else -1.0

    def quality(restored: Array, truth: Array) -> float:
        found, known = (
            np.clip(domain.to_physical(torch.from_numpy(x[None]).double()).numpy(), low, high)
            for x in (restored, truth)
        )
        return sign * float(np.nan_to_num(metric.function(found, known, high - low)[0]))

    return quality


class _Judge:
    """All methods and all measures, with the time that each method took."""

    def __init__(
        self,
        domain: Domain,
        restorers: Mapping[str, Restorer],
        baselines: Mapping[str, Baseline],
        metrics: Mapping[str, Metric],
        batch: int,
    ) -> None:
        self.domain, self.restorers, self.baselines = domain, restorers, baselines
        self.metrics, self.batch = metrics, max(1, batch)
        self.methods = (INPUT, *baselines, *restorers)
        self._seconds = dict.fromkeys(self.methods, 0.0)
        self._items = 0

    def values(
        self, source: _Source, rows: Array, strengths: Mapping[str, float], progress: Callable[[int], None]
    ) -> dict[str, dict[str, Array]]:
        """{METHOD: {METRIC: one value an item}}."""
        low, high = self.domain.spec.value_range
        parts: dict[str, dict[str, list[Array]]] = {m: {k: [] for k in self.metrics} for m in self.methods}
        for start in range(0, len(rows), self.batch):
            some = [int(row) for row in rows[start : start + self.batch]]
            (y, mask), truth = source.batch(some), source.truth(some)
            self._items += len(some)
            for method in self.methods:
                started = time.perf_counter()
                restored = self.restore(method, y, mask, strengths)
                self._seconds[method] += time.perf_counter() - started
                for key, metric in self.metrics.items():
                    parts[method][key].append(
                        _one_an_item(key, metric.function(restored, truth, high - low), len(some))
                    )
            progress(start + len(some))
        return {m: {k: np.concatenate(v) for k, v in by.items()} for m, by in parts.items()}

    def restore(self, method: str, y: Tensor, mask: Tensor | None, strengths: Mapping[str, float]) -> Array:
        """Signals in physical units, clipped to the value range."""
        if method in self.restorers:
            # A copy, so that a restorer that works in place spoils nothing for the methods after it.
            restored = self.restorers[method](y.clone(), mask).detach().to("cpu", torch.float32)
        elif method in self.baselines:
            restored = _classical(self.baselines[method], y, mask, strengths[method])
        else:
            restored = y
        if restored.shape != y.shape or not bool(torch.isfinite(restored).all()):
            raise DataError(
                f"{method} returned signals of shape {tuple(restored.shape)}, finite: "
                f"{bool(torch.isfinite(restored).all())}",
                expected=f"finite values of shape {tuple(y.shape)}",
            )
        clipped: Array = np.clip(self.domain.to_physical(restored.double()).numpy(), *self.domain.spec.value_range)
        return clipped

    def numbers(self, values: Mapping[str, Mapping[str, Array]]) -> dict[str, dict[str, dict[str, Any]]]:
        """Summaries; a measure that is defined for no item is left out."""
        unit = self.domain.spec.unit
        return {
            method: {
                key: {
                    **summarise(of),
                    "unit": self.metrics[key].unit_of(unit),
                    "better": self.metrics[key].better,
                }
                for key, of in by.items()
                if not np.isnan(of).all()
            }
            for method, by in values.items()
        }

    def examples(
        self,
        source: _Source,
        rows: Array,
        at: Array,
        strengths: Mapping[str, float],
        values: Mapping[str, Mapping[str, Array]],
        main: str,
    ) -> Examples:
        """Restores some items again (they were not kept, so that any number of items fits in memory)."""
        some = [int(row) for row in rows[at]]
        y, mask = source.batch(some)
        # Of all methods the same items are known: sums rank them as means do, and are there where nothing is known.
        best = max(self.baselines, key=lambda name: float(np.nansum(values[name]["psnr"])), default="")
        names = source.signals.names
        return Examples(
            names=tuple(str(row) if names is None else str(names[row]) for row in some),
            input=self._observed(y, mask, strengths),
            classical=self.restore(best, y, mask, strengths) if best else None,
            restored=self.restore(main, y, mask, strengths),
            truth=source.truth(some),
            classical_name=best,
            others={name: self.restore(name, y, mask, strengths) for name in self.restorers if name != main},
            psnr={
                method: values[method]["psnr"][at] for method in dict.fromkeys((INPUT, best, *self.restorers)) if method
            },
        )

    def _observed(self, y: Tensor, mask: Tensor | None, strengths: Mapping[str, float]) -> Array:
        """The input for the eye: NaN where nothing was observed, where signals may have gaps."""
        observed = self.restore(INPUT, y, mask, strengths)
        return np.where(mask.numpy(), observed, np.nan) if self.domain.spec.gaps and mask is not None else observed

    def ms_per_item(self) -> dict[str, float]:
        """Milliseconds an item, by method."""
        return {method: 1e3 * seconds / self._items for method, seconds in self._seconds.items() if method != INPUT}


def _classical(baseline: Baseline, y: Tensor, mask: Tensor | None, strength: float) -> Tensor:
    masks = [None] * len(y) if mask is None else [m.numpy() for m in mask]
    items = [baseline.restore(a.numpy(), m, strength) for a, m in zip(y, masks, strict=True)]
    return torch.from_numpy(np.stack(items)).float()
