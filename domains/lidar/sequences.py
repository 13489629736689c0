"""Splits of recordings: a sequence is one drive, one log, one site; its scans follow each other in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vaegan.data import assign_splits
from vaegan.errors import DataError

PARTS = 10
"""Stretches that a sequence is cut into."""


def split_sequences(
    sequences: Sequence[str], test: Sequence[str] = ()
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Groups and splits of scans: a group is a stretch of a sequence, ten to each.

    With names of test sequences these are the test; the last tenth of every other sequence is for validation, the
    rest for training. Without, whole sequences are divided by a hash of their names (see
    :func:`vaegan.data.assign_splits`), or where there are fewer than three, each by its own course: the first seven
    tenths are for training, the next for validation, the last two for the test, so that validation lies between
    training and test.

    Args:
        sequences: the sequence of each scan, in the order of time.
        test: sequences of the test; a name counts where it is a sequence's name or its beginning.

    Returns:
        (n,) groups and (n,) splits.

    Raises:
        DataError: when a name of ``test`` fits no sequence, or leaves none for training.
    """
    names = np.asarray(sequences, dtype=np.str_)
    unique = list(dict.fromkeys(names.tolist()))
    lost = [name for name in test if not any(sequence.startswith(name) for sequence in unique)]
    if lost:
        raise DataError(
            f"no sequence is named {', '.join(lost)}", expected=f"of {', '.join(unique[:12])}", mend="set --domain.test"
        )
    stretch = np.zeros(len(names), dtype=np.int64)
    for sequence in unique:
        rows = np.flatnonzero(names == sequence)
        stretch[rows] = np.arange(len(rows)) * PARTS // len(rows)
    groups = np.asarray([f"{name} {part + 1}/{PARTS}" for name, part in zip(names.tolist(), stretch, strict=True)])
    if test:
        tested = np.asarray([any(name.startswith(word) for word in test) for name in names.tolist()])
        if tested.all():
            raise DataError(
                "every sequence is for the test", expected="at least one to train on", mend="set --domain.test"
            )
        splits = np.where(tested, "test", np.where(stretch == PARTS - 1, "val", "train"))
    elif len(unique) >= 3:
        splits = assign_splits(names.tolist())
        groups = names
    else:
        splits = np.where(stretch < 7, "train", np.where(stretch == 7, "val", "test"))
    return groups, splits
