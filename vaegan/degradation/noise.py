"""Noise that touches each sample of a signal on its own."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from vaegan.degradation.base import Degradation, Level, Measurement, normal, per_sample, uniform


class GaussianNoise(Degradation):
    """Additive white Gaussian noise, ``y = x + 2 sigma n`` with ``n ~ N(0, 1)``.

    Args:
        sigma: standard deviation as a fraction of the full value range; 50/255 on model units [-1, 1] is a
            standard deviation of 2 * 50/255.
        clip: whether y is cut to [-1, 1], as a sensor of 8 bits cuts it.

    Raises:
        UserError: when sigma is negative.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def __init__(self, sigma: Level = (5 / 255, 60 / 255), clip: bool = False) -> None:
        super().__init__(sigma)
        self.clip = clip

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Adds noise of standard deviation ``2 * level`` to each sample."""
        y = x + 2.0 * per_sample(level, x) * normal(tuple(x.shape), x, generator)
        return Measurement(y.clamp(-1.0, 1.0) if self.clip else y)


class Speckle(Degradation):
    """Multiplicative noise, ``u' = u (1 + sigma n)``, where ``u = (x + 1) / 2`` and ``n ~ N(0, 1)``.

    Args:
        sigma: standard deviation of the factor, dimensionless.

    Raises:
        UserError: when sigma is negative.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def __init__(self, sigma: Level = (0.05, 0.4)) -> None:
        super().__init__(sigma)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Multiplies; in model units this is ``y = x + level (x + 1) n``."""
        return Measurement(x + per_sample(level, x) * (x + 1.0) * normal(tuple(x.shape), x, generator))


class SaltAndPepper(Degradation):
    """Impulse noise: a share of the positions becomes -1 or 1, with equal odds and in all channels at once.

    Args:
        amount: share of positions hit, 0 to 1.

    Raises:
        UserError: when amount leaves [0, 1].
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, amount: Level = (0.01, 0.1)) -> None:
        super().__init__(amount)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Replaces ``level`` of each sample's positions; one number decides both whether and by what."""
        draw = uniform((x.shape[0], 1, *x.shape[2:]), x, generator)
        share = per_sample(level, x)
        y = torch.where(draw < share, torch.ones_like(x), x)
        return Measurement(torch.where(draw < 0.5 * share, -torch.ones_like(x), y))
