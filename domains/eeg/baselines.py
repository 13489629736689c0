"""Classical ways to clean an EEG, as they stand beside the network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from vaegan.baselines import Baseline, Item, Observed, defaults, interpolate
from vaegan.signal import SignalSpec

Array = NDArray[Any]


def filled(y: Array, mask: Array | None) -> Array:
    """An item in double precision, with lines over what was not observed."""
    if mask is None or mask.all():
        return np.asarray(y, np.float64)
    return np.asarray(interpolate(np.asarray(y, np.float64) * 0.5 + 0.5, mask, (False,)) * 2.0 - 1.0)


@dataclass(frozen=True)
class BandPass(Baseline):
    """A Butterworth band-pass of order 4, forwards and backwards.

    A strength of ``100 a + b`` passes ``a`` to ``b`` Hz, so that one number carries both corners.

    Attributes:
        rate: of the signals, in Hz.
    """

    rate: float = 256.0

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Filters; see :meth:`vaegan.baselines.Baseline.restore`."""
        from scipy import signal

        low, high = divmod(strength, 100.0)
        sections = signal.butter(4, (low, min(high, 0.49 * self.rate)), "bandpass", fs=self.rate, output="sos")
        result: Array = signal.sosfiltfilt(sections, filled(y, mask), axis=-1).astype(y.dtype)
        return result


@dataclass(frozen=True)
class LinearMMSE(Baseline):
    """The linear estimate of least mean squared error, ``x̂ = W y`` with one matrix W = S_xy (S_yy + ε I)^-1.

    Wiener's filter without stationarity. Each item is divided by its own standard deviation before, and multiplied by
    it after, so that W is blind to amplitudes, and to the SNR, of which it saw all in training. With several channels
    each is estimated on its own.

    Attributes:
        matrix: W (samples, samples), or ``None`` before it is fitted.
        ridges: values of ε that are tried, as shares of the mean of S_yy's diagonal. The last quarter of the items,
            which the matrix that is tried has not seen, chooses; then all items make the matrix.
    """

    matrix: Array | None = field(default=None, repr=False, compare=False)
    ridges: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0)

    def fit(
        self,
        y: Float[np.ndarray, "n channels time"],
        mask: Bool[np.ndarray, "n 1 time"] | None,
        x: Float[np.ndarray, "n channels time"],
    ) -> LinearMMSE:
        """W of degraded items and their truths."""
        whole = np.ones(len(y), bool) if mask is None else mask.all(axis=(1, 2))
        rows = np.flatnonzero(whole & np.isfinite(x).all(axis=(1, 2)))
        noisy, clean = (a[rows].reshape(-1, a.shape[-1]).astype(np.float64) for a in (y, x))
        scale = noisy.std(axis=1, keepdims=True)
        good = scale[:, 0] > 0
        noisy, clean = noisy[good] / scale[good], clean[good] / scale[good]
        known = max(1, 3 * len(noisy) // 4)
        errors = []
        for ridge in self.ridges:
            tried = _least_squares(noisy[:known], clean[:known], ridge)
            errors.append(float(np.square(noisy[known:] @ tried.T - clean[known:]).sum()))
        return replace(self, matrix=_least_squares(noisy, clean, self.ridges[int(np.argmin(errors))]))

    def state(self) -> Mapping[str, Array]:
        """The matrix, in single precision."""
        return {} if self.matrix is None else {"matrix": self.matrix.astype(np.float32)}

    def with_state(self, state: Mapping[str, Array]) -> LinearMMSE:
        """The estimate with another's matrix."""
        return replace(self, matrix=np.asarray(state["matrix"], np.float64))

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """W y; before it is fitted, y itself."""
        if self.matrix is None:
            return y.copy()
        result: Array = (filled(y, mask) @ self.matrix.T).astype(y.dtype)
        return result


def _least_squares(noisy: Array, clean: Array, ridge: float) -> Array:
    """W of rows of signals."""
    products = noisy.T @ noisy
    products += ridge * np.trace(products) / len(products) * np.eye(len(products))
    return np.asarray(np.linalg.solve(products, noisy.T @ clean).T)


@dataclass(frozen=True)
class Regression(Baseline):
    """Regression on the forehead where no EOG was recorded: each channel less what correlates with a reference.

    The reference is the mean of the channels Fp1 and Fp2 below 10 Hz (Gratton et al. 1983 regress on the EOG itself).

    Attributes:
        reference: which channels show the eyes.
        rate: of the signals, in Hz.
    """

    reference: tuple[int, ...] = ()
    rate: float = 256.0

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Subtracts ``strength`` times the regression."""
        from scipy import signal

        whole = filled(y, mask)
        sections = signal.butter(4, 10.0, fs=self.rate, output="sos")
        eyes = signal.sosfiltfilt(sections, whole[list(self.reference)].mean(0))
        eyes = eyes - eyes.mean()
        gains = (whole - whole.mean(-1, keepdims=True)) @ eyes / max(float(eyes @ eyes), 1e-30)
        result: Array = (whole - strength * gains[:, None] * eyes).astype(y.dtype)
        return result


@dataclass(frozen=True)
class ICA(Baseline):
    """Independent component analysis by MNE (FastICA) of each window; components like the forehead are taken out.

    A window of two seconds is short for it: it is the yardstick for windows, not for a whole recording.

    Attributes:
        reference: which channels show the eyes.
        names: of the channels.
        rate: of the signals, in Hz.
    """

    reference: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    rate: float = 256.0

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Removes the components whose correlation with the reference exceeds ``strength``."""
        import mne

        whole = filled(y, mask)
        scale = max(float(whole.std()), 1e-30)
        raw = mne.io.RawArray(
            whole / scale * 1e-5, mne.create_info(list(self.names), self.rate, "eeg"), verbose="ERROR"
        )
        eyes = whole[list(self.reference)].mean(0)
        count = max(2, min(len(whole) - 1, 10))
        ica = mne.preprocessing.ICA(count, random_state=0, max_iter=100, verbose="ERROR")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that short windows may not converge, which is known
            try:
                ica.fit(raw, verbose="ERROR")
                components = ica.get_sources(raw).get_data()
                alike = [i for i, c in enumerate(components) if abs(np.corrcoef(c, eyes)[0, 1]) > strength]
                cleaned = ica.apply(raw, exclude=alike, verbose="ERROR").get_data()
            except (RuntimeError, ValueError, np.linalg.LinAlgError):  # a window of low rank has no components
                return y.copy()
        result: Array = (cleaned * scale / 1e-5).astype(y.dtype)
        return result


def eeg_baselines(spec: SignalSpec, names: tuple[str, ...] = ()) -> Mapping[str, Baseline]:
    """The classical methods for windows of EEG.

    Args:
        spec: of the windows.
        names: of the channels of a multi-channel signal.
    """
    rate = 1.0 / spec.axes[0].step
    bands = product((1, 2, 4, 6, 8), (10, 12, 15, 20, 30, 40, 60, 80))
    corners = tuple(100.0 * low + high for low, high in bands if low + 2 < high < 0.49 * rate)
    methods: list[Baseline] = [
        BandPass("bandpass", corners, rate=rate),
        defaults(spec)["wavelet"],
        LinearMMSE("mmse", (1.0,)),
    ]
    eyes = tuple(i for i, name in enumerate(names) if name in ("Fp1", "Fpz", "Fp2"))
    if eyes and len(names) > 3:
        methods += [
            Regression("regression", (0.5, 0.8, 1.0), reference=eyes, rate=rate),
            ICA("ica", (0.7,), reference=eyes, names=names, rate=rate),
        ]
    return {method.name: method for method in methods}
