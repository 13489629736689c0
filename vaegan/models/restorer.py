"""What models share that restore and have no prior to draw from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.models.base import Model, Restored
from vaegan.nn import at_least_single


def with_mask(
    y: Float[Tensor, "batch channels *space"], mask: Bool[Tensor, "batch 1 *space"] | None
) -> Float[Tensor, "batch more *space"]:
    """Observed signals, 0 where nothing was observed, and one channel more: 1 where something was, else 0."""
    if mask is None:
        return torch.cat([y, torch.ones_like(y[:, :1])], dim=1)
    return torch.cat([torch.where(mask, y, 0.0), mask.to(y.dtype)], dim=1)


def moments(draw: Callable[[], Tensor], samples: int) -> Restored:
    """Mean and standard deviation over so many draws, in single precision or better.

    Squares are those of differences to the first draw: of the draws themselves they would cancel, and draws that are all
    the same would seem to differ.
    """
    first = at_least_single(draw())
    total, squares = torch.zeros_like(first), torch.zeros_like(first)
    for _ in range(samples - 1):
        apart = at_least_single(draw()) - first
        total, squares = total + apart, squares + apart.square()
    mean = total / samples
    variance = (squares / samples - mean.square()).clamp(min=0) * (samples / max(samples - 1, 1))
    return Restored(first + mean, variance.sqrt())


class Restorer(Model):
    """A model that restores and draws no signals of its own."""

    @abstractmethod
    def restored(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """One restoration: a draw with a generator, the best single one without; the same where nothing is drawn."""

    def restore(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        *,
        samples: int = 0,
        generator: torch.Generator | None = None,
    ) -> Restored:
        """The best single restoration, or mean and spread over ``samples`` draws (a spread of 0 where nothing is drawn)."""
        if samples < 1:
            return Restored(self.restored(y, mask))
        if generator is None:
            generator = torch.Generator(y.device).manual_seed(0)
        return moments(lambda: self.restored(y, mask, generator), samples)


class NetworkRestorer(Restorer):
    """A restorer of one network and nothing drawn.

    Attributes:
        network: (batch, channels + 1, *space), see :func:`with_mask`, to the change to be made, or to the signal itself.
    """

    network: nn.Module

    def players(self) -> dict[str, nn.Module]:
        """``network``."""
        return {"network": self.network}
