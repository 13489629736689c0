"""A VAE-GAN objective for daily use: what ten years of GAN training have taught, around Larsen's learned similarity."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.models.vaegan import VAEGAN
from vaegan.nn import DiagonalGaussian, Verdict
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, Step, assign, check_numbers, detached, gradient, leaf, trainable
from vaegan.objectives.cut import Noise, as_vaegan, encode, encoder_gradient


@dataclass(frozen=True)
class ModernObjective(Objective):
    """Relativistic pairing with R1 and R2, a normalised feature loss and a pixel anchor.

    With C the discriminator's logit, and each term a mean over the batch:

    - encoder: β KL + L_rec,
    - decoder: L_rec + λ mean over fakes of softplus(C(x) − C(fake)),
    - discriminator: mean over fakes of softplus(C(fake) − C(x)) + ½ γ (E‖∇C(x)‖² + E‖∇C(fake)‖²),

    where L_rec = pixel · |x − x̃| + feature · (normalised difference of the discriminator's hidden layers), and the fakes
    are x̃ = G(z; context) and, where ``prior_samples``, x_p = G(z_p) (Huang et al. 2024; Larsen et al. 2015). As in
    Larsen, the encoder is never rewarded for fooling the discriminator.

    Args:
        pixel: weight of the absolute error, averaged over elements.
        physical: take that error of physical values instead of model units; see
            :class:`~vaegan.objectives.vae.VAEObjective`.
        feature: weight of the learned similarity.
        adversarial: λ, reached after ``warmup``.
        penalty: γ of R1 and R2.
        penalty_every: steps from one penalty to the next; it is multiplied by as much (lazy regularisation, Karras 2020).
        beta: weight of the KL (in nats) divided by the signal's number of elements.
        free_bits: nats a latent dimension that are not charged.
        warmup: share of the budget over which λ and β rise from 0; the discriminator learns from the first step.
        bare: share of the items restored from the latent alone, so that the latent must carry the signal.
        prior_samples: train the generator on draws from the prior too.
    """

    players: ClassVar[tuple[str, ...]] = ("encoder", "decoder", "discriminator")

    pixel: float = 1.0
    physical: bool = False
    feature: float = 0.05
    adversarial: float = 0.005
    penalty: float = 1.0
    penalty_every: int = 8
    beta: float = 0.01
    free_bits: float = 0.0
    warmup: float = 0.1
    bare: float = 0.0
    prior_samples: bool = False

    def __post_init__(self) -> None:
        if self.penalty_every < 1:
            raise UserError(
                f"penalty_every is {self.penalty_every}", expected="at least 1", mend="set objective.penalty_every"
            )
        weights = ("pixel", "feature", "adversarial", "penalty", "beta", "free_bits")
        check_numbers(self, weights=weights, shares=("warmup", "bare"))

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """One scalar a player, on one graph: the definition that ``backward`` is held against."""
        model = as_vaegan(model)
        noise = Noise.draw(model, batch, generator, self.bare)
        encoded = encode(model, batch, noise, cut=False)
        x_tilde = batch.judged(model.decode(encoded.leaves[0], encoded.context, batch.condition))
        fakes = [x_tilde, *self._drawn(model, batch, noise)]
        real, *verdicts = (model.judge(x, batch.condition) for x in (batch.x, *fakes))
        rebuilt = self._rebuild(batch, x_tilde, real, verdicts[0])
        ramp = self._ramp(batch)
        return {
            "encoder": rebuilt + ramp * self._prior(encoded.q, batch),
            "decoder": rebuilt + ramp * self.adversarial * _fool(real, verdicts),
            "discriminator": _tell_apart(real, verdicts) + self._penalty(model, batch, fakes),
        }

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """The same gradients from a graph cut at z, the skips and every generated signal."""
        model = as_vaegan(model)
        enc, dec, dis = (trainable(model.players()[name]) for name in self.players)
        noise = Noise.draw(model, batch, generator, self.bare)
        ramp = self._ramp(batch)

        encoded = encode(model, batch, noise, cut=True)
        x_tilde = batch.judged(model.decode(encoded.leaves[0], encoded.context, batch.condition))
        fakes = [x_tilde, *self._drawn(model, batch, noise)]
        seen = [leaf(fake) for fake in fakes]
        real, *verdicts = (model.judge(x, batch.condition) for x in (batch.x, *seen))

        rebuilt = self._rebuild(batch, seen[0], real, verdicts[0])
        (wanted,) = gradient([rebuilt], [seen[0]], retain=True)
        fool = _fool(real, verdicts)
        opinions = gradient([ramp * self.adversarial * fool], seen, retain=True)
        apart = _tell_apart(real, verdicts)
        penalty = self._penalty(model, batch, fakes)
        assign(dis, gradient([apart + penalty], dis))

        assert wanted is not None
        handed_back = gradient([x_tilde], encoded.leaves, [wanted], retain=True)
        total = [wanted if i == 0 else torch.zeros_like(fake) for i, fake in enumerate(seen)]
        total = [t if o is None else t + o for t, o in zip(total, opinions, strict=True)]
        assign(dec, gradient(fakes, dec, total))

        prior = self._prior(encoded.q, batch)
        assign(enc, encoder_gradient(encoded, ramp * prior, handed_back, enc))
        logged = {
            "rebuilt": rebuilt,
            "pixel": terms.absolute_error(*batch.compared(seen[0], physical=self.physical)),
            "kl": terms.kl_prior(encoded.q),
            "fool": fool,
            "tell_apart": apart,
            "penalty": penalty,
            "d_margin": real.logits.mean() - verdicts[0].logits.mean(),
        }
        return Step(detached(logged))

    def _drawn(self, model: VAEGAN, batch: Batch, noise: Noise) -> list[Tensor]:
        """x_p as it is judged, where it is asked for."""
        return [batch.judged(model.decode(noise.prior, None, batch.condition))] if self.prior_samples else []

    def _ramp(self, batch: Batch) -> float:
        return min(1.0, batch.progress / self.warmup) if self.warmup > 0 else 1.0

    def _prior(self, q: DiagonalGaussian, batch: Batch) -> Tensor:
        return self.beta * terms.kl_free_bits(q, self.free_bits) / prod(batch.x.shape[1:])

    def _rebuild(self, batch: Batch, x_tilde: Tensor, real: Verdict, rebuilt: Verdict) -> Tensor:
        error = terms.absolute_error(*batch.compared(x_tilde, physical=self.physical))
        likeness = terms.normalised_similarity(real.features[1:], rebuilt.features[1:])
        return self.pixel * error + self.feature * likeness

    def _penalty(self, model: VAEGAN, batch: Batch, fakes: list[Tensor]) -> Tensor:
        """R1 + R2 on fresh leaves, so that nothing but the discriminator can receive its gradient."""
        if not self.penalty or batch.step % self.penalty_every:
            return batch.x.new_zeros(())
        leaves = [leaf(batch.x), *(leaf(fake) for fake in fakes)]
        slopes = [terms.gradient_penalty(model.judge(x, batch.condition).logits, x) for x in leaves]
        r1, r2 = slopes[0], torch.stack(slopes[1:]).mean()
        return self.penalty * self.penalty_every * (r1 + r2)


def _fool(real: Verdict, fakes: list[Verdict]) -> Tensor:
    return torch.stack([terms.relativistic(fake.logits, real.logits) for fake in fakes]).mean()


def _tell_apart(real: Verdict, fakes: list[Verdict]) -> Tensor:
    return torch.stack([terms.relativistic(real.logits, fake.logits) for fake in fakes]).mean()
