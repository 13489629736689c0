"""Faults of an EEG recording that are not additive: clipping, flat channels, dropped samples."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from vaegan.degradation.base import Degradation, Level, Measurement, per_sample, uniform


class Clip(Degradation):
    """An amplifier that saturates: each signal is cut at a multiple of its own RMS.

    Args:
        share: of the signal's peak that is cut away, 0 (nothing) to below 1; the ceiling is (1 - share) of the peak.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 0.99)
    dims: ClassVar[tuple[int, ...]] = (1,)

    def __init__(self, share: Level = (0.2, 0.7)) -> None:
        super().__init__(share)

    def degrade(
        self, x: Float[Tensor, "batch channels time"], level: Float[Tensor, " batch"], generator: torch.Generator | None
    ) -> Measurement:
        """Cuts both ends; nobody says which samples were cut."""
        ceiling = x.abs().amax((1, 2), keepdim=True) * per_sample(1.0 - level, x)
        return Measurement(torch.maximum(torch.minimum(x, ceiling), -ceiling))


class Flat(Degradation):
    """A stretch in which one channel records nothing: it stays at the value that it had.

    Args:
        share: of the window's length, 0 to 1.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    dims: ClassVar[tuple[int, ...]] = (1,)

    def __init__(self, share: Level = (0.1, 0.5)) -> None:
        super().__init__(share)

    def degrade(
        self, x: Float[Tensor, "batch channels time"], level: Float[Tensor, " batch"], generator: torch.Generator | None
    ) -> Measurement:
        """Holds one channel; nobody says which."""
        n, channels, _ = x.shape
        within, begin = _stretch(x, level, generator)
        chosen = (uniform(n, x, generator) * channels).long().clamp(max=channels - 1)
        where = torch.nn.functional.one_hot(chosen, channels).bool()[:, :, None] & within[:, None]
        held = x.gather(2, begin[:, None, None].expand(n, channels, 1))
        return Measurement(torch.where(where, held, x))


class Drop(Degradation):
    """A stretch that was lost in transmission: no channel has values there, and the recording says so.

    Args:
        share: of the window's length, 0 to 1.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    dims: ClassVar[tuple[int, ...]] = (1,)

    def __init__(self, share: Level = (0.05, 0.3)) -> None:
        super().__init__(share)

    def degrade(
        self, x: Float[Tensor, "batch channels time"], level: Float[Tensor, " batch"], generator: torch.Generator | None
    ) -> Measurement:
        """0 where samples were lost, and a mask that is False there."""
        lost, _ = _stretch(x, level, generator)
        mask = ~lost[:, None]
        return Measurement(torch.where(mask, x, torch.zeros_like(x)), mask)


def _stretch(x: Tensor, share: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """(batch, time) True in one stretch of each window, and where it begins."""
    length = x.shape[-1]
    width = share * length
    begin = (uniform(len(x), x, generator) * (length - width)).long().clamp(max=length - 1)
    t = torch.arange(length, device=x.device)
    return (t >= begin[:, None]) & (t < begin[:, None] + width.round().long()[:, None]), begin
