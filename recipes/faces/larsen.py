"""Larsen et al. 2015 on faces, and what the paper sets beside the VAE-GAN on the same networks.

The paper compares a VAE of pixels, a GAN, a VAE with learned similarity and the VAE-GAN. Each stands here twice: with the
networks of its Table 1, for a GPU, and at a quarter of their width, for a CPU.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from domains.faces import Faces
from vaegan.models import LarsenConfig, LarsenGANConfig, ModelConfig
from vaegan.objectives import LarsenObjective, LearnedVAEObjective, PriorGANObjective, VAEObjective
from vaegan.recipe import Evaluation, Recipe, Stage
from vaegan.training import Adam, RMSProp, TrainingConfig


def _larsen(summary: str, model: ModelConfig, *stages: Stage) -> Recipe:
    """A system of Larsen's comparison: clean faces in, faces out."""
    evaluation = Evaluation(n=100, samples=500, spread=0)
    if isinstance(model, LarsenConfig):  # with an encoder it can be shown a picture
        evaluation = Evaluation(conditions=("noise sigma=25/255",), n=100, samples=500)
    return Recipe(summary=summary, domain=Faces(size=64), model=model, stages=stages, evaluation=evaluation)


_VAE = TrainingConfig(samples=4_000_000, cpu_minutes=30.0, batch=16, optimizer=Adam(lr=3e-4), flip=True)
# A few epochs as a plain VAE: a step there takes a third of the time, and the discriminator then begins with faces.
_FIRST = Stage(VAEObjective(), replace(_VAE, samples=400_000, cpu_minutes=12.0))
_LARSEN = replace(_VAE, samples=3_600_000, cpu_minutes=18.0, optimizer=RMSProp(), clip=0.0, schedule="constant")
_GAN = replace(_LARSEN, samples=4_000_000, cpu_minutes=30.0)

LARSEN: dict[str, Recipe] = {
    "celeba64": _larsen(
        "Larsen et al. 2015 on 64x64 faces: encode, decode, generate.",
        LarsenConfig(),
        _FIRST,
        Stage(LarsenObjective(), _LARSEN),
    ),
    "celeba64-vae": _larsen(
        "The yardstick of celeba64: a plain VAE of the same encoder and decoder.",
        LarsenConfig(),
        Stage(VAEObjective(), _VAE),
    ),
    "celeba64-gan": _larsen(
        "Larsen's comparison: a GAN of celeba64's decoder and discriminator.",
        LarsenGANConfig(),
        Stage(PriorGANObjective(), _GAN),
    ),
    "celeba64-learned-vae": _larsen(
        "Larsen's comparison: a VAE whose error is the hidden layer of a GAN's discriminator.",
        LarsenConfig(),
        Stage(PriorGANObjective(), replace(_GAN, samples=2_000_000, cpu_minutes=15.0)),
        Stage(LearnedVAEObjective(), replace(_VAE, samples=2_000_000, cpu_minutes=15.0)),
    ),
}

# On a CPU the networks of Table 1 see 13 faces a second, and a GAN needs a hundred thousand: a quarter of the width sees 60.
_SMALL = LarsenConfig(width=16, decoder_width=16, discriminator_width=8, hidden=256, discriminator_hidden=128)
_SMALL_GAN = LarsenGANConfig(decoder_width=16, discriminator_width=8, discriminator_hidden=128)
# Steps this short are noisy: Adam's moments and a rate that falls suit them better than RMSProp at a constant one.
_ADAM: dict[str, Any] = {"optimizer": Adam(lr=2e-4, beta1=0.5, beta2=0.999), "schedule": "cosine"}


def _small(recipe: Recipe) -> Recipe:
    """The same system for a CPU."""
    model = _SMALL if isinstance(recipe.model, LarsenConfig) else _SMALL_GAN
    stages = tuple(
        stage
        if isinstance(stage.objective, VAEObjective)
        else replace(stage, training=replace(stage.training, **_ADAM))
        for stage in recipe.stages
    )
    return replace(recipe, summary=f"{recipe.summary[:-1]}, small enough for a CPU.", model=model, stages=stages)


LARSEN |= {name.replace("celeba64", "celeba64-small"): _small(recipe) for name, recipe in LARSEN.items()}
