"""Pictures of echoes, grey, 8 or 16 bits; what lies outside of a fan is no echo, and a line of zeros was lost."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from domains.pictures import read_picture, write_picture
from domains.sonar.formats.common import mark_lost
from domains.sonar.frames import outside_fan
from vaegan.domain import Recording

LEVELS = 255.0


@dataclass(frozen=True, eq=False)
class EchoPicture:
    """What is needed to write a picture of echoes back.

    Attributes:
        picture: as :func:`domains.pictures.read_picture` keeps it.
        outside: (rows, columns) True outside of the fan.
        scale: 8-bit levels that were taken for full scale.
    """

    picture: Any
    outside: np.ndarray[Any, Any]
    scale: float = LEVELS


def read(path: Path) -> Recording:
    """One picture: (1, 1, rows, columns), white is 1, NaN outside of a fan and in lines that were lost.

    A picture of 16 bits whose values never leave 8 bits is taken for 8 bits, with a warning. White stays white in one that
    never goes above 32,767: of a survey of pictures some would be scaled by that, and others would not.
    """
    found = read_picture(path, 1)
    levels = np.asarray(found.signals, dtype=np.float32)
    scale = LEVELS
    highest = float(levels.max()) * 257.0
    if getattr(found.metadata, "mode", "") == "I;16" and 0 < highest < 255.5:
        warnings.warn(f"{path}: a picture of 16 bits holds 8-bit values; 255 is taken for full scale", stacklevel=2)
        scale = LEVELS / 257.0
    echo = levels / scale
    outside = outside_fan(echo[0, 0])
    mark_lost(echo, path)
    echo[0, 0][outside] = np.nan
    return Recording(echo, path, found.format, EchoPicture(found.metadata, outside, scale))


def write(recording: Recording, path: Path) -> Path:
    """Writes a picture as it was read: its size and depth; zeros outside of the fan stay zeros, gaps that are left too."""
    meta, echo = recording.metadata, np.asarray(recording.signals, dtype=np.float32)
    if not isinstance(meta, EchoPicture):
        return write_picture(replace(recording, signals=np.nan_to_num(echo) * LEVELS, metadata=None), path)
    levels = np.nan_to_num(echo, nan=0.0).clip(0.0, 1.0) * meta.scale
    if levels.shape[2:] == meta.outside.shape:
        levels[..., meta.outside] = 0.0
    return write_picture(replace(recording, signals=levels, metadata=meta.picture), path)
