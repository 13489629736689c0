"""Fog, rain and snow between the sensor and what it sees.

Fog follows Hahner et al. 2021: the power of the soft target that the fog is, against that of the hard target behind it.
Rain and snow follow the structure of LISA (Kilic et al. 2021): Beer-Lambert attenuation, single drops that return more
than the target does, echoes too weak to be detected, and noise that grows as the signal weakens. LISA draws drops one by
one; here the chance that any drop in the beam wins over the target is the Poisson integral over their sizes and places, and
the place of the winner is drawn from its integrand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from domains.lidar.degradations import REFLECTED, RangeDegradation, nothing
from domains.lidar.ranges import RangeCode
from vaegan.degradation import Level, Measurement
from vaegan.degradation.base import normal, per_sample, uniform
from vaegan.errors import UserError

LIGHT = 2.998e8
PULSE = 20e-9
"""Half-power width of the pulse in seconds (Hahner et al. 2021)."""

TARGET = 1e-6 / math.pi
"""Differential reflectivity of the hard target, beta_0 (Hahner et al. 2021)."""

DIVERGENCE = 3e-3
"""Of the beam, in radians (LISA)."""

RESOLUTION = 0.09
"""Range accuracy, Delta R, in metres (LISA)."""

NEAREST = 1.5
"""Nearest range that is detected, in metres (LISA)."""

WEAKEST = 0.1 / 120.0**2
"""Least power that is detected: that of a reflectance of 0.1 at 120 m in clear air."""

GREY = 0.3
"""Reflectance of everything where a signal has no channel of it."""


def reflectance_of(x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch 1 *space"]:
    """From 0.01 to 1, from the second channel in model units."""
    if x.shape[1] < 2:
        return torch.full_like(x[:, :1], GREY)
    return ((x[:, 1:2] / REFLECTED + 1.0) / 2.0).clamp(0.01, 1.0)


class Fog(RangeDegradation):
    """Fog by Hahner et al. 2021.

    The hard target returns exp(-2 alpha R0) of what it returns in clear air. The fog returns R0^2 (beta / beta_0) I of it,
    where I is the greatest value over R of the integral of sin^2(pi t / 2 tau) exp(-2 alpha r) / r^2 over the pulse, with
    r = R - c t / 2 and t in seconds; meteorological optical range MOR = ln 20 / alpha, beta = 0.046 / MOR. Where the fog
    returns more, the range is the one at which it does so.

    Args:
        alpha: attenuation in 1/m: 0.005 is light, 0.06 a visibility of 50 m, 0.2 very dense.
        code: how ranges become model units.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 0.5)

    def __init__(self, alpha: Level = (0.005, 0.06), *, code: RangeCode) -> None:
        super().__init__(alpha, code)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Moves what the fog hides, and weakens the rest."""
        ranges = self.ranges(x)
        strength, place = _soft_target(level)
        hard = torch.exp(-2.0 * per_sample(level, x) * ranges)
        soft = ranges.square() * per_sample(strength * (0.046 * level / math.log(20.0)) / TARGET, x)
        jitter = 0.1 * per_sample(place, x) * normal(tuple(ranges.shape), x, generator)
        fogged = (soft > hard) & (per_sample(level, x) > 0)
        moved = torch.minimum(ranges, (per_sample(place, x) + jitter).clamp(min=0.5))
        y = self.with_ranges(x, torch.where(fogged, moved, ranges))
        weakened = reflectance_of(x) * torch.where(fogged, soft, hard).clamp(max=1.0)
        return Measurement(torch.where(nothing(x), x, _with_reflectance(y, weakened)))


def _soft_target(alpha: Tensor) -> tuple[Tensor, Tensor]:
    """For each alpha the greatest response of endless fog, and the range of it in metres."""
    ranges = torch.linspace(1.0, 30.0, 233, device=alpha.device, dtype=alpha.dtype)
    times = torch.linspace(0.0, 2.0 * PULSE, 81, device=alpha.device, dtype=alpha.dtype)
    pulse = torch.sin(math.pi * times / (2.0 * PULSE)).square() * (times[1] - times[0])
    r = ranges.view(-1, 1) - LIGHT * times / 2.0
    overlap = ((r - 0.9) / 0.1).clamp(
        0.0, 1.0
    )  # of the beam and the receiver's view: none below 0.9 m, full from 1 m on
    near = r.clamp(min=0.5)
    response = (pulse * overlap * torch.exp(-2.0 * alpha.view(-1, 1, 1) * near) / near.square()).sum(-1)
    strength, index = response.max(dim=1)
    return strength, ranges[index]


def _with_reflectance(y: Tensor, reflectance: Tensor) -> Tensor:
    return (
        y
        if y.shape[1] < 2
        else torch.cat([y[:, :1], REFLECTED * (2.0 * reflectance.clamp(0.0, 1.0) - 1.0), y[:, 2:]], dim=1)
    )


@dataclass(frozen=True)
class Drops:
    """How many drops of which size fall at a rate of R mm/h: N(D) = number R^a exp(-slope R^b D), D in mm, N in 1/(m^3 mm).

    ``scatter`` is the share of the light on a drop that comes back.
    """

    number: float
    number_power: float
    slope: float
    slope_power: float
    scatter: float


DROPS: dict[str, Drops] = {
    # Marshall and Palmer 1948; Fresnel's reflectance of water at normal incidence.
    "rain": Drops(8000.0, 0.0, 4.1, -0.21, 0.02),
    # Gunn and Marshall 1958, D of the melted flake; flakes taken as diffuse reflectors.
    "snow": Drops(3800.0, -0.87, 2.55, -0.48, 0.2),
}


class Precipitation(RangeDegradation):
    """Rain or snow; see the module's head.

    Args:
        rate: in mm/h of water: rain 1 to 100, snow 0.3 to 5.
        kind: ``"rain"`` or ``"snow"``.
        code: how ranges become model units.

    Raises:
        UserError: for another kind.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 200.0)

    def __init__(self, rate: Level, kind: Literal["rain", "snow"], *, code: RangeCode) -> None:
        super().__init__(rate, code)
        if kind not in DROPS:
            raise UserError(f"precipitation of {kind!r}", expected=f"one of {', '.join(DROPS)}")
        self.drops = DROPS[kind]

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Moves beams that a drop wins, loses those too weak, and adds noise to the rest."""
        rate = per_sample(level, x).clamp(min=1e-3)
        slope = self.drops.slope * rate**self.drops.slope_power
        number = self.drops.number * rate**self.drops.number_power
        # Geometric optics: a drop takes out twice its cross-section (van de Hulst 1957); the integral over its sizes.
        alpha = 1e-6 * math.pi * number / slope**3
        ranges, shade = self.ranges(x).clamp(min=0.1), reflectance_of(x)
        hard = shade * torch.exp(-2.0 * alpha * ranges) / ranges.square()
        power = hard.clamp(min=WEAKEST)  # a drop has to be seen, too
        draw = uniform(tuple(ranges.shape), x, generator)
        chance, place = self._winner(ranges, power, alpha, slope, number, draw)
        won = uniform(tuple(ranges.shape), x, generator) < chance
        noise = RESOLUTION / torch.sqrt(2.0 * power / WEAKEST) * normal(tuple(ranges.shape), x, generator)
        # Sensors state a reflectance of 0 for echoes that did come back: too weak in clear air, they say nothing of weather.
        lost = ~won & (hard < WEAKEST) & (shade >= WEAKEST * ranges.square())
        y = self.with_ranges(x, torch.where(won, place, ranges + noise))
        weakened = torch.where(won, shade * self.drops.scatter, shade * torch.exp(-2.0 * alpha * ranges))
        y = _with_reflectance(y, weakened)
        there = (per_sample(level, x) > 0) & ~nothing(x)
        return Measurement(torch.where(there, torch.where(lost, -1.0, y), x), ~(lost & there))

    def _winner(
        self, ranges: Tensor, hard: Tensor, alpha: Tensor, slope: Tensor, number: Tensor, draw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The chance that any drop before the target returns more than it does, and where the one that does is."""
        steps = 24
        total, parts = torch.zeros_like(ranges), []
        width = ((ranges - NEAREST).clamp(min=0.0) / steps).clamp(max=1.5)  # no drop beyond 37 m wins over anything
        for i in range(steps):
            r = NEAREST + (i + 0.5) * width
            # The least diameter in mm that returns more: scatter (D / beam)^2 exp(-2 alpha r) / r^2 > hard.
            least = (
                1e3 * DIVERGENCE * r * torch.sqrt(hard * r.square() * torch.exp(2.0 * alpha * r) / self.drops.scatter)
            )
            total = total + r.square() * torch.exp(-slope * least) * width
            parts.append(total)
        mean = math.pi * (DIVERGENCE / 2.0) ** 2 * (number / slope) * total
        index = sum(((part < draw * total).to(ranges) for part in parts), torch.zeros_like(ranges))
        return 1.0 - torch.exp(-mean), NEAREST + (index + 0.5) * width


class Rain(Precipitation):
    """Rain of ``rate`` mm/h; see :class:`Precipitation`."""

    def __init__(self, rate: Level = (5.0, 50.0), *, code: RangeCode) -> None:
        super().__init__(rate, "rain", code=code)


class Snow(Precipitation):
    """Snow of ``rate`` mm/h of water; see :class:`Precipitation`."""

    def __init__(self, rate: Level = (0.5, 3.0), *, code: RangeCode) -> None:
        super().__init__(rate, "snow", code=code)


WEATHER = {"fog": Fog, "rain": Rain, "snow": Snow}
"""By the names that conditions give them."""
