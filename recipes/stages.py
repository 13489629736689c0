"""Stages that recipes of several domains share."""

from __future__ import annotations

from vaegan.objectives import LarsenObjective
from vaegan.recipe import Stage
from vaegan.training import Adam, TrainingConfig


def larsen(*, cpu_minutes: float, batch: int, flip: bool) -> Stage:
    """Algorithm 1 for a discriminator with group norm, after a short stage as a plain VAE.

    The values are those found on faces (``faces/celeba64``): at the paper's gamma of 1e-6 the likeness does not hold the
    decoder before the discriminator has come far.

    Args:
        cpu_minutes: on a CPU.
        batch: signals a step.
        flip: show each signal's mirror image half of the time.
    """
    return Stage(
        LarsenObjective(gamma=1e-3),
        TrainingConfig(
            samples=2_000_000,
            cpu_minutes=cpu_minutes,
            batch=batch,
            optimizer=Adam(lr=2e-4, beta1=0.5, beta2=0.999),
            discriminator_lr=0.5,
            flip=flip,
            clip=0.0,
        ),
    )
