"""What the formats share: how samples become amplitudes, and how a file is written whole or not at all."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from domains.sonar.frames import lost_lines
from vaegan.errors import DataError
from vaegan.files import write_file

Array = np.ndarray[Any, Any]
TOPS = (255.0, 32767.0, 65535.0)
"""Full scales of 8 bits, of 16 bits with the sign bit unused, and of 16 bits."""
DEEP = 2.0**24 - 1
"""Full scale of 24 bits, which lie in whole numbers of 32."""

Lost = Literal["pings", "beams", "rows or columns"]
"""What a recorder can lose of a raster: its rows, its columns, or, where it is not known which they are, both."""

SIGNED = 0.25
"""Share of the highest sample: where one in fifty is negative and some go as far down, they are no echoes with noise."""

_BLOCK = 1 << 20


@dataclass
class _Extent:
    """What samples of one type hold, gathered over a file.

    Attributes:
        highest: the highest value that is finite; 0 where there is none.
        whole: whether all floats that are finite are whole numbers.
        known: how many samples are finite.
        negative: how many of these are below 0.
        lowest: the lowest of these; 0 where there is none.
    """

    highest: float = 0.0
    lowest: float = 0.0
    whole: bool = True
    known: int = 0
    negative: int = 0

    def add(self, samples: Array) -> _Extent:
        """Takes in more samples, a block at a time: a survey is not held twice."""
        flat = samples.reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            part = flat[start : start + _BLOCK]
            if part.dtype.kind == "f":
                part = part[np.isfinite(part)]
                self.whole = self.whole and bool((np.rint(part) == part).all())
            self.known += part.size
            if part.dtype.kind != "u":
                self.negative += int((part < 0).sum())
                self.lowest = min(self.lowest, float(part.min(initial=0)))
            self.highest = max(self.highest, float(part.max(initial=0)))
        return self


def full_scale(samples: Array, where: str) -> float:
    """What stands for 1: the largest value that the type of whole numbers holds, or that the samples suggest.

    Samples that never go above 255, or in a type of 32 or 64 bits above 65,535 or 2^24 - 1, are data of 8, 16 or 24 bits in
    a wider type, and are scaled as such: taken for what the type holds they would be black. So are those of 16 bits of which
    none is above 32,767: some recorders leave the sign bit unused. Floats up to 1 are amplitudes. Higher ones are counts of
    8 or 16 bits where all are whole numbers; of others the highest is full scale. What is guessed comes with a warning, and
    so do a few negative samples, which noise leaves where its mean was taken away: they count as 0.

    Args:
        samples: whole numbers or floats.
        where: the file's name, for the warning.

    Raises:
        DataError: when most samples are negative, as decibels are, or some far below 0, as in a waveform.
    """
    return _scale(samples.dtype, _Extent().add(samples), where)


def _scale(dtype: np.dtype[Any], found: _Extent, where: str) -> float:
    if found.negative:
        share = f"{100 * found.negative / found.known:.2g} % of the samples are negative, down to {found.lowest:g}"
        far = -found.lowest > SIGNED * found.highest and 50 * found.negative > found.known
        if far or 2 * found.negative > found.known:
            raise DataError(
                f"{where}: {share}",
                expected="echo amplitudes, from 0 on",
                mend="convert decibels to amplitudes, 10^(dB / 20), and waveforms to their envelopes; give NaN or a mask "
                "where nothing was recorded",
            )
        warnings.warn(f"{where}: {share}; they are taken for 0", stacklevel=4)
    if dtype.kind == "f":
        if found.highest <= 1.0:
            return 1.0
        counts = (top for top in TOPS if found.whole and found.highest <= top)
        top = next(counts, found.highest)
        warnings.warn(f"{where}: floats go up to {found.highest:g}; {top:g} is taken for full scale", stacklevel=4)
        return top
    most, bits = float(np.iinfo(dtype).max), 8 * dtype.itemsize
    top = next((top for top in (*TOPS, DEEP) if 0 < found.highest <= top), most)
    if top >= most:
        return most
    held = {TOPS[0]: 8, DEEP: 24}.get(top, 16)
    told = f"{bits}-bit samples hold {held}-bit values" if held < bits else f"no {bits}-bit sample is above {top:.0f}"
    warnings.warn(f"{where}: {told}; {top:.0f} is taken for full scale", stacklevel=4)
    return top


def to_echo(samples: Array, scale: float) -> Float[np.ndarray, "*shape"]:
    """Samples as amplitudes, in single precision; NaN where a sample is not finite."""
    echo = np.empty(samples.shape, np.float32)
    np.divide(samples, scale, out=echo, casting="same_kind")  # in double precision, a block at a time
    if samples.dtype.kind == "f":
        echo[~np.isfinite(samples)] = np.nan
    return echo


def mark_lost(
    signals: Float[np.ndarray, "n 1 rows columns"], path: Path, *, lines: Lost = "rows or columns", edges: bool = False
) -> None:
    """Makes gaps (NaN), in place, of lines that were lost, and says how many; see :func:`lost_lines`.

    Args:
        signals: echo amplitudes.
        path: the file, for the warning.
        lines: what can be lost. A column of a waterfall is a range, as is a row of a multibeam's raster: one that is zero
            throughout was blanked (a water column), and nothing belongs into it.
        edges: see :func:`lost_lines`.
    """
    count = 0
    for (echo,) in signals:
        rows, columns = lost_lines(echo, edges=edges)
        if lines != "beams":
            echo[rows] = np.nan
            count += int(rows.sum())
        if lines != "pings":
            echo[:, columns] = np.nan
            count += int(columns.sum())
    if count:
        warnings.warn(f"{path}: {count} {lines} that are zero throughout are taken for lost", stacklevel=4)


def to_samples(echo: Array, like: Array, scale: float) -> Array:
    """Amplitudes as samples of the type of ``like``, rounded; those of ``like`` where nothing changed or is known (NaN).

    An amplitude holds 24 bits: a sample of 32 would not come back from it.
    """
    kept = np.empty(like.shape, like.dtype)  # in the file's own order of bytes
    new, old, out = echo.reshape(-1), like.reshape(-1), kept.reshape(-1)
    for start in range(0, old.size, _BLOCK):  # a survey is not held a fourth time
        part = slice(start, start + _BLOCK)
        out[part] = _block_of_samples(new[part], old[part], scale)
    return kept


def _block_of_samples(echo: Array, like: Array, scale: float) -> Array:
    same = np.isnan(echo) | (echo == to_echo(like, scale))
    values = np.where(same, 0.0, echo) * scale
    if like.dtype.kind != "f":
        values = np.rint(np.clip(values, 0, min(scale, np.iinfo(like.dtype).max)))
    return np.where(same, like, values.astype(like.dtype))


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


def one_line(error: Exception) -> str:
    """What another library says of a file, in one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


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
    """Full scale of each channel, one for all samples of a type, so that channels keep their ratio.

    See :func:`full_scale`, and for what it raises.
    """
    extents = {dtype: _Extent() for dtype in record.dtypes}
    for dtype, offsets, counts in zip(record.dtypes, record.offsets, record.counts, strict=True):
        for offset, count in zip(offsets, counts, strict=True):
            extents[dtype].add(np.frombuffer(content, dtype=dtype, count=int(count), offset=int(offset)))
    scales = {dtype: _scale(np.dtype(dtype), extent, where) for dtype, extent in extents.items()}
    return tuple(scales[dtype] for dtype in record.dtypes)


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
