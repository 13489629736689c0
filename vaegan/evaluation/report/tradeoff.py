"""Between the most faithful restoration and the most realistic one."""

from __future__ import annotations

import math

from vaegan.evaluation.report.charts import Series, chart
from vaegan.evaluation.report.generation import KID, KID_FACTOR
from vaegan.evaluation.report.markup import escape, number
from vaegan.evaluation.report.pictures import Cell, figure, gallery, image, layout_of
from vaegan.evaluation.result import Tradeoff
from vaegan.evaluation.verdict import split_name


def tradeoff_section(found: Tradeoff | None) -> str:
    """A curve, and the same items at each setting."""
    if found is None:
        return ""
    intro = (
        f"<p>Under {escape(found.condition)}, one model at several settings of its fidelity: at 0 it restores as sharply as "
        "it can, at 1 as near to the truth as it can. No method has both to the full (Blau &amp; Michaeli 2018).</p>"
    )
    return intro + _chart(found) + _strips(found)


def _chart(found: Tradeoff) -> str:
    metric, extractor = split_name(found.distance)
    factor, name = (KID_FACTOR, KID) if metric == "kid" else (1.0, metric)
    distance = f"{name}, {extractor}" if extractor else name
    points = [
        (p["fidelity"], factor * p["distance"], p["psnr"])
        for p in sorted(found.points, key=lambda p: p["fidelity"])
        if math.isfinite(p["distance"]) and math.isfinite(p["psnr"])
    ]
    if len(points) < 2:
        return ""
    (first, near, sharp), (last, far, faithful) = points[0], points[-1]
    words = (
        f"From fidelity {first:g} to {last:g} PSNR goes from {number(sharp)} to {number(faithful)} dB, and the distance "
        f"from real signals from {number(near)} to {number(far)} ({distance}; lower is more realistic). The numbers at "
        "the points are the fidelity."
    )
    series = Series("", [(x, y) for _, x, y in points], "marks", [f"{fidelity:g}" for fidelity, _, _ in points])
    axis = f"← more realistic · {distance}"
    drawn = chart("Fidelity against realism", [series], x=axis, y="PSNR, dB: more faithful", words=words)
    return f'<div class="curves two">{drawn}</div>'


def _strips(found: Tradeoff) -> str:
    if not len(found.truth):  # a page without pictures of the data
        return ""
    columns = {f"{fidelity:g}": found.draw(found.pictures[fidelity]) for fidelity in sorted(found.pictures)}
    truth = found.draw(found.truth)
    figures = []
    for i in range(len(truth)):
        cells = [
            Cell(image(drawn[i], f"test item {i + 1} restored with fidelity {fidelity}"), fidelity)
            for fidelity, drawn in columns.items()
        ]
        figures.append(figure([*cells, Cell(image(truth[i], f"test item {i + 1}, truth"), "truth")]))
    return gallery(figures, layout_of(truth[0]))
