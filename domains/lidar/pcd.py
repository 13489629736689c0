"""PCD v0.7: text, binary, and PCL's compressed form, which comes back as plain binary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from domains.lidar.cloud import Array, Cloud
from domains.lidar.points import as_text, need_xyz, table
from vaegan.errors import DataError

_LETTER = {"f": "F", "i": "I", "u": "U"}


def from_pcd(path: Path, content: bytes) -> Cloud:
    """The cloud of a PCD's content.

    Raises:
        DataError: for a head that cannot be read, a form that is none of PCD's, and where points are missing.
    """
    at, head = 0, {}
    while "DATA" not in head:
        end = content.find(b"\n", at)
        if end < 0 or end - at > 10_000:
            raise DataError(f"{path} has no PCD head", expected="lines up to DATA", mend="give a PCD v0.7 file")
        words = content[at:end].decode("latin-1").split()
        at = end + 1
        if words and not words[0].startswith("#"):
            head[words[0].upper()] = words[1:]
    try:
        names, size = head["FIELDS"], None
        if "WIDTH" in head:
            size = int(head["WIDTH"][0]), int(head.get("HEIGHT", ["1"])[0])
        # Some writers leave POINTS out, which says nothing that the size does not.
        count = size[0] * size[1] if "POINTS" not in head and size else int(head["POINTS"][0])
        counts = [int(c) for c in head.get("COUNT", ["1"] * len(names))]
        kinds = [f"<{ {'F': 'f', 'I': 'i', 'U': 'u'}[t] }{s}" for t, s in zip(head["TYPE"], head["SIZE"], strict=True)]
        fields = [(n, k) if c == 1 else (n, k, (c,)) for n, k, c in zip(_unique(names), kinds, counts, strict=True)]
        dtype = np.dtype(fields)
        form = head["DATA"][0].lower()
        if count < 0:
            raise ValueError(f"{count} points")
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise DataError(
            f"{path} has a PCD head that cannot be read ({error})", expected="PCD v0.7", mend="repair it"
        ) from None
    need_xyz(path, dtype)
    kept = (f"VIEWPOINT {' '.join(head.get('VIEWPOINT', list('0001000')))}",)
    if form == "binary":
        if len(content) - at < count * dtype.itemsize:
            raise DataError(
                f"{path} holds {(len(content) - at) // dtype.itemsize} of {count} points",
                expected="all",
                mend="get the whole file",
            )
        return Cloud(np.frombuffer(content, dtype, count, at).copy(), "pcd", head=kept, size=size)
    if form == "ascii":
        return Cloud(table(path, content[at:], dtype, count), "pcd", ascii=True, head=kept, size=size)
    if form == "binary_compressed":
        return Cloud(_compressed(path, content[at:], dtype, count), "pcd", head=kept, size=size)
    raise DataError(
        f"{path} is PCD DATA {form}",
        expected="ascii, binary or binary_compressed",
        mend="convert it with pcl_convert_pcd",
    )


def to_pcd(cloud: Cloud) -> bytes:
    """The content of a PCD, as text or plain binary."""
    return _head(cloud).encode("latin-1") + (as_text(cloud) if cloud.ascii else cloud.points.tobytes())


def _head(cloud: Cloud) -> str:
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


def _compressed(path: Path, content: bytes, dtype: np.dtype[Any], count: int) -> Array:
    """The points of PCL's compressed form: two sizes, then the fields one after another, packed by LZF."""
    packed, size = (int(number) for number in np.frombuffer(content[:8].ljust(8, b"\0"), "<u4"))
    try:
        if len(content) < 8 + packed or size != count * dtype.itemsize:
            raise ValueError(f"{len(content)} bytes for {packed} packed and {size} unpacked ones")
        fields = unpack_lzf(content[8 : 8 + packed], size)
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{path} holds packed points that cannot be read ({error})",
            expected=f"{count} points of {dtype.itemsize} bytes",
            mend="get the whole file",
        ) from None
    points, at = np.empty(count, dtype), 0
    for name in dtype.names or ():
        wide = int(np.prod(dtype[name].shape, dtype=int))
        points[name] = np.frombuffer(fields, dtype[name].base, count * wide, at).reshape(count, *dtype[name].shape)
        at += count * dtype[name].itemsize
    return points


def unpack_lzf(packed: bytes, size: int) -> bytes:
    """What Lehmann's LibLZF packed: runs of literal bytes, and repetitions of earlier ones by length and distance.

    Args:
        packed: with the control bytes.
        size: bytes that come out.

    Raises:
        ValueError, IndexError: when others come out, or a repetition begins before the first byte.
    """
    out, at = bytearray(), 0
    while at < len(packed) and len(out) <= size:
        control, at = packed[at], at + 1
        if control < 32:
            out += packed[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7:
            length, at = length + packed[at], at + 1
        back = ((control & 31) << 8) + packed[at] + 1
        length, at = length + 2, at + 1
        if back > len(out):
            raise ValueError(f"a repetition from {back} bytes back after {len(out)}")
        start = len(out) - back
        out += (out[start : start + length] * (1 + length // back))[:length]  # it may reach into what it writes
    if len(out) != size:
        raise ValueError(f"{len(out)} bytes instead of {size}")
    return bytes(out)


def _unique(names: list[str]) -> list[str]:
    """PCD calls every filler ``_``."""
    return [f"_{i}" if name == "_" else name for i, name in enumerate(names)]
