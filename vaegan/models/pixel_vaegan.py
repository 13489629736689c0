"""The networks of the simple pixel VAE-GAN that the toolkit grew out of, for 1D and 2D signals of any size.

At 256x256x3 the encoder has 10.73 M, the decoder 12.82 M and the discriminator 2.80 M parameters, as that code's.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log2, prod

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.models.base import ModelConfig
from vaegan.models.dcgan import Doubling, refuse_classes
from vaegan.models.latent import LatentModel
from vaegan.nn import DiagonalGaussian, Encoding, Verdict, at_least_single, posterior
from vaegan.nn.conv import BATCH_NORM, CONV, TRANSPOSED, halved
from vaegan.signal import SignalSpec

WIDEST = 1024


class PixelEncoder(nn.Module):
    """4 convolutions 4x4 of stride 2 without padding, each with batch norm and LeakyReLU 0.01, then dense to μ and log σ².

    Args:
        spec: the signals that come in.
        latent: length of z.
        width: channels of the first convolution; each further one doubles them.
        depth: how many convolutions; fewer where the signals are too small for them.
    """

    def __init__(self, spec: SignalSpec, *, latent: int, width: int, depth: int) -> None:
        super().__init__()
        sizes = spec.sizes
        channels = [spec.channels]
        while len(channels) <= depth and min(sizes) >= 4:
            sizes = tuple((size - 4) // 2 + 1 for size in sizes)
            channels.append(width * 2 ** (len(channels) - 1))
        self.convs = nn.ModuleList(CONV[spec.dims](a, b, 4, stride=2) for a, b in pairwise(channels))
        self.norms = nn.ModuleList(BATCH_NORM[spec.dims](c) for c in channels[1:])
        self.head = nn.Linear(channels[-1] * prod(sizes), 2 * latent)
        self.latent_shape = (latent,)

    def forward(self, y: Float[Tensor, "batch channels *space"]) -> DiagonalGaussian:
        """q(z | y)."""
        h = y
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = F.leaky_relu(norm(conv(h)), 0.01)
        return posterior(self.head(h.flatten(1)))


class PixelDecoder(nn.Module):
    """z to a map of about 4x4, doubled by transposed convolutions 4x4 up to the full size, then 3x3 and tanh.

    Args:
        spec: the signals that come out.
        latent: length of z.
        width: channels at full size; each coarser level doubles them, up to 1,024.
    """

    def __init__(self, spec: SignalSpec, *, latent: int, width: int) -> None:
        super().__init__()
        dims, levels = spec.dims, _levels(spec)
        self.sizes = [tuple(ceil(size / 2**level) for size in spec.sizes) for level in range(levels, -1, -1)]
        channels = [min(width * 2**level, WIDEST) for level in range(levels, -1, -1)]
        first = TRANSPOSED[dims](latent, channels[0], self.sizes[0], bias=False)
        self.first, self.dims = first, dims
        self.ups = nn.ModuleList(Doubling(dims, a, b, bias=False) for a, b in pairwise(channels))
        self.norms = nn.ModuleList(BATCH_NORM[dims](c) for c in channels)
        self.last = TRANSPOSED[dims](width, spec.channels, 3, padding=1, bias=False)

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch channels *space"]:
        """x̂ = G(z), in model units (-1, 1)."""
        h = F.relu(self.norms[0](self.first(z.view(*z.shape, *[1] * self.dims))))
        for up, norm, sizes in zip(self.ups, list(self.norms)[1:], self.sizes[1:], strict=True):
            h = F.relu(norm(up(h, sizes)))
        return torch.tanh(self.last(h))


class PixelDiscriminator(nn.Module):
    """Convolutions 4x4 of stride 2 down to about 4x4, batch norm on all but the first, then one over what is left.

    Args:
        spec: the signals to judge.
        width: channels of the first convolution; each further one doubles them, up to 1,024.
    """

    def __init__(self, spec: SignalSpec, *, width: int) -> None:
        super().__init__()
        levels, sizes = _levels(spec), spec.sizes
        channels = [spec.channels, *(min(width * 2**level, WIDEST) for level in range(levels))]
        for _ in range(levels):
            sizes = halved(sizes)
        self.convs = nn.ModuleList(_Halving(spec.dims, a, b) for a, b in pairwise(channels))
        self.norms = nn.ModuleList([nn.Identity(), *(BATCH_NORM[spec.dims](c) for c in channels[2:])])
        self.last = CONV[spec.dims](channels[-1], 1, sizes, bias=False)

    def forward(self, x: Float[Tensor, "batch channels *space"]) -> Verdict:
        """Judges signals in model units."""
        features = []
        h = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            raw = conv(h)
            features.append(raw)
            h = F.leaky_relu(norm(raw), 0.2)
        logits = self.last(h).flatten()
        return Verdict(at_least_single(logits), tuple(features))


class _Halving(nn.Module):
    """A convolution, kernel 4 and stride 2, padded by 1; an odd size is first continued by one zero."""

    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = CONV[dims](inputs, outputs, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        lacking = [side for size in reversed(x.shape[2:]) for side in (0, size % 2)]
        convolved: Tensor = self.layer(F.pad(x, lacking) if any(lacking) else x)
        return convolved


class PixelVAEGAN(LatentModel):
    """``y -> q(z | y) -> x̂ = G(z)``, judged by D, trained by :class:`~vaegan.objectives.PixelVAEGANObjective`.

    Args:
        spec: the signals that go in and come out.
        encoder: signals to a posterior.
        decoder: z to signals.
        discriminator: judges signals.
    """

    def __init__(
        self, spec: SignalSpec, encoder: PixelEncoder, decoder: PixelDecoder, discriminator: PixelDiscriminator
    ) -> None:
        super().__init__()
        self.spec = spec
        self.encoder, self.decoder, self.discriminator = encoder, decoder, discriminator
        self.latent_shape = encoder.latent_shape

    def players(self) -> dict[str, nn.Module]:
        """``encoder``, ``decoder`` and ``discriminator``."""
        return {"encoder": self.encoder, "decoder": self.decoder, "discriminator": self.discriminator}

    def encode(
        self, y: Float[Tensor, "batch channels *space"], mask: Bool[Tensor, "batch 1 *space"] | None = None
    ) -> Encoding:
        """q(z | y); what was not observed is seen as 0."""
        return Encoding(self.encoder(y if mask is None else torch.where(mask, y, 0.0)))

    def decode(
        self, z: Float[Tensor, "batch *latent"], context: object = None, condition: Tensor | None = None
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ = G(z); there is no restoring path, so no context."""
        signal: Tensor = self.decoder(z)
        return signal

    def judge(self, x: Float[Tensor, "batch channels *space"], condition: Tensor | None = None) -> Verdict:
        """The discriminator's logits and hidden layers."""
        verdict: Verdict = self.discriminator(x)
        return verdict


@dataclass(frozen=True)
class PixelVAEGANConfig(ModelConfig):
    """The networks of the simple pixel VAE-GAN, by default as at 256x256.

    Args:
        latent: length of z.
        width: channels of the encoder's first convolution.
        depth: convolutions of the encoder.
        decoder_width: channels of the decoder at full size.
        discriminator_width: channels of the discriminator's first convolution.
    """

    latent: int = 100
    width: int = 32
    depth: int = 4
    decoder_width: int = 16
    discriminator_width: int = 16

    def build(self, spec: SignalSpec, classes: int = 0) -> PixelVAEGAN:
        """The model for these signals; decoder and discriminator start with N(0, 0.02), the encoder as PyTorch has it.

        Raises:
            UserError: for a conditional one, or signals of fewer than 8 samples along an axis.
        """
        refuse_classes("PixelVAEGAN", classes)
        if min(spec.sizes) < 8:
            found = f"signals of size {spec.sizes} for a PixelVAEGAN"
            raise UserError(found, expected="at least 8 along each axis", mend="take another model")
        encoder = PixelEncoder(spec, latent=self.latent, width=self.width, depth=self.depth)
        decoder = PixelDecoder(spec, latent=self.latent, width=self.decoder_width)
        discriminator = PixelDiscriminator(spec, width=self.discriminator_width)
        for network in (decoder, discriminator):
            _initialise(network)
        return PixelVAEGAN(spec, encoder, decoder, discriminator)


def _levels(spec: SignalSpec) -> int:
    """How often the longest axis is halved to come to 4, and the shortest stays above 0."""
    return max(1, min(ceil(log2(max(spec.sizes) / 4)), int(log2(min(spec.sizes)))))


def _initialise(network: nn.Module) -> None:
    """N(0, 0.02) for convolutions, N(1, 0.02) for batch norms (Radford et al. 2016)."""
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor):
            nn.init.normal_(weight, 1.0 if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) else 0.0, 0.02)
