"""From the sharpest restoration to the most faithful one, with one knob."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.models.base import Model, Restored

DRAWS = 8
"""Posterior draws whose mean is the most faithful restoration of a model that has no pixel-trained partner."""


class Blend(Model):
    """``(1 − f) · sharp + f · faithful``: the line between two restorers of the same signals.

    For the squared error, the best restorer at every level of realism lies on the line between the most realistic one and
    the posterior mean (Freirich et al. 2021, Thm. 3). Here the ends are a model trained against a discriminator, and the
    same model as it was before the discriminator had a say.

    Args:
        sharp: trained with an adversarial term.
        faithful: trained for the error alone; ``None`` takes the mean of eight posterior draws of ``sharp``.
        fidelity: f, from 0 (sharp) to 1 (faithful).
    """

    def __init__(self, sharp: Model, faithful: Model | None, fidelity: float) -> None:
        super().__init__()
        if not 0 <= fidelity <= 1:
            raise UserError(f"fidelity is {fidelity}", expected="0 (sharp) to 1 (faithful)", mend="set --fidelity")
        self.spec, self.classes = sharp.spec, sharp.classes
        self.sharp, self.faithful, self.fidelity = sharp, faithful, fidelity

    @property
    def stride(self) -> int:
        """That of the coarser of both ends."""
        return max(model.stride for model in self._ends())

    @property
    def reach(self) -> int | None:
        """That of the end which reaches further; ``None`` where one of them is not local."""
        reaches = [model.reach for model in self._ends()]
        known = [reach for reach in reaches if reach is not None]
        return max(known) if len(known) == len(reaches) else None

    def _ends(self) -> list[Model]:
        return [self.sharp] if self.faithful is None else [self.sharp, self.faithful]

    def players(self) -> dict[str, nn.Module]:
        """Those of the sharp model."""
        return self.sharp.players()

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, condition: Tensor | None = None
    ) -> Float[Tensor, "n channels *space"]:
        """Draws of the sharp model."""
        return self.sharp.sample(n, generator=generator, condition=condition)

    def restore(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        *,
        samples: int = 0,
        generator: torch.Generator | None = None,
    ) -> Restored:
        """The blend of both means, and of both spreads where draws are asked for."""
        ends: list[tuple[float, Restored]] = []
        if self.fidelity < 1:
            ends.append((1 - self.fidelity, self.sharp.restore(y, mask, samples=samples, generator=generator)))
        if self.fidelity > 0:
            last = self.sharp if self.faithful is None else self.faithful
            draws = max(samples, DRAWS) if self.faithful is None else samples
            ends.append((self.fidelity, last.restore(y, mask, samples=draws, generator=generator)))
        mean = torch.stack([weight * end.mean for weight, end in ends]).sum(0)
        if not samples:
            return Restored(mean)
        return Restored(
            mean, torch.stack([weight * end.spread for weight, end in ends if end.spread is not None]).sum(0)
        )
