"""Faces: restoration and generation.

Each recipe is run by ``vaegan run faces/NAME``; the README beside this file keeps commands, hardware, times and results.
"""

from __future__ import annotations

from dataclasses import replace

from domains.faces import Faces
from recipes.faces.larsen import LARSEN
from recipes.faces.restoration import RESTORATION
from vaegan.models import RestoringConfig
from vaegan.objectives import ModernObjective, VAEObjective
from vaegan.recipe import Evaluation, Recipe, Stage
from vaegan.training import Adam, TrainingConfig

QUICKSTART = Recipe(
    summary="Grey faces in minutes: one network learns to remove noise and to draw new faces.",
    domain=Faces(size=64, color=False),
    model=RestoringConfig(latent=64, vector=True, width=24, widest=96, discriminator_width=8),
    degradations=("noise sigma=20/255..60/255",),
    stages=(
        Stage(
            VAEObjective(squared=False, beta=0.1, bare=0.3),
            TrainingConfig(samples=60_000, cpu_minutes=2.4, batch=4, optimizer=Adam(lr=8e-4), flip=True, clip=0.2),
        ),
        Stage(
            ModernObjective(beta=0.1, bare=0.3, prior_samples=True),
            TrainingConfig(samples=40_000, cpu_minutes=1.0, batch=8, optimizer=Adam(lr=2e-4), flip=True, clip=0.2),
        ),
    ),
    evaluation=Evaluation(conditions=("noise sigma=50/255",), n=60, samples=64),
)

DENOISE = Recipe(
    summary="Colour faces under noise, white strokes or blur, restored by one network.",
    domain=Faces(size=64),
    model=RestoringConfig(latent=64, width=24, widest=192, hinted=True, mirror=True),
    degradations=(
        "noise sigma=10/255..60/255",
        "noise sigma=20/255..60/255",
        "noise sigma=10/255..60/255 clip=true",
        "strokes",
        "strokes coverage=0.02..0.1",
        "strokes coverage=0.02..0.2 + noise sigma=10/255..60/255",
        "blur",
    ),
    stages=(
        Stage(
            VAEObjective(squared=False, beta=0.0001),
            TrainingConfig(
                samples=4_000_000, cpu_minutes=54.0, batch=4, optimizer=Adam(lr=9e-4), flip=True, clip=0.2, warmup=0.03
            ),
        ),
        Stage(
            ModernObjective(beta=0.0001, feature=0.01, adversarial=0.001),
            # The first stage ended at a fine learning rate: a high one here would undo more than the discriminator gives.
            TrainingConfig(samples=400_000, cpu_minutes=4.0, batch=8, optimizer=Adam(lr=3e-5), flip=True, clip=0.2),
        ),
    ),
    evaluation=Evaluation(conditions=("noise sigma=25/255", "noise sigma=50/255", "strokes", "blur sigma=1.5"), n=200),
)

DENOISE_WITHOUT_ADVERSARY = replace(
    DENOISE,
    summary="What faces/denoise owes to its discriminator: the same training without it.",
    stages=(DENOISE.stages[0], replace(DENOISE.stages[1], objective=VAEObjective(squared=False, beta=0.0001))),
)

DENOISE_WITHOUT_LATENT = replace(
    DENOISE,
    summary="What faces/denoise owes to its latent: the same networks, a plain U-Net.",
    model=replace(DENOISE.model, latent=0),
)

RECIPES = {
    "quickstart": QUICKSTART,
    "denoise": DENOISE,
    "denoise-without-adversary": DENOISE_WITHOUT_ADVERSARY,
    "denoise-without-latent": DENOISE_WITHOUT_LATENT,
    **LARSEN,
    **RESTORATION,
}
