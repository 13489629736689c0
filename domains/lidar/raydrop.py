"""Which echoes are lost: all alike, the far ones, those that a map of the sensor counts, or those that recordings teach.

A :data:`Chance` tells for each sample how likely its echo is lost, up to a factor: :class:`~domains.lidar.degradations.Drop`
sets that by the share of the echoes that it is to lose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from domains.lidar.ranges import RangeCode
from vaegan.domain import Domain
from vaegan.nn.neighbours import continued, nearest

Chance = Callable[[Tensor], Tensor]
"""(batch, channels, *space) in model units to (batch, 1, *space), 0 or more; one value for an axis where all are alike."""

LONGEST = 8
"""Samples of the longest gap that counts as lost echoes; what is longer may be the sky."""
MOST_ITEMS = 200
"""Training items that are counted, spread evenly."""


def alike(x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch 1 *ones"]:
    """The same for every sample."""
    return x.new_ones(len(x), *(1 for _ in x.shape[1:]))


@dataclass(frozen=True)
class ByRange:
    """In proportion to the square of the range: the power that comes back falls with it.

    Attributes:
        code: how ranges are model units.
    """

    code: RangeCode

    def __call__(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch 1 *space"]:
        """The chance of each sample."""
        return self.code.to_range(x[:, :1]).clamp(0.0, self.code.far).square()


@dataclass(frozen=True, eq=False)
class Counted:
    """As often as each place of a sensor's image lost its echo in recordings.

    Attributes:
        shares: (*space), from 0 to 1.
    """

    shares: Tensor

    def __call__(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch 1 *space"]:
        """The chance of each sample."""
        return self.shares.to(x).expand(len(x), 1, *self.shares.shape)


@dataclass(frozen=True, eq=False)
class Learned:
    """By a logistic regression on what surrounds a sample; see :func:`surroundings`.

    Attributes:
        weights: (features,).
        periodic: which axes wrap.
    """

    weights: Tensor
    periodic: tuple[bool, ...]

    def __call__(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch 1 *space"]:
        """The chance of each sample."""
        return torch.sigmoid(torch.einsum("bf...,f->b...", surroundings(x, self.periodic), self.weights.to(x)))[:, None]


def surroundings(
    x: Float[Tensor, "batch channels *space"], periodic: Sequence[bool]
) -> Float[Tensor, "batch features *space"]:
    """1, the range and its square, the reflectance (0 without one), and the steepest step to the four or two neighbours."""
    near = x[:, :1]
    shade = x[:, 1:2] if x.shape[1] > 1 else torch.zeros_like(near)
    step = torch.zeros_like(near)
    for axis, wraps in enumerate(periodic, start=2):
        along = (torch.roll(near, -1, axis) - near).abs()
        if not wraps:
            along.narrow(axis, x.shape[axis] - 1, 1).zero_()
        step = torch.maximum(step, torch.maximum(along, torch.roll(along, 1, axis)))
    return torch.cat([torch.ones_like(near), near, near.square(), shade, torch.log1p(50.0 * step)], dim=1)


def lost_echoes(
    seen: Bool[Tensor, "n 1 *space"], periodic: Sequence[bool], longest: int = LONGEST
) -> Bool[Tensor, "n 1 *space"]:
    """True where nothing was seen, but along an axis something at both ends of a gap of at most ``longest`` samples."""
    there = seen.float()
    lost = torch.zeros_like(seen)
    for axis, wraps in enumerate(periodic, start=2):
        behind = nearest(there, there, axis, wraps=wraps)[1]
        ahead = nearest(there.flip(axis), there.flip(axis), axis, wraps=wraps)[1].flip(axis)
        lost |= ~seen & (behind * ahead > 0) & (behind + ahead - 1 <= longest)
    return lost


def count(seen: Bool[Tensor, "n 1 *space"], lost: Bool[Tensor, "n 1 *space"]) -> Counted:
    """How often each place lost its echo where there was one; with few items drawn to the mean of all places."""
    lost_here, there = lost.sum((0, 1)).double(), (seen | lost).sum((0, 1)).double()
    mean = lost_here.sum() / there.sum().clamp(min=1.0)
    return Counted(((lost_here + mean) / (there + 1.0)).float())


def learn(
    x: Float[Tensor, "n channels *space"],
    seen: Bool[Tensor, "n 1 *space"],
    lost: Bool[Tensor, "n 1 *space"],
    periodic: tuple[bool, ...],
    steps: int = 12,
) -> Learned:
    """Fits a logistic regression by Newton's method (iteratively reweighted least squares), slightly regularised.

    Args:
        x: signals in model units; what stands where nothing was seen does not matter, as long as it is finite.
        seen: where there was an echo.
        lost: where one was lost; there the surroundings are those of the straight lines between the neighbours.
        periodic: which axes wrap.
        steps: of Newton's method.
    """
    whole = continued(torch.where(seen, x, 0.0), seen.to(x), periodic)[0]
    features = surroundings(whole, periodic).double().movedim(1, -1)[(seen | lost)[:, 0]]
    target = lost[seen | lost].double()
    weights = torch.zeros(features.shape[1], dtype=torch.float64)
    ridge = 1e-5 * max(len(target), 1) * torch.eye(len(weights), dtype=torch.float64)
    for _ in range(steps):
        chance = torch.sigmoid(features @ weights)
        slope = features.T @ (target - chance) - ridge @ weights
        curve = (features * (chance * (1.0 - chance))[:, None]).T @ features + ridge
        weights = weights + torch.linalg.solve(curve, slope)
    return Learned(weights.float(), periodic)


def ways(domain: Domain, code: RangeCode) -> Mapping[str, Callable[[], Chance]]:
    """What :class:`~domains.lidar.degradations.Drop` may go by: ``uniform``, ``range``, ``map`` and ``learned``.

    The last two are counted and learned from the training items of the domain, once they are asked for.
    """
    return {
        "uniform": lambda: alike,
        "range": lambda: ByRange(code),
        "map": lambda: _from_recordings(domain)[0],
        "learned": lambda: _from_recordings(domain)[1],
    }


@lru_cache(maxsize=4)
def _from_recordings(domain: Domain) -> tuple[Counted, Learned]:
    signals = domain.dataset("train").signals
    rows = np.linspace(0, len(signals) - 1, min(len(signals), MOST_ITEMS)).astype(int)
    x = torch.from_numpy(np.stack([np.asarray(signals[row], dtype=np.float32) for row in rows]))
    seen = x[:, :1].isfinite() & (x[:, :1] > 0)  # where gaps are no gaps, a range of 0 is one
    periodic = domain.spec.periodic
    lost = lost_echoes(seen, periodic)
    return count(seen, lost), learn(torch.where(seen, domain.to_model(x), 0.0), seen, lost, periodic)
