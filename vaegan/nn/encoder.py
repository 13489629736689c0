"""Larsen's encoder (Larsen et al. 2015, Table 1), for 1D and 2D signals of any size."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vaegan.nn.conv import Conv, Linear, Norm, normalisation, pyramid
from vaegan.nn.posterior import DiagonalGaussian, posterior
from vaegan.signal import SignalSpec


class Encoder(nn.Module):
    """Strided convolutions to a posterior: 5x5 64 ↓, 128 ↓, 256 ↓, then a dense layer, each with a norm and ReLU.

    Args:
        spec: the signals that come in.
        latent: latent dimensions: the length of a vector, or the channels of a map.
        width: channels of the first convolution; each further one doubles them.
        depth: how often the size is halved.
        hidden: units of the dense layer; 0 gives a latent map at the coarsest size instead of a vector.
        norm: ``"batch"``, ``"group"`` or ``"none"``.
        spectral: spectral norm on every layer.
    """

    def __init__(
        self,
        spec: SignalSpec,
        *,
        latent: int = 128,
        width: int = 64,
        depth: int = 3,
        hidden: int = 1024,
        norm: Norm = "batch",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        dims, bias = spec.dims, norm == "none"
        channels = [spec.channels, *(width * 2**level for level in range(depth))]
        self.convs = nn.ModuleList(
            Conv(dims, a, b, 5, stride=2, periodic=spec.periodic, bias=bias, spectral=spectral)
            for a, b in pairwise(channels)
        )
        self.norms = nn.ModuleList(normalisation(norm, c, dims) for c in channels[1:])
        coarsest = pyramid(spec.sizes, depth)[-1]
        if hidden:
            self.dense: nn.Module = nn.Sequential(
                nn.Flatten(),
                Linear(channels[-1] * prod(coarsest), hidden, bias=bias, spectral=spectral),
                normalisation(norm, hidden, 0),
                nn.ReLU(),
            )
            self.head: nn.Module = Linear(hidden, 2 * latent, spectral=spectral)
            self.latent_shape: tuple[int, ...] = (latent,)
        else:
            self.dense = nn.Identity()
            self.head = Conv(dims, channels[-1], 2 * latent, 3, periodic=spec.periodic, spectral=spectral)
            self.latent_shape = (latent, *coarsest)

    def forward(self, y: Float[Tensor, "batch channels *space"]) -> DiagonalGaussian:
        """q(z | y) of each observed signal, given in model units."""
        h = y
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = F.relu(norm(conv(h)))
        return posterior(self.head(self.dense(h)))
