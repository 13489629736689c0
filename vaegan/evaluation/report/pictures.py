"""Pictures inside a page, each of which opens to the whole screen without a script."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vaegan.drawing import png_bytes
from vaegan.evaluation.report.markup import breakable, escape

Array: TypeAlias = NDArray[Any]

LARGEST_AREA = 192 * 192
SMALLEST_LIVE_SIDE = 96
HEAT = "magma"
ZOOM = 'class="zoom"'
HINT = '<p class="hint">Click or tap a picture, or press Enter on it, to fill the screen; do so again to close it.</p>'


@dataclass(frozen=True)
class Cell:
    """One picture of a figure.

    Attributes:
        content: as :func:`image` or :func:`zoomed` makes it.
        label: the words below it.
        note: more words below these, for example a score.
    """

    content: str
    label: str = ""
    note: str = ""


def image(picture: Array, alt: str) -> str:
    """A picture that opens to the whole screen, made smaller where it is large; small ones keep hard pixels.

    Args:
        picture: (rows, columns, 3) uint8.
        alt: what the picture shows.
    """
    rows, columns = picture.shape[:2]
    if rows * columns > LARGEST_AREA:
        from PIL import Image

        scale = math.sqrt(LARGEST_AREA / (rows * columns))
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    data = base64.b64encode(png_bytes(picture)).decode("ascii")
    crisp = ' class="crisp"' if max(rows, columns) <= SMALLEST_LIVE_SIDE else ""
    height, width = picture.shape[:2]
    return zoomed(
        f'<img{crisp} src="data:image/png;base64,{data}" alt="{escape(alt)}" width="{width}" height="{height}">',
        alt,
        width / height,
    )


def zoomed(content: str, words: str, ratio: float) -> str:
    """Content that opens to the whole screen: the one copy of it is enlarged, by the browser's own means.

    Args:
        content: a picture or a chart.
        words: what stands below it when it is open.
        ratio: its width over its height.
    """
    return (
        f'<details {ZOOM} name="zoom" style="--ratio:{ratio:.4f}">'
        f'<summary><span class="frame">{content}</span></summary><p>{escape(words)}</p></details>'
    )


def layout_of(picture: Array) -> str:
    """How pictures of this form stand side by side: ``square``, ``wide`` or ``strip``."""
    ratio = picture.shape[1] / picture.shape[0]
    return "strip" if ratio >= 5 else "wide" if ratio >= 2 else "square"


def figure(cells: Sequence[Cell], caption: str = "") -> str:
    """Pictures side by side, with a caption below."""
    inside = "".join(
        f'<div class="cell">{cell.content}{f"<b>{breakable(cell.label)}</b>" if cell.label else ""}{escape(cell.note)}</div>'
        for cell in cells
    )
    said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure class="item"><div class="cells" style="--n:{len(cells)}">{inside}</div>{said}</figure>'


def gallery(figures: Sequence[str], form: str) -> str:
    """Figures side by side, as many as there is room for; ``form`` as of :func:`layout_of`."""
    return f'<div class="items {form}">{"".join(figures)}</div>' if figures else ""


def heat(values: Array, top: float) -> Array:
    """Maps (k, rows, columns) from 0 to ``top`` as pictures: the more, the lighter, in steps that look alike."""
    from matplotlib import colormaps

    unit = np.clip(np.nan_to_num(values) / (top or 1.0), 0.0, 1.0)
    coloured: Array = colormaps[HEAT](unit, bytes=True)[..., :3]
    return np.ascontiguousarray(coloured)


def heat_scale(top: str) -> str:
    """The colours of :func:`heat` from 0 to ``top``."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    stops = ",".join(to_hex(colormaps[HEAT](i / 12)) for i in range(13))
    return (
        f'<p class="scale"><span>0</span><i style="background:linear-gradient(90deg,{stops})" aria-hidden="true"></i>'
        f"<span>{escape(top)}</span></p>"
    )
