"""Measures of a restored signal against its truth: one value an item, physical units, a fixed range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from vaegan.errors import DataError

Array: TypeAlias = NDArray[Any]
Signals: TypeAlias = Float[np.ndarray, "n channels *space"]
"""Signals in physical units."""
Values: TypeAlias = Float[np.ndarray, " n"]
"""One value an item."""

HIGHEST_PSNR = 100.0
RESAMPLES = 1000


@dataclass(frozen=True)
class Metric:
    """A measure of a restored signal.

    Attributes:
        name: as it stands in ``metrics.json``.
        function: (restored, truth, data_range) to one value an item; signals are (n, channels, *space) floats
            in physical units, ``data_range`` is the width of the spec's value range; the truth is NaN where it is
            unknown, which a measure leaves out. NaN where the measure is not defined for an item, which then does not
            count.
        unit: ``{unit}`` stands for the signal's own unit.
        better: which way is better.
    """

    name: str
    function: Callable[[Array, Array, float], Array]
    unit: str
    better: Literal["higher", "lower"]

    def unit_of(self, signal_unit: str) -> str:
        """The unit for signals of this unit."""
        unit = f"({signal_unit})" if " " in signal_unit and self.unit != "{unit}" else signal_unit
        return self.unit.replace("{unit}", unit)


def mse(restored: Signals, truth: Signals, data_range: float) -> Values:
    """Mean squared error of each item, in squared signal units (``data_range`` is not used)."""
    error = _error(restored, truth)
    return _mean(np.square(error))


def mse_255(restored: Signals, truth: Signals, data_range: float) -> Values:
    """Mean squared error of each item on the scale on which the full range is 255."""
    scaled: Array = mse(restored, truth, data_range) * (255.0 / data_range) ** 2
    return scaled


def rmse(restored: Signals, truth: Signals, data_range: float) -> Values:
    """Root of the mean squared error of each item, in signal units (``data_range`` is not used)."""
    return np.asarray(np.sqrt(mse(restored, truth, data_range)))


def mae(restored: Signals, truth: Signals, data_range: float) -> Values:
    """Mean absolute error of each item, in signal units (``data_range`` is not used)."""
    return _mean(np.abs(_error(restored, truth)))


def nrmse(restored: Signals, truth: Signals, data_range: float) -> Values:
    """Euclidean norm of the error over that of the truth, NaN where that is zero (no ``data_range``)."""
    error = np.sqrt(np.nansum(np.square(_error(restored, truth)), axis=1))
    norm = np.sqrt(np.nansum(np.square(truth.reshape(len(truth), -1), dtype=np.float64), axis=1))
    quotient: Array = np.divide(error, norm, out=np.full(len(norm), np.nan), where=norm > 0)
    return quotient


def psnr(restored: Signals, truth: Signals, data_range: float) -> Values:
    """Peak signal-to-noise ratio of each item in dB, ``10 log10(data_range² / MSE)``; at most 100 dB."""
    relative = mse(restored, truth, data_range) / data_range**2
    decibel: Array = -10.0 * np.log10(np.maximum(relative, 10.0 ** (-HIGHEST_PSNR / 10.0)))
    return decibel


def ssim(restored: Signals, truth: Signals, data_range: float) -> Values:
    """Structural similarity of each item (Wang et al. 2004, Eq. 13), -1 to 1, the mean over its channels.

    The window is Gaussian with sigma 1.5 over 11 samples along each axis; where an axis is shorter than that,
    the window shrinks to the largest odd size that fits, and its sigma in proportion. Windows that reach into a gap are
    judged on what is known of them, and those around an unknown sample do not count: NaN where no sample counts.
    """
    from skimage.metrics import structural_similarity

    _check(restored, truth)
    window = min(11, *truth.shape[2:])
    window -= 1 - window % 2
    values = []
    for a, b in zip(restored.astype(np.float64), truth.astype(np.float64), strict=True):
        if np.isnan(b).any():
            values.append(_ssim_of_known(a, b, data_range, window))
            continue
        similarity = structural_similarity(
            b,
            a,
            win_size=window,
            gaussian_weights=True,
            sigma=1.5 * window / 11,
            use_sample_covariance=False,
            data_range=data_range,
            channel_axis=0,
        )
        values.append(float(similarity))
    return np.asarray(values, dtype=np.float64)


def _ssim_of_known(restored: Array, truth: Array, data_range: float, window: int) -> float:
    """SSIM of one item (channels, *space) with gaps: as :func:`ssim`, with weights of 0 where nothing is known."""
    from scipy.ndimage import gaussian_filter

    known = ~np.isnan(truth)
    sigma = (0.0, *(1.5 * window / 11,) * (truth.ndim - 1))
    weight = gaussian_filter(known.astype(np.float64), sigma, truncate=3.5)  # above 0 around every known sample

    def local(x: Array) -> Array:
        mean: Array = gaussian_filter(np.where(known, x, 0.0), sigma, truncate=3.5)
        return np.divide(mean, weight, out=np.zeros_like(mean), where=known)

    # Variances do not change with what is subtracted; sums of squares cancel less around zero.
    middle = float(truth[known].mean()) if known.any() else 0.0
    a, b = restored - middle, truth - middle
    ua, ub = local(a), local(b)
    variances, covariance = local(a * a) - ua**2 + local(b * b) - ub**2, local(a * b) - ua * ub
    ua, ub = ua + middle, ub + middle
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = (2 * ua * ub + c1) * (2 * covariance + c2) / ((ua**2 + ub**2 + c1) * (variances + c2))
    # As without gaps, a window has to lie within the signal.
    edge = (slice(None), *(slice(window // 2, size - window // 2) for size in truth.shape[1:]))
    counts = known[edge]
    return float(similarity[edge][counts].mean()) if counts.any() else float("nan")


def _check(restored: Array, truth: Array) -> None:
    """Stops where signals cannot be compared.

    Raises:
        DataError: for other shapes, and for values that are not finite.
    """
    if restored.shape != truth.shape:
        raise DataError(f"restored signals of shape {restored.shape}", expected=f"the truth's {truth.shape}")
    for name, wrong in (("restored", np.logical_not(np.isfinite(restored))), ("true", np.isinf(truth))):
        bad = np.asarray(np.reshape(wrong, (len(truth), -1)).any(axis=1))
        if bad.any():
            raise DataError(
                f"{int(bad.sum())} of {len(bad)} {name} signals hold NaN or infinity (the first is item "
                f"{int(bad.argmax())})",
                expected="finite values",
            )


def _error(restored: Array, truth: Array) -> Array:
    """(n, values) differences in double precision, NaN where the truth is unknown."""
    _check(restored, truth)
    difference: Array = restored.astype(np.float64) - truth.astype(np.float64)
    return difference.reshape(len(truth), -1)


def _mean(values: Array) -> Values:
    """The mean of each item over what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    mean: Array = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean


RESTORATION: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("psnr", psnr, "dB", "higher"),
        Metric("ssim", ssim, "1", "higher"),
        Metric("mse", mse, "{unit}²", "lower"),
        Metric("mse_255", mse_255, "(1/255 of range)²", "lower"),
        Metric("rmse", rmse, "{unit}", "lower"),
        Metric("mae", mae, "{unit}", "lower"),
        Metric("nrmse", nrmse, "1", "lower"),
    )
}
"""The measures that every domain has."""


def summarise(values: Values, *, seed: int = 0) -> dict[str, Any]:
    """Mean and its 95 % confidence interval by the percentile bootstrap (Efron 1979), 1,000 resamples.

    Args:
        values: one an item; NaN marks items for which the measure is not defined, and does not count.
        seed: of the resampling.

    Returns:
        ``{"mean": float, "ci95": [low, high], "n": int}``; with one item both bounds are the mean.

    Raises:
        DataError: when no value is left, or one is infinite.
    """
    defined = np.asarray(values, dtype=np.float64)
    defined = defined[~np.isnan(defined)]
    n = len(defined)
    if n == 0 or not np.isfinite(defined).all():
        raise DataError(f"{n} values to summarise, or an infinite one among them", expected="finite values")
    generator = np.random.default_rng(seed)
    block = max(1, min(RESAMPLES, 2_000_000 // n))  # bounds the memory, not the number of resamples
    means = np.concatenate(
        [
            defined[generator.integers(0, n, (min(block, RESAMPLES - done), n))].mean(axis=1)
            for done in range(0, RESAMPLES, block)
        ]
    )
    mean = float(defined.mean())
    low, high = np.percentile(means, [2.5, 97.5]) if n > 1 else (mean, mean)
    return {"mean": mean, "ci95": [float(low), float(high)], "n": n}
