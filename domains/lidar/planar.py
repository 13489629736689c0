"""Planar scans from files: CARMEN logs, LaserScan-like dictionaries, ROS bags; each as scans with their angles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from domains.lidar.carmen import Log, read_log
from vaegan.errors import DataError

BAGS = (".bag", ".db3", ".mcap")
"""Endings of ROS bags."""
JSON = (".json", ".jsonl")
ENDINGS = (".log", ".gz", ".clf", *JSON, *BAGS)
_PILE = 0.995
_TIE = 1e-3
"""Shares of a step: angles this close to the middle between two beams lie there; messages state them as float32."""


@dataclass(frozen=True)
class Scan:
    """One scan of a planar scanner.

    Attributes:
        ranges: in metres, in the order of the file; NaN where nothing came back, or what came back is not valid.
        first: the angle of the first beam in radians, 0 ahead.
        beam: the angle from one beam to the next in radians, below 0 for a scan that goes clockwise.
        miss: what the file holds for a beam without echo.
    """

    ranges: np.ndarray[Any, Any]
    first: float
    beam: float
    miss: float

    @property
    def turns(self) -> bool:
        """Whether the scanner turns fully, so that the last beam neighbours the first."""
        beam = abs(self.beam)
        return abs(len(self.ranges) * beam - 2 * np.pi) < 1.5 * beam


@dataclass(frozen=True)
class Scans:
    """The scans of one file, in the order of time.

    Attributes:
        scans: of them.
        format: ``"carmen"``, ``"laserscan"`` or ``"rosbag"``.
        source: what the file is written back from: the log, or the messages as dictionaries.
        lines: whether each message stood on a line of its own (JSON lines).
    """

    scans: tuple[Scan, ...]
    format: str
    source: Any
    lines: bool = False


def read_scans(path: Path) -> Scans:
    """Reads the scans of a file.

    Raises:
        DataError: when it is missing, of another format, or holds no scan.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist", expected="a file of scans", mend="give another path with --data")
    if path.is_dir() or path.suffix.lower() in BAGS:
        messages = tuple(_bag(path))
        if not messages:
            raise DataError(
                f"{path} holds no LaserScan", expected="a bag with sensor_msgs/LaserScan", mend="give another bag"
            )
        return Scans(tuple(laser_scan(message, str(path)) for message in messages), "rosbag", messages)
    if path.suffix.lower() in JSON:
        return _from_json(path)
    log = read_log(path)
    return Scans(tuple(_carmen_scans(log)), "carmen", log)


def _carmen_scans(log: Log) -> Iterator[Scan]:
    most = _miss_levels(log.ranges)
    for ranges, first, beam, stated in zip(log.ranges, log.first, log.beam, log.most, strict=True):
        level = min(stated, most[len(ranges)])
        valid = np.isfinite(ranges) & (ranges > 0) & (ranges < level)
        miss = float(ranges[ranges >= level].max(initial=0.0)) or min(stated, 81.83)
        yield Scan(np.where(valid, ranges, np.nan), first, beam, miss)


def _miss_levels(ranges: Sequence[np.ndarray[Any, Any]]) -> dict[int, float]:
    """For each number of beams the range from which on nothing came back: where a log's values pile up at its maximum.

    CARMEN has no word for a beam without echo: loggers write the scanner's farthest range, and none says which that is. At
    least half of the pile is one and the same number; a far wall is not so even.
    """
    levels = {}
    for count in {len(values) for values in ranges}:
        values = np.concatenate([v for v in ranges if len(v) == count])
        values = values[np.isfinite(values)]
        tops = (top for top in _tops(values) if _piled(values, top))
        levels[count] = _PILE * next(tops, np.inf)
    return levels


def _tops(values: np.ndarray[Any, Any]) -> list[float]:
    """The largest value, and the largest of those that stand a hundred times as often as all above them: a slip is none."""
    found, times = np.unique(values, return_counts=True)
    above = len(values) - np.cumsum(times)
    often = found[:-1][times[:-1] > 100 * above[:-1]]
    return [float(top) for top in (*found[-1:], *often[-1:])]


def _piled(values: np.ndarray[Any, Any], top: float) -> bool:
    """Whether values pile up here: three or more, next to none just below, and half of them one number."""
    _, same = np.unique(values[(values >= _PILE * top) & (values <= top / _PILE)], return_counts=True)
    at_top = int(same.sum())
    below = int(((values >= (2 * _PILE - 1) * top) & (values < _PILE * top)).sum())
    return top > 0 and at_top >= 3 and at_top > 5 * below and 2 * int(same.max()) >= at_top


def laser_scan(message: Mapping[str, Any], where: str = "LaserScan") -> Scan:
    """A scan from a dictionary with the fields of ``sensor_msgs/LaserScan``.

    Values outside of ``range_min`` to ``range_max``, infinities and NaN are no echo (REP 117), and so is 0.

    Raises:
        DataError: when a field is missing, or the angles make no sense.
    """
    needed = ("angle_min", "angle_increment", "ranges")
    lost = [name for name in needed if name not in message]
    if lost:
        raise DataError(f"{where} lacks {', '.join(lost)}", expected="the fields of LaserScan", mend="add them")
    try:
        ranges = np.asarray([np.nan if r is None else r for r in message["ranges"]], dtype=np.float64)
        first, beam = float(message["angle_min"]), float(message["angle_increment"])
        low, high = float(message.get("range_min", 0.0)), float(message.get("range_max", np.inf))
    except (TypeError, ValueError, OverflowError) as error:  # whole numbers of JSON have no end
        raise DataError(f"{where} cannot be read ({error})", expected="numbers", mend="repair it") from None
    if ranges.ndim != 1 or len(ranges) < 2 or not np.isfinite([first, beam]).all() or beam == 0:
        raise DataError(
            f"{where} holds {ranges.size} ranges {beam:g} rad apart", expected="two beams or more", mend="repair it"
        )
    valid = np.isfinite(ranges) & (ranges > 0) & (ranges >= low) & (ranges <= high)
    return Scan(np.where(valid, ranges, np.nan), first, beam, np.inf)


def _from_json(path: Path) -> Scans:
    """One dictionary, a list of them, or a dictionary a line."""
    text, lines = path.read_bytes(), False
    try:
        content = _parsed(text)
    except ValueError as whole:
        content, lines = [], True
        for number, line in enumerate(text.splitlines(), 1):
            try:
                content += [_parsed(line)] if line.strip() else []
            except ValueError as error:
                # Behind whole lines it is this one that is broken, as the last one of a recorder that was stopped.
                where = f"line {number}: {error}" if content else str(whole)
                raise DataError(
                    f"{path} is no JSON ({where})", expected="LaserScan dictionaries", mend="repair it"
                ) from None
    messages = content if isinstance(content, list) else [content]
    if not messages or not all(isinstance(message, dict) for message in messages):
        raise DataError(
            f"{path} holds no LaserScan", expected="a dictionary, or a list of them", mend="give another file"
        )
    scans = tuple(laser_scan(message, f"{path}, scan {i + 1}") for i, message in enumerate(messages))
    return Scans(scans, "laserscan", content, lines)


def _parsed(text: bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: for any other text, also one of brackets without end.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("brackets within brackets") from None


def _bag(path: Path) -> Iterator[dict[str, Any]]:
    """The scans of a bag, each with all that its message holds; arrays stay arrays."""
    try:
        from rosbags.highlevel import AnyReader
    except ImportError:
        raise DataError(
            f"{path} is a ROS bag, and rosbags is not installed",
            expected="the extra ros",
            mend="pip install 'vaegan[ros]'",
        ) from None
    from rosbags.typesys import Stores, get_typestore

    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            wanted = [c for c in reader.connections if c.msgtype == "sensor_msgs/msg/LaserScan"]
            for connection, _, raw in reader.messages(connections=wanted) if wanted else ():
                yield _dictionary(reader.deserialize(raw, connection.msgtype))
    except Exception as error:  # of a broken bag the readers raise whatever they stumble over
        told = " ".join(str(error).split()) or type(error).__name__  # a broken metadata.yaml is told of in eight lines
        raise DataError(f"{path} cannot be read ({told})", expected="a ROS bag", mend="give another file") from None


def _dictionary(message: Any) -> dict[str, Any]:
    """The fields of a ROS message, those of messages inside it as dictionaries too."""
    names = [field.name for field in fields(message) if not field.name.startswith("__")]
    values = {name: getattr(message, name) for name in names}
    return {name: _dictionary(value) if is_dataclass(value) else value for name, value in values.items()}


def on_grid(scan: Scan, beams: int, view: float, phase: float = 0.0) -> np.ndarray[Any, Any]:
    """A scan on a grid of angles: at each the nearest beam within half a step; NaN where there is none.

    Args:
        scan: of any number of beams.
        beams: of the grid; the first is at ``-view / 2``.
        view: field of view of the grid in radians.
        phase: share of a step by which the grid is turned.
    """
    step = view / beams
    angles = -view / 2 + step * (np.arange(beams) + phase)
    clockwise = scan.beam < 0
    first = scan.first + scan.beam * (len(scan.ranges) - 1) if clockwise else scan.first
    values = scan.ranges[::-1] if clockwise else scan.ranges
    beam = abs(scan.beam)
    # From half a beam before the first one once around: where a scan has more beams than fill a turn, those come in last.
    ahead = np.mod(angles - first + beam * (0.5 + _TIE), 2 * np.pi)
    index = np.floor(ahead / beam).astype(np.int64)
    inside = index.clip(0, len(values) - 1)
    off = np.abs((first + beam * inside - angles + np.pi) % (2 * np.pi) - np.pi)
    there = (index == inside) | scan.turns
    return np.where(there & (off <= max(step, beam) * (0.5 + _TIE)), values[inside], np.nan)
