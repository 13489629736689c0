from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaegan.drawing import draw_signals, grid, png_bytes
from vaegan.errors import DataError
from vaegan.evaluation import Examples, Restoration, write_report
from vaegan.evaluation.markup import curve, duration, number
from vaegan.evaluation.verdict import compare, generation_sentence, sentence, tally
from vaegan.signal import Axis, SignalSpec

VOID = {"meta", "img", "br", "link", "line", "polyline"}
CONDITION = "noise sigma=50/255"


def entry(mean: float, half: float = 0.2, unit: str = "dB", better: str = "higher") -> dict[str, Any]:
    return {"mean": mean, "ci95": [mean - half, mean + half], "n": 12, "unit": unit, "better": better}


def methods(model: float, tv: float = 25.0, noise: float = 15.0, half: float = 0.2) -> dict[str, Any]:
    values = {"input": noise, "gaussian": tv - 2, "tv": tv, "model": model}
    return {
        name: {"psnr": entry(value, half), "mae": entry(40 - value, half, "V", "lower")}
        for name, value in values.items()
    }


class Page(HTMLParser):
    """Checks that tags close in order, and collects what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def restoration(numbers: dict[str, Any], spec: SignalSpec) -> Restoration:
    signals = np.random.default_rng(0).random((2, *spec.shape))
    scores = {name: np.array([20.0, 21.0]) for name in ("input", "tv", "model")}
    shown = Examples(("a <b>", 'c "d"'), signals, signals, signals, signals, "tv", scores)
    return Restoration(
        numbers,
        {},
        np.arange(2),
        {CONDITION: {"gaussian": 1.0, "tv": 0.1}},
        {CONDITION: 3},
        {"gaussian": 0.5, "tv": 4.0, "model": 2.0},
        {CONDITION: shown},
        {CONDITION: shown},
        lambda chosen: draw_signals(chosen, spec),
    )


PICTURES = SignalSpec(3, (Axis("height", 8), Axis("width", 8)), "1", (0.0, 1.0))
WAVES = SignalSpec(5, (Axis("time", 900),), "V", (0.0, 1.0))


@pytest.mark.parametrize("spec", [PICTURES, WAVES], ids=["2d", "1d"])
def test_a_full_page_is_well_formed_self_contained_and_accessible(tmp_path: Path, spec: SignalSpec) -> None:
    numbers = {CONDITION: methods(28.1), "strokes": methods(24.0)}
    found = restoration(numbers, spec)
    path = write_report(
        tmp_path / "run" / "report.html",
        title="Faces & <noise>",
        metrics={
            "recipe": "faces/denoise",
            "restoration": numbers,
            "data": {"source": "embedded", "n_train": 12000, "n_val": 3, "n_test": 12, "sha256": "ab" * 32},
            "cost": {"train_seconds": 1800.0, "train_samples_per_second": 100.0, "parameters": 1234567},
            "generation": {"model": {"fid[x]": entry(41.0, 1.0, "1", "lower")}},
            "environment": {"python": "3.11.0", "cpu": "a & b", "gpu": None},
        },
        restoration=found,
        samples=found.draw(found.examples[CONDITION].truth),
        curves={"loss": [(i, 1 / (i + 1)) for i in range(1000)], "empty": [], "bad": [(0, float("nan"))]},
        notes={"active units": 87, "posterior": {"mean norm": 0.02, "per unit": [0.1, 0.2]}},
        command="vaegan run faces/denoise --seed 0",
    )
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert [child.name for child in path.parent.iterdir()] == ["report.html"]
    assert not any(
        (attrs.get(name) or "").startswith(("http:", "https:", "//"))
        for _, attrs in page.tags
        for name in ("src", "href")
    )
    assert "@import" not in text
    assert "url(" not in text
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 2 * 2 * 4 + 2
    assert all(attrs.get("alt") and (attrs["src"] or "").startswith("data:image/png") for attrs in images)
    assert all(attrs.get("scope") for tag, attrs in page.tags if tag == "th")
    assert ("html", {"lang": "en"}) in page.tags
    assert any(attrs.get("name") == "viewport" for _, attrs in page.tags)
    assert "Faces & <noise>" in page.text
    for words in ("restores 3.1 dB better than the best classical method (tv)", "12,000", "30 min", "180,000"):
        assert words in page.text
    for words in ("1.0 dB worse", "set on 3 validation items", "vaegan run faces/denoise --seed 0", "87", "★"):
        assert words in page.text
    assert sum(tag == "svg" for tag, _ in page.tags) == 1


def test_a_page_of_nearly_nothing_leaves_parts_out(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    write_report(path, title="t", metrics={})
    page = Page(path.read_text(encoding="utf-8"))
    assert "Nothing was measured" in page.text
    assert not any(tag in ("h2", "table", "img") for tag, _ in page.tags)


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


def test_numbers_and_times_as_people_write_them() -> None:
    values = (0, 28.314, 312.04, 12480.4, 0.1234, 0.01234, -3.2e-6, 4e9, float("nan"))
    shown = ["0", "28.31", "312.0", "12,480", "0.123", "0.0123", "−3.20 × 10⁻⁶", "4.00 × 10⁹", "–"]
    assert [number(value) for value in values] == shown
    assert [duration(seconds) for seconds in (45, 720, 12000)] == ["45 s", "12 min", "3 h 20 min"]


@pytest.mark.parametrize(
    "points", [[(0, 1.0), (1, 1.0)], [(0, 0.0), (5, 0.0)], [(0, -1e-9), (9, 1e12)], [(2, 3.0), (2, 4.0)]]
)
def test_any_curve_can_be_drawn(points: list[tuple[float, float]]) -> None:
    drawn = Page(curve("a < b", points, "samples seen"))
    assert "a < b" in drawn.text
    assert all("nan" not in (attrs.get("points") or "") for _, attrs in drawn.tags)


def test_drawing_scales_over_the_fixed_range() -> None:
    grey = SignalSpec(1, (Axis("height", 2), Axis("width", 3)), "m", (0.0, 50.0))
    signals = np.array([[[[0, 25, 50], [-9, 99, np.nan]]]])
    expected = np.array([[0, 128, 255], [0, 255, 0]])
    drawn = draw_signals(signals, grey)
    assert drawn.shape == (1, 2, 3, 3)
    assert np.abs(drawn[0].astype(int) - expected[..., None]).max() <= 1
    colour = draw_signals(
        np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2), SignalSpec(3, grey.axes, "1", (0.0, 255.0))
    )
    np.testing.assert_array_equal(colour[0, 0, 0], [0, 4, 8])
    two = SignalSpec(2, grey.axes, "m", (0.0, 50.0))
    assert len(np.unique(draw_signals(np.repeat(signals, 2, axis=1), two)[0, 0, 2])) > 1  # viridis is no grey
    assert draw_signals(np.zeros((0, *WAVES.shape)), WAVES).shape == (0, 96, 256, 3)
    with pytest.raises(DataError, match=r"signals of shape \(1, 1, 2\)"):
        draw_signals(np.zeros((1, 1, 2)), grey)


def test_line_plots_show_a_single_spike() -> None:
    spec = SignalSpec(1, (Axis("time", 10_000),), "V", (-1.0, 1.0))
    signals = np.zeros((1, 1, 10_000))
    signals[0, 0, 5_000] = 1.0
    drawn = draw_signals(signals, spec)[0]
    assert drawn.shape == (96, 256, 3)
    assert (drawn[5:20, 120:136] < 200).any()
    assert (drawn[5:20, :100] == 255).all()


def test_grids_and_png() -> None:
    pictures = np.zeros((5, 4, 6, 3), dtype=np.uint8)
    page = grid(pictures, 3, 2)
    assert page.shape == (4 + 2 + 4, 6 * 3 + 2 * 2, 3)
    assert (page[4:6] == 255).all()
    assert (page[6:, -6:] == 255).all()
    assert png_bytes(page).startswith(b"\x89PNG")
    with pytest.raises(DataError, match="no pictures"):
        grid(pictures[:0], 3)
