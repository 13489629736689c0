"""Spread, its calibration, and the knob from sharp to faithful."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.test_evaluator import Waves
from vaegan.data import SignalSet, Split
from vaegan.degradation import build
from vaegan.domain import Domain
from vaegan.errors import UserError
from vaegan.evaluation.tradeoff import SETTINGS, evaluate_tradeoff
from vaegan.evaluation.uncertainty import (
    Validation,
    _rank_correlation,
    _reliability,
    calibrate,
    evaluate_uncertainty,
)
from vaegan.metrics.features import FromFunction
from vaegan.models import Restored, RestoringConfig
from vaegan.models.blend import Blend
from vaegan.models.spread import SIGNS, Calibrated, Calibration, _ninetieth, averaged
from vaegan.signal import Axis, SignalSpec


def noisy(n: int, seed: int, *, draws: float, damage: float, floor: float) -> tuple[Tensor, Restored, Tensor]:
    """Observed signals, restorations and truths whose errors have a known cause."""
    generator = torch.Generator().manual_seed(seed)
    mean = torch.zeros(n, 1, 400)
    spread = 0.2 * torch.rand(n, 1, 400, generator=generator)
    level = torch.rand(n, 1, 1, generator=generator)  # of the noise, each item its own
    wide = draws * spread + damage * level + floor
    truth = mean + wide * torch.randn(mean.shape, generator=generator)
    y = mean + level * torch.randn(mean.shape, generator=generator)
    return y, Restored(mean, spread), truth


@pytest.mark.parametrize(
    ("draws", "damage", "floor"), [(1.0, 0.0, 0.0), (7.0, 0.0, 0.0), (0.0, 0.3, 0.0), (2.0, 0.3, 0.1), (0.0, 0.0, 0.2)]
)
def test_calibrated_intervals_hold_nine_tenths_of_new_errors(draws: float, damage: float, floor: float) -> None:
    y, restored, truth = noisy(30, 0, draws=draws, damage=damage, floor=floor)
    calibration = Calibration.fit(y, None, restored, truth)
    y, restored, truth = noisy(60, 1, draws=draws, damage=damage, floor=floor)
    held = ((restored.mean - truth).abs() <= 1.645 * calibration(y, None, restored)).float()
    assert 0.88 < held.mean() < 0.92
    assert calibration.n == 30
    if damage:  # an item's own noise widens its own intervals: they hold in each item, not only on average
        assert held.flatten(1).mean(1).min() > 0.75


def test_each_cause_gets_its_weight() -> None:
    for name, causes in {
        "draws": {"draws": 2.0, "damage": 0.0, "floor": 0.0},
        "floor": {"draws": 0.0, "damage": 0.0, "floor": 0.2},
    }.items():
        y, restored, truth = noisy(60, 0, **causes)
        weights = dict(zip(SIGNS, Calibration.fit(y, None, restored, truth).weights, strict=True))
        known = sorted(weights, key=lambda sign: weights[sign])
        assert known[-1] == name
        assert min(weights.values()) >= 0
        assert weights[name] == pytest.approx(causes[name], rel=0.15)


def test_nine_tenths_are_those_of_these_and_of_one_more() -> None:
    for n, expected in ((100, 91), (10, 10), (9, 9), (3, 3)):  # as split conformal prediction has it
        assert _ninetieth(torch.arange(n, 0, -1).double()) == expected


def test_what_lies_beyond_an_end_does_not_count_for_a_mean() -> None:
    for shape in ((1, 1, 20), (1, 2, 9, 20)):
        torch.testing.assert_close(averaged(torch.full(shape, 0.7), 3), torch.full(shape, 0.7))
    ramp = averaged(torch.arange(20.0).view(1, 1, -1), 3)[0, 0]
    assert (float(ramp[0]), float(ramp[10]), float(ramp[-1])) == pytest.approx((1.5, 10.0, 17.5))


def test_what_was_not_observed_is_a_sign_of_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(30, 1, 200, generator=generator) > 0.3
    error = torch.where(mask, 0.05, 0.5) * torch.randn(30, 1, 200, generator=generator)
    y = torch.where(mask, error, torch.nan)  # whatever stands where nothing was observed must not matter
    restored = Restored(error, torch.zeros_like(error))
    calibration = Calibration.fit(y, mask, restored, torch.zeros_like(error))
    spread = calibration(y, mask, restored)
    assert torch.isfinite(spread).all()
    assert spread[~mask].mean() > 4 * spread[mask].mean()


def test_where_few_gaps_are_filled_the_spread_is_that_of_the_gaps() -> None:
    def filled(seed: int) -> tuple[Tensor, Tensor, Restored, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        truth = torch.randn(30, 1, 400, generator=generator)
        mask = torch.rand(truth.shape, generator=generator) > 0.04
        mean = torch.where(mask, truth, truth + 0.3 * torch.randn(truth.shape, generator=generator))
        return truth, mask, Restored(mean, torch.zeros_like(mean)), truth

    calibration = Calibration.fit(*filled(0))
    y, mask, restored, truth = filled(1)
    held = (restored.mean - truth).abs() <= 1.645 * calibration(y, mask, restored)
    assert 0.85 < held[~mask].float().mean() < 0.95
    perfect = Calibration.fit(y, mask, Restored(truth, torch.zeros_like(truth)), truth)
    assert perfect.weights == (0.0,) * len(SIGNS)


def test_calibration_needs_items() -> None:
    nothing = torch.zeros(0, 1, 40)
    with pytest.raises(UserError, match="no validation item to calibrate on"):
        Calibration.fit(nothing, None, Restored(nothing, nothing), nothing)


def test_calibration_takes_the_items_of_which_something_is_known() -> None:
    domain = Waves()
    noise = build("noise sigma=0.1", domain.degradations())
    val = domain.dataset("val")
    signals = np.full((200, *val.signals.shape[1:]), np.nan, val.signals.dtype)
    signals[150:153] = val.signals[:3]
    few = SignalSet(signals, np.arange(200))
    assert calibrate(Knowing(knows=True), domain, few, noise).n == 3
    unknown = SignalSet(np.full_like(signals, np.nan), np.arange(200))
    with pytest.raises(UserError, match="200 validation items of which nothing is known"):
        calibrate(Knowing(knows=True), domain, unknown, noise)
    test, blind = domain.dataset("test"), Calibration((1.0,) + (0.0,) * 7, 1)
    found = evaluate_uncertainty(
        Knowing(knows=True),
        blind,
        domain,
        test,
        {"noise": noise},
        n=3,
        seed=0,
        validation=Validation(unknown, {"noise": noise}),
    )
    assert "coverage90_recalibrated" not in found.numbers["noise"]


@pytest.mark.parametrize("periodic", [False, True])
def test_a_calibrated_model_is_as_local_as_its_model(periodic: bool) -> None:
    spec = SignalSpec(1, (Axis("time", 32, periodic=periodic),), "V", (-1, 1))
    model = RestoringConfig(latent=4, width=4, widest=8, depth=2).build(spec).eval()
    calibrated = Calibrated(model, Calibration((0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0), 1))
    assert calibrated.stride == model.stride == 4
    assert model.reach is not None
    assert calibrated.reach == model.reach + 7
    y = torch.randn(1, 1, 32)
    with torch.no_grad():
        assert calibrated.restore(y).spread is None
        spread = calibrated.restore(y, samples=3).spread
    assert spread is not None
    assert (spread >= 0).all()


class Knowing:
    """Returns what it sees, and as spread how far it is from the nearest truth: it predicts every error."""

    def __init__(self, *, knows: bool) -> None:
        self.knows = knows

    def __call__(self, y: Tensor, mask: Tensor | None) -> Restored:
        domain = Waves()
        truth = torch.cat([domain.to_model(torch.from_numpy(domain.dataset(s).signals)) for s in ("val", "test")])
        nearest = (y[:, None] - truth[None]).square().flatten(2).mean(2).argmin(1)
        wrong = (y - truth[nearest]).abs()
        return Restored(y, wrong if self.knows else wrong.flip(-1).roll(7, -1))


@pytest.mark.parametrize("knows", [True, False])
def test_spread_is_judged_by_the_error_it_predicts(knows: bool) -> None:
    domain, restorer = Waves(), Knowing(knows=knows)
    noise = build("noise sigma=0.1", domain.degradations())
    calibration = calibrate(restorer, domain, domain.dataset("val"), noise)
    validation = Validation(domain.dataset("val"), {"noise": noise})
    test = domain.dataset("test")
    found = evaluate_uncertainty(
        restorer, calibration, domain, test, {"noise": noise}, n=9, seed=0, validation=validation
    )
    plain = evaluate_uncertainty(restorer, calibration, domain, test, {"noise": noise}, n=9, seed=0)
    numbers = found.numbers["noise"]
    assert set(numbers) - set(plain.numbers["noise"]) == {"coverage90_recalibrated"}
    if knows:
        assert numbers["spearman_raw"]["mean"] > 0.99
        assert numbers["ause"]["mean"] < 0.05
    else:
        assert abs(numbers["spearman_raw"]["mean"]) < 0.3
        assert numbers["ause"]["mean"] > 0.2
        assert 0.8 < numbers["coverage90"]["mean"] < 0.97
        assert 0.8 < numbers["coverage90_recalibrated"]["mean"] < 0.97
    shown = found.shown["noise"]
    assert shown.restored.shape == shown.spread.shape == (4, 2, 40)
    # Volts: the spread in physical units is that in model units times half of the range.
    assert shown.error.max() < 5e-3
    assert shown.by_error[0] == pytest.approx(shown.by_spread[0])
    assert (shown.by_spread - shown.by_error >= -1e-12).all()


class Ranges(Domain):
    """Distances in metres, of which equal steps in model units are not equal steps in metres."""

    @property
    def spec(self) -> SignalSpec:
        return SignalSpec(1, (Axis("angle", 40),), "m", (0.0, 80.0))

    def dataset(self, split: Split) -> SignalSet:
        metres = np.stack([np.full((1, 40), 10.0), np.full((1, 40), 70.0)]).astype(np.float32)
        return SignalSet(metres, np.asarray(["near", "far"]))

    def to_model(self, x: Tensor) -> Tensor:
        return 2.0 * torch.log1p(x) / math.log1p(80.0) - 1.0

    def to_physical(self, x: Tensor) -> Tensor:
        return torch.expm1((x + 1.0) / 2.0 * math.log1p(80.0))


def test_maps_and_charts_are_in_metres_where_the_model_sees_logarithms() -> None:
    domain = Ranges()

    def a_metre_too_far(y: Tensor, mask: Tensor | None) -> Restored:
        wrong = domain.to_model(domain.to_physical(y) + 1.0)
        return Restored(wrong, wrong - y)

    as_drawn = Calibration((0.0, 1.0, *[0.0] * 6), 1)
    nothing = build("noise sigma=0", domain.degradations())
    found = evaluate_uncertainty(a_metre_too_far, as_drawn, domain, domain.dataset("test"), {"c": nothing}, n=2, seed=0)
    shown = found.shown["c"]
    np.testing.assert_allclose(shown.error, 1.0, rtol=1e-3)
    np.testing.assert_allclose(shown.spread, 1.0, rtol=0.05)  # half the width of an interval that is not symmetric
    np.testing.assert_allclose(shown.reliability, 1.0, rtol=0.05)
    np.testing.assert_allclose([shown.by_spread, shown.by_error], 1.0, rtol=1e-3)
    np.testing.assert_allclose(shown.restored - shown.truth, 1.0, rtol=1e-3)


def test_ranks_and_what_they_leave_in_are_of_the_spread_that_is_shown() -> None:
    """The one that was calibrated under this damage, where there are validation items; as the documentation says."""
    domain, restorer = Waves(), Knowing(knows=True)
    noise = build("noise sigma=0.1", domain.degradations())
    blind = Calibration((1.0, *[0.0] * 7), 1)  # the same everywhere: it ranks nothing
    validation = Validation(domain.dataset("val"), {"noise": noise})
    test = domain.dataset("test")
    for given, ranked in ((validation, True), (None, False)):
        numbers = evaluate_uncertainty(
            restorer, blind, domain, test, {"noise": noise}, n=9, seed=0, validation=given
        ).numbers["noise"]
        assert (numbers["spearman"]["mean"] > 0.9) is ranked
        assert (numbers["ause"]["mean"] < 0.1) is ranked
        assert numbers["coverage90"]["mean"] == 1.0


def test_a_spread_that_does_not_vary_ranks_nothing_and_of_an_unknown_truth_nothing_is_said() -> None:
    error = torch.rand(3, 1, 40, generator=torch.Generator().manual_seed(0))
    spread = torch.cat([torch.ones(1, 1, 40), error[1:]])
    error[2] = torch.nan
    ranks = _rank_correlation(spread, error)
    np.testing.assert_array_equal(ranks[:2].round(6), [0.0, 1.0])
    assert np.isnan(ranks[2])


def test_ranks_know_no_scale_and_a_bin_has_the_root_mean_square_of_its_errors() -> None:
    spread = torch.rand(2, 1, 60, generator=torch.Generator().manual_seed(0))
    assert _rank_correlation(spread, spread**9) == pytest.approx([1.0, 1.0])
    levels = torch.arange(1.0, 13.0).repeat_interleave(50)[None, None]
    error = levels * torch.where(torch.arange(600) % 2 == 0, 0.0, 1.0)  # half of a bin is met exactly
    found = _reliability(error, levels)
    assert found[:, 0] == pytest.approx(np.arange(1, 13))
    assert found[:, 1] == pytest.approx(np.arange(1, 13) / 2**0.5)


def test_coverage_is_told_before_and_after_the_calibration() -> None:
    domain, restorer = Waves(), Knowing(knows=True)  # whose own spread is the error itself
    noise = build("noise sigma=0.1", domain.degradations())
    for floor, held in ((1e-9, 0.0), (10.0, 1.0)):
        numbers = evaluate_uncertainty(
            restorer, Calibration((floor, *[0.0] * 7), 1), domain, domain.dataset("test"), {"noise": noise}, n=9, seed=0
        ).numbers["noise"]
        assert numbers["coverage90_raw"]["mean"] == 1.0
        assert numbers["coverage90"]["mean"] == pytest.approx(held, abs=1e-3)


def small() -> tuple[torch.nn.Module, torch.nn.Module]:
    spec = SignalSpec(1, (Axis("time", 16),), "V", (-1, 1))
    torch.manual_seed(0)
    models = [RestoringConfig(latent=4, width=4, widest=8, depth=2).build(spec).eval() for _ in range(2)]
    for model in models:  # blocks start as the identity: nothing would be seen of the latent
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return models[0], models[1]


def test_the_knob_goes_from_one_end_to_the_other() -> None:
    sharp, faithful = small()
    y = torch.randn(2, 1, 16)
    with torch.no_grad():
        ends = [model.restore(y).mean for model in (sharp, faithful)]
        blends = [Blend(sharp, faithful, f).restore(y).mean for f in (0.0, 0.25, 1.0)]
    torch.testing.assert_close(blends[0], ends[0])
    torch.testing.assert_close(blends[2], ends[1])
    torch.testing.assert_close(blends[1], 0.75 * ends[0] + 0.25 * ends[1])
    with pytest.raises(UserError, match="set --fidelity"):
        Blend(sharp, faithful, 1.5)


def test_without_a_partner_the_faithful_end_is_the_mean_of_draws() -> None:
    sharp, _ = small()
    y = torch.randn(2, 1, 16)
    with torch.no_grad():
        blended = Blend(sharp, None, 1.0).restore(y, generator=torch.Generator().manual_seed(1))
        drawn = sharp.restore(y, samples=8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(blended.mean, drawn.mean)
    assert blended.spread is None
    with torch.no_grad():
        spread = Blend(sharp, None, 0.5).restore(y, samples=4).spread
    assert spread is not None
    assert (spread > 0).all()


def test_the_tradeoff_is_of_the_same_items_in_decibels() -> None:
    domain = Waves()
    same = RestoringConfig(latent=2, width=4, widest=4, depth=1).build(domain.spec).eval()  # a new one changes nothing
    noise = build("noise sigma=0.1", domain.degradations())
    features = FromFunction("means", lambda x: x.reshape(len(x), 16, -1).mean(2), "means of five samples")
    found = evaluate_tradeoff(same, same, domain, domain.dataset("test"), "noise", noise, features, n=9, seed=0)
    assert found is not None
    assert [point["fidelity"] for point in found.points] == list(SETTINGS)
    assert [point["psnr"] for point in found.points] == pytest.approx([20.0] * 5, abs=0.5)
    assert found.distance == "kid[means]"
    shown = found.pictures[0.0] - found.truth
    assert shown.std() == pytest.approx(0.1 * 5e-3, rel=0.1)  # volts of a range of 5 mV
