"""A third party's domain: one file of at most 60 lines, one entry-point line, and no file of ours edited."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OUTSIDE = Path(__file__).parent / "outside"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the package installed, in a folder of its own."""
    work = tmp_path_factory.mktemp("outside")
    shutil.copytree(OUTSIDE, work / "package")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(work / "site"), str(work / "package")], check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": str(work / "site"), "VAEGAN_CACHE": str(work / "cache")}


def vaegan(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vaegan", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_it_is_small() -> None:
    assert len((OUTSIDE / "src" / "vaegan_tides.py").read_text().splitlines()) <= 60
    points = (OUTSIDE / "pyproject.toml").read_text().split('[project.entry-points."vaegan.domains"]')[1]
    assert points.split("[")[0].strip() == 'tides = "vaegan_tides:Tides"'


def test_it_is_listed_and_holds_its_contract(installed) -> None:
    listed = vaegan(installed, "list", "--json")
    assert "tides" in json.loads(listed.stdout)["domains"]
    checked = vaegan(installed, "check-domain", "tides", "--json")
    result = json.loads(checked.stdout)
    assert checked.returncode == 0, checked.stdout
    assert result["passed"]
    assert any("surge" in check["name"] + check["detail"] for check in result["checks"])


def test_the_generic_recipe_trains_and_judges_it(installed, tmp_path) -> None:
    run = vaegan(
        installed,
        *("run", "generic", "--domain", "tides", "--smoke", "--json", "--out", str(tmp_path / "run")),
        *("--degradations", "surge", "noise", "--evaluation.conditions", "surge height=0.5 m"),
    )
    assert run.returncode == 0, run.stderr
    metrics = json.loads(run.stdout)
    row = metrics["restoration"]["surge height=0.5 m"]
    assert {"input", "model", "median"} <= set(row)
    assert row["input"]["rmse"] == {**row["input"]["rmse"], "unit": "m", "better": "lower", "n": 2}
    assert row["input"]["rmse"]["mean"] == pytest.approx(0.5, rel=1e-4)
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    drawn = vaegan(installed, "sample", str(tmp_path / "run"), "-n", "3", "--out", str(tmp_path / "tides.npy"))
    assert drawn.returncode == 0, drawn.stderr


def test_a_broken_plugin_takes_nothing_down(installed, tmp_path) -> None:
    broken = tmp_path / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[vaegan.domains]\nbroken = not_there:Nothing\n")
    environment = {**installed, "PYTHONPATH": f"{installed['PYTHONPATH']}{os.pathsep}{tmp_path}"}
    listed = vaegan(environment, "list", "--json")
    assert listed.returncode == 0
    assert {"faces", "tides"} <= set(json.loads(listed.stdout)["domains"])
    assert "'broken' (not_there:Nothing) cannot be loaded" in listed.stderr
    asked = vaegan(environment, "check-domain", "broken")
    assert asked.returncode == 2
    assert "cannot be loaded" in asked.stderr
