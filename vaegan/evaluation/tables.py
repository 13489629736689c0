"""Numbers of several methods side by side, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaegan.evaluation.markup import escape, number
from vaegan.evaluation.verdict import Methods, best_of, overlap


def dots(methods: Methods, own: str, metric: str = "psnr") -> str:
    """A dot and its confidence interval for every method, on one scale.

    Args:
        methods: the numbers of one condition.
        own: the method to set off.
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
        unit = "" if entry["unit"] == "1" else f" {entry['unit']}"
        rows += (
            f'<div class="row{" own" if name == own else ""}"><span class="name">{escape(name)}</span>'
            f'<span class="track" style="--lo:{at(lo)};--hi:{at(hi)};--x:{at(entry["mean"])}" '
            f'aria-hidden="true"><span></span><i></i></span>'
            f'<span class="value">{number(entry["mean"])}{escape(unit)}</span></div>'
        )
    return f'<div class="dots" role="group" aria-label="{escape(metric)} of every method">{rows}</div>'


def results_table(methods: Methods, times: Mapping[str, float], own: str) -> str:
    """Every method and metric, each mean with its interval; the best of a column and its ties are marked.

    Args:
        methods: ``{METHOD: {METRIC: {"mean", "ci95", "n", "unit", "better"}}}``.
        times: milliseconds an item, by method; the column is left out where nothing is known.
        own: the method to set off.
    """
    names = [name for name in dict.fromkeys(m for by in methods.values() for m in by) if _tells(methods, name)]
    entries = {name: next(by[name] for by in methods.values() if name in by) for name in names}
    n = max((by[name]["n"] for by in methods.values() for name in by), default=0)
    timed = any(method in times for method in methods)
    head = "".join(_heading(name, entries[name]) for name in names)
    head += '<th scope="col">time<small>ms an item</small></th>' if timed else ""
    best = {name: best_of(methods, name, methods) for name in names}
    body = "".join(
        f'<tr{_own(method == own)}><th scope="row">{escape(method)}</th>'
        + "".join(_cell(methods, method, name, best[name], n) for name in names)
        + (f"<td>{number(times[method]) if method in times else ''}</td>" if timed else "")
        + "</tr>"
        for method in _ordered(list(methods), own)
    )
    caption = f"Mean and 95 % interval over n = {n} items."
    if len(methods) > 1:
        caption += " ★ best; ≈ level with it: the intervals overlap."
    return (
        f'<figure class="table"><figcaption>{caption}</figcaption>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="table of results">'
        f'<table><thead><tr><th scope="col">method</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></figure>"
    )


def _tells(methods: Methods, name: str) -> bool:
    """Whether a column tells more than the others: on 8-bit signals ``mse_255`` repeats ``mse``."""
    repeated = (name in by and "mse" in by and by[name]["mean"] == by["mse"]["mean"] for by in methods.values())
    return name != "mse_255" or not all(repeated)


def _ordered(methods: Sequence[str], own: str) -> list[str]:
    """The method itself last, as the eye reads down to it."""
    return [method for method in methods if method != own] + [method for method in methods if method == own]


def _own(yes: bool) -> str:
    return ' class="own"' if yes else ""


def _heading(name: str, entry: Mapping[str, Any]) -> str:
    arrow, words = ("↑", "higher is better") if entry["better"] == "higher" else ("↓", "lower is better")
    unit = "" if entry["unit"] == "1" else escape(entry["unit"])
    return (
        f'<th scope="col">{escape(name)} <span aria-hidden="true">{arrow}</span>'
        f'<span class="hidden">{words}</span><small>{unit}</small></th>'
    )


def _cell(methods: Methods, method: str, name: str, best: str | None, n: int) -> str:
    if name not in methods[method] or best is None:
        return "<td>–</td>"
    entry = methods[method][name]
    kind, mark, words = "", "", ""
    if method == best and len(methods) > 1:
        kind, mark, words = ' class="best"', "★", "best: "
    elif method != best and overlap(entry, methods[best][name]):
        kind, mark, words = ' class="tied"', "≈", "level with the best: "
    shown = f'<span class="mark" aria-hidden="true">{mark}</span><span class="hidden">{words}</span>' if mark else ""
    fewer = "" if entry["n"] == n else f", n = {entry['n']}"
    interval = f"{number(entry['ci95'][0])} to {number(entry['ci95'][1])}{fewer}"
    return f"<td{kind}>{shown}{number(entry['mean'])}<small>{interval}</small></td>"
