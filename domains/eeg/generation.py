"""Is generated EEG like real EEG? Distances of spectra, of channels, of amplitudes; and what a decoder learns from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from domains.eeg.metrics import BANDS, spectrum
from vaegan.errors import DataError, UserError
from vaegan.metrics.generation import judge_features
from vaegan.metrics.jackknife import jackknifed

if TYPE_CHECKING:
    from vaegan.run import Run

Array = NDArray[Any]
GROUPS = 10
"""Of the jackknife that gives each distance its interval."""


def judge(drawn: Array, real: Array, rate: float, *, seed: int = 0) -> dict[str, dict[str, Any]]:
    """The distances of this module, and those of Fréchet and of a kernel on log band powers, as in ``metrics.json``.

    Each has its 95 % interval by a jackknife that leaves out one of ten groups of both sets at a time. ``real_halves`` of an
    entry is what two random halves of the real windows give: a distance near it is as small as it can be told.

    Args:
        drawn, real: (n, channels, samples) volts.
        rate: samples a second.
        seed: of the groups, halves and projections.
    """
    distances: dict[str, tuple[Callable[[Array, Array], float], str]] = {
        "psd_distance": (lambda a, b: psd_distance(a, b, rate), "decade"),
        "acf_distance": (autocorrelation_distance, "1"),
        "swd": (lambda a, b: sliced_wasserstein(a, b, seed=seed), "V"),
    }
    if drawn.shape[1] > 1:
        distances["covariance_distance"] = (covariance_distance, "1")
    found: dict[str, dict[str, Any]] = {}
    generator = np.random.default_rng(seed)
    count = min(GROUPS, len(drawn), len(real))
    groups = [np.array_split(generator.permutation(len(x)), count) for x in (drawn, real)]
    halves = np.array_split(generator.permutation(len(real)), 2)
    features = log_band_powers(rate)
    logs = [features(torch.from_numpy(np.ascontiguousarray(x, np.float32)) * 1e6) for x in (real, drawn)]
    with suppress(DataError):  # too few windows, or all alike
        found |= judge_features(*logs, extractor="log-bands", seed=seed).numbers
    for name, (distance, unit) in distances.items():
        value, low, high = jackknifed(_without(distance, (drawn, real), groups), count)
        found[name] = {
            "mean": value,
            "ci95": [max(0.0, low), high],
            "n": len(drawn),
            "n_real": len(real),
            "unit": unit,
            "better": "lower",
            "real_halves": distance(real[halves[0]], real[halves[1]]),
        }
    return found


def _without(
    distance: Callable[[Array, Array], float], sets: tuple[Array, Array], groups: list[list[Array]]
) -> Callable[[int | None], float]:
    """A distance as a function of the group that is left out of both sets."""

    def estimate(left_out: int | None) -> float:
        if left_out is None:
            return distance(*sets)
        return distance(*(np.delete(x, some[left_out], axis=0) for x, some in zip(sets, groups, strict=True)))

    return estimate


def log_band_powers(rate: float) -> Callable[[Tensor], Tensor]:
    """Features for Fréchet and kernel distances: log powers of delta to gamma of each channel, and their correlations.

    Powers below 1e-12 of the unit squared count as that, so signals should not be much smaller than 1.

    Args:
        rate: samples a second.

    Returns:
        a function of (batch, channels, samples) to (batch, features).
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


def decoder_test(run: Run, n: int = 200, *, seed: int = 0) -> Mapping[str, dict[str, float]]:
    """:func:`train_on_synthetic` for a run of ``eeg/generate``: what a decoder learns from its draws, and from real windows.

    Args:
        run: conditional, of two channels or more.
        n: windows drawn, of each class in turn.
        seed: of the draws.

    Returns:
        ``"synthetic"`` and ``"real"``: by what the decoder was trained on; both are tested on the test split.

    Raises:
        UserError: for a run without classes or of single channels.
        DataError: for draws without any signal, as of a run that was hardly trained.
    """
    if run.model.classes < 2 or run.model.spec.channels < 2:
        raise UserError(
            f"a run of {run.model.classes} classes and {run.model.spec.channels} channels",
            expected="two of each, or more",
            mend="train eeg/generate",
        )
    train, test = run.domain.dataset("train"), run.domain.dataset("test")
    if train.labels is None or test.labels is None:
        raise UserError(f"{run.domain.data} has no classes", mend="set --domain.classes")
    labels = np.arange(n) % run.model.classes
    drawn = run.sample(n, seed=seed, classes=torch.from_numpy(labels))
    if not drawn.std(-1).min() > 0:
        raise DataError(f"{run.folder} draws windows that do not vary", expected="signals", mend="train it for longer")
    taught = {"synthetic": (drawn, labels), "real": (np.asarray(train.signals), np.asarray(train.labels))}
    tests = np.asarray(test.signals), np.asarray(test.labels)
    return {name: train_on_synthetic(*pair, *tests) for name, pair in taught.items()}
