"""Eight corruptions at three severities, after the taxonomy of Robo3D (Kong et al. 2023), and what only they need.

The severities are this toolkit's own: Robo3D works on labelled points, range images have no labels.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from domains.lidar.degradations import REFLECTED, RangeDegradation, without
from domains.lidar.ranges import RangeCode
from domains.lidar.weather import reflectance_of
from vaegan.degradation import Degradation, Level, Measurement
from vaegan.degradation.base import normal, per_sample, uniform

ROBO3D: dict[str, tuple[str, str, str]] = {
    "fog": ("fog 0.01", "fog 0.03", "fog 0.06"),
    "wet ground": ("wet-ground 30 %", "wet-ground 60 %", "wet-ground 90 %"),
    "snow": ("snow 0.5", "snow 1.5", "snow 3"),
    "motion blur": ("noise 0.1 m", "noise 0.2 m", "noise 0.3 m"),
    "beam missing": ("lost-beams 25 %", "lost-beams 50 %", "lost-beams 75 %"),
    "crosstalk": ("crosstalk 0.6 %", "crosstalk 0.8 %", "crosstalk 1 %"),
    "incomplete echo": ("echo 75 %", "echo 85 %", "echo 95 %"),
    "cross-sensor": ("beams 32->64", "beams 16->64", "beams 8->64"),
}
"""Conditions from light to heavy, by the corruption's name."""


class LostBeams(Degradation):
    """Rows that are lost at random, whole.

    Args:
        share: of the rows, on average.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    dims: ClassVar[tuple[int, ...]] = (2,)

    def __init__(self, share: Level = (0.1, 0.5)) -> None:
        super().__init__(share)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Loses rows."""
        lost = uniform((len(x), 1, x.shape[-2], 1), x, generator) < per_sample(level, x)
        return without(x, lost.expand(len(x), 1, *x.shape[2:]))


class Crosstalk(RangeDegradation):
    """Echoes of other sensors' pulses: single ranges that are far off.

    Args:
        share: of the samples.
        sigma: standard deviation of their errors, in metres.
        code: how ranges become model units.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, share: Level = (0.002, 0.01), sigma: float = 5.0, *, code: RangeCode) -> None:
        super().__init__(share, code)
        self.sigma = sigma

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Adds noise to a few."""
        ranges = self.ranges(x)
        hit = uniform(tuple(ranges.shape), x, generator) < per_sample(level, x)
        moved = self.with_ranges(x, ranges + self.sigma * normal(tuple(ranges.shape), x, generator))
        return Measurement(torch.where(hit, moved, x))


class DarkEcho(Degradation):
    """Echoes of dark surfaces that do not come back; nothing happens where a signal has no reflectance.

    Args:
        share: of the samples with a reflectance below ``dark``.
        dark: from 0 to 1.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, share: Level = (0.5, 0.95), dark: float = 0.1) -> None:
        super().__init__(share)
        self.dark = dark

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Loses dark samples."""
        chance = uniform((len(x), 1, *x.shape[2:]), x, generator)
        return without(x, (reflectance_of(x) < self.dark) & (chance < per_sample(level, x)))


class WetGround(RangeDegradation):
    """Ground that mirrors light away: the flatter a beam meets it, the likelier its echo is lost; the rest is darker.

    Ground is what lies at least ``below`` metres below the sensor. An echo is lost with the chance
    share * (1 - |sin elevation|).

    Args:
        share: of the light that is mirrored away.
        code: how ranges become model units.
        elevations: of the rows, in radians.
        below: in metres.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    dims: ClassVar[tuple[int, ...]] = (2,)

    def __init__(
        self, share: Level = (0.2, 0.9), *, code: RangeCode, elevations: tuple[float, ...], below: float = 1.3
    ) -> None:
        super().__init__(share, code)
        self.elevations, self.below = elevations, below

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Darkens the ground and loses part of it."""
        down = torch.tensor(self.elevations, dtype=x.dtype, device=x.device).sin().view(-1, 1)
        ground = self.ranges(x) * down < -self.below
        lost = ground & (uniform((len(x), 1, *x.shape[2:]), x, generator) < per_sample(level, x) * (1.0 - down.abs()))
        darker = torch.where(ground, x[:, 1:] - per_sample(level, x) * (x[:, 1:] + REFLECTED), x[:, 1:])
        return without(torch.cat([x[:, :1], darker], dim=1), lost)
