"""``python -m benchmarks oracle``: how well EEG could be cleaned by a filter that knew what no method knows.

A target for a restoring network means little where signal and artifact share their frequencies. Here each test window is
filtered by Wiener's filter ``S_x / (S_x + S_n)`` of its *own* power spectra, true EEG and true artifact apart, smoothed over
a few bins. No method has these spectra. What it leaves is what spectra cannot tell apart, so a network that comes near it
has little left to gain but by phases and by what the bursts look like in time.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.arguments import Parser, positive
from vaegan.degradation import build
from vaegan.errors import UserError
from vaegan.run import Run, load

WIDTHS = (3, 9, 17)
"""Bins over which the spectra are smoothed."""


def wiener(x: NDArray[Any], y: NDArray[Any], width: int) -> NDArray[Any]:
    """``y`` filtered by the power spectra of ``x`` and ``y - x``, each smoothed over ``width`` bins.

    Args:
        x: (..., samples) true signals.
        y: (..., samples) observed ones.
        width: bins.
    """
    from scipy.ndimage import uniform_filter1d

    spectra = (np.abs(np.fft.rfft(part)) ** 2 for part in (x, y - x))
    signal, noise = (np.maximum(uniform_filter1d(power, width, axis=-1), 0.0) for power in spectra)
    # A running sum leaves crumbs of what it has passed, which are no power.
    crumbs = 1e-12 * (signal + noise).max(axis=-1, keepdims=True)
    gain = signal / np.maximum(signal + noise, np.maximum(crumbs, np.finfo(float).tiny))
    return np.asarray(np.fft.irfft(np.fft.rfft(y) * gain, y.shape[-1]))


def measure(run: Run, n: int) -> dict[str, Any]:
    """RRMSE in time of input, model and oracles, over test windows: each condition, and the mean over those of a kind."""
    domain = run.domain.on_split("test")
    data = domain.dataset("test")
    rows = np.sort(np.random.default_rng(0).permutation(len(data))[:n])
    x = domain.to_model(torch.from_numpy(np.ascontiguousarray(data.take(rows).signals))).double()
    found: dict[str, dict[str, float]] = {}
    for number, condition in enumerate(run.recipe.evaluation.conditions):
        degradation = build(condition, domain.degradations())
        y = degradation(x, generator=torch.Generator().manual_seed(number)).y
        with torch.inference_mode():
            restored = {"input": y, "model": run.model.restore(y.float()).mean}
        filtered = {f"oracle[{width} bins]": wiener(x.numpy(), y.numpy(), width) for width in WIDTHS}
        rows_of = {**{name: part.double().numpy() for name, part in restored.items()}, **filtered}
        found[condition] = {name: round(_rrmse(part, x.numpy()), 3) for name, part in rows_of.items()}
    return {"n": len(rows), "rrmse_t": found, "mean": _means(found)}


def _rrmse(estimate: NDArray[Any], x: NDArray[Any]) -> float:
    return float(np.mean(np.sqrt(np.square(estimate - x).mean(-1) / np.square(x).mean(-1))))


def _means(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Over the conditions that begin with the same word."""
    kinds: dict[str, list[dict[str, float]]] = defaultdict(list)
    for condition, row in found.items():
        kinds[condition.split()[0]].append(row)
    return {
        kind: {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}
        for kind, rows in kinds.items()
    }


def main(arguments: Sequence[str]) -> None:
    """Measures and prints JSON.

    Raises:
        UserError: for a run that is not of one axis, or not to be read.
    """
    parser = Parser("oracle", __doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="a trained run of EEG")
    parser.add_argument("--n", type=positive, default=200, help="test windows (default 200)")
    chosen = parser.parse_args(arguments)
    run = load(chosen.run)
    if run.domain.spec.dims != 1:
        raise UserError(
            f"{chosen.run} restores signals of {run.domain.spec.dims} axes", expected="one", mend="set --run"
        )
    print(json.dumps(measure(run, chosen.n), indent=2))
