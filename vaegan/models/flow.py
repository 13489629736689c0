"""A small conditional flow: couplings of RealNVP (Dinh et al. 2017), mixed as in Glow (Kingma and Dhariwal 2018).

An exact density of clean signals given damaged ones. As in SRFlow (Lugmayr et al. 2020) a network of the damaged signal
feeds every step, and shifts and scales what passes there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log, pi, prod
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.degradation.base import normal
from vaegan.models.base import ModelConfig, measured_reach
from vaegan.models.restorer import Restorer, with_mask
from vaegan.nn import RestoringDecoder, RestoringEncoder
from vaegan.nn.conv import Conv, depth_to_space, patched, space_to_depth
from vaegan.signal import SignalSpec

PATCH = 2


class Trunk(nn.Module):
    """A U-Net of the damaged signal, each 2 samples along an axis one place: features for all steps of the flow.

    Its output is what it was given plus a change, so its first channels serve as an estimate of the clean signal.

    Args:
        spec: the observed signals.
        width, widest, depth: as of a U-Net.
    """

    def __init__(self, spec: SignalSpec, *, width: int, widest: int, depth: int) -> None:
        super().__init__()
        inside = spec.resized(*patched(spec.sizes, PATCH))
        inside = SignalSpec((spec.channels + 1) * PATCH**spec.dims, inside.axes, spec.unit, spec.value_range)
        self.encoder = RestoringEncoder(
            inside, latent=0, width=width, depth=depth, widest=widest, blocks=1, vector=False, norm="none"
        )
        self.decoder = RestoringDecoder(
            inside, latent=0, width=width, depth=depth, widest=widest, blocks=1, vector=False, norm="none"
        )
        self.channels = inside.channels

    def forward(
        self, y: Float[Tensor, "batch channels *space"], mask: Bool[Tensor, "batch 1 *space"] | None
    ) -> Float[Tensor, "batch features *smaller"]:
        """Features, the squeezed signal first."""
        seen = with_mask(y, mask)
        signal, observed = space_to_depth(seen[:, :-1], PATCH), space_to_depth(seen[:, -1:], PATCH)
        encoding = self.encoder(torch.cat([signal, observed], dim=1))
        features: Tensor = self.decoder(encoding.posterior.mean.to(y), encoding.context)
        return features


class FlowStep(nn.Module):
    """Shift and scale by the features, mix the channels, then shift and scale one half by the other and the features.

    Args:
        dims: axes of the signal.
        channels: of the squeezed signal, at least 2.
        features: channels of the trunk's features.
        width: channels of the coupling's network.
        periodic: for each axis whether it wraps.
    """

    def __init__(self, dims: int, channels: int, features: int, width: int, periodic: tuple[bool, ...]) -> None:
        super().__init__()
        self.kept = channels // 2
        self.inject = Conv(dims, features, 2 * channels, 3, periodic=periodic)
        self.mix = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels)).Q)
        self.couple = nn.Sequential(
            Conv(dims, self.kept + features, width, 3, periodic=periodic),
            nn.ReLU(),
            Conv(dims, width, width, 1),
            nn.ReLU(),
            Conv(dims, width, 2 * (channels - self.kept), 3, periodic=periodic),
        )
        for layer in (self.inject, cast(Conv, self.couple[-1])):  # a new step scales and shifts nothing
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, u: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Towards the noise: (batch, channels, *smaller) and log |det| of each item."""
        scale, shift = _bounded(self.inject(h))
        u = (u + shift) * scale.exp()
        u = torch.einsum("ij,bj...->bi...", self.mix, u)
        a, b = u[:, : self.kept], u[:, self.kept :]
        own, move = _bounded(self.couple(torch.cat([a, h], dim=1)))
        places = u[0, 0].numel()
        logdet = scale.flatten(1).sum(1) + own.flatten(1).sum(1) + places * torch.linalg.slogdet(self.mix).logabsdet
        return torch.cat([a, (b + move) * own.exp()], dim=1), logdet

    def inverse(self, u: Tensor, h: Tensor) -> Tensor:
        """From the noise."""
        a, b = u[:, : self.kept], u[:, self.kept :]
        own, move = _bounded(self.couple(torch.cat([a, h], dim=1)))
        u = torch.cat([a, b * (-own).exp() - move], dim=1)
        u = torch.einsum("ij,bj...->bi...", torch.linalg.inv(self.mix), u)
        scale, shift = _bounded(self.inject(h))
        return u * (-scale).exp() - shift


class ConditionalFlow(Restorer):
    """``x <-> z`` given y: exact densities one way, draws the other.

    Args:
        spec: the signals that go in and come out.
        trunk: features of the damaged signal.
        steps: of the flow.
        noise: standard deviation of the noise that is added to clean signals in training, in model units: without it the
            density of undamaged samples would grow without bound.
        temperature: standard deviation of what draws start from.
    """

    def __init__(
        self, spec: SignalSpec, trunk: Trunk, steps: list[FlowStep], *, noise: float, temperature: float
    ) -> None:
        super().__init__()
        self.spec, self.noise, self.temperature = spec, noise, temperature
        self.trunk, self.steps = trunk, nn.ModuleList(steps)

    @property
    def stride(self) -> int:
        """By how much the trunk's coarsest level is smaller."""
        return int(PATCH * 2 ** len(self.trunk.encoder.downs))

    @cached_property
    def reach(self) -> int | None:  # type: ignore[override]
        """As measured."""
        return measured_reach(self)

    def players(self) -> dict[str, nn.Module]:
        """``trunk`` and ``steps``."""
        return {"trunk": self.trunk, "steps": self.steps}

    def nats(
        self,
        x: Float[Tensor, "batch channels *space"],
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None,
        known: Bool[Tensor, "batch 1 *space"] | None,
        noise: Float[Tensor, "batch channels *space"],
    ) -> Float[Tensor, " batch"]:
        """−log p(x | y) of each item in nats a value; where x is unknown the flow's own estimate stands for it."""
        with torch.autocast(x.device.type, enabled=False):
            h = self.trunk(y, mask)
            estimate = h[:, : x.shape[1] * PATCH**self.spec.dims]
            if known is not None:
                x = torch.where(known, x, depth_to_space(estimate.detach(), PATCH, x.shape[2:]))
            u = space_to_depth(x + self.noise * noise, PATCH) - estimate
            total = u.new_zeros(len(u))
            for step in self.steps:
                u, logdet = step(u, h)
                total = total + logdet
            energy = 0.5 * u.square().flatten(1).sum(1) - total
            return energy / prod(u.shape[1:]) + 0.5 * log(2 * pi)

    def restored(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """From z = 0; with a generator from a draw of z."""
        with torch.autocast(y.device.type, enabled=False):
            h = self.trunk(y, mask)
            estimate = h[:, : y.shape[1] * PATCH**self.spec.dims]
            u = torch.zeros_like(estimate)
            if generator is not None:
                u = self.temperature * normal(tuple(u.shape), u, generator)
            for step in reversed([*self.steps]):
                u = cast(FlowStep, step).inverse(u, h)
            return depth_to_space(u + estimate, PATCH, y.shape[2:])


@dataclass(frozen=True)
class FlowConfig(ModelConfig):
    """A small conditional flow.

    Args:
        width: channels of the trunk's finest level; each coarser one doubles them up to ``widest``.
        widest: most channels of a level of the trunk.
        depth: how often the trunk halves its size.
        steps: of the flow.
        coupling: channels of each coupling's network.
        noise: standard deviation of the noise added to clean signals in training, in model units.
        temperature: standard deviation of what draws start from.
    """

    width: int = 48
    widest: int = 192
    depth: int = 3
    steps: int = 4
    coupling: int = 32
    noise: float = 0.05
    temperature: float = 0.7

    def build(self, spec: SignalSpec, classes: int = 0) -> ConditionalFlow:
        """The model for these signals; classes are not used."""
        trunk = Trunk(spec, width=self.width, widest=self.widest, depth=self.depth)
        channels = spec.channels * PATCH**spec.dims
        steps = [FlowStep(spec.dims, channels, trunk.channels, self.coupling, spec.periodic) for _ in range(self.steps)]
        return ConditionalFlow(spec, trunk, steps, noise=self.noise, temperature=self.temperature)


def _bounded(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Log scale between -2 and 2, and shift."""
    scale, shift = raw.chunk(2, dim=1)
    return 2.0 * torch.tanh(0.5 * scale), shift
