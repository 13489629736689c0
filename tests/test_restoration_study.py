"""The humanface8000 study: its measures, its damage, and its page."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, normalized_root_mse, structural_similarity

from benchmarks.__main__ import main as benchmark
from benchmarks.vae_failure import Mispaired
from domains.faces import Faces
from recipes.faces.restoration import CONDITION
from recipes.studies import HUMANFACE8000
from tests.reports import check_accessible
from vaegan import plugins
from vaegan.cli import main
from vaegan.degradation import build
from vaegan.errors import DataError
from vaegan.evaluation.report.study import study_section
from vaegan.metrics.rescaled import MAX_RESCALED
from vaegan.models import UNetVAEConfig
from vaegan.objectives import Batch, UNetVAEObjective
from vaegan.testing import check_objective


def pictures(n: int = 3, top: int = 200) -> np.ndarray:
    return np.random.default_rng(0).integers(0, top, (n, 3, 16, 16)).astype(np.float64)


def test_the_study_s_measures_are_scikit_image_s_after_each_picture_s_own_maximum() -> None:
    truth, restored = pictures(), pictures() + np.random.default_rng(1).integers(0, 40, (3, 3, 16, 16))
    for i in range(3):
        a, b = ((p[i].transpose(1, 2, 0) / p[i].max() * 255).astype(np.uint8) for p in (truth, restored))
        expected = {
            "mse[max-rescaled]": mean_squared_error(a, b),
            "nrmse[max-rescaled]": normalized_root_mse(a, b),
            "ssim[max-rescaled]": structural_similarity(a, b, channel_axis=2),
        }
        for name, value in expected.items():
            found = MAX_RESCALED[name].function(restored[i : i + 1], truth[i : i + 1], 255.0)[0]
            assert found == pytest.approx(value, rel=1e-6), name


def test_the_study_s_measures_hide_errors_of_brightness() -> None:
    truth = np.round(pictures(top=120) / 2) * 2
    assert MAX_RESCALED["mse[max-rescaled]"].function(truth / 2, truth, 255.0) == pytest.approx(0.0)
    assert MAX_RESCALED["ssim[max-rescaled]"].function(truth / 2, truth, 255.0) == pytest.approx(1.0)


def test_black_pictures_and_gaps_are_said() -> None:
    black = np.zeros((1, 3, 16, 16))
    assert MAX_RESCALED["mse[max-rescaled]"].function(black, black, 255.0) == 0
    assert np.isnan(MAX_RESCALED["nrmse[max-rescaled]"].function(black, black, 255.0)).all()
    with pytest.raises(DataError, match="not finite"):
        MAX_RESCALED["mse[max-rescaled]"].function(black, np.full_like(black, np.nan), 255.0)


def test_the_damage_is_that_of_the_study(test_data: Path) -> None:
    """The input's scores on real faces, within a twentieth of those that the study states."""
    faces = Faces(data=test_data / "faces" / "celeba64.h5")
    truth = np.array(faces.dataset("test").signals[:300])
    strokes = build(CONDITION, faces.degradations())
    y = strokes(faces.to_model(torch.from_numpy(truth)).float(), generator=torch.Generator().manual_seed(0)).y
    damaged = np.rint(faces.to_physical(y).numpy())
    for name, stated in HUMANFACE8000.published["input"].items():
        found = float(MAX_RESCALED[name].function(damaged, truth.astype(np.float64), 255.0).mean())
        assert found == pytest.approx(stated, rel=0.05), name


def test_the_study_s_sample_pairs_are_read_and_scored(test_data: Path) -> None:
    pairs = Faces(data=test_data / "faces" / "humanface8000_samples").everything()
    assert len(pairs) == 3
    assert pairs.observed is not None
    damaged, clear = (np.asarray(a, dtype=np.float64) for a in (pairs.observed, pairs.signals))
    scores = {name: metric.function(damaged, clear, 255.0) for name, metric in MAX_RESCALED.items()}
    assert (scores["mse[max-rescaled]"] > 100).all()
    assert ((scores["ssim[max-rescaled]"] > 0.3) & (scores["ssim[max-rescaled]"] < 0.99)).all()


def test_studies_are_found_and_name_recipes() -> None:
    studies = plugins.studies()
    assert {"humanface8000", "digits", "faces"} <= set(studies)
    recipes = plugins.recipes()
    for study in studies.values():
        shapes = {recipes[name].domain.spec.shape for name in study.recipes}
        assert len(shapes) == 1, "one page shows one kind of signal"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("trained")
    words = ["--smoke", "--device", "cpu", "--domain.size", "16"]
    sizes = {
        "unetvae": ["--model.width", "4", "--model.latent", "2"],
        "dncnn": ["--model.width", "4", "--model.depth", "3"],
    }
    for name, more in sizes.items():
        assert main(["train", f"faces/restoration-{name}", "--out", str(folder / name), *words, *more]) == 0
    return [str(folder / name) for name in sizes]


def test_a_study_s_page_shows_what_was_published_beside_ours(runs, tmp_path, capsys) -> None:
    capsys.readouterr()
    out = tmp_path / "page"
    assert main(["compare", "--study", "humanface8000", *runs, "--out", str(out), "--n", "3", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    methods = metrics["restoration"][CONDITION]
    for name in ("input", "faces/restoration-unetvae", "faces/restoration-dncnn"):
        assert set(MAX_RESCALED) <= set(methods[name])
        assert {"psnr", "ssim", "mse"} <= set(methods[name]), "the honest measures stand beside"
    assert metrics["study"]["published"]["GAN"]["mse[max-rescaled]"] == 493.36
    for run in metrics["runs"].values():
        assert run["peak_memory_mib"] > 50
        assert run["train_seconds"] > 0
    page = (out / "report.html").read_text()
    check_accessible(page)
    for shown in ("2,523", "4,241", "493.4", "Bora and Sethi", HUMANFACE8000.title, "Paired differences"):
        assert shown in page
    assert "max-rescaled divide each picture by its own maximum" in page
    assert "compare shares of the input, not values" in page


def test_a_study_of_other_measures_is_not_said_to_rescale_pictures() -> None:
    values = {
        name: {"psnr": {"mean": mean, "ci95": [mean, mean], "n": 9, "unit": "dB", "better": "higher"}}
        for name, mean in (("input", 18.0), ("ours/plain", 25.0))
    }
    study = {"published": {"input": {"psnr": 17.2}, "their network": {"psnr": 24.9}}, "source": "Somebody 2025"}
    section = study_section({"study": study, "restoration": {"noise sigma=0.1": values}}, ["ours/plain"])
    assert "24.9" in section and "Published: Somebody 2025." in section
    assert "rescale" not in section and "maximum" not in section
    assert "shares" not in section, "there is no column of shares"
    assert "Published:" not in study_section(
        {"study": {**study, "source": ""}, "restoration": {"noise sigma=0.1": values}}, ["ours/plain"]
    )


def test_a_page_without_a_study_has_no_such_section(runs, tmp_path, capsys) -> None:
    assert main(["compare", *runs, "--out", str(tmp_path / "page"), "--n", "2"]) == 0
    assert "Beside what was published" not in (tmp_path / "page" / "report.html").read_text()
    assert study_section({"restoration": {}}, ["a"]) == ""


def test_an_unknown_study_is_named(capsys) -> None:
    assert main(["compare", "--study", "humanface800"]) == 2
    assert "unknown study 'humanface800'" in capsys.readouterr().err


def test_a_study_s_recipes_are_compared_where_no_run_is_named(monkeypatch, tmp_path) -> None:
    asked = []
    from vaegan.errors import UserError
    from vaegan.workflow import comparing

    def opened(name: str, *_: object) -> SimpleNamespace:
        asked.append(name)
        if len(asked) == len(HUMANFACE8000.recipes):
            raise UserError("enough")
        return SimpleNamespace(name=name, folder=tmp_path / name)

    monkeypatch.setattr(comparing, "_entrant", opened)
    with pytest.raises(UserError, match="enough"):
        comparing.compare([], study="humanface8000")
    assert tuple(asked) == HUMANFACE8000.recipes


@pytest.mark.parametrize("name", ["vae_failure", "depth"])
def test_a_benchmark_says_which_variants_it_knows(name, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert benchmark([name, "--only", "nope"]) == 2
    assert "set --only" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_wrong_partners_are_the_next_item_s_truth() -> None:
    spec = Faces(size=16).spec
    torch.manual_seed(0)
    model = UNetVAEConfig(latent=2, width=4).build(spec)
    x = torch.rand(4, *spec.shape) * 2 - 1
    batch = Batch(x, x)
    losses = [
        objective.losses(model, of, torch.Generator().manual_seed(0))["encoder"].item()
        for objective, of in (
            (Mispaired(), batch),
            (UNetVAEObjective(), Batch(x.roll(1, 0), x)),
            (Mispaired(share=0.0), batch),
            (UNetVAEObjective(), batch),
        )
    ]
    assert losses[0] == pytest.approx(losses[1])
    assert losses[2] == pytest.approx(losses[3])
    check_objective(Mispaired(share=0.5), model, batch)
