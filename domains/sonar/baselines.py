"""Classical despecklers, each with one strength that is tuned on validation items."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from domains.sonar.scaling import Scaling, to_amplitude, to_model
from vaegan import baselines as classical
from vaegan.baselines import Baseline, Item, Observed
from vaegan.signal import SignalSpec

Array = NDArray[Any]
WINDOW = 7
FLOOR = 4 / 255
"""Added before a logarithm is taken, four levels of 8 bits: dark single-look speckle is too skew without it."""
BM3D = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2)
"""Strengths of log-BM3D, closer than those of others: it loses 0.4 dB within an eighth of the best one."""


@dataclass(frozen=True)
class EchoFilter(Baseline):
    """A filter of amplitudes; what was not observed is filled with the nearest sample before it.

    Attributes:
        function: (amplitudes (rows, columns), strength) to filtered amplitudes.
        scaling: of the model units.
    """

    goes_on = True

    function: Callable[[Array, float], Array]
    scaling: Scaling = "amplitude"

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Fills, filters each channel and scales back; see :meth:`vaegan.baselines.Baseline.restore`."""
        echo = to_amplitude(torch.from_numpy(np.asarray(y, dtype=np.float64)), self.scaling).numpy()
        if mask is not None:
            echo = np.stack([nearest(channel, mask[0]) for channel in echo])
        filtered = np.stack([self.function(channel, strength) for channel in echo])
        restored: Array = to_model(torch.from_numpy(filtered), self.scaling).numpy().astype(y.dtype)
        return restored


@dataclass(frozen=True)
class OnAmplitudes(Baseline):
    """A general method that is given amplitudes: a mean of curved model units is darker than the mean of echoes.

    Attributes:
        method: the method, for signals in [-1, 1].
        scaling: of the model units.
        keeps_mean: scale the result to the mean of what was observed, for methods whose middle of speckle is not its mean.
    """

    method: Baseline
    scaling: Scaling
    keeps_mean: bool = False

    def beyond(self, strength: float, direction: int) -> float | None:
        """As the general method."""
        return self.method.beyond(strength, direction)

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Restores amplitudes and scales back; see :meth:`vaegan.baselines.Baseline.restore`."""
        echo = to_amplitude(torch.from_numpy(np.asarray(y, dtype=np.float64)), self.scaling).numpy()
        filtered = (self.method.restore(2.0 * echo - 1.0, mask, strength) + 1.0) / 2.0
        if self.keeps_mean and (mask is None or mask.any()):
            known = np.ones_like(echo, dtype=bool) if mask is None else np.broadcast_to(mask, echo.shape)
            filtered = filtered * (echo[known].mean() / max(float(filtered[known].mean()), 1e-12))
        restored: Array = to_model(torch.from_numpy(filtered), self.scaling).numpy().astype(y.dtype)
        return restored


def nearest(echo: Array, observed: Array) -> Array:
    """Fills what was not observed with the nearest observed sample; 0 where nothing was."""
    from scipy import ndimage

    if observed.all() or not observed.any():
        return echo if observed.all() else np.zeros_like(echo)
    places = ndimage.distance_transform_edt(~observed, return_distances=False, return_indices=True)
    return echo[tuple(places)]


def _moments(y: Array) -> tuple[Array, Array]:
    """Mean and variance over a square window around each sample."""
    from scipy import ndimage

    mean = ndimage.uniform_filter(y, WINDOW, mode="reflect")
    variance = ndimage.uniform_filter(y * y, WINDOW, mode="reflect") - mean * mean
    return mean, np.maximum(variance, 0.0)


def _signal_variance(mean: Array, variance: Array, noise: float) -> Array:
    """Variance of x where y = x n, E n = 1, Var n = noise²: (Var y − noise² mean²) / (1 + noise²), at least 0."""
    return np.maximum(variance - noise**2 * mean**2, 0.0) / (1.0 + noise**2)


def lee(y: Array, noise: float) -> Array:
    """Lee 1980: x̂ = m + k (y − m), k = Var x / (Var x + noise² m²), ``noise`` the speckle's coefficient of variation."""
    mean, variance = _moments(y)
    signal = _signal_variance(mean, variance, noise)
    return mean + signal / (signal + noise**2 * mean**2 + 1e-12) * (y - mean)


def kuan(y: Array, noise: float) -> Array:
    """Kuan et al. 1985: x̂ = m + k (y − m), k = Var x / Var y = (1 − noise² / C_y²) / (1 + noise²), C_y² = Var y / m²."""
    mean, variance = _moments(y)
    return mean + _signal_variance(mean, variance, noise) / (variance + 1e-12) * (y - mean)


def frost(y: Array, damping: float) -> Array:
    """Frost et al. 1982: a mean with weights exp(−damping C_y² |d|) over the window, |d| the distance in samples."""
    mean, variance = _moments(y)
    relative = variance / (mean**2 + 1e-12)
    half = WINDOW // 2
    padded = np.pad(y, half, mode="reflect" if min(y.shape) > half else "edge")
    total, weights = np.zeros_like(y), np.zeros_like(y)
    for i in range(WINDOW):
        for j in range(WINDOW):
            weight = np.exp(-damping * relative * np.hypot(i - half, j - half))
            total += weight * padded[i : i + y.shape[0], j : j + y.shape[1]]
            weights += weight
    return total / weights


def in_log(denoise: Callable[[Array, float], Array], y: Array, sigma: float) -> Array:
    """Denoises log(y + floor); the result is scaled so that the mean amplitude is kept.

    The mean of a logarithm is below the logarithm of the mean, by an amount that depends on the unknown number of looks.
    """
    if not y.any():
        return y
    restored = np.maximum(np.exp(denoise(np.log(np.maximum(y, 0.0) + FLOOR), sigma)) - FLOOR, 0.0)
    return restored * (y.mean() / max(float(restored.mean()), 1e-12))


def _wavelet(x: Array, sigma: float) -> Array:
    import pywt
    from skimage.restoration import denoise_wavelet

    levels = max(1, pywt.dwtn_max_level(x.shape, "sym4"))  # by default three fewer, which leaves one of a window

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        low, high = float(x.min()), float(x.max())
        span = max(high - low, 1e-12)
        shrunk: Array = denoise_wavelet(
            (x - low) / span, sigma=sigma / span, wavelet="sym4", wavelet_levels=levels, rescale_sigma=False
        )
    return shrunk * span + low


def _nlm(x: Array, sigma: float) -> Array:
    from skimage.restoration import denoise_nl_means

    filtered: Array = denoise_nl_means(
        x, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, fast_mode=True, channel_axis=None
    )
    return filtered


def _tv(x: Array, weight: float) -> Array:
    from skimage.restoration import denoise_tv_chambolle

    filtered: Array = denoise_tv_chambolle(x, weight=weight)
    return filtered


def _bm3d(x: Array, sigma: float) -> Array:
    """Dabov et al. 2007, by the authors' package ``bm3d``."""
    import bm3d

    profile = bm3d.BM3DProfile()
    profile.num_threads = 1  # more of them give slightly other results each time
    filtered: Array = bm3d.bm3d(x, sigma_psd=sigma, profile=profile)
    return filtered


def despecklers(spec: SignalSpec, scaling: Scaling, *, slow: bool = True) -> Mapping[str, Baseline]:
    """The general methods for pictures, and those for speckle; log-BM3D where ``slow`` and ``bm3d`` is installed.

    A call of BM3D takes about 0.3 s before it has seen a sample.
    """
    make = partial(EchoFilter, scaling=scaling)
    noises, sigmas = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0), (0.15, 0.25, 0.35, 0.5, 0.7, 0.9, 1.2)
    found: list[Baseline] = [
        make("lee", noises, lee),
        make("kuan", noises, kuan),
        make("frost", (0.25, 0.5, 1.0, 2.0, 4.0, 8.0), frost),
        make("log-wavelet", sigmas, partial(in_log, _wavelet)),
        make("log-nlm", sigmas, partial(in_log, _nlm)),
        make("log-tv", (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5), partial(in_log, _tv)),
    ]
    if slow and importlib.util.find_spec("bm3d") is not None:
        found.append(make("log-bm3d", BM3D, partial(in_log, _bm3d)))
    general = {
        name: method
        if name == "inpaint"
        else OnAmplitudes(name, method.strengths, method, scaling, keeps_mean=name in ("median", "nlm"))
        for name, method in classical.defaults(spec).items()
    }
    return {**general, **{baseline.name: baseline for baseline in found}}
