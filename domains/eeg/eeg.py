"""The domain of EEG."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np

from domains.eeg import blocks
from domains.eeg.artifacts import TRAVELLING, Bank, SNRConvention
from domains.eeg.band import Band
from domains.eeg.baselines import eeg_baselines
from domains.eeg.channels import TEN_TWENTY, plain_name
from domains.eeg.generation import judge
from domains.eeg.makers import artifact_makers
from domains.eeg.metrics import eeg_metrics
from domains.eeg.sources import Sources, Trace, banks, clean_windows, files_of, load_sources
from vaegan.baselines import Baseline
from vaegan.data import SPLITS, SignalSet, Split, cached_arrays, file_sha256
from vaegan.degradation import Degradation
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.metrics.features import Extractor
from vaegan.metrics.restoration import Metric
from vaegan.signal import Axis, SignalSpec

VERSION = "eeg-3"
"""Part of the data's fingerprint: another one when the windows or artifacts that are made of them change."""
CACHED = "eeg-5"
"""Begins the names in the cache: another one when only what is said of the data changes, and runs stay what they are."""
SIMULATED = "eeg-1"
"""The same for semi-simulated windows without classes, which are still those of the first version."""

STAND_IN = "simulated, as none was recorded"
"""What is said of artifacts that the data do not hold."""
KINDS = ("eog", "emg")
"""Artifacts that are recorded."""


@dataclass(frozen=True)
class EEG(Domain):
    """Windows of EEG in volts: single channels, or a set of named electrodes.

    Args:
        data: a recording that MNE reads, or a folder of them (searched recursively); their EOG channels, and recordings
            of muscle beside them, become the artifacts of training. ``None`` for semi-simulated recordings.
        channels: electrodes of a multi-channel signal, such as ``Fz Cz Pz``, in any spelling (``FZ``, ``T3`` for ``T7``);
            none for single channels.
        rate: samples a second that the model sees.
        samples: of a window.
        highpass: corner in Hz below which the model sees nothing (and changes nothing); 0 for none.
        lowpass: corner in Hz above which it sees nothing; ``None`` for 0.45 times the lowest sampling rate of all
            recordings, so that no recording can be told by its rate.
        muscle_lowpass: corner in Hz up to which muscle reaches; ``None`` for ``lowpass``, as if one amplifier had recorded
            both. Above ``lowpass`` everything is then muscle, and restoring takes it out: EEGdenoiseNet's artifacts reach
            120 Hz and its EEG 80.
        full_scale: volts that are 1 in model units.
        mains: frequency of the mains in Hz.
        snr_convention: what a dB of SNR means: ``"eegdenoisenet"`` or ``"power"``.
        classes: annotations that are classes, such as ``T1 T2``: only windows in which one is in force throughout are used.
    """

    data: Path | None = None
    channels: tuple[str, ...] = ()
    rate: float = 256.0
    samples: int = 512
    highpass: float = 0.5
    lowpass: float | None = None
    muscle_lowpass: float | None = None
    full_scale: float = 1e-3
    mains: float = 50.0
    snr_convention: SNRConvention = "eegdenoisenet"
    classes: tuple[str, ...] = ()
    kept: Mapping[str, np.ndarray[Any, Any]] | None = field(
        default=None, repr=False, compare=False, metadata={"asset": True}
    )
    split: Split = field(default="train", repr=False, compare=False, metadata={"asset": True})

    def __post_init__(self) -> None:
        if self.data is not None:
            object.__setattr__(self, "data", Path(self.data).expanduser())
        for name in ("channels", "classes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "channels", tuple(map(_standard, self.channels)))
        if len(set(self.channels)) < len(self.channels):
            raise UserError(
                f"channels {' '.join(self.channels)}", expected="each electrode once", mend="set --domain.channels"
            )
        if self.snr_convention not in get_args(SNRConvention):
            raise UserError(
                f"snr_convention {self.snr_convention!r}",
                expected="eegdenoisenet or power",
                mend="set --domain.snr-convention",
            )
        if self.samples < 8 or not self.full_scale > 0:
            raise UserError(
                f"windows of {self.samples} samples, {self.full_scale} V",
                expected="at least 8 samples, above 0 V",
                mend="set --domain.samples or --domain.full-scale",
            )

    @property
    def spec(self) -> SignalSpec:
        """One channel, or one for each electrode, along time."""
        axes = (Axis("time", self.samples, 1.0 / self.rate, "s"),)
        return SignalSpec(max(1, len(self.channels)), axes, "V", (-self.full_scale, self.full_scale))

    @property
    def band(self) -> Band:
        """What the model sees of a recording."""
        return Band(self.highpass, self._corner(), self.rate).up_to(self.muscle_lowpass)

    def dataset(self, split: Split) -> SignalSet:
        """Clean windows of a split, in volts.

        Recordings are divided by subject (where names tell none: by folder or file) where there are at least eight, else
        each by blocks of time with a gap of one window between them; ``source`` says which.

        Returns:
            signals (n, channels, samples) float32.

        Raises:
            DataError: when there is nothing to train on, or nothing clean.
        """
        arrays = self._arrays()
        signals = arrays[f"{split}.signals"]
        groups, names, labels = (_words(arrays[f"{split}.{what}"]) for what in ("groups", "names", "labels"))
        rows = np.arange(len(signals))
        numbers = None
        if self.classes:
            rows = np.flatnonzero(np.isin(labels, self.classes))
            numbers = np.asarray([self.classes.index(label) for label in labels[rows].tolist()], np.int64)
        if not len(rows):
            wanted = f" in which {' or '.join(self.classes)} is in force throughout" if self.classes else ""
            raise DataError(
                f"{self.data}: no clean window{wanted} is left for the split {split!r}",
                expected="windows below 150 µV, away from eye movements and from what annotations call bad",
                mend="give more or cleaner recordings with --data",
            )
        everything = SignalSet(
            signals=signals,
            groups=groups,
            names=names,
            source=self._said(str(_words(arrays["source"])[0])) + self._doubts(),
            unused=tuple(_words(arrays["unused"]).tolist()),
            sha256=str(_words(arrays["sha256"])[0]),
        )
        taken = everything.take(rows)
        return replace(taken, labels=numbers, class_names=self.classes)

    def everything(self) -> SignalSet:
        """All clean windows, whatever split they would be in; a split may be empty."""
        parts, error = [], None
        for split in SPLITS:
            try:
                parts.append(self.dataset(split))
            except DataError as found:
                error = found
        if not parts:
            assert error is not None
            raise error
        names = ("signals", "groups", "names", "labels")
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in names
            if getattr(parts[0], name) is not None
        }
        return replace(parts[0], **joined)

    def on_split(self, split: Split) -> EEG:
        """The same domain, with the artifacts of this split only."""
        return replace(self, split=split)

    def assets(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """The artifacts of every split, and the low-pass corner: what restoring and judging need beside clean signals."""
        if self.kept is not None:
            return self.kept
        arrays = self._arrays()
        names = [name for name in arrays if name.startswith("bank.")]
        return {"lowpass": np.asarray(self._corner()), **{name: np.asarray(arrays[name]) for name in names}}

    def with_assets(self, assets: Mapping[str, np.ndarray[Any, Any]]) -> EEG:
        """The same domain with the artifacts that a run kept."""
        return replace(self, kept=dict(assets)) if assets else self

    def degradations(self) -> Mapping[str, Callable[..., Degradation]]:
        """Recorded ``eog emg eog+emg``, by formula ``line pop drift ecg white clip flat drop``, and the general ones."""
        own = artifact_makers(self._banks(), self.rate, self.mains, self.snr_convention, self.channels)
        return {**super().degradations(), **own}

    def baselines(self) -> Mapping[str, Baseline]:
        """Band-pass, wavelet threshold, linear MMSE; with a forehead also regression and ICA."""
        return eeg_baselines(self.spec, self.channels)

    def metrics(self) -> Mapping[str, Metric]:
        """RRMSE in time and spectrum, CC, SNR, band shares."""
        return eeg_metrics(self.rate)

    def features(self) -> Extractor:
        """A small network trained on EEG; see :mod:`domains.eeg.network`."""
        from domains.eeg.network import NetworkFeatures

        return NetworkFeatures(self.rate)

    def judge_generated(
        self, drawn: np.ndarray[Any, Any], real: np.ndarray[Any, Any]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Distances of spectra, autocorrelations, projections and covariances; see :mod:`domains.eeg.generation`."""
        return judge(drawn, real, self.rate)

    def report_sections(self, restore: Callable[[Recording], Recording], test: SignalSet, n: int) -> Mapping[str, str]:
        """Error at each SNR level, what is left of the signal and of recorded responses; see :mod:`domains.eeg.survival`."""
        from domains.eeg import erp, survival

        return {**survival.of(self, restore, test, n), **erp.section(self, restore)}

    def read(self, path: Path) -> Recording:
        """A recording whole, as the model sees it; see :mod:`domains.eeg.files`."""
        from domains.eeg.files import read_recording

        return read_recording(Path(path), self.band, self.channels, self.samples)

    def read_item(self, path: Path) -> Recording:
        """A recording; see :meth:`read`."""
        return self.read(path)

    def write(self, recording: Recording, path: Path) -> Path:
        """Writes the same kind of file; see :func:`domains.eeg.files.write_recording`."""
        from domains.eeg.files import write_recording

        return write_recording(recording, Path(path))

    def _travelling(self) -> bool:
        """Whether the artifacts are a run's own, and not those of the data."""
        if self.kept is None:
            return False
        own = self._arrays()
        names = {name for name in (*own, *self.kept) if name.startswith("bank.") and name.endswith(".samples")}
        return any(
            name not in own or name not in self.kept or not np.array_equal(own[name], self.kept[name]) for name in names
        )

    def _said(self, source: str) -> str:
        """A description of the data, with where the artifacts are from: a run brings its own."""
        if not self._travelling():
            return source
        parts = [part for part in source.split("; ") if not part.endswith(STAND_IN)]
        return "; ".join([*parts, TRAVELLING])

    def borrowed(self, split: Split) -> tuple[str, ...]:
        """Kinds of artifact of which too little was recorded for a split, so that it uses those of training."""
        assets = self.assets()
        return tuple(
            kind
            for kind in KINDS
            if f"bank.{kind}.train.samples" in assets and f"bank.{kind}.{split}.samples" not in assets
        )

    def _doubts(self) -> str:
        """What must stand beside every number: for which splits artifacts were borrowed, and what a dB is."""
        lacking = {kind: [split for split in SPLITS if kind in self.borrowed(split)] for kind in KINDS}
        borrowed = "".join(
            f"; too little {kind} for {' and '.join(splits)}: that of training is used there, so it is NOT independent"
            for kind, splits in lacking.items()
            if splits
        )
        return f"{borrowed}; SNR convention {self.snr_convention}"

    def _banks(self) -> dict[str, Bank]:
        """The artifacts of this split; those of training, as they were recorded, where it has none (:meth:`borrowed`)."""
        assets = self.assets()
        found = {}
        for kind in KINDS:
            for split in (self.split, "train"):
                if f"bank.{kind}.{split}.samples" in assets:
                    samples, starts = (
                        np.asarray(assets[f"bank.{kind}.{split}.{part}"]) for part in ("samples", "starts")
                    )
                    found[kind] = Bank(samples, starts, self.samples, vary=self.split == "train")
                    break
        return found

    def _corner(self) -> float:
        """Up to which frequency, in Hz, clean EEG is known."""
        if self.lowpass is not None:
            return self.lowpass
        if self.kept is not None and "lowpass" in self.kept:
            return float(self.kept["lowpass"])
        return float(self._arrays()["lowpass"])

    def _arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        stated = None if self.kept is None else self.kept.get("lowpass")
        lowpass = self.lowpass if self.lowpass is not None or stated is None else float(stated)
        hop = self.samples // (4 if self.classes else 2)  # the windows of a class are few
        return _prepared(
            self.data, self.channels, self.rate, self.samples, self.highpass, lowpass, self.muscle_lowpass, hop
        )


@lru_cache(maxsize=4)
def _prepared(
    data: Path | None,
    channels: tuple[str, ...],
    rate: float,
    samples: int,
    highpass: float,
    lowpass: float | None,
    muscle_lowpass: float | None,
    hop: int,
) -> dict[str, np.ndarray[Any, Any]]:
    """Everything that training needs of a folder, decoded once."""
    unusual = [*([hop] if hop != samples // 2 else []), *([f"muscle {muscle_lowpass}"] if muscle_lowpass else [])]
    version = SIMULATED if data is None and hop == samples // 2 else VERSION
    options = repr((version, channels, rate, samples, highpass, lowpass, *unusual))
    if data is None:
        from domains.eeg.simulate import simulated

        band = Band(highpass, lowpass or 0.45 * rate, rate)
        sources = simulated(rate, samples, channels, band, muscle_lowpass)
        text = "semi-simulated recordings of 10 subjects (embedded), divided by subject"
        digest = hashlib.sha256(options.encode()).hexdigest()
        return _as_arrays(sources, channels, samples, hop, text, digest, muscle_lowpass)
    if not data.exists():
        raise DataError(f"{data} does not exist", expected="a recording, or a folder of them", mend="set --data")
    files = sorted(
        inside
        for path in files_of(data)
        for inside in ([path] if path.is_file() else path.rglob("*"))
        if inside.is_file()
    )
    content = "/".join(
        f"{path.relative_to(data) if data.is_dir() else path.name}:{file_sha256(path)}" for path in files
    )
    key = hashlib.sha256(f"{options}/{content}".encode()).hexdigest()

    def build() -> dict[str, np.ndarray[Any, Any]]:
        sources = load_sources(
            data, rate=rate, samples=samples, highpass=highpass, lowpass=lowpass, muscle_lowpass=muscle_lowpass
        )
        how = f"divided by {sources.how if sources.splits else blocks.BLOCKS}"
        used = _with_channels(data, sources, channels)
        named = ", ".join(sorted(trace.path.name for trace in used)[:6])
        text = f"{len(used)} recordings ({named}), {how}; {sources.band.highpass:g} to {sources.band.lowpass:g} Hz"
        if muscle_lowpass is not None:
            text += f", muscle to {sources.band.up_to(muscle_lowpass).lowpass:g} Hz"
        return _as_arrays(sources, channels, samples, hop, text, key, muscle_lowpass)

    return cached_arrays(f"{CACHED}-{key[:24]}", build)


def _standard(name: str) -> str:
    """An electrode's standard name; the usual ones without MNE, whose import every command would wait for."""
    return name if name in TEN_TWENTY else plain_name(name)


def _with_channels(data: Path, sources: Sources, channels: tuple[str, ...]) -> list[Trace]:
    """The recordings that have all channels of a multi-channel signal.

    Raises:
        DataError: where none has.
    """
    reasons = {trace.path.name: trace.lacks(channels) for trace in sources.traces}
    used = [trace for trace in sources.traces if not trace.lacks(channels)]
    if not used:
        shown = "; ".join(f"{name} {reason}" for name, reason in list(reasons.items())[:4])
        raise DataError(
            f"{data}: no recording has all of the {len(channels)} channels ({shown})",
            expected=" ".join(channels),
            mend="set --domain.channels to electrodes that the recordings have, or interpolate what is marked bad",
        )
    return used


def _as_arrays(
    sources: Sources,
    channels: tuple[str, ...],
    samples: int,
    between: int,
    source: str,
    sha256: str,
    muscle_lowpass: float | None,
) -> dict[str, np.ndarray[Any, Any]]:
    arrays: dict[str, np.ndarray[Any, Any]] = {"lowpass": np.asarray(sources.band.lowpass)}
    for split in SPLITS:
        hop = samples // 4 if split == "train" else between
        signals, groups, names, labels = clean_windows(sources, split, samples, hop, channels)
        arrays[f"{split}.signals"] = signals
        for what, words in (("groups", groups), ("names", names), ("labels", labels)):
            arrays[f"{split}.{what}"] = np.asarray(words or [""][: len(words)], dtype=np.str_)
    found = banks(sources, samples)
    lacking = [kind for kind, by_split in found.items() if "train" not in by_split]
    if lacking:
        from domains.eeg.simulate import simulated

        stand_in = banks(simulated(sources.band.rate, samples, channels, sources.band, muscle_lowpass), samples)
        found |= {kind: stand_in[kind] for kind in lacking}
        source += f"; {' and '.join(lacking)} {STAND_IN}"
    for kind, by_split in found.items():
        for split, bank in by_split.items():
            arrays[f"bank.{kind}.{split}.samples"], arrays[f"bank.{kind}.{split}.starts"] = bank.samples, bank.starts
    skipped = [f"{item.name} ({item.reason})" for item in sources.skipped]
    partly = [
        f"{trace.path.name} ({reason}{'; only its EOG is used' if len(trace.eog) else ''})"
        for trace in sources.traces
        if (reason := trace.lacks(channels))
    ]
    arrays["unused"] = np.asarray([*sources.unused, *skipped, *partly], dtype=np.str_)
    arrays["source"], arrays["sha256"] = np.asarray([source]), np.asarray([sha256])
    return arrays


def _words(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array of strings that was kept in the cache."""
    return np.asarray(array, dtype=np.str_)
