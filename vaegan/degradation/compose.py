"""Degradations made of others."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vaegan.degradation.base import Degradation, Measurement
from vaegan.errors import UserError


def _chance(n: int, x: Tensor, generator: torch.Generator | None) -> Float[Tensor, " n"]:
    # On the generator's own device: one on the host tells which samples are chosen without waiting for an accelerator.
    # Training's lies on the accelerator, as noise is drawn there, and is waited for.
    return torch.rand(n, generator=generator, device=x.device if generator is None else generator.device)


def _apply_to_rows(
    step: nn.Module,
    before: Measurement,
    rows: Int[Tensor, " chosen"],
    generator: torch.Generator | None,
    severity: Float[Tensor, " batch"] | None,
) -> Measurement:
    """One degradation on top of a measurement, for some samples of the batch only."""
    rows = rows.to(before.y.device)
    if not len(rows):
        return before
    after = step(before.y[rows], generator=generator, severity=None if severity is None else severity[rows])
    y = before.y.index_copy(0, rows, after.y)
    if after.mask is None:
        return Measurement(y, before.mask)
    mask = _all_observed(y) if before.mask is None else before.mask
    return Measurement(y, mask.index_copy(0, rows, mask[rows] & after.mask))


def _all_observed(y: Tensor) -> Bool[Tensor, "batch 1 *space"]:
    return torch.ones_like(y[:, :1], dtype=torch.bool)


class Compose(Degradation):
    """One degradation after another; a sample counts as observed where every step observed it.

    Its level is a severity, which every step gets; without one each step draws from its own range.

    Args:
        steps: at least one degradation, the first nearest to the signal.
        probability: with which each step is applied to each sample.

    Raises:
        UserError: without steps, or when probability leaves [0, 1].
    """

    def __init__(self, *steps: Degradation, probability: float = 1.0) -> None:
        super().__init__((0.0, 1.0))
        if not steps:
            raise UserError("Compose got no degradation", expected="at least one")
        if not 0.0 <= probability <= 1.0:
            raise UserError(f"Compose got probability={probability:g}", expected="a value in [0, 1]")
        self.steps, self.probability = nn.ModuleList(steps), probability
        told = [step.looks for step in steps if not step.hides]
        self.hides = not told
        self.looks = told[0] if len(told) == 1 and probability == 1.0 else None

    def forward(
        self,
        x: Float[Tensor, "batch channels *space"],
        *,
        generator: torch.Generator | None = None,
        severity: Float[Tensor, " batch"] | None = None,
    ) -> Measurement:
        """Applies the steps in turn; see :meth:`Degradation.forward`."""
        if severity is None:
            return self._chain(x, None, generator)
        return super().forward(x, generator=generator, severity=severity)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Applies the steps in turn, each at this severity."""
        return self._chain(x, level, generator)

    def _chain(self, x: Tensor, severity: Tensor | None, generator: torch.Generator | None) -> Measurement:
        measured = Measurement(x)
        for step in self.steps:
            # rand() < 1 always holds, so that a probability of 1 needs no case of its own.
            rows = (_chance(len(x), x, generator) < self.probability).nonzero().flatten()
            measured = _apply_to_rows(step, measured, rows, generator, severity)
        return measured

    def extra_repr(self) -> str:
        """The probability of a step."""
        return f"probability={self.probability:g}"


class OneOf(Degradation):
    """One degradation for each sample, chosen at random with equal odds.

    Its level is a severity, which the chosen one gets; without one it draws from its own range.

    Args:
        choices: at least one degradation.

    Raises:
        UserError: without choices.
    """

    def __init__(self, *choices: Degradation) -> None:
        super().__init__((0.0, 1.0))
        if not choices:
            raise UserError("OneOf got no degradation", expected="at least one")
        self.choices = nn.ModuleList(choices)
        self.hides = all(choice.hides for choice in choices)
        self.looks = choices[0].looks if len({choice.looks for choice in choices}) == 1 else None

    def forward(
        self,
        x: Float[Tensor, "batch channels *space"],
        *,
        generator: torch.Generator | None = None,
        severity: Float[Tensor, " batch"] | None = None,
    ) -> Measurement:
        """Applies one choice to each sample; see :meth:`Degradation.forward`."""
        if severity is None:
            return self._choose(x, None, generator)
        return super().forward(x, generator=generator, severity=severity)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Applies one choice to each sample, at this severity."""
        return self._choose(x, level, generator)

    def _choose(self, x: Tensor, severity: Tensor | None, generator: torch.Generator | None) -> Measurement:
        chosen = (_chance(len(x), x, generator) * len(self.choices)).long()
        measured = Measurement(x)
        for number, choice in enumerate(self.choices):
            measured = _apply_to_rows(choice, measured, (chosen == number).nonzero().flatten(), generator, severity)
        return measured

    def extra_repr(self) -> str:
        """Nothing: the choices are listed below."""
        return ""
