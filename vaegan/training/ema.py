"""Averaged weights for evaluation."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from vaegan.models import Model


class AveragedWeights:
    """An exponential moving average of a model, whose memory grows with training (Karras et al. 2024, sec. 3.1).

    The half-life is ``share`` of the samples seen so far, so the early, bad weights are forgotten whatever the budget.

    Args:
        model: the model that is trained.
        share: half-life over samples seen.
    """

    def __init__(self, model: Model, share: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.share = share

    @torch.no_grad()
    def update(self, model: nn.Module, samples: int, batch: int) -> None:
        """Moves the average towards ``model`` after a step.

        Args:
            model: the model that is trained.
            samples: samples seen, this step's included.
            batch: samples of this step.
        """
        keep = 0.5 ** (batch / (self.share * samples)) if self.share > 0 else 0.0
        ours: list[Tensor] = list(self.model.parameters())
        theirs: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(ours, theirs, 1.0 - keep)
        for our, their in zip(self.model.buffers(), model.buffers(), strict=True):
            our.copy_(their)
