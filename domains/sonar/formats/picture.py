"""Pictures of echoes, grey, 8 or 16 bits: what is outside of a fan or transparent is no echo; lines of zeros were lost."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from domains.decoding import FORMATS, is_grey
from domains.pictures import read_picture, write_picture
from domains.sonar.formats.common import mark_lost
from domains.sonar.frames import outside_fan
from vaegan.domain import Recording

LEVELS = 255.0
APART, SOME, SIDE = 16, 0.01, 512
"""Colours: red, green and blue lie further apart in more of a picture's pixels than this; of each side so many are asked."""


@dataclass(frozen=True, eq=False)
class EchoPicture:
    """What is needed to write a picture of echoes back.

    Attributes:
        picture: as :func:`domains.pictures.read_picture` keeps it.
        outside: (rows, columns) True outside of the fan, and where the picture says that nothing was recorded.
        beneath: 8-bit levels that stand there, one each.
        scale: 8-bit levels that were taken for full scale.
        step: 8-bit levels between two of the picture's own.
    """

    picture: Any
    outside: np.ndarray[Any, Any]
    beneath: np.ndarray[Any, Any]
    scale: float = LEVELS
    step: float = 1.0


def read(path: Path) -> Recording:
    """One picture: (1, 1, rows, columns), white is 1, NaN outside of a fan and in lines that were lost.

    A picture of 16 bits whose values never leave 8 bits is taken for 8 bits, with a warning. White stays white in one that
    never goes above 32,767: of a survey of pictures some would be scaled by that, and others would not. Nothing was recorded
    where a picture is transparent throughout, or holds what a GeoTIFF states for no data.
    """
    found = read_picture(path, 1)
    if _coloured(path):
        told = f"{path} has colours: their lightness is taken for the echo, and it is written in greys"
        warnings.warn(told, stacklevel=2)
    levels = np.asarray(found.signals, dtype=np.float32)
    deep = getattr(found.metadata, "mode", "") == "I;16"
    scale, step = LEVELS, np.float32(1.0) / np.float32(257.0 if deep else 1.0)
    nothing = _nothing(levels[0, 0], found.metadata, step)
    highest = float(levels[0, 0].max(initial=0.0, where=~nothing)) * 257.0
    if deep and 0 < highest < 255.5:
        warnings.warn(f"{path}: a picture of 16 bits holds 8-bit values; 255 is taken for full scale", stacklevel=2)
        scale = LEVELS / 257.0
    echo = levels / scale
    echo[0, 0][nothing] = np.nan
    outside = outside_fan(echo[0, 0]) | nothing
    mark_lost(echo, path)
    echo[0, 0][outside] = np.nan
    meta = EchoPicture(found.metadata, outside, levels[0, 0][outside], scale, float(step))
    return Recording(echo, path, found.format, meta)


def _coloured(path: Path) -> bool:
    """Whether a picture that could be read shows colours, as a display's palette does; greys in three channels are none."""
    with Image.open(path, formats=tuple(dict.fromkeys(FORMATS.values()))) as image:
        if is_grey(image):
            return False
        step = max(1, max(image.size) // SIDE)
        pixels = np.asarray(image.convert("RGB"))[::step, ::step].astype(np.int16)
    return bool((np.ptp(pixels, axis=-1) > APART).mean() > SOME)


def _nothing(levels: np.ndarray[Any, Any], meta: Any, step: np.float32) -> np.ndarray[Any, Any]:
    """(rows, columns) True where nothing was recorded, as far as the picture says so; nowhere where that were all of it."""
    found = np.zeros(levels.shape, bool)
    if meta.alpha is not None:
        found |= meta.alpha == 0
    if meta.nodata is not None:
        found |= np.rint(levels / step) == meta.nodata
    return found if not found.all() else np.zeros_like(found)


def write(recording: Recording, path: Path) -> Path:
    """Writes a picture as it was read: its size and depth; what stands outside of the fan stays, gaps that are left are 0.

    An echo that would be the value for no data is written a step beside it.
    """
    meta, echo = recording.metadata, np.asarray(recording.signals, dtype=np.float32)
    if not isinstance(meta, EchoPicture):
        return write_picture(replace(recording, signals=np.nan_to_num(echo) * LEVELS, metadata=None), path)
    levels = np.nan_to_num(echo, nan=0.0).clip(0.0, 1.0) * meta.scale
    if levels.shape[2:] == meta.outside.shape:
        if meta.picture.nodata is not None:
            none = np.rint(levels / meta.step) == meta.picture.nodata
            levels[none] += meta.step if meta.picture.nodata <= 0 else -meta.step
        levels[..., meta.outside] = meta.beneath
    return write_picture(replace(recording, signals=levels, metadata=meta.picture), path)
