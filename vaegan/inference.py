"""A model over a signal of any size: windows of the size it was trained on, overlapped and blended smoothly."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vaegan.errors import UserError
from vaegan.models import Model, Restored

Progress = Callable[[int, int], None]
"""Called with the windows done and the windows in all."""


def starts(size: int, window: int, overlap: float) -> list[int]:
    """Where windows begin along an axis, evenly spread: the first at 0, the last ending at ``size``."""
    if size <= window:
        return [0]
    stride = max(1, int(window * (1.0 - overlap)))
    count = -(-(size - window) // stride) + 1
    return [round(i * (size - window) / (count - 1)) for i in range(count)]


def blending(window: Sequence[int]) -> Float[Tensor, "1 1 *window"]:
    """The weight of each sample of a window: a raised cosine along each axis, never quite zero at the edge."""
    weight = torch.ones((1, 1, *window))
    for axis, size in enumerate(window, start=2):
        ramp = torch.sin(torch.pi * (torch.arange(size) + 0.5) / size).square().clamp(min=1e-3)
        weight = weight * ramp.view(*(-1 if i == axis else 1 for i in range(weight.dim())))
    return weight


@torch.no_grad()
def restore_any_size(
    model: Model,
    y: Float[Tensor, "batch channels *space"],
    mask: Bool[Tensor, "batch 1 *space"] | None = None,
    *,
    samples: int = 0,
    overlap: float = 0.5,
    batch: int = 16,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Restores signals of any size, each returned at exactly its size.

    Args:
        model: in evaluation mode; its windows have the size of ``model.spec``.
        y: observed signals in model units, of any size along each axis.
        mask: True where a sample was observed.
        samples: posterior samples for mean and spread; 0 decodes the posterior mean and gives no spread.
        overlap: share of a window that its neighbour covers again, 0 to below 1.
        batch: windows at once.
        generator: of the posterior samples, on the model's device.
        progress: called after each batch of windows.
    """
    if not 0 <= overlap < 1:
        raise UserError(f"overlap is {overlap}", expected="0 up to, not including, 1", mend="set --overlap")
    spec = model.spec
    if y.dim() != spec.dims + 2 or y.shape[1] != spec.channels:
        raise UserError(
            f"signals of shape {tuple(y.shape)}",
            expected=f"(batch, {spec.channels}, {', '.join(axis.name for axis in spec.axes)})",
            mend="give signals with the channels that the run was trained on",
        )
    device = next(model.parameters()).device
    sizes, window = tuple(y.shape[2:]), spec.sizes
    padded, seen = _padded(y, window), None if mask is None else _padded(mask.float(), window) > 0.5
    weight = blending(window)
    total, norm = torch.zeros_like(padded), torch.zeros(1, 1, *padded.shape[2:])
    spread = torch.zeros_like(padded) if samples else None
    corners = list(itertools.product(*(starts(n, w, overlap) for n, w in zip(padded.shape[2:], window, strict=True))))
    places = [(item, corner) for item in range(len(y)) for corner in corners]
    for corner in corners:
        norm[_window(corner, window)] += weight
    for first in range(0, len(places), batch):
        chunk = places[first : first + batch]
        cut = torch.cat([padded[item : item + 1][_window(corner, window)] for item, corner in chunk]).to(device)
        cut_mask = (
            None if seen is None else torch.cat([seen[i : i + 1][_window(c, window)] for i, c in chunk]).to(device)
        )
        restored = model.restore(cut, cut_mask, samples=samples, generator=generator)
        for (item, corner), row in zip(chunk, range(len(chunk)), strict=True):
            place = (slice(item, item + 1), slice(None), *_window(corner, window)[2:])
            total[place] += restored.mean[row : row + 1].cpu() * weight
            if spread is not None and restored.spread is not None:
                spread[place] += restored.spread[row : row + 1].cpu() * weight
        if progress is not None:
            progress(min(first + batch, len(places)), len(places))
    whole = (slice(None), slice(None), *(slice(0, size) for size in sizes))
    return Restored((total / norm)[whole], None if spread is None else (spread / norm)[whole])


def _window(corner: Sequence[int], window: Sequence[int]) -> tuple[slice, ...]:
    return (slice(None), slice(None), *(slice(c, c + w) for c, w in zip(corner, window, strict=True)))


def _padded(x: Tensor, window: Sequence[int]) -> Tensor:
    """``x`` continued at its ends to at least a window: mirrored as far as that goes, then repeated."""
    for axis, (size, least) in enumerate(zip(x.shape[2:], window, strict=True), start=2):
        if size < least:
            index = torch.arange(least) % max(2 * size - 2, 1)
            x = x.index_select(axis, torch.where(index < size, index, 2 * size - 2 - index) if size > 1 else index * 0)
    return x
