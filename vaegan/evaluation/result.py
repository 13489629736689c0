"""What an evaluation found: numbers, the values behind them, and a few items to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Numbers: TypeAlias = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""``{CONDITION: {METHOD: {METRIC: {"mean", "ci95", "n", "unit", "better"}}}}``."""

INPUT = "input"
MODEL = "model"
PAIRED = "paired"
REAL = "training items"
"""The name under which real items are judged as though they had been drawn."""
MIXTURE = "{} + mixture"
"""The name of a method that draws from a mixture fitted to the aggregate posterior."""
LATENTS = "{} + training latents"
"""The name of draws from the aggregate posterior itself: what is then amiss is the decoder's, and no prior mends it."""


@dataclass(frozen=True)
class Examples:
    """Some items of one condition, in physical units, each array (k, channels, *space).

    Attributes:
        names: of the items.
        restored: by the main restorer.
        others: by the other restorers, where several are compared.
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
    others: Mapping[str, Array] = field(default_factory=dict)


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
        worst: {CONDITION: the items on which the main restorer has the lowest PSNR}, of those that have one.
        draw: pictures (k, rows, columns, 3) uint8 of signals in physical units, the domain's own.
        main: the restorer that the examples show, ``"model"`` where there is one.
        points: the points in space of signals, the domain's own; see :meth:`vaegan.domain.Domain.points`.
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
    points: Callable[[Array], Sequence[Array] | None] | None = None


@dataclass(frozen=True)
class Generation:
    """What judging generated signals found.

    Attributes:
        numbers: the ``generation`` part of ``metrics.json``: {METHOD: {METRIC[EXTRACTOR]: {...}}}. ``model`` draws from
            N(0, I), ``model + mixture`` from the mixture fitted to the aggregate posterior; ``model + training
            latents``, from the posteriors of training items, shows what is within reach of this decoder, and ``training
            items``, real ones, what is within reach at all.
        notes: what was left out, and why; and what each extractor is.
        samples: {METHOD: (k, channels, *space)} some draws in physical units, not chosen.
        nearest: the first of these draws with their nearest training items.
        interpolation: (rows, steps, channels, *space) decoded between the latents of two test items each.
        draw: as of :class:`Restoration`.
        interpolated: whose latents those are, where several models were judged.
    """

    numbers: dict[str, dict[str, dict[str, Any]]]
    notes: tuple[str, ...]
    samples: dict[str, Array]
    nearest: Nearest | None
    interpolation: Array | None
    draw: Callable[[Array], Array]
    interpolated: str = ""


@dataclass(frozen=True)
class Nearest:
    """Generated signals beside their nearest training items, in the space of an extractor's features.

    Attributes:
        method: whose draws they are.
        extractor: in whose features distances are measured.
        samples: (k, channels, *space) in physical units.
        items: (k, m, channels, *space) the nearest training items, the nearest first.
        distances: (k, m).
        usual: the median distance from a test item to its nearest training item.
    """

    method: str
    extractor: str
    samples: Array
    items: Array
    distances: Array
    usual: float


@dataclass(frozen=True)
class Uncertain:
    """A few test items of one condition with their spread, in physical units, and the curves of all of them.

    Attributes:
        restored, truth: (k, channels, *space).
        spread: calibrated standard deviation.
        error: absolute error.
        reliability: (bins, 2) predicted standard deviation, and root mean square error found.
        fraction: share of samples left out, the most uncertain first.
        by_spread: mean absolute error of the rest.
        by_error: the same where the worst are left out first: no spread can do better.
    """

    restored: Array
    truth: Array
    spread: Array
    error: Array
    reliability: Array
    fraction: Array
    by_spread: Array
    by_error: Array


@dataclass(frozen=True)
class Uncertainty:
    """What judging the spread found.

    Attributes:
        numbers: the ``uncertainty`` part of ``metrics.json``: {CONDITION: {METRIC: {...}}}.
        shown: {CONDITION: items and curves}.
        draw: as of :class:`Restoration`.
        unit: of the signals.
        calibrated_on: validation items that the calibration was fitted on.
    """

    numbers: dict[str, dict[str, dict[str, Any]]]
    shown: dict[str, Uncertain]
    draw: Callable[[Array], Array]
    unit: str
    calibrated_on: int


@dataclass(frozen=True)
class Tradeoff:
    """Restoration from the sharpest to the most faithful, on the same test items.

    Attributes:
        condition: what they suffered.
        distance: the name of the measure of realism, such as ``kid[efficientnet-lite0]``; lower is nearer to real signals.
        points: {"fidelity", "psnr", "distance"} one for each setting of the knob.
        pictures: {fidelity: (k, channels, *space)} the same few items at each setting, in physical units.
        truth: of these items.
        draw: as of :class:`Restoration`.
    """

    condition: str
    distance: str
    points: tuple[dict[str, float], ...]
    pictures: dict[float, Array]
    truth: Array
    draw: Callable[[Array], Array]
