"""What a run's report says of sonar beside the general tables: waterfalls and fans, and measures that need no truth."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from domains.sonar import formats
from domains.sonar.formats.humminbird import Humminbird
from domains.sonar.formats.picture import EchoPicture
from domains.sonar.metrics import without_truth
from domains.sonar.views import before_and_after, fan, grey, thumbnail
from vaegan.data import SignalSet
from vaegan.domain import Recording
from vaegan.drawing import png_bytes
from vaegan.errors import DataError

Restore = Callable[[Recording], Recording]
FILES = 3
MOST_SAMPLES = 4_000_000
"""Of a file; a longer one is shown by its first pings."""
SIDES = ("B002", "B003")
"""Humminbird's channels of port and starboard."""
MEANINGS = {
    "enl_observed": "equivalent looks of homogeneous windows, before",
    "enl": "the same, after",
    "ssi": "speckle suppression index, below 1 is less speckle",
    "smpi": "speckle suppression and mean preservation",
    "ratio_mean": "mean of observed over restored, 1 where no echo was lost",
    "ratio_variance": "its variance, 1/L for speckle of L looks",
    "ratio_structure": "its correlation with neighbours, 0 for noise alone",
    "cnr_observed": "contrast of highlights to shadows, before",
    "cnr": "the same, after",
}


def sections(test: SignalSet, root: Path | None, restore: Restore) -> Mapping[str, str]:
    """Views of up to three test files as they are, restored, and what can be measured of them without a truth.

    Args:
        test: the test split.
        root: the folder that its groups are files of, or ``None`` for simulated frames.
        restore: the run.
    """
    rows, pictures = [], []
    for name, recording in _recordings(test, root):
        restored = restore(recording)
        pictures.append(f"<h4>{escape(name)}</h4>{_views(recording, restored)}")
        try:
            values = without_truth(*(_first(part) for part in (restored, recording)))
        except DataError:
            continue
        rows.append((name, values))
    if not pictures:
        return {}
    found = {"Frames and waterfalls as recorded (left) and restored (right)": "".join(pictures)}
    if rows:
        found["Without a truth: what was recorded, restored as it is"] = _table(rows)
    return found


def _recordings(test: SignalSet, root: Path | None) -> list[tuple[str, Recording]]:
    names = sorted(set(test.groups.tolist()))
    if root is None:
        rows = [test.groups.tolist().index(name) for name in names[:FILES]]
        return [
            (name, Recording(np.asarray(test.signals[row : row + 1]), Path(name), "simulated"))
            for name, row in zip(names, rows, strict=False)
        ]
    folder = root if root.is_dir() else root.parent
    names.sort(key=lambda name: (Path(name).suffix.lower() in formats.PICTURES, -(folder / name).stat().st_size, name))
    found = []
    for name in names[:FILES]:
        found.append((name, _shown(formats.read(folder / name))))
    return found


def _shown(recording: Recording) -> Recording:
    """What is shown of a recording: one raster, or port and starboard; of a long one the first pings."""
    signals = recording.signals[_sides(recording)]
    if signals.size > MOST_SAMPLES:
        signals = signals[:, :, : max(1, MOST_SAMPLES // (signals.size // signals.shape[2]))].copy()
    return recording.with_signals(signals)


def _sides(recording: Recording) -> list[int]:
    """Port and starboard where the format has them; else the first channel, as others may be frames of their own."""
    if recording.format == "XTF":
        return list(range(min(2, len(recording.signals))))
    if isinstance(recording.metadata, Humminbird):
        names = [record.source.stem.upper() for record in recording.metadata.records]
        if set(SIDES) <= set(names):
            return [names.index(side) for side in SIDES]
    return [0]


def _first(recording: Recording) -> np.ndarray[Any, Any]:
    return np.asarray(recording.signals[0, 0], dtype=np.float64)


def _views(recording: Recording, restored: Recording) -> str:
    """A frame of a picture is a fan already; a polar raster is shown as one; pings are a waterfall."""
    before, after = np.asarray(recording.signals), np.asarray(restored.signals)
    after = np.where(np.isnan(before), np.nan, after)
    parts = [before_and_after(before, after)]
    polar = recording.format in ("Oculus", "simulated", "NPY", "NPZ", "HDF5")
    if polar and not isinstance(recording.metadata, EchoPicture):
        pair = [grey(thumbnail(fan(part[0, 0]))) for part in (before, after)]
        parts.append(np.concatenate(pair, axis=1))
    return "".join(_image(part) for part in parts)


def _image(picture: np.ndarray[Any, Any]) -> str:
    data = base64.b64encode(png_bytes(picture)).decode()
    return f'<p><img alt="as recorded, and restored" src="data:image/png;base64,{data}"></p>'


def _table(rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name, _ in rows)
    lines = [
        f"<tr><td>{escape(meaning)}</td>" + "".join(f"<td>{values[key]:.3g}</td>" for _, values in rows) + "</tr>"
        for key, meaning in MEANINGS.items()
    ]
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
