"""The nearest observed samples along each axis: what a signal with gaps is continued from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

FARTHEST = 64
"""Samples along an axis over which a neighbour is looked for; what is farther away counts as not there."""

_ONE_SIDED = 1e-3
_FINE = 100.0
_NARROW = 3.0
_WIDEST = 2.0
_ALIKE = 0.02


def nearest(
    x: Float[Tensor, "batch channels *space"], seen: Float[Tensor, "batch 1 *space"], axis: int, *, wraps: bool
) -> tuple[Tensor, Tensor]:
    """The nearest observed sample before each sample along an axis.

    Args:
        x: the observed signal; what stands where nothing was observed does not matter, as long as it is finite.
        seen: above 0 where a sample was observed.
        axis: of ``x``, from 2 on.
        wraps: whether the first sample follows the last.

    Returns:
        Its values, shaped as ``x`` (0 where there is none), and how many samples it lies behind, shaped as ``seen``
        (0 where there is none within ``FARTHEST``).
    """
    size = x.shape[axis]
    if wraps:
        # Only as much of the end as can matter is put before the start.
        margin = min(FARTHEST, size - 1)
        x, seen = (torch.cat([t.narrow(axis, size - margin, margin), t], dim=axis) for t in (x, seen))
    length = x.shape[axis]
    shape = [length if dim == axis else 1 for dim in range(x.dim())]
    index = torch.arange(length, device=x.device).view(shape)
    last = torch.where(seen > 0, index, -1).cummax(dim=axis).values
    # Strictly before: an observed sample is not its own neighbour.
    last = torch.cat([last.new_full(last.narrow(axis, 0, 1).shape, -1), last.narrow(axis, 0, length - 1)], dim=axis)
    distance = index - last
    there = (last >= 0) & (distance <= FARTHEST)
    values = torch.where(there, x.gather(axis, last.clamp(min=0).expand_as(x)), 0.0)
    distance = (distance * there).to(x.dtype)
    return values.narrow(axis, length - size, size), distance.narrow(axis, length - size, size)


def continued(
    x: Float[Tensor, "batch channels *space"],
    seen: Float[Tensor, "batch 1 *space"],
    periodic: Sequence[bool],
) -> tuple[Float[Tensor, "batch channels *space"], Float[Tensor, "batch differences *space"]]:
    """A signal with its gaps filled, and how its observed neighbours differ from it.

    A gap is filled by the straight line between its ends along each axis; where several axes have both ends, by the mean of
    their lines, weighted by the inverse square of the gap's length; where none has, by the nearest end; where nothing is
    observed within reach, with 0.

    Args:
        x: the observed signal.
        seen: above 0 where a sample was observed.
        periodic: which axes wrap.

    Returns:
        The filled signal, and for each axis and side (before, after) in turn the differences of all channels
        between the nearest observed sample and the filled signal (0 where there is none).
    """
    total, weights = torch.zeros_like(x), torch.zeros_like(seen)
    sides: list[tuple[Tensor, Tensor]] = []
    for axis, wraps in enumerate(periodic, start=2):
        before, behind = nearest(x, seen, axis, wraps=wraps)
        after, ahead = (t.flip(axis) for t in nearest(x.flip(axis), seen.flip(axis), axis, wraps=wraps))
        both = behind * ahead > 0
        length = (behind + ahead).clamp(min=1.0)
        line = torch.where(both, (before * ahead + after * behind) / length, before + after)
        weight = torch.where(both, 1.0, _ONE_SIDED) * ((behind + ahead) > 0) / length.square()
        total, weights = total + weight * line, weights + weight
        sides += [(before, behind), (after, ahead)]
    filled = torch.where(seen > 0, x, total / weights.clamp(min=1e-12))
    differences = [torch.where(distance > 0, values - filled, 0.0) for values, distance in sides]
    return filled, torch.cat(differences, dim=1)


def alike(
    x: Float[Tensor, "batch channels *space"], reach: int, periodic: Sequence[bool]
) -> Float[Tensor, "batch differences *space"]:
    """How samples that are alike differ: what a bilateral filter adds up (Tomasi and Manduchi 1998).

    A constant share of all of these is such a filter, so that a network begins with one instead of having to find it.

    Args:
        x: a signal without gaps.
        reach: samples to each side along each axis.
        periodic: which axes wrap.

    Returns:
        For each axis, distance and side in turn the difference d of all channels, times exp(-d² / 2 · 0.02²); 0 beyond the
        ends.
    """
    found = []
    for axis, wraps in enumerate(periodic, start=2):
        for away in range(1, reach + 1):
            step = torch.roll(x, -away, axis) - x
            step = step * torch.exp(-0.5 * (step / _ALIKE).square())
            if not wraps:
                beyond = min(away, x.shape[axis])
                step.narrow(axis, x.shape[axis] - beyond, beyond).zero_()
            found += [step, torch.roll(-step, away, axis)]
    return torch.cat(found, dim=1)


def squashed(differences: Tensor) -> Tensor:
    """Differences on a scale on which small ones show beside large ones: asinh(100 d) / 3."""
    return torch.asinh(_FINE * differences) / _NARROW


def unsquashed(x: Tensor) -> Tensor:
    """Of what a network says, the difference that it means: the inverse of :func:`squashed`, up to differences of 2.

    A step of training that shakes the network's last layer then moves small changes by little, and leaves alone what is
    right.
    """
    return torch.sinh(_NARROW * x.clamp(-_WIDEST, _WIDEST)) / _FINE
