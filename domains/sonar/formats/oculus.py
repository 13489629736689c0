"""Raw messages of Blueprint Oculus multibeam sonars, one after another in a file: simple ping results of the first version.

A message is a header of 16 bytes (0x4F53, devices, type 35, version, bytes of payload), what the sonar was told, and
from byte 106 the numbers of ranges and beams (u16), the image's offset and size and the message's size (u32), then each
beam's bearing in hundredths of a degree (i16). Where its flags (byte 20) ask for gains, each range of the image begins with
4 bytes of gain, which are left as they are.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from domains.sonar.formats.common import (
    Array,
    Record,
    check_shape,
    mark_lost,
    read_bytes,
    read_record,
    scales_of,
    write_record,
)
from vaegan.domain import Recording
from vaegan.errors import DataError

MAGIC = 0x4F53
PING_RESULT = 35
HEADER = 16
FLAGS, GAINS = 20, 4
LAYOUT = 106
GAIN = 4


@dataclass(frozen=True, eq=False)
class OculusRecord:
    """What is needed to write the messages back.

    Attributes:
        record: where the samples lie; each message is a channel, each range a ping of it.
        bearings: (messages, beams) in radians.
    """

    record: Record
    bearings: Array


@dataclass(frozen=True)
class _Layout:
    """Where the samples of a message are.

    Attributes:
        first: byte at which the image begins.
        ranges, beams: its size.
        width: bytes a sample.
        gain: bytes of gain before the samples of each range.
    """

    first: int
    ranges: int
    beams: int
    width: int
    gain: int

    def starts(self) -> Array:
        """(ranges,) byte at which each range's samples begin."""
        rows = np.arange(self.ranges, dtype=np.int64)
        return self.first + self.gain + rows * (self.gain + self.beams * self.width)


def read(path: Path) -> Recording:
    """All pings of a file: (messages, 1, ranges, beams), full scale is 1.

    Raises:
        DataError: when it holds no message, one of another version, or messages of several sizes.
    """
    content = read_bytes(path)
    layouts, bearings, at, others = [], [], 0, 0
    while at + HEADER <= len(content):
        magic, _, _, kind, version, payload = struct.unpack_from("<HHHHHI", content, at)
        if magic != MAGIC:
            raise DataError(f"{path}: no Oculus message at byte {at}", expected="0x4F53", mend="cut the file there")
        if at + HEADER + payload > len(content):
            break
        if kind == PING_RESULT and version < 2:
            layouts.append(_layout(content, at, HEADER + payload, path))
            beams = layouts[-1].beams
            bearings.append(np.frombuffer(content, "<i2", beams, at + LAYOUT + 16) * np.pi / 18000.0)
        else:
            others += 1
        at += HEADER + payload
    if at < len(content):
        warnings.warn(f"{path} ends within a message: {len(content) - at} bytes are left as they are", stacklevel=2)
    if others:
        warnings.warn(f"{path}: {others} messages of other types or versions are left as they are", stacklevel=2)
    if not layouts:
        raise DataError(f"{path} holds no ping", expected="simple ping results of the first version")
    sizes = {(layout.ranges, layout.beams, layout.width) for layout in layouts}
    if len(sizes) > 1:
        raise DataError(f"{path}: pings of {len(sizes)} sizes", expected="one", mend="write one file for each setting")
    starts = np.stack([layout.starts() for layout in layouts])
    dtypes = (f"<u{layouts[0].width}",) * len(layouts)
    record = Record(path, dtypes, (1.0,) * len(layouts), starts, np.full_like(starts, layouts[0].beams))
    record = replace(record, scales=scales_of(content, record, str(path)))
    echo = read_record(record, content)
    mark_lost(echo, path, lines="beams")
    return Recording(echo, path, "Oculus", OculusRecord(record, np.stack(bearings)))


def write(recording: Recording, path: Path) -> Path:
    """Writes the messages that were read, with only their samples changed."""
    if not isinstance(recording.metadata, OculusRecord):
        raise DataError(f"{path}: nothing is known of the messages", expected="a recording that was read from such")
    echo = np.asarray(recording.signals)
    check_shape(echo, recording.metadata.record.shape, path)
    return write_record(recording.metadata.record, echo, path)


def _layout(content: bytes, at: int, size: int, path: Path) -> _Layout:
    if size < LAYOUT + 16:
        raise DataError(f"{path}: the message at byte {at} has {size} bytes", expected="a whole ping result")
    ranges, beams, offset, image, whole = struct.unpack_from("<HHIII", content, at + LAYOUT)
    gain = GAIN if content[at + FLAGS] & GAINS else 0
    width, rest = divmod(image - ranges * gain, max(1, ranges * beams))
    if rest or width not in (1, 2, 4) or offset + image > size or whole != size:
        raise DataError(
            f"{path}: the message at byte {at} states {ranges} ranges x {beams} beams in {image} bytes",
            expected="samples of 1, 2 or 4 bytes that fit into it" + (", and a gain for each range" if gain else ""),
            mend="record simple ping results",
        )
    return _Layout(at + offset, ranges, beams, width, gain)
