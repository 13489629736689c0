"""The GAN of Larsen et al. 2015: decoder and discriminator of the VAE-GAN, without an encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vaegan.degradation.base import normal
from vaegan.models.base import Model, ModelConfig
from vaegan.models.vaegan import initialise
from vaegan.nn import Context, Decoder, Discriminator, Norm, Verdict
from vaegan.signal import SignalSpec


class LarsenGAN(Model):
    """``z ~ N(0, I) -> x̂ = G(z)``, judged by D. It generates and restores nothing.

    Args:
        spec: the signals that come out.
        decoder: z, and a class where there are any, to signals.
        discriminator: signals to a verdict.
        latent: length of z.
        classes: number of classes that both are conditioned on, or 0.
    """

    def __init__(
        self,
        spec: SignalSpec,
        decoder: Decoder,
        discriminator: Discriminator,
        *,
        latent: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.spec, self.classes, self.latent_shape = spec, classes, (latent,)
        self.decoder, self.discriminator = decoder, discriminator

    def players(self) -> dict[str, nn.Module]:
        """``decoder`` and ``discriminator``."""
        return {"decoder": self.decoder, "discriminator": self.discriminator}

    def decode(
        self, z: Float[Tensor, "batch *latent"], context: Context | None = None, condition: Tensor | None = None
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ = G(z); there is no encoder that could give a context."""
        generated: Tensor = self.decoder(z, condition)
        return generated

    def judge(self, x: Float[Tensor, "batch channels *space"], condition: Tensor | None = None) -> Verdict:
        """The discriminator's logits and hidden layers."""
        verdict: Verdict = self.discriminator(x, condition)
        return verdict

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, condition: Tensor | None = None
    ) -> Float[Tensor, "n channels *space"]:
        """G of draws from N(0, I)."""
        return self.decode(normal((n, *self.latent_shape), next(self.parameters()), generator), None, condition)


@dataclass(frozen=True)
class LarsenGANConfig(ModelConfig):
    """Decoder and discriminator of :class:`~vaegan.models.LarsenConfig`; its arguments are explained there."""

    latent: int = 128
    decoder_width: int = 32
    discriminator_width: int = 32
    depth: int = 3
    discriminator_hidden: int = 512
    norm: Norm = "batch"
    discriminator_norm: Norm = "batch"
    spectral: bool = False
    leak: float = 0.0

    def build(self, spec: SignalSpec, classes: int = 0) -> LarsenGAN:
        """Decoder 4.69 M and discriminator 10.95 M parameters at 64x64x3."""
        decoder = Decoder(
            spec,
            latent=self.latent,
            width=self.decoder_width,
            depth=self.depth,
            norm=self.norm,
            classes=classes,
        )
        judge = Discriminator(
            spec,
            width=self.discriminator_width,
            depth=self.depth,
            hidden=self.discriminator_hidden,
            norm=self.discriminator_norm,
            spectral=self.spectral,
            leak=self.leak,
            classes=classes,
        )
        model = LarsenGAN(spec, decoder, judge, latent=self.latent, classes=classes)
        if not self.spectral:
            initialise(model)
        return model
