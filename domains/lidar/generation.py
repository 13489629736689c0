"""Measures of generated turns on histograms from above and on range images, each under the name of its convention.

- ``jsd[lidargen]``: the square root of the Jensen-Shannon divergence (natural logarithm) of the summed histograms of 100 x
  100 cells over 160 m, of the points between 3 and 70 m (Zyrianov et al. 2022 and their code; scipy's ``jensenshannon``).
- ``mmd[lidargen]``: the squared *maximum mean discrepancy* with a Gaussian kernel of sigma 0.5 on each cloud's histogram
  divided by its sum, the biased estimate.
- ``jsd[lidm]``: the same root, of how many clouds have a point in each cell of 0.05 m within 50 m (Ran et al. 2024 and their
  code).
- ``mmd[lidm]``: the *minimum matching distance*: of each real cloud to the nearest generated one, the squared Chamfer
  distance of the occupied cells of 0.5 m, in shares of the 100 m that are looked at, the mean over real clouds.
- ``jsd[dusty]``: the Jensen-Shannon divergence itself, base 2, on a grid of 28 x 28 x 28 cells (Nakashima and
  Kurazume 2021).
- ``swd``: the sliced Wasserstein distance of 7 x 7 patches of a Laplacian pyramid (Karras et al. 2018), times 1000.

The first two cannot be compared with ``jsd[lidm]`` and ``mmd[lidm]``, although papers call both alike.
Distances of Fréchet's kind (FRD, FRID, FSVD) need a trained network: :class:`NetworkFeatures` takes any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from domains.lidar.projection import directions
from vaegan.metrics.features import Extracted

Array: TypeAlias = NDArray[Any]

LIDARGEN_REACH, LIDARGEN_CELL = 80.0, 1.6
LIDARGEN_NEAR, LIDARGEN_FAR = 3.0, 70.0
LIDM_REACH, LIDM_FINE, LIDM_CELL = 50.0, 0.05, 0.5
"""Metres, as in the code that the two papers were evaluated with."""
MOST_MATCHED = 64
"""Clouds of each kind that are matched, or cut into patches; of more so many, evenly spread."""


@dataclass(frozen=True)
class NetworkFeatures:
    """Features of a network of range images, for Fréchet distances such as FRD (RangeNet-53 on range and reflectance).

    Attributes:
        name: what stands in brackets, as in ``fid[rangenet-53]``.
        network: (batch, channels, rows, columns) in metres and reflectances to (batch, d).
        to_physical: model units to metres, of the domain.
        note: in words, for reports.
    """

    name: str
    network: Callable[[Tensor], Tensor]
    to_physical: Callable[[Tensor], Tensor]
    note: str = "a network of range images, in metres"

    def __call__(self, x: Tensor) -> Extracted:
        """Features of signals in model units."""
        return Extracted(self.network(self.to_physical(x.clamp(-1.0, 1.0))).float().cpu())


def points_of(signals: Array, elevations: tuple[float, ...], every: int = 1) -> list[Array]:
    """The points (n, 3) of each turn, in metres; ranges below half a metre and NaN are no echo.

    Args:
        signals: (n, channels, rows, columns), the first channel in metres.
        elevations: of the rows, in radians.
        every: of the columns only each so-manieth counts.
    """
    rays = directions(torch.tensor(elevations, dtype=torch.float64), signals.shape[-1]).numpy()[..., ::every]
    clouds = []
    for item in np.nan_to_num(signals[:, 0, :, ::every].astype(np.float64)):
        there = item > 0.5
        clouds.append((item * rays)[:, there].T)
    return clouds


def histograms(clouds: list[Array]) -> Array:
    """(n, 100, 100) points from above within 80 m, of those that are 3 to 70 m away."""
    edges = np.linspace(-LIDARGEN_REACH, LIDARGEN_REACH, round(2 * LIDARGEN_REACH / LIDARGEN_CELL) + 1)
    found = []
    for cloud in clouds:
        depth = np.linalg.norm(cloud, axis=1)
        x, y = cloud[(depth > LIDARGEN_NEAR) & (depth < LIDARGEN_FAR), :2].T
        found.append(np.histogram2d(x, y, bins=(edges, edges))[0])
    return np.stack(found)


def occupied(cloud: Array, cell: float) -> Array:
    """(k, 2) indices of the cells within 50 m that hold a point, seen from above; each once."""
    inside = (np.abs(cloud[:, :2]) < LIDM_REACH).all(1)
    found: Array = np.unique(np.floor((cloud[inside, :2] + LIDM_REACH) / cell).astype(np.int64), axis=0)
    return found


def occupancy(clouds: list[Array]) -> Array:
    """(cells, cells): how many clouds have a point in each cell of 0.05 m within 50 m."""
    cells = round(2 * LIDM_REACH / LIDM_FINE)
    total = np.zeros(cells * cells)
    for cloud in clouds:
        row, column = occupied(cloud, LIDM_FINE).clip(0, cells - 1).T
        total[row * cells + column] += 1.0
    return total.reshape(cells, cells)


def jensen_shannon(a: Array, b: Array) -> float:
    """The square root of the Jensen-Shannon divergence of two histograms, natural logarithm."""
    from scipy.spatial.distance import jensenshannon

    return float(np.nan_to_num(jensenshannon(a.ravel(), b.ravel()), nan=1.0))


def maximum_mean_discrepancy(a: Array, b: Array, sigma: float = 0.5) -> float:
    """Squared, biased, of histograms (n, ...) each divided by its sum."""
    x, y = (h.reshape(len(h), -1) / np.maximum(h.reshape(len(h), -1).sum(1, keepdims=True), 1e-12) for h in (a, b))

    def kernel(p: Array, q: Array) -> float:
        square = np.square(p).sum(1)[:, None] + np.square(q).sum(1) - 2.0 * p @ q.T
        return float(np.exp(-np.maximum(square, 0.0) / (2.0 * sigma**2)).mean())

    return kernel(x, x) + kernel(y, y) - 2.0 * kernel(x, y)


def evenly(n: int, most: int = MOST_MATCHED) -> Array:
    """Up to so many of n indices, evenly spread."""
    found: Array = np.linspace(0, n - 1, min(n, most)).round().astype(int)
    return found


def minimum_matching_distance(real: list[Array], drawn: list[Array]) -> float:
    """Mean over real clouds of the squared Chamfer distance to the nearest drawn one, of occupied cells of 0.5 m.

    Places are shares of the 100 m that are looked at, so it has no unit; of a cloud without a point within 50 m it is 1.
    """
    from scipy.spatial import cKDTree

    def places(clouds: list[Array]) -> list[Array]:
        return [occupied(clouds[i], LIDM_CELL) * (LIDM_CELL / (2 * LIDM_REACH)) for i in evenly(len(clouds))]

    a, b = places(real), places(drawn)
    trees = [cKDTree(p) if len(p) else None for p in b]
    best = []
    for p in a:
        own = cKDTree(p) if len(p) else None
        distances = [
            float(np.square(tree.query(p)[0]).mean() + np.square(own.query(q)[0]).mean()) / 2
            for q, tree in zip(b, trees, strict=True)
            if tree is not None and own is not None
        ]
        best.append(min(distances) if distances else 1.0)
    return float(np.mean(best))


def sliced_wasserstein(real: Array, drawn: Array, *, seed: int = 0, patches: int = 64, directions_: int = 128) -> float:
    """Mean over a Laplacian pyramid's levels of the sliced Wasserstein distance of its 7 x 7 patches, times 1000.

    Args:
        real, drawn: (n, rows, columns), scaled to [0, 1].
        seed: of the choice of patches and directions.
        patches: of each image and level.
        directions_: onto which patches are projected.
    """
    n = min(len(real), len(drawn))
    random = np.random.default_rng(seed)
    values = []
    pyramids = zip(*(_laplacian(images[evenly(len(images), n)]) for images in (real, drawn)), strict=True)
    for a, b in pyramids:
        x, y = (_patches(level, patches, random) for level in (a, b))
        x, y = ((p - p.mean(0)) / (p.std(0) + 1e-8) for p in (x, y))
        slices = random.normal(size=(49, directions_))
        slices /= np.linalg.norm(slices, axis=0)
        values.append(np.abs(np.sort(x @ slices, axis=0) - np.sort(y @ slices, axis=0)).mean())
    return 1000.0 * float(np.mean(values))


def _laplacian(images: Array) -> list[Array]:
    """What each halving leaves out, the finest first, and what is left at the end."""
    from scipy import ndimage

    levels = []
    while min(images.shape[1:]) >= 32:
        low = ndimage.gaussian_filter(images, (0.0, 1.0, 1.0), mode=("nearest", "nearest", "wrap"))[:, ::2, ::2]
        up = low.repeat(2, axis=1).repeat(2, axis=2)[:, : images.shape[1], : images.shape[2]]
        levels.append(images - up)
        images = low
    return [*levels, images]


def _patches(level: Array, count: int, random: np.random.Generator) -> Array:
    n, rows, columns = level.shape
    size = (min(7, rows), min(7, columns))
    r = random.integers(0, rows - size[0] + 1, (n, count))
    c = random.integers(0, columns - size[1] + 1, (n, count))
    windows = np.lib.stride_tricks.sliding_window_view(level, size, axis=(1, 2))
    found = windows[np.arange(n)[:, None], r, c].reshape(n * count, -1)
    return np.pad(found, ((0, 0), (0, 49 - found.shape[1])))


def judge(drawn: Array, real: Array, elevations: tuple[float, ...], far: float) -> dict[str, dict[str, Any]]:
    """All measures of generated turns by name, each with its number of drawn and real turns and the better direction.

    Args:
        drawn, real: (n, channels, rows, columns) in metres, NaN or 0 where there is no echo.
        elevations: of the rows, in radians.
        far: the farthest range, in metres.
    """
    a, b = points_of(real, elevations), points_of(drawn, elevations)
    coarse = histograms(a), histograms(b)
    grids = [np.histogramdd(np.concatenate(c), bins=28, range=[(-far, far)] * 2 + [(-4.0, 4.0)])[0] for c in (a, b)]
    images = [np.nan_to_num(s[:, 0].astype(np.float64)) / far for s in (real, drawn)]
    found = {
        "jsd[lidargen]": (jensen_shannon(coarse[0].sum(0), coarse[1].sum(0)), "1"),
        "mmd[lidargen]": (maximum_mean_discrepancy(*coarse), "1"),
        "jsd[lidm]": (jensen_shannon(occupancy(a), occupancy(b)), "1"),
        "mmd[lidm]": (minimum_matching_distance(a, b), "1"),
        "jsd[dusty]": (jensen_shannon(*grids) ** 2 / np.log(2.0), "bit"),
        "swd": (sliced_wasserstein(*images), "1e-3"),
    }
    return {
        name: {
            "mean": float(value),
            "ci95": [float(value)] * 2,
            "n": len(drawn),
            "n_real": len(real),
            "unit": unit,
            "better": "lower",
        }
        for name, (value, unit) in found.items()
    }
