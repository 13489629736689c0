"""Turns: clouds to range images and back, degraded, measured, drawn."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import vaegan
from domains.lidar import Turns
from domains.lidar.cloud_files import read_cloud, write_cloud
from domains.lidar.projection import project, to_points, unfolded_rings
from domains.lidar.turn_files import between
from vaegan.errors import DataError, UserError
from vaegan.models import RestoringConfig
from vaegan.testing import check_domain

ROWS, COLUMNS = 16, 128
SMALL = Turns(rows=ROWS, columns=COLUMNS)


def rings(rows: int = ROWS, columns: int = COLUMNS, seed: int = 0) -> np.ndarray:
    """(n, 4) points of a room, ring after ring from the top, each from azimuth 0 anticlockwise, some lost."""
    random = np.random.default_rng(seed)
    turn = np.arange(columns) * (2 * math.pi / columns) + 0.01
    tilt = np.radians(np.linspace(2, -24, rows))[:, None]
    ranges = 8 + 2 * np.cos(3 * turn) + 0 * tilt
    xyz = [ranges * np.cos(tilt) * np.cos(turn), ranges * np.cos(tilt) * np.sin(turn), ranges * np.sin(tilt)]
    points = np.stack([*xyz, np.full_like(ranges, 0.5)], axis=-1).reshape(-1, 4).astype(np.float32)
    return points[random.random(len(points)) > 0.05]


def save_rings(path: Path, points: np.ndarray, ring: np.ndarray) -> Path:
    """A ``.pcd.bin`` of points (n, 4) with the numbers of their rings (n,)."""
    path.write_bytes(np.concatenate([points, ring[:, None]], axis=1).astype("<f4").tobytes())
    return path


def save_pcd(path: Path, table: np.ndarray, form: str = "binary") -> Path:
    """A ``.pcd`` of records (n,), each field one number."""
    letters = {"f": "F", "i": "I", "u": "U"}
    kinds = [table.dtype[name] for name in table.dtype.names or ()]
    head = (
        f"VERSION 0.7\nFIELDS {' '.join(table.dtype.names or ())}\nSIZE {' '.join(str(kind.itemsize) for kind in kinds)}\n"
        f"TYPE {' '.join(letters[kind.kind] for kind in kinds)}\nCOUNT {' '.join('1' for _ in kinds)}\n"
        f"WIDTH {len(table)}\nHEIGHT 1\nPOINTS {len(table)}\nDATA {form}\n"
    )
    text = "\n".join(" ".join(map(str, row)) for row in table.tolist()).encode()
    path.write_bytes(head.encode() + (table.tobytes() if form == "binary" else text))
    return path


def save_bin(path: Path, points: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(points.astype("<f4").tobytes())
    return path


@pytest.mark.parametrize(
    "options", [{}, {"reflectance": False, "gaps": False, "encoding": "inverse"}, {"layout": "spherical"}]
)
def test_the_domain_keeps_its_contract(options) -> None:
    failed = [check for check in check_domain(Turns(rows=ROWS, columns=64, **options)) if not check.passed]
    assert not failed


def test_projection_keeps_the_nearest_and_inverts() -> None:
    random = torch.Generator().manual_seed(0)
    elevations = torch.linspace(0.03, -0.4, ROWS)
    ranges = 3 + 10 * torch.rand(2, ROWS, COLUMNS, generator=random)
    xyz = to_points(ranges, elevations).flatten(2).transpose(1, 2)
    row = torch.arange(ROWS).repeat_interleave(COLUMNS).expand(2, -1)
    found = project(
        torch.cat([xyz * 1.5, xyz], 1), torch.zeros(2, 2 * ROWS * COLUMNS, 1), torch.cat([row, row], 1), (ROWS, COLUMNS)
    )
    assert torch.allclose(found.image[:, 0], ranges, atol=1e-4)
    assert (found.winner >= ROWS * COLUMNS).all()
    again = to_points(found.image[:, 0], elevations).flatten(2).transpose(1, 2)
    assert torch.allclose(again, xyz, atol=1e-3)


def test_rings_are_told_from_the_order_of_points() -> None:
    points = torch.from_numpy(rings())
    found = unfolded_rings(points[:, :3])
    assert int(found.max()) == ROWS - 1
    tilt = torch.atan2(points[:, 2], points[:, :2].norm(dim=1))
    for ring in range(ROWS):
        assert float(tilt[found == ring].std()) < 1e-4


def test_points_come_back_in_order_and_untouched(tmp_path) -> None:
    points = rings()
    source = save_bin(tmp_path / "000000.bin", points)
    recording = SMALL.read(source)
    assert recording.signals.shape == (1, 2, ROWS, COLUMNS)
    target = SMALL.write(
        recording.with_signals(np.nan_to_num(recording.signals, nan=5.0)), tmp_path / "out" / "000000.bin"
    )
    back = np.fromfile(target, "<f4").reshape(-1, 4)
    np.testing.assert_array_equal(back[: len(points)], points)
    assert len(back) > len(points), "filled points come behind"
    np.testing.assert_allclose(np.linalg.norm(back[len(points) :, :3], axis=1), 5.0, rtol=1e-4)


def test_changed_points_move_along_their_ray_and_are_marked(tmp_path) -> None:
    points = rings()
    recording = SMALL.read(save_bin(tmp_path / "a.bin", points))
    restored = np.nan_to_num(recording.signals, nan=5.0)
    restored[0, 0] *= 1.1
    path = SMALL.write_marked(recording.with_signals(restored), tmp_path / "a.bin")
    assert path.name == "a.marked.pcd"
    cloud = read_cloud(path).points
    assert cloud.dtype.names == ("x", "y", "z", "intensity", "filled", "moved")
    old = cloud[: len(points)]
    assert not old["filled"].any()
    assert cloud["filled"][len(points) :].all()
    moved = old["moved"] == 1
    assert 0.9 < moved.mean() <= 1
    xyz = np.stack([old[name] for name in "xyz"], axis=1)
    np.testing.assert_allclose(xyz[moved], 1.1 * points[moved, :3], rtol=1e-4)
    np.testing.assert_array_equal(xyz[~moved], points[~moved, :3])


def test_few_rings_are_spread_over_the_rows(tmp_path) -> None:
    dense = rings(seed=1)
    ring = unfolded_rings(torch.from_numpy(dense[:, :3])).numpy()
    recording = SMALL.read(save_bin(tmp_path / "a.bin", dense[ring % 4 == 0]))
    seen = np.isfinite(recording.signals[0, 0])
    assert seen[::4].mean() > 0.9
    assert not np.delete(seen, np.s_[::4], axis=0).any()
    tilt = np.degrees(recording.metadata[0].elevations)
    assert (np.diff(tilt) < 0).all()
    np.testing.assert_allclose(tilt[::4], np.linspace(2, -24, ROWS)[::4], atol=0.05)


def test_ring_fields_and_upside_down_rings(tmp_path) -> None:
    points = rings()
    ring = ROWS - 1 - unfolded_rings(torch.from_numpy(points[:, :3])).numpy()
    shuffled = np.random.default_rng(0).permutation(len(points))
    table = np.concatenate([points * [1, 1, 1, 255], ring[:, None]], axis=1)[shuffled].astype("<f4")
    (tmp_path / "a.pcd.bin").write_bytes(table.tobytes())
    recording = SMALL.read(tmp_path / "a.pcd.bin")
    upright = SMALL.read(save_bin(tmp_path / "a.bin", points)).signals
    np.testing.assert_allclose(recording.signals, upright, atol=1e-4)
    target = SMALL.write(recording.with_signals(np.nan_to_num(recording.signals, nan=6.0)), tmp_path / "b.pcd.bin")
    back = np.fromfile(target, "<f4").reshape(-1, 5)
    np.testing.assert_array_equal(back[: len(table)], table)
    extra = back[len(table) :]
    tilt = np.arctan2(extra[:, 2], np.hypot(extra[:, 0], extra[:, 1]))
    np.testing.assert_allclose(
        np.degrees(tilt), np.linspace(2, -24, ROWS)[ROWS - 1 - extra[:, 4].astype(int)], atol=0.05
    )


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("lost", [0, 7, (0, 1), (6, 7)])
def test_a_ring_without_echoes_leaves_all_others_in_their_rows(tmp_path, lost, upside_down) -> None:
    points = rings(rows=8)
    ring = unfolded_rings(torch.from_numpy(points[:, :3])).numpy()
    number = 7 - ring if upside_down else ring
    whole = SMALL.read(save_rings(tmp_path / "a.pcd.bin", points, number)).signals
    kept = ~np.isin(ring, lost)
    torn = SMALL.read(save_rings(tmp_path / "b.pcd.bin", points[kept], number[kept])).signals
    rows = np.arange(ROWS)[~np.isin(np.arange(ROWS) // 2, lost)]
    assert np.isnan(np.delete(torn, rows, axis=2)).all()
    np.testing.assert_array_equal(torn[:, :, rows], whole[:, :, rows])


def test_rings_may_be_counted_from_one_and_points_may_be_of_no_ring(tmp_path) -> None:
    points = rings()
    ring = unfolded_rings(torch.from_numpy(points[:, :3])).numpy().astype(float)
    whole = SMALL.read(save_rings(tmp_path / "a.pcd.bin", points, ring)).signals
    np.testing.assert_array_equal(SMALL.read(save_rings(tmp_path / "b.pcd.bin", points, ring + 1)).signals, whole)
    ring[5], ring[9] = np.nan, -1
    points[[5, 9], :3] = 0.001  # they would be the nearest everywhere
    there = np.isfinite(SMALL.read(save_rings(tmp_path / "c.pcd.bin", points, ring)).signals[0, 0])
    assert (there == np.isfinite(whole[0, 0])).mean() > 0.99


def test_more_rings_than_rows_are_named_and_never_projected_in_some_other_way(tmp_path) -> None:
    points = rings(rows=32)
    ring = unfolded_rings(torch.from_numpy(points[:, :3])).numpy()
    for path in (
        save_bin(tmp_path / "a.bin", points),
        save_rings(tmp_path / "a.pcd.bin", points, ring),
        save_rings(tmp_path / "b.pcd.bin", points, ring + 1),
    ):
        with pytest.raises(DataError, match=r"\.bin has 32 rings; expected at most 16, .*set --domain.rows"):
            SMALL.read(path)
        assert Turns(rows=32, columns=COLUMNS).read(path).metadata[0].layout == "rings"
        even = Turns(rows=ROWS, columns=COLUMNS, layout="spherical")
        assert even.read(path).metadata[0].layout == "spherical"


def test_filled_points_have_the_time_and_colour_of_the_echo_beside_them(tmp_path) -> None:
    points = rings()
    ring = unfolded_rings(torch.from_numpy(points[:, :3])).numpy()
    kept = ring != 5  # to be filled from the rows above and below
    points, ring = points[kept], ring[kept]
    kinds = [(name, "<f4") for name in "xyz"] + [
        ("intensity", "<u2"),
        ("ring", "<u2"),
        ("timestamp", "<f8"),
        ("rgb", "<u4"),
    ]
    table = np.zeros(len(points), np.dtype(kinds))
    for i, name in enumerate("xyz"):
        table[name] = points[:, i]
    turn = np.arctan2(points[:, 1], points[:, 0])
    table["intensity"], table["ring"] = 1000, ring
    table["timestamp"], table["rgb"] = 1.6e9 + 0.1 * turn / (2 * math.pi), 7
    recording = SMALL.read(save_pcd(tmp_path / "a.pcd", table))
    cloud = read_cloud(
        SMALL.write(recording.with_signals(np.nan_to_num(recording.signals, nan=5.0)), tmp_path / "b.pcd")
    )
    np.testing.assert_array_equal(cloud.points[: len(table)], table)
    extra = cloud.points[len(table) :]
    assert len(extra) > COLUMNS, "the lost ring, and single echoes"
    expected = 1.6e9 + 0.1 * np.arctan2(extra["y"], extra["x"]) / (2 * math.pi)
    apart = np.abs((extra["timestamp"] - expected + 0.05) % 0.1 - 0.05)
    assert apart.max() < 0.1 * 4 / COLUMNS, "within a few columns"
    assert (extra["rgb"] == 7).all()
    assert (extra["intensity"] == 65535).all(), "what was restored, on the file's own scale"
    bare = Turns(rows=ROWS, columns=COLUMNS, reflectance=False)
    alone = bare.read(tmp_path / "a.pcd")
    back = read_cloud(bare.write(alone.with_signals(np.nan_to_num(alone.signals, nan=5.0)), tmp_path / "c.pcd"))
    assert (back.points["intensity"] == 1000).all()


@pytest.mark.parametrize(("kind", "metre", "off"), [("<u4", 1000, 0.03), ("<f4", 1, 0.0)])
def test_a_range_that_the_file_repeats_follows_the_points(tmp_path, kind, metre, off) -> None:
    points = rings()
    ring = unfolded_rings(torch.from_numpy(points[:, :3])).numpy()
    table = np.zeros(len(points), [*((name, "<f4") for name in "xyz"), ("ring", "u1"), ("range", kind), ("t", "<u4")])
    for i, name in enumerate("xyz"):
        table[name] = points[:, i]
    away = np.linalg.norm(points[:, :3], axis=1)
    table["ring"], table["range"] = ring, np.rint(metre * (away + off)) if metre > 1 else away
    recording = SMALL.read(save_pcd(tmp_path / "a.pcd", table))
    moved = np.nan_to_num(recording.signals, nan=5.0)
    moved[0, 0, :, ::2] = 6.0
    found = read_cloud(SMALL.write(recording.with_signals(moved), tmp_path / "b.pcd"))
    now = np.linalg.norm(found.xyz(), axis=1)
    assert len(now) > len(points) and (np.abs(now[: len(points)] - away) > 0.5).any(), "filled, and moved"
    np.testing.assert_allclose(found.points["range"], metre * (now + off), atol=1.0 if metre > 1 else 1e-4)
    same = np.abs(now[: len(points)] - away) < 1e-4
    np.testing.assert_array_equal(found.points[: len(points)][same], table[same])
    table["range"] = 7 + np.arange(len(table)) % 5  # something else of that name
    recording = SMALL.read(save_pcd(tmp_path / "c.pcd", table))
    found = read_cloud(SMALL.write(recording.with_signals(moved), tmp_path / "d.pcd"))
    np.testing.assert_array_equal(found.points["range"][: len(table)], table["range"])


@pytest.mark.parametrize(("greatest", "scale"), [(1.0, 1.0), (200.0, 255.0), (5000.0, 65535.0)])
def test_intensities_are_scaled_by_the_least_of_three_ranges_that_holds_them(tmp_path, greatest, scale) -> None:
    points = rings()
    points[:, 3] = np.linspace(0, greatest, len(points))
    cloud = read_cloud(save_bin(tmp_path / "a.bin", points))
    np.testing.assert_allclose(cloud.reflectance(), points[:, 3] / scale, atol=1e-6)
    points[3, 3] = np.inf
    assert read_cloud(save_bin(tmp_path / "b.bin", points)).full_scale() == scale
    recording = SMALL.read(tmp_path / "a.bin")
    restored = np.nan_to_num(recording.signals, nan=5.0)
    restored[:, 1] = 0.25
    back = np.fromfile(SMALL.write(recording.with_signals(restored), tmp_path / "c.bin"), "<f4").reshape(-1, 4)
    np.testing.assert_allclose(back[len(points) :, 3], 0.25 * scale)
    np.testing.assert_array_equal(back[: len(points), 3], cloud.points["intensity"])


def test_whole_numbers_of_a_text_keep_all_their_digits(tmp_path) -> None:
    kinds = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("t", "<u8"), ("k", "<i2")]
    table = np.array([(1, 2, 3, 1600000000123456789, -3), (4, 5, 6, 2**64 - 1, 4)], np.dtype(kinds))
    path = save_pcd(tmp_path / "a.pcd", table, "ascii")
    np.testing.assert_array_equal(read_cloud(path).points, table)
    np.testing.assert_array_equal(read_cloud(write_cloud(read_cloud(path), tmp_path / "b.pcd")).points, table)
    text = path.read_text()
    path.write_text(text.replace(" -3\n", " -3.0\n"))
    np.testing.assert_array_equal(read_cloud(path).points, table)
    for word in ("much", "nan", "70000"):
        path.write_text(text.replace(" -3\n", f" {word}\n"))
        with pytest.raises(DataError, match=r"no numbers of the field k .*expected int16 numbers"):
            read_cloud(path)


@pytest.mark.parametrize("form", ["ascii", "binary"])
def test_pcd_keeps_every_field(tmp_path, form) -> None:
    points = rings()
    dtype = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("time", "<f8"), ("ring", "<u2")])
    table = np.zeros(len(points), dtype)
    for i, name in enumerate(("x", "y", "z", "intensity")):
        table[name] = points[:, i]
    table["time"], table["ring"] = (
        np.arange(len(points)) * 1e-5,
        unfolded_rings(torch.from_numpy(points[:, :3])).numpy(),
    )
    head = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z intensity time ring\nSIZE 4 4 4 4 8 2\nTYPE F F F F F U\nCOUNT 1 1 1 1 1 1\n"
        f"WIDTH {len(table)}\nHEIGHT 1\nVIEWPOINT 1 2 3 1 0 0 0\nPOINTS {len(table)}\nDATA {form}\n"
    )
    body = (
        table.tobytes() + b"\0" * 100
        if form == "binary"
        else "\n".join(" ".join(map(str, row)) for row in table.tolist()).encode()
    )
    (tmp_path / "a.pcd.gz").write_bytes(gzip.compress(head.encode() + body))
    recording = SMALL.read(tmp_path / "a.pcd.gz")
    target = SMALL.write(recording.with_signals(np.nan_to_num(recording.signals, nan=5.0)), tmp_path / "b.pcd")
    back = read_cloud(target)
    assert back.head == ("VIEWPOINT 1 2 3 1 0 0 0",)
    assert back.ascii == (form == "ascii")
    np.testing.assert_array_equal(back.points[: len(table)]["time"], table["time"])
    np.testing.assert_array_equal(back.points[: len(table)]["x"], table["x"])


def test_ply_comes_back(tmp_path) -> None:
    points = rings()
    head = f"ply\nformat binary_little_endian 1.0\ncomment made here\nelement vertex {len(points)}\n"
    head += "".join(f"property float {name}\n" for name in ("x", "y", "z", "intensity")) + "end_header\n"
    (tmp_path / "a.ply").write_bytes(head.encode() + points.astype("<f4").tobytes())
    recording = SMALL.read(tmp_path / "a.ply")
    target = SMALL.write(recording, tmp_path / "b.ply")
    assert target.read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\ncomment made here\n")
    np.testing.assert_array_equal(read_cloud(target).points[: len(points)]["z"], points[:, 2])


def test_bad_files_are_named(tmp_path) -> None:
    points = rings()
    (tmp_path / "cut.bin").write_bytes(points.tobytes()[:-3])
    with pytest.raises(DataError, match=r"cut.bin has \d+ bytes, no multiple of 16; .*get the whole file"):
        SMALL.read(tmp_path / "cut.bin")
    (tmp_path / "empty.bin").write_bytes(b"")
    with pytest.raises(DataError, match="holds no point"):
        SMALL.read(tmp_path / "empty.bin")
    with pytest.raises(DataError, match=r"none of the 7 points .* falls into the range image"):
        SMALL.read(save_bin(tmp_path / "misses.bin", np.zeros((7, 4))))
    (tmp_path / "a.pcd").write_text(
        "VERSION 0.7\nFIELDS u v\nSIZE 4 4\nTYPE F F\nCOUNT 1 1\nPOINTS 1\nDATA ascii\n1 2\n"
    )
    with pytest.raises(DataError, match="has the fields u, v; expected x, y and z"):
        SMALL.read(tmp_path / "a.pcd")
    (tmp_path / "b.pcd").write_text("FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nPOINTS 9\nDATA packed\n")
    with pytest.raises(DataError, match="DATA packed; expected ascii, binary or binary_compressed"):
        SMALL.read(tmp_path / "b.pcd")
    (tmp_path / "c.pcd").write_text("FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nPOINTS -3\nDATA ascii\n")
    with pytest.raises(DataError, match=r"a PCD head that cannot be read .-3 points"):
        SMALL.read(tmp_path / "c.pcd")
    for head in (
        "format",
        "format ascii 1.0\nelement vertex x",
        "format ascii 1.0\nelement face 1",
        "element vertex 1",
    ):
        (tmp_path / "a.ply").write_text(f"ply\n{head}\nproperty float x\nend_header\n")
        with pytest.raises(DataError, match="a PLY head that cannot be read"):
            SMALL.read(tmp_path / "a.ply")
    (tmp_path / "a.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\n"
        + "".join(f"property float {name}\n" for name in "xyzz")
        + "end_header\n1 2 3 4\n"
    )
    with pytest.raises(DataError, match=r"a PLY head that cannot be read .*'z'"):
        SMALL.read(tmp_path / "a.ply")
    for name in ("intensity", "z", "ring"):
        names = dict.fromkeys(("x", "y", "z", name))
        head = f"FIELDS {' '.join(names)}\nSIZE{' 4' * len(names)}\nTYPE{' F' * len(names)}\n"
        counts = " ".join("2" if other == name else "1" for other in names)
        (tmp_path / "d.pcd").write_text(f"{head}COUNT {counts}\nPOINTS 1\nDATA ascii\n1 2 3 4 5\n")
        with pytest.raises(DataError, match=rf"d.pcd holds 2 values of {name} for each point; expected one"):
            SMALL.read(tmp_path / "d.pcd")
    with pytest.raises(DataError, match="is no point cloud"):
        SMALL.read(save_bin(tmp_path / "a.xyz", points))
    with pytest.raises(UserError, match="a view from -25"):
        Turns(up=-25.0, down=3.0)


@pytest.mark.parametrize("columns", ["xyz", "doubles", "nuscenes", "six", "kitti"])
def test_a_bin_of_other_columns_is_not_taken_for_its_own(tmp_path, columns) -> None:
    points = rings()
    points = points[: len(points) // 20 * 20]  # a length that fits whatever the columns are
    ring = unfolded_rings(torch.from_numpy(points[:, :3])).numpy()[:, None]
    time = np.full_like(ring, 0.05, dtype=np.float32)
    made = {
        "xyz": points[:, :3],
        "doubles": points.astype("<f8").view("<f4"),
        "nuscenes": np.concatenate([points, ring], axis=1),
        "six": np.concatenate([points, ring, time], axis=1),
        "kitti": points,
    }
    path = save_bin(tmp_path / ("a.pcd.bin" if columns == "kitti" else "a.bin"), np.ascontiguousarray(made[columns]))
    with pytest.raises(DataError, match=r"holds other columns than its ending says .*PCD"):
        SMALL.read(path)
    points[: len(points) // 3, 3] = -1.0  # what some converters write where nothing was measured
    assert SMALL.read(save_bin(tmp_path / "b.bin", points)).metadata[0].layout == "rings"


def test_intensities_below_0_are_told_of_where_no_other_columns_fit(tmp_path: Path) -> None:
    points = (
        np.random.default_rng(0).normal(0, 10, (60_000, 4)).astype(np.float32)
    )  # a length that fits whatever they are
    points[:, 2] *= 0.02  # flat, as a turn is
    with pytest.warns(UserWarning, match=r"50 % of the intensities are below 0; are its columns x, y, z and intensity"):
        recording = SMALL.read(save_bin(tmp_path / "a.bin", points))
    back = np.fromfile(SMALL.write(recording, tmp_path / "b.bin"), "<f4").reshape(-1, 4)
    np.testing.assert_array_equal(back, points)


def test_points_that_are_not_finite_stay_in_the_file_and_out_of_the_image(tmp_path) -> None:
    points = rings()
    points[5, 0], points[9, 2] = np.nan, np.inf
    recording = SMALL.read(save_bin(tmp_path / "a.bin", points))
    assert recording.metadata[0].kept == len(points) - 2
    back = np.fromfile(SMALL.write(recording, tmp_path / "b.bin"), "<f4").reshape(-1, 4)
    np.testing.assert_array_equal(back[: len(points)], points)


def test_only_gaps_between_echoes_become_points() -> None:
    seen = np.zeros((8, 12), bool)
    seen[2, [1, 4, 11]] = True
    seen[6, 4] = True
    added = between(seen, 3)
    assert added[3:6, 4].all()
    assert added[2, [2, 3]].all()
    assert added[2, 0], "the row wraps"
    assert not added[:2].any()
    assert not added[2, 5:11].any()


def test_folders_and_prepared_images_are_split_by_time(tmp_path) -> None:
    for frame in range(20):
        save_bin(tmp_path / "drive_0001" / f"{frame:06d}.bin", rings(seed=frame))
    domain = Turns(tmp_path, rows=ROWS, columns=COLUMNS)
    assert [len(domain.dataset(split)) for split in ("train", "val", "test")] == [14, 2, 4]
    signals = domain.everything().signals
    place = tmp_path / "prepared"
    place.mkdir()
    centimetres = np.nan_to_num(100 * signals[:, 0]).round().astype(np.uint16)
    np.savez(place / "a.npz", range_cm=centimetres, intensity=np.nan_to_num(100 * signals[:, 1]).astype(np.uint8))
    again = Turns(place, rows=ROWS, columns=COLUMNS).everything().signals
    np.testing.assert_allclose(again[:, 0], signals[:, 0], atol=0.006)
    assert Turns(place, rows=ROWS, columns=COLUMNS // 2).spec.shape == (2, ROWS, COLUMNS // 2)
    assert Turns(place, rows=ROWS, columns=COLUMNS // 2).everything().signals.shape[-1] == COLUMNS // 2
    centimetres[::2] = 0
    np.savez(place / "a.npz", range_cm=centimetres, intensity=np.zeros_like(centimetres, np.uint8))
    assert len(Turns(place, rows=ROWS, columns=COLUMNS).everything()) == 10, (
        "without any echo there is nothing to learn"
    )
    with pytest.raises(DataError, match=r"sources are corrupt.*range images of"):
        Turns(place, rows=24, columns=COLUMNS).everything()


def test_a_renamed_drive_is_known_by_its_new_name(tmp_path) -> None:
    for drive in ("driveA", "driveB", "driveC"):
        save_bin(tmp_path / drive / f"{drive}.bin", rings(seed=ord(drive[-1])))
    before = Turns(tmp_path, rows=ROWS, columns=COLUMNS, test=("driveC",)).dataset("test")
    (tmp_path / "driveC").rename(tmp_path / "site9")
    after = Turns(tmp_path, rows=ROWS, columns=COLUMNS, test=("site9",)).dataset("test")
    np.testing.assert_array_equal(after.signals, before.signals)
    assert after.fingerprint == before.fingerprint, "the contents are the same"


def test_a_network_with_map_latents_commutes_with_turning_the_scan() -> None:
    torch.manual_seed(0)
    spec = SMALL.spec
    model = RestoringConfig(latent=4, width=8, widest=8, depth=2, patch=2, neighbours=True).build(spec).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    random = torch.Generator().manual_seed(1)
    y = torch.rand(2, *spec.shape, generator=random)
    mask = torch.rand(2, 1, *spec.sizes, generator=random) > 0.5
    assert model.stride == 8
    with torch.no_grad():
        straight = model.restore(y, mask).mean
        for steps in (1, 3, -2):
            shift = steps * model.stride
            turned = model.restore(y.roll(shift, -1), mask.roll(shift, -1)).mean
            assert torch.allclose(turned, straight.roll(shift, -1), atol=1e-5)
        off = model.restore(y.roll(3, -1), mask.roll(3, -1)).mean
    assert not torch.allclose(off, straight.roll(3, -1), atol=1e-5), "between its strides it need not"


def test_a_trial_is_of_few_columns() -> None:
    assert Turns().small() == Turns(columns=128)
    assert Turns(columns=64).small() == Turns(columns=64)


def test_pictures_are_drawn() -> None:
    pictures = SMALL.draw(SMALL.dataset("train").signals[:2])
    assert pictures.shape == (2, 2 * ROWS + 4 + 384, 512, 3)
    assert pictures.dtype == np.uint8
    assert pictures.std() > 0


def test_real_files(test_data, tmp_path) -> None:
    folder = test_data / "lidar"
    domain = Turns()
    recording = domain.read(folder / "kitti_bin" / "000000.bin")
    turn = recording.metadata[0]
    assert (turn.layout, len(turn.cloud.points)) == ("rings", 115_384)
    assert np.isfinite(recording.signals[0, 0]).mean() > 0.8
    assert (np.diff(turn.elevations) < 0.002).all()
    prepared = Turns(folder / "kitti_range").everything()
    frame = domain.read(folder / "kitti_pcd" / "drive0005_0000000000.pcd.gz").signals[0]
    known = np.isfinite(prepared.signals[0, 0])
    np.testing.assert_array_equal(np.isfinite(frame[0]), known)
    assert np.abs(frame[0] - prepared.signals[0, 0])[known].max() < 0.006
    (nuscenes,) = (folder / "nuscenes").glob("*.pcd.bin.gz")
    seen = np.isfinite(Turns(rows=32).read(nuscenes).signals[0, 0])
    assert seen.mean() > 0.5
    points = read_cloud(nuscenes).points
    whole = domain.read(nuscenes).signals
    for lost in (0, 31):
        (tmp_path / "a.pcd.bin").write_bytes(points[points["ring"] != lost].tobytes())
        rows = np.delete(np.arange(0, 64, 2), 31 - lost)
        torn = domain.read(tmp_path / "a.pcd.bin").signals
        np.testing.assert_array_equal(np.flatnonzero(np.isfinite(torn[0, 0]).any(axis=1)), rows)
        np.testing.assert_array_equal(torn[:, :, rows], whole[:, :, rows])


def test_a_bin_comes_back_from_the_command(tmp_path, capsys) -> None:
    from vaegan.cli import main
    from vaegan.recipe import Recipe
    from vaegan.run import recipe_json, save

    model = RestoringConfig(
        latent=2,
        width=4,
        widest=4,
        depth=1,
        patch=2,
        neighbours=True,
        keep_observed=True,
        discriminator_width=2,
        discriminator_hidden=2,
    )
    recipe = Recipe(summary="a test", domain=SMALL, model=model)
    save(tmp_path / "run", "test", recipe, model.build(SMALL.spec))
    recipe_json("test", recipe, tmp_path / "run", "untrained")
    points = rings()
    source = save_bin(tmp_path / "in" / "000000.bin", points)
    assert (
        main(
            ["restore", str(tmp_path / "run"), str(source), "--out", str(tmp_path / "out"), "--mark", "--device", "cpu"]
        )
        == 0
    )
    back = np.fromfile(tmp_path / "out" / "000000.bin", "<f4").reshape(-1, 4)
    np.testing.assert_array_equal(back[: len(points)], points)
    assert (
        (read_cloud(tmp_path / "out" / "000000.marked.pcd").points["filled"] == 1).sum() == len(back) - len(points) > 0
    )
    assert vaegan.load(tmp_path / "run").model.stride == 4
    capsys.readouterr()
