"""What an encoder says of a latent: a diagonal Gaussian, as a vector or as a map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vaegan.nn.precision import at_least_single

LOGVAR_RANGE = (-12.0, 8.0)
"""Where log-variances are kept, so that neither exp nor its inverse overflows in half precision."""


@dataclass(frozen=True)
class DiagonalGaussian:
    """q(z | y) = N(mean, diag(exp(logvar))) (Kingma and Welling 2014, eq. 9).

    Attributes:
        mean: (batch, d) or (batch, d, *space).
        logvar: natural logarithm of the variance, the same shape.
    """

    mean: Float[Tensor, "batch *latent"]
    logvar: Float[Tensor, "batch *latent"]

    def sample(self, noise: Float[Tensor, "batch *latent"]) -> Float[Tensor, "batch *latent"]:
        """``mean + std * noise``: the reparametrisation of standard normal noise."""
        return self.mean + torch.exp(0.5 * self.logvar) * noise

    def kl_terms(self) -> Float[Tensor, "batch *latent"]:
        """KL(q || N(0, I)) of each latent dimension, in nats (Kingma and Welling 2014, appendix B)."""
        return 0.5 * (self.mean.square() + self.logvar.exp() - 1.0 - self.logvar)

    def kl(self) -> Float[Tensor, " batch"]:
        """KL(q || N(0, I)) in nats, summed over all but the batch."""
        return self.kl_terms().flatten(1).sum(1)


def posterior(parameters: Float[Tensor, "batch twice *space"]) -> DiagonalGaussian:
    """Splits a network's output into mean and clamped log-variance, in at least single precision."""
    mean, logvar = at_least_single(parameters).chunk(2, dim=1)
    return DiagonalGaussian(mean, logvar.clamp(*LOGVAR_RANGE))


def active_units(means: Float[Tensor, "n d"], threshold: float = 0.01) -> int:
    """Latent dimensions that carry something: Var_y(E[z | y]) above ``threshold`` (Burda et al. 2016, eq. 11)."""
    if not means.shape[1]:
        return 0
    return int((means.var(dim=0) > threshold).sum())
