"""Writes point clouds in the formats that :mod:`domains.lidar.clouds` reads."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from domains.lidar.clouds import Cloud, is_packed
from vaegan.files import write_file

_LETTER = {"f": "F", "i": "I", "u": "U"}
_PLY_NAMES = {
    "i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float", "f8": "double",
}  # fmt: skip


def write_cloud(cloud: Cloud, path: Path) -> Path:
    """Writes a cloud in its own format; returns where. The file is complete or not there."""
    if cloud.format in ("kitti", "nuscenes"):
        content = cloud.points.tobytes()
    else:
        points = _text(cloud) if cloud.ascii else cloud.points.tobytes()
        if cloud.format == "pcd":
            content = _pcd_head(cloud).encode("latin-1") + points
        else:
            content = _ply_head(cloud).encode("latin-1") + cloud.before.content + points + cloud.after.content
    write_file(path, gzip.compress(content, 6) if is_packed(path) else content)
    return path


def _pcd_head(cloud: Cloud) -> str:
    dtype, count = cloud.points.dtype, len(cloud.points)
    names = list(dtype.names or ())
    bases = [dtype[name].base for name in names]
    counts = [int(np.prod(dtype[name].shape, dtype=int)) for name in names]
    width, height = cloud.size if cloud.size and cloud.size[0] * cloud.size[1] == count else (count, 1)
    lines = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        "FIELDS " + " ".join("_" if name.startswith("_") and name[1:].isdigit() else name for name in names),
        "SIZE " + " ".join(str(base.itemsize) for base in bases),
        "TYPE " + " ".join(_LETTER[base.kind] for base in bases),
        "COUNT " + " ".join(map(str, counts)),
        f"WIDTH {width}",
        f"HEIGHT {height}",
        *(cloud.head or ("VIEWPOINT 0 0 0 1 0 0 0",)),
        f"POINTS {count}",
        f"DATA {'ascii' if cloud.ascii else 'binary'}",
    ]
    return "\n".join(lines) + "\n"


def _ply_head(cloud: Cloud) -> str:
    dtype = cloud.points.dtype
    big = any(dtype[name].byteorder == ">" for name in dtype.names or ())
    form = "ascii" if cloud.ascii else "binary_big_endian" if big else "binary_little_endian"
    lines = ["ply", f"format {form} 1.0", *cloud.head, *cloud.before.lines, f"element vertex {len(cloud.points)}"]
    lines += [f"property {_PLY_NAMES[dtype[name].str[1:]]} {name}" for name in dtype.names or ()]
    return "\n".join([*lines, *cloud.after.lines, "end_header"]) + "\n"


def _text(cloud: Cloud) -> bytes:
    columns: list[list[str]] = []
    for name in cloud.points.dtype.names or ():
        values: Any = cloud.points[name].reshape(len(cloud.points), -1)
        digits = "{}" if values.dtype.kind != "f" else "{:.17g}" if values.dtype.itemsize > 4 else "{:.9g}"
        columns += [[digits.format(v) for v in column.tolist()] for column in values.T]
    return ("\n".join(" ".join(row) for row in zip(*columns, strict=True)) + "\n").encode()
