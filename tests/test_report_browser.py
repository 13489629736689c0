"""The report in a real browser, where there is one: it fits its window, and its pictures open."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.reports import WAVES
from tests.test_report import full
from tests.test_report_comparison import compared

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --allow-file-access-from-files --virtual-time-budget=4000"""
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")

# The page itself allows no script: another one holds it in a frame, and looks.
WRAPPER = """<!DOCTYPE html><title>waiting</title>
<iframe id="page" src="report.html" style="width:%WIDTH%px;height:800px;border:0"></iframe>
<script>
const touch = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
function written(page, element) {  // where its words are, of those that are meant for the eye
  let box = null;
  const walker = page.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const range = page.createRange();
    range.selectNodeContents(walker.currentNode);
    for (const r of walker.currentNode.parentElement.closest(".hidden") ? [] : range.getClientRects()) {
      if (!r.width || !r.height) continue;
      box = box || {left: r.left, top: r.top, right: r.right, bottom: r.bottom};
      box = {left: Math.min(box.left, r.left), top: Math.min(box.top, r.top),
        right: Math.max(box.right, r.right), bottom: Math.max(box.bottom, r.bottom)};
    }
  }
  return box;
}
function overlaps(page) {
  const found = [];
  for (const svg of page.querySelectorAll("svg")) {
    const texts = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([a, one], i) => texts.slice(0, i).forEach(([b, other]) => {
      if (one.width && touch(one, other)) found.push(a + " / " + b);
    }));
  }
  for (const row of page.querySelectorAll(".cells, .dots .row, tr, .facts, .words div")) {
    const boxes = [...row.children].map(child => [child.textContent, written(page, child)]).filter(([, box]) => box);
    boxes.forEach(([a, one], i) => boxes.slice(0, i).forEach(([b, other]) => {
      if (touch(one, other)) found.push(a + " / " + b);
    }));
  }
  return found;
}
addEventListener("load", () => {
  const frame = document.getElementById("page"), page = frame.contentDocument, root = page.documentElement;
  const closed = overlaps(page);
  page.querySelectorAll("details.fold").forEach(fold => { fold.open = true; });
  const found = {inner: frame.clientWidth, width: root.scrollWidth, overlaps: [...closed, ...overlaps(page)]};
  found.pictures = [...page.images].every(img => img.naturalWidth > 0 && img.getBoundingClientRect().width > 0);
  const zoom = page.querySelector("details.zoom"), summary = zoom.querySelector("summary");
  const shown = zoom.querySelector("img, svg"), small = shown.getBoundingClientRect().width;
  const tall = root.scrollHeight;
  summary.focus();
  found.focused = page.activeElement === summary;
  summary.click();
  const box = shown.getBoundingClientRect(), back = zoom.querySelector(".frame").getBoundingClientRect();
  found.larger = box.width / small;
  found.inside = box.left >= 0 && box.top >= 0 && box.right <= frame.clientWidth && box.bottom <= frame.clientHeight;
  found.covers = back.width >= page.body.clientWidth && back.height >= frame.clientHeight;
  found.still = root.scrollHeight === tall;
  page.elementFromPoint(3, 3).click();
  found.closed = !zoom.open;
  document.title = JSON.stringify(found);
});
</script>"""


def looked_at(folder: Path, width: int) -> dict[str, Any]:
    assert BROWSER is not None
    (folder / "wrapper.html").write_text(WRAPPER.replace("%WIDTH%", str(width)), encoding="utf-8")
    flags = [*FLAGS.split(), f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [BROWSER, *flags, "--dump-dom", (folder / "wrapper.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HOME": str(folder)},
    )
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title is not None, done.stderr[-2000:]
    assert title[1].startswith("{"), title[1]
    found: dict[str, Any] = json.loads(html.unescape(title[1]))
    return found


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("kind", ["run", "waves", "comparison"])
def test_the_page_fits_and_its_pictures_open(tmp_path: Path, kind: str, width: int) -> None:
    path = tmp_path / "report.html"
    if kind == "comparison":
        compared(path)
    else:
        full(path, **({"spec": WAVES} if kind == "waves" else {}))
    found = looked_at(tmp_path, width)
    assert found["width"] <= width
    assert found["overlaps"] == []
    assert found["pictures"]
    assert found["focused"]
    assert found["larger"] > 2
    assert found["inside"]
    assert found["covers"]
    assert found["still"]
    assert found["closed"]
