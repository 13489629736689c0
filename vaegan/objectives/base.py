"""The contract of a training objective: one scalar a player, and the exact gradient of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vaegan.degradation.base import Degradation, Measurement
from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.nn import at_least_single


@dataclass(frozen=True)
class Batch:
    """What a step sees.

    Attributes:
        x: clean signals, in model units.
        y: observed signals, in model units.
        mask: True where a sample was observed, or ``None``.
        condition: class of each item, or ``None``.
        step: number of this step, from 0.
        progress: share of the budget that is used up, 0 to 1.
        known: True where the truth is known, or ``None`` where it is everywhere; elsewhere ``x`` is 0.
        measure: the training degradation, for objectives that degrade what the model makes.
        physical: model units to physical ones, in which the value range is 2 wide, for objectives that measure errors there;
            ``None`` where these are model units but for a constant.
    """

    x: Float[Tensor, "batch channels *space"]
    y: Float[Tensor, "batch channels *space"]
    mask: Bool[Tensor, "batch 1 *space"] | None = None
    condition: Int[Tensor, " batch"] | None = None
    step: int = 0
    progress: float = 0.0
    known: Bool[Tensor, "batch 1 *space"] | None = None
    measure: Callable[[Tensor, torch.Generator | None], Measurement] | None = None
    physical: Callable[[Tensor], Tensor] | None = None

    def judged(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """Restored or drawn signals as they are judged: what stands for an unknown truth stands there too.

        So nothing there has a gradient, and the gaps of the data alone do not tell real from generated.
        """
        return x if self.known is None else torch.where(self.known, x, self.x)

    def compared(self, x: Float[Tensor, "batch channels *space"], *, physical: bool) -> tuple[Tensor, Tensor]:
        """The clean signals and these, in the units in which an objective measures its error: model or physical ones."""
        if not physical or self.physical is None:
            return self.x, x
        return self.physical(at_least_single(self.x)), self.physical(at_least_single(x))


@dataclass(frozen=True)
class Step:
    """What :meth:`Objective.backward` tells the loop, all of it tensors on the device.

    Attributes:
        terms: scalars to log.
        gates: for a player, False (a 0-dim bool tensor) where its update is to be skipped.
    """

    terms: dict[str, Tensor]
    gates: dict[str, Tensor] = field(default_factory=dict)


class Objective(ABC):
    """What a model is trained for. Only ``losses`` must be written; ``backward`` may be overridden by a cheaper exact one.

    Attributes:
        players: names of the model's players that this objective trains.
        observed_only: whether it learns from observed signals alone. Then each item has one degraded copy for the whole
            training: fresh noise on a clean signal at every step would let the clean one through.
    """

    players: ClassVar[tuple[str, ...]]
    observed_only: ClassVar[bool] = False

    def check(self, degradation: Degradation | None) -> None:  # noqa: B027 - a hook
        """Looks, before training, at what signals are degraded with; most objectives assume nothing of it.

        Raises:
            UserError: where that breaks what the objective assumes.
        """

    @abstractmethod
    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """One scalar for each player, as plain as the paper; each player descends its own."""

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """Fills every player's ``.grad`` with exactly the gradient of that player's loss, one pass a player."""
        losses = self.losses(model, batch, generator)
        for name in self.players:
            parameters = trainable(model.players()[name])
            assign(parameters, gradient([losses[name]], parameters, retain=True))
        return Step({name: loss.detach() for name, loss in losses.items()})


def check_players(objective: Objective, model: Model) -> None:
    """Looks whether a model has the players that an objective trains.

    Raises:
        UserError: where it has not.
    """
    known = model.players()
    missing = [name for name in objective.players if name not in known]
    if missing:
        raise UserError(
            f"{type(objective).__name__} trains {', '.join(missing)}, which a {type(model).__name__} has not",
            expected=f"an objective of {', '.join(known)}",
            mend="set another objective, or another model",
        )


def check_numbers(
    config: object,
    where: str = "objective",
    *,
    weights: Sequence[str] = (),
    shares: Sequence[str] = (),
    positive: Sequence[str] = (),
) -> None:
    """Looks at the numbers of a configuration, each given by the name of its field; none may be infinite or NaN.

    Args:
        config: what holds them.
        where: what the user sets to mend one.
        weights: of 0 or more.
        shares: 0 to 1.
        positive: above 0.

    Raises:
        UserError: for the first that is out of its range.
    """
    kinds: tuple[tuple[Sequence[str], str, Callable[[float], bool]], ...] = (
        (weights, "a number of 0 or more", lambda value: value >= 0),
        (shares, "0 to 1", lambda value: 0 <= value <= 1),
        (positive, "a number above 0", lambda value: value > 0),
    )
    for names, expected, fits in kinds:
        for name in names:
            value, spelled = getattr(config, name), name.replace("_", "-") if where.startswith("--") else name
            if not (isfinite(value) and fits(value)):
                raise UserError(f"{name} is {value}", expected=expected, mend=f"set {where}.{spelled}")


def trainable(player: nn.Module) -> list[nn.Parameter]:
    """A player's parameters that take gradients."""
    return [p for p in player.parameters() if p.requires_grad]


def gradient(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor | None] | None = None,
    *,
    retain: bool = False,
) -> tuple[Tensor | None, ...]:
    """Vector-Jacobian product; ``None`` for inputs that the outputs do not depend on."""
    if not inputs:
        return ()
    return torch.autograd.grad(outputs, inputs, cotangents, retain_graph=retain, allow_unused=True)


def assign(parameters: Iterable[nn.Parameter], *gradients: Sequence[Tensor | None]) -> None:
    """Sets each parameter's ``.grad`` to the sum of its gradients."""
    for parameter, *parts in zip(parameters, *gradients, strict=True):
        known = [part for part in parts if part is not None]
        total = None if not known else sum(known[1:], known[0])
        if total is not None and total.stride() != parameter.stride():
            # ``autograd.grad`` may return another memory layout, and fused optimizers walk raw memory.
            total = torch.empty_like(parameter).copy_(total)
        parameter.grad = total


def leaf(x: Tensor) -> Tensor:
    """``x`` cut off from its graph, as a place where a gradient can be asked for."""
    return x.detach().requires_grad_()


def detached(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same numbers without their graph."""
    return {name: value.detach() for name, value in terms.items()}
