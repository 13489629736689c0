"""Which runs may be set side by side, and what is asked of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vaegan import plugins
from vaegan.cli import main
from vaegan.data import SignalSet
from vaegan.errors import UserError
from vaegan.evaluation.report.generation import generation_section
from vaegan.evaluation.result import Generation
from vaegan.files import write_json
from vaegan.metrics import features
from vaegan.models import RestoringConfig
from vaegan.recipe import Recipe
from vaegan.run import Run, recipe_json, save
from vaegan.workflow import comparing, judging
from vaegan.workflow.items import Items

TINY = RestoringConfig(latent=2, width=4, widest=8, depth=2, discriminator_width=4, discriminator_hidden=8)


def untrained(folder: Path, name: str, **options: Any) -> Path:
    """A run as training leaves it, of a recipe whose domain has other options."""
    known = plugins.recipes()[name]
    recipe = replace(known, domain=replace(known.domain, **options), model=TINY)
    save(folder, name, recipe, TINY.build(recipe.domain.spec))
    recipe_json(name, recipe, folder, folder.name)
    told = {"n_train": 1, "seconds": 1.0, "samples": 1, "warnings": [], "curves": {}}
    write_json(folder / "training.json", {"sha256": "the same for all", **told})
    return folder


@pytest.mark.parametrize(
    ("name", "option", "values"),
    [
        ("eeg/eegdenoisenet", "protocol", ("leak-free", "published")),  # a test epoch of one is trained on by the other
        ("sonar/despeckle", "scaling", ("power", "log")),  # what noise of one strength is differs
        ("sonar/despeckle", "novel", ("", "hook")),
    ],
)
def test_runs_whose_domains_have_other_options_are_not_compared(name, option, values, tmp_path, capsys) -> None:
    runs = [str(untrained(tmp_path / f"run{i}", name, **{option: value})) for i, value in enumerate(values)]
    assert main(["compare", *runs, "--out", str(tmp_path / "page")]) == 2
    said = capsys.readouterr().err
    assert f"{option} is {values[1]!r}, not {values[0]!r}" in said
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--data", "/some/data"], "--data"),
        (["--minutes", "3"], "--minutes"),
        (["--smoke"], "--smoke"),
        (["--smoke", "--minutes", "3"], "--minutes and --smoke"),
    ],
)
def test_what_only_training_heeds_is_not_silently_ignored(flags, named, tmp_path, capsys) -> None:
    runs = [str(untrained(tmp_path / f"run{i}", "sonar/despeckle")) for i in range(2)]
    assert main(["compare", *runs, *flags, "--out", str(tmp_path / "page")]) == 2
    said = capsys.readouterr().err
    assert f"{named} with trained runs alone; expected a recipe, which is trained first" in said


def test_runs_of_one_recipe_are_told_apart_by_their_folders(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = plugins.recipes()["faces/quickstart"]
    model = TINY.build(recipe.domain.spec)

    def names(*folders: str | Path) -> list[str]:
        return list(comparing._named([Run(Path(folder), "faces/quickstart", recipe, model) for folder in folders]))

    assert names("a") == ["faces/quickstart"]
    assert names("a", "b") == ["faces/quickstart (a)", "faces/quickstart (b)"]
    assert names("one/a", "two/a", "b") == [
        "faces/quickstart (one/a)",
        "faces/quickstart (two/a)",
        "faces/quickstart (b)",
    ]
    with pytest.raises(UserError, match="is named twice; expected different runs; name it once"):
        names("a", tmp_path / "a")


def test_as_many_are_drawn_as_any_of_the_runs_asks_for(tmp_path, monkeypatch) -> None:
    known: Recipe = plugins.recipes()["faces/quickstart"].smoke()
    asked: list[int] = []

    def count(draws, domain, train, test, extractors, *, n, **more) -> Generation:
        asked.append(n)
        return Generation({name: {} for name in draws}, (), {}, None, None, domain.draw)

    monkeypatch.setattr(judging, "evaluate_generation", count)
    runs = {}
    for samples in (0, 6, 9):
        recipe = replace(known, model=TINY, evaluation=replace(known.evaluation, samples=samples))
        runs[f"of {samples}"] = Run(tmp_path, "faces/quickstart", recipe, TINY.build(recipe.domain.spec).eval())
    test = SignalSet(np.zeros((1, *known.domain.spec.shape), np.uint8), np.asarray(["a"]))
    extractor: Any = torch.nn.Flatten()
    found = judging.judge_generation(runs, Items(known.domain, test, None, None), (extractor,), None)
    assert asked == [9]
    assert found is not None and set(found.numbers) == {"of 6", "of 9"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("digits/mnist-dense-vae", "nowhere"), "unknown run or recipe 'nowhere'"),
        (("digits/mnist-dense-vae", "faces/quickstart"), "faces/quickstart restores Faces of shape (1, "),
        (("digits/mnist-dense-vae", "digits/stacked-mnist-dcgan"), "expected runs of one kind of signal"),
        (("digits/mnist-dense-vae", "digits/mnist-dense-vae"), "is named twice"),
        (("digits/mnist-dense-vae", "digits/mnist-vae"), "below runs, which is a file"),
        (("digits/mnist-dense-vae", "faulty"), "diffusers is not installed"),
    ],
)
def test_what_keeps_recipes_from_being_compared_is_found_before_one_is_trained(
    names, said, tmp_path, monkeypatch, capsys
) -> None:
    class Lacking(RestoringConfig):
        def build(self, spec: Any, classes: int = 0) -> Any:
            raise UserError("diffusers is not installed")

    known = plugins.recipes()
    recipes = {**known, "faulty": replace(known["digits/mnist-vae"], model=Lacking())}
    monkeypatch.setattr(plugins, "recipes", lambda: recipes)
    monkeypatch.setattr(comparing, "train", lambda *_, **__: pytest.fail("the first was trained"))
    monkeypatch.chdir(tmp_path)
    if "file" in said:
        (tmp_path / "runs").write_text("in the way")
    assert main(["compare", *names, "--smoke"]) == 2
    assert said in capsys.readouterr().err


def test_a_recipe_and_its_own_run_are_named_twice(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits/mnist-dense-vae", "--smoke", "--device", "cpu"]) == 0
    folder = capsys.readouterr().out.strip()
    monkeypatch.setattr(comparing, "train", lambda *_, **__: pytest.fail("it was trained again"))
    assert main(["compare", folder, "digits/mnist-dense-vae", "--smoke"]) == 2
    assert "is named twice" in capsys.readouterr().err


def test_draws_of_several_are_judged_by_no_one_s_own_discriminator(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(features.EfficientNetLite0, "installed", lambda: False)
    recipe = plugins.recipes()["faces/quickstart"].smoke()
    recipe = replace(recipe, model=TINY, evaluation=replace(recipe.evaluation, samples=4))
    runs = {
        name: Run(tmp_path / name, "faces/quickstart", recipe, TINY.build(recipe.domain.spec).eval()) for name in "ab"
    }
    test = recipe.domain.dataset("test")
    items = Items(recipe.domain, test, None, None)
    extractors = judging.extractors_of(runs["a"], None, alone=False)
    assert extractors == ()
    found = judging.judge_generation(runs, items, extractors, None)
    assert found is not None and found.numbers == {"a": {}, "b": {}}
    assert found.samples["a"].shape == found.samples["b"].shape == (4, *recipe.domain.spec.shape)
    assert "no fair judge" in found.notes[0]
    section = generation_section(found.numbers, found, ["a", "b"])
    assert "no fair judge" in section and "latent space of a," in section
    assert [one.name for one in judging.extractors_of(runs["a"], None)] == ["discriminator"], "of a run alone"


def test_a_study_is_not_of_runs_of_another_kind(tmp_path, capsys) -> None:
    runs = [str(untrained(tmp_path / f"run{i}", "sonar/despeckle")) for i in range(2)]
    assert main(["compare", *runs, "--study", "digits", "--out", str(tmp_path / "page")]) == 2
    assert "expected Digits; leave --study out" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()
