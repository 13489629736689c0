"""Linear losses of detail: blur, motion, downsampling. Borders repeat the outermost sample."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vaegan.degradation.base import Degradation, Level, Measurement, uniform

_CONVOLVE = {1: F.conv1d, 2: F.conv2d}


def convolve(
    x: Float[Tensor, "batch channels *space"], kernels: Float[Tensor, "batch *taps"]
) -> Float[Tensor, "batch channels *space"]:
    """Each sample convolved with its own kernel of odd sizes, in every channel, at the same size.

    Padding repeats the border: unlike reflection it exists for a signal shorter than the kernel, and it keeps
    constants.
    """
    batch, channels = x.shape[:2]
    pad = [side // 2 for side in reversed(kernels.shape[1:]) for _ in range(2)]
    padded = F.pad(x, pad, mode="replicate").flatten(0, 1).unsqueeze(0)
    weight = kernels.repeat_interleave(channels, dim=0).unsqueeze(1)
    return _CONVOLVE[x.dim() - 2](padded, weight, groups=batch * channels).view_as(x)


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(dim=tuple(range(1, weights.dim())), keepdim=True)


class GaussianBlur(Degradation):
    """Convolution with a Gaussian, cut at three of the widest standard deviations.

    Args:
        sigma: standard deviation in px, the same along every axis.

    Raises:
        UserError: when sigma is negative.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1000.0)

    def __init__(self, sigma: Level = (0.5, 2.5)) -> None:
        super().__init__(sigma)
        # One radius for all samples: a radius of each batch's widest would make samples depend on one
        # another.
        self.radius = math.ceil(3.0 * self.strongest)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Blurs one axis after the other, which is the same as at once for a Gaussian."""
        offsets = torch.arange(-self.radius, self.radius + 1, device=x.device, dtype=x.dtype)
        kernel = _normalised(torch.exp(-0.5 * (offsets / level.clamp(min=1e-3).unsqueeze(1)) ** 2))
        dims = x.dim() - 2
        for axis in range(dims):
            taps = [-1 if dim == axis else 1 for dim in range(dims)]
            x = convolve(x, kernel.view(len(x), *taps))
        return Measurement(x)


class MotionBlur(Degradation):
    """Mean along a straight path: at a random angle for each picture, along the axis of a 1D signal.

    Args:
        length: length of the path in px; 1 changes nothing.

    Raises:
        UserError: when length is below 1.
    """

    harmless: ClassVar[float] = 1.0
    bounds: ClassVar[tuple[float, float]] = (1.0, 1000.0)

    def __init__(self, length: Level = (3.0, 15.0)) -> None:
        super().__init__(length)
        self.radius = math.ceil((self.strongest + 1.0) / 2.0)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Weights each neighbour by ``max(0, 1 - its distance to the path)``: a path without steps."""
        offsets = torch.arange(-self.radius, self.radius + 1, device=x.device, dtype=x.dtype)
        half = (level - 1.0).clamp(min=0.0) / 2.0
        if x.dim() == 3:
            beyond = (offsets.abs() - half.unsqueeze(1)).clamp(min=0.0)
            return Measurement(convolve(x, _normalised((1.0 - beyond).clamp(min=0.0))))
        angle = (math.pi * uniform(len(x), x, generator)).view(-1, 1, 1)
        rows, columns = offsets.view(1, -1, 1), offsets.view(1, 1, -1)
        along = rows * angle.sin() + columns * angle.cos()
        across = rows * angle.cos() - columns * angle.sin()
        distance = torch.hypot((along.abs() - half.view(-1, 1, 1)).clamp(min=0.0), across)
        return Measurement(convolve(x, _normalised((1.0 - distance).clamp(min=0.0))))


class Downsampling(Degradation):
    """Fewer samples at the old size: means over equal cells, then linear interpolation between their centres.

    Args:
        factor: how many times coarser each axis becomes, any real number from 1; an axis of n samples is
            divided into round(n / factor) cells.

    Raises:
        UserError: when factor is below 1.
    """

    harmless: ClassVar[float] = 1.0
    bounds: ClassVar[tuple[float, float]] = (1.0, math.inf)

    def __init__(self, factor: Level = (1.5, 4.0)) -> None:
        super().__init__(factor)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Goes down and up along one axis after the other."""
        # Double precision, because a running sum over a long signal would lose the digits of a single sample.
        y = x.double()
        for axis in range(2, x.dim()):
            moved = y.movedim(axis, 1)
            y = _coarser(moved.flatten(2), level.double()).view(moved.shape).movedim(1, axis)
        return Measurement(y.to(x.dtype).contiguous())


def _coarser(x: Float[Tensor, "batch n rest"], factor: Float[Tensor, " batch"]) -> Float[Tensor, "batch n rest"]:
    """Cell means along the middle axis, interpolated back.

    Means are read from a running sum, so that no coarse grid exists and each sample has its own factor.
    """
    size = x.shape[1]
    cells = (size / factor).round().clamp(1, size).view(-1, 1, 1)
    width = size / cells
    centres = (torch.arange(size, device=x.device, dtype=x.dtype).view(1, -1, 1) + 0.5) / width - 0.5
    centres = torch.minimum(centres.clamp(min=0.0), cells - 1.0)
    first = centres.floor()
    total = F.pad(x.cumsum(dim=1), (0, 0, 1, 0))
    edges = [_interpolate(total, ((first + step) * width).clamp(max=size)) for step in range(3)]
    return torch.lerp(edges[1] - edges[0], edges[2] - edges[1], centres - first) / width


def _interpolate(
    values: Float[Tensor, "batch n rest"], where: Float[Tensor, "batch m 1"]
) -> Float[Tensor, "batch m rest"]:
    """``values`` read at the real positions ``where`` in [0, n - 1] of the middle axis."""
    batch, size, rest = values.shape
    left = where.floor().clamp(max=size - 2)
    begin = size * torch.arange(batch, device=values.device).view(-1, 1)
    # Whole rows are copied: several times faster than a gather that has an index for every value.
    index = (begin + left.long().squeeze(-1)).flatten()
    rows = values.flatten(0, 1)
    near, far = (rows.index_select(0, index + step).view(batch, -1, rest) for step in (0, 1))
    return torch.lerp(near, far, where - left)
