"""The VAE-GAN (Larsen et al. 2015): encoder, decoder, and a discriminator that lends its hidden layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.models.base import ModelConfig, Restored, measured_reach
from vaegan.models.latent import LatentModel
from vaegan.nn import (
    Context,
    Decoder,
    DiagonalGaussian,
    Discriminator,
    Encoder,
    Encoding,
    Norm,
    RestoringDecoder,
    RestoringEncoder,
    Verdict,
)
from vaegan.nn.neighbours import FARTHEST
from vaegan.nn.raydrop import RayDrop
from vaegan.signal import SignalSpec


class VAEGAN(LatentModel):
    """``y -> q(z | y) -> x̂ = G(z)``, judged by D.

    Args:
        spec: the signals that go in and come out.
        encoder: maps (y) to a posterior, or (y, mask) to an :class:`~vaegan.nn.Encoding` with the context of a
            restoring path.
        decoder: maps z, and the context where there is one, to a signal.
        discriminator: judges signals.
        classes: number of classes that decoder and discriminator are conditioned on, or 0.
        mirror: restore each signal and its mirror image along the last axis, and average both (Timofte et al. 2016): for
            signals that may be mirrored, at twice the time.
    """

    def __init__(
        self,
        spec: SignalSpec,
        encoder: Encoder | RestoringEncoder,
        decoder: Decoder | RayDrop | RestoringDecoder,
        discriminator: Discriminator,
        *,
        classes: int = 0,
        mirror: bool = False,
    ) -> None:
        super().__init__()
        self.spec, self.classes, self.mirror = spec, classes, mirror
        self.encoder, self.decoder, self.discriminator = encoder, decoder, discriminator
        self.latent_shape = encoder.latent_shape

    @property
    def stride(self) -> int:
        """By how much the restoring path's coarsest level is smaller; 1 without one."""
        return self.encoder.patch * 2 ** len(self.encoder.downs) if isinstance(self.encoder, RestoringEncoder) else 1

    @cached_property
    def reach(self) -> int | None:  # type: ignore[override]
        """As measured on the restoring path with a latent map and without group norm; else ``None``."""
        restoring = isinstance(self.encoder, RestoringEncoder) and isinstance(self.decoder, RestoringDecoder)
        measured = measured_reach(self) if restoring and not self.encoder.vector else None
        return measured if measured is None or not self.encoder.neighbours else measured + FARTHEST

    def players(self) -> dict[str, nn.Module]:
        """``encoder``, ``decoder`` and ``discriminator``."""
        return {"encoder": self.encoder, "decoder": self.decoder, "discriminator": self.discriminator}

    def encode(
        self, y: Float[Tensor, "batch channels *space"], mask: Bool[Tensor, "batch 1 *space"] | None = None
    ) -> Encoding:
        """q(z | y), and the context where the model has a restoring path."""
        if isinstance(self.encoder, RestoringEncoder):
            encoding: Encoding = self.encoder(y, mask)
            return encoding
        q: DiagonalGaussian = self.encoder(y if mask is None else torch.where(mask, y, 0.0))
        return Encoding(q)

    def decode(
        self,
        z: Float[Tensor, "batch *latent"],
        context: Context | None = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ = G(z), or G(z; context) on the restoring path."""
        if isinstance(self.decoder, RestoringDecoder):
            restored: Tensor = self.decoder(z, context, condition)
            return restored
        generated: Tensor = self.decoder(z, condition)
        return generated

    def restore(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        *,
        samples: int = 0,
        generator: torch.Generator | None = None,
        condition: Tensor | None = None,
    ) -> Restored:
        """Decodes the posterior mean, or mean and spread over ``samples`` draws from the posterior."""
        once = super().restore(y, mask, samples=samples, generator=generator, condition=condition)
        if not self.mirror:
            return once
        size, lacking = y.shape[-1], -y.shape[-1] % self.stride
        if lacking:  # so that the mirror image lies on the same coarse grid, wherever a window is cut
            mask = torch.ones_like(y[:, :1], dtype=torch.bool) if mask is None else mask
            y, mask = F.pad(y, (0, lacking)), F.pad(mask, (0, lacking))
        back = super().restore(
            y.flip(-1),
            None if mask is None else mask.flip(-1),
            samples=samples,
            generator=generator,
            condition=condition,
        )
        spread = None
        if once.spread is not None and back.spread is not None:
            spread = (once.spread + back.spread.flip(-1).narrow(-1, 0, size)) / 2
        return Restored((once.mean + back.mean.flip(-1).narrow(-1, 0, size)) / 2, spread)

    def judge(self, x: Float[Tensor, "batch channels *space"], condition: Tensor | None = None) -> Verdict:
        """The discriminator's logits and hidden layers."""
        verdict: Verdict = self.discriminator(x, condition)
        return verdict


def initialise(model: nn.Module) -> None:
    """N(0, 0.02) for every weight of a convolution or dense layer (Radford et al. 2016)."""
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@dataclass(frozen=True)
class LarsenConfig(ModelConfig):
    """The networks of Larsen et al. 2015, Table 1 (its code's dense layer of 1,024).

    Args:
        latent: length of z, or its channels where ``hidden`` is 0 (a latent map).
        width: channels of the encoder's first convolution.
        decoder_width: channels after the decoder's last up-sampling.
        discriminator_width: channels of the discriminator's first convolution.
        depth: how often the size is halved.
        hidden: units of the encoder's dense layer; 0 for a latent map.
        discriminator_hidden: units of the discriminator's dense layer.
        norm: of encoder and decoder.
        discriminator_norm: of the discriminator; ``"none"`` for the modern objective.
        spectral: spectral norm in the discriminator.
        leak: slope below 0 of the discriminator's activation; Larsen's ReLU is 0.
        missing: for each channel what stands, in model units, where nothing comes back; the decoder then says where that is
            (see :class:`~vaegan.nn.raydrop.RayDrop`). Empty: it does not.
        class_scale: of a conditional decoder, the standard deviation of a class's vector at first, beside an answer to z of
            0.02 √latent. Large, and classes stay apart; small, and z keeps its say where classes differ little.
    """

    optional: ClassVar[tuple[str, ...]] = ("hidden",)

    latent: int = 128
    width: int = 64
    decoder_width: int = 32
    discriminator_width: int = 32
    depth: int = 3
    hidden: int = 1024
    discriminator_hidden: int = 512
    norm: Norm = "batch"
    discriminator_norm: Norm = "batch"
    spectral: bool = False
    leak: float = 0.0
    missing: tuple[float, ...] = ()
    class_scale: float = 1.0

    def __post_init__(self) -> None:
        """Checks the counts, and the scale of a class."""
        super().__post_init__()
        if not 0 < self.class_scale <= 10:
            raise UserError(
                f"class_scale is {self.class_scale:g}", expected="above 0, up to 10", mend="set --model.class-scale"
            )

    def build(self, spec: SignalSpec, classes: int = 0) -> VAEGAN:
        """Encoder 18.07 M, decoder 4.69 M, discriminator 10.95 M parameters at 64x64x3."""
        encoder = Encoder(
            spec, latent=self.latent, width=self.width, depth=self.depth, hidden=self.hidden, norm=self.norm
        )
        if self.missing and len(self.missing) != spec.channels:
            found, expected = f"missing has {len(self.missing)} values", f"{spec.channels}, one a channel"
            raise UserError(found, expected=expected, mend="set --model.missing")
        decoder: Decoder | RayDrop = Decoder(
            replace(spec, channels=spec.channels + 1) if self.missing else spec,
            latent=self.latent,
            width=self.decoder_width,
            depth=self.depth,
            vector=self.hidden > 0,
            norm=self.norm,
            classes=classes,
            class_scale=self.class_scale,
        )
        decoder = RayDrop(decoder, self.missing) if self.missing else decoder
        judge = _discriminator(self, spec, classes, depth=self.depth)
        model = VAEGAN(spec, encoder, decoder, judge, classes=classes)
        if not self.spectral:
            initialise(model)
        return model


@dataclass(frozen=True)
class RestoringConfig(ModelConfig):
    """A restoring VAE-GAN: skips and residual prediction beside the latent; without them the same decoder generates.

    Args:
        latent: length of z, or its channels for a map; 0 for none: a plain U-Net, the yardstick for what z is worth.
        vector: a vector latent (better to generate from) instead of a map (any size, better to restore with).
        width: channels of the finest level; each coarser one doubles them up to ``widest``.
        widest: most channels of a level.
        depth: how often the size is halved.
        blocks: residual blocks a level.
        patch: samples along each axis that the finest level sees as one, in its channels: quicker where signals are large.
        norm: of encoder and decoder; ``"none"`` and ``"layer"`` keep the network local.
        keep_observed: return observed samples unchanged (for data of which only gaps are to be filled).
        dead_zone: in use, not in training, return observed samples unchanged that would change by less than this, in model
            units (for damage that is large where it is, and nowhere else).
        hinted: show the encoder saturated samples and the local noise level too; see :func:`vaegan.nn.hints.hints`.
        mirror: restore each signal and its mirror image along the last axis, and average both: for signals that may be
            mirrored (train with ``flip``), at twice the time.
        neighbours: start from the line between the nearest observed samples, and let the change be made of them too (for
            data with gaps).
        smoothing: with ``neighbours``: samples to each side of which the change may be made as a bilateral filter's is.
        discriminator_width, discriminator_depth, discriminator_hidden, discriminator_norm, spectral, leak: as for the
            discriminator of :class:`LarsenConfig`.
    """

    optional: ClassVar[tuple[str, ...]] = ("latent", "smoothing")

    latent: int = 32
    vector: bool = False
    width: int = 32
    widest: int = 128
    depth: int = 3
    blocks: int = 1
    patch: int = 1
    norm: Norm = "none"
    keep_observed: bool = False
    dead_zone: float = 0.0
    neighbours: bool = False
    smoothing: int = 0
    hinted: bool = False
    mirror: bool = False
    discriminator_width: int = 16
    discriminator_depth: int = 3
    discriminator_hidden: int = 256
    discriminator_norm: Norm = "none"
    spectral: bool = False
    leak: float = 0.2

    def __post_init__(self) -> None:
        """Checks the counts, and the dead zone."""
        super().__post_init__()
        if not 0 <= self.dead_zone < 2:
            raise UserError(
                f"dead_zone is {self.dead_zone:g}", expected="0 up to, not including, 2", mend="set --model.dead-zone"
            )

    def build(self, spec: SignalSpec, classes: int = 0) -> VAEGAN:
        """The model for these signals."""
        encoder = RestoringEncoder(
            spec,
            latent=self.latent,
            width=self.width,
            depth=self.depth,
            widest=self.widest,
            blocks=self.blocks,
            vector=self.vector,
            norm=self.norm,
            patch=self.patch,
            neighbours=self.neighbours,
            hinted=self.hinted,
        )
        decoder = RestoringDecoder(
            spec,
            latent=self.latent,
            width=self.width,
            depth=self.depth,
            widest=self.widest,
            blocks=self.blocks,
            vector=self.vector,
            norm=self.norm,
            classes=classes,
            keep_observed=self.keep_observed,
            dead_zone=self.dead_zone,
            patch=self.patch,
            neighbours=self.neighbours,
            smoothing=self.smoothing,
        )
        judge = _discriminator(self, spec, classes, depth=self.discriminator_depth)
        return VAEGAN(spec, encoder, decoder, judge, classes=classes, mirror=self.mirror)


def _discriminator(
    config: LarsenConfig | RestoringConfig, spec: SignalSpec, classes: int, *, depth: int
) -> Discriminator:
    return Discriminator(
        spec,
        width=config.discriminator_width,
        depth=depth,
        hidden=config.discriminator_hidden,
        norm=config.discriminator_norm,
        spectral=config.spectral,
        leak=config.leak,
        classes=classes,
    )
