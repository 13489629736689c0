"""How well an EEG was restored: EEGdenoiseNet's measures, and what is left of the bands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaegan.metrics.restoration import Metric

Array = NDArray[Any]

BANDS: dict[str, tuple[float, float]] = {
    "delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 80.0),
}  # fmt: skip
"""Hz, from (included) to (not included), as in EEGdenoiseNet; gamma ends earlier where the signal's band does."""

WELCH = "Welch's method: Hann windows of 1 s, overlapping by half, each without its mean"


def rrmse_t(restored: Array, truth: Array, data_range: float) -> Array:
    """RMS of the error over RMS of the truth, of each item (EEGdenoiseNet, eq. 8); no ``data_range``."""
    error = np.sqrt(np.square(_flat(restored) - _flat(truth)).mean(1))
    return _quotient(error, np.sqrt(np.square(_flat(truth)).mean(1)))


def rrmse_s(restored: Array, truth: Array, data_range: float, *, rate: float) -> Array:
    """RMS of the error of the power spectral density over its RMS in the truth (EEGdenoiseNet, eq. 9)."""
    a, b = spectrum(restored, rate)[1], spectrum(truth, rate)[1]
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    return _quotient(np.sqrt(np.square(a - b).mean(1)), np.sqrt(np.square(b).mean(1)))


def correlation(restored: Array, truth: Array, data_range: float) -> Array:
    """Pearson's correlation of each item, the mean over its channels; NaN where one of the two is constant."""
    a = restored.astype(np.float64) - restored.mean(-1, keepdims=True)
    b = truth.astype(np.float64) - truth.mean(-1, keepdims=True)
    scale = np.sqrt(np.square(a).sum(-1) * np.square(b).sum(-1))
    return np.asarray(_quotient((a * b).sum(-1), scale).mean(-1))


def snr(restored: Array, truth: Array, data_range: float) -> Array:
    """10 log10(Σ x² / Σ (x̂ - x)²) of each item in dB, a ratio of powers; at most 100 dB."""
    error = np.square(_flat(restored) - _flat(truth)).sum(1)
    power = np.square(_flat(truth)).sum(1)
    return np.asarray(10.0 * np.log10(np.maximum(_quotient(power, np.maximum(error, 1e-10 * power)), 1e-10)))


def band_error(restored: Array, truth: Array, data_range: float, *, rate: float) -> Array:
    """Half the sum of |difference| of the bands' shares of power, 0 (same) to 1."""
    return np.asarray(0.5 * np.abs(band_ratios(restored, rate) - band_ratios(truth, rate)).sum(1))


def band_ratios(x: Array, rate: float) -> Array:
    """(n, 5) power of delta to gamma over the sum of the five, of each item, the mean over its channels."""
    power = band_powers(x, rate).mean(1)
    return np.asarray(power / np.maximum(power.sum(1, keepdims=True), 1e-300))


def band_powers(x: Array, rate: float) -> Array:
    """(n, channels, 5) power of delta to gamma, in squared units of ``x``."""
    frequency, density = spectrum(x, rate)
    step = frequency[1] - frequency[0]
    masks = [(frequency >= low) & (frequency < high) for low, high in BANDS.values()]
    return np.stack([density[..., mask].sum(-1) * step for mask in masks], axis=-1)


def spectrum(x: Array, rate: float) -> tuple[Array, Array]:
    """Frequencies in Hz, and power spectral densities (..., frequencies); see :data:`WELCH`."""
    from scipy import signal

    segment = min(int(rate), x.shape[-1])
    frequency, density = signal.welch(x.astype(np.float64), fs=rate, nperseg=segment, axis=-1)
    return frequency, density


def eeg_metrics(rate: float) -> Mapping[str, Metric]:
    """The measures that EEG adds to the general ones."""
    return {
        metric.name: metric
        for metric in (
            Metric("rrmse_t", rrmse_t, "1", "lower"),
            Metric("rrmse_s", partial(rrmse_s, rate=rate), "1", "lower"),
            Metric("cc", correlation, "1", "higher"),
            Metric("snr_out", snr, "dB", "higher"),
            Metric("band_error", partial(band_error, rate=rate), "1", "lower"),
        )
    }


def _flat(x: Array) -> Array:
    return x.reshape(len(x), -1).astype(np.float64)


def _quotient(a: Array, b: Array) -> Array:
    """A / b, NaN where b is 0."""
    result: Array = np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0)
    return result
