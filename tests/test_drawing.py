from __future__ import annotations

import numpy as np
import pytest

from tests.reports import WAVES
from vaegan.drawing import draw_signals, grid, png_bytes
from vaegan.errors import DataError
from vaegan.signal import Axis, SignalSpec


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
