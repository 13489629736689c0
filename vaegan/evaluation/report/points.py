"""Points in space that are turned by hand: the one place where a page has a script, which it allows by its hash alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vaegan.evaluation.report.markup import breakable, escape, folds
from vaegan.evaluation.result import MODEL, Examples, Restoration

Array: TypeAlias = NDArray[Any]

MARK = 'class="points'
"""What a page that needs :data:`SCRIPT` holds."""

SCRIPT = """
for (const figure of document.querySelectorAll(".points")) {
  const views = [...figure.querySelectorAll("canvas")].map((canvas) => {
    const bytes = Uint8Array.from(atob(canvas.dataset.centimetres), (letter) => letter.charCodeAt(0));
    return { canvas, points: new Int16Array(bytes.buffer) };
  });
  let turn = -0.6, tilt = 0.5, zoom = 1;
  const draw = () => {
    for (const { canvas, points } of views) {
      const density = window.devicePixelRatio || 1;
      const wide = canvas.clientWidth * density, high = canvas.clientHeight * density;
      if (!wide) continue;
      canvas.width = wide; canvas.height = high;
      const paper = canvas.getContext("2d");
      const scale = zoom * wide / (2.2 * figure.dataset.reach), dot = Math.max(1, 1.2 * density);
      const c = Math.cos(turn), s = Math.sin(turn), up = Math.cos(tilt), down = Math.sin(tilt);
      const colours = Array.from({ length: 16 }, (_, i) => `hsl(${250 - 13 * i} 85% ${45 + 1.5 * i}%)`);
      const layers = colours.map(() => []);
      for (let i = 0; i < points.length; i += 3) {
        const x = points[i], y = points[i + 1], z = points[i + 2];
        const away = x * c - y * s, aside = x * s + y * c;
        const layer = Math.max(0, Math.min(15, Math.floor((z + 250) / 35)));
        layers[layer].push(wide / 2 - aside * scale, high * 0.55 - (away * down + z * up) * scale);
      }
      layers.forEach((places, layer) => {
        paper.fillStyle = colours[layer];
        for (let i = 0; i < places.length; i += 2) paper.fillRect(places[i], places[i + 1], dot, dot);
      });
    }
  };
  const turned = (across, upward) => {
    turn += across; tilt = Math.max(0, Math.min(Math.PI / 2, tilt + upward)); draw();
  };
  const keys = {
    ArrowLeft: () => turned(-0.1, 0), ArrowRight: () => turned(0.1, 0),
    ArrowUp: () => turned(0, 0.1), ArrowDown: () => turned(0, -0.1),
    "+": () => { zoom = Math.min(20, zoom * 1.2); draw(); }, "-": () => { zoom = Math.max(0.5, zoom / 1.2); draw(); },
  };
  for (const { canvas } of views) {
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) turned(event.movementX * 0.01, event.movementY * 0.01);
    });
    canvas.addEventListener("keydown", (event) => {
      if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    });
    new ResizeObserver(draw).observe(canvas);
  }
  figure.hidden = false;
}
"""


def policy(script: str) -> str:
    """What a page's Content-Security-Policy says of its one script: nothing but this text runs."""
    return (
        f"; script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" if script else ""
    )


def points_section(restoration: Restoration | None) -> str:
    """The first item of each condition as points: observed, restored, and as it is; nothing where signals are none."""
    if restoration is None or restoration.points is None:
        return ""
    parts = {name: _view(shown, restoration) for name, shown in restoration.examples.items()}
    if not any(parts.values()):
        return ""
    return (
        "<p>Drag the points to turn them, or press the arrow keys, <kbd>+</kbd> and <kbd>\u2212</kbd>. The colour is the "
        "height. Restored points are shown where the true ones are known.</p>"
        "<noscript><p>Turning needs a browser that runs scripts; the pictures above show the same items.</p></noscript>"
        + folds(parts)
    )


def _view(examples: Examples, restoration: Restoration) -> str:
    assert restoration.points is not None
    truth = examples.truth[:1]
    shown = {
        "observed": examples.input[:1],
        "restored" if restoration.main == MODEL else restoration.main: np.where(
            np.isnan(truth), np.nan, examples.restored[:1]
        ),
        "truth": truth,
    }
    clouds = {label: restoration.points(signals) for label, signals in shown.items()}
    found = {label: cloud[0] for label, cloud in clouds.items() if cloud is not None}
    if len(found) < len(clouds) or not len(found["truth"]):
        return ""
    reach = 100.0 * float(np.quantile(np.linalg.norm(found["truth"], axis=1), 0.9))
    name = examples.names[0]
    cells = "".join(_canvas(cloud, label, name) for label, cloud in found.items())
    return (
        f'<figure {MARK} item" data-reach="{reach:.0f}" hidden><div class="cells" style="--n:{len(found)}">{cells}</div>'
        f"<figcaption>{escape(name)}</figcaption></figure>"
    )


def _canvas(cloud: Array, label: str, name: str) -> str:
    words = f"{name}, {label}: {len(cloud):,} points"
    return (
        f'<div class="cell"><canvas tabindex="0" role="img" aria-label="{escape(words)}" '
        f'data-centimetres="{_packed(cloud)}"></canvas><b>{breakable(label)}</b>{len(cloud):,} points</div>'
    )


def _packed(points: Sequence[Any] | Array) -> str:
    """Points in metres as whole centimetres, little-endian, in Base64; what is farther than 327 m is cut there."""
    centimetres = np.clip(np.rint(100.0 * np.asarray(points, dtype=np.float64)), -32768, 32767).astype("<i2")
    return base64.b64encode(centimetres.tobytes()).decode("ascii")
