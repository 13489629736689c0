"""AmbientGAN: a generator of clean signals, learned from observed ones alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.models.vaegan import VAEGAN
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, Step, assign, check_numbers, gradient, leaf, trainable
from vaegan.objectives.cut import Noise, as_vaegan


@dataclass(frozen=True)
class AmbientObjective(Objective):
    """The discriminator compares observed signals with generated ones that were degraded in the same way (Bora et al. 2018).

    With the measurement ``M`` (the training's degradation, drawn anew), ``x_p = G(z_p)``, ``y_p = M(x_p)``, C the
    discriminator's logit:

    - decoder: mean of softplus(C(y) − C(y_p)),
    - discriminator: mean of softplus(C(y_p) − C(y)) + ½ γ (E‖∇C(y)‖² + E‖∇C(y_p)‖²),

    the relativistic form (Huang et al. 2024) of Bora et al.'s Eq. 2. The degradation must let gradients through, and
    must be one that the distribution of its outputs tells the distribution of its inputs of. Samples that were not
    observed are 0 on both sides, and draws have the gaps of the data too: else the gaps alone would tell them apart.
    The encoder is left alone.

    Args:
        penalty: γ of R1 and R2.
        penalty_every: steps from one penalty to the next; it is multiplied by as much.
    """

    players: ClassVar[tuple[str, ...]] = ("decoder", "discriminator")
    observed_only: ClassVar[bool] = True

    penalty: float = 1.0
    penalty_every: int = 4

    def __post_init__(self) -> None:
        if self.penalty_every < 1:
            raise UserError(
                f"penalty_every is {self.penalty_every}", expected="at least 1", mend="set objective.penalty_every"
            )
        check_numbers(self, weights=("penalty",))

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """One scalar a player, on one graph."""
        model = as_vaegan(model)
        real, fake = self._both(model, batch, generator)
        seen, drawn = (model.judge(y, batch.condition).logits for y in (real, fake))
        return {
            "decoder": terms.relativistic(drawn, seen),
            "discriminator": terms.relativistic(seen, drawn) + self._penalty(model, batch, real, fake),
        }

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """The same gradients from a graph cut at the degraded samples."""
        model = as_vaegan(model)
        dec, dis = (trainable(model.players()[name]) for name in self.players)
        real, fake = self._both(model, batch, generator)
        cut = leaf(fake)
        seen, drawn = (model.judge(y, batch.condition).logits for y in (real, cut))
        fool, apart = terms.relativistic(drawn, seen), terms.relativistic(seen, drawn)
        opinion = gradient([fool], [cut], retain=True)
        penalty = self._penalty(model, batch, real, fake)
        assign(dis, gradient([apart + penalty], dis))
        assign(dec, gradient([fake], dec, opinion))
        logged = {"fool": fool, "tell_apart": apart, "penalty": penalty, "d_margin": seen.mean() - drawn.mean()}
        return Step({name: value.detach() for name, value in logged.items()})

    def _both(self, model: VAEGAN, batch: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Observed signals, and degraded draws; what was not observed is 0 in each, and where the data have gaps in both."""
        if batch.measure is None:
            raise UserError(
                "the ambient objective knows no degradation",
                expected="a recipe with degradations",
                mend="set degradations",
            )
        noise = Noise.draw(model, batch, generator)
        drawn = batch.measure(model.decode(noise.prior, None, batch.condition), generator)
        return _shown(batch.y, batch.mask, batch.known), _shown(drawn.y, drawn.mask, batch.known)

    def _penalty(self, model: VAEGAN, batch: Batch, real: Tensor, fake: Tensor) -> Tensor:
        """R1 + R2 on fresh leaves, so that nothing but the discriminator can receive its gradient."""
        if not self.penalty or batch.step % self.penalty_every:
            return batch.y.new_zeros(())
        r1, r2 = (terms.gradient_penalty(model.judge(y, batch.condition).logits, y) for y in (leaf(real), leaf(fake)))
        return self.penalty * self.penalty_every * (r1 + r2)


def _shown(y: Tensor, *masks: Tensor | None) -> Tensor:
    """Signals that are 0 where one of the masks is False."""
    for mask in masks:
        y = y if mask is None else torch.where(mask, y, 0.0)
    return y
