"""Measures of restored ranges; one value an item, in metres, over the samples whose true range is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from domains.lidar.projection import directions
from vaegan.metrics.restoration import RESTORATION, Metric

Array: TypeAlias = NDArray[Any]


def range_errors(restored: Array, truth: Array) -> tuple[Array, Array]:
    """(n, samples) absolute errors of the first channel in metres and true ranges; NaN where the truth is unknown."""
    true = truth[:, 0].reshape(len(truth), -1).astype(np.float64)
    error: Array = np.abs(restored[:, 0].reshape(len(truth), -1).astype(np.float64) - true)
    return error, true


def mean_known(values: Array) -> Array:
    """The mean of each row over what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    mean: Array = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean


def range_mae(restored: Array, truth: Array, data_range: float) -> Array:
    """Mean absolute error of the range, in metres."""
    return mean_known(range_errors(restored, truth)[0])


def range_rmse(restored: Array, truth: Array, data_range: float) -> Array:
    """Root mean square error of the range, in metres."""
    root: Array = np.sqrt(mean_known(np.square(range_errors(restored, truth)[0])))
    return root


def _within(limit: float) -> Any:
    def share(restored: Array, truth: Array, data_range: float) -> Array:
        error, true = range_errors(restored, truth)
        return mean_known(np.where(np.isnan(true), np.nan, error < limit))

    share.__doc__ = f"Share of the samples whose range is less than {limit:g} m off."
    return share


WITHIN: dict[str, Metric] = {
    "within_10cm": Metric("within_10cm", _within(0.10), "1", "higher"),
    "within_30cm": Metric("within_30cm", _within(0.30), "1", "higher"),
}
"""Shares of the samples that are within 10 and 30 cm of the truth."""


VOXEL = 0.1
"""Metres along each side of a voxel."""


def abs_rel(restored: Array, truth: Array, data_range: float) -> Array:
    """Mean of |error| / true range (AbsRel)."""
    error, true = range_errors(restored, truth)
    return mean_known(error / np.maximum(true, 1e-6))


def delta_1(restored: Array, truth: Array, data_range: float) -> Array:
    """Share of the samples of which the ratio of true and restored range, the larger to the smaller, is below 1.25."""
    _, true = range_errors(restored, truth)
    found = np.maximum(restored[:, 0].reshape(len(truth), -1), 1e-6)
    ratio = np.maximum(found / np.maximum(true, 1e-6), true / found)
    return mean_known(np.where(np.isnan(true), np.nan, ratio < 1.25))


def clouds_of(restored: Array, truth: Array, rays: Array) -> list[tuple[Array, Array]]:
    """For each item the points (n, 3) of both on the pixels whose truth is known: the re-projected cloud is the truth."""
    pairs = []
    for found, true in zip(restored[:, 0], truth[:, 0], strict=True):
        known = ~np.isnan(true)
        ray = rays[:, known].T
        pairs.append((found[known][:, None] * ray, true[known][:, None] * ray))
    return pairs


def chamfer(restored: Array, truth: Array, data_range: float, *, rays: Array, squared: bool = False) -> Array:
    """Mean of both mean distances to the nearest point of the other cloud, in metres, not squared unless asked.

    NaN where nothing is known.
    """
    from scipy.spatial import cKDTree

    values = []
    for found, true in clouds_of(restored, truth, rays):
        if not len(true):
            values.append(np.nan)
            continue
        there, back = cKDTree(true).query(found)[0], cKDTree(found).query(true)[0]
        values.append(
            float(np.mean(np.square(there) if squared else there) + np.mean(np.square(back) if squared else back)) / 2
        )
    return np.asarray(values)


def voxel_iou(restored: Array, truth: Array, data_range: float, *, rays: Array, side: float = VOXEL) -> Array:
    """Voxels of ``side`` metres that both clouds occupy over those that either does."""
    values = []
    for found, true in clouds_of(restored, truth, rays):
        a, b = (np.unique(_voxels(cloud, side)) for cloud in (found, true))
        both = len(np.intersect1d(a, b, assume_unique=True))
        values.append(both / (len(a) + len(b) - both) if len(a) + len(b) else np.nan)
    return np.asarray(values)


def _voxels(cloud: Array, side: float) -> Array:
    index = np.floor(cloud / side).astype(np.int64) + (1 << 20)
    packed: Array = (index[:, 0] << 42) | (index[:, 1] << 21) | index[:, 2]
    return packed


def f1(predicted: Array, true: Array) -> Array:
    """F1 of boolean masks, one value an item: 2 TP / (2 TP + FP + FN); NaN where neither holds anything."""
    a, b = (mask.reshape(len(mask), -1).astype(bool) for mask in (predicted, true))
    both = (a & b).sum(axis=1)
    either = a.sum(axis=1) + b.sum(axis=1)
    score: Array = np.divide(2.0 * both, either, out=np.full(len(a), np.nan), where=either > 0)
    return score


def echoes(signals: Array) -> Array:
    """(n, rows, columns) where there is an echo, in signals in which its absence is a range of 0 (or NaN)."""
    there: Array = np.nan_to_num(signals[:, 0]) > 0.5
    return there


def hit_f1(restored: Array, truth: Array, data_range: float) -> Array:
    """F1 of where there is an echo."""
    return f1(echoes(restored), echoes(truth))


def drop_f1(restored: Array, truth: Array, data_range: float) -> Array:
    """F1 of where there is none: most pixels have one, so that it tells more of a mask than :func:`hit_f1`."""
    return f1(~echoes(restored), ~echoes(truth))


def _co_valid(
    function: Callable[[Array, Array, float], Array], restored: Array, truth: Array, data_range: float
) -> Array:
    """A measure over the pixels in which both have an echo: a range of 0 is none, and no distance."""
    both = (echoes(restored) & echoes(truth))[:, None]
    return function(restored, np.where(both, truth, np.nan), data_range)


def removal_scores(flagged: Array, wrong: Array) -> dict[str, Array]:
    """Precision, recall, F1 and IoU of points flagged as snow, one value an item.

    Args:
        flagged: (n, ...) True where a method says that a point is to be removed.
        wrong: the same shape, True where it is.
    """
    a, b = (mask.reshape(len(mask), -1).astype(bool) for mask in (flagged, wrong))
    both, found, there = (a & b).sum(1).astype(float), a.sum(1).astype(float), b.sum(1).astype(float)

    def ratio(x: Array, y: Array) -> Array:
        return np.divide(x, y, out=np.full(len(x), np.nan), where=y > 0)

    return {
        "precision": ratio(both, found),
        "recall": ratio(both, there),
        "f1": f1(flagged, wrong),
        "iou": ratio(both, found + there - both),
    }


def turn_metrics(elevations: tuple[float, ...], *, gaps: bool = True) -> dict[str, Metric]:
    """The measures of range images; the general ones are of the range alone, as reflectances are no metres.

    Args:
        elevations: of the rows, in radians.
        gaps: whether pixels without echo are gaps; else errors are those of pixels in which both have one, and whether the
            absence of echoes is restored is measured too.
    """

    def with_rays(function: Callable[..., Array]) -> Callable[[Array, Array, float], Array]:
        return partial(_on_rays, function, elevations)

    general = ("psnr", "ssim", "mse", "mse_255", "nrmse")
    chosen = [
        *(replace(RESTORATION[name], function=partial(_of_range, RESTORATION[name].function)) for name in general),
        Metric("mae", range_mae, "m", "lower"),
        Metric("rmse", range_rmse, "m", "lower"),
        Metric("abs_rel", abs_rel, "1", "lower"),
        Metric("delta_1", delta_1, "1", "higher"),
        Metric("chamfer", with_rays(chamfer), "m", "lower"),
        Metric("iou", with_rays(voxel_iou), "1", "higher"),
    ]
    if not gaps:
        chosen = [replace(metric, function=partial(_co_valid, metric.function)) for metric in chosen]
        chosen += [Metric("hit_f1", hit_f1, "1", "higher"), Metric("drop_f1", drop_f1, "1", "higher")]
    return {metric.name: metric for metric in chosen}


def _of_range(
    function: Callable[[Array, Array, float], Array], restored: Array, truth: Array, data_range: float
) -> Array:
    return function(restored[:, :1], truth[:, :1], data_range)


def _on_rays(
    function: Callable[..., Array], elevations: tuple[float, ...], restored: Array, truth: Array, data_range: float
) -> Array:
    rays = directions(torch.tensor(elevations, dtype=torch.float64), truth.shape[-1]).numpy()
    return function(restored, truth, data_range, rays=rays)
