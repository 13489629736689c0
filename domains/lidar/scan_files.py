"""From the scans of a file to the signals of a recording, and back into a file of the same kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from domains.lidar.carmen import write_log
from domains.lidar.planar import BAGS, JSON, Scan, Scans
from vaegan.domain import Recording
from vaegan.errors import DataError
from vaegan.files import write_file

_DIGITS = 4
"""Decimals of the ranges in JSON: tenths of a millimetre."""


@dataclass(frozen=True)
class ScanFile:
    """What a file of scans is written back from.

    Attributes:
        scans: as they were read.
        parts: interleaved scans that each was taken apart into.
    """

    scans: Scans
    parts: int


def join_scans(scans: Scans, path: Path, *, step: float, far: float, wraps: bool = False) -> Recording:
    """The scans of a file as one recording, each taken apart into interleaved scans whose beams are about ``step`` apart.

    For a network that ``wraps`` its axis, what a scanner does not see of a whole turn is a gap: the two ends of its view are
    no neighbours.

    Raises:
        DataError: when scans of different numbers of beams, or of beams differently far apart, lie in one file.
    """
    counts = sorted({len(scan.ranges) for scan in scans.scans})
    if len(counts) > 1:
        raise DataError(
            f"{path} holds scans of {' and '.join(map(str, counts[:4]))} beams",
            expected="one number of beams in a file that is restored",
            mend="write the scans of each scanner into a file of their own",
        )
    fine = sorted({max(1, round(step / abs(scan.beam))) for scan in scans.scans})
    if len(fine) > 1:
        steps = sorted({round(float(np.degrees(abs(scan.beam))), 3) for scan in scans.scans})
        raise DataError(
            f"{path} holds scans of beams {' and '.join(f'{one:g}' for one in steps[:4])} degrees apart",
            expected="one distance between beams in a file that is restored",
            mend="write the scans of each scanner into a file of their own",
        )
    parts = fine[0]
    beams, first = counts[0], scans.scans[0]
    if wraps and not first.turns:
        beams = max(beams, round(2 * np.pi / abs(first.beam)))
    size = -(-beams // parts)
    signals = np.full((len(scans.scans) * parts, 1, size), np.nan, np.float32)
    for i, scan in enumerate(scans.scans):
        values = np.where(scan.ranges < far, scan.ranges, np.nan)
        for part in range(parts):
            some = values[part::parts]
            signals[i * parts + part, 0, : len(some)] = some
    if np.isnan(signals).all():
        raise DataError(
            f"no beam of {path} has an echo nearer than {far:g} m",
            expected="at least one",
            mend="set --domain.far, or give another file",
        )
    return Recording(signals, path, scans.format, ScanFile(scans, parts))


def write_scans(recording: Recording, path: Path, *, longest_gap: int, far: float) -> Path:
    """Writes restored scans in the format that they were read from; those of a bag as JSON. Returns where.

    Beams with an echo get the restored range. A gap of at most ``longest_gap`` beams with an echo on both sides is
    filled; any other stays what it was in the file, as do ranges beyond ``far`` and whatever else a message holds.
    """
    kept: ScanFile = recording.metadata
    restored = []
    for i, scan in enumerate(kept.scans.scans):
        values = np.empty(len(scan.ranges))
        for part in range(kept.parts):
            places = values[part :: kept.parts]
            places[:] = recording.signals[i * kept.parts + part, 0, : len(places)]
        restored.append(_merged(scan, np.clip(values, 0.0, far), longest_gap * kept.parts, far))
    if kept.scans.format == "carmen":
        originals = [_of_log(kept.scans.source.ranges[i], v) for i, v in enumerate(restored)]
        return write_log(kept.scans.source, originals, path)
    if kept.scans.format == "laserscan":
        return _write_json(kept.scans, restored, path)
    path = path.with_suffix(".json") if path.suffix.lower() in BAGS else path
    path = path if path.suffix.lower() in JSON else path.with_name(f"{path.name}.json")
    messages = [_listed(message) for message in kept.scans.source]
    return _write_json(Scans(kept.scans.scans, "laserscan", messages), restored, path)


def _merged(scan: Scan, restored: np.ndarray[Any, Any], longest: int, far: float) -> np.ndarray[Any, Any]:
    """Restored ranges where they count, NaN where the file keeps what it held."""
    hit = np.isfinite(scan.ranges)
    near = hit & (scan.ranges < far)
    return np.where(near | short_gaps(hit, longest, wraps=scan.turns), restored, np.nan)


def short_gaps(hit: np.ndarray[Any, Any], longest: int, *, wraps: bool) -> np.ndarray[Any, Any]:
    """True in gaps of at most ``longest`` beams with a hit on both sides."""
    n = len(hit)
    if not hit.any() or hit.all():
        return np.zeros(n, dtype=bool)
    index = np.arange(n)
    before = np.maximum.accumulate(np.where(hit, index, -(10**9)))
    after = np.minimum.accumulate(np.where(hit, index, 10**9)[::-1])[::-1]
    if wraps:
        before = np.maximum(before, np.flatnonzero(hit)[-1] - n)
        after = np.minimum(after, np.flatnonzero(hit)[0] + n)
    short: np.ndarray[Any, Any] = ~hit & (after - before - 1 <= longest)
    return short


def _of_log(original: np.ndarray[Any, Any], restored: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(np.isnan(restored), original, restored)


def _listed(value: Any) -> Any:
    """What JSON can hold of a message: arrays as lists, NaN in them as null."""
    if isinstance(value, Mapping):
        return {name: _listed(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return [None if v != v else v for v in value.tolist()]
    return value


def _write_json(scans: Scans, restored: list[np.ndarray[Any, Any]], path: Path) -> Path:
    """Writes the messages with other ranges, each within what its message states as valid; NaN leaves what is there."""
    content = scans.source
    messages = content if isinstance(content, list) else [content]
    written = []
    for message, values in zip(messages, restored, strict=True):
        low, high = float(message.get("range_min", 0.0)), float(message.get("range_max", np.inf))
        pairs = zip(message["ranges"], values.tolist(), strict=True)
        written.append({**message, "ranges": [_range(old, value, low, high) for old, value in pairs]})
    if scans.lines:
        text = "".join(f"{json.dumps(message)}\n" for message in written)
    else:
        text = json.dumps(written if isinstance(content, list) else written[0])
    write_file(path, text.encode())
    return path


def _range(old: Any, value: float, low: float, high: float) -> Any:
    """What stands for one beam: the old word where it says the same within the decimals, ``None`` for NaN.

    Args:
        old: of the message, in metres: a number, also as a string, or ``None``.
        value: restored, in metres; NaN where the old one stays.
        low, high: valid ranges in metres.
    """
    before = np.nan if old is None else float(old)
    if np.isnan(value):
        return None if np.isnan(before) else old
    if low <= before <= high and abs(before - value) <= 0.5 * 10.0**-_DIGITS:
        return old
    return min(max(round(value, _DIGITS), low), high)
