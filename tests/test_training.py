"""The loop: it learns, resumes exactly, gates without touching, stops on NaN, and averages over processes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from vaegan import plugins
from vaegan.data import SignalSet
from vaegan.degradation import GaussianNoise
from vaegan.errors import DataError, TrainingError, UserError
from vaegan.models import LarsenConfig, PixelVAEGANConfig, RestorationGANConfig, RestoringConfig, UNetVAEConfig
from vaegan.objectives import (
    Equilibrium,
    LarsenObjective,
    ModernObjective,
    Objective,
    PairedGANObjective,
    PixelVAEGANObjective,
    UNetVAEObjective,
    VAEObjective,
)
from vaegan.objectives.base import Batch
from vaegan.signal import Axis, SignalSpec
from vaegan.training import Adam, AveragedWeights, Feed, RMSProp, TrainingConfig, fit, make_fabric
from vaegan.training.gating import step_if
from vaegan.training.log import Log
from vaegan.training.loop import _Budget, _finish_gradients, _set_learning_rates
from vaegan.training.state import load_tensors, save_tensors
from vaegan.workflow.training import _monitor

SPEC = SignalSpec(1, (Axis("time", 32, 0.01, "s"),), "V", (-1.0, 1.0))
RESTORING = RestoringConfig(latent=4, width=8, widest=16, depth=2, discriminator_width=2, discriminator_hidden=8)
LARSEN = LarsenConfig(latent=4, width=4, decoder_width=2, discriminator_width=2, hidden=8, discriminator_hidden=8)
CONFIG = TrainingConfig(samples=160, cpu_minutes=60, batch=8, optimizer=Adam(lr=1e-3), log_every=5, precision="32-true")


PICTURE = SignalSpec(1, (Axis("height", 16), Axis("width", 16)), "8-bit level", (-1.0, 1.0))


def waves(n: int = 64) -> SignalSet:
    time = np.linspace(0, 2 * np.pi, 32)
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (n, 1, 1))
    groups = np.asarray([str(i) for i in range(n)])
    return SignalSet(np.sin(2 * time + phase).astype(np.float32) * 0.8, groups)


def feed(batch: int = 8, **more) -> Feed:
    return Feed(waves(), lambda x: x, GaussianNoise((0.05, 0.2)), batch=batch, device=torch.device("cpu"), **more)


def test_of_some_samples_a_conditional_model_is_not_told_the_class() -> None:
    data = replace(waves(), labels=np.arange(64) % 4, class_names=tuple("abcd"))
    fed = Feed(data, lambda x: x, None, batch=64, device=torch.device("cpu"), classes=4)
    told = torch.stack([fed(step, 0.0)[0].condition for step in range(40)])
    assert 0.08 < float((told == -1).float().mean()) < 0.12
    assert len({tuple(row) for row in (told == -1).tolist()}) > 1, "other samples in each step"
    torch.testing.assert_close(told[0], fed(0, 0.0)[0].condition)
    plain = Feed(data, lambda x: x, None, batch=64, device=torch.device("cpu"))
    torch.testing.assert_close(fed(3, 0.0)[0].x, plain(3, 0.0)[0].x)
    rows = [int((signal == data.signals).all((1, 2)).nonzero()[0][0]) for signal in fed(3, 0.0)[0].x.numpy()]
    known = told[3] >= 0
    torch.testing.assert_close(told[3][known], torch.from_numpy(data.labels[rows])[known])


def trained(
    objective: Objective, config: TrainingConfig = CONFIG, model_config=RESTORING, folder: Path | None = None, spec=SPEC
):
    torch.manual_seed(0)
    source = feed()
    if spec.dims == 2:
        blobs = replace(source.data, signals=np.resize(source.data.signals, (64, *spec.shape)))
        source = Feed(blobs, lambda x: x, GaussianNoise((0.05, 0.2)), batch=8, device=torch.device("cpu"))
    return fit(model_config.build(spec), objective, source, config, fabric=make_fabric("cpu", "32-true"), folder=folder)


def test_a_denoiser_learns_to_denoise() -> None:
    state = trained(VAEObjective(squared=False, beta=1e-3), replace(CONFIG, samples=6_000))
    batch, _ = feed(batch=64, seed=99)(0, 0.0)
    with torch.no_grad():
        restored = state.averaged.restore(batch.y).mean
    assert (restored - batch.x).square().mean() < 0.5 * (batch.y - batch.x).square().mean()


@pytest.mark.parametrize(
    "objective", [VAEObjective(), ModernObjective(), LarsenObjective(layer=2, equilibrium=Equilibrium())]
)
@pytest.mark.parametrize("spec", [SPEC, PICTURE])
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(objective, spec, tmp_path, monkeypatch) -> None:
    model_config = LARSEN if isinstance(objective, LarsenObjective) else RESTORING
    whole = trained(objective, model_config=model_config, spec=spec)

    class Interruption(Exception):
        pass

    def interrupted(self, step, progress, original=Feed.__call__):
        if step == 10 and not resumed:
            raise Interruption
        return original(self, step, progress)

    resumed = False
    monkeypatch.setattr(Feed, "__call__", interrupted)
    every_step = replace(CONFIG, save_minutes=0.0)
    with pytest.raises(Interruption):
        trained(objective, every_step, model_config, tmp_path, spec)
    resumed = True
    rest = trained(objective, every_step, model_config, tmp_path, spec)
    assert rest.samples == whole.samples == 160
    for name, tensor in whole.averaged.state_dict().items():
        torch.testing.assert_close(rest.averaged.state_dict()[name], tensor, rtol=1e-6, atol=1e-7, msg=name)
    assert [row["samples"] for row in rest.history][-1] == 160


@pytest.mark.parametrize(
    ("objective", "config"),
    [
        (LarsenObjective(layer=2), LARSEN),
        (ModernObjective(), replace(LARSEN, norm="none")),
        (UNetVAEObjective(), UNetVAEConfig(latent=2, width=2)),
        (PairedGANObjective(), RestorationGANConfig(width=2, discriminator_width=2, discriminator_depth=2)),
    ],
)
def test_batch_norm_of_a_single_value_is_refused_before_anything_is_written(objective, config, tmp_path) -> None:
    model = config.build(SPEC)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=r"batch norm over batches of one item.* set --stages.N.training.batch to 2"):
        fit(model, objective, feed(batch=1), CONFIG, fabric=make_fabric("cpu", "32-true"), folder=tmp_path)
    assert not list(tmp_path.iterdir())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("config", [replace(LARSEN, norm="group", discriminator_norm="group"), PixelVAEGANConfig(2, 2)])
def test_batches_of_one_item_train_where_norms_have_several_values(config) -> None:
    objective = PixelVAEGANObjective() if isinstance(config, PixelVAEGANConfig) else LarsenObjective(layer=2)
    budget = replace(CONFIG, samples=3, batch=1)
    state = fit(config.build(SPEC), objective, feed(batch=1), budget, fabric=make_fabric("cpu", "32-true"))
    assert state.step == 3


def test_a_finished_run_is_not_trained_again(tmp_path) -> None:
    first = trained(VAEObjective(), folder=tmp_path)
    again = trained(VAEObjective(), folder=tmp_path)
    assert again.done
    assert again.step == first.step
    longer = trained(VAEObjective(), replace(CONFIG, samples=240), folder=tmp_path)
    assert longer.samples == 240


@pytest.mark.parametrize("make", [Adam(lr=0.1), RMSProp(lr=0.1)])
def test_a_gated_player_keeps_weights_and_moments(make) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = make.build([weight])
    for gate in (False, True, False):
        before = weight.detach().clone()
        moments = {k: v.clone() for k, v in optimizer.state[weight].items() if isinstance(v, torch.Tensor)}
        weight.grad = torch.tensor([1.0, 2.0, 3.0])
        step_if(optimizer, torch.tensor(gate))
        assert torch.equal(weight, before) is not gate
        if not gate:
            for name, value in optimizer.state[weight].items():
                assert torch.equal(value, moments.get(name, torch.zeros_like(value))), name


@dataclass(frozen=True)
class Exploding(Objective):
    players: ClassVar[tuple[str, ...]] = ("encoder", "decoder")

    def losses(self, model, batch: Batch, generator):
        loss = (model.decode(model.encode(batch.y).posterior.mean) ** 2).mean()
        return dict.fromkeys(self.players, loss * (float("nan") if batch.step == 7 else 1.0))


def test_a_loss_that_is_not_finite_stops_training_and_is_named(tmp_path) -> None:
    with pytest.raises(TrainingError, match=r"the term 'encoder' is nan at step 8; .*learning rate"):
        trained(Exploding(), replace(CONFIG, save_minutes=0.0), folder=tmp_path)
    tensors, info = load_tensors(tmp_path / "state.safetensors")
    assert info["step"] == 7
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_every_batch_depends_on_seed_and_number_alone() -> None:
    a, b = feed(seed=3), feed(seed=3)
    for step in (0, 5):
        b(step, 0.0)
    (one, _), (two, _) = a(9, 0.0), b(9, 0.0)
    assert torch.equal(one.x, two.x)
    assert torch.equal(one.y, two.y)
    assert not torch.equal(one.x, feed(seed=4)(9, 0.0)[0].x)


def test_an_epoch_shows_every_item_once() -> None:
    data = waves(30)
    numbered = replace(data, signals=np.arange(30, dtype=np.float32).reshape(30, 1, 1).repeat(32, 2))
    source = Feed(numbered, lambda x: x, None, batch=7, device=torch.device("cpu"))
    seen = torch.cat([source(step, 0.0)[0].x[:, 0, 0] for step in range(30)])  # 210 = 7 epochs
    for epoch in seen.view(7, 30):
        assert sorted(epoch.tolist()) == list(range(30))


def test_mixed_signals_are_sums_of_two_of_the_batch() -> None:
    plain, mixed = feed()(5, 0.0)[0].x, feed(mix=1.0)(5, 0.0)[0].x
    for i, found in enumerate(mixed):
        weights = torch.linalg.lstsq(torch.stack([plain[i, 0], plain[i - 1, 0]], 1), found[0][:, None]).solution
        torch.testing.assert_close(weights.square().sum(), torch.tensor(1.0), atol=1e-3, rtol=0)
        assert (weights > -1e-4).all()
    some = feed(mix=0.5, batch=64)(0, 0.0)[0].x
    same = (some == feed(batch=64)(0, 0.0)[0].x).flatten(1).all(1).float().mean()
    assert 0.3 < same < 0.7


@pytest.mark.parametrize("length", [31, 32])
def test_surrogates_keep_spectrum_mean_and_what_channels_share(length) -> None:
    signals = np.random.default_rng(0).normal(1.0, 2.0, (40, 2, length)).astype(np.float32)
    data = replace(waves(40), signals=signals)
    plain, new = (
        Feed(data, lambda x: x, None, batch=40, device=torch.device("cpu"), surrogates=share)(3, 0.0)[0].x
        for share in (0.0, 1.0)
    )
    before, after = torch.fft.rfft(plain), torch.fft.rfft(new)
    torch.testing.assert_close(after.abs(), before.abs(), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(new.mean(-1), plain.mean(-1))
    # Between channels phases stay; between frequencies they do not.
    torch.testing.assert_close(
        after[:, 0] * after[:, 1].conj(), before[:, 0] * before[:, 1].conj(), atol=1e-2, rtol=1e-3
    )
    assert not torch.isclose(new, plain, atol=0.1).flatten(1).all(1).any()
    turns = (after * before.conj())[:, 0, 1 : (length - 1) // 2]
    assert float((turns / turns.abs()).mean().abs()) < 0.1, "by any angle alike"


def test_surrogates_are_of_the_share_that_is_asked_for_and_of_whole_signals() -> None:
    same = (feed(surrogates=0.5, batch=64)(0, 0.0)[0].x == feed(batch=64)(0, 0.0)[0].x).flatten(1).all(1)
    assert 0.3 < same.float().mean() < 0.7
    for gaps, signals in ((True, waves().signals), (False, waves().signals.reshape(64, 1, 8, -1))):
        with pytest.raises(DataError, match=r"set --stages\.N\.training\.surrogates 0"):
            Feed(
                replace(waves(), signals=signals),
                lambda x: x,
                None,
                batch=4,
                device=torch.device("cpu"),
                surrogates=0.5,
                gaps=gaps,
            )
    with pytest.raises(UserError, match=r"surrogates is -0\.1"):
        TrainingConfig(surrogates=-0.1)


def test_a_domain_varies_training_signals_before_they_are_degraded() -> None:
    varied = feed(vary=lambda x, generator: 2.0 * x + torch.rand(1, generator=generator))
    (one, _), (plain, _) = varied(5, 0.0), feed()(5, 0.0)
    offset = one.x - 2.0 * plain.x
    torch.testing.assert_close(offset, offset[0, 0, 0].expand_as(offset))
    assert 0.0 < offset[0, 0, 0] < 1.0
    assert torch.equal(one.x, varied(5, 0.0)[0].x)
    with pytest.raises(DataError, match=r"set --stages\.N\.training\.no-vary"):
        Feed(
            replace(waves(), observed=waves().signals),
            lambda x: x,
            None,
            batch=4,
            device=torch.device("cpu"),
            vary=lambda x, _: x,
        )


def test_sums_have_no_class_and_no_recorded_damage() -> None:
    pairs = replace(waves(), observed=waves().signals)
    with pytest.raises(DataError, match=r"set --stages\.N\.training\.mix 0"):
        Feed(pairs, lambda x: x, None, batch=4, device=torch.device("cpu"), mix=0.5)
    with pytest.raises(UserError, match="mix is 2"):
        TrainingConfig(mix=2.0)
    with pytest.raises(DataError, match="batches of 1 from 64; expected at least 2"):
        feed(batch=1, mix=0.5)


def test_of_a_sum_is_known_what_is_known_of_both() -> None:
    signals = np.array(waves().signals)
    signals[::3, :, :8] = np.nan
    data = replace(waves(), signals=signals)
    plain, hardly, mixed = (
        Feed(data, lambda x: x, None, batch=32, device=torch.device("cpu"), mix=share, gaps=True)(0, 0.0)[0]
        for share in (0.0, 1e-9, 0.5)
    )
    assert plain.known is not None and hardly.known is not None and mixed.known is not None
    assert torch.equal(hardly.known, plain.known) and torch.equal(hardly.x, plain.x), "others' gaps are no one else's"
    both = plain.known & plain.known.roll(1, dims=0)
    as_they_were = (mixed.x == plain.x).flatten(1).all(1) & (mixed.known == plain.known).flatten(1).all(1)
    sums = ~as_they_were
    assert 0.3 < float(sums.float().mean()) < 0.7 and bool((both != plain.known).any())
    assert torch.equal(mixed.known[sums], both[sums])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: TrainingConfig(schedule="linear"),
            "schedule is 'linear'; expected one of cosine, constant; set --stages.N.training.schedule",
        ),
        (lambda: TrainingConfig(save_minutes=-1), "save_minutes is -1; .*; set --stages.N.training.save-minutes"),
        (lambda: TrainingConfig(batch=0), "batch is 0; expected at least 1; set --stages.N.training.batch"),
        (lambda: RMSProp(weight_decay=-1), "weight_decay is -1; .*; set --stages.N.training.optimizer.weight-decay"),
        (lambda: Adam(beta1=1.0), "beta1 is 1.0; .*; set --stages.N.training.optimizer.beta1"),
        (lambda: TrainingConfig(precision="half"), "precision is 'half'; expected one of auto"),
        (lambda: TrainingConfig(warmup=1.5), "warmup is 1.5; expected 0 to 1"),
        (lambda: TrainingConfig(warmup=float("nan")), "warmup is nan"),
        (lambda: Adam(beta1=1.5), "beta1 is 1.5; expected 0 up to, not including, 1"),
        (lambda: Adam(beta2=1.0), "beta2 is 1.0"),
        (lambda: RMSProp(weight_decay=-1.0), "weight_decay is -1.0; expected a number of 0 or more"),
    ],
)
def test_settings_that_would_train_something_else_are_refused(make, said) -> None:
    with pytest.raises(UserError, match=said):
        make()


def test_two_processes_see_different_halves_of_a_batch() -> None:
    whole = feed(batch=8)(3, 0.0)[0].x
    halves = torch.cat([feed(batch=4, rank=rank, world=2)(3, 0.0)[0].x for rank in (0, 1)])
    assert torch.equal(whole, halves)


def test_every_process_draws_noise_of_its_own_and_every_epoch_an_order_of_its_own() -> None:
    noises = []
    for rank in (0, 1):
        batch, _ = feed(batch=32, rank=rank, world=2)(0, 0.0)
        noises.append((batch.y - batch.x).flatten())
    assert abs(float(torch.corrcoef(torch.stack(noises))[0, 1])) < 0.2
    one, two = (feed(batch=64)(step, 0.0)[0].x for step in (0, 1))
    assert not torch.equal(one, two)


def test_copies_that_stay_the_same_differ_from_item_to_item() -> None:
    even = replace(waves(), signals=np.zeros((64, 1, 400), np.float32))
    fixed = Feed(even, lambda x: x, GaussianNoise(0.1), batch=64, device=torch.device("cpu"), fixed=True)
    first, second = (fixed(step, 0.0)[0].y[:, 0] for step in (0, 1))
    alike = torch.corrcoef(torch.cat([first, second])) > 0.99
    assert bool((alike[:64, :64] == torch.eye(64, dtype=torch.bool)).all()), "no two items have the same noise"
    assert bool((alike[:64, 64:].sum(1) == 1).all()), "each has its own again in the next epoch"


def test_what_is_mirrored_is_mirrored_with_its_damage_and_its_gaps() -> None:
    signals = np.array(waves().signals)
    signals[:, :, :5] = np.nan
    pairs = replace(waves(), signals=signals, observed=signals + 1)
    cpu = torch.device("cpu")
    paired = Feed(pairs, lambda x: x, None, batch=64, device=cpu, flip=True, gaps=True)(0, 0.0)[0]
    own = replace(waves(), signals=signals)
    fixed = Feed(own, lambda x: x, GaussianNoise(1e-3), batch=64, device=cpu, flip=True, gaps=True, fixed=True)
    for batch, offset in ((paired, 1.0), (fixed(0, 0.0)[0], 0.0)):
        assert batch.known is not None and batch.mask is not None
        assert torch.equal(batch.known, batch.mask)
        assert 20 < int((~batch.known[:, 0, -1]).sum()) < 44, "about half"
        assert torch.equal(batch.known[:, 0, 0], ~batch.known[:, 0, -1])
        assert bool((batch.x[~batch.known] == 0).all())
        torch.testing.assert_close(batch.y[batch.mask], batch.x[batch.known] + offset, atol=1e-2, rtol=0)


def test_learning_rates_rise_and_fall_by_the_share_of_the_budget() -> None:
    optimizers = {
        name: Adam(lr=1e-3).build([torch.nn.Parameter(torch.ones(1))]) for name in ("decoder", "discriminator")
    }

    def rates(progress: float, **more: object) -> list[float]:
        _set_learning_rates(optimizers, replace(CONFIG, **more), progress)  # type: ignore[arg-type]
        return [optimizer.param_groups[0]["lr"] for optimizer in optimizers.values()]

    own = replace(CONFIG, optimizer=Adam(lr=1e-3), warmup=0.1, discriminator_lr=3.0).__dict__
    assert rates(0.0, **own) == pytest.approx([1e-5, 3e-5])
    assert rates(0.5, **own) == pytest.approx([0.505e-3, 3 * 0.505e-3])
    assert rates(1.0, **own) == rates(1.2, **own) == pytest.approx([1e-5, 3e-5])
    assert rates(0.049, **{**own, "schedule": "constant"}) == pytest.approx([0.5e-3, 1.5e-3])
    assert rates(0.9, **{**own, "schedule": "constant"}) == pytest.approx([1e-3, 3e-3])


def test_long_gradients_are_cut_but_the_discriminators() -> None:
    players = {}
    for name, size in (("encoder", 5.0), ("decoder", 0.5), ("discriminator", 5.0)):
        parameter = torch.nn.Parameter(torch.zeros(2))
        parameter.grad = torch.tensor([0.6, -0.8]) * size
        players[name] = [parameter]
    for clip, left in ((1.0, (1.0, 0.5, 5.0)), (0.0, (1.0, 0.5, 5.0))):
        norms = _finish_gradients(make_fabric("cpu", "32-true"), players, clip)
        assert [float(p.grad.norm()) for (p,) in players.values()] == pytest.approx(left, rel=1e-5)
        assert players["encoder"][0].grad[0] > 0 > players["encoder"][0].grad[1]
    assert list(norms) == [f"gradient_{name}" for name in players]
    players["encoder"][0].grad *= 4
    assert float(_finish_gradients(make_fabric("cpu", "32-true"), players, 1.0)["gradient_encoder"]) == pytest.approx(4)


def test_what_ends_first_ends_a_training() -> None:
    budget = _Budget(TrainingConfig(samples=1000, minutes=2.0), "cuda")
    assert budget.progress(500, 12.0) == 0.5
    assert budget.progress(100, 60.0) == 0.5
    assert _Budget(TrainingConfig(samples=1000, cpu_minutes=1.0), "cpu").progress(100, 30.0) == 0.5
    assert _Budget(TrainingConfig(samples=1000, cpu_minutes=1.0), "cuda").progress(100, 3000.0) == 0.1


def test_the_log_has_the_mean_of_the_steps_since_the_last_line() -> None:
    log = Log(None, None, "")
    for step in range(4):
        log.keep(step, {"loss": torch.tensor(float(step))})
    assert log.flush(64) == {"loss": 1.5}
    log.keep(4, {"loss": torch.tensor(7.0)})
    log.flush(80)
    log.close()
    assert log.history == [{"samples": 64.0, "loss": 1.5}, {"samples": 80.0, "loss": 7.0}]


def test_the_average_forgets_its_start() -> None:
    model = RESTORING.build(SPEC)
    average = AveragedWeights(model, share=0.05)
    for parameter in model.parameters():
        torch.nn.init.ones_(parameter)
    for step in range(1, 200):
        average.update(model, 8 * step, 8)
    assert all(torch.allclose(p, torch.ones_like(p), atol=1e-3) for p in average.model.parameters())


def test_half_of_the_average_is_of_the_last_twentieth_of_what_was_seen() -> None:
    model = LARSEN.build(SPEC)
    average = AveragedWeights(model, share=0.05)
    for value, steps in ((0.0, range(1, 1001)), (1.0, range(1001, 1051))):
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, value)
        for step in steps:
            average.update(model, 8 * step, 8)
    for buffer in model.buffers():
        buffer.fill_(3)
    average.update(model, 8 * 1051, 8)
    assert all(torch.allclose(p, torch.full_like(p, 0.5), atol=0.03) for p in average.model.parameters())
    buffers = list(average.model.buffers())
    assert buffers and all((buffer == 3).all() for buffer in buffers), "statistics of batches are the last ones"


def test_saved_files_are_complete_or_absent(tmp_path) -> None:
    path = tmp_path / "state.safetensors"
    save_tensors(path, {"a": torch.ones(2)}, {"step": 1})
    with pytest.raises(TypeError):
        save_tensors(path, {"a": torch.ones(2)}, {"step": object()})
    assert load_tensors(path)[1] == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]
    path.write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot be read"):
        load_tensors(path)


PROCESS = """
import json, sys, torch
from tests.test_training import RESTORING, SPEC, waves
from vaegan.objectives import VAEObjective
from vaegan.training import Adam, Feed, TrainingConfig, fit, make_fabric
fabric = make_fabric("cpu", "32-true")
torch.manual_seed(0)
world, rank = fabric.world_size, fabric.global_rank
data = Feed(waves(), lambda x: x, None, batch=8 // world, device=fabric.device, rank=rank, world=world)
class Fixed(VAEObjective):
    # The posterior's noise differs between processes; without it the mean over processes is the whole batch's gradient.
    def losses(self, model, batch, generator):
        x = model.decode(model.encode(batch.y).posterior.mean)
        return dict.fromkeys(self.players, (x - batch.x).square().mean())
config = TrainingConfig(samples=80, cpu_minutes=60, batch=8, optimizer=Adam(lr=1e-3), log_every=5, clip=0.0)
state = fit(RESTORING.build(SPEC), Fixed(), data, config, fabric=fabric)
if fabric.is_global_zero:
    print(json.dumps([float(p.double().sum()) for p in state.model.parameters()]))
"""


def test_two_processes_train_as_one(tmp_path) -> None:
    script = tmp_path / "train.py"
    script.write_text(PROCESS)
    root = Path(__file__).parents[1]

    def sums(command: list[str]) -> list[float]:
        environment = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        result = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, check=False)
        assert result.returncode == 0, result.stderr[-2000:]
        return json.loads(next(line for line in result.stdout.splitlines() if line.startswith("[")))

    one = sums([sys.executable, str(script)])
    two = sums([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)])
    assert two == pytest.approx(one, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"d_margin": 13.0}, "wins by far"),
        ({"d_margin": 0.004}, "cannot tell real from restored"),
        ({"d_real": 0.995, "d_sampled": 0.004}, "is certain of everything"),
        ({"d_real": 0.335, "d_sampled": 0.334}, "set --model.discriminator-norm group"),
        ({"d_margin": 0.5}, None),
        ({"d_real": 0.6, "d_sampled": 0.3}, None),
    ],
)
def test_a_dead_or_winning_discriminator_is_said_once(terms: dict[str, float], said: str | None) -> None:
    log = Log(None, None, "")
    for step in range(7):
        log.keep(step, {name: torch.tensor(value) for name, value in terms.items()})
        log.flush(16 * step)
        assert not log.warnings or step >= 4, "a bad moment is no reason"
    log.close()
    assert len(log.warnings) == (said is not None)
    assert said is None or said in log.warnings[0]


def test_an_encoder_that_is_not_trained_is_not_looked_at() -> None:
    """Its latents carry nothing yet, which is no posterior collapse."""
    recipe = plugins.recipes()["faces/celeba64-small-learned-vae"].smoke()
    val = recipe.domain.dataset("val")
    model = recipe.model.build(recipe.domain.spec)
    for stage, warned in zip(recipe.stages, (False, True), strict=True):
        log = Log(None, None, "")
        _monitor(recipe.domain, val, recipe.degradation("val"), stage.objective.players)(model.eval(), log, 100_000)
        log.close()
        assert any("posterior collapse" in warning for warning in log.warnings) is warned
