"""A small forward-looking sonar: points and facets on a seabed, their shadows, and speckle where it is asked for.

A raster has ranges r as rows, from near to far, and beams as columns. The sonar hangs at a height H above a flat bottom.

- Bottom: intensity follows Lambert's law, ``I = μ sin²γ`` with ``sin γ = H / r`` the grazing angle, times a texture that is
  the exponential of a smooth Gaussian field. What spreading and absorption take, ``40 log10 r + 2 α r`` in dB, a sonar's
  time-varying gain gives back; an error of that gain is left, ``10^(Δα (r - r_mean) / 10)``.
- Facet: a straight wall from one place to another, of height h. Its echo is ``σ |cos φ|^2`` with φ between the wall's normal
  and the line of sight, spread over one or two range cells.
- Point: an echo of one cell with a bright amplitude.
- Shadow: what lies behind something of height h at range r, from r to ``r H / (H - h)``, is dark; the bottom keeps
  1/20 of its amplitude there.
- Beam: echoes leak into neighbouring beams with the weights 1/4, 1/2, 1/4.
- Amplitude is the square root of intensity; speckle of L looks, where asked for, multiplies it (mean 1, variance 1/L).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

CLASSES = ("bottom", "points", "wall", "box", "ring")
"""What lies on the bottom."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scene:
    """The sonar and its water.

    Attributes:
        size: range cells, and beams.
        height: H, metres above the bottom.
        near, far: the first and the last range, in metres.
        aperture: of all beams together, in radians.
        looks: of the speckle; 0 for none.
    """

    size: int = 64
    height: float = 1.5
    near: float = 1.5
    far: float = 6.0
    aperture: float = 0.5
    looks: float = 0.0

    @property
    def ranges(self) -> Float[np.ndarray, " size"]:
        """Range of each row, in metres."""
        return np.linspace(self.near, self.far, self.size)


def simulate(n: int, scene: Scene, seed: int = 0) -> tuple[Float[np.ndarray, "n size size"], Array]:
    """Frames of scenes, with the class of each, in turn.

    Args:
        n: how many frames.
        scene: the sonar.
        seed: of all that is drawn.

    Returns:
        Amplitudes of which 1 is full scale, and the index of each frame's class in :data:`CLASSES`.
    """
    labels = np.arange(n) % len(CLASSES)
    frames = [_frame(scene, CLASSES[label], np.random.default_rng((seed, i))) for i, label in enumerate(labels)]
    return np.stack(frames).astype(np.float32), labels


def _frame(scene: Scene, kind: str, rng: np.random.Generator) -> Array:
    echo, shade = _bottom(scene, rng), np.zeros((scene.size, scene.size))
    wide, high = 0.35 * scene.aperture, rng.uniform(0.15, 0.5)
    place = rng.uniform(scene.near + 0.9, scene.far - 1.6), rng.uniform(-wide, wide)
    sides = _sides(kind, place, rng)
    for start, end in sides:
        _facet(scene, shade, (start, end), high, rng)
    for _ in range(int(rng.integers(2, 7)) if kind == "points" else 0):
        spot = place[0] + rng.uniform(-0.4, 0.4), place[1] + rng.uniform(-0.06, 0.06)
        _strike(scene, shade, spot, 0.1, rng.uniform(1.0, 3.0))
    echo *= np.where(shade > 0, 0.0025, 1.0)
    echo = np.maximum(echo, np.where(shade < 0, -shade, 0.0))  # a highlight stands in its own shadow
    padded = np.pad(echo, ((0, 0), (1, 1)), mode="edge")
    echo = 0.25 * padded[:, :-2] + 0.5 * padded[:, 1:-1] + 0.25 * padded[:, 2:]
    amplitude = np.sqrt(echo)
    if scene.looks > 0:
        amplitude = amplitude * rng.gamma(scene.looks, 1.0 / scene.looks, amplitude.shape)
    clipped: Array = np.clip(amplitude, 0.0, 1.0)
    return clipped


def _bottom(scene: Scene, rng: np.random.Generator) -> Array:
    from scipy import ndimage

    r = scene.ranges[:, None]
    lambert = np.minimum(scene.height / r, 1.0) ** 2
    field = rng.normal(size=(scene.size, scene.size))
    texture = sum(ndimage.gaussian_filter(field, s, mode="wrap") * s for s in (1.5, 4.0, 10.0))
    gain = 10.0 ** (rng.uniform(-1.0, 1.0) * (r - r.mean()) / 10.0)
    level = rng.uniform(0.05, 0.25)
    bottom: Array = level * lambert / lambert.mean() * gain * np.exp(0.35 * texture)
    return bottom


def _sides(
    kind: str, place: tuple[float, float], rng: np.random.Generator
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The walls of an object, each from one (range, azimuth) to another."""
    corners = {"wall": 2, "box": 4, "ring": 14}.get(kind, 0)
    if not corners:
        return []
    radius, turn = rng.uniform(0.25, 0.5), rng.uniform(0.0, 2.0 * np.pi)
    angles = turn + 2.0 * np.pi * np.arange(corners) / corners
    reach = radius * (np.array([1.0, 0.55])[np.arange(corners) % 2] if kind == "box" else np.ones(corners))
    points = [
        (place[0] + d * np.cos(a), place[1] + d * np.sin(a) / place[0]) for d, a in zip(reach, angles, strict=True)
    ]
    return [(points[k], points[(k + 1) % corners]) for k in range(1 if kind == "wall" else corners)]


def _facet(
    scene: Scene,
    shade: Array,
    wall: tuple[tuple[float, float], tuple[float, float]],
    high: float,
    rng: np.random.Generator,
) -> None:
    (r0, a0), (r1, a1) = wall
    along = np.array([r1 - r0, (a1 - a0) * 0.5 * (r0 + r1)])
    length = float(np.hypot(*along))
    facing = abs(along[1]) / max(length, 1e-9)  # the line of sight is the range axis
    strength = rng.uniform(0.6, 1.5) * (0.15 + 0.85 * facing**2)
    cells = max(length / (scene.far - scene.near), abs(a1 - a0) / scene.aperture) * scene.size
    for t in np.linspace(0.0, 1.0, max(2, int(2 * cells))):  # so that no cell of the wall is left out
        _strike(scene, shade, (r0 + t * (r1 - r0), a0 + t * (a1 - a0)), high, strength)


def _strike(scene: Scene, shade: Array, spot: tuple[float, float], high: float, strength: float) -> None:
    """An echo at a place, and the shadow behind it. ``shade`` is above 0 in shadow, and minus the echo where one is."""
    per_metre = (scene.size - 1) / (scene.far - scene.near)
    row = round((spot[0] - scene.near) * per_metre)
    column = round((spot[1] / scene.aperture + 0.5) * (scene.size - 1))
    if not (0 <= row < scene.size and 0 <= column < scene.size):
        return
    end = spot[0] * scene.height / max(scene.height - high, 0.1)
    behind = shade[row + 1 : int((end - scene.near) * per_metre) + 1, column]
    behind[behind == 0] = 1.0
    for step, share in ((0, 1.0), (1, 0.5)):
        if row + step < scene.size:
            shade[row + step, column] = min(shade[row + step, column], -strength * share, 0.0)
