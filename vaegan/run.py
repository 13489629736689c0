"""A run: one folder with a recipe, its trained model, its numbers and its report."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaegan import serial
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.inference import Progress, restore_any_size
from vaegan.models import Model, ModelConfig
from vaegan.recipe import Recipe, domain_on, from_json, to_json
from vaegan.signal import Axis, SignalSpec
from vaegan.training.state import load_tensors, load_weights, save_tensors

RUNS = Path("runs")
SAMPLES_AT_ONCE = 64


@dataclass(frozen=True)
class Clean:
    """A restored recording.

    Attributes:
        recording: the restored signals in physical units, with what is needed to write the file back.
    """

    recording: Recording
    domain: Domain

    @property
    def mean(self) -> np.ndarray[Any, Any]:
        """(n, channels, *space) restored signals, in physical units."""
        return self.recording.signals

    @property
    def spread(self) -> np.ndarray[Any, Any] | None:
        """Their standard deviation over posterior samples, where any were drawn."""
        return self.recording.spread

    def write(self, path: str | Path) -> Path:
        """Writes the restored recording in the format that it was read from; returns where."""
        return self.domain.write(self.recording, Path(path))


@dataclass(frozen=True)
class Run:
    """A trained model with its domain and recipe; :func:`vaegan.load` returns one."""

    folder: Path
    name: str
    recipe: Recipe
    model: Model

    @property
    def domain(self) -> Domain:
        """The domain that the run was trained on."""
        return self.recipe.domain

    def on(self, data: str | Path) -> Run:
        """The same model before other data of its domain."""
        return replace(self, recipe=replace(self.recipe, domain=domain_on(self.domain, Path(data))))

    def restore(
        self,
        source: str | Path | Recording,
        *,
        samples: int = 0,
        overlap: float = 0.5,
        progress: Progress | None = None,
    ) -> Clean:
        """Restores a file, or a recording that was read, at its own size.

        Args:
            source: a file that the domain reads, or a Recording.
            samples: posterior samples for mean and spread; 0 decodes the posterior mean.
            overlap: share of a window that its neighbour covers again.
            progress: called with the windows done and in all.

        Raises:
            DataError: for a file that the domain cannot read, other channels, or values that are not finite.
        """
        recording = source if isinstance(source, Recording) else self.domain.read(Path(source))
        if not np.isfinite(recording.signals).all():
            raise DataError(
                f"{recording.path} holds {int((~np.isfinite(recording.signals)).sum())} values that are not finite",
                expected="numbers",
                mend="repair or cut them out first",
            )
        y = self.domain.to_model(torch.from_numpy(np.array(recording.signals))).float()
        generator = torch.Generator(next(self.model.parameters()).device).manual_seed(self.recipe.evaluation.seed)
        restored = restore_any_size(
            self.model, y, samples=samples, overlap=overlap, generator=generator, progress=progress
        )
        signals = self.domain.to_physical(restored.mean).numpy()
        spread = None
        if restored.spread is not None:
            zero = self.domain.to_physical(torch.zeros_like(restored.spread))
            spread = (self.domain.to_physical(restored.spread) - zero).abs().numpy()
        return Clean(recording.with_signals(signals, spread), self.domain)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, classes: Tensor | None = None) -> np.ndarray[Any, Any]:
        """(n, channels, *space) signals drawn from the prior, in physical units."""
        device = next(self.model.parameters()).device
        if self.model.classes and classes is None:
            classes = torch.arange(n, device=device) % self.model.classes
        generator = torch.Generator(device).manual_seed(seed)
        parts = []
        for first in range(0, n, SAMPLES_AT_ONCE):
            some = min(SAMPLES_AT_ONCE, n - first)
            drawn = self.model.sample(
                some, generator=generator, condition=None if classes is None else classes[first : first + some]
            )
            parts.append(self.domain.to_physical(drawn.float().cpu().clamp(-1, 1)).numpy())
        return np.concatenate(parts)


def save(folder: Path, name: str, recipe: Recipe, model: Model) -> None:
    """Writes ``model/config.json`` and ``model/model.safetensors``."""
    config = {
        "model": serial.encode(recipe.model),
        "spec": serial.encode(model.spec),
        "classes": model.classes,
    }
    write_json(folder / "model" / "config.json", config)
    save_tensors(folder / "model" / "model.safetensors", model.state_dict(), {"recipe": name})


def load(path: str | Path, *, device: str = "cpu") -> Run:
    """A run from its folder; of several runs in a folder, the newest.

    Args:
        path: a run's folder, or the folder of a recipe's runs (``runs/faces/denoise``).
        device: where the model is put.

    Raises:
        UserError: when there is no complete run.
    """
    folder = find(Path(path))
    name, recipe = from_json(read_json(folder / "recipe.json"))
    config = read_json(folder / "model" / "config.json")
    known = {cls.__name__: cls for cls in serial.subclasses(ModelConfig)} | {
        "SignalSpec": SignalSpec,
        "Axis": Axis,
    }
    model_config = serial.decode(config["model"], ModelConfig, known)  # type: ignore[type-abstract]
    spec = serial.decode(config["spec"], SignalSpec, known)
    model = model_config.build(spec, int(config["classes"]))
    weights = folder / "model" / "model.safetensors"
    load_weights(model, load_tensors(weights)[0], "", weights)
    return Run(folder, name, recipe, model.to(device).eval())


def find(path: Path) -> Path:
    """The newest complete run at or below a folder."""
    done = path / "model" / "model.safetensors"
    if done.is_file():
        return path
    inside = sorted(path.glob("**/model/model.safetensors"), key=lambda p: p.stat().st_mtime) if path.is_dir() else []
    if not inside:
        state = (
            "an unfinished run" if (path / "recipe.json").is_file() else "no run" if path.exists() else "no such folder"
        )
        raise UserError(
            f"{path}: {state}",
            expected="a run's folder, such as runs/faces/quickstart",
            mend="train one with `vaegan run`",
        )
    return inside[-1].parent.parent


def write_file(path: Path, content: bytes) -> None:
    """Writes a file under another name, then renames it: it is complete or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON, which holds no NaN and no infinity."""
    write_file(path, (json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: when the file is missing or no JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing", expected="a complete run", mend="train it with `vaegan run`") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no JSON ({error})", mend="train the run again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object", mend="train the run again")
    return content


def recipe_json(name: str, recipe: Recipe, folder: Path, identifier: str) -> None:
    """Writes the resolved recipe, with the run's id."""
    write_json(folder / "recipe.json", {**to_json(name, recipe), "id": identifier})
