"""From stored signals to what a model sees: gaps become a mask, then the degradation is applied."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vaegan.degradation.base import Degradation


@dataclass(frozen=True)
class Observation:
    """Signals as a model sees them, and what they should be.

    Attributes:
        y: the observed signals, in model units. Where samples may be missing it is 0 where the truth is unknown, and of
            pairs where the observed partner has none.
        mask: True where a sample was observed, or ``None`` where all were.
        x: the truth, in model units; 0 where it is unknown.
        known: True where the truth is known, or ``None`` where it is everywhere.
    """

    y: Float[Tensor, "batch channels *space"]
    mask: Bool[Tensor, "batch 1 *space"] | None
    x: Float[Tensor, "batch channels *space"]
    known: Bool[Tensor, "batch 1 *space"] | None


def filled(
    x: Float[Tensor, "batch channels *space"],
) -> tuple[Float[Tensor, "batch channels *space"], Bool[Tensor, "batch 1 *space"]]:
    """Signals with 0 where a channel is NaN, and where none is."""
    known = ~torch.isnan(x).any(dim=1, keepdim=True)
    return torch.where(known, x, 0.0), known


def bridged(
    x: Float[Tensor, "batch channels *space"], known: Bool[Tensor, "batch 1 *space"]
) -> Float[Tensor, "batch channels *space"]:
    """Signals whose gaps are filled by the nearest known sample: along the last axis, and where none is along the other.

    Args:
        x: the signals, 0 where they are unknown; so they stay where nothing is known at all.
        known: True where they are known.
    """
    for axis in range(x.dim() - 1, 1, -1):
        size = x.shape[axis]
        at = torch.arange(size, device=x.device).view(-1, *(1 for _ in x.shape[axis + 1 :]))
        before = torch.where(known, at, -size).cummax(dim=axis).values
        after = torch.where(known, at, 2 * size).flip(axis).cummin(dim=axis).values.flip(axis)
        nearest = torch.where(at - before <= after - at, before, after)
        x = x.gather(axis, nearest.clamp(0, size - 1).expand_as(x))
        known = (nearest >= 0) & (nearest < size)
    return x


def observe(
    x: Float[Tensor, "batch channels *space"],
    degradation: Degradation | None,
    *,
    gaps: bool = False,
    observed: Float[Tensor, "batch channels *space"] | None = None,
    generator: torch.Generator | None = None,
) -> Observation:
    """What a model sees of signals.

    Args:
        x: clean signals in model units.
        degradation: what happens to them; ``None`` for nothing.
        gaps: whether samples may be missing (NaN); see :class:`~vaegan.signal.SignalSpec`.
        observed: their damaged partners, where the data come in pairs: then nothing else happens to them.
        generator: of the degradation. In gaps it sees the nearest known sample: what it makes of a sample's neighbours would
            otherwise be made of a surface at 0 that is not there.
    """
    known: Tensor | None = None
    if gaps:
        x, known = filled(x)
    y, mask = x, known
    if observed is not None:
        y, mask = filled(observed) if gaps else (observed, None)
    elif degradation is not None:
        measured = degradation(x if known is None else bridged(x, known), generator=generator)
        y, mask = measured.y, measured.mask if known is None else _both(measured.mask, known)
        if known is not None:
            y = torch.where(known, y, 0.0)
    return Observation(y, mask, x, known)


def _both(mask: Tensor | None, known: Tensor) -> Tensor:
    return known if mask is None else mask & known
