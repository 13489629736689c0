"""The contracts of an objective and of a model, run on any implementation of them."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from vaegan.models import Model
from vaegan.objectives import Batch, Objective
from vaegan.testing.degradations import ContractError

TOLERANCE = 1e-10
SEED = 7


def check_objective(objective: Objective, model: Model, batch: Batch) -> None:
    """Checks that ``backward`` leaves in every player exactly the gradient of that player's own loss.

    The reference is one plain pass over a whole graph for each player, in double precision, at random weights (blocks that
    start at zero would hide a wrong sign).

    Args:
        objective: the objective.
        model: a model that it trains; it is copied, not changed.
        batch: signals of the model's size, of any floating type.

    Raises:
        ContractError: for a player that the model does not have, a gradient that is not the player's own or differs from
            the reference by more than 1e-10, or one whose memory lies otherwise than its weight's.
    """
    unknown = set(objective.players) - set(model.players())
    if unknown:
        raise ContractError(f"players {sorted(unknown)}; the model has {sorted(model.players())}")
    model, batch = _randomised(model), _doubled(batch)
    expected = {name: _gradients(objective, model, batch, name) for name in objective.players}
    objective.backward(model, batch, torch.Generator().manual_seed(SEED))
    for player, module in model.players().items():
        moved = False
        for name, parameter in module.named_parameters():
            wanted = expected[player].get(name) if player in expected else None
            _compare(f"{player}.{name}", parameter, wanted)
            moved |= wanted is not None and bool(wanted.any())
        if player in objective.players and not moved:
            raise ContractError(f"the loss of {player!r} does not depend on its parameters")


def check_model(model: Model, *, n: int = 2) -> None:
    """Checks that a model samples, restores (whichever it does), and keeps its players apart.

    Args:
        model: in any mode; it is copied, not changed.
        n: signals at once.

    Raises:
        ContractError: where players share parameters or leave some out, where samples or restorations have another shape
            than the spec's or are not finite, and where the same seed gives other samples.
    """
    model = copy.deepcopy(model).cpu().eval()
    owned = [id(p) for player in model.players().values() for p in player.parameters()]
    if len(owned) != len(set(owned)):
        raise ContractError("two players share a parameter")
    if set(owned) != {id(p) for p in model.parameters()}:
        raise ContractError("a parameter belongs to no player")
    if not (model.generates or model.restores):
        raise ContractError("a model that neither samples nor restores")
    shape = (n, *model.spec.shape)
    if model.generates:
        with torch.no_grad():
            drawn = [model.sample(n, generator=torch.Generator().manual_seed(SEED)) for _ in range(2)]
        _check_signals("sample", drawn[0], shape)
        if not torch.equal(*drawn):
            raise ContractError("the same seed gives other samples")
    if model.restores:
        y = torch.rand(shape, generator=torch.Generator().manual_seed(SEED)) * 2 - 1
        with torch.no_grad():
            restored = model.restore(y)
            spread = model.restore(y, samples=2, generator=torch.Generator().manual_seed(SEED)).spread
        _check_signals("restore", restored.mean, shape)
        if restored.spread is not None or spread is None or bool((spread < 0).any()):
            raise ContractError("restore gives a spread of 0 or more with samples, and none without")


def _check_signals(what: str, signals: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(signals.shape) != shape or not bool(torch.isfinite(signals).all()):
        raise ContractError(f"{what} gives signals of shape {tuple(signals.shape)}; expected finite ones of {shape}")


def _randomised(model: Model) -> Model:
    model = copy.deepcopy(model).double()
    generator = torch.Generator().manual_seed(SEED)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.0, 0.2, generator=generator)
    return model


def _doubled(batch: Batch) -> Batch:
    return replace(batch, x=batch.x.double(), y=batch.y.double())


def _gradients(objective: Objective, model: Model, batch: Batch, player: str) -> dict[str, Tensor | None]:
    """Of one player's own loss, by the names of its parameters."""
    loss = objective.losses(model, batch, torch.Generator().manual_seed(SEED))[player]
    named = dict(model.players()[player].named_parameters())
    return dict(zip(named, torch.autograd.grad(loss, list(named.values()), allow_unused=True), strict=True))


def _compare(name: str, parameter: nn.Parameter, wanted: Tensor | None) -> None:
    found = parameter.grad
    if wanted is None:
        if found is not None and bool(found.any()):
            raise ContractError(f"{name} got a gradient that is not its player's own")
        return
    if found is None:
        raise ContractError(f"{name} got no gradient")
    if found.stride() != parameter.stride():
        raise ContractError(f"the gradient of {name} lies otherwise in memory than its weight")
    allowed = TOLERANCE * (wanted.abs() + float(wanted.abs().max()) + 1)
    if bool(((found - wanted).abs() > allowed).any()):
        worst = float((found - wanted).abs().max())
        raise ContractError(f"the gradient of {name} differs by {worst:.1e} from that of its player's loss")
