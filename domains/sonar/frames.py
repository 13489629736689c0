"""Frames: echo amplitudes of one file, and the windows that a network learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

LEAST_KNOWN = 0.25
"""Share of a window that must be known for it to be an item."""

LEAST_OUTSIDE = 0.02
"""Share of a picture that zeros at its border must take to count as the outside of a fan."""

MOST_SATURATED = 0.5

MOST_LOST = 0.5
"""Share of the rows, or columns, that may be zero throughout and count as lost; a raster of more is merely sparse."""


@dataclass(frozen=True)
class Frame:
    """A raster of echo amplitudes.

    Attributes:
        name: where it came from.
        echo: (rows, columns), 1 is full scale; NaN where nothing was recorded.
        label: name of its class, or an empty string.
        notes: what was odd about it, and how that was handled.
    """

    name: str
    echo: Float[np.ndarray, "rows columns"]
    label: str = ""
    notes: tuple[str, ...] = ()


def outside_fan(echo: Float[np.ndarray, "rows columns"]) -> Bool[np.ndarray, "rows columns"]:
    """True outside of a fan: exact zeros that reach the raster's border, where there are many of them.

    Shadows are zeros too; a shadow that touches no border stays a part of the picture. So does a line that was lost,
    but for what lies between the outside of its neighbours; see :func:`lost_lines`.
    """
    lost = lost_lines(echo)
    outside = _reaching_the_border(echo[~lost[0]][:, ~lost[1]])
    # Of each line the last one that was kept before it, and the first one after it; of one that was kept: itself.
    before = [np.cumsum(~lines) - 1 for lines in lost]
    after = [last + lines for last, lines in zip(before, lost, strict=True)]
    found = np.ones(echo.shape, dtype=bool)
    for rows in (before[0], after[0]):
        for columns in (before[1], after[1]):
            found &= outside[np.ix_(rows, columns)]
    return found


def lost_lines(
    echo: Float[np.ndarray, "rows columns"], *, edges: bool = False
) -> tuple[Bool[np.ndarray, " rows"], Bool[np.ndarray, " columns"]]:
    """Rows and columns that were lost: zero throughout, at least half of them known, between lines with echoes.

    Zeros before the first line with echoes and after the last one are where the record ends, or the outside of a fan.

    Args:
        echo: amplitudes; NaN is unknown.
        edges: whether rows are lost before the first and after the last one with echoes too, as the pings of a waterfall
            are.
    """
    known = ~np.isnan(echo)
    heard = known & (echo != 0)
    return _lost(heard, known, axis=0, edges=edges), _lost(heard, known, axis=1, edges=False)


def _lost(heard: np.ndarray[Any, Any], known: np.ndarray[Any, Any], *, axis: int, edges: bool) -> np.ndarray[Any, Any]:
    """Of the lines along an axis, those that were lost."""
    echoes = heard.any(1 - axis)
    lost: np.ndarray[Any, Any] = ~echoes & (known.mean(1 - axis) >= 0.5)
    places = np.flatnonzero(echoes)
    if places.size and not edges:
        lost[: places[0]] = False
        lost[places[-1] + 1 :] = False
    return lost if lost.sum() <= MOST_LOST * (lost.sum() + places.size) else np.zeros_like(lost)


def _reaching_the_border(echo: Float[np.ndarray, "rows columns"]) -> Bool[np.ndarray, "rows columns"]:
    """Connected zeros that touch the border, where they are many."""
    from scipy import ndimage

    zero = echo == 0
    if zero.mean() < LEAST_OUTSIDE or zero.all():
        return np.zeros(echo.shape, dtype=bool)
    labels, _ = ndimage.label(zero)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    sizes = np.bincount(labels.ravel())
    touching = [k for k in np.unique(border) if k and sizes[k] >= LEAST_OUTSIDE * zero.size]
    found: np.ndarray[Any, Any] = np.isin(labels, touching)
    return found


def flaw(echo: Float[np.ndarray, "rows columns"]) -> str:
    """Why a raster is of no use, or an empty string."""
    known = echo[~np.isnan(echo)]
    if not known.size:
        return "holds no samples"
    if not np.any(known):
        return "is zero everywhere"
    saturated = float((known >= 1.0).mean())
    if saturated > MOST_SATURATED:
        return f"is saturated ({100 * saturated:.0f} % of the samples are at full scale)"
    return ""


def starts(length: int, size: int) -> list[int]:
    """Where windows of ``size`` begin: as many as fit beside each other, from end to end; a single one in the middle.

    No sample lies in two of them: it would be judged twice, and where each window is given one draw of noise it would be
    given two.
    """
    count = length // size
    if count < 2:
        return [max(0, length - size) // 2]
    return [round(k * (length - size) / (count - 1)) for k in range(count)]


def windows(echo: Float[np.ndarray, "rows columns"], size: int) -> Float[np.ndarray, "n size size"]:
    """Square windows beside each other; NaN where the raster is smaller than a window.

    Windows of which less than a quarter is known are left out, as are those that are zero everywhere.
    """
    rows, columns = echo.shape
    padded = np.asarray(echo, dtype=np.float32)
    if min(rows, columns) < size:
        padded = np.full((max(rows, size), max(columns, size)), np.nan, dtype=np.float32)
        padded[:rows, :columns] = echo
    cuts = [padded[i : i + size, j : j + size] for i in starts(rows, size) for j in starts(columns, size)]
    kept = [cut for cut in cuts if (~np.isnan(cut)).mean() >= LEAST_KNOWN and np.nanmax(cut) > 0]
    return np.stack(kept) if kept else np.zeros((0, size, size), dtype=np.float32)


def resized(echo: Float[np.ndarray, "rows columns"], size: int) -> Float[np.ndarray, "1 size size"]:
    """A raster squeezed into one square item, with antialiasing; gaps become 0."""
    from skimage.transform import resize

    whole = np.nan_to_num(echo, nan=0.0)
    return resize(whole, (size, size), order=1, anti_aliasing=True).astype(np.float32)[None]
