"""The founding studies as lists of recipes: ``vaegan compare --study NAME``."""

from __future__ import annotations

from recipes.faces.restoration import RESTORATION
from vaegan.metrics.rescaled import MAX_RESCALED
from vaegan.study import Study


def _published(mse: float, nrmse: float, ssim: float) -> dict[str, float]:
    return {"mse[max-rescaled]": mse, "nrmse[max-rescaled]": nrmse, "ssim[max-rescaled]": ssim}


HUMANFACE8000 = Study(
    title="VAE against GAN for the restoration of faces behind white strokes and blobs.",
    recipes=tuple(f"faces/{name}" for name in RESTORATION),
    measures=MAX_RESCALED,
    published={
        "input": _published(2522.92, 0.405, 0.754),
        "VAE": _published(4241.17, 0.536, 0.399),
        "GAN": _published(493.36, 0.161, 0.844),
    },
    source="Bora and Sethi 2024, humanface8000 at 256x256",
)

DIGITS = Study(
    title="VAE against DCGAN for drawing digits, and PresGAN as the remedy for mode collapse.",
    recipes=(
        "digits/mnist-vae",
        "digits/mnist-dense-vae",
        "digits/mnist-dcgan",
        "digits/mnist-presgan",
        "digits/mnist-vaegan",
    ),
)

_LARSEN = tuple(f"faces/celeba64{system}" for system in ("", "-vae", "-gan", "-learned-vae"))

FACES = Study(
    title="Larsen et al. 2015 on faces: the VAE-GAN beside VAE, GAN and VAE with learned similarity.",
    recipes=_LARSEN,
)

FACES_SMALL = Study(
    title="Larsen et al. 2015 on faces, with narrower networks, for a CPU.",
    recipes=tuple(name.replace("celeba64", "celeba64-small") for name in _LARSEN),
)
