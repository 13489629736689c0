"""What happens to ranges on their way: noise, steps, drops, lost beams, blocked sectors, spikes, mixed pixels.

Ranges are the first channel; what else there is (reflectance) is left as it is. A sample that is lost gets the range 0,
and the mask says so: an instrument knows which echo did not come back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from domains.lidar.ranges import RangeCode
from domains.lidar.raydrop import Chance
from vaegan.degradation import Degradation, Level, Measurement
from vaegan.degradation.base import normal, per_sample, uniform
from vaegan.errors import UserError

REFLECTED = 0.25
"""Reflectances 0 to 1 are model units -0.25 to 0.25: their errors, large beside those of ranges, do not drown those out."""


class RangeDegradation(Degradation):
    """A degradation that is stated in metres.

    Args:
        level: see :class:`~vaegan.degradation.Degradation`.
        code: how ranges become model units.
    """

    def __init__(self, level: Level, code: RangeCode) -> None:
        super().__init__(level)
        self.code = code

    def ranges(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch 1 *space"]:
        """The ranges of signals in model units, in metres."""
        return self.code.to_range(x[:, :1])

    def with_ranges(
        self, x: Float[Tensor, "batch channels *space"], ranges: Float[Tensor, "batch 1 *space"]
    ) -> Float[Tensor, "batch channels *space"]:
        """Signals with other ranges, which are cut at 0 and at twice the farthest; a range of 0 is no echo, and stays."""
        unit = self.code.to_unit(ranges.clamp(0.0, 2.0 * self.code.far))
        return torch.where(nothing(x), x, torch.cat([unit, x[:, 1:]], dim=1))


def nothing(x: Float[Tensor, "batch channels *space"]) -> Bool[Tensor, "batch 1 *space"]:
    """Where there is no echo, in signals in model units in which that is a range of 0."""
    return x[:, :1] <= -1.0


def without(x: Float[Tensor, "batch channels *space"], lost: Tensor) -> Measurement:
    """Signals with -1 (range 0) in every channel where something was lost, and the mask that says where it was not."""
    return Measurement(torch.where(lost, -1.0, x), ~lost)


class RangeNoise(RangeDegradation):
    """Normal noise on each range.

    Args:
        sigma: standard deviation in metres; 0.01 to 0.03 are typical of a sensor.
        code: how ranges become model units.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def __init__(self, sigma: Level = (0.01, 0.1), *, code: RangeCode) -> None:
        super().__init__(sigma, code)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """``r + sigma n``."""
        ranges = self.ranges(x)
        return Measurement(
            self.with_ranges(x, ranges + per_sample(level, x) * normal(tuple(ranges.shape), x, generator))
        )


class Quantise(RangeDegradation):
    """Ranges rounded to whole steps.

    Args:
        step: in metres: 0.002 for an HDL-64, 0.01 to 0.05 for planar scanners.
        code: how ranges become model units.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def __init__(self, step: Level = (0.002, 0.05), *, code: RangeCode) -> None:
        super().__init__(step, code)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """``step round(r / step)``."""
        step = per_sample(level, x)
        ranges = self.ranges(x)
        rounded = step * torch.round(ranges / step.clamp(min=1e-9))
        return Measurement(torch.where(step > 0, self.with_ranges(x, rounded), x))


class Drop(Degradation):
    """Echoes that do not come back, each on its own.

    Args:
        share: of the echoes that are lost, on average. A range of 0 is no echo; what stands in a gap counts as one, since
            nothing says here that it is none (see :func:`vaegan.degradation.observe`).
        by: which are likelier to be, a name of ``ways``: ``"uniform"``: all alike; ``"range"``: the far ones, by the square
            of the range; ``"map"`` and ``"learned"``: those that the training items lack.
        ways: chances by name, see :func:`domains.lidar.raydrop.ways`.

    Raises:
        UserError: for a share outside of 0 to 1, or an unknown ``by``.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(
        self, share: Level = (0.1, 0.5), by: str = "uniform", *, ways: Mapping[str, Callable[[], Chance]]
    ) -> None:
        super().__init__(share)
        if by not in ways:
            raise UserError(f"drop by {by!r}", expected=f"one of {', '.join(ways)}")
        self.chance = ways[by]()

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Loses samples."""
        chance = with_mean(self.chance(x), per_sample(level, x), echoes(x))
        return without(x, uniform((len(x), 1, *x.shape[2:]), x, generator) < chance)


def echoes(x: Float[Tensor, "batch channels *space"]) -> Bool[Tensor, "batch 1 *space"]:
    """True where the range is not 0, which stands for none; everywhere in an item without any."""
    there = x[:, :1] > -1.0
    return there | per_sample(~there.flatten(1).any(dim=1), x)


def with_mean(
    chance: Float[Tensor, "batch 1 *space"],
    share: Float[Tensor, "batch ..."],
    there: Bool[Tensor, "batch 1 *space"],
    steps: int = 16,
) -> Float[Tensor, "batch 1 *space"]:
    """Chances scaled so that, none above 1, their mean over what is ``there`` is ``share`` in each item.

    It is found by ``steps`` fixed-point steps. Of one chance for all samples the mean is that itself.
    """
    weight = there.to(chance) if chance.shape[2:] == there.shape[2:] else torch.ones_like(chance)
    weight = weight / per_sample(weight.flatten(1).sum(1), weight)
    scaled = chance
    for _ in range(steps):
        mean = per_sample((scaled * weight).flatten(1).sum(1).clamp(min=1e-9), scaled)
        scaled = (scaled * (share / mean)).clamp(max=1.0)
    return scaled


class Spikes(RangeDegradation):
    """Single echoes from something in the way, as dust or insects: the range falls to a random share of itself.

    Args:
        share: of the samples that are hit, 0 to 1.
        code: how ranges become model units.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, share: Level = (0.005, 0.05), *, code: RangeCode) -> None:
        super().__init__(share, code)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """``u r`` with u uniform from 0 to 1 where hit; the instrument does not say where."""
        ranges = self.ranges(x)
        hit = uniform(tuple(ranges.shape), x, generator) < per_sample(level, x)
        return Measurement(
            torch.where(hit, self.with_ranges(x, ranges * uniform(tuple(ranges.shape), x, generator)), x)
        )


class MixedPixels(RangeDegradation):
    """Beams that hit two surfaces at once: at an edge the range lies anywhere between both sides of it.

    Args:
        share: of the edge samples that are mixed, 0 to 1.
        edge: least difference to the next sample along the last axis that counts as an edge, in metres.
        code: how ranges become model units.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, share: Level = (0.2, 0.8), edge: float = 0.5, *, code: RangeCode) -> None:
        super().__init__(share, code)
        self.edge = edge

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """A mean of the sample and the next one, with random weights, where they differ by more than ``edge``."""
        ranges = self.ranges(x)
        following = torch.cat([ranges[..., 1:], ranges[..., -1:]], dim=-1)
        mixed = uniform(tuple(ranges.shape), x, generator) < per_sample(level, x)
        weight = uniform(tuple(ranges.shape), x, generator)
        mixed = mixed & ((ranges - following).abs() > self.edge) & (following > 0)  # there is no echo at 0 to mix with
        return Measurement(torch.where(mixed, self.with_ranges(x, ranges + weight * (following - ranges)), x))


class Sector(Degradation):
    """A sector that sees nothing, as behind a post or on dirt, at a random place along the last axis.

    Args:
        share: of the last axis, 0 to 1.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, share: Level = (0.02, 0.15)) -> None:
        super().__init__(share)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Loses a sector that does not wrap around."""
        size = x.shape[-1]
        wide = per_sample(level, x) * size
        start = per_sample(uniform(len(x), x, generator), x) * (size - wide)
        place = torch.arange(size, device=x.device, dtype=x.dtype) + 0.5
        lost = (place >= start) & (place < start + wide)
        return without(x, lost.expand(len(x), 1, *x.shape[2:]))


class Beams(Degradation):
    """A sensor with fewer beams: of the rows only each k-th is kept.

    Args:
        kept: k itself, a range of it, or ``"16->64"`` for k = 4.
        phase: the first row that is kept.

    Raises:
        UserError: for a k below 1, or other words.
    """

    harmless: ClassVar[float] = 1.0
    bounds: ClassVar[tuple[float, float]] = (1.0, math.inf)
    dims: ClassVar[tuple[int, ...]] = (2,)

    def __init__(self, kept: float | tuple[float, float] | str = "16->64", phase: int = 0) -> None:
        super().__init__(_factor(kept) if isinstance(kept, str) else kept)
        if phase < 0:
            raise UserError(f"beams from row {phase}", expected="0 or more")
        self.phase = phase

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Loses whole rows."""
        every = per_sample(level, x).round().clamp(min=1.0)
        row = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype).view(-1, 1)
        lost = torch.remainder(row - self.phase, every) != 0
        return without(x, lost.expand(len(x), 1, *x.shape[2:]))


def _factor(text: str) -> float:
    few, arrow, many = text.partition("->")
    if not arrow or not few.isdigit() or not many.isdigit() or int(few) < 1 or int(many) % int(few):
        raise UserError(f"beams {text!r}", expected="FEW->MANY such as 16->64, a whole multiple")
    return int(many) / int(few)
