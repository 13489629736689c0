"""What a trained run can do beside restoring: draw from a mixture, state its spread, edit, be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

import vaegan
from tests import reports
from vaegan import plugins
from vaegan.cli import main
from vaegan.domain import Recording
from vaegan.extras import CALIBRATION, DIRECTIONS, FAITHFUL, PRIOR
from vaegan.run import Run
from vaegan.workflow.judging import Findings, report


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of which half are bright, and say so."""
    return describe(tmp_path_factory.mktemp("data") / "faces.h5", ("Bright", "Chance"), n=120, seed=0)


def describe(path: Path, names: tuple[str, ...], *, n: int, seed: int) -> Path:
    """Pictures with attributes: ``Bright`` says which of them are, any other is chance."""
    generator = np.random.default_rng(seed)
    bright = np.arange(n) % 2
    levels = generator.integers(0, 120, (n, 16, 16, 3)) + 100 * bright[:, None, None, None]
    values = [2 * (bright if name == "Bright" else generator.integers(0, 2, n)) - 1 for name in names]
    with h5py.File(path, "w") as file:
        file["images"] = levels.astype(np.uint8)
        file["names"] = np.asarray([f"{i:03}".encode() for i in range(n)])
        file["attributes"] = np.stack(values, axis=1)
        file["attribute_names"] = np.asarray([name.encode() for name in names])
    return path


@pytest.fixture(scope="module")
def run(described: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    words = ["run", "faces/quickstart", "--device", "cpu", "--data", str(described), "--out", str(folder)]
    words += ["--samples", "800", "--domain.size", "16", "--domain.color", "--evaluation.n", "6"]
    assert main([*words, "--evaluation.samples", "12", "--model.width", "8", "--model.widest", "16"]) == 0
    return folder


def picture(path: Path, size: tuple[int, int] = (16, 16), level: int = 60) -> Path:
    Image.fromarray(np.full((*size, 3), level, dtype=np.uint8)).save(path)
    return path


def failed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vaegan: error: ")]
    return line


def test_a_run_keeps_what_it_learned_after_training(run: Path) -> None:
    for name in (PRIOR, DIRECTIONS, CALIBRATION, FAITHFUL):
        assert (run / "model" / name).is_file()
    extras = vaegan.load(run).extras
    assert extras.directions is not None
    assert extras.directions.names == ("Bright", "Chance")
    assert extras.calibration is not None
    assert extras.calibration.n == 12
    assert max(extras.calibration.weights) > 0


def test_its_numbers_have_all_parts(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["generation"]) == {"model", "model + mixture", "model + training latents", "training items"}
    assert not [name for name in metrics["generation"]["model + training latents"] if name.startswith("copies")]
    extractors = {name.partition("[")[2] for by in metrics["generation"].values() for name in by}
    assert len(extractors) == 1
    assert set(metrics["uncertainty"]["noise sigma=50/255"]) == {
        "spearman_raw",
        "spearman",
        "coverage90_raw",
        "coverage90",
        "coverage90_recalibrated",
        "ause",
    }
    assert [point["fidelity"] for point in metrics["tradeoff"]["points"]] == [0.0, 0.25, 0.5, 0.75, 1.0]
    attributes = metrics["latent"]["attributes"]
    assert attributes["Bright"]["mean"] > 0.9, "what is plain to see must be read from the latent"
    page = (run / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_draws_from_both_priors(run: Path, tmp_path: Path) -> None:
    loaded = vaegan.load(run)
    normal, mixture, again = (loaded.sample(70, seed=3, mixture=m) for m in (False, True, True))
    assert normal.shape == mixture.shape == (70, 3, 16, 16)
    assert np.abs(normal - mixture).max() > 1
    np.testing.assert_array_equal(mixture, again)
    assert main(["sample", str(run), "-n", "4", "--prior", "mixture", "--out", str(tmp_path / "x.npy")]) == 0
    assert np.load(tmp_path / "x.npy", allow_pickle=False).shape == (4, 3, 16, 16)


def test_a_spread_lies_beside_its_file(run: Path, tmp_path: Path, capsys) -> None:
    source = picture(tmp_path / "face.png", (20, 18))
    out = tmp_path / "out"
    assert main(["restore", str(run), str(source), "--out", str(out), "--samples", "3", "--spread"]) == 0
    spread = np.load(out / "face.png.spread.npy", allow_pickle=False)
    assert spread.shape == (1, 3, 20, 18)
    assert (spread > 0).all()
    calibrated = vaegan.load(run).restore(source, samples=3)
    assert calibrated.spread is not None
    np.testing.assert_allclose(spread, calibrated.spread)
    assert "set --samples" in failed(capsys, "restore", run, source, "--out", out, "--spread")


def test_bfloat16_restores_the_same_picture_but_for_rounding(run: Path, tmp_path) -> None:
    source = tmp_path / "noisy.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)).save(source)
    words = [str(word) for word in ("restore", run, source, "--out")]
    assert main([*words, str(tmp_path / "exact")]) == 0
    assert main([*words, str(tmp_path / "quick"), "--bfloat16"]) == 0
    exact, quick = (np.asarray(Image.open(tmp_path / name / "noisy.png"), float) for name in ("exact", "quick"))
    changed = np.abs(exact - np.asarray(Image.open(source), float)).mean()
    assert 0 < np.abs(quick - exact).mean() < 0.05 * changed


def test_bfloat16_does_not_spoil_the_spread(tmp_path: Path) -> None:
    """Where the network's output is itself bfloat16, sums of squares over draws would cancel."""
    torch.manual_seed(0)
    recipe = plugins.recipes()["faces/celeba64-small"].smoke()
    model = recipe.model.build(recipe.domain.spec).eval()
    run = Run(tmp_path, "faces/celeba64-small", recipe, model)
    noisy = np.random.default_rng(0).integers(0, 256, (1, *recipe.domain.spec.shape), dtype=np.uint8)
    recording = Recording(noisy.astype(np.float32), tmp_path / "noisy.png", "levels")
    exact, quick = (run.restore(recording, samples=8, bfloat16=low).recording.spread for low in (False, True))
    assert exact is not None and quick is not None
    assert exact.mean() > 0
    assert np.abs(quick - exact).mean() < 0.2 * exact.mean()


def test_a_private_page_has_the_numbers_and_no_picture_of_the_data(run: Path, tmp_path, capsys) -> None:
    pages = {}
    for name, words in (("whole", ()), ("private", ("--private",))):
        assert main(["evaluate", str(run), "--report", str(tmp_path / name), *words]) == 0
        pages[name] = (tmp_path / name / "report.html").read_text()
    for heading in (
        "Pictures",
        "Where it fails",
        "Draws beside their nearest training items",
        "From one item to another",
    ):
        assert f">{heading}<" in pages["whole"]
        assert f">{heading}<" not in pages["private"]
    assert ">Samples<" in pages["private"], "what it draws is no data"
    assert "this page may be shared where the data may not" in pages["private"]
    numbers = [json.loads((tmp_path / name / "metrics.json").read_text())["restoration"] for name in pages]
    assert numbers[0] == numbers[1]
    assert "--private without a report" in failed(capsys, "evaluate", run, "--private")


def test_no_part_of_a_private_page_shows_the_data(run: Path, tmp_path) -> None:
    judged = Findings(
        json.loads((run / "metrics.json").read_text()),
        reports.restoration({reports.CONDITION: reports.methods(26.0)}),
        reports.generation(),
        reports.uncertainty(),
        reports.tradeoff(),
    )
    draws_alone = Findings(judged.metrics, generation=replace(reports.generation(), nearest=None, interpolation=None))
    pages = {}
    for name, found, private in (("whole", judged, False), ("private", judged, True), ("draws", draws_alone, False)):
        (tmp_path / name).mkdir()
        pages[name] = report(vaegan.load(run), found, "-", tmp_path / name, private=private).read_text()
    assert ">Faithful or realistic<" in pages["private"], "its curve is no picture"
    pictures = {name: page.count("data:image") for name, page in pages.items()}
    assert pictures["whole"] > pictures["private"] == pictures["draws"] > 0


def test_fidelity_goes_from_the_last_weights_to_those_before_the_discriminator(run: Path, tmp_path, capsys) -> None:
    source = picture(tmp_path / "face.png")
    loaded = vaegan.load(run)
    zero, half, one = (loaded.restore(source, fidelity=f).mean for f in (0.0, 0.5, 1.0))
    assert np.abs(zero - one).max() > 1e-3
    np.testing.assert_allclose(half, (zero + one) / 2, atol=1e-3)
    said = failed(capsys, "restore", run, source, "--out", tmp_path / "out", "--fidelity", "2")
    assert "--fidelity is 2" in said


def test_an_attribute_is_added_and_taken_away(run: Path, tmp_path: Path, capsys) -> None:
    source = picture(tmp_path / "face.png", (40, 30))
    means = {}
    for strength in ("-2", "0", "2"):
        out = tmp_path / f"by{strength}"
        words = ["edit", str(run), str(source), "--attribute", "bright", f"--strength={strength}", "--out", str(out)]
        assert main(words) == 0
        with Image.open(out / "face.png") as edited:
            assert edited.size == (16, 16)
            means[strength] = float(np.asarray(edited).mean())
    assert means["-2"] < means["0"] < means["2"]
    said = failed(capsys, "edit", run, source, "--attribute", "Brigt", "--out", tmp_path / "no")
    assert "did you mean Bright" in said
    said = failed(capsys, "edit", run, source, "--attribute", "Bright", "--out", source.parent)
    assert "would be overwritten" in said


def test_runs_are_compared_on_the_same_items(run: Path, described: Path, tmp_path: Path, capsys) -> None:
    other, out = tmp_path / "other", tmp_path / "page"
    words = ["train", "faces/quickstart", "--device", "cpu", "--data", str(described), "--out", str(other)]
    words += ["--samples", "32", "--domain.size", "16", "--domain.color", "--evaluation.samples", "8"]
    assert main([*words, "--model.width", "8", "--model.widest", "24"]) == 0
    capsys.readouterr()
    assert main(["compare", str(run), str(other), "--out", str(out), "--n", "5", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    names = list(metrics["runs"])
    assert len(names) == 2
    row = metrics["restoration"]["noise sigma=50/255"]
    assert {"input", "nlm", *names} <= set(row)
    assert row[names[0]]["psnr"]["n"] == 5
    pair = f"{names[0]} − {names[1]}"
    difference = metrics["differences"]["noise sigma=50/255"]["psnr"][pair]
    expected = row[names[0]]["psnr"]["mean"] - row[names[1]]["psnr"]["mean"]
    assert difference["mean"] == pytest.approx(expected)
    assert {names[0], f"{names[0]} + mixture", names[1]} <= set(metrics["generation"])
    assert (out / "report.html").is_file()
    assert "at least two" in failed(capsys, "compare", run)
    assert "unknown run or recipe 'faces/denoize'" in failed(capsys, "compare", run, "faces/denoize")


def test_runs_on_different_data_are_not_compared(run: Path, tmp_path: Path, capsys) -> None:
    words = ["train", "faces/quickstart", "--smoke", "--device", "cpu", "--out", str(tmp_path / "orl")]
    assert main([*words, "--domain.size", "16", "--domain.color"]) == 0
    assert "trained on different data" in failed(capsys, "compare", run, tmp_path / "orl")


@pytest.mark.parametrize("names", [("Hat", "Chance", "Bright"), ("Bright",), ("Hat",)])
def test_attributes_of_other_data_are_known_by_their_names(run: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    other, numbers = describe(tmp_path / "other.h5", names, n=60, seed=1), tmp_path / "numbers.json"
    assert main(["evaluate", str(run), "--data", str(other), "--n", "2", "--out", str(numbers)]) == 0
    found = json.loads(numbers.read_text())["latent"]["attributes"]
    assert set(found) == {"Bright", "Chance"} & set(names)
    assert "Bright" not in names or found["Bright"]["mean"] > 0.9
    assert "Chance" not in names or abs(found["Chance"]["mean"] - 0.5) < 0.3


def test_a_run_without_attributes_says_so(tmp_path: Path, capsys) -> None:
    words = ["train", "faces/quickstart", "--smoke", "--device", "cpu", "--out", str(tmp_path / "orl")]
    assert main([*words, "--domain.size", "16"]) == 0
    said = failed(
        capsys, "edit", tmp_path / "orl", picture(tmp_path / "a.png"), "--attribute", "x", "--out", tmp_path / "o"
    )
    assert "has no attribute vectors" in said


def test_evaluate_writes_a_page_where_it_is_told_to(run: Path, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    for number in range(5):
        picture(tmp_path / "others" / f"{number}.png", level=40 * number)
    kept = (run / "report.html").read_bytes()
    words = ["evaluate", run, "--data", tmp_path / "others", "--n", "2", "--report", tmp_path / "page"]
    assert main([str(word) for word in words]) == 0
    metrics = json.loads((tmp_path / "page" / "metrics.json").read_text())
    assert metrics["data"]["n_test"] == 5
    assert "--report" in (tmp_path / "page" / "report.html").read_text()
    assert (run / "report.html").read_bytes() == kept


def test_a_class_may_be_asked_for(run: Path, tmp_path, capsys) -> None:
    folder, out = tmp_path / "conditional", tmp_path / "drawn.npy"
    assert main(["train", "sonar/generate", "--smoke", "--device", "cpu", "--out", str(folder)]) == 0
    trained = vaegan.load(folder)
    names = trained.domain.dataset("train").class_names
    assert main(["sample", str(folder), "-n", "3", "--class", names[1], "--out", str(out)]) == 0
    np.testing.assert_array_equal(np.load(out), trained.sample(3, classes=torch.full((3,), 1)))
    assert not np.array_equal(np.load(out), trained.sample(3, classes=torch.full((3,), 0)))
    assert f"no class 'whale'; expected one of {names[0]}" in failed(
        capsys, "sample", folder, "--class", "whale", "--out", out
    )
    assert "knows no classes" in failed(capsys, "sample", run, "--class", "whale", "--out", out)
