"""The prescribed GAN (Dieng et al. 2019): a generator with noise of learned size, so that its signals have a density."""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1, log

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vaegan.degradation.base import normal
from vaegan.errors import UserError
from vaegan.models.base import Model, ModelConfig
from vaegan.models.dcgan import Critic, DCGANConfig, Generator, refuse_classes
from vaegan.nn import Verdict
from vaegan.signal import SignalSpec


class LearnedNoise(nn.Module):
    """σ: one positive number for each place, shared by its channels (Dieng et al. 2019, Sec. 2.1).

    Args:
        spec: the signals.
        start: softplus⁻¹ of the first σ.
        least, most: bounds of σ, in model units. Beyond them the gradient still counts, so that σ can come back.
    """

    def __init__(self, spec: SignalSpec, *, start: float, least: float, most: float) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.full((1, *spec.sizes), min(max(start, _inverse(least)), _inverse(most))))
        self.least, self.most = least, most

    def forward(self) -> Float[Tensor, "1 *space"]:
        """σ, in model units."""
        sigma = F.softplus(self.raw)
        return sigma + (sigma.clamp(self.least, self.most) - sigma).detach()


class PresGAN(Model):
    """``x = G(z) + σ ⊙ ε``, with z and ε from N(0, I), judged by D. It generates and restores nothing.

    Args:
        spec: the signals that come out.
        generator: z to the mean of signals.
        discriminator: judges signals with noise on them, real ones and drawn ones.
        noise: σ.
        latent: length of z.
    """

    step_size: Tensor

    def __init__(
        self, spec: SignalSpec, generator: Generator, discriminator: Critic, noise: LearnedNoise, *, latent: int
    ) -> None:
        super().__init__()
        self.spec, self.latent_shape = spec, (latent,)
        self.generator, self.discriminator, self.noise = generator, discriminator, noise
        # Of the Hamiltonian Monte Carlo that training needs; it adapts, and is kept with the weights.
        self.register_buffer("step_size", torch.tensor(1.0 / latent))

    def players(self) -> dict[str, nn.Module]:
        """``generator``, ``noise`` and ``discriminator``."""
        return {"generator": self.generator, "noise": self.noise, "discriminator": self.discriminator}

    def generate(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch channels *space"]:
        """G(z), the mean of signals given z."""
        drawn: Tensor = self.generator(z)
        return drawn

    def judge(
        self,
        x: Float[Tensor, "batch channels *space"],
        condition: None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Verdict:
        """The discriminator's logits and hidden layers."""
        verdict: Verdict = self.discriminator(x, condition, generator=generator)
        return verdict

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, condition: Tensor | None = None
    ) -> Float[Tensor, "n channels *space"]:
        """G of draws from N(0, I), without the noise: it is there for training."""
        return self.generate(normal((n, *self.latent_shape), next(self.parameters()), generator))


@dataclass(frozen=True)
class PresGANConfig(ModelConfig):
    """Networks of a DCGAN, and σ.

    Args:
        networks: the generator and the discriminator.
        start: softplus⁻¹ of the first σ (the released code's −1: σ = 0.31, or ``most`` where that is less).
        least, most: bounds of σ, in model units.
    """

    networks: DCGANConfig = DCGANConfig()  # noqa: RUF009 - frozen
    start: float = -1.0
    least: float = 0.01
    most: float = 0.3

    def __post_init__(self) -> None:
        """Checks the bounds of σ."""
        super().__post_init__()
        if not 0 < self.least < self.most:
            found = f"sigma from {self.least} to {self.most}"
            raise UserError(found, expected="0 < least < most", mend="set --model.least and --model.most")

    def build(self, spec: SignalSpec, classes: int = 0) -> PresGAN:
        """The model for these signals.

        Raises:
            UserError: for a conditional one.
        """
        refuse_classes("PresGAN", classes)
        noise = LearnedNoise(spec, start=self.start, least=self.least, most=self.most)
        return PresGAN(spec, *self.networks.networks(spec), noise, latent=self.networks.latent)


def _inverse(sigma: float) -> float:
    """What softplus makes ``sigma`` of."""
    return log(expm1(sigma))
