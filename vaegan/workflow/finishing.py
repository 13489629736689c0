"""What a trained model is asked once, so that it can be used: where its latents lie, and how its spread is to be read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from vaegan.data import SignalSet
from vaegan.degradation import Degradation
from vaegan.degradation.base import normal
from vaegan.domain import Domain
from vaegan.evaluation.latent import posteriors
from vaegan.evaluation.uncertainty import calibrate
from vaegan.extras import Extras
from vaegan.models import Model, Restored
from vaegan.models.directions import Directions
from vaegan.models.prior import MixturePrior
from vaegan.models.spread import Calibration
from vaegan.models.vaegan import VAEGAN
from vaegan.recipe import Recipe

MOST_LATENTS = 10_000
CALIBRATION_ITEMS = 64


def learn_extras(model: Model, recipe: Recipe, data: Mapping[str, SignalSet], faithful: Model | None) -> Extras:
    """What is kept beside a trained model; see :class:`vaegan.extras.Extras`.

    Args:
        model: in evaluation mode.
        recipe: that it was trained by. Where it draws samples, a mixture is fitted to the latents of training items; where
            it judges the spread, that is calibrated on validation items.
        data: training and validation split.
        faithful: the model before its first adversarial stage.
    """
    if not isinstance(model, VAEGAN) or 0 in model.latent_shape:
        return Extras(faithful=faithful)
    evaluation, degradation = recipe.evaluation, recipe.degradation()
    prior, directions = _of_latents(
        model, recipe.domain, data["train"], degradation, evaluation.samples, evaluation.seed
    )
    calibration: Calibration | None = None
    if evaluation.spread and (degradation is not None or data["val"].observed is not None):
        calibration = calibrate(
            spread_of(model, evaluation.spread, evaluation.seed),
            recipe.domain,
            data["val"],
            degradation,
            n=CALIBRATION_ITEMS,
            seed=evaluation.seed,
        )
    return Extras(prior, directions, calibration, faithful)


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
    model: VAEGAN, domain: Domain, train: SignalSet, degradation: Degradation | None, samples: int, seed: int
) -> tuple[MixturePrior | None, Directions | None]:
    """The mixture and the attribute vectors, where they are wanted: both from one pass over training items."""
    if not samples and train.attributes is None:
        return None, None
    rows = np.sort(np.random.default_rng((seed, 5)).permutation(len(train))[:MOST_LATENTS])
    q = posteriors(model, domain, train, rows, degradation, seed=seed)
    prior = directions = None
    if samples and len(rows) > 1:
        noise = normal(tuple(q.mean.shape), q.mean, torch.Generator().manual_seed(seed))
        prior = MixturePrior.fit(q.sample(noise), seed=seed)
    if train.attributes is not None:
        present = torch.from_numpy(np.array(train.attributes[rows]).astype(np.int64))
        directions = Directions.fit(q.mean, present, train.attribute_names)
    return prior, directions
