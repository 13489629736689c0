"""What a domain brings to judging and to reports, called as an evaluation calls it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaegan.baselines import Baseline, Fitted
from vaegan.data import SignalSet
from vaegan.domain import Domain, Recording
from vaegan.metrics.features import Extracted, default_extractor
from vaegan.metrics.restoration import Array, Metric
from vaegan.testing.degradations import ContractError

ITEMS = 4
"""Items that each part is called with."""
FITTED = 64
"""Items that a classical method is fitted to, where it learns."""
NOISE = 0.2
"""Standard deviation of what is added to them, in model units."""


def tool_checks(domain: Domain, train: SignalSet, test: SignalSet) -> dict[str, Callable[[], str]]:
    """Checks of the parts that a domain writes itself, by name; each gives a sentence or raises.

    Args:
        domain: whose spec, splits and units are as they should be.
        train: its training split.
        test: its test split.
    """
    checks: dict[str, Callable[[], str]] = {
        "small": lambda: _check_small(domain),
        "assets": lambda: _check_assets(domain),
        "draw": lambda: _check_draw(domain, train),
        "points": lambda: _check_points(domain, train),
        "metrics": lambda: _check_metrics(domain, test),
        "baselines": lambda: _check_baselines(domain, train),
        "features": lambda: _check_features(domain, train),
        "judge_generated": lambda: _check_judge_generated(domain, train, test),
        "report_sections": lambda: _check_sections(domain, test),
    }
    return {name: check for name, check in checks.items() if getattr(type(domain), name) is not getattr(Domain, name)}


def _check_small(domain: Domain) -> str:
    small = domain.small()
    if not isinstance(small, Domain):
        raise ContractError(f"small returned {type(small).__name__}, expected a Domain.")
    if small.spec.dims != domain.spec.dims or math.prod(small.spec.shape) > math.prod(domain.spec.shape):
        raise ContractError(f"small has signals of {small.spec.shape}, expected no more than {domain.spec.shape}.")
    return f"For a trial signals are {small.spec.shape}."


def _check_assets(domain: Domain) -> str:
    assets = {name: np.asarray(value) for name, value in domain.assets().items()}
    for name, value in assets.items():
        if value.dtype.kind not in "biuf":
            raise ContractError(f"assets has {name!r} of {value.dtype}, expected numbers: no pickle is written.")
    again = domain.with_assets(assets)
    if not isinstance(again, Domain):
        raise ContractError(f"with_assets returned {type(again).__name__}, expected a Domain.")
    kept = again.assets()
    for name, value in assets.items():
        if name not in kept or not np.array_equal(np.asarray(kept[name]), value, equal_nan=value.dtype.kind == "f"):
            raise ContractError(f"with_assets lost {name!r}, expected the arrays that it was given.")
    if other := sorted(set(kept) - set(assets)):
        raise ContractError(f"with_assets added {', '.join(other)}, expected the arrays that it was given.")
    return f"{len(assets)} arrays travel with a run."


def _check_draw(domain: Domain, train: SignalSet) -> str:
    signals = _physical(train)
    pictures = domain.draw(signals)
    if (
        not isinstance(pictures, np.ndarray)
        or pictures.dtype != np.uint8
        or pictures.ndim != 4
        or (len(pictures), pictures.shape[-1]) != (len(signals), 3)
    ):
        raise ContractError(f"draw returned {_what(pictures)}, expected ({len(signals)}, rows, columns, 3) uint8.")
    return f"Pictures of {pictures.shape[1]} x {pictures.shape[2]}."


def _check_points(domain: Domain, train: SignalSet) -> str:
    clouds = domain.points(_physical(train))
    if clouds is None:
        return "The signals are no points in space."
    wrong = [_what(c) for c in clouds if np.ndim(c) != 2 or np.shape(c)[1] != 3 or not np.isfinite(c).all()]
    if len(clouds) != min(ITEMS, len(train)) or wrong:
        found = wrong[0] if wrong else f"{len(clouds)} arrays"
        raise ContractError(f"points returned {found}, expected one array an item, (k, 3), all finite.")
    return f"{min(map(len, clouds)):,} to {max(map(len, clouds)):,} points an item."


def _check_metrics(domain: Domain, test: SignalSet) -> str:
    low, high = domain.spec.value_range
    truth = _physical(test).astype(np.float64)
    rng = np.random.default_rng(0)
    noisy = np.clip(
        np.nan_to_num(truth, nan=low) + NOISE / 2 * (high - low) * rng.standard_normal(truth.shape), low, high
    )
    exact = np.nan_to_num(truth, nan=low)
    said = []
    for name, metric in domain.metrics().items():
        if not isinstance(metric, Metric):
            raise ContractError(f"metrics has {name!r}, a {type(metric).__name__}, expected an instance of Metric.")
        values = []
        for restored in (exact, noisy):
            given = restored.copy(), truth.copy()
            values.append(np.asarray(metric.function(*given, high - low), dtype=np.float64))
            if values[-1].shape != (len(truth),) or np.isinf(values[-1]).any():
                raise ContractError(
                    f"the measure {name!r} gave {_what(values[-1])} for {len(truth)} items, "
                    "expected one finite number an item, or NaN."
                )
            if not (np.array_equal(given[0], restored) and np.array_equal(given[1], truth, equal_nan=True)):
                raise ContractError(f"the measure {name!r} changed what it was given.")
        both = ~np.isnan(values).any(axis=0)
        best, worse = (value[both] for value in values)
        if len(best) and (best.mean() < worse.mean() if metric.better == "higher" else best.mean() > worse.mean()):
            raise ContractError(
                f"the measure {name!r} is {best.mean():g} for the truth itself and {worse.mean():g} for the truth "
                f"with noise, of which {metric.better} is said to be better."
            )
        said.append(name)
    return f"{', '.join(said) or 'none'}: one number an item, and none that prefers noise to the truth."


def _check_baselines(domain: Domain, train: SignalSet) -> str:
    x = domain.to_model(torch.from_numpy(_physical(train, FITTED))).float().numpy()
    known = ~np.isnan(x[:, :1])
    mask = known if domain.spec.gaps else None
    noise = NOISE * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    y = np.where(known, x + noise, np.float32(0.0)).astype(np.float32)
    for name, method in domain.baselines().items():
        if isinstance(method, type) or not isinstance(method, Baseline):
            raise ContractError(f"baselines has {name!r}, a {_what(method)}, expected an instance of Baseline.")
        if not method.strengths:
            raise ContractError(f"the method {name!r} has no strengths, expected at least one.")
        if isinstance(method, Fitted):
            fitted = method.fit(y.copy(), None if mask is None else mask.copy(), x.copy())
            again = method.with_state({key: np.array(value) for key, value in fitted.state().items()})  # type: ignore[attr-defined]
            if not np.allclose(_restored(name, fitted, y, mask), _restored(name, again, y, mask), atol=1e-5):
                raise ContractError(
                    f"the method {name!r} restores otherwise after with_state(state()): its state lacks a part."
                )
        else:
            _restored(name, method, y, mask)
    return f"{', '.join(domain.baselines()) or 'none'}."


def _restored(name: str, method: Baseline, y: Array, mask: Array | None) -> Array:
    """Some items by one method, each held against what a table needs."""
    found = []
    for row in range(min(ITEMS, len(y))):
        given = y[row].copy()
        item = np.asarray(method.restore(given, None if mask is None else mask[row].copy(), method.middle))
        if item.shape != given.shape or item.dtype.kind not in "iuf" or not np.isfinite(item).all():
            raise ContractError(
                f"the method {name!r} returned {_what(item)}, expected finite numbers of {given.shape}."
            )
        if not np.array_equal(given, y[row]):
            raise ContractError(f"the method {name!r} changed what it was given.")
        found.append(item)
    return np.stack(found)


@torch.no_grad()
def _check_features(domain: Domain, train: SignalSet) -> str:
    given = domain.features()
    if given is None:
        return "The domain has none."
    extractor = default_extractor(domain.spec, domain_features=given)[0]
    x = domain.to_model(torch.from_numpy(_physical(train))).float().nan_to_num().clamp(-1, 1)
    found = extractor(x.clone())
    if not isinstance(found, Extracted) or found.features.ndim != 2 or len(found.features) != len(x):
        raise ContractError(f"features gave {_what(getattr(found, 'features', found))}, expected ({len(x)}, d).")
    if not found.features.isfinite().all():
        raise ContractError("features gave values that are not finite.")
    alone = torch.cat([extractor(x[row : row + 1].clone()).features for row in range(len(x))])
    apart = float((alone - found.features).abs().max() / found.features.abs().max().clamp(min=1e-12))
    if not apart <= 1e-3:
        raise ContractError(
            f"features of an item differ by {apart:.1e} (relative) with what else is in its batch, expected each on its own."
        )
    return f"{extractor.name}: {found.features.shape[1]} features an item, whatever else is in its batch."


def _check_judge_generated(domain: Domain, train: SignalSet, test: SignalSet) -> str:
    drawn, real = _physical(train, FITTED), _physical(test, FITTED)
    if np.isnan(drawn).any():  # a model draws no gaps
        drawn = np.nan_to_num(drawn, nan=domain.spec.value_range[0])
    found = domain.judge_generated(drawn, real)
    for name, entry in found.items():
        if not isinstance(entry, Mapping) or not {"mean", "n", "unit", "better"} <= set(entry):
            raise ContractError(f"judge_generated has {name!r}, {entry!r}, expected mean, n, unit and better.")
        if not isinstance(entry["mean"], (int, float)) or entry["better"] not in ("higher", "lower"):
            raise ContractError(f"judge_generated has {name!r}, {entry!r}, expected a number, and higher or lower.")
    return f"{', '.join(found) or 'none'}."


def _check_sections(domain: Domain, test: SignalSet) -> str:
    def unchanged(recording: Recording) -> Recording:
        return recording.with_signals(recording.signals.copy(), np.zeros_like(recording.signals))

    found = domain.on_split("test").report_sections(unchanged, test, min(ITEMS, len(test)))
    for title, html in found.items():
        if not isinstance(title, str) or not isinstance(html, str):
            raise ContractError(f"report_sections has {title!r}, a {type(html).__name__}, expected HTML as a str.")
    return f"{', '.join(found) or 'none'}."


def _physical(signals: SignalSet, n: int = ITEMS) -> Array:
    """The first items as floats, in physical units."""
    rows = np.array(signals.signals[: min(n, len(signals))])
    return rows if rows.dtype.kind == "f" else rows.astype(np.float32)


def _what(value: Any) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"{value.dtype} {tuple(value.shape)}".replace("torch.", "")
    return value.__name__ if isinstance(value, type) else type(value).__name__
