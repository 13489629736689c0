"""How good generated items are, judged by their features.

The real items are the first argument everywhere, (n, features); the generated ones the second, (m, features). All
functions raise :class:`vaegan.errors.DataError` where features cannot be compared: other axes, different numbers of
features, fewer than two items, values that are not finite, a set that does not vary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from vaegan.errors import DataError
from vaegan.metrics.jackknife import Estimate, Kernel, Moments, jackknifed, without
from vaegan.metrics.neighbours import (
    Features,
    Others,
    as_rows,
    comparable,
    cross,
    kth_distances,
    neighbour_distances,
)

Array: TypeAlias = NDArray[Any]
Probabilities: TypeAlias = Float[np.ndarray, "m classes"] | Float[Tensor, "m classes"]

GROUPS = 10
RESAMPLES = 1000
SPLITS = 10
SHARE = ("higher", 0.0, 1.0)
MEASURES: dict[str, tuple[str, float, float]] = {
    "fid": ("lower", 0.0, np.inf),
    "kid": ("lower", -np.inf, np.inf),  # the estimate may be negative
    **dict.fromkeys(("precision", "recall", "f1"), SHARE),
    "density": ("higher", 0.0, np.inf),
    "coverage": SHARE,
    "is": ("higher", 1.0, np.inf),
}
"""Which way is better, and the lowest and the highest value that can be."""


@dataclass(frozen=True)
class Judged:
    """What one extractor's features say.

    Attributes:
        numbers: by ``name[extractor]``; each holds ``mean`` (the estimate on all items), ``ci95`` ([low, high]), ``n``
            (generated items), ``n_real`` (real items; 0 where none is looked at), ``unit`` and ``better``.
        notes: what a reader has to know, such as what was left out and why.
    """

    numbers: dict[str, dict[str, Any]]
    notes: tuple[str, ...] = ()


@torch.no_grad()
def frechet_distance(real: Features, fake: Others) -> float:
    """Fréchet distance of the Gaussians that fit real and generated items (FID; Heusel et al. 2017, Eq. 6), at least 0.

    It is computed in double precision. It is biased upwards, the more so the fewer items there are.

    Raises:
        DataError: also where either set has no more items than features.
    """
    reals, fakes = comparable(real, fake)
    few = _too_few(reals, fakes, min(len(reals), len(fakes)))
    if few:
        raise DataError(few, expected="more items than features", mend="take the kernel distance (KID) instead")
    return gaussian_distance(*Moments(reals).gaussian(), *Moments(fakes).gaussian())


def gaussian_distance(
    mean: Float[Tensor, " d"], cov: Float[Tensor, "d d"], mean_2: Float[Tensor, " d"], cov_2: Float[Tensor, "d d"]
) -> float:
    """Squared Fréchet distance of two Gaussians (Dowson & Landau 1982): ``|m - m'|² + tr(C + C' - 2 root(C C'))``.

    The last trace is the sum of the roots of the eigenvalues of the symmetric ``root(C) C' root(C)``. ``R^T C' R``
    has the same for every R with ``R R^T = C``: Cholesky's, or that of the eigenvectors where C has no full rank.
    """
    factor, failed = torch.linalg.cholesky_ex(cov)
    if failed:
        values, vectors = torch.linalg.eigh(cov)
        factor = vectors * values.clamp(min=0).sqrt()
    shared = torch.linalg.eigvalsh(factor.T @ cov_2 @ factor).clamp(min=0).sqrt().sum()
    return max(0.0, float((mean - mean_2).square().sum() + cov.trace() + cov_2.trace() - 2 * shared))


@torch.no_grad()
def kernel_distance(real: Features, fake: Others) -> float:
    """Kernel distance (KID): the unbiased squared MMD with ``(x·y / d + 1)³`` (Bińkowski et al. 2018, Sec. 4).

    It is taken of the whole sets, tile by tile, not of random subsets. Where the distance is about 0 the estimate may be
    negative. Products of features are in their own precision, sums in double precision.
    """
    return Kernel(*comparable(real, fake)).distance()


def precision_recall(real: Features, fake: Others, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, Eq. 1 and 2), both 0 to 1.

    They are the share of generated items in the ball of any real one, and of real items in the ball of any generated
    one; the ball around an item reaches to its ``k``-th nearest other item of the same set.

    Raises:
        DataError: also for fewer than ``k + 1`` items in either set.
    """
    found = memberships(*comparable(real, fake, k), k_pr=k)
    return float(found["precision"].mean()), float(found["recall"].mean())


def density_coverage(real: Features, fake: Others, k: int = 5) -> tuple[float, float]:
    """Density, at least 0 (1 and more are possible), and coverage, 0 to 1 (Naeem et al. 2020, Sec. 3).

    They are the mean number of real balls that hold a generated item, over ``k``, and the share of real balls that hold
    any; the ball around a real item reaches to its ``k``-th nearest other real item.

    Raises:
        DataError: also for fewer than ``k + 1`` items in either set.
    """
    found = memberships(*comparable(real, fake, k), k_dc=k)
    return float(found["density"].mean()), float(found["coverage"].mean())


def f1(precision: float, recall: float) -> float:
    """Harmonic mean of precision and recall, 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


@torch.no_grad()
def inception_score(probabilities: Probabilities, splits: int = SPLITS) -> tuple[float, float]:
    """Inception score (Salimans et al. 2016, Sec. 4): ``exp(mean KL(p(y|x) || p(y)))`` of each split, in order.

    Args:
        probabilities: (m, classes) of the generated items; each row sums to 1.
        splits: into how many even parts the items are cut.

    Returns:
        Mean (1 to the number of classes) and standard deviation over the splits (divided by their number).

    Raises:
        DataError: for other than probabilities, and for fewer items than splits.
    """
    p = as_rows(probabilities, "probabilities", "(items, classes)").double()
    if not 1 <= splits <= len(p):
        raise DataError(f"{splits} splits of {len(p)} items", expected="at least 1, and at most as many as items")
    bad = ~((p >= 0).all(1) & ((p.sum(1) - 1).abs() < 1e-3))  # catches NaN too
    if bad.any():
        raise DataError(
            f"{int(bad.sum())} of {len(p)} rows are no probabilities (the first is row {int(bad.long().argmax())})",
            expected="values from 0 to 1 that sum to 1",
            mend="apply softmax",
        )
    parts = p.tensor_split(splits)
    scores = torch.stack([(torch.xlogy(q, q) - torch.xlogy(q, q.mean(0))).sum(1).mean().exp() for q in parts])
    return float(scores.mean()), float(scores.std(correction=0))


@torch.no_grad()
def judge_features(
    real: Features,
    fake: Others,
    *,
    extractor: str,
    probabilities: Probabilities | None = None,
    k_pr: int = 3,
    k_dc: int = 5,
    seed: int = 0,
) -> Judged:
    """All measures of this module, each with a 95 % confidence interval.

    FID, KID and the Inception score get theirs from a delete-a-group jackknife (Kott 2001): both sets are cut at random
    into 10 groups, group i of both is left out in turn. The bias of FID is not in its interval. The shares, the density
    and F1 get theirs from 1,000 bootstrap resamples of the items' own values. The balls stay as they are; what other
    balls would change is not in these intervals, so they are too narrow: of trials with Gaussians, 73 to 92 in 100 held
    the expectation (the jackknife's: 95). An interval ends where the measure does.

    Args:
        real: (n, features).
        fake: (m, features).
        extractor: what the features come from, as it stands in the names.
        probabilities: (m, classes) of the generated items; without them there is no Inception score.
        k_pr: neighbours for precision and recall.
        k_dc: neighbours for density and coverage.
        seed: of the groups and of the resampling.

    Returns:
        The numbers and notes. FID is left out, with a note, unless the sets without a group still have more items than
        features; the Inception score, unless they still have one item a split.

    Raises:
        DataError: for fewer than ``k + 1`` items, where features cannot be compared or do not vary, and for
            probabilities that are none, or of other items.
    """
    reals, fakes = comparable(real, fake, max(k_pr, k_dc))
    if probabilities is not None and len(probabilities) != len(fakes):
        raise DataError(f"probabilities of {len(probabilities)} items", expected=f"{len(fakes)}, as generated")
    generator = np.random.default_rng(seed)
    count = min(GROUPS, len(reals), len(fakes))
    groups = [
        [torch.from_numpy(group) for group in np.array_split(generator.permutation(len(x)), count)]
        for x in (reals, fakes)
    ]
    left = [len(x) - max(map(len, some)) for x, some in zip((reals, fakes), groups, strict=True)]
    found, notes = {"kid": jackknifed(Kernel(reals, fakes, groups).distance, count)}, []
    few = _too_few(reals, fakes, min(left))
    if few:
        notes.append(f"FID is left out: {few}; see the kernel distance (KID)")
    else:
        a, b = (Moments(x, some) for x, some in zip((reals, fakes), groups, strict=True))
        found["fid"] = jackknifed(lambda group: gaussian_distance(*a.gaussian(group), *b.gaussian(group)), count)
    found |= _bootstrapped(memberships(reals, fakes, k_pr=k_pr, k_dc=k_dc), generator)
    if probabilities is not None and left[1] < SPLITS:
        notes.append(f"the Inception score is left out: {len(fakes)} generated items are too few for {SPLITS} splits")
    elif probabilities is not None:
        p = as_rows(probabilities, "probabilities", "(items, classes)")
        found["is"] = jackknifed(lambda group: inception_score(p[without(groups[1], group)])[0], count)
    return Judged(_entries(found, extractor, len(reals), len(fakes)), tuple(notes))


def _entries(found: dict[str, Estimate], extractor: str, n_real: int, n: int) -> dict[str, dict[str, Any]]:
    """What :class:`Judged` holds, in the order of :data:`MEASURES`."""
    numbers: dict[str, dict[str, Any]] = {}
    for name, (better, lowest, highest) in MEASURES.items():
        if name in found:
            mean, *ends = found[name]
            interval = [float(np.clip(end, lowest, highest)) for end in ends]
            of = {"n": n, "n_real": 0 if name == "is" else n_real}
            numbers[f"{name}[{extractor}]"] = {"mean": mean, "ci95": interval, **of, "unit": "1", "better": better}
    return numbers


def _too_few(real: Tensor, fake: Tensor, least: int) -> str:
    """Why there is no Fréchet distance where a set, or what an interval leaves of it, has ``least`` items; or empty."""
    d = real.shape[1]
    if least > d:
        return ""
    of_them = f", {least} of them where a group is left out," if least < min(len(real), len(fake)) else ""
    return (
        f"{len(real)} real and {len(fake)} generated items{of_them} are too few for {d} features: the covariance has no "
        "full rank, and the Fréchet distance is meaningless"
    )


def memberships(real: Tensor, fake: Tensor, *, k_pr: int = 0, k_dc: int = 0) -> dict[str, Array]:
    """Each item's own value of the measures for which a number of neighbours is given; their means are the measures.

    ``precision`` and ``density`` are of the generated items, ``recall`` and ``coverage`` of the real ones.
    """
    ks = [k for k in (k_pr, k_dc) if k]
    radii = neighbour_distances(real, max(ks))
    found = cross(real, fake, [radii[:, k - 1] for k in ks], [kth_distances(fake, k_pr)] if k_pr else [])
    values: dict[str, Tensor] = {}
    if k_pr:
        values |= {"precision": found.fakes[0] > 0, "recall": found.reals[0] > 0}
    if k_dc:
        values |= {"density": found.fakes[-1].double() / k_dc, "coverage": found.nearest <= radii[:, k_dc - 1]}
    return {name: value.double().cpu().numpy() for name, value in values.items()}


def _bootstrapped(values: dict[str, Array], generator: np.random.Generator) -> dict[str, Estimate]:
    """Means and percentile intervals (Efron 1979); an item is drawn with all its values."""
    means: dict[str, Array] = {name: np.empty(RESAMPLES) for name in values}
    for i in range(RESAMPLES):
        for names in (("precision", "density"), ("recall", "coverage")):  # of generated items, of real ones
            drawn = generator.integers(0, len(values[names[0]]), len(values[names[0]]))
            for name in names:
                means[name][i] = values[name][drawn].mean()
    whole = {name: float(value.mean()) for name, value in values.items()}
    whole["f1"] = f1(whole["precision"], whole["recall"])
    means["f1"] = np.asarray([f1(p, r) for p, r in zip(means["precision"], means["recall"], strict=True)])
    ends = {name: np.percentile(means[name], [2.5, 97.5]) for name in whole}
    return {name: (whole[name], float(low), float(high)) for name, (low, high) in ends.items()}
