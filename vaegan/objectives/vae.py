"""The variational autoencoder: the yardstick without a discriminator."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from vaegan.models.base import Model
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, Step, assign, check_numbers, gradient, trainable
from vaegan.objectives.cut import Noise, as_latent, encode


@dataclass(frozen=True)
class VAEObjective(Objective):
    """Pixel error + β KL, per element: a VAE on a VAE-GAN's encoder and decoder, its discriminator left alone.

    Args:
        beta: weight of the KL (in nats) divided by the signal's number of elements.
        squared: ½ squared error over ``variance`` (a Gaussian likelihood) instead of the absolute error.
        variance: of the Gaussian likelihood, in model units squared.
        relative: each item's root mean square error over the root mean square of its truth, in place of either: what is
            faint counts as much as what is strong (for signals that swing around 0 and are judged by their RRMSE).
        physical: take the error of physical values instead of that of model units (for a domain whose units are a logarithm
            and that is judged in metres); their value range is 2 wide too, so weights and ``variance`` keep their sense.
        free_bits: nats a latent dimension that are not charged.
        bare: share of the items that are restored from the latent alone, without the context of a restoring path.
    """

    players: ClassVar[tuple[str, ...]] = ("encoder", "decoder")

    beta: float = 1.0
    squared: bool = True
    variance: float = 0.05
    relative: bool = False
    physical: bool = False
    free_bits: float = 0.0
    bare: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, weights=("beta", "free_bits"), shares=("bare",), positive=("variance",))

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The negative evidence lower bound per element, the same for both players."""
        model = as_latent(model)
        encoded = encode(model, batch, Noise.draw(model, batch, generator, self.bare), cut=False)
        x_tilde = batch.judged(model.decode(encoded.leaves[0], encoded.context, batch.condition))
        elements = prod(batch.x.shape[1:])
        pair = batch.compared(x_tilde, physical=self.physical)
        if self.relative:
            error = terms.relative_error(*pair)
        elif self.squared:
            error = terms.squared_error(*pair) / (elements * self.variance)
        else:
            error = terms.absolute_error(*pair)
        loss = error + self.beta * terms.kl_free_bits(encoded.q, self.free_bits) / elements
        return dict.fromkeys(self.players, loss)

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """One pass for both players, whose loss is the same."""
        loss = self.losses(model, batch, generator)["encoder"]
        parameters = [p for name in self.players for p in trainable(model.players()[name])]
        assign(parameters, gradient([loss], parameters))
        return Step({"elbo": loss.detach()})
