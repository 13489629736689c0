from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vaegan.inference import restore_any_size
from vaegan.models import RestoringConfig
from vaegan.nn.conv import depth_to_space, patched, space_to_depth
from vaegan.nn.hints import hints
from vaegan.signal import Axis, SignalSpec


@pytest.mark.parametrize("sizes", [(4096,), (64, 96)])
@pytest.mark.parametrize("sigma", [0.04, 0.4])
def test_the_noise_level_is_that_of_white_noise(sizes: tuple[int, ...], sigma: float) -> None:
    torch.manual_seed(0)
    flat = torch.full((3, 2, *sizes), 0.2) + sigma * torch.randn(3, 2, *sizes)
    level = hints(flat, (False,) * len(sizes))[:, 1]
    assert level.mean() == pytest.approx(sigma, rel=0.05)
    ramp = torch.linspace(-0.5, 0.5, sizes[-1]).expand(1, 2, *sizes)
    assert hints(ramp, (False,) * len(sizes))[:, 1].max() < 1e-5, "a slope is no noise"


def test_saturation_needs_all_channels() -> None:
    x = torch.zeros(1, 3, 8, 8)
    x[0, :, 2, 3], x[0, 0, 5, 5], x[0, :, 7, 7] = 1.0, 1.0, -1.0
    saturated = hints(x, (False, False))[0, 0]
    assert saturated[2, 3] == 1
    assert saturated[7, 7] == -1
    assert saturated.abs().sum() == 2


def test_hints_roll_with_a_periodic_axis() -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 1, 9, 16)
    torch.testing.assert_close(hints(x.roll(2, -1), (False, True)), hints(x, (False, True)).roll(2, -1))


def test_a_mirroring_model_averages_both_ways_on_one_grid() -> None:
    spec = SignalSpec(1, (Axis("time", 32),), "V", (-1, 1))
    torch.manual_seed(2)
    config = RestoringConfig(latent=2, width=4, widest=8, depth=2)
    model, plain = (replace(config, mirror=mirror).build(spec).eval() for mirror in (True, False))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    plain.load_state_dict(model.state_dict())
    y = torch.randn(3, 1, 32)
    with torch.no_grad():
        both = (plain.restore(y).mean + plain.restore(y.flip(-1)).mean.flip(-1)) / 2
        torch.testing.assert_close(model.restore(y).mean, both)
        drawn = model.restore(y, samples=3, generator=torch.Generator().manual_seed(0))
        assert drawn.spread is not None and (drawn.spread > 0).all()
        assert model.reach is not None
        long = torch.randn(1, 1, 32 * 40 + 3)
        steps: list[int] = []
        parts = restore_any_size(model, long, memory=20_000, progress=lambda done, total: steps.append(total)).mean
        whole = model.restore(long).mean
    assert steps[-1] > 2
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sizes", [(11,), (7, 10), (8, 12)])
def test_space_to_depth_is_undone(sizes: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, *sizes)
    folded = space_to_depth(x, 2)
    assert folded.shape[2:] == patched(sizes, 2)
    assert torch.equal(depth_to_space(folded, 2, sizes), x)


@pytest.mark.parametrize("options", [{"patch": 2}, {"hinted": True}, {"patch": 2, "hinted": True}])
@pytest.mark.parametrize("sizes", [(33,), (17, 22)])
def test_such_networks_take_any_size_and_begin_as_the_identity(options: dict[str, int], sizes: tuple[int, ...]) -> None:
    spec = SignalSpec(2, tuple(Axis(f"axis {i}", size) for i, size in enumerate(sizes)), "V", (-1, 1))
    model = RestoringConfig(latent=3, width=4, widest=8, depth=2, **options).build(spec).eval()
    y = torch.randn(2, 2, *(size + 9 for size in sizes))
    with torch.no_grad():
        assert torch.equal(model.restore(y).mean, y)
        assert model.sample(2).shape == (2, *spec.shape)
    assert model.stride == 4 * options.get("patch", 1)
    assert model.reach is not None
