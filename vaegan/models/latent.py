"""Models with a latent: they encode, decode, and from these two they sample and restore."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vaegan.degradation.base import normal
from vaegan.models.base import Model, Restored
from vaegan.models.restorer import moments
from vaegan.nn import Context, Encoding


class LatentModel(Model):
    """``y -> q(z | y) -> x̂ = G(z)``, with ``z ~ N(0, I)`` before anything was seen.

    Attributes:
        latent_shape: of z without the batch: ``(d,)``, or ``(d, *coarsest size)`` for a map.
    """

    latent_shape: tuple[int, ...]

    @abstractmethod
    def encode(
        self, y: Float[Tensor, "batch channels *space"], mask: Bool[Tensor, "batch 1 *space"] | None = None
    ) -> Encoding:
        """q(z | y), and the context where the model has a restoring path."""

    @abstractmethod
    def decode(
        self,
        z: Float[Tensor, "batch *latent"],
        context: Context | None = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ = G(z), or G(z; context) on the restoring path."""

    @property
    def generates(self) -> bool:
        """Whether there is a latent to draw; without one every draw would be the same."""
        return 0 not in self.latent_shape

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, condition: Tensor | None = None
    ) -> Float[Tensor, "n channels *space"]:
        """Decodes draws from N(0, I)."""
        like = next(self.parameters())
        return self.decode(normal((n, *self.latent_shape), like, generator), None, condition)

    def restore(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        *,
        samples: int = 0,
        generator: torch.Generator | None = None,
        condition: Tensor | None = None,
    ) -> Restored:
        """Decodes the posterior mean, or mean and spread over ``samples`` draws from the posterior."""
        encoding = self.encode(y, mask)
        q = encoding.posterior
        if samples < 1:
            return Restored(self.decode(q.mean.to(y), encoding.context, condition))

        def draw() -> Tensor:
            z = q.sample(normal(tuple(q.mean.shape), q.mean, generator))
            return self.decode(z.to(y), encoding.context, condition)

        return moments(draw, samples)
