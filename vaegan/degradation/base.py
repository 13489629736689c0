"""The contract of a degradation: ``y = N(A(x))``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.errors import UserError


@dataclass(frozen=True)
class Measurement:
    """What an instrument delivers.

    Attributes:
        y: the observed signal, in model units; same shape as the clean one.
        mask: True where a sample was observed, or ``None`` where the instrument does not say (all samples
            count).
    """

    y: Float[Tensor, "batch channels *space"]
    mask: Bool[Tensor, "batch 1 *space"] | None = None


Level = float | tuple[float, float]
"""A parameter of a degradation: fixed, or drawn for each sample uniformly between two values."""


class Degradation(nn.Module, ABC):
    """A degradation of a batch, on the batch's device, with a level drawn for each sample on its own.

    Args:
        level: the native parameter (a noise's sigma, a blur's width, ...): one value, or ``(low, high)`` of
            which each sample draws its own. ``harmless`` is the value that changes nothing, ``bounds`` are
            the least and the greatest value that make sense.

    Attributes:
        looks: the number of looks, where this is gamma noise of one and nothing else but samples that are hidden.
        hides: whether it does nothing but hide samples, and its mask says which.

    Raises:
        UserError: when the range is reversed or leaves ``bounds``.
    """

    harmless: ClassVar[float] = 0.0
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    dims: ClassVar[tuple[int, ...]] = (1, 2)
    looks: float | None = None
    hides: bool = False

    def __init__(self, level: Level) -> None:
        super().__init__()
        low, high = (level, level) if isinstance(level, int | float) else level
        if low > high:
            raise UserError(f"{type(self).__name__} got the range ({low}, {high})", expected="(low, high)")
        least, most = self.bounds
        if not least <= low <= high <= most:
            found = f"{low:g}" if low == high else f"({low:g}, {high:g})"
            raise UserError(f"{type(self).__name__} got {found}", expected=f"values in [{least:g}, {most:g}]")
        self.low, self.high = float(low), float(high)

    @property
    def strongest(self) -> float:
        """The end of the level's range that lies farther from ``harmless``."""
        return max(self.low, self.high, key=lambda level: abs(level - self.harmless))

    def forward(
        self,
        x: Float[Tensor, "batch channels *space"],
        *,
        generator: torch.Generator | None = None,
        severity: Float[Tensor, " batch"] | None = None,
    ) -> Measurement:
        """Degrades each sample of a batch.

        Args:
            x: clean signals in model units [-1, 1].
            generator: where every random number comes from; the same state gives the same result.
            severity: for each sample 0 (unchanged, exactly) to 1 (the strongest level); by default each
                sample draws its level from the range.
        """
        if severity is None:
            level = self.low + (self.high - self.low) * uniform(x.shape[0], x, generator)
            return self.degrade(x, level, generator)
        severity = severity.to(x)
        level = self.harmless + severity * (self.strongest - self.harmless)
        measured = self.degrade(x, level, generator)
        untouched = per_sample(severity == 0, x)
        mask = None if measured.mask is None else measured.mask | untouched
        return Measurement(torch.where(untouched, x, measured.y), mask)

    @abstractmethod
    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Degrades each sample at its own level."""

    def extra_repr(self) -> str:
        """The level's range."""
        return f"{self.low:g}..{self.high:g}"


def uniform(n: int | tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Numbers in [0, 1) from the generator (on its own device), as ``like`` has its dtype and device."""
    shape = (n,) if isinstance(n, int) else n
    device = like.device if generator is None else generator.device
    return torch.rand(shape, generator=generator, device=device).to(like)


def normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers from the generator (on its own device), with dtype and device of ``like``."""
    device = like.device if generator is None else generator.device
    return torch.randn(shape, generator=generator, device=device).to(like)


def per_sample(values: Tensor, x: Tensor) -> Tensor:
    """``values`` (batch,) reshaped to broadcast over ``x`` (batch, channels, *space)."""
    return values.view(-1, *(1 for _ in x.shape[1:]))
