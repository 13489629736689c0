"""The page of a sweep: what each size costs and gives, and which sizes nothing beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaegan.evaluation.report.charts import Series, chart
from vaegan.evaluation.report.comparison import COSTS, TITLES
from vaegan.evaluation.report.markup import definitions, escape, number
from vaegan.evaluation.report.page import write_page
from vaegan.evaluation.report.tables import HIDDEN, row, table

MEASURES = {"psnr": "PSNR, dB", "ms_per_item": "time, ms an item", "peak_memory_mib": "memory, MiB in training"}

Trial = Mapping[str, Any]


def write_sweep(path: Path, metrics: Mapping[str, Any], command: str) -> Path:
    """Writes the page.

    Args:
        path: of the page.
        metrics: what ``sweep.json`` holds.
        command: what repeats the sweep.
    """
    trials = metrics["trials"]
    front = sorted((t for t in trials if t["pareto"]), key=lambda t: t["psnr"], reverse=True)
    told = "No trial has been finished." if not front else (
        f"{_name(front[0])} restores best, {number(front[0]['psnr'])} dB; of {len(trials)} trials {len(front)} are on the "
        "Pareto front: no other is better in one of quality, time and memory and not worse in another."
    )  # fmt: skip
    sections = {
        "Against each size": "".join(_against(field, trials) for field in metrics["vary"]),
        "The Pareto front": _front_charts(trials),
        "All trials": _table(trials, metrics),
        "To repeat this": (f'<pre tabindex="0"><code>{escape(command)}</code></pre>' if command else "")
        + definitions(metrics.get("environment", {})),
    }
    verdict = f'<div class="verdict win"><p class="main">{escape(told)}</p></div>'
    return write_page(path, title=f"Sweep of {metrics['recipe']}", kicker="Sweep", verdict=verdict, sections=sections)


def _name(trial: Trial) -> str:
    return ", ".join(f"{field.rpartition('.')[2]} {value}" for field, value in trial["values"].items())


def _against(field: str, trials: Sequence[Trial]) -> str:
    """Means over the trials with each value of a field, its other fields averaged out."""
    values = sorted({t["values"][field] for t in trials}, key=lambda value: (str(type(value)), value))
    if len(values) < 2:
        return ""
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    drawn = ""
    for measure, title in MEASURES.items():
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


def _front_charts(trials: Sequence[Trial]) -> str:
    drawn = ""
    for cost in ("ms_per_item", "peak_memory_mib"):
        front = _front(trials, cost)
        others = [t for t in trials if t not in front]
        series = [Series("nothing beats these two measures", [(t[cost], t["psnr"]) for t in front], "marks",
                         [_name(t) for t in front])]  # fmt: skip
        series += [Series("", [(t[cost], t["psnr"])], "marks") for t in others]
        words = (
            "On the line: " + "; ".join(f"{_name(t)}: {number(t['psnr'])} dB at {number(t[cost])}" for t in front) + "."
        )
        drawn += chart(f"PSNR against {MEASURES[cost]}", series, x=MEASURES[cost], y=MEASURES["psnr"], words=words)
    return f'<div class="curves two">{drawn}</div>' if drawn else ""


def _front(trials: Sequence[Trial], cost: str) -> list[Trial]:
    """The trials that no other one beats in both quality and one cost, the cheapest first."""
    found: list[Trial] = []
    for trial in sorted(trials, key=lambda t: (t[cost], -t["psnr"])):
        if not found or trial["psnr"] > found[-1]["psnr"]:
            found.append(trial)
    return found


def _table(trials: Sequence[Trial], metrics: Mapping[str, Any]) -> str:
    if not trials:
        return ""
    head = ["sizes", "PSNR<small>dB</small>", *(TITLES[name] for name in _COSTS)]
    rows = []
    for trial in sorted(trials, key=lambda t: -t["psnr"]):
        mark = f'<span class="mark" aria-hidden="true">★</span>{HIDDEN.format("on the Pareto front: ")}'
        cells = [f"<td>{mark if trial['pareto'] else ''}{number(trial['psnr'])}</td>"]
        cells += [f"<td>{escape(COSTS[name](trial[name])) if name in trial else '–'}</td>" for name in _COSTS]
        rows.append(row(_name(trial), cells))
    over = escape(", ".join(metrics["conditions"]))
    caption = f"Mean over {over}, n = {metrics['n']:,} test items each. ★ on the Pareto front."
    return table("All trials", caption, head, rows)


_COSTS = ("ms_per_item", "peak_memory_mib", "parameters", "train_samples")
