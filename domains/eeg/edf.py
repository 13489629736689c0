"""EDF and BDF out: into a copy of the file that was read, or, where there is none, as a file of its own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.eeg.reading import without_volts
from vaegan.errors import DataError, UserError

Array = NDArray[Any]
ENDINGS = (".edf", ".bdf")
VOLTS = ("eeg", "eog", "emg", "ecg", "bio", "seeg", "ecog", "dbs")
"""Types of channels whose values are volts."""
SCALES = {"uV": 1e6, "mV": 1e3, "V": 1.0}
"""Values for a volt in each unit, the finest first."""
MICROVOLT = ("uV", "µV", "\x83\xcaV")
"""Spellings of it that MNE knows, the last in Shift JIS, read as Latin-1."""
WIDTH = 8
"""Characters of a number in the header."""


def export_edf(raw: Any, path: Path, picks: Sequence[int], source: Path, change: Callable[[float, int], Array]) -> None:
    """EDF(+) or BDF(+) with 16 or 24 bits a sample; each written channel's physical range is its own.

    Where the recording came from such a file, everything but the values of ``picks`` is taken from it unchanged: the header
    with patient, equipment and filters, each channel's own rate, other channels, and all annotations, wherever they lie.

    Args:
        raw: an MNE Raw in volts, restored.
        path: where to.
        picks: channels whose values are new.
        source: that ``raw`` was read from, of whatever format.
        change: from a rate in Hz and a number of samples to what changed in ``picks``: (picks, samples) volts.

    Raises:
        UserError: when edfio is not installed.
        DataError: for a channel whose values are too large for the format.
    """
    try:
        import edfio
    except ImportError as error:
        raise UserError(
            f"{path}: edfio is not installed", expected="the package edfio", mend="pip install 'vaegan[eeg]'"
        ) from error
    bdf = path.suffix.lower() == ".bdf"
    given = _given(source, raw, picks, edfio) if source.suffix.lower() == path.suffix.lower() else None
    made = _alone(raw, path, bdf, edfio) if given is None else _copied(change, picks, given, bdf, edfio)
    made.write(path)


def _given(source: Path, raw: Any, picks: Sequence[int], edfio: Any) -> Any | None:
    """The file that a recording came from; ``None`` where its channels are not those of the recording, one for one."""
    read = edfio.read_bdf if source.suffix.lower() == ".bdf" else edfio.read_edf
    try:
        given = read(source, header_encoding="latin-1")  # as MNE; the standard's ASCII knows no µ
        alike = given.is_continuous and len(given.signals) == len(raw.ch_names)
        same = alike and all(_is_same(given.signals[i], raw, raw.ch_names[i]) for i in picks)
        _ = given.annotations, given.starttime
    except (OSError, ValueError, KeyError):  # edfio is stricter than MNE: such a file is written anew
        return None
    return given if same else None


def _is_same(signal: Any, raw: Any, name: str) -> bool:
    """Whether a signal of a file is a channel of the recording, which has all channels at the file's highest rate."""
    seconds = len(signal.digital) / signal.sampling_frequency
    alike = name == signal.label or name.startswith(f"{signal.label}-")  # MNE numbers channels of one name
    return alike and abs(seconds - raw.n_times / raw.info["sfreq"]) < 1.0 / raw.info["sfreq"]


def _copied(change: Callable[[float, int], Array], picks: Sequence[int], given: Any, bdf: bool, edfio: Any) -> Any:
    """The file as it was given, with new values of some channels, each at its own rate and in its own unit."""
    signals, changes = list(given.signals), {}
    for row, i in enumerate(picks):
        old = signals[i]
        key = (old.sampling_frequency, len(old.digital))
        if key not in changes:
            changes[key] = change(*key)
        unit = "uV" if old.physical_dimension in MICROVOLT else _ascii(old.physical_dimension)
        scale = SCALES.get(unit, 1.0)  # MNE takes a unit that it does not know for volts
        values = old.data + changes[key][row] * scale
        if unit == "V":  # eight characters hold no range as small as that
            unit, values = "uV", values * 1e6
        more = {"transducer_type": _ascii(old.transducer_type), "prefiltering": _ascii(old.prefiltering)}
        signals[i] = _signal(values, old.sampling_frequency, _ascii(old.label), unit, bdf, edfio, **more)
    made = (edfio.Bdf if bdf else edfio.Edf)(
        signals,
        starttime=given.starttime,
        data_record_duration=given.data_record_duration,
        annotations=given.annotations or None,
    )
    with suppress(ValueError):  # an anonymous file has no date
        made.startdate = given.startdate
    made.local_patient_identification = _ascii(given.local_patient_identification)
    made.local_recording_identification = _ascii(given.local_recording_identification)
    return made


def _ascii(text: str) -> str:
    """A text of a header in the only characters that the standard allows."""
    return text.encode("ascii", "replace").decode()


def _alone(raw: Any, path: Path, bdf: bool, edfio: Any) -> Any:
    """A file of its own, in data records of about a second."""
    size, duration = _record(raw.n_times, float(raw.info["sfreq"]))
    missing = -raw.n_times % size
    if missing:
        warnings.warn(
            f"{path}: no data records of equal length hold {raw.n_times:,} samples; the last is repeated {missing} times",
            UserWarning,
            stacklevel=6,
        )
    strange = set(without_volts(raw))
    signals = []
    for values, name, kind in zip(raw.get_data(), raw.ch_names, raw.get_channel_types(), strict=True):
        unit = _unit(values) if kind in VOLTS and name not in strange else ""
        whole = np.pad(values * SCALES.get(unit, 1.0), (0, missing), "edge")
        signals.append(_signal(whole, size / duration, name, unit, bdf, edfio))
    annotations = [
        edfio.EdfAnnotation(
            max(0.0, float(a["onset"]) - raw.first_time), float(a["duration"]) or None, str(a["description"])
        )
        for a in raw.annotations
    ]
    when, more = raw.info["meas_date"], {}
    if when is not None:
        more["starttime"] = when.time().replace(tzinfo=None)
        more["recording"] = edfio.Recording(startdate=when.date())
    return (edfio.Bdf if bdf else edfio.Edf)(signals, annotations=annotations, data_record_duration=duration, **more)


def _unit(values: Array) -> str:
    """The finest unit whose numbers for these volts have at most seven digits."""
    largest = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    return next((unit for unit, scale in SCALES.items() if largest * scale < 10 ** (WIDTH - 1) - 1), "V")


def _signal(values: Array, rate: float, name: str, unit: str, bdf: bool, edfio: Any, **more: str) -> Any:
    """One channel, of values in ``unit``; what is not finite becomes 0, which is all that integers can hold.

    Raises:
        DataError: where its range has more digits than the header holds.
    """
    finite = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    low, high = _range(finite, unit, bits=24 if bdf else 16)
    if max(len(f"{int(edge)}") for edge in (low, high)) > WIDTH:
        raise DataError(
            f"channel {name} reaches from {low:g} to {high:g} {unit or '(no unit)'}",
            expected=f"numbers of at most {WIDTH} characters, which is what EDF and BDF hold",
            mend="mend the channel's unit, or write a FIF",
        )
    return (edfio.BdfSignal if bdf else edfio.EdfSignal)(
        finite,
        sampling_frequency=rate,
        label=name[:16],
        physical_dimension=unit,
        physical_range=(low, high),
        **more,
    )


def _range(values: Array, unit: str, *, bits: int) -> tuple[float, float]:
    """The physical range of a channel; triggers, which are whole numbers without a unit, keep steps of one."""
    whole = not unit and np.array_equal(values, np.rint(values))
    if whole and np.abs(values).max(initial=0) < 2 ** (bits - 1):
        return -float(2 ** (bits - 1)), float(2 ** (bits - 1) - 1)
    finer = 1000 if unit == "mV" else 1
    low, high = float(np.floor(values.min() * finer)) / finer, float(np.ceil(values.max() * finer)) / finer
    return (low, high) if high > low else (low - 1.0, low + 1.0)


def _record(samples: int, rate: float) -> tuple[int, float]:
    """Samples and seconds of a data record: about one second, and where there is one a divisor of the recording.

    The header holds its seconds in eight characters, and a record that lasts a minute or a few samples is of no use to
    anyone: where no divisor is left, the last record has to be filled up.
    """
    sizes = range(max(1, math.ceil(0.1 * rate)), max(1, int(60 * rate)) + 1)
    dividing = [size for size in sizes if samples % size == 0 and _held(size / rate)]
    fitting = dividing or [size for size in sizes if _held(size / rate)] or [max(1, round(rate))]
    best = min(fitting, key=lambda size: (abs(math.log(size / rate)), size))
    return best, _held(best / rate) or round(best / rate, 6)


def _held(seconds: float) -> float:
    """A duration as the header's eight characters hold it; 0 where they do not."""
    nearest = round(seconds, WIDTH - 2)
    return nearest if len(str(nearest)) <= WIDTH and math.isclose(nearest, seconds, rel_tol=1e-9) else 0.0
