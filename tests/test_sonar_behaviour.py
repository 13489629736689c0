"""How sonar behaves in use: what is written, measured, degraded and shown of records of every kind."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from domains.sonar import Sonar, baselines, metrics, report
from domains.sonar.formats.common import Record
from domains.sonar.formats.humminbird import Humminbird
from domains.sonar.sonar import OWN
from vaegan.degradation import Degradation, build
from vaegan.domain import Recording
from vaegan.errors import DataError, UserError
from vaegan.objectives import BlindSpotObjective, ThinningObjective
from vaegan.plugins import recipes
from vaegan.recipe import Recipe
from vaegan.workflow.training import train


@pytest.mark.parametrize("scaling", ["amplitude", "power", "log"])
def test_restored_amplitudes_stay_in_the_range_of_a_record(scaling, tmp_path: Path) -> None:
    """Else a record of floats, read again, would be given another scale."""
    domain = Sonar(scaling=scaling)
    units = torch.linspace(-1.5, 1.5, 300).view(1, 1, 15, 20).repeat(1, 1, 1, 2)
    units[..., 0, 0] = torch.nan
    echo = domain.to_physical(units)
    assert (float(echo.nan_to_num().min()), float(echo.nan_to_num().max())) == (0.0, 1.0)
    assert bool(echo[..., 0, 0].isnan())
    path = tmp_path / "restored.npy"
    np.save(path, np.full((15, 40), 0.5, dtype=np.float32))
    written = domain.write(domain.read(path).with_signals(echo.nan_to_num().numpy()), tmp_path / "again.npy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(domain.read(written).signals[0, 0], echo[0, 0].nan_to_num(), atol=1e-6)


def speckled(rows: int = 64, columns: int = 64, level: float = 0.2) -> np.ndarray:
    return np.random.default_rng(0).gamma(4.0, level / 4.0, (rows, columns)).clip(0.0, 0.99)


def test_what_cannot_vary_is_not_even_ground() -> None:
    """A blanked water column, a transmitted pulse, and windows of a few levels had infinitely many looks."""
    echo = speckled()
    echo[:16], echo[16:32], echo[32:48, :32] = 1.0, 0.05, np.round(echo[32:48, :32] * 5) / 5
    places = metrics.homogeneous(echo)
    assert all(rows.start >= 32 and (rows.start >= 48 or columns.start >= 32) for rows, columns in places)
    assert metrics.without_truth(echo, echo)["enl_observed"] == pytest.approx(4.0, rel=0.25)


def test_one_bright_sample_does_not_hide_the_others() -> None:
    echo = speckled(level=0.002)
    echo[0, 0] = 0.9
    places = metrics.homogeneous(echo)
    assert len(places) == 4 and all(rows.start or columns.start for rows, columns in places)


@pytest.mark.parametrize("shape", [(1, 400), (400, 1)])
def test_a_record_of_one_ping_is_told_of(shape: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="no window of 1x1 samples with echoes, and without gaps or saturation"):
        metrics.without_truth(speckled(*shape), speckled(*shape))


def own_speckle(*degradations: str) -> Recipe:
    return replace(recipes()["sonar/selfsupervised"], degradations=degradations)


def test_thinning_by_other_looks_than_were_added_is_refused(tmp_path: Path) -> None:
    objective = ThinningObjective(law="gamma", level=4.0)

    def added(*degradations: str) -> Degradation | None:
        return own_speckle(*degradations).degradation()

    objective.check(None)
    objective.check(added("speckle L=4"))
    objective.check(added("speckle L=4 + missing-pings + beam-dropout share=0.1"))
    objective.check(added("missing-pings + speckle L=4", "speckle L=4"))
    for other in (
        ("speckle L=2",),
        ("speckle L=2..4",),
        ("speckle L=4 + smear",),
        ("speckle L=4", "speckle L=8"),
        ("speckle L=4", "missing-pings"),
        ("speckle L=4 + speckle L=4",),
        ("speckle L=4 + missing-pings marked=false",),
        ("smear",),
    ):
        with pytest.raises(
            UserError,
            match=r"level 4, but .*'speckle L=4' and nothing else but hidden .*set --stages.N.objective.level",
        ):
            objective.check(added(*other))
        ThinningObjective(law="gaussian", level=0.1).check(added(*other))
        BlindSpotObjective().check(added(*other))
    with pytest.raises(UserError, match="degradations are noise of 2 looks"):
        train("sonar/selfsupervised", own_speckle("speckle L=2").smoke(), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_thinning_learns_beside_missing_pings(tmp_path: Path) -> None:
    run = train("own", own_speckle("speckle L=4 + missing-pings").smoke(), out=tmp_path / "run", device="cpu")
    assert run.recipe.degradations == ("speckle L=4 + missing-pings",)


def test_a_run_learns_from_records_that_are_noisy_themselves(tmp_path: Path) -> None:
    for k in range(4):
        np.save(tmp_path / f"{k}.npy", (255 * speckled(32, 32)).round().astype(np.uint8))
    run = train("own", own_speckle().smoke().with_data(tmp_path), out=tmp_path / "run", device="cpu")
    assert run.recipe.degradations == () and run.restore(tmp_path / "0.npy").recording.signals.shape == (1, 1, 32, 32)


def test_a_turned_record_is_degraded_as_it_would_be_upright() -> None:
    makers, x = Sonar(size=16).degradations(), 1.6 * torch.rand(3, 1, 12, 20) - 0.8
    turnable = {name for name, make in OWN.items() if "along" in inspect.signature(make).parameters}
    assert turnable >= {"tvg", "beam-pattern", "cross-talk", "range-noise", "ghost", "stripes", "missing-pings"}
    for name in sorted(turnable):
        plain, rows, columns = (build(name + text, makers) for text in ("", " along=rows", " along=columns"))
        upright, turned = (
            one(signal, generator=torch.Generator().manual_seed(0)) for one, signal in ((rows, x), (columns, x.mT))
        )
        assert torch.equal(upright.y, turned.y.mT), name
        default = plain(x, generator=torch.Generator().manual_seed(0)).y
        assert torch.equal(default, upright.y) != torch.equal(
            default, columns(x, generator=torch.Generator().manual_seed(0)).y
        ), name
        with pytest.raises(UserError, match="along"):
            build(name + " along=beams", makers)
    gains = makers["tvg"](error=20.0, along="columns", clip=False)(torch.full((1, 1, 4, 30), -0.9)).y
    assert bool((gains.diff(dim=-1) > 0).all()) and bool((gains.diff(dim=-2) == 0).all())


def humminbird(*channels: str) -> Humminbird:
    nothing = np.zeros((1, 1), dtype=np.int64)
    records = (Record(Path(f"rec/{name}.SON"), ("u1",), (255.0,), nothing, nothing) for name in channels)
    return Humminbird(Path("rec.DAT"), tuple(records))


@pytest.mark.parametrize(
    ("format_name", "metadata", "shown"),
    [
        ("XTF", None, [0, 1]),
        ("Humminbird", humminbird("B001", "B000", "B003", "B002"), [3, 2]),
        ("Humminbird", humminbird("B000", "B001", "B002", "B004"), [0]),
        ("Oculus", None, [0]),
        ("NPY", None, [0]),
        ("HDF5", None, [0]),
    ],
)
def test_only_port_and_starboard_are_shown_as_one_waterfall(format_name, metadata, shown) -> None:
    """Frames of a sequence came out as one raster, the first of them mirrored."""
    signals = np.random.default_rng(0).random((4, 1, 6, 5)).astype(np.float32)
    found = report._shown(Recording(signals, Path("a"), format_name, metadata)).signals
    np.testing.assert_array_equal(found, signals[shown])
    lone = report._shown(Recording(signals[:1], Path("a"), format_name)).signals
    np.testing.assert_array_equal(lone, signals[:1])


@pytest.mark.parametrize("scaling", ["amplitude", "power", "log"])
def test_general_filters_keep_the_brightness_of_even_ground(scaling) -> None:
    domain = Sonar(size=64, scaling=scaling)
    echo = torch.from_numpy(speckled(level=0.3)).view(1, 64, 64)
    mask = np.ones((1, 64, 64), dtype=bool)
    mask[:, :4] = False
    methods = baselines.despecklers(domain.spec, scaling, slow=False)
    for name in ("median", "gaussian", "tv", "wavelet", "nlm"):
        method = methods[name]
        for seen in (None, mask):
            restored = method.restore(domain.to_model(echo).numpy(), seen, method.middle)
            mean = float(domain.to_physical(torch.from_numpy(restored)).mean())
            assert mean == pytest.approx(float(echo.mean()), rel=0.02), (name, seen is None)


def test_log_wavelet_takes_speckle_of_every_scale_out() -> None:
    """One level alone leaves the coarse speckle."""
    restored = baselines.in_log(baselines._wavelet, speckled(level=0.3), 0.7)
    assert restored.std() / restored.mean() < 0.2
