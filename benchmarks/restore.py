"""``python -m benchmarks restore``: time and memory of ``vaegan restore`` on one large picture.

The picture is made in a temporary folder and restored there by the command line in a process of its own, whose peak
memory counts all: the interpreter, torch, the picture, and what becomes of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.arguments import Parser, positive
from vaegan import plugins
from vaegan.errors import UserError
from vaegan.inference import covers
from vaegan.models import RestoringConfig
from vaegan.run import load, recipe_json, save

RECIPE = "faces/denoise"
TINY = RestoringConfig(latent=2, width=2, widest=4, discriminator_width=2, discriminator_hidden=2)
CHILD = """
import sys
from benchmarks.step import _highest
import torch
from vaegan.cli import main
begun = _highest()
code = main(sys.argv[1:])
print(begun, _highest(), file=sys.stderr)
sys.exit(code)
"""


def picture(path: Path, columns: int, rows: int) -> None:
    """A colour picture with edges, slopes and noise."""
    generator = np.random.default_rng(0)
    pixels = np.empty((rows, columns, 3), np.uint8)
    across = np.arange(columns)[:, None] * np.array([1, 2, 3])
    for row in range(rows):
        pixels[row] = ((across + row) // 8) % 224 + generator.integers(0, 32, (columns, 3))
    how: dict[str, Any] = {"compress_level": 1} if path.suffix == ".png" else {"quality": 90}
    Image.fromarray(pixels).save(path, **how)


def untrained(folder: Path, *, tiny: bool) -> Path:
    """A run whose networks have learned nothing: memory and time are those of a trained one."""
    recipe = plugins.recipes()[RECIPE]
    if tiny:
        recipe = replace(recipe, model=TINY)
    torch.manual_seed(0)
    save(folder, RECIPE, recipe, recipe.model.build(recipe.domain.spec))
    recipe_json(RECIPE, recipe, folder, "untrained")
    return folder


def measure(columns: int, rows: int, ending: str, run: Path | None, *, tiny: bool, samples: int) -> dict[str, Any]:
    """Restores one picture.

    Raises:
        UserError: when the command fails.
    """
    with tempfile.TemporaryDirectory() as place:
        source, folder = Path(place) / f"large.{ending}", Path(place)
        run = untrained(folder / "run", tiny=tiny) if run is None else run
        model = load(run).model
        plan = covers(model, (rows, columns), overlap=0.5)
        picture(source, columns, rows)
        words = ["restore", run, source, "--out", folder / "out", "--device", "cpu", "--samples", samples]
        begin = time.perf_counter()
        child = subprocess.run(
            [sys.executable, "-c", CHILD, *map(str, words)], capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - begin
        if child.returncode:
            raise UserError(f"vaegan restore failed: {child.stderr.strip()}")
        with Image.open(folder / "out" / source.name) as restored:
            assert restored.size == (columns, rows)
    begun, peak = map(int, child.stderr.split()[-2:])
    return {
        "megapixels": round(columns * rows / 1e6, 3),
        "seconds": round(seconds, 1),
        "peak_rss_mib": round(peak / 2**20),
        "of_which_imports_mib": round(begun / 2**20),
        "windows": prod(len(cover) for cover in plan),
        "window": [cover.window for cover in plan],
    }


def main(arguments: Sequence[str]) -> None:
    """Measures and prints JSON.

    Raises:
        UserError: for arguments that cannot be used.
    """
    parser = Parser("restore", __doc__)
    add = parser.add_argument
    add("--columns", type=positive, default=10_000, help="of the picture (default 10000)")
    add("--rows", type=positive, default=8_000, help="of the picture (default 8000)")
    add("--ending", choices=("png", "jpg"), default="png", help="the picture's format (default png)")
    add("--run", type=Path, help=f"a trained run of faces (default: {RECIPE}, untrained)")
    add("--samples", type=int, default=0, help="as of vaegan restore")
    add("--tiny", action="store_true", help="untrained networks of next to no channels: memory and overhead alone")
    chosen = parser.parse_args(arguments)
    answer = measure(
        chosen.columns, chosen.rows, chosen.ending, chosen.run, tiny=chosen.tiny, samples=max(0, chosen.samples)
    )
    print(json.dumps(answer, indent=2))
