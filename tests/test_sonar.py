"""Sonar: the simulator, degradations against their laws, despecklers against their formulas, measures, items and splits."""

from __future__ import annotations

import json
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from domains.sonar import Sonar, anomaly, baselines, metrics, report, sources, views
from domains.sonar.__main__ import classes, measure
from domains.sonar.classifier import augmentation_gain, recalls, tensors, train_classifier
from domains.sonar.frames import flaw, outside_fan, starts, windows
from domains.sonar.gain import BeamPattern, CrossTalk, LogCompression, Stripes, TVGError
from domains.sonar.motion import Ghost, LostLines, Smear
from domains.sonar.scaling import to_amplitude, to_model
from domains.sonar.simulator import CLASSES, Scene, simulate
from domains.sonar.speckle import GammaSpeckle, RangeNoise, RayleighSpeckle
from vaegan.data import SPLITS, SignalSet
from vaegan.degradation import build
from vaegan.domain import Recording
from vaegan.errors import DataError, UserError
from vaegan.models import LarsenConfig
from vaegan.run import Run
from vaegan.testing import check_degradation, check_domain

TINY = Sonar(size=16)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(level: float, n: int = 400, batch: int = 1) -> torch.Tensor:
    """Even amplitude, in model units of the scaling amplitude."""
    return torch.full((batch, 1, n, n), 2 * level - 1)


def amplitude(x: torch.Tensor) -> torch.Tensor:
    return (x + 1) / 2


def test_the_domain_keeps_its_contract() -> None:
    failed = [check for check in check_domain(TINY) if not check.passed]
    assert not failed, failed
    groups = [set(TINY.dataset(split).groups.tolist()) for split in SPLITS]
    assert sum(len(g) for g in groups) == len(set.union(*groups)) == 200


@pytest.mark.parametrize("scaling", ["power", "log"])
def test_every_degradation_keeps_its_contract_in_every_scaling(scaling) -> None:
    domain = Sonar(size=16, scaling=scaling)
    for name, make in domain.degradations().items():
        check_degradation(make(), domain.spec, batches=(2,), dtypes=(torch.float32,))
        assert build(name, domain.degradations()) is not None


@pytest.mark.parametrize("scaling", ["amplitude", "power", "log"])
def test_scalings_are_undone(scaling) -> None:
    u = torch.linspace(0, 1, 101)
    m = to_model(u, scaling)
    assert (float(m[0]), float(m[-1])) == (-1.0, pytest.approx(1.0, abs=1e-6))
    assert bool((m.diff() > 0).all())
    torch.testing.assert_close(to_amplitude(m, scaling), u, atol=1e-6, rtol=0)
    with pytest.raises(UserError, match="scaling 'linear'; expected one of amplitude, power, log"):
        Sonar(scaling="linear")  # type: ignore[arg-type]


@pytest.mark.parametrize("looks", [1.0, 4.0, 10.0])
def test_speckle_has_its_looks(looks) -> None:
    y = amplitude(GammaSpeckle(looks, clip=False)(flat(0.3), generator=rng()).y) / 0.3
    assert float(y.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(y.var()) == pytest.approx(1 / looks, rel=0.03)
    third = float(((y - 1) ** 3).mean()) * looks**1.5
    assert third == pytest.approx(2 / math.sqrt(looks), rel=0.1)  # the skewness of a gamma law
    clipped = amplitude(GammaSpeckle(1.0)(flat(0.8), generator=rng()).y)
    assert float(clipped.max()) == 1.0
    with pytest.raises(UserError, match="looks"):
        GammaSpeckle(0.0)


def test_speckle_does_not_depend_on_the_scaling() -> None:
    u = torch.rand((2, 1, 8, 8), generator=rng(1))
    seen = [
        to_amplitude(GammaSpeckle(4.0, scaling=s)(to_model(u, s), generator=rng()).y, s)
        for s in ("amplitude", "power", "log")
    ]
    torch.testing.assert_close(seen[0], seen[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[0], seen[2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("scaling", ["amplitude", "power", "log"])
def test_gradients_pass_through_degradations_even_where_it_is_dark(scaling) -> None:
    """What an ambient objective trains through: a generator may well draw exact zeros."""
    domain = Sonar(size=16, scaling=scaling)
    for name, make in domain.degradations().items():
        x = torch.full((1, 1, 16, 16), -1.0)
        x[..., 8:] = 0.3
        x.requires_grad_()
        make()(x, generator=rng()).y.sum().backward()
        assert x.grad is not None and bool(torch.isfinite(x.grad).all()), name
    assert bool(to_model(torch.tensor(float("nan")), scaling).isnan())


def test_rayleigh_has_unit_mean_and_its_spread() -> None:
    y = amplitude(RayleighSpeckle(1.0, clip=False)(flat(0.3), generator=rng()).y) / 0.3
    assert float(y.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(y.var()) == pytest.approx(4 / math.pi - 1, rel=0.03)


def test_additive_noise_grows_with_range() -> None:
    y = amplitude(RangeNoise(0.2)(flat(0.2), generator=rng()).y)[0, 0]
    near, far = y[:40], y[-40:]
    assert float(far.mean()) > float(near.mean()) + 0.05
    # s (r / r_max)^2 (1 + c in the middle beams, 1 at the edges) R / 2, of which R has the mean sqrt(pi / 2).
    noise = RangeNoise(0.2, centre=3.0, clip=False)(flat(0.2, batch=8), generator=rng()).y
    added = amplitude(noise).mean((0, 1)) - 0.2
    most = 0.2 * math.sqrt(math.pi / 2) / 2
    halfway, end = slice(190, 210), slice(380, 400)
    assert float(added[halfway, :20].mean()) == pytest.approx(most / 4, rel=0.1)
    assert float(added[end, :20].mean()) == pytest.approx(most * 0.95, rel=0.1)
    assert float(added[end, halfway].mean()) == pytest.approx(4 * most * 0.95, rel=0.1)


def test_gain_errors_have_their_size() -> None:
    y = amplitude(TVGError(20.0, clip=False)(flat(0.05), generator=rng()).y)[0, 0, :, 0]
    assert 20 * math.log10(float(y[-1] / y[0])) == pytest.approx(20.0, abs=1e-3)
    assert float(y[0] * y[-1]) == pytest.approx(0.05**2, rel=1e-4), "as much is lost near as is gained far"
    striped = amplitude(Stripes(0.2, clip=False)(flat(0.1), generator=rng()).y)[0, 0]
    assert float(striped.std(dim=1).max()) < 1e-6
    assert float(striped[:, 0].std()) / 0.1 == pytest.approx(0.2, rel=0.15)
    shown = amplitude(LogCompression(10.0)(flat(0.25), generator=rng()).y)
    assert float(shown.mean()) == pytest.approx(round(255 * math.log(3.5) / math.log(11)) / 255)


def test_a_beam_pattern_takes_its_depth_from_the_outermost_beams() -> None:
    y = amplitude(BeamPattern(8.0, clip=False)(flat(0.4, n=101, batch=500), generator=rng()).y)
    lost = -20 * torch.log10(y / 0.4)
    assert float(lost.std(dim=2).max()) < 1e-4, "each range alike"
    beams = lost[:, 0, 0].mean(0)  # the ripple has random phases: its mean is 0
    torch.testing.assert_close(beams, 8 * torch.linspace(-1, 1, 101) ** 2, atol=0.4, rtol=0)
    assert float((lost[:, 0, 0] - beams).abs().max()) < 8 / 2 + 0.4


def test_cross_talk_grows_with_range_along_few_beams() -> None:
    n = 300
    y = amplitude(CrossTalk(0.4, share=0.1, clip=False)(flat(0.0, n=n, batch=20), generator=rng()).y)[:, 0]
    hit = (y > 0).any(1)
    assert float(hit.float().mean()) == pytest.approx(0.1, abs=0.02)
    spokes = y.movedim(1, 2)[hit]
    expected = 0.4 * (0.3 + 0.7 * torch.linspace(0, 1, n)) * math.sqrt(math.pi / 2) / 2
    for part in (slice(0, 30), slice(270, 300)):
        assert float(spokes[:, part].mean()) == pytest.approx(float(expected[part].mean()), rel=0.05)
    rows = CrossTalk(0.4, share=0.1, along="rows", clip=False)(flat(0.0, n=n), generator=rng()).y[0, 0]
    assert bool(((rows > -1).any(1) == (rows[:, 1:] > -1).all(1)).all()), "a ping is hit as a whole"


def test_a_range_of_looks_is_drawn_evenly_in_their_inverse() -> None:
    y = amplitude(GammaSpeckle((1.0, 10.0), clip=False)(flat(0.3, n=32, batch=1500), generator=rng()).y) / 0.3
    variance = y.var(dim=(1, 2, 3))
    assert float(variance.mean()) == pytest.approx((1 + 0.1) / 2, abs=0.02)
    assert float((variance < 0.325).float().mean()) == pytest.approx(0.25, abs=0.03)


def test_half_of_an_amount_of_speckle_is_half_of_its_spread() -> None:
    y = amplitude(RayleighSpeckle(0.5, clip=False)(flat(0.3), generator=rng()).y) / 0.3
    assert float(y.std()) == pytest.approx(0.5 * math.sqrt(4 / math.pi - 1), rel=0.03)


def test_lost_lines_are_marked() -> None:
    for along in ("rows", "columns"):
        measured = LostLines(0.3, along=along)(flat(0.5, batch=4), generator=rng())
        assert measured.mask is not None
        lost = ~measured.mask
        assert 0.15 < float(lost.float().mean()) < 0.35
        assert bool((measured.y[lost] == -1).all() and (measured.y[~lost] == 0).all())
        whole = lost.all(dim=-1 if along == "rows" else -2)
        assert torch.equal(whole, lost.any(dim=-1 if along == "rows" else -2))
    assert LostLines(0.3, marked=False)(flat(0.5), generator=rng()).mask is None
    with pytest.raises(UserError, match="along=beams"):
        LostLines(0.3, along="beams")  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.3, 0.6, 0.9])
def test_the_share_of_lost_lines_is_what_is_lost(share: float) -> None:
    measured = LostLines(share)(torch.zeros(3000, 1, 64, 2), generator=rng())
    assert measured.mask is not None
    lost = (~measured.mask).float().mean(dim=(0, 1, 3))
    assert float(lost.mean()) == pytest.approx(share, abs=0.005)
    assert float(lost[:3].mean()) == pytest.approx(share, abs=0.03), "at the edge as often"


def test_ghosts_come_later_and_smears_keep_the_mean() -> None:
    u = torch.zeros(1, 1, 40, 20)
    u[0, 0, 5, 9] = 1.0
    ghost = amplitude(Ghost(0.5)(2 * u - 1, generator=rng()).y)
    rows = ghost[0, 0, :, 9].nonzero().flatten().tolist()
    assert rows[0] == 5 and len(rows) == 2 and 4 <= rows[1] - 5 <= 16
    assert float(ghost[0, 0, rows[1], 9]) == pytest.approx(0.5, abs=1e-6)
    smeared = amplitude(Smear(5.0)(2 * u - 1, generator=rng()).y)[0, 0]
    assert float(smeared.sum()) == pytest.approx(1.0, abs=1e-4)
    assert int((smeared[5] > 0.1).sum()) == 5
    down = amplitude(Smear(5.0, along="rows")(2 * u - 1, generator=rng()).y)[0, 0]
    assert int((down[:, 9] > 0.1).sum()) == 5 and int((down > 1e-6).sum()) == 5
    weak = amplitude(Ghost(0.2)(2 * u - 1, generator=rng()).y)
    assert float(weak[0, 0, rows[1], 9]) == pytest.approx(0.2, abs=1e-6)


def test_despecklers_are_their_formulas() -> None:
    y = np.random.default_rng(0).gamma(4.0, 0.25, (31, 29)) * 0.4
    noise, at = 0.5, (15, 14)
    cut = y[at[0] - 3 : at[0] + 4, at[1] - 3 : at[1] + 4]
    mean, variance = cut.mean(), cut.var()
    signal = max(variance - noise**2 * mean**2, 0) / (1 + noise**2)
    expected_lee = mean + signal / (signal + noise**2 * mean**2) * (y[at] - mean)
    assert baselines.lee(y, noise)[at] == pytest.approx(expected_lee, rel=1e-6)
    relative = variance / mean**2
    kuan = mean + max(0, 1 - noise**2 / relative) / (1 + noise**2) * (y[at] - mean)
    assert baselines.kuan(y, noise)[at] == pytest.approx(kuan, rel=1e-6)
    i, j = np.mgrid[-3:4, -3:4]
    weights = np.exp(-2.0 * relative * np.hypot(i, j))
    assert baselines.frost(y, 2.0)[at] == pytest.approx((weights * cut).sum() / weights.sum(), rel=1e-6)


def test_every_despeckler_helps_on_even_ground() -> None:
    noisy = GammaSpeckle(4.0)(flat(0.4, 48), generator=rng()).y
    mask = np.ones((1, 48, 48), dtype=bool)
    mask[:, :4] = False
    error = float((noisy - flat(0.4, 48)).square().mean())
    own = {"lee", "kuan", "frost", "log-wavelet", "log-nlm", "log-tv"}
    methods = baselines.despecklers(Sonar(size=48).spec, "amplitude")
    assert own <= set(methods)
    for name in sorted(own | ({"log-bm3d"} & set(methods))):
        restored = methods[name].restore(noisy[0].numpy(), mask, methods[name].strengths[-2])
        assert restored.shape == (1, 48, 48) and np.isfinite(restored).all()
        assert float(np.square(restored + 0.2).mean()) < 0.6 * error, name


def test_measures_of_known_pictures() -> None:
    generator = np.random.default_rng(0)
    x = generator.random((2, 1, 24, 24))
    values = metrics.epi(np.stack([x[0], -x[1]]), x, 1.0)
    assert values == pytest.approx([1.0, -1.0])
    gap = x.copy()
    gap[0, 0, :8] = np.nan
    assert metrics.epi(x, gap, 1.0)[0] == pytest.approx(1.0)
    assert np.isnan(metrics.epi(x[:1], np.full((1, 1, 24, 24), 0.3), 1.0)[0])
    speckle = generator.gamma(4.0, 0.25, (256, 256))
    assert metrics.enl(speckle) == pytest.approx(4.0, rel=0.05)
    ratio = metrics.ratio_statistics(np.full((256, 256), 0.5), 0.5 * speckle)
    assert ratio["mean"] == pytest.approx(1.0, abs=0.01)
    assert ratio["variance"] == pytest.approx(0.25, rel=0.05)
    assert ratio["structure"] < 0.02
    edge = np.where(np.arange(256) < 128, 0.2, 0.8)[None] * np.ones((256, 1))
    assert metrics.ratio_statistics(np.full((256, 256), 0.5), edge * speckle)["structure"] > 0.3
    assert metrics.ssi(0.5 * speckle + 0.5, speckle) == pytest.approx(0.5, rel=1e-3)
    assert metrics.smpi(speckle, speckle) == pytest.approx(1.0)
    left = edge < 0.5
    assert metrics.cnr(edge + 0.1 * generator.standard_normal(edge.shape), ~left, left) == pytest.approx(
        0.6 / math.sqrt(0.02), rel=0.05
    )
    rough = 0.1 * (np.arange(64) % 9) * np.ones((64, 1))
    even = 0.5 + 0.01 * generator.standard_normal((64, 64))
    place = metrics.homogeneous(np.where(np.arange(64)[:, None] < 32, even, rough))
    assert place[0][0].stop <= 32, "the even half is the homogeneous one"


def test_measures_know_what_does_not_count() -> None:
    generator = np.random.default_rng(0)
    x = generator.random((1, 1, 24, 24))
    slope = 0.3 * np.square(np.arange(24))[:, None]
    assert metrics.epi(x + slope, x, 1.0) == pytest.approx([1.0]), "an even curvature is no edge"
    speckle = generator.gamma(4.0, 0.25, (256, 256))
    assert metrics.ssi(0.5 * speckle, speckle) == pytest.approx(1.0), "all darker is not smoother"
    assert metrics.smpi(speckle + 0.3 * speckle.mean(), speckle) == pytest.approx(1.3)
    # Alike along columns, opposite along rows: neither is speckle, and they do not cancel.
    stripes = np.where(np.arange(64) % 2, 0.9, 1.1) * np.ones((64, 1))
    assert metrics.ratio_statistics(np.full((64, 64), 0.5), 0.5 * stripes)["structure"] == pytest.approx(1.0, rel=0.01)


def test_a_bright_thing_is_the_target_and_what_it_hides_the_shadow() -> None:
    picture = 0.4 + 0.02 * np.random.default_rng(0).standard_normal((80, 80))
    picture[20:32, 20:32], picture[50:62, 20:32] = 0.9, 0.05
    target, shadow = metrics.target_and_shadow(picture)
    assert target[20:32, 20:32].any() and not target[40:].any()
    assert shadow[50:62, 20:32].any() and not shadow[:40].any()


def test_of_a_record_both_what_was_observed_and_what_became_of_it_are_measured() -> None:
    observed = 0.3 * np.random.default_rng(0).gamma(4.0, 0.25, (96, 96))
    observed[20:32, 20:32], observed[50:62, 20:32] = 0.9, 0.01
    restored = observed.mean() + 0.5 * (observed - observed.mean())
    restored[20:32, 20:32], restored[50:62, 20:32] = 0.9, 0.01
    found = metrics.without_truth(restored, observed)
    assert found["enl_observed"] == pytest.approx(4.0, rel=0.3)
    assert found["enl"] > 3 * found["enl_observed"]
    assert found["cnr"] > 1.02 * found["cnr_observed"]


def test_log_filters_keep_the_mean_and_fill_gaps_with_what_is_nearest() -> None:
    y = 0.3 * np.random.default_rng(0).gamma(1.0, 1.0, (48, 48))
    for denoise, strength in ((baselines._tv, 0.5), (baselines._nlm, 0.7)):
        assert baselines.in_log(denoise, y, strength).mean() == pytest.approx(y.mean())
    methods = baselines.despecklers(Sonar(size=48).spec, "amplitude", slow=False)
    even, mask = np.full((1, 48, 48), 2 * 0.3 - 1.0), np.ones((1, 48, 48), dtype=bool)
    mask[:, 10:16] = False
    even[~mask] = -1.0  # as a lost ping is recorded
    for name in ("lee", "kuan", "frost", "log-tv", "median", "nlm"):
        restored = methods[name].restore(even, mask, methods[name].middle)
        np.testing.assert_allclose(restored, 2 * 0.3 - 1.0, atol=0.02, err_msg=name)


def test_the_simulator_shadows_what_it_lights() -> None:
    frames, labels = simulate(25, Scene(size=48))
    assert frames.shape == (25, 48, 48) and frames.min() >= 0 and frames.max() <= 1
    assert sorted(set(labels.tolist())) == list(range(len(CLASSES)))
    np.testing.assert_array_equal(frames, simulate(25, Scene(size=48))[0])
    box = frames[labels == CLASSES.index("box")]
    bottom = frames[labels == CLASSES.index("bottom")]
    dark = [(frame < 0.1 * np.median(frame)).mean() for frame in box]
    assert np.median(dark) > 0.005 > max((frame < 0.1 * np.median(frame)).mean() for frame in bottom)
    noisy = simulate(5, Scene(size=48, looks=4.0))[0]
    assert noisy.std() > frames[:5].std()


def test_a_fan_is_known_by_its_outside() -> None:
    polar = np.full((60, 40), 0.4)
    picture = np.nan_to_num(views.fan(polar, rows=80))
    picture[40:44, picture.shape[1] // 2] = 0.0  # a shadow inside
    outside = outside_fan(picture)
    assert outside[0, 0] and not outside[40:44, picture.shape[1] // 2].any()
    assert not outside_fan(polar).any()
    assert views.waterfall(np.arange(12.0).reshape(2, 1, 2, 3)).tolist()[0] == [2, 1, 0, 6, 7, 8]
    assert views.thumbnail(np.ones((5000, 700))).shape == (500, 350)


def test_windows_share_no_sample() -> None:
    assert starts(100, 64) == [18] and starts(40, 64) == [0] and starts(200, 64) == [0, 68, 136]
    echo = np.arange(1.0, 130 * 40 + 1).reshape(130, 40).astype(np.float32)
    cuts = windows(echo, 64)
    assert cuts.shape == (2, 64, 64)
    np.testing.assert_array_equal(cuts[1][:, :40], echo[66:])
    assert np.isnan(cuts[:, :, 40:]).all()
    seen = cuts[np.isfinite(cuts)]
    assert len(seen) == len(set(seen.tolist())), "a sample lies in two windows"
    assert flaw(np.zeros((4, 4))) == "is zero everywhere"
    assert "saturated" in flaw(np.ones((4, 4)))


def folder_of_classes(root: Path) -> Path:
    generator = np.random.default_rng(0)
    for k, name in enumerate(("can", "hook", "tire")):
        (root / name).mkdir(parents=True)
        for i in range(6):
            levels = generator.integers(1, 60 * (k + 1), (24, 20 + i)).astype(np.uint8)
            Image.fromarray(levels).save(root / name / f"{i}.png")
    return root


def test_folders_are_classes_and_files_stay_whole(tmp_path: Path) -> None:
    root = folder_of_classes(tmp_path)
    domain = Sonar(root, size=8)
    items = domain.everything()
    assert items.class_names == ("can", "hook", "tire")
    assert len(set(items.groups.tolist())) == 18 < len(items)
    held = [set(domain.dataset(split).groups.tolist()) for split in SPLITS]
    assert not held[0] & held[1] and not held[0] & held[2] and not held[1] & held[2]
    assert {name.split("/")[0] for name in held[2]} == {"can", "hook", "tire"}
    new = Sonar(root, size=8, novel="hook")
    assert not any(name.startswith("hook") for name in (*new.dataset("train").groups, *new.dataset("val").groups))
    test = new.dataset("test")
    assert int(new.novel_in(test).sum()) == int((items.labels == 1).sum())
    assert set(Sonar(root, size=8, include="t*").everything().class_names) == {"tire"}
    assert len(Sonar(root, size=8, fit="resize").everything()) == 18
    with pytest.raises(UserError, match="no class ship; expected some of can, hook, tire"):
        Sonar(root, size=8, novel="ship").dataset("train")
    with pytest.raises(DataError, match="no file of echoes that matches 'x'"):
        Sonar(root, size=8, include="x").everything()


def test_useless_frames_are_named(tmp_path: Path) -> None:
    root = folder_of_classes(tmp_path)
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(root / "can" / "black.png")
    with pytest.raises(DataError, match=r"can/black.png \(is zero everywhere\)"):
        Sonar(root, size=16).everything()
    with pytest.warns(UserWarning, match=r"black.png is zero everywhere"):
        Sonar(root).read(root / "can" / "black.png")
    for i in range(30):
        levels = np.random.default_rng(i).integers(1, 200, (24, 24)).astype(np.uint8)
        Image.fromarray(levels).save(root / "tire" / f"more{i}.png")
    assert [item.name for item in Sonar(root, size=16).everything().skipped] == ["can/black.png"]


def test_a_useless_frame_does_not_condemn_its_file(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(1, 200, (40, 16, 16)).astype(np.uint8)
    frames[7] = 0
    np.save(tmp_path / "survey.npy", frames)
    items = Sonar(tmp_path, size=16).everything()
    assert len(items) == 39
    assert [(item.name, item.reason) for item in items.skipped] == [("survey.npy#7", "is zero everywhere")]
    np.save(tmp_path / "black.npy", np.zeros((40, 16, 16), np.uint8))
    with pytest.raises(DataError, match=r"1 of 2 sources are corrupt: black.npy \(is zero everywhere\)"):
        Sonar(tmp_path, size=16).everything()


def test_a_survey_is_not_held_many_times_over(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for k in range(40):
        np.save(tmp_path / f"{k}.npy", generator.integers(1, 200, (256, 256)).astype(np.uint8))
    found = sources.find_sources(tmp_path, "*")
    tracemalloc.start()
    read = sources._read_all(found, 64, "windows")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read["signals"].shape == (640, 1, 64, 64) and read["signals"].dtype == np.float32
    assert peak < 1.2 * read["signals"].nbytes, "the samples, and little more than one file of them"


def test_a_long_file_is_reported_by_its_first_pings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_SAMPLES", 2000)
    generator = np.random.default_rng(0)
    for name, shape in (("long", (3, 300, 20)), ("short", (1, 30, 20))):
        np.save(tmp_path / f"{name}.npy", generator.integers(1, 200, shape).astype(np.uint8))
    names = np.asarray(["long.npy", "short.npy"])
    test = SignalSet(np.zeros((2, 1, 16, 16), np.float32), names)
    seen = []
    report.sections(test, tmp_path, lambda recording: seen.append(recording) or recording)
    assert [recording.signals.shape for recording in seen] == [(1, 1, 100, 20), (1, 1, 30, 20)]
    whole = Sonar().read(tmp_path / "long.npy").signals
    np.testing.assert_array_equal(seen[0].signals, whole[:1, :, :100])


def test_every_channel_is_measured(tmp_path: Path) -> None:
    speckled = np.random.default_rng(0).gamma(4.0, 20.0, (3, 40, 40)).clip(1, 255)
    speckled[2] = speckled[2] ** 2 / 255
    np.save(tmp_path / "three.npy", speckled.astype(np.uint8))
    np.save(tmp_path / "one.npy", speckled[0].astype(np.uint8))
    domain = Sonar()

    def half(recording: Recording) -> SimpleNamespace:
        return SimpleNamespace(recording=recording.with_signals(recording.signals / 2))

    run = cast(Run, SimpleNamespace(domain=domain, restore=half))
    one, three = tmp_path / "one.npy", tmp_path / "three.npy"
    found = measure(run, [three, one])
    assert list(found) == [*(f"{three}#{k}" for k in range(3)), str(one)]
    assert all(values["ratio_mean"] == pytest.approx(2.0, rel=1e-3) for values in found.values())
    assert found[f"{three}#0"] == found[str(one)]
    assert found[f"{three}#2"]["enl_observed"] < found[f"{three}#0"]["enl_observed"]
    gappy = np.where(np.arange(3)[:, None, None] == 1, 0, speckled).astype(np.uint8)
    np.savez(three.with_suffix(".npz"), echo=gappy)
    with pytest.warns(UserWarning, match="three.npz#1 is left out: no window"):
        assert len(measure(run, [three.with_suffix(".npz")])) == 2
    np.save(one, np.zeros((40, 40), np.uint8))
    with pytest.raises(DataError, match=r"one.npy: no window"):
        measure(run, [one])


def test_novel_frames_stand_out_and_the_area_is_right() -> None:
    assert anomaly.auc(np.array([0.1, 0.2]), np.array([0.3, 0.4])) == 1.0
    assert anomaly.auc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    torch.manual_seed(0)
    sizes = {"latent": 4, "width": 4, "decoder_width": 4, "discriminator_width": 4, "depth": 2, "hidden": 8}
    config = LarsenConfig(**sizes, discriminator_hidden=8, norm="group", discriminator_norm="none")
    model = config.build(TINY.spec).eval()
    usual = 0.2 * torch.randn((60, 1, 16, 16), generator=rng())
    strange = usual[:20].clone()
    strange[:, :, 4:10, 4:10] += 1.5
    found = anomaly.evaluate(model, usual[:40], usual[40:], strange)
    assert found["nearest"] > 0.9 and found["density"] > 0.9
    assert found["nearest-amplitudes"] > 0.9
    normal = anomaly.learn_normal(model, usual[:40])
    maps = anomaly.maps(model, strange, None, normal)
    assert set(maps) == {"reconstruction", "difference", "density"}
    inside = maps["density"][:, :, 4:10, 4:10].mean()
    assert float(inside) > float(maps["density"].mean())
    assert 0 <= found["pca-4"] <= 1
    assert set(anomaly.maps(model, strange)) == {"reconstruction"}


def test_what_a_score_map_is_in_units_of(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    sizes = {"latent": 4, "width": 4, "decoder_width": 4, "discriminator_width": 4, "depth": 2, "hidden": 8}
    model = LarsenConfig(**sizes, discriminator_hidden=8, norm="group", discriminator_norm="none").build(TINY.spec)
    y = 0.2 * torch.randn((12, 1, 16, 16), generator=rng())
    normal = anomaly.learn_normal(model.eval(), y)
    one, other = (
        anomaly.maps(model, y, None, replace(normal, variances=torch.full_like(normal.variances, variance)))
        for variance in (1.0, 4.0)
    )
    torch.testing.assert_close(other["difference"], one["difference"] / 4, rtol=1e-4, atol=0)
    monkeypatch.setattr(model, "decode", lambda z, context: torch.zeros_like(y))
    even, mask = torch.full_like(y, 0.5), torch.ones_like(y, dtype=torch.bool)
    mask[..., :8] = False
    found = anomaly.maps(model, even)["reconstruction"]
    torch.testing.assert_close(found, torch.full_like(found, 0.25), msg="up to the border")
    seen = anomaly.maps(model, even, mask)["reconstruction"]
    assert float(seen[..., :6].abs().max()) == 0, "where nothing was observed nothing is strange"
    assert float(seen[..., 10:].min()) == pytest.approx(0.25)


def test_principal_components_are_those_of_the_training_frames() -> None:
    generator = np.random.default_rng(0)
    train = 1.0 + generator.normal(size=(30, 2)) @ generator.normal(size=(2, 25))
    train = train.reshape(30, 1, 5, 5)
    assert anomaly.pca_scores(train, train[:5], 2) == pytest.approx(np.zeros(5), abs=1e-20)
    darker = anomaly.pca_scores(train, np.zeros((3, 1, 5, 5)), 2)
    assert (darker > 0.1).all() and darker == pytest.approx([darker[0]] * 3)


def test_the_score_of_a_frame_does_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    sizes = {"latent": 4, "width": 4, "decoder_width": 4, "discriminator_width": 4, "depth": 2, "hidden": 8}
    config = LarsenConfig(**sizes, discriminator_hidden=8, norm="group", discriminator_norm="none")
    model = config.build(TINY.spec).eval()
    usual = 0.2 * torch.randn((40, 1, 16, 16), generator=rng())
    normal = anomaly.learn_normal(model, usual[10:])
    loud = torch.cat([usual[:1], 3.0 * usual[1:10]])
    alone, among = anomaly.scores(model, usual[:1], normal), anomaly.scores(model, loud, normal)
    assert set(alone) == {"reconstruction", "difference", "density", "nearest"}
    for name, values in alone.items():
        assert among[name][0] == pytest.approx(values[0], rel=1e-4), name
    layers = [layer for layer in model.judge(usual).features if layer.ndim == 4]
    expected = torch.stack([layer.var() for layer in layers])
    torch.testing.assert_close(anomaly.learn_normal(model, usual, batch=7).variances, expected, rtol=1e-3, atol=0)


def test_a_classifier_learns_the_classes_in_seconds() -> None:
    domain = Sonar(size=16)
    train, test = (tensors(domain.dataset(split), domain.to_model) for split in ("train", "test"))
    easy = [(x + 0.5 * (labels == 1).view(-1, 1, 1, 1), (labels == 1).long()) for x, labels in (train, test)]
    model = train_classifier(*easy[0], 2, epochs=6)
    assert np.mean(list(recalls(model, *easy[1]).values())) > 0.8
    rare = easy[0][0][easy[0][1] == 1][:8], torch.ones(8, dtype=torch.long)
    gain = augmentation_gain(easy[0], easy[1], rare, 2, seeds=(0,))
    assert set(gain) == {"macro real", "macro real+generated", "rare real", "rare real+generated"}
    features = domain.features()
    assert features is not None
    extracted = features(train[0][:3])
    assert extracted.features.shape == (3, 64)
    torch.testing.assert_close(extracted.probabilities.sum(1), torch.ones(3))


def test_whether_draws_show_the_class_that_was_asked_for() -> None:
    noise, labels = np.random.default_rng(0).normal(0.0, 0.1, (90, 1, 16, 16)), np.arange(90) % 3
    names, levels = ("dark", "grey", "bright"), labels[:, None, None, None] - 1.0
    frames = SignalSet(noise + levels / 2, np.arange(90), labels=labels, class_names=names)
    domain = cast(Sonar, SimpleNamespace(dataset=lambda split: frames, to_model=lambda x: x))
    x = torch.from_numpy(frames.signals).float()

    def stand_in(shift: int) -> Run:  # draws training frames of the class asked for, or of another one
        def draw(n: int, seed: int, asked: torch.Tensor) -> torch.Tensor:
            return x[(asked + shift) % 3]  # of the first three frames each is of another class

        model, extras = SimpleNamespace(classes=3), SimpleNamespace(prior=None)
        return cast(Run, SimpleNamespace(model=model, extras=extras, draws=lambda: draw))

    right, wrong = (classes(stand_in(shift), domain, each=7) for shift in (0, 1))
    assert set(right) == {"test frames", "drawn"}
    assert set(right["drawn"]) == {"mean", *names}
    assert right["drawn"]["mean"] == right["test frames"]["mean"] == 1.0
    assert wrong["drawn"]["mean"] == 0.0
    with pytest.raises(UserError, match="knows no classes"):
        classes(cast(Run, SimpleNamespace(model=SimpleNamespace(classes=0))), domain)


def test_the_options_survive_json() -> None:
    from vaegan.plugins import recipes
    from vaegan.recipe import from_json, to_json

    recipe = recipes()["sonar/anomaly"]
    assert from_json(json.loads(json.dumps(to_json("sonar/anomaly", recipe))))[1] == recipe


def test_real_frames_are_found(test_data: Path) -> None:
    domain = Sonar(test_data / "sonar", include="fls_*")
    train = domain.dataset("train")
    assert {"bottle", "tire", "fls_watertank_frames"} <= set(train.class_names)
    share = np.isnan(train.signals).mean()
    assert 0.01 < share < 0.2, "gaps are what lies outside of fans, and beyond small crops"
    frames = [name for name in domain.everything().groups.tolist() if "frames" in name]
    assert len(set(frames)) == 14
