"""How echoes are shown: fans and waterfalls. Nothing here is ever given to a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

Array = np.ndarray[Any, Any]
TALLEST, WIDEST = 512, 512
PAPER = 24
"""Grey of what was not recorded."""


def grey(echo: Float[np.ndarray, "*shape"], *, gamma: float = 0.7) -> UInt8[np.ndarray, "*shape 3"]:
    """Amplitudes as grey RGB levels, brightened by a power for the eye; what is NaN is dark grey."""
    levels = np.rint(255.0 * np.clip(np.nan_to_num(echo), 0.0, 1.0) ** gamma)
    levels = np.where(np.isnan(echo), PAPER, levels).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=-1)


def fan(
    polar: Float[np.ndarray, "ranges beams"],
    *,
    aperture: float = 0.52,
    nearest: float = 0.15,
    rows: int = 320,
) -> Float[np.ndarray, "rows columns"]:
    """A polar raster as the fan that it was heard in, ranges upwards; NaN outside.

    Args:
        polar: amplitudes, the first row nearest.
        aperture: of all beams, in radians (an ARIS 3000 has about 0.52).
        nearest: first range over the last one.
        rows: height of the picture.
    """
    half = aperture / 2.0
    columns = max(2, int(2 * rows * np.sin(half)))
    y = np.linspace(1.0, nearest * np.cos(half), rows)[:, None]
    x = np.linspace(-np.sin(half), np.sin(half), columns)[None, :]
    r, a = np.hypot(x, y), np.arctan2(x, y)
    inside = (r >= nearest) & (r <= 1.0) & (np.abs(a) <= half)
    i = np.clip(np.rint((r - nearest) / (1.0 - nearest) * (polar.shape[0] - 1)), 0, polar.shape[0] - 1).astype(int)
    j = np.clip(np.rint((a / aperture + 0.5) * (polar.shape[1] - 1)), 0, polar.shape[1] - 1).astype(int)
    return np.where(inside, polar[i, j], np.nan)


def waterfall(channels: Float[np.ndarray, "channels 1 pings samples"]) -> Float[np.ndarray, "pings width"]:
    """Pings from the first (top) to the last, side by side as the vehicle saw them.

    Two channels are port and starboard, stored from near to far: port is turned, so that the track is in the middle.
    Frames of a sequence are no channels of one waterfall.
    """
    rows = channels[:, 0]
    return np.concatenate([rows[0][:, ::-1], rows[1]], axis=1) if len(rows) == 2 else np.concatenate(list(rows), axis=1)


def thumbnail(picture: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "small_rows small_columns"]:
    """At most 512 by 512 samples, means over whole blocks; a picture of any length is shown on one page."""
    steps = [max(1, -(-size // most)) for size, most in zip(picture.shape, (TALLEST, WIDEST), strict=True)]
    rows, columns = (size // step * step for size, step in zip(picture.shape, steps, strict=True))
    blocks = picture[:rows, :columns].reshape(rows // steps[0], steps[0], columns // steps[1], steps[1])
    known = ~np.isnan(blocks)
    count = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0.0).sum(axis=(1, 3))
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def before_and_after(
    observed: Float[np.ndarray, "channels 1 pings samples"], restored: Float[np.ndarray, "channels 1 pings samples"]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Two waterfalls side by side, on one page."""
    pair = [grey(thumbnail(waterfall(part))) for part in (observed, restored)]
    gap = np.full((pair[0].shape[0], 4, 3), 255, dtype=np.uint8)
    return np.concatenate([pair[0], gap, pair[1]], axis=1)
