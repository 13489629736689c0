"""Sonar: despeckling, repair, learning from noisy frames, generation and anomalies."""

from __future__ import annotations

from dataclasses import replace

from domains.sonar import Sonar
from recipes.stages import larsen
from vaegan.models import LarsenConfig, RestoringConfig
from vaegan.objectives import BlindSpotObjective, ModernObjective, ThinningObjective, VAEObjective
from vaegan.recipe import Evaluation, Recipe, Stage
from vaegan.training import Adam, TrainingConfig

DESPECKLE = Recipe(
    summary="Speckle of any number of looks taken out of sonar frames.",
    domain=Sonar(size=64),
    model=RestoringConfig(latent=16, width=32, widest=96, depth=2, patch=2),
    degradations=("speckle L=1..2", "speckle L=2..6", "speckle L=6..16"),
    stages=(
        Stage(
            VAEObjective(squared=True, beta=1e-3),
            TrainingConfig(
                samples=2_000_000, cpu_minutes=28.0, batch=4, optimizer=Adam(lr=1e-3), flip=True, clip=0.2, warmup=0.03
            ),
        ),
        Stage(
            ModernObjective(beta=1e-3, feature=0.01, adversarial=0.001),
            TrainingConfig(samples=200_000, cpu_minutes=2.0, batch=4, optimizer=Adam(lr=3e-5), flip=True, clip=0.2),
        ),
    ),
    evaluation=Evaluation(conditions=("speckle L=1", "speckle L=4", "speckle L=10"), n=200),
)

SELFSUPERVISED = Recipe(
    summary="Despeckling learned from speckled frames alone, one copy of each, of known looks.",
    # Linear in amplitude: there, and only there, the mean of speckle is the signal.
    domain=Sonar(size=64, scaling="amplitude"),
    model=DESPECKLE.model,
    degradations=("speckle L=4",),
    stages=(
        Stage(
            ThinningObjective(law="gamma", level=4.0),
            TrainingConfig(
                samples=2_000_000, cpu_minutes=30.0, batch=4, optimizer=Adam(lr=1e-3), flip=True, clip=0.2, warmup=0.03
            ),
        ),
    ),
    evaluation=Evaluation(conditions=("speckle L=4",), n=200),
)

BLINDSPOT = replace(
    SELFSUPERVISED,
    summary="The same without knowing the looks: samples are predicted from their neighbours.",
    stages=(replace(SELFSUPERVISED.stages[0], objective=BlindSpotObjective(share=0.06)),),
)

GENERATE = Recipe(
    summary="New frames of each class of debris, from a conditional VAE-GAN.",
    domain=Sonar(size=64, fit="resize"),
    model=LarsenConfig(
        latent=32, width=16, decoder_width=16, discriminator_width=16, hidden=128, discriminator_hidden=128,
        norm="group", discriminator_norm="group", leak=0.2,
    ),
    conditional=True,
    stages=(
        Stage(
            VAEObjective(squared=True, beta=1.0),
            TrainingConfig(samples=400_000, cpu_minutes=3.0, batch=16, optimizer=Adam(lr=1e-3), flip=True),
        ),
        larsen(cpu_minutes=27.0, batch=16, flip=True),
    ),
    evaluation=Evaluation(conditions=("speckle L=4",), n=100, samples=300),
)  # fmt: skip

ANOMALY = replace(
    GENERATE,
    summary="What sonar frames hold that training never saw: score maps of a VAE-GAN.",
    domain=Sonar(size=64, fit="resize", novel="ring"),
    model=replace(GENERATE.model, discriminator_norm="none"),
    conditional=False,
    stages=(
        Stage(
            VAEObjective(squared=True, beta=0.3),
            TrainingConfig(samples=400_000, cpu_minutes=8.0, batch=8, optimizer=Adam(lr=1e-3), flip=True),
        ),
        Stage(
            ModernObjective(beta=0.3, pixel=1.0, feature=0.2, adversarial=0.02),
            TrainingConfig(samples=600_000, cpu_minutes=22.0, batch=8, optimizer=Adam(lr=3e-4), flip=True),
        ),
    ),
    evaluation=Evaluation(conditions=("speckle L=4",), n=100),
)

REPAIR = Recipe(
    summary="Missing pings filled and stripes taken out of sonar records.",
    domain=Sonar(size=64),
    # Where a window lacks no ping and has no stripe, it comes back as it was.
    model=replace(DESPECKLE.model, dead_zone=0.04),
    degradations=("missing-pings", "stripes", "stripes + missing-pings", "beam-dropout"),
    stages=(
        Stage(
            VAEObjective(squared=True, beta=1e-3),
            TrainingConfig(
                samples=2_000_000, cpu_minutes=28.0, batch=4, optimizer=Adam(lr=1e-3), flip=True, clip=0.2, warmup=0.03
            ),
        ),
        Stage(
            ModernObjective(beta=1e-3, feature=0.01, adversarial=0.001),
            TrainingConfig(samples=200_000, cpu_minutes=2.0, batch=4, optimizer=Adam(lr=3e-5), flip=True, clip=0.2),
        ),
    ),
    evaluation=Evaluation(conditions=("missing-pings share=0.2", "stripes depth=0.3", "beam-dropout share=0.1"), n=200),
)

RECIPES = {
    "despeckle": DESPECKLE,
    "selfsupervised": SELFSUPERVISED,
    "selfsupervised-blindspot": BLINDSPOT,
    "repair": REPAIR,
    "generate": GENERATE,
    "anomaly": ANOMALY,
}
