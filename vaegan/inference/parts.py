"""Restoring window by window: what is finished is handed on before the next is read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vaegan.errors import UserError
from vaegan.inference.cover import LARGEST, MEMORY, Cover, bytes_per_sample, covers, pieces
from vaegan.models import Model, Restored

Progress = Callable[[int, int], None]
"""Called with the windows done and the windows in all."""

SLAB = 2**20
"""Values that are handed on at once."""

Index = Int[np.ndarray, "_"]
Read = Callable[[int, tuple[Index, ...]], tuple[Tensor, Tensor | None]]
"""Signal ``item`` at these indices of each axis: (1, channels, *window) in model units, and its mask or ``None``."""

Write = Callable[[int, tuple[slice, ...], Restored], None]
"""Takes a part of signal ``item``, (1, channels, *part), on the CPU; each sample comes once."""

Place = tuple[int, int, int]
"""A window: the signal, and the window's number along the longest axis and along the other."""


def check_signals(model: Model, shape: Sequence[int]) -> None:
    """Whether a model can restore signals of this shape, (n, channels, *space).

    Raises:
        UserError: for another number of axes or channels, or nothing at all.
    """
    spec = model.spec
    if len(shape) != spec.dims + 2 or shape[1] != spec.channels or 0 in shape:
        raise UserError(
            f"signals of shape {tuple(shape)}",
            expected=f"(batch, {spec.channels}, {', '.join(axis.name for axis in spec.axes)})",
            mend="give signals with the channels that the run was trained on",
        )


class _Grid:
    """The windows of a signal, row by row along its longest axis; a signal of one axis has a second one of 1 sample."""

    def __init__(self, plan: Sequence[Cover], sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)
        self.order = sorted(range(len(sizes)), key=lambda axis: -sizes[axis])
        self.long = plan[self.order[0]]
        self.short = plan[self.order[1]] if len(sizes) > 1 else Cover(1, 1, 1)

    def __len__(self) -> int:
        return len(self.long) * len(self.short)

    def chunks(self, items: int, most: int) -> Iterator[list[Place]]:
        """All windows of all signals in order, up to ``most`` of the same size at once."""
        places = itertools.product(range(items), range(len(self.long)), range(len(self.short)))
        for _, alike in itertools.groupby(
            places, lambda place: (self.long.extent(place[1]), self.short.extent(place[2]))
        ):
            while chunk := list(itertools.islice(alike, most)):
                yield chunk

    def indices(self, k: int, j: int) -> tuple[Index, ...]:
        """The indices of each axis that a window sees."""
        found = dict(zip(self.order, (self.long.reads(k), self.short.reads(j)), strict=False))
        return tuple(found[axis] for axis in range(len(self.sizes)))

    def rows(self, rows: slice) -> tuple[slice, ...]:
        """These rows, whole, as a slice of each axis."""
        return tuple(rows if axis == self.order[0] else slice(0, n) for axis, n in enumerate(self.sizes))

    def turned(self, values: Tensor) -> Float[Tensor, "channels long short"]:
        """(channels, *space) with the longest axis first."""
        return values.movedim(1 + self.order[0], 1) if len(self.sizes) > 1 else values[..., None]

    def natural(self, values: Float[Tensor, "channels long short"]) -> Tensor:
        """The inverse of :meth:`turned`."""
        return values.movedim(1, 1 + self.order[0]) if len(self.sizes) > 1 else values[..., 0]


class _Sums:
    """Weighted windows of one signal, added up; rows that no later window reaches are handed on and forgotten.

    On a ring the first rows wait for the last window.
    """

    def __init__(self, grid: _Grid, channels: int, hand_on: Callable[[tuple[slice, ...], Tensor], None]) -> None:
        self.grid, self.hand_on = grid, hand_on
        self.at = self.first = grid.long.counts(0)[0]
        self.waits = grid.long.counts(len(grid.long) - 1)[1] - self.first - grid.long.size
        self.sums = torch.zeros(channels, 0, grid.short.size)
        self.waiting = self.sums

    def add(self, k: int, j: int, values: Float[Tensor, "channels *window"]) -> None:
        """Adds a restored window; windows come in their order."""
        long, short = self.grid.long, self.grid.short
        (row, last), (column, end) = long.counts(k), short.counts(j)
        self._finish(min(row, self.first + long.size))
        values = self.grid.turned(values).narrow(1, long.offset(k), last - row).narrow(2, short.offset(j), end - column)
        values = values * long.weight(k)[:, None] * short.weight(j)
        if last - self.at > self.sums.shape[1]:
            grown = torch.zeros(len(values), last - self.at, short.size)
            grown[:, : self.sums.shape[1]] = self.sums
            self.sums = grown
        for whole, part in pieces(column, end, short.size):
            self.sums[:, row - self.at : last - self.at, whole] += values[..., part]
        if (k, j) == (len(long) - 1, len(short) - 1):
            self._finish(self.first + long.size + self.waits)

    def _finish(self, until: int) -> None:
        """Hands on the rows before ``until``."""
        size = self.grid.long.size
        if until <= max(self.at, self.first + self.waits):
            return
        done, self.sums, at = self.sums[:, : until - self.at], self.sums[:, until - self.at :].clone(), self.at
        if at == self.first:
            self.waiting, done, at = done[:, : self.waits].clone(), done[:, self.waits :], at + self.waits
        if until > self.first + size:
            done[:, -self.waits :] += self.waiting
        self.at = until
        few = max(1, SLAB // done[:, 0].numel())
        for first in range(at, until, few):  # whoever takes them may need copies
            for whole, part in pieces(first, min(first + few, until), size):
                rows = done[:, part.start + first - at : part.stop + first - at]
                self.hand_on(self.grid.rows(whole), self.grid.natural(rows))


@torch.no_grad()
def restore_in_parts(
    model: Model,
    shape: Sequence[int],
    read: Read,
    write: Write,
    *,
    samples: int = 0,
    overlap: float = 0.5,
    batch: int = 16,
    memory: int = MEMORY,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
) -> None:
    """Restores signals that need not fit into memory, nor does what they become.

    Args:
        model: in evaluation mode.
        shape: (n, channels, *space) of the signals.
        read: called for every window.
        write: called for every part that is finished.
        samples, overlap, batch, memory, generator, progress: as of :func:`restore_any_size`.

    Raises:
        UserError: for signals of other channels, or an overlap that is none.
    """
    check_signals(model, shape)
    if not 0 <= overlap < 1:
        raise UserError(f"overlap is {overlap}", expected="0 up to, not including, 1", mend="set --overlap")
    items, channels, *sizes = shape
    grid = _Grid(covers(model, sizes, overlap=overlap, memory=memory), sizes)
    most = min(memory // bytes_per_sample(model), LARGEST)
    at_once = max(1, min(batch, most // (grid.long.window * grid.short.window)))
    device, done, sums = next(model.parameters()).device, 0, None
    if progress is not None:
        progress(0, items * len(grid))
    for chunk in grid.chunks(items, at_once):
        cuts = [read(item, grid.indices(k, j)) for item, k, j in chunk]
        y = torch.cat([cut for cut, _ in cuts]).to(device)
        masks = [mask for _, mask in cuts if mask is not None]
        restored = model.restore(
            y.contiguous(memory_format=torch.channels_last) if y.dim() == 4 else y,  # up to twice as quick on a CPU
            torch.cat(masks).to(device) if masks else None,
            samples=samples,
            generator=generator,
        )
        both = restored.mean if restored.spread is None else torch.cat([restored.mean, restored.spread], 1)
        for (item, k, j), values in zip(chunk, both.float().cpu(), strict=True):
            if sums is None or (k, j) == (0, 0):
                sums = _Sums(grid, len(values), partial(_hand_on, write, item, channels))
            sums.add(k, j, values)
        done += len(chunk)
        if progress is not None:
            progress(done, items * len(grid))


def _hand_on(write: Write, item: int, channels: int, where: tuple[slice, ...], values: Tensor) -> None:
    write(item, where, Restored(*(part[None] for part in values.split(channels))))


@torch.no_grad()
def restore_any_size(
    model: Model,
    y: Float[Tensor, "batch channels *space"],
    mask: Bool[Tensor, "batch 1 *space"] | None = None,
    *,
    samples: int = 0,
    overlap: float = 0.5,
    batch: int = 16,
    memory: int = MEMORY,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Restores signals of any size, each returned at exactly its size.

    Args:
        model: in evaluation mode. A local one (see :class:`~vaegan.models.Model`) sees windows as large as memory
            allows, and restores as it would in one piece; any other one sees windows of the size of its ``spec``.
        y: observed signals in model units, of any size along each axis. What is smaller than the model's own is
            mirrored; along a periodic axis, windows go on past the end at the beginning.
        mask: True where a sample was observed.
        samples: posterior samples for mean and spread; 0 decodes the posterior mean and gives no spread.
        overlap: share of a window that its neighbour covers again and is blended with, 0 to below 1. Windows of a local
            model overlap by its reach besides, and need no blending but where latents are drawn: 0 is quicker.
        batch: windows at once, at most.
        memory: bytes for what the network makes of the windows at once, about.
        generator: of the posterior samples, on the model's device.
        progress: called before the first and after each batch of windows.

    Raises:
        UserError: for signals of other channels, or an overlap that is none.
    """
    check_signals(model, y.shape)
    mean = torch.empty(y.shape)
    spread = torch.zeros(y.shape) if samples else None

    def read(item: int, index: tuple[Index, ...]) -> tuple[Tensor, Tensor | None]:
        here: tuple[slice | Tensor, ...] = (slice(None), slice(None), *(torch.from_numpy(i) for i in np.ix_(*index)))
        return y[item : item + 1][here], None if mask is None else mask[item : item + 1][here]

    def write(item: int, where: tuple[slice, ...], part: Restored) -> None:
        here = (slice(item, item + 1), slice(None), *where)
        mean[here] = part.mean
        if spread is not None and part.spread is not None:
            spread[here] = part.spread

    restore_in_parts(
        model,
        y.shape,
        read,
        write,
        samples=samples,
        overlap=overlap,
        batch=batch,
        memory=memory,
        generator=generator,
        progress=progress,
    )
    return Restored(mean, spread)
