"""Charts as SVG, with what they show said in words for those who cannot see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vaegan.evaluation.report.markup import escape, minus, number

Array: TypeAlias = NDArray[Any]
Points: TypeAlias = Sequence[tuple[float, float]]

WIDTH = 320
PLOT_HEIGHT = 158
PLOT_RATIO = WIDTH / PLOT_HEIGHT
LEFT, TOP, RIGHT, BOTTOM = 52.0, 12.0, 308.0, 146.0
MOST_POINTS = 240
CHARACTER = 6.9
"""About the width of a character of the axes, in the chart's own pixels."""


@dataclass(frozen=True)
class Series:
    """Points of a chart.

    Attributes:
        name: for the key; ``""`` is not in it.
        points: (x, y), all finite.
        style: ``line``, ``other`` (a second line), ``guide`` (dashed) or ``marks`` (a line with dots on it).
        labels: of the dots.
    """

    name: str
    points: Points
    style: str = "line"
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class _Scale:
    """From values to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)


def curve(name: str, points: Points, axis: str) -> str:
    """A line through training, with its last value in its caption.

    Args:
        name: what is drawn, upwards.
        points: (x, y); points that are not finite are left out.
        axis: what runs to the right.
    """
    finite = _finite(points)
    if len(finite) < 2:
        return ""
    finite = _thinned(finite)
    xs, ys = [x for x, _ in finite], [y for _, y in finite]
    ticks = _ticks(min(ys), max(ys))
    across, up = _Scale(min(xs), max(xs), LEFT, RIGHT), _Scale(ticks[0], ticks[-1], BOTTOM, TOP)
    marks = _rules(up, ticks)
    for value, anchor in ((min(xs), "start"), (max(xs), "end")):
        marks += _text(across(value), BOTTOM + 17, _tick(value), anchor)
    marks += _text((LEFT + RIGHT) / 2, BOTTOM + 17, axis, "middle")
    words = f"{name}: from {number(ys[0])} to {number(ys[-1])}, between {number(min(ys))} and {number(max(ys))}"
    caption = f"{escape(name)} <span>{number(ys[-1])} at the end</span>"
    return _figure(caption, words, 168, f"{marks}{_polyline('line', finite, across, up)}")


def chart(title: str, series: Sequence[Series], *, x: str, y: str, words: str, from_zero: bool = False) -> str:
    """Several lines over one pair of axes, with a key.

    Args:
        title: of the chart.
        series: what is drawn; nothing is where they have fewer than two points.
        x: what runs to the right.
        y: what runs upwards.
        words: what the chart shows, in a sentence: read out, and printed below it.
        from_zero: whether both axes begin at zero.
    """
    known = [Series(s.name, _finite(s.points), s.style, s.labels) for s in series]
    every = [point for s in known for point in s.points]
    if len(every) < 2:
        return ""
    least = [0.0] if from_zero else []
    x_ticks, y_ticks = (_ticks(min(values), max(values)) for values in (least + [p[i] for p in every] for i in (0, 1)))
    across, up = _Scale(x_ticks[0], x_ticks[-1], LEFT, RIGHT), _Scale(y_ticks[0], y_ticks[-1], BOTTOM + 14, TOP + 14)
    drawn = _rules(up, y_ticks)
    told = _tick_words(x_ticks)
    every_other = 1 + int(sum(len(words) + 2 for words in told) * CHARACTER > RIGHT - LEFT)
    for tick, label in [*zip(x_ticks, told, strict=True)][::every_other]:
        drawn += (
            f'<line class="rule" x1="{across(tick):.1f}" x2="{across(tick):.1f}" y1="{TOP + 14}" y2="{BOTTOM + 14}"/>'
        )
        furthest = WIDTH - len(label) * CHARACTER / 2
        drawn += _text(min(across(tick), furthest), BOTTOM + 31, label, "middle")
    drawn += _text((LEFT + RIGHT) / 2, BOTTOM + 50, x, "middle") + _text(0, 12, f"↑ {y}", "start")
    for s in known:
        drawn += _polyline("line" if s.style == "marks" else s.style, s.points, across, up)
        places = [(across(px), up(py)) for px, py in s.points]
        if s.style == "marks":
            drawn += "".join(f'<circle class="dot" cx="{px:.1f}" cy="{py:.1f}" r="4"/>' for px, py in places)
        drawn += _labels(places, s.labels) if s.labels else ""
    keys = "".join(f'<span class="key {s.style}">{escape(s.name)}</span>' for s in known if s.name)
    below = f'<p class="hint">{escape(words)}</p>'
    return _figure(f"{escape(title)}<span>{keys}</span>", words, 202, drawn, below)


def band(restored: Array, width: Array, truth: Array, words: str) -> str:
    """A restored line of one axis in a band, and the truth.

    Args:
        restored: (time,).
        width: (time,) half the width of the band.
        truth: (time,), NaN where it is not known.
        words: what is drawn.
    """
    columns = int(RIGHT - LEFT)
    low, high = _extremes(restored - width, columns)[0], _extremes(restored + width, columns)[1]
    known = truth[np.isfinite(truth)]
    ticks = _ticks(
        float(low.min(initial=known.min(initial=np.inf))), float(high.max(initial=known.max(initial=-np.inf)))
    )
    up = _Scale(ticks[0], ticks[-1], BOTTOM, TOP)
    across = _Scale(0.0, 1.0, LEFT, RIGHT)

    def line(signal: Array) -> list[tuple[float, float]]:
        least, most = _extremes(signal, columns)
        at = np.linspace(0.0, 1.0, len(least))
        if len(signal) == len(least):
            return list(zip(at.tolist(), least.tolist(), strict=True))
        return [(float(x), float(y)) for x, a, b in zip(at, least, most, strict=True) for y in (a, b)]

    at = np.linspace(0.0, 1.0, len(low)).tolist()
    outline = [*zip(at, high.tolist(), strict=True), *zip(at[::-1], low[::-1].tolist(), strict=True)]
    shape = _places(outline, across, up)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {PLOT_HEIGHT}" role="img" aria-label="{escape(words)}">{_rules(up, ticks)}'
        f'<polygon class="band" points="{shape}"/>{_polyline("line", line(restored), across, up)}'
        f"{_polyline('other', _finite(line(truth)), across, up)}</svg>"
    )


def _figure(caption: str, words: str, height: int, drawn: str, below: str = "") -> str:
    return (
        f'<figure class="curve"><figcaption>{caption}</figcaption>'
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(words)}">{drawn}</svg>'
        f"{below}</figure>"
    )


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _rules(up: _Scale, ticks: Sequence[float]) -> str:
    """Lines across, with their values at the left."""
    return "".join(
        f'<line class="rule" x1="{LEFT}" x2="{RIGHT}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>'
        + _text(LEFT - 6, up(tick) + 4, words, "end")
        for tick, words in zip(ticks, _tick_words(ticks), strict=True)
    )


def _places(points: Points, across: _Scale, up: _Scale) -> str:
    return " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)


def _polyline(kind: str, points: Points, across: _Scale, up: _Scale) -> str:
    return f'<polyline class="{kind}" points="{_places(points, across, up)}"/>'


def _labels(places: Sequence[tuple[float, float]], labels: Sequence[str]) -> str:
    """Labels near their dots, each where it covers no dot, no line and no other label, if there is such a place."""
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    for (x0, y0), (x1, y1) in pairwise(places):  # the line between the dots
        steps = [(x0 + t * (x1 - x0), y0 + t * (y1 - y0)) for t in np.linspace(0.0, 1.0, 24)]
        taken += [(x - 1, y - 1, x + 1, y + 1) for x, y in steps]
    drawn = ""
    for (x, y), label in zip(places, labels, strict=False):
        half = len(label) * CHARACTER / 2 + 1.5
        centres = [
            (x + across * (half + away), y + down * (6 + away))
            for away in (5, 12, 20, 30)
            for across, down in ((1, -1), (-1, -1), (1, 1), (-1, 1), (1, 0), (-1, 0), (0, -1), (0, 1))
        ]
        boxes = [(cx - half, cy - 6, cx + half, cy + 6) for cx, cy in centres]
        inside = [b for b in boxes if b[0] > LEFT and b[2] < WIDTH and b[1] > TOP and b[3] < BOTTOM + 14] or boxes
        box = next((b for b in inside if not any(_touch(b, other) for other in taken)), inside[0])
        taken.append(box)
        drawn += _text((box[0] + box[2]) / 2, box[3] - 2, label, "middle", "label")
    return drawn


def _touch(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _extremes(values: Array, columns: int) -> tuple[Array, Array]:
    """Lowest and highest of each column's samples, so that a spike is not lost; short signals stay as they are."""
    if len(values) <= 2 * columns:
        return values, values
    parts = np.array_split(values, columns)
    return np.asarray([part.min() for part in parts]), np.asarray([part.max() for part in parts])


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of neighbouring points, so that a page stays small and a curve legible."""
    if len(points) <= MOST_POINTS:
        return points
    parts = np.array_split(np.asarray(points), MOST_POINTS)
    return [points[0], *((float(p[:, 0].mean()), float(p[:, 1].mean())) for p in parts), points[-1]]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, four to seven of them, from below the lowest value to above the highest."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= (high - low) / 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, last + 1)]


def _tick_words(ticks: Sequence[float]) -> list[str]:
    """Ticks with three digits, or as many as tell them apart: a PSNR from 25.00 to 25.04 dB has no five ticks of 25."""
    told = [_tick(tick) for tick in ticks]
    for digits in range(4, 10):
        if len(set(told)) == len(ticks):
            break
        told = [_tick(tick, digits) for tick in ticks]
    return told


def _tick(value: float, digits: int = 3) -> str:
    size = abs(value)
    if size and (size >= 1e4 or size < 1e-2):
        for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if size >= factor:
                return minus(f"{value / factor:.{digits}g}{suffix}")
        return minus(f"{value:.{digits - 2}e}").replace(".0e", "e").replace("e−0", "e−")
    return minus(f"{value:.{digits}g}") if size < 1000 or digits > 3 else minus(f"{value:.0f}")
