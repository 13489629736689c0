"""Is generated EEG like real EEG? Distances of spectra, of channels, of amplitudes; and what a decoder learns from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from domains.eeg.metrics import BANDS, spectrum

Array = NDArray[Any]


def log_band_powers(rate: float) -> Callable[[Tensor], Tensor]:
    """Features for Fréchet and kernel distances: log powers of delta to gamma of each channel, and their correlations.

    Args:
        rate: samples a second.

    Returns:
        a function of (batch, channels, samples), at any amplitude, to (batch, features).
    """

    def features(x: Float[Tensor, "batch channels time"]) -> Float[Tensor, "batch features"]:
        x = (x - x.mean(-1, keepdim=True)).float()
        window = torch.hann_window(x.shape[-1], device=x.device)
        power = torch.fft.rfft(x * window).abs().square()
        frequency = torch.fft.rfftfreq(x.shape[-1], 1.0 / rate, device=x.device)
        masks = [(frequency >= low) & (frequency < high) for low, high in BANDS.values()]
        bands = torch.stack([power[..., mask].sum(-1) for mask in masks], dim=-1)
        logs = (bands + 1e-12).log10().flatten(1)
        if x.shape[1] == 1:
            return logs
        unit = x / x.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-12)
        above = torch.triu_indices(x.shape[1], x.shape[1], 1, device=x.device)
        return torch.cat([logs, (unit @ unit.mT)[:, above[0], above[1]]], dim=1)

    return features


def psd_distance(generated: Array, real: Array, rate: float) -> float:
    """Mean |difference| of the mean log10 power spectral densities above 1 Hz, over channels, in decades."""
    frequency, one = spectrum(generated, rate)
    other = spectrum(real, rate)[1]
    logs = [np.log10(np.maximum(density, 1e-30)).mean(0)[..., frequency >= 1] for density in (one, other)]
    return float(np.abs(logs[0] - logs[1]).mean())


def autocorrelation_distance(generated: Array, real: Array, lags: int = 128) -> float:
    """Mean |difference| of the mean autocorrelations at lags 1 to ``lags``, over channels."""
    one, other = (_autocorrelation(x, lags).mean(0) for x in (generated, real))
    return float(np.abs(one - other).mean())


def _autocorrelation(x: Array, lags: int) -> Array:
    """(n, channels, lags), 1 at lag 0, which is left out."""
    centred = x - x.mean(-1, keepdims=True)
    size = 2 * x.shape[-1]
    full = np.fft.irfft(np.square(np.abs(np.fft.rfft(centred, size))), size)
    quotient: Array = full[..., 1 : lags + 1] / np.maximum(full[..., :1], 1e-30)
    return quotient


def covariance_distance(generated: Array, real: Array) -> float:
    """Affine-invariant Riemannian distance of the mean channel covariances: ‖log eig(A⁻¹ B)‖ (Förstner and Moonen 1999)."""
    from scipy import linalg

    one, other = (np.mean([np.cov(item) for item in x], axis=0).reshape(x.shape[1], -1) for x in (generated, real))
    ridge = 1e-9 * (np.trace(one) + np.trace(other)) / len(one) * np.eye(len(one))
    return float(np.sqrt(np.square(np.log(linalg.eigvalsh(one + ridge, other + ridge))).sum()))


def sliced_wasserstein(generated: Array, real: Array, *, projections: int = 128, seed: int = 0) -> float:
    """Mean 1-Wasserstein distance along random directions of the windows, in the signal's unit (Rabin et al. 2012)."""
    generator = np.random.default_rng(seed)
    flat = [x.reshape(len(x), -1).astype(np.float64) for x in (generated, real)]
    directions = generator.normal(size=(flat[0].shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    shares = (np.arange(256) + 0.5) / 256
    one, other = (np.quantile(x @ directions, shares, axis=0) for x in flat)
    return float(np.abs(one - other).mean())


def train_on_synthetic(
    synthetic: Array, synthetic_labels: Array, real: Array, real_labels: Array, *, components: int = 4
) -> dict[str, float]:
    """A decoder of common spatial patterns and LDA, trained on generated windows and tested on real ones.

    Args:
        synthetic, real: (n, channels, samples) volts, two channels or more.
        synthetic_labels, real_labels: (n,) classes.
        components: spatial patterns at most.

    Returns:
        accuracy, F1 (macro) and Cohen's kappa on the real windows.
    """
    import mne
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

    patterns = mne.decoding.CSP(n_components=min(components, synthetic.shape[1]), reg="ledoit_wolf")
    with mne.use_log_level("ERROR"):
        features = patterns.fit_transform(synthetic.astype(np.float64) * 1e6, synthetic_labels)
        tested = patterns.transform(real.astype(np.float64) * 1e6)
    said = LinearDiscriminantAnalysis().fit(features, synthetic_labels).predict(tested)
    return {
        "accuracy": float(accuracy_score(real_labels, said)),
        "f1": float(f1_score(real_labels, said, average="macro")),
        "kappa": float(cohen_kappa_score(real_labels, said)),
    }
