"""Humminbird: a ``NAME.DAT`` beside a folder ``NAME`` with one ``.SON`` (and its ``.IDX``) for each channel.

A ping is a header that begins with 0xC0DEAB21 and ends with 0xA0, the number of samples as a big-endian u32, and 0x21;
then samples of 8 bits. The header's length differs between models (67, 72 or 152 bytes), and is found from the first
ping.
"""

from __future__ import annotations

import shutil
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from domains.sonar.formats.common import Array, Record, check_shape, mark_lost, read_bytes, read_record, write_record
from vaegan.domain import Recording
from vaegan.errors import DataError
from vaegan.files import complete

MAGIC = b"\xc0\xde\xab\x21"
LONGEST_HEADER = 512


class _Silent(DataError):
    """A channel without a single sample: nothing was recorded by it."""


@dataclass(frozen=True, eq=False)
class Humminbird:
    """What is needed to write the files back.

    Attributes:
        path: the ``.DAT`` or ``.SON`` that was read.
        records: of the ``.SON`` files, without those that hold no samples.
    """

    path: Path
    records: tuple[Record, ...]


def read(path: Path) -> Recording:
    """A ``.SON`` file, or all channels of a ``.DAT``: (channels, 1, pings, samples), 255 is 1; a ping of zeros was lost.

    Channels of a ``.DAT`` that hold no samples are left out, with a warning: a transducer that is not there has a file too.

    Raises:
        DataError: when no channel with samples is found, or a file's pings cannot be followed.
    """
    if path.suffix.lower() == ".dat":
        sons = channels(path)
        if not sons:
            raise DataError(
                f"{path} has no .SON files", expected=f"a folder {path.stem} with B000.SON, ... beside it",
                mend="copy the folder too",
            )  # fmt: skip
    else:
        sons = [path]
    parts, silent = [], []
    for son in sons:
        try:
            parts.append(_read_son(son))
        except _Silent as error:
            silent.append((son.name, error))
    if not parts:
        raise silent[0][1]
    if silent:
        names = ", ".join(name for name, _ in silent)
        warnings.warn(f"{path}: channels without samples are left as they are: {names}", stacklevel=2)
    pings, samples = (max(echo.shape[axis] for _, echo in parts) for axis in (2, 3))
    signals = np.full((len(parts), 1, pings, samples), np.nan, dtype=np.float32)
    for k, (_, echo) in enumerate(parts):
        signals[k, :, : echo.shape[2], : echo.shape[3]] = echo[0]
    mark_lost(signals, path, lines="pings", edges=True)
    return Recording(signals, path, "Humminbird", Humminbird(path, tuple(record for record, _ in parts)))


def channels(path: Path) -> list[Path]:
    """The ``.SON`` files of a ``.DAT``, which lie in the folder of its name beside it."""
    folder = path.with_suffix("")
    return sorted(p for p in folder.glob("[!.]*") if p.suffix.lower() == ".son") if folder.is_dir() else []


def write(recording: Recording, path: Path) -> Path:
    """Writes what was read, with only the samples changed.

    For a ``.DAT`` the folder of the new name is made, with every file of the old one; for a ``.SON`` its ``.IDX`` goes
    along.
    """
    meta, echo = recording.metadata, np.asarray(recording.signals)
    if not isinstance(meta, Humminbird):
        raise DataError(f"{path}: nothing is known of the record", expected="a recording read from .DAT or .SON")
    shapes = [record.shape for record in meta.records]
    check_shape(echo, (len(shapes), 1, max(s[2] for s in shapes), max(s[3] for s in shapes)), path)
    if path.suffix.lower() != meta.path.suffix.lower():
        raise DataError(f"{path}: a {meta.path.suffix} was read", expected=f"a name that ends in {meta.path.suffix}")
    whole = meta.path.suffix.lower() == ".dat"
    if whole:
        _copy(meta.path, path)
        changed = {record.source.name for record in meta.records}
        for other in sorted(meta.path.with_suffix("").iterdir()):
            if other.is_file() and other.name not in changed:
                _copy(other, path.with_suffix("") / other.name)
    for k, (record, shape) in enumerate(zip(meta.records, shapes, strict=True)):
        target = path.with_suffix("") / record.source.name if whole else path
        write_record(record, echo[k : k + 1, :, : shape[2], : shape[3]], target)
    if not whole:
        for index in (meta.path.with_suffix(end) for end in (".IDX", ".idx")):
            if index.is_file():
                _copy(index, path.with_suffix(index.suffix))
                break
    return path


def _copy(source: Path, target: Path) -> None:
    if target.exists() and source.samefile(target):
        return
    try:
        with complete(target) as scratch:
            shutil.copyfile(source, scratch)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}", mend="give another --out") from error


def _read_son(path: Path) -> tuple[Record, Array]:
    if path.is_file() and not path.stat().st_size:
        raise _Silent(f"{path} is empty", expected="a record of echoes", mend="give another file")
    content = read_bytes(path)
    header = _header_length(content, path)
    offsets, counts, at = [], [], 0
    while at < len(content):
        (count,) = struct.unpack_from(">I", content, at + header - 5) if at + header <= len(content) else (None,)
        # A broken ping has any length: what is none is not taken for the last.
        if content[at : at + 4] == MAGIC[: len(content) - at] and (count is None or at + header + count > len(content)):
            warnings.warn(f"{path} ends within a ping: {len(content) - at} bytes are left as they are", stacklevel=2)
            break
        if content[at : at + 4] != MAGIC or count is None or content[at + header - 1] != 0x21:
            raise DataError(
                f"{path}: no ping at byte {at}", expected="0xC0DEAB21 and a header that ends with 0x21",
                mend="cut the file before that byte",
            )  # fmt: skip
        offsets.append(at + header)
        counts.append(count)
        at += header + count
    if not any(counts):
        raise _Silent(f"{path} holds no ping with samples", expected="pings with samples", mend="give another file")
    if 0 in counts:
        warnings.warn(f"{path}: {counts.count(0)} pings without samples are left open", stacklevel=2)
    record = Record(path, ("u1",), (255.0,), np.asarray([offsets]), np.asarray([counts]))
    return record, read_record(record, content)


def _header_length(content: bytes, path: Path) -> int:
    """Length of a ping's header: where 0xA0, a length and 0x21 lead to the next ping, or to the end."""
    if not content.startswith(MAGIC):
        raise DataError(f"{path} does not begin with 0xC0DEAB21", expected="a Humminbird .SON file")
    for at in range(4, min(LONGEST_HEADER, len(content) - 5)):
        if content[at] != 0xA0 or content[at + 5] != 0x21:
            continue
        following = at + 6 + int(struct.unpack_from(">I", content, at + 1)[0])
        if content[following : following + 4] == MAGIC or following == len(content):
            return at + 6
    raise DataError(f"{path}: the first ping has no end", expected="a header that ends with a length and 0x21")
