"""Digits: generation, by autoencoders, GANs and VAE-GANs beside each other.

Each recipe is run by ``vaegan run digits/NAME``; the README beside this file keeps commands, hardware, times and results.
"""

from __future__ import annotations

from dataclasses import replace

from domains.digits import Digits
from vaegan.models import (
    ConvVAEConfig,
    DCGANConfig,
    DenseAutoencoderConfig,
    DenseVAEConfig,
    LarsenConfig,
    PixelVAEGANConfig,
    PresGANConfig,
)
from vaegan.objectives import (
    AutoencoderObjective,
    GANObjective,
    ModernObjective,
    PixelVAEGANObjective,
    PresGANObjective,
    VAEObjective,
)
from vaegan.recipe import Evaluation, Recipe, Stage
from vaegan.training import Adam, TrainingConfig

EPOCH = 60_000
"""Digits of MNIST: 25 and 50 epochs are where the study shows its pictures."""

JUDGED = Evaluation(samples=2_000, spread=0)
STUDY_ADAM = Adam(lr=2e-4, beta1=0.5, beta2=0.999)
ADVERSARIAL = TrainingConfig(
    samples=50 * EPOCH, cpu_minutes=25.0, batch=32, optimizer=STUDY_ADAM, schedule="constant", warmup=0.0, ema=0.0,
    clip=0.0,
)  # fmt: skip
DENSE = TrainingConfig(
    samples=10_000 * 128, cpu_minutes=5.0, batch=128, optimizer=Adam(lr=1e-3, beta2=0.999), schedule="constant",
    warmup=0.0, ema=0.0, clip=0.0,
)  # fmt: skip

AUTOENCODER = Recipe(
    summary="The MNIST study's dense network as its code has it: a plain autoencoder.",
    domain=Digits(),
    model=DenseAutoencoderConfig(),
    stages=(Stage(AutoencoderObjective(), DENSE),),
    evaluation=JUDGED,
)

DENSE_VAE = Recipe(
    summary="The MNIST study's dense network as a true VAE, with mean, variance and KL.",
    domain=Digits(),
    model=DenseVAEConfig(),
    stages=(Stage(VAEObjective(variance=0.2), DENSE),),
    evaluation=JUDGED,
)

VAE = Recipe(
    summary="A convolutional VAE of digits.",
    domain=Digits(),
    model=ConvVAEConfig(),
    stages=(
        Stage(
            VAEObjective(variance=0.2),
            TrainingConfig(samples=40 * EPOCH, cpu_minutes=15.0, batch=64, optimizer=Adam(lr=1e-3), clip=0.0),
        ),
    ),
    evaluation=JUDGED,
)

DCGAN = Recipe(
    summary="The DCGAN of the MNIST study, to the parameter: 5,593,345 and 294,113.",
    domain=Digits(),
    model=DCGANConfig(),
    stages=(Stage(GANObjective(), ADVERSARIAL),),
    evaluation=JUDGED,
)

SMALL = DCGANConfig(width=32, discriminator_width=16)
"""A sixteenth of the study's work: what Hamiltonian Monte Carlo can be paid for on a CPU."""

PRESGAN = Recipe(
    summary="A prescribed GAN of digits: learned noise, and a generator paid for its entropy.",
    domain=Digits(),
    model=PresGANConfig(SMALL),
    # Half precision would drown the energies that decide what Monte Carlo accepts.
    stages=(Stage(PresGANObjective(burn_in=1, samples=1, leapfrog=3), replace(ADVERSARIAL, precision="32-true")),),
    evaluation=JUDGED,
)

VAEGAN = Recipe(
    summary="A VAE-GAN of digits: a VAE first, then learned similarity and draws from the prior.",
    domain=Digits(),
    model=LarsenConfig(
        latent=32, width=32, decoder_width=16, discriminator_width=8, depth=2, hidden=256, discriminator_hidden=64,
        norm="group", discriminator_norm="none", leak=0.2,
    ),
    stages=(
        Stage(
            VAEObjective(variance=0.2),
            TrainingConfig(samples=20 * EPOCH, cpu_minutes=8.0, batch=64, optimizer=Adam(lr=1e-3), clip=0.5),
        ),
        Stage(
            ModernObjective(pixel=0.2, feature=0.2, adversarial=0.1, beta=0.5, prior_samples=True),
            TrainingConfig(samples=20 * EPOCH, cpu_minutes=12.0, batch=32, optimizer=Adam(lr=2e-4, beta1=0.5), clip=0.5),
        ),
    ),
    evaluation=JUDGED,
)  # fmt: skip

PIXEL_VAEGAN = Recipe(
    summary="The simple pixel VAE-GAN that the toolkit grew out of, on digits.",
    domain=Digits(),
    model=PixelVAEGANConfig(),
    stages=(
        Stage(
            PixelVAEGANObjective(),
            replace(ADVERSARIAL, batch=64, optimizer=Adam(lr=2e-4, beta2=0.999), discriminator_lr=2.0),
        ),
    ),
    evaluation=JUDGED,
)

CIFAR10_DCGAN = Recipe(
    summary="The DCGAN of the CIFAR-10 study, to the parameter: 7,147,011 and 387,201.",
    domain=Digits(size=32, color=True),
    model=DCGANConfig(discriminator_width=64),
    stages=(Stage(GANObjective(), replace(ADVERSARIAL, samples=50 * 50_000)),),
    evaluation=Evaluation(samples=500, spread=0),
)

STACKED_DCGAN = Recipe(
    summary="Stacked MNIST by a DCGAN: how many of 1,000 modes are drawn?",
    domain=Digits(stacked=True),
    model=SMALL,
    stages=(Stage(GANObjective(), ADVERSARIAL),),
    evaluation=JUDGED,
)

STACKED_PRESGAN = Recipe(
    summary="Stacked MNIST by a prescribed GAN of the same networks.",
    domain=Digits(stacked=True),
    model=PresGANConfig(SMALL),
    stages=PRESGAN.stages,
    evaluation=JUDGED,
)

RECIPES = {
    "mnist-autoencoder": AUTOENCODER,
    "mnist-dense-vae": DENSE_VAE,
    "mnist-vae": VAE,
    "mnist-dcgan": DCGAN,
    "mnist-presgan": PRESGAN,
    "mnist-vaegan": VAEGAN,
    "mnist-pixelvaegan": PIXEL_VAEGAN,
    "cifar10-dcgan": CIFAR10_DCGAN,
    "stacked-mnist-dcgan": STACKED_DCGAN,
    "stacked-mnist-presgan": STACKED_PRESGAN,
}
