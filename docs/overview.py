"""The picture at the top of the README: one signal of each kind, observed, restored and true.

    python docs/overview.py FACES SONAR EEG SCAN --out docs/_static/overview.png

takes runs of faces/denoise, sonar/despeckle, eeg/denoise and lidar/scan. Shown are test signals of the embedded and
simulated default data, which runs on data of one's own have never seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

import vaegan
from vaegan.evaluation.latent import observed

Array = NDArray[Any]


def picture(axes: Axes, signal: Array, _limit: float) -> None:
    """A colour picture."""
    axes.imshow(np.clip(signal.transpose(1, 2, 0) / 255, 0, 1))


def frame(axes: Axes, signal: Array, _limit: float) -> None:
    """A sonar frame, its amplitudes by their square roots."""
    axes.imshow(np.sqrt(np.clip(signal[0], 0, 1)), cmap="copper", aspect="auto")


def trace(axes: Axes, signal: Array, limit: float) -> None:
    """One channel of EEG in microvolts, cut at what is true."""
    axes.plot(1e6 * signal[0], color="#0b5a73", linewidth=0.8)
    axes.set_ylim(-1.1e6 * limit, 1.1e6 * limit)


def scan(axes: Axes, signal: Array, limit: float) -> None:
    """A planar scan from above, the scanner at the bottom."""
    bearing = np.linspace(-np.pi / 2, np.pi / 2, signal.shape[-1])
    axes.scatter(-signal[0] * np.sin(bearing), signal[0] * np.cos(bearing), s=3, color="#0b5a73", linewidths=0)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlim(-limit, limit)


SHOWN: tuple[tuple[str, str, Callable[[Axes, Array, float], None], int], ...] = (
    ("faces\nnoise, σ = 50/255", "noise sigma=50/255", picture, 4),
    ("sonar\nspeckle of one look", "speckle L=1", frame, 3),
    ("EEG\neye movements, −3 dB", "eog snr=-3 dB", trace, 7),
    ("LiDAR\nnoise, losses, spikes", "noise 0.1 m + drop 30 % + spikes 2 %", scan, 5),
)


def main() -> None:
    """Draws one test signal of each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs=len(SHOWN), type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "_static" / "overview.png")
    parser.add_argument("--items", nargs=len(SHOWN), type=int, help="which test items")
    given = parser.parse_args()
    figure, places = plt.subplots(
        3, len(SHOWN), figsize=(8.2, 5.6), gridspec_kw={"wspace": 0.06, "hspace": 0.06}, layout="constrained"
    )
    for column, (folder, (title, damage, draw, item)) in enumerate(zip(given.runs, SHOWN, strict=True)):
        run = vaegan.load(folder)
        ours = {f.name: f.default for f in fields(run.domain) if f.name in ("data", "include", "test")}
        domain = replace(run.domain, **ours)
        test = domain.dataset("test")
        row = (given.items[column] if given.items else item) % len(test)
        degradation = vaegan.degradation.build(damage, domain.on_split("test").degradations())
        x, y, mask = observed(domain, test, [row], degradation, damage)
        with torch.no_grad():
            restored = run.model.restore(y, mask).mean
        truth = domain.to_physical(x)[0].numpy()
        limit = float(np.nanmax(np.abs(truth)))
        unseen = None if mask is None else ~mask[0].numpy()
        for axes, signals in zip(places[:, column], (y, restored, x), strict=True):
            signal = domain.to_physical(signals)[0].numpy().copy()
            if signals is y and unseen is not None:
                signal[np.broadcast_to(unseen, signal.shape)] = np.nan
            draw(axes, signal, limit)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("#c9c9c4")
        places[0, column].set_title(title, fontsize=9)
    for axes, label in zip(places[:, 0], ("observed", "restored", "truth"), strict=True):
        axes.set_ylabel(label, fontsize=9)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(given.out, dpi=130, facecolor="white")


if __name__ == "__main__":
    main()
