"""What a third party's domain or recipe gets wrong is said before training, not after it, and never trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaegan import plugins, workflow
from vaegan.data import SignalSet, Split
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.evaluation.generation import evaluate_generation
from vaegan.evaluation.verdict import generation_sentence
from vaegan.metrics.features import FromFunction
from vaegan.models import RestoringConfig
from vaegan.objectives import VAEObjective
from vaegan.recipe import Recipe, Stage, domain_on, to_json
from vaegan.run import Run
from vaegan.signal import Axis, SignalSpec
from vaegan.training import TrainingConfig

CONFIG = RestoringConfig(latent=2, width=4, widest=8, depth=2, discriminator_width=4, discriminator_hidden=8)
SPLITS = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class Waves(Domain):
    """Two channels in volts; ``fault`` is what is wrong with them."""

    data: Path | None = None
    fault: str = ""

    @property
    def spec(self) -> SignalSpec:
        return SignalSpec(2, (Axis("time", 32),), "V", (-1.0, 1.0), gaps=self.fault != "whole")

    def dataset(self, split: Split) -> SignalSet:
        generator = np.random.default_rng(SPLITS[split])
        n = 0 if self.fault == f"no {split}" else 8
        signals = generator.uniform(-0.5, 0.5, (n, 2, 32)).astype(np.float32)
        signals[:, :, ::7] = np.nan
        signals = np.nan_to_num(signals) if self.fault == "whole" else signals
        if self.fault == "one channel":
            signals[3, 1, 4] = np.nan
        if self.fault == "unit":
            signals *= 1000
        groups: Any = [f"person {i}" if self.fault == "torn" else f"{split} {i}" for i in range(n)]
        labels: Any = {"from 1": 1 + np.arange(n) % 2, "floats": np.zeros(n)}.get(self.fault, np.arange(n) % 2)
        return SignalSet(signals, groups, labels=labels, class_names=("a", "b"))

    def metrics(self) -> dict[str, Any]:
        return {"worst": abs} if self.fault == "metric" else {}

    def tuned_by(self) -> str:
        return "speed" if self.fault == "tuned" else "psnr"

    def baselines(self) -> dict[str, Any]:
        known = super().baselines()
        return {"mine": type(known["median"])} if self.fault == "baseline" else {"median": known["median"]}


def recipe(fault: str = "", **more: Any) -> Recipe:
    training = TrainingConfig(samples=4, batch=4, minutes=None, precision="32-true")
    stages = (Stage(VAEObjective(), training),)
    return Recipe("waves", Waves(fault=fault), CONFIG, stages, degradations=("noise sigma=0.1",), **more)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("no val", "the val split is empty; expected at least one item in each split; give data of more groups"),
        ("no test", "the test split is empty"),
        ("torn", r"8 groups are in both train and val \(person 0, person 1, person 2\)"),
        ("one channel", "item 3 of the train split has gaps in some channels only"),
        ("from 1", "'train' has labels from 1 to 2; expected indices of its 2 class_names, from 0"),
        ("floats", r"'train' has labels of shape \(8,\) and type float64; expected whole numbers"),
        ("metric", r"'worst' of Waves.metrics\(\) is a builtin_function_or_method; expected an instance of Metric"),
        ("tuned", r"Waves.tuned_by\(\) is 'speed'; expected one of psnr, "),
        ("baseline", r"'mine' of Waves.baselines\(\) is the class Filter; expected an instance of Baseline or"),
    ],
)
def test_nothing_is_trained_on_what_breaks_the_contract(tmp_path: Path, fault: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        workflow.train("waves", recipe(fault, conditional=True), out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_values_in_another_unit_are_told_of(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"100 % of the values of the train split lie outside of \(-1.0, 1.0\) V.*unit"
    ):
        workflow.train("waves", recipe("unit"), out=tmp_path / "run", device="cpu")


def test_lists_will_do_for_groups_and_labels() -> None:
    data = Waves().dataset("train")
    assert data.take([1, 5]).groups.tolist() == ["train 1", "train 5"]
    with pytest.raises(DataError, match=r"signals of object; expected an array of numbers"):
        SignalSet(np.asarray([[1.0], [1.0, 2.0]], dtype=object), ["a", "b"])
    with pytest.raises(DataError, match="signals of list"):
        SignalSet([1.0], ["a"])  # type: ignore[arg-type]


def test_draws_of_signals_with_gaps_are_judged() -> None:
    def draw(n: int, seed: int) -> Any:
        import torch

        return 0.3 * torch.randn(n, 2, 32, generator=torch.Generator().manual_seed(seed))

    flat = FromFunction("flat", lambda x: x.flatten(1), "the signal itself")
    domain = Waves()
    found = evaluate_generation(
        {"model": draw}, domain, domain.dataset("train"), domain.dataset("test"), (flat,), n=8, seed=0
    )
    numbers = found.numbers["model"]
    assert {"kid[flat]", "precision[flat]", "nearer_than_test[flat]"} <= set(numbers)
    assert all(np.isfinite(entry["mean"]) for entry in numbers.values())


def test_how_new_draws_are_is_no_word_on_how_good_they_are() -> None:
    entry = {"mean": 0.0, "ci95": None, "n": 8, "unit": "1", "better": "lower"}
    said = generation_sentence({"model": {"nearer_than_test[x]": entry, "copies[x]": entry}})
    assert said == "Generated signals could not be judged: the notes beside the table say why."


class Plain(Domain):
    """A domain with an option that nothing could keep."""

    def __init__(self, data: Path | None = None, gain: float = 1.0) -> None:
        self.data, self.gain = data, gain

    @property
    def spec(self) -> SignalSpec:
        return Waves().spec

    def dataset(self, split: Split) -> SignalSet:
        return Waves().dataset(split)


def test_options_of_a_domain_that_is_no_dataclass_are_not_lost_in_silence() -> None:
    for use in (lambda: domain_on(Plain(gain=0.5), None), lambda: to_json("x", replace(recipe(), domain=Plain()))):
        with pytest.raises(UserError, match=r"Plain has options \(gain\), but is no dataclass"):
            use()


def test_a_sample_that_one_channel_lacks_is_told_of() -> None:
    run = Run(Path("nowhere"), "waves", recipe(), CONFIG.build(Waves().spec).eval())
    signals = Waves().dataset("test").signals[:1].copy()
    run.restore(Recording(signals, Path("a.csv"), ""))
    signals[0, 1, 1:4] = np.nan
    with pytest.warns(UserWarning, match=r"a\.csv: 3 samples were observed in some channels only"):
        run.restore(Recording(signals, Path("a.csv"), ""))
    with pytest.raises(DataError, match=r"a\.csv holds no sample that was observed"):
        run.restore(Recording(np.full_like(signals, np.nan), Path("a.csv"), ""))


def test_a_plug_in_that_is_no_recipe_takes_nothing_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "load_all", lambda group: {"bad": [1], "mine": {"one": recipe(), "two": "three"}})
    with pytest.warns(UserWarning, match="the plug-in 'mine/two' is str, and no recipe; left out"):
        assert list(plugins.recipes()) == ["mine/one"]
