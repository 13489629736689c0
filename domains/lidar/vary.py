"""Turns that might have been recorded, made of those that were: a drive of a minute is soon known by heart."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

NEARER = 0.3
"""Largest change of all ranges of a turn, as a logarithm."""
HARMONICS = 4
SWAY = 0.12
"""Largest change of each harmonic of the azimuth, as a logarithm of the range."""
WIDER = 0.3
"""Largest relative change of the width of things."""
STEP = 0.05
"""Relative step of the range from which two neighbouring columns show two things, between which nothing is interpolated."""
GAIN = 0.3
"""Largest change of the reflectance, as a logarithm."""
COMPOSED = 0.4
"""Share of the turns before which stands what is nearer in another turn."""
SECTOR = 0.2
"""Least share of the azimuth in which it does."""
BEFORE = 0.9
"""What is nearer by less than this factor of the range is not put before: it may be the same surface."""
MOVED = 3
"""Most rows by which a turn is moved up or down."""


def varied(
    x: Float[Tensor, "batch channels rows columns"], far: float, absent: float, generator: torch.Generator
) -> Float[Tensor, "batch channels rows columns"]:
    """Turns with ranges scaled by a smooth function of the azimuth, their columns stretched and squeezed, and another gain.

    What a beam meets keeps its order along a column. In a sector of some turns, what is nearer in another turn of the batch,
    itself turned about, stands before what is there: new neighbours at new edges. All of it is moved up or down by a few
    rows: where each fourth beam is kept, other beams are kept each time.

    Args:
        x: ranges in metres and, perhaps, reflectances from 0 to 1.
        far: metres; ranges that come to lie beyond it do not come back.
        absent: what stands for no echo: NaN, or 0.
        generator: for everything that is drawn.
    """
    n, columns = len(x), x.shape[-1]
    draws = torch.rand(n, 4 + 2 * HARMONICS, generator=generator, device=x.device) * 2.0 - 1.0
    azimuth = torch.arange(columns, device=x.device) * (2.0 * math.pi / columns)
    # Where each column looks: a circle that runs ahead of itself and falls back, monotone as WIDER is below 1.
    source = azimuth + draws[:, :1].abs() * WIDER * torch.sin(azimuth + draws[:, 1:2] * math.pi)
    place = source * (columns / (2.0 * math.pi))
    first = place.floor()
    part = (place - first)[:, None, None]
    left, right = (_columns(x, (first.long() + step) % columns) for step in (0, 1))
    near, next_ = left[:, :1], right[:, :1]
    joined = (near - next_).abs() < STEP * torch.minimum(near, next_)
    out = torch.where(joined, torch.lerp(left, right, part), torch.where(part < 0.5, left, right))
    order = torch.arange(1, HARMONICS + 1, device=x.device)[:, None]
    amplitudes, phases = draws[:, 4 : 4 + HARMONICS, None] * SWAY, draws[:, 4 + HARMONICS :, None] * math.pi
    waves = (amplitudes * torch.sin(order * azimuth + phases)).sum(1)
    ranges = out[:, :1] * torch.exp(draws[:, 2:3] * NEARER + waves)[:, None, None]
    light = (out[:, 1:] * torch.exp(draws[:, 3] * GAIN).view(-1, 1, 1, 1)).clamp(max=1.0)
    out = torch.where(ranges >= far, absent, torch.cat([ranges, light], dim=1))
    out = _composed(out, generator)
    steps = torch.randint(-MOVED, MOVED + 1, (n,), generator=generator, device=x.device)
    return _moved(out, steps, absent)


def _composed(x: Tensor, generator: torch.Generator) -> Tensor:
    """(batch, channels, rows, columns), with what is nearer in the turn at the batch's other end put before some of each."""
    n, columns = len(x), x.shape[-1]

    def uniform() -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=generator, device=x.device)

    turned = torch.randint(0, columns, (n,), generator=generator, device=x.device)
    place = torch.arange(columns, device=x.device)
    other = _columns(x.flip(0), (place + turned[:, None]) % columns)
    theirs, own = other[:, :1], x[:, :1]
    nearer = (theirs > 0) & (~(own > 0) | (theirs < BEFORE * own))  # NaN, or 0, where there is no echo
    inside = ((place / columns - uniform()) % 1.0) < SECTOR + (1.0 - SECTOR) * uniform()
    return torch.where(nearer & inside & (uniform() < COMPOSED), other, x)


def _moved(x: Tensor, steps: Tensor, absent: float) -> Tensor:
    """(batch, channels, rows, columns), each item's rows moved up by its own number of steps; nothing moves in."""
    rows = x.shape[2]
    source = torch.arange(rows, device=x.device) + steps[:, None]
    outside = ((source < 0) | (source >= rows))[:, None, :, None]
    index = source.clamp(0, rows - 1)[:, None, :, None].expand_as(x)
    return torch.where(outside, absent, torch.gather(x, 2, index))


def _columns(x: Tensor, index: Tensor) -> Tensor:
    """(batch, channels, rows, columns) of each item's own choice of columns, (batch, columns)."""
    return torch.gather(x, -1, index[:, None, None].expand(-1, *x.shape[1:3], -1))
