from __future__ import annotations

from typing import Any

import pytest

from tests.reports import CONDITION, entry, methods
from vaegan.evaluation.report.tables import results_table
from vaegan.evaluation.verdict import (
    best_model,
    compare,
    drawing_verdict,
    generation_sentence,
    headline,
    left_out,
    paired_difference,
    sentence,
    share,
    split_name,
    tally,
)


def test_verdicts_of_a_win_a_loss_and_a_tie() -> None:
    for model, half, outcome, words in (
        (
            28.1,
            0.2,
            "win",
            "restores 3.1 dB better than the best classical method (tv), and is 13.1 dB better than the input",
        ),
        (
            24.2,
            0.2,
            "loss",
            "restores 0.8 dB worse than the best classical method (tv), but is 9.2 dB better than the input",
        ),
        (25.3, 0.2, "tie", "ties with the best classical method (tv): 0.3 dB apart"),
        (14.0, 0.2, "loss", "and is 1.0 dB worse than the input itself, that is than doing nothing"),
    ):
        result = compare(CONDITION, methods(model, half=half))
        assert result is not None
        assert result.outcome == outcome
        assert words in sentence(result)
        assert sentence(result).startswith("At noise sigma=50/255 the model")


def test_a_win_over_classical_methods_that_does_not_beat_doing_nothing_says_so() -> None:
    for noise, words in ((30.0, "but is 1.9 dB worse than the input"), (28.0, "but is level with the input")):
        result = compare("strokes", methods(28.1, noise=noise))
        assert result is not None
        assert words in sentence(result)
        assert sentence(result).startswith("With strokes")


def test_where_lower_is_better_a_lower_value_wins() -> None:
    result = compare(CONDITION, methods(28.1), metric="mae")
    assert result is not None
    assert (result.rival, result.outcome) == ("tv", "win")
    assert result.gain == pytest.approx(3.1)
    assert "3.1 V in mae better" in sentence(result)


def test_rivals_may_be_named_and_may_be_none() -> None:
    only = compare(CONDITION, methods(28.1), rivals=["gaussian"])
    alone = compare(CONDITION, methods(28.1), rivals=[])
    assert only is not None
    assert only.rival == "gaussian"
    assert alone is not None
    assert "without a classical method" in sentence(alone)
    assert compare(CONDITION, {"input": {"psnr": entry(1.0)}}) is None


def test_the_tally_counts_outcomes() -> None:
    results = [compare(str(model), methods(model)) for model in (28.0, 25.1, 20.0, 29.0)]
    assert "ahead in 2, level in 1, behind in 1" in tally([result for result in results if result is not None])
    assert tally([]) == ""


def test_generation_is_judged_where_nothing_is_restored() -> None:
    numbers = {"model": {"fid[x]": entry(40.0, 1.0, "1", "lower")}, "real": {"fid[x]": entry(5.0, 1.0, "1", "lower")}}
    assert generation_sentence(numbers) == "Generated signals reach fid[x] 40 (lower is better), worse than real (5)."


def samples(metric: str = "coverage[x]", value: float = 0.41) -> dict[str, Any]:
    return {"model": {"fid[x]": entry(40.0, 1.0, "1", "lower"), metric: entry(value, 0.02, "1")}}


def test_restoration_and_generation_are_joined() -> None:
    result = compare(CONDITION, methods(28.1))
    assert result is not None
    assert headline(result, samples()) == (
        "At noise sigma=50/255 the model restores 3.1 dB better than the best classical method (tv), "
        "and its samples cover 41\u00a0% of the data."
    )
    assert left_out(result, samples()) == "It is 13.1 dB better than the input itself."
    assert "its samples reach 35\u00a0% of the data" in headline(result, samples("recall[y]", 0.35))
    assert headline(result, {}) == headline(result) == sentence(result)
    assert left_out(result) == ""


def test_that_nothing_would_be_better_is_never_left_out() -> None:
    result = compare(CONDITION, methods(28.1, noise=30.0))
    assert result is not None
    assert "but is 1.9 dB worse than the input itself, that is than doing nothing; its samples cover" in headline(
        result, samples()
    )
    assert left_out(result, samples()) == ""


def test_generation_alone_says_what_it_covers() -> None:
    assert generation_sentence(samples()).startswith(
        "Generated signals cover 41\u00a0% of the data and reach fid[x] 40"
    )
    mixture = {**samples(), "model + mixture": {"fid[x]": entry(20.0, 1.0, "1", "lower")}}
    mixture["model + training latents"] = {"fid[x]": entry(10.0, 1.0, "1", "lower")}
    assert "nothing was measured beside it" in generation_sentence(mixture)


def test_generation_alone_says_in_plain_words_how_many_lie_among_real_ones() -> None:
    numbers = samples()
    numbers["model"]["precision[x]"] = entry(0.6, 0.02, "1")
    told = "Drawn signals cover 41\u00a0% of the data, and 60\u00a0% of them lie among real ones"
    assert generation_sentence(numbers) == f"{told}."
    numbers["training items"] = {"coverage[x]": entry(0.93, 0.01, "1"), "precision[x]": entry(0.7, 0.01, "1")}
    assert generation_sentence(numbers) == f"{told}; real training items reach 93\u00a0% and 70\u00a0%."


def test_of_several_models_that_draw_the_best_is_named() -> None:
    def drawn(fid: float, kid: float, coverage: float) -> dict[str, Any]:
        return {
            "kid[x]": entry(kid, 0.001, "1", "lower"),
            "fid[x]": entry(fid, 1.0, "1", "lower"),
            "coverage[x]": entry(coverage, 0.02, "1"),
            "precision[x]": entry(0.5, 0.02, "1"),
        }

    numbers = {"a": drawn(40, 0.01, 0.2), "b": drawn(30, 0.02, 0.4), "c + mixture": drawn(1, 0.0, 0.9)}
    assert drawing_verdict(numbers, ["a", "b", "restorer"]) == (
        "win",
        "Of 2 models b draws best by fid[x], and beats the runner-up a. Its drawn signals cover 40\u00a0% of the data, and "
        "50\u00a0% of them lie among real ones.",
    )
    numbers["a"]["fid[x]"] = entry(31.0, 1.0, "1", "lower")
    outcome, words = drawing_verdict(numbers, ["a", "b"])
    assert outcome == "tie" and "b draws best by fid[x], but is level with the runner-up a." in words
    del numbers["b"]["fid[x]"]  # too few draws for one of them
    assert (
        "a draws best by kid[x], and beats the runner-up b. Its drawn signals cover 20"
        in drawing_verdict(numbers, ["a", "b"])[1]
    )
    alone = drawing_verdict(numbers, ["restorer", "b"])[1]
    assert alone.startswith("Of 2 models b alone draws. Its drawn signals cover 40\u00a0% of the data")
    assert drawing_verdict(numbers, ["b"])[1] == generation_sentence(numbers, "b")
    assert drawing_verdict({}, ["a", "b"])[1] == "Nothing was measured in this run."


def test_shares_and_names() -> None:
    assert [share(value).replace("\u00a0", " ") for value in (0, 0.004, 0.41, 0.996, 1)] == [
        "0 %",
        "0.4 %",
        "41 %",
        "99.6 %",
        "100 %",
    ]
    assert split_name("fid[a[b]]") == ("fid", "a[b]")
    assert split_name("fid") == ("fid", "")


def test_the_best_model_beats_the_runner_up_beyond_its_paired_interval_or_is_level() -> None:
    numbers = methods(0, a=28.0, b=27.9, c=20.0)
    for low, outcome, words in (
        (
            0.05,
            "win",
            "and beats the runner-up b by 0.1 dB (95\u00a0% interval of the paired difference: 0.05 to 0.15)",
        ),
        (-0.02, "tie", "but is level with the runner-up b: 0.1 dB apart"),
    ):
        pair = {"psnr": {"b − a": {"mean": -0.1, "ci95": [-0.15, -low], "n": 12, "unit": "dB", "better": "higher"}}}
        found = best_model(CONDITION, numbers, ["a", "b", "c"], pair)
        assert found is not None
        assert found[:2] == ("a", outcome)
        assert found[2].startswith("At noise sigma=50/255 a restores best of 3 models (28.0 dB), ")
        assert words in found[2]
    unpaired = best_model(CONDITION, numbers, ["a", "b"])
    assert unpaired is not None
    assert unpaired[1] == "tie"
    assert best_model(CONDITION, numbers, ["a"]) is None


def test_of_few_items_nothing_is_better() -> None:
    for n, outcome in ((1, "tie"), (4, "tie"), (5, "win")):
        numbers = {
            name: {"psnr": {**by["psnr"], "n": n, "ci95": [by["psnr"]["mean"]] * 2}}
            for name, by in methods(0, a=28.0, b=20.0).items()
        }
        pair = {"psnr": {"b − a": {"mean": -8.0, "ci95": [-8.0, -8.0], "n": n, "unit": "dB", "better": "higher"}}}
        for differences in (pair, None):
            found = best_model(CONDITION, numbers, ["a", "b"], differences)
            assert found is not None
            assert found[1] == outcome
            assert (f"n = {n} is too few to say more" in found[2]) == (outcome == "tie")
        table = results_table("", numbers, own=["a"], among=["a", "b"])
        assert ("fewer than 5 items tell nothing apart" in table) == (outcome == "tie")
        assert table.count('class="tied"') == (outcome == "tie")
        verdict = compare(CONDITION, numbers, method="a", rivals=["b"])
        assert verdict is not None
        assert verdict.outcome == outcome
        told = sentence(verdict)
        assert "overlapping" not in told  # the intervals are points, 8 dB apart
        assert (f"n = {n} is too few to tell them apart" in told) == (outcome == "tie")


def test_a_verdict_of_few_items_says_that_they_are_few_and_claims_nothing() -> None:
    numbers = {name: {"psnr": {**by["psnr"], "n": 2}} for name, by in methods(14.0, noise=14.7).items()}
    result = compare(CONDITION, numbers)
    assert result is not None
    start = "At noise sigma=50/255 the model comes out 11.0 dB worse than the best classical method (tv)"
    told = f"{start} and 0.7 dB worse than the input itself: n = 2 is too few to tell them apart"
    assert sentence(result) == f"{told}."
    assert headline(result, samples()) == f"{told}; its samples cover 41\u00a0% of the data."
    assert left_out(result, samples()) == ""
    alone = compare(CONDITION, numbers, rivals=[])
    assert alone is not None
    assert sentence(alone).endswith(
        "without a classical method beside it, and comes out 0.7 dB worse than the input itself: "
        "n = 2 is too few to tell them apart."
    )
    numbers.pop("input")
    unheld = compare(CONDITION, numbers)
    assert unheld is not None
    assert sentence(unheld) == f"{start}: n = 2 is too few to tell them apart."


def test_a_paired_difference_is_found_whichever_way_round() -> None:
    pairs = {"a − b": {"mean": 1.0, "ci95": [0.5, 2.0]}}
    assert paired_difference(pairs, "a", "b") == {"mean": 1.0, "ci95": [0.5, 2.0]}
    assert paired_difference(pairs, "b", "a") == {"mean": -1.0, "ci95": [-2.0, -0.5]}
    assert paired_difference(pairs, "a", "c") is None
