"""Larsen's discriminator (Larsen et al. 2015, Table 1): it judges signals and lends its hidden layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from jaxtyping import Float
from torch import Tensor, nn

from vaegan.nn.conv import Conv, Linear, Norm, Projection, normalisation, pyramid
from vaegan.nn.precision import at_least_single
from vaegan.signal import SignalSpec


@dataclass(frozen=True)
class Verdict:
    """What a discriminator says of signals.

    Attributes:
        logits: (batch,) log-odds of being real.
        features: Dis_l, one entry a convolution: its output before norm and activation.
    """

    logits: Float[Tensor, " batch"]
    features: tuple[Float[Tensor, "batch _ ..."], ...]


class Discriminator(nn.Module):
    """5x5 32 (stride 1), 128 ↓, 256 ↓, 256 ↓, dense 512, 1.

    Args:
        spec: the signals to judge.
        width: channels of the first convolution; the strided ones have 4, 8, 8, ... times that many.
        depth: how often the size is halved.
        hidden: units of the dense layer.
        norm: ``"batch"``, ``"group"`` or ``"none"``.
        spectral: spectral norm on every layer (Miyato et al. 2018).
        leak: slope of the activation below 0; 0 is Larsen's ReLU.
        classes: number of classes for a conditional discriminator, else 0. The logit is then ``φ(x)·v + φ(x)·e_c`` with the
            dense layer's output φ and a learned vector e_c for each class c (projection; Miyato & Koyama 2018, Eq. 3).
    """

    def __init__(
        self,
        spec: SignalSpec,
        *,
        width: int = 32,
        depth: int = 3,
        hidden: int = 512,
        norm: Norm = "batch",
        spectral: bool = False,
        leak: float = 0.0,
        classes: int = 0,
    ) -> None:
        super().__init__()
        dims, bias = spec.dims, norm == "none"
        channels = [width, *(width * (4 if level == 0 else 8) for level in range(depth))]
        first = Conv(dims, spec.channels, width, 5, periodic=spec.periodic, spectral=spectral)
        strided = [
            Conv(dims, a, b, 5, stride=2, periodic=spec.periodic, bias=bias, spectral=spectral)
            for a, b in pairwise(channels)
        ]
        self.convs = nn.ModuleList([first, *strided])
        self.norms = nn.ModuleList([nn.Identity(), *(normalisation(norm, c, dims) for c in channels[1:])])
        self.activation: Callable[[Tensor], Tensor] = nn.LeakyReLU(leak) if leak else nn.ReLU()
        coarsest = pyramid(spec.sizes, depth, flag="--model.discriminator-depth, or --model.depth where there is none")[
            -1
        ]
        self.dense = Linear(channels[-1] * prod(coarsest), hidden, bias=bias, spectral=spectral)
        self.dense_norm = normalisation(norm, hidden, 0)
        self.last = Linear(hidden, 1, spectral=spectral)
        self.projection = Projection(classes, hidden, spectral=spectral)

    def forward(self, x: Float[Tensor, "batch channels *space"], condition: Tensor | None = None) -> Verdict:
        """Judges signals given in model units; ``condition`` holds (batch,) class indices for a conditional network."""
        features = []
        h = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            raw = conv(h)
            features.append(raw)
            h = self.activation(norm(raw))
        h = self.activation(self.dense_norm(self.dense(h.flatten(1))))
        logits = self.last(h).squeeze(1) + self.projection(h, condition)
        return Verdict(at_least_single(logits), tuple(features))
