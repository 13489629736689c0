"""Evoked responses that were recorded: do they survive an artifact and its removal?"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.eeg import survival
from domains.folders import files_below
from vaegan.domain import Recording
from vaegan.evaluation.report.markup import escape, number

Array = NDArray[Any]

HEAD = ("ParticipantID", "Condition", "Trial", "Electrode")
"""How the columns of EEG-GAN's tables begin; the samples follow, in microvolts."""
BEGIN, END = -0.2, 1.0
"""Seconds from the event to an epoch's ends. The tables do not say it; the mean of the first sixth of each epoch is 0, as
that of a baseline up to the event is."""
MOST = 120
"""Epochs of each condition that are looked at."""


@dataclass(frozen=True)
class Responses:
    """Epochs around events of two kinds.

    Attributes:
        signals: (n, 1, samples) volts at the rate asked for, the event in the middle.
        target: (n,) True for the epochs of the second condition.
        name: of the file.
    """

    signals: Array
    target: Array
    name: str


def find_responses(data: Path | None, rate: float, samples: int) -> Responses | None:
    """Epochs of the first table of EEG-GAN's layout in a folder that has two conditions; ``None`` where there is none.

    Epochs are resampled, and reach the ends of a window as they begin and end.

    Args:
        data: a folder, searched recursively, or nothing.
        rate: samples a second that are wanted.
        samples: of a window; it must hold 200 ms before and 500 ms after its middle.
    """
    if data is None or not data.is_dir() or samples < rate:
        return None
    for path in (path for path in files_below(data) if path.suffix == ".csv"):
        table = _table(path)
        if table is not None:
            epochs, conditions = table
            t = (np.arange(samples) - samples // 2) / rate
            places = (t - BEGIN) / (END - BEGIN) * (epochs.shape[1] - 1)
            windows = np.stack([np.interp(places, np.arange(epochs.shape[1]), epoch) for epoch in epochs])
            return Responses(windows[:, None], conditions == conditions.max(), path.name)
    return None


def section(domain: Any, restore: Callable[[Recording], Recording]) -> Mapping[str, str]:
    """What eye movements and their removal make of recorded responses; empty where there are none, or no single channel.

    Args:
        domain: an :class:`~domains.eeg.EEG` of single channels.
        restore: what the run makes of a recording.
    """
    rate, samples = float(domain.rate), domain.spec.axes[0].size
    kinds = [kind for kind in ("eog", "emg") if kind in domain.degradations()]
    found = find_responses(domain.data, rate, samples) if domain.spec.channels == 1 and kinds else None
    if found is None:
        return {}
    seen = np.ascontiguousarray(domain.band.filtered(found.signals, rate))
    triple = survival.contaminated(domain, seen, f"{kinds[0]} snr=-3 dB", restore)
    words = (
        f"{len(seen)} single trials of {escape(found.name)}, half of either condition, in the model's band, under "
        f"{kinds[0]} at −3 dB. The response is the difference of the two averages, 250 to 350 ms after the event; the "
        "decoder tells the conditions apart in single trials (five-fold cross-validation). The table states no times: the "
        "first sixth is taken for 200 ms before the event."
    )
    rows = [
        [
            name,
            *(
                number(v)
                for v in (1e6 * survival.peak(x, found.target, rate), 100 * survival.decoded(x, found.target, rate))
            ),
        ]
        for name, x in triple.items()
    ]
    picture = survival.evoked_picture(triple, found.target, rate)
    return {
        "A recorded response": f"<p>{words}</p>{picture}"
        + survival.table(["trials", "response, µV", "decoder's accuracy, %"], rows)
    }


def _table(path: Path) -> tuple[Array, Array] | None:
    """(n, samples) volts and (n,) conditions of the first electrode, as many of both; ``None`` for other tables."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = csv.reader(stream)
            head = tuple(next(rows, ()))
            if head[:4] != HEAD or len(head) < 20:
                return None
            values = np.asarray([[float(cell) for cell in row] for row in rows if len(row) == len(head)])
    except (OSError, ValueError):
        return None
    if values.ndim != 2 or len(set(values[:, 1].tolist())) != 2:
        return None
    values = values[(values[:, 3] == values[0, 3]) & np.isfinite(values).all(1)]
    parts = [values[values[:, 1] == condition] for condition in np.unique(values[:, 1])]
    count = min(MOST, *map(len, parts))
    generator = np.random.default_rng(0)
    chosen = np.concatenate([part[np.sort(generator.permutation(len(part))[:count])] for part in parts])
    return (1e-6 * chosen[:, 4:], chosen[:, 1]) if count >= 10 else None
