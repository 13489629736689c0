"""Did the signal survive? What restoring does to error, spectra, bands, an evoked response and a decoder."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from domains.eeg.metrics import BANDS, WELCH, band_ratios, correlation, rrmse_s, rrmse_t, snr
from vaegan.data import SignalSet
from vaegan.degradation import build
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError
from vaegan.evaluation.report.markup import escape, number

Array: TypeAlias = np.ndarray[Any, Any]
Restore: TypeAlias = Callable[[Recording], Recording]

LEVELS = tuple(range(-7, 3))
ITEMS = 60
RESPONSE = 8e-6
"""Volts of the evoked response that is put into half of the windows."""
COLOURS = {"clean": "#1b7837", "contaminated": "#b2182b", "restored": "#2166ac"}


@dataclass(frozen=True)
class Triple:
    """Windows three times, (n, channels, samples) volts."""

    clean: Array
    contaminated: Array
    restored: Array

    def items(self) -> list[tuple[str, Array]]:
        """(name, windows) of each."""
        return [("clean", self.clean), ("contaminated", self.contaminated), ("restored", self.restored)]


def sections(domain: Any, restore: Restore, test: SignalSet, n: int = ITEMS) -> dict[str, str]:
    """Sections for a run's report.

    Args:
        domain: with ``degradations``, ``rate``, ``snr_convention`` and ``split``.
        restore: what the run makes of a recording.
        test: the clean windows that the run is judged on.
        n: windows to look at, at least 8, at most 60.

    Raises:
        DataError: where there are too few windows, or no recorded artifact.
    """
    kinds = [kind for kind in ("eog", "emg") if kind in domain.degradations()]
    rows = np.sort(np.random.default_rng(0).permutation(len(test))[: min(max(n, 8), ITEMS)])
    clean = np.array(test.signals[rows], np.float64)
    if not kinds or len(clean) < 4:
        found = f"{len(clean)} clean windows to judge on" if kinds else "no recorded artifact"
        raise DataError(found, expected="at least 4 windows, and artifacts")
    return {
        "Error at each SNR level": _levels_section(domain, restore, clean, kinds),
        "Did the signal survive?": _survival_section(domain, restore, clean, kinds),
    }


def contaminated(domain: Any, clean: Array, condition: str, restore: Restore, seed: int = 0) -> Triple:
    """Windows under a condition with the artifacts that the domain has for the split at hand, and restored."""
    degradation = build(condition, domain.degradations())
    x = domain.to_model(torch.from_numpy(np.asarray(clean, np.float32)))
    with torch.no_grad():
        y = degradation(x, generator=torch.Generator().manual_seed(seed)).y
    observed = domain.to_physical(y.float()).numpy()
    restored = restore(Recording(observed, Path("windows"), "")).signals
    return Triple(np.asarray(clean, np.float64), observed.astype(np.float64), np.asarray(restored, np.float64))


def scores(triple: Triple, rate: float) -> dict[str, float]:
    """Means over the windows of RRMSE in time and spectrum, CC, and the gain in SNR in dB."""
    after, before, truth = triple.restored, triple.contaminated, triple.clean
    return {
        "rrmse_t": float(np.nanmean(rrmse_t(after, truth, 1.0))),
        "rrmse_s": float(np.nanmean(rrmse_s(after, truth, 1.0, rate=rate))),
        "cc": float(np.nanmean(correlation(after, truth, 1.0))),
        "dsnr": float(np.nanmean(snr(after, truth, 1.0) - snr(before, truth, 1.0))),
        "input": float(np.nanmean(rrmse_t(before, truth, 1.0))),
    }


def by_level(domain: Any, restore: Restore, clean: Array, kind: str) -> dict[int, dict[str, float]]:
    """:func:`scores` at each of EEGdenoiseNet's ten SNR levels."""
    parts = [contaminated(domain, clean, f"{kind} snr={level} dB", lambda y: y, 100 + level) for level in LEVELS]
    observed = np.concatenate([part.contaminated for part in parts]).astype(np.float32)
    restored = np.split(restore(Recording(observed, Path("windows"), "")).signals.astype(np.float64), len(LEVELS))
    return {
        level: scores(replace(part, restored=values), float(domain.rate))
        for level, part, values in zip(LEVELS, parts, restored, strict=True)
    }


def _levels_section(domain: Any, restore: Restore, clean: Array, kinds: Sequence[str]) -> str:
    rows, curves = [], {}
    for kind in kinds:
        found = by_level(domain, restore, clean, kind)
        curves[kind] = found
        rows += [[f"{kind} {level:+d} dB", *_cells(entry)] for level, entry in found.items()]
        mean = {key: float(np.mean([entry[key] for entry in found.values()])) for key in next(iter(found.values()))}
        rows.append([f"{kind}, mean of ten", *_cells(mean)])
    head = ["condition", "RRMSE_t of the input", "RRMSE_t", "RRMSE_s", "CC", "ΔSNR dB"]
    convention = "10 log10" if domain.snr_convention == "eegdenoisenet" else "20 log10"
    words = (
        f"{len(clean)} windows, {_origin(domain, kinds)}. SNR convention {escape(domain.snr_convention)}: "
        f"{convention} of the quotient of RMS values. Spectra by {escape(WELCH)}. ΔSNR is a ratio of powers."
    )
    return f"<p>{words}</p>" + _image(_curve(curves), "RRMSE in time over the SNR of the input") + table(head, rows)


def _origin(domain: Any, kinds: Sequence[str]) -> str:
    """Which recordings the artifacts are cut from."""
    borrowed = [kind for kind in domain.borrowed(domain.split) if kind in kinds] if hasattr(domain, "borrowed") else []
    if not borrowed:
        return f"artifacts of the {domain.split} split"
    own = f"artifacts of the {domain.split} split, but " if len(borrowed) < len(kinds) else ""
    return f"{own}{' and '.join(borrowed)} of training, as too little was recorded: NOT independent of it"


def _cells(entry: Mapping[str, float]) -> list[str]:
    return [number(entry[key]) for key in ("input", "rrmse_t", "rrmse_s", "cc", "dsnr")]


def _curve(curves: Mapping[str, Mapping[int, Mapping[str, float]]]) -> Any:
    figure, axes = _figure(len(curves))
    for ax, (kind, found) in zip(axes, curves.items(), strict=True):
        ax.plot(list(found), [entry["input"] for entry in found.values()], color=COLOURS["contaminated"], label="input")
        ax.plot(
            list(found), [entry["rrmse_t"] for entry in found.values()], "o-", color=COLOURS["restored"], label="model"
        )
        ax.set(title=kind, xlabel="SNR of the input, dB", ylabel="RRMSE_t", ylim=(0, None))
        ax.legend()
    return figure


def _survival_section(domain: Any, restore: Restore, clean: Array, kinds: Sequence[str]) -> str:
    """Spectra and bands under each artifact, then an evoked response and its decoder under eye movements."""
    rate, parts = float(domain.rate), []
    for kind in kinds:
        triple = contaminated(domain, clean, f"{kind} snr=-3 dB", restore)
        parts.append(f"<h3>{escape(kind)} at −3 dB: spectra and bands</h3>")
        parts.append(
            _image(_spectra(triple, rate), f"Power spectra of clean, contaminated and restored windows, {kind}")
        )
        rows = [[name, *(number(v) for v in band_ratios(x, rate).mean(0))] for name, x in triple.items()]
        parts.append(table(["share of power", *BANDS], rows))
    triple, target = evoked_test(domain, restore, clean, f"{kinds[0]} snr=-3 dB")
    parts.append(f"<h3>An evoked response under {escape(kinds[0])} at −3 dB</h3>")
    parts.append(
        f"<p>A deflection of {1e6 * RESPONSE:g} µV, 300 ms after the middle of the window, was put into half of "
        f"the {len(target)} windows before they were contaminated. The decoder (shrinkage LDA on means of 50 ms, five-fold "
        "cross-validation) tells those windows from the others.</p>"
    )
    parts.append(evoked_picture(triple, target, rate))
    rows = [
        [name, number(peak(x, target, rate) * 1e6), number(100 * decoded(x, target, rate))]
        for name, x in triple.items()
    ]
    parts.append(table(["windows", "response, µV", "decoder's accuracy, %"], rows))
    # Left alone: windows without any artifact.
    same = restore(Recording(clean.astype(np.float32), Path("windows"), "")).signals
    change = 100 * (np.mean(_alpha(same, rate)) / np.mean(_alpha(clean, rate)) - 1)
    parts.append(f"<p>Alpha power of windows without an artifact changes by {number(float(change))} %.</p>")
    return "".join(parts)


def _alpha(x: Array, rate: float) -> Array:
    from domains.eeg.metrics import band_powers

    return band_powers(x, rate)[..., list(BANDS).index("alpha")]


def evoked_test(domain: Any, restore: Restore, clean: Array, condition: str) -> tuple[Triple, Array]:
    """Windows of which every second has a response put in, contaminated and restored; and which ones have it."""
    t = (np.arange(clean.shape[-1]) - clean.shape[-1] // 2) / float(domain.rate)
    target = np.arange(len(clean)) % 2 == 0
    response = RESPONSE * np.exp(-0.5 * np.square((t - 0.3) / 0.06))
    return contaminated(domain, clean + target[:, None, None] * response, condition, restore), target


def peak(x: Array, target: Array, rate: float) -> float:
    """Volts of the difference of the two averages, 250 to 350 ms after the middle of the window."""
    middle = x.shape[-1] // 2
    here = slice(middle + round(0.25 * rate), middle + round(0.35 * rate))
    return float((x[target].mean((0, 1)) - x[~target].mean((0, 1)))[here].mean())


def decoded(x: Array, target: Array, rate: float) -> float:
    """Accuracy of a shrinkage LDA on means of 50 ms, five-fold cross-validated."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    step = max(1, round(0.05 * rate))
    middle = x.shape[-1] // 2
    after = x[..., middle : middle + round(0.8 * rate) // step * step]
    features = after.reshape(len(x), x.shape[1], -1, step).mean(-1).reshape(len(x), -1) * 1e6
    folds = StratifiedKFold(min(5, int(target.sum()), int((~target).sum())), shuffle=True, random_state=0)
    judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    return float(cross_val_score(judge, features, target, cv=folds).mean())


def published_section(
    domain: Any,
    restore: Restore,
    published: Mapping[str, Mapping[str, tuple[float, float, float]]],
    test: SignalSet,
    n: int,
) -> str:
    """The published means over ten SNR levels, and this run's own beside them."""
    rows_used = np.sort(np.random.default_rng(0).permutation(len(test))[: max(n, 8)])
    clean, rows = np.array(test.signals[rows_used], np.float64), []
    for kind, methods in published.items():
        if kind not in domain.degradations():
            continue
        found = by_level(domain, restore, clean, kind).values()
        own = [float(np.mean([entry[key] for entry in found])) for key in ("rrmse_t", "rrmse_s", "cc")]
        rows += [[f"{kind}: {name}, published", *map(number, values)] for name, values in methods.items()]
        rows.append([f"{kind}: this run, {len(clean)} epochs", *map(number, own)])
    words = (
        "Means over ten SNR levels, -7 to 2 dB. Published: Zhang et al. 2021 (arXiv 2009.11662v1, tables 1 and 2), "
        f"muscle at 512 Hz; their spectral estimate is not stated, ours is {escape(WELCH)}. This run: {escape(test.source)}."
    )
    if domain.data is None:
        words += " The embedded arrays are simulated: the two kinds of rows cannot be compared."
    return f"<p>{words}</p>" + table(["method", "RRMSE_t", "RRMSE_s", "CC"], rows)


def _spectra(triple: Triple, rate: float) -> Any:
    """Drawn by MNE."""
    import mne

    figure, axes = _figure(1)
    for name, x in triple.items():
        spectrum = _epochs(x, rate).compute_psd("welch", n_fft=min(int(rate), x.shape[-1]), verbose="ERROR")
        with mne.use_log_level("ERROR"):
            spectrum.average().plot(axes=axes[0], average=True, ci=None, color=COLOURS[name], show=False)
    axes[0].legend(axes[0].get_lines()[-3:], list(COLOURS))
    return figure


def evoked_picture(triple: Triple, target: Array, rate: float) -> str:
    """The average of the windows with the response less that of the others, drawn by MNE."""
    import mne

    figure, axes = _figure(1)
    evoked = {}
    for name, x in triple.items():
        epochs = _epochs(x, rate)
        pair = [epochs[target].average(), epochs[~target].average()]
        evoked[name] = mne.combine_evoked(pair, weights=[1, -1])
    with mne.use_log_level("ERROR"):
        mne.viz.plot_compare_evokeds(
            evoked, picks=[0], axes=axes[0], colors=COLOURS, ci=False, show=False, time_unit="s", title=""
        )
    return _image(figure, "Evoked response in clean, contaminated and restored windows")


def _epochs(x: Array, rate: float) -> Any:
    import mne

    info = mne.create_info([f"EEG{i}" for i in range(x.shape[1])], rate, "eeg")
    return mne.EpochsArray(x, info, tmin=-x.shape[-1] / 2 / rate, verbose="ERROR")


def _figure(panels: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * panels + 1.4 * (panels == 1), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def _image(figure: Any, words: str) -> str:
    """A figure as a picture inside the page."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    data = base64.b64encode(content.getvalue()).decode()
    return f'<p><img alt="{escape(words)}" src="data:image/png;base64,{data}" style="max-width:100%"></p>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column names the rows."""
    top = "".join(f'<th scope="col">{escape(word)}</th>' for word in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(head[0])}">'
        f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def of(domain: Domain, restore: Restore, test: SignalSet, n: int = ITEMS) -> Mapping[str, str]:
    """The sections, or one that says why they are missing: the data are gone, or hold too little."""
    try:
        return sections(domain, restore, test, n)
    except DataError as error:
        return {"Did the signal survive?": f"<p>This could not be measured: {escape(str(error))}</p>"}
