"""Pieces of a page: numbers, pictures and curves as HTML that needs nothing from outside."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vaegan.drawing import png_bytes

Array: TypeAlias = NDArray[Any]

LARGEST_AREA = 192 * 192
SMALLEST_LIVE_SIDE = 96


def escape(value: Any) -> str:
    """Text that is safe between tags and in attributes."""
    return html.escape(str(value), quote=True)


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
        return f"{_minus(mantissa)} × 10{power}"
    decimals = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    return _minus(f"{value:,.{decimals}f}")


def _minus(text: str) -> str:
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    """A time as people say it: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def image(picture: Array, alt: str) -> str:
    """An ``img`` with the picture inside it, made smaller where it is large; small ones keep hard pixels.

    Args:
        picture: (rows, columns, 3) uint8.
        alt: what the picture shows.
    """
    rows, columns = picture.shape[:2]
    if rows * columns > LARGEST_AREA:
        from PIL import Image

        scale = math.sqrt(LARGEST_AREA / (rows * columns))
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    data = base64.b64encode(png_bytes(picture)).decode("ascii")
    crisp = ' class="crisp"' if max(rows, columns) <= SMALLEST_LIVE_SIDE else ""
    return (
        f'<img{crisp} src="data:image/png;base64,{data}" alt="{escape(alt)}" '
        f'width="{picture.shape[1]}" height="{picture.shape[0]}">'
    )


def layout_of(picture: Array) -> str:
    """How pictures of this form stand side by side: ``square``, ``wide`` or ``strip``."""
    ratio = picture.shape[1] / picture.shape[0]
    return "strip" if ratio >= 5 else "wide" if ratio >= 2 else "square"


def definitions(entries: Mapping[str, Any]) -> str:
    """A list of names and values; mappings inside put their name before, ``None`` is left out."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in _flat(entries))
    return f'<dl class="facts">{rows}</dl>' if rows else ""


def _flat(entries: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in entries.items():
        if isinstance(value, Mapping):
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


def curve(name: str, points: Sequence[tuple[float, float]], axis: str) -> str:
    """A line chart as an SVG of its own, with its range said in words for those who cannot see it.

    Args:
        name: what is drawn, upwards.
        points: (x, y); points that are not finite are left out.
        axis: what runs to the right.
    """
    finite = [(float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(finite) < 2:
        return ""
    finite = _thinned(finite)
    xs, ys = [x for x, _ in finite], [y for _, y in finite]
    left, top, right, bottom = 52.0, 12.0, 312.0, 146.0
    ticks = _ticks(min(ys), max(ys))
    low, high = ticks[0], ticks[-1]
    width, height = (max(xs) - min(xs)) or 1.0, high - low

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - min(xs)) / width, (y - low) / height
        return left + across * (right - left), bottom - up * (bottom - top)

    line = " ".join(f"{px:.1f},{py:.1f}" for px, py in (at(x, y) for x, y in finite))
    marks = ""
    for value in ticks:
        _, py = at(xs[0], value)
        marks += f'<line class="rule" x1="{left}" x2="{right}" y1="{py:.1f}" y2="{py:.1f}"/>'
        marks += f'<text x="{left - 6}" y="{py + 4:.1f}" text-anchor="end">{_tick(value)}</text>'
    for value, anchor in ((min(xs), "start"), (max(xs), "end")):
        px, _ = at(value, low)
        marks += f'<text x="{px:.1f}" y="{bottom + 17}" text-anchor="{anchor}">{_tick(value)}</text>'
    marks += f'<text x="{(left + right) / 2}" y="{bottom + 17}" text-anchor="middle">{escape(axis)}</text>'
    label = f"{name}: from {number(ys[0])} to {number(ys[-1])}, between {number(min(ys))} and {number(max(ys))}"
    caption = f"{escape(name)} <span>{number(ys[-1])} at the end</span>"
    return (
        f'<figure class="curve"><figcaption>{caption}</figcaption>'
        f'<svg viewBox="0 0 320 168" role="img" aria-label="{escape(label)}">{marks}'
        f'<polyline class="line" points="{line}"/></svg></figure>'
    )


def _thinned(points: list[tuple[float, float]], most: int = 240) -> list[tuple[float, float]]:
    """Means of neighbouring points, so that a page stays small and a curve legible."""
    if len(points) <= most:
        return points
    parts = np.array_split(np.asarray(points), most)
    return [points[0], *((float(p[:, 0].mean()), float(p[:, 1].mean())) for p in parts), points[-1]]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, four to seven of them, from below the lowest value to above the highest."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= (high - low) / 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, last + 1)]


def _tick(value: float) -> str:
    size = abs(value)
    if size and (size >= 1e4 or size < 1e-2):
        for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if size >= factor:
                return _minus(f"{value / factor:.3g}{suffix}")
        return _minus(f"{value:.0e}").replace("e−0", "e−")
    return _minus(f"{value:.3g}") if size < 1000 else _minus(f"{value:.0f}")
