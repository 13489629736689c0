"""The bytes of small labelled pictures: idx files, CIFAR-10's binary batches, and a table of levels."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from vaegan.errors import DataError

Array = np.ndarray[Any, Any]
CIFAR_SIDE, CIFAR_RECORD = 32, 1 + 3 * 32 * 32
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_UBYTE = 0x08


def read_idx(path: Path, axes: int) -> Array:
    """An idx file of unsigned bytes (the format of MNIST's home page), gzipped or not.

    The head is two zero bytes, the type (8 for unsigned bytes), the number of axes, then each size as a big-endian uint32.

    Args:
        path: the file; gzip is known by its first bytes, whatever the name says.
        axes: how many it should have: 3 for pictures, 1 for labels.

    Raises:
        DataError: for another kind of file, or one that is cut short.
    """
    content = _content(path)
    expected = f"an idx file of unsigned bytes with {axes} axes"
    head = 4 + 4 * axes
    if len(content) < head or content[:3] != bytes((0, 0, _UBYTE)) or content[3] != axes:
        raise DataError(
            f"{path} begins with {content[:4].hex(' ') or 'nothing'}", expected=expected, mend="get it anew"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", axes, 4))
    if len(content) != head + prod(shape):
        found = f"{path} holds {len(content) - head:,} bytes of {prod(shape):,} ({'x'.join(map(str, shape))})"
        raise DataError(found, expected=expected, mend="get it anew")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def read_cifar(path: Path) -> tuple[Array, Array]:
    """Pictures (n, 32, 32, 3) and labels (n,) of a binary batch of CIFAR-10: a byte of label, then red, green, blue.

    Raises:
        DataError: for a length that is no whole number of records, or a label above 9.
    """
    content = _content(path)
    if not content or len(content) % CIFAR_RECORD:
        found = f"{path} holds {len(content):,} bytes"
        raise DataError(found, expected=f"records of {CIFAR_RECORD:,} bytes", mend="get it anew")
    rows = np.frombuffer(content, np.uint8).reshape(-1, CIFAR_RECORD)
    if rows[:, 0].max() >= len(CIFAR_CLASSES):
        raise DataError(f"{path} holds the label {rows[:, 0].max()}", expected="0 to 9", mend="give CIFAR-10's batches")
    images = rows[:, 1:].reshape(-1, 3, CIFAR_SIDE, CIFAR_SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), rows[:, 0].astype(np.int64)


def read_csv(path: Path) -> tuple[Array, Array]:
    """Pictures (n, 28, 28) and labels (n,) of a table: 784 levels and the label in each row.

    Raises:
        DataError: for other columns, or what is no number.
    """
    expected = "rows of 784 levels and a label"
    try:
        table = np.loadtxt(_content(path).decode("ascii").splitlines(), delimiter=",", dtype=np.float32, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no table of numbers: {error}", expected=expected) from error
    if table.shape[1] != 28 * 28 + 1:
        raise DataError(f"{path} has {table.shape[1]} columns", expected=expected)
    return table[:, :-1].astype(np.uint8).reshape(-1, 28, 28), table[:, -1].astype(np.int64)


def _content(path: Path) -> bytes:
    """A file's bytes, unpacked where they are gzipped."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path} cannot be read: {told}", expected="a whole file", mend="get it anew") from error
