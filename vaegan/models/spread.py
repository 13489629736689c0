"""What makes the spread of posterior draws a standard deviation that errors keep to.

A decoder's draws differ where the latent leaves something open. They do not know the noise that no latent could predict.
That can be seen, though: a signal that is far from its restoration was damaged there, and edges are harder than plains.
The calibrated spread is a weighted sum of such signs, with weights of 0 or more that are fitted on validation items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.models.base import Model, Restored

NORMAL_90 = 1.6448536269514722
"""Half the width of the central 90 % of a normal distribution, in standard deviations."""
RADII = (1, 3, 7)
"""Of the windows over which damage and contrast are averaged, in samples."""
SIGNS = (
    "floor",
    "draws",
    *(f"damage within {radius}" for radius in RADII),
    "contrast",
    f"contrast within {RADII[1]}",
    "gap",
)
"""What each weight of a calibration belongs to."""


@dataclass(frozen=True)
class Calibration:
    """How the spread of a run is to be read.

    Attributes:
        weights: of each of :data:`SIGNS`, 0 or more, in model units.
        n: validation items that they were fitted on.
    """

    weights: tuple[float, ...]
    n: int

    def __call__(
        self, y: Float[Tensor, "batch channels *space"], mask: Tensor | None, restored: Restored
    ) -> Float[Tensor, "batch channels *space"]:
        """Standard deviation of the error of each sample, in model units."""
        total = torch.zeros_like(restored.mean)
        for weight, sign in zip(self.weights, signs(y, mask, restored), strict=True):
            if weight:
                total += weight * sign
        return total

    @staticmethod
    def fit(y: Tensor, mask: Tensor | None, restored: Restored, truth: Tensor) -> Calibration:
        """Fits to errors on validation items.

        The weights are the least squares fit of absolute errors with weights of 0 or more (Lawson and Hanson 1974), scaled
        so that intervals of 1.645 standard deviations hold 90 % of these errors, whatever their distribution (split
        conformal prediction; Lei et al. 2018).

        Args:
            y: (n, channels, *space) observed signals, in model units.
            mask: True where a sample was observed, or ``None``.
            restored: mean and spread of draws.
            truth: the clean signals, NaN where they are unknown.

        Raises:
            UserError: for no item, or none of which anything is known.
        """
        from scipy.optimize import nnls

        there = ~truth.isnan()
        if not there.any():
            raise UserError("no validation item to calibrate on", expected="at least one", mend="give more data")
        error = (restored.mean - truth).abs().double()[there]
        known = [sign.double()[there] for sign in signs(y, mask, restored)]
        products = np.asarray([[float(a @ b) for b in known] for a in known])
        wanted = np.asarray([float(a @ error) for a in known])
        # The same minimum as that of all samples, from their products alone: |A w − e|² up to a constant.
        root = np.linalg.cholesky(products + 1e-9 * np.trace(products) * np.eye(len(known)))
        weights, _ = nnls(root.T, np.linalg.solve(root, wanted))
        predicted = sum((w * sign for w, sign in zip(weights, known, strict=True)), torch.zeros_like(known[0]))
        ratio = error / predicted.clamp(min=1e-9)
        scale = _ninetieth(ratio) / NORMAL_90
        if not scale and error.any():  # nine tenths are as they were: the others decide, which alone have an error
            scale = _ninetieth(ratio[error > 0]) / NORMAL_90
        return Calibration(tuple(float(scale * weight) for weight in weights), len(y))


def _ninetieth(ratio: Tensor) -> float:
    """The value that nine tenths of these, and of as many more, stay below."""
    return float(ratio.kthvalue(min(ratio.numel(), math.ceil(0.9 * (ratio.numel() + 1)))).values)


def signs(y: Tensor, mask: Tensor | None, restored: Restored) -> list[Tensor]:
    """What tells of errors, each (batch, channels, *space) and 0 or more; in the order of :data:`SIGNS`."""
    mean = restored.mean
    draws = torch.zeros_like(mean) if restored.spread is None else restored.spread
    seen = torch.ones_like(mean) if mask is None else mask.to(mean.dtype).expand_as(mean)
    damage = torch.where(seen > 0, y - mean, 0.0).abs()
    contrast = (mean - averaged(mean, RADII[0])).abs()
    return [
        torch.ones_like(mean),
        draws,
        *(averaged(damage, radius) for radius in RADII),
        contrast,
        averaged(contrast, RADII[1]),
        1.0 - seen,
    ]


def averaged(x: Float[Tensor, "batch channels *space"], radius: int) -> Float[Tensor, "batch channels *space"]:
    """The mean over a window of ``2 radius + 1`` samples along each axis; what lies beyond an end does not count."""
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d}[x.dim() - 2]
    result: Tensor = pool(x, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)
    return result


class Calibrated(Model):
    """A model whose spread is a calibrated standard deviation.

    Args:
        model: what restores.
        calibration: how its spread is to be read.
    """

    def __init__(self, model: Model, calibration: Calibration) -> None:
        super().__init__()
        self.spec, self.classes = model.spec, model.classes
        self.model, self.calibration = model, calibration

    @property
    def stride(self) -> int:
        """That of the model."""
        return self.model.stride

    @property
    def reach(self) -> int | None:
        """That of the model, and of the signs on top of it; ``None`` where the model is not local."""
        return None if self.model.reach is None else self.model.reach + max(RADII)

    def players(self) -> dict[str, nn.Module]:
        """Those of the model."""
        return self.model.players()

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, condition: Tensor | None = None
    ) -> Float[Tensor, "n channels *space"]:
        """Draws of the model."""
        return self.model.sample(n, generator=generator, condition=condition)

    def restore(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        *,
        samples: int = 0,
        generator: torch.Generator | None = None,
    ) -> Restored:
        """The model's mean; with draws, their spread calibrated."""
        restored = self.model.restore(y, mask, samples=samples, generator=generator)
        return restored if not samples else Restored(restored.mean, self.calibration(y, mask, restored))
