"""How well and how fast generated items are judged: values beside independent code, time and memory beside torch.

Values are compared with torchmetrics and prdc on a small set, time and memory are taken on a large one. Every side has
a process of its own; what the neighbours cost is put beside ``torch.cdist`` of whole sets, one after the other in
each round, so that what slows the machine down for a while slows both.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.arguments import Parser, positive
from benchmarks.step import _highest, _resident
from vaegan.errors import UserError
from vaegan.evaluation.environment import environment
from vaegan.metrics import generation

K_PR, K_DC = 3, 5
LATENT, CLASSES = 32, 100
ROUNDS = 3


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        n: items of either set, for time and memory.
        features: of an item.
        check_n: items of either set, for values.
        rounds: how often neighbours and ``torch.cdist`` are timed.
    """

    n: int = 10_000
    features: int = 2_048
    check_n: int = 1_000
    rounds: int = ROUNDS


class Cost(NamedTuple):
    """Seconds by the clock, seconds of all cores, and MiB above the data at the highest."""

    seconds: float
    cpu_seconds: float
    mib: float


def data(n: int, features: int) -> tuple[Tensor, Tensor]:
    """Real and generated features, (n, features) each: rectified, of few underlying factors, a little apart."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(LATENT, features, generator=generator) / LATENT**0.5
    sets = []
    for scale, shift in ((1.0, 0.0), (0.9, 0.1)):
        items = torch.randn(n, LATENT, generator=generator).mul_(scale).add_(shift) @ mixing
        for rows in items.split(1000):  # the noise of all items at once would count as memory
            rows.add_(torch.randn(rows.shape, generator=generator), alpha=0.2).relu_()
        sets.append(items)
    return sets[0], sets[1]


def neighbours(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Precision, recall, density and coverage of ours, from one pass."""
    found = generation.memberships(real, fake, k_pr=K_PR, k_dc=K_DC)
    return {name: float(values.mean()) for name, values in found.items()}


def cdist(real: Tensor, fake: Tensor) -> dict[str, float]:
    """The same by ``torch.cdist`` of whole sets."""
    # topk: kthvalue of whole rows takes several times longer.
    radii = torch.cdist(real, real).topk(K_DC + 1, dim=1, largest=False).values
    fake_radii = torch.cdist(fake, fake).topk(K_PR + 1, dim=1, largest=False).values[:, -1]
    distances = torch.cdist(real, fake)
    within = distances <= radii[:, -1:]
    return {
        "precision": float((distances <= radii[:, K_PR, None]).any(0).double().mean()),
        "recall": float((distances <= fake_radii).any(1).double().mean()),
        "density": float(within.sum(0, dtype=torch.int32).double().mean() / K_DC),
        "coverage": float(within.any(1).double().mean()),
    }


def judge(real: Tensor, fake: Tensor) -> generation.Judged:
    """All measures and their intervals."""
    return generation.judge_features(real, fake, extractor="benchmark", k_pr=K_PR, k_dc=K_DC)


SIDES: dict[str, Callable[[Tensor, Tensor], object]] = {
    "fid": generation.frechet_distance,
    "kid": generation.kernel_distance,
    "precision, recall, density, coverage": neighbours,
    "the same by torch.cdist": cdist,
    "all, with intervals": judge,
}
OURS, RIVAL = "precision, recall, density, coverage", "the same by torch.cdist"


def cost(side: str, setting: Setting) -> Cost:
    """What one call costs; to be called in a process of its own."""
    SIDES[side](*data(64, 16))  # loads what is loaded at first use
    real, fake = data(setting.n, setting.features)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak so far; Linux only
    before, began, worked = _resident(), time.perf_counter(), time.process_time()
    if setting.n > setting.features or side != "fid":
        SIDES[side](real, fake)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
    return Cost(seconds, cpu_seconds, max(0.0, (_highest() - before) / 2**20))


def in_own_process(side: str, setting: Setting) -> Cost:
    """:func:`cost` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(cost, side, setting).result()


class _PassThrough(nn.Module):
    """Stands for the network of a metric that is to get features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, x: Tensor) -> Tensor:
        return x


def theirs(real: Tensor, fake: Tensor, logits: Tensor, fid_features: int) -> dict[str, float]:
    """The same numbers by torchmetrics, in double precision, and by prdc.

    Raises:
        UserError: where prdc is missing.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    try:
        prdc = importlib.import_module("prdc")
    except ImportError as error:
        raise UserError(f"prdc cannot be imported ({error})", mend="pip install 'vaegan[dev]'") from error
    a, b = real.double(), fake.double()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        fid = FrechetInceptionDistance(_PassThrough(fid_features))
        fid.update(a[:, :fid_features], real=True)
        fid.update(b[:, :fid_features], real=False)
        kid = KernelInceptionDistance(_PassThrough(a.shape[1]), subsets=1, subset_size=len(a))
        kid.update(a, real=True)
        kid.update(b, real=False)
        score = InceptionScore(_PassThrough(logits.shape[1]), splits=1)
        score.update(logits.double())
        near, far = (prdc.compute_prdc(real.numpy(), fake.numpy(), k) for k in (K_PR, K_DC))
        return {
            "fid": float(fid.compute()),
            "kid": float(kid.compute()[0]),
            "precision": float(near["precision"]),
            "recall": float(near["recall"]),
            "density": float(far["density"]),
            "coverage": float(far["coverage"]),
            "is": float(score.compute()[0]),
        }


def differences(setting: Setting) -> tuple[dict[str, float], dict[str, Any]]:
    """Relative differences of our numbers from the independent ones, and what they were taken on."""
    real, fake = data(setting.check_n, setting.features)
    logits = 2 * torch.randn(setting.check_n, CLASSES, generator=torch.Generator().manual_seed(1))
    fid_features = max(1, min(setting.features, setting.check_n // 4))
    reference = theirs(real, fake, logits, fid_features)
    ours = {
        "fid": generation.frechet_distance(real[:, :fid_features], fake[:, :fid_features]),
        "kid": generation.kernel_distance(real, fake),
        **neighbours(real, fake),
        "is": generation.inception_score(logits.double().softmax(1), splits=1)[0],
    }
    found = {name: abs(ours[name] - value) / max(abs(value), 1e-12) for name, value in reference.items()}
    return found, {"n": setting.check_n, "features": setting.features, "fid_features": fid_features, "values": ours}


def measure(setting: Setting) -> dict[str, Any]:
    """The benchmark's whole answer."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    found, check = differences(setting)
    costs: dict[str, list[Cost]] = {side: [] for side in SIDES}
    for round_ in range(setting.rounds):
        for side in SIDES if round_ == 0 else (OURS, RIVAL):
            costs[side].append(in_own_process(side, setting))
    pairs = list(zip(costs[OURS], costs[RIVAL], strict=True))
    ratios, cpu = ([ours[i] / rival[i] for ours, rival in pairs] for i in (0, 1))
    notes = [
        f"data: {setting.n} real and {setting.n} generated items, {setting.features} features, single precision",
        "memory: the highest resident set less that before the call, the data in place",
        "ratio_to_cdist: seconds of ours over torch.cdist of whole sets, topk and comparison; below 1 is faster",
        "cpu_ratio_to_cdist: the same in seconds of the processor, which other programs do not lengthen much",
        f"fid is compared on {check['fid_features']} features: it needs more items than features",
    ]
    if setting.n <= setting.features:
        notes.append("fid was not timed: no more items than features")
    if setting.rounds < ROUNDS:
        notes.append(f"only {setting.rounds} rounds: not for publication (at least {ROUNDS})")
    return {
        "relative_difference": {name: float(f"{value:.3g}") for name, value in found.items()},
        "check": check,
        "seconds": {side: round(statistics.median(c.seconds for c in taken), 3) for side, taken in costs.items()},
        "cpu_seconds": {
            side: round(statistics.median(c.cpu_seconds for c in taken), 3) for side, taken in costs.items()
        },
        "peak_memory_above_data_mib": {side: round(max(c.mib for c in taken)) for side, taken in costs.items()},
        "ratio_to_cdist": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "cpu_ratio_to_cdist": round(statistics.median(cpu), 3),
        "cpu_spread": [round(min(cpu), 3), round(max(cpu), 3)],
        "n": setting.n,
        "features": setting.features,
        "rounds": setting.rounds,
        "environment": environment()
        | {
            "torchmetrics": metadata.version("torchmetrics"),
            "prdc": metadata.version("prdc"),
            "threads": torch.get_num_threads(),
            "load_at_start": None if load is None else round(load, 2),
        },
        "notes": notes,
    }


def parse(arguments: Sequence[str]) -> tuple[Setting, bool]:
    """The setting, and whether the answer is to be JSON.

    Raises:
        UserError: for arguments that cannot be used.
    """
    parser = Parser("generation", "Measures of generated items beside independent code.")
    add, usual = parser.add_argument, Setting()
    add("--json", action="store_true", help="print one JSON object instead of a table")
    add("--n", type=positive, default=usual.n, help=f"items of either set (default {usual.n})")
    add("--features", type=positive, default=usual.features, help=f"of an item (default {usual.features})")
    add("--check-n", type=positive, default=usual.check_n, help=f"items to compare values on (default {usual.check_n})")
    add("--rounds", type=positive, default=usual.rounds, help=f"how often the ratio is timed (default {usual.rounds})")
    chosen = parser.parse_args(arguments)
    least = 4 * K_DC
    if min(chosen.n, chosen.check_n) < least:
        raise UserError(f"--n {chosen.n} --check-n {chosen.check_n}", expected=f"at least {least} items")
    return Setting(chosen.n, chosen.features, chosen.check_n, chosen.rounds), chosen.json


def main(arguments: Sequence[str]) -> None:
    """Measures and prints."""
    setting, as_json = parse(arguments)
    answer = measure(setting)
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        show(answer)


def show(answer: dict[str, Any]) -> None:
    """Prints the answer as tables."""
    from rich.console import Console
    from rich.table import Table

    values = Table("measure", "ours", "relative difference", title="beside torchmetrics and prdc")
    for name, value in answer["relative_difference"].items():
        values.add_row(name, f"{answer['check']['values'][name]:.6g}", f"{value:.1e}")
    costs = Table(
        "",
        "seconds",
        "CPU seconds",
        "MiB above the data",
        title=f"{answer['n']} x {answer['n']} x {answer['features']}",
    )
    for side, seconds in answer["seconds"].items():
        mib = answer["peak_memory_above_data_mib"][side]
        costs.add_row(side, f"{seconds:.2f}", f"{answer['cpu_seconds'][side]:.2f}", str(mib))
    console = Console()
    for table in (values, costs):
        console.print(table)
    low, high = answer["spread"]
    console.print(f"time of ours over torch.cdist: {answer['ratio_to_cdist']:.2f} ({low:.2f} to {high:.2f})")
    console.print(f"time of the processor: {answer['cpu_ratio_to_cdist']:.2f}")
    where = answer["environment"]
    console.print(f"{where['cpu']}, {where['cores']} cores, torch {where['torch']}, {where['threads']} threads")
    for note in answer["notes"]:
        console.print(f"- {note}")
