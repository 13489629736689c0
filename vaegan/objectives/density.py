"""Objectives of restorers that model p(x | y): a diffusion model's denoising error, and a flow's likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaegan.degradation.base import normal, uniform
from vaegan.models.base import Model
from vaegan.models.diffusion import LEVELS, Diffusion
from vaegan.models.flow import ConditionalFlow
from vaegan.models.restorer import with_mask
from vaegan.objectives.base import Batch
from vaegan.objectives.restoring import OneLoss, as_kind, pixel_error


@dataclass(frozen=True)
class DiffusionObjective(OneLoss):
    """Mean squared error of the clean signal predicted from a noisy one, at a random level (Ho et al. 2020, Sec. 3.2)."""

    players: ClassVar[tuple[str, ...]] = ("network",)

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The error, in model units squared."""
        model = as_kind(model, Diffusion, "DiffusionObjective")
        level = (uniform(len(batch.x), batch.x.new_zeros((), dtype=torch.float32), generator) * LEVELS).long()
        noise = normal(tuple(batch.x.shape), batch.x, generator)
        noisy = model.noised(batch.x, noise, level)
        x = model.clean(noisy, with_mask(batch.y, batch.mask), level)
        return {"network": pixel_error(batch.x, batch.judged(x), squared=True)}


@dataclass(frozen=True)
class LikelihoodObjective(OneLoss):
    """−log p(x | y) in nats a value: what a normalising flow is trained for."""

    players: ClassVar[tuple[str, ...]] = ("trunk", "steps")

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The same scalar for both players."""
        model = as_kind(model, ConditionalFlow, "LikelihoodObjective")
        noise = normal(tuple(batch.x.shape), batch.x, generator)
        nats = model.nats(batch.x, batch.y, batch.mask, batch.known, noise)
        return dict.fromkeys(self.players, nats.mean())
