"""A run: one folder with a recipe, its trained model, its numbers and its report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vaegan import serial
from vaegan.baselines import Baseline, Fitted
from vaegan.degradation import filled
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.extras import Extras
from vaegan.files import read_json, write_array, write_json
from vaegan.inference import Progress, check_signals, restore_in_parts
from vaegan.models import Model, ModelConfig, Restored
from vaegan.models.blend import Blend
from vaegan.models.latent import LatentModel
from vaegan.models.spread import Calibrated
from vaegan.recipe import Recipe, domain_on, from_json, to_json
from vaegan.signal import Axis, SignalSpec
from vaegan.training.state import load_tensors, load_weights, save_tensors

RUNS = Path("runs")
ASSETS = "assets.safetensors"
HISTORY = ("seconds", "samples", "n_train", "warnings", "curves")
"""What judging needs of ``training.json``."""
SAMPLES_AT_ONCE = 64
BLOCK = 2**20


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
        """Standard deviation of their error, where posterior samples were drawn; calibrated where the run knows how."""
        return self.recording.spread

    def write(self, path: str | Path) -> Path:
        """Writes the restored recording in the format that it was read from; returns where."""
        return self.domain.write(self.recording, Path(path))

    def write_spread(self, path: str | Path) -> Path:
        """Writes the spread as a ``.npy`` file, (n, channels, *space) in physical units; returns where.

        Raises:
            UserError: where no spread was asked for.
        """
        if self.spread is None:
            raise UserError("no spread to write", expected="a restoration with draws", mend="set samples=8")
        write_array(Path(path), self.spread)
        return Path(path)


@dataclass(frozen=True)
class Run:
    """A trained model with its domain and recipe; :func:`vaegan.load` returns one."""

    folder: Path
    name: str
    recipe: Recipe
    model: Model
    extras: Extras = Extras()  # noqa: RUF009 - frozen

    @property
    def domain(self) -> Domain:
        """The domain that the run was trained on."""
        return self.recipe.domain

    def class_index(self, name: str) -> int:
        """The number of a class that the model knows, by its name in the training data.

        Raises:
            UserError: for a model without classes, or a name that is none of them.
        """
        if not self.model.classes:
            raise UserError(f"{self.name} knows no classes", expected="a conditional run", mend="leave --class out")
        names = read_json(self.folder / "training.json").get("classes", [])
        if name not in names:
            raise UserError(f"no class {name!r}", expected=f"one of {', '.join(names) or 'none'}", mend="set --class")
        return int(names.index(name))

    def history(self) -> dict[str, Any]:
        """What training left for the judging: ``training.json``.

        Raises:
            UserError: where the file is missing or damaged.
        """
        path = self.folder / "training.json"
        content = read_json(path)
        with _undamaged(path):
            return {name: content[name] for name in HISTORY} | content

    def on(self, data: str | Path) -> Run:
        """The same model before other data of its domain; the domain's assets stay those of the run."""
        domain = domain_on(self.domain, Path(data)).with_assets(self.domain.assets())
        return replace(self, recipe=replace(self.recipe, domain=domain))

    def baselines(self) -> dict[str, Baseline]:
        """The domain's classical methods; those that learn as they were fitted for this run, or left out."""
        learned = self.extras.baselines or {}
        methods: dict[str, Baseline] = {}
        for name, method in self.domain.baselines().items():
            if not isinstance(method, Fitted):
                methods[name] = method
            elif name in learned:
                methods[name] = method.with_state({key: value.numpy() for key, value in learned[name].items()})
        return methods

    def restore(
        self,
        source: str | Path | Recording,
        *,
        samples: int = 0,
        fidelity: float = 0.0,
        overlap: float = 0.5,
        keep_spread: bool = True,
        bfloat16: bool = False,
        progress: Progress | None = None,
    ) -> Clean:
        """Restores a file, or a recording that was read, at its own size, in windows where that is large.

        Args:
            source: a file that the domain reads, or a Recording.
            samples: posterior samples for mean and spread; 0 decodes the posterior mean. The spread is calibrated where
                the run knows how, see :class:`vaegan.models.spread.Calibration`.
            fidelity: 0 for the model as it was trained, 1 for the least error, at the price of sharpness; see
                :class:`vaegan.models.blend.Blend`.
            overlap: share of a window that its neighbour covers again; see
                :func:`vaegan.inference.restore_any_size`.
            keep_spread: whether the spread is kept where any draws are made; without it their mean takes less memory.
            bfloat16: let the network compute in bfloat16: about twice as quick on hardware that has it, for some
                thousandths of full scale of rounding.
            progress: called with the windows done and in all.

        Returns:
            The restored recording, in float32. Signals of type uint8 stay so, rounded, with a spread in float16: a
            domain that reads 8-bit levels as such writes no finer ones.

        Raises:
            DataError: for a file that the domain cannot read, or values that are not finite.
            UserError: for other channels, or a fidelity outside of 0 to 1.
        """
        model = self.model if fidelity == 0 else Blend(self.model, self.extras.faithful, fidelity).eval()
        if samples and self.extras.calibration is not None:
            model = Calibrated(model, self.extras.calibration).eval()
        recording = source if isinstance(source, Recording) else self.domain.read(Path(source))
        check_signals(model, recording.signals.shape)
        _check_finite(recording, gaps=self.model.spec.gaps)
        passage = _Passage(recording.signals, self.domain, with_spread=samples > 0 and keep_spread)
        device = next(self.model.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            restore_in_parts(
                model,
                recording.signals.shape,
                passage.read,
                passage.write,
                samples=samples,
                overlap=overlap,
                generator=torch.Generator(device).manual_seed(self.recipe.evaluation.seed),
                progress=progress,
            )
        return Clean(recording.with_signals(passage.mean, passage.spread), self.domain)

    def sample(
        self, n: int, *, seed: int = 0, classes: Tensor | None = None, mixture: bool = False
    ) -> np.ndarray[Any, Any]:
        """Signals drawn from a prior.

        Args:
            n: how many.
            seed: of the draws.
            classes: (n,) class of each, for a conditional model; by default each class in turn.
            mixture: draw from the mixture fitted to the aggregate posterior (of a conditional model: to that of the class),
                instead of N(0, I).

        Returns:
            (n, channels, *space) in physical units.

        Raises:
            UserError: where the run has no mixture.
        """
        drawn = self.draws(mixture=mixture)(n, seed, classes)
        return np.asarray(self.domain.to_physical(drawn.clamp(-1, 1)).numpy())

    def draws(self, *, mixture: bool = False) -> Callable[..., Float[Tensor, "n channels *space"]]:
        """A function of (n, seed, classes) that draws signals in model units, on the CPU; see :meth:`sample`."""
        if isinstance(self.model, LatentModel) and not self.model.generates:
            raise UserError(
                f"{self.folder} has a model without a latent, of which every draw would be the same",
                mend="take a run whose model has one",
            )
        prior = self.extras.prior if mixture else None
        if mixture and prior is None:
            raise UserError(
                f"{self.folder} has no mixture", mend="set --prior normal, or train with --evaluation.samples"
            )
        device = next(self.model.parameters()).device

        @torch.no_grad()
        def draw(n: int, seed: int = 0, classes: Tensor | None = None) -> Tensor:
            if self.model.classes and classes is None:
                classes = torch.arange(n) % self.model.classes
            generator = torch.Generator(device).manual_seed(seed)
            parts = []
            for first in range(0, n, SAMPLES_AT_ONCE):
                some = min(SAMPLES_AT_ONCE, n - first)
                condition = None if classes is None else classes[first : first + some].to(device)
                if prior is not None and isinstance(self.model, LatentModel):
                    z = prior.sample(some, next(self.model.parameters()), generator, condition)
                    parts.append(self.model.decode(z, None, condition).float().cpu())
                else:
                    parts.append(self.model.sample(some, generator=generator, condition=condition).float().cpu())
            return torch.cat(parts)

        return draw

    @torch.no_grad()
    def edit(self, source: str | Path | Recording, attribute: str, strength: float = 1.0) -> Clean:
        """Moves a signal's latent along an attribute vector (Larsen et al. 2015, Sec. 4.2.1).

        Args:
            source: a file that the domain reads as one item, or a recording of the model's own size.
            attribute: its name.
            strength: how far; 1 is from the mean of the items without it to that of those with it, negative takes it away.

        Raises:
            UserError: for a run without attribute vectors, or an unknown attribute.
            DataError: for a file that cannot be read, or has another size.
        """
        if self.extras.directions is None or not isinstance(self.model, LatentModel):
            raise UserError(
                f"{self.folder} has no attribute vectors",
                expected="a run that was trained on data with attributes",
                mend="train on such data, as CelebA with its list_attr_celeba.txt",
            )
        vector = self.extras.directions.vector(attribute)
        recording = source if isinstance(source, Recording) else self.domain.read_item(Path(source))
        if recording.signals.shape[1:] != self.model.spec.shape:
            raise DataError(
                f"{recording.path} has signals of shape {recording.signals.shape[1:]}",
                expected=f"{self.model.spec.shape}, as the run was trained on",
                mend="crop and resize it first",
            )
        like = next(self.model.parameters())
        y = self.domain.to_model(torch.from_numpy(np.array(recording.signals))).float().to(like.device)
        y, mask = filled(y) if self.domain.spec.gaps else (y, None)
        encoding = self.model.encode(y, mask)
        z = encoding.posterior.mean + strength * vector.to(like.device)
        changed = self.model.decode(z.to(like.dtype), encoding.context).float().cpu().clamp(-1, 1)
        return Clean(recording.with_signals(self.domain.to_physical(changed).numpy()), self.domain)


class _Passage:
    """Signals on their way through a model: windows are read in model units, what they become in physical ones.

    Args:
        signals: (n, channels, *space) in physical units.
        domain: knows the units.
        with_spread: whether a spread is kept too.
    """

    def __init__(self, signals: np.ndarray[Any, Any], domain: Domain, *, with_spread: bool) -> None:
        self.signals, self.domain = signals, domain
        self.levels = signals.dtype == np.uint8
        self.gaps = domain.spec.gaps
        self.mean = np.empty(signals.shape, np.uint8 if self.levels else np.float32)
        self.spread = np.zeros(signals.shape, np.float16 if self.levels else np.float32) if with_spread else None

    def read(self, item: int, index: tuple[np.ndarray[Any, Any], ...]) -> tuple[Tensor, Tensor | None]:
        """A window of a signal, and what of it was observed where gaps are marked."""
        window = np.array(self.signals[item][np.ix_(np.arange(self.signals.shape[1]), *index)])
        y = self.domain.to_model(torch.from_numpy(window[None])).float()
        return filled(y) if self.gaps else (y, None)

    def write(self, item: int, where: tuple[slice, ...], part: Restored) -> None:
        """A finished part of a signal."""
        here: tuple[int | slice, ...] = (item, slice(None), *where)
        mean = self.domain.to_physical(part.mean).numpy()[0]
        self.mean[here] = np.rint(mean).clip(0, 255) if self.levels else mean
        if self.spread is not None and part.spread is not None:
            low, high = (self.domain.to_physical(part.mean + sign * part.spread) for sign in (-1, 1))
            self.spread[here] = (high - low).abs().numpy()[0] / 2


def _check_finite(recording: Recording, *, gaps: bool = False) -> None:
    """Looks at every value, a block at a time.

    Raises:
        DataError: with the number of those that are NaN or infinite.
    """
    if not np.issubdtype(recording.signals.dtype, np.floating):
        return
    if gaps:
        _tell_of_gaps(recording)
    blocks = np.nditer(recording.signals, ["external_loop", "buffered", "zerosize_ok"], buffersize=BLOCK)
    broken = sum(int(np.count_nonzero(np.isinf(block) if gaps else ~np.isfinite(block))) for block in blocks)
    if broken:
        raise DataError(
            f"{recording.path} holds {broken} values that are not finite",
            expected="numbers",
            mend="repair or cut them out first",
        )


def _tell_of_gaps(recording: Recording) -> None:
    """Says what a network loses by gaps in some channels only: a sample is observed in all of them or not at all.

    Raises:
        DataError: where no sample is observed.
    """
    torn, anything = 0, not len(recording.signals)
    for item in recording.signals:
        step = max(1, BLOCK * item.shape[1] // max(1, item.size))  # a survey's mask is not held whole
        for first in range(0, item.shape[1], step):
            missing = np.isnan(item[:, first : first + step])
            torn += int((missing.any(0) & ~missing.all(0)).sum())
            anything = anything or not missing.all()
    if not anything:
        raise DataError(f"{recording.path} holds no sample that was observed", expected="something to restore from")
    if torn:
        warnings.warn(
            f"{recording.path}: {torn} samples were observed in some channels only; they count as missing, and are filled, "
            "in all channels",
            UserWarning,
            stacklevel=3,
        )


def save(folder: Path, name: str, recipe: Recipe, model: Model) -> None:
    """Writes ``model/config.json``, the domain's assets, and ``model/model.safetensors``."""
    config = {
        "model": serial.encode(recipe.model),
        "spec": serial.encode(model.spec),
        "classes": model.classes,
    }
    write_json(folder / "model" / "config.json", config)
    assets = {key: torch.from_numpy(np.array(value)) for key, value in recipe.domain.assets().items()}
    if assets:
        save_tensors(folder / "model" / ASSETS, assets, {})
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
    with _undamaged(folder / "recipe.json") as place:
        name, recipe = from_json(read_json(place))
    if (folder / "model" / ASSETS).is_file():
        assets = {key: value.numpy() for key, value in load_tensors(folder / "model" / ASSETS)[0].items()}
        recipe = replace(recipe, domain=recipe.domain.with_assets(assets))
    known = {cls.__name__: cls for cls in serial.subclasses(ModelConfig)} | {
        "SignalSpec": SignalSpec,
        "Axis": Axis,
    }
    with _undamaged(folder / "model" / "config.json") as place:
        config = read_json(place)
        model_config = serial.decode(config["model"], ModelConfig, known)  # type: ignore[type-abstract]
        spec = serial.decode(config["spec"], SignalSpec, known)
        classes = int(config["classes"])
    model = model_config.build(spec, classes)
    weights = folder / "model" / "model.safetensors"
    load_weights(model, load_tensors(weights)[0], "", weights)
    model, twin = (ready(m.to(device)) for m in (model, model_config.build(spec, classes)))
    with _undamaged(folder / "model") as place:
        extras = Extras.load(place, model, twin)
    return Run(folder, name, recipe, model, extras)


@contextmanager
def _undamaged(path: Path) -> Iterator[Path]:
    """Names the file where a part of its content is missing or of another kind.

    Raises:
        UserError: instead of what Python says of it.
    """
    try:
        yield path
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{path} is damaged, or of another version ({told})",
            expected="what training writes",
            mend="train the run again",
        ) from error


def ready(model: Model) -> Model:
    """The model as it is used: for evaluation, and in the memory layout in which convolutions over two axes are quickest."""
    if model.spec.dims == 2:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval()


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


def recipe_json(name: str, recipe: Recipe, folder: Path, identifier: str, **more: Any) -> None:
    """Writes the resolved recipe, with the run's id and what ``more`` is known of the run."""
    write_json(folder / "recipe.json", {**to_json(name, recipe), "id": identifier, **more})
