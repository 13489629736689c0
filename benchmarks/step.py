"""One training step of Larsen's VAE-GAN, ours beside pythae's: time, operations, and memory.

The same networks (Table 1 of Larsen et al. 2015) from the same weights on the same batch, all three players
updated at every step. A round times ours in fp32, the peer in fp32, ours in bf16 and a plain convolution, one
after the other, so that what slows the machine down for a while slows all of them; ratios are within a round.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import multiprocessing
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.arguments import Parser, positive
from vaegan.errors import UserError
from vaegan.evaluation.environment import environment
from vaegan.models import LarsenConfig
from vaegan.models.vaegan import VAEGAN
from vaegan.objectives import Batch, LarsenObjective
from vaegan.objectives.base import trainable
from vaegan.signal import Axis, SignalSpec
from vaegan.testing.flops import count_flops

FACES = SignalSpec(3, (Axis("row", 64), Axis("column", 64)), "8-bit level", (0.0, 255.0))
PRECISIONS = ("fp32", "bf16")
LAYER, LR, BETAS = 3, 1e-4, (0.9, 0.999)
FULL_ROUNDS, FULL_BATCH = 7, 16
QUICK_ROUNDS, QUICK_BATCH = 2, 4


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        rounds: how often each side is timed.
        batch: items a step.
        device: ``"cpu"`` or ``"cuda"``.
        spec: the signals.
        networks: sizes of the networks.
        conv_channels: channels, in and out, of the convolution that stands for the peak.
        repeats: steps a timing.
    """

    rounds: int = FULL_ROUNDS
    batch: int = FULL_BATCH
    device: str = "cpu"
    spec: SignalSpec = FACES
    networks: LarsenConfig = LarsenConfig()  # noqa: RUF009 - frozen
    conv_channels: int = 256
    repeats: int = 1


class OurStep:
    """One step of ours, called without arguments: exact gradients of three players, three fused Adams.

    Args:
        model: the networks, trained in place, on their device.
        x: one batch in model units.
        precision: ``torch.float32``, or ``torch.bfloat16`` for autocast.
    """

    def __init__(self, model: VAEGAN, x: Tensor, precision: torch.dtype) -> None:
        self.model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last)
        self.batch, self.objective, self.precision = Batch(x, x), LarsenObjective(layer=LAYER), precision
        self.optimizers = [
            torch.optim.Adam(trainable(player), lr=LR, betas=BETAS, fused=True) for player in model.players().values()
        ]

    def __call__(self) -> None:
        device, mixed = self.batch.x.device.type, self.precision != torch.float32
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            self.objective.backward(self.model, self.batch, None)
        for optimizer in self.optimizers:
            optimizer.step()


def load_peer() -> ModuleType:
    """:mod:`benchmarks.peer`, imported without a sound.

    Raises:
        UserError: where pythae is missing.
    """
    try:
        said = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            warnings.simplefilter("ignore")
            return importlib.import_module("benchmarks.peer")
    except ImportError as error:
        raise UserError(f"pythae cannot be imported ({error})", mend="pip install 'vaegan[bench]'") from error


def build(setting: Setting) -> tuple[VAEGAN, Tensor]:
    """The networks and one batch, the same at every call."""
    torch.manual_seed(0)
    model = setting.networks.build(setting.spec).to(setting.device)
    x = torch.rand(setting.batch, *setting.spec.shape) * 2 - 1
    return model, x.to(setting.device)


def our_step(setting: Setting, precision: torch.dtype = torch.float32) -> OurStep:
    """Our side, freshly initialised."""
    return OurStep(*build(setting), precision)


def peer_step(setting: Setting) -> Callable[[], None]:
    """The peer's side, from the same weights."""
    step: Callable[[], None] = load_peer().PeerStep(*build(setting), layer=LAYER, lr=LR, betas=BETAS)
    return step


SIDES: dict[str, Callable[[Setting], Callable[[], None]]] = {"ours": our_step, "peer": peer_step}


def plain_convolution(setting: Setting, precision: torch.dtype) -> Callable[[], None]:
    """A 5x5 convolution at a quarter of the size, forward only: about the best that the device can do."""
    channels, sizes = setting.conv_channels, [size // 4 for size in setting.spec.sizes]
    layer = nn.Conv2d(channels, channels, 5, padding=2, bias=False)
    layer = layer.to(setting.device, precision, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(setting.batch, channels, *sizes, device=setting.device, dtype=precision)
    x = x.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def convolve() -> None:
        layer(x)

    return convolve


def seconds(work: Callable[[], None], device: str, repeats: int) -> float:
    """Time of one call, averaged over ``repeats``."""
    _finish(device)
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    _finish(device)
    return (time.perf_counter() - began) / repeats


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def peak_memory(side: str, setting: Setting) -> float:
    """MiB that ``side`` adds at its highest in two fp32 steps; to be called in a process of its own."""
    if side == "peer":
        load_peer()
    before = _resident()
    step = SIDES[side](setting)
    for _ in range(2):  # the optimizers' state appears in the first
        step()
    if setting.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return (_highest() - before) / 2**20


def _resident() -> int:
    return _status("VmRSS") or _highest()


def _highest() -> int:
    """The most bytes that this process ever held."""
    # Linux's ru_maxrss starts at what the parent held when it forked; VmHWM is the same number without that.
    mark = _status("VmHWM")
    if mark is not None:
        return mark
    import resource  # POSIX only

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


def in_own_process(side: str, setting: Setting) -> float:
    """:func:`peak_memory` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(peak_memory, side, setting).result()


def measure(setting: Setting) -> dict[str, Any]:
    """The benchmark's whole answer."""
    load_peer()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    memory = {side: round(in_own_process(side, setting)) for side in SIDES}
    work: dict[str, Callable[[], Any]] = {
        "ours fp32": our_step(setting),
        "peer fp32": peer_step(setting),
        "ours bf16": our_step(setting, torch.bfloat16),
        "conv fp32": plain_convolution(setting, torch.float32),
        "conv bf16": plain_convolution(setting, torch.bfloat16),
    }
    # Also the warm-up: the first call makes the optimizers' state and chooses kernels.
    flops = {name: count_flops(step) for name, step in work.items()}
    repeats = {name: setting.repeats * (5 if name.startswith("conv") else 1) for name in work}
    for name, step in work.items():
        seconds(step, setting.device, 1 if setting.device == "cpu" else repeats[name])
    rounds = [
        {name: seconds(step, setting.device, repeats[name]) for name, step in work.items()}
        for _ in range(setting.rounds)
    ]

    speeds = [{name: flops[name] / taken for name, taken in r.items()} for r in rounds]
    ratios = {p: [r["peer fp32"] / r[f"ours {p}"] for r in rounds] for p in PRECISIONS}
    shares = {p: [s[f"ours {p}"] / s[f"conv {p}"] for s in speeds] for p in PRECISIONS}
    return {
        "ratio": {p: round(statistics.median(values), 3) for p, values in ratios.items()},
        "gflop_per_item": round(flops["ours fp32"] / setting.batch / 1e9, 3),
        "peer_gflop_per_item": round(flops["peer fp32"] / setting.batch / 1e9, 3),
        "share_of_conv_peak": {p: round(statistics.median(values), 3) for p, values in shares.items()},
        "peak_memory_mib": memory,
        "rounds": setting.rounds,
        "batch": setting.batch,
        "spread": {p: [round(min(v), 3), round(max(v), 3)] for p, v in ratios.items()},
        "environment": environment()
        | {
            "pythae": metadata.version("pythae"),
            "device": setting.device,
            "threads": torch.get_num_threads(),
            "load_at_start": None if load is None else round(load, 2),
        },
        "notes": _notes(setting, rounds),
    }


def _notes(setting: Setting, rounds: Sequence[dict[str, float]]) -> list[str]:
    sides = ("ours fp32", "peer fp32", "ours bf16")
    medians = {name: statistics.median(r[name] for r in rounds) for name in sides}
    notes = [
        "ratio: peer's time of a step over ours, median over rounds; spread: lowest and highest round",
        "ratio.bf16 is the peer's fp32 over our bf16: pythae's trainer of VAE-GANs has no mixed precision",
        "ours: channels_last and fused Adam; the peer: pythae's own step, memory format and default Adam",
        "fakes: reconstructions and prior samples for ours, as in the paper; prior samples for the peer",
        "median ms a step: " + ", ".join(f"{name} {1e3 * value:.1f}" for name, value in medians.items()),
    ]
    cores = environment()["cores"]
    if torch.get_num_threads() > cores:
        # Threads that share a core wait for each other in every layer.
        notes.append(f"{torch.get_num_threads()} threads on {cores} cores: set OMP_NUM_THREADS={cores} and repeat")
    if setting.rounds < FULL_ROUNDS:
        notes.append(f"only {setting.rounds} rounds: not for publication (at least {FULL_ROUNDS})")
    return notes


def parse(arguments: Sequence[str]) -> tuple[Setting, bool]:
    """The setting, and whether the answer is to be JSON.

    Raises:
        UserError: for arguments that cannot be used.
    """
    parser = Parser("step", "One training step beside pythae's.")
    add = parser.add_argument
    add("--json", action="store_true", help="print one JSON object instead of a table")
    add("--rounds", type=positive, help=f"how often each side is timed (default {FULL_ROUNDS})")
    add("--batch", type=positive, help=f"items a step, at least 2 (default {FULL_BATCH})")
    add("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds of {QUICK_BATCH} items: does it run?")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (default auto)")
    chosen = parser.parse_args(arguments)
    if chosen.batch == 1:
        raise UserError("--batch 1", expected="at least 2: batch norm needs two items")
    cuda = torch.cuda.is_available()
    if chosen.device == "cuda" and not cuda:
        raise UserError("--device cuda, but PyTorch sees no CUDA device", mend="set --device cpu")
    device = ("cuda" if cuda else "cpu") if chosen.device == "auto" else chosen.device
    rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else FULL_ROUNDS)
    batch = chosen.batch or (QUICK_BATCH if chosen.quick else FULL_BATCH)
    repeats = 1 if device == "cpu" else 20
    return Setting(rounds=rounds, batch=batch, device=device, repeats=repeats), chosen.json


def main(arguments: Sequence[str]) -> None:
    """Measures and prints."""
    setting, as_json = parse(arguments)
    answer = measure(setting)
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        show(answer)


def show(answer: dict[str, Any]) -> None:
    """Prints the answer as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"one training step, {answer['rounds']} rounds of {answer['batch']} items")
    for heading in ("", *PRECISIONS):
        table.add_column(heading, justify="left" if not heading else "right")

    def row(title: str, values: dict[str, Any], form: Callable[[Any], str]) -> None:
        table.add_row(title, *(form(values[precision]) for precision in PRECISIONS))

    row("times faster than pythae", answer["ratio"], "{:.2f}".format)
    row("  lowest to highest round", answer["spread"], lambda v: f"{v[0]:.2f} to {v[1]:.2f}")
    row("share of a plain convolution's FLOP/s", answer["share_of_conv_peak"], "{:.0%}".format)
    table.add_section()
    memory = answer["peak_memory_mib"]
    work = f"{answer['gflop_per_item']:.2f} / {answer['peer_gflop_per_item']:.2f}"
    table.add_row("GFLOP an item, ours / pythae", work, "")
    table.add_row("peak memory in MiB, ours / pythae", f"{memory['ours']} / {memory['peer']}", "")
    console = Console()
    console.print(table)
    where = answer["environment"]
    device = where["gpu"] if where["device"] == "cuda" else where["cpu"]
    console.print(f"{device}, {where['cores']} cores, torch {where['torch']}")
    for note in answer["notes"]:
        console.print(f"- {note}")
