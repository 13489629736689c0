"""HDF5 of beams: the prepared form. A data set ``echo`` (n, ranges, beams) with, where something is missing, ``mask``."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from domains.sonar.formats.common import Array, check_shape, full_scale, mark_lost, one_line, to_echo, to_samples
from vaegan.domain import Recording
from vaegan.errors import DataError
from vaegan.files import complete

NAME = "echo"


@dataclass(frozen=True, eq=False)
class Beams:
    """What is needed to write the file back: where it is, and the value that is full scale."""

    source: Path
    scale: float


def read(path: Path) -> Recording:
    """All rasters of a file: (n, 1, ranges, beams), NaN where ``mask`` is False and in lines that are zero throughout.

    Raises:
        DataError: when it is no HDF5 file or a broken one, has no such data set of its own, or a mask that does not fit it.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if NAME not in file or not isinstance(file[NAME], h5py.Dataset):
                names = ", ".join(map(str, file)) or "nothing"
                raise DataError(f"{path} holds {names}", expected=f"a data set named {NAME}")
            _check_place(file, path)
            samples = file[NAME][()]
            mask = _mask(file, samples.shape, path)
    except DataError:
        raise
    except Exception as error:  # a broken tree, a link that leads nowhere, a filter: each is another kind of error
        found = f"{path} is no HDF5 file that can be read ({one_line(error)})"
        raise DataError(found, mend="give another file") from error
    if samples.ndim not in (2, 3) or samples.dtype.kind not in "uif" or not samples.size:
        raise DataError(f"{path}: {NAME} has the shape {samples.shape}", expected="numbers (n, ranges, beams)")
    scale = full_scale(samples if mask is None else samples[mask], str(path))
    echo = to_echo(samples, scale).reshape(-1, 1, *samples.shape[-2:])
    if mask is not None:
        echo = np.where(mask.reshape(echo.shape), echo, np.float32(np.nan))
    mark_lost(echo, path)
    return Recording(echo, path, "HDF5", Beams(path, scale))


def _check_place(file: Any, path: Path) -> None:
    """Stops where there are no echoes, or a copy of the file would not hold them: what is written would go elsewhere."""
    import h5py

    stored = file[NAME]
    if stored.shape is None:
        raise DataError(f"{path}: {NAME} is empty", expected="numbers (n, ranges, beams)")
    linked = isinstance(file.get(NAME, getlink=True), h5py.ExternalLink)
    if linked or stored.is_virtual or stored.external:
        raise DataError(
            f"{path}: {NAME} lies in another file",
            expected="a data set of this file",
            mend="give the file that holds it",
        )


def _mask(file: Any, shape: tuple[int, ...], path: Path) -> Array | None:
    """What was recorded, in the shape of the echoes; ``None`` where the file does not say."""
    import h5py

    if "mask" not in file:
        return None
    stored = file["mask"]
    if not isinstance(stored, h5py.Dataset) or stored.shape is None or stored.dtype.kind not in "biuf":
        raise DataError(f"{path}: mask is no data set of numbers", expected="True where something was recorded")
    try:
        return np.broadcast_to(stored[()].astype(bool), shape)
    except ValueError:
        raise DataError(f"{path}: a mask of shape {stored.shape}", expected=f"{shape}") from None


def write(recording: Recording, path: Path) -> Path:
    """Copies the file and changes its echoes, gaps as they were filled; all other data sets and attributes stay."""
    import h5py

    meta = recording.metadata
    if not isinstance(meta, Beams):
        raise DataError(f"{path}: nothing is known of the file", expected="a recording that was read from one")
    try:
        with complete(path) as scratch:
            shutil.copyfile(meta.source, scratch)
            with h5py.File(scratch, "r+") as file:
                samples = file[NAME][()]
                echo = np.asarray(recording.signals)
                check_shape(echo, (int(np.prod(samples.shape[:-2], dtype=int)), 1, *samples.shape[-2:]), path)
                file[NAME][...] = to_samples(echo.reshape(samples.shape), samples, meta.scale)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}", mend="give another --out") from error
    return path
