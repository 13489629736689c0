"""What a training stage is told, as frozen dataclasses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

import torch
from torch import nn

from vaegan.errors import UserError
from vaegan.objectives.base import check_numbers

Precision = Literal["auto", "32-true", "bf16-mixed"]
Schedule = Literal["cosine", "constant"]

LARGEST_SEED = 2**63
"""Seeds are below it: PyTorch's generators take few larger ones, and to some a number is added."""

STAGE = "--stages.N.training"
"""Where the command line has a stage's fields, N from 0 on; which stage it is a configuration does not know."""


def _flag(field: str) -> str:
    """What mends a field."""
    return f"set {STAGE}.{field.replace('_', '-')}"


class OptimizerConfig(ABC):
    """A frozen dataclass that builds an optimizer."""

    lr: float

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer for these parameters."""


@dataclass(frozen=True)
class Adam(OptimizerConfig):
    """Adam (Kingma and Ba 2015), fused.

    Args:
        lr: highest learning rate.
        beta1, beta2: decay of the first and second moment.
    """

    lr: float = 2e-4
    beta1: float = 0.9
    beta2: float = 0.99

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                found = f"{name} is {getattr(self, name)}"
                raise UserError(found, expected="0 up to, not including, 1", mend=_flag(f"optimizer.{name}"))

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer for these parameters."""
        return torch.optim.Adam(parameters, lr=self.lr, betas=(self.beta1, self.beta2), fused=True)


@dataclass(frozen=True)
class RMSProp(OptimizerConfig):
    """RMSProp (Tieleman and Hinton 2012), as in Larsen et al. 2015.

    Args:
        lr: highest learning rate.
        decay: of the squared gradient's mean.
        weight_decay: L2 penalty.
    """

    lr: float = 3e-4
    decay: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, f"{STAGE}.optimizer", weights=("weight_decay",), shares=("decay",))

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer for these parameters; on a GPU its counters stay there too."""
        own = list(parameters)
        on_gpu = bool(own) and own[0].is_cuda
        return torch.optim.RMSprop(own, lr=self.lr, alpha=self.decay, weight_decay=self.weight_decay, capturable=on_gpu)


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how a stage trains.

    Args:
        samples: training samples of the full recipe.
        cpu_minutes: minutes that the stage takes on a CPU when neither ``samples`` nor minutes were asked for.
        minutes: minutes at most, wherever; ``None`` leaves it to ``samples`` (and ``cpu_minutes`` on a CPU).
        batch: signals a step, over all processes.
        optimizer: of every player.
        discriminator_lr: factor on the discriminator's learning rate.
        schedule: ``"cosine"`` falls to a hundredth over the budget; ``"constant"`` does not fall.
        warmup: share of the budget over which the learning rate rises.
        ema: half-life of the averaged weights, as a share of the samples seen so far; 0 evaluates the last weights.
        clip: largest norm of the encoder's and of the decoder's gradient; 0 leaves them alone. The discriminator's is never
            clipped: its penalty comes in rare, large steps, which a clip would cut down to nothing.
        flip: mirror pictures along their last axis at random.
        mix: probability with which a signal is replaced by a sum of two, ``cos(φ) x_i + sin(φ) x_j`` with φ uniform in a
            quarter turn: for signals that add up and have no level of their own, such as EEG, where there are few of them
            (after Zhang et al. 2018). It takes batches of two or more a process; of a sum is known what is known of both.
        surrogates: probability with which a signal of one axis gets new phases at random, the same in all channels, and
            keeps its spectrum (Theiler et al. 1992; for EEG, Schwabedal et al. 2018): a few minutes of a slow rhythm are
            soon known by heart otherwise.
        vary: let the domain change each signal into another that might have been recorded
            (:meth:`~vaegan.domain.Domain.vary`), where there are few.
        precision: ``"auto"`` takes bf16 where GPU or CPU compute in it themselves, single precision elsewhere.
        seed: of everything that is drawn.
        log_every: steps from one line of the log to the next.
        save_minutes: minutes from one saved state to the next.
    """

    samples: int = 1_000_000
    cpu_minutes: float = 30.0
    minutes: float | None = None
    batch: int = 32
    optimizer: OptimizerConfig = Adam()
    discriminator_lr: float = 1.0
    schedule: Schedule = "cosine"
    warmup: float = 0.02
    ema: float = 0.05
    clip: float = 1.0
    flip: bool = False
    mix: float = 0.0
    surrogates: float = 0.0
    vary: bool = False
    precision: Precision = "auto"
    seed: int = 0
    log_every: int = 25
    save_minutes: float = 2.0

    def __post_init__(self) -> None:
        for name in ("samples", "batch", "log_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}", expected="at least 1", mend=_flag(name))
        for name in ("cpu_minutes", "minutes"):
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value > 0):
                raise UserError(f"{name} is {value}", expected="a number above 0", mend=_flag(name))
        for name, words in (("schedule", get_args(Schedule)), ("precision", get_args(Precision))):
            if getattr(self, name) not in words:
                found = f"{name} is {getattr(self, name)!r}"
                raise UserError(found, expected=f"one of {', '.join(words)}", mend=_flag(name))
        for name in ("ema", "clip", "seed", "save_minutes", "discriminator_lr"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0):
                raise UserError(f"{name} is {value}", expected="a number of 0 or more", mend=_flag(name))
        if self.seed >= LARGEST_SEED:
            raise UserError(f"seed is {self.seed}", expected="less than 2^63", mend=_flag("seed"))
        for name in ("warmup", "mix", "surrogates"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"{name} is {getattr(self, name)}", expected="0 to 1", mend=_flag(name))
        if not (isfinite(self.optimizer.lr) and self.optimizer.lr > 0):
            raise UserError(f"lr is {self.optimizer.lr}", expected="a number above 0", mend=_flag("optimizer.lr"))
