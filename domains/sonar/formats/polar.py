"""NumPy rasters: ``.npy``, or ``.npz`` with ``echo`` and, where something is missing, ``mask`` (True: recorded)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from domains.sonar.formats.common import (
    Array,
    check_shape,
    full_scale,
    mark_lost,
    one_line,
    read_bytes,
    to_echo,
    to_samples,
    write_bytes,
)
from vaegan.domain import Recording
from vaegan.errors import DataError

NAMES = ("echo", "data", "arr_0")


@dataclass(frozen=True, eq=False)
class Raster:
    """What is needed to write a raster back.

    Attributes:
        arrays: all arrays of the file by name; one without a name for ``.npy``.
        name: of the echoes among them.
        scale: sample value that is full scale.
    """

    arrays: dict[str, Array]
    name: str
    scale: float


def read(path: Path) -> Recording:
    """One raster (rows, columns), or several (n, rows, columns): (n, 1, rows, columns), NaN where the mask is False.

    Lines that are zero throughout were lost, and are NaN too.

    Raises:
        DataError: when the file is no array of NumPy's, or has another shape.
    """
    content = read_bytes(path)
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = {"": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (
        Exception
    ) as error:  # zip, its compressions and NumPy's header each raise their own when the bytes are broken
        found = f"{path} is no array of numbers ({one_line(error)})"
        raise DataError(found, expected=".npy or .npz without pickles") from error
    name = next((known for known in ("", *NAMES) if known in arrays), "?")
    if name == "?":
        raise DataError(f"{path} holds {', '.join(arrays) or 'nothing'}", expected="an array named echo")
    samples = arrays[name]
    if samples.ndim not in (2, 3) or samples.dtype.kind not in "uif" or not samples.size:
        raise DataError(
            f"{path}: an array of shape {samples.shape} and type {samples.dtype}",
            expected="numbers (rows, columns) or (n, rows, columns)",
        )
    mask = None
    if "mask" in arrays:
        mask = arrays["mask"].astype(bool)
        if mask.shape != samples.shape and mask.shape != samples.shape[-2:]:
            raise DataError(f"{path}: a mask of shape {mask.shape}", expected=f"{samples.shape}")
        mask = np.broadcast_to(mask, samples.shape)
    scale = full_scale(samples if mask is None else samples[mask], str(path))
    echo = to_echo(samples, scale).reshape(-1, 1, *samples.shape[-2:])
    if mask is not None:
        echo = np.where(mask.reshape(echo.shape), echo, np.float32(np.nan))
    mark_lost(echo, path)
    return Recording(echo, path, "NPZ" if "" not in arrays else "NPY", Raster(arrays, name, scale))


def write(recording: Recording, path: Path) -> Path:
    """Writes the raster in its type and shape, gaps as they were filled; a mask still says what was recorded."""
    meta = recording.metadata
    if not isinstance(meta, Raster):
        raise DataError(f"{path}: nothing is known of the raster", expected="a recording that was read from one")
    samples = meta.arrays[meta.name]
    echo = np.asarray(recording.signals)
    check_shape(echo, (int(np.prod(samples.shape[:-2], dtype=int)), 1, *samples.shape[-2:]), path)
    changed = to_samples(echo.reshape(samples.shape), samples, meta.scale)
    stream = io.BytesIO()
    if meta.name == "":
        np.save(stream, changed, allow_pickle=False)
    else:
        arrays: dict[str, Any] = {**meta.arrays, meta.name: changed}
        np.savez_compressed(stream, **arrays)
    return write_bytes(path, stream.getvalue())
