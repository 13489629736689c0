"""EDF and BDF out: the bytes of the file that was read with other samples, or, where there is none, a file of its own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.eeg.header import WIDTHS, Header
from domains.eeg.reading import without_volts
from vaegan.errors import DataError, UserError

Array = NDArray[Any]
Change = Callable[[int, float, int], Array]
"""From a place among the restored channels, a rate in Hz and a number of samples to what changed: (samples,) volts."""
ENDINGS = tuple(WIDTHS)
VOLTS = ("eeg", "eog", "emg", "ecg", "bio", "seeg", "ecog", "dbs")
"""Types of channels whose values are volts."""
SCALES = {"uV": 1e6, "mV": 1e3, "V": 1.0}
"""Values for a volt in each unit, the finest first."""
UNITS = {1e-6: "uV", 1e-3: "mV", 1.0: "V"}
"""The same by their volts."""
YEARS = range(1985, 2085)
"""That the two digits of a header's year stand for."""
WIDTH = 8
"""Characters of a number in the header."""


def export_edf(raw: Any, path: Path, picks: Sequence[int], source: Path, change: Change) -> None:
    """EDF(+) or BDF(+) with 16 or 24 bits a sample; each written channel's physical range is its own.

    Where the recording came from such a file, everything but the values of ``picks`` and their ranges is that file's, byte
    for byte: the header with patient, equipment and filters, each channel's own rate, other channels, the times of the data
    records, and all annotations, wherever they lie. A file whose calibration the format does not allow is written anew,
    through edfio, as MNE has read it.

    Args:
        raw: an MNE Raw in volts, restored.
        path: where to.
        picks: channels whose values are new.
        source: that ``raw`` was read from, of whatever format.
        change: what changed in each of ``picks``.

    Raises:
        UserError: when edfio is not installed.
        DataError: for a channel whose values are too large for the format.
    """
    content = None
    if source.suffix.lower() == path.suffix.lower() and source.is_file():
        content = _patched(source, raw, picks, change)
    if content is not None:
        path.write_bytes(content)
        return
    try:
        import edfio
    except ImportError as error:
        raise UserError(
            f"{path}: edfio is not installed", expected="the package edfio", mend="pip install 'vaegan[eeg]'"
        ) from error
    _alone(raw, path, path.suffix.lower() == ".bdf", edfio).write(path)


def _patched(source: Path, raw: Any, picks: Sequence[int], change: Change) -> bytearray | None:
    """The content of the file as it was given, with new values of some channels, each at its own rate and in its own unit.

    ``None`` where the file's signals are not the recording's channels one for one, or are calibrated otherwise.
    """
    content = bytearray(source.read_bytes())
    header = Header.read(source)
    if len(header.channels) != len(raw.ch_names) or header.seconds <= 0:
        return None
    body = header.body(content)
    for row, i in enumerate(picks):
        signal = header.channels[i]
        given = _given(header, signal, body)
        if given is None or not _is_same(header, signal, raw, raw.ch_names[i]):
            return None
        moved = change(row, header.rate(signal), len(given))
        volts = header.volts(signal)
        unit = UNITS.get(volts or 0.0, header.fields["unit"][signal])
        scale = 1.0 / (volts or 1.0)  # MNE takes a unit that it does not know for volts
        if len(given) == raw.n_times:  # where both can be compared: what was read must be what the file's bytes say
            read = raw.get_data(picks=[i])[0] - moved
            if not np.allclose(read * scale, given, rtol=1e-6, atol=1e-6 * max(1e-9, np.abs(given).max())):
                return None
        values = given + moved * scale
        if unit == "V":  # eight characters hold no range as small as that
            unit, values = "uV", values * 1e6
            content[header.place("unit", signal)] = b"uV      "
        _put(content, header, signal, values, _limits(raw.ch_names[i], values, unit, bits=8 * header.width))
    return content


def _given(header: Header, signal: int, body: Array) -> Array | None:
    """(samples,) of a signal in its unit; ``None`` where the header's calibration is none."""
    names = ("low", "high", "least", "most")
    try:
        low, high, least, most = (float(header.fields[name][signal].replace(",", ".")) for name in names)
    except ValueError:
        return None
    if low == high or least == most:
        return None
    digital = _decoded(np.ascontiguousarray(body[:, header.span(signal)]), header.width)
    return np.asarray((digital - least) * ((high - low) / (most - least)) + low)


def _decoded(parts: Array, width: int) -> Array:
    """(samples,) whole numbers of bytes, the lowest first."""
    if width == 2:
        return np.asarray(parts.reshape(-1, 2).view("<i2")[:, 0], np.float64)
    wide = np.zeros((parts.size // 3, 4), np.uint8)
    wide[:, 1:] = parts.reshape(-1, 3)
    return np.asarray(wide.view("<i4")[:, 0] >> 8, np.float64)


def _put(content: bytearray, header: Header, signal: int, values: Array, limits: tuple[float, float]) -> None:
    """Puts a signal's new values, and the range that they need, into the content of a file."""
    bits, (low, high) = 8 * header.width, limits
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    for field, number in (("low", low), ("high", high), ("least", least), ("most", most)):
        content[header.place(field, signal)] = _text(number).ljust(WIDTH).encode()
    digital = np.clip(np.rint((values - low) / (high - low) * (most - least) + least), least, most).astype("<i4")
    parts = digital.view(np.uint8).reshape(-1, 4)[:, : header.width]
    span = header.span(signal)
    header.body(content)[:, span] = parts.reshape(header.records, span.stop - span.start)


def _is_same(header: Header, signal: int, raw: Any, name: str) -> bool:
    """Whether a signal of a file is a channel of the recording, which has all channels at the file's highest rate."""
    label = header.fields["label"][signal]
    alike = name == label or name.startswith(f"{label}-")  # MNE numbers channels of one name
    return alike and abs(header.records * header.seconds - raw.n_times / raw.info["sfreq"]) < 1.0 / raw.info["sfreq"]


def _text(number: float) -> str:
    """A number of at most three decimals."""
    return f"{number:.3f}".rstrip("0").rstrip(".")


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
    for i, (name, kind) in enumerate(zip(raw.ch_names, raw.get_channel_types(), strict=True)):
        values = raw.get_data(picks=[i])[0]
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
    if when is not None and when.year not in YEARS:
        warnings.warn(
            f"{path}: dates of EDF and BDF are from {YEARS[0]} to {YEARS[-1]}; the recording's, {when.date()}, is left out",
            UserWarning,
            stacklevel=6,
        )
    elif when is not None:
        more["starttime"] = when.time().replace(tzinfo=None)
        more["recording"] = edfio.Recording(startdate=when.date())
    return (edfio.Bdf if bdf else edfio.Edf)(signals, annotations=annotations, data_record_duration=duration, **more)


def _unit(values: Array) -> str:
    """The finest unit whose numbers for these volts have at most seven digits."""
    largest = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    return next((unit for unit, scale in SCALES.items() if largest * scale < 10 ** (WIDTH - 1) - 1), "V")


def _signal(values: Array, rate: float, name: str, unit: str, bdf: bool, edfio: Any) -> Any:
    """One channel, of values in ``unit``; what is not finite becomes 0, which is all that integers can hold."""
    finite = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    return (edfio.BdfSignal if bdf else edfio.EdfSignal)(
        finite,
        sampling_frequency=rate,
        label=name[:16],
        physical_dimension=unit,
        physical_range=_limits(name, finite, unit, bits=24 if bdf else 16),
    )


def _limits(name: str, values: Array, unit: str, *, bits: int) -> tuple[float, float]:
    """The range that a channel's finite values need.

    Raises:
        DataError: where it has more digits than the header holds.
    """
    low, high = _range(values, unit, bits=bits)
    if max(len(f"{int(edge)}") for edge in (low, high)) > WIDTH:
        raise DataError(
            f"channel {name} reaches from {low:g} to {high:g} {unit or '(no unit)'}",
            expected=f"numbers of at most {WIDTH} characters, which is what EDF and BDF hold",
            mend="mend the channel's unit, or write a FIF",
        )
    return low, high


def _range(values: Array, unit: str, *, bits: int) -> tuple[float, float]:
    """The physical range of a channel; triggers, which are whole numbers without a unit, keep steps of one."""
    whole = not unit and np.array_equal(values, np.rint(values))
    if whole and np.abs(values).max(initial=0) < 2 ** (bits - 1):
        return -float(2 ** (bits - 1)), float(2 ** (bits - 1) - 1)
    low, high = float(np.floor(values.min())), float(np.ceil(values.max()))
    for finer in (1000, 100, 10) if unit == "mV" else ():
        edges = float(np.floor(values.min() * finer)) / finer, float(np.ceil(values.max() * finer)) / finer
        if max(len(_text(edge)) for edge in edges) <= WIDTH:
            low, high = edges
            break
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
