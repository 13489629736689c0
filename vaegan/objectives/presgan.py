"""Training of a prescribed GAN (Dieng et al. 2019): the generator is paid for the entropy of what it draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaegan.degradation.base import normal
from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.models.presgan import PresGAN
from vaegan.nn import at_least_single
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, Step, assign, check_numbers, gradient, trainable
from vaegan.objectives.hmc import sample_latents


@dataclass(frozen=True)
class PresGANObjective(Objective):
    """−log D(x̃) − λ H(x̃) for generator and noise, −log D(x + σε') − log(1 − D(x̃)) for the discriminator.

    With x̃ = G(z) + σ ⊙ ε. The entropy H has no closed form, and its gradient has one in the score of x̃:
    ∇H = −E[∇_x log p(x̃) · ∂x̃], with ∇_x log p(x̃) = −E[(x̃ − G(z')) / σ²] over z' ~ p(z' | x̃), which Hamiltonian Monte Carlo
    draws, starting from the z that x̃ was made of (Dieng et al. 2019, eq. 7 to 9). The scalars here have this gradient.

    Args:
        entropy: λ.
        burn_in, samples, leapfrog: transitions that are left out, that count, and steps of each.
        acceptance: what share of the transitions should be accepted.
        adapt: by how much the step size follows the share that was.
    """

    players: ClassVar[tuple[str, ...]] = ("generator", "noise", "discriminator")

    entropy: float = 0.01
    burn_in: int = 2
    samples: int = 2
    leapfrog: int = 5
    acceptance: float = 0.67
    adapt: float = 0.02

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("leapfrog", 1), ("burn_in", 0)):
            if getattr(self, name) < least:
                found, flag = f"{name} is {getattr(self, name)}", f"set objective.{name}"
                raise UserError(found, expected=f"at least {least}", mend=flag)
        check_numbers(self, weights=("entropy", "adapt"), shares=("acceptance",))

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """One scalar a player."""
        losses, _ = self._play(model, batch, generator)
        return losses

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """One pass for generator and noise, whose loss is the same; and the step size follows its acceptance."""
        losses, logged = self._play(model, batch, generator)
        players = model.players()
        own = [trainable(players[name]) for name in ("generator", "noise")]
        found = gradient([losses["generator"]], [*own[0], *own[1]], retain=True)
        assign(own[0], found[: len(own[0])])
        assign(own[1], found[len(own[0]) :])
        discriminator = trainable(players["discriminator"])
        assign(discriminator, gradient([losses["discriminator"]], discriminator))
        assert isinstance(model, PresGAN)
        with torch.no_grad():
            model.step_size.mul_(1.0 + self.adapt * (logged["accepted"] - self.acceptance))
        return Step({name: loss.detach() for name, loss in losses.items() if name != "noise"} | logged)

    def _play(
        self, model: Model, batch: Batch, generator: torch.Generator | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses, and what is logged beside them."""
        if not isinstance(model, PresGAN):
            found = f"a {type(model).__name__} for the objective of a prescribed GAN"
            raise UserError(found, expected="a PresGAN", mend="set another objective")
        z = normal((len(batch.x), *model.latent_shape), batch.x, generator)
        on_fake, on_real = (normal(tuple(batch.x.shape), batch.x, generator) for _ in range(2))
        sigma = model.noise()
        fake = at_least_single(model.generate(z)) + sigma * on_fake
        drawn, accepted = sample_latents(
            model.generate,
            fake,
            z,
            sigma,
            step=model.step_size.clone(),  # backward() changes it in place
            burn_in=self.burn_in,
            samples=self.samples,
            leapfrog=self.leapfrog,
            generator=generator,
        )
        with torch.no_grad():
            centre = torch.stack([model.generate(other) for other in drawn]).mean(0)
            away = (fake - centre) / sigma.square()
        spread = (away * fake).flatten(1).sum(1).mean()
        real, fooled = (
            model.judge(batch.judged(x), generator=generator).logits for x in (batch.x + sigma * on_real, fake)
        )
        loss = terms.non_saturating(fooled) - self.entropy * spread
        losses = {"generator": loss, "noise": loss, "discriminator": terms.gan(real, fooled)}
        return losses, {"accepted": accepted, "sigma": sigma.detach().mean(), "step_size": model.step_size.clone()}
