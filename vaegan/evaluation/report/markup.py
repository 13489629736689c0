"""Pieces of a page: words, numbers and lists as HTML that needs nothing from outside."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def escape(value: Any) -> str:
    """Text that is safe between tags and in attributes."""
    return html.escape(str(value), quote=True)


def breakable(name: str) -> str:
    """A name that may go on in the next line after each of its slashes."""
    return escape(name).replace("/", "/<wbr>")


def number(value: float) -> str:
    """A number with about four digits, as people write it: ``28.31``, ``12,480``, ``3.20 × 10⁻⁶``."""
    size = abs(value)
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if size >= 1e7 or size < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{minus(mantissa)} × 10{power}"
    decimals = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    return minus(f"{value:,.{decimals}f}")


def minus(text: str) -> str:
    """A number with a minus sign that is one."""
    return text.replace("-", "−")


def with_unit(value: float, unit: str) -> str:
    """A number and its unit; ``"1"`` and ``""`` are none."""
    return number(value) if unit in ("", "1") else f"{number(value)} {unit}"


def duration(seconds: float) -> str:
    """A time as people say it: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def interval(entry: Mapping[str, Any]) -> str:
    """``28.1 to 28.5``, or nothing where no interval is known."""
    known = entry.get("ci95")
    return "" if known is None else f"{number(known[0])} to {number(known[1])}"


def definitions(entries: Mapping[str, Any], kind: str = "facts") -> str:
    """A list of names and values; mappings inside put their name before, unless they are a mean; ``None`` is left out.

    Args:
        entries: values by name.
        kind: ``facts`` are short and stand in columns, ``words`` are sentences.
    """
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in _flat(entries))
    return f'<dl class="{kind}">{rows}</dl>' if rows else ""


def glossary(meanings: Mapping[str, str], used: Sequence[str]) -> str:
    """What the measures in use mean, folded away."""
    found = {name: meanings[name] for name in used if name in meanings}
    return fold("What the measures mean", definitions(found, "words")) if found else ""


def fold(title: str, content: str, opened: bool = False) -> str:
    """Content that opens on demand."""
    shown = " open" if opened else ""
    return f'<details class="fold"{shown}><summary>{escape(title)}</summary>{content}</details>'


def folds(parts: Mapping[str, str]) -> str:
    """Content by title, the first of it open."""
    return "".join(fold(title, content, not i) for i, (title, content) in enumerate(parts.items()))


def _flat(entries: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in entries.items():
        if isinstance(value, Mapping) and "mean" in value:
            bounds = f" ({interval(value)})" if interval(value) else ""
            found.append((prefix + str(name), with_unit(float(value["mean"]), str(value.get("unit", ""))) + bounds))
        elif isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}: ")
        elif isinstance(value, np.ndarray) or (isinstance(value, Sequence) and not isinstance(value, str)):
            found.append((prefix + str(name), ", ".join(_plain(part) for part in value)))
        elif value is not None:
            found.append((prefix + str(name), _plain(value)))
    return found


def _plain(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    return number(float(value)) if isinstance(value, float | np.floating) else str(value)
