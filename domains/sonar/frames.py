"""Frames: echo amplitudes of one file, and the windows that a network learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

LEAST_KNOWN = 0.25
"""Share of a window that must be known for it to be an item."""

LEAST_OUTSIDE = 0.02
"""Share of a picture that zeros at its border must take to count as the outside of a fan."""

MOST_SATURATED = 0.5


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

    Shadows are zeros too; a shadow that touches no border stays a part of the picture.
    """
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
    """Where windows of ``size`` begin that cover ``length`` samples and overlap as little as they can."""
    count = max(1, math.ceil(length / size))
    return [round(k * (length - size) / max(1, count - 1)) if length > size else 0 for k in range(count)]


def windows(echo: Float[np.ndarray, "rows columns"], size: int) -> Float[np.ndarray, "n size size"]:
    """Square windows that cover a raster; NaN where it is smaller than a window.

    Windows of which less than a quarter is known are left out, as are those that are zero everywhere.
    """
    rows, columns = echo.shape
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
