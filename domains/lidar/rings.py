"""Rings of a cloud that states none, told from the order of its points and held against their elevations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from domains.lidar.clouds import Array
from domains.lidar.projection import AHEAD, unfolded_rings

APART = 5.0
"""Degrees: between the lowest and the highest tenth of a ring's points lie at most 0.9 in KITTI, and 20 where rings mix."""
_TOLD = 20
"""Points that a ring needs for its elevations to count."""
_LEAST = 8
"""Points of a ring on the average: an order that tells of more rings is none."""


@dataclass(frozen=True)
class Order:
    """What the order of points says.

    Attributes:
        ring: (points,) of each point, from 0 on.
        own: so many points come first and follow each other ring by ring; those behind them may have been appended.
        sound: whether each ring has an elevation of its own and they go one way, as those of a scanner do.
    """

    ring: Tensor
    own: int
    sound: bool


def by_order(xyz: Tensor, rows: int) -> Order | None:
    """The rings of (points, 3) in metres that follow each other anticlockwise; ``None`` for any other order.

    Args:
        xyz: points in metres; one that is not known stands at the origin.
        rows: of the image; rings beyond them may have been appended.
    """
    away = torch.hypot(xyz[:, 0], xyz[:, 1]) > 0.1  # the others, as what is not finite, have no elevation
    if not bool(away.any()):
        return None
    tilt = torch.rad2deg(torch.atan2(xyz[:, 2], torch.hypot(xyz[:, 0], xyz[:, 1])))[away].numpy()
    ring = unfolded_rings(xyz)
    turn = torch.atan2(xyz[away, 1], xyz[away, 0])
    # It may begin elsewhere, or lack its beginning: which is told by what leaves the rings narrower.
    if abs(float(turn[0])) > AHEAD:
        step = (turn.diff() + math.pi).remainder(2 * math.pi) - math.pi
        other = unfolded_rings(xyz, float(turn[0]) - 0.5 * float(step.abs().median()) if len(step) else 0.0)
        ring = other if _scatter(other[away], tilt) < _scatter(ring[away], tilt) else ring
    count = int(ring.max()) + 1
    if count < 2 or len(tilt) < _LEAST * count:
        return None
    parts = _parts(ring[away], tilt)
    levels = np.asarray([np.median(part) for part in parts])
    spreads = np.asarray([np.subtract(*np.percentile(part, (90, 10))) if len(part) >= _TOLD else 0.0 for part in parts])
    steps = np.diff(levels)
    back = np.maximum(-steps * (np.sign(np.median(steps)) or 1.0), 0.0)
    mixed = np.flatnonzero(spreads > APART)
    # Appended points begin anew at the first ring: there the elevation jumps back, of several such places at the first.
    again = np.flatnonzero((back > 0) & (back >= 0.5 * back.max())) + 1
    first = min([count, rows, *mixed[:1], *again[:1]])
    return Order(ring, int((ring < first).sum()), not len(mixed) and back.max() <= APART)


def _parts(ring: Tensor, values: Array) -> list[Array]:
    """The values of each ring."""
    return np.split(values, np.flatnonzero(np.diff(ring.numpy())) + 1)


def _scatter(ring: Tensor, tilt: Array) -> float:
    """The mean distance of points from the middle elevation of their ring, in degrees."""
    if int(ring.max()) * _LEAST > len(tilt):
        return math.inf
    return float(sum(np.abs(part - np.median(part)).sum() for part in _parts(ring, tilt)) / len(tilt))
