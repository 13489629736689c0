"""What training and judging share: runs and data before they are used, and what is said about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vaegan.data import SignalSet
from vaegan.domain import Domain
from vaegan.errors import DataError
from vaegan.run import Run, find, load
from vaegan.training import available_device


def open_run(path: Path, device: str) -> Run:
    """A trained run, on the device that ``--device`` names."""
    return load(find(path), device=available_device(device))


def tell_about(data: SignalSet, console: Console | None) -> None:
    """Says what was read, and what was not."""
    if console is None:
        return
    console.print(f"data: {data.source or 'embedded default'} ({len(data)} items in this split)", highlight=False)
    for item in data.skipped:
        console.print(f"[yellow]skipped:[/] {item.name}: {item.reason}", highlight=False)
    if data.unused:
        shown = ", ".join(data.unused[:5]) + (", ..." if len(data.unused) > 5 else "")
        console.print(f"not used ({len(data.unused)} files of other formats): {shown}", highlight=False)


def check_signals(domain: Domain, split: str, data: SignalSet) -> None:
    """Holds a domain's signals against its spec, before a network chokes on them."""
    if tuple(data.signals.shape[1:]) != domain.spec.shape:
        raise DataError(
            f"the {split} split has signals of shape {tuple(data.signals.shape[1:])}",
            expected=f"{domain.spec.shape} as in the domain's spec",
            mend="mend Domain.dataset or Domain.spec",
        )
    if not np.issubdtype(data.signals.dtype, np.floating):
        return
    for first in range(0, len(data), 1024):
        block = data.signals[first : first + 1024]
        bad = np.isinf(block) if domain.spec.gaps else ~np.isfinite(block)
        finite = ~bad.reshape(len(block), -1).any(1)
        if not finite.all():
            raise DataError(
                f"item {first + int(np.argmin(finite))} of the {split} split holds values that are not finite",
                expected="numbers, or NaN for gaps" if domain.spec.gaps else "numbers",
                mend="repair it, or leave it out",
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
