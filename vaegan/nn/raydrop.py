"""A decoder that also says where nothing comes back: the ray-drop head of DUSty (Nakashima and Kurazume 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

STEEPNESS = 6.0
"""The head's logit is this times the decoder's last channel, which lies within (-1, 1)."""


class RayDrop(nn.Module):
    """Signals that are there or not, sample by sample: x̂ = m s + (1 - m) c, with m from a Gumbel-sigmoid.

    The decoder's last channel is the logit l of an echo coming back, the others are the signal s, and c is the constant that
    stands where none does. m = 1 where l plus logistic noise is above 0; its gradient is that of the sigmoid of it (the
    straight-through estimator of Jang et al. 2017 for two classes). The noise follows from z alone: the same latent gives
    the same signal.

    Args:
        decoder: from (z, condition) to signals of one channel more, within (-1, 1).
        missing: c, for each channel, in model units.
        temperature: of the sigmoid.
    """

    missing: Tensor

    def __init__(self, decoder: nn.Module, missing: Sequence[float], temperature: float = 1.0) -> None:
        super().__init__()
        self.decoder, self.temperature = decoder, temperature
        self.register_buffer("missing", torch.tensor([float(value) for value in missing]))

    def forward(
        self, z: Float[Tensor, "batch latent *coarse"], condition: Tensor | None = None
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂, in model units."""
        told = self.decoder(z, condition)
        signal, logit = told[:, :-1], STEEPNESS * told[:, -1:]
        soft = torch.sigmoid((logit + logistic_of(z, logit)) / self.temperature)
        there = (soft > 0.5).to(soft) + soft - soft.detach()
        return there * signal + (1.0 - there) * self.missing.to(signal).view(1, -1, *(1 for _ in signal.shape[2:]))


def logistic_of(z: Tensor, like: Tensor) -> Tensor:
    """Standard logistic noise (the difference of two Gumbel variables), shaped as ``like``, from each item's z."""
    sums = z.detach().double().flatten(1).sum(1).abs() * 1e6
    seeds = sums.nan_to_num(0.0, 0.0).cpu().tolist()  # it is the terms that tell of a training that went wrong
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(int(seed) % (2**62))
        rows.append(torch.rand(like.shape[1:], generator=generator).clamp(1e-6, 1.0 - 1e-6))
    share = torch.stack(rows)
    return (share.log() - torch.log1p(-share)).to(like)
