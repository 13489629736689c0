"""Points in space in a report: packed small, allowed by a hash, turned by hand in a real browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from domains.lidar import Turns
from tests.reports import Page
from vaegan.evaluation.report.page import write_page
from vaegan.evaluation.report.points import SCRIPT, points_section, policy
from vaegan.evaluation.report.uncertainty import _top
from vaegan.evaluation.result import Examples, Restoration

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SMALL = Turns(rows=16, columns=256)


def found(names: tuple[str, ...] = ("street <1>",)) -> Restoration:
    truth = SMALL.dataset("test").signals[:1].astype(np.float64)
    given = np.where(np.arange(16)[:, None] % 4 == 0, truth, np.nan)
    shown = Examples(names=names, input=given, classical=None, restored=np.nan_to_num(truth, nan=5.0), truth=truth)
    return Restoration({}, {}, np.arange(1), {}, {}, {}, {"beams": shown}, {}, SMALL.draw, points=SMALL.points)


def written(folder: Path) -> str:
    sections = {"Points in space": points_section(found())}
    path = write_page(folder / "report.html", title="t", kicker="k", verdict="", sections=sections)
    return path.read_text(encoding="utf-8")


def test_points_are_packed_in_centimetres_and_only_where_the_truth_is_known() -> None:
    page = Page(points_section(found()))
    clouds = [
        np.frombuffer(base64.b64decode(attrs["data-centimetres"] or ""), "<i2").reshape(-1, 3) / 100
        for attrs in page.all("canvas")
    ]
    (truth,) = SMALL.points(SMALL.dataset("test").signals[:1])
    assert len(truth) <= 16 * 128
    assert len(clouds[0]) < len(clouds[1]) == len(clouds[2]) == len(truth)
    np.testing.assert_allclose(clouds[2], truth, atol=0.0051)
    np.testing.assert_allclose(clouds[1], clouds[2], atol=0.0051)
    assert all("street &lt;1&gt;" in html.escape(attrs["aria-label"] or "") for attrs in page.all("canvas"))


def test_signals_that_are_no_points_have_no_section() -> None:
    assert points_section(None) == ""
    assert points_section(replace(found(), points=None)) == ""
    assert points_section(replace(found(), points=lambda _: None)) == ""


def test_only_a_page_with_points_has_a_script_and_only_that_one_may_run(tmp_path) -> None:
    text = written(tmp_path)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = [attrs["content"] or "" for attrs in Page(text).all("meta") if attrs.get("http-equiv")]
    assert rules == [f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"]
    assert "unsafe-inline' 'sha256" not in rules[0]
    bare = write_page(tmp_path / "bare.html", title="t", kicker="k", verdict="", sections={"a": "<p>b</p>"})
    assert "script" not in bare.read_text(encoding="utf-8")
    assert policy("") == ""


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")
def test_points_turn_when_they_are_dragged(tmp_path) -> None:
    assert BROWSER is not None
    text = written(tmp_path)
    probe = """
addEventListener("load", () => setTimeout(() => {
  const canvas = document.querySelector("canvas"), before = canvas.toDataURL();
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
  setTimeout(() => {
    const after = canvas.toDataURL(), hidden = document.querySelector("figure").hidden;
    document.title = JSON.stringify({ hidden, turned: before !== after, drawn: before.length, wide: canvas.width });
  }, 300);
}, 500));
"""
    # The page allows its own script by hash; the probe beside it needs a word of its own.
    both = text.replace(policy(SCRIPT), f"{policy(SCRIPT)} {policy(probe).split(' ')[-1]}")
    (tmp_path / "report.html").write_text(both.replace("</body>", f"<script>{probe}</script></body>"), encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--virtual-time-budget=4000",
    ]
    place = (tmp_path / "report.html").as_uri()
    command = [BROWSER, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", place]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title is not None, done.stderr[-2000:]
    told = json.loads(html.unescape(title[1]))
    assert (told["hidden"], told["turned"]) == (False, True)
    assert told["wide"] > 100
    assert told["drawn"] > 2000


def test_maps_of_what_is_partly_unknown_have_a_scale() -> None:
    assert _top(np.array([np.nan, 1.0, 1.0, np.nan])) == 1.0
    assert _top(np.full(3, np.nan)) == 1.0
