"""What restoring came to: tables, pictures, and the items on which it fails."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from vaegan.evaluation.report.markup import escape, folds, glossary
from vaegan.evaluation.report.pictures import Cell, figure, gallery, image, layout_of
from vaegan.evaluation.report.tables import dots, ordered, results_table
from vaegan.evaluation.result import INPUT, MODEL, Examples, Restoration

MEANINGS = {
    "psnr": "how far the error lies below the signal's full range, in decibels; 1 dB more is 21\u00a0% less squared error",
    "ssim": "likeness of local structure, 1 for identical signals",
    "mse": "mean squared error",
    "mse_255": "mean squared error when the full range is taken as 255",
    "rmse": "root of the mean squared error, in the signal's own unit",
    "mae": "mean absolute error, in the signal's own unit",
    "nrmse": "norm of the error as a share of the norm of the truth",
    "mse[max-rescaled]": "mean squared error after each signal is divided by its own maximum: hides errors of brightness",
    "nrmse[max-rescaled]": "the same of the norm of the error",
    "ssim[max-rescaled]": "the same of structural similarity, in a flat window of 7 samples",
}


def results_section(conditions: Mapping[str, Any], restoration: Restoration | None, own: Collection[str]) -> str:
    """Every condition's numbers, beside the input and the classical methods."""
    parts = []
    for condition, methods in conditions.items():
        times = {} if restoration is None else restoration.ms_per_item
        strengths = {} if restoration is None else restoration.strengths.get(condition, {})
        rows = {method: _own_first(by) for method, by in ordered(methods, own).items()}
        parts.append(f"<h3>{escape(condition)}</h3>{dots(rows, own)}")
        parts.append(results_table(f"Restoration, {condition}", rows, own=own, times=times))
        parts.append(_tuning_note(strengths, None if restoration is None else restoration.tuned.get(condition)))
    if not parts:
        return ""
    intro = (
        "<p>Every method restored the same test items with the same degradation. "
        "<em>input</em> is the degraded signal left as it is. Bars are 95\u00a0% confidence intervals "
        "of the mean.</p>"
    )
    used = [metric for methods in conditions.values() for by in methods.values() for metric in by]
    return intro + "".join(parts) + glossary(MEANINGS, list(dict.fromkeys(used)))


def _own_first(by: Mapping[str, Any]) -> dict[str, Any]:
    """The domain's own measures before the general ones, but for the PSNR: a wide table is cut at its right."""
    return {name: by[name] for name in sorted(by, key=lambda name: (name != "psnr", name in MEANINGS))}


def _tuning_note(strengths: Mapping[str, float], tuned: int | None) -> str:
    if not strengths:
        return ""
    values = ", ".join(f"{name} {value:g}" for name, value in strengths.items())
    how = f"set on {tuned} validation items" if tuned else "not tuned (on no validation items): middle values"
    return f'<p class="hint">Strengths of the classical methods, {how}: {escape(values)}.</p>'


def pictures_section(restoration: Restoration | None) -> str:
    """A few items of each condition."""
    if restoration is None or not restoration.examples:
        return ""
    intro = "<p>Test items drawn at random, not chosen by hand; the number under a picture is its PSNR.</p>"
    parts = {condition: _items(shown, restoration) for condition, shown in restoration.examples.items()}
    return intro + folds(parts)


def worst_section(restoration: Restoration | None) -> str:
    """The items that are restored worst."""
    if restoration is None or not restoration.worst:
        return ""
    most = max(len(shown.names) for shown in restoration.worst.values())
    who = "the model" if restoration.main == MODEL else escape(restoration.main)
    intro = f"<p>Under each condition the {most} test items on which {who} has the lowest PSNR, the worst first.</p>"
    return intro + folds({condition: _items(shown, restoration) for condition, shown in restoration.worst.items()})


def _items(examples: Examples, restoration: Restoration) -> str:
    """One figure an item: input, best classical method, restored, truth."""
    label = "restored" if restoration.main == MODEL else restoration.main
    columns = [("input", INPUT, examples.input), (label, restoration.main, examples.restored)]
    if examples.classical is not None:
        columns.insert(1, (examples.classical_name, examples.classical_name, examples.classical))
    columns += [(name, name, signals) for name, signals in examples.others.items()]
    drawn = [(label, method, restoration.draw(signals)) for label, method, signals in columns]
    drawn.append(("truth", "", restoration.draw(examples.truth)))
    figures = []
    for i, name in enumerate(examples.names):
        cells = []
        for label, method, shown in drawn:
            psnr = float(examples.psnr[method][i]) if method in examples.psnr else math.nan
            score = "" if math.isnan(psnr) else f"{psnr:.1f} dB"  # nothing may be known of the truth
            cells.append(Cell(image(shown[i], f"{name}, {label}{', ' + score if score else ''}"), label, score))
        figures.append(figure(cells, name))
    return gallery(figures, layout_of(drawn[0][2][0]) if figures else "square")
