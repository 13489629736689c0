"""Opaque things in front of a signal. The instrument does not say where they are, so no mask is returned."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vaegan.degradation.base import Degradation, Level, Measurement, uniform
from vaegan.errors import UserError


def _inside_boxes(
    x: Float[Tensor, "batch channels *space"],
    side: Float[Tensor, " batch"],
    generator: torch.Generator | None,
) -> Bool[Tensor, "batch 1 *space"]:
    """One box a sample at a random place, its sides the same share of every axis; True inside."""
    inside = torch.ones((len(x), 1, *x.shape[2:]), dtype=torch.bool, device=x.device)
    for axis in range(2, x.dim()):
        size = x.shape[axis]
        length = (side * size).unsqueeze(1)
        start = uniform((len(x), 1), x, generator) * (size - length)
        centres = torch.arange(size, device=x.device, dtype=x.dtype) + 0.5
        within = (centres >= start) & (centres < start + length)
        inside = inside & within.view(len(x), *(size if dim == axis else 1 for dim in range(1, x.dim())))
    return inside


class NoiseRectangles(Degradation):
    """Rectangles (1D: segments) at random places, filled with noise uniform in [-1, 1].

    Args:
        side: each side as a share of its axis, 0 to 1.
        count: how many a sample.

    Raises:
        UserError: when side leaves [0, 1], or count is below 1.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, side: Level = (0.1, 0.5), count: int = 1) -> None:
        super().__init__(side)
        if count < 1:
            raise UserError(f"{count} rectangles", expected="at least 1")
        self.count = count

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Covers each sample with ``count`` rectangles of side ``level``."""
        fill = 2.0 * uniform(tuple(x.shape), x, generator) - 1.0
        covered = _inside_boxes(x, level, generator)
        for _ in range(self.count - 1):
            covered = covered | _inside_boxes(x, level, generator)
        return Measurement(torch.where(covered, fill, x))


class Strokes(Degradation):
    """Opaque white (model value 1) strokes and blobs over a picture, one opaque segment over a 1D signal.

    A stroke is a thick quadratic Bézier curve, a blob is a short and fat one. A sample gets one after the
    other until the pen has painted what its coverage asks for: few things at low coverage, many at high.

    Args:
        coverage: share of the positions covered, 0 to 0.9. In 1D to one sample; in 2D on average, to a twentieth of it up
            to 0.5 and a tenth above. Of pictures far longer than high less: at 16 to 1 a sixth less.

    Raises:
        UserError: when coverage leaves [0, 0.9].
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 0.9)

    def __init__(self, coverage: Level = (0.03, 0.2)) -> None:
        super().__init__(coverage)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Paints over each sample."""
        if x.dim() == 3:
            covered = _inside_boxes(x, level, generator)
        else:
            things = math.ceil(_THINGS_PER_AREA * _painted_area(torch.tensor(self.high)).item()) + 3
            covered = _paint(x, level, things, generator)
        return Measurement(torch.where(covered, torch.ones_like(x), x))


_STROKE_RADIUS = (0.025, 0.055)  # of strokes and blobs, as shares of the picture's mean side
_BLOB_RADIUS = (0.04, 0.1)
_STROKE_REACH, _BLOB_REACH, _BLOB_ODDS = 0.7, 0.08, 0.3
_DISCS = 32  # discs a curve: at this many a stroke has no visible scallops
_THINGS_PER_AREA = 50.0  # the mean thing paints 1/35 of a picture; the rest is reserve for unlucky draws


def _painted_area(coverage: Tensor) -> Tensor:
    """Area to paint, in pictures, for a share to be covered.

    Things placed at random overlap: an area A covers 1 - exp(-A) on average (the Boolean model, Matheron
    1975). The factor makes up for what is painted beyond the border and for curves that cross themselves; it
    was measured.
    """
    return -1.06 * torch.log1p(-coverage)


def _paint(x: Tensor, coverage: Tensor, things: int, generator: torch.Generator | None) -> Tensor:
    """(batch, 1, rows, columns), True where a sample is painted over."""
    batch, (height, width) = len(x), x.shape[2:]
    side = math.sqrt(height * width)
    draw = uniform((batch, things, 8, 1), x, generator)
    blob = draw[:, :, 0] < _BLOB_ODDS
    low, high = (torch.where(blob, b, s) for b, s in zip(_BLOB_RADIUS, _STROKE_RADIUS, strict=True))
    # A disc of less than 0.75 px could fall between the pixels' centres.
    radius = (side * (low + (high - low) * draw[:, :, 1])).clamp(min=0.75)
    reach = torch.where(blob, _BLOB_REACH, _STROKE_REACH)
    time = torch.linspace(0.0, 1.0, _DISCS, device=x.device, dtype=x.dtype)

    def curve(size: int, first: int) -> Tensor:
        start = size * draw[:, :, first]
        ends = (start + reach * size * (2.0 * draw[:, :, first + i] - 1.0) for i in (1, 2))
        # Folded back at the border: cut to it, many things would lie along it.
        bend, end = (size - (size - end.abs()).abs() for end in ends)
        return (1 - time) ** 2 * start + 2 * time * (1 - time) * bend + time**2 * end

    rows, columns = curve(height, 2), curve(width, 5)
    steps = torch.hypot(rows.diff(dim=-1), columns.diff(dim=-1))
    areas = torch.cat([math.pi * radius**2, 2.0 * radius * steps], dim=-1).flatten(1)
    drawn = areas.cumsum(dim=1) - 0.5 * areas < _painted_area(coverage).unsqueeze(1) * (height * width)
    radii = radius.expand(-1, -1, _DISCS).flatten(1)
    largest = math.ceil(max(side * _BLOB_RADIUS[1], 0.75))
    return _discs(rows.flatten(1), columns.flatten(1), radii, drawn, largest, (height, width))


def _discs(rows: Tensor, columns: Tensor, radii: Tensor, drawn: Tensor, largest: int, sizes: tuple[int, int]) -> Tensor:
    """The union of discs (batch, n), rasterised: (batch, 1, rows, columns).

    A disc meets a row of pixels in one interval. Each interval adds 1 where it starts and -1 behind its end,
    and a running sum along the row is positive inside: the cost is that of the discs' rows, not of every
    pixel times every disc.
    """
    height, width = sizes
    # Pixel centres lie at integer + 1/2.
    rows, columns = rows - 0.5, columns - 0.5
    near = torch.arange(-largest, largest + 1, device=rows.device, dtype=rows.dtype)
    lines = rows.round().unsqueeze(-1) + near
    room = radii.unsqueeze(-1) ** 2 - (lines - rows.unsqueeze(-1)) ** 2
    half = room.clamp(min=0.0).sqrt()
    start = (columns.unsqueeze(-1) - half).ceil().clamp(0, width)
    stop = ((columns.unsqueeze(-1) + half).floor() + 1).clamp(0, width)
    counts = drawn.unsqueeze(-1) & (room >= 0) & (lines >= 0) & (lines < height) & (stop > start)
    first = lines.clamp(0, height - 1) * (width + 1)
    counted = counts.to(torch.int32).flatten(1)
    edges = torch.zeros((len(rows), height * (width + 1)), dtype=torch.int32, device=rows.device)
    edges.scatter_add_(1, (first + start).long().flatten(1), counted)
    edges.scatter_add_(1, (first + stop).long().flatten(1), -counted)
    depth = edges.view(len(rows), 1, height, width + 1).cumsum(dim=-1)
    return depth[..., :width] > 0
