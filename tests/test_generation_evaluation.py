"""Draws judged beside real items: who covers what, and who copies."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor

from vaegan.data import SignalSet, Split
from vaegan.domain import Domain
from vaegan.errors import UserError
from vaegan.evaluation.generation import _memorisation, evaluate_generation
from vaegan.evaluation.result import REAL, Generation
from vaegan.metrics.features import Extracted, FromFunction
from vaegan.signal import Axis, SignalSpec
from vaegan.workflow.judging import as_often, labels_of

ITEMS: dict[Split, int] = {"train": 300, "val": 20, "test": 120}


class Noises(Domain):
    """Gaussian noise of 6 samples, in volts."""

    @property
    def spec(self) -> SignalSpec:
        return SignalSpec(1, (Axis("time", 6, 0.01, "s"),), "V", (-0.5, 0.5))

    def dataset(self, split: Split) -> SignalSet:
        signals = 0.1 * np.random.default_rng(list(ITEMS).index(split)).standard_normal((ITEMS[split], 1, 6))
        return SignalSet(signals.astype(np.float32), np.arange(len(signals)).astype(str))


DOMAIN = Noises()
FLAT = FromFunction("flat", lambda x: x.flatten(1), "the signal itself")


def honest(n: int, seed: int) -> Tensor:
    return 0.2 * torch.randn(n, 1, 6, generator=torch.Generator().manual_seed(seed))


def copying(n: int, seed: int) -> Tensor:
    rows = torch.randint(0, ITEMS["train"], (n,), generator=torch.Generator().manual_seed(seed))
    return DOMAIN.to_model(torch.from_numpy(DOMAIN.dataset("train").signals))[rows] + 1e-4


def collapsed(n: int, seed: int) -> Tensor:
    return 0.01 * torch.randn(n, 1, 6, generator=torch.Generator().manual_seed(seed))


def stuck(n: int, seed: int) -> Tensor:
    return torch.zeros(n, 1, 6)


def judge(n: int = 100, **draws: object) -> Generation:
    return evaluate_generation(
        draws,  # type: ignore[arg-type]
        DOMAIN,
        DOMAIN.dataset("train"),
        DOMAIN.dataset("test"),
        (FLAT,),
        n=n,
        seed=0,
    )


def test_honest_draws_are_as_good_as_real_items() -> None:
    found = judge(honest=honest)
    own, real = found.numbers["honest"], found.numbers[REAL]
    assert set(real) < set(own)
    for name in ("precision[flat]", "recall[flat]", "coverage[flat]"):
        assert abs(own[name]["mean"] - real[name]["mean"]) < 0.15
        assert own[name]["mean"] > 0.6
    assert own["nearer_than_test[flat]"]["ci95"][0] < 0.5 < own["nearer_than_test[flat]"]["ci95"][1]
    assert own["copies[flat]"]["mean"] < 0.1
    assert json.loads(json.dumps(found.numbers, allow_nan=False)) == found.numbers
    assert found.notes[0] == "flat: the signal itself"


def test_copies_are_found_out() -> None:
    own = judge(copying=copying).numbers["copying"]
    assert own["nearer_than_test[flat]"]["mean"] == 1.0
    assert own["copies[flat]"]["mean"] == 1.0
    assert own["precision[flat]"]["mean"] > 0.6  # they look real enough


def test_how_near_a_draw_is_counts_the_test_items_that_are_farther_and_ties_half() -> None:
    known = Extracted(torch.zeros(1, 1))
    test = Extracted(torch.arange(1.0, 201.0)[:, None])  # so far from the one training item
    draws = {0.5: 1.0, 50.5: 0.75, 100.0: 0.5025, 500.0: 0.0}
    found = _memorisation("x", Extracted(torch.tensor([*draws])[:, None]), known, test, 0)
    assert found["nearer_than_test[x]"]["mean"] == pytest.approx(np.mean([*draws.values()]))
    assert (found["copies[x]"]["n"], found["copies[x]"]["n_real"]) == (4, 200)
    # Nearer than 99 of 100 test items, that is below 2.99.
    for distance, share in ((2.9, 1.0), (3.1, 0.0)):
        copies = _memorisation("x", Extracted(torch.tensor([[distance], [-distance]])), known, test, 0)
        assert copies["copies[x]"]["mean"] == share


def test_where_not_all_training_items_are_looked_at_that_is_said() -> None:
    said = "copies were looked for among 150 of 300 training items"
    found = judge(n=30, copying=copying)
    assert found.numbers["copying"]["copies[flat]"]["mean"] < 0.9  # each draw is a copy
    assert any(note.startswith(said) for note in found.notes)
    assert not any("copies" in note for note in judge(n=60, copying=copying).notes)


def test_a_collapsed_generator_is_precise_and_covers_nothing() -> None:
    own = judge(collapsed=collapsed).numbers["collapsed"]
    assert own["precision[flat]"]["mean"] > 0.9
    assert own["recall[flat]"]["mean"] < 0.1


def test_one_and_the_same_draw_is_a_note_not_a_crash() -> None:
    found = judge(stuck=stuck, honest=honest)
    assert "fid[flat]" not in found.numbers["stuck"]
    assert any(note.startswith("stuck: not judged by flat") for note in found.notes)
    assert "fid[flat]" in found.numbers["honest"]


def test_what_comes_from_training_items_is_measured_and_not_called_a_copy() -> None:
    train, test = DOMAIN.dataset("train"), DOMAIN.dataset("test")
    found = evaluate_generation(
        {"honest": honest}, DOMAIN, train, test, (FLAT,), n=100, seed=0, limits={"within reach": copying}
    )
    limit, own = found.numbers["within reach"], found.numbers["honest"]
    assert set(own) - set(limit) == {"nearer_than_test[flat]", "copies[flat]"}
    assert limit["recall[flat]"]["mean"] > 0.6
    assert list(found.samples) == ["honest"], "they are pictures of the data, and no draws"
    assert found.nearest is not None and found.nearest.method == "honest"
    assert own == judge(honest=honest).numbers["honest"]


def test_draws_are_shown_with_their_nearest_training_items() -> None:
    found = judge(copying=copying)
    assert found.nearest is not None
    assert found.nearest.method == "copying"
    assert found.nearest.items.shape == (8, 4, 1, 6)
    np.testing.assert_allclose(found.nearest.items[:, 0], found.nearest.samples, atol=1e-3)
    assert (np.diff(found.nearest.distances, axis=1) >= 0).all()
    assert found.nearest.distances[0, 0] < 0.01 < found.nearest.usual
    assert found.samples["copying"].shape == (64, 1, 6)
    assert np.abs(found.samples["copying"]).max() <= 0.5  # volts


def test_every_chunk_has_draws_of_its_own() -> None:
    seen: list[int] = []

    def counting(n: int, seed: int) -> Tensor:
        seen.append(seed)
        return honest(n, seed)

    judge(150, counting=counting)
    assert len(seen) == len(set(seen)) == 3


def test_each_class_is_drawn_as_often_as_there_are_items_of_it() -> None:
    asked: list[Tensor] = []

    def conditional(n: int, seed: int, classes: Tensor) -> Tensor:
        asked.append(classes)
        return honest(n, seed)

    judge(640, conditional=as_often(conditional, np.repeat([0, 2], [300, 100])))
    shares = torch.bincount(torch.cat(asked)) / 640
    torch.testing.assert_close(shares, torch.tensor([0.75, 0.0, 0.25]), atol=0.06, rtol=0)
    assert as_often(honest, None) is honest


def test_where_training_items_are_gone_each_class_is_drawn_alike() -> None:
    """Draws come in chunks, of fewer than there are classes."""
    asked: list[Tensor] = []

    def conditional(n: int, seed: int, classes: Tensor) -> Tensor:
        asked.append(classes)
        return honest(n, seed)

    judge(2000, conditional=as_often(conditional, labels_of(100, None)))
    counts = torch.bincount(torch.cat(asked), minlength=100)
    assert counts.min() > 0 and counts.max() < 45
    assert labels_of(0, DOMAIN.dataset("train")) is None


def test_without_the_training_split_there_is_no_word_about_memorisation() -> None:
    found = evaluate_generation({"a": honest}, DOMAIN, None, DOMAIN.dataset("test"), (FLAT,), n=50, seed=0)
    assert found.nearest is None
    assert not [name for name in found.numbers["a"] if name.startswith(("copies", "nearer"))]
    assert list(found.numbers) == ["a"]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UserError, match=r"set --evaluation\.samples"):
        judge(1, honest=honest)


def test_without_an_extractor_draws_are_shown_and_nothing_is_measured() -> None:
    found = evaluate_generation({"a": honest}, DOMAIN, DOMAIN.dataset("train"), DOMAIN.dataset("test"), (), n=5, seed=0)
    assert found.numbers == {"a": {}}
    assert found.samples["a"].shape == (5, *DOMAIN.spec.shape)
    assert found.nearest is None and found.notes == ()
