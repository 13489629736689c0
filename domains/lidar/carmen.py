"""Logs of CARMEN: one message a line, the ranges of a laser scan among its words."""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaegan.errors import DataError
from vaegan.files import write_file

MESSAGES = ("FLASER", "RLASER", "ROBOTLASER1", "ROBOTLASER2")
_COUNT_AT = {"FLASER": 1, "RLASER": 1, "ROBOTLASER1": 8, "ROBOTLASER2": 8}
_BEGINS = re.compile(rf"(?:{'|'.join(MESSAGES)})(?!\S)")


@dataclass(frozen=True)
class Log:
    """A log with its scans.

    Attributes:
        lines: all lines, without the line feeds between them; the last is empty where the file ends with one.
        rows: the line of each scan.
        ranges: the ranges of each scan in metres, as written; their number may differ from scan to scan.
        first: the angle of the first beam of each scan in radians, 0 ahead; -90 degrees where the message does not say.
        beam: the angle between two beams of each scan, in radians.
        most: the farthest range of each scan in metres where the message states it, else infinity.
        decimals: digits behind the point in the ranges of each scan.
    """

    lines: tuple[str, ...]
    rows: tuple[int, ...]
    ranges: tuple[np.ndarray[Any, Any], ...]
    first: tuple[float, ...]
    beam: tuple[float, ...]
    most: tuple[float, ...]
    decimals: tuple[int, ...]


def read_log(path: Path) -> Log:
    """Reads a log, ``.gz`` or plain.

    A recorder that is switched off breaks off in a line: where the last one is no whole scan and has no line feed, that is
    told of by a warning, and the line stays as it is.

    Raises:
        DataError: when it cannot be read, a line before is cut off, or it holds no scan.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read ({error})", expected="a whole CARMEN log", mend="give another file"
        ) from None
    lines = tuple(content.decode("latin-1").split("\n"))
    found = []
    for row, line in enumerate(lines):
        if _BEGINS.match(line):
            try:
                found.append((row, *_scan(line, f"{path}, line {row + 1}")))
            except DataError as error:
                if not found or row < len(lines) - 1:
                    raise
                warnings.warn(f"{error.found}: the log breaks off there; it stays as it is", UserWarning, stacklevel=2)
    if not found:
        raise DataError(
            f"{path} holds no laser scan in {len(lines) - (not lines[-1])} lines",
            expected=f"lines that begin with {', '.join(MESSAGES[:3])}",
            mend="give a CARMEN log",
        )
    return Log(lines, *(tuple(column) for column in zip(*found, strict=True)))


def _scan(line: str, where: str) -> tuple[np.ndarray[Any, Any], float, float, float, int]:
    words = line.split()
    at = _COUNT_AT[words[0]]
    try:
        count = int(words[at])
        texts = words[at + 1 : at + 1 + count]
        ranges = np.asarray(texts, dtype=np.float64)
        first, beam, most = -np.pi / 2, np.pi / max(count - count % 2, 1), np.inf
        if at == 8:
            first, beam, most = float(words[2]), float(words[4]), float(words[5])
    except (IndexError, ValueError):
        raise DataError(f"{where}: {line[:40]!r} is no scan", expected="NAME COUNT and as many ranges") from None
    if len(ranges) != count or count < 2:
        raise DataError(
            f"{where} holds {len(ranges)} ranges of {count}", expected="a whole line", mend="repair the log"
        )
    if not np.isfinite([first, beam]).all() or beam == 0:
        raise DataError(
            f"{where} holds beams from {first:g} rad on, {beam:g} rad apart",
            expected="an angle and a step other than 0",
            mend="repair the log",
        )
    return ranges, first, beam, most, max(len(text.partition(".")[2]) for text in texts)


def write_log(log: Log, ranges: list[np.ndarray[Any, Any]], path: Path) -> Path:
    """Writes the log with other ranges in its scans, all else as it was; returns where."""
    lines = list(log.lines)
    for row, values, digits in zip(log.rows, ranges, log.decimals, strict=True):
        words = re.split(r"(\s+)", lines[row])  # each second one is what parts two words
        at = 2 * (_COUNT_AT[words[0]] + 1)
        place = slice(at, at + 2 * len(values), 2)
        old = words[place]
        # What did not change keeps its own text, trailing zeros and all.
        words[place] = [
            text if not np.isfinite(value) or abs(float(text) - value) < 0.5 * 10.0**-digits else f"{value:.{digits}f}"
            for text, value in zip(old, values, strict=True)
        ]
        lines[row] = "".join(words)
    content = "\n".join(lines).encode("latin-1")
    write_file(path, gzip.compress(content) if path.suffix.lower() == ".gz" else content)
    return path
