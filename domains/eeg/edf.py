"""EDF and BDF out: into a copy of the file that was read, or, where there is none, as a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaegan.errors import UserError

Array = NDArray[Any]
ENDINGS = (".edf", ".bdf")
VOLTS = ("eeg", "eog", "emg", "ecg", "bio", "seeg", "ecog", "dbs")
"""Types of channels whose values are volts."""


def export_edf(raw: Any, path: Path, picks: Sequence[int], source: Path) -> None:
    """EDF(+) or BDF(+) with 16 or 24 bits a sample; each written channel's physical range is its own.

    Where the recording came from such a file, everything but the channels ``picks`` is taken from it unchanged: the header
    with patient, equipment and filters, other channels at their own rates, and all annotations, wherever they lie.

    Args:
        raw: an MNE Raw in volts.
        path: where to.
        picks: channels whose values are new.
        source: that ``raw`` was read from, of whatever format.

    Raises:
        UserError: when edfio is not installed.
    """
    try:
        import edfio
    except ImportError as error:
        raise UserError(
            f"{path}: edfio is not installed", expected="the package edfio", mend="pip install 'vaegan[eeg]'"
        ) from error
    bdf = path.suffix.lower() == ".bdf"
    given = _given(source, raw, picks, edfio) if source.suffix.lower() == path.suffix.lower() else None
    made = _alone(raw, bdf, edfio) if given is None else _copied(raw, picks, given, bdf, edfio)
    made.write(path)


def _given(source: Path, raw: Any, picks: Sequence[int], edfio: Any) -> Any | None:
    """The file that a recording came from; ``None`` where its channels are not those of the recording, one for one."""
    read = edfio.read_bdf if source.suffix.lower() == ".bdf" else edfio.read_edf
    try:
        given = read(source)
        alike = given.is_continuous and len(given.signals) == len(raw.ch_names)
        same = alike and all(
            len(given.signals[i].digital) == raw.n_times and given.signals[i].label == raw.ch_names[i] for i in picks
        )
        _ = given.annotations
    except (OSError, ValueError, KeyError):  # edfio is stricter than MNE: such a file is written anew
        return None
    return given if same else None


def _copied(raw: Any, picks: Sequence[int], given: Any, bdf: bool, edfio: Any) -> Any:
    """The file as it was given, with new values of some channels."""
    signals = list(given.signals)
    for i, values in zip(picks, raw.get_data(picks=list(picks)), strict=True):
        old = signals[i]
        more = {"transducer_type": old.transducer_type, "prefiltering": old.prefiltering}
        signals[i] = _signal(values, old.sampling_frequency, old.label, "eeg", bdf, edfio, **more)
    made = (edfio.Bdf if bdf else edfio.Edf)(
        signals,
        starttime=given.starttime,
        data_record_duration=given.data_record_duration,
        annotations=given.annotations or None,
    )
    with suppress(ValueError):  # an anonymous file has no date
        made.startdate = given.startdate
    made.local_patient_identification = given.local_patient_identification
    made.local_recording_identification = given.local_recording_identification
    return made


def _alone(raw: Any, bdf: bool, edfio: Any) -> Any:
    """A file of its own. A data record is as short as it takes for the recording to be a whole number of them."""
    rate = float(raw.info["sfreq"])
    signals = [
        _signal(values, rate, name, kind, bdf, edfio)
        for values, name, kind in zip(raw.get_data(), raw.ch_names, raw.get_channel_types(), strict=True)
    ]
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
    duration = _record_duration(raw.n_times, rate)
    return (edfio.Bdf if bdf else edfio.Edf)(signals, annotations=annotations, data_record_duration=duration, **more)


def _signal(values: Array, rate: float, name: str, kind: str, bdf: bool, edfio: Any, **more: str) -> Any:
    """One channel; what is not finite becomes 0, which is all that integers can hold."""
    volts = kind in VOLTS
    scaled = np.nan_to_num(values * (1e6 if volts else 1.0), posinf=0.0, neginf=0.0)
    return (edfio.BdfSignal if bdf else edfio.EdfSignal)(
        scaled,
        sampling_frequency=rate,
        label=name[:16],
        physical_dimension="uV" if volts else "",
        physical_range=_range(scaled, whole=not volts, bits=24 if bdf else 16),
        **more,
    )


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
