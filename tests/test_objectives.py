"""Every player receives exactly the gradient of its own loss, and the step costs no more than it must."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, replace

import pytest
import torch

from tests.test_generators import CASES as GENERATING
from tests.test_objectives_observed import OBJECTIVES as OBSERVED
from tests.test_restorers import SYSTEMS
from vaegan.errors import UserError
from vaegan.models import DenseVAEConfig, LarsenConfig, LarsenGANConfig, RestoringConfig
from vaegan.models.base import Model
from vaegan.models.vaegan import VAEGAN
from vaegan.nn import DiagonalGaussian
from vaegan.objectives import (
    AmbientObjective,
    Batch,
    BlindSpotObjective,
    Equilibrium,
    GANObjective,
    LarsenObjective,
    LearnedVAEObjective,
    ModernObjective,
    Objective,
    PairedGANObjective,
    PixelVAEGANObjective,
    PresGANObjective,
    PriorGANObjective,
    Step,
    ThinningObjective,
    UNetVAEObjective,
    VAEObjective,
    terms,
)
from vaegan.objectives.cut import Noise
from vaegan.signal import Axis, SignalSpec
from vaegan.testing import ContractError, check_model, check_objective
from vaegan.testing.flops import count_flops

PICTURE = SignalSpec(3, (Axis("height", 12), Axis("width", 10)), "8-bit level", (0, 255))
SERIES = SignalSpec(2, (Axis("time", 21, 0.004, "s"),), "V", (-1e-4, 1e-4))

LARSEN = {
    norm: LarsenConfig(
        latent=3,
        width=4,
        decoder_width=2,
        discriminator_width=2,
        hidden=6,
        discriminator_hidden=5,
        norm=norm,
        discriminator_norm=norm,
    )
    for norm in ("batch", "group", "layer", "none")
}
RESTORING = {
    "map": RestoringConfig(latent=3, width=4, widest=8, depth=2, discriminator_width=2, discriminator_hidden=5),
    "no latent": RestoringConfig(latent=0, width=4, widest=8, depth=2, discriminator_width=2, discriminator_hidden=5),
    "vector": RestoringConfig(
        latent=3,
        vector=True,
        width=4,
        widest=8,
        depth=2,
        discriminator_width=2,
        discriminator_hidden=5,
        norm="group",
    ),
}
OBJECTIVES: dict[str, tuple[Objective, ...]] = {
    "larsen": (
        LarsenObjective(gamma=0.3),
        LarsenObjective(gamma=0.3, reconstructions_as_fakes=False, layer=1, equilibrium=Equilibrium()),
    ),
    "modern": (
        ModernObjective(feature=0.7, adversarial=0.4, penalty=0.2, beta=0.3, free_bits=0.01),
        ModernObjective(
            feature=0.7, adversarial=0.4, penalty=0.2, beta=0.3, bare=0.5, prior_samples=True, physical=True
        ),
    ),
    "vae": (
        VAEObjective(),
        VAEObjective(squared=False, bare=0.5, free_bits=0.02),
        VAEObjective(relative=True, beta=1e-4),
        VAEObjective(squared=False, physical=True),
    ),
    "ablations": (PriorGANObjective(), PriorGANObjective(), LearnedVAEObjective(), LearnedVAEObjective(layer=1)),
}


def _setting(config, spec: SignalSpec, classes: int = 0) -> tuple[VAEGAN, Batch]:
    torch.manual_seed(0)
    model = config.build(spec, classes).double()
    for parameter in model.parameters():  # blocks that start at zero would hide a wrong sign
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    x = torch.rand(5, *spec.shape, dtype=torch.float64) * 2 - 1
    if spec.dims == 2:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    y = x + 0.3 * torch.randn_like(x)
    mask = torch.rand(5, 1, *spec.sizes) > 0.2
    condition = torch.randint(0, classes, (5,)) if classes else None
    known = torch.rand(5, 1, *spec.sizes) > 0.1
    return model, Batch(x, y, mask, condition, step=0, progress=0.6, known=known, physical=torch.sinh)


CASES = [
    (kind, index, name, spec)
    for kind, names in (
        ("larsen", LARSEN),
        ("modern", {**RESTORING, "larsen": LARSEN["none"]}),
        ("vae", {**RESTORING, **LARSEN}),
        ("ablations", LARSEN),
    )
    for index in range(len(OBJECTIVES[kind]))
    for name in names
    for spec in (PICTURE, SERIES)
]


@pytest.mark.parametrize(("kind", "index", "name", "spec"), CASES)
def test_every_player_gets_exactly_its_own_gradient(kind, index, name, spec) -> None:
    objective = OBJECTIVES[kind][index]
    config = {**LARSEN, **RESTORING, "larsen": LARSEN["none"]}[name]
    model, batch = _setting(config, spec, classes=3 if index else 0)
    check_objective(objective, model, batch)


def test_an_error_is_measured_in_physical_units_where_that_is_asked_for() -> None:
    model, batch = _setting(RESTORING["map"], SERIES)
    draws = lambda: torch.Generator().manual_seed(3)  # noqa: E731
    plain, metres = (
        VAEObjective(squared=False, beta=0.0, physical=physical).losses(model, batch, draws())["decoder"]
        for physical in (False, True)
    )
    same = replace(batch, physical=None)
    assert torch.equal(
        VAEObjective(squared=False, beta=0.0, physical=True).losses(model, same, draws())["decoder"], plain
    )
    encoding = model.encode(batch.y, batch.mask)
    z = encoding.posterior.sample(Noise.draw(model, batch, draws()).posterior)
    wrong = model.decode(z, encoding.context)
    assert batch.known is not None
    expected = ((torch.sinh(wrong) - torch.sinh(batch.x)).abs() * batch.known).mean()
    assert torch.allclose(metres, expected)
    assert not torch.allclose(metres, plain)


@dataclass(frozen=True)
class Wrong(LarsenObjective):
    """Does one thing wrong after the right backward."""

    fault: str = ""

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        step = super().backward(model, batch, generator)
        weight = next(iter(model.players()["discriminator"].parameters()))
        assert weight.grad is not None
        if self.fault == "sign":
            weight.grad.neg_()
        elif self.fault == "none":
            weight.grad = None
        elif self.fault == "layout":
            weight.grad = weight.grad.contiguous()
        return step


@pytest.mark.parametrize(
    ("fault", "said"), [("sign", "differs by"), ("none", "got no gradient"), ("layout", "lies otherwise in memory")]
)
def test_a_wrong_gradient_is_found(fault: str, said: str) -> None:
    model, batch = _setting(LARSEN["none"], PICTURE)
    with pytest.raises(ContractError, match=said):
        check_objective(Wrong(fault=fault), model, batch)


def test_a_gradient_that_is_not_a_players_own_is_found() -> None:
    class Both(VAEObjective):
        def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
            return LarsenObjective().backward(model, batch, generator)

    model, batch = _setting(LARSEN["none"], PICTURE)
    with pytest.raises(ContractError, match=r"differs by|not its player's own"):
        check_objective(Both(), model, batch)


@pytest.mark.parametrize("name", [*LARSEN, *RESTORING])
@pytest.mark.parametrize("spec", [PICTURE, SERIES])
def test_models_keep_their_contract(name: str, spec: SignalSpec) -> None:
    check_model({**LARSEN, **RESTORING}[name].build(spec))


def test_a_model_whose_players_share_is_found() -> None:
    model = RESTORING["map"].build(PICTURE)
    model.decoder.last.layer.weight = model.encoder.stem.layer.weight
    with pytest.raises(ContractError, match="share a parameter"):
        check_model(model)


def test_every_objective_is_covered() -> None:
    """Each of these tables is given to ``check_objective``, item by item, in its own file."""
    tested = {type(objective) for group in OBJECTIVES.values() for objective in group}
    tested |= {type(objective) for objective, _ in GENERATING}
    tested |= {type(objective) for objective in OBSERVED}
    tested |= {type(objective) for _, objective in SYSTEMS.values()}
    assert {cls for cls in _kinds(Objective) if cls.__module__.startswith("vaegan.")} == tested


def _kinds(base: type) -> set[type]:
    """Every class below ``base`` that can be made."""
    found = {cls for cls in base.__subclasses__() if not inspect.isabstract(cls)}
    return found.union(*(_kinds(cls) for cls in base.__subclasses__()))


def test_terms_are_their_equations() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake, other = torch.randn(3, 6, generator=generator, dtype=torch.float64)

    def surprise(chance: torch.Tensor) -> torch.Tensor:
        return -torch.log(chance).mean()

    expected = surprise(real.sigmoid()) + surprise(1 - fake.sigmoid()) + surprise(1 - other.sigmoid())
    torch.testing.assert_close(terms.gan(real, fake, other), expected)
    torch.testing.assert_close(terms.non_saturating(fake), surprise(fake.sigmoid()))
    torch.testing.assert_close(terms.relativistic(real, fake), surprise((real - fake).sigmoid()))
    x, y = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64)
    half = torch.stack([(a - b).square().sum() / 2 for a, b in zip(x, y, strict=True)]).mean()
    torch.testing.assert_close(terms.squared_error(x, y), half)
    torch.testing.assert_close(terms.learned_similarity(x, y), half)
    torch.testing.assert_close(terms.absolute_error(x, y), (x - y).abs().mean())
    layers = [(x, y), (7 * x, 7 * y)]  # each in units of its own variance
    once = (x - y).square().mean() / x.var()
    torch.testing.assert_close(terms.normalised_similarity(*zip(*layers, strict=True)), once, rtol=1e-5, atol=0)
    weight, at = torch.randn(3, 4, dtype=torch.float64), x.clone().requires_grad_()
    slope = terms.gradient_penalty((weight * at).flatten(1).sum(1) + 0.5 * at[:, 0, 0].square(), at)
    steep = weight.square().sum() - weight[0, 0].square() + (weight[0, 0] + x[:, 0, 0]).square()
    torch.testing.assert_close(slope, 0.5 * steep.mean())


def test_free_bits_are_of_each_dimension_over_the_batch() -> None:
    mean = torch.tensor([[2.0, 0.1, 0.0], [0.0, 0.1, 0.0]], dtype=torch.float64)
    q = DiagonalGaussian(mean, torch.zeros_like(mean))  # KL = mean² / 2: 1, 0.005 and 0 on average
    assert float(terms.kl_prior(q)) == pytest.approx(1.005)
    assert float(terms.kl_free_bits(q, 0.0)) == pytest.approx(1.005)
    assert float(terms.kl_free_bits(q, 0.25)) == pytest.approx(1.5), (
        "an item with less than that pays for one with more"
    )


def test_the_weights_of_the_modern_objective_are_those_that_it_states() -> None:
    model, batch = _setting(RESTORING["map"], PICTURE)
    batch = replace(batch, condition=None, known=None, step=1)  # no penalty in this step
    objective = ModernObjective(
        pixel=0.7, feature=0.0, adversarial=0.4, penalty=0.2, penalty_every=8, beta=0.3, warmup=0.5
    )

    def losses(progress: float, step: int = 1, change: ModernObjective = objective) -> dict[str, torch.Tensor]:
        draws = torch.Generator().manual_seed(3)
        return change.losses(model, replace(batch, progress=progress, step=step), draws)

    start, half, end = (losses(progress) for progress in (0.0, 0.25, 0.9))
    noise = Noise.draw(model, batch, torch.Generator().manual_seed(3))
    encoding = model.encode(batch.y, batch.mask)
    restored = model.decode(encoding.posterior.sample(noise.posterior), encoding.context)
    pixel = 0.7 * (restored - batch.x).abs().mean()
    prior = 0.3 * encoding.posterior.kl().mean() / math.prod(batch.x.shape[1:])
    real, fake = (model.judge(x).logits for x in (batch.x, restored))
    fool = 0.4 * -torch.log(torch.sigmoid(fake - real)).mean()
    for found, ramp in ((start, 0.0), (half, 0.5), (end, 1.0)):
        torch.testing.assert_close(found["encoder"], pixel + ramp * prior)
        torch.testing.assert_close(found["decoder"], pixel + ramp * fool)
        torch.testing.assert_close(found["discriminator"], -torch.log(torch.sigmoid(real - fake)).mean())
    slopes = []
    for x in (batch.x, restored):
        at = x.detach().requires_grad_()
        slopes.append(torch.autograd.grad(model.judge(at).logits.sum(), at)[0].square().flatten(1).sum(1).mean())
    lazy = losses(0.9, step=16)["discriminator"] - end["discriminator"]
    torch.testing.assert_close(lazy, 0.2 * 8 * 0.5 * (slopes[0] + slopes[1]))
    liking = losses(0.0, change=replace(objective, pixel=0.0, feature=0.6))["encoder"]
    layers = [model.judge(x).features[1:] for x in (batch.x, restored)]
    expected = [(a - b).square().mean() / a.var() for a, b in zip(*layers, strict=True)]
    torch.testing.assert_close(liking, 0.6 * torch.stack(expected).mean(), rtol=1e-3, atol=0)


def test_the_evidence_bound_of_a_vae_is_a_mean_over_elements() -> None:
    model, batch = _setting(RESTORING["map"], SERIES)
    batch = replace(batch, known=None)

    def loss(**changes: float) -> torch.Tensor:
        return VAEObjective(**changes).losses(model, batch, torch.Generator().manual_seed(3))["decoder"]  # type: ignore[arg-type]

    noise = Noise.draw(model, batch, torch.Generator().manual_seed(3))
    encoding = model.encode(batch.y, batch.mask)
    error = model.decode(encoding.posterior.sample(noise.posterior), encoding.context) - batch.x
    torch.testing.assert_close(loss(beta=0.0, variance=0.2), 0.5 * error.square().mean() / 0.2)
    prior = loss(beta=2.0) - loss(beta=0.0)
    torch.testing.assert_close(prior, 2.0 * encoding.posterior.kl().mean() / math.prod(SERIES.shape))


def test_signs_follow_algorithm_1() -> None:
    """The decoder's share of L_GAN is minus the discriminator's: a step along it makes fakes more convincing."""
    model, batch = _setting(LARSEN["none"], PICTURE)
    objective = LarsenObjective(gamma=0.0)
    before = objective.losses(model, batch, torch.Generator().manual_seed(7))["discriminator"]
    objective.backward(model, batch, torch.Generator().manual_seed(7))
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter -= 1e-4 * parameter.grad
    after = objective.losses(model, batch, torch.Generator().manual_seed(7))["discriminator"]
    assert after > before


def test_likeness_does_not_train_the_discriminator() -> None:
    model, batch = _setting(LARSEN["batch"], PICTURE)
    grads = []
    for gamma in (1e-6, 1e3):
        LarsenObjective(gamma=gamma).backward(model, batch, torch.Generator().manual_seed(7))
        grads.append([p.grad.clone() for p in model.discriminator.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_equilibrium_gates_the_player_that_is_ahead() -> None:
    sure, unsure = torch.full((4,), 4.0), torch.zeros(4)
    winning = Equilibrium().gates(sure, -sure)
    assert (bool(winning["decoder"]), bool(winning["discriminator"])) == (True, False)
    losing = Equilibrium().gates(-sure, sure)
    assert (bool(losing["decoder"]), bool(losing["discriminator"])) == (False, True)
    even = Equilibrium().gates(unsure, unsure)
    assert bool(even["decoder"])
    assert bool(even["discriminator"])
    torn = Equilibrium().gates(sure, sure)  # sure of the real ones, wrong about the fakes: both would wait
    assert bool(torn["decoder"])
    assert bool(torn["discriminator"])


@pytest.mark.parametrize(("objective", "costs"), [(PriorGANObjective(), (0, 3, 7)), (LearnedVAEObjective(), (3, 3, 3))])
def test_the_steps_of_larsens_ablations_cost_what_they_say(objective: Objective, costs: tuple[int, int, int]) -> None:
    faces = SignalSpec(3, (Axis("height", 64), Axis("width", 64)), "8-bit level", (0, 255))
    model = LarsenConfig(width=8, decoder_width=8, discriminator_width=8).build(faces).eval()
    x, z = torch.rand(2, *faces.shape) * 2 - 1, torch.randn(2, 128)
    with torch.no_grad():
        once = [
            count_flops(lambda: model.encode(x)),
            count_flops(lambda: model.decode(z)),
            count_flops(lambda: model.judge(x)),
        ]
    flops = count_flops(lambda: objective.backward(model, Batch(x, x), None))
    whole = sum(cost * part for cost, part in zip(costs, once, strict=True))
    assert 0.9 * whole < flops <= whole, "the first layers need no gradient of their input"


@pytest.mark.parametrize("config", [LARSEN["batch"], replace(LARSEN["none"], spectral=True)], ids=["batch", "spectral"])
def test_a_finished_discriminator_stays_as_it_is(config: LarsenConfig) -> None:
    model, batch = _setting(config, PICTURE)
    model.train()
    before = {name: value.clone() for name, value in model.discriminator.state_dict().items()}
    LearnedVAEObjective().backward(model, batch, None)
    assert all(torch.equal(value, before[name]) for name, value in model.discriminator.state_dict().items())
    assert model.discriminator.training


def test_the_gan_of_larsens_comparison_is_the_vaegan_without_its_encoder() -> None:
    whole, model = LarsenConfig().build(PICTURE, 3), LarsenGANConfig().build(PICTURE, 3)
    for name, player in model.players().items():
        assert {k: v.shape for k, v in player.state_dict().items()} == {
            k: v.shape for k, v in whole.players()[name].state_dict().items()
        }
    assert model.generates
    assert not model.restores
    check_model(model)
    condition = torch.tensor([0, 1, 2, 1])
    assert model.sample(4, condition=condition).shape == (4, *PICTURE.shape)
    x = torch.rand(4, *PICTURE.shape)
    check_objective(PriorGANObjective(), model, Batch(x, x, condition=condition))


def test_the_relative_error_is_the_rrmse_and_knows_no_amplitude() -> None:
    torch.manual_seed(0)
    x, error = torch.randn(4, 2, 50), 0.3 * torch.randn(4, 2, 50)
    by_hand = [(e.square().mean() / t.square().mean()).sqrt() for t, e in zip(x, error, strict=True)]
    torch.testing.assert_close(terms.relative_error(x, x + error), torch.stack(by_hand).mean(), rtol=1e-5, atol=0.0)
    amplitude = torch.tensor([0.02, 0.1, 1.0, 3.0]).view(4, 1, 1)
    torch.testing.assert_close(
        terms.relative_error(amplitude * x, amplitude * (x + error)), torch.stack(by_hand).mean(), rtol=1e-3, atol=0.0
    )
    estimate = torch.zeros(4, 2, 50, requires_grad=True)
    terms.relative_error(torch.zeros(4, 2, 50), estimate).backward()  # a flat truth, met exactly
    assert estimate.grad is not None
    assert torch.isfinite(estimate.grad).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ModernObjective(bare=1.5), "bare is 1.5; expected 0 to 1; set objective.bare"),
        (lambda: ModernObjective(penalty=-1.0), "penalty is -1.0; expected a number of 0 or more"),
        (lambda: ModernObjective(adversarial=math.nan), "adversarial is nan"),
        (lambda: ModernObjective(warmup=2.0), "warmup is 2.0"),
        (lambda: VAEObjective(variance=0.0), "variance is 0.0; expected a number above 0"),
        (lambda: VAEObjective(bare=-2.0), "bare is -2.0"),
        (lambda: VAEObjective(beta=math.inf), "beta is inf"),
        (lambda: LarsenObjective(gamma=-1.0), "gamma is -1.0"),
        (lambda: Equilibrium(margin=-1.0), "margin is -1.0; .* set objective.equilibrium.margin"),
        (lambda: GANObjective(penalty=-1.0), "penalty is -1.0"),
        (lambda: PresGANObjective(acceptance=2.0), "acceptance is 2.0"),
        (lambda: PixelVAEGANObjective(kl=-0.1), "kl is -0.1"),
        (lambda: UNetVAEObjective(beta=-1.0), "beta is -1.0"),
        (lambda: PairedGANObjective(pixel=-1.0), "pixel is -1.0"),
        (lambda: BlindSpotObjective(beta=-1.0), "beta is -1.0"),
        (lambda: ThinningObjective(beta=-1.0), "beta is -1.0"),
        (lambda: AmbientObjective(penalty=-1.0), "penalty is -1.0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, said) -> None:
    with pytest.raises(UserError, match=said):
        make()


def test_larsens_gan_refuses_a_model_of_another_kind() -> None:
    x = torch.zeros(2, *PICTURE.shape)
    with pytest.raises(UserError, match="the GAN of a decoder and a discriminator"):
        PriorGANObjective().losses(DenseVAEConfig().build(PICTURE), Batch(x, x), None)


def test_the_step_costs_at_most_15_7_gflop_an_image() -> None:
    faces = SignalSpec(3, (Axis("height", 64), Axis("width", 64)), "8-bit level", (0, 255))
    model = LarsenConfig().build(faces)
    x = torch.rand(2, *faces.shape) * 2 - 1
    flops = count_flops(lambda: LarsenObjective().backward(model, Batch(x, x), torch.Generator().manual_seed(0)))
    assert 15.0 < flops / len(x) / 1e9 <= 15.7
