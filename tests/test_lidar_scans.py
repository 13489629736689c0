"""Planar scans: read, masked, split, restored, written back."""

from __future__ import annotations

import gzip
import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from domains.lidar import PlanarScans
from domains.lidar.planar import laser_scan, on_grid, read_scans
from domains.lidar.scan_files import short_gaps
from domains.lidar.sequences import split_sequences
from vaegan.degradation import build, observe
from vaegan.errors import DataError, UserError
from vaegan.testing import check_domain

BEAMS = 36


def log_line(ranges: np.ndarray, name: str = "FLASER") -> str:
    words = " ".join(f"{r:.2f}" for r in ranges)
    if name == "FLASER":
        return f"FLASER {len(ranges)} {words} 0.1 0.2 0.3 0.1 0.2 0.3 12.5 host 12.5"
    step = math.pi / (len(ranges) - 1)
    return f"{name} 0 -1.57 3.1416 {step:.6f} 81.9 0.01 0 {len(ranges)} {words} 0 1 2 3 4 5 6 0 0 0 0 12.5 host 12.5"


def save_log(path: Path, scans: int = 40, beams: int = 181, seed: int = 0, name: str = "FLASER") -> Path:
    random = np.random.default_rng(seed)
    lines = ["# message formats", "PARAM robot_use_laser on"]
    for _ in range(scans):
        ranges = 3 + 2 * np.sin(np.linspace(0, 6, beams) + random.uniform(0, 6)) + random.normal(0, 0.01, beams)
        ranges[10:14] = 81.83
        ranges[20] = 0.0
        lines += [log_line(ranges, name), "ODOM 0 0 0 0 0 0 1.0 host 1.0"]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("domain", [PlanarScans(beams=BEAMS), PlanarScans(beams=BEAMS, view=360.0, encoding="log")])
def test_the_domain_keeps_its_contract(domain) -> None:
    failed = [check for check in check_domain(domain) if not check.passed]
    assert not failed


def test_a_beam_without_echo_is_a_gap_and_never_a_distance(tmp_path) -> None:
    for name in ("FLASER", "ROBOTLASER1"):
        recording = PlanarScans().read(save_log(tmp_path / f"{name}.log", name=name))
        assert recording.signals.shape == (40, 1, 181)
        assert np.isnan(recording.signals[:, 0, 10:14]).all(), "the log's maximum"
        assert np.isnan(recording.signals[:, 0, 20]).all(), "zero"
        assert np.nanmax(recording.signals) < 6
    scan = laser_scan(
        {
            "angle_min": -0.5,
            "angle_increment": 0.1,
            "range_min": 0.3,
            "range_max": 9.0,
            "ranges": [1.0, math.inf, -math.inf, math.nan, 0.0, 0.2, 9.5, None, 8.0, 2.0, 3.0],
        }
    )
    assert np.flatnonzero(np.isfinite(scan.ranges)).tolist() == [0, 8, 9, 10]


def test_only_a_scanner_that_turns_fully_wraps() -> None:
    assert PlanarScans(view=270.0).spec.periodic == (False,)
    assert PlanarScans(view=360.0).spec.periodic == (True,)
    full = {"angle_min": -math.pi, "angle_increment": 2 * math.pi / 72, "ranges": list(range(1, 73))}
    half = {**full, "angle_increment": math.pi / 72}
    assert laser_scan(full).turns
    assert not laser_scan(half).turns
    clockwise = {**full, "angle_min": math.pi, "angle_increment": -2 * math.pi / 72}
    assert laser_scan(clockwise).turns
    assert not laser_scan({**clockwise, "angle_increment": -math.pi / 72}).turns


def test_finer_scans_are_thinned_to_the_grid() -> None:
    fine = laser_scan({"angle_min": -math.pi / 2, "angle_increment": math.pi / 360, "ranges": np.arange(1.0, 362.0)})
    grid = on_grid(fine, 180, math.pi)
    assert grid.tolist() == np.arange(1.0, 360.0, 2).tolist()
    assert on_grid(fine, 180, math.pi, phase=0.5).tolist() == np.arange(2.0, 361.0, 2).tolist()
    backwards = laser_scan(
        {"angle_min": math.pi / 2, "angle_increment": -math.pi / 360, "ranges": np.arange(361.0, 0, -1)}
    )
    assert on_grid(backwards, 180, math.pi).tolist() == grid.tolist()
    wide = on_grid(fine, 270, 1.5 * math.pi)
    assert np.isnan(wide[:44]).all()
    assert np.isfinite(wide[46:224]).all()


def test_a_full_turn_may_begin_anywhere_and_hold_its_end_twice() -> None:
    # As Gazebo's TurtleBot3 sends them: 360 ranges from 0 to 6.28319, so that the last beam is the first one again.
    gazebo = laser_scan({"angle_min": 0.0, "angle_increment": 6.28319 / 359, "ranges": np.arange(0.0, 360.0) + 1})
    grid = on_grid(gazebo, 180, math.pi)
    wanted = (np.arange(-90, 90) % 360) * 359 / 360
    apart = (grid - 1 - wanted + 179.5) % 359 - 179.5
    assert (np.abs(apart) <= 0.501).all(), "each the nearest beam, none lost"
    for first in (0.0, 1.0, -math.pi, math.pi):
        for count in (359, 360):
            even = laser_scan({"angle_min": first, "angle_increment": math.pi / 180, "ranges": np.full(count, 2.0)})
            assert np.isnan(on_grid(even, 360, 2 * math.pi)).sum() == 360 - count


def test_a_part_of_a_turn_may_begin_ahead() -> None:
    part = laser_scan({"angle_min": 0.0, "angle_increment": math.pi / 180, "ranges": np.arange(0.0, 271.0) + 1})
    grid = on_grid(part, 360, 2 * math.pi)
    angles = np.arange(-180, 180) % 360
    np.testing.assert_array_equal(grid, np.where(angles <= 270, angles + 1.0, np.nan))


def test_angles_midway_between_two_beams_are_not_lost_to_rounding() -> None:
    for first in np.float32([-math.pi, -3.0, 0.0]):
        step = np.float32(math.pi / 180)
        turned = laser_scan({"angle_min": first, "angle_increment": step, "ranges": np.full(360, 2.0)})
        assert np.isfinite(on_grid(turned, 360, 2 * math.pi, phase=0.5)).all()


def test_named_sites_are_the_test_and_no_group_is_in_two_splits(tmp_path) -> None:
    for seed, name in enumerate(("east", "north", "west-1", "west-2")):
        save_log(tmp_path / f"{name}-corrected.log", seed=seed)
    domain = PlanarScans(tmp_path, beams=BEAMS, test=("west",))
    groups = {split: set(domain.dataset(split).groups.tolist()) for split in ("train", "val", "test")}
    assert {group.split()[0] for group in groups["test"]} == {"west-1", "west-2"}
    assert {group.split()[0] for group in groups["train"]} == {"east", "north"}
    assert not groups["train"] & groups["val"]
    assert len(domain.dataset("test")) == 80, "each scan once"
    assert len(domain.dataset("train")) == 5 * 2 * 36, "and for training at each of five phases"
    with pytest.raises(DataError, match="no sequence is named south"):
        replace(domain, test=("south",)).dataset("train")


def test_one_sequence_is_split_by_time() -> None:
    groups, splits = split_sequences(["a"] * 50)
    assert list(dict.fromkeys(splits.tolist())) == ["train", "val", "test"]
    assert (splits == "train").sum() == 35
    assert len(set(groups.tolist())) == 10


def test_a_log_comes_back_as_it_was_but_for_what_was_restored(tmp_path) -> None:
    domain = PlanarScans(longest_gap=4)
    source = save_log(tmp_path / "a.log", beams=361)
    recording = domain.read(source)
    assert recording.signals.shape == (80, 1, 181), "a scan of half degrees is two interleaved ones"
    assert domain.write(recording, tmp_path / "same.log").read_text() == source.read_text()
    changed = recording.with_signals(np.where(np.isnan(recording.signals), 1.25, recording.signals + 0.1))
    before, after = (read_scans(p).scans[3] for p in (source, domain.write(changed, tmp_path / "b.log")))
    hit = np.isfinite(before.ranges)
    np.testing.assert_allclose(after.ranges[hit], before.ranges[hit] + 0.1, atol=0.011)
    assert np.isfinite(after.ranges[20])
    np.testing.assert_allclose(after.ranges[[10, 20]], 1.25)
    ends = source.read_text().splitlines()[2].split()[-9:]
    assert (tmp_path / "b.log").read_text().splitlines()[2].split()[-9:] == ends


@pytest.mark.parametrize("name", ["FLASER", "ROBOTLASER1"])
def test_a_log_keeps_the_space_between_its_words(tmp_path, name) -> None:
    words = log_line(np.linspace(1.0, 5.0, 181), name).split(" ")
    odd = "\t".join(words[:2]) + "  " + "   ".join(words[2:9]) + " " + "\t".join(words[9:]) + " \r"
    content = f"# caf\u0085\xe9\r\n{odd}\nODOM  1\t2\n".encode("latin-1")
    (tmp_path / "a.log").write_bytes(content)
    domain = PlanarScans()
    recording = domain.read(tmp_path / "a.log")
    assert domain.write(recording, tmp_path / "same.log").read_bytes() == content
    domain.write(recording.with_signals(recording.signals + 0.5), tmp_path / "b.log")
    written = (tmp_path / "b.log").read_text("latin-1")
    assert written.split("\n")[1].split()[: words.index("1.00")] == words[: words.index("1.00")]
    np.testing.assert_allclose(read_scans(tmp_path / "b.log").scans[0].ranges, np.linspace(1.5, 5.5, 181), atol=0.011)


def test_the_stated_angle_of_the_first_beam_counts(tmp_path) -> None:
    line = log_line(np.arange(1.0, 182.0) / 20, "ROBOTLASER1")
    (tmp_path / "a.log").write_text(line + "\n")
    (tmp_path / "b.log").write_text(line.replace(" -1.57 ", " 0.0 ") + "\n")
    ahead, left = (read_scans(tmp_path / name).scans[0] for name in ("a.log", "b.log"))
    assert (ahead.first, left.first) == (-1.57, 0.0)
    grid = on_grid(left, 360, 2 * math.pi)
    np.testing.assert_array_equal(grid[0], 181 / 20, "half a turn to the left is half a turn to the right")
    assert np.isnan(grid[1:180]).all()
    np.testing.assert_array_equal(grid[180:], np.arange(1.0, 181.0) / 20)


def test_short_gaps_wrap_only_where_the_scan_does() -> None:
    hit = np.asarray([0, 1, 0, 0, 1, 0, 0, 0, 1, 0], dtype=bool)
    assert short_gaps(hit, 2, wraps=False).nonzero()[0].tolist() == [2, 3]
    assert short_gaps(hit, 2, wraps=True).nonzero()[0].tolist() == [0, 2, 3, 9]
    assert not short_gaps(np.zeros(4, bool), 2, wraps=True).any()


def test_dictionaries_are_read_and_written(tmp_path) -> None:
    message = {
        "angle_min": -1.0,
        "angle_increment": 0.0175,
        "range_max": 30.0,
        "ranges": [2.0] * 50 + [None] * 3 + [4.0] * 50,
    }
    (tmp_path / "scans.json").write_text(json.dumps([message, message]))
    domain = PlanarScans()
    recording = domain.read(tmp_path / "scans.json")
    restored = recording.with_signals(np.full_like(recording.signals, 3.0))
    written = json.loads(domain.write(restored, tmp_path / "out.json").read_text())
    assert written[0]["ranges"] == [3.0] * 103
    assert written[1]["range_max"] == 30.0


def test_bad_files_are_named(tmp_path) -> None:
    domain = PlanarScans()
    mixed = save_log(tmp_path / "mixed.log", beams=181)
    mixed.write_text(mixed.read_text() + log_line(np.linspace(1.0, 5.0, 361)) + "\n")
    with pytest.raises(DataError, match=r"scans of 181 and 361 beams; .*a file of their own"):
        domain.read(mixed)
    assert len(PlanarScans(mixed, beams=BEAMS).everything()) == 41, "to learn from they are put on one grid"
    coarse = log_line(np.linspace(1.0, 5.0, 181), "ROBOTLASER1")
    fine = coarse.replace(f" {math.pi / 180:.6f} ", f" {math.pi / 720:.6f} ")
    (tmp_path / "steps.log").write_text(f"{coarse}\n{fine}\n")
    with pytest.raises(
        DataError, match=r"steps.log holds scans of beams 0.25 and 1 degrees apart; .*a file of their own"
    ):
        domain.read(tmp_path / "steps.log")
    (tmp_path / "misses.log").write_text(log_line(np.full(181, 81.83)) + "\n")
    with pytest.raises(DataError, match=r"no beam of .*misses\.log has an echo"):
        domain.read(tmp_path / "misses.log")
    with pytest.raises(DataError, match=r"no scan of .*misses\.log has an echo nearer than 20 m"):
        PlanarScans(tmp_path / "misses.log").everything()
    (tmp_path / "cut.log").write_text("FLASER 181 1.0 2.0 3.0\n")
    with pytest.raises(DataError, match="line 1 holds 3 ranges of 181"):
        domain.read(tmp_path / "cut.log")
    whole = log_line(np.linspace(1.0, 5.0, 181))
    (tmp_path / "middle.log").write_text(f"{whole}\n{whole[:300]}\n{whole}\n")
    with pytest.raises(DataError, match=r"line 2 holds \d+ ranges of 181; expected a whole line"):
        domain.read(tmp_path / "middle.log")
    (tmp_path / "other.log").write_text("ODOM 1 2 3\n")
    with pytest.raises(DataError, match="holds no laser scan"):
        domain.read(tmp_path / "other.log")
    (tmp_path / "named.log").write_text("FLASERX 181 1.0 2.0\nROBOTLASER12 3\n")
    with pytest.raises(DataError, match="holds no laser scan in 2 lines"):
        domain.read(tmp_path / "named.log")
    line = log_line(np.linspace(1.0, 5.0, 181), "ROBOTLASER1")
    for number in ("0.0", "nan"):
        (tmp_path / "step.log").write_text(line.replace(f" {math.pi / 180:.6f} ", f" {number} ") + "\n")
        with pytest.raises(DataError, match=r"line 1 holds beams from -1.57 rad on, (0|nan) rad apart"):
            domain.read(tmp_path / "step.log")
    packed = bytearray(gzip.compress((line + "\n").encode()))
    packed[40:60] = bytes(20)
    (tmp_path / "broken.log.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"broken.log.gz cannot be read .*expected a whole CARMEN log"):
        domain.read(tmp_path / "broken.log.gz")
    (tmp_path / "scan.json").write_text('{"ranges": [1, 2]}')
    with pytest.raises(DataError, match="lacks angle_min, angle_increment"):
        domain.read(tmp_path / "scan.json")
    good = {"angle_min": 0.0, "angle_increment": 0.1, "ranges": [1.0, 2.0]}
    for wrong in ({"angle_min": "a"}, {"range_max": None}, {"ranges": "ab"}, {"ranges": 3}):
        (tmp_path / "words.json").write_text(json.dumps({**good, **wrong}))
        with pytest.raises(DataError, match="scan 1 cannot be read"):
            domain.read(tmp_path / "words.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is no JSON"):
        domain.read(tmp_path / "bytes.json")
    line = json.dumps(good)
    (tmp_path / "cut.jsonl").write_text(f"{line}\n{line}\n{line[:30]}")
    with pytest.raises(DataError, match=r"cut.jsonl is no JSON \(line 3: "):
        domain.read(tmp_path / "cut.jsonl")
    with pytest.raises(DataError, match="does not exist"):
        domain.read(tmp_path / "none.log")
    with pytest.raises(UserError, match="encoding 'cubic'"):
        PlanarScans(encoding="cubic")  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [9, 13, 300])
def test_a_log_that_breaks_off_in_its_last_line_is_read_and_the_line_kept(length: int, tmp_path: Path) -> None:
    whole = log_line(np.linspace(1.0, 5.0, 181))
    text = f"{whole}\n{whole}\n{whole[:length]}"
    (tmp_path / "off.log").write_text(text)
    domain = PlanarScans()
    with pytest.warns(UserWarning, match=r"off\.log, line 3.*: the log breaks off there; it stays as it is"):
        recording = domain.read(tmp_path / "off.log")
    assert len(recording.signals) == 2
    assert domain.write(recording, tmp_path / "back.log").read_text() == text


def test_what_is_no_number_in_a_log_stays_what_it_is(tmp_path) -> None:
    ranges = np.linspace(1.0, 5.0, 181)
    ranges[[3, 90]] = np.nan, np.inf
    (tmp_path / "a.log").write_text(log_line(ranges) + "\n")
    domain = PlanarScans(longest_gap=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = domain.write(domain.read(tmp_path / "a.log"), tmp_path / "b.log")
    assert written.read_text() == (tmp_path / "a.log").read_text()


def test_bags_are_read(tmp_path) -> None:
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="rosbags is not installed")
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    types = store.types
    stamp = types["builtin_interfaces/msg/Time"](sec=1, nanosec=0)
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="laser")
    ranges = np.full(90, 2.0, np.float32)
    ranges[5] = np.inf
    message = types["sensor_msgs/msg/LaserScan"](
        header, -0.78, 0.78, 0.0175, 0.0, 0.1, 0.1, 10.0, ranges, np.zeros(0, np.float32)
    )
    for name, count in (("full", 3), ("empty", 0)):
        with rosbag2.Writer(tmp_path / name, version=8) as writer:
            connection = writer.add_connection("/scan", "sensor_msgs/msg/LaserScan", typestore=store)
            for i in range(count):
                writer.write(connection, i, store.serialize_cdr(message, connection.msgtype))
    recording = PlanarScans().read(tmp_path / "full")
    assert recording.signals.shape == (3, 1, 90)
    assert np.isnan(recording.signals[0, 0, 5])
    with pytest.raises(DataError, match="holds no LaserScan"):
        PlanarScans().read(tmp_path / "empty")
    written = json.loads(PlanarScans().write(recording, tmp_path / "out.json").read_text())
    assert len(written) == 3
    assert PlanarScans().write(recording, tmp_path / "out" / "scans.bag") == tmp_path / "out" / "scans.json"
    assert PlanarScans().write(recording, tmp_path / "out" / "of.folder") == tmp_path / "out" / "of.folder.json"


def test_a_bag_loses_nothing_on_its_way_into_json(tmp_path) -> None:
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="rosbags is not installed")
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    types = store.types
    ranges = np.full(90, 2.0, np.float32)
    ranges[[3, 4, 5, 6, 7]] = 25.0, np.inf, -np.inf, np.nan, 9.97
    shades = np.linspace(0, 40, 90, dtype=np.float32)
    shades[4] = np.nan
    with rosbag2.Writer(tmp_path / "full", version=8) as writer:
        connection = writer.add_connection("/scan", "sensor_msgs/msg/LaserScan", typestore=store)
        for i in range(2):
            header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](sec=7 + i, nanosec=5), "laser")
            message = types["sensor_msgs/msg/LaserScan"](
                header, -0.75, 0.8, 0.0175, 0.25, 0.125, 0.5, 30.0, ranges, shades
            )
            writer.write(connection, i, store.serialize_cdr(message, connection.msgtype))
    domain = PlanarScans(longest_gap=0)
    recording = domain.read(tmp_path / "full")
    path = domain.write(recording.with_signals(recording.signals + 0.5), tmp_path / "out.json")
    first, second = json.loads(path.read_text())
    assert first["header"] == {"stamp": {"sec": 7, "nanosec": 5}, "frame_id": "laser"}
    assert second["header"]["stamp"]["sec"] == 8
    rest = ("angle_min", "angle_max", "angle_increment", "time_increment", "scan_time", "range_min", "range_max")
    np.testing.assert_allclose([first[name] for name in rest], [-0.75, 0.8, 0.0175, 0.25, 0.125, 0.5, 30.0])
    assert first["intensities"] == [None if np.isnan(v) else v for v in shades.tolist()]
    assert first["ranges"][:8] == [2.5, 2.5, 2.5, 25.0, math.inf, -math.inf, None, 10.47]
    before, after = (read_scans(p).scans[0].ranges for p in (tmp_path / "full", path))
    np.testing.assert_array_equal(np.isfinite(after), np.isfinite(before))
    assert after[3] == 25.0, "beyond the farthest range of the domain and within that of the scanner"


def save_bag(folder: Path) -> Path:
    """A bag of ROS 2 with one scan, as a folder."""
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="rosbags is not installed")
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    stamp = store.types["builtin_interfaces/msg/Time"](sec=1, nanosec=0)
    header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="laser")
    ranges = np.full(90, 2.0, np.float32)
    message = store.types["sensor_msgs/msg/LaserScan"](
        header, -0.78, 0.78, 0.0175, 0.0, 0.1, 0.1, 10.0, ranges, np.zeros(0, np.float32)
    )
    with rosbag2.Writer(folder, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/scan", "sensor_msgs/msg/LaserScan", typestore=store)
        writer.write(connection, 1, store.serialize_cdr(message, connection.msgtype))
    return folder


def test_a_broken_bag_is_told_of_in_one_line(tmp_path) -> None:
    folder = save_bag(tmp_path / "bag")
    (file,) = folder.glob("*.mcap")
    whole, random = file.read_bytes(), np.random.default_rng(0)
    told = []
    for _ in range(60):
        broken = bytearray(whole)
        for place in random.integers(8, len(whole), 3):
            broken[place] = random.integers(0, 256)
        (tmp_path / "broken.mcap").write_bytes(broken)
        try:
            PlanarScans().read(tmp_path / "broken.mcap")
        except DataError as error:
            told.append(str(error))
    assert len(told) > 5
    assert not any("\n" in line for line in told)
    (folder / "metadata.yaml").write_text("rosbag2_bagfile_information: [\n  - {\n")
    with pytest.raises(DataError, match=r"^[^\n]*cannot be read [^\n]*; expected a ROS bag[^\n]*$"):
        PlanarScans().read(folder)


def test_dictionaries_with_odd_numbers_are_read_or_named(tmp_path) -> None:
    message = {"angle_min": 0.0, "angle_increment": 0.0175, "ranges": [1.0, "inf", "Infinity", "nan", None, 2.0]}
    (tmp_path / "scan.json").write_text(json.dumps(message))
    domain = PlanarScans(longest_gap=0)
    written = json.loads(domain.write(domain.read(tmp_path / "scan.json"), tmp_path / "out.json").read_text())
    assert written["ranges"] == [1.0, "inf", "Infinity", None, None, 2.0]
    for wrong in ({"ranges": [10**400, 1.0]}, {"angle_min": 10**400}, {"range_max": -(10**400)}):
        (tmp_path / "huge.json").write_text(json.dumps({**message, **wrong}))
        with pytest.raises(DataError, match=r"scan 1 cannot be read .*too large"):
            domain.read(tmp_path / "huge.json")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match="is no JSON"):
        domain.read(tmp_path / "deep.json")


@pytest.mark.parametrize("name", ["scans.json", "scans.jsonl", "SCANS.JSON"])
def test_dictionaries_come_back_as_they_were_but_for_what_was_restored(tmp_path, name) -> None:
    random = np.random.default_rng(0)
    message = {"angle_min": 0.0, "angle_increment": 0.0175, "range_max": 30.0}
    message["ranges"] = [*(3 + random.random(50)).round(6).tolist(), 25.123456]
    whole, lines = json.dumps([message, message]), 2 * f"{json.dumps(message)}\n"
    domain = PlanarScans()
    for text in (json.dumps(message), lines) if name == "scans.jsonl" else (json.dumps(message), whole, lines):
        (tmp_path / name).write_text(text)
        recording = domain.read(tmp_path / name)
        assert domain.write(recording, tmp_path / "out" / name).read_text() == text
    changed = domain.write(recording.with_signals(recording.signals + 0.1), tmp_path / "out" / name).read_text()
    assert len(changed.splitlines()) == 2
    ranges = json.loads(changed.splitlines()[1])["ranges"]
    np.testing.assert_allclose(ranges[:50], np.add(message["ranges"][:50], 0.1), atol=6e-5)
    assert ranges[50] == 25.123456, "beyond the farthest range of the domain"


def test_capital_endings_and_logs_without_a_last_line_feed(tmp_path) -> None:
    text = save_log(tmp_path / "a.log").read_text().removesuffix("\n")
    (tmp_path / "b.log").write_text(text)
    (tmp_path / "C.LOG.GZ").write_bytes(gzip.compress(text.encode()))
    domain = PlanarScans()
    assert domain.write(domain.read(tmp_path / "b.log"), tmp_path / "out" / "b.log").read_text() == text
    packed = domain.write(domain.read(tmp_path / "C.LOG.GZ"), tmp_path / "out" / "C.LOG.GZ").read_bytes()
    assert gzip.decompress(packed).decode() == text
    names = PlanarScans(tmp_path / "out", beams=BEAMS).everything().groups.tolist()
    assert {group.rsplit(" ", 1)[0] for group in names} == {"b", "C"}


def test_the_farthest_wall_of_a_still_robot_is_no_miss(tmp_path) -> None:
    random = np.random.default_rng(0)
    corner = np.concatenate([np.linspace(3, 7, 86), np.linspace(7.8, 7.82, 9), np.linspace(7, 3, 86)])
    for name, misses in (("wall", []), ("misses", [40, 41, 42])):
        lines = []
        for _ in range(60):
            ranges = corner + random.normal(0, 0.002, len(corner))
            ranges[misses] = 81.83
            lines.append(log_line(ranges))
        (tmp_path / f"{name}.log").write_text("\n".join(lines) + "\n")
        for scan in read_scans(tmp_path / f"{name}.log").scans:
            assert np.flatnonzero(np.isnan(scan.ranges)).tolist() == misses


def test_restored_ranges_stay_within_what_their_message_calls_valid(tmp_path) -> None:
    message = {
        "angle_min": 0.0,
        "angle_increment": 0.0175,
        "range_min": 0.5,
        "range_max": 9.0,
        "ranges": [0.6, 8.9, 5.0],
    }
    (tmp_path / "scan.json").write_text(json.dumps(message))
    domain = PlanarScans()
    recording = domain.read(tmp_path / "scan.json")
    changed = recording.with_signals(np.asarray([[[0.4, 9.1, 5.1]]], np.float32))
    written = json.loads(domain.write(changed, tmp_path / "out.json").read_text())
    assert written == {**message, "ranges": [0.5, 9.0, 5.1]}


def test_files_of_the_same_name_are_sequences_of_their_own(tmp_path) -> None:
    for seed, place in enumerate(("a/laser.log", "b/laser.log", "b/laser-corrected.log", "yard.log")):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        save_log(tmp_path / place, scans=20, seed=seed)
    domain = PlanarScans(tmp_path, beams=BEAMS, test=("b/",))
    assert len(domain.everything()) == 80
    tested = {group.rsplit(" ", 1)[0] for group in domain.dataset("test").groups.tolist()}
    assert tested == {"b/laser.log", "b/laser-corrected.log"}
    assert len(replace(domain, test=("yard",)).dataset("test")) == 20


def test_degradations_say_what_was_lost() -> None:
    domain = PlanarScans(beams=180)
    x = domain.to_model(torch.from_numpy(domain.dataset("train").signals[:8]))
    seen = observe(x, build("noise 0.1 m + drop 30 %", domain.degradations()), gaps=True, generator=torch.Generator())
    assert seen.mask is not None
    assert seen.known is not None
    assert 0.6 < (seen.mask & seen.known).sum() / seen.known.sum() < 0.8
    error = (domain.to_physical(seen.y) - domain.to_physical(seen.x))[seen.mask]
    assert 0.08 < float(error.std()) < 0.12


def test_classical_methods_fill_only_gaps() -> None:
    domain = PlanarScans(beams=180)
    y = domain.to_model(torch.from_numpy(np.nan_to_num(domain.dataset("train").signals[0], nan=3.0))[None])[0].numpy()
    mask = np.ones((1, 180), bool)
    mask[0, 50:55] = False
    for name, method in domain.baselines().items():
        restored = method.restore(np.where(mask, y, -1.0).astype(np.float32), mask, method.middle)
        assert restored.shape == y.shape
        assert np.isfinite(restored).all()
        if name.startswith(("linear", "nearest")):
            np.testing.assert_array_equal(restored[mask], y[mask])
            low, high = sorted((y[0, 49], y[0, 55]))
            assert (restored[0, 50:55] >= low - 1e-5).all()
            assert (restored[0, 50:55] <= high + 1e-5).all()


def test_real_logs(test_data) -> None:
    folder = test_data / "lidar" / "carmen"
    domain = PlanarScans(folder, test=("aces", "csail", "acapulco"))
    test = domain.dataset("test")
    assert len(test) == 1707
    assert np.nanmax(test.signals) < 20
    assert len({group.rsplit(" ", 1)[0] for group in domain.dataset("train").groups.tolist()}) == 5
    for path in sorted(folder.glob("*.gz"))[:3]:
        recording = domain.read(path)
        assert 0.005 < np.isnan(recording.signals).mean() < 0.6
