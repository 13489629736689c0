"""Nearest neighbours in feature space, tile by tile: memory follows a budget, not the number of items.

A tile of squared distances is ``|a|² + |b|² - 2ab``, one single-precision matrix product, of items from which the
common mean has been subtracted (block by block, never in a copy of the whole), so that what all items share does not
cancel. What that leaves uncertain is settled by the differences themselves: the few nearest items are measured
again, and so is every pair that lies within rounding of the surface of a ball. Balls hold their surface.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vaegan.errors import DataError

Features: TypeAlias = Float[np.ndarray, "n features"] | Float[Tensor, "n features"]
"""One row of features an item: finite values of any floating type."""
Others: TypeAlias = Float[np.ndarray, "m features"] | Float[Tensor, "m features"]
"""A second set of items."""

ALIGNED = 64
"""Matrix products of other numbers of rows are a quarter slower."""
BLOCK_MIB = 64.0
LARGEST = 1e15
"""Features beyond this would leave single precision when they are squared."""
SPARE = 2
"""Neighbours kept beyond those asked for, in case rounding has changed the order of the last."""


@dataclass(frozen=True)
class Crossing:
    """Real and generated items among each other's balls.

    Attributes:
        fakes: for each set of real radii, (generated items,) how many real balls hold the item.
        reals: for each set of generated radii, (real items,) how many generated balls hold the item.
        nearest: (real items,) distance to the nearest generated item.
    """

    fakes: tuple[Int[Tensor, " fakes"], ...]
    reals: tuple[Int[Tensor, " reals"], ...]
    nearest: Float[Tensor, " reals"]


def kth_distances(x: Features, k: int, *, block_mib: float = BLOCK_MIB) -> Float[Tensor, " n"]:
    """Distance of each item to its ``k``-th nearest other item of the same set, in double precision.

    Raises:
        DataError: where there are fewer than ``k + 1`` items, or ``x`` is not (items, features).
    """
    return neighbour_distances(x, k, block_mib=block_mib)[:, -1]


@torch.no_grad()
def neighbour_distances(x: Features, k: int, *, block_mib: float = BLOCK_MIB) -> Float[Tensor, "n k"]:
    """Distances of each item to its ``k`` nearest other items of the same set, ascending, in double precision.

    Each tile serves its rows and its columns: about half of the matrix is never computed.

    Raises:
        DataError: where there are fewer than ``k + 1`` items, or ``x`` is not (items, features).
    """
    items = as_rows(x, "features")
    _enough(items, k, k + 1)
    mean, best = mean_of(items).float(), _Nearest(len(items), k + SPARE, items.device)
    blocks = slices(len(items), tile_rows(items.shape[1], block_mib))
    for i, above in enumerate(blocks):
        left, squares = _centred(items[above], mean)
        best.take(above, _distances(left, squares, left, squares).fill_diagonal_(torch.inf), above.start)
        for below in blocks[i + 1 :]:
            tile = _distances(left, squares, *_centred(items[below], mean))
            best.take(above, tile, below.start)
            best.take(below, tile.T, above.start)
    return best.measured(items, items, k)[0]


@torch.no_grad()
def nearest(
    queries: Features, items: Others, k: int = 1, *, block_mib: float = BLOCK_MIB
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """The ``k`` items nearest to each query.

    Returns:
        Distances in double precision, ascending, and the items' indices.

    Raises:
        DataError: where there are fewer than ``k`` items, or the two sets' features differ in number.
    """
    asked, found = as_pair(queries, items, ("queries'", "items'"))
    _enough(found, k, k)
    mean, best = mean_of(asked, found).float(), _Nearest(len(asked), k + SPARE, asked.device)
    rows = tile_rows(asked.shape[1], block_mib)
    for above in slices(len(asked), rows):
        left = _centred(asked[above], mean)
        for across in slices(len(found), rows):
            best.take(above, _distances(*left, *_centred(found[across], mean)), across.start)
    return best.measured(asked, found, k)


@torch.no_grad()
def cross(
    real: Features,
    fake: Others,
    real_radii: Sequence[Float[Tensor, " n"]],
    fake_radii: Sequence[Float[Tensor, " m"]],
    *,
    block_mib: float = BLOCK_MIB,
) -> Crossing:
    """Counts, in one pass, which real balls hold which generated items and the reverse.

    Args:
        real: the real items, first here as everywhere.
        fake: the generated items.
        real_radii: any number of radii for the balls around the real items, as from :func:`kth_distances`.
        fake_radii: the same around the generated items.
        block_mib: budget of the working memory.

    Raises:
        DataError: where the two sets' features differ in number.
    """
    reals, fakes = as_pair(real, fake)
    mean, best = mean_of(reals, fakes).float(), _Nearest(len(reals), 1 + SPARE, reals.device)
    held_fakes = [torch.zeros(len(fakes), dtype=torch.int64, device=reals.device) for _ in real_radii]
    held_reals = [torch.zeros(len(reals), dtype=torch.int64, device=reals.device) for _ in fake_radii]
    rows = tile_rows(reals.shape[1], block_mib)
    for above in slices(len(reals), rows):
        left, squares = _centred(reals[above], mean)
        for across in slices(len(fakes), rows):
            right, others = _centred(fakes[across], mean)
            tile = _distances(left, squares, right, others)
            del right
            best.take(above, tile, across.start)
            for count, radii in zip(held_fakes, real_radii, strict=True):
                balls = _Balls(reals[above], squares, radii[above])
                count[across] += balls.hold(fakes[across], tile).sum(0, dtype=torch.int32)
            for count, radii in zip(held_reals, fake_radii, strict=True):
                balls = _Balls(fakes[across], others, radii[across])
                count[above] += balls.hold(reals[above], tile.T).sum(0, dtype=torch.int32)
    distances, _ = best.measured(reals, fakes, 1)
    return Crossing(tuple(held_fakes), tuple(held_reals), distances[:, 0])


def tile_rows(features: int, block_mib: float = BLOCK_MIB) -> int:
    """Rows ``s`` of a square tile, the most that the budget holds, at least 1.

    Counted are two blocks of items with what it takes to centre them (16 bytes a feature) and, a pair, one distance
    and two masks with their sums (8 bytes): ``8 s (s + 2 features)`` bytes in all.
    """
    return max(1, int(math.sqrt(features**2 + block_mib * 2**20 / 8) - features))


def as_rows(x: Features, name: str, axes: str = "(items, features)") -> Tensor:
    """``x`` as a tensor that shares its memory.

    Raises:
        DataError: where it has not two axes, or one of them is empty.
    """
    if isinstance(x, Tensor):
        found = x.detach()
    else:
        with warnings.catch_warnings():  # a file mapped into memory need not be writable: it is only read
            warnings.simplefilter("ignore")
            found = torch.from_numpy(np.ascontiguousarray(x))
    if found.ndim != 2 or 0 in found.shape:
        raise DataError(f"{name} of shape {tuple(found.shape)}", expected=axes)
    return found


def as_pair(real: Features, fake: Others, names: tuple[str, str] = ("real", "generated")) -> tuple[Tensor, Tensor]:
    """Both sets as tensors that share their memory, on the first one's device.

    Raises:
        DataError: where one of them is not (items, features), or they differ in the number of features.
    """
    a = as_rows(real, f"{names[0]} features")
    b = as_rows(fake, f"{names[1]} features").to(a.device)
    if a.shape[1] != b.shape[1]:
        raise DataError(
            f"{names[0]} features of shape {tuple(a.shape)}, {names[1]} features of shape {tuple(b.shape)}",
            expected="(items, features) with the same number of features in both",
            mend="are the axes of one swapped?" if a.shape[0] == b.shape[1] or a.shape[1] == b.shape[0] else "",
        )
    return a, b


def comparable(real: Features, fake: Others, k: int = 1) -> tuple[Tensor, Tensor]:
    """Both sets as by :func:`as_pair`, with more than ``k`` items each, finite, and not all the same.

    Raises:
        DataError: where they are not.
    """
    sets = as_pair(real, fake)
    for x, name in zip(sets, ("real", "generated"), strict=True):
        _enough(x, k, k + 1, f"{name} items")
        wrong: list[bool] = []
        first = _wide(x[0])
        spread, size = torch.zeros_like(first), torch.zeros_like(first)
        for rows in slices(len(x), tile_rows(x.shape[1])):
            block = _wide(x[rows]).abs()
            wrong += (~(block <= LARGEST).all(1)).tolist()  # NaN too
            size = torch.maximum(size, block.amax(0))
            spread = torch.maximum(spread, torch.sub(_wide(x[rows]), first, out=block).abs_().amax(0))
        if any(wrong):
            raise DataError(
                f"{sum(wrong)} of {len(x)} {name} items hold NaN, infinity or features beyond {LARGEST:g} "
                f"(the first is item {wrong.index(True)})",
                expected="finite features",
            )
        rounding = 8 * torch.finfo(first.dtype).eps
        if (spread <= rounding * torch.maximum(size, size.median())).all():
            raise DataError(f"the features of all {len(x)} {name} items are the same", expected="features that vary")
    return sets


def _enough(items: Tensor, k: int, least: int, name: str = "items") -> None:
    if k < 1:
        raise DataError(f"k = {k}", expected="at least one neighbour")
    if len(items) < least:
        raise DataError(f"{len(items)} {name} for k = {k}", expected=f"at least {least}")


def slices(n: int, rows: int) -> list[slice]:
    """Consecutive blocks of at most ``rows`` items, about even; of a multiple of 64 where there is room for it."""
    rows = rows // ALIGNED * ALIGNED or rows
    size = math.ceil(n / math.ceil(n / rows))
    size = min(rows, math.ceil(size / ALIGNED) * ALIGNED)
    return [slice(first, min(first + size, n)) for first in range(0, n, size)]


def mean_of(*sets: Tensor) -> Float[Tensor, " features"]:
    """The mean of all items of all sets, in double precision."""
    total = torch.zeros(sets[0].shape[1], dtype=torch.float64, device=sets[0].device)
    for x in sets:
        for rows in slices(len(x), max(1, 2**20 // x.shape[1])):
            total += x[rows].double().sum(0)
    return total / sum(len(x) for x in sets)


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _centred(block: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """A block without the mean, and its rows' squared norms."""
    centred = (_wide(block) - mean).float()
    return centred, centred.square().sum(1)


def _distances(left: Tensor, squares: Tensor, right: Tensor, others: Tensor) -> Tensor:
    """(rows, columns) squared distances between two centred blocks."""
    tile = squares[:, None] + others
    return tile.addmm_(left, right.T, alpha=-2.0).clamp_(min=0.0)


def _exact(a: Tensor, b: Tensor) -> Tensor:
    """Distances between rows by their differences, in double precision."""
    return (_wide(a) - _wide(b)).square().sum(-1).double().sqrt()


class _Nearest:
    """The ``k`` smallest squared distances of each item so far, and to which items they are."""

    def __init__(self, n: int, k: int, device: torch.device) -> None:
        self.squares = torch.full((n, k), torch.inf, device=device)
        self.where = torch.zeros((n, k), dtype=torch.int64, device=device)

    def take(self, rows: slice, tile: Tensor, first: int) -> None:
        """Looks through a tile whose columns are the items from ``first`` on."""
        k = self.squares.shape[1]
        values, where = tile.topk(min(k, tile.shape[1]), dim=1, largest=False)
        values = torch.cat([self.squares[rows], values], 1)
        self.squares[rows], chosen = values.topk(k, dim=1, largest=False)
        self.where[rows] = torch.cat([self.where[rows], where + first], 1).gather(1, chosen)

    def measured(self, queries: Tensor, items: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The ``k`` nearest by exact distance, ascending, and their indices."""
        distances = torch.empty(self.where.shape, dtype=torch.float64, device=self.where.device)
        for rows in slices(len(queries), max(1, 2**19 // (self.where.shape[1] * items.shape[1]))):
            distances[rows] = _exact(queries[rows].unsqueeze(1), items[self.where[rows]])
        distances[self.squares.isinf()] = torch.inf  # a set with no items to spare
        distances, order = distances.topk(k, dim=1, largest=False)
        return distances, self.where.gather(1, order)


class _Balls:
    """Balls around a block of items.

    Args:
        centres: (balls, features) as given, not centred.
        squares: (balls,) squared norms of the centred centres.
        radii: (balls,) in double precision.
    """

    def __init__(self, centres: Tensor, squares: Tensor, radii: Tensor) -> None:
        self.centres, self.radii = centres, radii
        # What a ball holds is at most this far from the mean, and a tile's rounding grows with the square of that;
        # with the features it grows as a random walk at most. What was measured is below two thirds of this.
        reach = squares.double().sqrt() + radii
        slack = torch.finfo(torch.float32).eps * (4 + math.sqrt(centres.shape[1])) * reach.square()
        self.surely, self.perhaps = ((radii.square() + sign * slack).float()[:, None] for sign in (-1, 1))

    def hold(self, others: Tensor, tile: Tensor) -> Tensor:
        """(balls, items) which balls hold which of ``others``, whose squared distances are ``tile``."""
        inside = tile <= self.surely
        doubtful = (tile <= self.perhaps).logical_xor_(inside)
        if doubtful.any():
            for ball in doubtful.any(1).nonzero()[:, 0].tolist():
                items = doubtful[ball].nonzero()[:, 0]
                inside[ball, items] = _exact(self.centres[ball], others[items]) <= self.radii[ball]
        return inside
