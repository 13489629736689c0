"""The contract of a model, and of the value that describes one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.signal import SignalSpec


@dataclass(frozen=True)
class Restored:
    """What a model makes of observed signals.

    Attributes:
        mean: the restored signals, in model units.
        spread: standard deviation over posterior samples, or ``None`` where none were drawn.
    """

    mean: Float[Tensor, "batch channels *space"]
    spread: Float[Tensor, "batch channels *space"] | None = None


class Model(nn.Module, ABC):
    """What is trained as a whole, built from a :class:`~vaegan.signal.SignalSpec`.

    Attributes:
        spec: the signals that go in and come out.
        classes: number of classes that it is conditioned on, or 0.
    """

    spec: SignalSpec
    classes: int = 0

    @abstractmethod
    def players(self) -> dict[str, nn.Module]:
        """The parts that are trained against or beside each other, by name; their parameters are disjoint."""

    @abstractmethod
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, condition: Tensor | None = None
    ) -> Float[Tensor, "n channels *space"]:
        """Draws ``n`` signals from the prior, in model units."""

    @abstractmethod
    def restore(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        *,
        samples: int = 0,
        generator: torch.Generator | None = None,
    ) -> Restored:
        """Restores observed signals; with ``samples`` above 0 as mean and spread over so many posterior samples."""


class ModelConfig(ABC):
    """A frozen dataclass whose fields are a model's plain arguments; whole numbers are counts, 0 or more."""

    optional: ClassVar[tuple[str, ...]] = ()
    """Counts that may be 0."""

    def __post_init__(self) -> None:
        """Checks the counts.

        Raises:
            UserError: for a count below 1, or below 0 where it is optional.
        """
        for name, value in vars(self).items():
            least = 0 if name in self.optional else 1
            if isinstance(value, int) and not isinstance(value, bool) and value < least:
                flag = f"--model.{name.replace('_', '-')}"
                raise UserError(f"{name} is {value}", expected=f"at least {least}", mend=f"set {flag}")

    @abstractmethod
    def build(self, spec: SignalSpec, classes: int = 0) -> Model:
        """The model for these signals, freshly initialised from PyTorch's global generator."""
