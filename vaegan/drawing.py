"""Pictures of signals, for reports and logs: numpy in, uint8 RGB out."""

from __future__ import annotations

import io
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from numpy.typing import NDArray

from vaegan.errors import DataError
from vaegan.signal import SignalSpec

Array: TypeAlias = NDArray[Any]
Pictures: TypeAlias = UInt8[np.ndarray, "n rows columns 3"]
"""RGB pictures of one size."""
Picture: TypeAlias = UInt8[np.ndarray, "height width 3"]
"""One RGB picture."""
Signals: TypeAlias = Shaped[np.ndarray, "n channels *space"]
"""Signals in physical units, whole numbers or floats."""

PLOT_SIZE = (96, 256)
PAPER = 255
MOST_OVERLAID = 3
INK = ((31, 78, 121), (192, 86, 33), (60, 124, 72), (118, 82, 152), (140, 110, 30), (70, 70, 70))


def draw_signals(signals: Signals, spec: SignalSpec) -> Pictures:
    """Draws signals, each over the full range of its spec, so that pictures can be compared by eye.

    Args:
        signals: in physical units; 2D signals with one channel become grey, with three RGB, with any other
            number the first channel in viridis; 1D signals become line plots, four channels or more one above
            the other. Values outside ``spec.value_range`` are clipped; NaN is drawn as the lowest.
        spec: what the signals are; their axes may be of any size.

    Returns:
        Pictures, as large as the signals in 2D, 96 x 256 in 1D.

    Raises:
        DataError: when the signals have other channels or another number of axes than the spec.
    """
    if signals.ndim != spec.dims + 2 or signals.shape[1] != spec.channels:
        raise DataError(
            f"signals of shape {signals.shape}",
            expected=f"(n, {spec.channels}" + ", size" * spec.dims + ")",
            mend="pass signals of this domain",
        )
    low, high = spec.value_range
    unit = np.nan_to_num((np.asarray(signals, dtype=np.float64) - low) / (high - low), nan=0.0)
    unit = np.clip(unit, 0.0, 1.0)
    if spec.dims == 1:
        lines = [_line_plot(item) for item in unit]
        return np.stack(lines) if lines else np.zeros((0, *PLOT_SIZE, 3), dtype=np.uint8)
    if spec.channels not in (1, 3):
        return _viridis(unit[:, 0])
    pictures: Array = np.moveaxis(np.broadcast_to(unit, (len(unit), 3, *unit.shape[2:])), 1, -1)
    return np.ascontiguousarray(np.rint(pictures * 255.0).astype(np.uint8))


def grid(pictures: Pictures, columns: int, gap: int = 2) -> Picture:
    """Lays pictures out on white paper, row by row.

    Args:
        pictures: at least one picture.
        columns: pictures side by side; the last row may be shorter.
        gap: pixels between neighbours.

    Raises:
        DataError: when there is no picture.
    """
    n, rows, cols = pictures.shape[:3]
    if not n:
        raise DataError("a grid of no pictures", expected="at least one")
    columns = max(1, min(columns, n))
    lines = -(-n // columns)
    size = (lines * (rows + gap) - gap, columns * (cols + gap) - gap, 3)
    paper = np.full(size, PAPER, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * (rows + gap), (i % columns) * (cols + gap)
        paper[top : top + rows, left : left + cols] = picture
    return paper


def png_bytes(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _viridis(unit: Float[np.ndarray, "n rows columns"]) -> Pictures:
    from matplotlib import colormaps

    coloured: Array = colormaps["viridis"](unit, bytes=True)[..., :3]
    return np.ascontiguousarray(coloured)


def _line_plot(item: Float[np.ndarray, "channels time"]) -> Picture:
    """One line a channel on white, anti-aliased by drawing at three times the size.

    Every column shows the lowest and highest of its samples, so that a spike in a long signal is not lost.
    """
    from PIL import Image, ImageDraw

    fine = 3
    rows, cols = PLOT_SIZE[0] * fine, PLOT_SIZE[1] * fine
    page = Image.new("RGB", (cols, rows), (PAPER,) * 3)
    pen = ImageDraw.Draw(page)
    bands = len(item) if len(item) > MOST_OVERLAID else 1
    for band in range(bands):
        middle = (band + 0.5) * rows / bands
        pen.line([(0, middle), (cols, middle)], fill=(222, 222, 222), width=fine)
    for i in reversed(range(len(item))):
        top, height, colour = (i % bands) / bands, 0.92 / bands, INK[i % len(INK)]
        points = [
            (x * (cols - 1), (top + 0.04 / bands + height * (1.0 - y)) * rows)
            for x, y in _envelope(item[i], PLOT_SIZE[1])
        ]
        pen.line(points if len(points) > 1 else [(0.0, points[0][1]), (cols, points[0][1])], fill=colour, width=4)
    return np.asarray(page.resize((PLOT_SIZE[1], PLOT_SIZE[0]), Image.Resampling.BOX))


def _envelope(channel: Array, columns: int) -> list[tuple[float, float]]:
    """Points (x from 0 to 1, y) of a polyline through the samples, or through each column's two extremes."""
    size = len(channel)
    if size <= 2 * columns:
        return [(i / max(size - 1, 1), float(y)) for i, y in enumerate(channel)]
    points: list[tuple[float, float]] = []
    for i, part in enumerate(np.array_split(channel, columns)):
        first, second = sorted((int(part.argmin()), int(part.argmax())))
        points += [(i / (columns - 1), float(part[first])), (i / (columns - 1), float(part[second]))]
    return points
