"""What ``check_domain`` finds in the parts that a domain brings to judging: a mistake in each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan.baselines import Baseline
from vaegan.cli import main
from vaegan.data import SignalSet
from vaegan.domain import Domain, Recording
from vaegan.metrics.restoration import Metric
from vaegan.signal import Axis, SignalSpec
from vaegan.testing import Check, check_domain


@dataclass(frozen=True)
class Gain(Baseline):
    """A factor, fitted by least squares."""

    name: str = "gain"
    strengths: tuple[float, ...] = (0.5, 1.0)
    factor: float = 1.0

    def restore(self, y: np.ndarray, mask: np.ndarray | None, strength: float) -> np.ndarray:
        return y * np.float32(self.factor * strength)

    def fit(self, y: np.ndarray, mask: np.ndarray | None, x: np.ndarray) -> Gain:
        return replace(self, factor=float((x * y).sum() / np.square(y).sum()))

    def state(self) -> Mapping[str, np.ndarray]:
        return {"factor": np.asarray(self.factor)}

    def with_state(self, state: Mapping[str, np.ndarray]) -> Gain:
        return replace(self, factor=float(state["factor"]))


@dataclass(frozen=True)
class Forgetful(Gain):
    """What it learned does not travel."""

    def with_state(self, state: Mapping[str, np.ndarray]) -> Gain:
        return self


@dataclass(frozen=True)
class InPlace(Gain):
    """Writes into what it was given."""

    fit = None  # type: ignore[assignment]  # not one that learns

    def restore(self, y: np.ndarray, mask: np.ndarray | None, strength: float) -> np.ndarray:
        y *= np.float32(0.5)
        return y


@dataclass(frozen=True)
class Flat(Gain):
    """Loses the axis of channels."""

    fit = None  # type: ignore[assignment]

    def restore(self, y: np.ndarray, mask: np.ndarray | None, strength: float) -> np.ndarray:
        return y[0]


def error(restored: np.ndarray, truth: np.ndarray, data_range: float) -> np.ndarray:
    """Mean absolute error of each item."""
    return np.abs(restored - truth).mean(axis=(1, 2))


class Traces(Domain):
    """All parts as they should be."""

    @property
    def spec(self) -> SignalSpec:
        return SignalSpec(1, (Axis("time", 16, 0.1, "s"),), "V", (-2.0, 2.0))

    def dataset(self, split: str) -> SignalSet:
        seed = ("train", "val", "test").index(split)
        signals = np.random.default_rng(seed).uniform(-1, 1, (8, 1, 16)).astype(np.float32)
        return SignalSet(signals, np.asarray([f"{split}{row // 2}" for row in range(8)]))

    def small(self) -> Domain:
        return self

    def assets(self) -> Mapping[str, np.ndarray]:
        return {"blinks": np.arange(4.0)}

    def metrics(self) -> Mapping[str, Any]:
        return {"error": Metric("error", error, "{unit}", "lower")}

    def baselines(self) -> Mapping[str, Baseline]:
        return {"gain": Gain()}

    def features(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda x: torch.stack([x.mean((1, 2)), x.std((1, 2))], dim=1)

    def draw(self, signals: np.ndarray) -> np.ndarray:
        return np.zeros((len(signals), 8, 9, 3), np.uint8)

    def points(self, signals: np.ndarray) -> list[np.ndarray]:
        return [np.zeros((5, 3)) for _ in signals]

    def judge_generated(self, drawn: np.ndarray, real: np.ndarray) -> Mapping[str, Mapping[str, Any]]:
        return {"level": {"mean": float(drawn.mean() - real.mean()), "n": len(drawn), "unit": "V", "better": "lower"}}

    def report_sections(self, restore: Any, test: SignalSet, n: int) -> Mapping[str, str]:
        return {"Level": f"<p>{test.signals[:n].mean():.2f}</p>"}


PARTS = ("small", "assets", "draw", "points", "metrics", "baselines", "features", "judge_generated", "report_sections")


def test_parts_as_they_should_be_pass_and_each_is_named() -> None:
    checks = {check.name: check for check in check_domain(Traces())}
    assert set(PARTS) <= set(checks)
    assert all(check.passed for check in checks.values()), [c for c in checks.values() if not c.passed]
    assert checks["features"].detail == "domain: 2 features an item, whatever else is in its batch."


def test_parts_that_a_domain_leaves_as_they_are_stand_in_no_line() -> None:
    class Plain(Domain):
        spec, dataset = Traces.spec, Traces.dataset

    assert not set(PARTS) & {check.name for check in check_domain(Plain())}


class Wide(Traces):
    """Larger signals."""

    @property
    def spec(self) -> SignalSpec:
        return SignalSpec(1, (Axis("time", 32, 0.1, "s"),), "V", (-2.0, 2.0))


def measure(function: Callable[..., Any], better: str = "lower") -> Callable[..., Any]:
    return lambda self: {"error": Metric("error", function, "{unit}", better)}  # type: ignore[arg-type]


def spoiling(restored: np.ndarray, truth: np.ndarray, data_range: float) -> np.ndarray:
    """Works in place."""
    restored -= truth
    return np.abs(restored).mean(axis=(1, 2))


@pytest.mark.parametrize(
    ("part", "wrong", "found"),
    [
        ("small", lambda self: None, "small returned NoneType, expected a Domain"),
        ("small", lambda self: Wide(), r"signals of \(1, 32\), expected no more than \(1, 16\)"),
        ("assets", lambda self: {"names": np.asarray(["a"])}, "'names' of <U1, expected numbers"),
        ("draw", lambda self, s: np.zeros((len(s), 8, 9), np.uint8), r"uint8 \(4, 8, 9\), expected \(4, rows, columns, 3\)"),
        ("draw", lambda self, s: np.zeros((len(s), 8, 9, 3)), r"float64 \(4, 8, 9, 3\), expected"),
        ("points", lambda self, s: [np.zeros((5, 3))], "1 arrays, expected one array an item"),
        ("points", lambda self, s: [np.zeros((5, 2)) for _ in s], r"float64 \(5, 2\), expected"),
        ("metrics", lambda self: {"error": error}, "'error', a function, expected an instance of Metric"),
        ("metrics", measure(error, "higher"), "of which higher is said to be better"),
        ("metrics", measure(lambda r, t, d: np.abs(r - t).mean()), r"float64 \(\) for 4 items"),
        ("metrics", measure(lambda r, t, d: 1 / error(r, t, d), "higher"), "one finite number an item"),
        ("metrics", measure(spoiling), "changed what it was given"),
        ("baselines", lambda self: {"gain": Gain}, "'gain', a Gain, expected an instance of Baseline"),
        ("baselines", lambda self: {"gain": Forgetful()}, "its state lacks a part"),
        ("baselines", lambda self: {"half": InPlace()}, "'half' changed what it was given"),
        ("baselines", lambda self: {"flat": Flat()}, r"float32 \(16,\), expected finite numbers of \(1, 16\)"),
        ("features", lambda self: lambda x: x.flatten(1)[:1], r"of shape \(1, 16\) for 4 signals"),
        ("features", lambda self: lambda x: (x - x.mean(0)).flatten(1), "expected each on its own"),
        ("features", lambda self: lambda x: x.flatten(1).log(), "not finite"),
        ("judge_generated", lambda self, d, r: {"level": 0.5}, "'level', 0.5, expected mean, n, unit and better"),
        ("report_sections", lambda self, restore, test, n: {"Level": 1.0}, "'Level', a float, expected HTML"),
        ("report_sections", lambda self, restore, test: {}, "positional arguments"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_mistake_in_one_part_fails_that_part_alone(part: str, wrong: Any, found: str) -> None:
    mistaken = type("Mistaken", (Traces,), {part: wrong})
    failed = [check for check in check_domain(mistaken()) if not check.passed]
    assert [check.name for check in failed] == [part]
    assert re.search(found, failed[0].detail), failed[0].detail


def test_assets_that_are_lost_on_the_way_are_found() -> None:
    class Drawn(Traces):
        """Its artifacts are others each time."""

        def assets(self) -> Mapping[str, np.ndarray]:
            return {"blinks": np.random.default_rng().uniform(size=4)}

    failed = [check for check in check_domain(Drawn()) if not check.passed]
    assert [check.name for check in failed] == ["assets"]
    assert "with_assets lost 'blinks'" in failed[0].detail


class Filed(Traces):
    """Reads and writes arrays, as a stranger would."""

    def read(self, path: Path) -> Recording:
        return Recording(np.load(path)[None], path, "npy")

    def write(self, recording: Recording, path: Path) -> Path:
        np.save(path, recording.signals[0])
        return path


def once(domain: Domain, path: Path) -> dict[str, Check]:
    return {check.name.split()[0]: check for check in check_domain(domain, [path]) if check.name.endswith(path.name)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "one.npy", np.random.default_rng(0).uniform(-1, 1, (1, 40)).astype(np.float32))
    return tmp_path / "one.npy"


def test_a_file_comes_back_as_it_was(file: Path, tmp_path: Path) -> None:
    found = once(Filed(), file)
    assert [check.passed for check in found.values()] == [True, True]
    assert found["read"].detail.startswith("npy: (1, 1, 40), from -")
    assert found["write"].detail == "Byte for byte as it was."
    assert [path.name for path in tmp_path.iterdir()] == ["one.npy"]


def lossy(self: Domain, recording: Recording, path: Path) -> Path:
    np.save(path, recording.signals[0].round())
    return path


def copied(self: Domain, recording: Recording, path: Path) -> Path:
    path.write_bytes(recording.path.read_bytes())
    return path


def shortened(self: Domain, recording: Recording, path: Path) -> Path:
    np.save(path, recording.signals[0, :, :-1])
    return path


def elsewhere(self: Domain, recording: Recording, path: Path) -> Path:
    np.save(recording.path, recording.signals[0])
    return recording.path


def spoiled(self: Domain, recording: Recording, path: Path) -> Path:
    recording.signals[:] = 0.0
    np.save(path, recording.signals[0])
    return path


def gapped(self: Domain, path: Path) -> Recording:
    return Recording(np.where(np.arange(40) == 3, np.nan, np.load(path))[None], path, "npy")


@pytest.mark.parametrize(
    ("part", "wrong", "check", "found"),
    [
        ("read", lambda self, path: np.load(path), "read", "read returned ndarray, expected a Recording"),
        ("read", lambda self, path: Recording(np.load(path), path, "npy"), "read", r"\(1, 40\), expected \(n, 1, time\)"),
        ("read", lambda self, path: Recording(np.load(path)[None], path, ""), "read", "the format '', expected a name"),
        ("read", gapped, "read", "1 of 40 values that are not finite"),
        ("write", lossy, "write", r"differs by \d+ % of its standard deviation, expected at most 5 %"),
        ("write", copied, "write", "values times 0.9 were written, and the file reads as before: changes are lost"),
        ("write", shortened, "write", r"written as it was read has signals of shape \(1, 1, 39\), expected \(1, 1, 40\)"),
        ("write", elsewhere, "write", "expected the path in"),
        ("write", spoiled, "write", "write changed the signals that it was given"),
        ("write", lambda self, recording, path: path, "write", "expected the path in"),
    ],
)  # fmt: skip
def test_a_mistake_in_reading_or_writing_is_found(part: str, wrong: Any, check: str, found: str, file: Path) -> None:
    failed = once(type("Mistaken", (Filed,), {part: wrong})(), file)
    assert not failed[check].passed
    assert re.search(found, failed[check].detail), failed[check].detail
    assert set(failed) == ({"read"} if check == "read" else {"read", "write"})


def test_the_command_takes_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(tmp_path / name)
    assert main(["check-domain", "faces", "--file", str(tmp_path / "a.png"), str(tmp_path / "b.png")]) == 0
    said = capsys.readouterr().out
    assert "passed read a.png: PNG: (1, 3, 20, 30)" in said
    assert re.search(r"passed write b.png: (Byte for byte|Every sample)", said)
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert main(["check-domain", "faces", "--file", str(tmp_path / "b.png")]) == 2
    assert "FAILED read b.png" in capsys.readouterr().out
    assert main(["check-domain", "faces", "--file", str(tmp_path / "c.png")]) == 2
    assert "c.png" in capsys.readouterr().err
