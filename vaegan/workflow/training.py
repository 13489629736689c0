"""From a recipe to a trained run."""

from __future__ import annotations

import copy
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from rich.console import Console

from vaegan import plugins
from vaegan.data import SignalSet
from vaegan.degradation import build, observe
from vaegan.domain import Domain
from vaegan.drawing import grid
from vaegan.errors import UserError
from vaegan.evaluation.latent import latent_report
from vaegan.files import check_folder, make_folder, read_json, write_json
from vaegan.models import Model
from vaegan.models.latent import LatentModel
from vaegan.objectives.base import check_players
from vaegan.recipe import Recipe, Stage, data_sets, identity
from vaegan.run import RUNS, Run, recipe_json, save
from vaegan.training import Feed, Log, Monitor, TrainState, available_device, fit, make_fabric, rehearse
from vaegan.workflow.finishing import learn_extras
from vaegan.workflow.memory import PeakMemory
from vaegan.workflow.opening import check_sets, check_tools, tell_about
from vaegan.workflow.pretrained import Pretrained

PICTURES = 8
SETTLED = 5_000
"""Samples after which a latent that carries nothing is a collapse, and no longer a beginning."""


def train(
    name: str,
    recipe: Recipe,
    *,
    out: Path | str | None = None,
    pretrained: Path | None = None,
    device: str = "auto",
    console: Console | None = None,
) -> Run:
    """Trains a recipe; called again it goes on where it was.

    Args:
        name: the recipe's name.
        recipe: what to train on what.
        out: the run's folder; by default ``runs/<name>/<id>``.
        pretrained: a run of the same networks whose weights this one begins with.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        console: for progress; ``None`` is silent.

    Raises:
        UserError: for data that cannot be used, an ``out`` that is a file or holds another run, or a ``pretrained`` run
            that has other networks.
        DataError: where the ``pretrained`` run has learned from test items.
    """
    available_device(device)
    memory = PeakMemory()
    out = None if out is None else Path(out)
    if out is not None:  # a mistake is better found before the data are read
        check_folder(out)
    data = data_sets(recipe.domain)
    check_sets(recipe.domain, data)
    check_tools(recipe.domain)
    chief = int(os.environ.get("RANK", "0")) == 0
    if chief and (known := plugins.domain_name(recipe.domain)) not in plugins.found(plugins.DOMAINS):
        warnings.warn(
            f"the domain {known} has no entry point, so vaegan.load will not find it: the run can be used until this "
            f"process ends; declare it under [project.entry-points.{plugins.DOMAINS!r}]",
            UserWarning,
            stacklevel=2,
        )
    tell_about(data["train"], console if chief else None)
    sha = data["train"].fingerprint
    model, classes = new_model(recipe, data["train"])  # before the run has a folder
    begun = None if pretrained is None else Pretrained.open(pretrained)
    mine = identity(name, recipe, sha, *([] if begun is None else [begun.sha256]))
    folder = out or RUNS / name / mine
    if begun is not None:
        begun.start(model)
        begun.check_unseen(data["test"], console if chief else None)
    origin = {} if begun is None else {"pretrained": begun.describe()}
    if not (folder / "model" / "model.safetensors").is_file():
        _rehearse_stages(recipe, model, data["train"], device, classes)
    if chief:
        _check_same(folder, mine)
    with _alone(folder) if chief else nullcontext():
        if chief:
            _claim(folder, name, recipe, mine, origin)
        memory.begin()
        states, before = _train_stages(name, recipe, model, data, folder, device, classes, console)
        peak = memory.mib()
        run = Run(folder, name, recipe, model.eval())
        if chief:
            run = replace(run, extras=learn_extras(model, recipe, data, before))
            if not any(state.moved for state in states):  # an earlier sitting, which trained, knows the peak
                peak = _peak_before(folder, peak)
            held = {} if peak is None else {"peak_memory_mib": peak}
            _keep(run, {**_history(states, data), **held, "sha256": sha, **origin})
        make_fabric(device, recipe.stages[-1].training.precision).barrier()
    return run


def new_model(recipe: Recipe, data: SignalSet) -> tuple[Model, int]:
    """The model of a recipe with its first weights, and its number of classes.

    What of the recipe cannot be trained or judged is found here, before hours are spent on it.

    Args:
        recipe: the recipe.
        data: its training items.

    Raises:
        UserError: for conditions and degradations that cannot be built, an objective that does not suit these or the model,
            classes that the data or the model do not have, and a package that is not installed.
    """
    for condition in recipe.evaluation.conditions:
        build(condition, recipe.domain.on_split("test").degradations())
    degradation = recipe.degradation()
    for number, stage in enumerate(recipe.stages):
        with _of_stage(number):
            stage.objective.check(degradation)
    classes = _classes(recipe, data)
    torch.manual_seed(recipe.stages[0].training.seed)
    model = recipe.model.build(recipe.domain.spec, classes)
    if classes and not model.classes:
        raise UserError(
            f"a {type(model).__name__} takes no notice of the {classes} classes", mend="set --no-conditional"
        )
    for stage in recipe.stages:
        check_players(stage.objective, model)
    return model, classes


def _rehearse_stages(recipe: Recipe, model: Model, data: SignalSet, device: str, classes: int) -> None:
    """A step of every stage, with a copy of the model: the last stage's mistake is not found after the first's hours."""
    for number, stage in enumerate(recipe.stages):
        fabric = make_fabric(device, stage.training.precision)
        few = 2 * fabric.world_size + stage.training.batch % fabric.world_size  # what cannot be shared is refused too
        small = replace(stage, training=replace(stage.training, batch=min(stage.training.batch, few)))
        part = data.take(range(min(len(data), few)))
        with _of_stage(number):
            feed = _feed(small, part, recipe.domain, recipe.degradation(), fabric, classes)
            rehearse(model, stage.objective, feed, fabric)


@contextmanager
def _of_stage(number: int) -> Iterator[None]:
    """A mistake by the flags of its stage: a configuration does not know which one it belongs to."""
    try:
        yield
    except UserError as error:
        mend = re.sub(r"(?:--stages\.N\.)?\b(objective|training)\.", rf"--stages.{number}.\1.", error.mend)
        raise type(error)(error.found, expected=error.expected, mend=mend) from error


def _keep(run: Run, history: Mapping[str, Any]) -> None:
    """Writes what was learned, the model last: where its file is, all else is of the same training.

    A shorter training's model goes first, so that an interrupt leaves no weights beside what was learned of others.
    """
    (run.folder / "model" / "model.safetensors").unlink(missing_ok=True)
    (run.folder / "model").mkdir(exist_ok=True)
    run.extras.save(run.folder / "model")
    write_json(run.folder / "training.json", history)
    save(run.folder, run.name, run.recipe, run.model)


def _peak_before(folder: Path, otherwise: float | None) -> float | None:
    """The memory that the training of a finished run took."""
    known = folder / "training.json"
    return read_json(known).get("peak_memory_mib", otherwise) if known.is_file() else otherwise


def _train_stages(
    name: str,
    recipe: Recipe,
    model: Model,
    data: Mapping[str, SignalSet],
    folder: Path,
    device: str,
    classes: int,
    console: Console | None,
) -> tuple[list[TrainState], Model | None]:
    """Trains the model stage by stage; each goes on from the averaged weights of the one before.

    Returns:
        What each stage left, and the model as it was before the first stage in which a discriminator had a say.
    """
    states: list[TrainState] = []
    before: Model | None = None
    degradation = recipe.degradation()
    for number, stage in enumerate(recipe.stages):
        fabric = make_fabric(device, stage.training.precision)
        title = name if len(recipe.stages) == 1 else f"{name}, stage {number + 1} of {len(recipe.stages)}"
        state = fit(
            model,
            stage.objective,
            _feed(stage, data["train"], recipe.domain, degradation, fabric, classes),
            stage.training,
            fabric=fabric,
            folder=_state(folder, number).parent,
            title=title,
            console=console,
            monitor=_monitor(recipe.domain, data["val"], degradation, stage.objective.players),
        )
        states.append(state)
        if state.moved and fabric.is_global_zero:
            _forget_later(folder, number, len(recipe.stages), console)
        fabric.barrier()
        for buffer in state.averaged.buffers():  # the running statistics of batch norm differ between processes
            buffer.copy_(fabric.broadcast(buffer))
        model.load_state_dict(state.averaged.state_dict())
        following = recipe.stages[number + 1 : number + 2]
        if not _adversarial(stage) and following and _adversarial(following[0]) and before is None:
            before = copy.deepcopy(state.averaged)
    return states, before


def _state(folder: Path, number: int) -> Path:
    return folder / "state" / f"stage-{number + 1}" / "state.safetensors"


def _forget_later(folder: Path, number: int, stages: int, console: Console | None) -> None:
    """Drops what later stages reached: they began from weights that are no more."""
    begun = [later for later in range(number + 1, stages) if _state(folder, later).is_file()]
    for later in begun:
        _state(folder, later).unlink()
    if begun and console is not None:
        console.print(
            f"stage {begun[0] + 1} begins again, as stage {number + 1} went on; to go on with the last stage alone, "
            f"lengthen --stages.{stages - 1}.training.minutes and leave the others as they were",
            style="yellow",
        )


def _adversarial(stage: Stage) -> bool:
    return "discriminator" in stage.objective.players


def _check_same(folder: Path, mine: str) -> None:
    """Looks whether a folder that holds a run holds this one."""
    if (folder / "recipe.json").is_file() and ((folder / "state").exists() or (folder / "model").exists()):
        known = read_json(folder / "recipe.json")
        if known.get("id") not in (None, mine):
            raise UserError(
                f"{folder} holds a run of another recipe, other data or another beginning ({known.get('id')}, not {mine})",
                expected="an empty folder, or the same run to resume",
                mend="set --out to another folder",
            )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second process from training the same run; the lock ends with its process, however that ends.

    Raises:
        UserError: where another process trains it.
    """
    make_folder(folder)
    lock = FileLock(folder / "state" / "lock")
    try:
        (folder / "state").mkdir(exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"{folder} is being trained by another process",
            expected="one process at a time",
            mend="wait for it, or set --out to another folder",
        ) from error
    except (OSError, NotImplementedError):  # a disk that knows no locks
        pass
    try:
        yield
    finally:
        lock.release()


def _claim(folder: Path, name: str, recipe: Recipe, mine: str, origin: Mapping[str, Any]) -> None:
    """Writes whose the run's folder is."""
    try:
        recipe_json(name, recipe, folder, mine, **origin)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror})",
            expected="a folder that you may write to",
            mend="set --out to one of yours",
        ) from error


def _classes(recipe: Recipe, data: SignalSet) -> int:
    if not recipe.conditional:
        return 0
    if data.labels is None:
        raise UserError(
            "a conditional recipe, but the data have no labels",
            mend="give labelled --data, or set --no-conditional",
        )
    return len(data.class_names)


def _feed(
    stage: Stage,
    data: SignalSet,
    domain: Domain,
    degradation: torch.nn.Module | None,
    fabric: Fabric,
    classes: int,
) -> Feed:
    world = fabric.world_size
    low, high = domain.spec.value_range
    if stage.training.batch % world:
        raise UserError(
            f"a batch of {stage.training.batch} for {world} processes",
            expected=f"a multiple of {world}",
            mend="set --stages.N.training.batch",
        )
    return Feed(
        data,
        domain.to_model,
        degradation,  # type: ignore[arg-type]
        gaps=domain.spec.gaps,
        fixed=stage.objective.observed_only,
        batch=stage.training.batch // world,
        device=fabric.device,
        seed=stage.training.seed,
        rank=fabric.global_rank,
        world=world,
        flip=stage.training.flip,
        mix=stage.training.mix,
        surrogates=stage.training.surrogates,
        vary=domain.vary if stage.training.vary else None,
        classes=classes,
        physical=lambda x: domain.to_physical(x) * (2.0 / (high - low)),
    )


def _monitor(domain: Domain, val: SignalSet, degradation: Any, players: Sequence[str]) -> Monitor:
    """Active units, and pictures of a few validation items restored and of a few samples.

    An encoder that is not among the ``players`` has learned nothing that could be looked at.
    """
    shown = val.take(range(min(PICTURES, len(val))))
    x = domain.to_model(torch.from_numpy(np.array(shown.signals))).float()
    partner = None
    if shown.observed is not None:
        partner = domain.to_model(torch.from_numpy(np.array(shown.observed))).float()
    seen = observe(x, degradation, gaps=domain.spec.gaps, observed=partner, generator=torch.Generator().manual_seed(0))
    y, mask, x = seen.y, seen.mask, seen.x

    @torch.no_grad()
    def look(model: Model, log: Log, samples: int) -> None:
        device = next(model.parameters()).device
        encodes = "encoder" in players or "encoder" not in model.players()
        if model.restores and encodes:
            restored = model.restore(y.to(device), None if mask is None else mask.to(device)).mean.float().cpu()
            rows = [domain.draw(domain.to_physical(s.clamp(-1, 1)).numpy()) for s in (y, restored, x)]
            log.picture("restored", grid(np.concatenate(rows), columns=len(shown)), samples)
        if model.generates:
            classes = torch.arange(16, device=device) % model.classes if model.classes else None
            drawn = model.sample(16, generator=torch.Generator(device).manual_seed(0), condition=classes)
            pictures = domain.draw(domain.to_physical(drawn.float().cpu().clamp(-1, 1)).numpy())
            log.picture("sampled", grid(pictures, columns=4), samples)
        if isinstance(model, LatentModel) and encodes:
            part = val.take(range(min(128, len(val))))
            units = latent_report(model, domain, part, degradation)
            if units["active_units"] is not None:
                log.scalar("active_units", float(units["active_units"]), samples)
                if units["active_units"] == 0 and samples >= SETTLED:
                    log.warn("posterior collapse: no latent dimension is active; lower beta or raise free_bits")

    return look


def _history(states: list[TrainState], data: Mapping[str, SignalSet]) -> dict[str, Any]:
    """What training leaves for the report: curves of every logged term over samples seen, thinned to 400 points."""
    curves: dict[str, list[tuple[float, float]]] = {}
    before = 0
    for state in states:
        own: dict[str, list[tuple[float, float]]] = {}
        for row in state.history:
            for key, value in row.items():
                if key != "samples":
                    own.setdefault(key, []).append((before + row["samples"], value))
        for key, points in own.items():
            curves.setdefault(key, []).extend(points[:: max(1, len(points) // 400)])
        before += state.samples
    return {
        "seconds": sum(state.seconds for state in states),
        "samples": before,
        "n_train": len(data["train"]),
        "classes": list(data["train"].class_names),
        "warnings": [warning for state in states for warning in state.warnings],
        "curves": curves,
    }
