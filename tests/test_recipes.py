"""Every recipe runs small from end to end, replays from its JSON, and keeps its promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaegan
from vaegan import plugins
from vaegan.cli import main
from vaegan.errors import UserError
from vaegan.recipe import Recipe, from_json, identity, to_json
from vaegan.training.state import load_tensors
from vaegan.workflow import memory
from vaegan.workflow.memory import STATUS, PeakMemory

NAMES = sorted(plugins.recipes())
ROOT = Path(__file__).parents[1]
GENERAL = ("median", "gaussian", "tv", "nlm", "wavelet")
CLASSICAL = {
    "faces": GENERAL,
    "digits": GENERAL,
    "generic": GENERAL,
    "sonar": (*GENERAL, "lee", "frost"),
    "eeg": ("bandpass", "wavelet", "mmse"),
    "lidar": ("median", "bilateral"),
}
PICTURES = ("faces", "digits", "generic", "sonar")


def test_every_recipe_is_found() -> None:
    folders = {path.parent.name for path in (ROOT / "recipes").glob("*/__init__.py")}
    assert folders == {name.split("/")[0] for name in NAMES}
    assert {"faces/quickstart", "faces/denoise", "faces/celeba64", "generic"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_replays_from_json(name) -> None:
    recipe = plugins.recipes()[name]
    again_name, again = from_json(json.loads(json.dumps(to_json(name, recipe))))
    assert (again_name, again) == (name, recipe)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is(name) -> None:
    recipe = plugins.recipes()[name]
    assert 20 < len(recipe.summary) < 100
    text = (ROOT / "recipes" / name.split("/")[0] / "README.md").read_text()
    assert f"vaegan run {name}" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_runs_small_from_end_to_end(name, tmp_path, capsys) -> None:
    out = tmp_path / "run"
    assert main(["run", name, "--smoke", "--out", str(out), "--device", "cpu", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    recipe: Recipe = plugins.recipes()[name]
    assert set(metrics.get("restoration", {})) == set(recipe.evaluation.conditions)
    assert ("model" in metrics.get("generation", {})) is (recipe.evaluation.samples > 0)
    drawn = metrics.get("generation", {})
    if "training items" in drawn:  # real ones are judged by the domain's own measures too, so that these can be read
        memory = {key for key in drawn["model"] if key.startswith(("nearer", "copies"))}
        assert set(drawn["model"]) - memory <= set(drawn["training items"])
    for row in metrics.get("restoration", {}).values():
        # The input and the domain's classical methods stand beside the network everywhere.
        assert {"input", "model", *CLASSICAL[name.split("/")[0]]} <= set(row)
        assert row["model"]["psnr"]["n"] == 2
        low, high = row["model"]["psnr"]["ci95"]
        assert low <= row["model"]["psnr"]["mean"] <= high
    assert json.loads((out / "metrics.json").read_text()) == metrics
    for part in ("recipe.json", "model/config.json", "model/model.safetensors", "report.html"):
        assert (out / part).is_file(), part
    assert list((out / "state").glob("stage-*/log/*")), "TensorBoard's files"
    if name == "eeg/generate":  # which does not restore, so nothing is said of what survived it
        assert "Did the signal survive?" not in (out / "report.html").read_text()
    run = vaegan.load(out)
    assert run.model.generates or run.model.restores
    if run.model.generates:
        assert run.sample(2).shape == (2, *run.domain.spec.shape)
    if run.model.restores and name.split("/")[0] in PICTURES:
        _a_picture_comes_back(run, tmp_path)


def _a_picture_comes_back(run, tmp_path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (90, 75, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "face.png")
    target = run.restore(tmp_path / "face.png", samples=2).write(tmp_path / "restored.png")
    with Image.open(target) as restored:
        assert (restored.size, restored.mode) == ((75, 90), "RGB" if run.domain.spec.channels == 3 else restored.mode)


def test_the_same_command_resumes_and_another_recipe_is_refused(tmp_path, capsys) -> None:
    words = ["train", "faces/quickstart", "--out", str(tmp_path / "run"), "--device", "cpu", "--smoke"]
    assert main(words) == 0
    first = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    assert main(words) == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == first
    capsys.readouterr()
    assert main([*words, "--model.width", "16"]) == 2
    assert "holds a run of another recipe" in capsys.readouterr().err


def test_more_training_of_an_early_stage_starts_the_later_ones_again(tmp_path, capsys) -> None:
    out = tmp_path / "run"
    words = ["train", "faces/quickstart", "--out", str(out), "--device", "cpu", "--domain.size", "16"]
    assert main([*words, "--samples", "40"]) == 0
    first = json.loads((out / "training.json").read_text())["samples"]
    assert "begins again" not in capsys.readouterr().err
    assert main([*words, "--samples", "80"]) == 0
    assert "stage 2 begins again, as stage 1 went on" in " ".join(capsys.readouterr().err.split())
    assert first == 40
    assert json.loads((out / "training.json").read_text())["samples"] == 80
    info = [load_tensors(out / "state" / f"stage-{k}" / "state.safetensors")[1] for k in (1, 2)]
    assert [part["samples"] for part in info] == [48, 32]
    assert info[1]["history"][0]["samples"] <= 32


@pytest.mark.skipif(not STATUS.is_file(), reason="only Linux tells, and forgets, the peak of a process")
def test_what_an_earlier_training_left_behind_is_not_a_later_one_s_memory(monkeypatch) -> None:
    monkeypatch.setattr(PeakMemory, "_fresh", None)
    first = PeakMemory()
    first.begin()
    left = np.ones(2**25)  # 256 MiB, such as a model that is compared
    assert first.mib() is not None and 250 < first.mib() - PeakMemory._fresh < 400
    second = PeakMemory()
    second.begin()
    assert second.mib() == pytest.approx(PeakMemory._fresh, abs=50)
    more = np.ones(2**24)
    assert second.mib() - PeakMemory._fresh == pytest.approx(128, abs=50)
    assert len(left) > len(more)


def test_where_the_system_cannot_forget_a_peak_a_later_training_tells_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "nothing")
    monkeypatch.setattr(PeakMemory, "_fresh", None)
    assert PeakMemory().mib() == memory.peak_memory_mib()
    assert PeakMemory().mib() is None


def test_the_memory_that_training_took_outlives_a_sitting_without_any(tmp_path, monkeypatch) -> None:
    peaks = iter((900.0, 500.0, 700.0))
    monkeypatch.setattr(PeakMemory, "mib", lambda _: next(peaks))
    words = ["train", "faces/quickstart", "--smoke", "--out", str(tmp_path), "--device", "cpu", "--domain.size", "16"]

    def told(*more: str) -> float:
        assert main([*words, *more]) == 0
        return json.loads((tmp_path / "training.json").read_text())["peak_memory_mib"]

    assert told() == 900.0
    assert told() == 900.0  # nothing was left to train
    assert told("--samples", "48") == 700.0


def test_the_last_stage_goes_on_alone_when_only_its_budget_grew(tmp_path, capsys) -> None:
    out = tmp_path / "run"
    words = ["train", "faces/quickstart", "--out", str(out), "--device", "cpu", "--domain.size", "16"]
    budget = ["--stages.0.training.samples", "16", "--stages.1.training.samples"]
    assert main([*words, *budget, "16"]) == 0
    assert main([*words, *budget, "32"]) == 0
    assert "begins again" not in capsys.readouterr().err
    info = [load_tensors(out / "state" / f"stage-{k}" / "state.safetensors")[1] for k in (1, 2)]
    assert [part["samples"] for part in info] == [16, 32]


def _photographs(folder: Path, seed: int, count: int = 20) -> Path:
    folder.mkdir()
    random = np.random.default_rng(seed)
    for i in range(count):
        Image.fromarray(random.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


def test_training_begins_with_the_weights_of_another_run(tmp_path, capsys) -> None:
    words = ["train", "faces/quickstart", "--device", "cpu", "--smoke"]
    first, second = tmp_path / "first", tmp_path / "second"
    assert main([*words, "--data", str(_photographs(tmp_path / "plenty", 0)), "--out", str(first)]) == 0
    little = str(_photographs(tmp_path / "little", 1))
    # One step at a rate of nothing leaves the weights as they were given.
    still = ["--stages.0.training.optimizer.lr", "1e-30", "--stages.1.training.optimizer.lr", "1e-30"]
    pretrained = ["--pretrained", str(first), "--out", str(second)]
    assert main([*words, "--data", little, *pretrained, *still]) == 0
    assert json.loads((second / "training.json").read_text())["pretrained"]["recipe"] == "faces/quickstart"
    given, kept = (load_tensors(run / "model" / "model.safetensors")[0] for run in (first, second))
    assert all(np.allclose(given[name], kept[name], atol=1e-6) for name in given)
    new = tmp_path / "new"
    assert main([*words, "--data", little, "--out", str(new), *still]) == 0
    unlike = load_tensors(new / "model" / "model.safetensors")[0]
    assert not all(np.allclose(given[name], unlike[name], atol=1e-3) for name in given)
    capsys.readouterr()
    assert main([*words, "--data", little, "--out", str(second), *still]) == 2
    assert "another beginning" in capsys.readouterr().err
    assert main(["evaluate", str(second), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["pretrained"]["source"].endswith("plenty")
    assert "Begun with" in (second / "report.html").read_text()


def test_a_pretrained_run_of_other_networks_is_refused(tmp_path, capsys) -> None:
    words = ["train", "faces/quickstart", "--device", "cpu", "--smoke"]
    assert main([*words, "--out", str(tmp_path / "first")]) == 0
    wider = ["--pretrained", str(tmp_path / "first"), "--out", str(tmp_path / "second"), "--model.width", "12"]
    assert main([*words, *wider]) == 2
    assert "has other networks (" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


def test_a_folder_of_runs_is_no_pretrained_run(tmp_path, capsys) -> None:
    words = ["train", "faces/quickstart", "--device", "cpu", "--smoke"]
    assert main([*words, "--out", str(tmp_path / "runs" / "first")]) == 0
    assert main([*words, "--pretrained", str(tmp_path / "runs"), "--out", str(tmp_path / "second")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"set --pretrained {tmp_path / 'runs' / 'first'}" in said
    assert not (tmp_path / "second").exists()


def test_a_pretrained_run_that_learned_from_test_items_is_refused(tmp_path, capsys) -> None:
    words = ["train", "faces/quickstart", "--device", "cpu", "--smoke"]
    faces = _photographs(tmp_path / "faces", 0)
    assert main([*words, "--data", str(faces), "--out", str(tmp_path / "first")]) == 0
    some = tmp_path / "some"
    some.mkdir()
    for name in plugins.domain_class("faces")(data=faces).dataset("train").groups:  # divided anew
        (some / f"{name}.png").write_bytes((faces / f"{name}.png").read_bytes())
    again = ["--pretrained", str(tmp_path / "first"), "--data", str(some), "--out", str(tmp_path / "second")]
    assert main([*words, *again]) == 2
    assert "test items were training items of" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


def test_shuffled_latents_come_from_other_groups() -> None:
    from vaegan.evaluation.latent import _partners

    groups = ["a", "a", "b", "b", "b", "a"]
    partners = _partners(groups)
    assert partners is not None
    assert all(groups[i] != groups[k] for i, k in enumerate(partners.tolist()))
    assert _partners(["a", "a"]) is None


def test_a_budget_is_shared_by_the_stages() -> None:
    recipe = plugins.recipes()["faces/denoise"]
    longer = recipe.with_budget(minutes=88.0)
    assert sum(stage.training.minutes for stage in longer.stages) == pytest.approx(88.0)
    counted = recipe.with_budget(samples=1_000)
    assert sum(stage.training.samples for stage in counted.stages) == pytest.approx(1_000, abs=2)
    assert identity("x", recipe, "") == identity("x", longer, "") == identity("x", counted, "")
    with pytest.raises(UserError, match="--minutes is -1"):
        recipe.with_budget(minutes=-1)


def test_evaluate_judges_data_that_the_run_never_saw(tmp_path, capsys) -> None:
    assert main(["train", "faces/quickstart", "--out", str(tmp_path / "run"), "--device", "cpu", "--smoke"]) == 0
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        noise = np.random.default_rng(i).integers(0, 255, (70, 70, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
    out = tmp_path / "numbers.json"
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(folder), "--out", str(out), "--n", "100"]) == 0
    metrics = json.loads(out.read_text())
    assert metrics["data"]["n_test"] == 5
    assert metrics["restoration"]["noise sigma=50/255"]["model"]["psnr"]["n"] == 5
    assert not (tmp_path / "run" / "metrics.json").exists(), "other data must not overwrite the run's own numbers"
    assert "n = 5" in capsys.readouterr().out
