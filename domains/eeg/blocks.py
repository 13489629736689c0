"""Splits of recordings: by subject where there are enough, else by blocks of time within each recording."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaegan.data import Split, assign_splits

PATTERN: tuple[Split, ...] = ("train", "train", "val", "train", "train", "test", "train", "train", "val", "test")
"""Tenths of a recording, in time."""
ENOUGH_SUBJECTS = 8
BLOCKS = "tenths of each recording, in time, with a gap of one window between splits"
SUBJECT = re.compile(
    r"(?i)(sub-[a-z0-9]+|s\d{2,3}(?=r\d)|[a-z]{8}(?=_s\d)|sub(?:j|ject)?[-_ ]?\d+|"
    r"chb\d\d|"  # CHB-MIT: chb01_03.edf, chb17a_03.edf
    r"s[ct][47]\d\d(?=\d)|"  # Sleep-EDF: SC4ssN, ST7ssN, with the number of the night
    r"[ab]0\d(?=(?:\d\d)?[te][._-]))"  # BCI competition IV: A01T.gdf, B0101T.gdf, training and evaluation
)
"""Subjects in the names of files and folders: BIDS, EEG Motor Movement/Imagery, TUH, and those that are named above."""
SAME = {"chb21": "chb01"}
"""The same girl a year and a half later (CHB-MIT's own words)."""


def subject_of(path: Path) -> str | None:
    """A recording's subject, as far as its name or its folders' tell: ``S001`` of ``S001R03.edf``, ``sub-01`` of BIDS."""
    for name in (path.name, *(part.name for part in path.parents)):
        found = SUBJECT.match(name)
        if found:
            return SAME.get(found.group(1).lower(), found.group(1))
    return None


def units_of(paths: Sequence[Path], root: Path) -> tuple[dict[Path, str], str]:
    """What is never torn apart of the recordings under ``root``, and how to call that in a report.

    The subject, where names tell it. Of the others the folder, where they lie in eight or more, as folders of subjects do,
    else the file: then one person may be in several splits, and the words say so.
    """
    units = {path: subject for path in paths if (subject := subject_of(path)) is not None}
    others = [path for path in paths if path not in units]
    folders = len({path.parent for path in others}) >= ENOUGH_SUBJECTS
    kinds = ["subject"] if units else []
    if others:
        kinds.append("folder, as names tell no subjects" if folders else "file, as names tell no subjects")
    for path in others:
        units[path] = path.parent.relative_to(root).as_posix() if folders else path.name
    return units, " or ".join(kinds)


def subject_splits(units: Mapping[Path, str]) -> dict[Path, Split] | None:
    """The split of each recording by its unit (:func:`units_of`), or ``None`` where there are fewer than eight."""
    if len(set(units.values())) < ENOUGH_SUBJECTS:
        return None
    return dict(zip(units, assign_splits(units.values(), val=0.15, test=0.15).tolist(), strict=True))


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
