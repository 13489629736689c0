"""Point clouds from files and back into them: KITTI ``.bin``, nuScenes ``.pcd.bin``, PCD v0.7 and PLY, each also gzipped.

A PCD that was compressed comes back as plain binary.

A cloud is a structured array with one record a point, fields in the file's own order, so that whatever stands beside
x, y, z (ring, time, colour) comes back as it was.
"""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from vaegan.errors import DataError

Array: TypeAlias = NDArray[Any]

FORMATS = {".pcd.bin": "nuscenes", ".bin": "kitti", ".pcd": "pcd", ".ply": "ply"}
"""Of files by their endings."""
ENDINGS = tuple(FORMATS)
INTENSITY = ("intensity", "i", "reflectance", "reflectivity", "remission", "scalar_intensity")
RING = ("ring", "channel", "laser_id", "line")
RANGE = ("range", "distance")
"""Fields in which drivers repeat how far a point is (Ouster's in millimetres)."""
MOST_POINTS = 20_000_000
MOST_BELOW = 0.1
"""Share of the intensities of a ``.bin`` that may lie below 0; of other columns than its own at least a sixth do."""
OTHER_COLUMNS = (("<f4", 3), ("<f4", 5), ("<f4", 6), ("<f4", 7), ("<f4", 8), ("<f8", 3), ("<f8", 4))
"""What a ``.bin`` may hold that is not KITTI's: the type and the number of its columns."""

_KITTI = np.dtype([(name, "<f4") for name in ("x", "y", "z", "intensity")])
_NUSCENES = np.dtype([(name, "<f4") for name in ("x", "y", "z", "intensity", "ring")])
_PLY = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip


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
        cloud = _records(path, content, _NUSCENES if kind == ".pcd.bin" else _KITTI)
    elif kind == ".pcd":
        cloud = _pcd(path, content)
    elif kind == ".ply":
        cloud = _ply(path, content)
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


def _records(path: Path, content: bytes, dtype: np.dtype[Any]) -> Cloud:
    if len(content) % dtype.itemsize:
        raise DataError(
            f"{path} has {len(content)} bytes, no multiple of {dtype.itemsize}",
            expected=f"float32 {', '.join(dtype.names or ())} for each point",
            mend="get the whole file",
        )
    points = np.frombuffer(content, dtype).copy()
    _check_columns(path, points, content)
    return Cloud(points, "nuscenes" if dtype is _NUSCENES else "kitti")


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


def _pcd(path: Path, content: bytes) -> Cloud:
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
    _need_xyz(path, dtype)
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
        return Cloud(_table(path, content[at:], dtype, count), "pcd", ascii=True, head=kept, size=size)
    if form == "binary_compressed":
        return Cloud(_compressed(path, content[at:], dtype, count), "pcd", head=kept, size=size)
    raise DataError(
        f"{path} is PCD DATA {form}",
        expected="ascii, binary or binary_compressed",
        mend="convert it with pcl_convert_pcd",
    )


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


def _need_xyz(path: Path, dtype: np.dtype[Any]) -> None:
    lost = [name for name in ("x", "y", "z") if name not in (dtype.names or ())]
    if lost:
        raise DataError(
            f"{path} has the fields {', '.join(dtype.names or ())}",
            expected="x, y and z among them",
            mend="rename the fields",
        )


def _table(path: Path, text: bytes, dtype: np.dtype[Any], count: int) -> Array:
    values = text.split()
    wide = sum(int(np.prod(dtype[name].shape, dtype=int)) for name in dtype.names or ())
    if len(values) < count * wide:
        raise DataError(
            f"{path} holds {len(values) // wide} of {count} points", expected="all", mend="get the whole file"
        )
    points, column = np.zeros(count, dtype), 0
    for name in dtype.names or ():
        shape = dtype[name].shape
        size = int(np.prod(shape, dtype=int))
        try:
            parts = [_numbers(values[column + i : count * wide : wide], dtype[name].base) for i in range(size)]
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"{path} holds words that are no numbers of the field {name} ({error})",
                expected=f"{dtype[name].base.name} numbers",
                mend="repair it",
            ) from None
        points[name] = np.stack(parts, axis=1).reshape(count, *shape) if parts else points[name]
        column += size
    return points


def _numbers(words: list[bytes], kind: np.dtype[Any]) -> Array:
    """Words as numbers of a kind; whole ones keep every digit, which doubles do not beyond 2^53.

    Raises:
        ValueError, OverflowError: for words that are no such numbers.
    """
    if kind.kind == "f":
        return np.asarray(words, dtype=np.float64)
    return np.asarray([_whole(word) for word in words], dtype=kind)


def _whole(word: bytes) -> int:
    try:
        return int(word)
    except ValueError:  # as 3.0 or 1e3
        return int(float(word))


@dataclass(frozen=True)
class _Element:
    """An element of a PLY's head: its name, how many there are, and the words of each property behind ``property``."""

    name: str
    count: int
    properties: tuple[tuple[str, ...], ...]

    @property
    def lines(self) -> tuple[str, ...]:
        return f"element {self.name} {self.count}", *(f"property {' '.join(words)}" for words in self.properties)


def _ply(path: Path, content: bytes) -> Cloud:
    end = re.search(rb"^end_header[ \t]*\r?(?:\n|\Z)", content, re.MULTILINE)  # a comment may hold the word too
    lines = content[: end.start() if end else 0].decode("latin-1").splitlines()
    if end is None or not lines or lines[0].strip() != "ply":
        raise DataError(f"{path} has no PLY head", expected="a PLY file", mend="give another file")
    try:
        form, elements = _ply_head(lines)
        place = [element.name for element in elements].index("vertex")
        count = elements[place].count
        order = ">" if form == "binary_big_endian" else "<"
        if any(words[0] == "list" for words in elements[place].properties):
            raise ValueError("a list for each vertex")
        dtype = np.dtype([(words[1], order + _PLY[words[0]]) for words in elements[place].properties])
    except (IndexError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} has a PLY head that cannot be read ({error})",
            expected="vertices of plain numbers",
            mend="repair or convert it",
        ) from None
    _need_xyz(path, dtype)
    start = at = end.end()
    try:
        for element in elements[:place]:
            at = _past_lines(content, at, element.count) if form == "ascii" else _past(content, at, element, order)
    except (IndexError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} holds a {element.name} that cannot be read ({error})",
            expected=f"{element.count} of them before the vertices",
            mend="get the whole file",
        ) from None
    if form == "ascii":
        points = _table(path, content[at:], dtype, count)
        beyond = next(islice(re.finditer(rb"\S+", content[at:]), count * len(dtype.names or ()), None), None)
        rest = content[at + beyond.start() :] if beyond else b""
    else:
        if len(content) - at < count * dtype.itemsize:
            raise DataError(
                f"{path} holds {(len(content) - at) // dtype.itemsize} of {count} points",
                expected="all",
                mend="get it whole",
            )
        points = np.frombuffer(content, dtype, count, at).copy()
        rest = content[at + count * dtype.itemsize :]
    before, after = elements[:place], elements[place + 1 :]
    return Cloud(
        points,
        "ply",
        ascii=form == "ascii",
        head=tuple(line for line in lines if line.startswith(("comment", "obj_info"))),
        before=Elements(tuple(line for element in before for line in element.lines), content[start:at]),
        after=Elements(tuple(line for element in after for line in element.lines), rest if after else b""),
    )


def _ply_head(lines: list[str]) -> tuple[str, list[_Element]]:
    """The format and the elements.

    Raises:
        IndexError, ValueError: for other lines than PLY's.
    """
    form, elements = "", list[_Element]()
    for words in (line.split() for line in lines):
        if words[:1] == ["format"]:
            form = words[1]
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], int(words[2]), ()))
        elif words[:1] == ["property"]:
            elements[-1] = replace(elements[-1], properties=(*elements[-1].properties, tuple(words[1:])))
    if form not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise ValueError(f"format {form or 'not stated'}")
    if any(element.count < 0 for element in elements):
        raise ValueError(f"{min(element.count for element in elements)} of an element")
    return form, elements


def _past_lines(content: bytes, at: int, count: int) -> int:
    """Where so many lines end."""
    for _ in range(count):
        at = content.index(b"\n", at) + 1
    return at


def _past(content: bytes, at: int, element: _Element, order: str) -> int:
    """Where an element ends in a binary PLY, of whose lists each says its length.

    Raises:
        IndexError, KeyError, ValueError: for unknown types, and where the file ends first.
    """
    if all(words[0] != "list" for words in element.properties):
        at += element.count * sum(np.dtype(_PLY[words[0]]).itemsize for words in element.properties)
    else:
        for _ in range(element.count):
            for kind, *rest in element.properties:
                length = 1
                if kind == "list":
                    number, kind = np.dtype(order + _PLY[rest[0]]), rest[1]
                    length = int(np.frombuffer(content, number, 1, at)[0])
                    at += number.itemsize
                at += length * np.dtype(_PLY[kind]).itemsize
    if at > len(content):
        raise ValueError("the file ends first")
    return at
