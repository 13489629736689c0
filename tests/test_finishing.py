"""What training leaves is one run, never the weights of one beside the calibration of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vaegan
from vaegan import plugins
from vaegan.errors import UserError
from vaegan.extras import Extras
from vaegan.files import read_json
from vaegan.models import RestoringConfig
from vaegan.recipe import Recipe
from vaegan.workflow import training
from vaegan.workflow.training import train

NAME = "faces/quickstart"
TINY = RestoringConfig(latent=2, width=4, widest=8, depth=2, discriminator_width=4, discriminator_hidden=8)


def recipe(samples: int) -> Recipe:
    known: Recipe = plugins.recipes()[NAME]
    small = replace(known, model=TINY, domain=replace(known.domain, size=16)).smoke()
    return small.with_budget(samples=samples)


def content(folder: Path) -> dict[str, bytes]:
    files = [folder / "training.json", *(folder / "model").iterdir()]
    return {path.name: path.read_bytes() for path in files}


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_after_the_last_step_leaves_the_old_run_or_none(tmp_path, monkeypatch) -> None:
    train(NAME, recipe(16), out=tmp_path, device="cpu")
    before = content(tmp_path)
    steps: list[tuple[Any, str, Callable[[], bool]]] = [
        (training, "learn_extras", lambda: content(tmp_path) == before),  # nothing has been touched
        (Extras, "save", lambda: "model.safetensors" not in content(tmp_path)),
        (training, "save", lambda: "model.safetensors" not in content(tmp_path)),
    ]
    for where, name, as_it_should_be in steps:
        with monkeypatch.context() as patch:
            patch.setattr(where, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                train(NAME, recipe(32), out=tmp_path, device="cpu")
        assert as_it_should_be(), name
    with pytest.raises(UserError, match="an unfinished run"):
        vaegan.load(tmp_path)
    train(NAME, recipe(32), out=tmp_path, device="cpu")
    assert read_json(tmp_path / "training.json")["samples"] == 32
    assert vaegan.load(tmp_path).extras.calibration is not None
    assert content(tmp_path)["model.safetensors"] != before["model.safetensors"]
