"""The contract of a model, and of the value that describes one."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.signal import SignalSpec

LONGEST_PROBE = 4096
"""Samples of the longest signal on which a reach is looked for; a network that reaches further counts as global."""


COUNTS = (tuple[int, ...], "tuple[int, ...]")
"""How a field of several counts is declared."""


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

    @property
    def stride(self) -> int:
        """How many samples the coarsest grid steps over: windows that begin at its multiples share one grid."""
        return 1

    @property
    def reach(self) -> int | None:
        """The radius of the receptive field of :meth:`restore`, counted from borders at multiples of ``stride``.

        ``None`` where one sample may change all others (a vector latent, statistics over the whole signal), or where
        only signals of the size of ``spec`` can be restored.
        """
        return None

    @property
    def local(self) -> bool:
        """Whether signals of any size can be restored, and samples beyond ``reach`` change nothing.

        Then windows may be of any size, as long as they begin and meet at multiples of ``stride``.
        """
        return self.reach is not None

    @abstractmethod
    def players(self) -> dict[str, nn.Module]:
        """The parts that are trained against or beside each other, by name; their parameters are disjoint."""

    @property
    def generates(self) -> bool:
        """Whether it draws signals: whether its class has a :meth:`sample` of its own."""
        return type(self).sample is not Model.sample

    @property
    def restores(self) -> bool:
        """Whether it restores signals: whether its class has a :meth:`restore` of its own."""
        return type(self).restore is not Model.restore

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, condition: Tensor | None = None
    ) -> Float[Tensor, "n channels *space"]:
        """Draws ``n`` signals from the prior, in model units.

        Raises:
            UserError: from a model that only restores.
        """
        raise UserError(f"a {type(self).__name__} draws no signals", mend="take a recipe whose model generates")

    def restore(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        *,
        samples: int = 0,
        generator: torch.Generator | None = None,
    ) -> Restored:
        """Restores observed signals; with ``samples`` above 0 as mean and spread over so many posterior samples.

        Raises:
            UserError: from a model that only generates.
        """
        raise UserError(f"a {type(self).__name__} restores no signals", mend="take a recipe whose model restores")


@torch.no_grad()
def measured_reach(model: Model) -> int | None:
    """How far a NaN in the observed signal spreads in the restored one, whatever the weights, as a zero times it is NaN.

    It fills one step of the coarsest grid, in a signal that is long along one axis and thin along the other.

    Args:
        model: it is copied, not changed.

    Returns:
        The samples reached beyond that step along either axis; ``None`` for more than ``LONGEST_PROBE`` can show, and
        where :meth:`Model.restore` takes only signals of one size.
    """
    probe = copy.deepcopy(model).cpu().eval()
    try:
        probe.restore(torch.zeros(1, model.spec.channels, *(size + model.stride for size in model.spec.sizes)))
    except RuntimeError:  # it takes signals of one size only
        return None
    # An error from here on is a fault of the model's, and must not pass for that.
    reaches = [_spread_along(probe, axis) for axis in range(model.spec.dims)]
    return None if None in reaches else max(reach for reach in reaches if reach is not None)


def _spread_along(model: Model, axis: int) -> int | None:
    step = model.stride
    size = 64 * step
    while size <= max(LONGEST_PROBE, 64 * step):
        middle = size // 2
        y = torch.zeros(1, model.spec.channels, *(size if i == axis else step for i in range(model.spec.dims)))
        y.narrow(2 + axis, middle, step).fill_(torch.nan)
        touched = model.restore(y).mean.isnan().movedim(2 + axis, 0).flatten(1).any(1).nonzero().flatten().tolist()
        if not touched:
            return 0
        if touched[0] > 0 and touched[-1] < size - 1:
            return max(middle - touched[0], touched[-1] - (middle + step - 1), 0)
        size *= 2
    return None


class ModelConfig(ABC):
    """A frozen dataclass whose fields are a model's plain arguments; those declared as ``int``, or several, are counts."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    optional: ClassVar[tuple[str, ...]] = ()
    """Counts that may be 0."""

    def __post_init__(self) -> None:
        """Checks the counts.

        Raises:
            UserError: for a count below 1, or below 0 where it is optional.
        """
        for field in fields(self):
            least, value = 0 if field.name in self.optional else 1, getattr(self, field.name)
            counts = [value] if field.type in (int, "int") else value if field.type in COUNTS else []
            if any(count < least for count in counts):
                flag = f"--model.{field.name.replace('_', '-')}"
                raise UserError(f"{field.name} is {value}", expected=f"at least {least}", mend=f"set {flag}")

    @abstractmethod
    def build(self, spec: SignalSpec, classes: int = 0) -> Model:
        """The model for these signals, freshly initialised from PyTorch's global generator."""
