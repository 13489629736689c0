"""Numbers of several methods side by side, as HTML."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vaegan.evaluation.report.markup import breakable, escape, interval, number, with_unit
from vaegan.evaluation.verdict import FEWEST, Methods, best_of, overlap

HIDDEN = '<span class="hidden">{}</span>'


def table(title: str, caption: str, head: Sequence[str], rows: Sequence[str], kind: str = "") -> str:
    """A table that scrolls in its own frame where it is too wide.

    Args:
        title: read out before the table.
        caption: printed above it, HTML.
        head: the heading cells' content, HTML.
        rows: whole rows, HTML.
        kind: ``prose`` where cells hold sentences.
    """
    first, *others = (f'<th scope="col">{cell}</th>' for cell in head)
    return (
        f'<figure class="table"><figcaption>{caption}</figcaption>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
        f'<table class="{kind}"><caption class="hidden">{escape(title)}</caption>'
        f"<thead><tr>{first}{''.join(others)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></figure>"
    )


def row(name: str, cells: Sequence[str], *, hint: str = "", kind: str = "") -> str:
    """A row: its name, what the name means in small print, and whole cells."""
    small = f"<small>{escape(hint)}</small>" if hint else ""
    named = f' class="{kind}"' if kind else ""
    return f'<tr{named}><th scope="row">{breakable(name)}{small}</th>{"".join(cells)}</tr>'


def dots(methods: Methods, own: Collection[str], metric: str = "psnr") -> str:
    """A dot and its confidence interval for every method, on one scale.

    Args:
        methods: the numbers of one condition.
        own: the methods to set off.
        metric: what to draw; nothing is drawn where fewer than two methods have it.
    """
    found = {name: by[metric] for name, by in methods.items() if metric in by}
    if len(found) < 2:
        return ""
    low = min(entry["ci95"][0] for entry in found.values())
    high = max(entry["ci95"][1] for entry in found.values())
    span = (high - low) or 1.0

    def at(value: float) -> str:
        return f"{2 + 96 * (value - low) / span:.1f}%"

    rows = ""
    for name, entry in found.items():
        lo, hi = entry["ci95"]
        rows += (
            f'<div class="row{" own" if name in own else ""}"><span class="name">{breakable(name)}</span>'
            f'<span class="track" style="--lo:{at(lo)};--hi:{at(hi)};--x:{at(entry["mean"])}" '
            f'aria-hidden="true"><span></span><i></i></span>'
            f'<span class="value">{escape(with_unit(entry["mean"], entry["unit"]))}</span></div>'
        )
    return f'<div class="dots" role="group" aria-label="{escape(metric)} of every method">{rows}</div>'


def results_table(
    title: str,
    methods: Methods,
    *,
    own: Collection[str],
    among: Collection[str] | None = None,
    times: Mapping[str, float] | None = None,
    hints: Mapping[str, str] | None = None,
    items: str = "items",
) -> str:
    """Every method and metric, each mean with its interval; the best of a column and its ties are marked.

    Args:
        title: read out before the table.
        methods: ``{METHOD: {METRIC: {"mean", "ci95", "n", "unit", "better"}}}``, in the order of the rows.
        own: the methods to set off.
        among: the methods that are compared with each other; all where nobody says.
        times: milliseconds an item, by method; the column is left out where nothing is known.
        hints: what a method is, in small print below its name.
        items: what there are n of.
    """
    names = [name for name in dict.fromkeys(m for by in methods.values() for m in by) if _tells(methods, name)]
    entries = {name: next(by[name] for by in methods.values() if name in by) for name in names}
    rivals = list(methods) if among is None else [method for method in methods if method in among]
    n = max((by[name]["n"] for by in methods.values() for name in by), default=0)
    times = times or {}
    timed = any(method in times for method in methods)
    head = ["method", *(heading(name, entries[name]) for name in names)] + ["time<small>ms an item</small>"] * timed
    best = {name: best_of(methods, name, rivals) if _differ(methods, rivals, name) else None for name in names}
    rows = []
    for method in methods:
        cells = [_cell(methods, method, name, best[name] if method in rivals else None, n, rivals) for name in names]
        if timed:
            cells.append(f"<td>{number(times[method]) if method in times else ''}</td>")
        rows.append(row(method, cells, hint=(hints or {}).get(method, ""), kind="own" if method in own else ""))
    caption = f"Mean and 95\u00a0% interval over n = {n:,} {items}."
    if len(rivals) > 1:
        why = "the intervals overlap" if n >= FEWEST else f"fewer than {FEWEST} items tell nothing apart"
        caption += f" ★ best; ≈ level with it: {why}."
    return table(title, caption, head, rows)


def _tells(methods: Methods, name: str) -> bool:
    """Whether a column tells more than the others: on 8-bit signals ``mse_255`` repeats ``mse``."""
    repeated = (name in by and "mse" in by and by[name]["mean"] == by["mse"]["mean"] for by in methods.values())
    return name != "mse_255" or not all(repeated)


def ordered(methods: Methods, own: Collection[str]) -> dict[str, Mapping[str, Mapping[str, Any]]]:
    """Our own methods last, as the eye reads down to them."""
    return {method: methods[method] for method in sorted(methods, key=lambda method: method in own)}


def heading(name: str, entry: Mapping[str, Any]) -> str:
    """A metric's name, which way is better, and its unit."""
    arrow, words = ("↑", "higher is better") if entry["better"] == "higher" else ("↓", "lower is better")
    unit = "" if entry["unit"] == "1" else escape(entry["unit"])
    return f'{escape(name)} <span aria-hidden="true">{arrow}</span>{HIDDEN.format(words)}<small>{unit}</small>'


def mean_cell(entry: Mapping[str, Any] | None, n: int | None = None, sign: str = "", said: str = "") -> str:
    """A mean with its interval below.

    Args:
        entry: of ``metrics.json``; ``None`` for an empty cell.
        n: items that the caption names; another number is said.
        sign: ``★``, ``≈`` or another mark before the mean.
        said: the mark in words, for those who have the page read out.
    """
    if entry is None:
        return "<td>–</td>"
    fewer = f", n = {entry['n']:,}" if n is not None and entry["n"] != n else ""
    kind = {"★": ' class="best"', "≈": ' class="tied"'}.get(sign, "")
    mark = f'<span class="mark" aria-hidden="true">{sign}</span>{HIDDEN.format(said)}' if sign else ""
    return f"<td{kind}>{mark}{number(entry['mean'])}<small>{interval(entry)}{fewer}</small></td>"


def _differ(methods: Methods, rivals: Sequence[str], metric: str) -> bool:
    """Whether there is a best at all: where all have the same mean, as 0, nobody wins."""
    return len({methods[method][metric]["mean"] for method in rivals if metric in methods[method]}) > 1


def _cell(methods: Methods, method: str, name: str, best: str | None, n: int, rivals: Sequence[str]) -> str:
    entry = methods[method].get(name)
    if entry is None or best is None or len(rivals) < 2:
        return mean_cell(entry, n)
    if method == best:
        return mean_cell(entry, n, "★", "best: ")
    if overlap(entry, methods[best][name]):
        return mean_cell(entry, n, "≈", "level with the best: ")
    return mean_cell(entry, n)
