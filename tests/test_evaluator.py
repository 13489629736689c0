from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from vaegan.baselines import Baseline
from vaegan.data import SignalSet, Split
from vaegan.degradation import Degradation, Measurement
from vaegan.degradation.base import per_sample
from vaegan.domain import Domain
from vaegan.errors import DataError, UserError
from vaegan.evaluation import Restoration, environment, evaluate_restoration
from vaegan.metrics import RESTORATION
from vaegan.metrics.restoration import Metric
from vaegan.signal import Axis, SignalSpec

COUNTS: dict[Split, int] = {"train": 2, "val": 3, "test": 9}


class Waves(Domain):
    """Sines in volts."""

    @property
    def spec(self) -> SignalSpec:
        return SignalSpec(2, (Axis("time", 40, 0.01, "s"),), "V", (-2e-3, 3e-3))

    def dataset(self, split: Split) -> SignalSet:
        phase = np.random.default_rng(list(COUNTS).index(split)).uniform(0, 6, (COUNTS[split], 2, 1))
        signals = (5e-4 + 1e-3 * np.sin(phase + np.arange(40) / 4)).astype(np.float32)
        return SignalSet(signals, np.arange(len(signals)).astype(str))


def identity(y: Tensor, mask: Tensor | None) -> Tensor:
    return y


def oracle(y: Tensor, mask: Tensor | None) -> Tensor:
    """Knows every truth, and returns the one most like what it sees."""
    truth = Waves().to_model(torch.from_numpy(Waves().dataset("test").signals))
    distance = (y[:, None] - truth[None]).square().flatten(2).mean(2)
    return truth[distance.argmin(1)]


def evaluate(n: int = 20, *, val: bool = True, **changed: object) -> Restoration:
    arguments: dict[str, object] = {
        "restorers": {"model": oracle},
        "conditions": ["noise sigma=0.2"],
        "seed": 3,
        **changed,
    }
    domain = Waves()
    return evaluate_restoration(
        domain=domain,
        test=domain.dataset("test"),
        val=domain.dataset("val") if val else None,
        n=n,
        **arguments,  # type: ignore[arg-type]
    )


def test_numbers_have_the_form_of_metrics_json() -> None:
    found = evaluate(conditions=["noise sigma=0.2", "blur sigma=2 px"])
    assert list(found.numbers) == ["noise sigma=0.2", "blur sigma=2 px"]
    for methods in found.numbers.values():
        assert list(methods) == ["input", *Waves().baselines(), "model"]
        for metrics in methods.values():
            assert list(metrics) == list(RESTORATION)
            for entry in metrics.values():
                assert set(entry) == {"mean", "ci95", "n", "unit", "better"}
                assert entry["n"] == 9
                assert entry["ci95"][0] <= entry["mean"] <= entry["ci95"][1]
    assert found.numbers["noise sigma=0.2"]["input"]["mae"]["unit"] == "V"
    assert json.loads(json.dumps(found.numbers, allow_nan=False)) == found.numbers
    assert set(found.ms_per_item) == {*Waves().baselines(), "model"}


def test_an_identity_equals_the_input_and_an_oracle_is_perfect() -> None:
    found = evaluate(restorers={"model": oracle, "nothing": identity})
    methods = found.numbers["noise sigma=0.2"]
    assert methods["nothing"] == methods["input"]
    assert methods["model"]["psnr"]["mean"] > 90
    assert methods["input"]["psnr"]["mean"] < methods["gaussian"]["psnr"]["mean"] < 40
    # sigma is a share of the full range; clipping to the range takes a little of the noise away
    assert methods["input"]["psnr"]["mean"] == pytest.approx(20 * np.log10(1 / 0.2), abs=0.5)


def test_no_result_depends_on_the_batch_size() -> None:
    together, alone = evaluate(batch=9), evaluate(batch=1)
    assert together.numbers == alone.numbers
    again = evaluate(batch=4)
    assert again.strengths == together.strengths
    np.testing.assert_array_equal(again.examples["noise sigma=0.2"].input, together.examples["noise sigma=0.2"].input)


def test_an_item_is_degraded_alike_however_many_are_judged() -> None:
    few, all_of_them = evaluate(4), evaluate(20)
    assert len(few.items) == 4
    assert len(set(few.items.tolist())) == 4
    at = np.searchsorted(all_of_them.items, few.items)
    for metric in ("psnr", "mae"):
        np.testing.assert_array_equal(
            few.values["noise sigma=0.2"]["tv"][metric],
            all_of_them.values["noise sigma=0.2"]["tv"][metric][at],
        )


def test_the_seed_chooses_items_and_noise() -> None:
    assert evaluate(4, seed=1).numbers == evaluate(4, seed=1).numbers
    assert evaluate(4, seed=1).numbers != evaluate(4, seed=2).numbers


def test_strengths_are_tuned_on_validation_items_or_said_not_to_be() -> None:
    tuned, untuned = evaluate(), evaluate(val=False)
    assert tuned.tuned == {"noise sigma=0.2": 3}
    assert untuned.tuned == {"noise sigma=0.2": 0}
    middles = {name: baseline.middle for name, baseline in Waves().baselines().items()}
    assert untuned.strengths["noise sigma=0.2"] == middles
    assert tuned.strengths["noise sigma=0.2"] != middles
    without = evaluate(with_baselines=False)
    assert list(without.numbers["noise sigma=0.2"]) == ["input", "model"]
    assert without.examples["noise sigma=0.2"].classical is None


def test_everything_is_clipped_to_the_range_before_it_is_judged() -> None:
    found = evaluate(restorers={"model": lambda y, mask: y * 0 + 50.0}, with_baselines=False)
    truth = Waves().dataset("test").signals
    expected = np.abs(3e-3 - truth.astype(np.float64)).mean()
    assert found.numbers["noise sigma=0.2"]["model"]["mae"]["mean"] == pytest.approx(expected, rel=1e-5)
    assert found.examples["noise sigma=0.2"].restored.max() == pytest.approx(3e-3)


class Drop(Degradation):
    """Loses a share of all samples, and says which."""

    def degrade(self, x: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        mask = torch.rand(x[:, :1].shape, generator=generator) >= per_sample(level, x)
        return Measurement(torch.where(mask, x, -1.0), mask)


class Dropping(Waves):
    """Waves with gaps."""

    def degradations(self) -> Mapping[str, Callable[..., Degradation]]:
        return {"drop": Drop}


def test_masks_reach_restorers_and_baselines() -> None:
    domain, kept = Dropping(), []

    def watching(y: Tensor, mask: Tensor | None) -> Tensor:
        assert mask is not None
        assert mask.shape == (len(y), 1, 40)
        kept.append(mask)
        return y

    found = evaluate_restoration(
        {"model": watching}, domain, domain.dataset("test"), domain.dataset("val"), ["drop 50 %"], n=9, seed=0, batch=4
    )
    masks = torch.cat(kept[:3])
    assert 0.3 < masks.float().mean() < 0.7
    assert not torch.equal(masks[0], masks[1])
    scores = found.numbers["drop 50 %"]
    assert scores["inpaint"]["psnr"]["mean"] > scores["input"]["psnr"]["mean"] + 20


class Artifact(Degradation):
    """Remembers whose signals it was given."""

    given: ClassVar[list[tuple[Split, Tensor]]] = []

    def __init__(self, split: Split, level: float) -> None:
        super().__init__(level)
        self.split = split

    def degrade(self, x: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        self.given.append((self.split, x.clone()))
        return Measurement(x + per_sample(level, x) * torch.randn(x.shape, generator=generator))


class Contaminated(Waves):
    """Waves under artifacts that were recorded, each split its own."""

    def __init__(self, split: Split = "train") -> None:
        super().__init__()
        self.split = split

    def on_split(self, split: Split) -> Contaminated:
        return Contaminated(split)

    def degradations(self) -> Mapping[str, Callable[..., Degradation]]:
        own = {"artifact": partial(Artifact, self.split)}
        return {**own, "rare": own["artifact"]} if self.split == "test" else own


def test_baselines_are_tuned_under_the_artifacts_of_the_validation_split() -> None:
    domain, splits = Contaminated(), ("val", "test")
    Artifact.given.clear()
    evaluate_restoration(
        {"model": identity}, domain, domain.dataset("test"), domain.dataset("val"), ["artifact 0.2"], n=9, seed=0
    )
    known = {split: domain.to_model(torch.from_numpy(domain.dataset(split).signals)) for split in splits}
    for split, x in Artifact.given:
        assert (x == known[split]).flatten(1).all(1).any(), "what is set on test artifacts is flattered by them"
    assert {split for split, _ in Artifact.given} == set(splits)


def test_what_was_not_recorded_in_the_validation_split_tunes_nothing() -> None:
    domain = Contaminated()
    found = evaluate_restoration(
        {"model": identity},
        domain,
        domain.dataset("test"),
        domain.dataset("val"),
        ["artifact 0.2", "rare 1"],
        n=2,
        seed=0,
    )
    assert found.tuned == {"artifact 0.2": 3, "rare 1": 0}


def test_methods_are_set_by_the_measure_that_a_domain_is_judged_by_first() -> None:
    class ByMedian(Waves):
        """Judged by the median error, for which outliers do not count."""

        measure = "median_error"

        def tuned_by(self) -> str:
            return self.measure

        def metrics(self) -> Mapping[str, Metric]:
            def function(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
                asked.append(float(np.nanmax(np.abs(b))))
                return np.median(np.abs(a - b), axis=(1, 2))

            return {"median_error": Metric("median_error", function, "{unit}", "lower")}

        def baselines(self) -> Mapping[str, Baseline]:
            return {"spoiling": Spoiling("spoiling", (1.0, 2.0))}

    class Spoiling(Baseline):
        """1 makes all a little worse, 2 one sample much."""

        def restore(self, y: np.ndarray, mask: np.ndarray | None, strength: float) -> np.ndarray:
            spoilt = y.copy()
            if strength == 1.0:
                return spoilt + np.float32(0.01)
            spoilt[..., :4] = 1.0
            return spoilt

    def chosen(domain: Domain) -> float:
        test, val = domain.dataset("test"), domain.dataset("val")
        found = evaluate_restoration({"model": identity}, domain, test, val, ["noise sigma=0"], n=2, seed=0)
        return found.strengths["noise sigma=0"]["spoiling"]

    asked: list[float] = []
    assert chosen(ByMedian()) == 2.0
    assert max(asked) < 3e-3  # in volts
    ByMedian.measure = "psnr"
    assert chosen(ByMedian()) == 1.0
    ByMedian.measure = "speed"
    with pytest.raises(UserError, match=r"ByMedian.tuned_by\(\) is 'speed'; expected one of .*median_error"):
        chosen(ByMedian())


@pytest.mark.parametrize("tuning", [0, 2])
def test_methods_are_set_on_as_many_validation_items_as_asked_for(tuning: int) -> None:
    domain = Contaminated()
    items = domain.dataset("test"), domain.dataset("val")
    found = evaluate_restoration({"model": identity}, domain, *items, ["artifact 0.2"], n=2, seed=0, tuning=tuning)
    assert found.tuned == {"artifact 0.2": tuning}


def test_paired_data_bring_their_own_condition() -> None:
    seen: list[Tensor | None] = []

    def watching(y: Tensor, mask: Tensor | None) -> Tensor:
        seen.append(mask)
        return y.zero_()  # in place: must not spoil what the others see

    domain = Waves()
    test = domain.dataset("test")
    paired = SignalSet(test.signals, test.groups, names=test.groups, observed=test.signals * 0.9)
    found = evaluate_restoration({"model": watching}, domain, paired, None, [], n=3, seed=0)
    assert list(found.numbers) == ["paired"]
    assert seen[0] is None
    error = found.values["paired"]["input"]["nrmse"]
    np.testing.assert_allclose(error, 0.1, rtol=1e-3)
    assert found.examples["paired"].names == tuple(str(row) for row in found.items)
    more = evaluate_restoration({"model": watching}, domain, paired, None, ["noise sigma=0.2"], n=3, seed=0)
    # What stands first is what the verdict and the tables of one condition are about.
    assert list(more.numbers) == ["paired", "noise sigma=0.2"]


def test_the_worst_items_come_first() -> None:
    found = evaluate(restorers={"model": identity})
    scores = found.values["noise sigma=0.2"]["model"]["psnr"]
    shown = found.worst["noise sigma=0.2"]
    np.testing.assert_array_equal(shown.psnr["model"], np.sort(scores)[: len(shown.names)])
    drawn = found.draw(shown.restored)
    assert drawn.dtype == np.uint8
    assert len(drawn) == len(shown.names)


def test_the_classical_method_that_is_shown_is_the_best() -> None:
    found = evaluate()
    numbers, shown = found.numbers["noise sigma=0.2"], found.examples["noise sigma=0.2"]
    best = max(Waves().baselines(), key=lambda name: numbers[name]["psnr"]["mean"])
    assert shown.classical_name == best
    truth, width = shown.truth, 5e-3
    assert shown.classical is not None
    error = np.square(shown.classical - truth).mean((1, 2))
    np.testing.assert_allclose(10 * np.log10(width**2 / error), shown.psnr[best], rtol=1e-5)


def test_progress_ends_at_the_total() -> None:
    calls: list[tuple[str, int, int]] = []
    evaluate(
        conditions=["noise sigma=0.2", "blur sigma=2 px"],
        batch=4,
        with_baselines=False,
        progress=lambda *call: calls.append(call),
    )
    assert [done for _, done, _ in calls] == [4, 8, 9, 13, 17, 18]
    assert calls[-1] == ("blur sigma=2 px", 18, 18)


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="restorers named tv"):
        evaluate(restorers={"tv": identity})
    with pytest.raises(UserError, match="no restorer"):
        evaluate(restorers={})
    with pytest.raises(UserError, match="unknown degradation 'fog'"):
        evaluate(conditions=["fog sigma=1"])
    with pytest.raises(DataError, match=r"model returned.*finite: False"):
        evaluate(restorers={"model": lambda y, mask: y * np.nan})
    with pytest.raises(DataError, match=r"model returned signals of shape \(9, 2, 39\)"):
        evaluate(restorers={"model": lambda y, mask: y[..., 1:]})
    domain = Waves()
    with pytest.raises(UserError, match="no test item"):
        evaluate_restoration({"model": identity}, domain, domain.dataset("test").take([]), None, [], n=1, seed=0)


def test_the_environment_names_no_host_and_no_user() -> None:
    found = environment()
    assert {"python", "torch", "vaegan", "platform", "cpu", "cores", "memory_gib", "gpu"} == set(found)
    assert found["cores"] >= 1
    assert json.loads(json.dumps(found)) == found
    assert not any("/" in str(found[name]) for name in ("platform", "vaegan", "python"))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda x: np.float64(1.0), r"'own' gave an array of shape \(\) for 9 items"),
        (lambda x: np.zeros((len(x), 2)), r"'own' gave an array of shape \(9, 2\)"),
        (lambda x: np.full(len(x), np.inf), "'own' gave an infinite value"),
    ],
)
def test_an_own_measure_gives_one_finite_number_an_item(value, said: str) -> None:
    own = Metric("own", lambda x, truth, span: value(x), "", "higher")
    with pytest.raises(DataError, match=f"the measure {said}"):
        evaluate(measures={"own": own})
    there = Metric("own", lambda x, truth, span: np.where(np.arange(len(x)) > 3, np.nan, 1.0), "", "higher")
    assert evaluate(measures={"own": there}).numbers["noise sigma=0.2"]["model"]["own"]["n"] == 4
