"""EEGdenoiseNet (Zhang et al. 2021): single-channel epochs of clean EEG, of eyes and of muscle."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from domains.eeg.artifacts import TRAVELLING, Bank, SNRConvention
from domains.eeg.band import Band
from domains.eeg.baselines import eeg_baselines
from domains.eeg.makers import artifact_makers
from domains.eeg.metrics import eeg_metrics
from domains.folders import files_below
from vaegan.baselines import Baseline
from vaegan.data import SPLITS, SignalSet, Split, file_sha256
from vaegan.degradation import Degradation
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.metrics.restoration import Metric
from vaegan.signal import Axis, SignalSpec

Protocol = Literal["leak-free", "published"]
Array = np.ndarray[Any, Any]

PUBLISHED: dict[str, dict[str, tuple[float, float, float]]] = {
    "eog": {
        "FCNN": (0.367, 0.337, 0.906),
        "simple CNN": (0.359, 0.361, 0.916),
        "complex CNN": (0.336, 0.343, 0.923),
        "RNN (LSTM)": (0.411, 0.389, 0.900),
    },
    "emg": {
        "FCNN": (0.569, 0.552, 0.804),
        "simple CNN": (0.639, 0.643, 0.787),
        "complex CNN": (0.632, 0.604, 0.786),
        "RNN (LSTM)": (0.561, 0.521, 0.816),
    },
}
"""RRMSE in time, RRMSE of the spectrum, CC, means over ten SNR levels (arXiv 2009.11662v1, tables 1 and 2)."""
LEAST = 10
"""Epochs of each kind that it takes to divide them."""


@dataclass(frozen=True)
class EEGDenoiseNet(Domain):
    """EEGdenoiseNet's arrays: clean EEG in epochs of two seconds, with its EOG and EMG epochs as artifacts.

    Args:
        data: the folder with ``EEG_all_epochs.npy``, ``EOG_all_epochs.npy`` and ``EMG_all_epochs.npy`` (searched
            recursively; any one of the two artifacts may be missing, and both where a run that brings its own is judged), or
            ``None`` for semi-simulated arrays of that layout.
        rate: 256 (epochs of 512), or 512 Hz (``..._512hz.npy``, epochs of 1,024, for muscle), which the published figures
            for muscle use.
        protocol: ``"leak-free"`` divides EEG and artifacts 80/10/10 before anything is combined, equal epochs in one
            split; ``"published"`` repeats the authors' code for muscle: EEG epochs drawn again to match the artifacts'
            number *before* the split, so that some are in two splits.
        unit: volts of one unit of the arrays; they are in microvolts.
        full_scale: volts that are 1 in model units.
        snr_convention: what a dB of SNR means: ``"eegdenoisenet"`` or ``"power"``.
    """

    data: Path | None = None
    rate: int = 256
    protocol: Protocol = "leak-free"
    unit: float = 1e-6
    full_scale: float = 5e-3
    snr_convention: SNRConvention = "eegdenoisenet"
    kept: Mapping[str, Array] | None = field(default=None, repr=False, compare=False, metadata={"asset": True})
    split: Split = field(default="train", repr=False, compare=False, metadata={"asset": True})

    def __post_init__(self) -> None:
        if self.data is not None:
            object.__setattr__(self, "data", Path(self.data).expanduser())
        if self.rate not in (256, 512):
            raise UserError(f"a rate of {self.rate} Hz", expected="256 or 512", mend="set --domain.rate")
        for name, kind in (("protocol", Protocol), ("snr_convention", SNRConvention)):
            if getattr(self, name) not in get_args(kind):
                flag = f"set --domain.{name.replace('_', '-')}"
                raise UserError(f"{name} {getattr(self, name)!r}", expected=" or ".join(get_args(kind)), mend=flag)

    @property
    def spec(self) -> SignalSpec:
        """One channel of two seconds."""
        axes = (Axis("time", 2 * self.rate, 1.0 / self.rate, "s"),)
        return SignalSpec(1, axes, "V", (-self.full_scale, self.full_scale))

    @property
    def band(self) -> Band:
        """What a model of these epochs sees of a recording: 1 to 80 Hz, as the authors filtered theirs."""
        return Band(1.0, 80.0, float(self.rate))

    def dataset(self, split: Split) -> SignalSet:
        """Clean epochs of a split, (n, 1, 512 or 1024) float32 volts; flat ones are left out.

        Raises:
            DataError: for missing arrays, or arrays of another shape.
        """
        arrays = self._arrays()
        rows = np.flatnonzero(arrays["splits"] == split)
        source = (
            f"EEGdenoiseNet's layout, {self.rate} Hz, {self.protocol} split"
            if self.data is not None
            else "semi-simulated arrays in EEGdenoiseNet's layout (embedded)"
        )
        # In the published protocol an epoch that was drawn twice is two items, as in the authors' code.
        names = np.asarray([f"epoch {arrays['which'][row]}" for row in rows])
        groups = names if self.protocol == "leak-free" else np.asarray([f"{n}, {split}" for n in names])
        return SignalSet(
            arrays["eeg"][rows][:, None],
            groups,
            names,
            source=f"{source}; SNR convention {self.snr_convention}{f'; {TRAVELLING}' if self._travelling(arrays) else ''}",
            unused=tuple(arrays["unused"].tolist()),
            sha256=str(arrays["sha256"]),
        )

    def on_split(self, split: Split) -> EEGDenoiseNet:
        """The same domain, with the artifact epochs of this split only."""
        return replace(self, split=split)

    def assets(self) -> Mapping[str, Array]:
        """The artifact epochs of every split."""
        if self.kept is not None:
            return self.kept
        return {name: values for name, values in self._arrays().items() if name.startswith("bank.")}

    def with_assets(self, assets: Mapping[str, Array]) -> EEGDenoiseNet:
        """The same domain with the artifacts that a run kept."""
        return replace(self, kept=dict(assets)) if assets else self

    def degradations(self) -> Mapping[str, Callable[..., Degradation]]:
        """As of :class:`domains.eeg.EEG`; whole epochs are added, as in the protocol."""
        assets, banks, length = self.assets(), {}, 2 * self.rate
        for kind in ("eog", "emg"):
            name = f"bank.{kind}.{self.split}"
            if name in assets:
                epochs = np.asarray(assets[name])
                banks[kind] = Bank(epochs.reshape(-1), np.arange(len(epochs)) * length, length)
        own = artifact_makers(banks, float(self.rate), 50.0, self.snr_convention)
        return {**super().degradations(), **own}

    def baselines(self) -> Mapping[str, Baseline]:
        """Band-pass, wavelet threshold, linear MMSE."""
        return eeg_baselines(self.spec)

    def metrics(self) -> Mapping[str, Metric]:
        """RRMSE in time and spectrum, CC, SNR, band shares."""
        return eeg_metrics(float(self.rate))

    def read(self, path: Path) -> Recording:
        """A recording whole, as a model of these epochs sees it: 1 to 80 Hz; see :mod:`domains.eeg.files`."""
        from domains.eeg.files import read_recording

        return read_recording(Path(path), self.band, (), 2 * self.rate)

    def write(self, recording: Recording, path: Path) -> Path:
        """Writes the same kind of file; see :func:`domains.eeg.files.write_recording`."""
        from domains.eeg.files import write_recording

        return write_recording(recording, Path(path))

    def report_sections(self, restore: Callable[[Recording], Recording], test: SignalSet, n: int) -> Mapping[str, str]:
        """The published figures beside this run's; and what is left of the signal."""
        from domains.eeg import survival

        published = survival.published_section(self, restore, PUBLISHED, test, n)
        return {"Beside the published figures": published, **survival.of(self, restore, test, n)}

    def _arrays(self) -> dict[str, Array]:
        return _loaded(self.data, self.rate, self.protocol, self.unit, self.kept is not None)

    def _travelling(self, own: Mapping[str, Array]) -> bool:
        """Whether the artifacts are a run's own, and not those of the data."""
        return self.kept is not None and not all(
            name in own and np.array_equal(own[name], epochs) for name, epochs in self.kept.items()
        )


@lru_cache(maxsize=4)
def _loaded(data: Path | None, rate: int, protocol: str, unit: float, clean_alone: bool) -> dict[str, Array]:
    """EEG epochs with their splits, and artifacts by split, which may be missing where ``clean_alone``."""
    raw, digest = _simulated(rate) if data is None else _found(data, rate, clean_alone)
    rows = {kind: _not_flat(epochs, f"{data}: {kind.upper()}") for kind, epochs in raw.items()}
    flat = {kind: len(raw[kind]) - len(kept) for kind, kept in rows.items()}
    unused = [f"{count} flat epochs of {kind.upper()}" for kind, count in flat.items() if count]
    if unused:
        digest = hashlib.sha256(f"{digest} without {unused}".encode()).hexdigest()
    raw = {kind: raw[kind][kept] for kind, kept in rows.items()}
    generator = np.random.default_rng(0)
    result: dict[str, Array] = {}
    eeg = raw["eeg"].astype(np.float32) * np.float32(unit)
    which = np.arange(len(eeg))
    if protocol == "published" and "emg" in raw and len(raw["emg"]) > len(eeg):
        which = np.concatenate([which, generator.integers(0, len(eeg), len(raw["emg"]) - len(eeg))])
        splits = _shares(len(which), generator)
    else:
        splits = _by_content(eeg)
    result["eeg"], result["which"], result["splits"] = eeg[which], rows["eeg"][which], splits
    for kind in ("eog", "emg"):
        if kind in raw:
            own = _by_content(raw[kind]) if protocol == "leak-free" else _shares(len(raw[kind]), generator)
            for split in SPLITS:
                result[f"bank.{kind}.{split}"] = raw[kind][own == split].astype(np.float32)
    result["sha256"] = np.asarray(digest)
    result["unused"] = np.asarray(unused, np.str_)
    return result


def _not_flat(epochs: Array, what: str) -> Array:
    """The rows that hold a signal: the others have no SNR, and no size that a model could divide by.

    Raises:
        DataError: when too few are left.
    """
    rows = np.flatnonzero(np.ptp(epochs, axis=1) > 0)
    if len(rows) < LEAST:
        raise DataError(f"{what}: {len(rows)} of {len(epochs)} epochs are not flat", expected=f"at least {LEAST}")
    return rows


def _shares(n: int, generator: np.random.Generator) -> Array:
    """80, 10 and 10 % of the rows, shuffled."""
    splits = np.full(n, "train", dtype="<U5")
    order = generator.permutation(n)
    tenth = max(1, n // 10)
    splits[order[:tenth]], splits[order[tenth : 2 * tenth]] = "val", "test"
    return splits


def _by_content(epochs: Array) -> Array:
    """80, 10 and 10 %, ordered by a hash of the values: equal epochs are in one split, whatever their place."""
    keys = [hashlib.sha256(np.ascontiguousarray(epoch, np.float32).tobytes()).hexdigest() for epoch in epochs]
    unique = sorted(set(keys))
    tenth = max(1, round(len(unique) / 10))
    where = {key: "test" if i < tenth else "val" if i < 2 * tenth else "train" for i, key in enumerate(unique)}
    return np.asarray([where[key] for key in keys])


def _found(data: Path, rate: int, clean_alone: bool) -> tuple[dict[str, Array], str]:
    """The arrays of a folder.

    Raises:
        DataError: naming what is missing, or has another shape.
    """
    if not data.exists():
        raise DataError(f"{data} does not exist", expected="EEGdenoiseNet's folder", mend="set --data")
    found: dict[str, Array] = {}
    inside = files_below(data)
    digest = hashlib.sha256()
    for kind in ("eeg", "eog", "emg"):
        names = [f"{kind.upper()}_all_epochs{'_512hz' if rate == 512 else ''}.npy"]
        path = next((p for name in names for p in inside if p.name == name), None)
        if path is None:
            continue
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path} cannot be read ({error})", expected="a .npy file of numbers", mend="copy or download it again"
            ) from error
        if not isinstance(array, np.ndarray):
            raise DataError(f"{path} is an archive of arrays", expected="a .npy file of numbers", mend="extract it")
        if array.ndim != 2 or array.shape[1] != 2 * rate or len(array) < LEAST or array.dtype.kind not in "fiu":
            raise DataError(
                f"{path} holds {array.dtype} {array.shape}",
                expected=f"numbers (n, {2 * rate}) with n at least {LEAST}",
                mend="set --domain.rate 512 for epochs of 1,024" if array.shape[-1:] == (1024,) else "",
            )
        if not np.isfinite(array).all():
            raise DataError(f"{path} holds values that are not finite", expected="numbers")
        found[kind] = array
        digest.update(file_sha256(path).encode())
    if "eeg" not in found or (len(found) < 2 and not clean_alone):
        extra = "_512hz" if rate == 512 else ""
        raise DataError(
            f"{data} has {', '.join(sorted(found)) or 'none'} of EEGdenoiseNet's arrays at {rate} Hz",
            expected=f"EEG_all_epochs{extra}.npy and EOG_all_epochs{extra}.npy or EMG_all_epochs{extra}.npy",
            mend="set --data to its data folder",
        )
    return found, digest.hexdigest()


def _simulated(rate: int) -> tuple[dict[str, Array], str]:
    """Semi-simulated arrays of the same layout, in microvolts."""
    from domains.eeg.simulate import background, bursts, eyes

    length, count = 2 * rate, 96
    generator = np.random.default_rng(7)
    eeg, _ = background(generator, ("C3", "Oz"), rate, count)
    eyes_trace, muscle = eyes(generator, rate, 2.0 * count), bursts(generator, rate, 2.0 * count)
    rows = {"eeg": eeg.reshape(-1, length), "eog": eyes_trace.reshape(-1, length), "emg": muscle.reshape(-1, length)}
    return {kind: 1e6 * values for kind, values in rows.items()}, f"simulated-{rate}-1"
