from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reports import CONDITION, Page, check_accessible, entry, generation, methods, restoration
from vaegan.errors import UserError
from vaegan.evaluation import Restoration, write_report
from vaegan.evaluation.comparison import paired_differences
from vaegan.evaluation.report.comparison import paired_section

MODELS = ["faces/large", "faces/small"]


def judged(n: int = 40) -> Restoration:
    """Items of very different difficulty; ``large`` is 0.2 dB better than ``small`` on each, and 2 dB than ``tv``."""
    random = np.random.default_rng(0)
    hard = random.normal(25.0, 4.0, n)
    levels = {"input": -8.0, "gaussian": -2.5, "tv": -2.0, MODELS[0]: 0.0, MODELS[1]: -0.2}
    values: dict[str, Any] = {}
    for method, level in levels.items():
        psnr = hard + level + random.normal(0, 0.05, n)
        ssim = np.full(n, np.nan) if method == MODELS[1] else psnr / 40
        values[method] = {"psnr": psnr, "ssim": ssim, "nrmse": 1 / psnr}
    numbers = {CONDITION: methods(0, **{model: float(values[model]["psnr"].mean()) for model in MODELS})}
    for method, by in values.items():
        numbers[CONDITION][method] = {
            name: entry(
                float(of.mean()), 1.2, "dB" if name == "psnr" else "1", "lower" if name == "nrmse" else "higher"
            )
            for name, of in by.items()
            if not np.isnan(of).any()
        }
    found = restoration(numbers, main=MODELS[0])
    found.values[CONDITION] = values
    return found


def test_differences_are_taken_item_by_item() -> None:
    found = judged()
    differences = paired_differences(found, MODELS)[CONDITION]
    assert set(differences["psnr"]) == {"faces/large − faces/small", "faces/large − tv", "faces/small − tv"}
    pair = differences["psnr"]["faces/large − faces/small"]
    assert set(pair) == {"mean", "ci95", "n", "unit", "better"}
    assert (pair["unit"], pair["better"], pair["n"]) == ("dB", "higher", 40)
    assert pair["mean"] == pytest.approx(0.2, abs=0.05)
    assert 0 < pair["ci95"][0] < pair["ci95"][1] < 0.3  # the methods' own intervals are wider than a decibel
    assert differences["nrmse"]["faces/large − tv"]["mean"] < 0
    assert set(differences["ssim"]) == {"faces/large − tv"}  # where one has no value there is no difference


def test_a_model_that_was_not_judged_is_named() -> None:
    with pytest.raises(UserError, match="no values of other"):
        paired_differences(judged(), ["other", *MODELS])


def test_without_a_classical_method_models_are_compared_alone() -> None:
    found = judged()
    found.strengths[CONDITION] = {}
    for place in (found.values[CONDITION], found.numbers[CONDITION]):
        for method in ("gaussian", "tv"):
            del place[method]
    assert list(paired_differences(found, MODELS)[CONDITION]["psnr"]) == ["faces/large − faces/small"]


def compared(path: Path) -> str:
    found = judged()
    samples = {model: generation(model=model).numbers[model] for model in MODELS}
    write_report(
        path,
        title=" / ".join(MODELS),
        metrics={
            "restoration": found.numbers,
            "generation": samples,
            "runs": {
                MODELS[0]: {"parameters": 3_500_000, "train_seconds": 5400, "ms_per_item": 3.1, "samples": 180_000},
                MODELS[1]: {
                    "parameters": {"encoder": 900, "decoder": 50},
                    "train_seconds": 60,
                    "peak_memory_mib": 900.0,
                },
            },
        },
        restoration=found,
        models=MODELS,
        differences=paired_differences(found, MODELS),
    )
    return path.read_text(encoding="utf-8")


def test_the_verdict_names_the_best_model_and_its_margin(tmp_path: Path) -> None:
    page = check_accessible(compared(tmp_path / "report.html"))
    assert "At noise sigma=50/255 faces/large restores best of 2 models" in page.words
    assert "and beats the runner-up faces/small by 0.2" in page.words
    assert "faces/large restores 2.0 dB" not in page.words  # the two intervals overlap: a tie is a tie
    assert "faces/large ties with the best classical method (tv)" in page.words
    assert "its samples cover 41 % of the data" in page.words


def test_all_models_are_set_off_and_summed_up(tmp_path: Path) -> None:
    text = compared(tmp_path / "report.html")
    table = text[text.index(f"Restoration, {CONDITION}</caption>") :]
    assert table[: table.index("</table>")].count('<tr class="own">') == 2
    summary = text[text.index("Models side by side</caption>") :]
    words = Page(summary[summary.index("<thead") : summary.index("</table>")]).words
    for said in ("psnr", "fid", "coverage", "3.5 M", "950", "180 k", "90 min", "1 h 30 min", "60 s", "900"):
        assert said in words or said == "90 min"
    assert "–" in words


def test_differences_beyond_chance_are_marked_with_the_better(tmp_path: Path) -> None:
    text = compared(tmp_path / "report.html")
    table = text[text.index(f"Paired differences, {CONDITION}</caption>") :]
    rows = re.findall("<tr.*?</tr>", table[: table.index("</table>")], re.DOTALL)
    assert len(rows) == 4
    assert all(row.count("★") >= 1 for row in rows[1:])
    lower = rows[2].split("<td")[3]  # nrmse of large less that of tv: negative, and lower is better
    assert "−0.0" in lower or "× 10" in lower
    assert 'class="who">faces/<wbr>large' in lower


def test_a_difference_over_fewer_items_says_so() -> None:
    whole = {"mean": 1.0, "ci95": [0.5, 1.5], "n": 12, "unit": "dB", "better": "higher"}
    fewer = {"mean": -0.1, "ci95": [-0.2, 0.1], "n": 9, "unit": "1", "better": "lower"}
    page = paired_section({CONDITION: {"psnr": {"a − b": whole}, "nrmse": {"a − b": fewer}}})
    assert "over n = 12 items" in page
    assert page.count("n = 9") == 1 and page.count("n = 12") == 1


def test_one_model_has_no_comparison(tmp_path: Path) -> None:
    write_report(
        tmp_path / "r.html", title="t", metrics={"restoration": {CONDITION: methods(28.0)}, "runs": {"model": {}}}
    )
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "side by side" not in text
    assert "runner-up" not in text
