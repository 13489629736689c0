"""How good generated signals are: measures, likeness to training items, samples, paths through the latent space."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from vaegan.evaluation.report.markup import definitions, escape, fold, folds, glossary, number
from vaegan.evaluation.report.pictures import Cell, figure, gallery, image, layout_of
from vaegan.evaluation.report.tables import results_table
from vaegan.evaluation.result import LATENTS, MIXTURE, REAL, Generation, Nearest
from vaegan.evaluation.verdict import MEMORISATION, Methods, share, split_name

MOST_SAMPLES = 64
OWN_JUDGE = (
    "<strong>Read with care:</strong> here the model's own discriminator judges the draws that it was trained against. It "
    "flatters them, and its numbers compare with nothing outside of this run."
)
KID, KID_FACTOR = "kid ×1,000", 1000.0
MEANINGS = {
    "fid": "distance between the features of drawn and of real signals, each taken as one normal distribution; it falls "
    "with the number of draws, so only numbers of the same n compare",
    KID: "squared distance of the two sets of features by a cubic kernel, times 1,000; it does not depend on the number of "
    "draws, and is around 0 for perfect ones",
    "is": "Inception Score: high where each signal is clearly of one class and all classes occur; it never looks at real "
    "signals",
    "precision": "share of the draws that lie among real signals: do they look real?",
    "recall": "share of the real signals that lie among draws: does the model reach all there is?",
    "f1": "harmonic mean of precision and recall",
    "density": "precision that counts how many real neighbourhoods a draw lies in; 1 is as dense as real ones, and more is "
    "possible",
    "modes": "classes that are drawn at least once, as a classifier sees them; it grows with the number of draws, so it is "
    "to be read beside real items of the same number",
    "mode_kl": "how far the shares of the classes are from those of real items, in nats; 0 for the same shares",
    "coverage": "share of the real signals that have a draw in their neighbourhood; steadier than recall where there are "
    "outliers",
}


def by_extractor(methods: Methods) -> dict[str, dict[str, dict[str, Mapping[str, Any]]]]:
    """{EXTRACTOR: {METHOD: {METRIC: {...}}}} without the measures of memorisation; KID in thousandths."""
    found: dict[str, dict[str, dict[str, Mapping[str, Any]]]] = {}
    for method, numbers in methods.items():
        for name, entry in numbers.items():
            metric, extractor = split_name(name)
            if metric in MEMORISATION:
                continue
            if metric == "kid":
                metric, entry = KID, scaled(entry, KID_FACTOR)
            found.setdefault(extractor, {}).setdefault(method, {})[metric] = entry
    return found


def scaled(entry: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The entry in other units."""
    other = {**entry, "mean": entry["mean"] * factor}
    if entry.get("ci95") is not None:
        other["ci95"] = [bound * factor for bound in entry["ci95"]]
    return other


def generation_section(methods: Methods, found: Generation | None, own: Collection[str]) -> str:
    """The section; ``methods`` as in ``metrics.json``."""
    parts = [_tables(methods, own)]
    if found is not None and found.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in found.notes)
        parts.append(f'<ul class="small">{notes}</ul>')
    parts.append(_memorisation(methods))
    if found is None:
        return "".join(parts)
    parts += [_nearest(found), _samples(found), _interpolation(found)]
    return "".join(parts)


def _tables(methods: Methods, own: Collection[str]) -> str:
    hints = {REAL: "real ones, judged the same way: what is within reach"}
    for name in own:
        hints[name], hints[MIXTURE.format(name)] = (
            "z from N(0, I)",
            "z from a mixture fitted to the latents of real items",
        )
        hints[LATENTS.format(name)] = "z of training items themselves: within reach of this decoder, whatever the prior"
    limits = [*(LATENTS.format(name) for name in own), REAL]
    parts, used = [], []
    for extractor, judged in by_extractor(methods).items():
        rows = {
            method: judged[method]
            for method in sorted(judged, key=lambda method: limits.index(method) if method in limits else -1)
        }
        ours = [method for method in rows if method not in limits]
        judge = extractor or "the measures"
        counts = {entry.get("n_real") for by in rows.values() for entry in by.values()} - {None, 0}
        items = "draws" if len(counts) != 1 else f"draws, beside {counts.pop():,} real test items"
        table = results_table(
            f"Generation, by {judge}", rows, own=ours, among=ours if len(ours) > 1 else [], hints=hints, items=items
        )
        own_judge = f'<p class="hint">{OWN_JUDGE}</p>' if extractor == "discriminator" else ""
        parts.append(f"<h3>{escape(f'By {extractor}' if extractor else 'Measures')}</h3>{own_judge}{table}")
        used += [metric for by in rows.values() for metric in by]
    if len(parts) > 1:
        parts.insert(0, "<p>Each extractor sees in its own way: numbers of different extractors do not compare.</p>")
    return "".join(parts) + glossary(MEANINGS, list(dict.fromkeys(used)))


def _memorisation(methods: Methods) -> str:
    """Whether draws are copies, in words."""
    found = {}
    for method, numbers in methods.items():
        entries = {split_name(name)[0]: entry for name, entry in numbers.items()}
        nearer, copies = entries.get(MEMORISATION[0]), entries.get(MEMORISATION[1])
        if nearer is None:
            continue
        text = (
            f"Draws lie nearer to their nearest training item than test items do in {share(nearer['mean'])} of comparisons "
            "(50\u00a0%: as new as real ones)"
        )
        if copies is not None:
            text += f"; {share(copies['mean'])} lie nearer than 99\u00a0% of the test items do (1\u00a0%: as real ones)"
        found[method] = f"{text}."
    intro = "<p>A model that repeats the training items that were looked at would reach 100\u00a0% in both.</p>"
    return f"<h3>Are they copies?</h3>{intro}{definitions(found, 'words')}" if found else ""


def _nearest(found: Generation) -> str:
    shown = found.nearest
    if shown is None or not len(shown.samples):
        return ""
    return fold("Draws beside their nearest training items", _neighbours(shown, found), opened=True)


def _neighbours(shown: Nearest, found: Generation) -> str:
    k, m = shown.items.shape[:2]
    draws = found.draw(shown.samples)
    items = found.draw(shown.items.reshape(k * m, *shown.items.shape[2:])).reshape(k, m, *draws.shape[1:])
    figures = []
    for i in range(k):
        cells = [Cell(image(draws[i], f"draw {i + 1} of {shown.method}"), "draw")]
        for j in range(m):
            distance = number(float(shown.distances[i, j]))
            alt = f"training item {j + 1} in order of nearness to draw {i + 1}, at distance {distance}"
            cells.append(Cell(image(items[i, j], alt), "", distance))
        figures.append(figure(cells))
    words = (
        f"<p>Left a draw of {escape(shown.method)}, beside it the training items nearest to it in the features of "
        f"{escape(shown.extractor)}, with their distances. A test item lies {number(shown.usual)} from its nearest training "
        "item (median).</p>"
    )
    return words + gallery(figures, layout_of(draws[0]))


def _samples(found: Generation) -> str:
    parts = {}
    for method, signals in found.samples.items():
        if not len(signals):
            continue
        drawn = found.draw(np.asarray(signals)[:MOST_SAMPLES])
        shown = "".join(image(one, f"{method}, draw {i + 1} of {len(drawn)}") for i, one in enumerate(drawn))
        parts[method] = f'<div class="samples {layout_of(drawn[0])}">{shown}</div>'
    intro = "<p>The first draws of each method; none is chosen, none left out.</p>"
    return f"<h3>Samples</h3>{intro}{folds(parts)}" if parts else ""


def _interpolation(found: Generation) -> str:
    rows = found.interpolation
    if rows is None or not len(rows):
        return ""
    drawn = [found.draw(np.asarray(row)) for row in rows]
    figures = [figure(_path(row, i), "") for i, row in enumerate(drawn)]
    whose = f" of {escape(found.interpolated)}" if found.interpolated else ""
    lines = f"Straight lines through the latent space{whose}, each from one test item to another"
    paths = gallery(figures, f"{layout_of(drawn[0][0])} paths")
    return f"<h3>From one item to another</h3><p>{lines}, decoded step by step.</p>{paths}"


def _path(row: Any, i: int) -> list[Cell]:
    return [Cell(image(one, f"path {i + 1}, step {step + 1} of {len(row)}")) for step, one in enumerate(row)]
