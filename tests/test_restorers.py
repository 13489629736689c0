"""The restorers of the comparative studies keep their contracts, and do what their papers say."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from vaegan.degradation.base import normal
from vaegan.errors import UserError
from vaegan.models import (
    DiffusionConfig,
    DnCNNConfig,
    FlowConfig,
    ModelConfig,
    RestorationGANConfig,
    UNetConfig,
    UNetVAEConfig,
)
from vaegan.models.flow import ConditionalFlow, FlowStep
from vaegan.models.restorer import Restorer, moments, with_mask
from vaegan.nn.hourglass import hourglass_channels
from vaegan.objectives import (
    Batch,
    DiffusionObjective,
    LikelihoodObjective,
    Objective,
    PairedGANObjective,
    PixelObjective,
    UNetVAEObjective,
)
from vaegan.signal import Axis, SignalSpec
from vaegan.testing import check_model, check_objective

PICTURE = SignalSpec(3, (Axis("height", 12), Axis("width", 10)), "8-bit level", (0, 255))
SERIES = SignalSpec(2, (Axis("time", 21, 0.004, "s"),), "V", (-1e-4, 1e-4))
RING = SignalSpec(1, (Axis("beam", 8), Axis("azimuth", 16, periodic=True)), "m", (0, 50))

SYSTEMS: dict[str, tuple[ModelConfig, Objective]] = {
    "gan": (RestorationGANConfig(width=4, discriminator_width=4, discriminator_depth=2), PairedGANObjective(pixel=3.0)),
    "residual gan": (
        RestorationGANConfig(width=4, discriminator_width=4, discriminator_depth=2, residual=True, norm="none"),
        PairedGANObjective(pixel=3.0, adversarial=0.5, squared=True),
    ),
    "unet-vae": (UNetVAEConfig(latent=3, width=4), UNetVAEObjective()),
    "unet-vae without skips": (UNetVAEConfig(latent=3, width=4, skips=False), UNetVAEObjective(beta=0.1)),
    "unet": (UNetConfig(width=4, widest=8, depth=2), PixelObjective()),
    "dncnn": (DnCNNConfig(depth=4, width=4), PixelObjective(squared=True)),
    "diffusion": (DiffusionConfig(width=8, widest=8, depth=1, steps=2), DiffusionObjective()),
    "flow": (FlowConfig(width=4, widest=8, depth=1, steps=2, coupling=4), LikelihoodObjective()),
}


def built(name: str, spec: SignalSpec) -> Restorer:
    torch.manual_seed(0)
    model = SYSTEMS[name][0].build(spec)
    assert isinstance(model, Restorer)
    return model


def some(spec: SignalSpec, n: int = 4) -> Batch:
    torch.manual_seed(1)
    x = torch.rand(n, *spec.shape) * 2 - 1
    return Batch(x, x + 0.3 * torch.randn_like(x), torch.rand(n, 1, *spec.sizes) > 0.2)


@pytest.mark.parametrize("spec", [PICTURE, SERIES, RING], ids=["picture", "series", "ring"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_contracts_hold(name, spec) -> None:
    model, batch = built(name, spec), some(spec)
    check_model(model)
    known = torch.rand(4, 1, *spec.sizes) > 0.3
    check_objective(SYSTEMS[name][1], model, Batch(batch.x, batch.y, batch.mask, known=known))
    assert model.restores
    assert not model.generates


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_not_observed_or_not_known_does_not_matter(name) -> None:
    model, batch, objective = built(name, PICTURE), some(PICTURE), SYSTEMS[name][1]
    model.eval()
    hidden = torch.where(batch.mask, batch.y, torch.nan)
    with torch.no_grad():
        torch.testing.assert_close(model.restored(batch.y, batch.mask), model.restored(hidden, batch.mask))
    known = torch.rand(4, 1, *PICTURE.sizes) > 0.5
    losses = []
    for filler in (0.0, 0.7):
        x = torch.where(known, batch.x, filler)
        batch = Batch(x, batch.y, batch.mask, known=known)
        if name in ("diffusion", "gan", "residual gan"):  # a noisy truth, or a judge, sees whatever fills the gaps
            batch = Batch(torch.where(known, x, 0.0), batch.y, batch.mask, known=known)
        losses.append(objective.losses(model, batch, torch.Generator().manual_seed(0)))
    for player, loss in losses[0].items():
        torch.testing.assert_close(loss, losses[1][player])


@pytest.mark.parametrize("name", ["gan", "unet-vae", "diffusion", "flow"])
def test_restorations_are_drawn_where_there_is_something_to_draw(name) -> None:
    model, batch = built(name, PICTURE).eval(), some(PICTURE)
    for parameter in model.parameters():  # new networks change nothing, whatever is drawn
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    with torch.no_grad():
        found = model.restore(batch.y, samples=3, generator=torch.Generator().manual_seed(0))
        again = model.restore(batch.y, samples=3, generator=torch.Generator().manual_seed(0))
    assert found.spread is not None
    assert float(found.spread.mean()) > 0
    torch.testing.assert_close(found.mean, again.mean)


def test_objectives_of_restorers_are_in_the_units_that_they_state() -> None:
    batch = some(PICTURE)

    def losses(name: str, objective: Objective) -> dict[str, torch.Tensor]:
        return objective.losses(built(name, PICTURE).eval(), batch, torch.Generator().manual_seed(0))

    error = built("unet", PICTURE).eval().restored(batch.y, batch.mask) - batch.x
    torch.testing.assert_close(losses("unet", PixelObjective())["network"], error.abs().mean())
    torch.testing.assert_close(losses("unet", PixelObjective(squared=True))["network"], error.square().mean())

    model = built("unet-vae", PICTURE).eval()
    noise = normal((4, *model.latent_shape), batch.y, torch.Generator().manual_seed(0))
    x, q = model.autoencoded(batch.y, batch.mask, noise)
    expected = (x - batch.x).square().mean() + 0.5 * q.kl().mean() / (3 * 12 * 10)  # nats an element
    torch.testing.assert_close(losses("unet-vae", UNetVAEObjective(beta=0.5))["encoder"], expected)

    model = built("gan", PICTURE).eval()
    x = model.generator(batch.y, batch.mask, None, drop=False)
    real, fake = (model.judge(batch.y, batch.mask, signal) for signal in (batch.x, x))
    fool, apart = -torch.log(fake.sigmoid()).mean(), -(torch.log(real.sigmoid()) + torch.log(1 - fake.sigmoid())).mean()
    for squared in (False, True):
        wrong = (x - batch.x) / 2  # of signals from 0 to 1
        size = wrong.square().mean() if squared else wrong.abs().mean()
        objective = PairedGANObjective(pixel=3.0, adversarial=0.5, squared=squared)
        found = objective.losses(without_dropout(model), batch, None)
        torch.testing.assert_close(found["generator"], 0.5 * fool + 3.0 * size)
        torch.testing.assert_close(found["discriminator"], apart)


def without_dropout(model: Restorer) -> Restorer:
    for module in model.modules():
        if hasattr(module, "dropout"):
            module.dropout = 0.0
    return model


def test_moments_are_those_of_the_draws() -> None:
    values = iter([torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([[6.0]])])
    found = moments(lambda: next(values), 3)
    assert float(found.mean) == pytest.approx(3.0)
    assert found.spread is not None
    assert float(found.spread) == pytest.approx(7.0**0.5)


@pytest.mark.parametrize("samples", [8, 16, 100])
def test_draws_that_hardly_differ_have_the_spread_that_they_have(samples: int) -> None:
    generator = torch.Generator().manual_seed(0)
    level = 0.8 + 0.2 * torch.rand(1, 1, 10_000, generator=generator)
    same = moments(lambda: level, samples)
    assert same.spread is not None and not same.spread.any()
    torch.testing.assert_close(same.mean, level, rtol=0, atol=0)
    near = moments(lambda: level + 1e-4 * torch.randn(level.shape, generator=generator), samples)
    assert near.spread is not None and float(near.spread.min()) > 0
    assert float(near.spread.square().mean().sqrt()) == pytest.approx(1e-4, rel=0.03)


def test_a_restoration_does_not_depend_on_the_rest_of_its_batch() -> None:
    for name in SYSTEMS:
        model, batch = built(name, PICTURE).eval(), some(PICTURE)
        with torch.no_grad():
            torch.testing.assert_close(model.restored(batch.y)[:1], model.restored(batch.y[:1]), rtol=1e-4, atol=1e-5)


def test_the_study_halves_a_picture_of_256_down_to_one_pixel() -> None:
    assert hourglass_channels((256, 256), 64) == [64, 128, 128, 256, 256, 512, 512, 512]
    assert hourglass_channels((64, 64), 64) == [64, 128, 128, 256, 256, 512]
    assert hourglass_channels((12, 10), 4)[-1] == 32


def test_the_generator_is_a_unet_down_to_a_single_sample() -> None:
    spec = SignalSpec(3, (Axis("height", 64), Axis("width", 64)), "8-bit level", (0, 255))
    model = RestorationGANConfig(width=8).build(spec).eval()
    features = model.generator.down(with_mask(torch.zeros(1, *spec.shape), None))
    assert [tuple(f.shape[1:]) for f in features] == [
        (8, 32, 32), (16, 16, 16), (16, 8, 8), (32, 4, 4), (32, 2, 2), (64, 1, 1)
    ]  # fmt: skip


def test_without_skips_all_comes_through_the_latent() -> None:
    for skips in (True, False):
        model = UNetVAEConfig(latent=3, width=4, skips=skips).build(PICTURE).eval()
        batch = some(PICTURE)
        with torch.no_grad():
            q, features = model.encoder(batch.y, None)
            other = [feature + 1.0 for feature in features]
            same = torch.equal(model.decoder(q.mean, features), model.decoder(q.mean, other))
        assert same != skips


def test_local_restorers_restore_any_size_and_look_no_further_than_they_say() -> None:
    for name, reach in (("unet", None), ("dncnn", 4), ("flow", None)):
        model = built(name, PICTURE).eval()
        assert model.local
        assert reach is None or model.reach == reach
        with torch.no_grad():
            assert model.restore(torch.zeros(1, 3, 20, 36)).mean.shape == (1, 3, 20, 36)
    assert not built("gan", PICTURE).local


def test_a_flow_is_inverted_exactly_and_knows_its_volume() -> None:
    torch.manual_seed(0)
    step = FlowStep(1, 4, 3, 5, (False,)).double()
    for parameter in step.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.4)
    u, h = torch.randn(1, 4, 3).double(), torch.randn(1, 3, 3).double()
    with torch.no_grad():
        v, logdet = step(u, h)
        torch.testing.assert_close(step.inverse(v, h), u)
    jacobian = torch.autograd.functional.jacobian(lambda flat: step(flat.view_as(u), h)[0].flatten(), u.flatten())
    torch.testing.assert_close(logdet[0], torch.linalg.slogdet(jacobian).logabsdet)


def test_a_new_flow_is_a_gaussian_around_the_estimate() -> None:
    model = built("flow", PICTURE)
    assert isinstance(model, ConditionalFlow)
    batch = some(PICTURE)
    with torch.no_grad():
        estimate = model.restored(batch.y)
        noise = torch.zeros_like(batch.x)
        at_mode, away = (float(model.nats(x, batch.y, None, None, noise).mean()) for x in (estimate, estimate + 1.0))
        none, ones = (
            model.nats(batch.x, batch.y, None, None, value * torch.ones_like(batch.x)) for value in (0.0, 1.0)
        )
        moved = model.nats(batch.x + model.noise, batch.y, None, None, noise)
    assert away - at_mode == pytest.approx(0.5, abs=0.02)  # half a squared unit a value
    assert at_mode == pytest.approx(0.5 * math.log(2 * math.pi), abs=0.02), "the density of a unit Gaussian at its mode"
    torch.testing.assert_close(ones, moved)
    assert not torch.allclose(ones, none)


def test_draws_of_a_flow_are_as_wide_as_its_temperature() -> None:
    model = built("flow", SignalSpec(1, (Axis("time", 2000),), "V", (-1, 1)))
    assert isinstance(model, ConditionalFlow)
    y = torch.zeros(4, 1, 2000)
    with torch.no_grad():
        for temperature in (0.3, 1.0):
            model.temperature = temperature
            drawn = model.restored(y, generator=torch.Generator().manual_seed(0)) - model.restored(y)
            assert float(drawn.std()) == pytest.approx(temperature, rel=0.05)


def test_more_steps_of_diffusion_are_other_restorations() -> None:
    torch.manual_seed(0)
    model = DiffusionConfig(width=8, widest=8, depth=1).build(PICTURE).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    y = some(PICTURE).y
    found = []
    for steps in (1, 4):
        model.steps = steps
        with torch.no_grad():
            found.append(model.restored(y))
    assert not torch.allclose(*found)


def test_a_wrong_pairing_of_model_and_objective_is_one_clear_line() -> None:
    model, batch = built("unet", PICTURE), some(PICTURE)
    with pytest.raises(UserError, match="UNet for PairedGANObjective; expected RestorationGAN"):
        PairedGANObjective().losses(model, batch, None)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RestorationGANConfig(dropout=1.0), "dropout is 1.0"),
        (lambda: DnCNNConfig(depth=1), "depth is 1"),
        (lambda: DiffusionConfig(width=12), "width is 12; expected a multiple of 8"),
        (lambda: UNetVAEConfig(latent=0), "latent is 0"),
        (lambda: FlowConfig(steps=0, noise=0), "steps is 0"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(make, said) -> None:
    with pytest.raises(UserError, match=said):
        make()


def test_without_diffusers_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers.models.unets.unet_2d", None)
    with pytest.raises(UserError, match=r"pip install 'vaegan\[diffusion\]'"):
        DiffusionConfig().build(PICTURE)
