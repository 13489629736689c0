"""Several runs on the same test items: one table, paired differences, one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vaegan import plugins
from vaegan.errors import UserError
from vaegan.evaluation.comparison import paired_differences
from vaegan.evaluation.environment import environment
from vaegan.evaluation.report import write_report
from vaegan.evaluation.result import PAIRED, Restoration
from vaegan.files import check_folder, make_folder, write_json
from vaegan.recipe import Recipe, identity, to_json
from vaegan.run import RUNS, Run, find, load
from vaegan.study import Study
from vaegan.training import available_device
from vaegan.workflow.items import describe, find_items
from vaegan.workflow.judging import (
    check_told,
    extractors_of,
    judge_generation,
    judge_restoration,
    parameters_of,
    with_n,
)
from vaegan.workflow.opening import Bar
from vaegan.workflow.training import new_model, train

COMPARISONS = RUNS / "compare"


@dataclass(frozen=True)
class Entrant:
    """What is to be compared, before anything is trained for it.

    Attributes:
        name: of the recipe.
        folder: of the run, also of one that is not trained yet.
        recipe: the recipe.
        sha256: of its training items.
        run: the trained run; ``None`` for a recipe.
    """

    name: str
    folder: Path
    recipe: Recipe
    sha256: str
    run: Run | None = None


def compare(
    names: Sequence[str],
    data: Path | None = None,
    *,
    study: str | None = None,
    out: Path | None = None,
    n: int | None = None,
    minutes: float | None = None,
    smoke: bool = False,
    inception: Path | None = None,
    device: str = "auto",
    command: str = "",
    console: Console | None = None,
) -> tuple[dict[str, Any], Path]:
    """Judges several runs on identical test items and writes ``metrics.json`` and ``report.html``.

    The items, their degradations and the classical methods are those of the first one's recipe.

    Args:
        names: folders of runs, or names of recipes; a recipe is trained first, on ``data`` where they are given.
        data: what recipes are trained on; refused, as ``minutes`` and ``smoke`` are, where there is no recipe among
            ``names``. Runs are judged on the test split of the first run's data.
        study: a study's name: its measures and what was published stand on the page too, and without ``names`` its recipes
            are compared.
        out: the comparison's folder; by default ``runs/compare/STUDY``, or ``runs/compare/FIRST-and-so-on``.
        n: test items for each condition.
        minutes: of training, for each recipe that has to be trained.
        smoke: recipes made tiny.
        inception: weights of Inception-v3.
        device: as in :func:`train`.
        command: what repeats the comparison, for the page.
        console: for progress; ``None`` is silent.

    Returns:
        The numbers, and the page's place.

    Raises:
        UserError: for fewer than two, for runs of different kinds of signals, of domains with other options, or on other
            data, and where ``out`` is a file.
    """
    if out is not None:
        check_folder(out)
    known = None if study is None else _study(study)
    names = names or (known.recipes if known is not None else ())
    if len(names) < 2:
        raise UserError(f"{len(names)} run to compare", expected="at least two runs or recipes")
    _check_heeded(names, data, minutes, smoke)
    first_trained = next((recipe for name, recipe in plugins.recipes().items() if name in names), None)
    if first_trained is not None:
        check_told(first_trained.with_data(data).domain.spec, n=n, inception=inception)
    # Whatever keeps them from being compared is found before the first of them trains for its hours.
    entrants = _named([_entrant(name, data, minutes, smoke, device) for name in names])
    _check_alike(entrants)
    if known is not None:
        _check_studied(str(study), known, next(iter(entrants.items())))
    folder = out or COMPARISONS / (study or "-".join(name.replace("/", "-") for name in entrants)[:100])
    check_folder(folder)
    runs = {
        name: with_n(entrant.run or train(entrant.name, entrant.recipe, device=device, console=console), n)
        for name, entrant in entrants.items()
    }
    first = next(iter(runs.values()))
    training = {name: run.history() for name, run in runs.items()}
    items = find_items(first, None, training[next(iter(runs))], console)
    with Bar(console, "comparing") as progress:
        restoration = judge_restoration(runs, items, progress, None if known is None else known.measures)
        generation = judge_generation(runs, items, extractors_of(first, inception, alone=False), progress)
    restoring = [] if restoration is None else [name for name in runs if name in restoration.ms_per_item]
    differences = {} if restoration is None else paired_differences(restoration, restoring)
    metrics: dict[str, Any] = {
        "recipe": " / ".join(runs),
        "environment": environment(),
        "data": describe(items, training[next(iter(runs))]),
        "runs": _costs(runs, training, restoration),
    }
    if restoration is not None:
        metrics |= {"restoration": restoration.numbers, "differences": differences}
    if known is not None:
        metrics["study"] = {"name": study, "title": known.title, "published": known.published, "source": known.source}
    if generation is not None:
        metrics |= {"generation": generation.numbers, "generation_notes": list(generation.notes)}
    make_folder(folder)
    write_json(folder / "metrics.json", metrics)
    page = write_report(
        folder / "report.html",
        title=" / ".join(runs) if known is None else known.title,
        metrics=metrics,
        restoration=restoration,
        generation=generation,
        command=command,
        models=list(runs),
        differences=differences,
        restoring=any(run.recipe.degradations for run in runs.values()) or PAIRED in metrics.get("restoration", {}),
    )
    return metrics, page


def _costs(
    runs: Mapping[str, Run], training: Mapping[str, Mapping[str, Any]], restoration: Restoration | None
) -> dict[str, dict[str, Any]]:
    """Where each run lies, its size, and what its training and its restoring take."""
    times = {} if restoration is None else restoration.ms_per_item
    costs = {}
    for name, run in runs.items():
        costs[name] = {
            "folder": str(run.folder),
            "parameters": sum(parameters_of(run.model).values()),
            "train_seconds": training[name]["seconds"],
            "train_samples": training[name]["samples"],
            "peak_memory_mib": training[name].get("peak_memory_mib"),
            "ms_per_item": times.get(name),
        }
    return {name: {key: value for key, value in cost.items() if value is not None} for name, cost in costs.items()}


def _study(name: str) -> Study:
    """The study of this name.

    Raises:
        UserError: for an unknown one.
    """
    studies = plugins.studies()
    if name not in studies:
        raise plugins.unknown("study", name, list(studies), "vaegan compare --help")
    found: Study = studies[name]
    return found


def _entrant(name: str, data: Path | None, minutes: float | None, smoke: bool, device: str) -> Entrant:
    """A run's folder, or a recipe that is to be trained (or was trained before: then nothing is left to do).

    Raises:
        UserError: for neither, and for a recipe that cannot be trained.
        DataError: for data that cannot be read.
    """
    recipes = plugins.recipes()
    if name in recipes:
        recipe = recipes[name].with_data(data)
        recipe = (recipe.smoke() if smoke else recipe).with_budget(None, minutes)
        items = recipe.domain.dataset("train")
        new_model(recipe, items)
        sha = items.fingerprint
        return Entrant(name, RUNS / name / identity(name, recipe, sha), recipe, sha)
    if not Path(name).exists():
        raise plugins.unknown("run or recipe", name, list(recipes))
    run = load(find(Path(name)), device=available_device(device))
    return Entrant(run.name, run.folder, run.recipe, str(run.history().get("sha256")), run)


def _named(entrants: Sequence[Entrant]) -> dict[str, Entrant]:
    """Entrants by their recipe's name, with the folder's where two are of one recipe, and its path where that is one too.

    Raises:
        UserError: for the same run twice.
    """
    places = [entrant.folder.resolve() for entrant in entrants]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise UserError(f"the run {twice} is named twice", expected="different runs", mend="name it once")
    choices = [(one.name, f"{one.name} ({one.folder.name})", f"{one.name} ({one.folder})") for one in entrants]
    counts = Counter(name for names in choices for name in set(names))
    return {
        next(name for name in names if counts[name] == 1): entrant
        for names, entrant in zip(choices, entrants, strict=True)
    }


def _check_heeded(names: Sequence[str], data: Path | None, minutes: float | None, smoke: bool) -> None:
    """What is said of training must not be ignored where nothing is trained."""
    given = {"--data": data is not None, "--minutes": minutes is not None, "--smoke": smoke}
    idle = " and ".join(flag for flag, is_given in given.items() if is_given)
    if idle and not set(names) & set(plugins.recipes()):
        raise UserError(
            f"{idle} with trained runs alone", expected="a recipe, which is trained first", mend=f"leave {idle} out"
        )


def _check_alike(entrants: Mapping[str, Entrant]) -> None:
    """The first one's test items must be items of all: split alike, seen in the same model units, and learned by none.

    Raises:
        UserError: where they are not.
    """
    (name, first), *others = entrants.items()
    domain = first.recipe.domain
    for other, entrant in others:
        own = entrant.recipe.domain
        if own.spec.shape != domain.spec.shape or type(own) is not type(domain):
            raise UserError(
                f"{other} restores {type(own).__name__} of shape {own.spec.shape}, "
                f"{name} {type(domain).__name__} of {domain.spec.shape}",
                expected="runs of one kind of signal",
                mend="compare them separately",
            )
        options, wanted = _options(entrant), _options(first)
        unlike = [key for key in sorted(options | wanted) if options.get(key) != wanted.get(key)]
        if unlike:
            told = ", ".join(f"{key} is {options.get(key)!r}, not {wanted.get(key)!r}" for key in unlike)
            raise UserError(
                f"{other} has another domain than {name}: {told}",
                expected="the same options, which say how items are made, split and scaled",
                mend="train them with the same --domain flags",
            )
    if len({entrant.sha256 for entrant in entrants.values()}) > 1:
        told = ", ".join(f"{name}: {entrant.sha256[:8]}" for name, entrant in entrants.items())
        raise UserError(
            f"the runs were trained on different data ({told})",
            expected="one training split for all",
            mend="train them on the same --data",
        )


def _check_studied(study: str, known: Study, entrant: tuple[str, Entrant]) -> None:
    """A study's title, measures and published numbers are about signals of one kind.

    Raises:
        UserError: for runs of another kind than the study's own recipes.
    """
    (name, own), recipes = entrant, plugins.recipes()
    kinds = {type(recipes[recipe].domain) for recipe in known.recipes if recipe in recipes}
    if kinds and type(own.recipe.domain) not in kinds:
        raise UserError(
            f"the study {study!r} with {name}, whose signals are {type(own.recipe.domain).__name__}",
            expected=" or ".join(sorted(kind.__name__ for kind in kinds)),
            mend="leave --study out, or compare runs of its kind",
        )


def _options(entrant: Entrant) -> dict[str, Any]:
    """A domain's options, without the place of its data."""
    options: dict[str, Any] = to_json(entrant.name, entrant.recipe)["domain"]["options"]
    return {key: value for key, value in options.items() if key != "data"}
