"""The plain autoencoder: pixel error, and nothing about the latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaegan.models.base import Model
from vaegan.nn import at_least_single
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, Step, assign, gradient, trainable
from vaegan.objectives.cut import as_latent


@dataclass(frozen=True)
class AutoencoderObjective(Objective):
    """The error of decoding the code, as the MNIST study trains its dense network: |x − G(E(y))|, a mean over elements.

    Args:
        squared: the squared error instead of the absolute one.
    """

    players: ClassVar[tuple[str, ...]] = ("encoder", "decoder")

    squared: bool = False

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The same error for both players; nothing is drawn."""
        model = as_latent(model)
        encoding = model.encode(batch.y, batch.mask)
        z = encoding.posterior.mean.to(batch.x)
        estimate = batch.judged(model.decode(z, encoding.context, batch.condition))
        if self.squared:
            difference = at_least_single(estimate) - at_least_single(batch.x)
            error = difference.square().mean()
        else:
            error = terms.absolute_error(batch.x, estimate)
        return dict.fromkeys(self.players, error)

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """One pass for both players, whose loss is the same."""
        loss = self.losses(model, batch, generator)["encoder"]
        parameters = [p for name in self.players for p in trainable(model.players()[name])]
        assign(parameters, gradient([loss], parameters))
        return Step({"error": loss.detach()})
