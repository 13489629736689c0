"""A plain U-Net (Ronneberger et al. 2015) that predicts what to change: the yardstick without latent and adversary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.models.base import ModelConfig, measured_reach
from vaegan.models.restorer import NetworkRestorer
from vaegan.nn import RestoringDecoder, RestoringEncoder
from vaegan.nn.conv import Norm
from vaegan.signal import SignalSpec


class _Network(nn.Module):
    """The restoring path of the VAE-GAN with nothing between its encoder and its decoder."""

    def __init__(self, encoder: RestoringEncoder, decoder: RestoringDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, y: Tensor, mask: Tensor | None) -> Tensor:
        encoding = self.encoder(y, mask)
        restored: Tensor = self.decoder(encoding.posterior.mean.to(y), encoding.context)
        return restored


class UNet(NetworkRestorer):
    """``y -> x̂ = y + change(y)``, at any size.

    Args:
        spec: the signals that go in and come out.
        encoder, decoder: of residual blocks, joined by skips at every size.
    """

    network: _Network

    def __init__(self, spec: SignalSpec, encoder: RestoringEncoder, decoder: RestoringDecoder) -> None:
        super().__init__()
        self.spec, self.network = spec, _Network(encoder, decoder)

    @property
    def stride(self) -> int:
        """By how much the coarsest level is smaller."""
        encoder = self.network.encoder
        return int(encoder.patch * 2 ** len(encoder.downs))

    @cached_property
    def reach(self) -> int | None:  # type: ignore[override]
        """As measured; ``None`` with group norm."""
        return measured_reach(self)

    def restored(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ in model units."""
        x: Tensor = self.network(y, mask)
        return x


@dataclass(frozen=True)
class UNetConfig(ModelConfig):
    """A U-Net of residual blocks.

    Args:
        width: channels of the finest level; each coarser one doubles them up to ``widest``.
        widest: most channels of a level.
        depth: how often the size is halved.
        blocks: residual blocks a level.
        patch: samples along each axis that the finest level sees as one.
        norm: ``"none"`` and ``"layer"`` keep the network local.
    """

    width: int = 32
    widest: int = 256
    depth: int = 3
    blocks: int = 1
    patch: int = 1
    norm: Norm = "none"

    def build(self, spec: SignalSpec, classes: int = 0) -> UNet:
        """The model for these signals; classes are not used."""
        encoder = RestoringEncoder(
            spec,
            latent=0,
            width=self.width,
            depth=self.depth,
            widest=self.widest,
            blocks=self.blocks,
            vector=False,
            norm=self.norm,
            patch=self.patch,
        )
        decoder = RestoringDecoder(
            spec,
            latent=0,
            width=self.width,
            depth=self.depth,
            widest=self.widest,
            blocks=self.blocks,
            vector=False,
            norm=self.norm,
            patch=self.patch,
        )
        return UNet(spec, encoder, decoder)
