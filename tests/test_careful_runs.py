"""What must not go wrong around a run: data of any kind, folders of their own, numbers that flatter nobody."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from rich.console import Console

from vaegan import plugins
from vaegan.data import SignalSet, Skipped, Split
from vaegan.degradation import Degradation, GaussianNoise
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.files import read_json
from vaegan.models import DnCNNConfig, RestoringConfig
from vaegan.objectives import PixelObjective, VAEObjective
from vaegan.recipe import Evaluation, Recipe, Stage, domain_from_json, from_json, identity, to_json
from vaegan.signal import Axis, SignalSpec
from vaegan.training import Feed
from vaegan.workflow.judging import evaluate, report
from vaegan.workflow.opening import check_signals, tell_about
from vaegan.workflow.training import train

TINY = RestoringConfig(latent=2, width=4, widest=8, depth=2, discriminator_width=4, discriminator_hidden=8)


def waves(n: int = 8, kind: str = "float32") -> SignalSet:
    time = np.linspace(0, 2 * np.pi, 32)
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (n, 1, 1))
    return SignalSet((0.8 * np.sin(2 * time + phase)).astype(kind), np.asarray([str(i) for i in range(n)]))


@dataclass(frozen=True)
class Waves(Domain):
    """Waves, and a hum that is on record for some splits alone."""

    data: Path | None = None
    split: Split = "train"
    recorded: tuple[str, ...] = ("train", "val", "test")

    @property
    def spec(self) -> SignalSpec:
        return SignalSpec(1, (Axis("time", 32, 0.01, "s"),), "V", (-1.0, 1.0))

    def dataset(self, split: Split) -> SignalSet:
        found = waves(12)
        return replace(found, groups=np.asarray([f"{split} {group}" for group in found.groups]))

    def on_split(self, split: Split) -> Domain:
        return replace(self, split=split)

    def degradations(self) -> Mapping[str, Callable[..., Degradation]]:
        hum = {"hum": GaussianNoise} if self.split in self.recorded else {}
        return {"noise": GaussianNoise, **hum}


def recipe_on(domain: Domain, *conditions: str) -> Recipe:
    stages = (Stage(VAEObjective(squared=False, beta=1e-3)),)
    return Recipe("waves", domain, TINY, stages, conditions, Evaluation(conditions)).smoke()


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_signals_of_any_precision_reach_a_network_as_its_own(kind: str) -> None:
    data = waves(kind=kind)
    for given in (data, replace(data, observed=data.signals / 2)):
        batch, _ = Feed(given, lambda x: x * 2, None, batch=4, device=torch.device("cpu"))(0, 0.0)
        assert (batch.x.dtype, batch.y.dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize("name", ["faces/restoration-unet", "sonar/despeckle", "faces/quickstart"])
def test_a_smoke_run_never_takes_the_place_of_the_run_itself(name: str) -> None:
    recipe = plugins.recipes()[name]
    tiny = recipe.smoke()
    assert identity(name, tiny, "same") != identity(name, recipe, "same")
    assert from_json(to_json(name, tiny)) == (name, tiny)


def test_what_no_validation_item_has_on_record_is_trained_on_and_judged_without(tmp_path: Path) -> None:
    domain = Waves(recorded=("train", "test"))
    alone = train("waves", recipe_on(domain, "hum sigma=0.1"), out=tmp_path / "alone", device="cpu")
    assert alone.extras.calibration is None
    both = train("waves", recipe_on(domain, "hum sigma=0.1", "noise sigma=0.1"), out=tmp_path / "both", device="cpu")
    found = evaluate(both).metrics["uncertainty"]
    assert {name: "coverage90_recalibrated" in numbers for name, numbers in found.items()} == {
        "hum sigma=0.1": False,
        "noise sigma=0.1": True,
    }


def test_observed_partners_are_looked_at_like_the_signals() -> None:
    data = waves(3)
    check_signals(Waves(), "train", replace(data, observed=data.signals / 2))
    with pytest.raises(
        DataError, match=r"the train split has observed partners of shape \(1, 16\); expected \(1, 32\)"
    ):
        check_signals(Waves(), "train", replace(data, observed=data.signals[..., :16]))
    broken = data.signals.copy()
    broken[1, 0, 5] = np.nan
    with pytest.raises(DataError, match="item 1 of the train split, observed partners, holds values that are not fin"):
        check_signals(Waves(), "train", replace(data, observed=broken))
    with pytest.raises(DataError, match="item 1 of the train split holds values that are not finite"):
        check_signals(Waves(), "train", replace(data, signals=broken))


def test_of_items_that_the_spread_was_calibrated_on_none_is_told(tmp_path: Path) -> None:
    run = train("waves", recipe_on(Waves(), "noise sigma=0.1"), out=tmp_path, device="cpu")
    assert "uncertainty" in evaluate(run).metrics
    assert "uncertainty" not in evaluate(run, split="val").metrics


def test_without_a_hash_of_its_own_a_set_is_known_by_partners_and_labels_too() -> None:
    data = waves()
    assert (
        data.fingerprint == "0a7420b79cf054641387c7dce9e1e73a2c5c58470984a1e5c15a491de0ef12ba"
    )  # of runs that there are
    labelled = replace(data, labels=np.arange(8) % 2)
    paired = replace(data, observed=data.signals / 2)
    others = [replace(data, labels=np.arange(8) % 4), replace(data, observed=data.signals / 3)]
    assert len({one.fingerprint for one in (data, labelled, paired, *others)}) == 5


def test_a_folder_may_be_text_and_a_domain_that_cannot_be_found_again_is_told_of(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="the domain Waves has no entry point, so vaegan.load will not find it"):
        run = train("waves", recipe_on(Waves(), "noise sigma=0.1"), out=str(tmp_path / "run"), device="cpu")
    assert (run.folder / "model" / "model.safetensors").is_file()


def test_an_objective_of_other_players_is_named_before_there_is_a_folder(tmp_path: Path) -> None:
    stages = (Stage(PixelObjective()),)
    with pytest.raises(
        UserError, match="PixelObjective trains network, which a VAEGAN has not; expected an objective of enc"
    ):
        train("waves", replace(recipe_on(Waves()), stages=stages), out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


class Labelled(Waves):
    """Waves of two classes."""

    def dataset(self, split: Split) -> SignalSet:
        data = super().dataset(split)
        return replace(data, labels=np.arange(len(data)) % 2, class_names=("a", "b"))


def test_two_processes_do_not_train_one_run(tmp_path: Path) -> None:
    recipe = recipe_on(Waves(), "noise sigma=0.1")
    (tmp_path / "state").mkdir()
    held = FileLock(tmp_path / "state" / "lock")
    with held, pytest.raises(UserError, match=r"trained by another process; .*wait for it, or set --out to another"):
        train("waves", recipe, out=tmp_path, device="cpu")
    assert [path.name for path in tmp_path.rglob("*")] == ["state", "lock"]
    assert train("waves", recipe, out=tmp_path, device="cpu").folder == tmp_path
    with held:  # and it is let go of
        pass


def test_a_model_that_takes_no_notice_of_classes_is_not_trained_by_them(tmp_path: Path) -> None:
    recipe = replace(recipe_on(Labelled()), model=DnCNNConfig(), stages=(Stage(PixelObjective()),), conditional=True)
    with pytest.raises(UserError, match="a DnCNN takes no notice of the 2 classes; set --no-conditional"):
        train("waves", recipe, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


class Judged(Waves):
    """Measures of draws as NumPy gives them, one of which is not defined."""

    def judge_generated(self, drawn: np.ndarray, real: np.ndarray) -> Mapping[str, Mapping[str, Any]]:
        shared = {"n": len(drawn), "unit": "V", "better": "lower"}
        return {"least": {"mean": drawn.min(), **shared}, "none": {"mean": np.float32("nan"), **shared}}


def test_a_measure_of_draws_that_is_not_defined_is_left_out_and_told(tmp_path: Path) -> None:
    recipe = recipe_on(Judged(), "noise sigma=0.1")
    stages = (Stage(VAEObjective(bare=0.5), recipe.stages[0].training),)
    recipe = replace(recipe, stages=stages, evaluation=replace(recipe.evaluation, samples=4))
    run = train("waves", recipe, out=tmp_path, device="cpu")
    findings = evaluate(run)
    report(run, findings, "a test")
    metrics = read_json(tmp_path / "metrics.json")
    assert "least" in metrics["generation"]["model"] and "none" not in metrics["generation"]["model"]
    assert "model: none is nan" in metrics["generation_notes"]


def test_a_model_without_a_latent_draws_nothing(tmp_path: Path) -> None:
    recipe = recipe_on(Waves(), "noise sigma=0.1")
    recipe = replace(recipe, model=replace(TINY, latent=0), evaluation=replace(recipe.evaluation, samples=4))
    run = train("waves", recipe, out=tmp_path, device="cpu")
    assert "generation" not in evaluate(run).metrics
    with pytest.raises(UserError, match="without a latent, of which every draw would be the same"):
        run.sample(4)


def test_signals_that_are_nothing_but_gaps_are_refused() -> None:
    class Gappy(Waves):
        @property
        def spec(self) -> SignalSpec:
            return replace(super().spec, gaps=True)

    signals = waves(3).signals.copy()
    signals[1:] = np.nan
    data = replace(waves(3), signals=signals)
    check_signals(Gappy(), "test", data)
    with pytest.raises(DataError, match=r"the test split has signals that are nothing but gaps; .* give other --data"):
        check_signals(Gappy(), "test", data.take([1, 2]))


def test_numbers_of_another_byte_order_are_turned() -> None:
    foreign = waves().signals.astype(">f4")
    data = SignalSet(foreign, waves().groups, observed=foreign)
    recording = Recording(foreign, Path("waves.npy"), "npy")
    for turned in (data.signals, data.observed, recording.signals):
        assert turned is not None and turned.dtype.isnative
        np.testing.assert_array_equal(turned, foreign)
    assert data.fingerprint == replace(waves(), observed=waves().signals).fingerprint


def test_attributes_have_a_column_for_each_name() -> None:
    with pytest.raises(
        DataError, match=r"attributes of shape \(8, 1\), and 2 attribute_names; expected a column for each"
    ):
        replace(waves(), attributes=[[1]] * 8, attribute_names=("high", "low"))


@dataclass(frozen=True)
class Band:
    """A part of an option."""

    low: float = 0.1
    edges: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Optioned(Waves):
    """Options of every type that a recipe keeps, one of the name under which it keeps a class."""

    kind: str = "sine"
    band: Band = Band()
    place: Path | None = None
    words: tuple[str, ...] = ()
    counted: int = field(default=3, init=False)


def test_options_of_a_domain_come_back_as_they_were(monkeypatch) -> None:
    monkeypatch.setattr(plugins, "domain_class", lambda name: Optioned)
    domain = Optioned(kind="saw", band=Band(0.5, (3,)), place=Path("somewhere"), words=("a", "b"))
    recipe = recipe_on(domain, "noise sigma=0.1")
    assert from_json(json.loads(json.dumps(to_json("waves", recipe)))) == ("waves", recipe)
    content = to_json("waves", recipe)["domain"]
    with pytest.raises(UserError, match="Optioned has no field old; expected data, "):
        domain_from_json({**content, "options": {**content["options"], "old": 1}})
    with pytest.raises(UserError, match="a set has no place in a recipe"):
        to_json("waves", replace(recipe, domain=Optioned(words={"a"})))
    with pytest.raises(UserError, match="Kinded has a field 'kind', which names its class in a recipe; rename it"):
        to_json("waves", replace(recipe, stages=(Stage(Kinded()),)))


@dataclass(frozen=True)
class Kinded(VAEObjective):
    """A field of the name under which a class is kept."""

    kind: str = "any"


def test_what_only_some_splits_have_is_left_out_of_everything() -> None:
    class Partly(Waves):
        def dataset(self, split: Split) -> SignalSet:
            found = super().dataset(split)
            if split != "train":
                return found
            return replace(found, labels=np.zeros(12, int), class_names=("wave",), observed=found.signals)

    joined = Partly().everything()
    assert (len(joined), joined.labels, joined.observed) == (36, None, None)


def test_what_is_said_of_data_is_no_markup() -> None:
    console = Console(file=io.StringIO(), width=1000)
    skipped = (Skipped("[b].csv", "[/c]"),)
    tell_about(replace(waves(), source="[old] data/[/x]", skipped=skipped, unused=("[d].txt",)), console)
    said = console.file.getvalue()
    assert "data: [old] data/[/x] (8 items" in said and "skipped: [b].csv: [/c]" in said and "): [d].txt" in said
