"""Which beams of a restored planar scan have a range, against those that truly had an echo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.lidar.metrics import f1, mean_known
from domains.lidar.scan_files import short_gaps
from vaegan.data import SignalSet

MOST_SCANS = 400
LOST = (0.1, 0.3, 0.5)
"""Shares of the echoes that are lost before the rule is asked which came back."""


def hit_scores(hit: NDArray[Any], observed: NDArray[Any], *, longest: int, wraps: bool) -> dict[str, float]:
    """F1 of hits and of misses, means over scans, of what was observed and of what is written.

    Written is what was observed, and gaps of at most ``longest`` beams with an echo on both sides: the network says how far,
    and this rule where.

    Args:
        hit: (n, beams) where there truly was an echo.
        observed: (n, beams) where one was observed.
        longest: beams.
        wraps: whether the last beam neighbours the first.

    Returns:
        ``hit_f1_observed``, ``hit_f1``, ``miss_f1_observed``, ``miss_f1``, and ``invented``, the share of true misses that
        get a range.
    """
    written = observed | np.stack([short_gaps(row, longest, wraps=wraps) for row in observed])
    misses, invented = (~hit).sum(), (written & ~hit).sum()
    return {
        "hit_f1_observed": _mean(f1(observed, hit)),
        "hit_f1": _mean(f1(written, hit)),
        "miss_f1_observed": _mean(f1(~observed, ~hit)),
        "miss_f1": _mean(f1(~written, ~hit)),
        "invented": float(invented / misses) if misses else 0.0,
    }


def _mean(values: NDArray[Any]) -> float:
    return float(mean_known(values[None])[0])


def section(
    test: SignalSet, *, longest: int, wraps: bool, lost: Sequence[float] = LOST, seed: int = 0
) -> Mapping[str, str]:
    """A report's table of :func:`hit_scores` of up to 400 test scans that lose their echoes at random."""
    chosen = np.unique(np.linspace(0, len(test) - 1, min(len(test), MOST_SCANS)).astype(int))
    hit = np.isfinite(np.asarray(test.signals)[chosen, 0])
    random = np.random.default_rng(seed)
    rows = []
    for share in lost:
        observed = hit & (random.random(hit.shape) >= share)
        found = hit_scores(hit, observed, longest=longest, wraps=wraps)
        cells = "".join(f"<td>{value:.3f}</td>" for value in found.values())
        rows.append(f"<tr><td>{100 * share:g} %</td>{cells}</tr>")
    head = (
        "<th>lost</th><th>hits observed</th><th>hits written</th><th>misses observed</th><th>misses written</th>"
        "<th>misses given a range</th>"
    )
    text = (
        f"F1 of which beams have an echo, {len(chosen)} test scans. Gaps of at most {longest} beams with an echo on both "
        "sides are written, longer ones are left: the network says how far, not where. The last column is the share of "
        "true misses that get a range so."
    )
    return {"Hits and misses": f"<p>{text}</p><table><tr>{head}</tr>{''.join(rows)}</table>"}
