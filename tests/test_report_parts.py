from __future__ import annotations

import re

import numpy as np
import pytest

from tests.reports import Page, entry
from vaegan.evaluation.report import charts
from vaegan.evaluation.report.charts import Series, band, chart, curve
from vaegan.evaluation.report.generation import generation_section
from vaegan.evaluation.report.markup import definitions, duration, number
from vaegan.evaluation.report.pictures import heat, image, layout_of
from vaegan.evaluation.report.uncertainty import uncertainty_section
from vaegan.evaluation.result import Uncertain, Uncertainty


def test_numbers_and_times_as_people_write_them() -> None:
    values = (0, 28.314, 312.04, 12480.4, 0.1234, 0.01234, -3.2e-6, 4e9, float("nan"))
    shown = ["0", "28.31", "312.0", "12,480", "0.123", "0.0123", "−3.20 × 10⁻⁶", "4.00 × 10⁹", "–"]
    assert [number(value) for value in values] == shown
    assert [duration(seconds) for seconds in (45, 720, 12000)] == ["45 s", "12 min", "3 h 20 min"]


def test_a_mean_in_a_list_is_one_entry() -> None:
    page = Page(definitions({"auc": {"smile": entry(0.9, 0.05, "AUC"), "hat": {"mean": 0.5, "n": 3}}, "none": None}))
    assert page.text == "auc: smile0.900 AUC (0.850 to 0.950)auc: hat0.500"


@pytest.mark.parametrize(
    "points", [[(0, 1.0), (1, 1.0)], [(0, 0.0), (5, 0.0)], [(0, -1e-9), (9, 1e12)], [(2, 3.0), (2, 4.0)]]
)
def test_any_curve_can_be_drawn(points: list[tuple[float, float]]) -> None:
    drawn = Page(curve("a < b", points, "samples seen"))
    assert "a < b" in drawn.text
    assert all("nan" not in (attrs.get("points") or "") for _, attrs in drawn.tags)
    pair = Page(chart("t", [Series("s", points, "marks", ["a", "b"])], x="x", y="y", words="w"))
    assert all("nan" not in (attrs.get("points") or "") for _, attrs in pair.tags)


def test_a_chart_leaves_out_what_is_not_finite_and_draws_nothing_of_nothing() -> None:
    assert chart("t", [Series("s", [(0.0, float("nan")), (1.0, 1.0)])], x="x", y="y", words="w") == ""
    assert curve("t", [(0.0, 1.0)], "x") == ""


def test_small_ticks_are_not_rounded_to_their_neighbours() -> None:
    drawn = chart("t", [Series("s", [(0.0, 0.0), (1.9e-4, 1.9e-4)])], x="x", y="y", words="w")
    places = re.findall(r'y="([\d.]+)" text-anchor="end">([^<]+)<', drawn)
    assert [words for _, words in places] == ["0", "5e−5", "1e−4", "1.5e−4", "2e−4"]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (25.0, 25.04, ["25", "25.01", "25.02", "25.03", "25.04"]),
        (12_360.0, 12_362.0, ["12.36k", "12.3605k", "12.361k", "12.3615k", "12.362k"]),
        (1_234.0, 1_234.39, ["1234", "1234.1", "1234.2", "1234.3", "1234.4"]),
        (0.0, 4e-9, ["0", "1e−9", "2e−9", "3e−9", "4e−9"]),
    ],
)
def test_ticks_that_lie_close_are_told_apart(low: float, high: float, words: list[str]) -> None:
    assert charts._tick_words(charts._ticks(low, high)) == words


def test_labels_of_dots_cover_neither_each_other_nor_the_line() -> None:
    points = [(0.012, 25.0), (0.0125, 25.05), (0.014, 25.2), (0.03, 26.0), (0.042, 28.0)]
    drawn = chart("t", [Series("", points, "marks", ["0", "0.25", "0.5", "0.75", "1"])], x="x", y="y", words="w")
    places = re.findall(r'class="label" x="([\d.]+)" y="([\d.]+)"', drawn)
    assert len(places) == 5
    for i, a in enumerate(places):
        for b in places[:i]:
            assert abs(float(a[0]) - float(b[0])) > 15 or abs(float(a[1]) - float(b[1])) > 11


def test_a_band_of_a_long_signal_keeps_its_spike_and_stays_small() -> None:
    truth = np.zeros(20_000)
    truth[7_000] = 1.0
    drawn = band(np.zeros_like(truth), np.full_like(truth, 0.1), truth, "words")
    assert len(drawn) < 30_000
    top = min(float(y) for y in re.findall(r"[\d.]+,([\d.]+)", drawn[drawn.index('class="other"') :]))
    assert top == pytest.approx(12.0, abs=0.2)


def test_a_band_is_drawn_where_the_truth_is_partly_unknown() -> None:
    truth = np.sin(np.linspace(0, 9, 200))
    for unknown in (slice(20, 40), slice(None)):
        partly = truth.copy()
        partly[unknown] = np.nan
        drawn = Page(band(truth, np.full(200, 0.1), partly, "words"))
        assert all("nan" not in (attrs.get("points") or "") for _, attrs in drawn.tags)


def test_of_an_unknown_truth_no_share_is_told() -> None:
    zeros, ones = np.zeros((1, 2, 40)), np.ones((1, 2, 40))
    truth = np.stack([np.zeros((1, 40)), np.full((1, 40), np.nan)], axis=1)
    shown = Uncertain(zeros, truth, ones, zeros, np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0))
    page = Page(uncertainty_section({}, Uncertainty({}, {"c": shown}, lambda x: x, "m", 1))).words
    assert "test item 1, channel 1: 100 % of the truth within the band" in page
    assert "test item 1, channel 2: truth not known" in page


def test_maps_share_one_scale_and_get_lighter_with_the_value() -> None:
    drawn = heat(np.array([[[0.0, 1.0, 2.0, 4.0, 9.0, np.nan]]]), 4.0)
    assert drawn.shape == (1, 1, 6, 3)
    assert drawn.dtype == np.uint8
    brightness = drawn[0, 0].astype(int).sum(axis=1)
    assert (np.diff(brightness[:4]) > 0).all()
    assert brightness[3] == brightness[4]
    assert brightness[5] == brightness[0]


def test_a_picture_is_in_the_page_once_and_opens_without_a_script() -> None:
    drawn = image(np.zeros((500, 1000, 3), dtype=np.uint8), "a <b>")
    page = Page(drawn)
    (picture,) = page.all("img")
    assert picture["alt"] == "a <b>"
    assert int(picture["width"] or 0) * int(picture["height"] or 0) <= 192 * 192 * 1.01
    assert [tag for tag, _ in page.tags] == ["details", "summary", "span", "img", "p"]
    assert drawn.count("data:image") == 1
    shapes = [np.zeros((4, width, 3)) for width in (4, 8, 20)]
    assert [layout_of(shape) for shape in shapes] == ["square", "wide", "strip"]


def test_a_model_that_judges_itself_is_told_of() -> None:
    numbers = {"model": {"kid[discriminator]": entry(0.1, 0.01)}}
    assert "flatters" in Page(generation_section(numbers, None, ["model"])).text
    others = {"model": {"kid[efficientnet-lite0]": entry(0.1, 0.01)}}
    assert "flatters" not in Page(generation_section(others, None, ["model"])).text
