"""Data lie below a folder, also behind links: every domain finds the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from domains.digits.layouts import find_digits
from domains.eeg.sources import files_of
from domains.faces.layouts import _pair_folder
from domains.folders import files_below
from domains.lidar import PlanarScans
from domains.lidar.turns import _paths


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_links_are_followed_once_and_what_is_hidden_or_lost_is_left_out(tmp_path: Path) -> None:
    top, away = tmp_path / "top", tmp_path / "away"
    wanted = [touch(top / "a" / "1.bin"), touch(top / "b.bin")]
    touch(top / ".hidden.bin")
    touch(top / ".git" / "2.bin")
    touch(away / "deeper" / "3.bin")
    (top / "linked").symlink_to(away, target_is_directory=True)
    (top / "a" / "round").symlink_to(top, target_is_directory=True)
    (top / "gone.bin").symlink_to(tmp_path / "nowhere.bin")
    assert files_below(top) == sorted([*wanted, top / "linked" / "deeper" / "3.bin"])


def names(paths: object) -> list[str]:
    assert isinstance(paths, list | tuple | dict)
    found = paths.values() if isinstance(paths, dict) else paths
    return [(path[0] if isinstance(path, tuple) else path).name for path in found]


@pytest.mark.parametrize(
    ("file", "find"),
    [
        ("night.edf", files_of),
        ("drive/000000.bin", _paths),
        ("aces.log", lambda folder: PlanarScans(data=folder)._paths()),
        ("digits.npz", lambda folder: find_digits(folder).files),
    ],
)
def test_every_domain_looks_behind_a_link(file: str, find: Callable[[Path], object], tmp_path: Path) -> None:
    path = touch(tmp_path / "away" / file)
    if path.suffix == ".npz":
        np.savez(path, x_train=np.zeros((1, 28, 28), np.uint8))
    top = tmp_path / "top"
    top.mkdir()
    (top / "linked").symlink_to(tmp_path / "away", target_is_directory=True)
    assert names(find(top)) == [path.name]


def test_a_recording_that_is_a_folder_counts_once_behind_a_link(tmp_path: Path) -> None:
    touch(tmp_path / "away" / "night.mff" / "signal1.bin")
    touch(tmp_path / "away" / "other.edf")
    top = tmp_path / "top"
    top.mkdir()
    (top / "linked").symlink_to(tmp_path / "away", target_is_directory=True)
    assert [path.name for path in files_of(top)] == ["night.mff", "other.edf"]


def test_pairs_are_found_behind_a_link(tmp_path: Path) -> None:
    for side in ("gray", "color"):
        touch(tmp_path / "away" / "landscape Images" / side / "1.jpg")
    top = tmp_path / "top"
    top.mkdir()
    (top / "linked").symlink_to(tmp_path / "away", target_is_directory=True)
    assert _pair_folder(top) == top / "linked" / "landscape Images"
