"""``python -m benchmarks sonar``: frames of 320 x 480 restored by the network of ``sonar/despeckle``, frames a second."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from benchmarks.step import _positive
from vaegan import plugins
from vaegan.domain import Recording
from vaegan.errors import UserError
from vaegan.run import Run, load, ready

RECIPE = "sonar/despeckle"
ROWS, COLUMNS = 480, 320


def measure(run: Run, frames: int, rows: int, columns: int) -> dict[str, Any]:
    """Restores single frames one after another, as they would arrive, after one that is not counted."""
    generator = np.random.default_rng(0)
    echo = generator.gamma(4.0, 0.1, (frames + 1, 1, 1, rows, columns)).clip(0, 1).astype(np.float32)
    wall, cpu = [], []
    for frame in echo:
        begun = time.perf_counter(), time.process_time()
        run.restore(Recording(frame, Path("frame"), "simulated"))
        wall.append(time.perf_counter() - begun[0])
        cpu.append(time.process_time() - begun[1])
    seconds, used = float(np.median(wall[1:])), float(np.median(cpu[1:]))
    players = run.model.players()
    return {
        "frame": [rows, columns],
        "frames_per_second": round(1.0 / seconds, 2),
        "ms_per_frame": round(1e3 * seconds, 1),
        # On a machine that does other work too, the clock on the wall tells of that work.
        "cpu_ms_per_frame": round(1e3 * used, 1),
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 1),
        "parameters": sum(p.numel() for name in ("encoder", "decoder") for p in players[name].parameters()),
    }


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message, mend="see python -m benchmarks sonar --help")


def main(arguments: Sequence[str]) -> None:
    """Measures and prints JSON.

    Raises:
        UserError: for arguments that cannot be used.
    """
    parser = _Parser(prog="python -m benchmarks sonar", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--frames", type=_positive, default=20, help="that are counted (default 20)")
    add("--threads", type=_positive, default=2, help="of torch (default 2)")
    add("--rows", type=_positive, default=ROWS, help=f"of a frame (default {ROWS})")
    add("--columns", type=_positive, default=COLUMNS, help=f"of a frame (default {COLUMNS})")
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
