"""``python -m benchmarks lidar``: is a turn restored before the next one comes?

A turn of 64 x 1024 (a ``.bin`` of a simulated street, or ``--turn``) is read, projected, restored and written back; a planar
scan of 180 beams is restored from an array. Times are medians after a warm-up, on as many threads as ``--threads`` says.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.arguments import Parser, positive
from domains.lidar import PlanarScans, Turns
from domains.lidar.cloud_files import read_cloud
from domains.lidar.projection import project, to_points, unfolded_rings
from vaegan import plugins
from vaegan.domain import Recording
from vaegan.run import Run, load, ready

TURN_BUDGET, SCAN_BUDGET, PROJECTION_BUDGET = 100.0, 5.0, 5.0
"""Milliseconds: a sensor of 10 Hz, a scanner of 40 Hz with time left, and a twentieth of a turn."""


def untrained(name: str) -> Run:
    """A run of a recipe whose networks have learned nothing: time is that of a trained one."""
    recipe = plugins.recipes()[name]
    torch.manual_seed(0)
    return Run(Path(), name, recipe, ready(recipe.model.build(recipe.domain.spec)))


def street(path: Path) -> Path:
    """A simulated turn as a ``.bin``: rings from the top, each from azimuth 0 anticlockwise, about two points a pixel."""
    domain = Turns(columns=2048)
    image = torch.from_numpy(np.asarray(domain.dataset("train").signals[0]))
    xyz = to_points(image[:1], torch.tensor(domain.elevations))[0]
    cloud = torch.cat([xyz, image[1:]]).flip(-1).roll(1024, -1).permute(1, 2, 0).reshape(-1, 4)
    cloud = cloud[cloud.isfinite().all(1)]
    path.write_bytes(cloud.numpy().astype("<f4").tobytes())
    return path


def median_ms(work: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Median milliseconds of a call, after two that do not count: of the clock, and of all cores together."""
    times = []
    for i in range(repeats + 2):
        begin = time.perf_counter(), time.process_time()
        work()
        if i >= 2:
            times.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    wall, cpu = (statistics.median(part) for part in zip(*times, strict=True))
    return {"wall": round(1e3 * wall, 2), "cpu": round(1e3 * cpu, 2)}


def measure(turn: Path | None, run: Path | None, scan_run: Path | None, repeats: int) -> dict[str, Any]:
    """Times of each step, and of all."""
    with tempfile.TemporaryDirectory() as place:
        source = turn if turn is not None else street(Path(place) / "street.bin")
        dense = load(run) if run is not None else untrained("lidar/densify")
        planar = load(scan_run) if scan_run is not None else untrained("lidar/scan")
        domain = dense.domain
        cloud = read_cloud(source)
        xyz, values = torch.from_numpy(cloud.xyz()), torch.from_numpy(cloud.reflectance())[None, :, None]
        recording = domain.read(source)
        target = Path(place) / "out" / source.name
        assert isinstance(domain, Turns)
        size = (domain.rows, domain.columns)
        scans = planar.domain
        assert isinstance(scans, PlanarScans)
        signals = replace(scans, data=None, test=()).dataset("test").signals[:1]
        scan = Recording(np.asarray(signals), Path("scan"), "array")
        clean = dense.restore(recording)
        times = {
            "read_and_project": median_ms(lambda: domain.read(source), repeats),
            "project": median_ms(
                lambda: project(xyz[None], values, unfolded_rings(xyz)[None], size, far=domain.far), repeats
            ),
            "network": median_ms(lambda: dense.restore(recording), repeats),
            "points_and_write": median_ms(lambda: clean.write(target), repeats),
            "end_to_end": median_ms(lambda: dense.restore(source).write(target), repeats),
        }
        scan_ms = median_ms(lambda: planar.restore(scan), 5 * repeats)
    return {
        "threads": torch.get_num_threads(),
        "turn": {"points": len(cloud.points), "image": list(size), "ms": times, "budget_ms": TURN_BUDGET},
        "projection": {"ms": times["project"], "budget_ms": PROJECTION_BUDGET},
        "scan": {"beams": int(signals.shape[-1]), "ms": scan_ms, "budget_ms": SCAN_BUDGET},
    }


def main(arguments: Sequence[str]) -> None:
    """Measures and prints JSON.

    Raises:
        UserError: for arguments that cannot be used.
    """
    parser = Parser("lidar", __doc__)
    add = parser.add_argument
    add("--turn", type=Path, help="a point cloud (default: a simulated street)")
    add("--run", type=Path, help="a trained run of turns (default: lidar/densify, untrained)")
    add("--scan-run", type=Path, help="a trained run of scans (default: lidar/scan, untrained)")
    add("--repeats", type=positive, default=10)
    add("--threads", type=positive, help="of torch (default: its own choice)")
    chosen = parser.parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    print(json.dumps(measure(chosen.turn, chosen.run, chosen.scan_run, chosen.repeats), indent=2))
