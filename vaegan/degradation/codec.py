"""What storing a picture costs: its compression, its colours."""

from __future__ import annotations

import io
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vaegan.degradation.base import Degradation, Level, Measurement, per_sample
from vaegan.errors import UserError

REC601 = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma of ITU-R BT.601."""


class JPEG(Degradation):
    """Compression to JPEG and back (ITU-T T.81, through Pillow), on 8 bits a value.

    For pictures of 1 or 3 channels. The batch passes through the CPU, and no gradient passes.

    Args:
        quality: libjpeg's quality, 1 (worst) to 100; severity 1 is the lowest.

    Raises:
        UserError: when quality leaves [1, 100], and for a signal that is no picture of 1 or 3 channels.
    """

    harmless: ClassVar[float] = 100.0
    bounds: ClassVar[tuple[float, float]] = (1.0, 100.0)
    dims: ClassVar[tuple[int, ...]] = (2,)

    def __init__(self, quality: Level = (10.0, 60.0)) -> None:
        super().__init__(quality)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Compresses each sample at its own quality, rounded."""
        if x.dim() != 4 or x.shape[1] not in (1, 3):
            raise UserError(
                f"JPEG got signals of shape {tuple(x.shape[1:])}",
                expected="(1 or 3 channels, rows, columns)",
                mend="leave jpeg out of this domain's degradations",
            )
        levels = ((x.detach().clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(device="cpu", dtype=torch.uint8)
        pictures = levels.permute(0, 2, 3, 1).numpy()
        qualities = level.detach().round().clamp(1, 100).tolist()
        stored = np.stack([_store(p, int(q)) for p, q in zip(pictures, qualities, strict=True)])
        y = torch.from_numpy(stored).permute(0, 3, 1, 2).to(device=x.device, dtype=x.dtype)
        return Measurement((y / 127.5 - 1.0).contiguous())


def _store(picture: np.ndarray, quality: int) -> np.ndarray:  # type: ignore[type-arg]
    """A picture (rows, columns, channels) uint8 after compression."""
    stream = io.BytesIO()
    Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream)).reshape(picture.shape)


class Grey(Degradation):
    """Every channel replaced by the luma: Rec. 601 for three channels, the mean otherwise.

    Args:
        amount: share of colour lost, 0 to 1; 1 leaves none.

    Raises:
        UserError: when amount leaves [0, 1].
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, amount: Level = 1.0) -> None:
        super().__init__(amount)

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Moves each sample towards its luma by ``level``."""
        channels = x.shape[1]
        weights = x.new_tensor(REC601 if channels == 3 else [1.0 / channels] * channels)
        luma = (x * weights.view(1, -1, *(1 for _ in x.shape[2:]))).sum(dim=1, keepdim=True)
        return Measurement(torch.lerp(x, luma.expand_as(x), per_sample(level, x)))
