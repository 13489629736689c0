"""The objective of a conditional GAN on pairs (pix2pix, Isola et al. 2017, eqs. 1 to 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaegan.models.base import Model
from vaegan.models.restoration_gan import RestorationGAN
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, check_numbers
from vaegan.objectives.restoring import as_kind, pixel_error


@dataclass(frozen=True)
class PairedGANObjective(Objective):
    """Binary cross-entropy on pairs, and the absolute error.

    - generator: ``adversarial`` · −log D(y, G(y)) + ``pixel`` · |x − G(y)|,
    - discriminator: −log D(y, x) − log(1 − D(y, G(y))).

    The generator's dropout is on while it trains. The humanface8000 study's first notebook has these weights in its own unit
    of 0 to 1; a value of 0 for ``adversarial`` is its second one (the discriminator then learns and is not heard).

    Args:
        pixel: weight of the mean absolute error, the full range of a signal being 1.
        adversarial: weight of the discriminator's opinion.
        squared: the squared error instead of the absolute one (neither the study's nor pix2pix's).
    """

    players: ClassVar[tuple[str, ...]] = ("generator", "discriminator")

    pixel: float = 100.0
    adversarial: float = 1.0
    squared: bool = False

    def __post_init__(self) -> None:
        check_numbers(self, weights=("pixel", "adversarial"))

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """One scalar a player."""
        model = as_kind(model, RestorationGAN, "PairedGANObjective")
        x = batch.judged(model.generator(batch.y, batch.mask, generator, drop=True))
        fake = model.judge(batch.y, batch.mask, x)
        real = model.judge(batch.y, batch.mask, batch.x)
        scale = 0.25 if self.squared else 0.5  # from a range of 2 to one of 1
        error = scale * pixel_error(batch.x, x, squared=self.squared)
        return {
            "generator": self.adversarial * terms.non_saturating(fake) + self.pixel * error,
            "discriminator": terms.gan(real, fake),
        }
