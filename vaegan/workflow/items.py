"""What a run is judged on, and whether it learned from that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from vaegan.data import SignalSet, Split
from vaegan.domain import Domain
from vaegan.errors import UserError
from vaegan.recipe import domain_from_json, domain_on
from vaegan.run import Run
from vaegan.workflow.opening import check_signals, tell_about

ORIGIN = ("recipe", "source", "samples", "sha256")
"""What ``metrics.json`` says of the run that training began with."""


@dataclass(frozen=True)
class Items:
    """What a run is judged on: the domain, its splits, and what they are called.

    Attributes:
        calibrated: whether the run's spread was calibrated on some of the test items: they do not tell how good it is.
    """

    domain: Domain
    test: SignalSet
    val: SignalSet | None
    train: SignalSet | None
    split: Split = "test"
    calibrated: bool = False


def find_items(run: Run, data: Path | None, training: Mapping[str, Any], console: Console | None) -> Items:
    """The items that a run is judged on.

    Args:
        run: the run.
        data: data that it never saw, of which every item is a test item; ``None`` for its own test split.
        training: the content of its ``training.json``.
        console: for warnings; ``None`` is silent.

    Raises:
        UserError: where ``data`` hold an item that the run, or one that its training began with, was trained on.
        DataError: where the data cannot be read; the run's own may be gone when others are given.
    """
    domain = run.domain
    train: SignalSet | None = None
    val: SignalSet | None = None
    try:
        train, val = domain.dataset("train"), domain.dataset("val")
    except (UserError, OSError) as error:  # a third party's domain may raise what its reader raises
        if data is None:
            raise
        _warn(console, f"the classical methods get middle strengths, as the run's data are gone: {error}")
    calibrated = False
    if data is None:
        test = domain.dataset("test")
    else:
        domain = run.on(data).domain
        test = domain.everything()
        _check_unseen(run, data, test, train, training, console)
        if val is not None and (rows := learned_rows(test, val)):
            val, calibrated = None, True
            _warn(
                console,
                f"{data}: {len(rows)} of {len(test)} items were validation items of the run ({example(test, rows)}): the "
                "classical methods get middle strengths, and the spread is not judged",
            )
        tell_about(test, console)
    check_signals(domain, "test", test)
    return Items(domain, test, val, train, calibrated=calibrated)


def describe(items: Items, training: Mapping[str, Any]) -> dict[str, Any]:
    """The ``data`` part of ``metrics.json``."""
    origin = training.get("pretrained")
    return {
        "source": items.test.source or str(items.domain.data or "embedded default"),
        "n_train": training["n_train"],
        "n_val": 0 if items.val is None else len(items.val),
        "n_test": len(items.test),
        "sha256": items.test.sha256,
        "skipped": [asdict(item) for item in items.test.skipped],
        **({} if items.split == "test" else {"judged_on": items.split}),
        **({} if origin is None else {"pretrained": {key: origin[key] for key in ORIGIN if key in origin}}),
    }


def learned_rows(test: SignalSet, train: SignalSet) -> list[int]:
    """The rows of test items that are training items too, to the bit, whatever their names.

    Items cut differently from the same recording are not found out. Training items are read one at a time.
    """
    asked: dict[bytes, list[int]] = {}
    for row, digest in enumerate(_digests(test)):
        asked.setdefault(digest, []).append(row)
    known = {digest for digest in _digests(train) if digest in asked}
    return sorted(row for digest in known for row in asked[digest])


def seen_before(
    run: Run,
    test: SignalSet,
    training: Mapping[str, Any],
    console: Console | None,
    train: SignalSet | None = None,
) -> tuple[str, list[int]] | None:
    """The run that learned from test items, with their rows: this one, or one of those that its training began with.

    Args:
        run: the run.
        test: the items.
        training: the content of its ``training.json``.
        console: for a warning where data are gone, so that nothing can be told of them.
        train: the run's training items, where they are at hand already.
    """
    for who, origin in _teachers(run, training):
        try:
            if origin is not None:
                train = _domain_of(origin, run).dataset("train")
            elif train is None:
                train = run.domain.dataset("train")
        except (UserError, OSError) as error:
            _warn(console, f"whether {who} learned from these items cannot be told: {error}")
            continue
        if rows := learned_rows(test, train):
            return who, rows
    return None


def example(items: SignalSet, rows: list[int]) -> str:
    """The first of some items, for an error."""
    return f"the first: {rows[0] if items.names is None else items.names[rows[0]]}"


def _check_unseen(
    run: Run,
    data: Path,
    test: SignalSet,
    train: SignalSet | None,
    training: Mapping[str, Any],
    console: Console | None,
) -> None:
    mend = "leave --data out to judge on its test split, or give items that it never saw"
    if test.fingerprint == training.get("sha256"):  # known without a look at the run's own data
        raise UserError(f"{data} holds what the run was trained on", mend=mend)
    seen = seen_before(run, test, training, console, train)
    if seen is not None:
        who, rows = seen
        found = f"{data}: {len(rows)} of {len(test)} items were training items of {who} ({example(test, rows)})"
        raise UserError(found, expected="none", mend=mend)


def _teachers(run: Run, training: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Whose training items a run may know: its own, then those of the run that training began with, and so on."""
    yield str(run.folder), None
    origin = training.get("pretrained")
    while origin is not None:
        yield f"a run that training began with ({origin['recipe']} on {origin['source']})", origin
        origin = origin.get("pretrained")


def _domain_of(origin: Mapping[str, Any], run: Run) -> Domain:
    """The domain that a run was trained on; runs of older versions say only where its data were."""
    if "domain" in origin:
        return domain_from_json(origin["domain"])
    return domain_on(run.domain, None if origin["source"] == "embedded default" else Path(origin["source"]))


def _digests(data: SignalSet) -> Iterator[bytes]:
    for row in range(len(data)):
        yield hashlib.sha256(np.ascontiguousarray(data.signals[row]).tobytes()).digest()


def _warn(console: Console | None, text: str) -> None:
    if console is not None:
        console.print(f"[yellow]warning:[/] {escape(text)}", highlight=False)
