"""What the formats share: how samples become amplitudes, and how a file is written whole or not at all."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vaegan.errors import DataError
from vaegan.files import write_file

Array = np.ndarray[Any, Any]


def full_scale(samples: Array, where: str) -> float:
    """What stands for 1: the largest value that the type of whole numbers holds, or that the samples suggest.

    Samples of 16 bits that never go above 255 are 8-bit data in a wider type, and are scaled as such, with a warning:
    taken for 16 bits they would be black. So are those of which none is above 32,767: some recorders leave the sign bit
    unused.

    Args:
        samples: whole numbers or floats.
        where: the file's name, for the warning.
    """
    highest = float(samples[np.isfinite(samples)].max(initial=0))
    if samples.dtype.kind == "f":
        if highest <= 1.0:
            return 1.0
        return next((top for top in (255.0, 32767.0, 65535.0) if highest <= top), highest)
    top = float(np.iinfo(samples.dtype).max)
    if samples.dtype.itemsize > 1 and 0 < highest <= 255:
        warnings.warn(f"{where}: {8 * samples.dtype.itemsize}-bit samples hold 8-bit values; 255 is taken for full scale",
                      stacklevel=3)  # fmt: skip
        return 255.0
    return 32767.0 if samples.dtype == np.uint16 and highest <= 32767 else top


def to_echo(samples: Array, scale: float) -> Float[np.ndarray, "*shape"]:
    """Samples as amplitudes, in single precision; NaN where a sample is not finite."""
    return np.where(np.isfinite(samples), samples / scale, np.nan).astype(np.float32)


def to_samples(echo: Array, like: Array, scale: float) -> Array:
    """Amplitudes as samples of the type of ``like``, rounded; those of ``like`` where nothing changed or is known (NaN).

    An amplitude holds 24 bits: a sample of 32 would not come back from it.
    """
    same = np.isnan(echo) | (echo == to_echo(like, scale))
    values = np.where(same, 0.0, echo) * scale
    if like.dtype.kind != "f":
        values = np.rint(np.clip(values, 0, min(scale, np.iinfo(like.dtype).max)))
    kept: Array = np.where(same, like, values.astype(like.dtype))
    return kept


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Raises:
        DataError: when it is empty, or may not be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", mend="give yourself the right to read it"
        ) from error
    if not content:
        raise DataError(f"{path} is empty", expected="a record of echoes", mend="give another file")
    return content


def write_bytes(path: Path, content: bytes) -> Path:
    """Writes a file, which is complete or not there.

    Raises:
        DataError: when the folder cannot be written.
    """
    try:
        write_file(path, content)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}", mend="give another --out") from error
    return path


def check_shape(echo: Array, shape: tuple[int, ...], path: Path) -> None:
    """Stops when restored echoes do not fit the record that they are to be written into."""
    if tuple(echo.shape) != tuple(shape):
        raise DataError(f"{path}: echoes of shape {echo.shape}", expected=f"the record's {tuple(shape)}")


@dataclass(frozen=True, eq=False)
class Record:
    """Where the samples of a file lie in it, so that they can be changed and nothing else.

    Attributes:
        source: the file.
        dtypes: of each channel's samples, with their byte order, such as ``"<u2"``.
        scales: sample value that is full scale, for each channel.
        offsets: (channels, pings) byte at which a ping's samples begin.
        counts: (channels, pings) samples of a ping; 0 where a channel has none.
    """

    source: Path
    dtypes: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: Array
    counts: Array

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the echoes: channels, 1, pings, samples of the longest ping."""
        return (len(self.dtypes), 1, self.counts.shape[1], int(self.counts.max(initial=0)))


def read_record(record: Record, content: bytes) -> Float[np.ndarray, "channels 1 pings samples"]:
    """Echoes of all channels; NaN beyond the end of a ping that is shorter than others."""
    echo = np.full(record.shape, np.nan, dtype=np.float32)
    for c, (dtype, scale) in enumerate(zip(record.dtypes, record.scales, strict=True)):
        for p, (offset, count) in enumerate(zip(record.offsets[c], record.counts[c], strict=True)):
            samples = np.frombuffer(content, dtype=dtype, count=int(count), offset=int(offset))
            echo[c, 0, p, : len(samples)] = to_echo(samples, scale)
    return echo


def scales_of(content: bytes, record: Record, where: str) -> tuple[float, ...]:
    """Full scale of each channel, from all its samples; see :func:`full_scale`."""
    scales = []
    for c, dtype in enumerate(record.dtypes):
        tops = [
            np.frombuffer(content, dtype=dtype, count=int(n), offset=int(o)).max()
            for o, n in zip(record.offsets[c], record.counts[c], strict=True)
            if n
        ]
        highest = np.asarray([max(tops)] if tops else [0], dtype=np.dtype(dtype).newbyteorder("="))
        scales.append(full_scale(highest, where))
    return tuple(scales)


def write_record(record: Record, echo: Array, path: Path) -> Path:
    """Copies the source and changes its samples; every other byte stays as it is.

    Args:
        record: where the samples lie.
        echo: (channels, 1, pings, samples) amplitudes; NaN leaves a sample as it was.
        path: where to write.

    Raises:
        DataError: when the echoes do not fit, the source is gone or has changed its size, or the folder cannot be written.
    """
    check_shape(echo, record.shape, path)
    try:
        content = bytearray(record.source.read_bytes())
    except OSError as error:
        raise DataError(
            f"{record.source} is needed to write {path.name} and cannot be read: {error.strerror}",
            expected="the file that was restored",
            mend="put it back",
        ) from error
    ends = record.offsets + record.counts * np.asarray([[np.dtype(d).itemsize] for d in record.dtypes])
    if ends.size and int(ends.max()) > len(content):
        raise DataError(f"{record.source} has changed since it was read", mend="restore it again")
    for c, (dtype, scale) in enumerate(zip(record.dtypes, record.scales, strict=True)):
        for p, (offset, count) in enumerate(zip(record.offsets[c], record.counts[c], strict=True)):
            samples = np.frombuffer(content, dtype=dtype, count=int(count), offset=int(offset))
            samples[:] = to_samples(echo[c, 0, p, : int(count)], samples, scale)
    return write_bytes(path, bytes(content))
