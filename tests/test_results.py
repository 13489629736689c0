"""What is kept of measured runs: it names no machine's folders, it replays, and the pages state no other numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import recipes
from vaegan import plugins
from vaegan.recipe import from_json

HERE = Path(recipes.__file__).parent
KEPT = sorted(HERE.glob("*/results/**/*.json"))
RECIPES = [path for path in KEPT if path.name == "recipe.json"]
STUDY = HERE / "faces" / "results" / "restoration"


def name_of(path: Path) -> str:
    return path.relative_to(HERE).as_posix()


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", KEPT, ids=name_of)
def test_no_folder_of_a_machine_is_kept(path: Path) -> None:
    found = [text for text in texts(read(path)) if re.match(r"(/|~|[A-Za-z]:\\)[\w.]", text)]
    assert not found


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_kept_recipe_replays(path: Path) -> None:
    name, recipe = from_json(read(path))
    assert name in plugins.recipes()
    assert recipe.stages


def test_there_are_results() -> None:
    assert len(RECIPES) > 20


def table(text: str) -> dict[str, list[str]]:
    """Each row's cells behind its first one, whatever stands there for emphasis taken away."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("| "):
            first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            found.setdefault(first.strip("`*"), cells)
    return found


def study_table(heading: str) -> dict[str, list[str]]:
    """The rows below one heading of the restoration study."""
    page = (HERE / "faces" / "README.md").read_text(encoding="utf-8")
    study = page[page.index("## Restoration study") :]
    return table(study[study.index(heading) + len(heading) :].split("\n##")[0])


def mean(measures: dict[str, Any], name: str, digits: int) -> str:
    return f"{measures[name]['mean']:.{digits}f}"


def test_the_restoration_study_s_table_is_what_was_measured() -> None:
    metrics, stated = read(STUDY / "metrics.json"), study_table("### Results")
    ((_, methods),) = metrics["restoration"].items()
    whole = {name: methods["input"][name]["mean"] for name in ("mse", "mse[max-rescaled]")}
    for method in ("input", *metrics["runs"]):
        measures, run = methods[method], metrics["runs"].get(method)
        low, high = measures["psnr"]["ci95"]
        wanted = [
            f"{run['train_samples']:,}" if run else "",
            f"{mean(measures, 'psnr', 2)} ({low:.2f} to {high:.2f})",
            mean(measures, "ssim", 3),
            mean(measures, "mse", 0),
            f"{measures['mse']['mean'] / whole['mse']:.3f}",
            mean(measures, "mse[max-rescaled]", 0),
            f"{measures['mse[max-rescaled]']['mean'] / whole['mse[max-rescaled]']:.3f}",
            mean(measures, "nrmse[max-rescaled]", 3),
            mean(measures, "ssim[max-rescaled]", 3),
        ]
        assert stated[method][: len(wanted)] == wanted, method
    for system, published in metrics["study"]["published"].items():
        assert stated[f"the study's {system}"][5] == f"{published['mse[max-rescaled]']:.0f}"


def test_the_table_of_the_vae_s_failure_is_what_was_measured() -> None:
    stated = study_table("### Why the study's VAE")
    variants = read(STUDY / "failure.json")["variants"]
    assert len(variants) == 6
    for name, numbers in variants.items():
        share = numbers["model mse[max-rescaled]"] / numbers["input mse[max-rescaled]"]
        assert stated[name] == [
            f"{numbers['model psnr']:.2f}",
            f"{numbers['model ssim']:.3f}",
            f"{numbers['model mse[max-rescaled]']:.0f}",
            f"{share:.2f}",
            f"{numbers['model nrmse[max-rescaled]']:.3f}",
            f"{numbers['model ssim[max-rescaled]']:.3f}",
        ], name


def test_the_table_of_the_damage_is_what_was_measured() -> None:
    stated = study_table("### The damage")
    for name, numbers in read(STUDY / "damage.json")["input"].items():
        mse, nrmse, ssim = numbers.values()
        assert stated[name] == [f"{mse:.0f}", f"{nrmse:.3f}", f"{ssim:.3f}"], name


def test_the_tables_of_digits_are_what_was_measured() -> None:
    page = (HERE / "digits" / "README.md").read_text(encoding="utf-8")
    folders = sorted(path.parent for path in (HERE / "digits" / "results").glob("*/metrics.json"))
    assert len(folders) >= 11
    for folder in folders:
        metrics = read(folder / "metrics.json")
        for method, measures in metrics["generation"].items():
            if "modes[digit-classifier]" not in measures:
                continue
            value = {name.partition("[")[0]: found["mean"] for name, found in measures.items()}
            low, high = measures["fid[digit-classifier]"]["ci95"]
            shares = " | ".join(f"{value[name]:.3f}" for name in ("precision", "recall", "coverage"))
            wanted = (
                f"| {value['fid']:.1f} ({low:.1f} to {high:.1f}) | {shares} | {value['is']:.2f} | {value['modes']:.0f} "
                f"| {value['mode_kl']:.3f} |"
            )
            assert wanted in page, (folder.name, method)
        assert f" {metrics['cost']['train_samples']:,} " in page, folder.name


def test_the_depth_study_s_table_is_what_was_measured() -> None:
    stated = table((HERE / "digits" / "README.md").read_text(encoding="utf-8"))
    for name, net in read(HERE / "digits" / "results" / "depth.json").items():
        if "curve" not in net:
            continue
        last = net["curve"][-1]
        cells = stated[f"{name} **collapsed" if net["collapsed"] else name]
        assert cells == [
            ", ".join(f"{count:,}" for count in net["parameters"].values()),
            f"{last['fid']:.0f}",
            f"{last['precision']:.3f}",
            f"{last['recall']:.3f}",
            f"{last['digits']:.0f}",
            f"{last['spread']:.2f}",
            ", ".join(f"{look['recall']:.3f}" for look in net["curve"]),
        ], name


def test_the_table_of_the_drawn_faces_is_what_was_measured() -> None:
    page = (HERE / "faces" / "README.md").read_text(encoding="utf-8")
    folders = sorted(path.parent for path in (HERE / "faces" / "results").glob("celeba64*/metrics.json"))
    assert len(folders) >= 3
    for folder in folders:
        metrics = read(folder / "metrics.json")
        for method in ("model", "model + mixture"):
            value = {name.partition("[")[0]: found for name, found in metrics["generation"][method].items()}
            low, high = value["kid"]["ci95"]
            shares = " | ".join(f"{value[name]['mean']:.3f}" for name in ("precision", "recall", "f1", "coverage"))
            wanted = f"| {value['kid']['mean']:.3f} ({low:.3f} to {high:.3f}) | {shares} |"
            assert wanted in page, (folder.name, method)
        assert f" {metrics['cost']['train_samples']:,} " in page, folder.name


def test_the_table_of_the_blind_discriminator_is_what_was_measured() -> None:
    page = (HERE.parent / "docs" / "concepts.md").read_text(encoding="utf-8")
    section = page[page.index("### A discriminator that sees nothing") :]
    for folder, samples in (("celeba64-small-batch-norm", (10_000, 15_680)), ("celeba64-small", (10_000, 16_000))):
        curves = read(HERE / "faces" / "results" / folder / "training.json")["curves of the second stage"]
        for n in samples:
            real, drawn, kl = (dict(map(tuple, curves[name]))[n] for name in ("d_real", "d_sampled", "prior"))
            assert f"| {n:,} | {real:.3f} | {drawn:.3f} | {kl:.0f} |" in section


RESTORED = {
    "eeg/results/multichannel": {"rrmse_t": 3, "rrmse_s": 3, "cc": 3},
    "lidar/results/desnow": {"mae": 3, "iou": 3},
    "lidar/results/restore": {"mae": 3, "iou": 3},
    "sonar/results/repair": {"mse": 5, "ssim": 3, "epi": 3},
}


@pytest.mark.parametrize("folder", RESTORED)
def test_a_table_of_restoration_is_what_was_measured(folder: str) -> None:
    """One row a method: each measure under each condition, in this order."""
    page = (HERE / folder.split("/")[0] / "README.md").read_text(encoding="utf-8").replace("**", "")
    metrics = read(HERE / folder / "metrics.json")
    conditions = metrics["restoration"].values()
    for method in next(iter(conditions)):
        cells = [mean(found[method], name, digits) for name, digits in RESTORED[folder].items() for found in conditions]
        assert f"| {method} | {' | '.join(cells)} |" in page, method
    assert f" {metrics['cost']['train_samples']:,} samples" in page
