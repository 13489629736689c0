"""Where windows lie along an axis, how large they are, and what each of their samples counts for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil, prod
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vaegan.models import Model
from vaegan.signal import Axis

MEMORY = 512 * 2**20
"""Bytes that a network's features of the windows at hand take, about."""

LARGEST = 2**20
"""Samples at once, at most: more save next to no time, and rows of large windows are held for a while."""

ALIVE = 8
"""How often a network holds its widest features, and a signal, at once; a U-Net was measured at 7 to 9 times."""

_MEASURED: WeakKeyDictionary[Model, int] = WeakKeyDictionary()


def starts(size: int, window: int, hop: int, *, stride: int = 1, ring: bool = False) -> list[int]:
    """Where windows begin along an axis: evenly, at multiples of ``stride``, at most ``hop`` apart.

    The first begins at 0. The last ends at ``size`` and may, for the sake of ``stride``, be shorter by less than that;
    on a ``ring`` it begins at most ``hop`` before the first.
    """
    if size <= window:
        return [0]
    most = max(1, hop // stride)
    if ring:
        steps = size // stride
        count = ceil(steps / max(1, most - (size % stride > 0)))
        return [i * steps // count * stride for i in range(count)]
    steps = ceil((size - window) / stride)
    gaps = ceil(steps / most)
    return [i * steps // gaps * stride for i in range(gaps + 1)]


@lru_cache(maxsize=16)
def blending(length: int, rise: int, fall: int) -> Float[Tensor, " length"]:
    """What each sample of a window counts for: half a raised cosine up, then 1, then one down; never quite zero.

    Where two neighbours share ``rise`` samples, they add up to 1.
    """
    weight = torch.ones(length)
    weight[:rise] *= torch.sin(torch.pi / 2 * (torch.arange(rise) + 0.5) / max(rise, 1)).square()
    weight[length - fall :] *= torch.cos(torch.pi / 2 * (torch.arange(fall) + 0.5) / max(fall, 1)).square()
    return weight


def pieces(first: int, end: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Positions of a ring as slices of it, each with the slice of ``range(first, end)`` that belongs there."""
    at = first
    while at < end:
        until = min(end, (at // size + 1) * size)
        yield slice(at % size, at % size + until - at), slice(at - first, until - first)
        at = until


class Cover:
    """The windows that cover one axis.

    Positions on a ring may lie beyond its ends: they stand for those a whole turn away.

    Args:
        size: samples of the axis.
        window: samples of a window; a shorter axis is mirrored to a whole one, or goes on at its beginning on a ring.
        hop: samples from one window to the next, at most.
        margin: samples at an inner border of a window that count for nothing.
        stride: every window begins at a multiple of it.
        ring: whether the last sample neighbours the first.

    Attributes:
        ring: the same, where one window does not cover all.
    """

    def __init__(
        self, size: int, window: int, hop: int, *, margin: int = 0, stride: int = 1, ring: bool = False
    ) -> None:
        self.size, self.window, self.margin, self.wraps, self.ring = size, window, margin, ring, ring and size > window
        self.starts = starts(size, window, hop, stride=stride, ring=ring)
        self.sums = torch.zeros(size)
        for k in range(len(self)):
            for whole, part in pieces(*self.counts(k), size):
                self.sums[whole] += self._profile(k)[part]

    def __len__(self) -> int:
        return len(self.starts)

    def extent(self, k: int) -> int:
        """How many samples window ``k`` sees: fewer than others only where the axis ends."""
        return self.window if self.ring or len(self) == 1 else min(self.window, self.size - self.starts[k])

    def reads(self, k: int) -> Int[np.ndarray, " length"]:
        """The indices of the axis that window ``k`` sees."""
        if self.size < self.window and not self.wraps:
            there_and_back = np.arange(self.window) % max(2 * self.size - 2, 1)
            return np.minimum(there_and_back, np.abs(2 * self.size - 2 - there_and_back))
        return np.arange(self.starts[k], self.starts[k] + self.extent(k)) % self.size

    def counts(self, k: int) -> tuple[int, int]:
        """The positions, from the first to before the last, that window ``k`` counts for; on a ring k may be any."""
        turns, k = divmod(k, len(self)) if self.ring else (0, k)
        first = self.starts[k] + turns * self.size
        before, after = self.ring or k > 0, self.ring or k < len(self) - 1
        return first + self.margin * before, first + self.window - self.margin if after else self.size

    def offset(self, k: int) -> int:
        """Where, in window ``k``, the positions begin that it counts for."""
        return self.counts(k)[0] - self.starts[k]

    def weight(self, k: int) -> Float[Tensor, " length"]:
        """How much window ``k`` counts at each of its positions; over all windows that adds up to 1."""
        return self._profile(k) / self.sums[torch.arange(*self.counts(k)) % self.size]

    def _profile(self, k: int) -> Tensor:
        first, end = self.counts(k)
        rise = self.counts(k - 1)[1] - first if self.ring or k > 0 else 0
        fall = end - self.counts(k + 1)[0] if self.ring or k < len(self) - 1 else 0
        return blending(end - first, rise, fall)


def covers(model: Model, sizes: Sequence[int], *, overlap: float, memory: int = MEMORY) -> list[Cover]:
    """How windows of a model cover each axis.

    Args:
        model: what restores them.
        sizes: samples along each axis.
        overlap: share of a window of the model's own size that neighbours have in common; those of a local model have
            its reach in common besides.
        memory: bytes for the features of a window, which is never smaller than the model's own or than its reach asks.
    """
    axes = model.spec.axes
    if model.reach is None:
        return [
            Cover(n, axis.size, max(1, int(axis.size * (1 - overlap))), ring=axis.periodic)
            for n, axis in zip(sizes, axes, strict=True)
        ]
    samples = min(memory / bytes_per_sample(model), LARGEST)
    found: dict[int, Cover] = {}
    for i in sorted(range(len(sizes)), key=lambda i: sizes[i]):  # what a short axis leaves is the longer one's
        most = int(samples ** (1 / (len(sizes) - len(found))))
        blend = ceil(axes[i].size * overlap)
        found[i] = _local_cover(axes[i], sizes[i], most, model.reach, model.stride, blend)
        samples /= found[i].window
    return [found[i] for i in range(len(sizes))]


def _local_cover(axis: Axis, size: int, most: int, reach: int, stride: int, blend: int) -> Cover:
    """Windows of at most ``most`` samples; more only where less than a third of each were left between its margins."""

    def whole(n: float) -> int:
        return ceil(n / stride) * stride

    margin = whole(reach)
    shared = whole(2 * margin + blend)
    window = max(most // stride * stride, whole(axis.size), shared + max(margin, 2 * stride))
    if size <= window:  # in one piece, and a ring closes itself
        window = size if axis.periodic else max(size, axis.size)
        return Cover(size, window, window)
    # As many windows as that takes, none larger than it need be.
    if axis.periodic:
        count = ceil(size / (window - shared))
        window = min(window, whole(size / count) + shared + (stride if size % stride else 0))
    else:
        count = ceil((size - shared) / (window - shared))
        window = min(window, whole((size + (count - 1) * shared) / count))
    return Cover(size, window, window - shared, margin=margin, stride=stride, ring=axis.periodic)


@torch.no_grad()
def bytes_per_sample(model: Model) -> int:
    """Memory that restoring takes for each sample, after the widest features of a signal of the model's own size.

    It takes a restoration to find out, so that is done once a model.
    """
    if model in _MEASURED:
        return _MEASURED[model]
    widest = prod(model.spec.shape)

    def note(_: nn.Module, __: Any, features: Any) -> None:
        nonlocal widest
        widest = max(widest, features.numel() if isinstance(features, Tensor) else 0)

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        model.restore(torch.zeros(1, *model.spec.shape, device=next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    _MEASURED[model] = 4 * ALIVE * (ceil(widest / prod(model.spec.sizes)) + model.spec.channels)
    return _MEASURED[model]
