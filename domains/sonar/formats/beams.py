"""HDF5 of beams: the prepared form. A data set ``echo`` (n, ranges, beams) with, where something is missing, ``mask``."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from domains.sonar.formats.common import check_shape, full_scale, to_echo, to_samples
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
    """All rasters of a file: (n, 1, ranges, beams), NaN where ``mask`` is False.

    Raises:
        DataError: when it is no HDF5 file, or has no such data set.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if NAME not in file or not isinstance(file[NAME], h5py.Dataset):
                raise DataError(f"{path} holds {', '.join(file) or 'nothing'}", expected=f"a data set named {NAME}")
            samples = file[NAME][()]
            mask = file["mask"][()].astype(bool) if "mask" in file else None
    except OSError as error:
        raise DataError(f"{path} is no HDF5 file that can be read ({error})", mend="give another file") from error
    if samples.ndim not in (2, 3) or samples.dtype.kind not in "uif" or not samples.size:
        raise DataError(f"{path}: {NAME} has the shape {samples.shape}", expected="numbers (n, ranges, beams)")
    scale = full_scale(samples, str(path))
    echo = to_echo(samples, scale).reshape(-1, 1, *samples.shape[-2:])
    if mask is not None:
        echo = np.where(np.broadcast_to(mask, samples.shape).reshape(echo.shape), echo, np.float32(np.nan))
    return Recording(echo, path, "HDF5", Beams(path, scale))


def write(recording: Recording, path: Path) -> Path:
    """Copies the file and changes its echoes; all other data sets and attributes stay."""
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
