"""Classical restorers of ranges: interpolation in range, log range or inverse range, nearest, median, bilateral."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from domains.lidar.ranges import Encoding, RangeCode
from vaegan.baselines import Array, Baseline, Item, Observed
from vaegan.nn.neighbours import FARTHEST, continued, nearest

TOLERANCES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
"""Metres that the bilateral filter is tried with: three times the noise is best, and noise is some centimetres."""

LINEAR, LOG, INVERSE = "linear", "linear in log range", "linear in inverse range"


def recoded(y: Array, code: RangeCode, to: RangeCode) -> Array:
    """Signals in the model units of one code in those of another."""
    ranges = code.to_range(torch.from_numpy(np.ascontiguousarray(y[:1], dtype=np.float64))).clamp(min=0.0)
    coded: Array = np.concatenate([to.to_unit(ranges).numpy(), y[1:]]).astype(y.dtype)
    return coded


@dataclass(frozen=True)
class Interpolation(Baseline):
    """Straight lines between the nearest observed samples, in the ranges of an encoding; observed samples are left alone.

    In 2D along columns and rows; see :func:`vaegan.nn.neighbours.continued`.

    Attributes:
        code: of the items.
        encoding: in which the lines are straight.
        periodic: which axes wrap.
    """

    code: RangeCode
    encoding: Encoding
    periodic: tuple[bool, ...]

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Fills gaps."""
        if mask is None or mask.all():
            return y
        other = RangeCode(self.encoding, self.code.far)
        filled = fill(recoded(y, self.code, other), mask, self.periodic)
        restored: Array = np.where(mask, y, recoded(filled, other, self.code))
        return restored


def fill(y: Item, mask: Observed, periodic: tuple[bool, ...]) -> Item:
    """An item with its gaps filled; where nothing is observed within reach, with the median of what is."""
    seen = torch.from_numpy(np.ascontiguousarray(mask[None])).float()
    middle = [float(np.median(channel[mask[0]])) if mask.any() else 0.0 for channel in y]
    level = torch.tensor(middle, dtype=torch.float64).view(1, -1, *(1 for _ in y.shape[1:]))
    shifted = (torch.from_numpy(np.ascontiguousarray(y[None], dtype=np.float64)) - level) * seen
    filled: Array = (continued(shifted, seen.double(), periodic)[0] + level)[0].numpy().astype(y.dtype)
    return filled


@dataclass(frozen=True)
class Nearest(Baseline):
    """Each gap takes the value of the nearest observed sample along an axis.

    Attributes:
        periodic: which axes wrap.
    """

    periodic: tuple[bool, ...]

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Fills gaps."""
        if mask is None or mask.all():
            return y
        return np.where(mask, y, nearest_fill(y, mask, self.periodic))


def nearest_fill(y: Item, mask: Observed, periodic: tuple[bool, ...]) -> Item:
    """The nearest observed value along any axis; beyond reach the linear filling."""
    x = torch.from_numpy(np.ascontiguousarray(y[None], dtype=np.float64))
    seen = torch.from_numpy(np.ascontiguousarray(mask[None])).double()
    best, distance = torch.from_numpy(fill(y, mask, periodic)[None]).double(), torch.full_like(seen, FARTHEST + 1.0)
    for axis, wraps in enumerate(periodic, start=2):
        for flipped in (False, True):
            a, b = (x.flip(axis), seen.flip(axis)) if flipped else (x, seen)
            value, away = nearest(a, b, axis, wraps=wraps)
            value, away = (value.flip(axis), away.flip(axis)) if flipped else (value, away)
            closer = (away > 0) & (away < distance)
            best, distance = torch.where(closer, value, best), torch.where(closer, away, distance)
    taken: Array = best[0].numpy().astype(y.dtype)
    return taken


@dataclass(frozen=True)
class Median(Baseline):
    """Gaps filled by straight lines, then a median along the last axis; the strength is its width in samples.

    Attributes:
        periodic: which axes wrap.
    """

    periodic: tuple[bool, ...]

    def beyond(self, strength: float, direction: int) -> float | None:
        """Two samples more; the smallest width is the smallest there is."""
        return strength + 2.0 if direction > 0 else None

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Fills, then filters."""
        from scipy import ndimage

        filled = y if mask is None or mask.all() else fill(y, mask, self.periodic)
        size = (1,) * (y.ndim - 1) + (int(strength),)
        filtered: Array = ndimage.median_filter(filled, size=size, mode="wrap" if self.periodic[-1] else "nearest")
        return filtered


@dataclass(frozen=True)
class Despiked(Baseline):
    """Samples that lie far from the median of their surroundings are gaps, and all gaps are filled (Hampel's identifier).

    A sample is far where it differs from the median of 5 samples along the last axis by more than the strength, in metres,
    and by more than three times the median of such differences around it.

    Attributes:
        code: of the items.
        periodic: which axes wrap.
    """

    goes_on = True

    code: RangeCode
    periodic: tuple[bool, ...]

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Rejects, then fills."""
        from scipy import ndimage

        mode = "wrap" if self.periodic[-1] else "nearest"
        seen = np.ones_like(y[:1], dtype=bool) if mask is None else mask
        filled = y if seen.all() else fill(y, seen, self.periodic)
        metric = RangeCode("linear", self.code.far)
        ranges = (recoded(filled, self.code, metric)[:1] + 1.0) * (self.code.far / 2.0)
        off = np.abs(ranges - ndimage.median_filter(ranges, size=(1,) * (y.ndim - 1) + (5,), mode=mode))
        usual = ndimage.median_filter(off, size=(1,) * (y.ndim - 1) + (11,), mode=mode)
        kept = seen & ~((off > strength) & (off > 3.0 * usual))
        return y if kept.all() else np.where(kept, y, fill(y, kept, self.periodic))


@dataclass(frozen=True)
class Bilateral(Baseline):
    """Gaps filled by straight lines, then a bilateral filter (Tomasi and Manduchi 1998) along the last axis.

    Its weights are normal in the distance (sigma 2 samples) and the difference of ranges (sigma: the strength, in metres).

    Attributes:
        code: of the items.
        periodic: which axes wrap.
    """

    goes_on = True

    code: RangeCode
    periodic: tuple[bool, ...]
    reach: int = 4

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Fills, then filters the range; other channels are filled only."""
        filled = y if mask is None or mask.all() else fill(y, mask, self.periodic)
        metric = RangeCode("linear", self.code.far)
        ranges = (recoded(filled, self.code, metric)[0].astype(np.float64) + 1.0) * (self.code.far / 2.0)
        pad = [(0, 0)] * (ranges.ndim - 1) + [(self.reach, self.reach)]
        wide = np.pad(ranges, pad, mode="wrap" if self.periodic[-1] else "edge")
        total, weights, size = np.zeros_like(ranges), np.zeros_like(ranges), ranges.shape[-1]
        for shift in range(-self.reach, self.reach + 1):
            other = wide[..., self.reach + shift : self.reach + shift + size]
            weight = np.exp(-0.5 * (shift / 2.0) ** 2 - 0.5 * np.square((other - ranges) / strength))
            total, weights = total + weight * other, weights + weight
        smooth = (total / weights)[None] * (2.0 / self.code.far) - 1.0
        restored: Array = np.concatenate([recoded(smooth, metric, self.code), filled[1:]]).astype(y.dtype)
        return restored


def planar_baselines(code: RangeCode, periodic: tuple[bool, ...]) -> Mapping[str, Baseline]:
    """The classical restorers of ranges, by name."""
    methods: list[Baseline] = [
        Interpolation(LINEAR, (1.0,), code, "linear", periodic),
        Interpolation(LOG, (1.0,), code, "log", periodic),
        Interpolation(INVERSE, (1.0,), code, "inverse", periodic),
        Nearest("nearest", (1.0,), periodic),
        Median("median", (3.0, 5.0, 7.0), periodic),
        Despiked("despiked", (0.2, 0.5, 1.0), code, periodic),
        Bilateral("bilateral", TOLERANCES, code, periodic),
    ]
    return {method.name: method for method in methods}


def turn_baselines(
    code: RangeCode, elevations: tuple[float, ...], columns: int, *, outliers: bool
) -> Mapping[str, Baseline]:
    """The classical restorers of range images, by name: those of scans, and where asked removal of outliers in space."""
    from domains.lidar.outliers import REMOVERS, Removal

    planar = dict(planar_baselines(code, (False, True)))
    del planar["despiked"]
    if outliers:
        removers = {name: Removal(name, by, code, elevations, columns, name) for name, by in REMOVERS.items()}
        planar |= removers
    return planar
