"""The objective of the simple pixel VAE-GAN: pixels, a KL, and the discriminator's opinion of reconstructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.degradation.base import normal
from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.models.pixel_vaegan import PixelVAEGAN
from vaegan.nn import at_least_single
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, Step, assign, check_numbers, gradient, trainable
from vaegan.objectives.cut import Noise, encode


@dataclass(frozen=True)
class PixelVAEGANObjective(Objective):
    """Mean squared error + weighted KL + weighted BCE for encoder and decoder alike; BCE for the discriminator.

    What sets it apart from Larsen et al. 2015: the error is of pixels, not of the discriminator's features; the encoder too
    is rewarded for fooling the discriminator; and the discriminator sees reconstructions only, never draws from the
    prior, so that these are not trained. The code that it follows takes two discriminator steps on the same batch; here it
    is one a step, and ``TrainingConfig.discriminator_lr`` can make it longer.

    Args:
        kl: weight of the KL, in nats an item, reached after ``warmup``.
        adversarial: weight of the generator's BCE.
        warmup: share of the budget over which the weight of the KL rises (50 of 150 epochs there).
        label: of real signals; that of fakes is one minus it.
        noise: standard deviation of what is added to whatever the discriminator sees, in model units.
    """

    players: ClassVar[tuple[str, ...]] = ("encoder", "decoder", "discriminator")

    kl: float = 0.1
    adversarial: float = 0.1
    warmup: float = 1 / 3
    label: float = 0.9
    noise: float = 0.05

    def __post_init__(self) -> None:
        if not 0.5 < self.label <= 1:
            raise UserError(f"label is {self.label}", expected="above 0.5, at most 1", mend="set objective.label")
        check_numbers(self, weights=("kl", "adversarial", "noise"), shares=("warmup",))

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """One scalar a player; encoder and decoder share theirs."""
        return self._play(model, batch, generator)[0]

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """One pass for encoder and decoder, one for the discriminator."""
        losses, logged = self._play(model, batch, generator)
        shared, own = ([p for name in names for p in trainable(model.players()[name])] for names in _SIDES)
        assign(shared, gradient([losses["encoder"]], shared, retain=True))
        assign(own, gradient([losses["discriminator"]], own))
        return Step({name: value.detach() for name, value in logged.items()})

    def _play(
        self, model: Model, batch: Batch, generator: torch.Generator | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        if not isinstance(model, PixelVAEGAN):
            found = f"a {type(model).__name__} for the objective of the pixel VAE-GAN"
            raise UserError(found, expected="a PixelVAEGAN", mend="set another objective")
        encoded = encode(model, batch, Noise.draw(model, batch, generator), cut=False)
        estimate = batch.judged(model.decode(encoded.leaves[0], encoded.context))
        on_real, on_fake = (self.noise * normal(tuple(batch.x.shape), batch.x, generator) for _ in range(2))
        real = model.judge(batch.x + on_real).logits
        fake = model.judge(estimate + on_fake).logits
        pixel = (at_least_single(estimate) - at_least_single(batch.x)).square().mean()
        kl = terms.kl_prior(encoded.q)
        ramp = min(1.0, batch.progress / self.warmup) if self.warmup > 0 else 1.0
        fool = _bce(fake, self.label)
        restoring = pixel + self.kl * ramp * kl + self.adversarial * fool
        apart = _bce(real, self.label) + _bce(fake, 1.0 - self.label)
        losses = {"encoder": restoring, "decoder": restoring, "discriminator": apart}
        return losses, {"squared": pixel, "kl": kl, "fool": fool, "tell_apart": apart}


_SIDES = (("encoder", "decoder"), ("discriminator",))


def _bce(logits: Tensor, label: float) -> Tensor:
    """Binary cross-entropy of logits and a label that need not be 0 or 1."""
    return (F.softplus(logits) - label * logits).mean()
