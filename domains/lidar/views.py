"""Pictures of scans and turns: from above, and as range images."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

SIDE = 192
"""Pixels along each side of a view from above."""

INK = np.array([31, 78, 121], dtype=np.uint8)
SENSOR = np.array([192, 86, 33], dtype=np.uint8)


def draw_scans(signals: Array, view: float, far: float) -> Array:
    """Planar scans from above, the sensor at the bottom (or the middle, if it sees behind itself), ahead is up.

    Args:
        signals: (n, 1, beams) ranges in metres, NaN where there is none.
        view: radians; the first beam is at ``-view / 2``, to the right.
        far: metres from the sensor to the farthest edge of the picture.

    Returns:
        (n, 192, 192, 3) uint8.
    """
    n, _, beams = signals.shape
    angles = -view / 2 + view / beams * np.arange(beams)
    ranges = signals[:, 0].astype(np.float64)
    behind = view > 1.2 * math.pi
    scale = (SIDE - 1) / (2 * far)
    across = SIDE / 2 - ranges * np.sin(angles) * scale
    up = ranges * np.cos(angles) * scale * (1.0 if behind else 2.0)
    if not behind:
        across = SIDE / 2 - ranges * np.sin(angles) * scale * 2.0
    down = (SIDE / 2 if behind else SIDE - 4) - up
    pictures = np.full((n, SIDE, SIDE, 3), 255, np.uint8)
    seen = np.isfinite(ranges) & (ranges > 0)
    for i in range(n):
        for dy in (0, 1):
            for dx in (0, 1):
                r = np.floor(down[i][seen[i]] + dy).astype(int)
                c = np.floor(across[i][seen[i]] + dx).astype(int)
                inside = (r >= 0) & (r < SIDE) & (c >= 0) & (c < SIDE)
                pictures[i, r[inside], c[inside]] = INK
        low = SIDE // 2 if behind else SIDE - 4
        pictures[i, low - 2 : low + 2, SIDE // 2 - 2 : SIDE // 2 + 2] = SENSOR
    return pictures


def draw_turns(signals: Array, elevations: tuple[float, ...], far: float) -> Array:
    """The range image (near is light, nothing is black) above the points seen from above, coloured by height.

    Args:
        signals: (n, 1 or 2, rows, columns) in metres, NaN or 0 where there is no echo.
        elevations: of the rows, in radians.
        far: metres, the range of the darkest colour.

    Returns:
        (n, rows * 2 + 4 + 384, 512, 3) uint8.
    """
    from matplotlib import colormaps

    n, columns = len(signals), signals.shape[-1]
    ranges = np.nan_to_num(signals[:, 0].astype(np.float64))
    there = ranges > 0
    shade = colormaps["turbo"](np.log1p(ranges) / math.log1p(far), bytes=True)[..., :3]
    image = np.where(there[..., None], shade, 0)
    wide = np.linspace(0, columns, 512, endpoint=False).astype(int)
    image = image[:, :, wide].repeat(2, axis=1)
    gap = np.full((n, 4, 512, 3), 255)
    above = np.stack([_from_above(item, np.asarray(elevations)) for item in ranges])
    return np.concatenate([image, gap, above], axis=1).astype(np.uint8)


def _from_above(ranges: Array, elevations: Array, side: float = 30.0) -> Array:
    """(384, 512, 3): ``side`` metres ahead and behind along x (to the right), the near surroundings of the sensor."""
    from matplotlib import colormaps

    columns = ranges.shape[1]
    turn = math.pi - (np.arange(columns) + 0.5) * (2 * math.pi / columns)
    flat = ranges * np.cos(elevations)[:, None]
    x, y, z = flat * np.cos(turn), flat * np.sin(turn), ranges * np.sin(elevations)[:, None]
    across = np.floor((x / side + 1) * 256).astype(int)
    down = np.floor(192 - y / side * 256).astype(int)
    inside = (ranges > 0) & (across >= 0) & (across < 512) & (down >= 0) & (down < 384)
    page = np.full((384, 512, 3), 24, np.uint8)
    colours = colormaps["viridis"](np.clip((z[inside] + 2.5) / 5.0, 0, 1), bytes=True)[..., :3]
    order = np.argsort(z[inside], kind="stable")
    page[down[inside][order], across[inside][order]] = colours[order]
    return page
