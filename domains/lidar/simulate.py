"""Rooms and streets by ray casting: scans to learn from where no data are at hand. Everything follows from the seed.

The planar sensor has the figures of a SICK LMS 200 in its centimetre mode (noise and steps of 1 cm) and loses echoes
at grazing incidence; the turning one is like a Velodyne HDL-64E (64 rings from +2 to -24.33 degrees, noise 2 cm, steps
of 2 mm) and loses echoes at random, at grazing incidence and on dark cars. Both are models of a kind of sensor, no
measurements of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

SITES, SCANS = 10, 20
STREETS, TURNS = 4, 6
PLANAR_NOISE = PLANAR_STEP = 0.01
TURN_NOISE, TURN_STEP = 0.02, 0.002
SENSOR_HEIGHT = 1.73
"""Metres above the road, as in KITTI."""


@lru_cache(maxsize=4)
def rooms(beams: int, view: float, far: float) -> tuple[Array, list[str]]:
    """Scans of simulated sites.

    Args:
        beams: of a scan.
        view: in radians.
        far: metres beyond which nothing comes back.

    Returns:
        (n, 1, beams) float32 ranges in metres, NaN where nothing came back, and the site of each.
    """
    signals, names = [], []
    for site in range(SITES):
        random = np.random.default_rng((20, site))
        walls, poses = _site(random)
        for pose in poses:
            angles = pose[2] - view / 2 + view / beams * np.arange(beams)
            ranges, incidence = _cast(walls, pose[:2], angles)
            ranges = ranges + random.normal(0.0, PLANAR_NOISE, beams)
            ranges = np.round(ranges / PLANAR_STEP) * PLANAR_STEP
            lost = (random.random(beams) < 0.004) | (random.random(beams) < 0.6 * (incidence < 0.06))
            signals.append(np.where(lost | (ranges >= far) | (ranges <= 0), np.nan, ranges))
            names.append(f"room-{site:02d}")
    return np.stack(signals)[:, None].astype(np.float32), names


def _box(x: float, y: float, wide: float, long: float, turn: float = 0.0) -> Array:
    """Four walls (4, 4), each from (x, y) to (x, y)."""
    corners = np.array([[-wide, -long], [wide, -long], [wide, long], [-wide, long]]) / 2
    c, s = math.cos(turn), math.sin(turn)
    corners = corners @ np.array([[c, s], [-s, c]]) + [x, y]
    return np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)


def _site(random: np.random.Generator) -> tuple[Array, Array]:
    """Walls (n, 4) of a few rooms along a corridor with doors and furniture, and poses (m, 3) of the scanner."""
    walls, poses = [], []
    width = random.uniform(1.8, 3.5)
    left = 0.0
    for _ in range(int(random.integers(3, 6))):
        long, deep = random.uniform(3.5, 9.0), random.uniform(3.0, 8.0)
        for side in (1.0, -1.0):
            edge = side * width / 2
            door = left + random.uniform(0.5, long - 1.5)
            walls += [[left, edge, door, edge], [door + random.uniform(0.8, 1.2), edge, left + long, edge]]
            walls += [[left, edge, left, edge + side * deep], [left + long, edge, left + long, edge + side * deep]]
            walls.append([left, edge + side * deep, left + long, edge + side * deep])
            for _ in range(int(random.integers(1, 6))):
                place = left + random.uniform(0.6, long - 0.6), edge + side * random.uniform(0.6, deep - 0.6)
                wide, thick = random.uniform(0.05, 1.4, 2)
                walls += _box(*place, wide, thick, random.uniform(0, np.pi)).tolist()
        poses.append([left + random.uniform(0.5, long - 0.5), random.uniform(-0.3, 0.3) * width])
        poses.append([left + random.uniform(0.8, long - 0.8), width / 2 + random.uniform(0.5, deep - 0.8)])
        left += long
    ends = [[0.0, -width / 2, 0.0, width / 2]] if random.random() < 0.7 else []
    ends += [[left, -width / 2, left, width / 2]] if random.random() < 0.7 else []
    places = np.asarray(poses)[random.integers(0, len(poses), SCANS)] + random.normal(0.0, 0.3, (SCANS, 2))
    return np.asarray(walls + ends), np.column_stack([places, random.uniform(-np.pi, np.pi, SCANS)])


def _cast(walls: Array, place: Array, angles: Array) -> tuple[Array, Array]:
    """Distance to the first wall along each angle (infinite without one) and the cosine of incidence there."""
    d = np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None]
    start, along = walls[:, :2] - place, walls[:, 2:] - walls[:, :2]
    cross = d[..., 0] * along[:, 1] - d[..., 1] * along[:, 0]
    safe = np.where(np.abs(cross) < 1e-9, 1e-9, cross)
    distance = (start[:, 0] * along[:, 1] - start[:, 1] * along[:, 0]) / safe
    share = (start[:, 0] * d[..., 1] - start[:, 1] * d[..., 0]) / safe
    distance = np.where((distance > 0.05) & (share >= 0) & (share <= 1), distance, np.inf)
    first = distance.argmin(axis=1)
    rows = np.arange(len(angles))
    cosine = np.abs(cross[rows, first]) / np.maximum(np.linalg.norm(along[first], axis=1), 1e-9)
    return distance[rows, first], cosine


@dataclass(frozen=True)
class Street:
    """A street: boxes (n, 6) as x, y, z from and to, poles (m, 3) as x, y, radius, and what each reflects."""

    boxes: torch.Tensor
    shades: torch.Tensor
    poles: torch.Tensor


def _street(random: np.random.Generator) -> Street:
    """Houses on both sides, parked and moving cars, poles and trees; the road runs along x."""
    boxes, shades = [], []
    wide = random.uniform(8.0, 13.0)
    for side in (1.0, -1.0):
        x = -60.0
        while x < 60.0:
            long, back = random.uniform(6.0, 22.0), wide + random.uniform(0.0, 6.0)
            if random.random() < 0.75:
                near, deep = side * back, side * (back + random.uniform(6.0, 14.0))
                boxes.append([x, min(near, deep), 0.0, x + long, max(near, deep), random.uniform(3.0, 14.0)])
                shades.append(random.uniform(0.2, 0.6))
            x += long + random.uniform(0.5, 8.0)
        for place in np.arange(-45.0, 45.0, 7.5):
            if random.random() < 0.55:
                x, y = place + random.uniform(-1, 1), side * (wide - random.uniform(2.2, 3.2))
                boxes.append([x - 2.1, y - 0.9, 0.25, x + 2.1, y + 0.9, random.uniform(1.3, 2.2)])
                shades.append(random.choice([0.05, 0.3, 0.8]))
    poles = [[x, s * (wide - 1.0), random.uniform(0.06, 0.25)] for x in np.arange(-50, 50, 9.0) for s in (-1, 1)]
    chosen = [pole for pole in poles if random.random() < 0.7] or poles[:1]
    as_tensor = [torch.tensor(part, dtype=torch.float32) for part in (boxes, shades, chosen)]
    return Street(*as_tensor)


@lru_cache(maxsize=2)
def streets(rows: int, columns: int, far: float, elevations: tuple[float, ...]) -> tuple[Array, list[str]]:
    """Turns of a sensor that moves through simulated streets.

    Args:
        rows, columns: of a turn.
        far: metres beyond which nothing comes back.
        elevations: of the rows, in radians.

    Returns:
        (n, 2, rows, columns) float32 ranges in metres and reflectances 0 to 1, NaN where nothing came back, and the
        street of each.
    """
    azimuth = (math.pi - (torch.arange(columns) + 0.5) * (2 * math.pi / columns)).expand(rows, columns)
    tilt = torch.tensor(elevations).view(rows, 1).expand(rows, columns)
    rays = torch.stack([tilt.cos() * azimuth.cos(), tilt.cos() * azimuth.sin(), tilt.sin()]).flatten(1)
    signals, names = [], []
    for number in range(STREETS):
        random = np.random.default_rng((21, number))
        street = _street(random)
        x = random.uniform(-15.0, 0.0)
        for _ in range(TURNS):
            place = torch.tensor([x, random.uniform(-1.5, 1.5), SENSOR_HEIGHT])
            ranges, shade, cosine = _trace(street, place.float(), rays)
            signals.append(_sensed(ranges, shade, cosine, far, random).reshape(2, rows, columns))
            names.append(f"street-{number:02d}")
            x += random.uniform(2.0, 4.0)
    return np.stack(signals).astype(np.float32), names


def _trace(street: Street, place: torch.Tensor, rays: torch.Tensor) -> tuple[Array, Array, Array]:
    """First hit of each ray (3, n): its distance, what is there reflects, and the cosine of incidence."""
    best = torch.where(rays[2] < -1e-4, -place[2] / rays[2].clamp(max=-1e-4), torch.inf)
    shade, cosine = torch.full_like(best, 0.25), rays[2].abs()
    inverse = 1.0 / torch.where(rays.abs() < 1e-6, 1e-6, rays)
    for box, value in zip(street.boxes, street.shades, strict=True):
        first = (box[:3] - place).view(3, 1) * inverse
        second = (box[3:] - place).view(3, 1) * inverse
        entry, axis = torch.minimum(first, second).max(0)
        hit = (entry <= torch.maximum(first, second).amin(0)) & (entry > 0.5) & (entry < best)
        best = torch.where(hit, entry, best)
        shade = torch.where(hit, value, shade)
        cosine = torch.where(hit, rays.abs().gather(0, axis[None])[0], cosine)
    flat = rays[:2].square().sum(0)
    for x, y, radius in street.poles.tolist():
        dx, dy = x - place[0], y - place[1]
        along = (rays[0] * dx + rays[1] * dy) / flat
        aside = (dx**2 + dy**2) - along.square() * flat
        entry = along - ((radius**2 - aside).clamp(min=0.0) / flat).sqrt()
        hit = (aside < radius**2) & (entry > 0.5) & (entry < best) & (place[2] + entry * rays[2] < 6.0)
        best = torch.where(hit, entry, best)
        shade = torch.where(hit, 0.35, shade)
        cosine = torch.where(hit, 0.7, cosine)
    return best.numpy(), shade.numpy(), cosine.numpy()


def _sensed(ranges: Array, shade: Array, cosine: Array, far: float, random: np.random.Generator) -> Array:
    """What the sensor makes of it: noise, steps, and echoes lost at random, at grazing incidence and on dark things."""
    there = np.isfinite(ranges) & (ranges < far)
    measured = np.where(there, ranges, 0.0) + random.normal(0.0, TURN_NOISE, len(ranges))
    measured = np.round(measured / TURN_STEP) * TURN_STEP
    weak = np.exp(-40.0 * shade * np.maximum(cosine, 1e-3) * (20.0 / np.maximum(measured, 20.0)) ** 2)
    there &= random.random(len(ranges)) >= 0.01 + 0.6 * weak
    reflected = np.clip(shade * (0.4 + 0.6 * cosine) + random.normal(0.0, 0.02, len(ranges)), 0.0, 1.0)
    sensed: Array = np.where(there & (measured > 0), np.stack([measured, reflected]), np.nan)
    return sensed
