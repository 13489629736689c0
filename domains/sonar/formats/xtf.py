"""Triton XTF: sidescan pings, port and starboard, in packets; everything that is no sample is left alone.

The layout (Triton Imaging, XTF file format X41): a file header of 1,024 bytes (more where there are more than six channels),
then packets that begin with the magic number 0xFACE, their type and their length. A sonar packet (type 0) is a ping
header of 256 bytes and, for each channel, a channel header of 64 bytes and its samples.
"""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from domains.sonar.formats.common import Record, mark_lost, read_bytes, read_record, scales_of, write_record
from vaegan.domain import Recording
from vaegan.errors import DataError

FILE_FORMAT = 123
MAGIC = 0xFACE
HEADER, CHANNEL_INFO = 1024, 128
PING_HEADER, CHANNEL_HEADER = 256, 64
SONAR = 0
KNOWN = {0: "sonar", 1: "notes", 2: "bathymetry", 3: "attitude", 5: "raw serial", 6: "embedded header", 42: "navigation",
         54: "heading", 107: "position", 108: "gyro"}  # fmt: skip
_FORMATS = {2: "<u4", 3: "<u2", 5: "<f4", 8: "<u1"}
_BY_SIZE = {1: "<u1", 2: "<u2", 4: "<u4"}


@dataclass
class _Pings:
    """What was found while walking through the packets."""

    dtypes: dict[int, str] = field(default_factory=dict)
    places: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    unknown: Counter[int] = field(default_factory=Counter)
    pings: int = 0
    left: int = 0


def read(path: Path) -> Recording:
    """One XTF file: (channels, 1, pings, samples), full scale is 1, NaN where a ping has fewer samples than others or none.

    A file that ends within a packet is read up to there, with a warning; so are unknown packet types, pings without samples
    and pings of several lengths. A ping that is zero throughout was lost.

    Raises:
        DataError: when it is no XTF file, its channels cannot be read, or it holds no sonar ping.
    """
    content = read_bytes(path)
    if len(content) < HEADER:
        raise DataError(
            f"{path} has {len(content)} bytes", expected=f"an XTF file header of {HEADER}", mend="give a whole XTF file"
        )
    if content[0] != FILE_FORMAT:
        raise DataError(f"{path} begins with the byte {content[0]}", expected=f"{FILE_FORMAT}, as an XTF file does")
    found = _walk(content, path)
    _tell(found, path)
    channels = sorted(found.places)
    if not channels or not found.pings:
        raise DataError(f"{path} holds no sonar ping", expected="packets of type 0", mend="give a sidescan record")
    offsets = np.zeros((len(channels), found.pings), dtype=np.int64)
    counts = np.zeros_like(offsets)
    for row, channel in enumerate(channels):
        for ping, offset, count in found.places[channel]:
            offsets[row, ping], counts[row, ping] = offset, count
    if not counts.any():
        raise DataError(f"{path}: all {found.pings} pings are without samples", expected="pings with samples")
    used = counts[counts > 0]
    if used.min() != used.max():
        warnings.warn(
            f"{path}: pings of {used.min()} to {used.max()} samples; shorter ones are left open at their end",
            stacklevel=2,
        )
    if (counts == 0).any():
        warnings.warn(f"{path}: {int((counts == 0).sum())} pings without samples are left open", stacklevel=2)
    record = Record(path, tuple(found.dtypes[c] for c in channels), (1.0,) * len(channels), offsets, counts)
    record = replace(record, scales=scales_of(content, record, str(path)))
    echo = read_record(record, content)
    mark_lost(echo, path, lines="pings", edges=True)
    return Recording(echo, path, "XTF", record)


def write(recording: Recording, path: Path) -> Path:
    """Writes the XTF file that was read, with only its samples changed; see :func:`write_record`."""
    if not isinstance(recording.metadata, Record):
        raise DataError(f"{path}: nothing is known of the XTF file", expected="a recording that was read from one")
    return write_record(recording.metadata, np.asarray(recording.signals), path)


def _channels(content: bytes) -> int:
    sonar, bathymetry = struct.unpack_from("<HH", content, 166)
    more = content[170] + content[171] + struct.unpack_from("<H", content, 172)[0] + content[174]
    return int(sonar + bathymetry + more)


def _dtype(content: bytes, channel: int, path: Path) -> str:
    start = 256 + CHANNEL_INFO * channel
    size, form = struct.unpack_from("<H", content, start + 6)[0], content[start + 74]
    dtype = _FORMATS.get(form) or _BY_SIZE.get(size)
    if dtype is None or np.dtype(dtype).itemsize != size:
        raise DataError(
            f"{path}: channel {channel} has samples of {size} bytes in the format {form}",
            expected="whole numbers of 1, 2 or 4 bytes, or IEEE floats",
            mend="export it as 8- or 16-bit samples",
        )
    return dtype


def _walk(content: bytes, path: Path) -> _Pings:
    found, channels = _Pings(), _channels(content)
    if not 0 < channels <= 6:
        raise DataError(f"{path} states {channels} channels", expected="1 to 6", mend="export fewer channels")
    at = HEADER
    while at < len(content):
        if len(content) - at < 14:
            found.left = len(content) - at
            break
        magic, kind, _, follow = struct.unpack_from("<HBBH", content, at)
        (length,) = struct.unpack_from("<I", content, at + 10)
        if magic != MAGIC or length < 14:
            raise DataError(
                f"{path}: no packet at byte {at} (found {magic:#06x}, length {length})", expected="0xface and a length",
                mend="the file is broken there; cut it before that byte",
            )  # fmt: skip
        if at + length > len(content):
            found.left = len(content) - at
            break
        if kind == SONAR:
            _ping(content, at, length, follow, found, path)
        elif kind not in KNOWN:
            found.unknown[kind] += 1
        at += length
    return found


def _ping(content: bytes, at: int, length: int, follow: int, found: _Pings, path: Path) -> None:
    place, end = at + PING_HEADER, at + length
    for _ in range(follow):
        if place + CHANNEL_HEADER > end:
            raise DataError(f"{path}: ping {found.pings} at byte {at} is too short for its channels", mend="repair it")
        (channel,) = struct.unpack_from("<H", content, place)
        (count,) = struct.unpack_from("<I", content, place + 42)
        if channel >= 6:
            raise DataError(f"{path}: ping {found.pings} is of channel {channel}", expected="0 to 5")
        if channel not in found.dtypes:
            found.dtypes[channel] = _dtype(content, channel, path)
        place += CHANNEL_HEADER
        size = count * np.dtype(found.dtypes[channel]).itemsize
        if place + size > end:
            raise DataError(
                f"{path}: ping {found.pings} states {count} samples, and its packet holds fewer", mend="repair the file"
            )
        found.places.setdefault(channel, []).append((found.pings, place, count))
        place += size
    found.pings += 1


def _tell(found: _Pings, path: Path) -> None:
    if found.left:
        warnings.warn(f"{path} ends within a packet: {found.left} bytes at its end are left as they are", stacklevel=3)
    if found.unknown:
        kinds = ", ".join(f"{kind} ({n}x)" for kind, n in sorted(found.unknown.items()))
        warnings.warn(f"{path}: packets of unknown type {kinds} are left as they are", stacklevel=3)
