"""Recordings in: whatever MNE reads, and what is needed to give the same kind back."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.eeg.band import Band, bridged
from domains.eeg.channels import Kind, indices, is_known, places, plain_name
from domains.eeg.header import VOLTS, Header, is_edf
from vaegan.errors import DataError

Array = NDArray[Any]

IMPLAUSIBLE = 5e-3
"""Volts of standard deviation that no scalp EEG has."""
READ = ("uV", "µV", "\x83\xcaV", "mV", "V")
"""Units that MNE knows in an EDF or BDF; it takes all others for volts."""
RAW_ENDINGS = (
    ".edf", ".bdf", ".gdf", ".vhdr", ".ahdr", ".set", ".fif", ".fif.gz", ".cnt", ".cdt", ".mff", ".egi", ".nedf", ".nxe",
    ".lay", ".data",
)  # fmt: skip
"""How the names of files end that are read."""


@dataclass(frozen=True)
class Original:
    """A recording as it was given, and what the model saw of it.

    Attributes:
        instance: an MNE Raw, Epochs or Evoked in memory (volts), or an array (..., samples).
        picks: the channels that the model restores.
        seen: (items, channels, samples) float32 volts, in the model's band at its rate.
        broken: True where the original was not finite, shaped as the picked data.
        band: how ``seen`` was made of it.
        rate: of the original, in Hz.
    """

    instance: Any
    picks: tuple[int, ...]
    seen: Array
    broken: Array
    band: Band
    rate: float


def as_raw(path: Path) -> Any:
    """An MNE Raw of a file, in memory, in volts.

    Raises:
        DataError: when the file is missing, of another kind, truncated or empty.
    """
    import mne

    if not path.is_file() and not path.is_dir():
        raise DataError(f"{path} does not exist", expected="a recording", mend="check the path")
    if not path.name.lower().endswith(RAW_ENDINGS):
        raise DataError(
            f"{path} is no recording that is read here", expected="a name ending in " + " ".join(RAW_ENDINGS)
        )
    gaps = Header.read(path).gaps(path) if is_edf(path) else []
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            raw = mne.io.read_raw(path, preload=True, verbose="WARNING")
    except Exception as error:  # MNE raises many kinds for files that are broken
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise DataError(
            f"{path} cannot be read ({reason})", expected="an intact recording", mend=_mend(error, reason)
        ) from error
    if raw.n_times < 2:
        raise DataError(f"{path} holds {raw.n_times} samples", expected="a recording")
    _check_frames(raw, path)
    _to_volts(raw, path)
    if gaps:
        warnings.warn(
            f"{path}: time is missing before {len(gaps)} of its data records (EDF+D); they are restored as though they were "
            "one, and keep their times and annotations where it is written back as the same format",
            UserWarning,
            stacklevel=2,
        )
    for words in (str(warning.message) for warning in said):
        if "annotation(s)" in words:
            warnings.warn(
                f"{path}: annotations outside of the recording ({words.rstrip('.')}); an EDF or BDF keeps them when it is "
                "written back, other formats cannot",
                UserWarning,
                stacklevel=2,
            )
    return raw


def _to_volts(raw: Any, path: Path) -> None:
    """Brings the channels of an EDF or BDF whose unit MNE does not know, and took for volts, to volts, in place."""
    if not is_edf(path):
        return
    header = Header.read(path)
    if len(header.channels) != len(raw.ch_names):
        return
    for i, signal in enumerate(header.channels):
        volts = header.volts(signal)
        if volts is not None and header.fields["unit"][signal] not in READ:
            raw._data[i] *= volts
            raw._orig_units[raw.ch_names[i]] = "µV"  # what was strange is not any more


def _mend(error: Exception, reason: str) -> str:
    """What to do about a file that MNE refuses."""
    if "read_epochs_eeglab" in reason:
        return "read its epochs with mne.read_epochs_eeglab, and give them to EEGDenoiser.transform"
    if "No raw data" in reason:  # a FIF of epochs, averages, sources, ...
        return (
            "read epochs with mne.read_epochs, averages with mne.read_evokeds, and give them to EEGDenoiser.transform"
        )
    if isinstance(error, ImportError) or "HDF reader" in reason:  # MATLAB's files of version 7.3
        return "pip install 'vaegan[eeg]', and the package that the message names"
    return "repair it"


def _check_frames(raw: Any, path: Path) -> None:
    """A BrainVision file whose data end between two channels: nothing in its header says how long it should be.

    Raises:
        DataError: with the bytes that are too many; for bytes in an order that MNE takes no notice of.
    """
    if path.suffix.lower() == ".vhdr" and re.search(rb"(?mi)^UseBigEndianOrder[ \t]*=[ \t]*YES", path.read_bytes()):
        raise DataError(
            f"{path} states UseBigEndianOrder=YES",
            expected="samples with their lowest byte first",
            mend="export it again without, as Analyzer does",
        )
    width = {"short": 2, "int16": 2, "int": 4, "single": 4}.get(str(getattr(raw, "orig_format", "")))
    if path.suffix.lower() != ".vhdr" or width is None:
        return
    data = Path(raw.filenames[0])
    over = data.stat().st_size % (width * len(raw.ch_names))
    if over:
        raise DataError(
            f"{data} is truncated: it ends {over} bytes into a sample of {len(raw.ch_names)} channels",
            expected="whole samples",
            mend="copy or export it again",
        )


def without_volts(instance: Any) -> list[str]:
    """Names of the channels of an EDF or BDF whose header states no unit of volts; MNE takes every channel for EEG."""
    files = [str(file).lower() for file in getattr(instance, "filenames", ())]
    if not any(file.endswith((".edf", ".bdf")) for file in files):
        return []
    units = getattr(instance, "_orig_units", {})
    return [name for name in instance.ch_names if units.get(name, "V").lower() not in VOLTS]


def channels_of(instance: Any, kind: Kind) -> list[int]:
    """Which channels of an MNE object are of a kind, in volts, and not marked bad."""
    names, left_out = list(instance.ch_names), {*instance.info["bads"], *without_volts(instance)}
    return [i for i in indices(names, instance.get_channel_types(), kind) if names[i] not in left_out]


def _channel(instance: Any, i: int) -> Array:
    """(items, samples) of one channel of an MNE object: a night of them all at once would be there several times."""
    values = instance.get_data(picks=[i]) if hasattr(instance, "get_data") else instance.data[[i]]
    return np.asarray(values).reshape(-1, values.shape[-1])


def opened(
    instance: Any, band: Band, *, channels: tuple[str, ...], what: str, least: int = 0, named: bool = True
) -> Original:
    """What a model sees of an MNE Raw, Epochs or Evoked.

    Args:
        instance: the object; it is not changed.
        band: what the model sees.
        channels: standard names of a multi-channel model's channels; none for a single-channel model.
        what: how to call it in a message.
        least: samples at the model's rate that it must have.
        named: whether its channels have names, of which something can be said.

    Raises:
        DataError: without EEG channels, without a channel that the model needs, or when it is too short.
    """
    if not getattr(instance, "preload", True):  # what stays on disk cannot be changed
        instance = instance.copy().load_data()
    rate, names, types = float(instance.info["sfreq"]), list(instance.ch_names), list(instance.get_channel_types())
    every, strange = channels_of(instance, "eeg"), without_volts(instance)
    if not every:
        kinds = ", ".join(sorted(set(types))) or "none"
        unit = f"; not in volts, by the header: {', '.join(strange[:5])}" if strange else ""
        raise DataError(
            f"{what} has no EEG channel (types: {kinds}; names: {', '.join(names[:5])}...{unit})",
            expected="a channel of type eeg, in volts, not marked bad, whose name is not another kind's (EOG, ECG, ...)",
            mend="set the types with raw.set_channel_types, or rename the channels",
        )
    picks = _chosen(names, every, channels, what, instance.info["bads"])
    samples = len(instance.times)
    if samples * band.rate / rate < least:
        raise DataError(
            f"{what} lasts {samples / rate:.2f} s",
            expected=f"at least one window of {least / band.rate:g} s",
            mend="give a longer recording",
        )
    seen, broken, strength = _seen(instance, picks, band, rate)
    if named and not channels and not hasattr(instance, "first_time"):  # epochs and averages have forgotten the units
        likely = _likely(strength)
        if not likely.all():
            _tell_of_odd(what, [names[i] for i, so in zip(picks, likely, strict=True) if not so])
            picks = [i for i, so in zip(picks, likely, strict=True) if so]
            seen, broken, strength = seen[:, likely], broken[:, likely], strength[:, likely]
    _tell(what, [names[i] for i in picks], strength, broken, strange, named=named and not channels)
    return Original(instance, tuple(picks), seen, broken, band, rate)


def _seen(instance: Any, picks: Sequence[int], band: Band, rate: float) -> tuple[Array, Array, Array]:
    """What a model sees of some channels, where these are not finite, and their standard deviations, (items, channels)."""
    seen, broken, strength = [], [], []
    for i in picks:
        whole, wrong = bridged(_channel(instance, i))
        seen.append(band.seen(whole, rate).astype(np.float32))
        broken.append(wrong)
        strength.append(whole.std(axis=-1))
    return np.stack(seen, 1), np.stack(broken, 1), np.stack(strength, 1)


def _likely(strength: Array) -> Array:
    """(channels,) False where one is not in volts, as others are; where all are odd it is the unit that is wrong."""
    likely = np.asarray(np.median(strength, axis=0) <= IMPLAUSIBLE)
    return likely if likely.any() else np.ones_like(likely)


def _tell_of_odd(what: str, odd: list[str]) -> None:
    warnings.warn(
        f"{what}: {len(odd)} channels ({_some(odd)}) have amplitudes that no scalp EEG has, and others have not: they "
        "are taken for something else than volts and left as they are",
        UserWarning,
        stacklevel=4,
    )


def _tell(what: str, names: list[str], strength: Array, broken: Array, strange: list[str], *, named: bool) -> None:
    """Says what is odd about a recording and does not keep it from being restored."""
    said = []
    unstated = [name for name in strange if is_known(name)]
    if unstated:
        said.append(
            f"{len(unstated)} channels are called as electrodes ({', '.join(unstated[:4])}...) but have no unit of volts; "
            "they are left as they are"
        )
    if broken.any():
        said.append(
            f"{100 * broken.mean():.2f} % of the samples are not finite; they are bridged for the model and stay as they "
            "were in what is written (as 0 in EDF and BDF, which hold whole numbers)"
        )
    if np.median(strength) > IMPLAUSIBLE:
        said.append("amplitudes that no scalp EEG has; values should be in volts: is the file's unit right?")
    if named and not any(is_known(name) for name in names):
        said.append(
            f"no channel is called as an electrode of the 10-05 system ({', '.join(names[:4])}...); all of its "
            f"{len(names)} channels of type eeg are restored"
        )
    for words in said:
        warnings.warn(f"{what}: {words}", UserWarning, stacklevel=4)


def lacking(names: Sequence[str], bads: Sequence[str], channels: Sequence[str]) -> str:
    """Which of a model's channels a recording does not offer, and why: absent, or marked bad; empty where it has all."""
    there, bad = {plain_name(name) for name in names}, {plain_name(name) for name in bads}
    missing = [name for name in channels if name not in there]
    marked = [name for name in missing if name in bad]
    absent = [name for name in missing if name not in bad]
    parts = [*([f"lacks {_some(absent)}"] if absent else []), *([f"{_some(marked)} marked bad"] if marked else [])]
    return ", and ".join(parts)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _chosen(names: list[str], every: list[int], channels: tuple[str, ...], what: str, bads: Sequence[str]) -> list[int]:
    if not channels:
        return every
    found = {name: every[i] for name, i in places([names[i] for i in every]).items()}
    missing = lacking(list(found), bads, channels)
    if not missing:
        picks = [found[name] for name in channels]
        again = [names[i] for i in every if i not in picks and plain_name(names[i]) in channels]
        if again:
            warnings.warn(
                f"{what}: {_some(again)} are of electrodes that other channels are of too, and are left as they are",
                UserWarning,
                stacklevel=4,
            )
        return picks
    only_bad = "lacks" not in missing
    raise DataError(
        f"{what}: {missing}, of the {len(channels)} channels that the model restores (it has {', '.join(names[:6])}, ...)",
        expected="the channels that the model was trained on, none of them marked bad",
        mend="raw.interpolate_bads(), or use a single-channel model"
        if only_bad
        else "rename them with raw.rename_channels, interpolate them, or use a single-channel model",
    )


def changed(original: Original, restored: Array, channel: int, rate: float, samples: int) -> Array:
    """What the model changed in one channel, at any rate.

    Args:
        original: as :func:`opened` gave it.
        restored: (items, channels, samples) volts, at the model's rate.
        channel: its place among the restored ones.
        rate: in Hz.
        samples: that the recording has at this rate.

    Returns:
        (items, samples) volts.
    """
    change = restored[:, channel].astype(np.float64) - original.seen[:, channel]
    return original.band.returned(change, rate, samples)


def returned(original: Original, restored: Array) -> Any:
    """A copy of the original in which the restored channels carry what the model changed.

    What the model did not see (slow drift, frequencies above its band, other channels) is as it was. Epochs and averages
    with a baseline keep it: the mean of each restored channel over that interval is as it was.

    Args:
        original: as :func:`opened` gave it.
        restored: (items, channels, samples) volts, at the model's rate.
    """
    copy = original.instance.copy()
    data = copy._data if hasattr(copy, "_data") else copy.data  # Epochs have an axis before the channels
    inside = _baseline(original.instance, original.rate)
    for k, i in enumerate(original.picks):
        back = changed(original, restored, k, original.rate, data.shape[-1])
        if inside.any():
            back -= back[:, inside].mean(axis=-1, keepdims=True)
        part = data[..., i, :]
        part += np.where(original.broken[:, k], 0.0, back).reshape(part.shape)
    return copy


def _baseline(instance: Any, rate: float) -> Array:
    """(samples,) True in the interval whose mean an Epochs or Evoked says is 0; nowhere where it says none."""
    interval = getattr(instance, "baseline", None)
    if interval is None:
        return np.zeros(1, bool)
    first, last = (-np.inf if interval[0] is None else interval[0], np.inf if interval[1] is None else interval[1])
    near = 0.5 / rate  # MNE rounds to the nearest sample
    return np.asarray((instance.times >= first - near) & (instance.times < last + near))
