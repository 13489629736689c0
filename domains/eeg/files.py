"""Recordings as files: in as the model sees them, out as the same kind of file."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from domains.eeg.band import Band
from domains.eeg.copies import copied
from domains.eeg.edf import ENDINGS, export_edf
from domains.eeg.reading import Original, as_raw, changed, opened, returned
from vaegan.domain import Recording
from vaegan.errors import DataError, UserError

Array = NDArray[Any]
T = TypeVar("T")

SUFFIXES = {".edf": "EDF", ".bdf": "BDF", ".vhdr": "BrainVision", ".set": "EEGLAB", ".fif": "FIF", ".gz": "FIF"}
"""Endings that are written, with the format's name; every other kind of file becomes a FIF beside it."""
PACKAGES = {".vhdr": ("brainvision", "pybv"), ".set": ("eeglab", "eeglabio")}
"""What MNE calls the format, and the package that writes it."""


def read_recording(path: Path, band: Band, channels: tuple[str, ...], samples: int) -> Recording:
    """A file as the model sees it.

    Args:
        path: a file that MNE reads.
        band: that the model sees.
        channels: of a multi-channel model, else none: then each EEG channel is a signal of its own.
        samples: of a window, at the model's rate: a recording must hold one.

    Returns:
        signals (EEG channels, 1, time) or (1, channels, time) float32 volts at the model's rate; ``metadata`` is the
        :class:`~domains.eeg.reading.Original`.

    Raises:
        DataError: for files that cannot be read, have no EEG channel, lack a channel, or are too short.
    """
    raw = as_raw(path)
    original = opened(raw, band, channels=channels, what=str(path), least=samples)
    return Recording(as_signals(original, channels), path, SUFFIXES.get(path.suffix.lower(), "FIF"), original)


def as_signals(original: Original, channels: tuple[str, ...]) -> Array:
    """What a model restores of a recording: (signals, 1, time), or (items, channels, time) for a multi-channel model."""
    seen = original.seen
    return np.asarray(seen if channels else seen.reshape(-1, 1, seen.shape[-1]), np.float32)


def write_recording(recording: Recording, path: Path) -> Path:
    """Writes a restored recording, in volts, with its channels, rate, length, annotations and what the format can hold.

    EDF and BDF (:func:`~domains.eeg.edf.export_edf`), BrainVision and EEGLAB (:func:`~domains.eeg.copies.copied`) are the
    files that were read with other samples. What did not come from such a file is written by edfio, pybv or eeglabio. Where
    a format cannot hold all (bads; electrode positions but in EEGLAB; types of channels, which eeglabio does not write) a
    FIF beside it does; formats that nobody writes (GDF, CNT) become a FIF.

    Returns:
        The file that was written; of several, the one in the recording's own format.

    Raises:
        DataError: for a recording that did not come from this domain.
        UserError: when the package that writes the format is not installed.
    """
    if not isinstance(recording.metadata, Original):
        raise DataError(f"{path}: the recording carries no original", expected="one that the domain read")
    original = recording.metadata
    restored = recording.signals.reshape(original.seen.shape)
    raw = returned(original, restored)
    suffix = path.suffix.lower()
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix in ENDINGS or suffix in PACKAGES:
        if suffix in ENDINGS:

            def change(channel: int, rate: float, samples: int) -> Array:
                return np.asarray(changed(original, restored, channel, rate, samples)[0])

            _whole(path, lambda place: export_edf(raw, place, original.picks, recording.path, change))
            alike = True
        else:
            alike = _whole(path, lambda place: _copied_or_exported(recording.path, raw, original.instance, place))
        lost = not alike and suffix == ".set" and len(set(raw.get_channel_types())) > 1
        if raw.info["bads"] or lost or (suffix != ".set" and raw.get_montage() is not None):
            what = "the types of channels" if lost else "bads and electrode positions"
            _write_fif(raw, _beside(path), original.band, f"{what}, which {suffix} cannot hold")
        return path
    if path.name.lower().endswith((".fif", ".fif.gz")):
        _write_fif(raw, path, original.band)
        return path
    beside = _beside(path)
    _write_fif(raw, beside, original.band, f"everything: {suffix or 'this format'} is read but not written")
    return beside


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}_raw.fif")


def _whole(path: Path, export: Callable[[Path], T]) -> T:
    """Exports into a folder beside the target, then renames: the file is complete or not there."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".vaegan-") as scratch:
        place = Path(scratch) / path.name
        result = export(place)
        for made in sorted(Path(scratch).iterdir(), key=lambda part: part == place):  # its companions first
            os.replace(made, path.parent / made.name)
    return result


def _write_fif(raw: Any, path: Path, band: Band, why: str = "") -> None:
    """A FIF in double precision, whose description says what the model saw."""
    if why:
        warnings.warn(f"{path} holds {why}", UserWarning, stacklevel=4)
    seen = f"restored by vaegan, which saw {band.highpass:g} to {band.lowpass:g} Hz at {band.rate:g} Hz"
    raw.info["description"] = "; ".join(part for part in (raw.info["description"], seen) if part)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for names that end in _raw.fif
        _whole(path, lambda place: raw.save(place, overwrite=True, fmt="double", verbose="ERROR"))


def _copied_or_exported(source: Path, raw: Any, before: Any, place: Path) -> bool:
    """Whether the file could be made of the one that was read."""
    alike = copied(source, raw, before, place)
    if not alike:
        for part in place.parent.iterdir():
            part.unlink()
        _export(raw, place, *PACKAGES[place.suffix.lower()])
    return alike


def _export(raw: Any, path: Path, fmt: str, package: str) -> None:
    import mne

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mne.export.export_raw(path, raw, fmt=fmt, overwrite=True, verbose="ERROR")
    except ImportError as error:
        raise UserError(
            f"{path}: {package} is not installed", expected=f"the package {package}", mend="pip install 'vaegan[eeg]'"
        ) from error
