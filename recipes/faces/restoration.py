"""The restoring half of the comparative studies: every system on the same faces, behind the same white strokes.

``strokes coverage=0.105`` on CelebA's 64x64 faces scores as the damaged pictures of humanface8000 did under that study's
measures (MSE 2523, NRMSE 0.405, SSIM 0.754); ``tests/test_restoration_study.py`` holds it there.
"""

from __future__ import annotations

from domains.faces import Faces
from vaegan.models import (
    DiffusionConfig,
    DnCNNConfig,
    FlowConfig,
    ModelConfig,
    PixelVAEGANConfig,
    RestorationGANConfig,
    RestoringConfig,
    UNetConfig,
    UNetVAEConfig,
)
from vaegan.objectives import (
    DiffusionObjective,
    LikelihoodObjective,
    ModernObjective,
    Objective,
    PairedGANObjective,
    PixelObjective,
    PixelVAEGANObjective,
    UNetVAEObjective,
    VAEObjective,
)
from vaegan.recipe import Evaluation, Recipe, Stage
from vaegan.training import Adam, TrainingConfig

CONDITION = "strokes coverage=0.105"
FACES = Faces(size=64)
EVALUATION = Evaluation(conditions=(CONDITION,), n=200)


def _recipe(summary: str, model: ModelConfig, *stages: Stage) -> Recipe:
    return Recipe(
        summary=summary,
        domain=FACES,
        model=model,
        stages=stages,
        degradations=("strokes coverage=0.02..0.2",),
        evaluation=EVALUATION,
    )


def _stage(
    objective: Objective,
    *,
    lr: float,
    batch: int,
    samples: int,
    minutes: float,
    beta1: float = 0.9,
    clip: float = 0.2,
    discriminator_lr: float = 1.0,
) -> Stage:
    training = TrainingConfig(
        samples=samples,
        cpu_minutes=minutes,
        batch=batch,
        optimizer=Adam(lr=lr, beta1=beta1, beta2=0.999),
        discriminator_lr=discriminator_lr,
        flip=True,
        clip=clip,
        warmup=0.03,
    )
    return Stage(objective, training)


RESTORATION_VAEGAN = _recipe(
    "White strokes on faces: the restoring VAE-GAN.",
    RestoringConfig(latent=64, width=48, widest=192, patch=2),
    _stage(VAEObjective(variance=0.5, beta=0.001), lr=8e-4, batch=4, samples=4_000_000, minutes=25.0),
    _stage(
        ModernObjective(beta=0.001, feature=0.01, adversarial=0.001),
        lr=3e-5,
        batch=8,
        samples=500_000,
        minutes=5.0,
    ),
)

RESTORATION_GAN = _recipe(
    "White strokes on faces: the conditional GAN of the humanface8000 study.",
    # The study's ReLU at the end leaves pixels without a gradient for its first hundreds of steps.
    RestorationGANConfig(output="linear"),
    _stage(
        PairedGANObjective(),
        lr=1e-3,
        beta1=0.5,
        batch=8,
        samples=2_700_000,
        minutes=30.0,
        clip=0.0,
        discriminator_lr=0.2,
    ),
)

RESTORATION_GAN_RESIDUAL = _recipe(
    "White strokes on faces: the study's GAN, told to predict what to change.",
    RestorationGANConfig(residual=True),
    # Most pixels are right from the start, so the absolute error would hold the network there for long.
    _stage(
        PairedGANObjective(squared=True),
        lr=1e-3,
        beta1=0.5,
        batch=4,
        samples=2_700_000,
        minutes=30.0,
        clip=0.0,
        discriminator_lr=0.2,
    ),
)

RESTORATION_UNETVAE = _recipe(
    "White strokes on faces: the U-Net VAE of the humanface8000 study, made to work.",
    UNetVAEConfig(),
    _stage(UNetVAEObjective(), lr=1e-3, batch=8, samples=2_700_000, minutes=30.0, clip=0.0),
)

RESTORATION_UNET = _recipe(
    "White strokes on faces: a plain U-Net, the yardstick.",
    UNetConfig(width=48, widest=192, patch=2),
    _stage(PixelObjective(squared=True), lr=8e-4, batch=4, samples=4_000_000, minutes=30.0),
)

RESTORATION_DNCNN = _recipe(
    "White strokes on faces: DnCNN, a stack of convolutions.",
    DnCNNConfig(width=32),
    _stage(PixelObjective(squared=True), lr=1e-3, batch=4, samples=4_000_000, minutes=30.0),
)

RESTORATION_DIFFUSION = _recipe(
    "White strokes on faces: a diffusion model, sampled in four steps.",
    DiffusionConfig(),
    _stage(DiffusionObjective(), lr=5e-4, batch=4, samples=4_000_000, minutes=30.0),
)

RESTORATION_FLOW = _recipe(
    "White strokes on faces: a conditional normalising flow.",
    FlowConfig(),
    # At 5e-4 the likelihood of one batch overflowed after 3,700 samples.
    _stage(LikelihoodObjective(), lr=2e-4, batch=4, samples=4_000_000, minutes=30.0),
)

RESTORATION_PIXELVAEGAN = _recipe(
    "White strokes on faces: the simple pixel VAE-GAN, all through one short vector.",
    PixelVAEGANConfig(),
    # At the founding code's weight of 0.1 the KL outweighs a mean squared error of 0.01 by far, and z carries nothing.
    _stage(PixelVAEGANObjective(kl=1e-4), lr=5e-4, batch=16, samples=4_000_000, minutes=30.0, clip=0.0),
)

RESTORATION = {
    "restoration-vaegan": RESTORATION_VAEGAN,
    "restoration-gan": RESTORATION_GAN,
    "restoration-gan-residual": RESTORATION_GAN_RESIDUAL,
    "restoration-unetvae": RESTORATION_UNETVAE,
    "restoration-unet": RESTORATION_UNET,
    "restoration-dncnn": RESTORATION_DNCNN,
    "restoration-diffusion": RESTORATION_DIFFUSION,
    "restoration-flow": RESTORATION_FLOW,
    "restoration-pixelvaegan": RESTORATION_PIXELVAEGAN,
}
