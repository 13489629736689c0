"""From a folder of recordings to clean windows and to banks of artifacts."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.eeg import blocks
from domains.eeg.artifacts import Bank
from domains.eeg.band import Band, bridged
from domains.eeg.channels import electrodes, places
from domains.eeg.header import Header, is_edf
from domains.eeg.reading import IMPLAUSIBLE, RAW_ENDINGS, as_raw, channels_of, lacking
from domains.folders import walk_folders
from vaegan.data import SPLITS, Skipped, Split
from vaegan.errors import DataError

Array = NDArray[Any]

LEAST_WINDOWS = 20
"""Windows that a recording must last to be divided into blocks of time."""
HIGHEST = 150e-6
"""Volts that a clean window never exceeds."""
EOG_LOWPASS = 10.0
"""Hz above which an EOG channel is left out of the bank, where it is EEG and muscle (EEGdenoiseNet)."""
TORN = re.compile(r"(?i)edge|(bad[ _])?boundary|(comment/)?new segment")
"""Annotations at which a recording was cut: MNE's, EEGLAB's, BrainVision's."""


@dataclass(frozen=True)
class Trace:
    """One recording as the model sees it.

    Attributes:
        path: of the file.
        names: of its EEG channels, as they stand in the file.
        eeg: (channels, samples) volts, in the model's band at the model's rate; NaN where the recording is no number.
        eog: (channels, samples) volts; no channel where none was recorded.
        usable: (samples,) True away from eye movements and from what annotations call bad.
        events: (first sample, end, description) of each annotation that calls nothing bad, in the order of time, at the
            model's rate; one without a duration ends where it begins, and edges, which end what was in force, have no words.
        bads: names of the channels that are marked bad, which ``eeg`` does not hold.
    """

    path: Path
    names: tuple[str, ...]
    eeg: Array
    eog: Array
    usable: Array
    events: tuple[tuple[int, int, str], ...] = ()
    bads: tuple[str, ...] = ()

    def lacks(self, channels: Sequence[str]) -> str:
        """Why it holds no window of these channels (standard names); empty where it has all of them."""
        return lacking(self.names, self.bads, channels)


@dataclass(frozen=True)
class Sources:
    """What was found in a folder.

    Attributes:
        traces: recordings of EEG.
        muscle: recordings of muscle alone: (path, samples at the model's rate).
        band: that all EEG was brought to.
        skipped: files that could not be read, unused: files that are of no use, both for people.
        splits: of whole recordings; empty where each is divided by time.
        units: what is never torn apart where recordings are whole, how: in words for people; see
            :func:`domains.eeg.blocks.units_of`.
    """

    traces: tuple[Trace, ...]
    muscle: tuple[tuple[Path, Array], ...]
    band: Band
    skipped: tuple[Skipped, ...] = ()
    unused: tuple[str, ...] = ()
    splits: dict[Path, Split] = field(default_factory=dict)
    units: dict[Path, str] = field(default_factory=dict)
    how: str = "subject"


def load_sources(
    folder: Path,
    *,
    rate: float,
    samples: int,
    highpass: float,
    lowpass: float | None,
    muscle_lowpass: float | None = None,
) -> Sources:
    """All recordings of a folder (searched recursively), or one file, in one common band.

    Args:
        folder: a folder or a file.
        rate: samples a second of the model.
        samples: of a window.
        highpass: corner in Hz.
        lowpass: corner in Hz; ``None`` for 0.45 times the lowest sampling rate among the recordings of EEG.
        muscle_lowpass: corner in Hz of the recordings of muscle; ``None`` for that of EEG.

    Raises:
        DataError: when nothing there is an EEG of sufficient length.
    """
    if not folder.exists():
        raise DataError(f"{folder} does not exist", expected="a folder of recordings", mend="set --data")
    found = _Found()
    for path in files_of(folder):
        try:
            found.read(path, samples / rate)
        except (DataError, OSError, ValueError) as error:
            found.skipped.append(Skipped(path.name, str(error)))
    raws, muscle, skipped, unused = found.recordings(), found.muscle, found.skipped, found.unused
    if not raws:
        shown = "; ".join([*unused, *(f"{s.name}: {s.reason}" for s in skipped)][:4]) or "no recording"
        raise DataError(
            f"{folder}: nothing to train on ({shown})",
            expected=f"recordings of EEG of at least {LEAST_WINDOWS * samples / rate:g} s ({', '.join(RAW_ENDINGS)})",
            mend="set --data",
        )
    corner = lowpass or 0.45 * min([rate, *(_own_rate(path, raw) for path, raw in raws)])
    band = Band(highpass, corner, rate)
    traces = tuple(_trace(path, raw, band) for path, raw in raws)
    brought = tuple((path, band.up_to(muscle_lowpass).seen(values, native)) for path, values, native in muscle)
    units, how = blocks.units_of([trace.path for trace in traces], folder)
    splits = blocks.subject_splits(units) or {}
    return Sources(traces, brought, band, tuple(skipped), tuple(unused), splits, units, how)


@dataclass
class _Found:
    """What the files of a folder hold; a recording is its path and an MNE Raw, muscle its path, values and rate."""

    raws: list[tuple[Path, Any]] = field(default_factory=list)
    muscle: list[tuple[Path, Array, float]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def read(self, path: Path, seconds: float) -> None:
        """Takes a file in, or says why it is of no use for windows of so many seconds.

        Raises:
            DataError: for a file that is broken.
        """
        if is_raw(path):
            raw = as_raw(path)
            reason = _unfit(path, raw, seconds)
            if reason:
                self.unused.append(f"{path.name} ({reason})")
            else:
                self.raws.append((path, raw))
        elif (text := read_text_signal(path)) is not None:
            label, values, native = text
            if label == "emg":
                self.muscle.append((path, values, native))
            else:
                self.unused.append(f"{path.name} (raw counts of {label})")

    def recordings(self) -> list[tuple[Path, Any]]:
        """Every recording once: the first file of a FIF that was split brings the others with it."""
        brought = {Path(name).resolve() for _, raw in self.raws for name in raw.filenames[1:] if name}
        self.unused += [
            f"{path.name} (a further part of another file)" for path, _ in self.raws if path.resolve() in brought
        ]
        return [(path, raw) for path, raw in self.raws if path.resolve() not in brought]


def files_of(folder: Path) -> list[Path]:
    """The files of a folder, or the one that is given, by name; a recording that is a folder (``.mff``) counts as a file."""
    if folder.is_file() or _is_folder_recording(folder):
        return [folder]
    whole: list[Path] = []
    single: list[Path] = []
    for place, folders, files in walk_folders(folder):
        whole += [place / name for name in folders if _is_folder_recording(place / name)]
        single += [place / name for name in files if (place / name).is_file()]
        folders[:] = [name for name in folders if place / name not in whole]
    return [*sorted(whole), *sorted(single)]


def _is_folder_recording(path: Path) -> bool:
    return path.is_dir() and path.suffix.lower() == ".mff"


def _own_rate(path: Path, raw: Any) -> float:
    """The lowest rate at which a recording's EEG was sampled: MNE brings all channels of an EDF to the highest of them."""
    rate = float(raw.info["sfreq"])
    if not is_edf(path):
        return rate
    header = Header.read(path)
    if len(header.channels) != len(raw.ch_names) or header.seconds <= 0:
        return rate
    return min(header.rate(header.channels[i]) for i in channels_of(raw, "eeg"))


def is_raw(path: Path) -> bool:
    """Whether a file's name is that of a recording that MNE reads, and not of its companion."""
    return path.name.lower().endswith(RAW_ENDINGS)


def read_text_signal(path: Path) -> tuple[str, Array, float] | None:
    """One column of numbers under a header of ``# KEY:= VALUE`` lines, as BioSPPy keeps its examples.

    Returns:
        the label in lower case, the values, and their rate; ``None`` for other files.

    Raises:
        DataError: for a file that is broken, or holds something else than numbers.
    """
    if not path.name.lower().endswith((".txt", ".txt.gz")):
        return None
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error})", expected="an intact text file", mend="repair it") from error
    header = {}
    for line in lines:
        if not line.startswith("#"):
            break
        found = re.fullmatch(r"#\s*([^:]+):=\s*(.*)", line)
        if found:
            header[found.group(1).strip().lower()] = found.group(2).strip()
    if "sampling rate (hz)" not in header or "labels" not in header:
        return None
    values = np.asarray([float(line) for line in lines if line and not line.startswith("#")])
    native = float(header["sampling rate (hz)"])
    if len(values) < 2 or not np.isfinite(values).all() or not 0 < native < np.inf:
        raise DataError(f"{path} holds {len(values)} values at {native:g} Hz", expected="a column of finite numbers")
    return header["labels"].lower(), values - np.median(values), native


def _unfit(path: Path, raw: Any, seconds: float) -> str:
    """Why a recording is of no use for training; empty where it is of use."""
    if is_edf(path) and Header.read(path).gaps(path):
        return "an EDF+D: time is missing between its records"
    picks = channels_of(raw, "eeg")
    if not picks:
        return "no EEG channel in volts that is not marked bad"
    duration = raw.n_times / raw.info["sfreq"]
    if duration < LEAST_WINDOWS * seconds:
        return f"{duration:.0f} s, too short to be split"
    some = raw.get_data(picks=picks[:4])
    if not np.nanmedian(np.nanstd(some, axis=1)) < IMPLAUSIBLE:
        return "amplitudes that no scalp EEG has: its unit is wrong, or it is no scalp EEG"
    return ""


def _trace(path: Path, raw: Any, band: Band) -> Trace:
    native, picks, eyes = raw.info["sfreq"], channels_of(raw, "eeg"), channels_of(raw, "eog")
    whole, broken = bridged(raw.get_data(picks=picks))
    eeg = band.seen(whole, native)
    eog = band.seen(bridged(raw.get_data(picks=eyes))[0], native) if eyes else np.zeros((0, eeg.shape[1]))
    names = tuple(raw.ch_names[i] for i in picks)
    usable, events = ~_eye_activity(names, eeg, eog, band.rate), []
    for first, end, what in _annotations(raw, band.rate):
        torn, bad = TORN.match(what), what.lower().startswith("bad")
        if torn:  # a point; EEGLAB gives a boundary the duration of what was cut out there
            usable[max(1, first) : max(1, first + 1)] = False
        elif bad:
            usable[max(0, first) : max(0, end, first + 1)] = False
        if torn or not bad:
            events.append((first, end, "" if torn else what))
    eeg[_at_rate(broken, native, band.rate, eeg.shape[1])] = np.nan  # the lines over what is no number are no EEG
    return Trace(path, names, eeg, eog, usable, tuple(events), tuple(raw.info["bads"]))


def _at_rate(broken: Array, native: float, rate: float, samples: int) -> Array:
    """(channels, samples) at the model's rate: which of them rest on samples that were broken at the recording's."""
    from scipy import ndimage

    step = native / rate
    near = ndimage.maximum_filter1d(broken, 2 * math.ceil(step) + 1, axis=-1)
    places = np.minimum(np.rint(np.arange(samples) * step).astype(np.int64), broken.shape[-1] - 1)
    return np.asarray(near[:, places])


def _annotations(raw: Any, rate: float) -> list[tuple[int, int, str]]:
    """(first sample, end, description) of each annotation at a rate; one without a duration ends where it begins."""
    found = []
    for annotation in raw.annotations:
        onset, seconds = annotation["onset"] - raw.first_time, np.nan_to_num(annotation["duration"])
        found.append((round(onset * rate), round((onset + seconds) * rate), str(annotation["description"])))
    return sorted(found, key=lambda one: one[0])


def in_force(events: Sequence[tuple[int, int, str]], first: int, end: int) -> str:
    """The annotation that holds for a whole window: that began last before it, has not ended, and is followed by no other.

    Args:
        events: of a :class:`Trace`.
        first, end: samples of the window.

    Returns:
        its name; empty where there is none.
    """
    begun = [event for event in events if event[0] <= first]
    if not begun or any(first < start < end for start, _, _ in events):
        return ""
    start, until, what = begun[-1]
    return what if until == start or end <= until else ""


def eye_reference(names: Sequence[str], eeg: Array, eog: Array, rate: float) -> Array:
    """(channels, samples) below 10 Hz that show eye movements: the EOG, else the electrodes on the forehead, else none."""
    from scipy import signal

    front = {"Fp1", "Fpz", "Fp2", "AF7", "AF8"}  # of a bipolar channel the first: an eye is positive there
    forehead = [i for i, name in enumerate(names) if front.intersection(electrodes(name)[:1])]
    chosen = np.concatenate([eog, eeg[forehead].mean(0, keepdims=True)] if forehead else [eog])
    if not len(chosen):
        return chosen
    sections = signal.butter(4, EOG_LOWPASS, fs=rate, output="sos")
    return np.asarray(signal.sosfiltfilt(sections, chosen))


def _eye_activity(names: Sequence[str], eeg: Array, eog: Array, rate: float) -> Array:
    """(samples,) True within 0.2 s of an eye movement: beyond 4 robust standard deviations of the reference."""
    from scipy import ndimage

    reference = eye_reference(names, eeg, eog, rate)
    if not len(reference):
        return np.zeros(eeg.shape[1], bool)
    middle = np.median(reference, axis=1, keepdims=True)
    spread = 1.4826 * np.median(np.abs(reference - middle), axis=1, keepdims=True)
    moving = (np.abs(reference - middle) > 4.0 * np.maximum(spread, 1e-12)).any(0)
    return np.asarray(ndimage.binary_dilation(moving, iterations=round(0.2 * rate)))


def clean_windows(
    sources: Sources, split: Split, samples: int, hop: int, channels: Sequence[str] = ()
) -> tuple[Array, list[str], list[str], list[str]]:
    """Windows away from eye movements and from what annotations call bad, and below 150 µV.

    Args:
        sources: of the recordings.
        split: which part of them.
        samples, hop: of a window, and from one to the next.
        channels: standard names of the channels of a multi-channel signal; none for single channels.

    Returns:
        (n, channels, samples) float32 volts, and of each the group, the name, and the annotation in force throughout.
    """
    kept, groups, names, labels = [], [], [], []
    for trace in sources.traces:
        rows = _rows(trace, channels)
        if not rows:
            continue
        numbers = [row[np.isfinite(row)] for row in trace.eeg]
        typical = np.median([np.median(np.abs(row)) for row in numbers if len(row)] or [0.0]) * 1.4826
        for group, start in _stretches(trace, sources, split, samples, hop):
            label = in_force(trace.events, start, start + samples)
            for picked in rows:
                window = trace.eeg[picked, start : start + samples]
                window = window - window.mean(-1, keepdims=True)
                if not _ordinary(window, typical):
                    continue
                kept.append(window.astype(np.float32))
                groups.append(group)
                shown = trace.names[picked[0]].strip(".") if len(picked) == 1 else f"{len(picked)} channels"
                names.append(f"{trace.path.name} {shown} {start / sources.band.rate:.1f} s")
                labels.append(label)
    shape = (0, max(1, len(channels)), samples)
    return (np.stack(kept) if kept else np.zeros(shape, np.float32)), groups, names, labels


def _stretches(trace: Trace, sources: Sources, split: Split, samples: int, hop: int) -> Iterator[tuple[str, int]]:
    """Group and first sample of each window of a split that is usable throughout."""
    name = trace.path.name
    for block, first, end in blocks.spans(trace.eeg.shape[1], samples, split, sources.splits.get(trace.path)):
        group = sources.units.get(trace.path, name) if block == "whole" else f"{name}, {block}"
        for start in blocks.window_starts(first, end, samples, hop):
            if trace.usable[start : start + samples].all():
                yield group, int(start)


def _ordinary(window: Array, typical: float) -> bool:
    """Whether a window is all numbers that EEG reaches, each channel neither flat nor far stronger than the recording."""
    rms = np.sqrt(np.square(window).mean(-1))
    return bool(np.abs(window).max() <= HIGHEST and 0.1 * typical < rms.min() and rms.max() < 4 * typical)


def _rows(trace: Trace, channels: Sequence[str]) -> list[list[int]]:
    """The rows of each window's channels; none where a recording lacks a channel."""
    if not channels:
        return [[i] for i in range(len(trace.names))]
    found = places(trace.names)
    return [] if trace.lacks(channels) else [[found[name] for name in channels]]


def banks(sources: Sources, samples: int) -> dict[str, dict[Split, Bank]]:
    """Artifacts by kind and split: ``eog`` from the EOG channels, ``emg`` from recordings of muscle; empty where none is."""
    from scipy import signal

    found: dict[str, dict[Split, Bank]] = {"eog": {}, "emg": {}}
    low = signal.butter(4, EOG_LOWPASS, fs=sources.band.rate, output="sos")
    eyes = [(t.path, signal.sosfiltfilt(low, row)) for t in sources.traces for row in t.eog]
    for kind, rows, least in (("eog", eyes, 0.5), ("emg", list(sources.muscle), 0.3)):
        for split in SPLITS:
            bank = _bank(rows, sources, split, samples, least)
            if len(bank.starts):
                found[kind][split] = bank
    return found


def _bank(rows: Sequence[tuple[Path, Array]], sources: Sources, split: Split, samples: int, least: float) -> Bank:
    """The stretches of a split; pieces begin where they are at least ``least`` as strong as the strong ones of their row."""
    parts, starts, at = [], [], 0
    for path, row in rows:
        for _, first, end in blocks.spans(len(row), samples, split, sources.splits.get(path)):
            part = row[first:end]
            if len(part) < samples:
                continue
            begin = np.arange(0, len(part) - samples + 1, max(1, samples // 64))
            energy = np.concatenate([[0.0], np.cumsum(np.square(part))])
            rms = np.sqrt(np.maximum(energy[begin + samples] - energy[begin], 0.0) / samples)
            whole = np.concatenate([[0.0], np.cumsum(np.square(row))])
            every = np.sqrt(np.maximum(whole[samples:] - whole[:-samples], 0.0) / samples)
            strong = np.percentile(every, 90)
            chosen = begin[rms >= least * strong]
            scale = max(float(strong), 1e-30)
            parts.append((part / scale).astype(np.float32))
            starts.append(chosen + at)
            at += len(part)
    empty = np.zeros(0, np.float32)
    return Bank(
        np.concatenate(parts) if parts else empty,
        np.concatenate(starts).astype(np.int64) if starts else np.zeros(0, np.int64),
        samples,
        vary=split == "train",
    )
