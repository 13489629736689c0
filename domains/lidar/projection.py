"""Points to range images and back, in torch, batched.

Row 0 is the topmost ring. Column c of W covers the azimuths atan2(y, x) from pi (1 - 2 c / W) downward, as most of the
literature has it: u = W (1 - atan2(y, x) / pi) / 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_INDEX_BITS = 32
AHEAD = math.radians(5)
"""Radians: points this close to where rings begin do not tell which ring is theirs."""


@dataclass(frozen=True)
class Projected:
    """Range images of clouds.

    Attributes:
        image: (batch, channels, rows, columns): range in metres, then the values given; NaN where no point fell.
        winner: (batch, rows, columns) the index of the point that stands in each pixel, -1 where none does.
    """

    image: Float[Tensor, "batch channels rows columns"]
    winner: Int[Tensor, "batch rows columns"]


def columns_of(xyz: Float[Tensor, "*points 3"], columns: int) -> Int[Tensor, "*points"]:
    """The column of each point."""
    turn = torch.atan2(xyz[..., 1], xyz[..., 0])
    return ((1.0 - turn / math.pi) * (0.5 * columns)).long().clamp(0, columns - 1)


def spherical_rows(
    xyz: Float[Tensor, "*points 3"], rows: int, up: float, down: float
) -> tuple[Int[Tensor, "*points"], Bool[Tensor, "*points"]]:
    """The row of each point by its elevation, and whether that lies in the field of view.

    Args:
        xyz: points in metres.
        rows: of the image, spread evenly.
        up, down: elevations of the upper edge of row 0 and of the lower edge of the last row, in radians.
    """
    elevation = torch.atan2(xyz[..., 2], torch.hypot(xyz[..., 0], xyz[..., 1]))
    place = (up - elevation) * (rows / (up - down))
    return place.long().clamp(0, rows - 1), (place >= 0) & (place < rows)


def unfolded_rings(xyz: Float[Tensor, "points 3"], start: float = 0.0) -> Int[Tensor, " points"]:
    """The ring of each point of a cloud whose rings follow each other, each anticlockwise from one azimuth (scan unfolding).

    A new ring begins where the azimuth falls back by more than a quarter of a turn, as at azimuth 0 in KITTI's files.
    Points within 5 degrees of where rings begin are not asked, since noise takes them to either side, nor those within 0.1 m
    of the axis, which lie anywhere.

    Args:
        xyz: points in metres.
        start: the azimuth from which on rings go, in radians.
    """
    x, y = xyz[:, 0], xyz[:, 1]
    if start:
        cosine, sine = math.cos(start), math.sin(start)
        x, y = x * cosine + y * sine, y * cosine - x * sine
    clear = torch.nonzero(((x <= 0) | (y.abs() > math.tan(AHEAD) * x)) & (x * x + y * y > 0.01))[:, 0]
    # An angle of straight lines, from 0 to 4, which goes up where the azimuth does: of few points that itself is asked.
    rough = torch.where(y >= 0, 1.0, 3.0) - torch.where(y >= 0, x, -x) / (x.abs() + y.abs())
    falls = torch.nonzero(rough[clear[:-1]] - rough[clear[1:]] > 0.5)[:, 0]
    phase = [torch.atan2(y[near], x[near]).remainder(2 * math.pi) for near in (clear[falls], clear[falls + 1])]
    falls = falls[phase[0] - phase[1] > 0.5 * math.pi]
    last, first = clear[falls], clear[falls + 1]
    # Between the two the ring begins with the first point that has come round.
    around = torch.nonzero(y >= 0)[:, 0]
    if len(around):
        place = torch.searchsorted(around, last, right=True).clamp(max=len(around) - 1)
        first = torch.where(around[place] > last, torch.minimum(around[place], first), first)
    begins = torch.zeros(len(xyz), dtype=torch.long, device=xyz.device)
    begins[first] = 1
    return begins.cumsum(0)


def project(
    xyz: Float[Tensor, "batch points 3"],
    values: Float[Tensor, "batch points extra"],
    row: Int[Tensor, "batch points"],
    size: tuple[int, int],
    *,
    valid: Bool[Tensor, "batch points"] | None = None,
    far: float = math.inf,
) -> Projected:
    """Range images: the nearest point of each pixel.

    Args:
        xyz: points in metres; those that are not finite, at the origin, or farther than ``far`` fall out.
        values: what else is carried, for example the reflectance.
        row: of each point.
        size: rows and columns.
        valid: points that count; all by default.
        far: in metres.
    """
    batch, points = row.shape
    rows, columns = size
    ranges = xyz.square().sum(-1).sqrt()
    counts = ranges.isfinite() & (ranges > 0) & (ranges < far) & (row >= 0) & (row < rows)
    if valid is not None:
        counts = counts & valid
    all_count = bool(counts.all())
    clean = xyz if all_count else torch.where(counts.unsqueeze(-1), xyz, 1.0)
    pixel = row * columns + columns_of(clean, columns)
    pixel = pixel + torch.arange(batch, device=xyz.device).view(-1, 1) * (rows * columns)
    # The nearest wins, of equals the first: one integer tells both (the bits of positive floats are in their order), and one
    # scatter finds its minimum.
    key = (ranges.float().view(torch.int32).long() << _INDEX_BITS) | torch.arange(points, device=xyz.device)
    nothing = torch.iinfo(torch.int64).max
    best = torch.full((batch * rows * columns,), nothing, dtype=torch.int64, device=xyz.device)
    if all_count:
        best.scatter_reduce_(0, pixel.flatten(), key.flatten(), "amin")
    else:
        best.scatter_reduce_(0, pixel[counts], key[counts], "amin")
    empty = (best == nothing).view(batch, rows * columns)
    winner = torch.where(empty, 0, best.view(batch, -1) & ((1 << _INDEX_BITS) - 1))
    carried = torch.cat([ranges.unsqueeze(-1), values.to(ranges)], dim=-1)
    image = carried.gather(1, winner.unsqueeze(-1).expand(-1, -1, carried.shape[-1]))
    image = torch.where(empty.unsqueeze(-1), torch.nan, image).transpose(1, 2)
    return Projected(image.reshape(batch, -1, rows, columns), torch.where(empty, -1, winner).view(batch, rows, columns))


def directions(elevations: Float[Tensor, " rows"], columns: int) -> Float[Tensor, "3 rows columns"]:
    """Unit vectors through the middle of each pixel.

    Args:
        elevations: of each row, in radians.
        columns: of the image.
    """
    turn = math.pi - (torch.arange(columns, dtype=elevations.dtype, device=elevations.device) + 0.5) * (
        2 * math.pi / columns
    )
    tilt = elevations.view(-1, 1)
    flat = tilt.cos()
    return torch.stack([flat * turn.cos(), flat * turn.sin(), tilt.sin().expand(-1, columns)])


def to_points(
    ranges: Float[Tensor, "batch rows columns"], elevations: Float[Tensor, " rows"]
) -> Float[Tensor, "batch 3 rows columns"]:
    """Ranges in metres to points in the sensor's frame."""
    return ranges.unsqueeze(1) * directions(elevations.to(ranges), ranges.shape[-1])
