"""A sweep tries every combination once, goes on where it was, and shows what each size costs and gives."""

from __future__ import annotations

import json
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from tests.reports import check_accessible
from tests.test_items import photographs as pictures
from vaegan import plugins
from vaegan.cli import main
from vaegan.errors import UserError
from vaegan.evaluation.report.sweep import QUALITIES, write_sweep
from vaegan.metrics.features import EfficientNetLite0
from vaegan.recipe import Recipe
from vaegan.run import Run
from vaegan.workflow import sweeping
from vaegan.workflow.judging import Findings
from vaegan.workflow.sweeping import parse_choices, sweep, value_at, with_value

RECIPE = "faces/restoration-dncnn"


def test_fields_are_found_and_changed_anywhere_in_a_recipe() -> None:
    recipe = plugins.recipes()["faces/quickstart"]
    changed = with_value(with_value(recipe, "model.width", 7), "stages.1.training.batch", 3)
    assert value_at(changed, "model.width") == 7
    assert [stage.training.batch for stage in changed.stages] == [recipe.stages[0].training.batch, 3]
    assert value_at(recipe, "model.width") == recipe.model.width


def test_values_have_the_field_s_type() -> None:
    recipe = plugins.recipes()["faces/quickstart"]
    choices = parse_choices(recipe, ["model.width=8,16", "stages.0.objective.beta=0.1,1", "model.vector=true,false"])
    assert choices == {"model.width": [8, 16], "stages.0.objective.beta": [0.1, 1.0], "model.vector": [True, False]}


def test_components_may_be_written_with_a_dot() -> None:
    recipe = plugins.recipes()["faces/restoration-pixelvaegan"]
    words = ["model.encoder.width=8,16,8", "model.decoder.width=8,4", "model.discriminator.width=8"]
    choices = parse_choices(recipe, words)
    assert choices == {"model.width": [8, 16], "model.decoder_width": [8, 4], "model.discriminator_width": [8]}
    with pytest.raises(UserError, match=r"'model\.encoder\.width'"):  # one width for both parts there
        parse_choices(plugins.recipes()["faces/restoration-vaegan"], ["model.encoder.width=8,16"])


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ([], "nothing to vary"),
        (["model.width"], "FIELD=a,b,c"),
        (["model.width=8", "model.width=16"], "each field once"),
        (["model.widht=8,16"], "no field 'model.widht'; expected 'widht' to be one of"),
        (["stages.7.training=1"], "no field 'stages.7.training'"),
        (["model.width=wide"], "model.width=wide; expected values such as 24"),
        (["model.width=0,8"], "width is 0"),
        (["model=1"], "model=1"),
        (["model.norm=none,batsh"], "model.norm=batsh; expected one of batch, group, layer, none"),
        (["stages.0.training.precision=fp8"], "precision=fp8; expected one of auto, 32-true, bf16-mixed"),
    ],
)
def test_what_cannot_be_varied_is_one_clear_line(vary, said) -> None:
    with pytest.raises(UserError, match=said):
        parse_choices(plugins.recipes()["faces/quickstart"], vary)


def test_a_word_that_a_model_would_take_for_another_is_refused() -> None:
    recipe = plugins.recipes()["faces/restoration-gan"]
    assert parse_choices(recipe, ["model.output=relu,tanh"]) == {"model.output": ["relu", "tanh"]}
    with pytest.raises(UserError, match=r"model\.output=sigmoid; expected one of relu, tanh, linear"):
        parse_choices(recipe, ["model.output=sigmoid"])


def test_no_combination_at_all_is_refused(tmp_path: Path) -> None:
    for trials in (0, -1):
        with pytest.raises(UserError, match=f"--trials is {trials}; expected at least 1; set --trials"):
            sweep(RECIPE, ["model.width=2"], out=tmp_path / "sweep", trials=trials, smoke=True)
    assert not (tmp_path / "sweep").exists()


def test_fields_of_one_name_have_folders_of_their_own(tmp_path: Path, monkeypatch) -> None:
    def attempt(name, recipe, chosen, folder, judged, device, console, trial):
        folders.append(folder.name.rpartition("-")[0])
        return 1.0, 1.0, 1.0

    folders: list[str] = []
    monkeypatch.setattr(sweeping, "_try", attempt)
    for field in ("stages.0.training.samples", "stages.1.training.samples", "model.width"):
        sweep("faces/quickstart", [f"{field}=16"], out=tmp_path, smoke=True)
    assert folders == ["stages.0.training.samples=16", "stages.1.training.samples=16", "width=16"]


def test_a_sweep_s_book_lies_in_its_folder_whatever_its_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sweeping, "_try", lambda *_: (1.0, 1.0, 1.0))
    for name in ("what if?", "Größe #1", "50 %25"):
        sweep(RECIPE, ["model.width=2"], out=tmp_path / name, smoke=True)
        assert (tmp_path / name / "sweep.db").is_file()
    assert len(list(tmp_path.iterdir())) == 3


def test_without_optuna_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'vaegan\[sweep\]'"):
        sweep(RECIPE, ["model.width=4,8"])


def test_a_sweep_tries_all_goes_on_and_reports(tmp_path: Path, capsys) -> None:
    out = tmp_path / "sweep"
    words = ["sweep", RECIPE, "--vary", "model.width=2,4", "--smoke", "--out", str(out), "--device", "cpu", "--json"]
    assert main([*words, "--trials", "1"]) == 0
    assert len(json.loads(capsys.readouterr().out)["trials"]) == 1
    assert main(words) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert sorted(trial["values"]["model.width"] for trial in metrics["trials"]) == [2, 4]
    assert any(trial["pareto"] for trial in metrics["trials"])
    for trial in metrics["trials"]:
        assert min(trial[name] for name in ("psnr", "ms_per_item", "peak_memory_mib", "parameters")) > 0
        assert (Path(trial["folder"]) / "recipe.json").is_file()
        judged = json.loads((Path(trial["folder"]) / "metrics.json").read_text())
        assert judged["data"]["judged_on"] == "val", "what is chosen on test items is flattered by them"
        assert trial["psnr"] == pytest.approx(judged["restoration"]["strokes coverage=0.105"]["model"]["psnr"]["mean"])
    before = (out / "sweep.json").read_text()
    assert main(words) == 0
    assert json.loads(before)["trials"] == json.loads(capsys.readouterr().out)["trials"], "nothing was left to do"
    with sqlite3.connect(out / "sweep.db") as database:
        assert database.execute("select count(*) from trials where state = 'COMPLETE'").fetchone() == (2,)
    check_accessible((out / "report.html").read_text())


def test_a_sweep_says_how_many_validation_items_there_were(tmp_path: Path, monkeypatch) -> None:
    smoke = Recipe.smoke
    wide = replace(smoke(plugins.recipes()[RECIPE]).evaluation, n=200)
    monkeypatch.setattr(Recipe, "smoke", lambda recipe: replace(smoke(recipe), evaluation=wide))
    metrics, page = sweep(RECIPE, ["model.width=2"], out=tmp_path, smoke=True, device="cpu")
    judged = json.loads((Path(metrics["trials"][0]["folder"]) / "metrics.json").read_text())["restoration"]
    assert metrics["n"] == judged["strokes coverage=0.105"]["model"]["psnr"]["n"] == 60
    assert "n = 60 validation items each" in page.read_text()


def test_a_combination_that_failed_is_tried_again(tmp_path: Path, monkeypatch, capsys) -> None:
    tried: list[int] = []

    def attempt(name, recipe, chosen, folder, judged, device, console, trial):
        tried.append(chosen["model.width"])
        if len(tried) == 1:
            raise KeyboardInterrupt
        if len(tried) == 2:
            raise UserError("the disk is full")
        return float(chosen["model.width"]), 1.0, 1.0

    monkeypatch.setattr(sweeping, "_try", attempt)
    words = ["model.width=2,4,8,8"]
    with pytest.raises(KeyboardInterrupt):
        sweep(RECIPE, words, out=tmp_path, smoke=True)
    with pytest.raises(UserError, match="disk"):
        sweep(RECIPE, words, out=tmp_path, smoke=True)
    metrics, _ = sweep(RECIPE, words, out=tmp_path, smoke=True)
    assert sorted(trial["values"]["model.width"] for trial in metrics["trials"]) == [2, 4, 8]
    assert tried[:2] == [tried[0]] * 2 and len(tried) == 5
    assert "Traceback" not in capsys.readouterr().err


def test_a_combination_that_was_tried_twice_is_held_against_the_last_trials_alone() -> None:
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"])
    for width, values in (("2", (24.0, 1.5, 100.0)), ("4", (25.0, 1.0, 100.0)), ("4", (25.0, 1.2, 100.0))):
        trial = optuna.trial.create_trial(
            params={"model.width": width},
            distributions={"model.width": optuna.distributions.CategoricalDistribution(["2", "4"])},
            values=values,
        )
        study.add_trial(trial)
    recipe = plugins.recipes()[RECIPE]
    found = sweeping._summary(RECIPE, recipe, study, {"model.width": [2, 4]}, (QUALITIES["psnr"], "psnr"))
    assert [(t["values"]["model.width"], t["pareto"]) for t in found["trials"]] == [(2, False), (4, True)]


def test_a_sweep_into_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("in the way")
    with pytest.raises(UserError, match="afile is a file; expected a folder; set --out"):
        sweep(RECIPE, ["model.width=2,4"], out=tmp_path / "afile", smoke=True)


def test_other_data_budgets_and_judging_are_other_sweeps(tmp_path: Path, monkeypatch) -> None:
    asked: list[Path] = []

    def attempt(name, recipe, chosen, place, judged, device, console, trial):
        asked.append(place)
        return float(chosen["model.width"]), 1.0, 1.0

    monkeypatch.setattr(sweeping, "_try", attempt)
    recipes = plugins.recipes()
    more = with_value(recipes[RECIPE], "evaluation.n", 7)
    place = pictures(tmp_path / "data", 0, 12)
    ways = {
        "smoke": {"smoke": True},
        "whole": {},
        "minutes": {"minutes": 60.0},
        "samples": {"samples": 100},
        "other data": {"smoke": True, "data": place},
        "judged on more": {},
    }
    for way, options in ways.items():
        known = {**recipes, RECIPE: more} if way == "judged on more" else recipes
        monkeypatch.setattr(plugins, "recipes", lambda known=known: known)
        for _ in range(2):
            metrics, _ = sweep(RECIPE, ["model.width=2,4"], out=tmp_path / "sweep", **options)
            assert len(metrics["trials"]) == 2
    assert len(asked) == len(set(asked)) == 2 * len(ways), "each is tried once, in a folder of its own"
    moved = tmp_path / "moved"
    place.rename(moved)
    sweep(RECIPE, ["model.width=2,4"], out=tmp_path / "sweep", smoke=True, data=moved)
    assert len(asked) == 2 * len(ways), "where the data lie does not matter"


def test_a_sweep_of_finished_trials_still_wants_its_data(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sweeping, "_try", lambda *_: (1.0, 1.0, 1.0))
    sweep(RECIPE, ["model.width=2,4"], out=tmp_path, smoke=True)
    with pytest.raises(UserError, match="/some/other/data"):
        sweep(RECIPE, ["model.width=2,4"], Path("/some/other/data"), out=tmp_path, minutes=60)


@pytest.mark.parametrize(
    "storage", ["nonsense", "postgresql://me@nowhere/db", "redis://nowhere", "sqlite:////no/where.db"]
)
def test_a_storage_that_cannot_be_used_is_one_line(storage: str, tmp_path: Path, capsys) -> None:
    words = ["sweep", RECIPE, "--vary", "model.width=2,4", "--smoke", "--out", str(tmp_path), "--storage", storage]
    assert main(words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vaegan: error: ")]
    assert len(lines) == 1
    assert f"--storage {storage} cannot be used" in lines[0] and "; set --storage" in lines[0]


def test_draws_that_cannot_be_compared_are_told_of_by_their_notes(tmp_path: Path, monkeypatch) -> None:
    """Fewer than six validation items, or draws all alike, have no kernel distance."""
    metrics = {
        "cost": {"parameters": {"decoder": 1}, "train_samples": 12, "ms_per_item": 1.0},
        "generation": {"model": {"precision[digits]": {"mean": 0.0}}},
        "generation_notes": ["digits: a classifier", "model: no distance: fewer than 6 items"],
    }
    run = Run(tmp_path, "digits/mnist-dcgan", plugins.recipes()["digits/mnist-dcgan"], None)  # type: ignore[arg-type]
    monkeypatch.setattr(sweeping, "train", lambda *_, **__: run)
    monkeypatch.setattr(sweeping, "evaluate", lambda *_, **__: Findings(metrics))
    monkeypatch.setattr(sweeping, "read_json", lambda _: {"peak_memory_mib": 1.0})
    with pytest.raises(UserError, match=r"no kid\[.*model: no distance: fewer than 6 items"):
        sweep("digits/mnist-dcgan", ["model.width=2,4"], out=tmp_path, smoke=True)


def test_a_system_that_tells_no_peak_of_memory_is_swept_on_all_the_same(tmp_path: Path, monkeypatch, capsys) -> None:
    from vaegan.workflow import memory

    monkeypatch.setattr(memory, "resource", None)
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    words = ["sweep", "digits/mnist-dcgan", "--vary", "model.width=2,4", "--smoke", "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "sweep")]) == 0
    assert " ms" in (said := capsys.readouterr().out) and "MiB" not in said
    assert " 0.0 ms" not in said, "of small models all would be the same"
    for trial in json.loads((tmp_path / "sweep" / "sweep.json").read_text())["trials"]:
        assert "peak_memory_mib" not in trial
        assert "peak_memory_mib" not in json.loads((Path(trial["folder"]) / "metrics.json").read_text())["cost"]


def test_a_recipe_that_only_draws_is_judged_by_its_draws(tmp_path: Path) -> None:
    metrics, page = sweep("digits/mnist-dcgan", ["model.width=2,4"], out=tmp_path, smoke=True, device="cpu")
    assert (metrics["quality"], metrics["conditions"]) == ("kid", [])
    assert metrics["measured"].startswith("kid[")
    for trial in metrics["trials"]:
        judged = json.loads((Path(trial["folder"]) / "metrics.json").read_text())["generation"]["model"]
        assert trial["kid"] == judged[metrics["measured"]]["mean"]
        assert min(trial["ms_per_item"], trial["peak_memory_mib"]) > 0
    best = min(metrics["trials"], key=lambda trial: trial["kid"])
    assert best["pareto"], "less is better"
    text = page.read_text()
    assert f"width {best['values']['model.width']} draws best: kernel distance" in text
    assert "draws from N(0, I) beside validation items, less is better" in text
    check_accessible(text)


def test_a_recipe_that_restores_and_draws_may_be_judged_by_either(tmp_path: Path, capsys) -> None:
    words = ["sweep", "faces/celeba64-small", "--vary", "model.width=4,8", "--smoke", "--device", "cpu"]
    for quality, said in (("psnr", " dB, "), ("kid", "kid[efficientnet-lite0] ")):
        out = tmp_path / quality
        assert main([*words, "--quality", quality, "--out", str(out)]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("model.width=")]
        assert len(lines) == 2
        assert all(said in line for line in lines)
        assert json.loads((out / "sweep.json").read_text())["quality"] == quality


def test_draws_of_different_models_need_features_that_are_the_same_for_all(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(EfficientNetLite0, "installed", staticmethod(lambda: False))
    with pytest.raises(UserError, match=r"nothing here can judge those of different models.*vaegan\[features\]"):
        sweep("faces/celeba64-small-gan", ["model.decoder_width=4,8"], out=tmp_path / "sweep", smoke=True)
    assert not (tmp_path / "sweep").exists()


def test_a_quality_that_is_not_judged_is_refused_before_anything_is_trained(tmp_path: Path, capsys) -> None:
    words = ["sweep", "digits/mnist-dcgan", "--vary", "model.width=2,4", "--out", str(tmp_path / "sweep"), "--smoke"]
    assert main([*words, "--quality", "psnr"]) == 2
    assert "digits/mnist-dcgan is not judged by psnr; expected kid; set --quality." in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


def trial(width: int, psnr: float, ms: float, mib: float, *, pareto: bool) -> dict[str, object]:
    values = {"model.width": width, "model.norm": "none" if width < 32 else "batch"}
    return {
        "values": values,
        "psnr": psnr,
        "ms_per_item": ms,
        "peak_memory_mib": mib,
        "pareto": pareto,
        "parameters": 9,
    }


def test_the_page_names_the_best_and_the_front(tmp_path: Path) -> None:
    metrics = {
        "recipe": RECIPE,
        "quality": "psnr",
        "conditions": ["strokes"],
        "n": 7,
        "vary": {"model.width": [16, 32, 64], "model.norm": ["none", "batch"]},
        "trials": [
            trial(16, 25.0, 1.0, 300, pareto=True),
            trial(32, 24.0, 2.0, 500, pareto=False),
            trial(64, 28.0, 4.0, 900, pareto=True),
        ],
    }
    metrics["environment"] = {"cpu": "some", "memory_gib": 3}
    page = write_sweep(tmp_path / "report.html", metrics, "vaegan sweep x").read_text()
    check_accessible(page)
    assert "Memory, GiB" in page and "memory_gib" not in page
    assert "width 64, norm batch restores best, 28.00 dB; of 3 trials 2 are on the Pareto front" in page
    assert "PSNR, dB at model.width: 16: 25.00, 32: 24.00, 64: 28.00." in page
    assert "On the line: width 16, norm none: 25.00 dB at 1.00; width 64, norm batch: 28.00 dB at 4.00." in page
    assert "Only 3 of 6 combinations have been tried" in page
    assert "One training each: what another seed would change is not measured." in page
    full = {**metrics, "vary": {"model.width": [16, 32, 64]}}
    assert "combinations have been tried" not in write_sweep(tmp_path / "full.html", full, "").read_text()


def test_a_page_without_trials_says_so(tmp_path: Path) -> None:
    metrics = {
        "recipe": RECIPE,
        "quality": "psnr",
        "conditions": [],
        "n": 1,
        "vary": {"model.width": [1, 2]},
        "trials": [],
    }
    assert "No trial has been finished." in write_sweep(tmp_path / "report.html", metrics, "").read_text()
