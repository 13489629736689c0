"""What training and judging share: runs and data before they are used, and what is said about them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vaegan.baselines import Baseline, Fitted
from vaegan.data import SignalSet, check_apart, check_labels, inspected
from vaegan.domain import Domain
from vaegan.errors import DataError, UserError
from vaegan.metrics.restoration import RESTORATION, Metric
from vaegan.run import Run, find, load
from vaegan.training import available_device

MOST_OUTSIDE = 0.01
"""Share of values outside of the spec's range that is not worth a word."""


def open_run(path: Path, device: str) -> Run:
    """A trained run, on the device that ``--device`` names."""
    return load(find(path), device=available_device(device))


def tell_about(data: SignalSet, console: Console | None) -> None:
    """Says what was read, and what was not."""
    if console is None:
        return
    source = escape(data.source or "embedded default")
    console.print(f"data: {source} ({len(data)} items in this split)", highlight=False)
    for item in data.skipped:
        console.print(f"[yellow]skipped:[/] {escape(f'{item.name}: {item.reason}')}", highlight=False)
    if data.unused:
        shown = ", ".join(data.unused[:5]) + (", ..." if len(data.unused) > 5 else "")
        console.print(f"not used ({len(data.unused)} files of other formats): {escape(shown)}", highlight=False)


def check_sets(domain: Domain, sets: Mapping[str, SignalSet]) -> None:
    """Holds what training is about to use against the contract of a domain, which `vaegan check-domain` checks at length.

    Raises:
        DataError: for signals that are not the spec's, labels that are no classes, or a group in two splits.
    """
    for split, data in sets.items():
        check_signals(domain, split, data)
        check_labels(data, split)
        _warn_of_range(domain, split, data)
    check_apart(sets)


def _warn_of_range(domain: Domain, split: str, data: SignalSet) -> None:
    """Says where values leave the range that the measures go by: mostly it is the unit that is wrong."""
    low, high = domain.spec.value_range
    values = inspected(data.signals)
    known = values[~np.isnan(values)]
    outside = float(((known < low) | (known > high)).mean()) if known.size else 0.0
    if outside > MOST_OUTSIDE:
        warnings.warn(
            f"{100 * outside:.0f} % of the values of the {split} split lie outside of {domain.spec.value_range} "
            f"{domain.spec.unit} (they go from {known.min():g} to {known.max():g}); is the unit right?",
            UserWarning,
            stacklevel=3,
        )


def check_tools(domain: Domain) -> None:
    """Holds a domain's own measures and classical methods against what an evaluation calls.

    Raises:
        UserError: for one of another type, and for methods that are to be set by a measure that there is not.
    """
    measures = {**RESTORATION, **domain.metrics()}
    if domain.tuned_by() not in measures:
        raise UserError(
            f"{type(domain).__name__}.tuned_by() is {domain.tuned_by()!r}", expected=f"one of {', '.join(measures)}"
        )
    kinds: tuple[tuple[str, Mapping[str, Any], tuple[type, ...]], ...] = (
        ("metrics", domain.metrics(), (Metric,)),
        ("baselines", domain.baselines(), (Baseline, Fitted)),
    )
    for what, tools, types in kinds:
        for name, tool in tools.items():
            if isinstance(tool, type) or not isinstance(tool, types):
                found = f"the class {tool.__name__}" if isinstance(tool, type) else f"a {type(tool).__name__}"
                raise UserError(
                    f"{name!r} of {type(domain).__name__}.{what}() is {found}",
                    expected=" or ".join(f"an instance of {one.__name__}" for one in types),
                    mend=f"mend {type(domain).__name__}.{what}",
                )


def check_signals(domain: Domain, split: str, data: SignalSet) -> None:
    """Holds a domain's signals, and their observed partners, against its spec, before a network chokes on them.

    Raises:
        DataError: for none at all, another shape, infinite values, gaps where there may be none or in some channels only, or
            nothing but gaps.
    """
    if not isinstance(data, SignalSet):
        raise DataError(
            f"{type(domain).__name__}.dataset({split!r}) returned {type(data).__name__}", expected="a SignalSet"
        )
    if not len(data):
        raise DataError(
            f"the {split} split is empty",
            expected="at least one item in each split",
            mend="give data of more groups (people, recordings, ...) with --data",
        )
    _check_values(domain, f"the {split} split", "signals", data.signals)
    if data.observed is not None:
        _check_values(domain, f"the {split} split", "observed partners", data.observed)


def _check_values(domain: Domain, where: str, what: str, values: np.ndarray[Any, Any]) -> None:
    """Holds the shape and the values of signals, or of their partners, against the spec."""
    if tuple(values.shape[1:]) != domain.spec.shape:
        raise DataError(
            f"{where} has {what} of shape {tuple(values.shape[1:])}",
            expected=f"{domain.spec.shape} as in the domain's spec",
            mend="mend Domain.dataset or Domain.spec",
        )
    if not np.issubdtype(values.dtype, np.floating):
        return
    whose = where if what == "signals" else f"{where}, {what},"
    known = False
    for first in range(0, len(values), 1024):
        block = values[first : first + 1024]
        bad = np.isinf(block) if domain.spec.gaps else ~np.isfinite(block)
        finite = ~bad.reshape(len(block), -1).any(1)
        if not finite.all():
            raise DataError(
                f"item {first + int(np.argmin(finite))} of {whose} holds values that are not finite",
                expected="numbers, or NaN for gaps" if domain.spec.gaps else "numbers",
                mend="repair it, or leave it out",
            )
        gaps = np.isnan(block)
        known = known or not gaps.all()
        torn = (gaps.any(1) & ~gaps.all(1)).reshape(len(block), -1).any(1) if domain.spec.gaps else np.zeros(0, bool)
        if torn.any():
            raise DataError(
                f"item {first + int(np.argmax(torn))} of {whose} has gaps in some channels only",
                expected="NaN in every channel of a gap",
                mend="mark the sample as missing in all channels",
            )
    if not known:
        raise DataError(
            f"{where} has {what} that are nothing but gaps",
            expected="samples that were recorded",
            mend="give other --data",
        )


class Bar:
    """A progress bar for the evaluator: ``with Bar(console, title) as progress``."""

    def __init__(self, console: Console | None, title: str) -> None:
        self._bar = Progress(
            TextColumn(f"[bold]{title}[/] {{task.description}}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            console=console or Console(quiet=True),
            disable=console is None,
        )

    def __enter__(self) -> Any:
        self._bar.start()
        task = self._bar.add_task("", total=None)
        return lambda what, done, total: self._bar.update(task, description=what, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
