"""A point cloud in memory.

A structured array with one record a point, fields in the file's own order, so that whatever stands beside x, y, z (ring,
time, colour) comes back as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

INTENSITY = ("intensity", "i", "reflectance", "reflectivity", "remission", "scalar_intensity")
RING = ("ring", "channel", "laser_id", "line")
RANGE = ("range", "distance")
"""Fields in which drivers repeat how far a point is (Ouster's in millimetres)."""


@dataclass(frozen=True)
class Elements:
    """Elements of a PLY that are no vertices.

    Attributes:
        lines: of the head.
        content: as it stands in the file.
    """

    lines: tuple[str, ...] = ()
    content: bytes = b""


@dataclass(frozen=True)
class Cloud:
    """A point cloud.

    Attributes:
        points: (n,) records with at least the fields x, y, z, in metres.
        format: ``"kitti"``, ``"nuscenes"``, ``"pcd"`` or ``"ply"``.
        ascii: whether the file holds text.
        head: lines of a PCD's or PLY's head that say nothing of the points, kept as they were.
        size: width and height of a PCD, which count as long as they fit the number of points.
        before, after: elements of a PLY on either side of its vertices, as faces; whatever names vertices by their number
            holds while points are only appended.
    """

    points: Array
    format: str
    ascii: bool = False
    head: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    before: Elements = Elements()
    after: Elements = Elements()

    def xyz(self) -> Array:
        """(n, 3) float32, in metres."""
        return np.stack([self.points[name] for name in ("x", "y", "z")], axis=1).astype(np.float32)

    def named(self, names: tuple[str, ...]) -> str | None:
        """The first of these fields that the cloud has."""
        have = {name.lower(): name for name in self.points.dtype.names or ()}
        return next((have[name] for name in names if name in have), None)

    def reflectance(self) -> Array:
        """(n,) float32 from 0 to 1: intensities over :meth:`full_scale`, cut there; 0 without any."""
        name = self.named(INTENSITY)
        if name is None:
            return np.zeros(len(self.points), np.float32)
        values = np.nan_to_num(self.points[name].astype(np.float32))
        return np.clip(values / self.full_scale(), 0.0, 1.0)

    def full_scale(self) -> float:
        """What a reflectance of 1 is in this file: the least of 1 (but for nuScenes), 255 and 65535 that nothing exceeds."""
        name = self.named(INTENSITY)
        if name is None or not len(self.points):
            return 1.0
        values = self.points[name]
        most = float(values[np.isfinite(values)].max(initial=0))
        return 65535.0 if most > 255.0 else 255.0 if most > 1.0 or self.format == "nuscenes" else 1.0

    def stated_range(self) -> tuple[str, float] | None:
        """The field that repeats the distance of x, y, z, and what stands for a metre in it (1 or 1000); ``None`` without.

        A sensor measures from where its beams leave it, which is some centimetres from where x, y and z are 0.
        """
        name = self.named(RANGE)
        if name is None or self.points[name].ndim > 1:
            return None
        away = np.linalg.norm(self.xyz(), axis=1)
        known = np.isfinite(away) & (away > 0.5)
        for metre in (1.0, 1000.0):
            off = np.abs(self.points[name][known] / metre - away[known])
            if len(off) and float(np.median(off)) < 0.1:
                return name, metre
        return None
