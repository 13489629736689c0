"""Blocks that the networks are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vaegan.nn.conv import Conv, Norm, normalisation


class ResBlock(nn.Module):
    """Two convolutions whose result is added to their input, normalised before each (He et al. 2016, fig. 4e).

    The second one starts at zero, so a new block is the identity; not so with spectral norm, which has no scale to start
    from (Miyato et al. 2018 have it in residual blocks too).
    """

    def __init__(
        self, dims: int, channels: int, *, norm: Norm, periodic: Sequence[bool] = (), spectral: bool = False
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(normalisation(norm, channels, dims) for _ in range(2))
        self.convs = nn.ModuleList(
            Conv(dims, channels, channels, 3, periodic=periodic, spectral=spectral) for _ in range(2)
        )
        if not spectral:
            for parameter in self.convs[1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """``x + f(x)``."""
        h = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            normed = norm(h)
            # Without gradients what this block made itself is written over: on a CPU fresh memory costs more than the sum.
            h = conv(F.silu(normed, inplace=normed is not x and not torch.is_grad_enabled()))
        return h.add_(x) if h.dtype == x.dtype else x + h
