"""What a trained model is asked once, so that it can be used: where its latents lie, and how its spread is to be read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from vaegan.baselines import Fitted
from vaegan.data import SignalSet
from vaegan.degradation import Degradation, OneOf, build_where_known
from vaegan.degradation.base import normal
from vaegan.domain import Domain
from vaegan.evaluation.latent import observed, posteriors
from vaegan.evaluation.uncertainty import calibrate
from vaegan.extras import Extras
from vaegan.models import Model, Restored
from vaegan.models.directions import Directions
from vaegan.models.latent import LatentModel
from vaegan.models.prior import MixturePrior
from vaegan.models.spread import Calibration
from vaegan.recipe import Recipe

MOST_LATENTS = 10_000
CALIBRATION_ITEMS = 64
MOST_FITTED = 8_000
MOST_REPEATS = 8
MOST_VALUES = 2**26
BLOCK = 256


def learn_extras(model: Model, recipe: Recipe, data: Mapping[str, SignalSet], faithful: Model | None) -> Extras:
    """What is kept beside a trained model; see :class:`vaegan.extras.Extras`.

    Args:
        model: in evaluation mode.
        recipe: that it was trained by. Where it draws samples, a mixture is fitted to the latents of training items; where
            it judges the spread, that is calibrated on validation items, under those of its degradations that their split
            has; where it has none, nothing is calibrated.
        data: training and validation split.
        faithful: the model before its first adversarial stage.
    """
    baselines = fit_baselines(recipe, data["train"])
    if not isinstance(model, LatentModel) or 0 in model.latent_shape:
        return Extras(faithful=faithful, baselines=baselines)
    evaluation, degradation = recipe.evaluation, recipe.degradation()
    prior, directions = _of_latents(
        model, recipe.domain, data["train"], degradation, evaluation.samples, evaluation.seed
    )
    calibration: Calibration | None = None
    suffered = _of_validation(recipe)
    if evaluation.spread and (suffered is not None or data["val"].observed is not None):
        calibration = calibrate(
            spread_of(model, evaluation.spread, evaluation.seed),
            recipe.domain,
            data["val"],
            suffered,
            n=CALIBRATION_ITEMS,
            seed=evaluation.seed,
        )
    return Extras(prior, directions, calibration, faithful, baselines)


def _of_validation(recipe: Recipe) -> Degradation | None:
    """What validation items suffer: the recipe's mixture, less the artifacts that were not recorded in their split."""
    makers = recipe.domain.on_split("val").degradations()
    built = [made for made in (build_where_known(one, makers) for one in recipe.degradations) if made is not None]
    return None if not built else built[0] if len(built) == 1 else OneOf(*built)


def fit_baselines(recipe: Recipe, train: SignalSet) -> dict[str, dict[str, Tensor]]:
    """Fits the domain's classical methods that learn, on training items under the training's degradations.

    Returns:
        What each learned, by its name.
    """
    learning = {name: method for name, method in recipe.domain.baselines().items() if isinstance(method, Fitted)}
    degradation = recipe.degradation()
    if not learning or (degradation is None and train.observed is None):
        return {}
    n = min(len(train), MOST_FITTED, max(1, MOST_VALUES // int(np.prod(train.signals.shape[1:]))))
    seed = recipe.evaluation.seed
    rows = np.sort(np.random.default_rng((seed, 7)).permutation(len(train))[:n])
    # Few items are seen under several degradations each, so that a mixture is covered.
    parts = [
        observed(recipe.domain, train, rows[first : first + BLOCK], degradation, f"fit/{seed}/{again}/{first}")
        for again in range(max(1, min(MOST_REPEATS, MOST_FITTED // n)))
        for first in range(0, n, BLOCK)
    ]
    x, y = (torch.cat([part[i] for part in parts]).numpy() for i in (0, 1))  # type: ignore[misc]
    masks = [torch.ones_like(part[1][:, :1], dtype=torch.bool) if part[2] is None else part[2] for part in parts]
    mask = None if all(part[2] is None for part in parts) else torch.cat(masks).numpy()
    return {
        name: {key: torch.from_numpy(np.array(value)) for key, value in method.fit(y, mask, x).state().items()}  # type: ignore[attr-defined]
        for name, method in learning.items()
    }


class spread_of:  # noqa: N801 - reads as a function
    """A restorer that gives mean and spread over posterior samples, on the CPU.

    Args:
        model: in evaluation mode.
        samples: draws of the posterior.
        seed: of the draws.
    """

    def __init__(self, model: Model, samples: int, seed: int) -> None:
        self.model, self.samples = model, samples
        self.device = next(model.parameters()).device
        self.generator = torch.Generator(self.device).manual_seed(seed)

    @torch.no_grad()
    def __call__(self, y: Tensor, mask: Tensor | None) -> Restored:
        """Restores observed signals in model units."""
        restored = self.model.restore(
            y.to(self.device),
            None if mask is None else mask.to(self.device),
            samples=self.samples,
            generator=self.generator,
        )
        return Restored(restored.mean.cpu(), None if restored.spread is None else restored.spread.cpu())


def _of_latents(
    model: LatentModel, domain: Domain, train: SignalSet, degradation: Degradation | None, samples: int, seed: int
) -> tuple[MixturePrior | None, Directions | None]:
    """The mixture and the attribute vectors, where they are wanted: both from one pass over training items."""
    if not samples and train.attributes is None:
        return None, None
    rows = np.sort(np.random.default_rng((seed, 5)).permutation(len(train))[:MOST_LATENTS])
    q = posteriors(model, domain, train, rows, degradation, seed=seed)
    prior = directions = None
    if samples and len(rows) > 1:
        noise = normal(tuple(q.mean.shape), q.mean, torch.Generator().manual_seed(seed))
        labels = None if not model.classes or train.labels is None else torch.from_numpy(np.asarray(train.labels)[rows])
        prior = MixturePrior.fit(q.sample(noise), labels, seed=seed)
    if train.attributes is not None:
        present = torch.from_numpy(np.array(train.attributes[rows]).astype(np.int64))
        directions = Directions.fit(q.mean, present, train.attribute_names)
    return prior, directions
