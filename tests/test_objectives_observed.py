"""Objectives that never see a clean signal: their gradients, their assumptions, and what they learn."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from scipy.special import gammaincc

from vaegan.data import SignalSet
from vaegan.degradation import Degradation, GaussianNoise, Measurement, observe
from vaegan.degradation.base import uniform
from vaegan.errors import UserError
from vaegan.models import DenseVAEConfig, LarsenConfig, RestoringConfig
from vaegan.models.latent import LatentModel
from vaegan.nn import DiagonalGaussian, Encoding
from vaegan.objectives import AmbientObjective, Batch, BlindSpotObjective, Objective, ThinningObjective
from vaegan.objectives.cut import Noise
from vaegan.objectives.observed import gamma_above
from vaegan.signal import Axis, SignalSpec
from vaegan.testing import check_objective
from vaegan.training import Adam, Feed, TrainingConfig, fit, make_fabric

PICTURE = SignalSpec(1, (Axis("height", 16), Axis("width", 16)), "1", (-1, 1))
TRACE = SignalSpec(2, (Axis("time", 32),), "V", (-1, 1))
OBJECTIVES = (
    BlindSpotObjective(share=0.2),
    ThinningObjective(law="gamma", level=4.0),
    ThinningObjective(law="gamma", level=0.5, saturates=False),
    ThinningObjective(law="gaussian", level=0.1),
    AmbientObjective(penalty_every=1),
)
SMALL = RestoringConfig(latent=4, width=8, widest=8, depth=2, discriminator_width=4, discriminator_hidden=8)


def batch_of(spec: SignalSpec, *, masked: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(0)
    x = 1.6 * torch.rand((3, *spec.shape), generator=generator) - 0.8
    y = (x + 0.1 * torch.randn(x.shape, generator=generator)).clamp(-1, 1)
    mask = torch.rand((3, 1, *spec.sizes), generator=generator) < 0.8 if masked else None

    def measure(signal, rng):
        return Measurement(signal + 0.1 * torch.randn(signal.shape, generator=rng, dtype=signal.dtype), mask)

    return Batch(x, y, mask, step=0, progress=0.5, measure=measure)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: f"{type(o).__name__}-{getattr(o, 'law', '')}")
@pytest.mark.parametrize("spec", [PICTURE, TRACE], ids=["2D", "1D"])
def test_gradients_are_each_players_own(objective: Objective, spec: SignalSpec) -> None:
    for masked in (False, True):
        check_objective(objective, SMALL.build(spec), batch_of(spec, masked=masked))


@pytest.mark.parametrize("masked", [False, True])
def test_draws_have_the_gaps_of_the_data(masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A discriminator would else tell signals with gaps from draws without."""
    plain = batch_of(PICTURE, masked=masked)
    x = plain.x.clone()
    x[..., :5] = torch.nan
    x[0, :, 7] = torch.nan
    assert plain.measure is not None
    seen = observe(x, None, gaps=True)
    assert seen.known is not None
    mask = seen.known if plain.mask is None else seen.known & plain.mask
    batch = replace(plain, x=seen.x, y=torch.where(mask, plain.y, 0.0), mask=mask, known=seen.known)
    model, objective, judged = SMALL.build(PICTURE), AmbientObjective(penalty_every=1), []
    judge = type(model).judge
    monkeypatch.setattr(type(model), "judge", lambda self, y, *rest: judged.append(y) or judge(self, y, *rest))
    objective.losses(model, batch, torch.Generator().manual_seed(0))
    real, fake = judged[:2]
    assert bool((real == 0).any()) and torch.equal(real == 0, fake == 0)
    check_objective(objective, model, batch)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: f"{type(o).__name__}-{getattr(o, 'law', '')}")
def test_the_clean_signal_is_not_looked_at(objective: Objective) -> None:
    model, batch = SMALL.build(PICTURE), batch_of(PICTURE)
    blind = replace(batch, x=torch.full_like(batch.x, torch.nan))
    losses = [objective.losses(model, b, torch.Generator().manual_seed(3)) for b in (batch, blind)]
    for player in objective.players:
        assert torch.isfinite(losses[1][player])
        assert torch.equal(losses[0][player], losses[1][player])


def test_what_was_not_observed_is_not_judged() -> None:
    batch = batch_of(PICTURE, masked=True)
    assert batch.mask is not None
    torch.manual_seed(0)
    model = SMALL.build(PICTURE).eval()
    for objective in (BlindSpotObjective(share=0.4), ThinningObjective(law="gaussian", level=0.1)):
        filled = [replace(batch, y=torch.where(batch.mask, batch.y, filler)) for filler in (0.0, 0.9)]
        losses = [objective.losses(model, some, torch.Generator().manual_seed(3))["encoder"] for some in filled]
        torch.testing.assert_close(*losses)


def test_of_what_is_held_against_the_other_part_the_share_that_was_not_shown_counts() -> None:
    batch = batch_of(PICTURE, masked=True)
    assert batch.mask is not None
    torch.manual_seed(0)
    model = SMALL.build(PICTURE).eval()
    objective = ThinningObjective(law="gaussian", level=0.1, low=0.8, high=0.8, beta=0.0)
    generator = torch.Generator().manual_seed(3)
    noise = Noise.draw(model, batch, generator)
    share = 0.8 + 0.0 * uniform(len(batch.y), batch.y, generator)
    shown, wanted = objective.pair(model, batch, share, generator)
    encoding = model.encode(shown, batch.mask)
    restored = model.decode(encoding.posterior.sample(noise.posterior), encoding.context)
    expected = 0.2 * (restored - wanted).square()[batch.mask.expand_as(wanted)].mean()
    found = objective.losses(model, batch, torch.Generator().manual_seed(3))["encoder"]
    torch.testing.assert_close(found, expected)


def test_a_penalty_that_comes_rarely_weighs_as_much_as_one_that_comes_always() -> None:
    model, batch = SMALL.build(PICTURE), batch_of(PICTURE)

    def apart(every: int, step: int, penalty: float = 0.3) -> torch.Tensor:
        objective = AmbientObjective(penalty=penalty, penalty_every=every)
        return objective.losses(model, replace(batch, step=step), torch.Generator().manual_seed(3))["discriminator"]

    plain = apart(1, 0, penalty=0.0)
    always, rarely = apart(1, 4) - plain, apart(4, 4) - plain
    assert bool(always > 0)
    torch.testing.assert_close(rarely, 4 * always, rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(apart(4, 5), plain)


def test_parts_of_gamma_noise_are_independent_and_unbiased() -> None:
    objective, looks, share = ThinningObjective(law="gamma", level=4.0), 4.0, 0.7
    n = 200_000
    generator = torch.Generator().manual_seed(0)
    u = 0.3 * torch._standard_gamma(torch.full((1, 1, n), looks), generator=generator) / looks
    one, two = objective.split(2 * u - 1, torch.tensor([share]), generator)
    parts = [((part + 1) / 2).flatten() / 0.3 for part in (one, two)]
    for part, kept in zip(parts, (share, 1 - share), strict=True):
        assert float(part.mean()) == pytest.approx(1.0, abs=0.02)
        assert float(part.var()) == pytest.approx(1 / (kept * looks), rel=0.05)
    assert abs(float(torch.corrcoef(torch.stack(parts))[0, 1])) < 0.01


@pytest.mark.parametrize("shape", [0.5, 1.0, 4.0, 10.0])
@pytest.mark.parametrize("factor", [1.0, 1.3, 3.0])
def test_draws_beyond_a_bound_have_the_law_of_the_tail(shape: float, factor: float) -> None:
    least = shape * factor
    drawn = gamma_above(shape, torch.full((20_000,), least), torch.Generator().manual_seed(0)).double().numpy()
    assert drawn.min() >= least
    exceeded = np.sort(gammaincc(shape, drawn) / gammaincc(shape, least))  # uniform, where the law is right
    assert np.abs(exceeded - (np.arange(20_000) + 0.5) / 20_000).max() < 0.012


class Linear(LatentModel):
    """A running filter of 21 taps and a constant; it can be fitted in closed form."""

    spec = SignalSpec(1, (Axis("time", 2_000),), "1", (-1, 1))
    latent_shape = (1, 2_000)

    def __init__(self, taps: torch.Tensor) -> None:
        super().__init__()
        self.taps = taps

    def players(self):
        return {}

    def encode(self, y, mask=None):
        return Encoding(DiagonalGaussian(y, torch.zeros_like(y)))

    def decode(self, z, context=None, condition=None):
        return seen_by_taps(z) @ self.taps

    @staticmethod
    def fitted(y: torch.Tensor, wanted: torch.Tensor) -> Linear:
        return Linear(torch.linalg.lstsq(seen_by_taps(y).flatten(0, -2), wanted.flatten()).solution)


def seen_by_taps(y: torch.Tensor) -> torch.Tensor:
    windows = torch.nn.functional.pad(y, (10, 10), mode="reflect").unfold(-1, 21, 1)
    return torch.cat([windows, torch.ones_like(windows[..., :1])], dim=-1)


def always(amplitude: float) -> Linear:
    return Linear(torch.cat([torch.zeros(21), torch.tensor([2 * amplitude - 1])]))


def test_parts_of_saturated_noise_are_independent_once_it_is_filled_in() -> None:
    objective, looks, clean = ThinningObjective(law="gamma", level=4.0), 4.0, 0.8
    generator = torch.Generator().manual_seed(0)
    u = clean * torch._standard_gamma(torch.full((100, 1, 2_000), looks), generator=generator) / looks
    cut = (2 * u - 1).clamp(max=1.0)
    whole = objective._beyond_scale(always(clean), Batch(cut, cut), generator)
    assert torch.equal(whole[cut < 1], cut[cut < 1])
    amplitude = (whole + 1) / 2
    assert float(amplitude.mean()) == pytest.approx(clean, rel=0.01)
    assert float(amplitude.var()) == pytest.approx(clean**2 / looks, rel=0.02)
    found = []
    for y in (cut, whole):
        parts = objective.split(y, torch.full((100,), 0.7), generator)
        found.append(float(torch.corrcoef(torch.stack([part.flatten() for part in parts]))[0, 1]))
    assert found[0] < -0.1, "what is cut at full scale has parts of a known sum"
    assert abs(found[1]) < 0.01


def test_weights_cast_without_their_graph_are_forgotten_before_the_graded_pass(monkeypatch) -> None:
    cleared: list[bool] = []
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: cleared.append(torch.is_grad_enabled()))
    y = torch.ones(2, 1, 32)
    ThinningObjective().pair(always(0.8), Batch(y, y), torch.full((2,), 0.7), torch.Generator().manual_seed(0))
    assert cleared == [False]


@pytest.mark.parametrize("saturates", [True, False])
def test_saturated_speckle_costs_nothing_once_it_is_filled_in(saturates: bool) -> None:
    """Least squares instead of training: what the objective's minimum is worth, beside that of the paired error."""
    objective, looks = ThinningObjective(law="gamma", level=4.0, saturates=saturates), 4.0
    generator = torch.Generator().manual_seed(0)

    def draw(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        field = seen_by_taps(torch.randn((n, 1, 2_000), generator=generator))[..., 5:16].mean(-1)
        x = (1.5 * field).tanh() * 0.9
        noise = torch._standard_gamma(torch.full(x.shape, looks), generator=generator) / looks
        return x, ((x + 1) * noise - 1).clamp(-1, 1)

    def error(model: Linear) -> float:
        return float((model.restore(y_test).mean - x_test).square().mean())

    (x, y), (x_test, y_test) = draw(100), draw(50)
    share, model = torch.full((100,), 0.8), always(0.5)
    for _ in range(4):
        model = Linear.fitted(*objective.pair(model, Batch(x, y), share, generator))
    lost = 10 * np.log10(error(model) / error(Linear.fitted(y, x)))
    assert (lost < 0.2) if saturates else (lost > 0.5), lost


def test_parts_of_gaussian_noise_are_independent() -> None:
    objective = ThinningObjective(law="gaussian", level=0.1)
    generator = torch.Generator().manual_seed(0)
    y = 0.2 + 2 * 0.1 * torch.randn((1, 1, 200_000), generator=generator)
    one, two = objective.split(y, torch.tensor([0.8]), generator)
    assert float(one.var()) == pytest.approx(0.04 / 0.8, rel=0.02)
    assert float(two.var()) == pytest.approx(0.04 / 0.2, rel=0.02)
    assert abs(float(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1])) < 0.01


def test_a_replaced_sample_takes_a_neighbours_value() -> None:
    objective = BlindSpotObjective(share=0.5, radius=1)
    y = torch.arange(64.0).reshape(1, 1, 8, 8)
    found = objective._neighbours(y, torch.ones_like(y, dtype=torch.bool), torch.Generator().manual_seed(0))
    rows, columns = (found // 8 - y // 8).abs(), (found % 8 - y % 8).abs()
    assert bool((rows <= 1).all() and (columns <= 1).all())
    assert not bool((found == y).any())


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(12,), (4,), (3,), (2,), (8, 8), (3, 3), (1, 6), (5, 1)])
def test_a_replaced_sample_is_never_itself_not_even_at_a_border(sizes: tuple[int, ...], radius: int) -> None:
    """A shift of -2 from sample 1 leads, reflected at the border, back to sample 1."""
    objective = BlindSpotObjective(share=0.5, radius=radius)
    y = torch.arange(1.0, 1 + prod(sizes)).reshape(1, 1, *sizes).expand(400, 2, *sizes)
    found = objective._neighbours(y, torch.ones_like(y[:, :1], dtype=torch.bool), torch.Generator().manual_seed(0))
    assert not bool((found == y).any())
    assert set(found.unique().tolist()) <= set(y.unique().tolist())


def test_a_sample_without_others_cannot_be_told_from_them() -> None:
    spec = SignalSpec(1, (Axis("time", 1),), "V", (-1, 1))
    model = DenseVAEConfig(latent=2, hidden=(3,)).build(spec)
    with pytest.raises(UserError, match="blind spot in signals of one sample"):
        BlindSpotObjective().losses(model, Batch(torch.zeros(2, 1, 1), torch.zeros(2, 1, 1)), None)


def smooth_signals(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    phase, rate = rng.uniform(0, 6, (n, 1)), rng.uniform(2, 8, (n, 1))
    time = np.linspace(0, 1, 32)
    return (0.6 * np.sin(rate * time + phase))[:, None].repeat(2, 1).astype(np.float32)


def feed_of(degrade: Degradation, *, fixed: bool, batch: int = 16) -> Feed:
    signals = smooth_signals(64)
    data = SignalSet(signals, np.arange(64).astype(str))
    return Feed(data, lambda x: x, degrade, batch=batch, device=torch.device("cpu"), fixed=fixed, flip=True)


def test_each_item_has_one_noisy_copy_for_the_whole_training() -> None:
    feed = feed_of(GaussianNoise(0.1), fixed=True, batch=64)
    epochs = []
    for step in (0, 5):
        seen, _ = feed(step, 0.0)
        noise = (seen.y - seen.x)[:, 0]
        key = [round(float(v), 3) for v in noise.abs().amax(dim=1)]  # mirrored or not
        epochs.append(sorted(key))
    assert epochs[0] == epochs[1]
    fresh = feed_of(GaussianNoise(0.1), fixed=False, batch=64)
    first, second = (
        sorted(float(v) for v in (b.y - b.x).abs().amax(dim=(1, 2))) for b, _ in (fresh(0, 0), fresh(5, 0))
    )
    assert first != second
    assert all(o.observed_only for o in OBJECTIVES)


@pytest.mark.parametrize("objective", [BlindSpotObjective(share=0.2), ThinningObjective(law="gaussian", level=0.15)],
                         ids=["blind spot", "thinning"])  # fmt: skip
def test_noise_is_removed_though_no_clean_signal_was_seen(objective: Objective) -> None:
    noise = GaussianNoise(0.15)
    torch.manual_seed(0)
    model = replace(SMALL, depth=3, width=16, widest=16).build(TRACE)
    config = TrainingConfig(samples=3_000, batch=16, optimizer=Adam(lr=3e-3), clip=0.2, precision="32-true")
    feed = feed_of(noise, fixed=True)
    state = fit(model, objective, feed, config, fabric=make_fabric("cpu", "32-true"))
    x = torch.from_numpy(smooth_signals(256)[64:])
    y = noise(x, generator=torch.Generator().manual_seed(9)).y
    with torch.no_grad():
        restored = state.averaged.eval().restore(y).mean
    gain = 10 * torch.log10((y - x).square().mean() / (restored - x).square().mean())
    assert float(gain) > 3.0


def test_ambient_draws_are_cleaner_than_anything_that_was_seen() -> None:
    """Truth: even signals at −0.6 or 0.6. Observed: one copy of each, with noise of deviation 0.4 on every sample."""
    spec = SignalSpec(1, (Axis("time", 16),), "V", (-1, 1))
    levels = 0.6 * np.random.default_rng(0).choice([-1, 1], (512, 1, 1))
    data = SignalSet(levels.repeat(16, 2).astype(np.float32), np.arange(512).astype(str))
    feed = Feed(data, lambda x: x, GaussianNoise(0.2), batch=32, device=torch.device("cpu"), fixed=True)
    widths = {"latent": 4, "width": 8, "decoder_width": 8, "discriminator_width": 8, "depth": 2}
    config = LarsenConfig(
        **widths, hidden=16, discriminator_hidden=16, norm="group", discriminator_norm="none", leak=0.2
    )
    torch.manual_seed(0)
    budget = TrainingConfig(samples=12_800, batch=32, optimizer=Adam(lr=2e-3, beta1=0.0), clip=0.0, precision="32-true")
    state = fit(config.build(spec), AmbientObjective(penalty=0.3), feed, budget, fabric=make_fabric("cpu", "32-true"))
    drawn = state.averaged.eval().sample(256, generator=torch.Generator().manual_seed(1)).detach()
    assert float(drawn.std(-1).mean()) < 0.2
    assert float(drawn.mean(-1).abs().mean()) == pytest.approx(0.6, abs=0.1)
    assert 0.2 < float((drawn.mean(-1) > 0).float().mean()) < 0.8


def test_wrong_settings_are_named() -> None:
    with pytest.raises(UserError, match="share 0"):
        BlindSpotObjective(share=0)
    with pytest.raises(UserError, match="level 0"):
        ThinningObjective(level=0.0)
    with pytest.raises(UserError, match="no degradation"):
        AmbientObjective().losses(SMALL.build(PICTURE), replace(batch_of(PICTURE), measure=None), None)
