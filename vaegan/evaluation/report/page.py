"""The whole page: the verdict, then a section for whatever is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from vaegan.evaluation import verdict
from vaegan.evaluation.report.charts import Points, curve
from vaegan.evaluation.report.comparison import Differences, paired_section, summary_section
from vaegan.evaluation.report.generation import generation_section
from vaegan.evaluation.report.markup import definitions, duration, escape, fold
from vaegan.evaluation.report.pictures import HINT, ZOOM
from vaegan.evaluation.report.points import MARK, SCRIPT, points_section, policy
from vaegan.evaluation.report.restoration import pictures_section, results_section, worst_section
from vaegan.evaluation.report.study import study_section
from vaegan.evaluation.report.tradeoff import tradeoff_section
from vaegan.evaluation.report.uncertainty import uncertainty_section
from vaegan.evaluation.result import MODEL, Generation, Restoration, Tradeoff, Uncertainty
from vaegan.files import write_file

Curves = Mapping[str, Points]


def write_report(
    path: str | Path,
    *,
    title: str,
    metrics: Mapping[str, Any],
    restoration: Restoration | None = None,
    generation: Generation | None = None,
    uncertainty: Uncertainty | None = None,
    tradeoff: Tradeoff | None = None,
    curves: Curves | None = None,
    notes: Mapping[str, Any] | None = None,
    command: str = "",
    curve_axis: str = "samples seen",
    models: Sequence[str] = (MODEL,),
    differences: Differences | None = None,
    further: Mapping[str, str] | None = None,
    restoring: bool = True,
) -> Path:
    """Writes the report, under a temporary name first, so that a reader never finds half of it.

    Args:
        path: of the page; its folder is made where it is missing.
        title: for example the recipe's name.
        metrics: what ``metrics.json`` holds; parts that are missing are left out of the page. Of several models,
            ``metrics["runs"]`` is {MODEL: {"parameters", "train_seconds", "ms_per_item", "peak_memory_mib", "samples"}}.
        restoration: where the pictures and the times of the methods come from.
        generation: samples, their neighbours, and the numbers where ``metrics`` has none.
        uncertainty: maps and curves of the spread, and the numbers where ``metrics`` has none.
        tradeoff: one model at several settings of its fidelity.
        curves: (x, y) through training, by name.
        notes: of the latent space: active units, divergence, ...
        command: what repeats the run.
        curve_axis: what x is in ``curves``.
        models: the methods that are our own; with several the page compares them.
        differences: of every pair of them on the same items, see
            :func:`vaegan.evaluation.comparison.paired_differences`.
        further: sections of the domain's own, title to HTML; see :meth:`vaegan.domain.Domain.report_sections`.
        restoring: whether the models were trained to restore. Otherwise what they draw comes first, and how they restore all
            the same is told as what it is.

    Returns:
        The page's path.
    """
    own = list(models) if restoration is None or restoration.main in models else [restoration.main]
    conditions = metrics.get("restoration", {})
    samples = metrics.get("generation") or ({} if generation is None else generation.numbers)
    widths = metrics.get("uncertainty") or ({} if uncertainty is None else uncertainty.numbers)
    sections = {
        "What was trained, and for how long" if "cost" in metrics else "The data": _trained_on(metrics),
        "Models side by side": summary_section({**metrics, "generation": samples}, own),
        "Beside what was published": study_section(metrics, own),
        "Results": results_section(conditions, restoration, own),
        "Paired differences": paired_section(differences),
        "Pictures": pictures_section(restoration),
        "Points in space": points_section(restoration),
        **(further or {}),
        "Generation": generation_section(samples, generation, own),
        "Uncertainty": uncertainty_section(widths, uncertainty),
        "Faithful or realistic": tradeoff_section(tradeoff),
        "Through training": _curves(curves or {}, curve_axis),
        "The latent space": definitions(notes or {}),
        "Where it fails": worst_section(restoration),
        "To repeat this": repeat_section(metrics.get("environment", {}), command),
    }
    if samples and not restoring:
        first = ("What was trained, and for how long", "The data", "Models side by side", "Generation")
        sections = {name: sections[name] for name in (*(n for n in first if n in sections), *sections)}
    shown = _verdict(conditions, samples, restoration, own, differences or {}, restoring=restoring)
    return write_page(path, title=title, kicker=metrics.get("recipe", "") or "Report", verdict=shown, sections=sections)


def write_page(path: str | Path, *, title: str, kicker: str, verdict: str, sections: Mapping[str, str]) -> Path:
    """Writes a page of sections, under a temporary name first; those that are empty are left out.

    Args:
        path: of the page.
        title: for example the recipe's name.
        kicker: what kind of page it is.
        verdict: what it comes to, HTML.
        sections: HTML by heading.
    """
    body = "".join(sections.values())
    known = {f"part-{i + 1}": part for i, part in enumerate(part for part in sections.items() if part[1])}
    script = SCRIPT if MARK in body else ""
    folder = resources.files("vaegan.evaluation.report")
    page = Template(folder.joinpath("report.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        kicker=escape(kicker),
        policy=policy(script),
        script=f"<script>{script}</script>" if script else "",
        style=folder.joinpath("report.css").read_text(encoding="utf-8"),
        verdict=verdict,
        contents=_contents({anchor: name for anchor, (name, _) in known.items()}) + (HINT if ZOOM in body else ""),
        body="\n".join(
            f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{escape(name)}</h2>{content}</section>'
            for anchor, (name, content) in known.items()
        ),
    )
    write_file(Path(path), page.encode())
    return Path(path)


MOST_LINES = 8
"""Conditions that are told beside the first one; more of them are folded away."""
_TAGS = {"win": "ahead", "tie": "level", "loss": "behind"}


def _contents(names: Mapping[str, str]) -> str:
    links = "".join(f'<li><a href="#{anchor}">{escape(name)}</a></li>' for anchor, name in names.items())
    return f'<nav aria-label="On this page"><ul>{links}</ul></nav>' if len(names) > 1 else ""


def _verdict(
    conditions: Mapping[str, Any],
    generation: verdict.Methods,
    restoration: Restoration | None,
    own: Sequence[str],
    differences: Differences,
    *,
    restoring: bool,
) -> str:
    """The first condition's comparison large, the others below it; generation where nothing was, or was to be, restored."""
    drawn = [verdict.drawing_verdict(generation, own)] if generation and not restoring else []
    lines: list[tuple[str, str]] = []
    against: list[verdict.Comparison] = []
    for condition, methods in conditions.items():
        best = verdict.best_model(condition, methods, own, differences.get(condition))
        if best is not None:
            lines.append((best[1], best[2]))
        known = None if restoration is None else restoration.strengths.get(condition)
        rivals = set(methods) - set(own) if known is None else set(known)
        result = verdict.compare(condition, methods, method=own[0] if best is None else best[0], rivals=rivals)
        if result is not None and (best is None or not against):
            words = verdict.sentence(result) if against or drawn else verdict.headline(result, generation)
            lines.append((result.outcome, words))
        against += [] if result is None else [result]
    if drawn:
        lines = [
            *drawn,
            *((outcome, f"Not trained to restore: {words[:1].lower()}{words[1:]}") for outcome, words in lines),
        ]
    elif not lines:
        lines = [verdict.drawing_verdict(generation, own)]
    (outcome, first), *others = lines
    besides = [verdict.left_out(against[0], generation)] if against and not drawn else []
    soft = " ".join(words for words in [*besides, verdict.tally(against)] if words)
    items = [f'<li><span class="tag {o}">{_TAGS[o]}</span>{escape(words)}</li>' for o, words in others]
    shown = f"<ul>{''.join(items)}</ul>" if items else ""
    return (
        f'<div class="verdict {outcome}"><p class="main">{escape(first)}</p>'
        + (f'<p class="soft">{escape(soft)}</p>' if soft else "")
        + (shown if len(items) <= MOST_LINES else fold(f"The other {len(items)} conditions", shown))
        + "</div>"
    )


def _trained_on(metrics: Mapping[str, Any]) -> str:
    data, cost = metrics.get("data", {}), metrics.get("cost", {})
    seconds, speed = cost.get("train_seconds"), cost.get("train_samples_per_second")
    seen = cost.get("train_samples")
    if seen is None and seconds is not None and speed is not None:
        seen = round(seconds * speed)
    facts: dict[str, Any] = {
        "Judged on": data.get("source"),
        "Training items": data.get("n_train"),
        "Begun with": _beginning(data.get("pretrained")),
        "Validation items": data.get("n_val"),
        "Test items": data.get("n_test"),
        "Training time": None if seconds is None else duration(seconds),
        "Samples seen": seen,
        "Samples a second": speed,
        "Parameters": cost.get("parameters"),
        "Peak memory": None if cost.get("peak_memory_mib") is None else f"{cost['peak_memory_mib']:,.0f} MiB",
        "Data SHA-256": (data.get("sha256") or "")[:12] or None,
    }
    return definitions(facts)


def _beginning(origin: Mapping[str, Any] | None) -> str | None:
    """The run whose weights a training began with."""
    return None if origin is None else f"{origin['recipe']} on {origin['source']}, {origin['samples']:,} samples"


def _curves(curves: Curves, axis: str) -> str:
    drawn = "".join(curve(name, points, axis) for name, points in curves.items())
    return f'<div class="curves">{drawn}</div>' if drawn else ""


def repeat_section(environment: Mapping[str, Any], command: str) -> str:
    """The command, and the machine that it ran on."""
    names = {"gpu": "GPU", "cpu": "CPU", "memory_gib": "Memory, GiB", "python": "Python", "torch": "PyTorch"}
    shown = {names.get(name, name): value for name, value in environment.items()}
    run = f'<pre tabindex="0"><code>{escape(command)}</code></pre>' if command else ""
    return run + definitions(shown)
