"""Objectives of restorers without an adversary: a pixel error, and the evidence bound of the study's VAE."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from vaegan.degradation.base import normal
from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.models.restorer import NetworkRestorer
from vaegan.models.unet_vae import UNetVAE
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, Step, assign, check_numbers, gradient, trainable

Kind = TypeVar("Kind", bound=Model)


def as_kind(model: Model, kind: type[Kind], objective: str) -> Kind:
    """The model, where it is of the kind that an objective trains.

    Raises:
        UserError: where it is not.
    """
    if not isinstance(model, kind):
        raise UserError(
            f"a model of type {type(model).__name__} for {objective}",
            expected=kind.__name__,
            mend="give the recipe a model and an objective that fit",
        )
    return model


class OneLoss(Objective):
    """An objective all of whose players descend the same scalar: one pass for all."""

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """The gradient of the shared loss in every player."""
        loss = self.losses(model, batch, generator)[self.players[0]]
        parameters = [p for name in self.players for p in trainable(model.players()[name])]
        assign(parameters, gradient([loss], parameters))
        return Step({"loss": loss.detach()})


@dataclass(frozen=True)
class PixelObjective(OneLoss):
    """Mean absolute or squared error of a restoration: what a plain U-Net or DnCNN is trained for.

    Args:
        squared: the mean squared error instead of the absolute one.
    """

    players: ClassVar[tuple[str, ...]] = ("network",)

    squared: bool = False

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The error, in model units (squared)."""
        model = as_kind(model, NetworkRestorer, "PixelObjective")  # type: ignore[type-abstract]
        x = batch.judged(model.restored(batch.y, batch.mask))
        return {"network": pixel_error(batch.x, x, squared=self.squared)}


@dataclass(frozen=True)
class UNetVAEObjective(OneLoss):
    """Mean squared error + β KL, per element: the VAE of the humanface8000 study.

    Args:
        beta: weight of the KL (in nats) divided by the signal's number of elements.
    """

    players: ClassVar[tuple[str, ...]] = ("encoder", "decoder")

    beta: float = 1.0

    def __post_init__(self) -> None:
        check_numbers(self, weights=("beta",))

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The same scalar for both players."""
        model = as_kind(model, UNetVAE, "UNetVAEObjective")
        noise = normal((len(batch.y), *model.latent_shape), batch.y, generator)
        x, q = model.autoencoded(batch.y, batch.mask, noise)
        error = pixel_error(batch.x, batch.judged(x), squared=True)
        loss = error + self.beta * terms.kl_prior(q) / prod(batch.x.shape[1:])
        return dict.fromkeys(self.players, loss)


def pixel_error(x: Tensor, estimate: Tensor, *, squared: bool) -> Tensor:
    """Mean absolute or squared error over a batch's elements."""
    if not squared:
        return terms.absolute_error(x, estimate)
    return 2.0 * terms.squared_error(x, estimate) / prod(x.shape[1:])
