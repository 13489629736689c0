"""A restoring VAE-GAN that works at any amplitude: each signal is divided by its own size, and multiplied again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vaegan.models.vaegan import VAEGAN, RestoringConfig
from vaegan.nn import Context, Encoding, Verdict, at_least_single
from vaegan.signal import SignalSpec

SMALLEST = 1e-7
"""Root mean square, in model units, below which a signal counts as flat."""


def mean_square(y: Float[Tensor, "batch channels *space"], seen: Tensor | None = None) -> Float[Tensor, "batch *ones"]:
    """Mean square of each item over its channels and observed samples, with axes of 1; 0 where nothing was observed.

    In single precision or better. Whoever takes its root must bound it first: at 0 a root has no slope.
    """
    seen = torch.ones_like(y[:, :1]) if seen is None else seen.to(y.dtype)
    axes = tuple(range(1, y.dim()))
    energy = at_least_single(torch.where(seen > 0, y, 0.0)).square().sum(axes, keepdim=True)
    count = (at_least_single(seen).sum(axes, keepdim=True) * y.shape[1]).clamp(min=1.0)
    return energy / count


class StandardisedVAEGAN(VAEGAN):
    """Encoder and decoder see each observed signal divided by its own RMS; what comes out is multiplied by it again.

    So a restoration of ``c y`` is ``c`` times that of ``y``, and one network serves signals of all amplitudes, as the
    division by the noisy signal's standard deviation does in EEGdenoiseNet (Zhang et al. 2021). The discriminator sees
    signals of RMS 1. What is decoded without an observed signal, from the prior, gets the RMS ``typical``; what is
    restored from the latent alone gets the observed one, of which the latent knows nothing. A flat signal stays flat.

    Args:
        typical: RMS of signals drawn from the prior, in model units.
    """

    typical: float = 0.1

    @property
    def reach(self) -> int | None:  # type: ignore[override]
        """``None``: each sample counts towards the RMS of the whole."""
        return None

    def encode(
        self, y: Float[Tensor, "batch channels *space"], mask: Bool[Tensor, "batch 1 *space"] | None = None
    ) -> Encoding:
        """q(z | y / RMS), and the context of y / RMS, with the RMS."""
        scale = mean_square(y, mask).clamp(min=SMALLEST**2).sqrt().to(y.dtype)
        encoding = super().encode(y / scale, mask)
        if encoding.context is None:
            return encoding
        return replace(encoding, context=replace(encoding.context, scale=scale))

    def decode(
        self,
        z: Float[Tensor, "batch *latent"],
        context: Context | None = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """RMS times G(z; context of y / RMS)."""
        scale = self.typical if context is None or context.scale is None else context.scale
        return super().decode(z, context, condition) * scale

    def judge(self, x: Float[Tensor, "batch channels *space"], condition: Tensor | None = None) -> Verdict:
        """The discriminator's verdict on the signal at RMS 1; on a flat one as it is.

        Divided by next to nothing, a flat signal would have a slope that drowns those of all others in gradients and
        penalties: a new network draws nothing else.
        """
        power = mean_square(x)
        return super().judge(x / torch.where(power > SMALLEST**2, power, 1.0).sqrt().to(x.dtype), condition)


@dataclass(frozen=True)
class StandardisedConfig(RestoringConfig):
    """A :class:`RestoringConfig` whose model divides each signal by its own RMS; for signals whose amplitude varies.

    Args:
        typical: RMS of signals drawn from the prior, in model units.
    """

    typical: float = 0.1

    def build(self, spec: SignalSpec, classes: int = 0) -> StandardisedVAEGAN:
        """The model for these signals."""
        plain = super().build(spec, classes)
        model = StandardisedVAEGAN(
            spec, plain.encoder, plain.decoder, plain.discriminator, classes=classes, mirror=self.mirror
        )
        model.typical = self.typical
        return model
