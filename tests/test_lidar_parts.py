"""Weather, outliers, measures of turns, the suite, filling from neighbours, and the ray-drop head."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from domains.lidar import ROBO3D, PlanarScans, Turns, vary
from domains.lidar import metrics as measures
from domains.lidar.baselines import turn_baselines
from domains.lidar.degradations import Drop
from domains.lidar.generation import (
    histograms,
    judge,
    maximum_mean_discrepancy,
    minimum_matching_distance,
    occupancy,
    sliced_wasserstein,
)
from domains.lidar.outliers import METHODS, Removal
from domains.lidar.ranges import RangeCode
from domains.lidar.raydrop import count, learn, lost_echoes
from domains.lidar.vary import MOVED, NEARER, SWAY, varied
from domains.lidar.weather import Fog, Rain, Snow
from vaegan.degradation import build
from vaegan.errors import UserError
from vaegan.metrics.restoration import RESTORATION
from vaegan.models import LarsenConfig, RestoringConfig
from vaegan.nn.neighbours import alike, continued, squashed, unsquashed
from vaegan.nn.raydrop import logistic_of
from vaegan.training.feed import Feed

SMALL = Turns(rows=16, columns=64)
CODE = RangeCode("log", 80.0)


def flat(ranges: float, reflectance: float = 0.5, rows: int = 16, columns: int = 256) -> torch.Tensor:
    x = torch.full((1, 2, rows, columns), ranges)
    x[:, 1] = reflectance
    return SMALL.to_model(x)


@pytest.mark.parametrize("encoding", ["linear", "log", "inverse"])
def test_encodings_rise_from_minus_one_to_one(encoding) -> None:
    code = RangeCode(encoding, 80.0)
    ranges = torch.linspace(0, 80, 200, dtype=torch.float64)
    unit = code.to_unit(ranges)
    assert (unit.diff() > 0).all()
    assert (float(unit[0]), float(unit[-1])) == (-1.0, pytest.approx(1.0))
    assert torch.allclose(code.to_range(unit), ranges, atol=1e-6)
    with pytest.raises(UserError, match="farthest range of 0"):
        RangeCode(encoding, 0.0)


def test_fog_hides_what_is_far_and_leaves_what_is_near() -> None:
    generator = torch.Generator().manual_seed(0)
    thick = Fog(0.06, code=CODE)
    far = SMALL.to_physical(thick(flat(60.0), generator=generator).y)
    near = SMALL.to_physical(thick(flat(4.0), generator=generator).y)
    assert float((far[:, 0] < 30).float().mean()) > 0.99
    assert torch.allclose(near[:, 0], torch.tensor(4.0), atol=1e-3)
    expected = 0.5 * math.exp(-2 * 0.06 * 4.0)
    assert torch.allclose(near[:, 1], torch.tensor(expected), atol=1e-3)
    clear = Fog(0.001, code=CODE)(flat(60.0), generator=generator).y
    assert torch.allclose(SMALL.to_physical(clear)[:, 0], torch.tensor(60.0), atol=1e-2)


@pytest.mark.parametrize("make", [Rain, Snow])
def test_more_falls_more_is_hit_and_lost(make) -> None:
    shares = []
    for rate in (0.3, 3.0):
        seen = make(rate, code=CODE)(flat(25.0, 0.1), generator=torch.Generator().manual_seed(0))
        ranges = SMALL.to_physical(seen.y)[:, :1]
        assert seen.mask is not None
        shares.append(float((seen.mask & (ranges < 20)).float().mean()))
    assert 0 <= shares[0] < shares[1] < 0.9
    dark = make(3.0, code=CODE)(flat(78.0, 0.045), generator=torch.Generator().manual_seed(0)).mask
    assert dark is not None
    assert float(dark.float().mean()) < 0.5


@pytest.mark.parametrize("make", [Rain, Snow])
def test_next_to_nothing_falling_loses_next_to_nothing(make) -> None:
    # What is stated to be black is, at 78 m, weaker than what a sensor sees in clear air; its echo came back all the same.
    for reflectance in (0.0, 0.01, 0.045, 1.0):
        seen = make(1e-6, code=CODE)(flat(78.0, reflectance), generator=torch.Generator().manual_seed(0))
        assert seen.mask is None or bool(seen.mask.all())


def test_the_suite_has_eight_corruptions_at_three_severities() -> None:
    x = SMALL.to_model(torch.from_numpy(np.nan_to_num(SMALL.dataset("train").signals[:1], nan=10.0)))
    assert len(ROBO3D) == 8
    for conditions in ROBO3D.values():
        assert len(conditions) == 3
        changed = []
        for condition in conditions:
            seen = build(condition, SMALL.degradations())(x, generator=torch.Generator().manual_seed(0))
            lost = torch.zeros_like(x, dtype=torch.bool) if seen.mask is None else ~seen.mask.expand_as(x)
            changed.append(float((lost | (seen.y != x)).float().mean()))
        assert changed[2] > 0
        assert changed[0] <= changed[2] + 1e-9


def test_a_map_of_lost_echoes_is_counted_and_used() -> None:
    seen = torch.ones(40, 1, 4, 6, dtype=torch.bool)
    seen[::2, :, 1] = False
    seen[:, :, :, 5] &= torch.arange(4) != 0  # the sky: nothing above it
    lost = lost_echoes(seen, (False, False))
    assert not lost[:, :, 0].any()
    counted = count(seen, lost)
    assert torch.allclose(counted.shares[1, :5], torch.tensor(0.5), atol=0.01)
    assert float(counted.shares[2:].max()) < 0.01
    drop = Drop(0.1, "map", ways={"map": lambda: counted})
    mask = drop(torch.zeros(200, 1, 4, 6), generator=torch.Generator().manual_seed(0)).mask
    assert mask is not None
    assert float((~mask)[:, :, 1].sum() / (~mask).sum()) > 0.8


def test_what_loses_echoes_is_learned() -> None:
    random = torch.Generator().manual_seed(0)
    x = SMALL.to_model(torch.full((20, 2, 16, 64), 10.0))
    x[:, 1] = 0.25 * torch.sin(torch.arange(64) * (2 * math.pi / 64))  # from dark to bright and back
    lost = (torch.rand(20, 1, 16, 64, generator=random) < 0.3) & (x[:, 1:2] < 0)
    learned = learn(x, ~lost, lost, (False, True))
    chance = learned(x)
    assert chance.shape == (20, 1, 16, 64)
    dark, bright = chance[x[:, 1:2] < -0.15].mean(), chance[x[:, 1:2] > 0.15].mean()
    assert float(dark) > 4 * float(bright)


@pytest.mark.parametrize("by", ["uniform", "range", "map", "learned"])
@pytest.mark.parametrize("domain", [SMALL, PlanarScans(beams=60)], ids=["turn", "scan"])
def test_the_mean_share_is_lost_whatever_it_goes_by(domain, by) -> None:
    x = domain.to_model(torch.from_numpy(np.nan_to_num(domain.dataset("test").signals[:4], nan=10.0)))
    x = x.repeat(40, *(1 for _ in domain.spec.shape))
    for share in (0.1, 0.7):
        drop = build(f"drop {share} by={by}", domain.degradations())
        mask = drop(x, generator=torch.Generator().manual_seed(0)).mask
        assert mask is not None
        assert mask.shape == (len(x), 1, *domain.spec.sizes)
        assert float((~mask).float().mean()) == pytest.approx(share, abs=0.02)
    with pytest.raises(UserError, match="drop by 'night'; expected one of uniform, range, map, learned"):
        build("drop 30 % by=night", domain.degradations())


@pytest.mark.parametrize("by", ["uniform", "range", "map", "learned"])
def test_what_is_no_echo_is_none_of_the_share_that_is_lost(by) -> None:
    domain = Turns(rows=16, columns=64, gaps=False)
    x = torch.from_numpy(np.array(domain.dataset("test").signals[:4]))
    x[..., :20] = 0.0  # beside what the sensor does not see
    x = domain.to_model(x).repeat(40, 1, 1, 1)
    mask = build(f"drop 30 % by={by}", domain.degradations())(x, generator=torch.Generator().manual_seed(0)).mask
    assert mask is not None
    assert float((~mask)[x[:, :1] > -1].float().mean()) == pytest.approx(0.3, abs=0.01)


def test_lone_points_are_outliers() -> None:
    random = np.random.default_rng(0)
    wall = np.column_stack([np.full(800, 10.0), random.uniform(-2, 2, 800), random.uniform(-1, 1, 800)])
    lone = random.uniform(3, 6, (12, 3)) * [1, 1.5, 1]
    strengths = {"sor": 1.0, "ror": 0.5, "dror": 6.0, "dsor": 0.25}
    for name, method in METHODS.items():
        flagged = method(np.concatenate([wall, lone]), strengths[name])
        scores = measures.removal_scores(flagged[None], np.arange(812)[None] >= 800)
        assert scores["recall"][0] > 0.8, name
        assert scores["precision"][0] > 0.5, name


def test_the_spacing_of_columns_is_known_to_dror() -> None:
    few, many = (turn_baselines(CODE, SMALL.elevations, columns, outliers=True)["dror"] for columns in (128, 1024))
    wall = np.column_stack(
        [np.full(400, 10.0), np.repeat(np.linspace(-5, 5, 20), 20), np.tile(np.linspace(-1, 1, 20), 20)]
    )
    assert isinstance(few, Removal)
    assert isinstance(many, Removal)
    assert few.removes(wall, 3.0).mean() < 0.05 < 0.9 < many.removes(wall, 3.0).mean()
    assert len(few.strengths) > 1, "they are tuned as the others are"


def test_measures_of_turns_on_cases_whose_value_is_known() -> None:
    truth = np.full((1, 2, 16, 64), np.nan)
    truth[:, 0, :, :32], truth[:, 1, :, :32] = 10.0, 0.5
    wrong = np.nan_to_num(truth, nan=3.0)
    wrong[:, 0] *= 1.1
    known = SMALL.metrics()
    values = {name: float(metric.function(wrong, truth, 80.0)[0]) for name, metric in known.items()}
    assert values["mae"] == pytest.approx(1.0)
    assert values["abs_rel"] == pytest.approx(0.1)
    assert values["delta_1"] == 1.0
    assert 0 < values["chamfer"] <= 1.0
    assert values["iou"] == 0.0
    same = {
        name: float(metric.function(np.nan_to_num(truth, nan=3.0), truth, 80.0)[0]) for name, metric in known.items()
    }
    assert (same["mae"], same["chamfer"], same["iou"]) == (0.0, 0.0, 1.0)
    assert measures.f1(np.asarray([[1, 1, 0, 0]]), np.asarray([[1, 0, 1, 0]])) == pytest.approx(0.5)


def test_the_general_measures_of_turns_are_of_the_range_alone() -> None:
    random = np.random.default_rng(0)
    truth = random.uniform(1, 79, (2, 2, 16, 64))
    truth[:, 1] /= 80
    truth[:, :, 3, 5:9] = np.nan
    restored = np.nan_to_num(truth, nan=3.0)
    restored[:, 0] += random.normal(0, 1, (2, 16, 64))
    known = SMALL.metrics()
    for name, general in RESTORATION.items():
        alone = general.function(restored[:, :1], truth[:, :1], 80.0)
        np.testing.assert_allclose(known[name].function(restored, truth, 80.0), alone, err_msg=name)
        assert (known[name].unit_of("m"), known[name].better) == (general.unit_of("m"), general.better)
        noisy = restored.copy()
        noisy[:, 1] = random.uniform(0, 1, (2, 16, 64))
        np.testing.assert_allclose(known[name].function(noisy, truth, 80.0), alone, err_msg=name)


def test_generated_turns_are_measured_under_named_conventions() -> None:
    real = SMALL.everything().signals
    same = judge(real, real, SMALL.elevations, SMALL.far)
    other = judge(real * 0.5, real, SMALL.elevations, SMALL.far)
    assert set(same) == {"jsd[lidargen]", "mmd[lidargen]", "jsd[lidm]", "mmd[lidm]", "jsd[dusty]", "swd"}
    for name in ("jsd[lidargen]", "mmd[lidargen]", "jsd[lidm]", "mmd[lidm]", "jsd[dusty]"):
        assert same[name]["mean"] == pytest.approx(0.0, abs=1e-6)
        assert other[name]["mean"] > 1e-4
    assert maximum_mean_discrepancy(np.eye(4), np.eye(4)) == pytest.approx(0.0, abs=1e-12)
    assert 0 < other["jsd[lidargen]"]["mean"] <= math.sqrt(math.log(2.0)) + 1e-9


def test_the_conventions_are_those_of_the_code_that_they_are_named_after() -> None:
    cloud = np.array([[2.0, 0.0, 0.0], [69.0, 0.0, 0.0], [71.0, 0.0, 0.0], [0.0, -10.0, 1.0], [0.0, -10.02, 1.0]])
    (seen,) = histograms([cloud])
    assert seen.shape == (100, 100)
    assert seen.sum() == 3  # 2 and 71 m are not looked at
    assert seen[int((69.0 + 80.0) / 1.6), 50] == 1
    assert seen[50, int((-10.0 + 80.0) / 1.6)] == 2
    cells = occupancy([cloud, cloud[:1]])
    assert cells.shape == (2000, 2000)
    assert cells.sum() == 4  # two clouds at 2 m, and two cells of 5 cm at -10 m; 69 m is beyond 50
    assert cells[1040, 1000] == 2
    moved = cloud + np.array([3.0, 4.0, 0.0])
    assert minimum_matching_distance([cloud[:1]], [moved[:1]]) == pytest.approx(0.05**2)
    assert minimum_matching_distance([cloud[:1]], [moved[:1], cloud[:1]]) == 0.0
    assert minimum_matching_distance([cloud[2:3]], [cloud[:1]]) == 1.0


def test_every_turn_is_among_those_that_are_matched_evenly() -> None:
    far, near = np.array([[40.0, 40.0, 0.0]]), np.array([[-40.0, -40.0, 0.0]])
    # Only the last third is unlike.
    assert minimum_matching_distance([near] * 80 + [far] * 40, [near] * 120) == pytest.approx(0.64 * 2 / 3, abs=0.02)
    images = np.random.default_rng(0).uniform(size=(120, 32, 64))
    other = images.copy()
    other[80:] *= np.linspace(0, 1, 64)
    assert sliced_wasserstein(images, other[::2]) > 1.2 * sliced_wasserstein(images, images[::2])


def test_the_sliced_distance_sees_the_coarse_layout_too() -> None:
    rows, columns = np.mgrid[:64, :256]
    layout = 0.5 + 0.4 * np.sin(2 * np.pi * columns / 256) * rows / 64
    real, alike = (layout + 0.05 * np.random.default_rng(seed).normal(size=(12, 64, 256)) for seed in (0, 1))
    flat = alike - layout + layout.mean()
    assert sliced_wasserstein(real, flat) > 2.0 * sliced_wasserstein(real, alike)


def test_gaps_are_continued_from_both_sides() -> None:
    x = torch.tensor([[[0.0, 2.0, 9.0, 9.0, 8.0, 9.0]]])
    seen = torch.tensor([[[0.0, 1.0, 0.0, 0.0, 1.0, 0.0]]])
    filled, differences = continued(x, seen, (False,))
    assert filled.tolist() == [[[2.0, 2.0, 4.0, 6.0, 8.0, 8.0]]]
    assert differences[0, 0].tolist() == [0.0, 0.0, -2.0, -4.0, -6.0, 0.0]
    assert differences[0, 1].tolist() == [0.0, 6.0, 4.0, 2.0, 0.0, 0.0]
    around, _ = continued(x, seen, (True,))
    assert around[0, 0].tolist() == [4.0, 2.0, 4.0, 6.0, 8.0, 6.0]
    nothing, none = continued(x, torch.zeros_like(seen), (False,))
    assert (float(nothing.abs().max()), float(none.abs().max())) == (0.0, 0.0)


def test_two_axes_share_a_gap_by_its_lengths() -> None:
    x = torch.zeros(1, 1, 3, 5)
    x[..., 0], x[..., 4], x[0, 0, 2] = 1.0, 1.0, 5.0
    seen = torch.ones_like(x)
    seen[0, 0, 1, 1:4] = 0.0
    filled, differences = continued(x, seen, (False, False))
    weights = 1 / 2**2, 1 / 4**2
    assert float(filled[0, 0, 1, 2]) == pytest.approx((weights[0] * 2.5 + weights[1] * 1.0) / sum(weights))
    assert differences.shape == (1, 4, 3, 5)


def test_small_differences_are_scaled_up_and_back() -> None:
    x = torch.linspace(-1.9, 1.9, 101)
    assert torch.allclose(unsquashed(squashed(x)), x, atol=1e-5)
    assert float(squashed(torch.tensor(0.001))) > 0.03


def test_samples_that_are_alike_are_drawn_together_and_edges_are_not() -> None:
    x = torch.tensor([[[0.0, 0.01, 0.0, 1.0, 1.0]]])
    close = alike(x, 1, (False,))
    assert close.shape == (1, 2, 5)
    assert float(close[0, 0, 0]) == pytest.approx(0.01 * math.exp(-0.125))
    assert abs(float(close[0, 0, 2])) < 1e-6
    assert float(close[0, 0, 4]) == float(close[0, 1, 0]) == 0.0


def test_a_new_network_fills_gaps_and_changes_nothing_else() -> None:
    spec = SMALL.spec
    model = (
        RestoringConfig(latent=2, width=4, widest=4, depth=1, patch=2, neighbours=True, smoothing=1).build(spec).eval()
    )
    y = torch.rand(1, *spec.shape)
    mask = torch.rand(1, 1, *spec.sizes) > 0.4
    restored = model.restore(y, mask).mean.detach()
    expected, _ = continued(torch.where(mask, y, 0.0), mask.float(), spec.periodic)
    assert torch.allclose(restored, expected)
    assert model.reach is not None


def test_the_drop_head_draws_echoes_that_are_there_or_not() -> None:
    domain = Turns(rows=16, columns=64, reflectance=False, gaps=False)
    config = LarsenConfig(
        latent=4,
        width=4,
        decoder_width=4,
        discriminator_width=4,
        depth=2,
        hidden=8,
        discriminator_hidden=8,
        missing=(-1.0,),
    )
    torch.manual_seed(0)
    model = config.build(domain.spec)
    z = torch.randn(3, 4, requires_grad=True)
    drawn = model.decode(z)
    assert drawn.shape == (3, *domain.spec.shape)
    lost = drawn == -1.0
    assert 0.2 < float(lost.float().mean()) < 0.8
    assert torch.equal(model.eval().decode(z), model.decode(z)), "the same latent gives the same signal"
    (slope,) = torch.autograd.grad(model.train().decode(z).sum(), z)
    assert float(slope.abs().sum()) > 0
    noise = logistic_of(torch.randn(4, 8), torch.zeros(4, 1, 64, 64))
    assert float(noise.std()) == pytest.approx(math.pi / math.sqrt(3), rel=0.05)
    assert float(torch.corrcoef(noise.flatten(1)).fill_diagonal_(0.0).abs().max()) < 0.1, "each item has its own"
    for broken in (math.nan, math.inf):  # of a training that went wrong: its terms tell, in one line
        assert logistic_of(torch.full((2, 8), broken), torch.zeros(2, 1, 4, 4)).isfinite().all()
    with pytest.raises(UserError, match="missing has 2 values; expected 1"):
        LarsenConfig(missing=(-1.0, -1.0)).build(domain.spec)


def varied_ramp(absent: float = math.nan, far: float = 80.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A wall around the scanner that leans away, with a pole before it and a gap, and variations of it."""
    x = torch.full((20, 2, 16, 256), 0.5)
    x[:, 0] = 10.0 + torch.arange(16.0)[:, None] / 4
    x[:, 0, :, 100:110] = 4.0
    x[:, :, 3, 50:60] = absent
    return x, varied(x, far, absent, torch.Generator().manual_seed(0))


def test_varied_turns_keep_the_order_along_a_beam_s_column_and_bounded_scales(monkeypatch) -> None:
    monkeypatch.setattr(vary, "COMPOSED", 0.0)
    x, found = varied_ramp()
    assert found.shape == x.shape
    ranges = found[:, 0]
    steps = ranges.diff(dim=1)
    wall = torch.isfinite(steps) & (ranges[:, :-1] > 6.5)
    assert (steps[wall] > 0).all()
    most = math.exp(NEARER + 4 * SWAY)
    seen = torch.isfinite(ranges)
    assert (ranges[seen] <= 13.75 * most).all()
    assert (ranges[seen] >= 4.0 / most).all()
    # Nothing is interpolated between the pole and the wall, however far the rows were moved, and no two turns are alike.
    moved = set()
    for turn in ranges:
        rows = torch.isfinite(turn).any(1).nonzero()
        first, last = int(rows.min()), int(rows.max())
        steps_up = 15 - last if last < 15 else -first
        moved.add(steps_up)
        ratio = turn[first] / turn[last]
        ratio = ratio[torch.isfinite(ratio)]
        wall_ratio, pole_ratio = (40.0 + first + steps_up) / (40.0 + last + steps_up), 1.0
        assert (((ratio - wall_ratio).abs() < 0.02) | ((ratio - pole_ratio).abs() < 0.02)).all()
    assert moved <= set(range(-MOVED, MOVED + 1))
    assert len(moved) > MOVED
    assert len({round(float(turn.nanmean()), 4) for turn in ranges}) == 20
    lights = found[:, 1][seen]
    assert (lights >= 0).all()
    assert (lights <= 1).all()


@pytest.mark.parametrize("absent", [math.nan, 0.0])
def test_what_is_nearer_in_another_turn_stands_before_a_turn(absent: float) -> None:
    room = torch.full((40, 2, 8, 64), 0.5)
    room[:20, 0], room[20:, 0] = 10.0, 20.0  # each room is paired with one of the other kind
    room[:20, 0, :, :16] = absent
    room[20:, 0, :, 40:] = 19.5
    found = vary._composed(room, torch.Generator().manual_seed(0))
    near, far = found[:20, 0], found[20:, 0]
    # A wall of 20 m never stands before one of 10 m, but is seen where there was no echo; one of 19.5 m is that of 20 m.
    there = near > 0
    assert set(near[there].tolist()) == {10.0, 19.5, 20.0}
    assert (near[:, :, 16:] == 10.0).all()
    assert set(far.flatten().tolist()) == {10.0, 19.5, 20.0}
    changed = (found[:, 0] != room[:, 0]) & ((found[:, 0] > 0) | (room[:, 0] > 0))
    touched = changed.flatten(1).any(1)
    assert 0.2 < float(touched.float().mean()) < 0.6, "about COMPOSED of the turns"
    assert torch.equal(changed.any(1), changed.all(1)), "whole columns of the other turn"
    assert all(int(row.diff().count_nonzero()) <= 6 for row in changed[:, 0].int()), "in one sector"
    alone = vary._composed(room[:1], torch.Generator().manual_seed(1))
    assert alone.shape == room[:1].shape


def test_what_varies_beyond_the_farthest_range_does_not_come_back() -> None:
    x, found = varied_ramp(absent=0.0, far=11.0)
    assert (found[:, 0] < 11.0).all()
    assert (found[:, 0] == 0).float().mean() > (x[:, 0] == 0).float().mean()
    assert (found[:, 1][found[:, 0] == 0] == 0).all()


def test_turns_are_varied_in_model_units_with_their_gaps() -> None:
    domain = Turns(columns=256)
    x = domain.to_model(torch.from_numpy(np.array(domain.dataset("train").signals[:2])))
    one, two = (domain.vary(x, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert torch.equal(one.isnan().all(1), one.isnan().any(1))
    assert not torch.allclose(one, two, equal_nan=True)
    assert 0.5 < one.isnan().float().mean() / x.isnan().float().mean() < 2.0


def test_errors_of_turns_are_trained_in_metres_where_that_is_asked_for() -> None:
    domain = Turns(columns=64, reflectance=False)
    data = domain.dataset("train")
    feed = Feed(
        data,
        domain.to_model,
        None,
        batch=2,
        device=torch.device("cpu"),
        gaps=True,
        physical=lambda x: domain.to_physical(x) * (2.0 / domain.far),
    )
    batch, _ = feed(0, 0.0)
    assert batch.known is not None
    farther = domain.to_model(domain.to_physical(batch.x) + 0.5)
    there, moved = batch.compared(batch.judged(farther), physical=True)
    expected = torch.where(batch.known, 0.5 * 2.0 / domain.far, 0.0)
    assert torch.allclose(moved - there, expected, atol=1e-5)
