"""Restoration as translation from damaged to clean: a conditional GAN (pix2pix, Isola et al. 2017).

The layers are those of the humanface8000 study: a U-Net down to a single pixel, and a discriminator that sees the damaged
and the clean signal together.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.models.base import ModelConfig
from vaegan.models.restorer import Restorer, with_mask
from vaegan.nn import at_least_single
from vaegan.nn.conv import Conv, Linear, Norm, halved, normalisation
from vaegan.nn.hourglass import Contraction, Expansion, hourglass_channels
from vaegan.signal import SignalSpec

Output = Literal["relu", "tanh", "linear"]


class Generator(nn.Module):
    """The U-Net: halved until one sample is left, doubled again with skips; what is dropped is its only noise.

    Args:
        spec: the signals that go in and come out.
        width: channels of the first halving.
        norm: of all layers but the first and the last.
        dropout: share dropped behind the first three doublings.
        output: ``"relu"`` (not bounded above), ``"tanh"`` or ``"linear"``.
        residual: whether what comes out is added to the observed signal.
    """

    def __init__(
        self, spec: SignalSpec, *, width: int, norm: Norm, dropout: float, output: Output, residual: bool
    ) -> None:
        super().__init__()
        channels = hourglass_channels(spec.sizes, width)
        self.down = Contraction(spec, channels, norm=norm, leak=0.3)
        self.up = Expansion(spec, channels, norm=norm, dropout=dropout)
        self.output, self.residual = output, residual
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
                _initialise(module)
        if residual:  # a new network changes nothing
            for parameter in self.up.last.parameters():
                nn.init.zeros_(parameter)

    def forward(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None,
        generator: torch.Generator | None,
        *,
        drop: bool,
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ in model units."""
        seen = with_mask(y, mask)
        *finer, coarsest = self.down(seen)
        x: Tensor = self.up(coarsest, finer, generator, drop=drop)
        if self.residual:
            return seen[:, : y.shape[1]] + x
        if self.output == "relu":  # the study's values are 0 to 1: 0 there is -1 here
            return 2.0 * torch.relu(x) - 1.0
        return torch.tanh(x) if self.output == "tanh" else x


def _initialise(layer: nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d) -> None:
    """He et al. 2015: a variance of 2 over the inputs that meet in one output (where sizes double, part of a kernel)."""
    met = prod(layer.kernel_size) / (prod(layer.stride) if layer.transposed else 1)
    nn.init.normal_(layer.weight, 0.0, (2.0 / (layer.in_channels * met)) ** 0.5)


class PairDiscriminator(nn.Module):
    """Damaged and clean signal together, ``depth`` halvings, one channel, one dense unit over all places.

    Args:
        spec: the signals.
        width: channels of the first halving, doubled with each.
        depth: halvings.
        norm: of all but the first.
    """

    def __init__(self, spec: SignalSpec, *, width: int, depth: int, norm: Norm) -> None:
        super().__init__()
        dims, sizes = spec.dims, spec.sizes
        layers: list[nn.Module] = []
        channels = [2 * spec.channels + 1, *(width * 2**level for level in range(depth))]
        for level, (a, b) in enumerate(pairwise(channels)):
            plain = level == 0 or norm == "none"
            layers.append(Conv(dims, a, b, 3, stride=2, periodic=spec.periodic, bias=plain))
            layers.append(nn.Identity() if plain else normalisation(norm, b, dims))
            layers.append(nn.LeakyReLU(0.3))
            sizes = halved(sizes)
        layers.append(Conv(dims, channels[-1], 1, 3, periodic=spec.periodic))
        self.body = nn.Sequential(*layers)
        self.dense = Linear(prod(sizes), 1)

    def forward(
        self, seen: Float[Tensor, "batch more *space"], x: Float[Tensor, "batch channels *space"]
    ) -> Float[Tensor, " batch"]:
        """Log-odds of ``x`` being the clean partner of what was observed."""
        logits: Tensor = self.dense(self.body(torch.cat([seen, x], dim=1)).flatten(1)).squeeze(1)
        return at_least_single(logits)


class RestorationGAN(Restorer):
    """``y -> x̂ = G(y)``, judged by D(y, x̂) against D(y, x).

    Args:
        spec: the signals that go in and come out.
        generator: the U-Net.
        discriminator: of pairs.
    """

    def __init__(self, spec: SignalSpec, generator: Generator, discriminator: PairDiscriminator) -> None:
        super().__init__()
        self.spec = spec
        self.generator, self.discriminator = generator, discriminator

    def players(self) -> dict[str, nn.Module]:
        """``generator`` and ``discriminator``."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def restored(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """G(y); with a generator of random numbers one draw over what is dropped."""
        restored: Tensor = self.generator(y, mask, generator, drop=generator is not None)
        return restored

    def judge(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None,
        x: Float[Tensor, "batch channels *space"],
    ) -> Float[Tensor, " batch"]:
        """Log-odds of ``x`` being the clean partner of ``y``."""
        logits: Tensor = self.discriminator(with_mask(y, mask), x)
        return logits


@dataclass(frozen=True)
class RestorationGANConfig(ModelConfig):
    """The networks of the humanface8000 study, for any size (a picture of 256x256 is halved eight times).

    Args:
        width: channels of the generator's first halving; its coarsest has eight times as many.
        norm: of the generator.
        dropout: share dropped behind the generator's first three doublings, 0 to below 1.
        output: ``"relu"`` as in the study, ``"tanh"`` or ``"linear"``.
        residual: add what comes out to the observed signal (not in the study; ``output`` is then not used).
        discriminator_width: channels of the discriminator's first halving.
        discriminator_depth: its halvings.
        discriminator_norm: of the discriminator.
    """

    width: int = 64
    norm: Norm = "batch"
    dropout: float = 0.5
    output: Output = "relu"
    residual: bool = False
    discriminator_width: int = 64
    discriminator_depth: int = 4
    discriminator_norm: Norm = "batch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.dropout < 1.0:
            raise UserError(f"dropout is {self.dropout}", expected="0 to below 1", mend="set --model.dropout")

    def build(self, spec: SignalSpec, classes: int = 0) -> RestorationGAN:
        """The model for these signals; classes are not used."""
        generator = Generator(
            spec,
            width=self.width,
            norm=self.norm,
            dropout=self.dropout,
            output=self.output,
            residual=self.residual,
        )
        discriminator = PairDiscriminator(
            spec, width=self.discriminator_width, depth=self.discriminator_depth, norm=self.discriminator_norm
        )
        return RestorationGAN(spec, generator, discriminator)
