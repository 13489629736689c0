"""Every mistake of a user: one clear line, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaegan.cli import commands, main
from vaegan.cli.tables import show
from vaegan.domain import Recording


def failed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """Runs a command that must fail; returns its one line."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vaegan: error: ")]
    assert len(lines) == 1
    assert "Traceback" not in lines[0]
    return lines[0]


def pictures(folder: Path, n: int = 30) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        noise = np.random.default_rng(i).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i:03}.jpg")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    words = ["train", "faces/quickstart", "--smoke", "--device", "cpu", "--out", str(folder)]
    assert main([*words, "--stages.0.training.batch", "2", "--domain.size", "16"]) == 0
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "faces/denoize"], "unknown recipe 'faces/denoize'; expected one of .*; did you mean 'faces/denoise'"),
        (["run"], "without a recipe; expected one of "),
        (["run", "faces/denoise", "--minuts", "3"], r"unknown flag --minuts; did you mean --minutes"),
        (["run", "faces/denoise", "--model.widht", "8"], r"unknown flag --model.widht; did you mean --model.width"),
        (["run", "faces/denoise", "--size", "32"], r"unknown flag --size; did you mean --domain.size"),
        (["run", "faces/denoise", "surplus"], "'surplus' is one argument too many"),
        (["run", "faces/denoise", "--model.width", "wide"], "wide"),
        (["run", "faces/denoise", "--minutes", "soon"], "invalid float value: 'soon'"),
        (["run", "faces/denoise", "--minutes", "0"], "--minutes is 0"),
        (["run", "faces/denoise", "--device", "tpu"], "invalid choice: 'tpu'"),
        (["run", "faces/denoise", "--model.width", "0"], "width is 0; expected at least 1; set --model.width"),
        (
            ["run", "faces/denoise", "--minutes", "inf"],
            r"--minutes is inf; expected a number above 0; set --minutes\.$",
        ),
        (["sweep", "faces/quickstart", "--vary", "model.width=8", "--minutes", "nan"], r"is nan; .*; set --minutes\.$"),
        (
            ["run", "faces/denoise", "--stages.0.training.seed", str(2**70)],
            "less than 2.63; set --stages.0.training.seed",
        ),
        (["run", "faces/denoise", "--evaluation.seed", str(2**63)], "seed is 9.*; set --evaluation.seed"),
        (["sample", "/nowhere", "--out", "x.png", "--seed", str(2**70)], "expected less than 2.63; set --seed"),
        (
            ["run", "digits/mnist-dense-vae", "--model.hidden", "9", "-5"],
            r"hidden is \(9, -5\); .*; set --model.hidden",
        ),
        (
            ["run", "digits/mnist-presgan", "--model.networks.dropout", "2"],
            r"2.0; .*; set --model\.networks\.dropout\.$",
        ),
        (["train", "faces/denoise", "--inception", "w.pth"], "unknown flag --inception"),
        (["train", "eeg/denoise", "--domain.split", "test"], "unknown flag --domain.split"),
        (["train", "eeg/denoise", "--domain.rate", "-1"], r"at -1 Hz; .* or --domain.rate\.$"),
        (["run", "eeg/denoise", "--inception", "w.pth"], "Inception-v3 for signals of 1 channels and 1 axes"),
        (["run", "faces/denoise", "--evaluation.seed", "-1"], "seed is -1; expected at least 0; set --evaluation.seed"),
        (
            ["run", "faces/denoise", "--stages.0.training.optimizer.lr", "nan"],
            "lr is nan; .*; set --stages.0.training.optimizer.lr",
        ),
        (
            ["run", "faces/denoise", "--stages.1.training.log_every=0"],
            "log_every is 0; .*; set --stages.1.training.log-every",
        ),
        (
            ["run", "faces/denoise", "--stages.1.objective.penalty-every", "0"],
            r"penalty_every is 0; expected at least 1; set --stages.1.objective.penalty-every\.$",
        ),
        (
            ["run", "sonar/selfsupervised-blindspot", "--stages.0.objective.share", "2"],
            r"share 2.0 and .*; set --stages.0.objective.share\.$",
        ),
        (
            ["run", "sonar/selfsupervised", "--stages.0.objective.level", "-1"],
            r"level -1.0, .*; set --stages.0.objective.level\.$",
        ),
        (["run", "faces/denoise", "--model.depth", "9"], "a depth of 9 for signals of size"),
        (["run", "faces/denoise", "--device", "mps"], "no device 'mps' here; expected one of auto, cpu.*--device"),
        (["run", "generic", "--domain", "fases"], "unknown domain 'fases'.*did you mean 'faces'"),
        (["run", "faces/denoise", "--data", "/nowhere"], "/nowhere"),
        (["evaluate", "/nowhere"], "/nowhere: no such folder; .*vaegan run"),
        (["restore", "/nowhere", "a.png", "--out", "x"], "/nowhere"),
        (["sample", "/nowhere", "--out", "x.png"], "/nowhere"),
        (["check-domain", "nothing"], "unknown domain 'nothing'; expected one of"),
        (["dance"], "invalid choice: 'dance'"),
        (["list", "--jason"], r"unknown flag --jason; did you mean --json"),
    ],
)
def test_a_mistake_is_one_line(words, said, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # runs/ goes there
    line = failed(capsys, *words)
    assert re.search(said, line), line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["run", "faces/quickstart", "--inception", "gone.pth"], "gone.pth: No such file"),
        (["compare", "faces/quickstart", "faces/denoise", "--inception", "gone.pth"], "gone.pth: No such file"),
        (["compare", "faces/quickstart", "faces/denoise", "--n", "0"], "--n is 0; expected at least 1; set --n"),
    ],
)
def test_what_judging_is_told_is_looked_at_before_the_training(flags, said, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in failed(capsys, *flags, "--smoke")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--stages.1.objective.layer", "9"],
            r"layer 9 of a discriminator of 4; .* set --stages\.1\.objective\.layer\.",
        ),
        (["--stages.1.training.surrogates", ".5"], "new phases need whole .* set --stages.1.training.surrogates 0"),
    ],
)
def test_a_mistake_in_the_last_stage_is_found_before_the_first(flags, said, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = failed(capsys, "run", "faces/celeba64-small", "--smoke", *flags)
    assert re.search(said, line), line
    assert not (tmp_path / "runs").exists()


def test_data_of_a_domain_s_own_flag_are_found_from_other_folders(capsys, tmp_path, monkeypatch) -> None:
    pictures(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    words = ["train", "faces/quickstart", "--smoke", "--device", "cpu", "--domain.size", "16", "--out", "run"]
    assert main([*words, "--domain.data", "data"]) == 0
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["domain"]["options"]["data"] == str(
        tmp_path / "data"
    )
    monkeypatch.chdir("/")
    assert main(["evaluate", str(tmp_path / "run"), "--n", "2", "--json"]) == 0


def test_a_training_tells_of_itself_as_json(capsys, tmp_path) -> None:
    assert main(["train", "faces/quickstart", "--smoke", "--device", "cpu", "--out", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    history = json.loads((tmp_path / "training.json").read_text())
    assert told["run"] == str(tmp_path)
    assert told["samples"] == history["samples"] > 0 and told["seconds"] == history["seconds"] > 0


def test_what_is_said_of_a_file_is_one_line(monkeypatch) -> None:
    told = []

    def command(options, rest) -> None:
        told.append(warnings.formatwarning("a.xtf: ends early", UserWarning, "reader.py", 7, "return reader(path)"))
        told.append(warnings.formatwarning("old", DeprecationWarning, "reader.py", 7))

    usual = warnings.formatwarning
    monkeypatch.setattr(commands, "list_command", command)
    assert main(["list"]) == 0
    assert told[0] == "warning: a.xtf: ends early\n"
    assert "reader.py:7" in told[1]
    assert warnings.formatwarning is usual


def test_conditions_are_checked_before_anything_is_written(tmp_path, capsys) -> None:
    out = tmp_path / "run"
    line = failed(capsys, "run", "faces/quickstart", "--smoke", "--out", out, "--evaluation.conditions", "nois sigma=1")
    assert "nois" in line
    assert "noise" in line
    assert not out.exists()


@pytest.mark.parametrize("content", ["empty", "text named png", "truncated jpeg", "huge picture"])
def test_bad_data_is_named(content, tmp_path, capsys) -> None:
    folder, out = tmp_path / "data", tmp_path / "run"
    folder.mkdir()
    if content == "text named png":
        (folder / "notes.png").write_text("not a picture")
    if content == "truncated jpeg":
        whole = (pictures(tmp_path / "whole", 1) / "000.jpg").read_bytes()
        (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    if content == "huge picture":
        (folder / "huge.png").write_bytes(huge_png(30_000))
    line = failed(capsys, "run", "faces/quickstart", "--smoke", "--out", out, "--data", folder)
    named = {
        "empty": str(folder),
        "text named png": "notes.png",
        "truncated jpeg": "cut.jpg",
        "huge picture": "huge.png",
    }
    assert named[content] in line
    assert not out.exists()


def huge_png(size: int) -> bytes:
    """The head of a PNG that claims to be ``size`` squared."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_a_few_corrupt_files_are_named_and_skipped(tmp_path, capsys) -> None:
    folder = pictures(tmp_path / "data", 60)
    (folder / "broken.png").write_text("not a picture")
    (folder / "readme.txt").write_text("hello")
    words = ["train", "faces/quickstart", "--smoke", "--device", "cpu", "--domain.size", "16"]
    assert main([*words, "--data", str(folder), "--out", str(tmp_path / "run")]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "skipped: broken.png" in said
    assert "readme.txt" in said


def test_a_folder_that_cannot_be_written(run, tmp_path, capsys) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    line = failed(capsys, "run", "faces/quickstart", "--smoke", "--out", blocked / "run")
    assert str(blocked) in line
    picture = pictures(tmp_path / "p", 1) / "000.jpg"
    assert str(blocked) in failed(capsys, "restore", run, picture, "--out", blocked / "restored")
    assert str(blocked) in failed(capsys, "sample", run, "--out", blocked / "x.png")
    assert str(blocked) in failed(capsys, "evaluate", run, "--n", "2", "--out", blocked / "x.json")
    assert blocked.read_text() == "in the way"


def test_out_that_is_a_file_is_named_before_any_work(run, tmp_path, capsys, monkeypatch) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("the work had begun")

    for module, name in (
        ("vaegan.workflow.training", "data_sets"),
        ("vaegan.workflow.comparing", "_entrant"),
        ("vaegan.run", "Run.restore"),
        ("vaegan.run", "Run.sample"),
        ("vaegan.run", "Run.edit"),
        ("vaegan.workflow", "evaluate"),
    ):
        monkeypatch.setattr(f"{module}.{name}", work)
    blocked = tmp_path / "afile"
    blocked.write_text("in the way")
    picture = pictures(tmp_path / "p", 1) / "000.jpg"
    for words in (
        ["run", "faces/quickstart", "--smoke", "--out", blocked],
        ["train", "faces/quickstart", "--smoke", "--out", blocked],
        ["restore", run, picture, "--out", blocked],
        ["edit", run, picture, "--attribute", "Young", "--out", blocked],
        ["compare", run, run, "--out", blocked],
        ["sample", run, "--out", blocked / "x.png"],
        ["evaluate", run, "--out", blocked / "x.json"],
    ):
        assert failed(capsys, *words).endswith(
            f"error: {blocked} is a file; expected a folder; set --out to another one."
        )
    line = failed(capsys, "evaluate", run, "--report", blocked)
    assert f"{blocked} is a file; expected a folder; set --report" in line
    line = failed(capsys, "evaluate", run, "--out", tmp_path)
    assert f"{tmp_path} is a folder; expected the name of a file; set --out" in line
    assert blocked.read_text() == "in the way"


def test_restoring_bad_files(run, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    folder = pictures(tmp_path / "p", 1)
    (folder / "notes.png").write_text("not a picture")
    assert "notes.png" in failed(capsys, "restore", run, folder / "notes.png", "--out", out)
    assert "missing.png" in failed(capsys, "restore", run, folder / "missing.png", "--out", out)
    assert "would be overwritten" in failed(capsys, "restore", run, folder / "000.jpg", "--out", folder)
    twice = failed(capsys, "restore", run, folder / "000.jpg", pictures(tmp_path / "q", 1) / "000.jpg", "--out", out)
    assert "two files are named 000.jpg" in twice
    assert not out.exists()


def test_what_a_domain_raises_of_a_file_is_said_as_it_is(run, tmp_path, capsys, monkeypatch) -> None:
    """A reader may raise an OSError that holds a text alone."""
    from domains.faces import Faces

    def read(self: Faces, path: Path) -> Recording:
        raise FileNotFoundError(f"{path.name} not found.")

    monkeypatch.setattr(Faces, "read", read)
    out = tmp_path / "new" / "out"
    assert failed(capsys, "restore", run, "a.csv", "--out", out) == "vaegan: error: a.csv not found."
    assert main(["restore", str(run), "a.csv", "b.csv", "--out", str(out)]) == 2
    assert "vaegan: not restored: a.csv not found.\n" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()

    def write(self: Faces, recording: Recording, path: Path) -> Path:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.undo()
    monkeypatch.setattr(Faces, "write", write)
    picture = pictures(tmp_path / "p", 1) / "000.jpg"
    line = failed(capsys, "restore", run, picture, "--out", out)
    assert line == f"vaegan: error: {out / '000.jpg'}: No space left on device."
    assert not (tmp_path / "new").exists()

    def write_some(self: Faces, recording: Recording, path: Path) -> Path:
        raise OSError(28, "No space left on device")  # as of an open file, which nobody names

    monkeypatch.setattr(Faces, "write", write_some)
    assert failed(capsys, "restore", run, picture, "--out", out) == f"vaegan: error: {out}: No space left on device."
    assert not (tmp_path / "new").exists()


def test_no_file_is_written_over_another_one_whatever_name_its_format_gives(run, tmp_path, monkeypatch, capsys) -> None:
    """As a recording of EEG whose format nobody writes: it comes out as NAME_raw.fif."""
    from domains.faces import Faces
    from domains.pictures import write_picture

    def write(self: Faces, recording: Recording, path: Path) -> Path:
        beside = write_picture(recording, path.with_name(f"{path.stem}_raw.png"))
        warnings.warn(f"{beside} holds everything", UserWarning, stacklevel=1)
        return beside

    monkeypatch.setattr(Faces, "write", write)
    for seed, name in enumerate(("sub.png", "sub.bmp", "sub_raw.png", "b.png")):
        noise = np.random.default_rng(seed).integers(0, 255, (20, 20), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / name)
    out = tmp_path / "out"
    words = ["restore", str(run), *(str(tmp_path / name) for name in ("sub.png", "sub.bmp", "b.png"))]
    assert main([*words[:3], "--out", str(tmp_path / "alone")]) == 0
    capsys.readouterr()
    with pytest.warns(UserWarning, match=re.escape(f"{out / 'b_raw.png'} holds everything")):
        assert main([*words, "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out.split() == [str(out / "sub_raw.png"), str(out / "b_raw.png")]
    assert f"sub.bmp would be written to {out / 'sub_raw.png'}, as another file was before" in " ".join(
        said.err.split()
    )
    assert sorted(path.name for path in out.iterdir()) == ["b_raw.png", "sub_raw.png"]
    assert (out / "sub_raw.png").read_bytes() == (tmp_path / "alone" / "sub_raw.png").read_bytes(), "the first is kept"
    kept = (tmp_path / "sub_raw.png").read_bytes()
    (tmp_path / "link.png").symlink_to(tmp_path / "sub_raw.png")
    (tmp_path / "c").mkdir()
    (tmp_path / "sub.png").rename(tmp_path / "c" / "sub.png")
    failed(capsys, "restore", run, tmp_path / "c" / "sub.png", tmp_path / "link.png", "--out", tmp_path)
    assert (tmp_path / "sub_raw.png").read_bytes() == kept, "an input is never overwritten"


def test_restoring_keeps_name_format_and_size(run, tmp_path, capsys) -> None:
    picture = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (33, 70), dtype=np.uint8)).save(picture)
    assert main(["restore", str(run), str(picture), "--out", str(tmp_path / "out"), "--samples", "2"]) == 0
    with Image.open(tmp_path / "out" / "wide.png") as restored:
        assert (restored.size, restored.mode, restored.format) == ((70, 33), "L", "PNG")


def test_sampling_writes_pictures_or_values(run, tmp_path, capsys) -> None:
    assert main(["sample", str(run), "-n", "4", "--out", str(tmp_path / "s.png")]) == 0
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.width >= 32
    assert main(["sample", str(run), "-n", "4", "--out", str(tmp_path / "s.npy"), "--seed", "1"]) == 0
    assert np.load(tmp_path / "s.npy").shape == (4, 1, 16, 16)
    assert ".png or .npy" in failed(capsys, "sample", run, "--out", tmp_path / "s.tiff")
    assert "-n is 0" in failed(capsys, "sample", run, "-n", "0", "--out", tmp_path / "t.png")
    assert not (tmp_path / "t.png").exists()


def test_a_damaged_run_is_named(run, tmp_path, capsys) -> None:
    damaged = tmp_path / "run"
    shutil.copytree(run, damaged)
    (damaged / "model" / "model.safetensors").write_bytes(b"oops")
    assert "cannot be read" in failed(capsys, "evaluate", damaged)
    recipe = json.loads((run / "recipe.json").read_text())
    (damaged / "recipe.json").write_text("{")
    assert "is no JSON" in failed(capsys, "evaluate", damaged)
    recipe["domain"]["name"] = "sonar-of-tomorrow"
    (damaged / "recipe.json").write_text(json.dumps(recipe))
    assert "unknown domain 'sonar-of-tomorrow'" in failed(capsys, "evaluate", damaged)
    recipe["domain"]["name"] = "faces"
    recipe["model"]["kind"] = "Popen"
    (damaged / "recipe.json").write_text(json.dumps(recipe))
    assert "unknown ModelConfig 'Popen'" in failed(capsys, "evaluate", damaged)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("recipe.json", "{}", r"recipe\.json is damaged, or of another version \(no 'summary'\)"),
        ("recipe.json", '{"summary": "", "domain": 3}', r"recipe\.json is damaged"),
        ("recipe.json", None, r"recipe\.json is missing"),
        ("training.json", "{}", r"training\.json is damaged, or of another version \(no 'seconds'\)"),
        ("training.json", None, r"training\.json is missing"),
        ("model/config.json", "{}", r"config\.json is damaged, or of another version \(no 'model'\)"),
        ("model/config.json", '{"model": {}, "spec": {}, "classes": 0}', "unknown ModelConfig None"),
        ("model/config.json", None, r"config\.json is missing"),
        ("model/model.safetensors", "half", r"model\.safetensors cannot be read"),
        ("model/faithful.safetensors", "half", r"faithful\.safetensors cannot be read"),
    ],
)
def test_each_damaged_file_of_a_run_is_named(name, content, said, run, tmp_path, capsys, monkeypatch) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("the judging had begun")

    monkeypatch.setattr("vaegan.workflow.evaluate", work)
    damaged = tmp_path / "run"
    shutil.copytree(run, damaged)
    if content == "half":
        with (damaged / name).open("r+b") as stream:
            stream.truncate(1000)
    elif content is None:
        (damaged / name).unlink()
    else:
        (damaged / name).write_text(content)
    line = failed(capsys, "evaluate", damaged)
    assert re.search(said, line), line


def test_a_destination_that_takes_no_files_is_named_before_any_work(run, tmp_path, capsys, monkeypatch) -> None:
    """A root user may write everywhere; below /proc nobody may."""

    def work(*_: object, **__: object) -> None:
        raise AssertionError("the work had begun")

    for module, name in (
        ("vaegan.workflow.training", "data_sets"),
        ("vaegan.run", "Run.restore"),
        ("vaegan.run", "Run.sample"),
        ("vaegan.workflow", "evaluate"),
    ):
        monkeypatch.setattr(f"{module}.{name}", work)
    place = Path("/proc")
    if not place.is_dir():
        pytest.skip("no /proc here")
    mend = r"expected a folder that you may write to; set {} to one of yours\.$"
    for words in (
        ["train", "faces/quickstart", "--smoke", "--out", place / "x"],
        ["restore", run, "a.png", "--out", place / "x"],
        ["sample", run, "--out", place / "x" / "y.png"],
        ["evaluate", run, "--out", place / "x" / "y.json"],
    ):
        line = failed(capsys, *words)
        assert re.search(r"error: /proc/x cannot be made \(.*\); " + mend.format("--out"), line), line
    line = failed(capsys, "evaluate", run, "--out", place / "y.json")
    assert re.search(r"error: /proc cannot be written to \(.*\); " + mend.format("--out"), line), line
    assert re.search(mend.format("--report"), failed(capsys, "evaluate", run, "--report", place / "x"))


def test_list_is_readable_by_programs(capsys) -> None:
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == {"domains", "recipes", "models"}
    assert "faces" in listed["domains"]
    assert set(listed["recipes"]["faces/celeba64"]) == {"domain", "model", "objective", "summary"}
    assert {"VAEGAN", "DCGAN", "UNet"} <= set(listed["models"])
    assert not {"LatentModel", "Restorer"} & set(listed["models"]), "what is only there to be built on is no model"
    assert not [name for name in listed["models"] if name.startswith("_")]


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["run", "faces/denoise", "--help"]])
def test_a_reader_that_leaves_ends_a_command_quietly(words) -> None:
    """As ``vaegan list | head -1``."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "vaegan", *words]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_what_no_terminal_shows_is_not_wrapped(capsys) -> None:
    from vaegan import plugins

    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for recipe in plugins.recipes().values():
        assert any(line.rstrip().endswith(recipe.summary) for line in said.splitlines()), recipe.summary
    assert main(["check-domain", "faces"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) > 80
    assert all(line.startswith("passed ") for line in lines)


def test_the_table_has_units_and_three_digits_of_small_numbers(capsys) -> None:
    def entry(mean: float, unit: str) -> dict[str, object]:
        return {"mean": mean, "ci95": [mean, mean], "n": 4, "unit": unit, "better": "lower"}

    def rows(worst: float, share: float) -> dict[str, object]:
        return {
            "psnr": entry(20, "dB"),
            "ssim": entry(0.5, "1"),
            "worst": entry(worst, "V"),
            "share": entry(share, "1"),
        }

    methods = {"input": rows(7.2e-3, 0.0123), "model": rows(6.481e-4, 0.0), "none": rows(1.5, 0.00456)}
    condition = "noise sigma=0.05 + blur sigma=0.5..2 px + strokes coverage=10 %"
    show({"restoration": {condition: methods}})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{condition}  (n = 4)", "longer than the table is wide"
    said = [line.split() for line in lines]
    assert said[1][-3:] == ["worst", "V", "share"], "in place of SSIM and NRMSE"
    assert [line[-2:] for line in said[2:]] == [["0.00720", "0.012"], ["0.000648", "0.000"], ["1.500", "0.00456"]]
    general = {"psnr": entry(20, "dB"), "ssim": entry(0.5, "1"), "nrmse": entry(0.0294, "1")}
    show({"restoration": {"noise": {"filter [old]": general, "filter [/x]": general}}})
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[2:]] == [
        ["filter", "[old]"],
        ["filter", "[/x]"],
    ]
    drawn = {"kid[x]": entry(4.56e-5, "1"), "precision[x]": entry(1.0, "1")}
    show({"restoration": {"noise": {"input": general}}, "generation": {"model": drawn}})
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert (said[1][-2:], said[2][-2:]) == (["SSIM", "NRMSE"], ["0.500", "0.029"])
    assert said[-1] == ["model", "4.56e-05", "1.000"]
    show(
        {"restoration": {"black": {"input": {"psnr": entry(20, "dB"), "ssim": entry(0.5, "1")}}, "gone": {"input": {}}}}
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "black  (n = 4)" and lines[1].split()[-1] == "SSIM", "of black pictures there is no NRMSE"
    assert lines[-1] == "gone  (of no item is the truth known)"


def test_draws_of_which_no_table_can_be_made_are_spoken_of(capsys) -> None:
    copies = {"mean": 0.0, "ci95": [0.0, 0.0], "n": 8, "unit": "1", "better": "lower"}
    show({"generation": {"model": {"copies[x]": copies}}, "generation_notes": ["not judged by x: 3 items"]})
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "drawn signals: not judged by x: 3 items\n")


def test_check_domain_passes_on_the_built_in_ones(capsys) -> None:
    assert main(["check-domain", "faces", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"]


@pytest.mark.parametrize("command", ["list", "run", "train", "evaluate", "restore", "sample", "check-domain"])
def test_every_command_has_help(command, capsys) -> None:
    words = [command, "faces/denoise", "--help"] if command in ("run", "train") else [command, "--help"]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert f"vaegan {command}" in said
    if command == "run":
        assert "--stages.0.objective.beta" in said


def test_nothing_is_left_behind_under_temporary_names(run) -> None:
    assert not [path for path in run.rglob("*") if path.name.startswith(".") or path.suffix == ".tmp"]
    assert os.access(run / "model" / "model.safetensors", os.R_OK)
