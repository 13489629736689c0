"""The non-saturating GAN (Goodfellow et al. 2014), as the DCGAN study trains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaegan.degradation.base import normal
from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.models.dcgan import DCGAN
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, check_numbers, leaf


@dataclass(frozen=True)
class GANObjective(Objective):
    """−log D(G(z)) for the generator, −log D(x) − log(1 − D(G(z))) for the discriminator.

    Both gradients are taken at the same weights, from the same draws; the study takes the generator's step after the
    discriminator's, from draws of its own. The discriminator's graph is shared: its forward pass on the draws is done once.

    Args:
        penalty: γ of R1, the slope of the discriminator on real signals (Mescheder et al. 2018); the study has none.
    """

    players: ClassVar[tuple[str, ...]] = ("generator", "discriminator")

    penalty: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, weights=("penalty",))

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """One scalar a player."""
        if not isinstance(model, DCGAN):
            found = f"a {type(model).__name__} for the objective of a generator and a discriminator"
            raise UserError(found, expected="a DCGAN", mend="set another objective")
        z = normal((len(batch.x), *model.latent_shape), batch.x, generator)
        x = leaf(batch.x) if self.penalty else batch.x
        real = model.judge(x, generator=generator).logits
        fake = model.judge(batch.judged(model.generate(z)), generator=generator).logits
        apart = terms.gan(real, fake)
        if self.penalty:
            apart = apart + self.penalty * terms.gradient_penalty(real, x)
        return {"generator": terms.non_saturating(fake), "discriminator": apart}
