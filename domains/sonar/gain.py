"""Errors of gain: over range, over beams, from ping to ping, and the compression of a display."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from domains.sonar.lines import Along, axis_of, check_along, lines
from domains.sonar.scaling import Scaling
from domains.sonar.speckle import EchoDegradation, PolarDegradation, rayleigh, steps
from vaegan.degradation import Level, Measurement
from vaegan.degradation.base import normal, per_sample, uniform

NEAREST = 0.1
"""Range of the first row, as a share of the last one's."""


def decibels(level: Tensor) -> Tensor:
    """An amplitude's factor from dB."""
    return torch.pow(10.0, level / 20.0)


class TVGError(PolarDegradation):
    """A wrong time-varying gain: dB per decade of range, ``u' = u 10^(Δ log10(R / R_mid) / 20)``.

    The gain that makes up for spreading is ``a log10 R`` with a of 20 to 40; Δ is the error of a. ``R`` goes from a
    tenth of the last range to the last one, and ``R_mid`` is their geometric mean.

    Args:
        error: Δ in dB a decade, of either sign.
        along: whether a range is one of the ``rows`` or of the ``columns`` (pings by ranges).
        scaling, clip: see :class:`EchoDegradation`.
    """

    bounds: ClassVar[tuple[float, float]] = (-80.0, 80.0)

    def __init__(
        self, error: Level = (-15.0, 15.0), along: Along = "rows", scaling: Scaling = "amplitude", clip: bool = True
    ) -> None:
        check_along(along)
        super().__init__(error, along == "columns", scaling, clip)

    def polar(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Tensor:
        """Multiplies each range by its gain."""
        decades = torch.log10(NEAREST + (1.0 - NEAREST) * steps(u, -2)) - 0.5 * math.log10(NEAREST)
        return u * decibels(per_sample(level, u) * decades.unsqueeze(-1))


class BeamPattern(PolarDegradation):
    """A wrong beam pattern: beams lose ``depth ((2a − 1)² − ripple / 2)`` dB, a from 0 to 1 over the beams.

    The ripple is the mean of three cosines of 1 to 3 periods over the aperture with random phases.

    Args:
        depth: dB that the outermost beams lose, 0 or more.
        along: whether a beam is one of the ``columns`` or of the ``rows``.
        scaling, clip: see :class:`EchoDegradation`.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 60.0)

    def __init__(
        self, depth: Level = (2.0, 10.0), along: Along = "columns", scaling: Scaling = "amplitude", clip: bool = True
    ) -> None:
        check_along(along)
        super().__init__(depth, along == "rows", scaling, clip)

    def polar(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Tensor:
        """Multiplies each beam by its gain."""
        a = steps(u, -1)
        phases = 2.0 * math.pi * uniform((len(u), 3, 1), u, generator)
        waves = torch.arange(1, 4, device=u.device, dtype=u.dtype).view(1, 3, 1) * 2.0 * math.pi * a
        ripple = torch.cos(waves + phases).mean(1)
        loss = lines("columns", (2.0 * a - 1.0) ** 2 - 0.5 * ripple)
        return u * decibels(-per_sample(level, u) * loss)


class Stripes(EchoDegradation):
    """Stripes: each ping has a gain of its own, ``u' = u max(0, 1 + depth n)``, ``n ~ N(0, 1)`` for each row or column.

    Args:
        depth: standard deviation of the gain.
        along: whether a ping is one of the ``rows`` (sidescan) or of the ``columns``.
        scaling, clip: see :class:`EchoDegradation`.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 10.0)
    dims: ClassVar[tuple[int, ...]] = (2,)

    def __init__(
        self, depth: Level = (0.1, 0.5), along: Along = "rows", scaling: Scaling = "amplitude", clip: bool = True
    ) -> None:
        super().__init__(depth, scaling, clip)
        check_along(along)
        self.along: Along = along

    def echo(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        """Multiplies each line by its gain."""
        n = normal((len(u), u.shape[axis_of(self.along)]), u, generator)
        return Measurement(u * lines(self.along, (1.0 + level.unsqueeze(1) * n).clamp(min=0.0)))


class CrossTalk(PolarDegradation):
    """Another sonar's pulses: spokes along some beams, ``u' = u + strength (0.3 + 0.7 r) R / 2``, R Rayleigh of scale 1.

    Args:
        strength: amplitude of the spokes.
        share: of the beams that are hit.
        along: whether a beam is one of the ``columns`` or of the ``rows`` (a ping of a waterfall).
        scaling, clip: see :class:`EchoDegradation`.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 10.0)

    def __init__(
        self,
        strength: Level = (0.1, 0.6),
        share: float = 0.05,
        along: Along = "columns",
        scaling: Scaling = "amplitude",
        clip: bool = True,
    ) -> None:
        check_along(along)
        super().__init__(strength, along == "rows", scaling, clip)
        self.share = share

    def polar(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Tensor:
        """Adds spokes."""
        hit = lines("columns", (uniform((len(u), u.shape[-1]), u, generator) < self.share).to(u))
        added = hit * (0.3 + 0.7 * steps(u, -2).unsqueeze(-1)) * rayleigh(u, generator) / 2.0
        return u + per_sample(level, u) * added


class LogCompression(EchoDegradation):
    """The compression of a display, and its 8 bits: ``u' = round(255 log(1 + g u) / log(1 + g)) / 255``.

    Args:
        gain: g, 0 or more; small ones change little.
        scaling, clip: see :class:`EchoDegradation`.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1e4)

    def __init__(self, gain: Level = (5.0, 50.0), scaling: Scaling = "amplitude", clip: bool = True) -> None:
        super().__init__(gain, scaling, clip)

    def echo(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        """Compresses and rounds."""
        g = per_sample(level.clamp(min=1e-4), u)
        compressed = torch.log1p(g * u.clamp(min=0.0)) / torch.log1p(g)
        return Measurement(torch.round(compressed * 255.0) / 255.0)
