"""Signals larger than a network's own: in windows as in one piece, without seams, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from domains import decoding
from domains.faces import Faces
from domains.pictures import read_picture, write_picture
from vaegan.cli import main
from vaegan.inference import covers, restore_any_size
from vaegan.models import LarsenConfig, RestoringConfig
from vaegan.models.base import Restored, measured_reach
from vaegan.models.vaegan import VAEGAN
from vaegan.nn.neighbours import alike
from vaegan.plugins import recipes
from vaegan.run import load, recipe_json, save
from vaegan.signal import Axis, SignalSpec

LEVEL = 2 / 255
"""One 8-bit level in model units."""

SMALL = RestoringConfig(latent=3, width=4, widest=8, depth=2, discriminator_width=2, discriminator_hidden=4)
FACES = Faces().spec


def spec_of(channels: int, *sizes: int, periodic: tuple[bool, ...] = (False, False)) -> SignalSpec:
    axes = tuple(Axis(f"a{i}", n, periodic=p) for i, (n, p) in enumerate(zip(sizes, periodic, strict=False)))
    return SignalSpec(channels, axes, "V", (-1, 1))


def untrivial(config: RestoringConfig | LarsenConfig, spec: SignalSpec, seed: int = 0) -> VAEGAN:
    """A network whose every layer matters: new residual blocks are the identity, so all weights are drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    model = config.build(spec).eval()
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 16
        torch.nn.init.normal_(parameter, 0.0, fan_in**-0.5, generator=generator)
    return model


def observed(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# --- local networks


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, blocks=2),
        replace(SMALL, depth=3),
        replace(SMALL, depth=1, norm="batch"),
        replace(SMALL, norm="layer"),
        replace(SMALL, latent=0),
        replace(SMALL, keep_observed=True),
        replace(SMALL, dead_zone=0.05),
    ],
)
@pytest.mark.parametrize("sizes", [(150, 203), (64, 301)])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_windows_of_a_local_network_give_what_the_whole_picture_gives(config, sizes, overlap) -> None:
    sizes = tuple(2 * n + 1 for n in sizes) if config.depth == 3 or config.blocks == 2 else sizes
    model, y = untrivial(config, FACES), observed(1, 3, *sizes)
    mask = torch.rand(1, 1, *sizes, generator=torch.Generator().manual_seed(2)) > 0.3 if config.keep_observed else None
    assert model.local
    plan = covers(model, sizes, overlap=overlap, memory=0)
    assert max(len(cover) for cover in plan) > 1
    with torch.no_grad():
        whole = model.restore(y, mask).mean
    assert (whole - y).std() > 0.1
    tiled = restore_any_size(model, y, mask, overlap=overlap, memory=0).mean
    assert (tiled - whole).abs().max() < LEVEL / 10


def test_a_margin_less_than_the_reach_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    model, y = untrivial(SMALL, FACES), observed(1, 3, 150, 203)
    reach = model.reach
    assert reach is not None and reach % model.stride != 0  # rounded up, or a smaller one would do
    with torch.no_grad():
        whole = model.restore(y).mean
    monkeypatch.setitem(vars(model), "reach", reach // 3)
    assert (restore_any_size(model, y, overlap=0.0, memory=0).mean - whole).abs().max() > LEVEL


def test_which_networks_are_local() -> None:
    def reach(config: RestoringConfig | LarsenConfig, spec: SignalSpec = FACES) -> int | None:
        model = config.build(spec)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        found = model.reach
        assert model.local == (found is not None)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        return found

    one, two, three = (reach(replace(SMALL, depth=depth)) for depth in (1, 2, 3))
    assert one is not None and two is not None and three is not None
    assert 8 < one < two < three < 128
    assert reach(SMALL, spec_of(2, 40)) == reach(SMALL, spec_of(2, 40, periodic=(True,))) == two
    assert reach(replace(SMALL, norm="batch")) == two, "in evaluation mode its statistics are fixed"
    assert reach(replace(SMALL, norm="layer")) == two, "it knows nothing of other places"
    without = reach(replace(SMALL, latent=0))
    assert without is not None and 8 < without < two, "the latent's two convolutions reach one step further each"
    assert reach(replace(SMALL, blocks=2)) > two
    assert reach(replace(SMALL, norm="group")) is None
    assert reach(replace(SMALL, vector=True)) is None
    assert reach(LarsenConfig(latent=2, width=2, decoder_width=2, discriminator_width=2, hidden=0)) is None


def test_an_axis_shorter_than_the_smoothing_is_restored_too() -> None:
    close = alike(observed(1, 2, 3), 5, (False,))
    assert close.shape == (1, 20, 3) and not close[:, 8:].any(), "beyond the ends there is nothing"
    config = replace(SMALL, depth=1, neighbours=True, smoothing=5)
    model = untrivial(config, spec_of(1, 32, 32))
    few = untrivial(replace(config, smoothing=1), spec_of(1, 32, 32)).reach
    assert model.reach is not None and few is not None and model.reach >= few
    with torch.no_grad():
        assert model.restore(observed(1, 1, 3, 40)).mean.isfinite().all()


def test_a_fault_is_not_taken_for_a_model_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    model, plain = untrivial(SMALL, spec_of(1, 32, 32)), VAEGAN.restore

    def faulty(self: VAEGAN, y: torch.Tensor, *more: object, **named: object) -> Restored:
        if min(y.shape[2:]) < 8:
            raise RuntimeError("start out of range")
        return plain(self, y, *more, **named)

    monkeypatch.setattr(VAEGAN, "restore", faulty)
    with pytest.raises(RuntimeError, match="start out of range"):
        measured_reach(model)
    monkeypatch.undo()
    assert measured_reach(untrivial(replace(SMALL, vector=True), spec_of(1, 32, 32))) is None


def test_nothing_further_than_the_reach_matters() -> None:
    model = untrivial(replace(SMALL, blocks=2), spec_of(1, 64))
    y = observed(1, 1, 800)
    altered = y.clone()
    altered[..., 400:] = 0
    with torch.no_grad():
        moved = (model.restore(y).mean != model.restore(altered).mean)[0, 0].nonzero().flatten()
    assert 400 - model.reach <= moved[0] < 400 - model.reach // 2


@pytest.mark.parametrize("sizes", [(256, 64), (64, 256), (300, 128)])
def test_a_periodic_axis_has_no_beginning(sizes) -> None:
    along = 0 if sizes[0] > 64 else 1
    model = untrivial(SMALL, spec_of(2, 64, 64, periodic=(along == 0, along == 1)))
    y = observed(1, 2, *sizes)
    assert len(covers(model, sizes, overlap=0.5, memory=0)[along]) > 2
    straight = restore_any_size(model, y, memory=0).mean
    for shift in (4, 52):
        turned = restore_any_size(model, y.roll(shift, dims=2 + along), memory=0).mean
        torch.testing.assert_close(turned, straight.roll(shift, dims=2 + along), atol=1e-4, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(straight, model.restore(y).mean, atol=1e-4, rtol=0)


def test_a_ring_of_odd_length_is_closed_too() -> None:
    model = untrivial(SMALL, spec_of(2, 64, periodic=(True,)))
    for size in (33, 64, 203, 1001):
        restored = restore_any_size(model, observed(1, 2, size), memory=0).mean
        assert restored.shape == (1, 2, size)
        assert torch.isfinite(restored).all()


# --- samples


def test_samples_go_through_the_windows_too() -> None:
    model, y = untrivial(SMALL, FACES), observed(2, 3, 150, 203)
    drawn = [
        restore_any_size(model, y, samples=3, generator=torch.Generator().manual_seed(0), memory=0) for _ in range(2)
    ]
    assert torch.equal(drawn[0].mean, drawn[1].mean)
    assert drawn[0].spread is not None and drawn[0].spread.shape == y.shape
    assert (drawn[0].spread > 0).float().mean() > 0.99
    assert restore_any_size(model, y, memory=0).spread is None


# --- files


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, recipe = tmp_path_factory.mktemp("run"), recipes()["faces/denoise"]
    recipe = replace(recipe, model=SMALL)
    save(folder, "faces/denoise", recipe, untrivial(SMALL, recipe.domain.spec))
    recipe_json("faces/denoise", recipe, folder, "none")
    return folder


def noise(path: Path, columns: int = 90, rows: int = 70, mode: str = "RGB") -> Path:
    pixels = np.random.default_rng(columns).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def test_a_bad_file_among_good_ones_is_named_and_the_others_are_restored(run, tmp_path, capsys) -> None:
    good = [noise(tmp_path / f"{name}.png") for name in "abc"]
    text, missing = tmp_path / "notes.png", tmp_path / "missing.png"
    text.write_text("not a picture")
    out = tmp_path / "out"
    files = [good[0], text, good[1], missing, good[2]]
    assert main(["restore", str(run), *map(str, files), "--out", str(out), "--device", "cpu"]) == 2
    captured = capsys.readouterr()
    assert captured.out.split() == [str(out / path.name) for path in good]
    assert sorted(out.iterdir()) == [out / path.name for path in good], "nothing half-written"
    *named, last = captured.err.splitlines()
    assert [line.split(": ")[1] for line in named] == ["not restored"] * 2
    assert str(text) in named[0] and "not a picture" in named[0]
    assert str(missing) in named[1] and "does not exist" in named[1]
    assert last.startswith("vaegan: error: 2 of 5 files were not restored; ")


def test_one_bad_file_is_an_error_as_ever(run, tmp_path, capsys) -> None:
    assert main(["restore", str(run), str(tmp_path / "no.png"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"vaegan: error: {tmp_path / 'no.png'} does not exist")
    assert main(["restore", str(run), str(tmp_path / "no.png"), "--out", str(tmp_path / "out"), "--overlap", "1"]) == 2
    assert "--overlap is 1.0; expected 0 up to, not including, 1" in capsys.readouterr().err


@pytest.mark.parametrize(("mode", "ending"), [("RGB", "png"), ("RGBA", "png"), ("L", "png"), ("CMYK", "tif")])
def test_levels_of_large_pictures_stay_bytes(mode, ending, run, tmp_path, monkeypatch) -> None:
    """A low limit for a small picture: the same is written, except that greys are the mean of rounded colours."""
    source = noise(tmp_path / f"a.{ending}", mode="RGB" if mode == "RGBA" else mode)
    if mode == "RGBA":
        with Image.open(source) as image:
            image.putalpha(image.convert("L"))
            image.save(source)
    trained = load(run)
    monkeypatch.setattr(decoding, "STRIP", 1000)
    wide = trained.restore(source, samples=2)
    monkeypatch.setattr(decoding, "LARGE", 1000)
    recording = read_picture(source, 3)
    assert recording.signals.dtype == np.uint8
    narrow = trained.restore(recording, samples=2)
    assert (narrow.mean.dtype, wide.mean.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(narrow.mean, np.rint(wide.mean.clip(0, 255)))
    assert wide.spread is not None and narrow.spread is not None
    np.testing.assert_allclose(narrow.spread, wide.spread, rtol=2e-3, atol=1e-3)
    written = [clean.write(tmp_path / f"{i}.{ending}") for i, clean in enumerate((wide, narrow))]
    if mode == "L":
        np.testing.assert_allclose(
            np.asarray(Image.open(written[1])), np.tensordot(decoding.LUMA, narrow.mean[0], axes=1), atol=0.51
        )
    else:
        assert written[0].read_bytes() == written[1].read_bytes()


def test_strips_of_a_turned_picture_join(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decoding, "STRIP", 1000)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(
        tmp_path / "a.png", exif=exif
    )
    write_picture(read_picture(tmp_path / "a.png", 3), tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as before, Image.open(tmp_path / "b.png") as after:
        np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


def test_colours_for_a_grey_domain_keep_their_fractions(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decoding, "LARGE", 1000)
    assert read_picture(noise(tmp_path / "a.png"), 1).signals.dtype == np.float32


# --- memory

HOURS = """
from pathlib import Path
from types import SimpleNamespace
import numpy as np, torch
from benchmarks.step import _highest
from vaegan.domain import Domain, Recording
from vaegan.models import RestoringConfig
from vaegan.run import Run
from vaegan.signal import Axis, SignalSpec

class Series(Domain):
    spec = SignalSpec(1, (Axis("time", 256),), "V", (-1, 1))
    def dataset(self, split): ...

config = RestoringConfig(latent=2, width=4, widest=8, depth=2, discriminator_width=2, discriminator_hidden=2)
model = config.build(Series.spec).eval()
signals = np.random.default_rng(0).standard_normal((1, 1, 6_000_000), np.float32)
recipe = SimpleNamespace(domain=Series(), evaluation=SimpleNamespace(seed=0))
run = Run(folder=Path("x"), name="x", recipe=recipe, model=model)
before = _highest()
mean = run.restore(Recording(signals, Path("x"), "x")).mean
assert mean.shape == signals.shape and np.isfinite(mean).all()
print((_highest() - before) / 2**20)
"""


def test_hours_of_a_series_take_little_memory() -> None:
    """Six million samples, 23 MiB in and out; in one piece the network alone would take a gigabyte."""
    child = subprocess.run([sys.executable, "-c", HOURS], capture_output=True, text=True, check=False)
    assert not child.returncode, child.stderr
    assert float(child.stdout) < 600


def test_a_large_picture_takes_little_memory(capsys) -> None:
    """7.5 megapixels through the command line, beside what the interpreter and torch take: its CUDA build twice as much."""
    from benchmarks.restore import main as benchmark

    benchmark(["--columns", "3000", "--rows", "2500", "--tiny", "--ending", "jpg"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["megapixels"] == 7.5
    assert answer["windows"] > 4
    assert answer["of_which_imports_mib"] > 100
    assert answer["peak_rss_mib"] - answer["of_which_imports_mib"] < 760
