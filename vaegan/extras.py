"""What a run learns once it is trained: where its latents lie, which way attributes point, how its spread is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaegan.models import Model
from vaegan.models.directions import Directions
from vaegan.models.latent import LatentModel
from vaegan.models.prior import MixturePrior
from vaegan.models.spread import Calibration
from vaegan.training.state import load_tensors, load_weights, save_tensors

PRIOR, DIRECTIONS, CALIBRATION, FAITHFUL, BASELINES = (
    f"{name}.safetensors" for name in ("prior", "attributes", "calibration", "faithful", "baselines")
)
APART = "\N{UNIT SEPARATOR}"
"""Between a method's name and that of what it learned."""


@dataclass(frozen=True)
class Extras:
    """What is kept beside a trained model; each part is ``None`` where it does not apply.

    Attributes:
        prior: a mixture fitted to the aggregate posterior, to draw from.
        directions: attribute vectors.
        calibration: of the spread of posterior samples.
        faithful: the model as it was before the first adversarial stage.
        baselines: what fitted classical methods learned, by their names.
    """

    prior: MixturePrior | None = None
    directions: Directions | None = None
    calibration: Calibration | None = None
    faithful: Model | None = None
    baselines: Mapping[str, Mapping[str, Tensor]] | None = None

    def save(self, folder: Path) -> None:
        """Writes each part that there is as a file of its own; removes the others."""
        parts: dict[str, tuple[Mapping[str, Tensor], dict[str, Any]] | None] = dict.fromkeys(
            (PRIOR, DIRECTIONS, CALIBRATION, FAITHFUL, BASELINES)
        )
        if self.prior is not None:
            parts[PRIOR] = self.prior.tensors(), {}
        if self.directions is not None:
            parts[DIRECTIONS] = self.directions.tensors(), {"names": self.directions.names}
        if self.calibration is not None:
            known = self.calibration
            parts[CALIBRATION] = {"weights": torch.tensor(known.weights, dtype=torch.float64)}, {"n": known.n}
        if self.faithful is not None:
            parts[FAITHFUL] = self.faithful.state_dict(), {}
        if self.baselines:
            learned = {f"{name}{APART}{key}": value for name, of in self.baselines.items() for key, value in of.items()}
            parts[BASELINES] = learned, {}
        for name, part in parts.items():
            if part is None:
                (folder / name).unlink(missing_ok=True)
            else:
                save_tensors(folder / name, *part)

    @staticmethod
    def load(folder: Path, model: Model, twin: Model) -> Extras:
        """Reads what there is.

        Args:
            folder: of the model.
            model: the trained model.
            twin: another one of the same networks, which becomes ``faithful`` where its weights are there.
        """
        prior = directions = calibration = None
        if isinstance(model, LatentModel) and (folder / PRIOR).is_file():
            prior = MixturePrior.from_tensors(load_tensors(folder / PRIOR)[0], model.latent_shape, folder / PRIOR)
        if (folder / DIRECTIONS).is_file():
            tensors, info = load_tensors(folder / DIRECTIONS)
            directions = Directions(tuple(info["names"]), tensors["vectors"], tensors["counts"])
        if (folder / CALIBRATION).is_file():
            tensors, info = load_tensors(folder / CALIBRATION)
            calibration = Calibration(tuple(tensors["weights"].tolist()), int(info["n"]))
        faithful = None
        if (folder / FAITHFUL).is_file():
            load_weights(twin, load_tensors(folder / FAITHFUL)[0], "", folder / FAITHFUL)
            faithful = twin
        baselines: dict[str, dict[str, Tensor]] = {}
        if (folder / BASELINES).is_file():
            for label, value in load_tensors(folder / BASELINES)[0].items():
                name, key = label.split(APART)
                baselines.setdefault(name, {})[key] = value
        return Extras(prior, directions, calibration, faithful, baselines or None)
