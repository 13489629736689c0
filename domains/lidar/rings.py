"""Rings of a cloud that states none, told from the order of its points and held against their elevations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from domains.lidar.cloud import Array
from domains.lidar.projection import AHEAD, unfolded_rings

APART = 5.0
"""Degrees: between the lowest and the highest tenth of a ring's points lie at most 0.9 in KITTI, and 20 where rings mix."""
_TOLD = 20
"""Points that a ring needs for its elevations to count."""
_ASKED = 16_384
"""Points that are asked for their elevations where there are many more."""
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
    flat = torch.hypot(xyz[:, 0], xyz[:, 1])
    places = torch.nonzero(flat > 0.1)[:, 0]  # the others, as what is not finite, have no elevation
    if not len(places):
        return None
    ring = unfolded_rings(xyz)
    begin = float(torch.atan2(xyz[places[0], 1], xyz[places[0], 0]))
    # It may begin elsewhere, or lack its beginning: which is told by what leaves the rings narrower.
    if abs(begin) > AHEAD:
        turn = torch.atan2(xyz[places, 1], xyz[places, 0])
        step = (turn.diff() + math.pi).remainder(2 * math.pi) - math.pi
        other = unfolded_rings(xyz, begin - 0.5 * float(step.abs().median()) if len(step) else 0.0)
        tilt = _tilt(xyz, flat, places)
        ring = other if _scatter(other[places], tilt) < _scatter(ring[places], tilt) else ring
    count = int(ring.max()) + 1
    if count < 2 or len(places) < _LEAST * count:
        return None
    places = _some(ring, places)
    parts = [np.sort(part) for part in _parts(ring[places], _tilt(xyz, flat, places))]
    levels = np.asarray([part[len(part) // 2] for part in parts])
    spreads = np.asarray([_between(part) if len(part) >= _TOLD else 0.0 for part in parts])
    steps = np.diff(levels)
    back = np.maximum(-steps * (np.sign(np.median(steps)) or 1.0), 0.0)
    mixed = np.flatnonzero(spreads > APART)
    # Appended points begin anew at the first ring: there the elevation jumps back, of several such places at the first.
    again = np.flatnonzero((back > 0) & (back >= 0.5 * back.max())) + 1
    first = min([count, rows, *mixed[:1], *again[:1]])
    return Order(ring, int((ring < first).sum()), not len(mixed) and back.max() <= APART)


def _tilt(xyz: Tensor, flat: Tensor, places: Tensor) -> Array:
    """Elevations in degrees."""
    return np.asarray(torch.rad2deg(torch.atan2(xyz[places, 2], flat[places])).numpy())


def _some(ring: Tensor, places: Tensor) -> Tensor:
    """Of a large cloud every so many points of each ring, from its first on: enough to tell elevations, and quicker."""
    own = ring[places]
    within = torch.arange(len(own)) - torch.searchsorted(own, torch.arange(int(own.max()) + 1))[own]
    return places[within % max(1, len(places) // _ASKED) == 0]


def _between(values: Array) -> float:
    """The distance between the lowest and the highest tenth of sorted values."""
    tenth = round(0.1 * (len(values) - 1))
    return float(values[-1 - tenth] - values[tenth])


def _parts(ring: Tensor, values: Array) -> list[Array]:
    """The values of each ring."""
    return np.split(values, np.flatnonzero(np.diff(ring.numpy())) + 1)


def _scatter(ring: Tensor, tilt: Array) -> float:
    """The mean distance of points from the middle elevation of their ring, in degrees."""
    if int(ring.max()) * _LEAST > len(tilt):
        return math.inf
    return float(sum(np.abs(part - np.median(part)).sum() for part in _parts(ring, tilt)) / len(tilt))
