"""EEG: restoration and generation.

Each recipe is run by ``vaegan run eeg/NAME``; the README beside this file keeps commands, hardware, times and results.
"""

from __future__ import annotations

from dataclasses import replace

from domains.eeg import EEG, TEN_TWENTY, EEGDenoiseNet
from recipes.stages import larsen
from vaegan.models import LarsenConfig
from vaegan.models.standardised import StandardisedConfig
from vaegan.objectives import ModernObjective, VAEObjective
from vaegan.recipe import Evaluation, Recipe, Stage
from vaegan.training import Adam, TrainingConfig

LEVELS = range(-7, 3)
"""EEGdenoiseNet's ten SNR levels in dB."""
BOTH = tuple(f"{kind} snr={level} dB" for kind in ("eog", "emg") for level in LEVELS)
RELATIVE = VAEObjective(relative=True, beta=1e-4)
"""Faint windows count as much as strong ones, as they do in RRMSE."""


def _restoring(minutes: float, batch: int = 8) -> tuple[Stage, ...]:
    """First as a VAE, then a little with a discriminator that changes the waveform's look and hardly its error."""
    return (
        Stage(
            RELATIVE,
            TrainingConfig(
                samples=4_000_000,
                cpu_minutes=0.9 * minutes,
                batch=batch,
                optimizer=Adam(lr=1e-3),
                flip=True,
                mix=0.5,
                surrogates=0.5,
                clip=0.2,
                warmup=0.03,
            ),
        ),
        Stage(
            ModernObjective(beta=1e-4, feature=0.002, adversarial=0.0002),
            TrainingConfig(
                samples=400_000,
                cpu_minutes=0.1 * minutes,
                batch=batch,
                optimizer=Adam(lr=3e-5),
                flip=True,
                mix=0.5,
                surrogates=0.5,
                clip=0.2,
            ),
        ),
    )


DENOISE = Recipe(
    summary="Single channels of EEG: eye movements and muscle taken out, in volts, in your own file.",
    domain=EEG(),
    model=StandardisedConfig(
        latent=16, width=32, widest=96, depth=4, patch=4, discriminator_width=16, discriminator_hidden=64
    ),
    # The last two teach it to leave alone what is nearly clean.
    degradations=("eog", "emg", "eog", "emg", "eog+emg snr=2..30 dB", "eog+emg snr=15..40 dB"),
    stages=_restoring(30.0),
    evaluation=Evaluation(conditions=BOTH, n=200, spread=4),
)

MULTICHANNEL = Recipe(
    summary="The 19 channels of the 10-20 system at once: eye movements in all of them, muscle in each.",
    domain=EEG(channels=TEN_TWENTY),
    # Four samples of 19 channels are 76 numbers, of which 64 features would lose some: muscle is each channel's own.
    model=replace(DENOISE.model, width=64, widest=128, patch=2),
    degradations=("eog", "emg", "eog+emg snr=2..30 dB", "pop", "line"),
    stages=_restoring(30.0),
    evaluation=Evaluation(conditions=("eog snr=-3 dB", "emg snr=-3 dB"), n=60, spread=4),
)

EEGDENOISENET = Recipe(
    summary="EEGdenoiseNet's arrays under its protocol, beside its published figures.",
    domain=EEGDenoiseNet(),
    model=DENOISE.model,
    degradations=("eog", "emg"),
    stages=_restoring(30.0),
    evaluation=Evaluation(conditions=BOTH, n=400, spread=4),
)

EEGDENOISENET_EMG512 = replace(
    EEGDENOISENET,
    summary="EEGdenoiseNet's muscle artifacts at 512 Hz, as in its published table.",
    domain=EEGDenoiseNet(rate=512),
    degradations=("emg",),
    evaluation=Evaluation(conditions=tuple(c for c in BOTH if c.startswith("emg")), n=400, spread=4),
)

GENERATE = Recipe(
    summary="Windows of EEG drawn for each class of imagined movement.",
    domain=EEG(channels=("C3", "Cz", "C4"), classes=("T1", "T2"), full_scale=1.5e-4),
    model=LarsenConfig(
        latent=64,
        class_scale=0.02,  # left and right differ by little
        width=32,
        decoder_width=32,
        discriminator_width=32,
        depth=4,
        hidden=256,
        discriminator_hidden=128,
        norm="group",
        discriminator_norm="group",
        leak=0.2,
    ),
    stages=(
        Stage(
            VAEObjective(squared=False, beta=0.02),
            TrainingConfig(
                samples=1_000_000, cpu_minutes=3.0, batch=16, optimizer=Adam(lr=8e-4), clip=0.2, warmup=0.03
            ),
        ),
        larsen(cpu_minutes=21.0, batch=16, flip=False),
    ),
    evaluation=Evaluation(samples=200),
    conditional=True,
)

RECIPES = {
    "denoise": DENOISE,
    "multichannel": MULTICHANNEL,
    "eegdenoisenet": EEGDENOISENET,
    "eegdenoisenet-emg512": EEGDENOISENET_EMG512,
    "generate": GENERATE,
}
