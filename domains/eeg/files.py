"""Recordings as files: in as the model sees them, out as the same kind of file."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.eeg.band import Band
from domains.eeg.reading import Original, as_raw, opened, returned
from vaegan.domain import Recording
from vaegan.errors import DataError, UserError

Array = NDArray[Any]

SUFFIXES = {".edf": "EDF", ".bdf": "BDF", ".vhdr": "BrainVision", ".set": "EEGLAB", ".fif": "FIF", ".gz": "FIF"}
"""Endings that are written, with the format's name; every other kind of file becomes a FIF beside it."""


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
    _tell_about_annotations(raw, path)
    return Recording(as_signals(original, channels), path, SUFFIXES.get(path.suffix.lower(), "FIF"), original)


def as_signals(original: Original, channels: tuple[str, ...]) -> Array:
    """What a model restores of a recording: (signals, 1, time), or (items, channels, time) for a multi-channel model."""
    seen = original.seen
    return np.asarray(seen if channels else seen.reshape(-1, 1, seen.shape[-1]), np.float32)


def _tell_about_annotations(raw: Any, path: Path) -> None:
    """Readers sort annotations; those that reach beyond the end are cut when they are written."""
    onsets = np.asarray(raw.annotations.onset) - raw.first_time
    late = int((onsets > raw.times[-1] + 1.0 / raw.info["sfreq"]).sum())
    if late:
        warnings.warn(
            f"{path}: {late} of {len(onsets)} annotations begin after its end; they are kept", UserWarning, stacklevel=4
        )


def write_recording(recording: Recording, path: Path) -> Path:
    """Writes a restored recording, in volts, with its channels, rate, length, annotations and what the format can hold.

    EDF and BDF go through edfio, BrainVision through pybv, EEGLAB through eeglabio. Where a format cannot hold all (bads and
    electrode positions in EDF, more than one rate) a FIF beside it does; formats that nobody writes (GDF, CNT) become a FIF.

    Returns:
        The file that was written; of several, the one in the recording's own format.

    Raises:
        DataError: for a recording that did not come from this domain.
        UserError: when the package that writes the format is not installed.
    """
    if not isinstance(recording.metadata, Original):
        raise DataError(f"{path}: the recording carries no original", expected="one that the domain read")
    original = recording.metadata
    raw = returned(original, recording.signals.reshape(original.seen.shape))
    suffix = path.suffix.lower()
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix in (".edf", ".bdf"):
        _whole(path, lambda place: _export_edf(raw, place))
        if raw.info["bads"] or raw.get_montage() is not None:
            _write_fif(raw, _beside(path), "bads and electrode positions, which EDF and BDF cannot hold")
        return path
    if suffix == ".vhdr":
        _export_brainvision(raw, path)
        return path
    if suffix == ".set":
        _whole(path, lambda place: _export(raw, place, "eeglab", "eeglabio"))
        return path
    if path.name.lower().endswith((".fif", ".fif.gz")):
        _write_fif(raw, path, "")
        return path
    beside = _beside(path)
    _write_fif(raw, beside, f"everything: {suffix or 'this format'} is read but not written")
    return beside


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}_raw.fif")


def _whole(path: Path, export: Callable[[Path], None]) -> None:
    """Exports into a folder beside the target, then renames: the file is complete or not there."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".vaegan-") as scratch:
        place = Path(scratch) / path.name
        export(place)
        for made in Path(scratch).iterdir():
            os.replace(made, path.parent / made.name)


def _write_fif(raw: Any, path: Path, why: str) -> None:
    if why:
        warnings.warn(f"{path} holds {why}", UserWarning, stacklevel=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for names that end in _raw.fif
        raw.save(path, overwrite=True, fmt="double", verbose="ERROR")


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


def _export_brainvision(raw: Any, path: Path) -> None:
    """BrainVision is three files whose names stand in each other, so they are written in place."""
    copy = raw.copy()
    copy.set_annotations(copy.annotations)
    _export(copy, path, "brainvision", "pybv")


def _export_edf(raw: Any, path: Path) -> None:
    """EDF+ or BDF+ with 16 or 24 bits a sample; each channel's physical range is its own.

    A data record is as short as it takes for the recording to be a whole number of them, so that no sample is added.
    """
    try:
        import edfio
    except ImportError as error:
        raise UserError(
            f"{path}: edfio is not installed", expected="the package edfio", mend="pip install 'vaegan[eeg]'"
        ) from error
    bdf = path.suffix.lower() == ".bdf"
    rate, data = float(raw.info["sfreq"]), raw.get_data()
    types = raw.get_channel_types()
    make = edfio.BdfSignal if bdf else edfio.EdfSignal
    signals = []
    for values, name, kind in zip(data, raw.ch_names, types, strict=True):
        volts = kind in ("eeg", "eog", "emg", "ecg", "bio", "seeg", "ecog", "dbs")
        scaled = np.nan_to_num(values * (1e6 if volts else 1.0))
        signals.append(
            make(
                scaled,
                sampling_frequency=rate,
                label=name[:16],
                physical_dimension="uV" if volts else "",
                physical_range=_range(scaled, whole=not volts, bits=24 if bdf else 16),
            )
        )
    annotations = [
        edfio.EdfAnnotation(
            max(0.0, float(a["onset"]) - raw.first_time), float(a["duration"]) or None, str(a["description"])
        )
        for a in raw.annotations
    ]
    when = raw.info["meas_date"]
    more: dict[str, Any] = {}
    if when is not None:
        more["starttime"] = when.time().replace(tzinfo=None)
        more["recording"] = edfio.Recording(startdate=when.date())
    duration = _record_duration(data.shape[1], rate)
    edf = (edfio.Bdf if bdf else edfio.Edf)(signals, annotations=annotations, data_record_duration=duration, **more)
    edf.write(path)


def _range(values: Array, *, whole: bool, bits: int) -> tuple[float, float]:
    """The physical range of a channel; triggers, which are whole numbers, keep steps of one."""
    if whole and np.array_equal(values, np.rint(values)) and np.abs(values).max(initial=0) < 2 ** (bits - 1):
        return -float(2 ** (bits - 1)), float(2 ** (bits - 1) - 1)
    low, high = float(np.floor(values.min())), float(np.ceil(values.max()))
    return (low, high) if high > low else (low - 1.0, low + 1.0)


def _record_duration(samples: int, rate: float) -> float:
    """Seconds of a data record: about one, and a divisor of the recording's length."""
    wanted = max(1, round(rate))
    divisors = [d for k in range(1, int(samples**0.5) + 1) if samples % k == 0 for d in (k, samples // k)]
    return min(divisors, key=lambda d: (abs(np.log(d / wanted)), d)) / rate
