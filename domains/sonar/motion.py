"""Pings and beams that are lost, and what motion and echoes of echoes do to the others."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from domains.sonar.lines import Along, axis_of, check_along
from domains.sonar.scaling import Scaling
from domains.sonar.speckle import EchoDegradation, PolarDegradation
from vaegan.degradation import Level, Measurement
from vaegan.degradation.base import per_sample, uniform

SHORTEST, LONGEST = 1, 6
"""Lines of a run that is lost at once, each length as often."""
_HALVINGS = 30


class LostLines(EchoDegradation):
    """Lines without samples, in runs of one to six: missing pings (rows), or beams that dropped out (columns).

    Args:
        share: of the lines that are lost, on average, those at the edges as often as others; runs may overlap.
        along: whether lines are ``rows`` or ``columns``.
        marked: whether the record says which lines are missing; else they are zeros without a mask.
        scaling, clip: see :class:`EchoDegradation`.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 0.9)
    dims: ClassVar[tuple[int, ...]] = (2,)

    def __init__(
        self,
        share: Level = (0.05, 0.3),
        along: Along = "rows",
        marked: bool = True,
        scaling: Scaling = "amplitude",
        clip: bool = True,
    ) -> None:
        super().__init__(share, scaling, clip)
        check_along(along)
        self.along: Along = along
        self.marked = self.hides = marked

    def echo(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        """Loses lines."""
        n = u.shape[axis_of(self.along)]
        before = LONGEST - 1  # a run may have begun before the first line
        begins = uniform((len(u), before + n), u, generator) < _beginning(level).unsqueeze(1)
        length = SHORTEST + (uniform((len(u), before + n), u, generator) * (LONGEST - SHORTEST + 1)).long()
        places = torch.arange(-before, n, device=u.device)
        since = places[before:].view(1, -1, 1) - places.view(1, 1, -1)  # line, run's first line
        lost = (begins.unsqueeze(1) & (since >= 0) & (since < length.unsqueeze(1))).any(2)
        shape = (len(u), 1, n, 1) if self.along == "rows" else (len(u), 1, 1, n)
        seen = ~lost.view(shape).expand(len(u), 1, *u.shape[2:])
        return Measurement(torch.where(seen, u, 0.0), seen if self.marked else None)


def _beginning(share: Tensor) -> Tensor:
    """The probability (batch,) that a run begins at a line, for a share of lines that are lost.

    A line is there if no run that began k lines before it is longer than k: ``1 - share = Π (1 - p P(length > k))``. The
    product falls with p, which is found by halving.
    """
    longer = [min(1.0, (LONGEST - k) / (LONGEST - SHORTEST + 1)) for k in range(LONGEST)]
    low, high = torch.zeros_like(share), torch.ones_like(share)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        there = torch.stack([1 - middle * p for p in longer]).prod(0)
        enough = 1 - there >= share
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return low


class Smear(EchoDegradation):
    """A running mean over ``width`` samples: yaw while a ping is listened to smears beams (columns), motion smears
    pings (rows).

    Args:
        width: of the mean, in samples; 1 and less change nothing.
        along: the axis that is smeared: over the ``columns`` (yaw) or the ``rows``.
        scaling, clip: see :class:`EchoDegradation`.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 64.0)
    dims: ClassVar[tuple[int, ...]] = (2,)

    def __init__(
        self, width: Level = (2.0, 9.0), along: Along = "columns", scaling: Scaling = "amplitude", clip: bool = True
    ) -> None:
        super().__init__(width, scaling, clip)
        check_along(along)
        self.along: Along = along

    def echo(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        """Takes the mean."""
        axis = axis_of(self.along)
        n, half = u.shape[axis], int(self.high / 2.0 + 1.0)
        places = torch.arange(n, device=u.device)
        total, weights = torch.zeros_like(u), torch.zeros_like(per_sample(level, u))
        for step in range(-half, half + 1):
            weight = per_sample((level / 2.0 + 0.5 - abs(step)).clamp(0.0, 1.0), u)
            weight = torch.ones_like(weight) if step == 0 else weight * (per_sample(level, u) > 1.0)
            total = total + weight * u.index_select(axis, (places + step).clamp(0, n - 1))
            weights = weights + weight
        return Measurement(total / weights)


class Ghost(PolarDegradation):
    """A second path: ``u'(r) = u(r) + strength u(r − d)``, d twice the height above the bottom or below the surface.

    Args:
        strength: of the ghost.
        nearest, farthest: d as a share of the ranges, drawn for each sample.
        along: whether a range is one of the ``rows`` or of the ``columns`` (pings by ranges).
        scaling, clip: see :class:`EchoDegradation`.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 2.0)

    def __init__(
        self,
        strength: Level = (0.1, 0.5),
        nearest: float = 0.1,
        farthest: float = 0.4,
        along: Along = "rows",
        scaling: Scaling = "amplitude",
        clip: bool = True,
    ) -> None:
        check_along(along)
        super().__init__(strength, along == "columns", scaling, clip)
        self.nearest, self.farthest = nearest, farthest

    def polar(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Tensor:
        """Adds a copy that comes later."""
        rows = u.shape[-2]
        delay = self.nearest + (self.farthest - self.nearest) * uniform(len(u), u, generator)
        shift = (delay * rows).round().long().clamp(min=1)
        source = torch.arange(rows, device=u.device).view(1, -1) - shift.view(-1, 1)
        index = source.clamp(min=0).view(len(u), 1, rows, 1).expand_as(u)
        later = torch.where((source >= 0).view(len(u), 1, rows, 1), u.gather(2, index), 0.0)
        return u + per_sample(level, u) * later
