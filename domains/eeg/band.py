"""Filtering and resampling to the model's rate, and back: only what a model changed returns to a recording."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaegan.errors import DataError, UserError

Array = NDArray[Any]
ORDER = 4


@dataclass(frozen=True)
class Band:
    """The frequencies and the sampling rate that a model sees.

    Args:
        highpass: corner in Hz below which nothing is seen; 0 for none.
        lowpass: corner in Hz above which nothing is seen.
        rate: samples a second.
    """

    highpass: float
    lowpass: float
    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.highpass < self.lowpass <= self.rate / 2:
            raise UserError(
                f"a band of {self.highpass:g} to {self.lowpass:g} Hz at {self.rate:g} Hz",
                expected="0 <= highpass < lowpass <= half of the rate",
                mend="set --domain.highpass, --domain.lowpass, --domain.muscle-lowpass or --domain.rate",
            )

    def up_to(self, corner: float | None) -> Band:
        """The band that ends at ``corner`` in Hz where that is higher; ``None`` for the same band."""
        return self if corner is None else replace(self, lowpass=max(self.lowpass, corner))

    def seen(self, x: Array, rate: float) -> Array:
        """What a model sees of signals sampled at ``rate``.

        Butterworth filters of order 4, forwards and backwards (no delay, order 8 in effect), then polyphase resampling.

        Args:
            x: (..., samples), finite.
            rate: of ``x``, in Hz.

        Returns:
            (..., samples at the band's own rate), double precision.
        """
        return resampled(self.filtered(x, rate), rate, self.rate)

    def filtered(self, x: Array, rate: float) -> Array:
        """The band of signals at their own rate; see :meth:`seen`."""
        from scipy import signal

        x = np.asarray(x, dtype=np.float64)
        x = x - np.median(x, axis=-1, keepdims=True)  # an offset of many times the signal would ring at both ends
        # A filter runs in at both ends over about a period of its corner.
        pad = min(x.shape[-1] - 1, int(2 * rate / max(self.highpass, 0.25)))
        if self.highpass > 0:
            sections = signal.butter(ORDER, self.highpass, "highpass", fs=rate, output="sos")
            x = signal.sosfiltfilt(sections, x, padtype="even", padlen=pad)
        if self.lowpass < 0.499 * rate:
            sections = signal.butter(ORDER, self.lowpass, "lowpass", fs=rate, output="sos")
            x = signal.sosfiltfilt(sections, x, padtype="odd", padlen=min(pad, int(rate)))
        return x

    def returned(self, change: Array, rate: float, samples: int) -> Array:
        """What a model changed, at the rate of the recording.

        Args:
            change: (..., samples at the band's own rate).
            rate: of the recording, in Hz.
            samples: that the recording has.
        """
        back = resampled(change, self.rate, rate)
        missing = samples - back.shape[-1]
        if missing > 0:
            back = np.concatenate([back, np.repeat(back[..., -1:], missing, axis=-1)], axis=-1)
        return back[..., :samples]


def resampled(x: Array, rate: float, wanted: float) -> Array:
    """Signals at another rate, by a polyphase filter (scipy.signal.resample_poly).

    Raises:
        DataError: for rates that are no numbers above 0.
    """
    from scipy import signal

    if not (rate > 0 and wanted > 0):
        raise DataError(f"a sampling rate of {rate:g} Hz", expected="above 0")
    ratio = Fraction(wanted / rate).limit_denominator(2000)
    if ratio == 1:
        return np.asarray(x, dtype=np.float64)
    if x.shape[-1] < 2:
        return np.repeat(np.asarray(x, np.float64), max(1, ceil(x.shape[-1] * ratio)), axis=-1)
    result: Array = signal.resample_poly(x, ratio.numerator, ratio.denominator, axis=-1, padtype="line")
    return result


def bridged(x: Array) -> tuple[Array, Array]:
    """Signals with lines over what is not finite, and where that was.

    Args:
        x: (..., samples).

    Returns:
        finite signals; a channel without any finite sample becomes 0.
    """
    broken = ~np.isfinite(x)
    if not broken.any():
        return x, broken
    # In another order reshape would copy, and the lines be written into the copy.
    x = np.array(x, dtype=np.float64, order="C")
    places = np.arange(x.shape[-1])
    for channel, bad in zip(x.reshape(-1, x.shape[-1]), broken.reshape(-1, x.shape[-1]), strict=True):
        channel[bad] = np.interp(places[bad], places[~bad], channel[~bad]) if not bad.all() else 0.0
    return x, broken
