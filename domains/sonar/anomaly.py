"""Anomalies: where a sonar frame is not like those that a VAE-GAN was trained on.

Two maps by restoration and one by density. The frame is encoded and decoded; what a model of normal frames cannot say
stays behind:

- ``reconstruction``: the squared difference, smoothed;
- ``difference``: the squared difference of the discriminator's hidden layers, each in units of its variance (Larsen et
  al.'s learned similarity, layer by layer and place by place);
- ``density``: the Mahalanobis distance of the discriminator's hidden features of the frame itself from those of normal
  frames (as Defard et al. 2021 do with a classifier's).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from vaegan.errors import DataError, UserError
from vaegan.models import Model
from vaegan.models.vaegan import VAEGAN

Array = np.ndarray[Any, Any]
SMOOTH = 5
COMPONENTS = (4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Normal:
    """What normal frames look like to a discriminator.

    Attributes:
        mean: (d,) of the hidden features at a place of the coarsest grid.
        precision: (d, d) inverse of their covariance, shrunk (Ledoit and Wolf 2004).
        frames: (n, f) features of every normal frame, in units of their own spread.
        centre, scale: of those features before they were standardised.
        variances: (layers,) of each hidden layer, over all of its channels and places.
    """

    mean: Tensor
    precision: Tensor
    frames: Tensor
    centre: Tensor
    scale: Tensor
    variances: Tensor


def _vaegan(model: Model) -> VAEGAN:
    if not isinstance(model, VAEGAN):
        raise UserError(f"a {type(model).__name__}", expected="a VAE-GAN, which has a discriminator")
    return model


def _hidden(model: VAEGAN, x: Tensor) -> list[Tensor]:
    """The discriminator's hidden layers that still have two axes."""
    return [layer for layer in model.judge(x).features if layer.ndim == 4]


def _grid(layers: list[Tensor]) -> Float[Tensor, "batch d rows columns"]:
    rows, columns = layers[-1].shape[-2:]
    return torch.cat([F.adaptive_avg_pool2d(layer, (rows, columns)) for layer in layers], dim=1)


def _quarters(layers: list[Tensor]) -> Float[Tensor, "batch f"]:
    """The mean of every hidden channel over each quarter of the frame."""
    return torch.cat([F.adaptive_avg_pool2d(layer, 2).flatten(1) for layer in layers], dim=1)


@torch.no_grad()
def maps(
    model: Model,
    y: Float[Tensor, "batch 1 rows columns"],
    mask: Bool[Tensor, "batch 1 rows columns"] | None = None,
    normal: Normal | None = None,
) -> dict[str, Float[Tensor, "batch 1 rows columns"]]:
    """Score maps of frames in model units, higher where they are less normal.

    Only ``reconstruction`` without ``normal``: the others are in units of normal frames. No frame's maps depend on the
    other frames.
    """
    model = _vaegan(model)
    rebuilt = model.decode(model.encode(y, mask).posterior.mean, None)
    if mask is not None:
        rebuilt = torch.where(mask, rebuilt, y)
    error = F.avg_pool2d((y - rebuilt).square(), SMOOTH, 1, SMOOTH // 2, count_include_pad=False)
    if normal is None:
        return {"reconstruction": error}
    real, fake = _hidden(model, y), _hidden(model, rebuilt)
    difference = torch.zeros_like(y)
    for a, b, variance in zip(real, fake, normal.variances, strict=True):
        far = (a - b).square().mean(1, keepdim=True) / (variance + 1e-6)
        difference = difference + F.interpolate(far, y.shape[-2:], mode="bilinear", align_corners=False)
    centred = _grid(real).movedim(1, -1) - normal.mean
    distance = torch.einsum("...i,ij,...j->...", centred, normal.precision, centred)[:, None]
    density = F.interpolate(distance, y.shape[-2:], mode="bilinear", align_corners=False)
    return {"reconstruction": error, "difference": difference / len(real), "density": density}


@torch.no_grad()
def learn_normal(model: Model, y: Float[Tensor, "n 1 rows columns"], *, batch: int = 64) -> Normal:
    """What normal frames look like, from training frames.

    Raises:
        DataError: for fewer than eight frames.
    """
    from sklearn.covariance import LedoitWolf

    if len(y) < 8:
        raise DataError(f"{len(y)} normal frames", expected="at least 8", mend="give more --data")
    model = _vaegan(model)
    places, items, moments = [], [], []
    for part in y.split(batch):
        layers = _hidden(model, part)
        moments.append(torch.stack([_moments(layer) for layer in layers]))
        places.append(_grid(layers).movedim(1, -1).flatten(0, -2))
        items.append(_quarters(layers))
    fit = LedoitWolf().fit(torch.cat(places).double().numpy())
    mean, precision = (torch.from_numpy(np.asarray(v)).to(y) for v in (fit.location_, fit.precision_))
    frames = torch.cat(items)
    centre, scale = frames.mean(0), frames.std(0) + 1e-9
    count, first, second = torch.stack(moments).sum(0).unbind(1)
    variances = (second / count - (first / count).square()).clamp(min=0.0).to(y)
    return Normal(mean, precision, (frames - centre) / scale, centre, scale, variances)


def _moments(layer: Tensor) -> Float[Tensor, "3"]:
    """Number of values, their sum and the sum of their squares, in double precision."""
    values = layer.double()
    return torch.stack([values.new_tensor(float(values.numel())), values.sum(), values.square().sum()])


@torch.no_grad()
def scores(model: Model, y: Float[Tensor, "n 1 rows columns"], normal: Normal, *, batch: int = 64) -> dict[str, Array]:
    """One number a frame and score: the mean of each map, and ``nearest``.

    ``nearest`` is the distance of the frame's hidden features, a mean over each quarter, from those of the most similar
    normal frame (a memory as Roth et al. 2022 keep it, of whole frames).
    """
    parts: dict[str, list[Tensor]] = {}
    for some in y.split(batch):
        for name, found in maps(model, some, None, normal).items():
            parts.setdefault(name, []).append(found.flatten(1).mean(1))
        features = (_quarters(_hidden(_vaegan(model), some)) - normal.centre) / normal.scale
        parts.setdefault("nearest", []).append(torch.cdist(features, normal.frames).amin(1))
    return {name: torch.cat(values).double().numpy() for name, values in parts.items()}


def pca_scores(train: Array, test: Array, components: int) -> Array:
    """The yardstick: mean squared error of a frame's reconstruction from principal components of the training frames."""
    flat, other = (np.nan_to_num(a).reshape(len(a), -1).astype(np.float64) for a in (train, test))
    mean = flat.mean(0)
    _, _, basis = np.linalg.svd(flat - mean, full_matrices=False)
    basis = basis[: min(components, len(basis))]
    left = (other - mean) - (other - mean) @ basis.T @ basis
    error: Array = np.square(left).mean(1)
    return error


def auc(normal: Array, novel: Array) -> float:
    """Area under the ROC curve: the probability that a novel frame scores higher than a normal one."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([normal, novel]))
    above = ranks[len(normal) :].sum() - len(novel) * (len(novel) + 1) / 2
    return float(above / (len(normal) * len(novel)))


def evaluate(
    model: Model,
    train: Float[Tensor, "n 1 rows columns"],
    normal_test: Float[Tensor, "m 1 rows columns"],
    novel_test: Float[Tensor, "k 1 rows columns"],
) -> dict[str, float]:
    """Area under the ROC curve on frames in model units: of each score, of PCA, and of the nearest training frame."""
    normal = learn_normal(model, train)
    usual, new = scores(model, normal_test, normal), scores(model, novel_test, normal)
    found = {name: auc(usual[name], new[name]) for name in usual}
    both, n = torch.cat([normal_test, novel_test]), len(normal_test)
    distance = torch.cdist(both.flatten(1), train.flatten(1)).amin(1).numpy()
    found["nearest-amplitudes"] = auc(distance[:n], distance[n:])
    for k in COMPONENTS:
        error = pca_scores(train.numpy(), both.numpy(), k)
        found[f"pca-{k}"] = auc(error[:n], error[n:])
    return found
