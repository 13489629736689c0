"""``python -m benchmarks sonar``: frames of 320 x 480 restored by the network of ``sonar/despeckle``, frames a second."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.arguments import Parser, positive
from vaegan import plugins
from vaegan.domain import Recording
from vaegan.run import Run, load, ready

RECIPE = "sonar/despeckle"
ROWS, COLUMNS = 480, 320


def measure(run: Run, frames: int, rows: int, columns: int) -> dict[str, Any]:
    """Restores single frames one after another, as they would arrive, in either precision, after one that is not counted."""
    generator = np.random.default_rng(0)
    echo = generator.gamma(4.0, 0.1, (frames + 1, 1, 1, rows, columns)).clip(0, 1).astype(np.float32)
    took: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    apart = []
    for frame in echo:
        recording, means = Recording(frame, Path("frame"), "simulated"), []
        for bfloat16, taken in took.items():
            begun = time.perf_counter(), time.process_time()
            means.append(run.restore(recording, bfloat16=bfloat16).mean)
            taken.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
        apart.append(float(np.sqrt(np.mean((means[1] - means[0]) ** 2))))
    players = run.model.players()
    return {
        "frame": [rows, columns],
        "float32": _rates(took[False][1:]),
        "bfloat16": {**_rates(took[True][1:]), "rms_difference": round(float(np.mean(apart)), 5)},
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 1),
        "parameters": sum(p.numel() for name in ("encoder", "decoder") for p in players[name].parameters()),
    }


def _rates(taken: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Medians: by the clock on the wall, and of the processor's time, as a machine may do other work too."""
    seconds, used = (float(np.median(column)) for column in zip(*taken, strict=True))
    return {
        "frames_per_second": round(1.0 / seconds, 2),
        "ms_per_frame": round(1e3 * seconds, 1),
        "cpu_ms_per_frame": round(1e3 * used, 1),
    }


def main(arguments: Sequence[str]) -> None:
    """Measures and prints JSON.

    Raises:
        UserError: for arguments that cannot be used.
    """
    parser = Parser("sonar", __doc__)
    add = parser.add_argument
    add("--frames", type=positive, default=20, help="that are counted (default 20)")
    add("--threads", type=positive, default=2, help="of torch (default 2)")
    add("--rows", type=positive, default=ROWS, help=f"of a frame (default {ROWS})")
    add("--columns", type=positive, default=COLUMNS, help=f"of a frame (default {COLUMNS})")
    add("--run", type=Path, help=f"a trained run of sonar (default: {RECIPE}, untrained)")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    if chosen.run is None:
        recipe = plugins.recipes()[RECIPE]
        torch.manual_seed(0)
        run = Run(Path("untrained"), RECIPE, recipe, ready(recipe.model.build(recipe.domain.spec)))
    else:
        run = load(chosen.run)
    print(json.dumps(measure(run, chosen.frames, chosen.rows, chosen.columns), indent=2))
