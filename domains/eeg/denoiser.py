"""The face that users of MNE and scikit-learn expect: ``fit``, ``transform``, and a stream."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from domains.eeg.eeg import EEG
from domains.eeg.files import as_signals
from domains.eeg.reading import Original, opened, returned, without_volts
from domains.eeg.stream import Stream
from vaegan.domain import Recording
from vaegan.errors import DataError, UserError
from vaegan.files import make_folder

if TYPE_CHECKING:
    from vaegan.run import Run

Array = np.ndarray[Any, Any]


class EEGDenoiser(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Takes eye movements and muscle out of EEG.

    Args:
        run: a trained run (a folder, or a :class:`vaegan.run.Run`), or ``None`` to train on what ``fit`` is given.
        minutes: of training, where ``run`` is ``None``.
        sfreq: samples a second of plain arrays; MNE objects bring their own.
        threshold: artifact score from which :meth:`annotate` marks a second.
        folder: where runs trained by ``fit`` are kept, each in a new folder of its own (``fit-1``, ``fit-2``, ...);
            ``None`` for a temporary one.

    Attributes:
        run_: the run that restores, after ``fit``.
    """

    def __init__(
        self,
        run: str | Path | Run | None = None,
        *,
        minutes: float = 10.0,
        sfreq: float | None = None,
        threshold: float = 1.0,
        folder: str | Path | None = None,
    ) -> None:
        self.run, self.minutes, self.sfreq, self.threshold, self.folder = run, minutes, sfreq, threshold, folder

    def fit(self, X: Any = None, y: Any = None) -> EEGDenoiser:
        """Loads the run; where there is none, trains ``eeg/denoise`` on the clean stretches of ``X``.

        Args:
            X: MNE Raw to train on (at least 40 s, with its EOG channels where it has any), or Epochs that do not overlap
                and last a window each, which are joined end to end. With a run it is not looked at.
            y: not used.

        Raises:
            UserError: when there is neither a run nor a Raw or Epochs to train on.
            DataError: when they hold too little clean EEG, or Epochs are shorter than a window.
        """
        from vaegan.run import Run, load

        if isinstance(self.run, Run):
            self.run_ = self.run
        elif self.run is not None:
            self.run_ = load(Path(self.run))
        else:
            self.run_ = self._trained(X)
        return self

    def transform(self, X: Any) -> Any:
        """A restored copy of the same kind, in volts; other channels, bads, annotations, events and baselines as they were.

        What is shorter than the model's window is mirrored at its ends, and a warning says so: restore a recording before it
        is cut into epochs.

        Args:
            X: MNE Raw, Epochs, Evoked, or an array (..., channels, samples) in volts with ``sfreq``; a model of several
                channels takes them in its own order.

        Raises:
            DataError: without EEG channels, or for an array that is empty, holds no numbers or other channels.
            UserError: before ``fit``, or for an array without ``sfreq``.
        """
        original = self._opened(X)
        _tell_if_short(X, original, self._fitted().domain.spec.axes[0].size)
        restored = self._restored(original)
        result = returned(original, restored)
        if not isinstance(X, np.ndarray):
            return result
        values = result.get_data(copy=False).reshape(X.shape)
        return values.astype(X.dtype) if X.dtype.kind == "f" else values

    def scores(self, X: Any, seconds: float = 1.0) -> Array:
        """Artifact scores: RMS of what was taken out over RMS of what was left, over the channels.

        Returns:
            (items, stretches of ``seconds``), an item being an epoch: all axes of an array before its channels are items. 0
            where nothing was changed, above 1 where the artifact was the stronger. The last stretch ends with the recording:
            it is half to one and a half times as long as the others.
        """
        return self._scored(X, seconds)[0]

    def _scored(self, X: Any, seconds: float) -> tuple[Array, Array]:
        """(items, stretches) scores; and (stretches + 1,) where stretches begin and the last one ends, in seconds."""
        original = self._opened(X)
        restored = self._restored(original)
        rate, length = original.band.rate, restored.shape[-1]
        step = max(1, round(seconds * rate))
        edges = np.arange(max(1, round(length / step)) + 1) * step
        edges[-1] = length
        change, left = (
            np.add.reduceat(np.square(part, dtype=np.float64).sum(1), edges[:-1], axis=-1)
            / (part.shape[1] * np.diff(edges))
            for part in (original.seen - restored, restored)
        )
        return np.asarray(np.sqrt(change / np.maximum(left, 1e-24))), edges / rate

    def annotate(self, raw: Any, seconds: float = 1.0) -> Any:
        """A copy of a Raw with an annotation ``artifact`` on each stretch whose score reaches ``threshold``.

        Stretches are whole samples at the model's rate, so that they may last a little more or less than ``seconds``.

        The score stands in the annotation's extras (``{"score": ...}``), or behind its name in an MNE without extras.

        Raises:
            UserError: for anything but a Raw.
        """
        if not hasattr(raw, "annotations") or not hasattr(raw, "first_time"):
            raise UserError(f"{type(raw).__name__} to annotate", expected="an MNE Raw", mend="use scores")
        scores, edges = self._scored(raw, seconds)
        values, edges = scores[0], np.minimum(edges, raw.n_times / raw.info["sfreq"])
        chosen = np.flatnonzero(values >= self.threshold)
        onset = raw.first_time + edges[chosen]  # where MNE keeps them, with a date of measurement and without
        lasting = np.diff(edges)[chosen]
        copy = raw.copy()
        try:
            extras = [{"score": float(values[i])} for i in chosen]
            copy.annotations.append(onset, lasting, ["artifact"] * len(chosen), extras=extras)
        except TypeError:
            copy.annotations.append(onset, lasting, [f"artifact {values[i]:.2f}" for i in chosen])
        return copy

    def stream(
        self, sfreq: float, channels: int, *, hop: float = 0.25, lookahead: float = 0.25, bfloat16: bool = False
    ) -> Stream:
        """A stream for chunks of (channels, samples) volts; see :class:`domains.eeg.stream.Stream`.

        Args:
            sfreq: samples a second.
            channels: EEG channels, each a signal of its own.
            hop: seconds from one restoration to the next.
            lookahead: seconds behind a sample that the model sees before it is given out.
            bfloat16: see :class:`domains.eeg.stream.Stream`.
        """
        run = self._fitted()
        domain = run.domain
        if channels < 1 or (domain.spec.channels > 1 and domain.spec.channels != channels):
            some = domain.spec.channels if domain.spec.channels > 1 else "1 or more"
            raise UserError(f"a stream of {channels} channels", expected=f"{some}, as the run restores")
        return Stream(run.model, domain, sfreq, channels, hop=hop, lookahead=lookahead, bfloat16=bfloat16)

    def _fitted(self) -> Any:
        if not hasattr(self, "run_"):
            raise UserError("the denoiser is not fitted", mend="call fit first")
        return self.run_

    def _opened(self, X: Any) -> Original:
        import mne

        domain = self._fitted().domain
        channels: tuple[str, ...] = getattr(domain, "channels", ())
        if isinstance(X, np.ndarray):
            if self.sfreq is None:
                raise UserError("an array without a sampling rate", mend="set EEGDenoiser(sfreq=...)")
            if X.dtype.kind not in "fiu" or X.ndim < 1 or not X.size:
                raise DataError(f"an array of {X.dtype} of shape {X.shape}", expected="numbers (..., samples) in volts")
            items = X.reshape(-1, *(X.shape[-2:] if X.ndim > 1 else (1, X.shape[-1]))).astype(np.float64)
            names = _names_of(items.shape[1], channels)
            X = mne.EpochsArray(items, mne.create_info(names, self.sfreq, "eeg"), baseline=None, verbose="ERROR")
            return opened(X, domain.band, channels=channels, what="the array", named=False)
        if not hasattr(X, "info") or not (hasattr(X, "get_data") or hasattr(X, "data")):
            raise UserError(f"{type(X).__name__} to restore", expected="an MNE Raw, Epochs or Evoked, or an array")
        return opened(X, domain.band, channels=channels, what=type(X).__name__)

    def _restored(self, original: Original) -> Array:
        run = self._fitted()
        signals = as_signals(original, getattr(run.domain, "channels", ()))
        return np.asarray(run.restore(Recording(signals, Path("recording"), "")).mean).reshape(original.seen.shape)

    def _trained(self, X: Any) -> Any:
        from dataclasses import replace

        from vaegan import plugins, workflow

        recipe = plugins.recipes()["eeg/denoise"]
        axis = recipe.domain.spec.axes[0]
        raw = _to_train_on(X, axis.size * axis.step)
        folder = _fresh(self.folder)
        raw.save(folder / "training_raw.fif", verbose="ERROR")
        recipe = replace(recipe, domain=EEG(data=folder / "training_raw.fif")).with_budget(None, self.minutes)
        return workflow.train("eeg/denoise", recipe, out=folder / "run")


def _names_of(count: int, channels: tuple[str, ...]) -> list[str]:
    """Names of an array's channels: those of a multi-channel model, or any.

    Raises:
        DataError: for other than as many as a multi-channel model restores.
    """
    if channels and count != len(channels):
        raise DataError(
            f"an array of {count} channels",
            expected=f"(..., {len(channels)}, samples), in the order of {' '.join(channels[:6])}"
            + (" ..." if len(channels) > 6 else ""),
        )
    return list(channels) or [f"EEG{i + 1}" for i in range(count)]


def _fresh(parent: str | Path | None) -> Path:
    """A new folder: a fit overwrites nothing of one before it."""
    if parent is None:
        return Path(tempfile.mkdtemp(prefix="vaegan-eeg-"))
    make_folder(Path(parent), "folder")
    for number in itertools.count(1):
        folder = Path(parent) / f"fit-{number}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            break
    return folder


def _to_train_on(X: Any, seconds: float) -> Any:
    """A Raw in memory of a Raw, or of Epochs that last a window of so many seconds.

    Raises:
        UserError: for anything else.
        DataError: for Epochs that are shorter.
    """
    if hasattr(X, "first_time") and hasattr(X, "save"):
        raw, strange = X.copy().load_data(verbose="ERROR"), without_volts(X)
        if len(strange) == len(raw.ch_names):
            raise DataError(
                "no channel to train on is in volts",
                expected="EEG in volts",
                mend="correct the units in the file's header",
            )
        return raw.drop_channels(strange)  # a FIF does not keep that the file called them something else than volts
    if not hasattr(X, "events") or not hasattr(X, "get_data"):
        raise UserError(
            f"neither a run nor a recording to train on ({type(X).__name__})",
            expected="a run, or an MNE Raw or Epochs",
            mend="set run=..., or fit on the recording",
        )
    return _joined(X, seconds)


def _joined(epochs: Any, seconds: float) -> Any:
    """Epochs end to end, each without its mean, with an edge at each join, which no window of training runs across."""
    import mne

    data, rate = epochs.get_data(), float(epochs.info["sfreq"])
    n, channels, samples = data.shape
    if not n or samples / rate < seconds:
        raise DataError(
            f"{n} epochs of {samples / rate:.3g} s to train on",
            expected=f"epochs of at least a window of {seconds:g} s",
            mend="fit on the recording that they were cut from",
        )
    rows = (data - data.mean(axis=-1, keepdims=True)).transpose(1, 0, 2).reshape(channels, -1)
    raw = mne.io.RawArray(rows, epochs.info.copy(), verbose="ERROR")
    onsets = np.arange(1, n) * samples / rate
    return raw.set_annotations(mne.Annotations(onsets, 0.0, ["EDGE boundary"] * (n - 1)), verbose="ERROR")


def _tell_if_short(X: Any, original: Original, window: int) -> None:
    """Warns where a model sees more of its own reflection than it was trained for."""
    samples, rate = original.seen.shape[-1], original.band.rate
    if samples >= window:
        return
    what, mend = "epochs", "restore the recording first, then cut it into epochs"
    if not hasattr(X, "events"):
        what = "an array" if isinstance(X, np.ndarray) else type(X).__name__
    if hasattr(X, "first_time"):
        mend = "give more of the recording"
    warnings.warn(
        f"{what} of {samples / rate:.3g} s {'are' if what == 'epochs' else 'is'} shorter than the window of "
        f"{window / rate:.3g} s: what lies beyond is mirrored; {mend}",
        UserWarning,
        stacklevel=3,
    )
