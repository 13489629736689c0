"""Measures of despeckling: edges against a truth, and homogeneity where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from vaegan.errors import DataError
from vaegan.metrics.restoration import Metric

Array = NDArray[Any]
Raster = Float[np.ndarray, "rows columns"]


def _laplacian(x: Array) -> Array:
    """Over the four neighbours, without the border; NaN where one of them is unknown."""
    centre: Array = x[..., 1:-1, 1:-1]
    around: Array = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return around - 4.0 * centre


def epi(restored: Array, truth: Array, data_range: float) -> Array:
    """Edge preservation index of each item: the correlation of the two Laplacians (Sattar et al. 1997).

    NaN where the truth's Laplacian is constant; 0 where only the restored one is (``data_range`` is not used).
    """
    values = []
    for a, b in zip(_laplacian(restored.astype(np.float64)), _laplacian(truth.astype(np.float64)), strict=True):
        known = ~np.isnan(b)
        f, x = a[known] - a[known].mean() if known.any() else a[known], b[known]
        x = x - x.mean() if known.any() else x
        norms = float(np.sqrt((f * f).sum() * (x * x).sum()))
        defined = known.any() and float((x * x).sum()) > 0
        values.append((float((f * x).sum()) / norms if norms > 0 else 0.0) if defined else np.nan)
    return np.asarray(values, dtype=np.float64)


EPI = Metric("epi", epi, "1", "higher")


def homogeneous(y: Raster, *, size: int = 16, n: int = 4) -> list[tuple[slice, slice]]:
    """The windows of a raster that hold the least structure: candidates for speckle alone.

    Windows of ``size`` by ``size`` on a grid, ordered by the spread of the means of their four quarters over their own
    mean: a slope or an edge raises it, speckle hardly does. Left out are those with gaps, with a mean of at most 2 % of the
    raster's median, with hardly any values of their own (a blanked water column), and with more than 1 % at full scale (a
    transmitted pulse): nothing varies there, and it would count as even.

    Raises:
        DataError: when the raster has no such window.
    """
    rows, columns = y.shape
    floor = 0.02 * float(np.nanmedian(y)) if np.isfinite(y).any() else 0.0
    step = max(1, size // 2)
    scored = []
    for i in range(0, rows - size + 1, step):
        for j in range(0, columns - size + 1, step):
            cut = y[i : i + size, j : j + size]
            if _holds_echoes(cut, floor):
                quarters = [cut[a : a + step, b : b + step].mean() for a in (0, step) for b in (0, step)]
                scored.append((float(np.std(quarters) / cut.mean()), i, j))
    if not scored:
        raise DataError(
            f"no window of {size}x{size} samples with echoes, and without gaps or saturation",
            mend="give a record with even ground",
        )
    return [(slice(i, i + size), slice(j, j + size)) for _, i, j in sorted(scored)[:n]]


def _holds_echoes(cut: Raster, floor: float) -> bool:
    """Whether a window has no gaps, is brighter than ``floor``, varies and is not saturated."""
    if np.isnan(cut).any() or cut.mean() <= floor:
        return False
    return np.unique(cut).size >= max(2, cut.size // 32) and bool((cut >= 1.0).mean() <= 0.01)


def enl(x: Raster) -> float:
    """Equivalent number of looks of a homogeneous window, mean² / variance; infinite where nothing varies."""
    variance = float(np.nanvar(x))
    return float(np.nanmean(x)) ** 2 / variance if variance > 0 else float("inf")


def ssi(restored: Raster, observed: Raster) -> float:
    """Speckle suppression index, (σ_f / μ_f) / (σ_0 / μ_0) (Sheng and Xia 1996); below 1 is less speckle."""
    return float((np.nanstd(restored) / np.nanmean(restored)) / (np.nanstd(observed) / np.nanmean(observed)))


def smpi(restored: Raster, observed: Raster) -> float:
    """Speckle suppression and mean preservation, (1 + |μ_f − μ_0|) σ_f / σ_0 (Shamsoddini and Trinder 2010).

    Amplitudes are taken relative to the observed mean, so that the number does not depend on their scale.
    """
    mean = float(np.nanmean(observed))
    shift = abs(float(np.nanmean(restored)) - mean) / mean
    return (1.0 + shift) * float(np.nanstd(restored) / np.nanstd(observed))


def ratio_statistics(restored: Raster, observed: Raster, *, floor: float = 1 / 255) -> dict[str, float]:
    """What was taken away, r = y / f, should be speckle alone.

    Args:
        restored, observed: amplitudes.
        floor: samples with a restored amplitude below it are left out.

    Returns:
        ``mean`` (1 where no echo was lost), ``variance`` (1/L for speckle of L looks) and ``structure``: the mean
        absolute correlation with the neighbour along rows and columns (0 for white noise; higher where edges were taken
        away).
    """
    known = ~np.isnan(observed) & ~np.isnan(restored) & (restored > floor)
    if known.sum() < 4:
        raise DataError("fewer than four samples to compare", mend="give a raster with echoes")
    r = np.where(known, observed / np.where(known, restored, 1.0), np.nan)
    mean, variance = float(np.nanmean(r)), float(np.nanvar(r))
    d = r - mean
    pairs = ((d[1:] * d[:-1]), (d[:, 1:] * d[:, :-1]))
    structure = float(np.mean([abs(np.nanmean(p)) for p in pairs])) / variance if variance > 0 else 0.0
    return {"mean": mean, "variance": variance, "structure": structure}


def cnr(x: Raster, target: Bool[np.ndarray, "rows columns"], background: Bool[np.ndarray, "rows columns"]) -> float:
    """Contrast to noise, |μ_t − μ_b| / sqrt(σ_t² + σ_b²), of a target (or highlight) against a background (or shadow)."""
    t, b = x[target], x[background]
    if not t.size or not b.size:
        raise DataError("a contrast of nothing", expected="a target and a background of at least one sample each")
    return float(abs(np.nanmean(t) - np.nanmean(b)) / np.sqrt(np.nanvar(t) + np.nanvar(b) + 1e-12))


def target_and_shadow(y: Raster, *, share: float = 0.02) -> tuple[Array, Array]:
    """Masks of a raster's brightest and darkest parts after smoothing over 5 samples: highlight and shadow."""
    from scipy import ndimage

    filled = np.where(np.isnan(y), np.nanmedian(y), y)
    smooth = np.where(np.isnan(y), np.nan, ndimage.gaussian_filter(filled, 2.0))
    low, high = np.nanquantile(smooth, [share, 1.0 - share])
    return smooth >= high, smooth <= low


def without_truth(restored: Raster, observed: Raster) -> dict[str, float]:
    """All measures that need no truth, of one raster before and after; ENL and SSI over homogeneous windows."""
    places = homogeneous(observed, size=min(16, *observed.shape))
    target, shadow = target_and_shadow(observed)
    ratio = ratio_statistics(restored, observed)
    return {
        "enl_observed": float(np.mean([enl(observed[p]) for p in places])),
        "enl": float(np.mean([enl(restored[p]) for p in places])),
        "ssi": float(np.mean([ssi(restored[p], observed[p]) for p in places])),
        "smpi": float(np.mean([smpi(restored[p], observed[p]) for p in places])),
        "ratio_mean": ratio["mean"],
        "ratio_variance": ratio["variance"],
        "ratio_structure": ratio["structure"],
        "cnr_observed": cnr(observed, target, shadow),
        "cnr": cnr(restored, target, shadow),
    }
