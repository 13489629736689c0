"""Whether the spread of a restoration tells its error: numbers, maps and charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vaegan.evaluation.report.charts import PLOT_RATIO, Series, band, chart
from vaegan.evaluation.report.markup import escape, folds, interval, number
from vaegan.evaluation.report.pictures import Cell, figure, gallery, heat, heat_scale, image, layout_of, zoomed
from vaegan.evaluation.report.tables import row, table
from vaegan.evaluation.result import Uncertain, Uncertainty
from vaegan.evaluation.verdict import share

Array: TypeAlias = NDArray[Any]

NORMAL_90 = 1.645
"""Standard deviations that hold 90 % of a normal distribution, to either side."""
MOST_CHANNELS = 4
ROWS = {
    "spearman": (
        "The spread ranks the error",
        "rank correlation, calibrated for this damage; 1: the error is largest where the spread is, 0: the spread says "
        "nothing of it",
    ),
    "coverage90_raw": (
        "Truth within the 90\u00a0% interval, uncalibrated",
        "90\u00a0% is right; less is overconfident, more is overcautious",
    ),
    "coverage90": (
        "The same, calibrated",
        "as a restoration comes: calibrated under the mixture of damages of the training; 90\u00a0% is right",
    ),
    "coverage90_recalibrated": (
        "The same, calibrated for this damage",
        "on validation items under this damage alone, for those who know theirs; 90\u00a0% is right",
    ),
    "ause": (
        "Error left in by following the spread",
        "what is lost by leaving samples out by their spread and not by their error, as a share of all error; 0 is perfect",
    ),
}
SHARES = ("coverage90_raw", "coverage90", "coverage90_recalibrated")


def uncertainty_section(numbers: Mapping[str, Mapping[str, Any]], found: Uncertainty | None) -> str:
    """The section.

    Args:
        numbers: the ``uncertainty`` part of ``metrics.json``.
        found: items and curves to show.
    """
    conditions = list(dict.fromkeys([*numbers, *(found.shown if found else ())]))
    parts = {c: _condition(c, numbers.get(c, {}), found) for c in conditions}
    if not parts:
        return ""
    intro = (
        "<p>The model draws many restorations of one signal; their spread says how sure it is. A good spread is large where "
        "the error is large, and as large as the error."
    )
    if found is not None and found.calibrated_on:
        intro += f" It is calibrated on {found.calibrated_on:,} validation items, and judged here on test items."
    elif found is not None:
        intro += " There were no validation items to calibrate it on."
    return f"{intro}</p>{folds(parts)}"


def _condition(condition: str, numbers: Mapping[str, Any], found: Uncertainty | None) -> str:
    shown = None if found is None else found.shown.get(condition)
    parts = [_table(condition, numbers)]
    if found is not None and shown is not None:
        parts += [_maps(shown, found), _charts(shown, found.unit)]
    return "".join(parts)


def _table(condition: str, numbers: Mapping[str, Any]) -> str:
    known = {name: numbers[name] for name in ROWS if name in numbers}
    if not known:
        return ""
    rows = []
    for name, entry in known.items():
        title, words = ROWS[name]
        value, bounds = number(entry["mean"]), interval(entry)
        if name in SHARES:
            value, bounds = share(entry["mean"]), " to ".join(share(bound) for bound in entry.get("ci95") or ())
        small = f"<small>{bounds}</small>" if bounds else ""
        rows.append(row(title, [f"<td>{value}{small}</td>"], hint=f"{name}: {words}"))
    n = max(entry["n"] for entry in known.values())
    caption = f"Mean and 95\u00a0% interval over n = {n:,} items."
    return table(f"Uncertainty, {condition}", caption, ["measure", "value"], rows, "prose")


def _maps(shown: Uncertain, found: Uncertainty) -> str:
    if not len(shown.restored):
        return ""
    if shown.spread.ndim == 3:
        return _bands(shown, found.unit)
    spread, error = shown.spread.mean(axis=1), shown.error.mean(axis=1)
    top = _top(np.concatenate([spread.ravel(), error.ravel()]))
    columns = {
        "restored": found.draw(shown.restored),
        "truth": found.draw(shown.truth),
        "spread": heat(spread, top),
        "error": heat(error, top),
    }
    figures = [
        figure([Cell(image(drawn[i], f"test item {i + 1}, {name}"), name) for name, drawn in columns.items()])
        for i in range(len(shown.restored))
    ]
    channels = ", mean over channels" if shown.spread.shape[1] > 1 else ""
    words = f"Spread: one standard deviation; error: absolute{channels}. Both on one scale{_in(found.unit)}:"
    scale = f'<p class="hint">{escape(words)}</p>{heat_scale(f"{number(top)} and more")}'
    return scale + gallery(figures, layout_of(columns["truth"][0]))


def _in(unit: str) -> str:
    return f" ({unit})" if unit != "1" else ""


def _top(values: Array) -> float:
    """Almost the largest value that is known: a single outlier must not darken all maps."""
    known = values[np.isfinite(values)]
    return float(np.percentile(known, 99.0)) if known.any() else 1.0


def _bands(shown: Uncertain, unit: str) -> str:
    channels = shown.restored.shape[1]
    figures = []
    for i in range(len(shown.restored)):
        cells = []
        for c in range(min(channels, MOST_CHANNELS)):
            channel = f"channel {c + 1}" if channels > 1 else ""
            wide = NORMAL_90 * shown.spread[i, c]
            known = np.isfinite(shown.truth[i, c])
            inside = (np.abs(shown.restored[i, c] - shown.truth[i, c]) <= wide)[known]
            within = f"{share(float(inside.mean()))} of the truth within the band" if known.any() else "truth not known"
            words = f"test item {i + 1}{', ' * bool(channel)}{channel}: {within}"
            drawn = band(shown.restored[i, c], wide, shown.truth[i, c], words)
            cells.append(Cell(zoomed(drawn, words, PLOT_RATIO), channel, within))
        figures.append(figure(cells, f"test item {i + 1}"))
    key = "".join(f'<span class="key {kind}">{name}</span>' for kind, name in _KEYS.items())
    some = f"; the first {MOST_CHANNELS} of {channels} channels" if channels > MOST_CHANNELS else ""
    words = f"Restored and true signal{_in(unit)}; the band should hold 90\u00a0% of the truth{some}."
    return f'<p class="keys">{key}</p><p class="hint">{escape(words)}</p>{gallery(figures, "wide bands")}'


_KEYS = {"line": "restored", "other": "truth", "band": "± 1.645 standard deviations"}


def _charts(shown: Uncertain, unit: str) -> str:
    drawn = _reliability(shown, unit) + _sparsification(shown, unit)
    return f'<div class="curves two">{drawn}</div>' if drawn else ""


def _reliability(shown: Uncertain, unit: str) -> str:
    points = [(float(predicted), float(found)) for predicted, found in shown.reliability]
    if len(points) < 2:
        return ""
    (low, low_found), (high, high_found) = points[0], points[-1]
    end = max(max(point) for point in points)
    named = f", {unit}" if unit != "1" else ""
    return chart(
        "Is the spread as large as the error?",
        [Series("as predicted", [(0.0, 0.0), (end, end)], "guide"), Series("found", points, "marks")],
        x=f"spread predicted{named}",
        y=f"error found{named}",
        words=f"Where the spread is smallest ({number(low)}) the error is {number(low_found)}; where it is largest "
        f"({number(high)}) the error is {number(high_found)} (root mean square){_in(unit)}.",
        from_zero=True,
    )


def _sparsification(shown: Uncertain, unit: str) -> str:
    if len(shown.fraction) < 2:
        return ""
    half = int(np.argmin(np.abs(shown.fraction - 0.5)))
    start, left, least = (float(value) for value in (shown.by_spread[0], shown.by_spread[half], shown.by_error[half]))
    per_cent = [100.0 * float(x) for x in shown.fraction]
    return chart(
        "Does the spread find the errors?",
        [
            Series("by spread", list(zip(per_cent, shown.by_spread.tolist(), strict=True)), "line"),
            Series("best possible", list(zip(per_cent, shown.by_error.tolist(), strict=True)), "guide"),
        ],
        x="samples left out, %",
        y=f"mean error of the rest{f', {unit}' if unit != '1' else ''}",
        words=f"Leaving out the {share(float(shown.fraction[half]))} of samples with the largest spread lowers the mean "
        f"error from {number(start)} to {number(left)}; leaving out those with the largest error would lower it to "
        f"{number(least)}{_in(unit)}.",
        from_zero=True,
    )
