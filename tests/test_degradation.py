"""Degradations: the contract for each of them, and what each claims of itself."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vaegan.data import SignalSet, Split
from vaegan.degradation import (
    GENERIC,
    JPEG,
    Compose,
    Degradation,
    Downsampling,
    GaussianBlur,
    GaussianNoise,
    Grey,
    Measurement,
    MotionBlur,
    NoiseRectangles,
    OneOf,
    SaltAndPepper,
    Speckle,
    Strokes,
)
from vaegan.degradation.base import per_sample, uniform
from vaegan.domain import Domain
from vaegan.errors import UserError
from vaegan.signal import Axis, SignalSpec
from vaegan.testing import ContractError, check_degradation, check_domain, check_linear_adjoint

NAMES = {"noise", "speckle", "salt-and-pepper", "blur", "motion", "downsample"}
NAMES |= {"rectangles", "strokes", "jpeg", "grey"}


def spec(channels: int, *sizes: int) -> SignalSpec:
    return SignalSpec(channels, tuple(Axis(f"axis {i}", size) for i, size in enumerate(sizes)), "V", (-1.0, 1.0))


SPECS = [spec(1, 31), spec(4, 64), spec(2, 1), spec(3, 17, 24), spec(1, 9, 9), spec(1, 1, 3)]
LINEAR = ("blur", "motion", "downsample", "grey")
CASES = [(name, s) for name, make in GENERIC.items() for s in SPECS if s.dims in make.dims]


def shown(value: object) -> str:
    return "x".join(map(str, value.shape)) if isinstance(value, SignalSpec) else str(value)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(batch: int, side: int) -> Tensor:
    """Pictures with structure at several scales, in [-1, 1]."""
    t = torch.linspace(0.0, 1.0, side)
    picture = torch.sin(9 * t).view(-1, 1) * torch.cos(17 * t * t) * 0.8
    return picture.expand(batch, 3, side, side).clone()


def psnr(a: Tensor, b: Tensor) -> float:
    return 10 * math.log10(4.0 / float(((a - b) ** 2).mean()))


def test_the_generic_degradations_are_all_listed() -> None:
    assert set(GENERIC) == NAMES
    assert {name for name, _ in CASES} == NAMES
    assert {name for name, make in GENERIC.items() if 1 not in make.dims} == {"jpeg"}
    assert all(2 in make.dims for make in GENERIC.values())


@pytest.mark.parametrize(("name", "signal"), CASES, ids=shown)
def test_contract(name: str, signal: SignalSpec) -> None:
    check_degradation(GENERIC[name](), signal)  # type: ignore[call-arg]


class Gap(Degradation):
    """A degradation with a mask, which the generic ones do not have."""

    def __init__(self, share: float = 0.5) -> None:
        super().__init__(share)

    def degrade(self, x: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        mask = uniform((len(x), 1, *x.shape[2:]), x, generator) >= per_sample(level, x)
        return Measurement(torch.where(mask, x, torch.zeros_like(x)), mask)


@pytest.mark.parametrize("signal", [spec(1, 31), spec(3, 17, 24)], ids=shown)
@pytest.mark.parametrize(
    "make",
    [
        lambda: Compose(GaussianBlur(), GaussianNoise(clip=True)),
        lambda: Compose(GaussianBlur(), Gap(), GaussianNoise(), Gap(), probability=0.5),
        lambda: OneOf(GaussianNoise(), Strokes(), Gap()),
        lambda: OneOf(Compose(Gap(), Strokes()), OneOf(Speckle())),
        lambda: GaussianNoise(clip=True),
        lambda: NoiseRectangles(count=3),
    ],
)
def test_contract_of_what_is_made_of_others(make: Callable[[], Degradation], signal: SignalSpec) -> None:
    check_degradation(make(), signal)


@pytest.mark.parametrize(("name", "signal"), [case for case in CASES if case[0] in LINEAR], ids=shown)
def test_linear_degradations_pass_the_adjoint_test(name: str, signal: SignalSpec) -> None:
    check_linear_adjoint(GENERIC[name](), signal)  # type: ignore[call-arg]


def test_noise_has_the_stated_standard_deviation() -> None:
    x = torch.zeros(4, 3, 64, 64, dtype=torch.float64)
    y = GaussianNoise(50 / 255)(x, generator=seeded()).y
    assert float(y.std()) == pytest.approx(2 * 50 / 255, rel=0.02)
    y = GaussianNoise((0.0, 0.2))(x, generator=seeded(), severity=torch.tensor([0.0, 0.25, 0.5, 1.0])).y
    assert y.flatten(1).std(dim=1).tolist() == pytest.approx([0.0, 0.1, 0.2, 0.4], rel=0.05)


def test_clipped_noise_stays_in_range() -> None:
    y = GaussianNoise(0.5, clip=True)(torch.zeros(2, 1, 64), generator=seeded()).y
    assert float(y.min()) == -1.0
    assert float(y.max()) == 1.0


def test_speckle_is_proportional_to_the_signal() -> None:
    x = torch.stack([torch.full((1, 10000), value) for value in (-1.0, 0.0, 1.0)])
    y = Speckle(0.2)(x, generator=seeded()).y
    assert y.flatten(1).std(dim=1).tolist() == pytest.approx([0.0, 0.2, 0.4], rel=0.03)


def test_salt_and_pepper_hit_the_stated_share_alike() -> None:
    y = SaltAndPepper(0.2)(torch.zeros(1, 3, 200, 200), generator=seeded()).y
    assert float((y == 1).double().mean()) == pytest.approx(0.1, rel=0.05)
    assert float((y == -1).double().mean()) == pytest.approx(0.1, rel=0.05)
    assert torch.equal(y[:, 0], y[:, 2])


@pytest.mark.parametrize("name", ["blur", "motion", "downsample"])
def test_losses_of_detail_keep_constants_and_detail_decreases(name: str) -> None:
    make: Callable[..., Degradation] = GENERIC[name]
    constant = torch.full((2, 1, 21, 22), 0.3, dtype=torch.float64)
    torch.testing.assert_close(make(4.0)(constant, generator=seeded()).y, constant)
    noise = torch.randn(1, 1, 64, 64, generator=seeded())
    stds = [float(make(level)(noise, generator=seeded()).y.std()) for level in (1.0, 2.0, 4.0)]
    assert stds == sorted(stds, reverse=True)
    assert stds[2] < 0.5


def test_blur_has_the_stated_width() -> None:
    x = torch.zeros(1, 1, 61, dtype=torch.float64)
    x[..., 30] = 1.0
    y = GaussianBlur(2.5)(x).y.flatten()
    position = torch.arange(61.0, dtype=torch.float64) - 30
    assert float((y * position**2).sum()) == pytest.approx(2.5**2, rel=0.04)
    assert float(y.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("length", [1, 3, 4, 9])
def test_motion_along_an_axis_is_a_mean_over_its_length(length: int) -> None:
    x = torch.zeros(1, 1, 41, dtype=torch.float64)
    x[..., 20] = 1.0
    y = MotionBlur(float(length))(x).y.flatten()
    assert float(y.max()) == pytest.approx(1 / length)
    assert int((y > 0).sum()) in (length, length + 1)


def test_motion_has_an_angle_of_its_own_for_each_sample() -> None:
    x = torch.zeros(2, 1, 25, 25)
    x[..., 12, 12] = 1.0
    y = MotionBlur(9.0)(x, generator=seeded()).y
    assert not torch.allclose(y[0], y[1], atol=0.01)


def test_downsampling_by_an_integer_is_means_and_linear_interpolation() -> None:
    x = torch.randn(2, 3, 24, 36, generator=seeded(), dtype=torch.float64)
    means = torch.nn.functional.avg_pool2d(x, 4)
    expected = torch.nn.functional.interpolate(means, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(Downsampling(4.0)(x).y, expected)


def test_downsampling_by_one_changes_nothing() -> None:
    x = torch.randn(2, 1, 1001, generator=seeded())
    torch.testing.assert_close(Downsampling(1.0)(x).y, x)


@pytest.mark.parametrize("coverage", [0.03, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("sizes", [(64, 64), (33, 96)], ids=str)
def test_strokes_cover_the_stated_share(coverage: float, sizes: tuple[int, int]) -> None:
    y = Strokes(coverage)(torch.zeros(200, 3, *sizes), generator=seeded()).y
    assert set(y.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(y[:, 0], y[:, 2])
    share = (y[:, 0] == 1).double().mean(dim=(1, 2))
    assert float(share.mean()) == pytest.approx(coverage, rel=0.1)
    assert float(share.max()) < 2 * coverage + 0.01
    assert float(share.min()) > 0.3 * coverage


def test_strokes_cover_one_segment_of_a_1d_signal() -> None:
    y = Strokes(0.25)(torch.zeros(5, 2, 100), generator=seeded()).y
    assert (y == 1).sum(dim=(1, 2)).tolist() == [50] * 5
    assert ((y[:, 0].diff(dim=-1) != 0).sum(dim=-1) <= 2).all()


def test_rectangles_have_the_stated_side_and_random_places() -> None:
    y = NoiseRectangles(0.5)(torch.full((50, 1, 20, 40), 3.0), generator=seeded()).y
    covered = y != 3.0
    assert covered.sum(dim=(1, 2, 3)).tolist() == [200] * 50
    assert bool((y[covered].abs() <= 1).all())
    assert len({tuple(sample.nonzero()[0].tolist()) for sample in covered}) > 30


def test_jpeg_is_worse_at_lower_quality() -> None:
    x = smooth(1, 48)
    quality = [psnr(JPEG(q)(x).y, x) for q in (100.0, 75.0, 40.0, 20.0, 10.0, 5.0)]
    assert quality == sorted(quality, reverse=True)
    assert quality[0] > 35
    severity = torch.tensor([0.2, 0.6, 1.0])
    y = JPEG((10.0, 60.0))(smooth(3, 48), severity=severity).y
    by_severity = [psnr(a, b) for a, b in zip(y, smooth(3, 48), strict=True)]
    assert by_severity == sorted(by_severity, reverse=True)
    torch.testing.assert_close(y[2:], JPEG(10.0)(x).y)


def test_jpeg_needs_a_picture() -> None:
    with pytest.raises(UserError, match=r"JPEG got signals of shape \(2, 8, 8\); expected \(1 or 3 channels"):
        JPEG()(torch.zeros(1, 2, 8, 8))


def test_grey_is_the_luma() -> None:
    x = torch.eye(3).view(3, 3, 1, 1)
    expected = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1, 1).expand(3, 3, 1, 1)
    torch.testing.assert_close(Grey()(x).y, expected)
    assert Grey()(torch.tensor([[[1.0], [0.0]]])).y.tolist() == [[[0.5], [0.5]]]


def test_one_of_chooses_for_each_sample_with_equal_odds() -> None:
    choices = [SaltAndPepper(0.0), Strokes(0.5), Grey()]
    x = torch.eye(3).view(1, 3, 3).repeat(300, 1, 1).clone()
    y = OneOf(*choices)(x, generator=seeded()).y
    grey = ((y - Grey()(x).y).abs().amax(dim=(1, 2)) < 1e-6).sum()
    same = (y == x).all(dim=(1, 2)).sum()
    assert 70 < int(grey) < 130
    assert 70 < int(same) < 130


def test_each_sample_keeps_its_own_severity_whichever_degradation_it_gets() -> None:
    severity = torch.linspace(0, 1, 40)
    x = torch.zeros(40, 1, 2000)
    for whole in (OneOf(GaussianNoise(0.2), GaussianNoise(0.2)), Compose(GaussianNoise(0.2), probability=0.5)):
        y = whole(x, generator=seeded(), severity=severity).y
        spread = y.flatten(1).std(dim=1)
        hit = spread > 0
        torch.testing.assert_close(spread[hit], 0.4 * severity[hit], rtol=0.1, atol=0)
        assert int(hit.sum()) == 39 if isinstance(whole, OneOf) else 8 < int(hit.sum()) < 32


def test_compose_applies_each_step_with_its_probability() -> None:
    x = torch.zeros(400, 1, 20)
    y = Compose(GaussianNoise(0.1), SaltAndPepper(1.0), probability=0.25)(x, generator=seeded()).y
    hit = (y.abs() == 1).all(dim=(1, 2)).double().mean()
    untouched = (y == 0).all(dim=(1, 2)).double().mean()
    assert float(hit) == pytest.approx(0.25, abs=0.07)
    assert float(untouched) == pytest.approx(0.75**2, abs=0.07)


def test_compose_joins_masks() -> None:
    x = torch.rand(1, 1, 4000, generator=seeded())
    measured = Compose(Gap(0.5), GaussianNoise(0.1), Gap(0.5))(x, generator=seeded())
    assert measured.mask is not None
    assert float(measured.mask.double().mean()) == pytest.approx(0.25, abs=0.04)
    assert Compose(GaussianNoise())(x).mask is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianNoise(-0.1), r"GaussianNoise got -0.1; expected values in \[0, inf\]"),
        (
            lambda: GaussianNoise((0.3, 0.1)),
            r"GaussianNoise got the range \(0.3, 0.1\); expected \(low, high\)",
        ),
        (lambda: GaussianNoise(math.nan), r"GaussianNoise got \(nan, nan\); expected"),
        (lambda: Strokes(1.5), r"Strokes got 1.5; expected values in \[0, 0.9\]"),
        (lambda: JPEG((0.0, 50.0)), r"JPEG got \(0, 50\); expected values in \[1, 100\]"),
        (lambda: Downsampling(0.5), "Downsampling got 0.5"),
        (lambda: Compose(), "Compose got no degradation; expected at least one"),
        (lambda: OneOf(), "OneOf got no degradation"),
        (lambda: Compose(Grey(), probability=2.0), "Compose got probability=2; expected"),
        (lambda: NoiseRectangles(count=0), "0 rectangles; expected at least 1"),
        (lambda: NoiseRectangles(count=-3), "-3 rectangles"),
    ],
)
def test_wrong_levels_are_refused(make: Callable[[], Degradation], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


class Broken(Degradation):
    """Breaks one part of the contract."""

    def __init__(self, break_: Callable[[Tensor], Measurement]) -> None:
        super().__init__(1.0)
        self.break_ = break_

    def degrade(self, x: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        return self.break_(x)


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda x: Measurement(x + torch.randn_like(x)), "same generator state gave two results"),
        (lambda x: Measurement(x - x.mean(dim=0)), "changing sample 0 changed the result of another sample"),
        (lambda x: Measurement(x / 0), "values that are not finite"),
        (lambda x: Measurement(x.float()), "y is torch.float32, expected torch.float64"),
        (lambda x: Measurement(x.mul_(2)), "the input was changed in place"),
        (lambda x: Measurement(x, x > 0), r"the mask has the shape \(1, 2, 9\), expected \(1, 1, 9\)"),
        (lambda x: x, "Broken returned Tensor where a Measurement was expected"),
    ],
)
def test_the_check_finds_what_is_broken(break_: Callable[[Tensor], Measurement], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_degradation(Broken(break_), spec(2, 9))


def test_the_adjoint_check_finds_what_is_not_linear() -> None:
    with pytest.raises(ContractError, match="is not linear"):
        check_linear_adjoint(GaussianNoise(0.1), spec(1, 9))


class Toy(Domain):
    """A whole domain: what a third party has to write, and no more."""

    low, groups = -1.0, ("a", "b", "c")

    @property
    def spec(self) -> SignalSpec:
        return SignalSpec(2, (Axis("time", 15, 0.01, "s"),), "V", (-2e-5, 2e-5))

    def dataset(self, split: Split) -> SignalSet:
        number = ("train", "val", "test").index(split)
        values = np.random.default_rng(number).uniform(self.low, 1.0, (6, 2, 15)) * 2e-5
        return SignalSet(values.astype(np.float32), np.array([self.groups[number]] * 6))


def test_a_sound_domain_passes() -> None:
    checks = check_domain(Toy())
    assert all(check.passed for check in checks), [check for check in checks if not check.passed]
    names = [check.name for check in checks]
    assert names[:6] == ["spec", "split train", "split val", "split test", "groups", "units"]
    assert {name for name in names if name.startswith("degradation ")} == {
        f"degradation {name}" for name in NAMES - {"jpeg"}
    }


class Labelled(Toy):
    """Signals with damaged partners and classes; ``change`` makes of sound ones what a test wants."""

    @staticmethod
    def change(data: SignalSet) -> SignalSet:
        return data

    def dataset(self, split: Split) -> SignalSet:
        sound = super().dataset(split)
        observed, labels = 0.5 * sound.signals, np.arange(6) % 2
        return self.change(replace(sound, observed=observed, labels=labels, class_names=("a", "b")))


def half_nan(data: SignalSet) -> SignalSet:
    assert data.observed is not None
    return replace(data, observed=np.where(np.arange(15) < 8, np.nan, data.observed).astype(np.float32))


@pytest.mark.parametrize(
    ("change", "failed", "detail"),
    [
        (half_nan, "split train", r"'train', observed, has 96 of 180 values that are not finite"),
        (
            lambda data: replace(data, observed=data.observed + 1.0),
            "split val",
            r"'val', observed,: 100.00 % of the values lie outside",
        ),
        (
            lambda data: replace(data, labels=data.labels - 7),
            "split test",
            "'test' has labels from -7 to -6; expected indices of its 2 class_names",
        ),
        (lambda data: replace(data, labels=data.labels + 1), "split train", "labels from 1 to 2"),
        (lambda data: replace(data, class_names=()), "split train", "expected indices of its 0 class_names"),
        (lambda data: replace(data, labels=data.labels / 2), "split train", r"type float64; expected whole numbers"),
        (
            lambda data: replace(data, signals=np.tile(data.signals[:1] * 0, (6, 1, 1))),
            "groups",
            "6 of 6 items of train are in val too, expected at most 1 %",
        ),
    ],
)
def test_partners_labels_and_copies_are_looked_at(change: Any, failed: str, detail: str) -> None:
    sound = check_domain(Labelled())
    assert all(check.passed for check in sound), sound
    changed = type("Changed", (Labelled,), {"change": staticmethod(change)})
    found = {check.name: check for check in check_domain(changed())}
    assert not found[failed].passed
    assert re.search(detail, found[failed].detail), found[failed].detail


def refuse(self: object, x: Tensor) -> Tensor:
    raise RuntimeError("no such unit")


@pytest.mark.parametrize(
    ("changes", "failed", "detail"),
    [
        ({"groups": ("a", "b", "a")}, "groups", r"1 groups are in both train and test \(a\); expected none"),
        ({"low": -3.0}, "split val", r"'val': .* % of the values lie outside .* expected at most 1 %"),
        ({"to_model": lambda self, x: x}, "units", "differs from x by"),
        ({"to_model": lambda self, x: x * 1e6}, "units", r"to_model gives \[-.*\], expected \[-1, 1\]"),
        ({"to_model": refuse}, "units", "RuntimeError: no such unit"),
        ({"vary": lambda self, x, generator: x[:, :1]}, "vary", r"vary returned .*, expected \(6, 2, 15\)"),
        ({"vary": lambda self, x, generator: x / 0}, "vary", "not finite"),
        ({"vary": lambda self, x, generator: x + torch.rand(1)}, "vary", "differs with the same generator"),
        ({"vary": lambda self, x, generator: -x}, "vary", "the same with two generators"),
        (
            {"vary": lambda self, x, generator: x + 3 * torch.rand(1, generator=generator) + 2},
            "vary",
            "% of the values outside",
        ),
        (
            {"degradations": lambda self: {"x": lambda: Broken(lambda x: Measurement(x / 0))}},
            "degradation x",
            "finite",
        ),
        ({"spec": SignalSpec(2, (Axis("time", 15),), " ", (-1.0, 1.0))}, "spec", "spec.unit is empty"),
        (
            {"spec": SignalSpec(1, (Axis("time", 15),), "V", (-1.0, 1.0))},
            "split test",
            r"expected \(n, \*\(1, 15\)\)",
        ),
    ],
)
def test_a_broken_domain_is_told_so(changes: dict[str, object], failed: str, detail: str) -> None:
    found = {check.name: check for check in check_domain(type("BrokenToy", (Toy,), changes)())}
    assert not found[failed].passed
    assert re.search(detail, found[failed].detail), found[failed].detail
