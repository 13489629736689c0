"""Samples that are missing: NaN in the data, a mask for the network, left out by losses and measures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vaegan.baselines import Baseline, Filter, Fitted
from vaegan.data import SignalSet, Split
from vaegan.degradation import GENERIC, build, observe
from vaegan.degradation.observe import bridged
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError
from vaegan.evaluation import write_report
from vaegan.evaluation.evaluator import evaluate_restoration
from vaegan.evaluation.latent import latent_report
from vaegan.evaluation.tradeoff import evaluate_tradeoff
from vaegan.evaluation.uncertainty import Validation, calibrate, evaluate_uncertainty
from vaegan.extras import Extras
from vaegan.files import write_json
from vaegan.metrics.features import Extracted
from vaegan.metrics.restoration import RESTORATION
from vaegan.models import DCGANConfig, LarsenConfig, ModelConfig, PresGANConfig, RestoringConfig
from vaegan.models.directions import Directions
from vaegan.models.spread import Calibration
from vaegan.objectives import (
    Batch,
    GANObjective,
    LarsenObjective,
    ModernObjective,
    Objective,
    PresGANObjective,
    PriorGANObjective,
    VAEObjective,
)
from vaegan.recipe import Recipe
from vaegan.run import Run
from vaegan.signal import Axis, SignalSpec
from vaegan.testing import check_domain, check_objective
from vaegan.training import Feed
from vaegan.workflow.finishing import fit_baselines, spread_of

SPEC = SignalSpec(1, (Axis("angle", 32),), "m", (0.0, 10.0), gaps=True)
CONFIG = RestoringConfig(latent=2, width=4, widest=8, depth=2, discriminator_width=4, discriminator_hidden=8)


@dataclass(frozen=True)
class Scale(Baseline):
    """A factor that is fitted."""

    name: str = "scale"
    strengths: tuple[float, ...] = (1.0,)
    factor: float = field(default=float("nan"))

    def restore(self, y: np.ndarray, mask: np.ndarray | None, strength: float) -> np.ndarray:
        return np.nan_to_num(y * self.factor).astype(np.float32)

    def fit(self, y: np.ndarray, mask: np.ndarray | None, x: np.ndarray) -> Scale:
        known = ~np.isnan(x)
        return replace(self, factor=float((x * y)[known].sum() / np.square(y[known]).sum()))

    def state(self) -> dict[str, np.ndarray]:
        return {"factor": np.asarray([self.factor])}

    def with_state(self, state: dict[str, np.ndarray]) -> Scale:
        return replace(self, factor=float(state["factor"][0]))


class Gappy(Domain):
    """Ranges in metres, every fifth of which has no echo."""

    @property
    def spec(self) -> SignalSpec:
        return SPEC

    def dataset(self, split: Split) -> SignalSet:
        generator = np.random.default_rng({"train": 0, "val": 1, "test": 2}[split])
        signals = (
            generator.uniform(2, 8, (12, 1, 1)) + np.sin(np.arange(32) / 4) + generator.normal(0, 0.01, (12, 1, 32))
        )
        signals[:, :, ::5] = np.nan
        return SignalSet(signals.astype(np.float32), np.asarray([f"{split}{i}" for i in range(12)]))

    def baselines(self) -> dict[str, Baseline]:
        return {"median": super().baselines()["median"], "scale": Scale()}


RECIPE = Recipe("gaps", Gappy(), CONFIG, degradations=("noise sigma=0.1",))


def test_the_contract_takes_gaps() -> None:
    checks = check_domain(Gappy())
    assert all(check.passed for check in checks), checks


def test_a_feed_turns_nan_into_a_mask() -> None:
    feed = Feed(
        Gappy().dataset("train"),
        Gappy().to_model,
        RECIPE.degradation(),
        batch=4,
        device=torch.device("cpu"),
        gaps=True,
    )
    batch, _ = feed(0, 0.0)
    assert batch.known is not None and batch.mask is not None
    assert not batch.known[..., ::5].any() and batch.known.float().mean() == 1 - 7 / 32
    assert torch.equal(batch.mask, batch.known)
    assert batch.x.isfinite().all() and batch.y.isfinite().all()
    assert batch.measure is not None
    assert batch.measure(batch.x, None).y.shape == batch.x.shape


@pytest.mark.parametrize("sizes", [(40,), (12, 20)])
@pytest.mark.parametrize("condition", ["blur sigma=2", "motion length=7", "downsample factor=3"])
def test_a_gap_is_no_surface_to_a_degradation_that_looks_at_neighbours(condition: str, sizes: tuple[int, ...]) -> None:
    """A wall beside the sky stays where it is; a wall at 0 would be mixed into it."""
    generator = torch.Generator().manual_seed(0)
    known = torch.rand(3, 1, *sizes, generator=generator) > 0.3
    known[1, :, : sizes[0] // 2] = False
    known[2] = False
    wall = torch.tensor([0.8, -0.9, 0.5]).view(3, 1, *(1 for _ in sizes))
    x = torch.where(known, wall, torch.nan).expand(3, 2, *sizes)
    seen = observe(x, build(condition, GENERIC), gaps=True, generator=generator)
    torch.testing.assert_close(seen.y, torch.where(known, wall, 0.0).expand_as(x))
    assert seen.known is not None and torch.equal(seen.known, known)
    torch.testing.assert_close(seen.x, seen.y)


def test_what_touches_each_sample_on_its_own_is_the_same_with_gaps_and_without() -> None:
    x = torch.rand(4, 1, 32, generator=torch.Generator().manual_seed(0))
    broken = x.clone()
    broken[..., 3::5] = torch.nan
    noise = build("noise sigma=0.1", GENERIC)
    whole, some = (observe(s, noise, gaps=True, generator=torch.Generator().manual_seed(1)) for s in (x, broken))
    assert some.known is not None and not some.y[..., 3::5].any()
    torch.testing.assert_close(some.y[some.known], whole.y[some.known], rtol=0, atol=0)


def test_a_gap_takes_its_nearest_sample_along_the_last_axis_first() -> None:
    x = torch.tensor([[0.0, 5.0, 0.0, 0.0, 0.0, 7.0, 0.0], [0.0] * 7, [0.0] * 7, [3.0] + [0.0] * 6])[None, None]
    row = [5.0, 5.0, 5.0, 5.0, 7.0, 7.0, 7.0]
    assert bridged(x, x != 0)[0, 0].tolist() == [row, row, [3.0] * 7, [3.0] * 7]


def test_what_a_degradation_drops_is_not_observed_either() -> None:
    x = Gappy().to_model(torch.from_numpy(Gappy().dataset("test").signals))
    seen = observe(x, build("noise sigma=0", Gappy().degradations()), gaps=True)
    assert seen.known is not None and torch.equal(seen.y, seen.x)
    assert torch.equal(seen.known, ~x.isnan())


@pytest.mark.parametrize("objective", [VAEObjective(squared=False), ModernObjective(prior_samples=True)])
def test_unknown_truth_has_no_gradient(objective: VAEObjective | ModernObjective) -> None:
    torch.manual_seed(0)
    model = CONFIG.build(SPEC)
    x = torch.rand(3, 1, 32) * 2 - 1
    known = torch.rand(3, 1, 32) > 0.5
    batch = Batch(torch.where(known, x, 0.0), x, known, known=known, progress=0.5)
    check_objective(objective, model, batch)
    restored = torch.rand(3, 1, 32, requires_grad=True)
    batch.judged(restored).sum().backward()
    assert restored.grad is not None and torch.equal(restored.grad > 0, known)


LARSEN = LarsenConfig(latent=2, width=4, decoder_width=2, discriminator_width=2, depth=2, hidden=6, norm="group")
DRAWING = DCGANConfig(latent=2, width=4, discriminator_width=2)


@pytest.mark.parametrize(
    ("objective", "config"),
    [
        (LarsenObjective(layer=1), LARSEN),
        (PriorGANObjective(), LARSEN),
        (ModernObjective(prior_samples=True), CONFIG),
        (GANObjective(), DRAWING),
        (PresGANObjective(), PresGANConfig(networks=DRAWING)),
    ],
)
def test_gaps_alone_do_not_tell_draws_from_real_signals(objective: Objective, config: ModelConfig, monkeypatch) -> None:
    torch.manual_seed(0)
    model = config.build(SPEC)
    for parameter in model.parameters():  # a new restoring network draws nothing but 0
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    known = torch.rand(3, 1, 32) > 0.5
    x = torch.where(known, torch.rand(3, 1, 32), 0.0)
    judge, shown = model.judge, []
    monkeypatch.setattr(model, "judge", lambda x, *more, **named: (shown.append(x), judge(x, *more, **named))[1])
    batch = Batch(x, x, known, known=known, progress=0.5)
    for way in (objective.losses, objective.backward):
        way(model, batch, torch.Generator().manual_seed(0))
    assert len(shown) >= 4 and all(not one[~known].any() for one in shown)


@pytest.mark.parametrize("name", list(RESTORATION))
def test_measures_leave_unknown_truth_out(name: str) -> None:
    generator = np.random.default_rng(0)
    truth = generator.uniform(0, 10, (2, 1, 32))
    truth[0, :, 20:] = np.nan
    restored = np.nan_to_num(truth, nan=5.0) + 0.5
    spoilt = restored.copy()
    spoilt[0, :, 20:] = -1e6
    function = RESTORATION[name].function
    assert np.isfinite(function(restored, truth, 10.0)).all()
    np.testing.assert_array_equal(function(spoilt, truth, 10.0), function(restored, truth, 10.0))
    if name == "mae":
        np.testing.assert_allclose(function(restored, truth, 10.0), 0.5)


class Means:
    """An extractor whose features are means of quarters."""

    name, note = "means", "means of quarters"

    def __call__(self, x: torch.Tensor) -> Extracted:
        return Extracted(x.unflatten(-1, (4, -1)).mean(-1).flatten(1))


def test_an_item_of_which_nothing_is_known_spoils_no_number(tmp_path: Path) -> None:
    """Beside others it does not count; numbers that are NaN could not be written."""
    whole = Gappy().dataset("test")
    signals = np.array(whole.signals)
    signals[3] = np.nan
    test = replace(whole, signals=signals)
    torch.manual_seed(0)
    model = CONFIG.build(SPEC).eval()
    noise = build("noise sigma=0.1", Gappy().degradations())
    latent = latent_report(model, Gappy(), test, noise, n=12)
    assert 0 < latent["psnr"] < 60 and 0 < latent["psnr_shuffled"] < 60 and 0 < latent["psnr_latent_only"] < 60
    tradeoff = evaluate_tradeoff(model, None, Gappy(), test, "noise", noise, Means(), n=12, seed=0)
    assert tradeoff is not None and all(0 < point["psnr"] < 60 for point in tradeoff.points)
    spread = spread_of(model, 4, 0)
    validation = Validation(Gappy().dataset("val"), {"noise": noise})
    calibration = calibrate(spread, Gappy(), validation.items, noise)
    uncertainty = evaluate_uncertainty(
        spread, calibration, Gappy(), test, {"noise": noise}, n=12, seed=0, validation=validation
    )
    assert {entry["n"] for entry in uncertainty.numbers["noise"].values()} == {11}
    write_json(tmp_path / "metrics.json", {"latent": latent, "uncertainty": uncertainty.numbers})
    write_json(tmp_path / "tradeoff.json", {"points": list(tradeoff.points)})


def test_where_nothing_at_all_is_known_measures_are_left_out(tmp_path: Path) -> None:
    whole = Gappy().dataset("test")
    test = replace(whole, signals=np.full_like(whole.signals, np.nan))
    model = CONFIG.build(SPEC).eval()
    noise = build("noise sigma=0.1", Gappy().degradations())
    latent = latent_report(model, Gappy(), test, noise, n=12)
    assert not {"psnr", "psnr_shuffled", "psnr_latent_only"} & set(latent)
    write_json(tmp_path / "metrics.json", latent)
    assert evaluate_tradeoff(model, None, Gappy(), test, "noise", noise, Means(), n=12, seed=0) is None
    blind = Calibration((1.0, *[0.0] * 7), 1)
    spread = evaluate_uncertainty(spread_of(model, 2, 0), blind, Gappy(), test, {"noise": noise}, n=12, seed=0)
    assert not spread.numbers and not spread.shown


def test_the_page_says_no_psnr_where_nothing_is_known(tmp_path: Path) -> None:
    whole = Gappy().dataset("test")
    signals = np.array(whole.signals)
    signals[:3] = np.nan
    test = replace(whole, signals=signals)
    for n_known, items in ((5, test.take(range(8))), (0, test.take(range(3)))):
        found = evaluate_restoration(
            {"model": lambda y, mask: y}, Gappy(), items, None, ["noise sigma=0.1"], n=8, seed=0
        )
        assert [len(shown.names) for shown in found.worst.values()] == [n_known] * bool(n_known)
        page = write_report(
            tmp_path / "r.html", title="t", metrics={"restoration": found.numbers}, restoration=found
        ).read_text()
        assert "nan dB" not in page
        assert ("the 5 test items" in page) == bool(n_known)


def test_a_fitted_baseline_is_judged_only_when_it_is_fitted(tmp_path: Path) -> None:
    learned = fit_baselines(RECIPE, Gappy().dataset("train"))
    assert 0.5 < float(learned["scale"]["factor"]) < 1.0  # noise makes the best factor smaller than 1
    Extras(baselines=learned).save(tmp_path)
    model = CONFIG.build(SPEC)
    kept = Extras.load(tmp_path, model, model)
    run = Run(tmp_path, "gaps", RECIPE, model.eval(), kept)
    arguments = {"n": 4, "seed": 0}
    restorers = {"model": lambda y, mask: model.restore(y, mask).mean.detach()}
    test, val = Gappy().dataset("test"), Gappy().dataset("val")
    fitted = evaluate_restoration(
        restorers, Gappy(), test, val, ["noise sigma=0.1"], baselines=run.baselines(), **arguments
    )
    plain = evaluate_restoration(restorers, Gappy(), test, val, ["noise sigma=0.1"], **arguments)
    assert isinstance(run.baselines()["scale"], Fitted) and isinstance(run.baselines()["median"], Filter)
    assert set(fitted.numbers["noise sigma=0.1"]) - set(plain.numbers["noise sigma=0.1"]) == {"scale"}
    assert fitted.numbers["noise sigma=0.1"]["scale"]["mae"]["mean"] > 0


def test_a_recording_with_gaps_comes_back_whole() -> None:
    run = Run(Path("nowhere"), "gaps", RECIPE, CONFIG.build(SPEC).eval())
    signals = Gappy().dataset("test").signals[:2]
    restored = run.restore(Recording(signals, Path("scan.log"), "test"), samples=2)
    assert np.isfinite(restored.mean).all() and restored.spread is not None
    broken = signals.copy()
    broken[0, 0, 3] = np.inf
    with pytest.raises(DataError, match="1 values that are not finite"):
        run.restore(Recording(broken, Path("scan.log"), "test"))


def test_an_attribute_is_added_to_a_recording_with_gaps() -> None:
    vector = Directions(("high",), torch.ones(1, 2, 8), torch.tensor([[6, 6]]))
    run = Run(Path("nowhere"), "gaps", RECIPE, CONFIG.build(SPEC).eval(), Extras(directions=vector))
    edited = run.edit(Recording(Gappy().dataset("test").signals[:1], Path("scan.log"), "test"), "high")
    assert np.isfinite(edited.mean).all()
