"""The package of docs/own-files.md, put together from its page: installed as it says, trained, and restoring."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "own-files.md").read_text(encoding="utf-8")
CELLS = [
    re.sub(r"^:tags:.*\n", "", cell) for cell in re.findall(r"```\{code-cell\} ipython3\n(.*?)```", PAGE, re.DOTALL)
]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's recordings, and beside them its package, installed."""
    folder = tmp_path_factory.mktemp("own")
    start = next(i for i, cell in enumerate(CELLS) if cell.startswith('"""ECG of two leads'))
    stop = next(i for i, cell in enumerate(CELLS) if "# What pip would do" in cell)
    (folder / "package").mkdir()
    (folder / "package" / "vaegan_ecg.py").write_text("\n\n".join(CELLS[start:stop]))
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (folder / "package" / "pyproject.toml").write_text(toml)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    package = ["--target", str(folder / "site"), str(folder / "package")]
    subprocess.run([*command, *package], check=True, capture_output=True)
    made = next(cell for cell in CELLS if "def heart(" in cell)
    subprocess.run([sys.executable, "-c", made], check=True, cwd=folder)
    return folder


def vaegan(work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = [str(work / "site"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "vaegan", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=work, check=False)


def test_its_entry_points_are_those_of_its_classes(work) -> None:
    listed = json.loads(vaegan(work, "list", "--json").stdout)
    assert listed["domains"]["ecg"]["summary"] == "Two leads of ECG at 100 Hz, from CSV files."
    assert listed["recipes"]["ecg/denoise"]["domain"] == "ecg"


def test_it_trains_and_restores_files_with_gaps(work) -> None:
    run = vaegan(work, "run", "ecg/denoise", "--data", "ecg", "--smoke", "--out", "run", "--json")
    assert run.returncode == 0, run.stderr
    rows = json.loads(run.stdout)["restoration"]["noise sigma=0.1"]
    assert {"input", "lowpass", "model"} <= set(rows)
    assert rows["lowpass"]["largest"]["unit"] == "V"
    restored = vaegan(work, "restore", "run", "ecg/p00_0.csv", "--out", "clean")
    assert restored.returncode == 0, restored.stderr
    before, after = (
        np.genfromtxt(work / name / "p00_0.csv", delimiter=",", skip_header=1) for name in ("ecg", "clean")
    )
    assert before.shape == after.shape
    assert np.isnan(before).any()
    assert not np.isnan(after).any()
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    (work / "words.csv").write_text("time,I,II\na,b,c\n")
    wrong = vaegan(work, "restore", "run", "words.csv", "--out", "clean")
    assert wrong.returncode == 2
    assert "words.csv holds no numbers; expected time,I,II; remove it." in wrong.stderr


def test_its_own_model_and_objective_keep_their_contracts_and_train(work) -> None:
    start = next(i for i, cell in enumerate(CELLS) if "class TwoLayers(Model)" in cell)
    (work / "own.py").write_text("\n\n".join(CELLS[start:]) + TRAINED)
    paths = [str(work / "site"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    ran = subprocess.run(
        [sys.executable, "own.py"], capture_output=True, text=True, env=environment, cwd=work, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["2", "True"]


TRAINED = """
from pathlib import Path

import vaegan
from vaegan import workflow

run = workflow.train("own", plain.with_data(Path("ecg")).smoke(), out=Path("own-run"), device="cpu")
print(workflow.evaluate(run).metrics["restoration"]["noise sigma=0.1"]["model"]["psnr"]["n"])
print(vaegan.load("own-run").recipe == run.recipe)
"""
