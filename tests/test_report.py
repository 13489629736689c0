from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.reports import (
    CONDITION,
    PICTURES,
    WAVES,
    Page,
    check_accessible,
    entry,
    generation,
    methods,
    restoration,
    tradeoff,
    uncertainty,
)
from vaegan.cli.tables import show
from vaegan.evaluation import write_report
from vaegan.signal import SignalSpec


def full(path: Path, spec: SignalSpec = PICTURES, **more: Any) -> str:
    """A page with every section."""
    numbers = {CONDITION: methods(28.1), "strokes": methods(24.0)}
    made = generation(spec)
    sure = uncertainty(spec)
    write_report(
        path,
        title="Faces & <noise>",
        metrics={
            "recipe": "faces/denoise",
            "restoration": numbers,
            "data": {"source": "embedded", "n_train": 12000, "n_val": 3, "n_test": 12, "sha256": "ab" * 32},
            "cost": {"train_seconds": 1800.0, "train_samples_per_second": 100.0, "parameters": 1234567},
            "generation": made.numbers,
            "uncertainty": sure.numbers,
            "environment": {"python": "3.11.0", "cpu": "a & b", "gpu": None},
        },
        restoration=restoration(numbers, spec),
        generation=made,
        uncertainty=sure,
        tradeoff=tradeoff(spec),
        curves={"loss": [(i, 1 / (i + 1)) for i in range(1000)], "empty": [], "bad": [(0, float("nan"))]},
        notes={"active units": 87, "posterior": {"mean norm": 0.02, "per unit": [0.1, 0.2]}, "smiles": entry(0.9)},
        command="vaegan run faces/denoise --seed 0",
        **more,
    )
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("spec", [PICTURES, WAVES], ids=["2d", "1d"])
def test_a_full_page_is_well_formed_self_contained_and_accessible(tmp_path: Path, spec: SignalSpec) -> None:
    path = tmp_path / "run" / "report.html"
    page = check_accessible(full(path, spec))
    assert [child.name for child in path.parent.iterdir()] == ["report.html"]
    # 2 items x 4 pictures, twice; samples; neighbours; paths; the trade-off
    common = 2 * 2 * 4 + 2 * 3 + 2 * 5 + 2 * 4 + 2 * 6
    maps, bands = (2 * 4, 0) if spec is PICTURES else (0, 2 * 4)
    assert len(page.all("img")) == common + maps
    assert len(page.all("svg")) == 1 + 3 + bands
    assert sum(attrs.get("class") == "zoom" for attrs in page.all("details")) == common + maps + bands
    assert "Faces & <noise>" in page.text
    for words in (
        "restores 3.1 dB better than the best classical method (tv), and its samples cover 41 % of the data.",
        "It is 13.1 dB better than the input itself.",
        "1.0 dB worse",
        "set on 3 validation items",
        "vaegan run faces/denoise --seed 0",
        "★",
    ):
        assert words in page.words
    for words in ("12,000", "30 min", "180,000", "1,234,567", "87", "0.0200", "0.900 dB (0.700 to 1.10)"):
        assert words in page.words


def test_a_page_of_nearly_nothing_leaves_parts_out(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    write_report(path, title="t", metrics={})
    page = check_accessible(path.read_text(encoding="utf-8"))
    assert "Nothing was measured" in page.text
    assert not any(tag in ("h2", "table", "img", "nav", "details") for tag, _ in page.tags)


@pytest.mark.parametrize("part", ["restoration", "generation", "uncertainty", "tradeoff"])
def test_every_part_stands_alone(tmp_path: Path, part: str) -> None:
    made: dict[str, Callable[[], Any]] = {
        "restoration": lambda: restoration({CONDITION: methods(28.1)}),
        "generation": generation,
        "uncertainty": uncertainty,
        "tradeoff": tradeoff,
    }
    write_report(tmp_path / "report.html", title="t", metrics={}, **{part: made[part]()})
    page = check_accessible((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.all("h2")


def test_many_conditions_are_folded_away_below_the_first(tmp_path: Path) -> None:
    pages = {}
    for n in (9, 10):
        numbers = {f"noise sigma={i}/255": methods(28.1) for i in range(n)}
        write_report(tmp_path / "report.html", title="t", metrics={"restoration": numbers})
        pages[n] = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert pages[n].count('<span class="tag win">') == n - 1
    assert "The other" not in pages[9]
    assert "The other 9 conditions" in pages[10]


def test_what_was_not_trained_to_restore_is_told_by_its_draws_first(tmp_path: Path) -> None:
    made = generation()
    numbers = {CONDITION: methods(12.3)}
    heads = {}
    for restoring in (True, False):
        write_report(
            tmp_path / "report.html",
            title="t",
            metrics={"restoration": numbers},
            generation=made,
            restoring=restoring,
        )
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        check_accessible(text)
        first = text[text.index('<p class="main">') :].split("</p>")[0]
        heads[restoring] = [*re.findall(r'<h2 id="[^"]*">([^<]*)', text)]
        assert first.startswith('<p class="main">At ' if restoring else '<p class="main">Drawn signals')
        assert ("Not trained to restore: at " in text) is not restoring
    assert heads[True].index("Results") < heads[True].index("Generation")
    assert heads[False].index("Generation") < heads[False].index("Results")
    assert set(heads[True]) == set(heads[False])


def test_a_domain_s_own_measures_stand_before_the_general_ones(tmp_path: Path) -> None:
    numbers = {CONDITION: methods(28.1)}
    for by in numbers[CONDITION].values():
        by["rrmse_t"] = entry(0.8, 0.1, "1", "lower")
    write_report(tmp_path / "report.html", title="t", metrics={"restoration": numbers})
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    head = page[page.index("<thead") : page.index("</thead>")]
    assert head.index("psnr") < head.index("rrmse_t") < head.index("mae")


def test_the_terminal_shows_a_domain_s_own_measures(capsys) -> None:
    numbers = {CONDITION: methods(28.1)}
    for by in numbers[CONDITION].values():
        by["ssim"], by["nrmse"] = entry(0.912), entry(0.345)
    show({"restoration": numbers})
    plain = capsys.readouterr().out
    assert all(word in plain for word in ("SSIM", "NRMSE", "0.912", "0.345"))
    for by in numbers[CONDITION].values():
        by["rrmse_t"] = entry(0.678)
    show({"restoration": numbers})
    own = capsys.readouterr().out
    assert all(word in own for word in ("rrmse_t", "0.678"))
    assert "SSIM" not in own


def test_extractors_never_share_a_table(tmp_path: Path) -> None:
    text = full(tmp_path / "report.html")
    for extractor in ("x", "y"):
        table = re.search(f'<caption class="hidden">Generation, by {extractor}</caption>.*?</table>', text, re.DOTALL)
        assert table is not None
        assert table[0].count("<tr") == 5
        assert table[0].count('<th scope="col">') == 5  # method, fid, kid, precision, coverage
    assert "By x" in Page(text).text


def test_the_best_is_marked_among_draws_and_never_among_what_is_within_reach(tmp_path: Path) -> None:
    text = full(tmp_path / "report.html")
    table = text[text.index("Generation, by x</caption>") :]
    rows = re.findall("<tr.*?</tr>", table[: table.index("</table>")], re.DOTALL)
    marks = {re.sub("<.*?>", "", row.split("</th>")[0].split("<small>")[0]): row for row in rows[1:]}
    assert list(marks) == ["model", "model + mixture", "model + training latents", "training items"]
    assert [row.count("★") for row in marks.values()] == [1, 3, 0, 0]
    assert [row.count("≈") for row in marks.values()] == [1, 1, 0, 0]
    assert "z of training items themselves" in marks["model + training latents"]
    assert "kid ×1,000" in rows[0]
    assert "40.00" in marks["model"]
    assert "39.00 to 41.00" in marks["model"]
    caption = Page(text).words
    assert "n = 12 draws, beside 500 real test items" in caption


def test_memorisation_is_said_in_words(tmp_path: Path) -> None:
    page = Page(full(tmp_path / "report.html"))
    assert (
        "Draws lie nearer to their nearest training item than test items do in 48 % of comparisons (50 %: as new as real "
        "ones); 0.4 % lie nearer than 99 % of the test items do (1 %: as real ones)."
    ) in page.words
    assert "A test item lies 0.700 from its nearest training item (median)." in page.words
    alts = [attrs["alt"] or "" for attrs in page.all("img")]
    assert sum(alt.startswith("training item ") and "at distance" in alt for alt in alts) == 8


def test_notes_are_printed_and_escaped(tmp_path: Path) -> None:
    text = full(tmp_path / "report.html")
    assert "x: a network &lt;of&gt; ours" in text


def test_charts_say_their_message(tmp_path: Path) -> None:
    labels = [attrs["aria-label"] or "" for attrs in Page(full(tmp_path / "report.html")).all("svg")]
    assert any("Where the spread is smallest (0.0100) the error is 0.0120" in label for label in labels)
    assert any("Leaving out the 50" in label and "lowers the mean error from 0.0550" in label for label in labels)
    assert any("From fidelity 0 to 1 PSNR goes from 25.00 to 28.00 dB" in label for label in labels)
    assert any("kid ×1,000, x" in label and "from 12.00 to 42.00" in label for label in labels)


def test_uncertainty_is_said_in_words_with_its_unit(tmp_path: Path) -> None:
    page = Page(full(tmp_path / "report.html"))
    for words in ("The spread ranks the error", "61 %", "58 % to 63 %", "89 %", "calibrated on 64 validation items"):
        assert words in page.words
    assert "Both on one scale:" in page.words, "these pictures have no unit"
    assert "Restored and true signal (V)" in Page(full(tmp_path / "waves.html", WAVES)).words


def test_signals_of_one_axis_get_a_band(tmp_path: Path) -> None:
    text = full(tmp_path / "report.html", WAVES)
    assert text.count('<polygon class="band"') == 2 * 4
    assert "the first 4 of 5 channels" in Page(text).text


def test_only_the_first_fold_of_a_section_is_open(tmp_path: Path) -> None:
    text = full(tmp_path / "report.html")
    samples = text[text.index("<h3>Samples</h3>") : text.index("<h3>From one item")]
    assert samples.count('<details class="fold" open>') == 1
    assert samples.count('<details class="fold">') == 1


def test_colours_have_enough_contrast_in_light_and_in_dark() -> None:
    style = resources.files("vaegan.evaluation.report").joinpath("report.css").read_text(encoding="utf-8")
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 2

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for ink in ("ink", "soft", "accent", "win", "tie", "loss", "second"):
            for ground in ("paper", "raised", "tint"):
                bright, dim = sorted((light(colours[ink]), light(colours[ground])), reverse=True)
                assert (bright + 0.05) / (dim + 0.05) >= 4.5, f"{ink} on {ground}"


def test_nobody_wins_where_all_are_the_same(tmp_path: Path) -> None:
    nothing = {"recall[x]": {**entry(0.0, 0.0, "1"), "n_real": 9}}
    path = write_report(
        tmp_path / "report.html", title="t", metrics={"generation": {"model": nothing, "model + mixture": nothing}}
    )
    assert "★ 0" not in Page(path.read_text()).words
