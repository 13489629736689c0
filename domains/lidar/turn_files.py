"""From point clouds to range images with everything that leads back, and back to points."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from domains.lidar.cloud import INTENSITY, RING, Array, Cloud
from domains.lidar.cloud_files import FORMATS, ending, read_cloud, write_cloud
from domains.lidar.projection import Projected, directions, project, spherical_rows
from domains.lidar.rings import APART, Order, by_order
from vaegan.domain import Recording
from vaegan.errors import DataError

Layout = Literal["auto", "rings", "spherical"]

UNCHANGED = 5e-4
"""Metres: a range that comes back this close is the observed one (a float's rounding on the way through model units)."""
DOUBTED = (
    f"rings by the order of points mix elevations more than {APART:g} degrees apart; rows are even steps of elevation"
)
"""What is said where :attr:`Turn.doubted`."""
MOST_OUTSIDE = 0.1
"""Share of the points that may lie above or below the field of view without a word."""
_APPENDED = np.radians(0.02)
"""Radians: three of four filled points of an earlier restoration stand this close to the elevation of a row."""


@dataclass(frozen=True)
class Raster:
    """How points become a range image.

    Attributes:
        rows, columns: of the image.
        far: ranges from here on fall out, in metres.
        layout: rows are the laser's rings (``"rings"``) or even steps of elevation (``"spherical"``); ``"auto"`` takes
            rings where the file states them or they can be told from the order of the points and their elevations. More
            rings than rows are an error.
        up, down: elevations of the image's upper and lower edge for ``"spherical"``, in radians.
        elevations: of the rows where the points do not tell, in radians.
    """

    rows: int
    columns: int
    far: float
    layout: Layout
    up: float
    down: float
    elevations: tuple[float, ...]


@dataclass(frozen=True)
class Turn:
    """A cloud and its range image.

    Attributes:
        cloud: as it was read.
        winner: (rows, columns) the point that stands in each pixel, -1 for none.
        elevations: of each row, in radians.
        layout: the one that was taken.
        kept: points that are finite, not at the origin and nearer than the farthest range.
        beyond: (rows, columns) pixels whose only points are farther: an echo came back there.
        doubted: whether the order of the points told of rings and their elevations spoke against it.
        outside: share of the points nearer than the farthest range that lie above or below the field of view.
    """

    cloud: Cloud
    winner: Array
    elevations: Array
    layout: str
    kept: int
    beyond: Array
    doubted: bool = False
    outside: float = 0.0


def outside_told(raster: Raster) -> str:
    """What is said where more than :data:`MOST_OUTSIDE` of the points lie outside of the field of view."""
    edges = f"{math.degrees(raster.down):g} to {math.degrees(raster.up):g}"
    return (
        f"{100 * MOST_OUTSIDE:g} % of the points or more lie above or below the field of view, {edges} degrees, and are "
        "left out of the image: set --domain.up and --domain.down to those of the sensor"
    )


def image_of(cloud: Cloud, raster: Raster, name: str) -> tuple[Array, Turn]:
    """The range image (2, rows, columns) of a cloud: range in metres and reflectance, NaN where no point fell.

    Points that are not finite are left out of the image and stay in the cloud. A cloud of fewer rings than rows is spread
    over them evenly, see :func:`_rings`.

    Raises:
        DataError: when no point falls into the image, there are more rings than rows, or ``"rings"`` was asked for and
            none can be told.
    """
    points = cloud.xyz()
    finite = np.asarray(np.isfinite(points).all(axis=1))
    xyz = torch.from_numpy(np.where(finite[:, None], points, 0.0).astype(np.float32))
    rings, elevations, doubted = (
        (None, None, False) if raster.layout == "spherical" else _rings(cloud, xyz, raster, name)
    )
    if raster.layout == "rings" and rings is None:
        raise DataError(
            f"the rings of {name} cannot be told",
            expected=f"a field {RING[0]}, or rings one after another, each at an elevation of its own",
            mend="set --domain.layout spherical",
        )
    if rings is None:
        row, valid = spherical_rows(xyz, raster.rows, raster.up, raster.down)
    else:
        row, valid = rings, torch.ones_like(rings, dtype=torch.bool)
    values = torch.from_numpy(cloud.reflectance())[None, :, None]
    onto = partial(project, xyz[None], values, row[None], (raster.rows, raster.columns), valid=valid[None])
    found: Projected = onto(far=raster.far)
    winner = found.winner[0].numpy()
    beyond = np.zeros(winner.shape, bool)
    if bool((xyz.square().sum(1) >= raster.far**2).any()):
        beyond = (onto(far=math.inf).winner[0].numpy() >= 0) & (winner < 0)
    if (winner < 0).all():
        raise DataError(
            f"none of the {len(points)} points of {name} falls into the range image",
            expected=f"points nearer than {raster.far:g} m"
            + ("" if rings is not None else " within the field of view"),
            mend="set --domain.far, --domain.up and --domain.down",
        )
    if elevations is None:
        elevations = _elevations(xyz.numpy(), winner, raster, rings is not None)
    layout = "spherical" if rings is None else "rings"
    away = xyz.square().sum(1)
    near = (away > 0) & (away < raster.far**2)
    outside = float((near & ~valid).sum()) / max(1, int(near.sum()))
    return found.image[0].numpy(), Turn(cloud, winner, elevations, layout, int(finite.sum()), beyond, doubted, outside)


def _rings(
    cloud: Cloud, xyz: torch.Tensor, raster: Raster, name: str
) -> tuple[torch.Tensor | None, Array | None, bool]:
    """The row of each point by its ring, from the topmost ring down; ``None`` where rings cannot be told.

    A sensor is taken to have as many rings as the least divisor of the rows that holds their numbers, so that a ring without
    any echo in one turn, as under an open sky, leaves its rows empty and all others where they are. Where rings are told
    from the order of the points, such a ring is unknown.

    Returns:
        The rows; their elevations in radians where the cloud was restored before, as those were then; and whether the order
        of the points told of rings and their elevations speak against it.

    Raises:
        DataError: for more rings than rows.
    """
    field = cloud.named(RING)
    if field is not None:
        ring = torch.from_numpy(_from_zero(cloud.points[field], raster.rows))
    else:
        order = by_order(xyz, raster.rows)
        if order is None:
            return None, None, False
        again = _restored_before(order, xyz, raster)
        if again is not None:
            return *again, False
        if not order.sound:
            return None, None, int(order.ring.max()) > 1  # two rings are one crossing, as of any order
        ring = order.ring
    least = int(ring.max()) + 1
    if least < 2 or (field is None and len(xyz) < 100 * least):  # not the order of a turning scanner
        return None, None, False
    if least > raster.rows:
        raise DataError(
            f"{name} has {least} rings",
            expected=f"at most {raster.rows}, the rows of the range image",
            mend="set --domain.rows to the rings of the sensor, or --domain.layout spherical",
        )
    return _rows_of(ring, xyz, raster.rows), None, False


def _rows_of(ring: torch.Tensor, xyz: torch.Tensor, rows: int) -> torch.Tensor:
    least = int(ring.max()) + 1
    count = next(number for number in range(least, rows + 1) if rows % number == 0)
    return (ring if _downward(ring, xyz) else count - 1 - ring) * (rows // count)


def _restored_before(order: Order, xyz: torch.Tensor, raster: Raster) -> tuple[torch.Tensor, Array] | None:
    """The rows of a cloud that :func:`restored_cloud` appended points to, and their elevations before; ``None`` for others.

    A file without a field for rings does not say where its own points end. The first ones, whose rings stand in order, give
    the elevations of the rows; appended points stand at exactly these, which nothing else does.
    """
    head, own = order.ring[: order.own], xyz[: order.own]
    if order.own == len(xyz) or not len(head) or not 2 <= int(head.max()) + 1 <= min(raster.rows, len(head) // 100):
        return None
    row = _rows_of(head, own, raster.rows)
    size = (raster.rows, raster.columns)
    winner = project(own[None], own.new_zeros(1, len(own), 0), row[None], size, far=raster.far).winner[0].numpy()
    elevations = _elevations(own.numpy(), winner, raster, True)
    x, y, z = xyz[order.own :].numpy().T
    tilt, upward = np.arctan2(z, np.hypot(x, y)), np.argsort(elevations)
    nearest = upward[np.searchsorted((elevations[upward][1:] + elevations[upward][:-1]) / 2, tilt)]
    if np.quantile(np.abs(elevations[nearest] - tilt), 0.75) > _APPENDED:
        return None
    return torch.cat([row, torch.from_numpy(nearest)]), elevations


def _from_zero(numbers: Array, rows: int) -> Array:
    """Numbers of rings, counted from 0; what is not finite becomes -1, which is no row.

    A file counts from 1 where none is 0 and the last divides ``rows`` or is a multiple of it, as 16, 32, 64 and 128 do 64:
    counted from 0 the last of so many would be one less.
    """
    whole = np.nan_to_num(numbers.astype(np.float64), nan=-1, posinf=-1, neginf=-1).astype(np.int64)
    known = whole[whole >= 0]
    if not len(known) or known.min() < 1:
        return whole
    last = int(known.max())
    one: Array = whole - 1 if rows % last == 0 or last % rows == 0 else whole
    return one


def _downward(ring: torch.Tensor, xyz: torch.Tensor) -> bool:
    """Whether the rings are numbered from the top: told from the first and the last that have points off the axis."""
    flat = torch.hypot(xyz[:, 0], xyz[:, 1])
    away = (flat > 0.1) & (ring >= 0)
    if not bool(away.any()):
        return True
    ends = (ring == ring[away].min()), (ring == ring[away].max())
    first, last = (torch.atan2(xyz[end & away, 2], flat[end & away]).median() for end in ends)
    return bool(first >= last)


def _elevations(xyz: Array, winner: Array, raster: Raster, by_ring: bool) -> Array:
    """Of each row: the median of its points, between rows without points a straight line, beyond them the stated steps."""
    nominal = np.asarray(raster.elevations, dtype=np.float64)
    if not by_ring:
        return nominal_spherical(raster)
    known = np.flatnonzero((winner >= 0).sum(axis=1) >= 8)
    if len(known) < 2:
        return nominal
    measured = np.empty(len(known))
    for i, row in enumerate(known):
        x, y, z = xyz[winner[row][winner[row] >= 0]].T
        measured[i] = np.median(np.arctan2(z, np.hypot(x, y)))
    rows = np.arange(raster.rows)
    # The course between two measured rows follows the stated elevations, so that uneven rings stay uneven.
    return nominal + np.interp(rows, known, measured - nominal[known])


def nominal_spherical(raster: Raster) -> Array:
    """The middle of each row of a spherical projection, in radians."""
    steps = (np.arange(raster.rows) + 0.5) / raster.rows
    nominal: Array = raster.up - steps * (raster.up - raster.down)
    return nominal


def read_turn(path: Path, raster: Raster, *, reflectance: bool) -> Recording:
    """A file as a recording of one range image; warnings say where rings could not be trusted, or points lie outside.

    Raises:
        DataError: see :func:`domains.lidar.cloud_files.read_cloud` and :func:`image_of`.
    """
    image, turn = image_of(read_cloud(path), raster, str(path))
    if turn.doubted:
        warnings.warn(f"{path}: {DOUBTED}, as by --domain.layout spherical", stacklevel=2)
    if turn.outside > MOST_OUTSIDE:
        warnings.warn(f"{path}: {outside_told(raster)}", stacklevel=2)
    signals = image[None] if reflectance else image[None, :1]
    return Recording(signals.astype(np.float32), path, turn.cloud.format, (turn, signals.astype(np.float32)))


def restored_cloud(recording: Recording, *, longest_gap: int, far: float) -> tuple[Cloud, Array, Array]:
    """A restored range image as points.

    The points of the file keep their order, ring and time. Those that stand in the image and whose range was
    changed by more than half a millimetre move along their ray; all others, also those that a nearer point hides,
    stay as they are. Behind them come the points of filled pixels: those without a point, be it beyond ``far``, which in
    their column or row lie between two that have one, at most ``longest_gap`` pixels apart; they go ring by ring, each from
    azimuth 0 anticlockwise, so that a file without a field for rings can be read again. What the file says of points beside
    place, intensity and ring (time, colour) they have from the nearest observed one of their row, or of their column. A
    field that repeats the range goes with the place.

    Returns:
        The cloud, and for each of its points whether it was filled and whether it was moved.
    """
    turn: Turn = recording.metadata[0]
    observed: Array = recording.metadata[1][0]
    signals = recording.signals[0]
    points = turn.cloud.points.copy()
    seen = turn.winner >= 0
    old, new = observed[0], np.clip(signals[0], 0.0, far)
    changed = seen & (np.abs(new - np.where(seen, old, 0.0)) > UNCHANGED)
    moved = np.zeros(len(points), dtype=bool)
    index = turn.winner[changed]
    moved[index] = True
    share = (new[changed] / old[changed]).astype(np.float64)
    for name in ("x", "y", "z"):
        points[name][index] = points[name][index] * share
    added = _unfolded(between(seen | turn.beyond, longest_gap) & (new > 0), turn.winner)
    intensity, ring = turn.cloud.named(INTENSITY), turn.cloud.named(RING)
    own = {"x", "y", "z", ring, intensity if len(signals) > 1 else None}
    extra, beside = np.zeros(len(added[0]), points.dtype), np.zeros(0, np.int64)
    if set(points.dtype.names or ()) - own:  # else the neighbours need not be looked for
        beside = _beside(turn.winner, longest_gap)[added]
        extra = turn.cloud.points[beside]
    rays = directions(torch.from_numpy(turn.elevations), seen.shape[1]).numpy()
    for name, ray in zip(("x", "y", "z"), rays, strict=True):
        extra[name] = new[added] * ray[added]
    if intensity is not None and len(signals) > 1:
        shade = np.clip(signals[1][added], 0.0, 1.0) * turn.cloud.full_scale()
        extra[intensity] = np.rint(shade) if points.dtype[intensity].kind in "iu" else shade
    if ring is not None:
        extra[ring] = _ring_of_rows(turn, ring)[added[0]]
    filled = np.concatenate([np.zeros(len(points), bool), np.ones(len(extra), bool)])
    whole = np.concatenate([points, extra]).astype(points.dtype, copy=False)  # in the file's own order of bytes
    stated = turn.cloud.stated_range()
    if stated is not None:
        placed = np.concatenate([index, np.arange(len(points), len(whole))])
        before = np.concatenate([turn.cloud.points[index], turn.cloud.points[beside]])
        _set_range(whole, placed, before, *stated)
    return (
        replace(turn.cloud, points=whole),
        filled,
        np.concatenate([moved, np.zeros(len(extra), bool)]),
    )


def _set_range(points: Array, placed: Array, before: Array, field: str, metre: float) -> None:
    """Lets the range that a file states of some points follow their places, in place.

    Args:
        points: of which ``placed`` lie elsewhere than those that their records were taken from.
        placed: their numbers.
        before: these records.
        field, metre: see :meth:`domains.lidar.cloud.Cloud.stated_range`.
    """
    now, then = (
        np.sqrt(sum(part[name].astype(np.float64) ** 2 for name in "xyz")) for part in (points[placed], before)
    )
    values = before[field] + metre * (now - then)
    if points.dtype[field].kind in "iu":
        most = np.iinfo(points.dtype[field])
        values = np.rint(values).clip(most.min, most.max)
    points[field][placed] = values


def _unfolded(added: Array, winner: Array) -> tuple[Array, Array]:
    """Rows and columns of pixels in the order in which a file of rings holds its points, the last row first if it does."""
    columns = added.shape[1]
    course = (columns // 2 - 1 - np.arange(columns)) % columns  # from azimuth 0 on, to the left
    known = np.flatnonzero((winner >= 0).any(axis=1))
    order = np.arange(len(added))[:: 1 if winner[known[0]].max() <= winner[known[-1]].max() else -1]
    row, column = np.nonzero(added[order][:, course])
    return order[row], course[column]


def _beside(winner: Array, longest: int) -> Array:
    """(rows, columns) the nearest point of the row, or where none is ``longest`` pixels away or less, of the column."""
    across = _nearest(winner, longest, wraps=True)
    return np.where(across >= 0, across, _nearest(winner.T, longest, wraps=False).T)


def _nearest(winner: Array, longest: int, *, wraps: bool) -> Array:
    """The nearest point along the last axis, -1 where none is ``longest`` pixels away or less."""
    size = winner.shape[-1]
    edge = min(longest, size) if wraps else 0
    wide = np.concatenate([winner[:, size - edge :], winner, winner[:, :edge]], axis=1)
    index = np.arange(wide.shape[1])
    before = np.maximum.accumulate(np.where(wide >= 0, index, -(10**6)), axis=1)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(wide >= 0, index, 10**6), 1), axis=1), 1)
    place = np.where(index - before <= after - index, before, after)
    found = np.take_along_axis(wide, place.clip(0, wide.shape[1] - 1), axis=1)
    return np.where(np.abs(place - index) <= longest, found, -1)[:, edge : edge + size]


def _ring_of_rows(turn: Turn, ring: str) -> Array:
    """The file's number of the ring in each row; of a row without points that of the nearest row with some."""
    rows = np.arange(len(turn.winner))
    known = np.flatnonzero((turn.winner >= 0).any(axis=1))
    numbers = np.asarray([turn.cloud.points[ring][turn.winner[row].max()] for row in known])
    nearest: Array = numbers[np.abs(rows[:, None] - known).argmin(axis=1)]
    return nearest


def between(seen: Array, longest: int) -> Array:
    """True for pixels that are not seen and lie between two seen ones of their column, or of their row (which wraps)."""
    return _gaps(seen.T, longest, wraps=False).T | _gaps(seen, longest, wraps=True)


def _gaps(seen: Array, longest: int, *, wraps: bool) -> Array:
    """Gaps of at most ``longest`` along the last axis, with something seen at both ends."""
    size = seen.shape[-1]
    wide = np.concatenate([seen[..., -longest:], seen, seen[..., :longest]], axis=-1) if wraps else seen
    index = np.arange(wide.shape[-1])
    before = np.maximum.accumulate(np.where(wide, index, -(10**6)), axis=-1)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(wide, index, 10**6), -1), axis=-1), -1)
    short: Array = ~wide & (after - before - 1 <= longest)
    return short[..., longest : longest + size] if wraps else short


def write_turn(recording: Recording, path: Path, *, longest_gap: int, far: float) -> Path:
    """Writes the restored points in the format of the file that was read, or as a PCD; see :func:`restored_cloud`.

    Raises:
        DataError: for a path that ends as files of another format do.
    """
    kept: Cloud = recording.metadata[0].cloud
    asked = FORMATS.get(ending(path), kept.format)
    if asked not in (kept.format, "pcd"):
        endings = " or ".join(end for end, name in FORMATS.items() if name in (kept.format, "pcd"))
        raise DataError(
            f"{path.name} for what was read as {kept.format}",
            expected=f"a name that ends in {endings}",
            mend="rename it",
        )
    cloud, _, _ = restored_cloud(recording, longest_gap=longest_gap, far=far)
    if asked != cloud.format:
        cloud = replace(cloud, format="pcd", ascii=False, head=())
    return write_cloud(cloud, path)


def write_marked(recording: Recording, path: Path, *, longest_gap: int, far: float) -> Path:
    """Writes a PCD with the fields ``filled`` and ``moved`` (1 or 0) beside the file's; see :func:`restored_cloud`."""
    cloud, filled, moved = restored_cloud(recording, longest_gap=longest_gap, far=far)
    taken = [name for name in cloud.points.dtype.names or () if name not in ("filled", "moved")]
    dtype = [(name, cloud.points.dtype[name]) for name in taken] + [("filled", "u1"), ("moved", "u1")]
    points = np.zeros(len(cloud.points), np.dtype(dtype))
    for name in taken:
        points[name] = cloud.points[name]
    points["filled"], points["moved"] = filled, moved
    little = points.astype(points.dtype.newbyteorder("<"))
    return write_cloud(Cloud(little, "pcd", head=cloud.head if cloud.format == "pcd" else (), size=cloud.size), path)
