"""``python -m benchmarks depth``: does a DCGAN collapse when layers are added, when, and what cures it?

The study's networks are trained as they are and with further convolutions in both, plain and with a remedy each. Every net
gets the same digits, number of samples and seed. In training its draws are looked at now and then by the digit classifier:
precision and recall against test digits, how many digits occur, and how much the draws differ among themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.arguments import Parser, positive
from domains.digits import Digits
from domains.digits.classifier import DigitFeatures
from vaegan.drawing import grid
from vaegan.errors import UserError
from vaegan.evaluation.environment import environment
from vaegan.files import make_folder, write_json
from vaegan.metrics.generation import frechet_distance, precision_recall
from vaegan.models import DCGANConfig
from vaegan.models.dcgan import DCGAN
from vaegan.objectives import Batch, GANObjective
from vaegan.training import Adam, Feed, TrainingConfig, fit, make_fabric

COLLAPSED = 0.05
"""Recall below which a generator counts as collapsed: its draws reach one real digit in twenty at most."""


class _Onward(Feed):
    """A feed that goes on where an earlier part of the training left it: ``begun`` batches are behind it."""

    begun = 0

    def __call__(self, step: int, progress: float) -> tuple[Batch, torch.Generator]:
        """The batch of a step of this part."""
        return super().__call__(step + self.begun, progress)


@dataclass(frozen=True)
class Case:
    """A net and how it is trained."""

    model: DCGANConfig
    objective: GANObjective = GANObjective()  # noqa: RUF009 - frozen


def cases(width: int, discriminator_width: int, layers: Sequence[int]) -> dict[str, Case]:
    """The study's net with added layers, and the remedies on the deepest."""
    plain = DCGANConfig(width=width, discriminator_width=discriminator_width)
    found = {f"{count} added": Case(replace(plain, added=count)) for count in layers}
    deepest = replace(plain, added=max(layers))
    name = f"{max(layers)} added"
    return found | {
        f"{name}, N(0, 0.02) at first": Case(replace(deepest, start="normal")),
        f"{name}, N(0, 0.02), batch norm in G": Case(replace(deepest, start="normal", norm="batch")),
        f"{min(layers)} added, N(0, 0.02) at first": Case(replace(plain, added=min(layers), start="normal")),
        f"{name}, batch norm in G": Case(replace(deepest, norm="batch")),
        f"{name}, residual": Case(replace(deepest, residual=True)),
        f"{name}, spectral norm in D": Case(replace(deepest, spectral=True)),
        f"{name}, R1": Case(deepest, GANObjective(penalty=1.0)),
    }


@torch.no_grad()
def look(model: DCGAN, real: torch.Tensor, n: int) -> dict[str, float]:
    """What the classifier says of n draws, beside real digits' features."""
    model.eval()
    judge = DigitFeatures()
    drawn = torch.cat([model.sample(100, generator=torch.Generator().manual_seed(i)) for i in range(n // 100)]).float()
    model.train()
    found = judge(drawn)
    precision, recall = precision_recall(real, found.features)
    assert found.probabilities is not None
    shares = torch.bincount(found.probabilities.argmax(1), minlength=10) / n
    return {
        "fid": frechet_distance(real, found.features),
        "precision": precision,
        "recall": recall,
        "digits": float((shares > 0.01).sum()),
        "spread": float(found.features.std(0).mean() / real.std(0).mean()),
    }


def run(
    case: Case, data: Digits, *, samples: int, batch: int, looks: int, n: int, pictures: Path | None
) -> dict[str, Any]:
    """Trains one net; its curve, and the share of the samples after which it had collapsed for good."""
    train, test = data.dataset("train"), data.dataset("test")
    rows = np.random.default_rng(0).permutation(len(test))[: 2 * n]
    real = DigitFeatures()(data.to_model(torch.from_numpy(np.array(test.signals[np.sort(rows)]))).float()).features
    torch.manual_seed(0)
    model = case.model.build(data.spec)
    fabric = make_fabric("cpu")
    feed = _Onward(train, data.to_model, None, batch=batch, device=fabric.device)
    curve = []
    done = 0
    for part in range(1, looks + 1):
        # A constant rate, so that training in parts differs from one piece only in Adam's moments, which begin anew.
        config = TrainingConfig(
            samples=samples * part // looks - done, cpu_minutes=1e9, batch=batch, schedule="constant", warmup=0.0,
            ema=0.0, clip=0.0, optimizer=Adam(lr=2e-4, beta1=0.5, beta2=0.999), log_every=50,
        )  # fmt: skip
        feed.begun = done // batch
        state = fit(model, case.objective, feed, config, fabric=fabric)
        done += state.samples
        curve.append({"samples": done, **look(model, real, n)})
    if pictures is not None:
        with torch.no_grad():
            shown = model.eval().sample(64, generator=torch.Generator().manual_seed(0)).float().clamp(-1, 1)
        Image.fromarray(grid(data.draw(data.to_physical(shown).numpy()), columns=16)).save(pictures)
    alive = [point["samples"] for point in curve if point["recall"] >= COLLAPSED]
    collapsed = curve[-1]["recall"] < COLLAPSED
    return {
        "parameters": {name: sum(p.numel() for p in player.parameters()) for name, player in model.players().items()},
        "curve": curve,
        "collapsed": collapsed,
        "last_alive": max(alive, default=0) if collapsed else None,
    }


def main(arguments: Sequence[str]) -> None:
    """Prints a line for each net, and writes all numbers."""
    parser = Parser("depth", __doc__)
    parser.add_argument("--data", type=Path, help="MNIST's folder; without it 5,000 digits of it")
    parser.add_argument("--out", type=Path, default=Path("depth"))
    parser.add_argument("--samples", type=positive, default=600_000, help="training samples of each net")
    parser.add_argument("--batch", type=positive, default=32)
    parser.add_argument("--width", type=positive, default=128, help="of the generator; 128 in the study")
    parser.add_argument("--discriminator-width", type=positive, default=56, help="56 in the study")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 2, 4], help="added to either net")
    parser.add_argument("--looks", type=positive, default=5)
    parser.add_argument("--only", default="", help="nets whose name holds this; without it all")
    parser.add_argument("--n", type=positive, default=1000, help="draws looked at, in hundreds")
    options = parser.parse_args(arguments)
    if options.samples < options.looks * options.batch:
        raise UserError(
            f"{options.samples} samples for {options.looks} looks in batches of {options.batch}",
            expected=f"at least a batch before each look, {options.looks * options.batch} samples",
            mend="set --samples, --looks or --batch",
        )
    if min(options.layers) < 0:
        raise UserError(f"{min(options.layers)} added layers", expected="0 or more", mend="set --layers")
    found: dict[str, Any] = {"environment": environment(), "options": {k: str(v) for k, v in vars(options).items()}}
    every = cases(options.width, options.discriminator_width, options.layers)
    chosen = {name: case for name, case in every.items() if options.only in name}
    if not chosen:
        known = "; ".join(every)
        raise UserError(f"no net's name holds {options.only!r}", expected=f"a part of {known}", mend="set --only")
    make_folder(options.out)
    for name, case in chosen.items():
        picture = options.out / f"{name.replace(', ', '-').replace(' ', '-').replace('(', '').replace(')', '')}.png"
        found[name] = run(
            case,
            Digits(options.data),
            samples=options.samples,
            batch=options.batch,
            looks=options.looks,
            n=max(100, options.n // 100 * 100),
            pictures=picture,
        )
        write_json(options.out / "depth.json", found)
        last = found[name]["curve"][-1]
        told = "  ".join(f"{key} {last[key]:.3g}" for key in ("fid", "precision", "recall", "digits", "spread"))
        print(f"{name:<32} {told}  {'collapsed' if found[name]['collapsed'] else ''}", flush=True)
