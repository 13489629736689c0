"""What comes back of turns and scans in use: echoes that are none, files of another kind, views that do not close."""

from __future__ import annotations

import gzip
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from domains.lidar import PlanarScans, Turns
from domains.lidar.hits import hit_scores
from domains.lidar.planar import read_scans
from domains.lidar.turn_files import restored_cloud
from vaegan.degradation import build
from vaegan.errors import DataError

HOLES = Turns(columns=64, gaps=False)


def holed() -> np.ndarray:
    """Two turns in which a quarter of the pixels, the upper rows, have no echo."""
    truth = np.random.default_rng(0).uniform(5.0, 60.0, (2, 2, 64, 64)).astype(np.float32)
    truth[:, 1] /= 60.0
    truth[:, :, :16] = 0.0
    return truth


def test_errors_of_turns_with_holes_are_those_of_pixels_that_both_see() -> None:
    known, truth = HOLES.metrics(), holed()
    everywhere = truth.copy()
    everywhere[:, 0, :16] = 10.0
    farther = truth.copy()
    farther[:, 0, 16:] += 1.0
    for name, best in (("mae", 0.0), ("rmse", 0.0), ("abs_rel", 0.0), ("delta_1", 1.0), ("chamfer", 0.0), ("iou", 1.0)):
        assert known[name].function(everywhere, truth, 80.0) == pytest.approx(best), name
    assert known["mae"].function(farther, truth, 80.0) == pytest.approx(1.0, abs=1e-5)
    assert known["hit_f1"].function(everywhere, truth, 80.0) == pytest.approx(2 * 0.75 / 1.75)
    assert known["drop_f1"].function(everywhere, truth, 80.0) == pytest.approx(0.0)
    assert known["drop_f1"].function(truth, truth, 80.0) == pytest.approx(1.0)
    assert not {"hit_f1", "drop_f1"} & set(Turns().metrics())


@pytest.mark.parametrize("condition", ["noise 0.1 m", "quantise 0.05 m", "edges 50 %", "snow 1", "rain 30", "fog 0.06"])
def test_where_there_is_no_echo_nothing_that_happens_to_one_makes_one(condition: str) -> None:
    x = HOLES.to_model(torch.from_numpy(holed()))
    seen = build(condition, HOLES.degradations())(x, generator=torch.Generator().manual_seed(0))
    assert torch.equal(seen.y[:, :, :16], x[:, :, :16])
    assert not torch.equal(seen.y[:, :1, 16:], x[:, :1, 16:])


def test_a_turn_is_read_for_a_model_of_holes_without_gaps(tmp_path: Path) -> None:
    path = written(tmp_path / "a.bin")
    assert np.isnan(Turns().read(path).signals).any()
    signals = HOLES.read(path).signals
    assert np.isfinite(signals).all()
    assert (signals == 0).any()


def written(path: Path, far: float = 30.0) -> Path:
    """A KITTI file of eight rings of 400 points at some distance, the upper ring of half of them farther."""
    azimuth = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    rings = []
    for i in range(8):
        distance = np.full(400, 10.0)
        if i == 3:
            distance[100:120] = far
        tilt = np.radians(2.0 - 3.0 * i)
        place = distance * np.array(
            [np.cos(tilt) * np.cos(azimuth), np.cos(tilt) * np.sin(azimuth), np.full(400, np.sin(tilt))]
        )
        rings.append(np.column_stack([place.T, np.full(400, 0.5)]))
    path.write_bytes(np.concatenate(rings).astype("<f4").tobytes())
    return path


def test_a_cloud_is_not_written_under_the_name_of_another_format(tmp_path: Path) -> None:
    domain = Turns()
    recording = domain.read(written(tmp_path / "a.bin"))
    for name in ("b.ply", "b.pcd.bin"):
        with pytest.raises(DataError, match=r"was read as kitti; expected a name that ends in .bin or .pcd"):
            domain.write(recording, tmp_path / name)
        assert not (tmp_path / name).exists()
    assert domain.read(domain.write(recording, tmp_path / "b.pcd")).format == "pcd"
    assert domain.write(recording, tmp_path / "b.bin").read_bytes() == (tmp_path / "a.bin").read_bytes()


def test_nothing_is_filled_before_an_echo_from_beyond_the_farthest_range(tmp_path: Path) -> None:
    path = written(tmp_path / "a.bin", far=70.0)
    domain = Turns(rows=8, columns=400, far=50.0)
    recording = domain.read(path)
    turn = recording.metadata[0]
    assert turn.beyond.sum() == 20
    full = replace(recording, signals=np.where(np.isnan(recording.signals), 12.0, recording.signals))
    cloud, filled, _ = restored_cloud(full, longest_gap=8, far=50.0)
    x, y, z = cloud.xyz()[filled].T
    before = (np.abs(np.degrees(np.arctan2(z, np.hypot(x, y))) + 7.0) < 1.0) & (
        np.abs(np.degrees(np.arctan2(y, x)) - 98.5) < 8.0
    )
    assert not before.any()
    blind = replace(turn, beyond=np.zeros_like(turn.beyond))
    _, more, _ = restored_cloud(replace(full, metadata=(blind, recording.metadata[1])), longest_gap=8, far=50.0)
    assert more.sum() == filled.sum() + 20  # a column's neighbours are seen: they would be filled


def scans(path: Path, ranges: list[np.ndarray], view: float) -> Path:
    beams = len(ranges[0])
    said = [
        {
            "angle_min": -view / 2,
            "angle_increment": view / (beams - 1),
            "range_min": 0.05,
            "range_max": 30.0,
            "ranges": [None if np.isnan(r) else float(r) for r in one],
        }
        for one in ranges
    ]
    path.write_text(json.dumps(said))
    return path


def test_the_ends_of_a_view_of_three_quarters_are_no_neighbours(tmp_path: Path) -> None:
    ranges = np.full(271, 3.0)
    ranges[240:] = 15.0
    ranges[:4] = np.nan
    path = scans(tmp_path / "a.json", [ranges], math.radians(270))
    domain = PlanarScans(beams=360, view=360.0)
    recording = domain.read(path)
    assert recording.signals.shape == (1, 1, 360)
    assert np.isnan(recording.signals[0, 0, 271:]).all()
    again = domain.write(recording, tmp_path / "b.json")
    assert json.loads(again.read_text()) == json.loads(path.read_text())
    whole = scans(tmp_path / "c.json", [np.full(360, 3.0)], math.radians(359))
    assert domain.read(whole).signals.shape == (1, 1, 360)
    assert PlanarScans(beams=270, view=270.0).read(path).signals.shape == (1, 1, 271)


def carmen(path: Path, ranges: np.ndarray) -> Path:
    lines = [
        f"FLASER {len(r)} {' '.join(f'{v:.2f}' for v in r)} 0 0 0 0 0 0 {i} host {i}" for i, r in enumerate(ranges)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_one_slip_above_a_log_s_maximum_does_not_make_echoes_of_its_misses(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ranges = random.uniform(1.0, 20.0, (20, 180))
    ranges[:, 60:90] = 81.83
    plain = [scan.ranges for scan in read_scans(carmen(tmp_path / "a.log", ranges)).scans]
    ranges[4, 100] = 100.0
    slipped = [scan.ranges for scan in read_scans(carmen(tmp_path / "b.log", ranges)).scans]
    assert all(np.isnan(one[60:90]).all() for one in plain)
    assert all(np.isnan(one[60:90]).all() for one in slipped)
    assert np.isnan(slipped[4][100])
    few = random.uniform(1.0, 20.0, (20, 180))
    few[3, :3], few[4, 0] = 25.0, 28.0  # a far wall and a farther one, both seen
    assert all(np.isfinite(scan.ranges).all() for scan in read_scans(carmen(tmp_path / "c.log", few)).scans)


def test_the_misses_of_the_recorded_logs_are_found_with_a_slip_too(tmp_path: Path, test_data: Path) -> None:
    text = gzip.decompress(next((test_data / "lidar").glob("carmen/intel*.log.gz")).read_bytes()).decode()
    first, rest = text.split("\n", 1)
    while not first.startswith("FLASER"):
        first, rest = rest.split("\n", 1)
    words = first.split()
    words[10] = "100.0"
    path = tmp_path / "slip.log"
    path.write_text(" ".join(words) + "\n" + rest)
    before = tmp_path / "intel.log"
    before.write_text(first + "\n" + rest)
    missed = [sum(int(np.isnan(scan.ranges).sum()) for scan in read_scans(one).scans) for one in (before, path)]
    assert missed[0] > 1000
    assert abs(missed[1] - missed[0]) <= 1


def test_hits_and_misses_are_those_of_what_is_written() -> None:
    hit = np.array([[1, 1, 1, 1, 1, 0, 0, 1, 1, 1]], bool)
    observed = np.array([[1, 0, 1, 1, 0, 0, 0, 1, 1, 1]], bool)
    found = hit_scores(hit, observed, longest=1, wraps=False)
    assert found["hit_f1_observed"] == pytest.approx(12 / 14)
    assert found["hit_f1"] == pytest.approx(14 / 15)  # the first gap is filled, the second is left
    assert found["miss_f1"] == pytest.approx(4 / 5)
    assert found["invented"] == 0.0
    assert hit_scores(hit, observed, longest=3, wraps=False)["invented"] == 1.0
    whole = hit_scores(np.ones((2, 5), bool), np.ones((2, 5), bool), longest=3, wraps=True)
    assert whole["hit_f1"] == 1.0
    assert math.isnan(whole["miss_f1"])


def test_a_report_of_scans_tells_hits_from_misses() -> None:
    domain = PlanarScans()
    (text,) = domain.report_sections(lambda recording: recording, domain.dataset("test"), 4).values()
    cells = re.findall(r"<td>([^<]*)</td>", text)
    assert cells[::6] == ["10 %", "30 %", "50 %"]
    values = np.array([float(c) for i, c in enumerate(cells) if i % 6]).reshape(3, 5)
    assert (values[:, 1] > values[:, 0]).all()
    assert (np.diff(values[:, 0]) < 0).all()
