"""Autoencoders: the dense ones of the MNIST study, plain and variational, and a convolutional one.

The study's dense network is 784-128-64-32-64-128-784 with ReLU. Its code has no mean and no variance: it is a plain
autoencoder, here :class:`Autoencoder`. :class:`VAE` is what its name promised (Kingma and Welling 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.models.base import ModelConfig
from vaegan.models.latent import LatentModel
from vaegan.nn import Decoder, DiagonalGaussian, Encoder, Encoding, Linear, Norm, posterior
from vaegan.nn.conv import Condition
from vaegan.nn.posterior import LOGVAR_RANGE
from vaegan.signal import SignalSpec


class _Coder(LatentModel):
    """An encoder and a decoder side by side."""

    def __init__(self, spec: SignalSpec, encoder: nn.Module, decoder: nn.Module, *, classes: int = 0) -> None:
        super().__init__()
        self.spec, self.classes = spec, classes
        self.encoder, self.decoder = encoder, decoder
        self.latent_shape = tuple(encoder.latent_shape)  # type: ignore[arg-type]

    def players(self) -> dict[str, nn.Module]:
        """``encoder`` and ``decoder``."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    def encode(
        self, y: Float[Tensor, "batch channels *space"], mask: Bool[Tensor, "batch 1 *space"] | None = None
    ) -> Encoding:
        """q(z | y); what was not observed is seen as 0."""
        return Encoding(self.encoder(y if mask is None else torch.where(mask, y, 0.0)))

    def decode(
        self, z: Float[Tensor, "batch *latent"], context: object = None, condition: Tensor | None = None
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ = G(z); there is no restoring path, so no context."""
        signal: Tensor = self.decoder(z, condition)
        return signal


class VAE(_Coder):
    """A variational autoencoder: the encoder gives μ and log σ² of q(z | y).

    Args:
        spec: the signals that go in and come out.
        encoder: signals to a :class:`~vaegan.nn.DiagonalGaussian`, with a ``latent_shape``.
        decoder: (z, condition) to signals.
        classes: number of classes that the decoder is conditioned on, or 0.
    """


class Autoencoder(_Coder):
    """A plain autoencoder: the encoder gives a point, and nothing shapes the distribution of the points.

    As q(z | y) it has the least variance that is kept, e^-12, so that a draw from it is the point. Draws from N(0, I) are
    what the study calls generation without having trained for it; a mixture fitted to the codes is nearer to them.

    Args:
        spec, decoder, classes: as of :class:`VAE`.
        encoder: signals to the posterior that :class:`DenseEncoder` gives where it is not variational.
    """


class DenseEncoder(nn.Module):
    """Dense layers with ReLU from a flattened signal to a code.

    Args:
        spec: the signals that come in.
        hidden: units of the layers before the code.
        latent: length of the code.
        variational: give μ and log σ²; else the code itself, through a ReLU, as the study has it.
    """

    def __init__(self, spec: SignalSpec, hidden: Sequence[int], latent: int, *, variational: bool) -> None:
        super().__init__()
        widths = [prod(spec.shape), *hidden]
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise(widths))
        self.head = Linear(widths[-1], 2 * latent if variational else latent)
        self.latent_shape, self.variational = (latent,), variational

    def forward(self, y: Float[Tensor, "batch channels *space"]) -> DiagonalGaussian:
        """q(z | y)."""
        h = y.flatten(1)
        for layer in self.layers:
            h = F.relu(layer(h))
        if self.variational:
            return posterior(self.head(h))
        code = F.relu(self.head(h))
        return DiagonalGaussian(code, torch.full_like(code, LOGVAR_RANGE[0]))


class DenseDecoder(nn.Module):
    """Dense layers with ReLU from a code to a signal; the last one is linear, as in the study.

    Args:
        spec: the signals that come out.
        hidden: units of the layers after the code.
        latent: length of the code.
        classes: number of classes that are added to the code as learned vectors, or 0.
    """

    def __init__(self, spec: SignalSpec, hidden: Sequence[int], latent: int, *, classes: int = 0) -> None:
        super().__init__()
        widths = [latent, *hidden, prod(spec.shape)]
        self.shape = spec.shape
        self.condition = Condition(classes, latent)
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise(widths))

    def forward(
        self, z: Float[Tensor, "batch latent"], condition: Tensor | None = None
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ in model units; nothing bounds it."""
        h = self.condition(z, condition)
        for layer in self.layers[:-1]:
            h = F.relu(layer(h))
        return self.layers[-1](h).view(-1, *self.shape)


@dataclass(frozen=True)
class DenseVAEConfig(ModelConfig):
    """The dense network of the MNIST study as a true VAE, for signals of any shape.

    Args:
        latent: length of z.
        hidden: units of the encoder's dense layers; the decoder has them in reverse.
    """

    latent: int = 32
    hidden: tuple[int, ...] = (128, 64)

    def build(self, spec: SignalSpec, classes: int = 0) -> VAE:
        """784-128-64-(μ, log σ²)-64-128-784 on MNIST."""
        encoder = DenseEncoder(spec, self.hidden, self.latent, variational=True)
        return VAE(spec, encoder, DenseDecoder(spec, self.hidden[::-1], self.latent, classes=classes), classes=classes)


@dataclass(frozen=True)
class DenseAutoencoderConfig(ModelConfig):
    """The dense network of the MNIST study as its code has it: no mean, no variance.

    Args:
        latent: length of the code.
        hidden: units of the encoder's dense layers; the decoder has them in reverse.
    """

    latent: int = 32
    hidden: tuple[int, ...] = (128, 64)

    def build(self, spec: SignalSpec, classes: int = 0) -> Autoencoder:
        """784-128-64-32-64-128-784 on MNIST."""
        encoder = DenseEncoder(spec, self.hidden, self.latent, variational=False)
        decoder = DenseDecoder(spec, self.hidden[::-1], self.latent, classes=classes)
        return Autoencoder(spec, encoder, decoder, classes=classes)


@dataclass(frozen=True)
class ConvVAEConfig(ModelConfig):
    """A convolutional VAE on the encoder and decoder of Larsen et al. 2015 (their yardstick), without a discriminator.

    Args:
        latent: length of z.
        width: channels of the encoder's first convolution.
        decoder_width: channels after the decoder's last up-sampling.
        depth: how often the size is halved.
        hidden: units of the encoder's dense layer.
        norm: of encoder and decoder.
    """

    latent: int = 32
    width: int = 32
    decoder_width: int = 16
    depth: int = 2
    hidden: int = 256
    norm: Norm = "batch"

    def build(self, spec: SignalSpec, classes: int = 0) -> VAE:
        """The model for these signals."""
        encoder = Encoder(
            spec, latent=self.latent, width=self.width, depth=self.depth, hidden=self.hidden, norm=self.norm
        )
        decoder = Decoder(
            spec, latent=self.latent, width=self.decoder_width, depth=self.depth, norm=self.norm, classes=classes
        )
        return VAE(spec, encoder, decoder, classes=classes)
