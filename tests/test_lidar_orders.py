"""Clouds that state no ring: what the order of their points tells, and the folders that they lie in."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from domains.lidar import Turns
from domains.lidar.cloud import Cloud
from domains.lidar.cloud_files import read_cloud, write_cloud
from domains.lidar.projection import unfolded_rings
from domains.lidar.turn_files import between
from vaegan.errors import DataError

ROWS, COLUMNS = 16, 128
SMALL = Turns(rows=ROWS, columns=COLUMNS)


def room(rows: int = ROWS, columns: int = COLUMNS, start: float = 0.01) -> np.ndarray:
    """(rows, columns, 4) points of a room, ring after ring from the top, each anticlockwise from an azimuth in radians."""
    turn = start + np.arange(columns) * (2 * math.pi / columns)
    tilt = np.radians(np.linspace(2, -24, rows))[:, None]
    ranges = 8 + 2 * np.cos(3 * turn) + 0 * tilt
    xyz = [ranges * np.cos(tilt) * np.cos(turn), ranges * np.cos(tilt) * np.sin(turn), ranges * np.sin(tilt)]
    return np.stack([*xyz, np.full_like(ranges, 0.5)], axis=-1).astype(np.float32)


def thinned(points: np.ndarray, share: float = 0.1, seed: int = 0) -> np.ndarray:
    """(n, 4) points of which a share is lost at random."""
    points = points.reshape(-1, 4)
    return points[np.random.default_rng(seed).random(len(points)) > share]


def save(path: Path, points: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(points.astype("<f4").tobytes())
    return path


def rows_used(path: Path, domain: Turns = SMALL) -> tuple[str, list[int]]:
    """The layout that was taken, and the row of each ring's first point in the image of a :func:`room`."""
    recording = domain.read(path)
    return recording.metadata[0].layout, np.flatnonzero(np.isfinite(recording.signals[0, 0]).any(axis=1)).tolist()


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("ending", [".bin", ".ply"])
@pytest.mark.parametrize("every", [1, 4])
def test_restored_clouds_are_read_as_they_were_written(tmp_path, every, ending, upside_down) -> None:
    points = room()[::every]
    points = thinned(points[::-1] if upside_down else points)
    source = save(tmp_path / "a.bin", points)
    if ending == ".ply":
        source = write_cloud(Cloud(read_cloud(source).points, "ply"), tmp_path / "a.ply")
    recording = SMALL.read(source)
    restored = np.nan_to_num(recording.signals, nan=5.0)
    for name in ("b", "c"):  # and once more
        seen = np.isfinite(recording.signals[0, 0])
        expected = np.where(seen | between(seen, SMALL.longest_gap), restored[0, 0], np.nan)
        path = SMALL.write(recording.with_signals(restored), tmp_path / f"{name}{ending}")
        np.testing.assert_array_equal(read_cloud(path).xyz()[: len(points)], points[:, :3])
        recording = SMALL.read(path)
        assert recording.metadata[0].layout == "rings"
        np.testing.assert_allclose(recording.signals[0, 0], expected, rtol=1e-5)


def test_no_order_is_trusted_against_the_elevations(tmp_path) -> None:
    whole, points = range(ROWS), room()
    even = Turns(rows=ROWS, columns=COLUMNS, up=2.9, down=-24.9)
    for start in (0.01, 1.0, -math.pi + 0.01):
        columns = save(tmp_path / "columns.bin", room(start=start).transpose(1, 0, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert rows_used(columns, even) == ("spherical", list(whole))
    bent = points * [1, 1, 1.05, 1]  # at other elevations than any row
    other = np.random.default_rng(0).permutation(bent[:, ::4].reshape(-1, 4))
    behind = save(tmp_path / "behind.bin", np.concatenate([points.reshape(-1, 4), other]))
    twice = save(tmp_path / "twice.bin", np.concatenate([points[:8], bent[:8]]))
    for path in (behind, twice):
        with pytest.warns(UserWarning, match=rf"{path.name}: rings by the order .* rows are even steps of elevation"):
            assert even.read(path).metadata[0].layout == "spherical"
        with pytest.raises(DataError, match=r"the rings of .* cannot be told; .*each at an elevation of its own"):
            Turns(rows=ROWS, columns=COLUMNS, layout="rings").read(path)
    for frame in range(12):
        save(tmp_path / "drive" / f"{frame}.bin", np.concatenate([points[:8], bent[:8]]) + 1e-4 * frame)
    with pytest.warns(UserWarning, match="12 of 12 files, the first .*0.bin: rings by the order") as told:
        Turns(tmp_path / "drive", rows=ROWS, columns=COLUMNS).everything()
    assert len(told) == 1


@pytest.mark.parametrize("start", [0.01, 1.0, -math.pi + 0.01, -0.3])
def test_rings_may_begin_anywhere(tmp_path, start) -> None:
    path = save(tmp_path / "a.bin", room(start=start))
    recording = SMALL.read(path)
    assert recording.metadata[0].layout == "rings"
    assert np.isfinite(recording.signals[0, 0]).mean() > 0.95
    np.testing.assert_allclose(np.degrees(recording.metadata[0].elevations), np.linspace(2, -24, ROWS), atol=0.05)


def test_noise_where_rings_begin_makes_no_further_ones(tmp_path) -> None:
    random = np.random.default_rng(0)
    for rows in (12, ROWS):
        points = room(rows=rows, columns=1024, start=1e-3)
        clean = rows_used(save(tmp_path / "a.bin", points))
        points[..., :3] += random.normal(0, 0.05, points[..., :3].shape)
        assert rows_used(save(tmp_path / "b.bin", points)) == clean == ("rings", list(range(rows)))
        mirrored = points[5, :1] * [1, -1, 1, 1]
        jitter = np.concatenate([points[:5].reshape(-1, 4), points[5, :1], mirrored, points[5:].reshape(-1, 4)[1:]])
        assert rows_used(save(tmp_path / "c.bin", jitter)) == clean
        origin = np.concatenate([points.reshape(-1, 4), [[0.001, 0.01, 0.001, 0]]])
        assert rows_used(save(tmp_path / "d.bin", origin)) == clean


@pytest.mark.parametrize("lost", [np.nan, 0.0])
def test_lost_points_that_stand_in_the_file_speak_against_no_ring(tmp_path, lost) -> None:
    points = room(columns=256)
    points[np.random.default_rng(0).random(points.shape[:2]) < 0.4, :3] = lost
    assert rows_used(save(tmp_path / "a.bin", points)) == ("rings", list(range(ROWS)))


def test_a_ring_begins_where_the_azimuth_falls_back() -> None:
    points = torch.from_numpy(room()[..., :3].copy())
    turn = torch.atan2(points[..., 1], points[..., 0])
    left = points[turn > 0.1]
    assert int(unfolded_rings(left).max()) == ROWS - 1, "where nothing lies before or behind azimuth 0"
    behind = points[turn.abs() > 2]
    assert int(unfolded_rings(behind).max()) == ROWS - 1
    assert int(unfolded_rings(points.transpose(0, 1).reshape(-1, 3)).max()) == 0
    assert int(unfolded_rings(torch.zeros(5, 3)).max()) == 0


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("data_3d_raw/{}/velodyne_points/data", ["2013_05_28_drive_0000_sync", "2013_05_28_drive_0002_sync"]),
        ("sequences/{}/velodyne", ["00", "01", "02"]),
        ("2011_09_26/{}/velodyne_points/data", ["2011_09_26_drive_0001_sync", "2011_09_26_drive_0002_sync"]),
        ("{}", ["east", "north"]),
        ("{}/deep/er", ["east", "north"]),
        ("{}/velodyne_points/data", ["2011_09_26/2011_09_26_drive_0001_sync", "2011_09_28/2011_09_28_drive_0001_sync"]),
    ],
)
def test_each_drive_of_a_downloaded_tree_is_a_sequence(tmp_path, pattern, names) -> None:
    for i, name in enumerate(names):
        for frame in range(2):
            save(tmp_path / "root" / pattern.format(name) / f"{frame:06d}.bin", thinned(room(), seed=2 * i + frame))
    wanted = {name.rsplit("/")[-1] for name in names}
    root = tmp_path / "root"
    for folder in (root, root / pattern.split("/")[0]) if pattern[0] != "{" else (root,):
        domain = Turns(folder, rows=ROWS, columns=COLUMNS)
        found = domain.everything().names
        assert found is not None
        assert {name.rsplit(" ", 1)[0] for name in found.tolist()} == wanted
        tested = sorted(wanted)[-1]
        groups = Turns(folder, rows=ROWS, columns=COLUMNS, test=(tested,)).dataset("test").groups.tolist()
        assert {group.rsplit(" ", 1)[0] for group in groups} == {tested}


def test_a_single_drive_is_one_sequence_by_its_name(tmp_path) -> None:
    drive = tmp_path / "root" / "2011_09_26" / "2011_09_26_drive_0005_sync"
    for frame in range(10):
        save(drive / "velodyne_points" / "data" / f"{frame:010d}.bin", thinned(room(), seed=frame))
    for folder in (tmp_path / "root", drive.parent, drive):
        groups = Turns(folder, rows=ROWS, columns=COLUMNS).everything().groups.tolist()
        assert {group.rsplit(" ", 1)[0] for group in groups} == {drive.name}
        assert len(set(groups)) == 10
    inner = Turns(drive / "velodyne_points" / "data", rows=ROWS, columns=COLUMNS).everything().groups
    assert {group.rsplit(" ", 1)[0] for group in inner.tolist()} == {"data"}


def test_a_real_turn_is_read_again_and_bears_noise(test_data, tmp_path) -> None:
    domain = Turns()
    recording = domain.read(test_data / "lidar" / "kitti_bin" / "000000.bin")
    seen = np.isfinite(recording.signals[0, 0])
    restored = np.nan_to_num(recording.signals, nan=9.0)
    again = domain.read(domain.write(recording.with_signals(restored), tmp_path / "a.bin")).signals[0, 0]
    np.testing.assert_array_equal(np.isfinite(again), seen | between(seen, domain.longest_gap))
    np.testing.assert_array_equal(again[seen], recording.signals[0, 0][seen])
    points = np.fromfile(test_data / "lidar" / "kitti_bin" / "000000.bin", "<f4").reshape(-1, 4)
    points[:, :3] += np.random.default_rng(0).normal(0, 0.02, (len(points), 3))
    assert rows_used(save(tmp_path / "b.bin", points), domain) == ("rings", list(range(64)))
