"""Tide gauges: a day of sea level at each of twelve stations, as a third party would write the domain."""

import numpy as np

from vaegan.data import SignalSet, assign_splits
from vaegan.degradation import Degradation, Measurement
from vaegan.domain import Domain
from vaegan.signal import Axis, SignalSpec


class Surge(Degradation):
    """A storm surge: the whole day is lifted by ``height`` m, of a range of 8 m."""

    def __init__(self, height=(0.1, 1.0)):
        super().__init__(height)

    def degrade(self, x, level, generator):
        return Measurement(x + (level / 4.0).view(-1, 1, 1))


class Tides(Domain):
    """Sea level in m, every ten minutes of a day."""

    @property
    def spec(self):
        return SignalSpec(1, (Axis("time", 144, 600.0, "s"),), unit="m", value_range=(-4.0, 4.0))

    def degradations(self):
        return {**super().degradations(), "surge": Surge}

    def dataset(self, split):
        rng = np.random.default_rng(12)
        stations = np.repeat([f"station-{i}" for i in range(12)], 20)
        height, phase = rng.uniform(0.5, 2.5, (240, 1)), rng.uniform(0, 2 * np.pi, (240, 1))
        hours = np.arange(144) / 6.0
        level = height * np.sin(2 * np.pi * hours / 12.42 + phase) + 0.2 * np.sin(2 * np.pi * hours / 24.0)
        rows = np.flatnonzero(assign_splits(stations) == split)
        return SignalSet(level[:, None, :].astype(np.float32), stations, source="simulated tides").take(rows)
