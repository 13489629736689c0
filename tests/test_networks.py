"""Networks in 1D and 2D: Table 1's parameters, sizes, periodic axes, conditions."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch
from torch.nn.utils import parametrize

from vaegan.errors import UserError
from vaegan.models import LarsenConfig, RestoringConfig
from vaegan.nn import Conv, DiagonalGaussian, Encoder, Upsample, active_units, normalisation
from vaegan.nn.conv import Doubling, repeated
from vaegan.signal import Axis, SignalSpec


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def spec_of(channels: int, sizes: tuple[int, ...], periodic: tuple[bool, ...] | None = None) -> SignalSpec:
    wraps = periodic or (False,) * len(sizes)
    return SignalSpec(
        channels,
        tuple(Axis(f"a{i}", n, periodic=p) for i, (n, p) in enumerate(zip(sizes, wraps, strict=True))),
        "V",
        (-1, 1),
    )


def test_parameter_counts_of_table_1() -> None:
    model = LarsenConfig().build(spec_of(3, (64, 64)))
    assert round(count(model.encoder) / 1e6, 2) == 18.07
    assert round(count(model.decoder) / 1e6, 2) == 4.69
    assert round(count(model.discriminator) / 1e6, 2) == 10.95


SMALL_LARSEN = LarsenConfig(latent=4, width=4, decoder_width=2, discriminator_width=2, hidden=8, discriminator_hidden=8)
SMALL_MAP = LarsenConfig(
    latent=4,
    width=4,
    decoder_width=2,
    discriminator_width=2,
    hidden=0,
    discriminator_hidden=8,
    norm="none",
    discriminator_norm="none",
)
SMALL_RESTORING = RestoringConfig(latent=4, width=4, widest=8, discriminator_width=2, discriminator_hidden=8)


NO_LATENT = replace(SMALL_RESTORING, latent=0)


@pytest.mark.parametrize("config", [SMALL_LARSEN, SMALL_MAP, SMALL_RESTORING, NO_LATENT])
@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("sizes", [(17,), (100,), (181,), (9, 31), (28, 28), (33, 64)])
@pytest.mark.parametrize("wrap", [False, True])
def test_any_channels_and_any_size_come_back_exactly(config, channels, sizes, wrap) -> None:
    spec = spec_of(channels, sizes, (False,) * (len(sizes) - 1) + (wrap,))
    model = config.build(spec)
    y = torch.rand(2, *spec.shape)
    assert model.restore(y).mean.shape == y.shape
    assert model.sample(3).shape == (3, *spec.shape)
    verdict = model.judge(y)
    assert verdict.logits.shape == (2,)
    assert len(verdict.features) == 4


@pytest.mark.parametrize("config", [SMALL_MAP, SMALL_RESTORING])
def test_a_rotation_by_the_stride_commutes_on_a_periodic_axis(config) -> None:
    spec = spec_of(2, (16, 32), (False, True))
    model = config.build(spec).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    y = torch.rand(2, *spec.shape, dtype=torch.float64)
    turned = model.restore(y.roll(8, dims=-1)).mean
    torch.testing.assert_close(turned, model.restore(y).mean.roll(8, dims=-1))
    shifted_rows = model.restore(y.roll(8, dims=-2)).mean
    assert not torch.allclose(shifted_rows, model.restore(y).mean.roll(8, dims=-2)), "an open axis must not wrap"


def test_a_wrapped_convolution_is_a_circular_one() -> None:
    layer = Conv(1, 2, 3, 5, periodic=(True,)).double()
    x = torch.rand(1, 2, 12, dtype=torch.float64)
    circular = torch.nn.Conv1d(2, 3, 5, padding=2, padding_mode="circular").double()
    circular.load_state_dict(layer.layer.state_dict())
    torch.testing.assert_close(layer(x), circular(x))


@pytest.mark.parametrize("size", [7, 8])
def test_upsampling_gives_the_size_asked_for(size) -> None:
    for wrap in (False, True):
        layer = Upsample(1, 2, 3, 5, periodic=(wrap,))
        assert layer(torch.rand(1, 2, 4), (size,)).shape == (1, 3, size)


@pytest.mark.parametrize(
    ("sizes", "larger", "periodic"),
    [
        ((7,), (14,), (False,)),
        ((7,), (14,), (True,)),
        ((1,), (2,), (True,)),
        ((5,), (9,), (False,)),  # an odd size ends within a pair, and is not doubled in one go
        ((5,), (9,), (True,)),
        ((4, 6), (8, 12), (False, True)),
        ((1, 3), (2, 6), (False, False)),
        ((4, 3), (8, 5), (True, False)),
    ],
)
def test_doubling_is_the_convolution_of_repeated_samples(sizes, larger, periodic) -> None:
    doubling = Doubling(len(sizes), 3, 2, periodic=periodic).double()
    conv = Conv(len(sizes), 3, 2, 3, periodic=periodic).double()
    conv.load_state_dict(doubling.state_dict())
    weights = torch.randn(2, 2, *larger, dtype=torch.float64)
    found = []
    for network in (doubling, conv):
        x = torch.linspace(-1, 1, 6 * math.prod(sizes), dtype=torch.float64).sin().view(2, 3, *sizes).requires_grad_()
        result = doubling(x, larger) if network is doubling else conv(repeated(x, larger))
        assert result.shape[2:] == larger
        found.append((result, *torch.autograd.grad((weights * result).sum(), [x, *network.parameters()])))
    for fast, plain in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)


def test_gaps_only_leaves_observed_samples_untouched() -> None:
    spec = spec_of(2, (40,))
    model = RestoringConfig(latent=4, width=4, widest=8, keep_observed=True).build(spec)
    y, mask = torch.rand(2, *spec.shape), torch.rand(2, 1, 40) > 0.3
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    restored = model.restore(y, mask).mean
    observed = mask.expand_as(y)
    assert torch.equal(restored[observed], y[observed])
    assert not torch.equal(restored[~observed], y[~observed])
    altered = torch.where(mask, y, torch.nan)
    assert torch.equal(model.restore(altered, mask).mean, restored), "what was not observed must not matter"


def test_small_changes_are_left_undone_in_use_and_not_in_training() -> None:
    torch.manual_seed(0)
    spec = spec_of(2, (40,))
    model = RestoringConfig(latent=4, width=4, widest=8, dead_zone=0.1).build(spec)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    y, mask = torch.rand(2, *spec.shape), torch.rand(2, 1, 40) > 0.3
    seen = torch.where(mask, y, 0.0)
    plain = model.train().restore(y, mask).mean - seen
    small = (plain.abs() < 0.1) & mask
    assert small.any() and ((plain.abs() >= 0.1) & mask).any(), "nothing to tell apart"
    torch.testing.assert_close(model.eval().restore(y, mask).mean - seen, torch.where(small, 0.0, plain))
    with pytest.raises(UserError, match=r"dead_zone is 2\.5"):
        RestoringConfig(dead_zone=2.5)


def test_conditions_matter_and_are_checked() -> None:
    spec = spec_of(1, (16, 16))
    model = SMALL_LARSEN.build(spec, classes=3).eval()
    z = torch.randn(2, 4)
    a, b = (model.decode(z, condition=torch.tensor([k, k])) for k in (0, 2))
    assert not torch.allclose(a, b)
    unknown = model.decode(z)  # between the classes
    assert not torch.allclose(unknown, a)
    assert torch.isfinite(unknown).all()
    one_known = model.decode(z, condition=torch.tensor([-1, 2]))
    torch.testing.assert_close(one_known, torch.stack([unknown[0], b[1]]))
    coarse: list[torch.Tensor] = []
    model.decoder.ups[0].register_forward_pre_hook(lambda _, given: coarse.append(given[0]))
    for k in (0, 2):
        model.decode(torch.zeros(1, 4), condition=torch.tensor([k]))
    change = (coarse[0] - coarse[1]).detach()
    assert float(change.flatten(2).std(2).max()) > 0, "a class may look different at different places"
    with pytest.raises(UserError, match="unconditional"):
        SMALL_LARSEN.build(spec).decode(z, condition=torch.tensor([0, 0]))


def test_a_class_begins_as_large_as_is_said() -> None:
    for scale in (1.0, 0.02):
        decoder = replace(SMALL_LARSEN, class_scale=scale).build(spec_of(1, (16, 16)), classes=3).decoder
        assert float(decoder.condition.table.weight.detach().std()) == pytest.approx(scale, rel=0.2)
    with pytest.raises(UserError, match="class_scale is 0"):
        LarsenConfig(class_scale=0)


@pytest.mark.parametrize("spectral", [False, True])
def test_a_conditional_discriminator_projects_onto_the_class(spectral: bool) -> None:
    spec = spec_of(1, (16, 16))
    judge = replace(SMALL_LARSEN, spectral=spectral).build(spec, classes=3).discriminator.eval()
    hidden: list[torch.Tensor] = []
    judge.last.register_forward_pre_hook(lambda _, given: hidden.append(given[0]))
    x = torch.randn(5, 1, 16, 16)
    of_class = [judge(x, torch.full((5,), k)).logits for k in range(3)]
    towards = judge.projection.table.weight
    assert towards.abs().max() > 0
    for a, b in ((0, 1), (1, 2)):
        torch.testing.assert_close(
            of_class[a] - of_class[b], hidden[0] @ (towards[a] - towards[b]), atol=1e-6, rtol=1e-4
        )
    torch.testing.assert_close(judge(x).logits, torch.stack(of_class).mean(0))  # of an unknown class
    with pytest.raises(UserError, match="unconditional"):
        SMALL_LARSEN.build(spec).judge(x, torch.zeros(5, dtype=torch.long))


def test_posterior_samples_have_its_mean_and_spread() -> None:
    q = DiagonalGaussian(torch.tensor([[1.0, -2.0]]).expand(20_000, 2), torch.tensor([[0.0, -2.0]]).expand(20_000, 2))
    z = q.sample(torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(z.mean(0), torch.tensor([1.0, -2.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(z.std(0), torch.tensor([1.0, 0.3679]), atol=0.03, rtol=0)


def test_kl_is_that_of_torch_distributions() -> None:
    mean, logvar = torch.randn(3, 2, 5), torch.randn(3, 2, 5)
    ours = DiagonalGaussian(mean, logvar).kl()
    normal = torch.distributions.Normal
    theirs = torch.distributions.kl_divergence(normal(mean, (0.5 * logvar).exp()), normal(0.0, 1.0)).sum((1, 2))
    torch.testing.assert_close(ours, theirs)


def test_active_units_counts_what_varies() -> None:
    means = torch.randn(500, 4) * torch.tensor([1.0, 0.5, 0.01, 0.0])
    assert active_units(means) == 2


def test_running_statistics_move_by_a_tenth_with_each_batch() -> None:
    norm = normalisation("batch", 3, 1).train()
    x = torch.randn(6, 3, 40, generator=torch.Generator().manual_seed(0)) * 2 + 5
    norm(x)
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean((0, 2)))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.transpose(0, 1).flatten(1).var(1))


def test_unknown_norm_is_named() -> None:
    with pytest.raises(UserError, match="unknown norm 'instance'"):
        inspect.unwrap(normalisation)("instance", 8, 2)  # without the tests' own type check before it


def test_features_cannot_be_silenced_for_good() -> None:
    model = SMALL_RESTORING.build(spec_of(1, (32,)))
    with torch.no_grad():
        for conv in model.decoder.ups:
            conv.layer.bias.fill_(-100.0)  # where a few steps at a high learning rate can take them
        torch.nn.init.normal_(model.decoder.last.layer.weight)  # a new one is zero
    model.restore(torch.randn(2, 1, 32)).mean.square().sum().backward()
    slopes = [
        conv.layer.weight.grad.abs().max() for conv in (*model.decoder.ups, *model.encoder.downs, model.encoder.stem)
    ]
    assert min(slopes) > 1e-6


def test_restoration_with_samples_has_spread() -> None:
    model = SMALL_RESTORING.build(spec_of(1, (32,)))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    restored = model.restore(torch.rand(2, 1, 32), samples=8, generator=torch.Generator().manual_seed(0))
    assert restored.spread is not None
    assert (restored.spread > 0).any()


def test_a_depth_that_leaves_nothing_to_halve_is_refused() -> None:
    with pytest.raises(UserError, match=r"a depth of 5 for signals of size \(9,\).*--model.depth"):
        replace(SMALL_RESTORING, depth=5).build(spec_of(1, (9,)))
    with pytest.raises(UserError, match=r"a depth of 3 .*; expected at most 1; set --model.discriminator-depth"):
        replace(SMALL_RESTORING, depth=1).build(spec_of(1, (2,)))
    with pytest.raises(UserError, match=r"a depth of 1 .*; expected at least 2 samples along each axis"):
        replace(SMALL_RESTORING, depth=1).build(spec_of(1, (9, 1)))
    with pytest.raises(UserError, match="depth is 0; expected at least 1"):
        replace(SMALL_RESTORING, depth=0).build(spec_of(1, (9,)))


@pytest.mark.parametrize("hidden", [0, 5])
def test_an_encoder_has_spectral_norm_on_every_layer(hidden: int) -> None:
    encoder = Encoder(spec_of(2, (16, 12)), latent=3, width=4, depth=2, hidden=hidden, norm="none", spectral=True)
    layers = [m for m in encoder.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == (4 if hidden else 3)
    assert all(parametrize.is_parametrized(layer, "weight") for layer in layers)
