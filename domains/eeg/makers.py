"""The degradations of EEG by the names that conditions use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.eeg.artifacts import (
    SNR,
    Artifact,
    Bank,
    Drift,
    Heart,
    Line,
    Pop,
    Recorded,
    SNRConvention,
    Together,
    White,
)
from domains.eeg.faults import Clip, Drop, Flat
from vaegan.degradation.base import Degradation, Level


def eye_gains(channels: tuple[str, ...]) -> NDArray[Any] | None:
    """(channels,) how strongly the eyes' field reaches each electrode: it falls with the distance from the forehead.

    ``exp(-d² / 0.7)`` with d the distance from between Fp1 and Fp2 on a head of radius 1, and at least 0.03.
    """
    if not channels:
        return None
    from domains.eeg.simulate import positions

    distance = np.linalg.norm(positions(channels) - np.asarray([0.0, 0.98, -0.1]), axis=1)
    return np.maximum(np.exp(-np.square(distance) / 0.7), 0.03)


def artifact_makers(
    banks: Mapping[str, Bank], rate: float, mains: float, default: SNRConvention, channels: tuple[str, ...] = ()
) -> dict[str, Callable[..., Degradation]]:
    """The degradations by name; ``eog`` and ``emg`` only where there are recordings of them.

    Args:
        banks: recordings by kind.
        rate: of the signals, in Hz.
        mains: frequency of the mains, in Hz.
        default: what a dB of SNR means where a condition does not say.
        channels: of a multi-channel signal.
    """

    def eog(snr: Level = SNR, convention: SNRConvention = default) -> Degradation:
        return Recorded(banks["eog"], snr, convention, gains=eye_gains(channels))

    def emg(snr: Level = SNR, convention: SNRConvention = default) -> Degradation:
        return Recorded(banks["emg"], snr, convention, spread=True)

    def both(snr: Level = SNR, convention: SNRConvention = default) -> Degradation:
        first, second = eog(), emg()
        assert isinstance(first, Artifact) and isinstance(second, Artifact)
        return Together(first, second, snr, convention)

    def line(snr: Level = SNR, frequency: float = mains, convention: SNRConvention = default) -> Degradation:
        return Line(rate, snr, frequency, convention)

    def pop(snr: Level = SNR, convention: SNRConvention = default) -> Degradation:
        return Pop(rate, snr, convention)

    def drift(snr: Level = SNR, convention: SNRConvention = default) -> Degradation:
        return Drift(rate, snr, convention)

    def ecg(snr: Level = SNR, convention: SNRConvention = default) -> Degradation:
        return Heart(rate, snr, convention)

    def white(snr: Level = SNR, convention: SNRConvention = default) -> Degradation:
        return White(snr, convention)

    found: dict[str, Callable[..., Degradation]] = {"eog": eog, "emg": emg, "eog+emg": both}
    found = {name: make for name, make in found.items() if set(name.split("+")) <= set(banks)}
    faults: dict[str, Callable[..., Degradation]] = {"clip": Clip, "flat": Flat, "drop": Drop}
    return {**found, "line": line, "pop": pop, "drift": drift, "ecg": ecg, "white": white, **faults}
