"""A recipe: a domain, a model, its training stages and its evaluation, as one value."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from vaegan import plugins, serial
from vaegan.data import SPLITS, SignalSet, Split
from vaegan.degradation import Degradation, OneOf, build
from vaegan.domain import Domain
from vaegan.errors import UserError
from vaegan.models import ModelConfig
from vaegan.objectives import ModernObjective, Objective
from vaegan.training import OptimizerConfig, TrainingConfig
from vaegan.training.config import LARGEST_SEED

UNLIMITED = 1e9
"""Minutes that no run takes; JSON has no infinity."""
SMOKE_SEED = 20_011
"""Added to the seeds of a recipe made tiny."""


@dataclass(frozen=True)
class Stage:
    """One stage of training: what for, and how.

    Args:
        objective: what the model is trained for.
        training: how long and how.
    """

    objective: Objective = ModernObjective()  # noqa: RUF009 - frozen
    training: TrainingConfig = TrainingConfig()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Evaluation:
    """What a trained model is judged on.

    Args:
        conditions: degradations at stated severities, such as ``noise sigma=50/255``.
        n: test items for each condition; all where there are fewer.
        samples: signals drawn from each prior and judged; 0 for a model that does not generate.
        tuning: validation items on which classical methods are set for each condition, at most; 0 for middle strengths.
        spread: posterior draws by which the spread of a restoration is judged; 0 for none.
        seed: of the choice of items, of the degradations and of the samples.
    """

    conditions: tuple[str, ...] = ()
    n: int = 200
    samples: int = 0
    tuning: int = 24
    spread: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("n", 1), ("samples", 0), ("tuning", 0), ("spread", 0), ("seed", 0)):
            if getattr(self, name) < least:
                found, flag = f"{name} is {getattr(self, name)}", f"set --evaluation.{name}"
                raise UserError(found, expected=f"at least {least}", mend=flag)
        if self.seed >= LARGEST_SEED:
            raise UserError(f"seed is {self.seed}", expected="less than 2^63", mend="set --evaluation.seed")
        if self.spread == 1:
            raise UserError("spread is 1", expected="0, or at least 2 draws", mend="set --evaluation.spread")


@dataclass(frozen=True)
class Recipe:
    """A domain, a model, its training stages, its evaluation.

    Args:
        summary: one line for ``vaegan list``.
        domain: where the signals come from.
        model: what is trained.
        stages: one or several stages of training; each goes on with the weights of the one before.
        degradations: what training degrades signals with; each sample gets one of them. None: clean in, clean out.
        evaluation: what it is judged on.
        conditional: condition decoder and discriminator on the items' classes.
    """

    summary: str
    domain: Domain
    model: ModelConfig
    stages: tuple[Stage, ...] = (Stage(),)
    degradations: tuple[str, ...] = ()
    evaluation: Evaluation = Evaluation()
    conditional: bool = False

    def smoke(self) -> Recipe:
        """The same recipe made tiny: small signals, a few steps a stage, two test items a condition.

        Its seeds are others: where a recipe is small already they alone keep it from the id, and so the folder, of the
        recipe itself, as the length of training is no part of that.
        """
        return replace(
            self,
            domain=self.domain.small(),
            stages=tuple(
                replace(
                    stage,
                    training=replace(
                        stage.training,
                        samples=12,
                        batch=4,
                        minutes=None,
                        cpu_minutes=UNLIMITED,
                        log_every=1,
                        seed=stage.training.seed + SMOKE_SEED,
                    ),
                )
                for stage in self.stages
            ),
            evaluation=replace(
                self.evaluation,
                n=2,
                samples=min(self.evaluation.samples, 8),
                tuning=min(self.evaluation.tuning, 2),
                spread=min(self.evaluation.spread, 2),
            ),
        )

    def with_budget(self, samples: int | None = None, minutes: float | None = None) -> Recipe:
        """The same recipe with another length; several stages share it as they share the recipe's own.

        Args:
            samples: training samples in all. Where only these are given, time does not end the training.
            minutes: minutes in all, on any device.
        """
        if samples is None and minutes is None:
            return self
        for name, value in (("samples", samples), ("minutes", minutes)):
            if value is not None and not (isfinite(value) and value > 0):
                raise UserError(f"--{name} is {value}", expected="a number above 0", mend=f"set --{name}")
        all_samples = sum(stage.training.samples for stage in self.stages)
        all_minutes = sum(stage.training.cpu_minutes for stage in self.stages)
        stages = []
        for stage in self.stages:
            training = stage.training
            changed: dict[str, Any] = {}
            if minutes is not None:
                changed["minutes"] = minutes * training.cpu_minutes / all_minutes
            else:
                changed |= {"minutes": None, "cpu_minutes": UNLIMITED}
            if samples is not None:
                changed["samples"] = max(training.batch, round(samples * training.samples / all_samples))
            stages.append(replace(stage, training=replace(training, **changed)))
        return replace(self, stages=tuple(stages))

    def with_data(self, data: Path | None) -> Recipe:
        """The same recipe on other data of the same kind."""
        return self if data is None else replace(self, domain=domain_on(self.domain, data.expanduser().resolve()))

    def degradation(self, split: Split = "train") -> Degradation | None:
        """What a training sample suffers, or an item of another split under the same mixture."""
        makers = self.domain.on_split(split).degradations()
        built = [build(condition, makers) for condition in self.degradations]
        return None if not built else built[0] if len(built) == 1 else OneOf(*built)


def domain_on(domain: Domain, data: Path | None) -> Domain:
    """A domain with the same options on other data."""
    if is_dataclass(domain):
        return replace(domain, data=data)
    _check_plain(domain)
    return type(domain)(data=data)


def _check_plain(domain: Domain) -> None:
    """A domain that is no dataclass has no options: they could neither be kept with a run nor be seen in its id.

    Raises:
        UserError: where it is made with more than ``data``.
    """
    known = inspect.signature(type(domain)).parameters
    options = [
        name for name, one in known.items() if name != "data" and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if options:
        raise UserError(
            f"{type(domain).__name__} has options ({', '.join(options)}), but is no dataclass",
            expected="options that are fields, so that they are kept with a run",
            mend="make it a @dataclass(frozen=True) with these fields",
        )


BUDGET = ("samples", "minutes", "cpu_minutes", "log_every", "save_minutes")


def to_json(name: str, recipe: Recipe) -> dict[str, Any]:
    """A recipe under its name as JSON: what ``recipe.json`` holds, and replays."""
    domain = recipe.domain
    options: dict[str, Any] = {}
    if not is_dataclass(domain):
        _check_plain(domain)
    else:
        options = {
            f.name: serial.encode(getattr(domain, f.name))
            for f in fields(domain)
            if f.init and not f.metadata.get("asset")
        }
    content = {f.name: serial.encode(getattr(recipe, f.name)) for f in fields(recipe) if f.name != "domain"}
    # A run is used from other folders too.
    data = None if domain.data is None else str(Path(domain.data).expanduser().absolute())
    return {
        "name": name,
        **content,
        "domain": {"name": plugins.domain_name(domain), "options": {**options, "data": data}},
    }


def from_json(content: Mapping[str, Any]) -> tuple[str, Recipe]:
    """The name and the recipe that ``to_json`` wrote.

    Raises:
        UserError: when something is unknown, as a domain that is not installed.
    """
    plugins.recipes()  # third-party objectives and models are known once their recipes are imported
    known = {cls.__name__: cls for base in (ModelConfig, Objective, OptimizerConfig) for cls in serial.subclasses(base)}
    known |= {cls.__name__: cls for cls in (Stage, TrainingConfig, Evaluation)}
    values = {f.name: content[f.name] for f in fields(Recipe) if f.name in content and f.name != "domain"}
    recipe = Recipe(
        summary=values["summary"],
        domain=domain_from_json(content["domain"]),
        model=serial.decode(values["model"], ModelConfig, known),  # type: ignore[type-abstract]
        stages=tuple(serial.decode(stage, Stage, known) for stage in values["stages"]),
        degradations=tuple(values["degradations"]),
        evaluation=serial.decode(values["evaluation"], Evaluation, known),
        conditional=bool(values["conditional"]),
    )
    return str(content["name"]), recipe


def domain_from_json(content: Mapping[str, Any]) -> Domain:
    """The domain that ``to_json`` wrote as a part of a recipe.

    Raises:
        UserError: for a domain that is not installed, or an option that it refuses.
    """
    options = dict(content["options"])
    options["data"] = None if options.get("data") is None else Path(options["data"])
    cls = plugins.domain_class(content["name"])
    return cls(**serial.decode_fields(options, cls, {})) if is_dataclass(cls) else cls(**options)


def identity(name: str, recipe: Recipe, data_sha256: str, *begun_with: str) -> str:
    """A run's id: a hash of the recipe and of its data's content, the budget and the data's place left out.

    Args:
        name: of the recipe.
        recipe: the recipe.
        data_sha256: of the data.
        begun_with: hash of the weights that training begins with, where they are not new.
    """
    content = to_json(name, recipe)
    content["domain"]["options"].pop("data")
    for stage in content["stages"]:
        for key in BUDGET:
            stage["training"].pop(key)
    for key in ("evaluation", "summary"):
        content.pop(key)
    text = json.dumps([content, data_sha256, *begun_with], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def data_sets(domain: Domain) -> dict[str, SignalSet]:
    """The three splits of a domain."""
    return {split: domain.dataset(split) for split in SPLITS}
