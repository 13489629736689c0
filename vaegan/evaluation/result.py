"""What an evaluation found: numbers, the values behind them, and a few items to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Numbers: TypeAlias = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""``{CONDITION: {METHOD: {METRIC: {"mean", "ci95", "n", "unit", "better"}}}}``."""

INPUT = "input"
MODEL = "model"
PAIRED = "paired"


@dataclass(frozen=True)
class Examples:
    """Some items of one condition, in physical units, each array (k, channels, *space).

    Attributes:
        names: of the items.
        classical_name: the classical method that is shown: the best by PSNR; ``""`` without one.
        psnr: PSNR in dB of each item, by method.
    """

    names: tuple[str, ...]
    input: Array
    classical: Array | None
    restored: Array
    truth: Array
    classical_name: str = ""
    psnr: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Restoration:
    """What an evaluation found.

    Attributes:
        numbers: the ``restoration`` part of ``metrics.json``.
        values: {CONDITION: {METHOD: {METRIC: (n,) values}}}, items in the same order everywhere.
        items: (n,) rows of the test set that were judged.
        strengths: {CONDITION: {BASELINE: strength}}.
        tuned: {CONDITION: number of validation items that set the strengths}; 0 means middle strengths.
        ms_per_item: milliseconds an item, by method.
        examples: {CONDITION: a few items}, the same items for every condition.
        worst: {CONDITION: the items on which the main restorer has the lowest PSNR}.
        draw: pictures (k, rows, columns, 3) uint8 of signals in physical units, the domain's own.
        main: the restorer that the examples show, ``"model"`` where there is one.
    """

    numbers: Numbers
    values: dict[str, dict[str, dict[str, Array]]]
    items: Array
    strengths: dict[str, dict[str, float]]
    tuned: dict[str, int]
    ms_per_item: dict[str, float]
    examples: dict[str, Examples]
    worst: dict[str, Examples]
    draw: Callable[[Array], Array]
    main: str = MODEL
