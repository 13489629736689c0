"""Made-up findings for the tests of the report, and a reader of its pages."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np

from vaegan.drawing import draw_signals
from vaegan.evaluation.result import (
    Examples,
    Generation,
    Nearest,
    Restoration,
    Tradeoff,
    Uncertain,
    Uncertainty,
)
from vaegan.signal import Axis, SignalSpec

VOID = {"meta", "img", "br", "wbr", "link", "line", "polyline", "polygon", "circle"}
CONDITION = "noise sigma=50/255"
PICTURES = SignalSpec(3, (Axis("height", 8), Axis("width", 8)), "1", (0.0, 1.0))
WAVES = SignalSpec(5, (Axis("time", 900),), "V", (0.0, 1.0))


def entry(mean: float, half: float = 0.2, unit: str = "dB", better: str = "higher", **more: Any) -> dict[str, Any]:
    return {"mean": mean, "ci95": [mean - half, mean + half], "n": 12, "unit": unit, "better": better, **more}


def methods(model: float, tv: float = 25.0, noise: float = 15.0, half: float = 0.2, **models: float) -> dict[str, Any]:
    values = {"input": noise, "gaussian": tv - 2, "tv": tv, **(models or {"model": model})}
    return {
        name: {"psnr": entry(value, half), "mae": entry(40 - value, half, "V", "lower")}
        for name, value in values.items()
    }


def restoration(numbers: dict[str, Any], spec: SignalSpec = PICTURES, main: str = "model") -> Restoration:
    signals = np.random.default_rng(0).random((2, *spec.shape))
    scores = {name: np.array([20.0, 21.0]) for name in ("input", "tv", main)}
    shown = Examples(("a <b>", 'c "d"'), signals, signals, signals, signals, "tv", scores)
    return Restoration(
        numbers,
        {},
        np.arange(2),
        {condition: {"gaussian": 1.0, "tv": 0.1} for condition in numbers},
        dict.fromkeys(numbers, 3),
        {"gaussian": 0.5, "tv": 4.0, main: 2.0},
        {CONDITION: shown},
        {CONDITION: shown},
        lambda chosen: draw_signals(chosen, spec),
        main,
    )


def generation(spec: SignalSpec = PICTURES, model: str = "model") -> Generation:
    """Two extractors; the mixture is better in all but precision, what is within reach better than both; three samples."""
    random = np.random.default_rng(1)
    values = {model: 1.0, f"{model} + mixture": 0.5, f"{model} + training latents": 0.2, "training items": 0.1}
    numbers: dict[str, dict[str, dict[str, Any]]] = {}
    for method, far in values.items():
        numbers[method] = {}
        for extractor in ("x", "y"):
            numbers[method] |= {
                f"fid[{extractor}]": entry(40 * far, 1.0, "1", "lower", n_real=500),
                f"kid[{extractor}]": entry(0.04 * far, 0.001, "1", "lower", n_real=500),
                f"precision[{extractor}]": entry(0.6 + 0.005 * far, 0.02, "1", n_real=500),
                f"coverage[{extractor}]": entry(0.46 - 0.05 * far, 0.02, "1", n_real=500),
            }
        if far > 0.2:
            numbers[method] |= {
                "nearer_than_test[x]": entry(0.48, 0.02, "1", "lower", n_real=500),
                "copies[x]": entry(0.004, 0.002, "1", "lower", n_real=500),
            }
    samples = {method: random.random((3, *spec.shape)) for method in list(values)[:2]}
    items, distances = random.random((2, 4, *spec.shape)), np.sort(random.random((2, 4)), axis=1)
    return Generation(
        numbers,
        ("x: a network <of> ours", "y: too few items for FID"),
        samples,
        Nearest(model, "x", samples[model][:2], items, distances, 0.7),
        random.random((2, 4, *spec.shape)),
        lambda chosen: draw_signals(chosen, spec),
    )


def uncertainty(spec: SignalSpec = PICTURES) -> Uncertainty:
    random = np.random.default_rng(2)
    truth, spread = random.random((2, *spec.shape)), 0.01 + 0.1 * random.random((2, *spec.shape))
    error = spread * np.abs(random.normal(size=spread.shape))
    fraction = np.linspace(0.0, 0.95, 20)
    levels = np.linspace(0.01, 0.1, 12)
    shown = Uncertain(
        truth + error,
        truth,
        spread,
        error,
        np.stack([levels, 1.2 * levels], axis=1),
        fraction,
        0.05 * (1.1 - fraction),
        0.05 * (1 - fraction) ** 2,
    )
    numbers = {
        "spearman": entry(0.52, 0.02, "1"),
        "coverage90_raw": {"mean": 0.61, "ci95": [0.58, 0.63], "n": 12, "unit": "1", "target": 0.9},
        "coverage90": {"mean": 0.893, "ci95": [0.88, 0.9], "n": 12, "unit": "1", "target": 0.9},
        "ause": {"mean": 0.12, "n": 12, "unit": "1", "better": "lower"},
    }
    return Uncertainty(
        {CONDITION: numbers}, {CONDITION: shown}, lambda chosen: draw_signals(chosen, spec), spec.unit, 64
    )


def tradeoff(spec: SignalSpec = PICTURES) -> Tradeoff:
    random = np.random.default_rng(3)
    settings = (0.0, 0.25, 0.5, 0.75, 1.0)
    points = tuple({"fidelity": f, "psnr": 25.0 + 3 * f, "distance": 0.012 + 0.03 * f * f} for f in settings)
    pictures = {f: random.random((2, *spec.shape)) for f in settings}
    return Tradeoff(
        CONDITION, "kid[x]", points, pictures, random.random((2, *spec.shape)), lambda x: draw_signals(x, spec)
    )


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

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every such tag."""
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def words(self) -> str:
        """The text with every space an ordinary one."""
        return re.sub(r"\s+", " ", self.text)


def check_accessible(text: str) -> Page:
    """What every page must keep to, whatever it holds."""
    page = Page(text)
    for _, attrs in page.tags:
        for name in ("src", "href"):
            assert not (attrs.get(name) or "").startswith(("http:", "https:", "//"))
    assert not re.search(r"@import|url\(|<script|javascript:| on[a-z]+=", text)
    assert {"lang": "en"} in page.all("html")
    assert any(attrs.get("name") == "viewport" for attrs in page.all("meta"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attrs.get("alt") and (attrs["src"] or "").startswith("data:image/png") for attrs in page.all("img"))
    sources = [attrs["src"] for attrs in page.all("img")]
    assert text.count("data:image/png") == len(sources)
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in page.all("svg"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in page.all("a"):
        assert (attrs["href"] or "").removeprefix("#") in ids
    return page
