"""A study's own table: what was published, and what ours come to under the same measures, in one column each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaegan.evaluation.report.markup import escape, number
from vaegan.evaluation.report.tables import heading, mean_cell, row, table
from vaegan.evaluation.result import INPUT
from vaegan.evaluation.verdict import Methods
from vaegan.metrics.rescaled import MAX_RESCALED


def study_section(metrics: Mapping[str, Any], models: Sequence[str]) -> str:
    """Published systems above ours; each of ours also as a share of its own input, as their inputs are not the same."""
    study = metrics.get("study", {})
    published: Mapping[str, Mapping[str, float]] = study.get("published", {})
    conditions: Mapping[str, Methods] = metrics.get("restoration", {})
    condition, methods = next(iter(conditions.items()), ("", {}))
    measures = list(dict.fromkeys(name for by in published.values() for name in by))
    measures = [name for name in measures if name in methods.get(INPUT, {})]
    if not measures:
        return ""
    ours = [name for name in (INPUT, *models) if name in methods]
    ratio = next((name for name in measures if name.startswith("mse")), None)
    head = ["system", *(heading(name, methods[INPUT][name]) for name in measures)]
    head += [f"{escape(ratio)}<small>of the input's</small>"] if ratio else []
    rows = []
    for name, values in published.items():
        cells = [f"<td>{number(values[m])}</td>" if m in values else "<td>–</td>" for m in measures]
        if ratio:
            cells.append(_share(values.get(ratio), published.get(INPUT, {}).get(ratio)))
        rows.append(row(name, cells, hint="published"))
    for name in ours:
        cells = [mean_cell(methods[name].get(m)) for m in measures]
        if ratio:
            entry = methods[name].get(ratio)
            cells.append(_share(None if entry is None else entry["mean"], methods[INPUT][ratio]["mean"]))
        rows.append(row(name, cells, hint="" if name == INPUT else "ours", kind="" if name == INPUT else "own"))
    told = [f"Published: {escape(str(study['source']))}."] if study.get("source") else []
    told.append(f"Ours: the same test items for all, {escape(condition)}.")
    told.append(
        f"The data are not the same, so compare {'shares of the input' if ratio else 'gains over the input'}, not values."
    )
    if not MAX_RESCALED.keys().isdisjoint(measures):
        told.append(
            "Measures called max-rescaled divide each picture by its own maximum and hide errors of brightness; the honest "
            "ones stand under Results."
        )
    intro = f"<p>{' '.join(told)}</p>"
    return intro + table("Beside what was published", "Mean, and 95\u00a0% interval of ours.", head, rows)


def _share(value: float | None, of: float | None) -> str:
    return "<td>–</td>" if value is None or not of else f"<td>{number(value / of)}</td>"
