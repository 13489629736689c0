"""Estimates that are taken again without each group of items: sums for each group once, then one subtraction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from vaegan.metrics.neighbours import mean_of, slices, tile_rows

Groups: TypeAlias = Sequence[Int[Tensor, " _"]]
"""Indices of the items of each group."""
Estimate: TypeAlias = tuple[float, float, float]
"""On all items, and the ends of its interval."""


def without(groups: Groups, left_out: int | None) -> Tensor:
    """The items that are left, in order."""
    return torch.cat([group for i, group in enumerate(groups) if i != left_out]).sort().values


class Moments:
    """Sums and outer products of a set about its mean, in double precision; those of a group are taken again when asked for.

    To keep the products of all groups would take ten times the memory of a covariance, and save one pass over the items.
    """

    def __init__(self, x: Tensor, groups: Groups | None = None) -> None:
        self.x, self.groups, self.centre = x, groups or [torch.arange(len(x))], mean_of(x)
        self.sum, self.outer = self.centre.new_zeros(x.shape[1]), self.centre.new_zeros(x.shape[1], x.shape[1])
        for group in self.groups:
            self._add(group, self.sum, self.outer, 1.0)

    def _add(self, group: Tensor, total: Tensor, outer: Tensor, sign: float) -> None:
        for rows in slices(len(group), tile_rows(self.x.shape[1])):
            block = self.x[group[rows]].double() - self.centre
            total.add_(block.sum(0), alpha=sign)
            outer.addmm_(block.T, block, alpha=sign)

    def gaussian(self, left_out: int | None = None) -> tuple[Tensor, Tensor]:
        """Mean and unbiased covariance, of all items or without those of one group."""
        n, total, outer = len(self.x), self.sum.clone(), self.outer.clone()
        if left_out is not None:
            n -= len(self.groups[left_out])
            self._add(self.groups[left_out], total, outer, -1.0)
        return self.centre + total / n, outer.addr_(total, total, alpha=-1.0 / n).div_(n - 1)


class Kernel:
    """Sums of the cubic kernel over each two groups of items, real ones first, of pairs of different items."""

    def __init__(self, real: Tensor, fake: Tensor, groups: Sequence[Groups] | None = None) -> None:
        cut = groups or [[torch.arange(len(x))] for x in (real, fake)]
        parts = [(x, group) for x, some in zip((real, fake), cut, strict=True) for group in some]
        self.counts = torch.tensor([len(group) for _, group in parts])
        self.sums = torch.zeros(len(parts), len(parts), dtype=torch.float64)
        for i, first in enumerate(parts):
            for j, second in enumerate(parts[: i + 1]):
                self.sums[i, j] = self.sums[j, i] = self._sum(*first, *second, same=i == j)

    @staticmethod
    def _sum(x: Tensor, group: Tensor, y: Tensor, other: Tensor, *, same: bool) -> float:
        d, total, double = x.shape[1], 0.0, torch.float64 in (x.dtype, y.dtype)
        kind, rows = torch.float64 if double else torch.float32, tile_rows(d) // 2 + 1
        for i, a in enumerate(slices(len(group), rows)):
            left = x[group[a]].to(kind)
            for b in slices(len(other), rows)[i if same else 0 :]:
                tile = (left @ y[other[b]].to(kind).T).double().div_(d).add_(1).pow_(3)
                if same:  # a tile off the diagonal stands for two
                    tile = tile.fill_diagonal_(0) if a == b else tile.mul_(2)
                total += float(tile.sum())
        return total

    def distance(self, left_out: int | None = None) -> float:
        """The estimate, of all items or without one group of either set."""
        half = len(self.counts) // 2
        r = [i for i in range(half) if i != left_out]
        f = [half + i for i in r]
        n, m = int(self.counts[r].sum()), int(self.counts[f].sum())
        rr, ff, rf = (float(self.sums[a][:, b].sum()) for a, b in ((r, r), (f, f), (r, f)))
        return rr / (n * (n - 1)) + ff / (m * (m - 1)) - 2 * rf / (n * m)


def jackknifed(estimate: Callable[[int | None], float], groups: int) -> Estimate:
    """The estimate on all items, and its interval by Student's t with ``groups - 1`` degrees of freedom."""
    from scipy.stats import t

    whole, parts = estimate(None), np.asarray([estimate(group) for group in range(groups)])
    half = float(t.ppf(0.975, groups - 1) * np.sqrt((groups - 1) * parts.var()))
    return whole, whole - half, whole + half
