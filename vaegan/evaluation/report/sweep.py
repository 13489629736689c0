"""The page of a sweep: what each size costs and gives, and which sizes nothing beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from vaegan.evaluation.report.charts import Series, chart
from vaegan.evaluation.report.comparison import COSTS, TITLES
from vaegan.evaluation.report.markup import escape, number
from vaegan.evaluation.report.page import repeat_section, write_page
from vaegan.evaluation.report.tables import HIDDEN, row, table

COST_TITLES = {"ms_per_item": "time, ms an item", "peak_memory_mib": "memory, MiB in training"}

Trial = Mapping[str, Any]


@dataclass(frozen=True)
class Quality:
    """What the trials of a sweep are judged by.

    Args:
        name: the trial's key.
        title: with its unit.
        unit: that follows a value, with a space before it.
        best: what the best trial does.
        sign: 1 where more is better, -1 where less is.
    """

    name: str
    title: str
    unit: str
    best: str
    sign: int

    def worth(self, trial: Trial) -> float:
        """The trial's value, turned so that more is better."""
        return self.sign * float(trial[self.name])

    def told(self, trial: Trial) -> str:
        """The trial's value and unit."""
        return number(trial[self.name]) + self.unit


QUALITIES = {
    quality.name: quality
    for quality in (
        Quality("psnr", "PSNR, dB", " dB", "restores best", 1),
        Quality("kid", "kernel distance", "", "draws best: kernel distance", -1),
    )
}


def write_sweep(path: Path, metrics: Mapping[str, Any], command: str) -> Path:
    """Writes the page.

    Args:
        path: of the page.
        metrics: what ``sweep.json`` holds.
        command: what repeats the sweep.
    """
    trials, quality = metrics["trials"], QUALITIES[metrics["quality"]]
    front = sorted((t for t in trials if t["pareto"]), key=quality.worth, reverse=True)
    told = "No trial has been finished." if not front else (
        f"{_name(front[0])} {quality.best}, {quality.told(front[0])}; of {len(trials)} trials {len(front)} are on the "
        "Pareto front: no other is better in one of quality, time and memory and not worse in another."
    )  # fmt: skip
    sections = {
        "Against each size": _against_each(metrics["vary"], trials, quality),
        "The Pareto front": _front_charts(trials, quality),
        "All trials": _table(trials, metrics, quality),
        "To repeat this": repeat_section(metrics.get("environment", {}), command),
    }
    verdict = f'<div class="verdict win"><p class="main">{escape(told)}</p></div>'
    return write_page(path, title=f"Sweep of {metrics['recipe']}", kicker="Sweep", verdict=verdict, sections=sections)


def _name(trial: Trial) -> str:
    return ", ".join(f"{field.rpartition('.')[2]} {value}" for field, value in trial["values"].items())


def _against_each(vary: Mapping[str, Sequence[Any]], trials: Sequence[Trial], quality: Quality) -> str:
    """The charts of all fields; where combinations are missing, means of different values are of different others."""
    drawn = "".join(_against(field, trials, quality) for field in vary)
    whole = prod(len(values) for values in vary.values())
    if not drawn or len(vary) < 2:
        return drawn
    told = "Each dot is the mean over the trials with that value."
    if len(trials) < whole:
        told += (
            f" Only {len(trials)} of {whole} combinations have been tried: the trials of one value may differ from those of "
            "another in the other sizes too, so a slope here may be these sizes' doing."
        )
    return f"<p>{told}</p>{drawn}"


def _against(field: str, trials: Sequence[Trial], quality: Quality) -> str:
    """Means over the trials with each value of a field, its other fields averaged out."""
    values = sorted({t["values"][field] for t in trials}, key=lambda value: (str(type(value)), value))
    if len(values) < 2:
        return ""
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    drawn = ""
    for measure, title in {quality.name: quality.title, **_known_costs(trials)}.items():
        means = [float(np.mean([t[measure] for t in trials if t["values"][field] == value])) for value in values]
        points = [
            (float(value) if numeric else float(i), mean)
            for i, (value, mean) in enumerate(zip(values, means, strict=True))
        ]
        words = (
            f"{title} at {field}: " + ", ".join(f"{v}: {number(m)}" for v, m in zip(values, means, strict=True)) + "."
        )
        labels = () if numeric else [str(value) for value in values]
        drawn += chart(f"{title} by {field}", [Series("", points, "marks", labels)], x=field, y=title, words=words)
    return f'<h3>{escape(field)}</h3><div class="curves">{drawn}</div>'


def _known_costs(trials: Sequence[Trial]) -> dict[str, str]:
    """The costs that every trial has: not every system tells how much memory was taken."""
    return {cost: title for cost, title in COST_TITLES.items() if all(cost in trial for trial in trials)}


def _front_charts(trials: Sequence[Trial], quality: Quality) -> str:
    drawn = ""
    for cost, title in _known_costs(trials).items():
        front = _front(trials, cost, quality)
        others = [t for t in trials if t not in front]
        series = [Series("nothing beats these two measures", [(t[cost], t[quality.name]) for t in front], "marks",
                         [_name(t) for t in front])]  # fmt: skip
        series += [Series("", [(t[cost], t[quality.name])], "marks") for t in others]
        words = "On the line: " + "; ".join(f"{_name(t)}: {quality.told(t)} at {number(t[cost])}" for t in front) + "."
        heading = f"{quality.title.partition(',')[0]} against {title}"
        drawn += chart(heading, series, x=title, y=quality.title, words=words)
    return f'<div class="curves two">{drawn}</div>' if drawn else ""


def _front(trials: Sequence[Trial], cost: str, quality: Quality) -> list[Trial]:
    """The trials that no other one beats in both quality and one cost, the cheapest first."""
    found: list[Trial] = []
    for trial in sorted(trials, key=lambda t: (t[cost], -quality.worth(t))):
        if not found or quality.worth(trial) > quality.worth(found[-1]):
            found.append(trial)
    return found


def _table(trials: Sequence[Trial], metrics: Mapping[str, Any], quality: Quality) -> str:
    if not trials:
        return ""
    measure, _, unit = quality.title.partition(", ")
    head = ["sizes", f"{measure}<small>{unit}</small>" if unit else measure, *(TITLES[name] for name in _COSTS)]
    rows = []
    for trial in sorted(trials, key=quality.worth, reverse=True):
        mark = f'<span class="mark" aria-hidden="true">★</span>{HIDDEN.format("on the Pareto front: ")}'
        cells = [f"<td>{mark if trial['pareto'] else ''}{number(trial[quality.name])}</td>"]
        cells += [f"<td>{escape(COSTS[name](trial[name])) if name in trial else '–'}</td>" for name in _COSTS]
        rows.append(row(_name(trial), cells))
    if quality.name == "psnr":
        over = f"Mean over {', '.join(metrics['conditions'])}, n = {metrics['n']:,} validation items each."
    else:
        over = f"{metrics['measured']} of {metrics['n']:,} draws from N(0, I) beside validation items, less is better."
    caption = (
        escape(over) + " ★ on the Pareto front. One training each: what another seed would change is not measured."
    )
    return table("All trials", caption, head, rows)


_COSTS = ("ms_per_item", "peak_memory_mib", "parameters", "train_samples")
