"""The report of a run: one page that opens offline, on a phone too, and begins with what came out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

from numpy.typing import NDArray

from vaegan.drawing import Pictures
from vaegan.evaluation import verdict
from vaegan.evaluation.markup import curve, definitions, duration, escape, image, layout_of
from vaegan.evaluation.result import INPUT, MODEL, Examples, Restoration
from vaegan.evaluation.tables import dots, results_table

Array: TypeAlias = NDArray[Any]
Curves = Mapping[str, Sequence[tuple[float, float]]]

MOST_SAMPLES = 64


def write_report(
    path: str | Path,
    *,
    title: str,
    metrics: Mapping[str, Any],
    restoration: Restoration | None = None,
    samples: Pictures | None = None,
    curves: Curves | None = None,
    notes: Mapping[str, Any] | None = None,
    command: str = "",
    curve_axis: str = "samples seen",
) -> Path:
    """Writes the report, under a temporary name first, so that a reader never finds half of it.

    Args:
        path: of the page; its folder is made where it is missing.
        title: for example the recipe's name.
        metrics: what ``metrics.json`` holds; parts that are missing are left out of the page.
        restoration: where the pictures and the times of the methods come from.
        samples: generated pictures; the first 64 are shown.
        curves: (x, y) through training, by name.
        notes: of the latent space: active units, divergence, ...
        command: what repeats the run.
        curve_axis: what x is in ``curves``.

    Returns:
        The page's path.
    """
    path = Path(path)
    folder = resources.files("vaegan.evaluation")
    sections = [
        _trained_on(metrics),
        _results(metrics.get("restoration", {}), restoration),
        _pictures(restoration),
        _generation(metrics.get("generation", {}), samples),
        _curves(curves or {}, curve_axis),
        _section("The latent space", definitions(notes or {})),
        _worst(restoration),
        _repeat(metrics.get("environment", {}), command),
    ]
    page = Template(folder.joinpath("report.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        kicker=escape(metrics.get("recipe", "") or "Report"),
        style=folder.joinpath("report.css").read_text(encoding="utf-8"),
        verdict=_verdict(metrics, restoration),
        body="\n".join(section for section in sections if section),
    )
    _write_atomically(path, page)
    return path


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(scratch).chmod(0o644)  # mkstemp makes it private
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _main(restoration: Restoration | None) -> str:
    return MODEL if restoration is None else restoration.main


def _verdict(metrics: Mapping[str, Any], restoration: Restoration | None) -> str:
    """The first condition's comparison large, the others below it; generation where nothing was restored."""
    found = []
    for condition, methods in metrics.get("restoration", {}).items():
        known = None if restoration is None else restoration.strengths.get(condition)
        found.append(verdict.compare(condition, methods, method=_main(restoration), rivals=known))
    results = [result for result in found if result is not None]
    if not results:
        words = verdict.generation_sentence(metrics.get("generation", {}))
        return f'<div class="verdict tie"><p class="main">{escape(words)}</p></div>'
    lines = "".join(
        f'<li><span class="tag {result.outcome}">{_TAGS[result.outcome]}</span>{escape(verdict.sentence(result))}</li>'
        for result in results[1:]
    )
    total = verdict.tally(results)
    return (
        f'<div class="verdict {results[0].outcome}">'
        f'<p class="main">{escape(verdict.sentence(results[0]))}</p>'
        + (f'<p class="soft">{escape(total)}</p>' if total else "")
        + (f"<ul>{lines}</ul>" if lines else "")
        + "</div>"
    )


_TAGS = {"win": "ahead", "tie": "level", "loss": "behind"}


def _trained_on(metrics: Mapping[str, Any]) -> str:
    data, cost = metrics.get("data", {}), metrics.get("cost", {})
    seconds, speed = cost.get("train_seconds"), cost.get("train_samples_per_second")
    facts: dict[str, Any] = {
        "Data": data.get("source"),
        "Training items": data.get("n_train"),
        "Validation items": data.get("n_val"),
        "Test items": data.get("n_test"),
        "Training time": None if seconds is None else duration(seconds),
        "Samples seen": None if seconds is None or speed is None else round(seconds * speed),
        "Samples a second": speed,
        "Parameters": cost.get("parameters"),
        "Peak memory": None if cost.get("peak_memory_mib") is None else f"{cost['peak_memory_mib']:,.0f} MiB",
        "Data SHA-256": (data.get("sha256") or "")[:16] or None,
    }
    return _section("What was trained, and for how long", definitions(facts))


def _results(conditions: Mapping[str, Any], restoration: Restoration | None) -> str:
    parts = []
    for condition, methods in conditions.items():
        times = {} if restoration is None else restoration.ms_per_item
        strengths = {} if restoration is None else restoration.strengths.get(condition, {})
        parts.append(f"<h3>{escape(condition)}</h3>{dots(methods, _main(restoration))}")
        parts.append(results_table(methods, times, _main(restoration)))
        parts.append(_tuning_note(strengths, None if restoration is None else restoration.tuned.get(condition)))
    if not parts:
        return ""
    intro = (
        "<p>Every method restored the same test items with the same degradation. "
        "<em>input</em> is the degraded signal left as it is. Bars are 95 % confidence intervals "
        "of the mean.</p>"
    )
    return _section("Results", intro + "".join(parts) + _glossary(conditions))


def _tuning_note(strengths: Mapping[str, float], tuned: int | None) -> str:
    if not strengths:
        return ""
    values = ", ".join(f"{name} {value:g}" for name, value in strengths.items())
    how = f"set on {tuned} validation items" if tuned else "not tuned (no validation items): middle values"
    return f'<p class="hint">Strengths of the classical methods, {how}: {escape(values)}.</p>'


_MEANINGS = {
    "psnr": "how far the error lies below the signal's full range, in decibels; 1 dB more is 21 % less error",
    "ssim": "likeness of local structure, 1 for identical signals",
    "mse": "mean squared error",
    "mse_255": "mean squared error when the full range is taken as 255",
    "rmse": "root of the mean squared error, in the signal's own unit",
    "mae": "mean absolute error, in the signal's own unit",
    "nrmse": "norm of the error as a share of the norm of the truth",
}


def _glossary(conditions: Mapping[str, Any]) -> str:
    used = {metric for methods in conditions.values() for by in methods.values() for metric in by}
    entries = {name: words for name, words in _MEANINGS.items() if name in used}
    return f"<details><summary>What the measures mean</summary>{definitions(entries)}</details>" if entries else ""


def _pictures(restoration: Restoration | None) -> str:
    if restoration is None:
        return ""
    items = enumerate(restoration.examples.items())
    parts = [_fold(i, condition, _items(shown, restoration)) for i, (condition, shown) in items]
    intro = "<p>Test items drawn at random, not chosen by hand; the number under a picture is its PSNR.</p>"
    return _section("Pictures", intro + "".join(parts)) if parts else ""


def _fold(i: int, title: str, content: str) -> str:
    """Content that opens on demand; the first of a section is open."""
    return f"<details{'' if i else ' open'}><summary>{escape(title)}</summary>{content}</details>"


def _worst(restoration: Restoration | None) -> str:
    if restoration is None:
        return ""
    items = enumerate(restoration.worst.items())
    parts = [_fold(i, condition, _items(shown, restoration)) for i, (condition, shown) in items]
    intro = f"<p>The test items on which the {escape(restoration.main)} has the lowest PSNR.</p>"
    return _section("Where it fails", intro + "".join(parts)) if parts else ""


def _items(examples: Examples, restoration: Restoration) -> str:
    """One figure an item: input, best classical method, restored, truth."""
    columns = [("input", INPUT, examples.input), ("restored", restoration.main, examples.restored)]
    if examples.classical is not None:
        columns.insert(1, (examples.classical_name, examples.classical_name, examples.classical))
    drawn = [(label, method, restoration.draw(signals)) for label, method, signals in columns]
    drawn.append(("truth", "", restoration.draw(examples.truth)))
    figures = []
    for i, name in enumerate(examples.names):
        cells = ""
        for label, method, pictures in drawn:
            score = f"{examples.psnr[method][i]:.1f} dB" if method in examples.psnr else ""
            alt = f"{name}, {label}{', ' + score if score else ''}"
            cells += f'<div class="cell">{image(pictures[i], alt)}<b>{escape(label)}</b>{score}</div>'
        figures.append(
            f'<figure class="item"><div class="cells" style="--n:{len(drawn)}">{cells}</div>'
            f"<figcaption>{escape(name)}</figcaption></figure>"
        )
    form = layout_of(drawn[0][2][0]) if len(drawn[0][2]) else "square"
    return f'<div class="items {form}">{"".join(figures)}</div>'


def _generation(methods: Mapping[str, Any], samples: Pictures | None) -> str:
    content = results_table(methods, {}, MODEL) if methods else ""
    if samples is not None and len(samples):
        shown = samples[:MOST_SAMPLES]
        pictures = "".join(
            image(picture, f"generated sample {i + 1} of {len(shown)}") for i, picture in enumerate(shown)
        )
        content += "<h3>Samples, drawn at random</h3>" if methods else "<p>Drawn at random, none left out.</p>"
        content += f'<div class="samples {layout_of(shown[0])}">{pictures}</div>'
    return _section("Generation", content)


def _curves(curves: Curves, axis: str) -> str:
    drawn = "".join(curve(name, points, axis) for name, points in curves.items())
    return _section("Through training", f'<div class="curves">{drawn}</div>' if drawn else "")


def _repeat(environment: Mapping[str, Any], command: str) -> str:
    names = {"gpu": "GPU", "cpu": "CPU", "memory_gib": "Memory, GiB", "python": "Python", "torch": "PyTorch"}
    shown = {names.get(name, name): value for name, value in environment.items()}
    run = f'<pre tabindex="0"><code>{escape(command)}</code></pre>' if command else ""
    return _section("To repeat this", run + definitions(shown))
