"""What a run is judged on: data that it never saw, item by item."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import vaegan
from vaegan import plugins, workflow
from vaegan.cli import main
from vaegan.errors import UserError
from vaegan.files import read_json, write_json
from vaegan.workflow.items import Items, describe, find_items
from vaegan.workflow.pretrained import Pretrained

WORDS = ["train", "faces/quickstart", "--smoke", "--device", "cpu", "--domain.size", "16"]
WORDS += ["--model.width", "2", "--model.widest", "2", "--model.latent", "2", "--evaluation.spread", "0"]


def photographs(folder: Path, seed: int, count: int) -> Path:
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for i in range(count):
        Image.fromarray(random.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(folder / f"{i:02}.png")
    return folder


def of_split(folder: Path, split: str) -> list[Path]:
    groups = plugins.domain_class("faces")(data=folder, size=16).dataset(split).groups
    return sorted(folder / f"{name}.png" for name in groups)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Forty pictures in a folder below another one, and a run that was trained on the one above."""
    place = tmp_path_factory.mktemp("trained")
    photographs(place / "d" / "sub", 0, 40)
    assert main([*WORDS, "--data", str(place / "d"), "--out", str(place / "run")]) == 0
    return place / "d", place / "run"


def judged_on(run: Path, data: Path | None) -> tuple[Items, str]:
    """The items, and what was said."""
    console = Console(file=io.StringIO(), width=1000)
    items = find_items(vaegan.load(run), data, read_json(run / "training.json"), console)
    return items, console.file.getvalue()


def test_training_items_are_known_by_their_content_wherever_they_lie(trained, capsys) -> None:
    data, run = trained
    assert main(["evaluate", str(run), "--data", str(data / "sub"), "--n", "2"]) == 2
    said = capsys.readouterr().err
    assert f"{data / 'sub'}: 32 of 40 items were training items of {run} (the first: " in said


def test_the_very_same_data_are_refused_also_where_the_run_s_own_are_gone(trained, tmp_path) -> None:
    data, run = trained
    moved, kept = tmp_path / "moved", tmp_path / "run"
    shutil.copytree(data, moved)
    shutil.copytree(run, kept)
    recipe = read_json(kept / "recipe.json")
    recipe["domain"]["options"]["data"] = str(tmp_path / "gone")
    write_json(kept / "recipe.json", recipe)
    with pytest.raises(UserError, match="holds what the run was trained on"):
        judged_on(kept, moved)
    items, said = judged_on(kept, photographs(tmp_path / "new", 1, 4))
    assert (len(items.test), items.train) == (4, None)
    assert f"whether {kept} learned from these items cannot be told" in said


def test_one_training_item_among_new_ones_is_found(trained, tmp_path) -> None:
    data, run = trained
    some = photographs(tmp_path / "some", 1, 4)
    assert len(judged_on(run, some)[0].test) == 4
    for held_out in [*of_split(data / "sub", "val"), *of_split(data / "sub", "test")][:2]:
        shutil.copy(held_out, some / f"held-out-{held_out.name}")
    items, said = judged_on(run, some)
    assert len(items.test) == 6, "what was held out was not trained on"
    assert items.val is None and items.calibrated, "nothing is tuned or calibrated on what is judged"
    assert "2 of 6 items were validation items of the run (the first: held-out-" in said
    shutil.copy(of_split(data / "sub", "train")[0], some / "known.png")
    with pytest.raises(UserError, match=r"1 of 7 items were training items of .* \(the first: known"):
        judged_on(run, some)


def test_a_domain_tells_of_the_items_that_were_judged(trained, tmp_path, monkeypatch) -> None:
    data, run = trained
    told = []

    def sections(domain, restore, test, n):
        told.append((domain.data, sorted(test.names.tolist()), n))
        return {"Own words": "<p>said</p>"}

    domain = plugins.domain_class("faces")
    monkeypatch.setattr(domain, "report_sections", sections)
    new = photographs(tmp_path / "new", 1, 4)
    page = tmp_path / "page"
    assert main(["evaluate", str(run), "--data", str(new), "--n", "3", "--report", str(page)]) == 0
    assert "Own words" in (page / "report.html").read_text(encoding="utf-8")
    one = vaegan.load(run)
    workflow.report(one, workflow.evaluate(one, split="val", n=2), "-", page)
    val = sorted(domain(data=data, size=16).dataset("val").names.tolist())
    assert told == [(new, ["00.png", "01.png", "02.png", "03.png"], 3), (data, val, 2)]


@pytest.fixture(scope="module")
def child(trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A copy of the data that the parent learned from, and a run on other data that began with the parent's weights."""
    place = tmp_path_factory.mktemp("pretrained")
    plenty, parent = place / "plenty", place / "parent"
    shutil.copytree(trained[0], plenty)
    shutil.copytree(trained[1], parent)
    recipe = read_json(parent / "recipe.json")
    recipe["domain"]["options"]["data"] = str(plenty)
    write_json(parent / "recipe.json", recipe)
    little = photographs(place / "little", 1, 12)
    assert main([*WORDS, "--data", str(little), "--pretrained", str(parent), "--out", str(place / "child")]) == 0
    return plenty, place / "child"


def test_what_the_runs_learned_that_training_began_with_counts_too(child, tmp_path) -> None:
    plenty, run = child
    kept = read_json(run / "training.json")
    older = {**kept, "pretrained": {k: v for k, v in kept["pretrained"].items() if k != "domain"}}
    grandchild = {**kept, "pretrained": Pretrained.open(run).describe()}
    some = photographs(tmp_path / "some", 3, 3)
    assert len(find_items(vaegan.load(run), some, grandchild, None).test) == 3
    shutil.copy(of_split(plenty / "sub", "train")[0], some / "known.png")
    for training in (kept, older, grandchild):
        with pytest.raises(UserError, match="1 of 4 items were training items of a run that training began with"):
            find_items(vaegan.load(run), some, training, None)
    gone = {**kept, "pretrained": {**older["pretrained"], "source": str(tmp_path / "gone")}}
    console = Console(file=io.StringIO(), width=1000)
    assert len(find_items(vaegan.load(run), some, gone, console).test) == 4
    said = console.file.getvalue()
    assert "whether a run that training began with (faces/quickstart on" in said and "cannot be told" in said
    told = describe(find_items(vaegan.load(run), None, kept, None), kept)["pretrained"]
    assert set(told) == {"recipe", "source", "samples", "sha256"}


def test_training_does_not_begin_with_a_run_whose_own_beginning_learned_from_test_items(
    child, tmp_path, capsys
) -> None:
    plenty, run = child
    mixed = photographs(tmp_path / "mixed", 2, 12)
    for path in of_split(mixed, "test"):
        shutil.copy(of_split(plenty / "sub", "train")[0], path)
    assert main([*WORDS, "--data", str(mixed), "--pretrained", str(run), "--out", str(tmp_path / "no")]) == 2
    assert "test items were training items of a run that training began with" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not (tmp_path / "no").exists()
