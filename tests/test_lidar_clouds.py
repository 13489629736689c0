"""Files of point clouds: unusual heads and forms, and what of them comes back."""

from __future__ import annotations

import gzip
import math
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from domains.lidar import Turns
from domains.lidar.cloud_files import read_cloud, write_cloud
from domains.lidar.pcd import unpack_lzf
from vaegan.errors import DataError

ROWS, COLUMNS = 16, 128
SMALL = Turns(rows=ROWS, columns=COLUMNS)
KIND = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("ring", "<u2")])
FACES = "element face 2\nproperty list uchar int vertex_indices\nelement edge 1\nproperty int a\nproperty int b\n"
CAMERAS = "element camera 2\nproperty float x\nproperty double y\nelement path 2\nproperty list uchar short at\n"


def table(lost: float = 0.0) -> np.ndarray:
    """Records of a room, ring by ring, of which a share is lost."""
    turn = np.arange(COLUMNS) * (2 * math.pi / COLUMNS) + 0.01
    tilt = np.radians(np.linspace(2, -24, ROWS))[:, None]
    made = np.zeros((ROWS, COLUMNS), KIND)
    made["x"], made["y"], made["z"] = 8 * np.cos(tilt) * np.cos(turn), 8 * np.cos(tilt) * np.sin(turn), 8 * np.sin(tilt)
    made["intensity"], made["ring"] = 0.5, np.arange(ROWS)[:, None]
    return made.reshape(-1)[np.random.default_rng(0).random(made.size) >= lost]


def head(points: np.ndarray, form: str, *, left_out: str = "", size: tuple[int, int] | None = None) -> bytes:
    """The head of a PCD."""
    width, height = size or (len(points), 1)
    lines = ["VERSION 0.7", "FIELDS x y z intensity ring", "SIZE 4 4 4 4 2", "TYPE F F F F U", "COUNT 1 1 1 1 1"]
    lines += [f"WIDTH {width}", f"HEIGHT {height}", f"POINTS {len(points)}", f"DATA {form}"]
    return "".join(f"{line}\n" for line in lines if line.split()[0] != left_out).encode()


def packed_lzf(content: bytes) -> bytes:
    """As LibLZF packs: the longest of a few earlier places where the next three bytes stood."""
    out, run, places, at = bytearray(), bytearray(), dict[bytes, int](), 0

    def flush() -> None:
        for i in range(0, len(run), 32):
            out.append(len(run[i : i + 32]) - 1)
            out.extend(run[i : i + 32])
        run.clear()

    while at < len(content):
        before, places[content[at : at + 3]] = places.get(content[at : at + 3]), at
        if before is None or at - before > 8192 or at + 3 > len(content):
            run.append(content[at])
            at += 1
            continue
        length = 3
        while length < 264 and at + length < len(content) and content[before + length] == content[at + length]:
            length += 1
        flush()
        back = at - before - 1
        out.append((min(length - 2, 7) << 5) | back >> 8)
        out.extend([length - 9] if length >= 9 else [])
        out.append(back & 255)
        at += length
    flush()
    return bytes(out)


def compressed(points: np.ndarray) -> bytes:
    """The body of a compressed PCD."""
    fields = b"".join(points[name].tobytes() for name in points.dtype.names or ())
    packed = packed_lzf(fields)
    return struct.pack("<II", len(packed), len(fields)) + packed


def ply(points: np.ndarray, form: str, *, before: str = "", after: str = "", comment: str = "made here") -> bytes:
    names = {"f4": "float", "u2": "ushort"}
    fields = "".join(f"property {names[points.dtype[name].str[1:]]} {name}\n" for name in points.dtype.names or ())
    vertices = f"element vertex {len(points)}\n{fields}"
    return f"ply\nformat {form} 1.0\ncomment {comment}\n{before}{vertices}{after}end_header\n".encode()


def through(path: Path, *, fill: bool) -> tuple[np.ndarray, Path]:
    """The points of a file, and where it was written to, with its gaps filled or not."""
    recording = SMALL.read(path)
    signals = np.nan_to_num(recording.signals, nan=5.0) if fill else recording.signals
    return read_cloud(path).points, SMALL.write(recording.with_signals(signals), path.parent / "out" / path.name)


def test_lzf_repeats_what_it_has_written() -> None:
    assert unpack_lzf(b"\x02abc\x20\x02\x00d", 7) == b"abcabcd"
    assert unpack_lzf(b"\x00a\xe0\x07\x00", 17) == b"a" * 17, "also what it is about to write"
    random = np.random.default_rng(0)
    for count in (1, 31, 32, 33, 300, 9000, 40_000):
        for most in (2, 20, 256):
            content = random.integers(0, most, count).astype(np.uint8).tobytes()
            assert unpack_lzf(packed_lzf(content), count) == content
    for broken in (b"\x02ab", b"\x00a\x20\x04", b"\x00a\xe0", b"\x05abcdef"):
        with pytest.raises((ValueError, IndexError)):
            unpack_lzf(broken, 3)


def test_a_compressed_pcd_is_read_and_comes_back_as_plain_binary(tmp_path) -> None:
    points = table(lost=0.1)
    body = compressed(points)
    assert len(body) < points.nbytes
    (tmp_path / "a.pcd").write_bytes(head(points, "binary_compressed") + body)
    found, path = through(tmp_path / "a.pcd", fill=True)
    np.testing.assert_array_equal(found, points)
    assert b"\nDATA binary\n" in path.read_bytes()
    np.testing.assert_array_equal(read_cloud(path).points[: len(points)], points)
    for cut in (body[:5], body[:-9], body[:4] + b"\0\0\0\0" + body[8:], body[:8] + b"\xff\xff" + body[10:]):
        (tmp_path / "b.pcd").write_bytes(head(points, "binary_compressed") + cut)
        with pytest.raises(
            DataError, match=r"b.pcd holds packed points that cannot be read .*expected \d+ points of 18"
        ):
            read_cloud(tmp_path / "b.pcd")


def test_pcd_heads_may_lack_points_and_shout(tmp_path) -> None:
    points = table()
    (tmp_path / "a.pcd").write_bytes(head(points, "binary", left_out="POINTS", size=(COLUMNS, ROWS)) + points.tobytes())
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.pcd").points, points)
    (tmp_path / "b.pcd").write_bytes(head(points, "BINARY") + points.tobytes())
    np.testing.assert_array_equal(read_cloud(tmp_path / "b.pcd").points, points)
    (tmp_path / "C.PCD.GZ").write_bytes(gzip.compress((tmp_path / "b.pcd").read_bytes()))
    found, path = through(tmp_path / "C.PCD.GZ", fill=False)
    np.testing.assert_array_equal(found, points)
    assert gzip.decompress(path.read_bytes()).endswith(points.tobytes())
    recording = SMALL.read(tmp_path / "C.PCD.GZ")
    assert SMALL.write_marked(recording, tmp_path / "C.PCD.GZ").name == "C.marked.pcd"


def test_an_organised_pcd_stays_so_while_no_point_is_added(tmp_path) -> None:
    points = table()
    points["x"][:40:3] = np.nan
    (tmp_path / "a.pcd").write_bytes(head(points, "binary", size=(COLUMNS, ROWS)) + points.tobytes())
    _, path = through(tmp_path / "a.pcd", fill=False)
    assert b"\nWIDTH 128\nHEIGHT 16\n" in path.read_bytes()
    assert path.read_bytes().endswith(points.tobytes())
    found, path = through(tmp_path / "a.pcd", fill=True)
    count = len(read_cloud(path).points)
    assert count > len(found)
    assert f"\nWIDTH {count}\nHEIGHT 1\n".encode() in path.read_bytes()


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_elements_beside_the_vertices_of_a_ply_come_back(tmp_path, form, fill) -> None:
    points = table(lost=0.1)
    order = ">" if "big" in form else "<"
    if form == "ascii":
        first, last = b"1.5 2.5\n3.5 4.5\n3 1 2 3\n0\n", b"3 0 1 2\n4 0 1 2 3\n5 6\n"
        body = "".join(" ".join(map(str, row)) + "\n" for row in points.tolist()).encode()
    else:
        points = points.astype(points.dtype.newbyteorder(order))
        first = struct.pack(f"{order}fdfdB3hB", 1.5, 2.5, 3.5, 4.5, 3, 1, 2, 3, 0)
        last = struct.pack(f"{order}B3iB4i2i", 3, 0, 1, 2, 4, 0, 1, 2, 3, 5, 6)
        body = points.tobytes()
    whole = ply(points, form, before=CAMERAS, after=FACES, comment="end_header is not here") + first + body + last
    (tmp_path / "a.ply").write_bytes(whole)
    found, path = through(tmp_path / "a.ply", fill=fill)
    np.testing.assert_array_equal(found, points)
    back = read_cloud(path)
    np.testing.assert_array_equal(back.points[: len(points)], points)
    assert (len(back.points) > len(points)) == fill
    assert (back.before.content, back.after.content) == (first, last)
    same = whole.replace(f"vertex {len(points)}".encode(), f"vertex {len(back.points)}".encode())
    assert path.read_bytes().startswith(same[: same.index(b"\nend_header\n") + 12] + first)
    if form != "ascii":
        assert fill or path.read_bytes() == whole
    assert read_cloud(write_cloud(back, tmp_path / "b.ply")).after == back.after


def test_broken_elements_of_a_ply_are_named(tmp_path) -> None:
    points = table()
    for form in ("ascii", "binary_little_endian"):
        for before in (CAMERAS, CAMERAS.split("element path")[0]):
            (tmp_path / "a.ply").write_bytes(ply(points, form, before=before) + b"1 2\n")
            with pytest.raises(
                DataError, match=r"a.ply holds a (camera|path) that cannot be read .*get the whole file"
            ):
                read_cloud(tmp_path / "a.ply")
    (tmp_path / "b.ply").write_bytes(ply(points, "ascii", after="property list uchar int near\n"))
    with pytest.raises(DataError, match=r"a PLY head that cannot be read .a list for each vertex.; expected vertices"):
        read_cloud(tmp_path / "b.ply")
    for wrong in ("element camera -1\n", "property float lonely\n", "element camera\n"):
        (tmp_path / "c.ply").write_bytes(ply(points, "ascii", before=wrong))
        with pytest.raises(DataError, match=r"c.ply has a PLY head that cannot be read"):
            read_cloud(tmp_path / "c.ply")


def test_a_sensor_that_looks_further_up_is_told_of(tmp_path) -> None:
    points = table()
    up = points.copy()
    up["z"] += 0.2 * np.hypot(up["x"], up["y"])  # a third of the rings are above 2 degrees
    without = [(name, "<f4") for name in ("x", "y", "z", "intensity")]

    def save(path: Path, records: np.ndarray) -> Path:
        turned = np.random.default_rng(0).permutation(records[["x", "y", "z", "intensity"]].astype(without))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(turned.tobytes())
        return path

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SMALL.read(save(tmp_path / "a.bin", points))
    with pytest.warns(UserWarning, match=r"b\.bin: 10 % of the points or more lie above or below .*--domain\.up"):
        SMALL.read(save(tmp_path / "b.bin", up))
    wide = Turns(rows=ROWS, columns=COLUMNS, up=20.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            np.isfinite(wide.read(tmp_path / "b.bin").signals).sum()
            > np.isfinite(SMALL.read(tmp_path / "a.bin").signals).sum() / 2
        )
    for frame in range(12):
        save(tmp_path / "drive" / f"{frame:06d}.bin", up)
    with pytest.warns(UserWarning, match=r"12 of 12 files, the first .*000000\.bin: 10 % of the points or more"):
        Turns(tmp_path / "drive", rows=ROWS, columns=COLUMNS).everything()
