"""PLY: vertices as points; what stands before and behind them is kept as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from domains.lidar.cloud import Cloud, Elements
from domains.lidar.points import as_text, need_xyz, table
from vaegan.errors import DataError

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_NAMES = {
    "i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float", "f8": "double",
}  # fmt: skip


@dataclass(frozen=True)
class _Element:
    """An element of a PLY's head: its name, how many there are, and the words of each property behind ``property``."""

    name: str
    count: int
    properties: tuple[tuple[str, ...], ...]

    @property
    def lines(self) -> tuple[str, ...]:
        return f"element {self.name} {self.count}", *(f"property {' '.join(words)}" for words in self.properties)


def from_ply(path: Path, content: bytes) -> Cloud:
    """The vertices of a PLY's content.

    Raises:
        DataError: for a head that cannot be read, elements before the vertices that cannot, and where vertices are missing.
    """
    end = re.search(rb"^end_header[ \t]*\r?(?:\n|\Z)", content, re.MULTILINE)  # a comment may hold the word too
    lines = content[: end.start() if end else 0].decode("latin-1").splitlines()
    if end is None or not lines or lines[0].strip() != "ply":
        raise DataError(f"{path} has no PLY head", expected="a PLY file", mend="give another file")
    try:
        form, elements = _read_head(lines)
        place = [element.name for element in elements].index("vertex")
        count = elements[place].count
        order = ">" if form == "binary_big_endian" else "<"
        if any(words[0] == "list" for words in elements[place].properties):
            raise ValueError("a list for each vertex")
        dtype = np.dtype([(words[1], order + _TYPES[words[0]]) for words in elements[place].properties])
    except (IndexError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} has a PLY head that cannot be read ({error})",
            expected="vertices of plain numbers",
            mend="repair or convert it",
        ) from None
    need_xyz(path, dtype)
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
        points = table(path, content[at:], dtype, count)
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


def to_ply(cloud: Cloud) -> bytes:
    """The content of a PLY, as text or binary in the order of bytes that the fields have."""
    points = as_text(cloud) if cloud.ascii else cloud.points.tobytes()
    return _head(cloud).encode("latin-1") + cloud.before.content + points + cloud.after.content


def _head(cloud: Cloud) -> str:
    dtype = cloud.points.dtype
    big = any(dtype[name].byteorder == ">" for name in dtype.names or ())
    form = "ascii" if cloud.ascii else "binary_big_endian" if big else "binary_little_endian"
    lines = ["ply", f"format {form} 1.0", *cloud.head, *cloud.before.lines, f"element vertex {len(cloud.points)}"]
    lines += [f"property {_NAMES[dtype[name].str[1:]]} {name}" for name in dtype.names or ()]
    return "\n".join([*lines, *cloud.after.lines, "end_header"]) + "\n"


def _read_head(lines: list[str]) -> tuple[str, list[_Element]]:
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
        at += element.count * sum(np.dtype(_TYPES[words[0]]).itemsize for words in element.properties)
    else:
        for _ in range(element.count):
            for kind, *rest in element.properties:
                length = 1
                if kind == "list":
                    number, kind = np.dtype(order + _TYPES[rest[0]]), rest[1]
                    length = int(np.frombuffer(content, number, 1, at)[0])
                    at += number.itemsize
                at += length * np.dtype(_TYPES[kind]).itemsize
    if at > len(content):
        raise ValueError("the file ends first")
    return at
