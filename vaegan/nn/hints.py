"""What can be said of an observed signal without learning, as channels for a restoring network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vaegan.nn.conv import wrapped

SATURATED = 0.998
"""In model units: closer to an end of the range than half an 8-bit level."""
RADIUS = 4
HINTS = 2
"""Channels that :func:`hints` gives."""


def hints(
    observed: Float[Tensor, "batch channels *space"], periodic: Sequence[bool]
) -> Float[Tensor, "batch 2 *space"]:
    """Where an instrument is saturated, and how noisy a neighbourhood is.

    The first channel is 1 where all channels are at the top of their range (an opaque white stroke, a clipped amplifier), -1
    where all are at the bottom, else 0. The second is the standard deviation that white noise would need for the mean
    absolute response of the mask ``[1, -2, 1]`` along every axis (Immerkær 1996), over 9 samples along each.

    Args:
        observed: in model units.
        periodic: which axes wrap around.
    """
    top = (observed.amin(1, keepdim=True) > SATURATED).to(observed.dtype)
    bottom = (observed.amax(1, keepdim=True) < -SATURATED).to(observed.dtype)
    detail, dims = observed, observed.dim() - 2
    for axis in range(2, 2 + dims):
        if observed.shape[axis] > 2:
            detail = _second_difference(detail, axis, periodic[axis - 2])
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d}[dims]
    level = wrapped(detail.abs().mean(1, keepdim=True), [RADIUS * wraps for wraps in periodic])
    level = pool(level, 2 * RADIUS + 1, 1, [RADIUS * (not wraps) for wraps in periodic], count_include_pad=False)
    gain = 6.0 ** (dims / 2)  # the norm of the mask
    return torch.cat([top - bottom, level * (torch.pi / 2) ** 0.5 / gain], dim=1)


def _second_difference(x: Tensor, axis: int, wraps: bool) -> Tensor:
    """``x[i-1] - 2 x[i] + x[i+1]``; open ends repeat their neighbour's value."""
    if wraps:
        return x.roll(1, axis) - 2 * x + x.roll(-1, axis)
    size = x.shape[axis]
    inside = x.narrow(axis, 0, size - 2) - 2 * x.narrow(axis, 1, size - 2) + x.narrow(axis, 2, size - 2)
    return torch.cat([inside.narrow(axis, 0, 1), inside, inside.narrow(axis, size - 3, 1)], dim=axis)
