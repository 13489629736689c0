"""What files of points have in common: the fields that they need, and points as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from domains.lidar.cloud import Array, Cloud
from vaegan.errors import DataError


def need_xyz(path: Path, dtype: np.dtype[Any]) -> None:
    """Stops at points without a place.

    Raises:
        DataError: where x, y or z is not among the fields.
    """
    lost = [name for name in ("x", "y", "z") if name not in (dtype.names or ())]
    if lost:
        raise DataError(
            f"{path} has the fields {', '.join(dtype.names or ())}",
            expected="x, y and z among them",
            mend="rename the fields",
        )


def table(path: Path, text: bytes, dtype: np.dtype[Any], count: int) -> Array:
    """(count,) points of words, a point's fields one after another; what stands behind the last is left.

    Raises:
        DataError: for too few words, and for such as are no numbers.
    """
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


def as_text(cloud: Cloud) -> bytes:
    """A line for each point, with every digit that its numbers have."""
    columns: list[list[str]] = []
    for name in cloud.points.dtype.names or ():
        values: Any = cloud.points[name].reshape(len(cloud.points), -1)
        digits = "{}" if values.dtype.kind != "f" else "{:.17g}" if values.dtype.itemsize > 4 else "{:.9g}"
        columns += [[digits.format(v) for v in column.tolist()] for column in values.T]
    return ("\n".join(" ".join(row) for row in zip(*columns, strict=True)) + "\n").encode()
