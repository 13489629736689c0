"""Clouds of bare columns: KITTI's ``.bin`` and nuScenes' ``.pcd.bin``, which say nothing of themselves."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from domains.lidar.cloud import Array, Cloud
from vaegan.errors import DataError

MOST_BELOW = 0.1
"""Share of the intensities of a ``.bin`` that may lie below 0; of other columns than its own at least a sixth do."""
OTHER_COLUMNS = (("<f4", 3), ("<f4", 5), ("<f4", 6), ("<f4", 7), ("<f4", 8), ("<f8", 3), ("<f8", 4))
"""What a ``.bin`` may hold that is not KITTI's: the type and the number of its columns."""

KITTI = np.dtype([(name, "<f4") for name in ("x", "y", "z", "intensity")])
NUSCENES = np.dtype([(name, "<f4") for name in ("x", "y", "z", "intensity", "ring")])


def from_columns(path: Path, content: bytes, dtype: np.dtype[Any]) -> Cloud:
    """The cloud of a file's content, whose columns are those of ``dtype``.

    Raises:
        DataError: for half a point, and for numbers that stand in other columns.
    """
    if len(content) % dtype.itemsize:
        raise DataError(
            f"{path} has {len(content)} bytes, no multiple of {dtype.itemsize}",
            expected=f"float32 {', '.join(dtype.names or ())} for each point",
            mend="get the whole file",
        )
    points = np.frombuffer(content, dtype).copy()
    _check_columns(path, points, content)
    return Cloud(points, "nuscenes" if dtype is NUSCENES else "kitti")


def _check_columns(path: Path, points: Array, content: bytes) -> None:
    """Stops at numbers that stand in other columns: a ``.bin`` says nothing of itself, and any length may fit by chance.

    Read in columns that it does not have, a cloud is noise: coordinates stand for intensities, and for rings.
    """
    if "ring" in (points.dtype.names or ()):
        ring = points["ring"][np.isfinite(points["ring"])]
        if (ring != np.rint(ring)).any():
            raise _other_columns(path, "rings that are no whole numbers")
    below = points["intensity"][points["intensity"] < 0]
    if len(below) <= MOST_BELOW * len(points) or below.min() == below.max():  # one number alone stands for none
        return
    found = f"{100 * len(below) / len(points):.0f} % of the intensities are below 0"
    for kind, columns in OTHER_COLUMNS:
        width = np.dtype(kind).itemsize
        if len(content) % (width * columns) == 0 and _plausible(np.frombuffer(content, kind).reshape(-1, columns)):
            raise _other_columns(path, f"{found}, but not in {columns} columns of float{8 * width}")
    warnings.warn(f"{path}: {found}; are its columns x, y, z and intensity?", stacklevel=4)


def _plausible(columns: Float[np.ndarray, "n columns"]) -> bool:
    """Whether these may be x, y, z and, where there are more, an intensity: a turn is flat, and light is not negative."""
    known = columns[np.isfinite(columns).all(1)]
    if len(known) < 2:
        return False
    x, y, z = np.abs(known[:, :3] - np.median(known[:, :3], axis=0)).mean(0)
    return bool(z < 0.5 * min(x, y) and (columns.shape[1] < 4 or (known[:, 3] < 0).mean() <= MOST_BELOW))


def _other_columns(path: Path, found: str) -> DataError:
    return DataError(
        f"{path} holds other columns than its ending says ({found})",
        expected="float32 x, y, z, intensity in a .bin (KITTI), and the ring behind them in a .pcd.bin (nuScenes)",
        mend="rename it where it is the other one; else convert it, for example to PCD",
    )
