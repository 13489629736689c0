"""Classical restorers: what a network has to beat.

They take the place of the encoder and decoder in ``y = N(A(x))``, ``y -> x̂``: one item at a time, with one
strength that is tuned on validation items, so that a network is compared with a well-set classical method and
never with a careless one.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from vaegan.errors import DataError
from vaegan.signal import SignalSpec

Array: TypeAlias = NDArray[Any]
Item = Float[np.ndarray, "channels *space"]
"""One signal."""
Observed = Bool[np.ndarray, "1 *space"]
"""True where a sample of the signal was observed."""
Example = tuple[Item, Observed | None, Item]
"""One degraded item, its mask of observed samples (or ``None``), and its truth, in model units."""

BRIGHTEST = 1.0 - 1e-3
SMALLEST_STROKE = 4
FURTHER = 6
"""Most strengths beyond an end of those that a method names that :func:`tune` tries."""


@dataclass(frozen=True)
class Baseline(ABC):
    """A classical restorer of one item, with one strength to be tuned.

    Attributes:
        name: the method's name in tables, for example ``"tv"``.
        strengths: the values that :func:`tune` tries, from weak to strong.
        goes_on: whether they are amounts, of which there are more beyond both ends; not so of kinds, or of shares.
    """

    goes_on: ClassVar[bool] = False

    name: str
    strengths: tuple[float, ...]

    @abstractmethod
    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Restores one item.

        Args:
            y: the observed item in model units (nominally [-1, 1], noise may leave it).
            mask: True where a sample was observed, or ``None`` where all were, or nobody says.
            strength: one of ``strengths``, or any other value of its kind.

        Returns:
            The restored item in model units, not clipped.
        """

    def beyond(self, strength: float, direction: int) -> float | None:
        """What follows on a strength at an end of ``strengths``, or beyond it, for :func:`tune`.

        Args:
            strength: from where.
            direction: 1 past the strongest, -1 past the weakest.

        Returns:
            By the ratio of the two last strengths at that end, to three digits; ``None`` where nothing follows.
        """
        if not self.goes_on or len(self.strengths) < 2:
            return None
        near, end = self.strengths[-2:] if direction > 0 else self.strengths[1::-1]
        return float(f"{strength * end / near:.3g}")

    @property
    def middle(self) -> float:
        """The strength to take where nothing is at hand to tune it."""
        return self.strengths[len(self.strengths) // 2]


@runtime_checkable
class Fitted(Protocol):
    """A baseline in closed form that is fitted once, on training items under the training's degradations.

    What it learned travels with a run. Until it is fitted it stands in no table.
    """

    def fit(
        self,
        y: Float[np.ndarray, "n channels *space"],
        mask: Bool[np.ndarray, "n 1 *space"] | None,
        x: Float[np.ndarray, "n channels *space"],
    ) -> Baseline:
        """The baseline fitted to degraded items and their truths, in model units (NaN where the truth is unknown)."""

    def state(self) -> Mapping[str, Array]:
        """What it learned."""

    def with_state(self, state: Mapping[str, Array]) -> Baseline:
        """The baseline with what another of its kind learned."""


@dataclass(frozen=True)
class Filter(Baseline):
    """A smoothing filter; samples that were not observed are interpolated before it.

    Attributes:
        function: (item scaled to [0, 1], strength) to the filtered item, same shape.
        periodic: which axes wrap around.
        margin: samples that are wrapped around a periodic axis before filtering and cut off after it.
        window: whether the strength is the width of a window, an odd number of samples.
    """

    goes_on = True

    function: Callable[[Array, float], Array]
    periodic: tuple[bool, ...]
    margin: int = 16
    window: bool = False

    def beyond(self, strength: float, direction: int) -> float | None:
        """By the ratio of the strengths there; windows grow as they did last, and the smallest is the smallest there is."""
        if not self.window:
            return super().beyond(strength, direction)
        return None if direction < 0 else strength + self.strengths[-1] - self.strengths[-2]

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Interpolates what is missing, then filters; see :meth:`Baseline.restore`."""
        unit = (np.asarray(y, dtype=np.float64) + 1.0) / 2.0
        if mask is not None:
            unit = interpolate(unit, mask, self.periodic)
        width = [(0, 0)] + [
            (min(self.margin, size),) * 2 if wraps else (0, 0)
            for wraps, size in zip(self.periodic, unit.shape[1:], strict=True)
        ]
        filtered = self.function(np.pad(unit, width, mode="wrap"), strength)
        inside = tuple(slice(low, low + size) for (low, _), size in zip(width, unit.shape, strict=True))
        return (filtered[inside] * 2.0 - 1.0).astype(y.dtype)


@dataclass(frozen=True)
class Inpaint(Baseline):
    """Fills gaps smoothly and leaves every other sample untouched.

    Strength 1 solves Laplace's equation in the gaps (a straight line in 1D), strength 2 the biharmonic
    equation (a cubic spline in 1D). With strength 0 marked gaps are filled as with 1, and gaps that nobody
    marks are left as they are: the choice of :func:`tune` where saturated samples are no gaps.

    Attributes:
        periodic: which axes wrap around.
        blind: where no mask comes with the item, take connected samples at the very top of the range (opaque
            white strokes) for gaps.
    """

    periodic: tuple[bool, ...]
    blind: bool = False

    def restore(self, y: Item, mask: Observed | None, strength: float) -> Item:
        """Fills what is missing; see :meth:`Baseline.restore`."""
        if mask is None and self.blind and strength > 0:
            mask = ~strokes(y)
        if mask is None or mask.all():
            unchanged: Array = y.copy()
            return unchanged
        unit = (np.asarray(y, dtype=np.float64) + 1.0) / 2.0
        filled = interpolate(unit, mask, self.periodic, order=2 if strength >= 2 else 1)
        restored: Array = np.where(mask, y, filled * 2.0 - 1.0).astype(y.dtype)
        return restored


def strokes(y: Item) -> Observed:
    """Where all channels sit at the very top of the range, in connected patches of at least four samples.

    Args:
        y: an item in model units [-1, 1]; the top is from ``1 - 1e-3`` on.
    """
    from scipy import ndimage

    bright = (y >= BRIGHTEST).all(axis=0)
    labels, _ = ndimage.label(bright, structure=np.ones((3,) * bright.ndim))
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    found: Array = (areas >= SMALLEST_STROKE)[labels][None]
    return found


def interpolate(x: Item, mask: Observed, periodic: Sequence[bool], *, order: int = 1) -> Item:
    """Fills unobserved samples with the smoothest continuation of the observed ones.

    Minimises the sum of squared first differences (``order=1``: Laplace's equation, linear in 1D) or of
    squared Laplacians (``order=2``: the biharmonic equation, Damelin and Hoang 2018) with the observed
    samples held fixed.

    Args:
        x: an item scaled to [0, 1].
        mask: True where a sample was observed.
        periodic: which axes wrap around.
        order: 1 or 2.

    Returns:
        The item with its gaps filled, filled values within [0, 1]; 0.5 everywhere where nothing was observed.

    Raises:
        DataError: when the mask's shape does not fit the item's.
    """
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    if mask.shape != (1, *x.shape[1:]):
        raise DataError(f"a mask of shape {mask.shape}", expected=f"{(1, *x.shape[1:])} for signals {x.shape}")
    if mask.all():
        return x
    if not mask.any():
        return np.full_like(x, 0.5)
    known, values = mask.ravel(), x.reshape(len(x), -1).T
    operator = _differences(x.shape[1:], periodic)
    if order == 2:
        operator = operator.T @ operator
    unknown = sparse.csc_matrix(operator[:, ~known])
    given = operator[:, known] @ values[known]
    solved = spsolve(sparse.csc_matrix(unknown.T @ unknown), -(unknown.T @ given))
    filled = values.copy()
    filled[~known] = np.clip(solved.reshape(-1, len(x)), 0.0, 1.0)
    whole: Array = filled.T.reshape(x.shape)
    return whole


def _differences(sizes: Sequence[int], periodic: Sequence[bool]) -> Any:
    """Sparse matrix (differences, samples) of the differences between all neighbours on the grid."""
    from scipy import sparse

    blocks = []
    for axis, (size, wraps) in enumerate(zip(sizes, periodic, strict=True)):
        step = sparse.eye_array(size, k=1) - sparse.eye_array(size)
        step = step + sparse.eye_array(size, k=1 - size) if wraps and size > 2 else step.tocsr()[:-1]
        before, after = int(np.prod(sizes[:axis])), int(np.prod(sizes[axis + 1 :]))
        blocks.append(sparse.kron(sparse.kron(sparse.eye_array(before), step), sparse.eye_array(after)))
    return sparse.csc_matrix(sparse.vstack(blocks))


def _median(x: Array, width: float) -> Array:
    """Median over a window of ``width`` samples along each axis."""
    from scipy import ndimage

    filtered: Array = ndimage.median_filter(x, size=(1, *(int(width),) * (x.ndim - 1)), mode="nearest")
    return filtered


def _gaussian(x: Array, sigma: float) -> Array:
    """Gaussian filter, ``sigma`` in samples."""
    from scipy import ndimage

    filtered: Array = ndimage.gaussian_filter(x, sigma=(0.0, *(sigma,) * (x.ndim - 1)), mode="nearest")
    return filtered


def _tv(x: Array, weight: float) -> Array:
    """Total variation (Rudin, Osher and Fatemi 1992) by Chambolle's projections (2004)."""
    from skimage.restoration import denoise_tv_chambolle

    filtered: Array = denoise_tv_chambolle(x, weight=weight, channel_axis=0)
    return filtered


def _nlm(x: Array, strength: float) -> Array:
    """Non-local means (Buades, Coll and Morel 2005), decay ``strength`` times the noise's sigma."""
    from skimage.restoration import denoise_nl_means

    sigma = _noise_sigma(x)
    if sigma == 0.0:
        return x

    def filtered(signal: Array, axis: int | None) -> Array:
        restored: Array = denoise_nl_means(
            signal, patch_size=5, patch_distance=6, h=strength * sigma, sigma=sigma, fast_mode=True, channel_axis=axis
        )
        return restored

    # With one channel scikit-image 0.26 drops the channel's axis, then moves another one: the picture comes back transposed.
    return filtered(x[0], None)[None] if len(x) == 1 else filtered(x, 0)


def _wavelet(x: Array, strength: float, *, wavelet: str, shifts: int) -> Array:
    """BayesShrink (Chang, Yu and Vetterli 2000) at ``strength`` times the estimated noise sigma.

    Averaged over a few shifts (Coifman and Donoho 1995), which removes most of the transform's ringing.
    """
    import pywt
    from skimage.restoration import denoise_wavelet

    sigma = strength * _noise_sigma(x)
    if sigma == 0.0:
        return x
    axes = tuple(range(1, x.ndim))
    levels = max(1, pywt.dwtn_max_level(x.shape[1:], wavelet))
    total = np.zeros_like(x)
    steps = list(product(range(shifts), repeat=len(axes)))
    for step in steps:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a short axis gets one level: as wished
            shrunk = denoise_wavelet(
                np.roll(x, step, axes),
                sigma=sigma,
                wavelet=wavelet,
                wavelet_levels=levels,
                rescale_sigma=True,
                channel_axis=0,
            )
        total += np.roll(shrunk, [-s for s in step], axes)
    return total / len(steps)


def _savgol(x: Array, window: float) -> Array:
    """Local cubic fit over ``window`` samples (Savitzky and Golay 1964)."""
    from scipy.signal import savgol_filter

    width = min(int(window), x.shape[-1] - 1 + x.shape[-1] % 2)
    filtered: Array = savgol_filter(x, width, polyorder=min(3, width - 1), axis=-1)
    return filtered


def _noise_sigma(x: Array) -> float:
    """Standard deviation of the noise by the median absolute wavelet detail (Donoho and Johnstone 1994)."""
    from skimage.restoration import estimate_sigma

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant has no detail, a size of 1 is no colour axis
        sigma = estimate_sigma(x, average_sigmas=True, channel_axis=0)
    return float(np.nan_to_num(sigma))


def defaults(spec: SignalSpec) -> Mapping[str, Baseline]:
    """The classical restorers for signals of this kind, by name.

    2D: ``median gaussian tv nlm wavelet inpaint``; 1D: ``median gaussian tv wavelet savgol inpaint``.
    """
    one = spec.dims == 1
    make = partial(Filter, periodic=spec.periodic)
    filters: list[Baseline] = [
        make("median", (3.0, 5.0, 9.0, 15.0, 25.0) if one else (3.0, 5.0, 7.0), _median, window=True),
        make("gaussian", (0.5, 1.0, 2.0, 4.0, 8.0) if one else (0.5, 0.75, 1.0, 1.5, 2.0), _gaussian),
        make("tv", (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6) if one else (0.02, 0.05, 0.1, 0.15, 0.25, 0.4), _tv),
    ]
    if one:
        filters.append(make("wavelet", (0.5, 0.7, 0.85, 1.0, 1.25, 1.6), partial(_wavelet, wavelet="sym8", shifts=8)))
        filters.append(make("savgol", (5.0, 9.0, 15.0, 25.0, 41.0), _savgol, window=True))
    else:
        filters.append(make("nlm", (0.3, 0.45, 0.6, 0.8, 1.0, 1.4), _nlm))
        filters.append(make("wavelet", (0.5, 0.7, 0.85, 1.0, 1.25, 1.6), partial(_wavelet, wavelet="sym4", shifts=2)))
    filters.append(Inpaint("inpaint", (0.0, 1.0, 2.0), periodic=spec.periodic, blind=not one))
    return {baseline.name: baseline for baseline in filters}


def tune(baseline: Baseline, pairs: Sequence[Example], quality: Callable[[Item, Item], float] | None = None) -> float:
    """The strength with the best mean quality over a few validation items; among equals the weakest.

    Where the best lies at an end of what is tried, that end is moved on as long as it gets better: a rival whose best
    setting was never tried flatters a network.

    Args:
        baseline: the restorer.
        pairs: (observed, mask, truth) of each item, in model units; where there are none, the middle strength
            is taken. Items of whose truth nothing is known (NaN) do not count.
        quality: (restored, truth) in model units to a number, higher for better; by default PSNR.
    """
    quality = quality or _psnr
    pairs = [pair for pair in pairs if not np.isnan(pair[2]).all()]
    if not pairs or len(baseline.strengths) == 1:
        return baseline.middle

    def score(strength: float) -> float:
        return float(np.mean([quality(baseline.restore(y, mask, strength), truth) for y, mask, truth in pairs]))

    scores = [score(strength) for strength in baseline.strengths]
    best = int(np.argmax(scores))
    chosen, reached = baseline.strengths[best], scores[best]
    direction = {len(scores) - 1: 1, 0: -1}.get(best, 0)
    for _ in range(FURTHER if direction else 0):
        following = baseline.beyond(chosen, direction)
        if following is None or (found := score(following)) <= reached:
            break
        chosen, reached = following, found
    return chosen


def _psnr(x: Array, truth: Array) -> float:
    """PSNR in dB in model units, clipped; at most 100 dB, so that one perfect item decides nothing."""
    error = float(np.nanmean(np.square(np.clip(x, -1.0, 1.0) - truth, dtype=np.float64)))
    return -10.0 * float(np.log10(max(error / 4.0, 1e-10)))
