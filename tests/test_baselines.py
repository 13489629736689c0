from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from skimage.data import astronaut
from skimage.transform import resize

from vaegan.baselines import FURTHER, Baseline, defaults, interpolate, strokes, tune
from vaegan.errors import DataError
from vaegan.signal import Axis, SignalSpec

RNG = np.random.default_rng(0)
PICTURE = np.moveaxis(resize(astronaut()[:300, 100:400], (48, 48), anti_aliasing=True), -1, 0) * 2.0 - 1.0
WAVE = 0.6 * np.sin(2 * np.pi * np.arange(256) / 64)[None]


def spec(*shape: int, periodic: bool = False) -> SignalSpec:
    axes = tuple(Axis(f"axis{i}", size, periodic=periodic) for i, size in enumerate(shape[1:]))
    return SignalSpec(shape[0], axes, "1", (0.0, 1.0))


SPECS = [spec(3, 48, 48), spec(1, 8, 8), spec(2, 16, 5, periodic=True), spec(1, 256), spec(4, 7), spec(3, 1)]


@pytest.mark.parametrize("kind", SPECS, ids=lambda kind: "x".join(map(str, kind.shape)))
def test_every_baseline_keeps_shape_and_dtype_and_stays_finite(kind: SignalSpec) -> None:
    noisy = RNG.normal(size=kind.shape).astype(np.float32)
    mask = RNG.random((1, *kind.sizes)) > 0.3
    found = defaults(kind)
    expected = {"median", "gaussian", "tv", "wavelet", "inpaint"} | ({"savgol"} if kind.dims == 1 else {"nlm"})
    assert set(found) == expected
    for baseline in found.values():
        for y, observed in ((noisy, None), (noisy, mask), (np.ones_like(noisy), None), (noisy, mask & False)):
            restored = baseline.restore(y, observed, baseline.middle)
            assert restored.shape == y.shape
            assert restored.dtype == y.dtype
            assert np.isfinite(restored).all(), baseline.name


def test_tuned_filters_take_noise_away() -> None:
    for clean in (PICTURE, WAVE):
        noisy = clean + 0.3 * RNG.normal(size=clean.shape)
        for name, baseline in defaults(spec(*clean.shape)).items():
            restored = baseline.restore(noisy, None, tune(baseline, [(noisy, None, clean)]))
            error = np.square(restored - clean).mean() / np.square(noisy - clean).mean()
            assert error == 1.0 if name == "inpaint" else error < 0.5, name


def test_tuning_takes_the_best_strength_the_middle_without_items_and_the_weakest_among_equals() -> None:
    gaussian, inpaint = defaults(spec(3, 48, 48))["gaussian"], defaults(spec(3, 48, 48))["inpaint"]
    assert tune(gaussian, [(PICTURE, None, PICTURE)]) < gaussian.strengths[0]
    noisy = PICTURE + RNG.normal(size=PICTURE.shape)
    assert tune(gaussian, [(noisy, None, PICTURE)]) > gaussian.strengths[1]
    assert tune(gaussian, []) == gaussian.middle
    assert tune(inpaint, [(noisy * 0.1, None, PICTURE)]) == 0


@dataclass(frozen=True)
class Peaked(Baseline):
    """Leaves an error that is least at a strength of its own, and counts how often it was asked."""

    best: float = 1.0
    ends: bool = False
    asked: list[float] = field(default_factory=list)

    def restore(self, y: np.ndarray, mask: np.ndarray | None, strength: float) -> np.ndarray:
        self.asked.append(strength)
        return y + 0.1 + 0.05 * abs(np.log2(strength / self.best))

    @property
    def goes_on(self) -> bool:
        return not self.ends


@pytest.mark.parametrize(
    ("best", "chosen", "beyond"),
    [(2.0, 2.0, []), (32.0, 32.0, [8.0, 16.0, 32.0, 64.0]), (0.25, 0.25, [0.5, 0.25, 0.125]), (4.0, 4.0, [8.0])],
)
def test_where_the_best_strength_lies_at_an_end_tuning_goes_on_until_it_is_past(best, chosen, beyond) -> None:
    flat = np.zeros((1, 8))
    method = Peaked("own", (1.0, 2.0, 4.0), best=best)
    assert tune(method, [(flat, None, flat)]) == chosen
    assert method.asked == [1.0, 2.0, 4.0, *beyond]
    fixed = Peaked("own", (1.0, 2.0, 4.0), best=best, ends=True)
    assert tune(fixed, [(flat, None, flat)]) == min(max(best, 1.0), 4.0)


def test_tuning_does_not_go_on_for_ever_and_windows_stay_odd() -> None:
    flat = np.zeros((1, 8))
    far = Peaked("own", (1.0, 2.0, 4.0), best=1e4)
    assert tune(far, [(flat, None, flat)]) == 4.0 * 2.0**FURTHER
    for kind in (spec(3, 48, 48), spec(1, 256)):
        median = defaults(kind)["median"]
        wider = median.beyond(median.strengths[-1], 1)
        assert wider is not None
        assert wider > median.strengths[-1]
        assert wider % 2 == 1
        assert median.beyond(median.strengths[0], -1) is None
        assert defaults(kind)["inpaint"].beyond(2.0, 1) is None  # its strengths are kinds


def test_an_item_of_which_nothing_is_known_tunes_nothing() -> None:
    gaussian = defaults(spec(3, 48, 48))["gaussian"]
    noisy = PICTURE + np.random.default_rng(1).normal(size=PICTURE.shape)
    unknown = (noisy, None, np.full_like(PICTURE, np.nan))
    assert tune(gaussian, [(noisy, None, PICTURE)]) >= gaussian.strengths[-1] == 2.0
    assert tune(gaussian, [unknown, (noisy, None, PICTURE)]) == tune(gaussian, [(noisy, None, PICTURE)])
    assert tune(gaussian, [unknown]) == gaussian.middle


def test_filters_wrap_around_periodic_axes_only() -> None:
    y = np.zeros((1, 32))
    y[0, 0] = 1.0
    wrapped = defaults(spec(1, 32, periodic=True))["gaussian"].restore(y, None, 1.0)
    straight = defaults(spec(1, 32))["gaussian"].restore(y, None, 1.0)
    assert wrapped[0, -1] == pytest.approx(wrapped[0, 1])
    assert straight[0, -1] == pytest.approx(0.0, abs=1e-9)
    shifted = defaults(spec(1, 32, periodic=True))["median"].restore(np.roll(WAVE[:, :32], 5), None, 3)
    np.testing.assert_allclose(
        np.roll(shifted, -5), defaults(spec(1, 32, periodic=True))["median"].restore(WAVE[:, :32], None, 3)
    )


def test_interpolation_is_linear_and_then_cubic_in_1d() -> None:
    x = np.linspace(0, 1, 21)[None]
    mask = np.zeros((1, 21), dtype=bool)
    mask[0, ::5] = True
    np.testing.assert_allclose(interpolate(np.where(mask, x, 7.0), mask, (False,)), x, atol=1e-9)
    curve = 0.5 + 0.4 * np.cos(np.pi * x)
    smooth = interpolate(np.where(mask, curve, 0.0), mask, (False,), order=2)
    straight = interpolate(np.where(mask, curve, 0.0), mask, (False,))
    assert np.abs(smooth - curve).max() < 0.2 * np.abs(straight - curve).max()


def test_interpolation_crosses_the_seam_of_a_periodic_axis() -> None:
    x = np.array([[0.2, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8]])
    mask = np.array([[False, True, True, True, True, True, True, False]])
    x[0, 1], x[0, 6] = 0.0, 0.9
    np.testing.assert_allclose(interpolate(x, mask, (True,))[0, [7, 0]], [0.6, 0.3], atol=1e-9)
    np.testing.assert_allclose(interpolate(x, mask, (False,))[0, [7, 0]], [0.9, 0.0], atol=1e-9)


def test_interpolation_names_a_mask_that_does_not_fit() -> None:
    with pytest.raises(DataError, match=r"mask of shape \(1, 4\).*\(1, 5\)"):
        interpolate(np.zeros((1, 5)), np.ones((1, 4), dtype=bool), (False,))


def test_strokes_are_connected_white_patches() -> None:
    y = np.full((3, 20, 20), 0.2)
    y[:, 3, 2:9] = 1.0
    y[:, 15, 15] = 1.0  # too small to be a stroke
    y[0, 10:14, 10:14] = 1.0  # white in one channel only
    found = strokes(y)
    assert found.sum() == 7
    assert found[0, 3, 2:9].all()


def test_inpainting_finds_strokes_blindly_and_touches_nothing_else() -> None:
    inpaint = defaults(spec(*PICTURE.shape))["inpaint"]
    stroke = np.zeros((1, 48, 48), dtype=bool)
    stroke[:, 10:13, 5:40] = True
    y = np.where(stroke, 1.0, np.minimum(PICTURE, 0.99))
    for mask in (None, ~stroke):
        restored = inpaint.restore(y, mask, tune(inpaint, [(y, mask, PICTURE)]))
        assert np.square(restored - PICTURE).mean() < 0.05 * np.square(y - PICTURE).mean()
        assert np.array_equal(restored[:, ~stroke[0]], y[:, ~stroke[0]])
    harmless = np.minimum(PICTURE, 0.99)
    assert np.array_equal(inpaint.restore(harmless, None, 2), harmless)


def test_marked_gaps_are_filled_before_every_filter() -> None:
    mask = RNG.random((1, 48, 48)) > 0.4
    y = np.where(mask, PICTURE, -1.0)
    for baseline in defaults(spec(*PICTURE.shape)).values():
        restored = baseline.restore(y, mask, tune(baseline, [(y, mask, PICTURE)]))
        assert np.square(restored - PICTURE).mean() < 0.1 * np.square(y - PICTURE).mean(), baseline.name
