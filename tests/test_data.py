"""Sets of signals: how groups are shared out, and that none is torn apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from vaegan.data import SPLITS, SignalSet, assign_splits, check_apart
from vaegan.errors import DataError


def test_groups_are_shared_out_whole_by_the_stated_shares() -> None:
    groups = np.repeat([f"person {i}" for i in range(100)], 3)
    found = assign_splits(groups, val=0.1, test=0.3)
    held = {split: set(groups[found == split].tolist()) for split in SPLITS}
    assert {split: len(held[split]) for split in SPLITS} == {"train": 60, "val": 10, "test": 30}
    assert not any(held[one] & held[other] for one, other in combinations(SPLITS, 2))
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(assign_splits(groups[order], val=0.1, test=0.3), found[order])
    assert (assign_splits(groups, val=0.1, test=0.3, seed=1) != found).any()


def test_few_groups_still_give_a_test_and_a_validation() -> None:
    assert sorted(assign_splits(["a", "b", "c", "a"])[:3]) == ["test", "train", "val"]
    assert set(assign_splits(["a", "b"])) == {"train"}
    assert set(assign_splits("abcdef", val=0.0, test=0.5).tolist()) == {"train", "test"}


def test_a_group_in_two_splits_is_named() -> None:
    sets = {
        split: SignalSet(np.zeros((2, 1, 4)), np.asarray(groups))
        for split, groups in zip(SPLITS, (["a", "b"], ["c", "d"], ["e", "d"]), strict=True)
    }
    with pytest.raises(DataError, match=r"1 groups are in both val and test \(d\)"):
        check_apart(sets)
    check_apart({split: sets[split] for split in ("train", "val")})


def test_rows_are_taken_with_all_that_belongs_to_them() -> None:
    numbers = np.arange(6)
    whole = SignalSet(
        numbers[:, None, None] * 1.0, numbers, names=numbers, observed=numbers[:, None, None] + 0.5, labels=numbers
    )
    for rows in ([1, 2, 3], [4, 0, 4]):
        some = whole.take(rows)
        assert some.observed is not None and some.labels is not None
        assert some.signals[:, 0, 0].tolist() == some.groups.tolist() == some.labels.tolist() == rows
        assert (some.observed - some.signals == 0.5).all()
