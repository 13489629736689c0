"""The contract of a domain, run on any implementation of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import torch

from vaegan.data import SPLITS, SignalSet, check_apart, check_labels, inspected
from vaegan.domain import Domain
from vaegan.errors import DataError
from vaegan.signal import SignalSpec
from vaegan.testing.degradations import ContractError, check_degradation
from vaegan.testing.files import check_read, check_write
from vaegan.testing.tools import tool_checks

MOST_OUTSIDE = 0.01
"""Share of values that may lie outside of ``spec.value_range``."""

MOST_SHARED = 0.01
"""Share of a split's items that may be items of another split too: official splits of well-known data have a few."""


@dataclass(frozen=True)
class Check:
    """One part of a contract.

    Attributes:
        name: what was checked.
        passed: whether it holds.
        detail: one sentence: what was found, and what was expected where it does not hold.
    """

    name: str
    passed: bool
    detail: str


def check_domain(domain: Domain, files: Sequence[Path] = ()) -> list[Check]:
    """Checks the contract of a domain: its spec, its splits, its units and its degradations, and what it brings to judging.

    Of the rest (drawing, measures, classical methods, features, sections of a report and so on) what the domain writes
    itself is called on a few items. Values, and whether an item is in two splits, are looked at in up to 512 items a split.
    What stands on a failed part is left out: without a spec nothing else is checked, without signals the units are not.

    Args:
        domain: the domain, on the data that it shall be checked with.
        files: files as ``vaegan restore`` will get them: each is read, written as it was and with other values, into a
            temporary folder, and read again.

    Returns:
        One check for each part, in order; an exception of the domain is a failed check, not an exception.
    """
    spec: SignalSpec | None = None

    def check_spec() -> str:
        nonlocal spec
        sentence = _check_spec(domain)
        spec = domain.spec
        return sentence

    checks = [_attempt("spec", check_spec)]
    if spec is None:
        return checks
    sets: dict[str, SignalSet] = {}
    for split in SPLITS:

        def check_split(split: str = split) -> str:
            signals = domain.dataset(split)  # type: ignore[arg-type]
            if not isinstance(signals, SignalSet):
                raise ContractError(f"dataset({split!r}) returned {type(signals).__name__}, expected a SignalSet.")
            sets[split] = signals
            return _check_signals(signals, split, spec)

        checks.append(_attempt(f"split {split}", check_split))
    if len(sets) == len(SPLITS):
        checks.append(_attempt("groups", lambda: _check_groups(sets)))
    if all(check.passed for check in checks):
        checks.append(_attempt("units", lambda: _check_units(domain, sets["train"])))
        if type(domain).vary is not Domain.vary:
            checks.append(_attempt("vary", lambda: _check_vary(domain, sets["train"])))
        tools = tool_checks(domain, sets["train"], sets["test"])
        checks += [_attempt(name, check) for name, check in tools.items()]
    checks += _check_degradations(domain, spec)
    for file in files:
        checks.append(_attempt(f"read {file.name}", partial(check_read, domain, file)))
        if checks[-1].passed:
            checks.append(_attempt(f"write {file.name}", partial(check_write, domain, file)))
    return checks


def _attempt(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except Exception as error:  # the domain is a stranger's code: whatever it raises is the finding
        prefix = "" if isinstance(error, (ContractError, DataError)) else f"{type(error).__name__}: "
        return Check(name, False, f"{prefix}{error}")


def _check_spec(domain: Domain) -> str:
    spec = domain.spec
    if not isinstance(spec, SignalSpec):
        raise ContractError(f"spec is {type(spec).__name__}, expected a SignalSpec.")
    if not spec.unit.strip():
        raise ContractError("spec.unit is empty, expected the physical unit of the values, for example 'V' or 'm'.")
    if not all(math.isfinite(end) for end in spec.value_range):
        raise ContractError(f"spec.value_range is {spec.value_range}, expected two finite numbers.")
    names = [axis.name for axis in spec.axes]
    if len(set(names)) < len(names):
        raise ContractError(f"spec.axes are named {names}, expected each name once.")
    if domain.spec != spec:
        raise ContractError("spec changes from one reading to the next, expected the same value each time.")
    return f"{spec.dims}D signals of shape {spec.shape} in {spec.unit}, values in {spec.value_range}."


def _check_signals(signals: SignalSet, split: str, spec: SignalSpec) -> str:
    if len(signals) == 0:
        raise ContractError(f"The split {split!r} is empty, expected at least one signal.")
    for name in ("signals", "observed"):
        array = getattr(signals, name)
        if array is not None and tuple(array.shape[1:]) != spec.shape:
            raise ContractError(f"{split!r} has {name} of shape {tuple(array.shape)}, expected (n, *{spec.shape}).")
    found = _check_values(inspected(signals.signals).astype(np.float64), repr(split), spec)
    if signals.observed is not None:
        observed = _check_values(inspected(signals.observed).astype(np.float64), f"{split!r}, observed,", spec)
        found = f"{found}; observed, {observed}"
    check_labels(signals, split)
    return f"{len(signals)} signals of {len(set(signals.groups.tolist()))} groups; {found}."


def _check_values(values: np.ndarray, where: str, spec: SignalSpec) -> str:  # type: ignore[type-arg]
    broken = int((np.isinf(values) if spec.gaps else ~np.isfinite(values)).sum())
    if broken:
        raise ContractError(f"{where} has {broken} of {values.size} values that are not finite.")
    low, high = spec.value_range
    outside = float(((values < low) | (values > high)).mean())
    found = f"{100 * outside:.2f} % of the values lie outside of {spec.value_range} {spec.unit}"
    if outside > MOST_OUTSIDE:
        raise ContractError(
            f"{where}: {found} (they go from {np.nanmin(values):g} to {np.nanmax(values):g}), "
            f"expected at most {100 * MOST_OUTSIDE:g} %; widen spec.value_range or mend the unit."
        )
    if np.isnan(values).any(axis=1).sum() * values.shape[1] != np.isnan(values).sum():
        raise ContractError(f"{where} has gaps in some channels only, expected NaN in every channel of a gap.")
    return found


def _check_groups(sets: dict[str, SignalSet]) -> str:
    check_apart(dict(sets))
    found = {}
    for split, signals in sets.items():
        items = inspected(signals.signals) + 0  # -0 is 0
        found[split] = [hashlib.sha256(item.tobytes()).digest() for item in items]
    copies = 0
    for one, other in permutations(SPLITS, 2):
        elsewhere = set(found[other])
        twins = sum(digest in elsewhere for digest in found[one])
        copies += twins
        if twins > MOST_SHARED * len(found[one]):
            raise ContractError(
                f"{twins} of {len(found[one])} items of {one} are in {other} too, "
                f"expected at most {100 * MOST_SHARED:g} %: give copies one group."
            )
    return "No group is in two splits" + (f", but {copies} of the items that were looked at are." if copies else ".")


def _check_units(domain: Domain, signals: SignalSet) -> str:
    low, high = domain.spec.value_range
    physical = torch.from_numpy(np.nan_to_num(inspected(signals.signals).astype(np.float32), nan=low)).clamp(low, high)
    model = domain.to_model(physical)
    if not model.is_floating_point() or model.shape != physical.shape:
        raise ContractError(
            f"to_model returned {model.dtype} {tuple(model.shape)}, expected floats {tuple(physical.shape)}."
        )
    least, greatest = float(model.min()), float(model.max())
    if not (least >= -1.001 and greatest <= 1.001):
        raise ContractError(f"to_model gives [{least:g}, {greatest:g}], expected [-1, 1] for values in {(low, high)}.")
    # Relative to the range: a value near 0 has no digits of its own left after a shift.
    scale = max(abs(low), abs(high))
    error = float((domain.to_physical(model) - physical).abs().max()) / scale
    if not error <= 1e-5:
        raise ContractError(
            f"to_physical(to_model(x)) differs from x by {error:.1e} (relative), expected at most 1e-5."
        )
    return f"to_model gives [{least:.3f}, {greatest:.3f}], and to_physical inverts it to {error:.1e}."


def _check_vary(domain: Domain, signals: SignalSet) -> str:
    x = domain.to_model(torch.from_numpy(inspected(signals.signals))).float()
    one, again, other = (domain.vary(x.clone(), torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    if one.shape != x.shape or one.dtype != x.dtype:
        raise ContractError(f"vary returned {tuple(one.shape)} {one.dtype}, expected {tuple(x.shape)} {x.dtype}.")
    if torch.isinf(one).any() or (not domain.spec.gaps and one.isnan().any()):
        raise ContractError("vary made values that are not finite.")
    if not torch.equal(one.isnan().any(1), one.isnan().all(1)):
        raise ContractError("vary made gaps in some channels only, expected NaN in every channel of a gap.")
    if not torch.allclose(one, again, equal_nan=True):
        raise ContractError("vary differs with the same generator, expected everything drawn from it.")
    if torch.allclose(one, other, equal_nan=True):
        raise ContractError("vary is the same with two generators, expected other signals each time.")
    low, high = domain.spec.value_range
    values = domain.to_physical(one)
    outside = float(((values < low) | (values > high)).float().mean())
    if outside > MOST_OUTSIDE:
        raise ContractError(f"vary puts {100 * outside:.1f} % of the values outside of {domain.spec.value_range}.")
    return f"{len(x)} training signals varied, the same with the same generator."


def _check_degradations(domain: Domain, spec: SignalSpec) -> list[Check]:
    def list_them() -> str:
        return f"The domain has {', '.join(domain.degradations()) or 'no degradations'}."

    checks = [_attempt("degradations", list_them)]
    if not checks[0].passed:
        return checks
    for name, make in domain.degradations().items():

        def check_one(make: Callable[..., torch.nn.Module] = make) -> str:
            degradation = make()
            check_degradation(degradation, spec)  # type: ignore[arg-type]
            return f"{degradation!r} keeps the contract.".replace("\n", " ")

        checks.append(_attempt(f"degradation {name}", check_one))
    return checks
