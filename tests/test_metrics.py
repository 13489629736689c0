from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from skimage import metrics as reference

from vaegan.errors import DataError
from vaegan.metrics import RESTORATION, Metric, summarise
from vaegan.metrics.restoration import HIGHEST_PSNR, ssim

RNG = np.random.default_rng(0)


def pair(*shape: int, scale: float = 255.0) -> tuple[np.ndarray, np.ndarray]:
    truth = RNG.random(shape) * scale
    return np.clip(truth + RNG.normal(size=shape) * 0.1 * scale, 0, scale), truth


@pytest.mark.parametrize("shape", [(3, 3, 24, 20), (2, 1, 64), (1, 2, 12, 40)])
def test_measures_agree_with_scikit_image_item_by_item(shape: tuple[int, ...]) -> None:
    restored, truth = pair(*shape)
    found = {name: metric.function(restored, truth, 255.0) for name, metric in RESTORATION.items()}
    for i, (a, b) in enumerate(zip(restored, truth, strict=True)):
        assert found["mse"][i] == pytest.approx(reference.mean_squared_error(b, a))
        assert found["psnr"][i] == pytest.approx(reference.peak_signal_noise_ratio(b, a, data_range=255))
        assert found["nrmse"][i] == pytest.approx(reference.normalized_root_mse(b, a, normalization="euclidean"))
        similarity = reference.structural_similarity(
            b,
            a,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=0,
        )
        assert found["ssim"][i] == pytest.approx(similarity)
        assert found["rmse"][i] == pytest.approx(np.sqrt(found["mse"][i]))
        assert found["mae"][i] == pytest.approx(np.abs(a - b).mean())


def test_the_range_is_fixed_and_mse_255_is_independent_of_units() -> None:
    restored, truth = pair(2, 1, 16, 16, scale=1.0)
    mse_255, psnr = RESTORATION["mse_255"].function, RESTORATION["psnr"].function
    expected = np.square(255 * (restored - truth)).reshape(2, -1).mean(axis=1)
    np.testing.assert_allclose(mse_255(restored, truth, 1.0), expected)
    np.testing.assert_allclose(mse_255(restored * 40, truth * 40, 40.0), expected)
    np.testing.assert_allclose(psnr(restored, truth, 2.0) - psnr(restored, truth, 1.0), 20 * np.log10(2))


def test_a_perfect_restoration() -> None:
    _, truth = pair(2, 1, 16)
    found = {name: metric.function(truth, truth, 255.0) for name, metric in RESTORATION.items()}
    assert (found["psnr"] == HIGHEST_PSNR).all()
    np.testing.assert_allclose(found["ssim"], 1.0)
    for name in ("mse", "mse_255", "rmse", "mae", "nrmse"):
        assert (found[name] == 0).all()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
def test_ssim_of_tiny_signals(size: int) -> None:
    restored, truth = pair(2, 1, size, 16)
    values = RESTORATION["ssim"].function(restored, truth, 255.0)
    assert values.shape == (2,)
    assert (np.abs(values) <= 1).all()


def test_ssim_is_that_of_the_known_samples_alone() -> None:
    """Unrelated noise is unlike noise, whatever is unknown of it and however bright the items beside it are."""
    generator = np.random.default_rng(1)
    restored, truth = generator.uniform(0, 100, (2, 2, 1, 64, 64))
    whole = ssim(restored, truth, 255.0)
    half = np.where(generator.random(truth.shape) < 0.5, np.nan, truth)
    corner = truth.copy()
    corner[..., 32:] = corner[..., 32:, :] = np.nan  # three quarters
    for gappy in (half, corner):
        np.testing.assert_allclose(ssim(restored, gappy, 255.0), whole, atol=0.03)
        bright = np.concatenate([gappy[:1], gappy[:1] + 5000.0])
        beside = ssim(np.concatenate([restored[:1], restored[:1] + 5000.0]), bright, 255.0)
        assert beside[0] == ssim(restored[:1], gappy[:1], 255.0)[0]


def test_ssim_beside_a_gap_does_not_see_the_gap() -> None:
    """A dark half of a picture is judged alike whether the bright half is known or not."""
    generator = np.random.default_rng(2)
    truth, restored = generator.uniform(0, 20, (2, 1, 1, 64, 64))
    truth[..., 32:] += 200
    restored[..., 32:] += 200
    left = np.where(np.arange(64) < 32, truth, np.nan)
    alone = ssim(restored[..., :32], truth[..., :32], 255.0)
    np.testing.assert_allclose(ssim(restored, left, 255.0), alone, atol=0.02)


def test_ssim_without_gaps_is_scikit_image_s_to_the_bit_also_beside_an_item_with_gaps() -> None:
    restored, truth = pair(2, 2, 24, 20)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255.0}
    expected = [
        reference.structural_similarity(b, a, win_size=11, channel_axis=0, **options)
        for a, b in zip(restored, truth, strict=True)
    ]
    assert ssim(restored, truth, 255.0).tolist() == expected
    truth[1, 0, 3] = np.nan
    beside = ssim(restored, truth, 255.0)
    assert beside[0] == expected[0]
    assert beside[1] == pytest.approx(expected[1], abs=0.02)
    truth[1] = np.nan
    assert np.isnan(ssim(restored, truth, 255.0)).tolist() == [False, True], "not defined where nothing is known"


def test_ssim_with_gaps_is_the_map_of_scikit_image_where_no_window_reaches_one() -> None:
    restored, truth = pair(1, 1, 40, 40)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255.0}
    _, whole = reference.structural_similarity(truth[0, 0], restored[0, 0], win_size=11, full=True, **options)
    gappy = np.full_like(truth, np.nan)
    gappy[0, 0, 5, 5] = truth[0, 0, 5, 5]  # one sample that is known: its window holds nothing else
    assert ssim(np.where(np.isnan(gappy), 0, truth), gappy, 255.0)[0] == pytest.approx(1.0)
    ring = truth.copy()
    ring[0, 0, 20:] = np.nan
    known = ssim(restored, ring, 255.0)[0]
    assert known == pytest.approx(whole[5:20, 5:35].mean(), abs=0.02)


def test_nrmse_is_undefined_for_an_empty_truth() -> None:
    values = RESTORATION["nrmse"].function(np.ones((2, 1, 4)), np.stack([np.zeros((1, 4)), np.ones((1, 4))]), 1.0)
    assert np.isnan(values[0])
    assert values[1] == 0
    assert summarise(values)["n"] == 1


@pytest.mark.parametrize("metric", RESTORATION.values(), ids=list(RESTORATION))
def test_nan_and_wrong_shapes_are_named(metric: Metric) -> None:
    restored, truth = pair(3, 1, 16, 16)
    restored[1, 0, 2, 3] = np.nan
    with pytest.raises(DataError, match=r"1 of 3 restored signals hold NaN.*item 1"):
        metric.function(restored, truth, 255.0)
    restored[1, 0, 2, 3] = np.inf
    with pytest.raises(DataError, match="true signals hold NaN"):
        metric.function(truth, restored, 255.0)
    with pytest.raises((DataError, TypeCheckError), match="restored"):  # whichever checks shapes first
        metric.function(truth[:2], truth, 255.0)


def test_units_follow_the_signal() -> None:
    assert RESTORATION["rmse"].unit_of("V") == "V"
    assert RESTORATION["mse"].unit_of("V") == "V²"
    assert RESTORATION["mse"].unit_of("8-bit level") == "(8-bit level)²"
    assert RESTORATION["psnr"].unit_of("V") == "dB"
    assert all(metric.name == name for name, metric in RESTORATION.items())


def test_the_bootstrap_interval() -> None:
    values = RNG.normal(5.0, 2.0, size=400)
    summary = summarise(values)
    half = 1.96 * 2.0 / np.sqrt(400)
    assert summary["mean"] == pytest.approx(values.mean())
    assert summary["n"] == 400
    np.testing.assert_allclose(summary["ci95"], [values.mean() - half, values.mean() + half], atol=0.02)
    assert summarise(values) == summary
    assert summarise(values, seed=1) != summary
    assert summarise(np.array([3.0])) == {"mean": 3.0, "ci95": [3.0, 3.0], "n": 1}


@pytest.mark.parametrize("values", [[], [np.nan], [1.0, np.inf]])
def test_nothing_to_summarise_is_an_error(values: list[float]) -> None:
    with pytest.raises(DataError, match="values to summarise"):
        summarise(np.array(values))
