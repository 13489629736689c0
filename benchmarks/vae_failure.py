"""``python -m benchmarks vae_failure``: why a VAE with skips can restore worse than what it was given.

The humanface8000 study reports a U-Net VAE with a mean squared error of 1.68 times its own input's. Here the same network is
trained a little under one change at a time (without its skips, with another latent, with the wrong partners), and each is
judged on the same damaged faces under the study's measures.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.arguments import Parser, positive
from vaegan import plugins
from vaegan.errors import UserError
from vaegan.evaluation.environment import environment
from vaegan.evaluation.evaluator import evaluate_restoration
from vaegan.files import check_file, write_json
from vaegan.metrics.rescaled import MAX_RESCALED
from vaegan.models import Model, UNetVAEConfig
from vaegan.objectives import Batch, UNetVAEObjective
from vaegan.objectives.restoring import OneLoss
from vaegan.recipe import Recipe
from vaegan.training import Feed, fit, make_fabric

RECIPE = "faces/restoration-unetvae"
MEASURES = ("psnr", "ssim", "mse", *MAX_RESCALED)


@dataclass(frozen=True)
class Mispaired(OneLoss):
    """The same objective, each damaged signal with another one's truth: what pairing by index does to lists that differ.

    Args:
        share: of a batch's items that get the next one's truth.
        beta: as of the objective.
    """

    players: ClassVar[tuple[str, ...]] = ("encoder", "decoder")

    share: float = 1.0
    beta: float = 1.0

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The loss against the wrong truth."""
        wrong = torch.arange(len(batch.x), device=batch.x.device) < self.share * len(batch.x)
        x = torch.where(wrong.view(-1, *(1 for _ in batch.x.shape[1:])), batch.x.roll(1, 0), batch.x)
        return UNetVAEObjective(beta=self.beta).losses(model, replace(batch, x=x), generator)


@dataclass(frozen=True)
class Variant:
    """One change of the system."""

    model: UNetVAEConfig = UNetVAEConfig()  # noqa: RUF009 - frozen
    objective: OneLoss = UNetVAEObjective()  # noqa: RUF009 - frozen
    lr: float | None = None


VARIANTS: dict[str, Variant] = {
    "skips, latent 64": Variant(),
    "skips, latent 8": Variant(UNetVAEConfig(latent=8)),
    "no skips, latent 64": Variant(UNetVAEConfig(skips=False)),
    "no skips, latent 512": Variant(UNetVAEConfig(skips=False, latent=512)),
    "skips, every pair wrong": Variant(objective=Mispaired()),
    "skips, half of the pairs wrong": Variant(objective=Mispaired(share=0.5)),
    "skips, the study's learning rate of 1e-4": Variant(lr=1e-4),
}


def measure(variant: Variant, recipe: Recipe, *, samples: int, n: int) -> dict[str, float]:
    """Trains a variant on so many samples; the means of all measures, and the input's."""
    (stage,) = recipe.stages
    training = replace(stage.training, samples=samples, minutes=1e6)
    if variant.lr is not None:
        training = replace(training, optimizer=replace(training.optimizer, lr=variant.lr))  # type: ignore[type-var]
    domain, train = recipe.domain, recipe.domain.dataset("train")
    torch.manual_seed(training.seed)
    model = variant.model.build(domain.spec)
    fabric = make_fabric(precision=training.precision)
    feed = Feed(
        train,
        domain.to_model,
        recipe.degradation(),
        batch=training.batch,
        device=fabric.device,
        seed=training.seed,
        flip=training.flip,
    )
    averaged = fit(model, variant.objective, feed, training, fabric=fabric).averaged.cpu().eval()

    def restore(y: Tensor, mask: Tensor | None) -> Tensor:
        with torch.no_grad():
            return averaged.restore(y, mask).mean

    found = evaluate_restoration(
        {"model": restore},
        domain,
        domain.dataset("test"),
        None,
        recipe.evaluation.conditions,
        n=n,
        seed=recipe.evaluation.seed,
        with_baselines=False,
        measures=MAX_RESCALED,
    )
    (methods,) = found.numbers.values()
    return {f"{method} {name}": methods[method][name]["mean"] for method in ("input", "model") for name in MEASURES}


def main(arguments: Sequence[str]) -> None:
    """Prints a line a variant, and writes all as JSON where asked."""
    parser = Parser("vae_failure", __doc__)
    parser.add_argument("--data", type=Path, help="faces; by default the recipe's own")
    parser.add_argument("--samples", type=positive, default=3000, help="training samples of each variant")
    parser.add_argument("--n", type=positive, default=200, help="test items")
    parser.add_argument("--only", nargs="*", help="names of variants")
    parser.add_argument("--out", type=Path, help="a JSON file")
    options = parser.parse_args(list(arguments))
    unknown = set(options.only or ()) - set(VARIANTS)
    if unknown:
        raise UserError(
            f"unknown variants {sorted(unknown)}", expected=f"some of {'; '.join(VARIANTS)}", mend="set --only"
        )
    if options.out is not None:
        check_file(options.out)
    recipe: Recipe = plugins.recipes()[RECIPE].with_data(options.data)
    rows: dict[str, Any] = {}
    for name in options.only or VARIANTS:
        rows[name] = measure(VARIANTS[name], recipe, samples=options.samples, n=options.n)
        share = rows[name]["model mse[max-rescaled]"] / rows[name]["input mse[max-rescaled]"]
        print(
            f"{name:42s} {rows[name]['model psnr']:6.2f} dB, SSIM {rows[name]['model ssim']:.3f}; as the study measures: "
            f"MSE {rows[name]['model mse[max-rescaled]']:7.1f} ({share:.2f} of the input's), "
            f"NRMSE {rows[name]['model nrmse[max-rescaled]']:.3f}, SSIM {rows[name]['model ssim[max-rescaled]']:.3f}",
            flush=True,
        )
        if options.out is not None:
            found = {"samples": options.samples, "n": options.n, "environment": environment(), "variants": rows}
            write_json(options.out, found)


if __name__ == "__main__":
    main(sys.argv[1:])
