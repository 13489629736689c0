"""Learning to restore without a clean signal: from one observed copy of each, and nothing else.

None of these looks at ``Batch.x``. What they assume instead is said of each; where it does not hold, as with noise that
is the same in neighbouring samples, they learn the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vaegan.degradation.base import Degradation, normal, per_sample, uniform
from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.models.latent import LatentModel
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, Step, assign, check_numbers, gradient, trainable
from vaegan.objectives.cut import Noise, as_latent, encode

Law = Literal["gamma", "gaussian"]
DARKEST = 0.05
"""Amplitude below which a saturated sample's signal is not put: its noise would have to be a wonder."""
TRIES = 8


class _ObservedObjective(Objective):
    """One loss for encoder and decoder: that of a restoration made from ``shown``, against ``wanted``, plus β KL."""

    players: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    observed_only: ClassVar[bool] = True

    beta: float

    def _loss(
        self, model: LatentModel, batch: Batch, shown: Tensor, wanted: Tensor, weight: Tensor, noise: Noise
    ) -> Tensor:
        """Σ weight (x̃ − wanted)² / Σ [weight > 0] + β KL; weights are 0 where nothing is judged."""
        elements = prod(batch.y.shape[1:])
        encoded = encode(model, replace(batch, y=shown), noise, cut=False)
        restored = model.decode(encoded.leaves[0], encoded.context, batch.condition)
        judged = (weight > 0).expand_as(restored)
        error = (weight * torch.where(judged, restored - wanted, 0.0).square()).sum() / judged.sum().clamp(min=1)
        return error + self.beta * terms.kl_free_bits(encoded.q, 0.0) / elements

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """One pass for both players, whose loss is the same."""
        loss = self.losses(model, batch, generator)["encoder"]
        parameters = [p for name in self.players for p in trainable(model.players()[name])]
        assign(parameters, gradient([loss], parameters))
        return Step({"observed": loss.detach()})


@dataclass(frozen=True)
class BlindSpotObjective(_ObservedObjective):
    """Noise2Void (Krull, Buchholz and Jug 2019, Eq. 7): some samples are replaced by a neighbour's value and predicted.

    ``L = mean over the replaced samples i of (f(ŷ)_i − y_i)² + β KL``. As the network never sees y_i, it can learn no
    more of it than its neighbours tell, which is the signal where noise is independent between samples and of mean zero
    given the signal (in model units: a curved scaling of multiplicative noise breaks that). It must forgo what y_i
    itself tells, which costs most where noise is light.

    Args:
        share: of the samples that are replaced in each item.
        radius: largest distance of the neighbour, in samples along each axis.
        beta: weight of the KL (in nats) divided by the signal's number of elements.
    """

    share: float = 0.05
    radius: int = 2
    beta: float = 1e-3

    def __post_init__(self) -> None:
        if not (0 < self.share < 1 and self.radius >= 1):
            raise UserError(
                f"share {self.share} and radius {self.radius}",
                expected="a share in (0, 1) and a radius of 1 or more",
                mend=f"set objective.{'share' if self.radius >= 1 else 'radius'}",
            )
        check_numbers(self, weights=("beta",))

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The squared error of the replaced samples, plus β KL, the same for both players."""
        latent = as_latent(model)
        if max(batch.y.shape[2:]) == 1:
            raise UserError(
                "a blind spot in signals of one sample", expected="a sample beside it", mend="set another objective"
            )
        noise = Noise.draw(latent, batch, generator)
        seen = torch.ones_like(batch.y[:, :1], dtype=torch.bool) if batch.mask is None else batch.mask
        hidden = (uniform(tuple(seen.shape), batch.y, generator) < self.share) & seen
        shown = torch.where(hidden, self._neighbours(batch.y, seen, generator), batch.y)
        loss = self._loss(latent, batch, shown, batch.y, hidden.to(batch.y), noise)
        return dict.fromkeys(self.players, loss)

    def _neighbours(
        self,
        y: Float[Tensor, "batch channels *space"],
        seen: Bool[Tensor, "batch 1 *space"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, "batch channels *space"]:
        """For every sample the value of another one nearby; the item's mean where that was not observed."""
        sizes, span = y.shape[2:], 2 * self.radius + 1
        places, itself = [], torch.ones_like(y[:, :1], dtype=torch.bool)
        for axis, size in enumerate(sizes):
            shift = (uniform(tuple(itself.shape), y, generator) * span).long().clamp(max=span - 1) - self.radius
            shift = shift + (shift == 0) if axis == 0 else shift
            at = _positions(sizes, axis, y.device)
            place = at + shift
            place = torch.where(place < 0, -place, place)
            place = torch.where(place >= size, 2 * size - 2 - place, place).clamp(0, size - 1)
            places.append(place)
            itself = itself & (place == at)
        # Folded back at a border, a shift may end where it began: there the next sample is taken, or the last but one.
        longest = max(range(len(sizes)), key=lambda axis: sizes[axis])
        at = _positions(sizes, longest, y.device)
        beside = torch.where(at + 1 < sizes[longest], at + 1, at - 1)
        places[longest] = torch.where(itself, beside, places[longest])
        index = places[0]
        for size, place in zip(sizes[1:], places[1:], strict=True):
            index = index * size + place
        flat = index.flatten(1).unsqueeze(1)
        count = seen.flatten(1).sum(1).clamp(min=1)
        mean = torch.where(seen, y, 0.0).flatten(2).sum(2) / count.unsqueeze(1)
        values = torch.where(seen, y, mean.view(*mean.shape, *(1 for _ in y.shape[2:]))).flatten(2)
        return values.gather(2, flat.expand(-1, y.shape[1], -1)).view_as(y)


def _positions(sizes: Sequence[int], axis: int, device: torch.device) -> Int[Tensor, "*ones"]:
    """0, 1, 2, ... along one of the axes, to be broadcast over the others."""
    return torch.arange(sizes[axis], device=device).view(-1, *(1 for _ in sizes[axis + 1 :]))


@dataclass(frozen=True)
class ThinningObjective(_ObservedObjective):
    """Splits an observation of known noise into two that are independent, and predicts one from the other.

    With a share ε of what was observed (data thinning, Neufeld et al. 2024; Gaussian noise: Pang et al. 2021, Eq. 8):

    - gamma, ``u = x n``, ``n ~ Gamma(L, 1/L)``, ``u = (y + 1) / 2``: with ``B ~ Beta(ε L, (1 − ε) L)`` the parts ``u B
      / ε`` and ``u (1 − B) / (1 − ε)`` are independent given x, of mean x, and of ``ε L`` and ``(1 − ε) L`` looks;
    - gaussian, ``y = x + s n``: with ``w ~ N(0, 1)`` and ``a = √((1 − ε) / ε)`` the parts ``y + a s w`` and ``y − s w / a``.

    ``L = mean of (1 − ε) (f(part 1) − part 2)² + β KL``; its minimum is that of the paired loss for a
    signal seen with a share ε. The nearer ε is to 1, the more the network sees of what it will see in use, and the
    noisier is what it is held against.

    A recorder that saturates breaks the independence: of a sample at full scale the parts have a known sum, so that the
    larger the one is the smaller is the other, and a network learns to blur. Such a sample is therefore first given a
    value above full scale, drawn from the law of the noise around what the network now takes for the signal (stochastic
    EM, Celeux and Diebolt 1985), and part 1 is cut at full scale as the recorder cuts what the network sees in use.

    Args:
        law: of the noise.
        level: looks L of gamma noise; sigma of Gaussian noise as a share of the full range (``s = 2 sigma`` in model units).
        low, high: ε is drawn between them for each item.
        beta: weight of the KL (in nats) divided by the signal's number of elements.
        saturates: whether gamma noise was cut at full scale (``u = 1``).
    """

    law: Law = "gamma"
    level: float = 4.0
    low: float = 0.6
    high: float = 0.95
    beta: float = 1e-3
    saturates: bool = True

    def __post_init__(self) -> None:
        if self.law not in get_args(Law):
            raise UserError(
                f"law {self.law!r}", expected=f"one of {', '.join(get_args(Law))}", mend="set objective.law"
            )
        if not (self.level > 0 and 0 < self.low <= self.high < 1):
            raise UserError(
                f"level {self.level}, shares {self.low} to {self.high}",
                expected="a level above 0, shares within (0, 1), the lower one first",
                mend=f"set objective.{'low' if self.level > 0 else 'level'}",
            )
        check_numbers(self, weights=("beta",))

    def check(self, degradation: Degradation | None) -> None:
        """Parts are independent only where the noise has the looks that they are drawn by.

        Raises:
            UserError: for gamma thinning under anything but the data's own noise, or gamma noise of ``level`` looks, beside
                which samples may be hidden.
        """
        if self.law == "gamma" and degradation is not None and degradation.looks != self.level:
            looks = "other noise" if degradation.looks is None else f"noise of {degradation.looks:g} looks"
            raise UserError(
                f"gamma thinning of level {self.level:g}, but the training's degradations are {looks}",
                expected=f"'speckle L={self.level:g}' and nothing else but hidden samples, or none where the data are noisy",
                mend="set --stages.N.objective.level or --degradations",
            )

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The squared error between a restored part and the other part, plus β KL, the same for both players."""
        latent = as_latent(model)
        noise = Noise.draw(latent, batch, generator)
        share = self.low + (self.high - self.low) * uniform(len(batch.y), batch.y, generator)
        shown, wanted = self.pair(latent, batch, share, generator)
        seen = torch.ones_like(batch.y[:, :1]) if batch.mask is None else batch.mask.to(batch.y)
        weight = seen * (1.0 - per_sample(share, batch.y))
        loss = self._loss(latent, batch, shown, wanted, weight, noise)
        return dict.fromkeys(self.players, loss)

    def pair(
        self, model: LatentModel, batch: Batch, share: Float[Tensor, " batch"], generator: torch.Generator | None
    ) -> tuple[Float[Tensor, "batch channels *space"], Float[Tensor, "batch channels *space"]]:
        """What is shown to the network, with a share of what was observed, and what it is held against."""
        if not (self.saturates and self.law == "gamma"):
            return self.split(batch.y, share, generator)
        shown, wanted = self.split(self._beyond_scale(model, batch, generator), share, generator)
        return shown.clamp(max=1.0), wanted

    @torch.no_grad()
    def _beyond_scale(
        self, model: LatentModel, batch: Batch, generator: torch.Generator | None
    ) -> Float[Tensor, "batch channels *space"]:
        """Saturated samples as they may have been: ``u = x n`` given ``u > 1``, x what the model takes for the signal."""
        encoding = model.encode(batch.y, batch.mask)
        guess = model.decode(encoding.posterior.mean.to(batch.y), encoding.context, batch.condition)
        per_unit = self.level / ((guess.to(batch.y) + 1.0) / 2.0).clamp(DARKEST, 1.0)
        drawn = gamma_above(self.level, per_unit, generator) / per_unit
        # Under autocast some versions of torch keep the weights cast here, without their graph, for the graded pass.
        torch.clear_autocast_cache()
        return torch.where(batch.y >= 1.0, 2.0 * drawn - 1.0, batch.y)

    def split(
        self,
        y: Float[Tensor, "batch channels *space"],
        share: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> tuple[Float[Tensor, "batch channels *space"], Float[Tensor, "batch channels *space"]]:
        """Two independent parts of observed signals, in model units: with a share of the looks, and with the rest."""
        e = per_sample(share, y)
        if self.law == "gaussian":
            w, a = 2.0 * self.level * normal(tuple(y.shape), y, generator), torch.sqrt((1.0 - e) / e)
            return y + a * w, y - w / a
        one, two = (_gamma(y, looks, generator) for looks in (share * self.level, (1.0 - share) * self.level))
        part = one / (one + two)
        u = (y + 1.0) / 2.0
        return 2.0 * u * part / e - 1.0, 2.0 * u * (1.0 - part) / (1.0 - e) - 1.0


def _gamma(like: Tensor, shape: Float[Tensor, " batch"], generator: torch.Generator | None) -> Tensor:
    """Draws from Gamma(shape, 1), a shape for each item; never exactly 0."""
    device = like.device if generator is None else generator.device
    alpha = per_sample(shape, like).expand(like.shape).to(device).contiguous()
    drawn: Tensor = torch._standard_gamma(alpha, generator=generator)
    return drawn.to(like).clamp(min=1e-30)


def gamma_above(shape: float, least: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws from Gamma(shape, 1) given that they exceed ``least``, by rejection from an exponential (Dagpunar 1978).

    The proposal ``least + Exp(rate)`` has the rate that is accepted most often. Of eight tries the last one counts
    where none was accepted, which is rare.
    """
    gap = least - shape
    rate = ((gap + torch.sqrt(gap.square() + 4.0 * least)) / (2.0 * least)).clamp(max=1.0)
    rest = (1.0 - rate).clamp(min=1e-6)
    peak = torch.maximum(least, (shape - 1.0) / rest)  # of the density over the proposal's
    drawn, found = least, torch.zeros_like(least, dtype=torch.bool)
    for _ in range(TRIES):
        first, second = (uniform(tuple(least.shape), least, generator).clamp(min=1e-30) for _ in range(2))
        tried = least - torch.log(first) / rate
        accepted = torch.log(second) <= (shape - 1.0) * torch.log(tried / peak) - rest * (tried - peak)
        drawn, found = torch.where(found, drawn, tried), found | accepted
    return drawn
