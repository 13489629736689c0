"""A restoring VAE-GAN that works at any amplitude: each signal is divided by its own size, and multiplied again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vaegan.models.vaegan import VAEGAN, RestoringConfig
from vaegan.nn import Context, Encoding, Verdict
from vaegan.signal import SignalSpec

SMALLEST = 1e-7
"""Root mean square, in model units, below which a signal counts as flat."""


def root_mean_square(
    y: Float[Tensor, "batch channels *space"], seen: Tensor | None = None
) -> Float[Tensor, "batch *ones"]:
    """RMS of each item over its channels and observed samples, with axes of 1; 0 where nothing was observed."""
    seen = torch.ones_like(y[:, :1]) if seen is None else seen.to(y.dtype)
    axes = tuple(range(1, y.dim()))
    energy = (torch.where(seen > 0, y, 0.0).float().square()).sum(axes, keepdim=True)
    count = (seen.float().sum(axes, keepdim=True) * y.shape[1]).clamp(min=1.0)
    return (energy / count).sqrt().to(y.dtype)


class StandardisedVAEGAN(VAEGAN):
    """Encoder and decoder see each observed signal divided by its own RMS; what comes out is multiplied by it again.

    So a restoration of ``c y`` is ``c`` times that of ``y``, and one network serves signals of all amplitudes, as the
    division by the noisy signal's standard deviation does in EEGdenoiseNet (Zhang et al. 2021). The discriminator sees
    signals of RMS 1. What is decoded without an observed signal, from the prior, gets the RMS ``typical``. A flat
    signal stays flat.

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
        """q(z | y / RMS), and the context with the observed signal in its own unit."""
        scale = self._scale(y, mask)
        encoding = super().encode(y / scale, mask)
        if encoding.context is None:
            return encoding
        return replace(encoding, context=replace(encoding.context, observed=encoding.context.observed * scale))

    def decode(
        self,
        z: Float[Tensor, "batch *latent"],
        context: Context | None = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """RMS times G(z; context / RMS)."""
        if context is None:
            return super().decode(z, None, condition) * self.typical
        scale = self._scale(context.observed, context.seen)
        standard = replace(context, observed=context.observed / scale)
        return super().decode(z, standard, condition) * scale

    def judge(self, x: Float[Tensor, "batch channels *space"], condition: Tensor | None = None) -> Verdict:
        """The discriminator's verdict on the signal at RMS 1."""
        return super().judge(x / self._scale(x), condition)

    def _scale(self, y: Tensor, seen: Tensor | None = None) -> Tensor:
        return root_mean_square(y, seen).clamp(min=SMALLEST)


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
