"""One recipe for any domain: ``vaegan run generic --domain NAME``."""

from __future__ import annotations

from domains.faces import Faces
from vaegan.models import RestoringConfig
from vaegan.objectives import ModernObjective, VAEObjective
from vaegan.recipe import Evaluation, Recipe, Stage
from vaegan.training import Adam, TrainingConfig

RECIPE = Recipe(
    summary="Any domain: a restoring VAE-GAN against noise (give --domain NAME).",
    domain=Faces(size=64),
    model=RestoringConfig(),
    degradations=("noise sigma=0.02..0.25",),
    stages=(
        Stage(
            VAEObjective(squared=False, beta=0.01),
            TrainingConfig(samples=800_000, cpu_minutes=8.0, batch=16, optimizer=Adam(lr=5e-4), clip=0.2),
        ),
        Stage(
            ModernObjective(feature=0.005, adversarial=0.0005),
            TrainingConfig(samples=200_000, cpu_minutes=2.0, batch=16, optimizer=Adam(lr=1e-4), clip=0.2),
        ),
    ),
    evaluation=Evaluation(conditions=("noise sigma=0.1", "noise sigma=0.2"), n=200),
)
