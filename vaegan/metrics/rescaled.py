"""The measures of the humanface8000 study: both signals divided by their own maximum first.

That hides errors of brightness (a restoration of half the contrast may score as perfect), so they stand beside the measures
of :mod:`vaegan.metrics.restoration` for the sake of comparison, never instead of them.
"""

from __future__ import annotations

import numpy as np

from vaegan.errors import DataError
from vaegan.metrics.restoration import Array, Metric, Signals, Values


def mse_rescaled(restored: Signals, truth: Signals, data_range: float) -> Values:
    """Mean squared error of 8-bit levels, each item divided by its own maximum (``data_range`` is not used)."""
    a, b = _levels(restored), _levels(truth)
    mean: Array = np.square(a - b).reshape(len(a), -1).mean(axis=1)
    return mean


def nrmse_rescaled(restored: Signals, truth: Signals, data_range: float) -> Values:
    """Euclidean norm of the error of rescaled 8-bit levels over that of the rescaled truth; NaN where that is zero."""
    a, b = _levels(restored), _levels(truth)
    error = np.linalg.norm((a - b).reshape(len(a), -1), axis=1)
    norm = np.linalg.norm(b.reshape(len(b), -1), axis=1)
    quotient: Array = np.divide(error, norm, out=np.full(len(norm), np.nan), where=norm > 0)
    return quotient


def ssim_rescaled(restored: Signals, truth: Signals, data_range: float) -> Values:
    """Structural similarity of rescaled 8-bit levels with scikit-image's own settings: a flat window of 7 samples."""
    from skimage.metrics import structural_similarity

    a, b = _levels(restored), _levels(truth)
    window = min(7, *truth.shape[2:])
    window -= 1 - window % 2
    return np.asarray(
        [
            structural_similarity(one, other, win_size=window, data_range=255.0, channel_axis=0)
            for one, other in zip(a, b, strict=True)
        ]
    )


def _levels(signals: Signals) -> Array:
    """0 to 255 in whole levels (cut off, not rounded, as a cast to uint8 does), the maximum of each item at 255.

    Raises:
        DataError: for values that are not finite.
    """
    if not np.isfinite(signals).all():
        raise DataError("values that are not finite", expected="whole signals, without gaps")
    top = signals.reshape(len(signals), -1).max(axis=1).astype(np.float64)
    scale = np.where(top > 0, 255.0 / np.where(top > 0, top, 1.0), 0.0)
    levels: Array = np.floor(np.clip(signals, 0, None) * scale.reshape(-1, *(1 for _ in signals.shape[1:])) + 1e-9)
    return levels


MAX_RESCALED: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mse[max-rescaled]", mse_rescaled, "(8-bit level)²", "lower"),
        Metric("nrmse[max-rescaled]", nrmse_rescaled, "1", "lower"),
        Metric("ssim[max-rescaled]", ssim_rescaled, "1", "higher"),
    )
}
"""For pictures, whose values start at 0."""
