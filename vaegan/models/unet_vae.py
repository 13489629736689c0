"""The VAE of the humanface8000 study: a short vector latent, and skips past it from encoder to decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.degradation.base import normal
from vaegan.models.base import ModelConfig
from vaegan.models.restorer import Restorer, with_mask
from vaegan.nn import DiagonalGaussian
from vaegan.nn.conv import Linear, Norm, halved
from vaegan.nn.hourglass import Contraction, Expansion, hourglass_channels
from vaegan.nn.posterior import posterior
from vaegan.signal import SignalSpec


class UNetEncoder(nn.Module):
    """Halvings down to a single sample, then μ and σ.

    Args:
        spec: the observed signals.
        channels: after each halving.
        latent: length of z.
        norm: of all halvings but the first.
    """

    def __init__(self, spec: SignalSpec, channels: Sequence[int], *, latent: int, norm: Norm) -> None:
        super().__init__()
        self.down = Contraction(spec, channels, norm=norm, leak=0.3)
        self.head = Linear(prod(_coarsest(spec, channels)), 2 * latent)

    def forward(
        self, y: Float[Tensor, "batch channels *space"], mask: Bool[Tensor, "batch 1 *space"] | None
    ) -> tuple[DiagonalGaussian, list[Tensor]]:
        """q(z | y) and the features for the skips, the finest first."""
        *finer, coarsest = self.down(with_mask(y, mask))
        return posterior(self.head(coarsest.flatten(1))), finer


class UNetDecoder(nn.Module):
    """z to a single sample of many channels, doubled up with the encoder's features joined at each size.

    Args:
        spec: the signals that come out.
        channels: of the encoder.
        latent: length of z.
        norm: of all doublings but the last.
        skips: whether the encoder's features are joined.
    """

    def __init__(self, spec: SignalSpec, channels: Sequence[int], *, latent: int, norm: Norm, skips: bool) -> None:
        super().__init__()
        self.coarsest = _coarsest(spec, channels)
        self.spread = Linear(latent, prod(self.coarsest))
        self.up = Expansion(spec, channels, norm=norm, skips=skips, last=3)

    def forward(
        self, z: Float[Tensor, "batch latent"], features: Sequence[Float[Tensor, "batch _ ..."]]
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ in model units."""
        restored: Tensor = self.up(self.spread(z).reshape(-1, *self.coarsest), features)
        return restored


class UNetVAE(Restorer):
    """``y -> q(z | y) -> x̂ = G(z, features of y)``.

    Args:
        spec: the signals that go in and come out.
        encoder: to q(z | y) and features.
        decoder: from z and features.
        latent: length of z.
    """

    def __init__(self, spec: SignalSpec, encoder: UNetEncoder, decoder: UNetDecoder, *, latent: int) -> None:
        super().__init__()
        self.spec, self.encoder, self.decoder = spec, encoder, decoder
        self.latent_shape = (latent,)

    def players(self) -> dict[str, nn.Module]:
        """``encoder`` and ``decoder``."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    def autoencoded(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None,
        noise: Float[Tensor, "batch latent"],
    ) -> tuple[Float[Tensor, "batch channels *space"], DiagonalGaussian]:
        """x̂ from z = μ + σ · noise, and q(z | y)."""
        q, features = self.encoder(y, mask)
        return self.decoder(q.sample(noise).to(y), features), q

    def restored(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """From the mean of q(z | y); with a generator from a draw."""
        shape = (len(y), *self.latent_shape)
        noise = y.new_zeros(shape) if generator is None else normal(shape, y, generator)
        return self.autoencoded(y, mask, noise)[0]


@dataclass(frozen=True)
class UNetVAEConfig(ModelConfig):
    """The networks of the study, for any size (a picture of 256x256 is halved eight times).

    Args:
        latent: length of z.
        width: channels of the first halving; the coarsest has eight times as many.
        norm: of both networks.
        skips: whether the decoder sees the encoder's features; without them all must come through z.
    """

    latent: int = 64
    width: int = 64
    norm: Norm = "batch"
    skips: bool = True

    def build(self, spec: SignalSpec, classes: int = 0) -> UNetVAE:
        """The model for these signals; classes are not used."""
        channels = hourglass_channels(spec.sizes, self.width)
        encoder = UNetEncoder(spec, channels, latent=self.latent, norm=self.norm)
        decoder = UNetDecoder(spec, channels, latent=self.latent, norm=self.norm, skips=self.skips)
        return UNetVAE(spec, encoder, decoder, latent=self.latent)


def _coarsest(spec: SignalSpec, channels: Sequence[int]) -> tuple[int, ...]:
    sizes = spec.sizes
    for _ in channels:
        sizes = halved(sizes)
    return (channels[-1], *sizes)
