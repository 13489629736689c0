"""What latents are drawn from: N(0, I), or a Gaussian mixture fitted to the aggregate posterior.

A decoder sees, in training, latents from the posteriors of its training data. Where their mixture, the aggregate posterior,
is far from N(0, I), draws from N(0, I) fall where the decoder has never been (Tomczak and Welling 2018); a mixture fitted
after training (Ghosh et al. 2020, Sec. 4) shows what the decoder can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from vaegan.degradation.base import normal
from vaegan.errors import DataError

Array: TypeAlias = NDArray[Any]
COMPONENTS = 10
FULL_UP_TO = 512
"""Dimensions up to which each component has a full covariance; beyond it a diagonal one."""


@dataclass(frozen=True)
class MixturePrior:
    """A Gaussian mixture over latents.

    Attributes:
        weights: of the components, summing to 1.
        means: of the components.
        scales: lower triangular square roots of their covariances, or standard deviations where those are diagonal.
        shape: of one latent.
        owners: class of each component, for a conditional model: what is drawn for a class comes from its own.
    """

    weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    scales: Float[Tensor, "k d d"] | Float[Tensor, "k d"]
    shape: tuple[int, ...]
    owners: Int[Tensor, " k"] | None = None

    @staticmethod
    def fit(
        latents: Float[Tensor, "n *latent"],
        labels: Int[Tensor, " n"] | None = None,
        *,
        components: int = COMPONENTS,
        seed: int = 0,
    ) -> MixturePrior:
        """Fits a mixture: by expectation maximisation (scikit-learn's, initialised by k-means), or to classes.

        With ``labels`` each class has one Gaussian, of its own mean and the covariance that all classes share (as in linear
        discriminant analysis: rare classes have too few latents for one of their own). Without them, each component gets a
        full covariance where there are at most 512 dimensions and ten latents a dimension and component, so that it can be
        estimated; components are taken away until there are, down to one. Beyond that the covariances are diagonal.

        Args:
            latents: draws from the posteriors of training items, one an item.
            labels: their classes.
            components: most Gaussians.
            seed: of the initialisation.

        Raises:
            DataError: for fewer than two latents, or values that are not finite.
        """
        from sklearn.mixture import GaussianMixture

        shape = tuple(latents.shape[1:])
        values = latents.detach().reshape(len(latents), -1).double().cpu().numpy()
        n, d = values.shape
        if n < 2 or d < 1 or not np.isfinite(values).all():
            raise DataError(
                f"{n} latents of {d} dimensions, finite: {bool(np.isfinite(values).all())}",
                expected="at least two, with finite values",
                mend="give the run more training data, or a model with a latent",
            )
        full = d <= FULL_UP_TO and n >= 10 * d
        if labels is not None:
            return MixturePrior(*_by_class(values, labels.numpy(), full), shape, labels.unique())
        count = max(1, min(components, n // (10 * d))) if full else max(1, min(components, n // 10))
        mixture = GaussianMixture(
            count, covariance_type="full" if full else "diag", reg_covar=1e-5, random_state=seed, max_iter=100
        ).fit(values)
        roots = np.linalg.cholesky(mixture.covariances_) if full else np.sqrt(mixture.covariances_)
        weights, means, scales = (
            torch.from_numpy(np.ascontiguousarray(a)).float() for a in (mixture.weights_, mixture.means_, roots)
        )
        return MixturePrior(weights, means, scales, shape)

    def sample(
        self,
        n: int,
        like: Tensor,
        generator: torch.Generator | None = None,
        classes: Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n *latent"]:
        """Draws latents.

        Args:
            n: how many.
            like: gives the device and the dtype; ``generator`` must be of that device.
            generator: of the draws.
            classes: of each draw, for a mixture whose components belong to classes; others draw from all components, and so
                does a class that has none.
        """
        weights = self.weights.to(like.device)
        if classes is None or self.owners is None:
            chosen = torch.multinomial(weights, n, replacement=True, generator=generator)
        else:
            own = weights * (self.owners.to(like.device) == classes.to(like.device)[:, None])
            own = torch.where(own.sum(1, keepdim=True) > 0, own, weights)
            chosen = torch.multinomial(own, 1, generator=generator)[:, 0]
        means, scales = self.means.to(like.device)[chosen], self.scales.to(like.device)[chosen]
        noise = normal((n, means.shape[1]), means, generator)
        moved = torch.einsum("nij,nj->ni", scales, noise) if scales.dim() == 3 else scales * noise
        return (means + moved).to(like.dtype).reshape(n, *self.shape)

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`from_tensors` reads."""
        known = {"weights": self.weights, "means": self.means, "scales": self.scales}
        return known if self.owners is None else known | {"owners": self.owners}

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor], shape: Sequence[int], path: Path) -> MixturePrior:
        """A mixture that was saved.

        Raises:
            DataError: where the tensors are not those of a mixture of this shape.
        """
        if set(tensors) - {"owners"} != {"weights", "means", "scales"} or tensors["means"].shape[-1] != prod(shape):
            found = ", ".join(f"{name} {tuple(value.shape)}" for name, value in tensors.items()) or "nothing"
            raise DataError(f"{path} holds {found}", expected=f"a mixture over latents of shape {tuple(shape)}")
        return MixturePrior(
            tensors["weights"], tensors["means"], tensors["scales"], tuple(shape), tensors.get("owners")
        )


def _by_class(values: Array, labels: Array, full: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and (the same for all) scales of one Gaussian for each class that there is."""
    there, at, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.stack([values[labels == label].mean(0) for label in there])
    within = values - means[at]
    freedom = max(1, len(values) - len(there))
    if full:
        root = np.linalg.cholesky(within.T @ within / freedom + 1e-5 * np.eye(values.shape[1]))
    else:
        root = np.sqrt((within**2).sum(0) / freedom + 1e-5)
    parts = counts / counts.sum(), means, np.repeat(root[None], len(there), 0)
    weights, centres, scales = (torch.from_numpy(part).float() for part in parts)
    return weights, centres, scales
