"""From a recipe to a run: train, evaluate, report."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from vaegan.data import SignalSet
from vaegan.degradation import build
from vaegan.domain import Domain
from vaegan.drawing import grid
from vaegan.errors import DataError, UserError
from vaegan.evaluation.environment import environment
from vaegan.evaluation.evaluator import evaluate_restoration
from vaegan.evaluation.latent import latent_report
from vaegan.evaluation.report import write_report
from vaegan.evaluation.result import Restoration
from vaegan.models import Model
from vaegan.models.vaegan import VAEGAN
from vaegan.recipe import Recipe, Stage, data_sets, identity
from vaegan.run import RUNS, Run, find, load, read_json, recipe_json, save, write_json
from vaegan.training import Feed, Log, Monitor, TrainState, available_device, fit, make_fabric

PICTURES = 8
SETTLED = 5_000
"""Samples after which a latent that carries nothing is a collapse, and no longer a beginning."""


def train(
    name: str,
    recipe: Recipe,
    *,
    out: Path | None = None,
    device: str = "auto",
    console: Console | None = None,
) -> Run:
    """Trains a recipe; called again it goes on where it was.

    Args:
        name: the recipe's name.
        recipe: what to train on what.
        out: the run's folder; by default ``runs/<name>/<id>``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        console: for progress; ``None`` is silent.

    Raises:
        UserError: for data that cannot be used, or a folder that holds another run.
    """
    available_device(device)
    data = data_sets(recipe.domain)
    for split, signals in data.items():
        _check_signals(recipe.domain, split, signals)
    chief = int(os.environ.get("RANK", "0")) == 0
    tell_about(data["train"], console if chief else None)
    degradation = recipe.degradation()
    for condition in recipe.evaluation.conditions:  # a mistake is better found before the training than after it
        build(condition, recipe.domain.degradations())
    sha = data["train"].fingerprint
    folder = out or RUNS / name / identity(name, recipe, sha)
    classes = _classes(recipe, data["train"])
    torch.manual_seed(recipe.stages[0].training.seed)
    model = recipe.model.build(recipe.domain.spec, classes)
    if chief:
        _claim(folder, name, recipe, sha)
    states: list[TrainState] = []
    for number, stage in enumerate(recipe.stages):
        fabric = make_fabric(device, stage.training.precision)
        title = name if len(recipe.stages) == 1 else f"{name}, stage {number + 1} of {len(recipe.stages)}"
        state = fit(
            model,
            stage.objective,
            _feed(stage, data["train"], recipe.domain, degradation, fabric, classes),
            stage.training,
            fabric=fabric,
            folder=folder / "state" / f"stage-{number + 1}",
            title=title,
            console=console,
            monitor=_monitor(recipe.domain, data["val"], degradation),
        )
        states.append(state)
        if state.moved and fabric.is_global_zero:
            # Later stages began from weights that are no more.
            for later in range(number + 2, len(recipe.stages) + 1):
                (folder / "state" / f"stage-{later}" / "state.safetensors").unlink(missing_ok=True)
        fabric.barrier()
        for buffer in state.averaged.buffers():  # the running statistics of batch norm differ between processes
            buffer.copy_(fabric.broadcast(buffer))
        # The next stage, and the evaluation, go on from the averaged weights.
        model.load_state_dict(state.averaged.state_dict())
    if fabric.is_global_zero:
        save(folder, name, recipe, model)
        write_json(folder / "training.json", {**_history(states, data), "sha256": sha})
    fabric.barrier()
    return Run(folder, name, recipe, model.eval())


def evaluate(
    run: Run, data: Path | None = None, *, n: int | None = None, console: Console | None = None
) -> tuple[dict[str, Any], Restoration | None]:
    """Judges a run on its own test split, or on data that it never saw (then every item is a test item).

    Returns:
        The content of ``metrics.json``, and the values behind it.
    """
    domain, evaluation = run.domain, run.recipe.evaluation
    if n is not None and n < 1:
        raise UserError(f"--n is {n}", expected="at least 1", mend="set --n")
    training = read_json(run.folder / "training.json")
    val: SignalSet | None = None
    try:
        val = domain.dataset("val")
    except DataError as error:
        if data is None:
            raise
        if console is not None:
            console.print(
                f"[yellow]warning:[/] the classical methods get middle strengths, as the run's data are gone: {error}"
            )
    if data is None:
        test = domain.dataset("test")
    else:
        domain = run.on(data).domain
        test = domain.everything()
        if _seen_in_training(run.domain, test, training):
            raise UserError(
                f"{data} holds what the run was trained on", mend="leave --data out to judge on its test split"
            )
        tell_about(test, console)
    _check_signals(domain, "test", test)
    device = next(run.model.parameters()).device

    def restorer(y: Tensor, mask: Tensor | None) -> Tensor:
        with torch.no_grad():
            return run.model.restore(y.to(device), None if mask is None else mask.to(device)).mean

    restoration = None
    if evaluation.conditions or test.observed is not None:
        with _bar(console, "evaluating") as progress:
            restoration = evaluate_restoration(
                {"model": restorer},
                domain,
                test,
                val,
                evaluation.conditions,
                n=evaluation.n if n is None else n,
                seed=evaluation.seed,
                progress=progress,
            )
    metrics: dict[str, Any] = {
        "recipe": run.name,
        "environment": environment(),
        "data": {
            "source": test.source or str(domain.data or "embedded default"),
            "n_train": training["n_train"],
            "n_val": 0 if val is None else len(val),
            "n_test": len(test),
            "sha256": test.sha256,
            "skipped": [asdict(item) for item in test.skipped],
        },
    }
    if restoration is not None:
        metrics["restoration"] = restoration.numbers
        metrics["baselines"] = {
            "strengths": restoration.strengths,
            "tuned_on_validation_items": restoration.tuned,
        }
    if isinstance(run.model, VAEGAN):
        first = evaluation.conditions[0] if evaluation.conditions and run.recipe.degradations else None
        degradation = None if first is None else build(first, domain.degradations())
        metrics["latent"] = {
            "condition": "paired" if test.observed is not None else first or "none",
            **latent_report(run.model, domain, test, degradation, n=min(256, n or evaluation.n), seed=evaluation.seed),
        }
    metrics["cost"] = _cost(run.model, training, restoration)
    return metrics, restoration


def report(run: Run, metrics: Mapping[str, Any], restoration: Restoration | None, command: str) -> Path:
    """Writes ``metrics.json`` and ``report.html`` into the run's folder; returns the report's place."""
    write_json(run.folder / "metrics.json", metrics)
    samples = None
    if run.recipe.evaluation.samples:
        samples = run.domain.draw(run.sample(run.recipe.evaluation.samples, seed=run.recipe.evaluation.seed))
    path = run.folder / "report.html"
    training = read_json(run.folder / "training.json")
    write_report(
        path,
        title=run.name,
        metrics=dict(metrics),
        restoration=restoration,
        samples=samples,
        curves=training["curves"],
        notes={
            **metrics.get("latent", {}),
            **{f"warning {i + 1}": w for i, w in enumerate(training["warnings"])},
        },
        command=command,
    )
    return path


def open_run(path: Path, device: str) -> Run:
    """A trained run, on the device that ``--device`` names."""
    return load(find(path), device=available_device(device))


def tell_about(data: SignalSet, console: Console | None) -> None:
    """Says what was read, and what was not."""
    if console is None:
        return
    console.print(f"data: {data.source or 'embedded default'} ({len(data)} items in this split)", highlight=False)
    for item in data.skipped:
        console.print(f"[yellow]skipped:[/] {item.name}: {item.reason}", highlight=False)
    if data.unused:
        shown = ", ".join(data.unused[:5]) + (", ..." if len(data.unused) > 5 else "")
        console.print(f"not used ({len(data.unused)} files of other formats): {shown}", highlight=False)


def _check_signals(domain: Domain, split: str, data: SignalSet) -> None:
    """Holds a domain's signals against its spec, before a network chokes on them."""
    if tuple(data.signals.shape[1:]) != domain.spec.shape:
        raise DataError(
            f"the {split} split has signals of shape {tuple(data.signals.shape[1:])}",
            expected=f"{domain.spec.shape} as in the domain's spec",
            mend="mend Domain.dataset or Domain.spec",
        )
    if not np.issubdtype(data.signals.dtype, np.floating):
        return
    for first in range(0, len(data), 1024):
        finite = (
            np.isfinite(data.signals[first : first + 1024]).reshape(len(data.signals[first : first + 1024]), -1).all(1)
        )
        if not finite.all():
            raise DataError(
                f"item {first + int(np.argmin(finite))} of the {split} split holds values that are not finite",
                expected="numbers",
                mend="repair it, or leave it out",
            )


def _seen_in_training(domain: Domain, test: SignalSet, training: Mapping[str, Any]) -> bool:
    """Whether data that were given for judging are those of the run."""
    if test.fingerprint == training.get("sha256"):
        return True
    try:
        return test.fingerprint == domain.everything().fingerprint
    except DataError:
        return False


def _claim(folder: Path, name: str, recipe: Recipe, sha: str) -> None:
    """Makes the run's folder, or checks that it holds the same run."""
    if (folder / "recipe.json").is_file() and ((folder / "state").exists() or (folder / "model").exists()):
        known = read_json(folder / "recipe.json")
        mine = identity(name, recipe, sha)
        if known.get("id") not in (None, mine):
            raise UserError(
                f"{folder} holds a run of another recipe or other data ({known.get('id')}, not {mine})",
                expected="an empty folder, or the same run to resume",
                mend="set --out to another folder",
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        recipe_json(name, recipe, folder, identity(name, recipe, sha))
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror})", mend="set --out to a folder of yours"
        ) from error


def _classes(recipe: Recipe, data: SignalSet) -> int:
    if not recipe.conditional:
        return 0
    if data.labels is None:
        raise UserError(
            "a conditional recipe, but the data have no labels",
            mend="give labelled --data, or set --no-conditional",
        )
    return max(len(data.class_names), int(np.max(data.labels)) + 1)


def _feed(
    stage: Stage,
    data: SignalSet,
    domain: Domain,
    degradation: torch.nn.Module | None,
    fabric: Fabric,
    classes: int,
) -> Feed:
    world = fabric.world_size
    if stage.training.batch % world:
        raise UserError(
            f"a batch of {stage.training.batch} for {world} processes",
            expected=f"a multiple of {world}",
            mend="set --batch",
        )
    return Feed(
        data,
        domain.to_model,
        degradation,  # type: ignore[arg-type]
        batch=stage.training.batch // world,
        device=fabric.device,
        seed=stage.training.seed,
        rank=fabric.global_rank,
        world=world,
        flip=stage.training.flip,
        classes=classes,
    )


def _monitor(domain: Domain, val: SignalSet, degradation: Any) -> Monitor:
    """Active units, and pictures of a few validation items restored and of a few samples."""
    shown = val.take(range(min(PICTURES, len(val))))
    x = domain.to_model(torch.from_numpy(np.array(shown.signals))).float()
    y, mask = x, None
    if shown.observed is not None:
        y = domain.to_model(torch.from_numpy(np.array(shown.observed))).float()
    elif degradation is not None:
        measured = degradation(x, generator=torch.Generator().manual_seed(0))
        y, mask = measured.y, measured.mask

    @torch.no_grad()
    def look(model: Model, log: Log, samples: int) -> None:
        device = next(model.parameters()).device
        restored = model.restore(y.to(device), None if mask is None else mask.to(device)).mean.float().cpu()
        rows = [domain.draw(domain.to_physical(s.clamp(-1, 1)).numpy()) for s in (y, restored, x)]
        log.picture("restored", grid(np.concatenate(rows), columns=len(shown)), samples)
        classes = torch.arange(16, device=device) % model.classes if model.classes else None
        drawn = model.sample(16, generator=torch.Generator(device).manual_seed(0), condition=classes).float().cpu()
        log.picture("sampled", grid(domain.draw(domain.to_physical(drawn.clamp(-1, 1)).numpy()), columns=4), samples)
        if isinstance(model, VAEGAN):
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
        "warnings": [warning for state in states for warning in state.warnings],
        "curves": curves,
    }


def _cost(model: Model, training: Mapping[str, Any], restoration: Restoration | None) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        peak = torch.cuda.max_memory_allocated() / 2**20
    return {
        "train_seconds": training["seconds"],
        "train_samples": training["samples"],
        "train_samples_per_second": training["samples"] / max(training["seconds"], 1e-9),
        "ms_per_item": None if restoration is None else restoration.ms_per_item["model"],
        "peak_memory_mib": peak,
        "parameters": {name: sum(p.numel() for p in player.parameters()) for name, player in model.players().items()},
    }


class _bar:  # noqa: N801 - used as a context manager, like open()
    """A progress bar for the evaluator: ``with _bar(console, title) as progress``."""

    def __init__(self, console: Console | None, title: str) -> None:
        self._bar = Progress(
            TextColumn(f"[bold]{title}[/] {{task.description}}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            console=console or Console(quiet=True),
            disable=console is None,
        )

    def __enter__(self) -> Any:
        self._bar.start()
        task = self._bar.add_task("", total=None)
        return lambda what, done, total: self._bar.update(task, description=what, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
