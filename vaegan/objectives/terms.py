"""The terms of the objectives: pure functions, one equation each. Every term is a mean over the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vaegan.nn import DiagonalGaussian, at_least_single


def kl_prior(q: DiagonalGaussian) -> Float[Tensor, ""]:
    """L_prior = KL(q(z | y) || N(0, I)) (Larsen et al. 2015, eq. 4), in nats an item."""
    return q.kl().mean()


def kl_free_bits(q: DiagonalGaussian, free: float) -> Float[Tensor, ""]:
    """Σ_j max(free, mean over the batch of KL_j), in nats an item (Kingma et al. 2016, eq. 15, one group a dimension)."""
    return q.kl_terms().flatten(1).mean(0).clamp(min=free).sum()


def learned_similarity(
    real: Float[Tensor, "batch *features"], fake: Float[Tensor, "batch *features"]
) -> Float[Tensor, ""]:
    """L_llike of Dis_l = ½ ‖Dis_l(x) − Dis_l(x̃)‖², summed over features (Larsen et al. 2015, eq. 7, unit variance)."""
    real, fake = at_least_single(real.detach()), at_least_single(fake)
    return 0.5 * (real - fake).square().flatten(1).sum(1).mean()


def normalised_similarity(
    real: Sequence[Float[Tensor, "batch ..."]], fake: Sequence[Float[Tensor, "batch ..."]]
) -> Float[Tensor, ""]:
    """Mean squared difference of hidden layers, each in units of its own variance, averaged over the layers.

    Dividing by the variance makes the term independent of a layer's width and scale, which drift in training.
    """
    terms = []
    for a, b in zip(real, fake, strict=True):
        a = at_least_single(a.detach())
        terms.append(F.mse_loss(at_least_single(b), a) / (a.var() + 1e-6))
    return torch.stack(terms).mean()


def gan(real: Float[Tensor, " batch"], *fakes: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """L_GAN = −log D(x) − Σ log(1 − D(fake)) (Larsen et al. 2015, eq. 5, negated: the discriminator descends it)."""
    return F.softplus(-real).mean() + sum((F.softplus(fake).mean() for fake in fakes), real.new_zeros(()))


def non_saturating(fake: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """−log D(fake): the generator's loss that has a slope where D is sure (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def relativistic(winner: Float[Tensor, " batch"], loser: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Mean of −log σ(C(winner) − C(loser)) over pairs (Jolicoeur-Martineau 2019; Huang et al. 2024, eq. 1).

    The discriminator's winner is the real one; the generator's loss is the same with the roles exchanged.
    """
    return F.softplus(loser - winner).mean()


def gradient_penalty(logits: Float[Tensor, " batch"], x: Float[Tensor, "batch *signal"]) -> Float[Tensor, ""]:
    """½ E‖∇_x C(x)‖² (Mescheder et al. 2018, eq. 9): R1 on real signals, R2 on generated ones."""
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return 0.5 * at_least_single(slope).square().flatten(1).sum(1).mean()


def absolute_error(x: Float[Tensor, "batch *signal"], estimate: Float[Tensor, "batch *signal"]) -> Float[Tensor, ""]:
    """Mean of |x − x̂| over samples: the likelihood of a Laplacian, up to a constant."""
    return (at_least_single(estimate) - at_least_single(x)).abs().mean()


def squared_error(x: Float[Tensor, "batch *signal"], estimate: Float[Tensor, "batch *signal"]) -> Float[Tensor, ""]:
    """½ ‖x − x̂‖² summed over samples: the likelihood of a unit Gaussian, up to a constant (Kingma and Welling 2014)."""
    return 0.5 * (at_least_single(estimate) - at_least_single(x)).square().flatten(1).sum(1).mean()


def relative_error(x: Float[Tensor, "batch *signal"], estimate: Float[Tensor, "batch *signal"]) -> Float[Tensor, ""]:
    """Mean over items of RMS(x̂ − x) / RMS(x), the RRMSE_t of Zhang et al. 2021 (eq. 8).

    An item whose truth has an RMS below 0.001 counts as if it were that large.
    """
    x, estimate = at_least_single(x).flatten(1), at_least_single(estimate).flatten(1)
    error, size = (estimate - x).square().mean(1), x.square().mean(1).clamp(min=1e-6)
    return ((error + 1e-9) / size).sqrt().mean()  # the root has no slope at 0
