"""One recipe at several sizes: what each size costs and gives, on Optuna."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from math import inf, isfinite, prod
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from rich.console import Console

from vaegan import plugins
from vaegan.errors import UserError
from vaegan.evaluation.environment import environment
from vaegan.evaluation.report.sweep import QUALITIES, Quality, write_sweep
from vaegan.files import make_folder, read_json, write_json
from vaegan.metrics.features import EXTRA, default_extractor
from vaegan.recipe import Recipe, to_json
from vaegan.run import RUNS, Run
from vaegan.workflow.judging import evaluate
from vaegan.workflow.training import train

TIME, MEMORY = "ms_per_item", "peak_memory_mib"
DRAWS = 64

Choices = Mapping[str, Sequence[Any]]
"""{FIELD of the recipe, such as ``model.width``: its values}."""


def sweep(
    name: str,
    vary: Sequence[str],
    data: Path | None = None,
    *,
    out: Path | None = None,
    quality: str | None = None,
    storage: str | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    samples: int | None = None,
    smoke: bool = False,
    device: str = "auto",
    command: str = "",
    console: Console | None = None,
) -> tuple[dict[str, Any], Path]:
    """Trains a recipe with its fields varied, judges on validation items, and writes ``sweep.json`` and ``report.html``.

    The same call goes on where it was; several machines share the work through one ``storage`` and one ``out``. With other
    data, another budget, or judged otherwise it is another sweep, whose trials stand beside those of the first.

    Args:
        name: the recipe's name.
        vary: ``FIELD=a,b,c``, each a field of the recipe and its values; every combination is tried.
        data: what it is trained on.
        out: the sweep's folder; by default ``runs/sweep/NAME``.
        quality: ``"psnr"`` over the recipe's conditions or ``"kid"``, the kernel distance of its draws; by default the first
            that the recipe is judged by.
        storage: an RDB URL that Optuna understands; by default SQLite in ``out``.
        trials: at most so many combinations, in random order.
        minutes, samples: the budget of each training.
        smoke: recipes made tiny.
        device: as in :func:`train`.
        command: what repeats the sweep, for the page.
        console: for progress; ``None`` is silent.

    Returns:
        The numbers, and the page's place.

    Raises:
        UserError: for an unknown recipe or field, values of another type, a quality that the recipe is not judged by, or
            where ``out`` is a file, or Optuna is not installed or cannot use the storage.
        DataError: for data that cannot be read.
    """
    optuna = _optuna()
    if trials is not None and trials < 1:
        raise UserError(f"--trials is {trials}", expected="at least 1", mend="set --trials")
    recipes = plugins.recipes()
    if name not in recipes:
        raise plugins.unknown("recipe", name, list(recipes))
    recipe: Recipe = recipes[name].with_data(data)
    recipe = (recipe.smoke() if smoke else recipe).with_budget(samples, minutes)
    judged = _quality(name, recipe, quality)
    choices = parse_choices(recipe, vary)
    key = _key(name, recipe)
    folder = out or RUNS / "sweep" / name
    make_folder(folder)
    space = {field: [json.dumps(value) for value in values] for field, values in choices.items()}
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # of a failed trial it prints the traceback of a user's mistake
    study = optuna.create_study(
        storage=_storage(optuna, storage or _book(folder)),
        study_name=f"{name} {judged[1]} {json.dumps(space, sort_keys=True)} {key}",
        directions=["maximize" if judged[0].sign > 0 else "minimize", "minimize", "minimize"],
        sampler=optuna.samplers.GridSampler(space, seed=0),
        load_if_exists=True,
    )

    def attempt(trial: Any) -> tuple[float, ...]:
        chosen = {field: json.loads(trial.suggest_categorical(field, values)) for field, values in space.items()}
        # Whole but for what is the model's: two stages have fields of one name.
        sizes = "-".join(f"{field.removeprefix('model.')}={value}" for field, value in chosen.items())
        return _try(name, recipe, chosen, folder / f"{sizes}-{key}", judged, device, console, trial)

    whole = prod(len(values) for values in space.values())
    _queue_failed(optuna, study)
    while len(_finished(study)) < min(whole if trials is None else trials, whole):
        study.optimize(attempt, n_trials=1, catch=())
    metrics = _summary(name, recipe, study, choices, judged)
    write_json(folder / "sweep.json", metrics)
    return metrics, write_sweep(folder / "report.html", metrics, command)


def _key(name: str, recipe: Recipe) -> str:
    """A short hash of what all trials share: the recipe with its budget and its judging, and what its data hold.

    A trial is another one's equal only where that is the same, wherever the data lie.

    Raises:
        DataError: where the data cannot be read.
    """
    content = to_json(name, recipe)
    content.pop("summary")
    content["domain"]["options"].pop("data")
    text = json.dumps([content, recipe.domain.dataset("train").fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _book(folder: Path) -> str:
    """The URL of a sweep's own database: what a question mark in it would cut off is part of the folder's name."""
    from sqlalchemy import URL

    # As a URI of its own: SQLAlchemy 2.0 quotes nothing of a database's name.
    place = (folder / "sweep.db").resolve().as_uri()
    return URL.create("sqlite", database=place, query={"uri": "true"}).render_as_string()


def _storage(optuna: Any, url: str) -> Any:
    """Optuna's book.

    Raises:
        UserError: for what is no such URL, a database that cannot be opened, or one whose driver is not installed.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return optuna.storages.RDBStorage(url)
    except (ImportError, ValueError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise UserError(
            f"--storage {url} cannot be used ({str(error).splitlines()[0]})",
            expected="the URL of a database whose driver is installed, such as sqlite:///sweep.db",
            mend="set --storage, or leave it out",
        ) from error


def _queue_failed(optuna: Any, study: Any) -> None:
    """Combinations that failed or were broken off come again first: the grid itself would count them as tried."""
    states = optuna.trial.TrialState
    alive = {trial.system_attrs.get("grid_id") for trial in study.trials if trial.state != states.FAIL}
    for trial in study.trials:
        place = trial.system_attrs.get("grid_id")
        if place not in alive:
            alive.add(place)
            study.add_trial(optuna.trial.create_trial(state=states.WAITING, system_attrs=trial.system_attrs))


def _finished(study: Any) -> list[Any]:
    """The last finished trial of each combination: machines that share a storage may try the last one twice."""
    return list({json.dumps(t.params, sort_keys=True): t for t in study.trials if t.values is not None}.values())


def parse_choices(recipe: Recipe, vary: Sequence[str]) -> dict[str, list[Any]]:
    """The values of each varied field, of the type that the field has.

    Raises:
        UserError: for text that is no ``FIELD=a,b``, a field that the recipe has not, or a value of another type.
    """
    if not vary:
        raise UserError("nothing to vary", expected="FIELD=a,b,c", mend="set --vary model.width=16,32,64")
    choices: dict[str, list[Any]] = {}
    for text in vary:
        written, equals, values = text.partition("=")
        field = _spelled(recipe, written)
        if not equals or not values or field in choices:
            raise UserError(
                f"--vary {text}", expected="FIELD=a,b,c, each field once", mend="set --vary model.width=16,32"
            )
        now = value_at(recipe, field)
        words = _words(recipe, field)
        choices[field] = [*dict.fromkeys(_typed(field, value, now, words) for value in values.split(","))]
        for value in choices[field]:
            with_value(recipe, field, value)  # a value that the recipe refuses is better found now
    return choices


def _spelled(recipe: Recipe, field: str) -> str:
    """``model.decoder.width`` as model configs spell it, ``model.decoder_width``.

    What is the encoder's has no prefix where the decoder has its own.
    """
    head, *rest = field.split(".")
    if head != "model" or len(rest) != 2:
        return field
    part, size = rest
    known = {f.name for f in fields(recipe.model)}  # type: ignore[arg-type]
    if f"{part}_{size}" in known:
        return f"model.{part}_{size}"
    return f"model.{size}" if part == "encoder" and {size, f"decoder_{size}"} <= known else field


def value_at(recipe: Any, field: str) -> Any:
    """The value of a field such as ``model.width`` or ``stages.0.training.batch``.

    Raises:
        UserError: where there is none, with the fields that there are.
    """
    value = recipe
    for part in field.split("."):
        if isinstance(value, tuple) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif is_dataclass(value) and part in {f.name for f in fields(value)}:
            value = getattr(value, part)
        else:
            known = [f.name for f in fields(value)] if is_dataclass(value) else [str(i) for i in range(len(value))] \
                if isinstance(value, tuple) else []  # fmt: skip
            raise UserError(
                f"the recipe has no field {field!r}",
                expected=f"{part!r} to be one of {', '.join(known)}" if known else "fewer parts",
                mend="see `vaegan run RECIPE --help`",
            )
    return value


def with_value(value: Any, field: str, new: Any) -> Any:
    """The same recipe with another value of a field."""
    part, _, rest = field.partition(".")
    if isinstance(value, tuple):
        changed = with_value(value[int(part)], rest, new) if rest else new
        return (*value[: int(part)], changed, *value[int(part) + 1 :])
    return replace(value, **{part: with_value(getattr(value, part), rest, new) if rest else new})


def _words(recipe: Any, field: str) -> tuple[Any, ...]:
    """The words that a field is declared to take; none where it takes any."""
    owner, _, name = field.rpartition(".")
    holder = value_at(recipe, owner) if owner else recipe
    hint = get_type_hints(type(holder)).get(name) if is_dataclass(holder) else None
    return get_args(hint) if get_origin(hint) is Literal else ()


def _typed(field: str, text: str, now: Any, words: tuple[Any, ...]) -> Any:
    if words and text not in words:  # a network takes what it does not know for something else
        raise UserError(f"{field}={text}", expected=f"one of {', '.join(words)}", mend="set --vary FIELD=a,b,c")
    try:
        if isinstance(now, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(now, int | float | str):
            return type(now)(text)
    except (KeyError, ValueError):
        pass
    raise UserError(f"{field}={text}", expected=f"values such as {now!r}", mend="set --vary FIELD=a,b,c")


def _try(
    name: str,
    recipe: Recipe,
    chosen: Mapping[str, Any],
    place: Path,
    judged: tuple[Quality, str],
    device: str,
    console: Console | None,
    trial: Any,
) -> tuple[float, ...]:
    """Trains and judges one combination in a folder of its own: its quality, time and memory.

    Raises:
        UserError: where its draws could not be compared, with the reasons.
    """
    for field, value in chosen.items():
        recipe = with_value(recipe, field, value)
    if console is not None:
        console.print(f"trial {trial.number + 1}: {place.name}", highlight=False)
    run = train(name, recipe, out=place, device=device, console=console)
    findings = evaluate(run, split="val", console=console)
    write_json(place / "metrics.json", findings.metrics)
    cost = findings.metrics["cost"]
    trial.set_user_attr("parameters", sum(cost["parameters"].values()))
    trial.set_user_attr("train_samples", cost["train_samples"])
    trial.set_user_attr("folder", str(place))
    # Not every system tells it: what is unknown beats nothing.
    memory = float(read_json(place / "training.json").get(MEMORY, inf))
    quality, measured = judged
    if quality.name == "psnr":
        values = [methods["model"]["psnr"]["mean"] for methods in findings.metrics["restoration"].values()]
        return sum(values) / len(values), float(cost[TIME]), memory
    drawn = findings.metrics["generation"]["model"]
    if measured not in drawn:
        raise UserError(
            f"{place.name} has no {measured}: {'; '.join(findings.metrics['generation_notes'])}",
            expected="at least six validation items, and draws that differ",
            mend="give more --data, or train for longer",
        )
    return float(drawn[measured]["mean"]), _ms_a_draw(run), memory


def _quality(name: str, recipe: Recipe, asked: str | None) -> tuple[Quality, str]:
    """What the trials are judged by, and its full name.

    Draws of different models are compared by features that are the same for all: a trial's own discriminator is none.

    Raises:
        UserError: for a quality that the recipe's evaluation does not give.
    """
    known = {"psnr": "psnr"} if recipe.evaluation.conditions else {}
    if recipe.evaluation.samples > 0:
        fixed = default_extractor(recipe.domain.spec, domain_features=recipe.domain.features())
        if not fixed and asked in ("kid", None) and not known:
            raise UserError(
                f"{name} draws signals, and nothing here can judge those of different models",
                expected="the domain's own features, or a network for pictures",
                mend=EXTRA,
            )
        if fixed:
            known["kid"] = f"kid[{fixed[0].name}]"
    if not known or asked not in (None, *known):
        raise UserError(
            f"{name} is not judged by {asked or 'anything'}",
            expected=" or ".join(known) or "a recipe with conditions or samples",
            mend="set --quality" if known else "take another recipe",
        )
    chosen = asked or next(iter(known))
    return QUALITIES[chosen], known[chosen]


def _ms_a_draw(run: Run) -> float:
    """Milliseconds for one of ``DRAWS`` drawn at once, after as many that are not counted."""
    run.sample(DRAWS)
    begun = time.perf_counter()
    run.sample(DRAWS)
    return 1e3 * (time.perf_counter() - begun) / DRAWS


def _summary(name: str, recipe: Recipe, study: Any, choices: Choices, judged: tuple[Quality, str]) -> dict[str, Any]:
    quality, measured = judged
    # Optuna's own front would be of all trials: the first of a combination that was tried twice may beat the last, unseen.
    finished = _finished(study)
    best = {t.number for t in finished if not any(_beats(other, t, quality.sign) for other in finished)}
    restored = min(recipe.evaluation.n, len(recipe.domain.dataset("val")))
    return {
        "recipe": name,
        "environment": environment(),
        "conditions": list(recipe.evaluation.conditions),
        "quality": quality.name,
        "measured": measured,
        "n": restored if quality.name == "psnr" else recipe.evaluation.samples,
        "vary": {field: list(values) for field, values in choices.items()},
        "trials": [
            {
                "values": {field: json.loads(value) for field, value in trial.params.items()},
                **dict(zip((quality.name, TIME), trial.values[:2], strict=True)),
                **({MEMORY: trial.values[2]} if isfinite(trial.values[2]) else {}),
                **trial.user_attrs,
                "pareto": trial.number in best,
            }
            for trial in finished
        ],
    }


def _beats(other: Any, trial: Any, sign: int) -> bool:
    """Whether another trial is better in one of quality, time and memory, and not worse in another."""
    theirs, own = ((-sign * t.values[0], *t.values[1:]) for t in (other, trial))
    return theirs != own and all(a <= b for a, b in zip(theirs, own, strict=True))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "a sweep without the package optuna", expected="the extra 'sweep'", mend="run pip install 'vaegan[sweep]'"
        ) from error
    return optuna
