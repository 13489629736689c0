"""From a trained run to its numbers, and to its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from vaegan.data import SignalSet, Split
from vaegan.degradation import Degradation, build, build_where_known
from vaegan.degradation.base import normal
from vaegan.errors import UserError
from vaegan.evaluation.environment import environment
from vaegan.evaluation.evaluator import Restorer, evaluate_restoration
from vaegan.evaluation.generation import Draw, evaluate_generation, judges_generated
from vaegan.evaluation.latent import interpolate, latent_report, posteriors, separability
from vaegan.evaluation.report import write_report
from vaegan.evaluation.result import LATENTS, MIXTURE, MODEL, PAIRED, Generation, Restoration, Tradeoff, Uncertainty
from vaegan.evaluation.tradeoff import evaluate_tradeoff
from vaegan.evaluation.uncertainty import Validation, evaluate_uncertainty
from vaegan.files import write_json
from vaegan.metrics.features import EXTRA, Extractor, default_extractor
from vaegan.metrics.restoration import Metric
from vaegan.models import Model
from vaegan.models.latent import LatentModel
from vaegan.recipe import Recipe
from vaegan.run import Run
from vaegan.signal import SignalSpec
from vaegan.workflow.finishing import spread_of
from vaegan.workflow.items import Items, describe, find_items
from vaegan.workflow.memory import peak_memory_mib
from vaegan.workflow.opening import Bar

MOST_UNCERTAIN = 64
MOST_PROBED = 5_000


@dataclass(frozen=True)
class Findings:
    """What judging a run found.

    Attributes:
        metrics: the content of ``metrics.json``.
        restoration, generation, uncertainty, tradeoff: what is behind the numbers; ``None`` where it does not apply.
        items: what was judged on, for the domain's own sections of a report; ``None``: it has none.
        n: how many of them for each condition.
    """

    metrics: dict[str, Any]
    restoration: Restoration | None = None
    generation: Generation | None = None
    uncertainty: Uncertainty | None = None
    tradeoff: Tradeoff | None = None
    items: Items | None = None
    n: int = 0


ONE_SIDED = (
    "draws of different models were compared by no features: the domain has none, and the discriminator of one of them "
    f"would be no fair judge; for pictures `{EXTRA}` brings a network that is"
)
PRIVATE = "<p>They were left out, so that this page may be shared where the data may not.</p>"


def evaluate(
    run: Run,
    data: Path | None = None,
    *,
    split: Split = "test",
    n: int | None = None,
    inception: Path | None = None,
    console: Console | None = None,
) -> Findings:
    """Judges a run on its own test split, or on data that it never saw (then every item is a test item).

    Args:
        run: the run.
        data: data that it never saw.
        split: ``"val"`` to choose between runs: what is chosen on test items is flattered by them. Classical methods then
            get middle strengths, and nothing is calibrated: the spread, whose calibration they gave, is not judged.
        n: test items for each condition, instead of the recipe's number.
        inception: weights of Inception-v3, for distances that can be compared with published ones.
        console: for progress; ``None`` is silent.

    Raises:
        UserError: for data with items that the run was trained on, or a wrong number.
        DataError: for data that cannot be read.
    """
    run = with_n(run, n)
    training = run.history()
    items = find_items(run, data, training, console)
    if split == "val":
        if items.val is None or not len(items.val):
            raise UserError(f"{run.name} has no validation items", mend="give it more data with --data")
        items = replace(items, test=items.val, val=None, split="val", calibrated=True)
    extractors = extractors_of(run, inception)
    with Bar(console, "evaluating") as progress:
        restoration = judge_restoration({MODEL: run}, items, progress)
        generation = judge_generation({MODEL: run}, items, extractors, progress)
        uncertainty = _judge_uncertainty(run, items, progress)
        tradeoff = _judge_tradeoff(run, items, extractors, progress)
        latent = _judge_latent(run, items)
    metrics: dict[str, Any] = {
        "recipe": run.name,
        "environment": environment(),
        "data": describe(items, training),
        "restoration": None if restoration is None else restoration.numbers,
        "baselines": None
        if restoration is None
        else {"strengths": restoration.strengths, "tuned_on_validation_items": restoration.tuned},
        "generation": None if generation is None else generation.numbers,
        "generation_notes": None if generation is None else list(generation.notes),
        "uncertainty": None if uncertainty is None else uncertainty.numbers,
        "tradeoff": None if tradeoff is None else {"distance": tradeoff.distance, "points": list(tradeoff.points)},
        "latent": latent,
        "cost": _cost(run.model, training, restoration),
    }
    # A part that does not apply is left out, never filled with zeros.
    found = {name: part for name, part in metrics.items() if part is not None}
    return Findings(found, restoration, generation, uncertainty, tradeoff, items, run.recipe.evaluation.n)


def report(run: Run, findings: Findings, command: str, folder: Path | None = None, *, private: bool = False) -> Path:
    """Writes ``metrics.json`` and ``report.html``; returns the report's place.

    Args:
        run: the run; before other data (:meth:`~vaegan.run.Run.on`) where it was judged on those.
        findings: what :func:`evaluate` found.
        command: what repeats it, for the page.
        folder: where they go; by default the run's own.
        private: leave out every picture of the data, so that the page may be shared where the data may not.
    """
    folder = folder or run.folder
    if private:
        findings = _without_data(findings)
    write_json(folder / "metrics.json", findings.metrics)
    training = run.history()
    warnings = {f"warning {i + 1}": warning for i, warning in enumerate(training["warnings"])}
    restoring = bool(run.recipe.degradations) or PAIRED in findings.metrics.get("restoration", {})
    further: Mapping[str, str] = {}
    if private:
        further = {"Pictures of the data": PRIVATE}
    elif restoring and findings.items is not None:  # a domain's own sections are of signals restored
        items = findings.items
        further = items.domain.on_split(items.split).report_sections(
            lambda recording: run.restore(recording).recording, items.test, findings.n
        )
    return write_report(
        folder / "report.html",
        title=run.name,
        metrics=findings.metrics,
        restoration=findings.restoration,
        generation=findings.generation,
        uncertainty=findings.uncertainty,
        tradeoff=findings.tradeoff,
        curves=training["curves"],
        notes={**findings.metrics.get("latent", {}), **warnings},
        command=command,
        further=further,
        restoring=restoring,
    )


def _without_data(findings: Findings) -> Findings:
    """The same numbers and draws, without items of the data and what was made of them."""
    restoration, generation, tradeoff = findings.restoration, findings.generation, findings.tradeoff
    return replace(
        findings,
        restoration=None if restoration is None else replace(restoration, examples={}, worst={}),
        generation=None if generation is None else replace(generation, nearest=None, interpolation=None),
        uncertainty=None,
        tradeoff=None if tradeoff is None else replace(tradeoff, pictures={}, truth=tradeoff.truth[:0]),
    )


def judge_restoration(
    runs: Mapping[str, Run], items: Items, progress: Any, measures: Mapping[str, Metric] | None = None
) -> Restoration | None:
    """Runs by name on the same degraded items, under the conditions of the first; ``None`` where there is none."""
    evaluation = next(iter(runs.values())).recipe.evaluation
    restorers = {name: _restorer(run.model) for name, run in runs.items() if run.model.restores}
    if not restorers or (not evaluation.conditions and items.test.observed is None):
        return None
    return evaluate_restoration(
        restorers,
        items.domain,
        items.test,
        items.val,
        evaluation.conditions,
        n=evaluation.n,
        seed=evaluation.seed,
        tuning=evaluation.tuning,
        baselines=next(iter(runs.values())).baselines(),
        measures=measures,
        split=items.split,
        progress=progress,
    )


def judge_generation(
    runs: Mapping[str, Run], items: Items, extractors: tuple[Extractor, ...], progress: Any
) -> Generation | None:
    """Draws of runs by name, from N(0, I) and from the mixture; ``None`` where none draws.

    Beside a single run stand draws from the latents of its training items. Those of several are shown beside each other also
    where there is nothing to judge them by, and it is said.
    """
    first = next(iter(runs.values()))
    evaluation = first.recipe.evaluation
    draws: dict[str, Draw] = {}
    for name, run in runs.items():
        if run.recipe.evaluation.samples and run.model.generates:
            labels = labels_of(run.model.classes, items.train)
            draws[name] = as_often(run.draws(), labels)
            if run.extras.prior is not None:
                draws[MIXTURE.format(name)] = as_often(run.draws(mixture=True), labels)
    if not draws or not (extractors or len(runs) > 1 or judges_generated(items.domain)):
        return None
    found = evaluate_generation(
        draws,
        items.domain,
        items.train,
        items.test,
        extractors,
        n=max(2, *(run.recipe.evaluation.samples for run in runs.values() if run.model.generates)),
        seed=evaluation.seed,
        device=next(first.model.parameters()).device,
        progress=progress,
        limits=_limits(runs, items),
    )
    found = _finite(found)
    if len(runs) > 1 and not extractors:
        found = replace(found, notes=(ONE_SIDED, *found.notes))
    if isinstance(first.model, LatentModel) and len(items.test) > 1:
        line = interpolate(first.model, items.domain, items.test, seed=evaluation.seed)
        return replace(found, interpolation=line, interpolated=next(iter(runs)) if len(runs) > 1 else "")
    return found


def _finite(found: Generation) -> Generation:
    """Every mean as JSON can hold it: a domain's own may be NumPy's, or NaN, which a note tells and is left out."""
    numbers: dict[str, dict[str, Any]] = {}
    notes = list(found.notes)
    for method, measures in found.numbers.items():
        means = {name: float(entry["mean"]) for name, entry in measures.items()}
        numbers[method] = {n: {**entry, "mean": means[n]} for n, entry in measures.items() if isfinite(means[n])}
        notes += [f"{method}: {name} is {mean}" for name, mean in means.items() if not isfinite(mean)]
    return replace(found, numbers=numbers, notes=tuple(notes))


def _limits(runs: Mapping[str, Run], items: Items) -> dict[str, Draw]:
    """What is within reach of a single run's decoder, where training items have latents; else nothing."""
    name, run = next(iter(runs.items()))
    model, train = run.model, items.train
    if (
        len(runs) > 1
        or not isinstance(model, LatentModel)
        or 0 in model.latent_shape
        or train is None
        or not len(train)
    ):
        return {}
    like = next(model.parameters())

    @torch.no_grad()
    def draw(n: int, seed: int) -> Tensor:
        rows = np.sort(np.random.default_rng((seed, 9)).choice(len(train), n, replace=n > len(train)))
        q = posteriors(model, run.domain, train, rows, run.recipe.degradation(), seed=seed)
        z = q.sample(normal(tuple(q.mean.shape), q.mean, torch.Generator().manual_seed(seed))).to(
            like.device, like.dtype
        )
        labels = None if not model.classes or train.labels is None else np.asarray(train.labels)[rows].astype(np.int64)
        condition = None if labels is None else torch.from_numpy(labels).to(like.device)
        return model.decode(z, None, condition).float().cpu()

    return {LATENTS.format(name): draw}


def labels_of(classes: int, train: SignalSet | None) -> np.ndarray[Any, Any] | None:
    """Labels to draw a conditional model's classes from: of training items, or each class once where those are gone."""
    if not classes:
        return None
    return np.arange(classes) if train is None or train.labels is None else train.labels


def as_often(draw: Callable[..., Tensor], labels: np.ndarray[Any, Any] | None) -> Draw:
    """Draws of a conditional model, each class as often as in training: test items are not of all classes alike either."""
    if labels is None or not len(labels):
        return draw

    def drawn(n: int, seed: int) -> Tensor:
        return draw(n, seed, torch.from_numpy(np.random.default_rng((seed, 8)).choice(labels, n).astype(np.int64)))

    return drawn


def _judge_uncertainty(run: Run, items: Items, progress: Any) -> Uncertainty | None:
    evaluation = run.recipe.evaluation
    conditions = _conditions(run.recipe, items)
    calibration = run.extras.calibration  # only where training knew of damage: else there is nothing to be unsure of
    if not evaluation.spread or not conditions or calibration is None or items.calibrated:
        return None
    found = evaluate_uncertainty(
        spread_of(run.model, evaluation.spread, evaluation.seed),
        calibration,
        items.domain,
        items.test,
        conditions,
        n=min(evaluation.n, MOST_UNCERTAIN),
        seed=evaluation.seed,
        validation=_validation(run.recipe, items),
        progress=progress,
    )
    return found if found.numbers else None


def _judge_tradeoff(run: Run, items: Items, extractors: tuple[Extractor, ...], progress: Any) -> Tradeoff | None:
    conditions = _conditions(run.recipe, items)
    if run.extras.faithful is None or not conditions or not extractors:
        return None
    condition = next(iter(conditions))
    return evaluate_tradeoff(
        run.model,
        run.extras.faithful,
        items.domain,
        items.test,
        condition,
        conditions[condition],
        extractors[0],
        n=run.recipe.evaluation.n,
        seed=run.recipe.evaluation.seed,
        progress=progress,
    )


def _judge_latent(run: Run, items: Items) -> dict[str, Any] | None:
    """What the latent carries, and how well attributes can be read from it."""
    if not isinstance(run.model, LatentModel):
        return None
    evaluation = run.recipe.evaluation
    conditions = _conditions(run.recipe, items) if run.recipe.degradations or items.test.observed is not None else {}
    condition = next(iter(conditions), "none")
    found: dict[str, Any] = {
        "condition": condition,
        **latent_report(
            run.model,
            items.domain,
            items.test,
            conditions.get(condition),
            n=min(256, evaluation.n),
            seed=evaluation.seed,
        ),
    }
    train, test = items.train, items.test
    if train is None or train.attributes is None or test.attributes is None or 0 in run.model.latent_shape:
        return found
    names = [name for name in train.attribute_names if name in test.attribute_names]  # other data may have others
    parts = []
    for data in (train, test):
        columns = [data.attribute_names.index(name) for name in names]
        rows = np.sort(np.random.default_rng((evaluation.seed, 6)).permutation(len(data))[:MOST_PROBED])
        q = posteriors(run.model, items.domain, data, rows, run.recipe.degradation(), seed=evaluation.seed)
        parts.append((q.mean, np.asarray(data.attributes)[rows][:, columns]))
    found["attributes"] = separability(*parts[0], *parts[1], names)
    return found


def _validation(recipe: Recipe, items: Items) -> Validation | None:
    """Validation items under the conditions that their split has too."""
    if items.val is None:
        return None
    if items.test.observed is not None:
        return None if items.val.observed is None else Validation(items.val, {PAIRED: None})
    makers = items.domain.on_split("val").degradations()
    built = {name: build_where_known(name, makers) for name in recipe.evaluation.conditions}
    return Validation(items.val, {name: made for name, made in built.items() if made is not None})


def _conditions(recipe: Recipe, items: Items) -> dict[str, Degradation | None]:
    """Degradations by name; pairs come as they are."""
    if items.test.observed is not None:
        return {PAIRED: None}
    makers = items.domain.on_split(items.split).degradations()
    return {name: build(name, makers) for name in recipe.evaluation.conditions}


def _restorer(model: Model) -> Restorer:
    device = next(model.parameters()).device

    def restore(y: Tensor, mask: Tensor | None) -> Tensor:
        with torch.no_grad():
            return model.restore(y.to(device), None if mask is None else mask.to(device)).mean

    return restore


def extractors_of(run: Run, inception: Path | None, *, alone: bool = True) -> tuple[Extractor, ...]:
    """What generated signals of a run are judged by; not ``alone``, by nothing that is one model's own."""
    return default_extractor(
        run.domain.spec,
        domain_features=run.domain.features(),
        judge=getattr(run.model, "judge", None) if alone else None,
        inception=inception,
    )


def check_told(spec: SignalSpec, *, n: int | None = None, inception: Path | None = None) -> None:
    """Looks at what judging is told: a mistake is better found before the training than after it.

    Raises:
        UserError: for no test items, and for Inception-v3 on signals that are no pictures.
        DataError: for a wrong file of weights.
    """
    if n is not None and n < 1:
        raise UserError(f"--n is {n}", expected="at least 1", mend="set --n")
    if inception is not None:
        default_extractor(spec, inception=inception)


def with_n(run: Run, n: int | None) -> Run:
    """The same run, judged on another number of items."""
    if n is None:
        return run
    check_told(run.domain.spec, n=n)
    return replace(run, recipe=replace(run.recipe, evaluation=replace(run.recipe.evaluation, n=n)))


def _cost(model: Model, training: Mapping[str, Any], restoration: Restoration | None) -> dict[str, Any]:
    peak = peak_memory_mib()
    cost = {
        "train_seconds": training["seconds"],
        "train_samples": training["samples"],
        "train_samples_per_second": training["samples"] / max(training["seconds"], 1e-9),
        **({} if peak is None else {"peak_memory_mib": peak}),
        "parameters": parameters_of(model),
    }
    return cost if restoration is None else {**cost, "ms_per_item": restoration.ms_per_item[MODEL]}


def parameters_of(model: Model) -> dict[str, int]:
    """Parameters of each player."""
    return {name: sum(p.numel() for p in player.parameters()) for name, player in model.players().items()}
