"""Larsen's decoder (Larsen et al. 2015, Table 1), for 1D and 2D signals of any size."""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vaegan.nn.conv import Condition, Conv, Linear, Norm, Upsample, normalisation, pyramid
from vaegan.signal import SignalSpec


class Decoder(nn.Module):
    """A latent to a signal: dense to 8x8x256, 5x5 256 ↑, 128 ↑, 32 ↑, each with a norm and ReLU, then 5x5 and tanh.

    Args:
        spec: the signals that come out.
        latent: latent dimensions: the length of a vector, or the channels of a map.
        width: channels after the last up-sampling. The others are 4, 8 and 8 times that many, from fine to coarse.
        depth: how often the size is doubled.
        vector: whether the latent is a vector (a dense layer spreads it) or a map at the coarsest size.
        norm: ``"batch"``, ``"group"`` or ``"none"``.
        classes: number of classes for a conditional decoder, else 0. Where a dense layer spreads the latent it spreads the
            class too, so that a class may have a shape of its own; beside a map its vector is the same at every place.
        class_scale: standard deviation of a class's vector at first.
    """

    def __init__(
        self,
        spec: SignalSpec,
        *,
        latent: int = 128,
        width: int = 32,
        depth: int = 3,
        vector: bool = True,
        norm: Norm = "batch",
        classes: int = 0,
        class_scale: float = 1.0,
    ) -> None:
        super().__init__()
        dims, bias = spec.dims, norm == "none"
        self.sizes = pyramid(spec.sizes, depth)[::-1]
        channels = [width * (8 if level < 2 else 4) for level in range(depth)]
        self.coarsest = (channels[0], *self.sizes[0])
        self.vector = vector
        if vector:
            self.spread: nn.Module = Linear(latent, prod(self.coarsest), bias=bias)
            self.spread_norm = normalisation(norm, prod(self.coarsest), 0)
        else:
            self.spread = Conv(dims, latent, channels[0], 3, periodic=spec.periodic, bias=bias)
            self.spread_norm = normalisation(norm, channels[0], dims)
        self.condition = Condition(classes, prod(self.coarsest) if vector else channels[0], scale=class_scale)
        outputs = [*channels[1:], width]
        self.ups = nn.ModuleList(
            Upsample(dims, a, b, 5, periodic=spec.periodic, bias=bias) for a, b in zip(channels, outputs, strict=True)
        )
        self.norms = nn.ModuleList(normalisation(norm, c, dims) for c in outputs)
        self.last = Conv(dims, width, spec.channels, 5, periodic=spec.periodic)

    def forward(
        self, z: Float[Tensor, "batch latent *coarse"], condition: Tensor | None = None
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ = G(z), in model units (-1, 1).

        Args:
            z: (batch, latent) or (batch, latent, *coarsest size).
            condition: (batch,) class indices for a conditional decoder.
        """
        h = F.relu(self.spread_norm(self.condition(self.spread(z), condition)))
        h = h.view(-1, *self.coarsest) if self.vector else h
        for up, norm, sizes in zip(self.ups, self.norms, self.sizes[1:], strict=True):
            h = F.relu(norm(up(h, sizes)))
        return torch.tanh(self.last(h))
