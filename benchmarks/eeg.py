"""``python -m benchmarks eeg``: how long a window of EEG takes to restore, and how far a stream is behind.

One window of two seconds of 64 channels, each a signal of its own, by the network of ``eeg/denoise``; then a stream of such
channels in chunks, filters and resampling included. On the CPU.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.arguments import Parser, positive
from domains.eeg.stream import Stream
from vaegan import plugins
from vaegan.run import load

RECIPE = "eeg/denoise"
CHUNK = 0.05
"""Seconds of a chunk."""


def network(run: Path | None, *, tiny: bool) -> tuple[Any, Any]:
    """A model and its domain: of a run, or untrained, which takes as long."""
    if run is not None:
        found = load(run)
        return found.model, found.domain
    recipe = plugins.recipes()[RECIPE]
    config = replace(recipe.model, latent=2, width=4, widest=4, discriminator_width=2) if tiny else recipe.model
    torch.manual_seed(0)
    return config.build(recipe.domain.spec).eval(), recipe.domain


def measure(
    model: Any, domain: Any, channels: int, repeats: int, rate: float, bfloat16: bool = False
) -> dict[str, Any]:
    """Milliseconds of a window, by the clock and of the processor, and of a stream's step."""
    generator = np.random.default_rng(0)
    signals = 2e-5 * generator.normal(size=(channels, 1, domain.spec.axes[0].size)).astype(np.float32)
    windows, busy = [], []
    for _ in range(repeats + 2):
        begin, used = time.perf_counter(), time.process_time()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            domain.to_physical(model.restore(domain.to_model(torch.from_numpy(signals))).mean)
        windows.append(1e3 * (time.perf_counter() - begin))
        busy.append(1e3 * (time.process_time() - used))
    stream = Stream(model, domain, rate, channels, bfloat16=bfloat16)
    chunk = 2e-5 * generator.normal(size=(channels, round(CHUNK * rate)))
    steps: list[float] = []
    while len(steps) < repeats + 4:
        begin = time.perf_counter()
        if stream.process(chunk).shape[1]:
            steps.append(1e3 * (time.perf_counter() - begin))
    return {
        "channels": channels,
        "seconds_of_window": domain.spec.axes[0].size * domain.spec.axes[0].step,
        "window_ms": _summary(windows[2:]),
        "window_processor_ms": _summary(busy[2:]),
        "stream_step_ms": _summary(steps[4:]),
        "stream_rate_hz": rate,
        "stream_latency_s": stream.latency,
        "threads": torch.get_num_threads(),
        "bfloat16": bfloat16,
        "repeats": repeats,
    }


def _summary(values: Sequence[float]) -> dict[str, float]:
    return {name: round(float(np.percentile(values, p)), 2) for name, p in (("least", 0), ("median", 50), ("p95", 95))}


def main(arguments: Sequence[str]) -> None:
    """Measures and prints JSON.

    Raises:
        UserError: for arguments that cannot be used.
    """
    parser = Parser("eeg", __doc__)
    add = parser.add_argument
    add("--run", type=Path, help=f"a trained run (default: {RECIPE}, untrained)")
    add("--channels", type=positive, default=64, help="of the recording (default 64)")
    add("--repeats", type=positive, default=30, help="of each measurement (default 30)")
    add("--rate", type=float, default=256.0, help="samples a second of the stream (default 256)")
    add("--threads", type=positive, default=torch.get_num_threads(), help="of torch")
    add("--bfloat16", action="store_true", help="compute in bfloat16")
    add("--tiny", action="store_true", help="a network of next to no channels: overhead alone")
    chosen = parser.parse_args(arguments)
    before = torch.get_num_threads()
    torch.set_num_threads(chosen.threads)
    try:
        model, domain = network(chosen.run, tiny=chosen.tiny)
        print(
            json.dumps(measure(model, domain, chosen.channels, chosen.repeats, chosen.rate, chosen.bfloat16), indent=2)
        )
    finally:
        torch.set_num_threads(before)
