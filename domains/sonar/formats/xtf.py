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
SUBBOTTOM, BATHYMETRY = 0, 3
PADDING = 64
_IBM_FLOAT = 1
_FORMATS = {2: "<u4", 3: "<u2", 5: "<f4", 8: "<u1"}
_BY_SIZE = {1: "<u1", 2: "<u2", 4: "<u4"}


class _NoChannel(DataError):
    """A ping is of a channel that the file header does not describe."""


@dataclass(frozen=True)
class _Channel:
    """What the file header says of a channel.

    Attributes:
        dtype: of its samples; empty for a sub-bottom or bathymetry channel, which is left as it is.
        size: bytes a sample.
        samples: of each ping, in older files, whose pings do not state it.
    """

    dtype: str
    size: int
    samples: int


@dataclass
class _Pings:
    """What was found while walking through the packets; channels are numbered as the file header describes them."""

    numbers: dict[int, int] = field(default_factory=dict)
    """The channel of each number that pings bear."""
    channels: dict[int, _Channel] = field(default_factory=dict)
    places: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    unknown: Counter[int] = field(default_factory=Counter)
    pings: int = 0
    left: int = 0


def read(path: Path) -> Recording:
    """One XTF file: (channels, 1, pings, samples), full scale is 1, NaN where a ping has fewer samples than others or none.

    A file that ends within a packet is read up to there, with a warning; so are unknown packet types, pings without samples
    and pings of several lengths. A ping that is zero throughout was lost. Channels of sub-bottom and bathymetry are left as
    they are: their samples are a waveform with a sign, or depths, and no amplitudes. Where no channel states a type, all are
    taken for sidescan. Channels that never share a packet (one of each frequency) count their pings apart.

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
    found = _follow(content, path)
    _tell(content, found, path)
    channels = sorted(found.places)
    if found.channels and not channels:
        raise DataError(
            f"{path} holds channels of sub-bottom (type {SUBBOTTOM}) or bathymetry (type {BATHYMETRY}) alone",
            expected="sidescan channels (types 1 and 2)",
            mend="export the sidescan, with the types of its channels",
        )  # fmt: skip
    if not channels or not found.pings:
        raise DataError(f"{path} holds no sonar ping", expected="packets of type 0", mend="give a sidescan record")
    numbers = _numbers(found)
    offsets = np.zeros((len(channels), 1 + max(max(number.values()) for number in numbers.values())), dtype=np.int64)
    counts = np.zeros_like(offsets)
    for row, channel in enumerate(channels):
        for ping, offset, count in found.places[channel]:
            place = numbers[channel][ping]
            offsets[row, place], counts[row, place] = offset, count
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
    record = Record(path, tuple(found.channels[c].dtype for c in channels), (1.0,) * len(channels), offsets, counts)
    record = replace(record, scales=scales_of(content, record, str(path)))
    echo = read_record(record, content)
    mark_lost(echo, path, lines="pings", edges=True)
    return Recording(echo, path, "XTF", record)


def write(recording: Recording, path: Path) -> Path:
    """Writes the XTF file that was read, with only its samples changed; see :func:`write_record`."""
    if not isinstance(recording.metadata, Record):
        raise DataError(f"{path}: nothing is known of the XTF file", expected="a recording that was read from one")
    return write_record(recording.metadata, np.asarray(recording.signals), path)


def _numbers(found: _Pings) -> dict[int, dict[int, int]]:
    """For each channel the place of each ping among those of its own kind.

    A sonar of two frequencies may write a packet for each: a channel has lost no ping where it stands in none of the packets
    of the other. Channels that share a packet anywhere share the count, so that port stays beside starboard.
    """
    heard = {channel: {ping for ping, *_ in places} for channel, places in found.places.items()}
    apart: list[tuple[set[int], set[int]]] = []
    for channel, pings in heard.items():
        alike, others = {channel}, []
        for group in apart:
            if group[1] & pings:
                alike, pings = alike | group[0], pings | group[1]
            else:
                others.append(group)
        apart = [*others, (alike, pings)]
    # Packets without any channel are pings that were lost, of whichever: of all, where all are counted together.
    every = set(range(found.pings)) if len(apart) == 1 else set()
    numbers = {}
    for channels, pings in apart:
        count = {ping: place for place, ping in enumerate(sorted(pings | every))}
        numbers.update(dict.fromkeys(channels, count))
    return numbers


def _channels(content: bytes) -> int:
    sonar, bathymetry = struct.unpack_from("<HH", content, 166)
    more = content[170] + content[171] + struct.unpack_from("<H", content, 172)[0] + content[174]
    return int(sonar + bathymetry + more)


def _channel(content: bytes, channel: int, path: Path) -> _Channel:
    start = 256 + CHANNEL_INFO * channel
    size, samples = struct.unpack_from("<HI", content, start + 6)
    kind, form = content[start], content[start + 74]
    if kind in (SUBBOTTOM, BATHYMETRY) and _typed(content):
        return _Channel("", size, samples)
    if form == _IBM_FLOAT:
        raise DataError(
            f"{path}: channel {channel} has IBM floats (format {form})", expected="whole numbers, or IEEE floats",
            mend="export it as 8- or 16-bit samples",
        )  # fmt: skip
    dtype = _FORMATS.get(form) or _BY_SIZE.get(size)
    if dtype is None or np.dtype(dtype).itemsize != size:
        raise DataError(
            f"{path}: channel {channel} has samples of {size} bytes in the format {form}",
            expected="whole numbers of 1, 2 or 4 bytes, or IEEE floats",
            mend="export it as 8- or 16-bit samples",
        )
    return _Channel(dtype, size, samples)


def _typed(content: bytes) -> bool:
    """Whether the file header states types of channels: some exporters leave all at 0, which is that of sub-bottom."""
    return any(content[256 + CHANNEL_INFO * channel] != SUBBOTTOM for channel in range(_channels(content)))


def _follow(content: bytes, path: Path) -> _Pings:
    """All pings; where these bear numbers that the file header does not describe, as from 1 on, by their order."""
    try:
        return _walk(content, path)
    except _NoChannel as error:
        try:
            found = _walk(content, path, ordered=True)
        except DataError:
            raise error from None
    numbers = ", ".join(str(number) for number in found.numbers)
    told = f"{path}: the file header describes no channels {numbers}, as pings have; its own are taken in this order"
    warnings.warn(told, stacklevel=3)
    return found


def _walk(content: bytes, path: Path, *, ordered: bool = False) -> _Pings:
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
            _ping(content, at, length, follow, found, path, channels if ordered else 0)
        elif kind not in KNOWN:
            found.unknown[kind] += 1
        at += length
    return found


def _ping(content: bytes, at: int, length: int, follow: int, found: _Pings, path: Path, ordered: int) -> None:
    parts = _older(content, at, length, follow, found, path, ordered)
    if parts is None:
        parts, _ = _parts(content, at, length, follow, found, path, ordered)
    heard = [part for part in parts if found.channels[part[0]].dtype]
    for channel, place, count in heard:
        found.places.setdefault(channel, []).append((found.pings, place, count))
    if heard or not parts:
        found.pings += 1


def _older(
    content: bytes, at: int, length: int, follow: int, found: _Pings, path: Path, ordered: int
) -> list[tuple[int, int, int]] | None:
    """The same as ``_parts`` of a ping of an older file, which states no numbers of samples; ``None`` for any other.

    A ping without samples states none either, but with those of the file header it would not fill its packet.
    """
    first = at + PING_HEADER + 42
    if not follow or first + 4 > at + length or struct.unpack_from("<I", content, first)[0]:
        return None
    trial = replace(found, numbers=dict(found.numbers), channels=dict(found.channels))
    try:
        parts, left = _parts(content, at, length, follow, trial, path, ordered, older=True)
    except DataError:
        return None
    if left >= PADDING or not any(count for *_, count in parts):
        return None
    found.numbers, found.channels = trial.numbers, trial.channels
    return parts


def _parts(
    content: bytes, at: int, length: int, follow: int, found: _Pings, path: Path, ordered: int, *, older: bool = False
) -> tuple[list[tuple[int, int, int]], int]:
    """Channel, first byte and number of samples of each part of a ping, and how many bytes are left in its packet.

    Args:
        content: of the file.
        at: where the packet begins.
        length: of the packet.
        follow: how many channels it has.
        found: what was found before; new channels are added.
        path: the file.
        ordered: 0 where pings number their channels as the file header does; else how many that describes, which stand for
            the numbers of pings in the order in which these appear.
        older: take the number of samples from the file header, and refuse a ping that states one.

    Raises:
        DataError: for a channel that is not described or cannot be read, or a packet that is too short.
    """
    parts, place, end = [], at + PING_HEADER, at + length
    for _ in range(follow):
        if place + CHANNEL_HEADER > end:
            raise DataError(f"{path}: ping {found.pings} at byte {at} is too short for its channels", mend="repair it")
        (number,) = struct.unpack_from("<H", content, place)
        (count,) = struct.unpack_from("<I", content, place + 42)
        channel = found.numbers.setdefault(number, len(found.numbers) if ordered else number)
        if channel >= (ordered or 6) or not struct.unpack_from("<H", content, 256 + CHANNEL_INFO * channel + 6)[0]:
            raise _NoChannel(
                f"{path}: ping {found.pings} is of channel {number}", expected="one that the file header describes",
                mend="repair or export it again",
            )  # fmt: skip
        if channel not in found.channels:
            found.channels[channel] = _channel(content, channel, path)
        described = found.channels[channel]
        if older and count:
            raise DataError(f"{path}: ping {found.pings} states {count} samples", expected="none, as in older files")
        count = described.samples if older else count
        place += CHANNEL_HEADER
        if place + count * described.size > end:
            raise DataError(
                f"{path}: ping {found.pings} states {count} samples, and its packet holds fewer", mend="repair the file"
            )
        parts.append((channel, place, count))
        place += count * described.size
    return parts, end - place


def _tell(content: bytes, found: _Pings, path: Path) -> None:
    if found.left:
        warnings.warn(f"{path} ends within a packet: {found.left} bytes at its end are left as they are", stacklevel=3)
    if found.unknown:
        kinds = ", ".join(f"{kind} ({n}x)" for kind, n in sorted(found.unknown.items()))
        warnings.warn(f"{path}: packets of unknown type {kinds} are left as they are", stacklevel=3)
    left = [str(channel) for channel, described in sorted(found.channels.items()) if not described.dtype]
    if not _typed(content):
        warnings.warn(f"{path}: no channel states its type; all are read as sidescan", stacklevel=3)
    if left and found.places:
        warnings.warn(
            f"{path}: channels of sub-bottom or bathymetry are left as they are: {', '.join(left)}", stacklevel=3
        )
