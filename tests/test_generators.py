"""Models that generate: the studies' sizes to the parameter, every player its own gradient, and the parts of PresGAN."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import pytest
import torch

from vaegan.cli import main
from vaegan.errors import UserError
from vaegan.models import (
    ConvVAEConfig,
    DCGANConfig,
    DenseAutoencoderConfig,
    DenseVAEConfig,
    FlowConfig,
    LarsenConfig,
    Model,
    ModelConfig,
    PixelVAEGANConfig,
    PresGANConfig,
    RestoringConfig,
)
from vaegan.objectives import (
    AutoencoderObjective,
    Batch,
    GANObjective,
    Objective,
    PixelVAEGANObjective,
    PresGANObjective,
    VAEObjective,
)
from vaegan.objectives.cut import Noise
from vaegan.objectives.hmc import sample_latents
from vaegan.signal import Axis, SignalSpec
from vaegan.testing import check_model, check_objective


def picture(channels: int, rows: int, columns: int) -> SignalSpec:
    return SignalSpec(channels, (Axis("height", rows), Axis("width", columns)), "8-bit level", (0, 255))


MNIST, CIFAR = picture(1, 28, 28), picture(3, 32, 32)
SMALL = picture(2, 13, 10)
SERIES = SignalSpec(2, (Axis("time", 21, 0.004, "s"),), "V", (-1e-4, 1e-4))
RING = SignalSpec(1, (Axis("azimuth", 16, 0.4, "rad", periodic=True),), "m", (0, 50))

TINY_GAN = DCGANConfig(latent=3, width=2, discriminator_width=2)
DEEP_GAN = DCGANConfig(latent=3, width=4, ups=2, discriminator_width=2, added=2, norm="batch", spectral=True)
RESIDUAL_GAN = DCGANConfig(latent=3, width=2, discriminator_width=2, added=1, residual=True, start="normal")
DENSE = DenseVAEConfig(latent=3, hidden=(6, 5))
PLAIN = DenseAutoencoderConfig(latent=3, hidden=(6, 5))
CONV = ConvVAEConfig(latent=3, width=2, decoder_width=2, hidden=5)
PIXEL = PixelVAEGANConfig(latent=3, width=2, decoder_width=2, discriminator_width=2)
PRESGAN = PresGANConfig(TINY_GAN)
PRES = PresGANObjective(entropy=0.1, leapfrog=2)

CASES: list[tuple[Objective, ModelConfig]] = [
    (GANObjective(), TINY_GAN),
    (GANObjective(penalty=0.3), replace(DEEP_GAN, spectral=False)),
    (GANObjective(), RESIDUAL_GAN),
    (PRES, PRESGAN),
    (AutoencoderObjective(), PLAIN),
    (AutoencoderObjective(squared=True), PLAIN),
    (VAEObjective(squared=False), DENSE),
    (VAEObjective(), CONV),
    (PixelVAEGANObjective(), PIXEL),
]


def parameters(model: Model) -> dict[str, int]:
    return {name: sum(p.numel() for p in player.parameters()) for name, player in model.players().items()}


def test_the_dcgan_has_exactly_the_studys_parameters() -> None:
    assert parameters(DCGANConfig().build(MNIST)) == {"generator": 5_593_345, "discriminator": 294_113}
    cifar = DCGANConfig(discriminator_width=64).build(CIFAR)
    assert parameters(cifar) == {"generator": 7_147_011, "discriminator": 387_201}


@pytest.mark.parametrize("residual", [False, True])
def test_spectral_norm_is_on_every_layer_of_the_critic(residual: bool) -> None:
    torch.manual_seed(0)
    critic = replace(DEEP_GAN, residual=residual).build(SMALL).discriminator.train()
    for _ in range(40):  # its power iterations take a step each
        verdict = critic(torch.rand(3, *SMALL.shape))
    layers = [layer for layer in critic.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    norms = [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]
    assert len(layers) == 1 + 2 + 1 + 2 * (1 + residual)
    assert norms == pytest.approx([1.0] * len(layers), rel=0.02)
    assert verdict.logits.isfinite().all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: LarsenConfig(leak=0),
        lambda: RestoringConfig(dead_zone=0),
        lambda: DCGANConfig(dropout=0),
        lambda: FlowConfig(noise=0),
        lambda: PresGANConfig(start=-1),
    ],
)
def test_a_number_that_is_no_count_may_be_given_as_a_whole_one(make) -> None:
    assert isinstance(make(), ModelConfig)


def test_the_dense_autoencoder_is_784_128_64_32_and_back() -> None:
    widths = (784, 128, 64, 32)
    layers = [(a + 1) * b for a, b in itertools.pairwise(widths)]
    back = [(b + 1) * a for a, b in itertools.pairwise(widths)]
    assert parameters(DenseAutoencoderConfig().build(MNIST)) == {"encoder": sum(layers), "decoder": sum(back)}
    true_vae = parameters(DenseVAEConfig().build(MNIST))
    assert true_vae == {"encoder": sum(layers) + 65 * 32, "decoder": sum(back)}, "μ and log σ² instead of a code"


def test_the_pixel_vaegan_has_the_founding_codes_sizes() -> None:
    found = parameters(PixelVAEGANConfig().build(picture(3, 256, 256)))
    assert {name: round(count / 1e6, 2) for name, count in found.items()} == {
        "encoder": 10.73,
        "decoder": 12.82,
        "discriminator": 2.80,
    }


@pytest.mark.parametrize("spec", [SMALL, SERIES, RING], ids=["2D", "1D", "ring"])
@pytest.mark.parametrize(("objective", "config"), CASES, ids=lambda value: type(value).__name__)
def test_every_player_gets_exactly_its_own_gradient(objective: Objective, config: ModelConfig, spec) -> None:
    torch.manual_seed(0)
    x = torch.rand(4, *spec.shape) * 2 - 1
    mask = torch.rand(4, 1, *spec.sizes) > 0.2
    check_objective(objective, config.build(spec), Batch(x, x + 0.1 * torch.randn_like(x), mask, progress=0.2))


@pytest.mark.parametrize("config", [DENSE, PLAIN, CONV, PIXEL], ids=lambda value: type(value).__name__)
def test_models_with_a_latent_keep_the_contract(config: ModelConfig) -> None:
    for spec in (SMALL, SERIES):
        check_model(config.build(spec))


@pytest.mark.parametrize("config", [TINY_GAN, DEEP_GAN, PRESGAN], ids=["plain", "deep", "presgan"])
def test_a_pure_generator_draws_and_says_that_it_restores_nothing(config: ModelConfig) -> None:
    for spec in (SMALL, SERIES, RING):
        model = config.build(spec).eval()
        assert model.generates and not model.restores
        check_model(model)
        with pytest.raises(UserError, match=r"restores no signals"):
            model.restore(torch.zeros(1, *spec.shape))
    assert LarsenConfig().build(MNIST).restores
    with pytest.raises(UserError, match="no classes"):
        config.build(SMALL, classes=3)


def test_the_pixel_vaegan_weighs_its_terms_as_it_says() -> None:
    torch.manual_seed(0)
    model = PIXEL.build(SMALL).double().eval()
    x = torch.rand(4, *SMALL.shape, dtype=torch.float64) * 2 - 1
    plain = Batch(x, x + 0.1 * torch.randn_like(x))

    def losses(progress: float, **changes: float) -> dict[str, torch.Tensor]:
        objective = PixelVAEGANObjective(**{"kl": 0.2, "adversarial": 0.3, "warmup": 0.5, "noise": 0.0, **changes})
        return objective.losses(model, replace(plain, progress=progress), torch.Generator().manual_seed(3))

    noise = Noise.draw(model, plain, torch.Generator().manual_seed(3))
    encoding = model.encode(plain.y, None)
    restored = model.decode(encoding.posterior.sample(noise.posterior), encoding.context)
    real, fake = (model.judge(signal).logits.sigmoid() for signal in (x, restored))

    def entropy(chance: torch.Tensor, label: float) -> torch.Tensor:
        return -(label * torch.log(chance) + (1 - label) * torch.log(1 - chance)).mean()

    pixel, kl = (restored - x).square().mean(), encoding.posterior.kl().mean()
    for progress, ramp in ((0.0, 0.0), (0.25, 0.5), (0.8, 1.0)):
        found = losses(progress)
        torch.testing.assert_close(found["encoder"], pixel + 0.2 * ramp * kl + 0.3 * entropy(fake, 0.9))
        torch.testing.assert_close(found["discriminator"], entropy(real, 0.9) + entropy(fake, 0.1))
    assert not torch.allclose(losses(0.8, noise=0.1)["discriminator"], losses(0.8)["discriminator"])


def test_steps_of_monte_carlo_grow_where_too_many_are_accepted() -> None:
    x = torch.rand(4, *SMALL.shape)
    steps = []
    for wanted in (0.0, 1.0):
        torch.manual_seed(0)
        model = PRESGAN.build(SMALL)
        before = float(model.step_size)
        replace(PRES, acceptance=wanted, adapt=0.1).backward(model, Batch(x, x), torch.Generator().manual_seed(0))
        steps.append(float(model.step_size) / before)
    assert steps[0] > 1 >= steps[1]
    assert steps[0] - steps[1] == pytest.approx(0.1, rel=1e-4)


def test_a_ring_turned_is_drawn_and_judged_alike() -> None:
    torch.manual_seed(0)
    model = TINY_GAN.build(RING).eval()
    x = torch.rand(2, *RING.shape)
    with torch.no_grad():
        last = model.judge(x).features[-1]
        turned = model.judge(x.roll(4, 2)).features[-1]
    torch.testing.assert_close(turned, last.roll(1, 2))


def test_the_dropout_comes_from_the_steps_generator() -> None:
    torch.manual_seed(0)
    model = DCGANConfig(width=4, discriminator_width=4).build(SMALL).train()
    x = torch.rand(8, *SMALL.shape)
    with torch.no_grad():
        seen = [model.judge(x, generator=torch.Generator().manual_seed(seed)).logits for seed in (1, 1, 2)]
        settled = [model.eval().judge(x).logits for _ in range(2)]
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])
    assert torch.equal(*settled)


def test_objectives_refuse_other_models() -> None:
    x = torch.zeros(2, *SMALL.shape)
    for objective in (GANObjective(), PresGANObjective()):
        with pytest.raises(UserError, match="expected a"):
            objective.losses(DENSE.build(SMALL), Batch(x, x), None)
    with pytest.raises(UserError, match="expected a VAE or a VAEGAN"):
        VAEObjective().losses(TINY_GAN.build(SMALL), Batch(x, x), None)
    with pytest.raises(UserError, match="expected a PixelVAEGAN"):
        PixelVAEGANObjective().losses(DENSE.build(SMALL), Batch(x, x), None)


class Linear(torch.nn.Module):
    """G(z) = W z, for which everything is known."""

    def __init__(self, w: torch.Tensor) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(w)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (z @ self.w.T)[:, None]


def test_monte_carlo_draws_from_the_posterior_of_a_linear_generator() -> None:
    torch.manual_seed(0)
    w = torch.tensor([[1.0, 0.5], [0.0, 0.8], [0.3, -0.4]], dtype=torch.float64)
    sigma = torch.full((1, 3), 0.5, dtype=torch.float64)
    x = torch.tensor([0.7, -0.2, 0.4], dtype=torch.float64).expand(4000, 1, 3)
    drawn, accepted = sample_latents(
        Linear(w), x, torch.zeros(4000, 2, dtype=torch.float64), sigma,
        step=0.1, burn_in=25, samples=1, leapfrog=8, generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    covariance = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + w.T @ w / 0.25)
    mean = covariance @ w.T @ x[0, 0] / 0.25
    assert 0.8 < float(accepted) <= 1
    torch.testing.assert_close(drawn[0].mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(drawn[0].T.cov(), covariance, atol=0.03, rtol=0)


def test_a_trajectory_that_runs_away_is_refused() -> None:
    z = torch.ones(3, 2)
    drawn, accepted = sample_latents(
        Linear(torch.eye(2)), torch.zeros(3, 1, 2), z, torch.full((1, 2), 1e-3),
        step=1e12, burn_in=0, samples=1, leapfrog=5, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert torch.equal(drawn[0], z) and float(accepted) == 0


def test_the_entropys_gradient_is_that_of_a_linear_generators_entropy() -> None:
    """H = ½ log det(W Wᵀ + σ² I) + const, so ∂H/∂W is known."""
    w = torch.tensor([[0.9, 0.2], [-0.3, 0.6]], dtype=torch.float64)
    spec = SignalSpec(1, (Axis("time", 2),), "1", (-1, 1))
    model = PresGANConfig(DCGANConfig(latent=2, width=2, downs=1), start=math.log(math.expm1(0.25))).build(spec)
    model = model.double()
    model.generator = Linear(w.clone())  # type: ignore[assignment]
    model.step_size.fill_(0.15)
    for parameter in model.discriminator.parameters():
        torch.nn.init.zeros_(parameter)  # no opinion: what is left is the entropy
    x = torch.zeros(20_000, 1, 2, dtype=torch.float64)
    objective = PresGANObjective(entropy=1.0, samples=4)
    objective.backward(model, Batch(x, x), torch.Generator().manual_seed(0))
    covariance = w @ w.T + 0.25**2 * torch.eye(2, dtype=torch.float64)
    wanted = -torch.linalg.inv(covariance) @ w
    found = model.generator.w.grad
    assert found is not None
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0.05)
    assert model.step_size != 0.15, "the step size follows its acceptance"


def test_sigma_stays_within_its_bounds_and_can_come_back() -> None:
    noise = PresGANConfig(TINY_GAN).build(SMALL).noise
    with torch.no_grad():
        noise.raw.fill_(3.0)
    assert float(noise().detach().max()) == pytest.approx(0.3)
    noise().sum().backward()
    assert noise.raw.grad is not None and bool((noise.raw.grad > 0).all())


def test_a_generator_is_compared_with_a_model_that_restores_too(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["digits/mnist-dense-vae", "digits/mnist-presgan"]
    assert main(["compare", *names, "--smoke", "--device", "cpu", "--out", "page", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert {*names, "digits/mnist-dense-vae + mixture"} <= set(metrics["generation"])
    assert metrics["generation"][names[1]]["modes[digit-classifier]"]["unit"] == "of 10"
    assert "restoration" not in metrics
    assert "modes" in (tmp_path / "page" / "report.html").read_text()
    (tmp_path / "digit.png").write_bytes(b"")
    assert main(["restore", "runs/digits/mnist-presgan", "digit.png", "--out", "clean"]) == 2
