"""LiDAR: planar scans and turns of spinning scanners.

Each recipe is run by ``vaegan run lidar/NAME``; the README beside this file keeps commands, hardware, times and results.
"""

from __future__ import annotations

from dataclasses import replace

from domains.lidar import PlanarScans, Turns
from recipes.stages import larsen
from vaegan.models import LarsenConfig, RestoringConfig
from vaegan.objectives import ModernObjective, VAEObjective
from vaegan.recipe import Evaluation, Recipe, Stage
from vaegan.training import Adam, TrainingConfig

SCAN = Recipe(
    summary="Planar laser scans repaired: noise, lost echoes and spikes, by one network.",
    domain=PlanarScans(encoding="log"),
    model=RestoringConfig(latent=16, width=64, widest=128, patch=2, neighbours=True, smoothing=3),
    degradations=(
        "noise 0.005..0.05 m",
        "drop 0.1..0.7",
        "noise 0.01..0.1 m + drop 0.1..0.5",
        "noise 0.05..0.15 m + drop 0.1..0.5 + spikes 0.005..0.04",
    ),
    stages=(
        Stage(
            VAEObjective(squared=False, beta=1e-6),
            TrainingConfig(
                samples=4_000_000,
                cpu_minutes=16.0,
                batch=8,
                optimizer=Adam(lr=1.5e-3),
                flip=True,
                clip=0.2,
                warmup=0.03,
            ),
        ),
        Stage(
            ModernObjective(beta=1e-6, feature=0.002, adversarial=0.0002),
            TrainingConfig(samples=500_000, cpu_minutes=2.0, batch=8, optimizer=Adam(lr=3e-5), flip=True, clip=0.2),
        ),
    ),
    evaluation=Evaluation(conditions=("noise 0.03 m", "noise 0.1 m + drop 30 % + spikes 2 %", "drop 50 %"), n=400),
)

TURN_MODEL = RestoringConfig(
    latent=16,
    width=64,
    widest=128,
    depth=2,
    patch=4,
    neighbours=True,
    discriminator_width=8,
    discriminator_depth=5,
)
"""Four by four pixels are one place of the finest level: a turn of 64x1024 passes in less than the sensor takes for it."""

TURN_STAGES = (
    Stage(
        VAEObjective(squared=False, physical=True, beta=1e-6),
        TrainingConfig(
            samples=400_000,
            cpu_minutes=18.0,
            batch=2,
            optimizer=Adam(lr=1e-3),
            flip=True,
            vary=True,
            clip=0.2,
            warmup=0.03,
            precision="bf16-mixed",
        ),
    ),
    Stage(
        ModernObjective(physical=True, beta=1e-6, feature=0.002, adversarial=0.0002),
        TrainingConfig(
            samples=40_000, cpu_minutes=2.0, batch=2, optimizer=Adam(lr=3e-5), flip=True, vary=True, clip=0.2
        ),
    ),
)

DENSIFY = Recipe(
    summary="Turns of 16 beams made dense: the 48 beams between them, the observed points left alone.",
    domain=Turns(),
    model=replace(TURN_MODEL, keep_observed=True),
    degradations=("beams 16->64",),
    stages=TURN_STAGES,
    evaluation=Evaluation(conditions=("beams 16->64",), n=60),
)

RESTORE = Recipe(
    summary="Turns repaired: lost echoes, noise and spikes, by one network.",
    domain=Turns(),
    model=replace(TURN_MODEL, smoothing=3),
    degradations=(
        "noise 0.01..0.1 m",
        "drop 0.1..0.7",
        "sector 0.02..0.08 + drop 0.05..0.3",
        "noise 0.02..0.15 m + drop 0.1..0.5 + spikes 0.005..0.03",
    ),
    stages=TURN_STAGES,
    evaluation=Evaluation(conditions=("noise 0.1 m", "drop 50 %", "noise 0.05 m + drop 30 % + spikes 1 %"), n=60),
)

DESNOW = Recipe(
    summary="Snow and rain taken out of turns: beams that flakes won return to what is behind them.",
    domain=Turns(outliers=True),
    # A flake's echo lies far before what is behind it; what would move a little only is no flake.
    model=replace(TURN_MODEL, dead_zone=0.3),
    degradations=("snow 0.3..4", "snow 0.3..4", "rain 5..60"),
    stages=TURN_STAGES,
    evaluation=Evaluation(conditions=("snow 1", "snow 3", "rain 30"), n=60),
)

GENERATE = Recipe(
    summary="Turns of 64x256 drawn from a prior, with the echoes that do not come back.",
    domain=Turns(columns=256, reflectance=False, gaps=False),
    model=LarsenConfig(
        latent=64,
        width=32,
        decoder_width=24,
        discriminator_width=16,
        depth=4,
        hidden=256,
        discriminator_hidden=128,
        norm="group",
        discriminator_norm="group",
        leak=0.2,
        missing=(-1.0,),
    ),
    stages=(
        Stage(
            VAEObjective(squared=False, beta=0.02),
            TrainingConfig(samples=1_000_000, cpu_minutes=3.0, batch=8, optimizer=Adam(lr=7e-4), flip=True, clip=0.2),
        ),
        larsen(cpu_minutes=22.0, batch=8, flip=True),
    ),
    evaluation=Evaluation(conditions=("drop 30 %",), n=40, samples=64),
)

RECIPES = {"scan": SCAN, "densify": DENSIFY, "restore": RESTORE, "desnow": DESNOW, "generate": GENERATE}
