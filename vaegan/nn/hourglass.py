"""A U-Net that halves its signals down to a single sample and doubles them up again (Ronneberger et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vaegan.degradation.base import uniform
from vaegan.nn.conv import Conv, Norm, Upsample, halved, normalisation
from vaegan.signal import SignalSpec

GROWTH = (1, 2, 2, 4, 4, 8, 8, 8)
"""Channels of each halving, as multiples of the first one's: 64 to 512 over the eight of a picture of 256x256."""


def hourglass_channels(sizes: Sequence[int], width: int) -> list[int]:
    """Channels after each halving, until the shortest axis has one sample left; the last has the most.

    Args:
        sizes: samples along each axis.
        width: channels of the first halving.
    """
    levels, shortest = 1, (min(sizes) + 1) // 2
    while shortest > 1:
        levels, shortest = levels + 1, (shortest + 1) // 2
    growth = [GROWTH[min(level, len(GROWTH) - 1)] for level in range(levels - 1)]
    return [width * factor for factor in (*growth, GROWTH[-1])]


class Contraction(nn.Module):
    """Convolutions 3x3 of stride 2, each with norm and leaky ReLU, the first without a norm.

    Args:
        spec: the signals that go in; one channel more says what was observed.
        channels: after each halving.
        norm: of all but the first.
        leak: slope of the activation below 0.
    """

    def __init__(self, spec: SignalSpec, channels: Sequence[int], *, norm: Norm, leak: float) -> None:
        super().__init__()
        dims = spec.dims
        steps = [*pairwise((spec.channels + 1, *channels))]
        self.convs = nn.ModuleList(
            Conv(dims, a, b, 3, stride=2, periodic=spec.periodic, bias=i == 0 or norm == "none")
            for i, (a, b) in enumerate(steps)
        )
        self.norms = nn.ModuleList(
            nn.Identity() if i == 0 else normalisation(norm, b, dims) for i, (_, b) in enumerate(steps)
        )
        self.activation = nn.LeakyReLU(leak)

    def forward(self, h: Float[Tensor, "batch channels *space"]) -> list[Float[Tensor, "batch _ ..."]]:
        """The features after each halving, the finest first."""
        features = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = self.activation(norm(conv(h)))
            features.append(h)
        return features


class Expansion(nn.Module):
    """Transposed convolutions 3x3 of stride 2 with norm and ReLU, each joined by the contraction's features of its size.

    Args:
        spec: the signals that come out.
        channels: of the contraction.
        norm: of all layers but the last.
        skips: whether the contraction's features are joined; without them all must come from the coarsest.
        dropout: share of the features dropped behind the first three doublings.
        last: kernel of the last doubling.
    """

    def __init__(
        self,
        spec: SignalSpec,
        channels: Sequence[int],
        *,
        norm: Norm,
        skips: bool = True,
        dropout: float = 0.0,
        last: int = 5,
    ) -> None:
        super().__init__()
        dims, outputs = spec.dims, [*reversed(channels[:-1])]
        inputs = [channels[-1], *(c * (2 if skips else 1) for c in outputs)]
        self.skips, self.dropout = skips, dropout
        self.ups = nn.ModuleList(
            Upsample(dims, a, b, 3, periodic=spec.periodic, bias=norm == "none")
            for a, b in zip(inputs[:-1], outputs, strict=True)
        )
        self.norms = nn.ModuleList(normalisation(norm, c, dims) for c in outputs)
        self.last = Upsample(dims, inputs[-1], spec.channels, last, periodic=spec.periodic)
        self.sizes = [spec.sizes]
        for _ in outputs:
            self.sizes.append(halved(self.sizes[-1]))

    def forward(
        self,
        h: Float[Tensor, "batch coarsest *one"],
        features: Sequence[Float[Tensor, "batch _ ..."]] = (),
        generator: torch.Generator | None = None,
        *,
        drop: bool = False,
    ) -> Float[Tensor, "batch channels *space"]:
        """Doubles the coarsest features up to the size of ``spec``.

        Args:
            h: the coarsest features.
            features: of the contraction, without the coarsest, the finest first.
            generator: what is dropped comes from it.
            drop: whether anything is dropped.
        """
        for i, (up, norm) in enumerate(zip(self.ups, self.norms, strict=True)):
            level = len(self.sizes) - 1 - i
            h = norm(up(h, self.sizes[level]))
            if drop and self.dropout and i < 3:
                kept = uniform(tuple(h.shape), h, generator) >= self.dropout
                h = h * kept.to(h.dtype) / (1.0 - self.dropout)
            h = F.relu(h)
            if self.skips:
                h = torch.cat([h, features[level - 1]], dim=1)
        whole: Tensor = self.last(h, self.sizes[0])
        return whole
