"""Removal of outliers by their neighbours in space: SOR, ROR, DROR, DSOR; the classical ways to take snow out of a cloud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from domains.lidar.baselines import fill
from domains.lidar.projection import directions
from domains.lidar.ranges import RangeCode
from vaegan.baselines import Array, Baseline, Item, Observed


def sor(points: Array, strength: float, *, neighbours: int = 5) -> Array:
    """Statistical outlier removal (Rusu and Cousins 2011): True for outliers.

    A point is one where the mean distance to its nearest neighbours exceeds the mean of all such distances by
    ``strength`` standard deviations.
    """
    distance = _mean_distance(points, neighbours)
    flagged: Array = distance > distance.mean() + strength * distance.std()
    return flagged


def dsor(points: Array, strength: float, *, neighbours: int = 5, deviations: float = 0.01) -> Array:
    """Dynamic statistical outlier removal (Kurup and Bos 2021): SOR's threshold times ``strength`` times the range."""
    distance = _mean_distance(points, neighbours)
    limit = distance.mean() + deviations * distance.std()
    flagged: Array = distance > limit * strength * np.linalg.norm(points, axis=1)
    return flagged


def ror(points: Array, strength: float, *, least: int = 3) -> Array:
    """Radius outlier removal: fewer than ``least`` neighbours within ``strength`` metres."""
    return _kth_distance(points, least) > strength


def dror(points: Array, strength: float, *, least: int = 3, step: float = 0.0061, nearest: float = 0.04) -> Array:
    """Dynamic radius outlier removal (Charron et al. 2018): the radius grows with the distance from the sensor's axis.

    Args:
        points: (n, 3) in metres.
        strength: factor on the spacing of neighbours, ``step`` times the distance.
        least: neighbours that a point must have within it.
        step: angle from one column to the next, in radians.
        nearest: least radius in metres.
    """
    radius = np.maximum(strength * step * np.hypot(points[:, 0], points[:, 1]), nearest)
    return _kth_distance(points, least) > radius


def _mean_distance(points: Array, neighbours: int) -> Array:
    from scipy.spatial import cKDTree

    count = min(neighbours + 1, len(points))
    distance = cKDTree(points).query(points, k=count)[0].reshape(len(points), -1)
    mean: Array = distance[:, 1:].mean(axis=1) if count > 1 else np.zeros(len(points))
    return mean


def _kth_distance(points: Array, kth: int) -> Array:
    from scipy.spatial import cKDTree

    if len(points) <= kth:
        return np.full(len(points), np.inf)
    distance: Array = cKDTree(points).query(points, k=[kth + 1])[0][:, 0]
    return distance


METHODS: dict[str, Callable[[Array, float], Array]] = {"sor": sor, "ror": ror, "dror": dror, "dsor": dsor}
"""By name; each takes (n, 3) points in metres and a strength, and tells the outliers."""

REMOVERS: dict[str, tuple[float, ...]] = {
    "sor": (1.0, 3.0, 9.0),
    "ror": (0.5, 1.0, 2.0),
    "dror": (3.0, 9.0, 27.0),
    "dsor": (0.05, 0.15, 0.45),
}
"""Strengths of each, from the middle of what its authors use upward: thin turns lose too much by less."""


@dataclass(frozen=True)
class Removal(Baseline):
    """Outliers become gaps, and all gaps are filled by straight lines.

    Attributes:
        code: of the items.
        elevations: of the rows, in radians.
        columns: of the items.
        method: a name of :data:`METHODS`.
    """

    goes_on = True

    code: RangeCode
    elevations: tuple[float, ...]
    columns: int
    method: str

    def removes(self, points: Array, strength: float) -> Array:
        """The method, which for DROR knows how far apart the columns are."""
        if self.method == "dror":
            return dror(points, strength, step=2.0 * np.pi / self.columns)
        return METHODS[self.method](points, strength)

    def flagged(self, y: Item, mask: Observed | None, strength: float) -> Observed:
        """(1, rows, columns), True for observed pixels that are outliers."""
        seen = np.ones_like(y[:1], dtype=bool) if mask is None else mask
        ranges = self.code.to_range(torch.from_numpy(np.ascontiguousarray(y[0], dtype=np.float64))).numpy()
        rays = directions(torch.tensor(self.elevations, dtype=torch.float64), y.shape[-1]).numpy()
        points = (ranges * rays)[:, seen[0]].T
        found = np.zeros_like(seen)
        if len(points):
            found[0][seen[0]] = self.removes(points, strength)
        return found

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Rejects, then fills."""
        seen = np.ones_like(y[:1], dtype=bool) if mask is None else mask
        kept = seen & ~self.flagged(y, mask, strength)
        return y if kept.all() or not kept.any() else np.where(kept, y, fill(y, kept, (False, True)))
