"""LiDAR: degradations, weather, classical methods and measures against their formulas, on cases with a known answer."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from domains.lidar import Turns, metrics, outliers
from domains.lidar.baselines import Bilateral, Despiked, Interpolation, Median, Nearest
from domains.lidar.degradations import Beams, Drop, MixedPixels, Quantise, Sector, Spikes
from domains.lidar.generation import jensen_shannon, judge, maximum_mean_discrepancy
from domains.lidar.projection import columns_of, directions, spherical_rows
from domains.lidar.ranges import RangeCode
from domains.lidar.raydrop import ByRange, lost_echoes, surroundings
from domains.lidar.weather import DROPS, NEAREST, RESOLUTION, WEAKEST, Drops, Fog, Rain, Snow
from vaegan.degradation import Degradation

CODE = RangeCode("log", 80.0)
METRES = RangeCode("linear", 80.0)
TURN = Turns(rows=16, columns=64)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wall(ranges: float, n: int = 1, rows: int = 16, columns: int = 256, reflectance: float = 0.5) -> torch.Tensor:
    """Turns that see one distance and one reflectance everywhere, in model units."""
    x = torch.full((n, 2, rows, columns), ranges)
    x[:, 1] = reflectance
    return TURN.to_model(x)


def seen(degradation: Degradation, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ranges in metres and reflectances of degraded turns, (n, rows, columns) each."""
    y = TURN.to_physical(degradation(x, generator=rng()).y)
    return y[:, 0], y[:, 1]


def test_ranges_are_rounded_to_the_nearest_step() -> None:
    ranges = torch.linspace(1.0, 70.0, 4001, dtype=torch.float64).view(1, 1, -1)
    found = CODE.to_range(Quantise(0.05, code=CODE)(CODE.to_unit(ranges), generator=rng()).y)
    torch.testing.assert_close(found / 0.05, torch.round(found / 0.05), atol=1e-6, rtol=0)
    assert float((found - ranges).abs().max()) <= 0.025 + 1e-6


def test_spikes_fall_anywhere_between_the_sensor_and_what_stands_there() -> None:
    ranges, reflectance = seen(Spikes(0.2, code=CODE), wall(40.0, n=8))
    hit = ranges < 39.99
    assert float(hit.float().mean()) == pytest.approx(0.2, abs=0.01)
    assert bool((ranges <= 40.001).all()) and float(ranges[hit].min()) < 1
    assert float(ranges[hit].mean()) == pytest.approx(20.0, abs=1.0)
    torch.testing.assert_close(reflectance, torch.full_like(reflectance, 0.5))


def test_a_mixed_pixel_lies_between_both_sides_of_an_edge() -> None:
    x = torch.full((400, 2, 4, 30), 10.0)
    x[..., 10:20] = 14.0
    x[..., 20:] = 14.3  # a step of less than half a metre is none
    x[:, 1] = 0.5
    ranges, _ = seen(MixedPixels(0.6, code=CODE), TURN.to_model(x))
    moved = (ranges - x[:, 0]).abs() > 1e-3
    assert moved.any(0).any(0).nonzero().flatten().tolist() == [9], "the last sample before the edge"
    mixed = ranges[..., 9][moved[..., 9]]
    assert len(mixed) / 1600 == pytest.approx(0.6, abs=0.05)
    assert bool(((mixed >= 10) & (mixed <= 14.001)).all())
    assert float(mixed.mean()) == pytest.approx(12.0, abs=0.2) and float(mixed.std()) == pytest.approx(4 / 12**0.5, 0.1)


def test_a_sector_has_its_share_of_the_turn_and_a_place_of_its_own() -> None:
    mask = Sector(0.25)(wall(10.0, n=20), generator=rng()).mask
    assert mask is not None
    lost = ~mask[:, 0, 0]
    assert lost.sum(1).tolist() == [64] * 20
    assert bool((lost.int().diff(dim=1).abs().sum(1) <= 2).all()), "in one piece"
    assert len({int(row.int().argmax()) for row in lost}) > 10
    assert bool((mask == mask[:, :, :1]).all()), "in all rows"


def test_of_the_beams_every_kth_is_kept_from_a_row_on() -> None:
    for phase in (0, 1, 3):
        mask = Beams("16->64", phase=phase)(wall(10.0), generator=rng()).mask
        assert mask is not None
        assert mask[0, 0].all(1).nonzero().flatten().tolist() == [*range(phase, 16, 4)]
        assert mask[0, 0].any(1).sum() == 4


def test_echoes_are_lost_by_the_square_of_their_range() -> None:
    x = torch.cat([wall(10.0, n=40), wall(20.0, n=40)], dim=-1)
    mask = Drop(0.2, "range", ways={"range": lambda: ByRange(CODE)})(x, generator=rng()).mask
    assert mask is not None
    near, far = ((~part).float().mean() for part in mask.chunk(2, dim=-1))
    assert float(far / near) == pytest.approx(4.0, rel=0.1)


def test_surroundings_know_the_seam_of_a_turn_and_the_ends_of_rows() -> None:
    x = torch.zeros(1, 1, 3, 8)
    x[..., 7] = 0.4  # beside column 6, and beside column 0 across the seam
    step = surroundings(x, (False, True))[0, -1]
    assert (step[1] > 0).nonzero().flatten().tolist() == [0, 6, 7]
    x = torch.zeros(1, 1, 3, 8)
    x[:, :, 2] = 0.4
    assert (surroundings(x, (False, True))[0, -1, :, 0] > 0).tolist() == [False, True, True]


def test_a_gap_of_lost_echoes_is_at_most_so_long() -> None:
    there = torch.ones(1, 1, 1, 40, dtype=torch.bool)
    there[..., 5:13] = there[..., 20:29] = False  # of eight and of nine samples
    lost = lost_echoes(there, (False, False), longest=8)[0, 0, 0]
    assert lost.nonzero().flatten().tolist() == [*range(5, 13)]


def soft_target(alpha: float) -> tuple[float, float]:
    """The greatest response of endless fog over the range, and that range (Hahner et al. 2021, eq. 9 and 10)."""
    speed, pulse = 2.998e8, 20e-9

    def response(reach: float) -> float:
        def inside(time: float) -> float:
            r = reach - speed * time / 2
            overlap = min(max((r - 0.9) / 0.1, 0.0), 1.0)
            return math.sin(math.pi * time / (2 * pulse)) ** 2 * overlap * math.exp(-2 * alpha * r) / max(r, 0.5) ** 2

        return float(quad(inside, 0, 2 * pulse, limit=200, points=[2 * (reach - 1) / speed])[0])

    reaches = np.linspace(1.0, 10.0, 91)
    responses = [response(float(reach)) for reach in reaches]
    return max(responses), float(reaches[int(np.argmax(responses))])


@pytest.mark.parametrize("alpha", [0.02, 0.06])
def test_fog_hides_what_returns_less_than_the_fog_does(alpha: float) -> None:
    greatest, place = soft_target(alpha)
    factor = greatest * 0.046 * alpha / math.log(20) / (1e-6 / math.pi)  # MOR = ln 20 / alpha, beta = 0.046 / MOR
    reach = np.linspace(1, 200, 20_000)
    limit = float(reach[np.argmax(reach**2 * factor > np.exp(-2 * alpha * reach))])
    fog = Fog(alpha, code=CODE)
    before, clear = seen(fog, wall(0.95 * limit))
    assert float((before - 0.95 * limit).abs().max()) < 1e-2
    torch.testing.assert_close(
        clear, torch.full_like(clear, 0.5 * math.exp(-2 * alpha * 0.95 * limit)), atol=2e-4, rtol=1e-3
    )
    behind, hidden = seen(fog, wall(1.05 * limit))
    assert float(behind.mean()) == pytest.approx(place, rel=0.05)
    assert float(behind.std()) == pytest.approx(0.1 * place, rel=0.1)
    expected = 0.5 * factor * (1.05 * limit) ** 2
    torch.testing.assert_close(hidden, torch.full_like(hidden, expected), rtol=0.05, atol=2e-4)


def fall(drops: Drops, rate: float) -> tuple[Callable[[float], float], float]:
    """Drops of each diameter in mm, in 1/(m^3 mm), and what they take from a beam, in 1/m."""
    number, slope = drops.number * rate**drops.number_power, drops.slope * rate**drops.slope_power

    def law(diameter: float) -> float:
        return number * math.exp(-slope * diameter)

    taken = quad(lambda d: 2 * math.pi * (d * 1e-3) ** 2 / 4 * law(d), 0, 60 / slope)[0]
    return law, float(taken)


@pytest.mark.parametrize(("make", "kind", "rate"), [(Rain, "rain", 20.0), (Snow, "snow", 2.0)])
def test_rain_and_snow_weaken_and_blur_by_the_drops_that_fall(make, kind: str, rate: float) -> None:
    _, alpha = fall(DROPS[kind], rate)
    ranges, reflectance = seen(make(rate, code=CODE), wall(8.0, n=4, reflectance=0.9))
    usual = reflectance > 0.5  # not won by a drop
    assert float(usual.float().mean()) > 0.9
    expected = 0.9 * math.exp(-2 * alpha * 8.0)
    torch.testing.assert_close(reflectance[usual], torch.full_like(reflectance[usual], expected), rtol=1e-3, atol=0)
    power = expected / 8.0**2
    assert float(ranges[usual].std()) == pytest.approx(RESOLUTION / math.sqrt(2 * power / WEAKEST), rel=0.05)


def test_a_flake_wins_where_it_returns_more_than_what_stands_behind_it() -> None:
    rate, target, shade = 2.0, 40.0, 0.3
    drops = DROPS["snow"]
    law, alpha = fall(drops, rate)
    power = max(shade * math.exp(-2 * alpha * target) / target**2, WEAKEST)

    def winners(r: float) -> float:
        beam = 3e-3 * r
        least = beam * math.sqrt(power * r**2 * math.exp(2 * alpha * r) / drops.scatter) * 1e3  # mm
        return math.pi * (beam / 2) ** 2 * float(quad(law, least, least + 40)[0])

    mean = quad(winners, NEAREST, target)[0]
    near = quad(winners, NEAREST, 6.0)[0]
    ranges, _ = seen(Snow(rate, code=CODE), wall(target, n=40, reflectance=shade))
    won = ranges < 38
    assert float(won.float().mean()) == pytest.approx(1 - math.exp(-mean), rel=0.05)
    assert float((ranges[won] < 6.0).float().mean()) == pytest.approx(near / mean, abs=0.1)


def test_the_middle_of_a_turn_is_ahead_and_its_first_quarter_is_left() -> None:
    rays = directions(torch.zeros(1, dtype=torch.float64), 8)
    assert rays.shape == (3, 1, 8)
    turn = torch.rad2deg(torch.atan2(rays[1, 0], rays[0, 0]))
    torch.testing.assert_close(turn, torch.linspace(157.5, -157.5, 8, dtype=torch.float64))
    up = directions(torch.tensor([math.radians(30.0)], dtype=torch.float64), 4)
    torch.testing.assert_close(up[2], torch.full((1, 4), 0.5, dtype=torch.float64))
    torch.testing.assert_close(up.square().sum(0), torch.ones(1, 4, dtype=torch.float64))
    azimuth = torch.deg2rad(torch.tensor([179.9, 135.1, 134.9, 0.1, -0.1, -179.9]))
    xyz = torch.stack([azimuth.cos(), azimuth.sin(), torch.zeros(6)], -1)
    assert columns_of(xyz, 8).tolist() == [0, 0, 1, 3, 4, 7]


def test_rows_of_even_elevations_have_their_edges_where_they_are_stated() -> None:
    tilt = torch.deg2rad(torch.tensor([3.1, 2.9, -24.9, -25.1, -10.9, -11.1]))
    xyz = torch.stack([tilt.cos(), torch.zeros(6), tilt.sin()], -1)
    row, inside = spherical_rows(xyz, 4, math.radians(3.0), math.radians(-25.0))
    assert inside.tolist() == [False, True, True, False, True, True]
    assert row[inside].tolist() == [0, 3, 1, 2]


def test_clouds_are_compared_in_both_directions() -> None:
    rays = np.zeros((3, 1, 3))
    rays[0] = 1.0  # one beam behind the other, so that distances are differences
    truth = np.array([1.0, 5.0, np.nan]).reshape(1, 1, 1, 3)
    restored = np.array([1.0, 1.0, 7.0]).reshape(1, 1, 1, 3)
    # From the restored points 0 and 0 m, from the true ones 0 and 4 m.
    assert metrics.chamfer(restored, truth, 80.0, rays=rays) == pytest.approx([1.0])
    assert metrics.chamfer(restored, truth, 80.0, rays=rays, squared=True) == pytest.approx([4.0])
    truth, restored = np.array([0.05, 0.55, 0.95]), np.array([0.05, 0.25, 0.35])
    shared = metrics.voxel_iou(restored.reshape(1, 1, 1, 3), truth.reshape(1, 1, 1, 3), 80.0, rays=rays)
    assert shared == pytest.approx([1 / 5])


def test_shares_and_ratios_of_ranges() -> None:
    truth = np.array([[10.0, 10.0, 10.0, np.nan, 10.0], [2.0, 4.0, 5.0, 8.0, np.nan]]).reshape(2, 1, 5)
    restored = np.array([[10.05, 10.2, 13.0, 1.0, 7.0], [2.0, 4.0, 5.0, 8.0, 3.0]]).reshape(2, 1, 5)
    within = {name: metric.function(restored, truth, 80.0).tolist() for name, metric in metrics.WITHIN.items()}
    assert within == {"within_10cm": [0.25, 1.0], "within_30cm": [0.5, 1.0]}
    assert metrics.delta_1(restored, truth, 80.0).tolist() == [0.5, 1.0], "too far and too near by a quarter alike"
    assert metrics.abs_rel(restored, truth, 80.0) == pytest.approx([(0.005 + 0.02 + 0.3 + 0.3) / 4, 0.0])
    root = math.sqrt((0.05**2 + 0.2**2 + 3**2 + 3**2) / 4)
    assert metrics.range_rmse(restored, truth, 80.0) == pytest.approx([root, 0.0])


def test_of_what_was_flagged_some_is_wrong_and_of_what_is_wrong_some_was_flagged() -> None:
    flagged, wrong = np.zeros((1, 10), bool), np.zeros((1, 10), bool)
    flagged[0, :4], wrong[0, 3:5] = True, True
    found = {name: float(values[0]) for name, values in metrics.removal_scores(flagged, wrong).items()}
    assert found == pytest.approx({"precision": 1 / 4, "recall": 1 / 2, "f1": 1 / 3, "iou": 1 / 5})


def item(ranges: np.ndarray, code: RangeCode = CODE) -> np.ndarray:
    """A scan (1, beams) or turn (1, rows, columns) of these ranges, in model units."""
    return code.to_unit(torch.from_numpy(np.asarray(ranges, np.float64)))[None].numpy()


def metres(y: np.ndarray, code: RangeCode = CODE) -> np.ndarray:
    found: np.ndarray = code.to_range(torch.from_numpy(y[0])).numpy()
    return found


def test_lines_are_straight_in_the_encoding_that_they_are_named_after() -> None:
    ranges = np.full(9, 3.0)
    ranges[8] = 24.0
    mask = np.zeros((1, 9), bool)
    mask[0, [0, 8]] = True
    for encoding, middle in (("linear", 13.5), ("log", 9.0), ("inverse", 1 / ((1 / 4 + 1 / 25) / 2) - 1)):
        method = Interpolation(encoding, (1.0,), CODE, encoding, (False,))
        found = metres(method.restore(item(ranges), mask, 1.0))
        assert found[4] == pytest.approx(middle, rel=1e-5), encoding  # in the logarithm of 1 + r: sqrt(4 * 25) - 1


def test_the_nearest_sample_fills_a_gap_also_across_the_seam() -> None:
    ranges, mask = np.arange(1.0, 11.0), np.ones((1, 10), bool)
    mask[0, [0, 4, 5, 6]] = False
    closed, opened = (Nearest("nearest", (1.0,), (wraps,)).restore(item(ranges), mask, 1.0) for wraps in (True, False))
    assert metres(closed)[[4, 6]] == pytest.approx([4.0, 8.0])
    assert metres(closed)[0] in (pytest.approx(2.0), pytest.approx(10.0))
    assert metres(opened)[0] == pytest.approx(2.0)


def test_filters_of_turns_go_on_across_the_seam() -> None:
    turn = np.full((3, 12), 5.0)
    turn[1, 0] = 5.2
    rolled = np.roll(turn, 6, axis=1)
    for method, strength in (
        (Median("median", (3.0,), (False, True)), 3.0),
        (Bilateral("bilateral", (0.2,), CODE, (False, True)), 0.2),
        (Despiked("despiked", (0.1,), CODE, (False, True)), 0.1),
    ):
        here, there = (method.restore(item(some), None, strength) for some in (turn, rolled))
        np.testing.assert_allclose(np.roll(here, 6, axis=2), there, atol=1e-6, err_msg=method.name)
    edge = np.where(np.arange(40) < 20, 5.0, 8.0) + 0.02 * np.random.default_rng(0).normal(size=40)
    smooth = metres(Bilateral("bilateral", (0.1,), CODE, (False,)).restore(item(edge), None, 0.1))
    level = np.where(np.arange(40) < 20, 5.0, 8.0)
    assert np.std(smooth - level) < 0.6 * np.std(edge - level), "noise of 2 cm goes, a step of 3 m stays"
    offset = np.where(np.arange(40) == 20, 0.3, 0.0) + 5.0
    kept, gone = (
        metres(Bilateral("b", (1.0,), CODE, (False,)).restore(item(offset), None, s))[20] for s in (0.05, 2.0)
    )
    assert kept == pytest.approx(5.3, abs=1e-3) and gone < 5.1, "the strength is in metres"


def test_a_spike_is_rejected_by_metres() -> None:
    ranges = np.linspace(5.0, 6.0, 40)
    ranges[20] += 0.4
    for strength, rejected in ((0.2, True), (0.6, False)):
        found = metres(Despiked("despiked", (strength,), CODE, (False,)).restore(item(ranges), None, strength))
        assert (abs(found[20] - np.linspace(5.0, 6.0, 40)[20]) < 0.01) == rejected


def test_outliers_are_those_of_the_distances_that_define_them() -> None:
    line = np.column_stack([np.arange(20.0), np.zeros(20), np.zeros(20)])
    points = np.concatenate([line, [[30.0, 0.0, 0.0]]])
    assert outliers.ror(points, 1.5, least=1).nonzero()[0].tolist() == [20]
    assert outliers.ror(points, 1.5, least=2).nonzero()[0].tolist() == [0, 19, 20]  # an end has one neighbour so near
    distance = np.array([2.0, *[4 / 3] * 18, 2.0])  # of three neighbours: 1, 2, 3; and 1, 1, 2 within the line
    distance[[1, 18]] = 4 / 3
    distance = np.append(distance, 12.0)
    limit = distance.mean() + 0.5 * distance.std()
    assert outliers.sor(points, 0.5, neighbours=3).tolist() == (distance > limit).tolist()
    assert outliers.sor(points, 2 * 0.99 * (12.0 - distance.mean()) / distance.std() / 2, neighbours=3)[20]
    assert not outliers.sor(points, 1.01 * (12.0 - distance.mean()) / distance.std(), neighbours=3).any()
    limit = (distance.mean() + 0.01 * distance.std()) * 0.2 * np.linalg.norm(points, axis=1)
    assert outliers.dsor(points, 0.2, neighbours=3).tolist() == (distance > limit).tolist()
    assert 0 < outliers.dsor(points, 0.2, neighbours=3).sum() < 21


def test_divergences_of_turns_are_in_the_units_that_are_stated() -> None:
    a, b = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert jensen_shannon(a, b) == pytest.approx(math.sqrt(math.log(2)))
    assert maximum_mean_discrepancy(a[None], b[None]) == pytest.approx(2 - 2 * math.exp(-2 / (2 * 0.5**2)))
    near, far = (np.full((2, 1, 16, 64), ranges) for ranges in (8.0, 60.0))
    level = (0.0,) * 16  # as high as the sensor: the grid ends 4 m above and below it
    found = judge(near, far, level, 80.0)
    assert found["jsd[dusty]"]["mean"] == pytest.approx(1.0) and found["jsd[dusty]"]["unit"] == "bit"
    half = judge(np.concatenate([near[:1], far[:1]]), far, level, 80.0)["jsd[dusty]"]["mean"]
    expected = 0.5 * (math.log2(1 / 0.75) + 0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(0.5 / 0.25))
    assert half == pytest.approx(expected, abs=1e-6)
