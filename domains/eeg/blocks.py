"""Splits of recordings: by subject where there are enough, else by blocks of time within each recording."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaegan.data import Split, assign_splits

PATTERN: tuple[Split, ...] = ("train", "train", "val", "train", "train", "test", "train", "train", "val", "test")
"""Tenths of a recording, in time."""
ENOUGH_SUBJECTS = 8
BLOCKS = "tenths of each recording, in time, with a gap of one window between splits"


def subject_of(path: Path) -> str:
    """A recording's subject, as far as its name tells: ``S001`` of ``S001R03.edf``, ``sub-01`` of BIDS, else the file."""
    for name in (path.name, *(part.name for part in path.parents)):
        found = re.match(r"(?i)(sub-[a-z0-9]+|s\d{2,3}(?=r\d)|[a-z]{8}(?=_s\d))", name)
        if found:
            return found.group(1)
    return path.name


def subject_splits(paths: Sequence[Path]) -> dict[Path, Split] | None:
    """The split of each recording by its subject, or ``None`` where there are fewer than eight subjects."""
    subjects = [subject_of(path) for path in paths]
    if len(set(subjects)) < ENOUGH_SUBJECTS:
        return None
    return dict(zip(paths, assign_splits(subjects, val=0.15, test=0.15).tolist(), strict=True))


def spans(samples: int, gap: int, split: Split, whole: Split | None) -> Iterator[tuple[str, int, int]]:
    """The stretches of a recording that belong to a split: (name, first sample, end).

    Args:
        samples: of the recording.
        gap: samples between stretches of different splits.
        split: which.
        whole: the split of the whole recording, or ``None`` where its tenths are shared out.
    """
    if whole is not None:
        if whole == split:
            yield "whole", 0, samples
        return
    edges = np.linspace(0, samples, len(PATTERN) + 1).astype(int)
    number = 0
    while number < len(PATTERN):
        last = number
        while last + 1 < len(PATTERN) and PATTERN[last + 1] == PATTERN[number]:
            last += 1
        if PATTERN[number] == split:
            first = edges[number] + (gap // 2 if number else 0)
            end = edges[last + 1] - (gap - gap // 2 if last + 1 < len(PATTERN) else 0)
            if end > first:
                yield f"tenths {number + 1} to {last + 1}" if last > number else f"tenth {number + 1}", first, end
        number = last + 1


def window_starts(first: int, end: int, length: int, hop: int) -> NDArray[Any]:
    """Where windows of a stretch begin."""
    return np.arange(first, end - length + 1, hop, dtype=np.int64)
