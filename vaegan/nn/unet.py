"""The restoring path: an encoder that also hands over what it saw at each scale, and a decoder that can use it.

The coarsest features reach the decoder only through the latent; the finer ones only through skips; the observed signal
is added at the end, so that the network predicts what to change. Without the skips (``context=None``) the decoder is a
plain generator of the same weights: that is how one network restores and generates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.nn.blocks import ResBlock
from vaegan.nn.conv import Condition, Conv, Doubling, Linear, Norm, depth_to_space, patched, pyramid, space_to_depth
from vaegan.nn.hints import HINTS, hints
from vaegan.nn.neighbours import alike, continued, squashed, unsquashed
from vaegan.nn.posterior import DiagonalGaussian, posterior
from vaegan.signal import SignalSpec


@dataclass(frozen=True)
class Context:
    """What the decoder may see of the observed signal beside the latent.

    Attributes:
        observed: the observed signal; where nothing was observed 0, or with ``neighbours`` what those say.
        seen: 1 where a sample was observed, else 0.
        skips: features from fine to coarse; the coarsest level only where there is no latent to carry it.
        differences: with ``neighbours`` those of the nearest observed samples to ``observed``, see
            :func:`vaegan.nn.neighbours.continued`; else no channels.
        scale: where the encoder saw each signal divided by a number of its own, that number: all else here is in its unit.
            It is never wiped, as no latent tells it.
    """

    observed: Float[Tensor, "batch channels *space"]
    seen: Float[Tensor, "batch 1 *space"]
    skips: tuple[Float[Tensor, "batch _ ..."], ...]
    differences: Float[Tensor, "batch differences *space"]
    scale: Float[Tensor, "batch *ones"] | None = None

    def kept(self, keep: Float[Tensor, " batch"]) -> Context:
        """The same context, with the items where ``keep`` is 0 wiped."""

        def wipe(x: Tensor) -> Tensor:
            return x * keep.to(x.dtype).view(-1, *(1 for _ in x.shape[1:]))

        skips = tuple(wipe(skip) for skip in self.skips)
        return Context(wipe(self.observed), wipe(self.seen), skips, wipe(self.differences), self.scale)


@dataclass(frozen=True)
class Encoding:
    """A posterior, and the context of a restoring path (``None`` for a plain encoder)."""

    posterior: DiagonalGaussian
    context: Context | None = None


def unet_channels(width: int, depth: int, widest: int) -> list[int]:
    """Channels of each level, the finest first: doubled from level to level up to ``widest``."""
    return [min(width * 2**level, widest) for level in range(depth + 1)]


class RestoringEncoder(nn.Module):
    """Residual blocks at each scale, then a posterior at the coarsest.

    Args:
        spec: the observed signals.
        latent: latent dimensions: the length of a vector, or the channels of a map; 0 for none (a plain U-Net).
        width: channels of the finest level.
        depth: how often the size is halved.
        widest: most channels of a level.
        blocks: residual blocks a level.
        vector: whether the latent is a vector or a map at the coarsest size.
        norm: ``"batch"``, ``"group"``, ``"layer"`` or ``"none"``; with group norm the network is not local.
        patch: samples along each axis that the finest level sees as one, in its channels (as in Zhang et al. 2018).
        neighbours: see gaps as the line between the nearest observed samples along each axis, with the differences to these.
        hinted: also look at what can be said without learning; see :func:`vaegan.nn.hints.hints`.
    """

    def __init__(
        self,
        spec: SignalSpec,
        *,
        latent: int,
        width: int,
        depth: int,
        widest: int,
        blocks: int,
        vector: bool,
        norm: Norm,
        patch: int = 1,
        neighbours: bool = False,
        hinted: bool = False,
    ) -> None:
        super().__init__()
        dims, wraps = spec.dims, spec.periodic
        channels = unet_channels(width, depth, widest)
        self.patch, self.neighbours, self.hinted, self.periodic = patch, neighbours, hinted, wraps
        shown = spec.channels * (1 + 2 * dims if neighbours else 1) + 1 + HINTS * hinted
        self.stem = Conv(dims, shown * patch**dims, width, 3, periodic=wraps)
        self.levels = nn.ModuleList(
            nn.Sequential(*(ResBlock(dims, c, norm=norm, periodic=wraps) for _ in range(blocks))) for c in channels
        )
        self.downs = nn.ModuleList(Conv(dims, a, b, 3, stride=2, periodic=wraps) for a, b in pairwise(channels))
        coarsest = pyramid(patched(spec.sizes, patch), depth)[-1]
        self.vector = vector
        self.head: nn.Module | None = None
        if latent:
            self.head = (
                Linear(channels[-1] * prod(coarsest), 2 * latent)
                if vector
                else Conv(dims, channels[-1], 2 * latent, 3, periodic=wraps)
            )
        self.latent_shape = (latent,) if vector else (latent, *coarsest)

    def forward(
        self, y: Float[Tensor, "batch channels *space"], mask: Bool[Tensor, "batch 1 *space"] | None = None
    ) -> Encoding:
        """q(z | y) and the context.

        Args:
            y: observed signals in model units.
            mask: True where a sample was observed; ``None`` where all are.
        """
        seen = torch.ones_like(y[:, :1]) if mask is None else mask.to(y.dtype)
        observed = torch.where(seen > 0, y, 0.0)  # whatever stands where nothing was observed, NaN too, must not matter
        differences = observed[:, :0]
        if self.neighbours:
            observed, differences = continued(observed, seen, self.periodic)
        shown = [observed, seen, squashed(differences)]
        if self.hinted:
            shown.append(hints(observed, self.periodic))
        h = self.stem(as_laid_out(space_to_depth(torch.cat(shown, dim=1), self.patch), y))
        skips = []
        for level, down in zip(self.levels, self.downs, strict=False):
            h = level(h)
            skips.append(h)
            h = down(h)
        h = self.levels[-1](h)
        if self.head is None:
            nothing = h.new_zeros(
                len(h), 0, *(() if self.vector else h.shape[2:]), dtype=torch.promote_types(h.dtype, torch.float32)
            )
            return Encoding(DiagonalGaussian(nothing, nothing), Context(observed, seen, (*skips, h), differences))
        q = posterior(self.head(h.flatten(1) if self.vector else h))
        return Encoding(q, Context(observed, seen, tuple(skips), differences))


class RestoringDecoder(nn.Module):
    """A latent, and optionally a context, to a signal.

    Args:
        spec: the signals that come out.
        latent, width, depth, widest, blocks, vector, norm, patch: as of the encoder.
        classes: number of classes for a conditional decoder, else 0.
        keep_observed: return observed samples unchanged, for data of which only gaps are to be filled.
        dead_zone: in use, not in training, return observed samples unchanged that would change by less, in model units (hard
            thresholding, Donoho and Johnstone 1994).
        neighbours: let the change also be made of the differences to the nearest observed samples along each axis, so that
            an edge in a gap can be put to either side without a value of its own.
        smoothing: with ``neighbours``, how many samples to each side along each axis the change may be made of as that of a
            bilateral filter is; see :func:`vaegan.nn.neighbours.alike`.
    """

    def __init__(
        self,
        spec: SignalSpec,
        *,
        latent: int,
        width: int,
        depth: int,
        widest: int,
        blocks: int,
        vector: bool,
        norm: Norm,
        classes: int = 0,
        keep_observed: bool = False,
        dead_zone: float = 0.0,
        patch: int = 1,
        neighbours: bool = False,
        smoothing: int = 0,
    ) -> None:
        super().__init__()
        self.smoothing, self.dead_zone = smoothing, dead_zone
        self.keep_observed, self.patch, self.whole = keep_observed, patch, spec.sizes
        self.neighbours, self.periodic = neighbours, spec.periodic
        dims, wraps = spec.dims, spec.periodic
        channels = unet_channels(width, depth, widest)
        self.sizes = pyramid(patched(spec.sizes, patch), depth)
        self.coarsest = (channels[-1], *self.sizes[-1])
        self.vector = vector
        self.spread: nn.Module = _Constant(self.coarsest)
        if latent:
            self.spread = (
                Linear(latent, prod(self.coarsest)) if vector else Conv(dims, latent, channels[-1], 3, periodic=wraps)
            )
        self.condition = Condition(classes, channels[-1])
        self.levels = nn.ModuleList(
            nn.Sequential(*(ResBlock(dims, c, norm=norm, periodic=wraps) for _ in range(blocks))) for c in channels
        )
        self.ups = nn.ModuleList(Doubling(dims, b, a, periodic=wraps) for a, b in pairwise(channels))
        # Without a latent the coarsest features come by a skip too: the same network, but for the bottleneck.
        self.adapters = nn.ModuleList(Conv(dims, c, c, 1, bias=False) for c in (channels[:-1] if latent else channels))
        # A new network changes nothing, and nothing stands between its last features and the change: behind an activation,
        # high learning rates silenced all features within a few steps, for good.
        told = spec.channels * (1 + 2 * dims * (1 + smoothing) if neighbours else 1)
        self.last = Conv(dims, channels[0], told * patch**dims, 3, periodic=wraps)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        z: Float[Tensor, "batch latent *coarse"],
        context: Context | None = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ = G(z; context), in model units.

        Args:
            z: (batch, latent) or (batch, latent, *coarsest size).
            context: what the encoder saw; ``None`` to generate.
            condition: (batch,) class indices for a conditional decoder.
        """
        h = self.spread(z)
        h = h.reshape(-1, *self.coarsest) if self.vector else h
        h = self.condition(h, condition)
        if context is not None and len(self.adapters) > len(self.ups):
            h = h + self.adapters[-1](context.skips[-1])
        h = self.levels[-1](h)
        sizes: Sequence[Sequence[int]] = self.sizes if context is None else [skip.shape[2:] for skip in context.skips]
        for i in range(len(self.ups) - 1, -1, -1):
            h = self.ups[i](h, sizes[i])
            if context is not None:
                h += self.adapters[i](context.skips[i])  # in place, as a convolution's result is its own
            h = self.levels[i](h)
        change = depth_to_space(self.last(h), self.patch, self.whole if context is None else context.observed.shape[2:])
        if self.neighbours:
            change = self._with_neighbours(change, context)
        if context is None:
            return change
        if self.keep_observed:
            change = change * (1.0 - context.seen)
        elif self.dead_zone and not self.training:  # a step has no gradient by which to learn
            change = change * ((change.abs() >= self.dead_zone) | (context.seen <= 0))
        return context.observed + change

    def _with_neighbours(self, told: Tensor, context: Context | None) -> Tensor:
        """The change: what the network says of it, and the shares that it takes of the differences to the neighbours."""
        sides = 2 * len(self.periodic) * (1 + self.smoothing)
        change, shares = told.split([told.shape[1] // (1 + sides), told.shape[1] - told.shape[1] // (1 + sides)], dim=1)
        if context is None:
            return change
        differences = context.differences
        if self.smoothing:
            close = alike(context.observed, self.smoothing, self.periodic)
            differences = torch.cat([differences, close], dim=1)
        return unsquashed(change) + (shares * differences).unflatten(1, (sides, -1)).sum(1)


def as_laid_out(x: Tensor, like: Tensor) -> Tensor:
    """``x`` with its channels last in memory where those of ``like`` are: convolutions are quicker so on a CPU."""
    if like.is_contiguous() or not like.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous(memory_format=torch.channels_last)


class _Constant(nn.Module):
    """What a decoder without a latent starts from: one learned number a channel, at every place."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.value = nn.Parameter(torch.zeros(shape[0], *(1 for _ in shape[1:])))

    def forward(self, z: Tensor) -> Tensor:
        return self.value.expand(len(z), -1, *(z.shape[2:] or self.shape[1:]))
