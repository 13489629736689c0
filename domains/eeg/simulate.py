"""Semi-simulated recordings: a plausible background, eye movements and muscle, where no data are given.

Background: noise with a 1/f^1.2 spectrum (the aperiodic part, He 2014) plus an alpha rhythm of about 10 Hz that waxes
and wanes, strongest at the back of the head, and a mu rhythm over C3 and C4 that is weaker on the side opposite to an
imagined movement (Pfurtscheller and Lopes da Silva 1999). Blinks: half a period of a squared sine over 200 to 400 ms,
80 to 150 µV; saccades: steps that decay. Muscle: noise of 15 to 120 Hz in bursts. It is a stand-in for real data, for
trying out the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.eeg.band import Band
from domains.eeg.sources import Sources, Trace
from vaegan.data import SPLITS, Split

Array = NDArray[Any]

SUBJECTS = 10
SECONDS = 48
SINGLE = ("Fz", "C3", "C4", "Oz")
SOURCES = 12
TASK = 4.0
"""Seconds of each period of rest or of an imagined movement."""


def simulated(
    rate: float,
    samples: int,
    channels: Sequence[str],
    band: Band,
    muscle_lowpass: float | None = None,
    seed: int = 0,
) -> Sources:
    """Recordings of ten subjects, each with EEG, two EOG channels and a muscle channel.

    Args:
        rate: samples a second.
        samples: of a window, which a recording exceeds many times.
        channels: electrodes; none for four that stand for single channels.
        band: of the EEG.
        muscle_lowpass: corner in Hz up to which muscle reaches; ``None`` for the band's.
        seed: of everything.
    """
    names = tuple(channels) or SINGLE
    seconds = max(SECONDS, 24 * samples / rate)
    traces, muscle, splits, units = [], [], {}, {}
    for subject in range(SUBJECTS):
        generator = np.random.default_rng((seed, subject))
        path = Path("simulated") / f"S{subject + 1:03d}R01"
        eeg, events = background(generator, names, rate, seconds)
        eog = np.stack([eyes(generator, rate, seconds) for _ in range(2)])
        kept = tuple(band.filtered(part, rate) for part in (eeg, eog))
        traces.append(Trace(path, names, kept[0], kept[1], np.ones(eeg.shape[1], bool), events))
        muscle.append((path, band.up_to(muscle_lowpass).filtered(bursts(generator, rate, seconds), rate)))
        splits[path], units[path] = _split(subject), f"S{subject + 1:03d}"
    return Sources(tuple(traces), tuple(muscle), band, splits=splits, units=units)


def _split(subject: int) -> Split:
    return SPLITS[0] if subject < SUBJECTS - 4 else SPLITS[1] if subject < SUBJECTS - 2 else SPLITS[2]


def background(
    generator: np.random.Generator, names: Sequence[str], rate: float, seconds: float
) -> tuple[Array, tuple[tuple[int, int, str], ...]]:
    """(channels, samples) volts without artifacts; from when to when rest (T0), left (T1) or right (T2) is imagined."""
    n = int(seconds * rate)
    t = np.arange(n) / rate
    here = positions(tuple(names))
    centres = generator.normal(size=(SOURCES, 3))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    centres[:, 2] = np.abs(centres[:, 2])
    field = np.exp(-np.square(here[:, None] - centres[None]).sum(-1) / 0.8)
    noise = _coloured(generator, SOURCES, n, rate, 1.2)
    eeg = 14e-6 * field @ noise / np.linalg.norm(field, axis=1, keepdims=True)
    eeg += 2e-6 * _coloured(generator, len(names), n, rate, 0.0)
    task, events = _task(generator, n, rate)
    alpha = _rhythm(generator, t, rate, generator.uniform(9, 11))
    eeg += 14e-6 * np.exp(-np.square(here - [0.0, -0.9, 0.4]).sum(1) / 0.6)[:, None] * alpha
    for side, active in ((-0.7, 2), (0.7, 1)):  # the left hand is moved by the right side
        mu = _rhythm(generator, t, rate, generator.uniform(10, 12.5)) * np.where(task == active, 0.35, 1.0)
        eeg += 9e-6 * np.exp(-np.square(here - [side, 0.0, 0.7]).sum(1) / 0.3)[:, None] * mu
    return eeg, events


def eyes(generator: np.random.Generator, rate: float, seconds: float) -> Array:
    """(samples,) volts of an EOG channel: a blink about every three seconds, and saccades."""
    n = int(seconds * rate)
    trace = 4e-6 * _coloured(generator, 1, n, rate, 1.5)[0]
    at = 0.0
    while (at := at + generator.gamma(3.0, 1.0)) < seconds - 0.5:
        width = generator.uniform(0.2, 0.4)
        first, length = int(at * rate), int(width * rate)
        trace[first : first + length] += (
            generator.uniform(80e-6, 150e-6) * np.sin(np.pi * np.arange(length) / length) ** 2
        )
    at = 0.0
    while (at := at + generator.exponential(2.0)) < seconds - 1.0:
        first = int(at * rate)
        decay = np.exp(-np.arange(n - first) / (generator.uniform(0.3, 1.5) * rate))
        trace[first:] += generator.choice([-1, 1]) * generator.uniform(20e-6, 60e-6) * decay
    return trace


def bursts(generator: np.random.Generator, rate: float, seconds: float) -> Array:
    """(samples,) volts of muscle: noise of 15 to 120 Hz in bursts of 0.3 to 2 s."""
    n = int(seconds * rate)
    frequency = np.fft.rfftfreq(n, 1 / rate)
    shape = ((frequency > 15) & (frequency < 120)) * np.sqrt(frequency / 60) * np.exp(-frequency / 120)
    noise = np.fft.irfft(np.fft.rfft(generator.normal(size=n)) * shape, n)
    envelope, at = np.full(n, 0.05), 0.0
    while (at := at + generator.exponential(1.0)) < seconds - 2.0:
        first, length = int(at * rate), int(generator.uniform(0.3, 2.0) * rate)
        envelope[first : first + length] += generator.uniform(0.4, 1.0) * np.hanning(length)[: n - first]
    result: Array = 30e-6 * noise / noise.std() * envelope
    return result


def _coloured(generator: np.random.Generator, rows: int, n: int, rate: float, exponent: float) -> Array:
    """(rows, n) noise of variance 1 with a power spectrum 1/f^exponent above 1 Hz, flat below."""
    frequency = np.maximum(np.fft.rfftfreq(n, 1 / rate), 1.0)
    spectrum = np.fft.rfft(generator.normal(size=(rows, n))) * frequency ** (-exponent / 2)
    noise = np.fft.irfft(spectrum, n)
    result: Array = noise / noise.std(axis=1, keepdims=True)
    return result


def _rhythm(generator: np.random.Generator, t: Array, rate: float, frequency: float) -> Array:
    """A sine whose amplitude follows smoothed noise."""
    knots = np.abs(generator.normal(size=int(t[-1]) + 3))
    envelope = np.interp(t, np.arange(len(knots)), knots)
    wander = np.cumsum(generator.normal(size=len(t))) * 0.03 / np.sqrt(rate / 256)
    return np.asarray(envelope * np.sin(2 * np.pi * frequency * t + wander + generator.uniform(0, 2 * np.pi)))


def _task(generator: np.random.Generator, n: int, rate: float) -> tuple[Array, tuple[tuple[int, int, str], ...]]:
    """(n,) 0 at rest, 1 left, 2 right; and when each period begins and ends."""
    task, events, length = np.zeros(n, int), [], int(TASK * rate)
    for number, first in enumerate(range(0, n, length)):
        what = 0 if number % 2 == 0 else int(generator.integers(1, 3))
        task[first : first + length] = what
        events.append((first, min(first + length, n), f"T{what}"))
    return task, tuple(events)


@lru_cache(maxsize=8)
def positions(names: tuple[str, ...]) -> Array:
    """(channels, 3) places of electrodes on a sphere of radius 1: x to the right, y to the front, z up."""
    known = {
        "Fz": (0.0, 0.72, 0.7), "Cz": (0.0, 0.0, 1.0), "Pz": (0.0, -0.72, 0.7), "Oz": (0.0, -1.0, 0.0),
        "C3": (-0.72, 0.0, 0.7), "C4": (0.72, 0.0, 0.7), "F3": (-0.55, 0.67, 0.5), "F4": (0.55, 0.67, 0.5),
        "P3": (-0.55, -0.67, 0.5), "P4": (0.55, -0.67, 0.5), "Fp1": (-0.31, 0.95, 0.0), "Fp2": (0.31, 0.95, 0.0),
        "F7": (-0.81, 0.59, 0.0), "F8": (0.81, 0.59, 0.0), "T7": (-1.0, 0.0, 0.0), "T8": (1.0, 0.0, 0.0),
        "P7": (-0.81, -0.59, 0.0), "P8": (0.81, -0.59, 0.0), "O1": (-0.31, -0.95, 0.0), "O2": (0.31, -0.95, 0.0),
    }  # fmt: skip
    if all(name in known for name in names):
        return np.asarray([known[name] for name in names])
    import mne

    montage = mne.channels.make_standard_montage("biosemi64").get_positions()["ch_pos"]
    places = np.asarray([known.get(name, montage.get(name, (0.0, 0.0, 0.1))) for name in names], dtype=np.float64)
    return np.asarray(places / np.linalg.norm(places, axis=1, keepdims=True))
