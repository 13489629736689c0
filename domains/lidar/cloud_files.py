"""Point clouds from files and back into them: KITTI ``.bin``, nuScenes ``.pcd.bin``, PCD v0.7 and PLY, each also gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from domains.lidar.cloud import INTENSITY, RING, Cloud
from domains.lidar.columns import KITTI, NUSCENES, from_columns
from domains.lidar.pcd import from_pcd, to_pcd
from domains.lidar.ply import from_ply, to_ply
from vaegan.errors import DataError
from vaegan.files import write_file

FORMATS = {".pcd.bin": "nuscenes", ".bin": "kitti", ".pcd": "pcd", ".ply": "ply"}
"""Of files by their endings."""
ENDINGS = tuple(FORMATS)
MOST_POINTS = 20_000_000


def ending(path: Path) -> str:
    """``".bin"``, ``".pcd.bin"``, ``".pcd"``, ``".ply"``, or nothing for another file; ``.gz`` behind it is left out."""
    name = path.name.lower().removesuffix(".gz")
    return next((end for end in ENDINGS if name.endswith(end)), "")


def is_packed(path: Path) -> bool:
    """Whether the name says that a file is gzipped."""
    return path.name.lower().endswith(".gz")


def read_cloud(path: Path) -> Cloud:
    """Reads a point cloud.

    Raises:
        DataError: when the file is missing, truncated, of another format, empty, or has more than 20 million points.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist", expected="a point cloud", mend="give another file")
    try:
        content = gzip.decompress(path.read_bytes()) if is_packed(path) else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error})", expected="a whole file", mend="give another file") from None
    kind = ending(path)
    if kind in (".bin", ".pcd.bin"):
        cloud = from_columns(path, content, NUSCENES if kind == ".pcd.bin" else KITTI)
    elif kind == ".pcd":
        cloud = from_pcd(path, content)
    elif kind == ".ply":
        cloud = from_ply(path, content)
    else:
        raise DataError(
            f"{path} is no point cloud", expected=f"a file that ends in {', '.join(ENDINGS)}", mend="convert it"
        )
    if not len(cloud.points):
        raise DataError(f"{path} holds no point", expected="at least one", mend="give another file")
    for name in filter(None, ("x", "y", "z", cloud.named(INTENSITY), cloud.named(RING))):
        if cloud.points[name].ndim > 1:
            raise DataError(
                f"{path} holds {cloud.points[name].shape[1]} values of {name} for each point",
                expected="one",
                mend="rename the field, or convert the file",
            )
    if len(cloud.points) > MOST_POINTS:
        raise DataError(
            f"{path} holds {len(cloud.points):,} points", expected=f"at most {MOST_POINTS:,}", mend="cut it up"
        )
    return cloud


def write_cloud(cloud: Cloud, path: Path) -> Path:
    """Writes a cloud in its own format; returns where. The file is complete or not there."""
    own = {"pcd": to_pcd, "ply": to_ply}
    content = own[cloud.format](cloud) if cloud.format in own else cloud.points.tobytes()
    write_file(path, gzip.compress(content, 6) if is_packed(path) else content)
    return path
