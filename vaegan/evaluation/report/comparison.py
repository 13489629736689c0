"""Several models beside each other: what each costs and gives, and how much one is better than another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaegan.evaluation.report.generation import by_extractor
from vaegan.evaluation.report.markup import breakable, duration, escape, folds, interval, number
from vaegan.evaluation.report.tables import HIDDEN, heading, mean_cell, row, table
from vaegan.evaluation.verdict import excludes_zero

Differences = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]
"""``{CONDITION: {METRIC: {"A − B": {"mean", "ci95", "n", "unit", "better"}}}}``."""

QUALITY = ("psnr", "ssim")
SAMPLES = ("fid", "coverage")


def summary_section(metrics: Mapping[str, Any], models: Sequence[str]) -> str:
    """One row a model: quality under the first condition, samples, size, time and memory."""
    runs = metrics.get("runs", {})
    if len(models) < 2 or not runs:
        return ""
    condition, methods = next(iter(metrics.get("restoration", {}).items()), ("", {}))
    extractor, judged = next(iter(by_extractor(metrics.get("generation", {})).items()), ("", {}))
    head: list[str] = ["model"]
    cells: dict[str, list[str]] = {model: [] for model in models}
    for numbers, wanted in ((methods, QUALITY), (judged, SAMPLES)):
        for name in wanted:
            known = [numbers[model][name] for model in models if name in numbers.get(model, {})]
            if known:
                head.append(heading(name, known[0]))
                for model in models:
                    cells[model].append(mean_cell(numbers.get(model, {}).get(name)))
    for name, write in COSTS.items():
        if any(runs.get(model, {}).get(name) is not None for model in models):
            head.append(TITLES[name])
            for model in models:
                value = runs.get(model, {}).get(name)
                cells[model].append(f"<td>{'–' if value is None else escape(write(value))}</td>")
    said = [f"Restoration: {condition}."] if condition else []
    said += [f"Samples: draws from N(0, I), by {extractor}."] if extractor else []
    caption = escape(" ".join([*said, "Intervals are of 95\u00a0%."]))
    return table("Models side by side", caption, head, [row(model, cells[model], kind="own") for model in models])


def _total(value: Any) -> str:
    """A count, or the sum of the counts of a model's parts: ``950``, ``180 k``, ``3.58 M``."""
    total = sum(value.values()) if isinstance(value, Mapping) else value
    factor, suffix = next(((f, s) for f, s in ((1e6, "M"), (1e3, "k")) if total >= f), (1, ""))
    return f"{total / factor:.3g} {suffix}".strip()


TITLES = {
    "parameters": "parameters",
    "train_samples": "samples<small>trained on</small>",
    "samples": "samples<small>trained on</small>",
    "train_seconds": "training<small>time</small>",
    "ms_per_item": "time<small>ms an item</small>",
    "peak_memory_mib": "memory<small>MiB, peak</small>",
}
COSTS = {
    "parameters": _total,
    "train_samples": _total,
    "samples": _total,
    "train_seconds": duration,
    "ms_per_item": number,
    "peak_memory_mib": lambda value: f"{value:,.0f}",
}


def paired_section(differences: Differences | None) -> str:
    """Means of one method's value less another's on the same items; those that are not zero by chance are marked."""
    parts = {condition: _pairs(condition, by) for condition, by in (differences or {}).items() if by}
    if not parts:
        return ""
    intro = (
        "<p>The same items for both methods, so what makes an item hard cancels out: methods whose own intervals overlap "
        "can still differ. A difference whose 95\u00a0% interval excludes zero is marked with the better of the two.</p>"
    )
    return intro + folds(parts)


def _pairs(condition: str, metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    pairs = list(dict.fromkeys(pair for by in metrics.values() for pair in by))
    head = ["difference", *(heading(name, next(iter(by.values()))) for name, by in metrics.items() if by)]
    n = max((entry["n"] for by in metrics.values() for entry in by.values()), default=0)
    rows = [row(pair, [_difference(by.get(pair), pair, n) for by in metrics.values() if by]) for pair in pairs]
    caption = f"Mean difference and 95\u00a0% interval over n = {n:,} items. ★ and a name: better beyond chance."
    return table(f"Paired differences, {condition}", caption, head, rows)


def _difference(entry: Mapping[str, Any] | None, pair: str, n: int) -> str:
    if entry is None:
        return "<td>–</td>"
    mean = float(entry["mean"])
    shown = ("+" if mean > 0 else "") + number(mean)
    fewer = f", n = {entry['n']:,}" if entry["n"] != n else ""
    if not excludes_zero(entry):
        return f"<td>{shown}<small>{interval(entry)}{fewer}</small></td>"
    first, _, second = pair.partition(" − ")
    better = first if (mean > 0) == (entry["better"] == "higher") else second
    mark = f'<span class="mark" aria-hidden="true">★</span>{HIDDEN.format("beyond chance: ")}'
    who = f'<small class="who">{breakable(better)}</small>'
    return f'<td class="best">{mark}{shown}<small>{interval(entry)}{fewer}</small>{who}</td>'
