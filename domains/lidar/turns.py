"""The domain of turns of spinning laser scanners, as range images."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from domains.folders import files_below
from domains.lidar import degradations as happens
from domains.lidar import generation, metrics, raydrop, suite, weather
from domains.lidar.baselines import turn_baselines
from domains.lidar.cloud_files import ending, is_packed
from domains.lidar.degradations import REFLECTED
from domains.lidar.ranges import Encoding, RangeCode
from domains.lidar.sequences import split_sequences
from domains.lidar.simulate import streets
from domains.lidar.turn_data import HDL64, decode_turns
from domains.lidar.turn_files import Layout, Raster, nominal_spherical, read_turn, write_marked, write_turn
from domains.lidar.vary import varied
from vaegan.baselines import Baseline
from vaegan.data import SPLITS, SignalSet, Skipped, Split, cached_arrays, file_sha256
from vaegan.degradation import Degradation
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.signal import Axis, SignalSpec

_REVISION = 4  # to be raised when decoding changes, so that older caches are left alone
_INNER = ("velodyne_points", "velodyne", "data")
"""Folders inside a drive of KITTI, KITTI-360 or SemanticKITTI, which name none."""


@dataclass(frozen=True)
class Turns(Domain):
    """Turns of a spinning laser scanner: range images, one row a ring, one column a step of azimuth.

    The first channel is the range in metres, the second the reflectance from 0 to 1. A pixel without echo is a gap
    (NaN). The azimuth wraps around.

    Args:
        data: a folder (searched recursively; the first of the folders that not all files lie in names the sequence) of
            ``.bin``, ``.pcd.bin``, ``.pcd`` or ``.ply`` clouds, also gzipped; one of these; or ``.npz`` with ``range_cm``
            and ``intensity``; ``None`` for simulated streets.
        rows, columns: of a range image.
        far: ranges from here on are gaps, in metres.
        encoding: of the ranges in model units; see :class:`~domains.lidar.ranges.RangeCode`.
        reflectance: whether the second channel is there.
        gaps: whether pixels without echo are gaps; else they are the range 0, for models that draw echoes and their
            absence.
        layout: see :class:`~domains.lidar.turn_files.Raster`.
        up, down: field of view of ``"spherical"``, in degrees of elevation.
        test: sequences (names, or their beginnings) that are the test; by default a hash of the names decides, or with fewer
            than three sequences the time.
        outliers: whether classical removal of outliers (SOR, ROR, DROR, DSOR) stands among the baselines, as for snow.
        longest_gap: pixels; only gaps of at most so many, with an echo at both ends, become points in what is written.
    """

    data: Path | None = None
    rows: int = 64
    columns: int = 1024
    far: float = 80.0
    encoding: Encoding = "log"
    reflectance: bool = True
    gaps: bool = True
    layout: Layout = "auto"
    up: float = 3.0
    down: float = -25.0
    test: tuple[str, ...] = ()
    outliers: bool = False
    longest_gap: int = 5

    def __post_init__(self) -> None:
        if self.data is not None:
            object.__setattr__(self, "data", Path(self.data).expanduser())
        object.__setattr__(self, "test", tuple(self.test))
        if self.rows < 2 or self.columns < 2:
            raise UserError(
                f"a range image of {self.rows}x{self.columns}",
                expected="at least 2x2",
                mend="set --domain.rows and --domain.columns",
            )
        if not -90 < self.down < self.up < 90:
            raise UserError(
                f"a view from {self.up} to {self.down} degrees", expected="down below up", mend="set --domain.up"
            )
        if self.layout not in get_args(Layout):
            raise UserError(
                f"the layout {self.layout!r}",
                expected=f"one of {', '.join(get_args(Layout))}",
                mend="set --domain.layout",
            )
        _ = self.code

    @property
    def code(self) -> RangeCode:
        """How ranges become model units."""
        return RangeCode(self.encoding, self.far)

    @property
    def raster(self) -> Raster:
        """How points become range images."""
        up, down = math.radians(self.up), math.radians(self.down)
        return Raster(self.rows, self.columns, self.far, self.layout, up, down, self.elevations)

    @property
    def elevations(self) -> tuple[float, ...]:
        """Nominal elevations of the rows in radians: those of an HDL-64E for rings of any sensor, else even steps."""
        if self.layout == "spherical":
            up, down = math.radians(self.up), math.radians(self.down)
            bare = Raster(self.rows, self.columns, self.far, "spherical", up, down, ())
            return tuple(nominal_spherical(bare).tolist())
        known = np.linspace(0, 1, len(HDL64))
        return tuple(np.radians(np.interp(np.linspace(0, 1, self.rows), known, HDL64)).tolist())

    @property
    def spec(self) -> SignalSpec:
        """Range in metres, and reflectance where asked; rows by columns, of which the columns wrap."""
        tall = abs(self.elevations[0] - self.elevations[-1]) / (self.rows - 1)
        axes = (
            Axis("elevation", self.rows, tall, "rad"),
            Axis("azimuth", self.columns, 2 * math.pi / self.columns, "rad", periodic=True),
        )
        return SignalSpec(1 + self.reflectance, axes, unit="m", value_range=(0.0, self.far), gaps=self.gaps)

    def vary(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Nearer or farther, wider or narrower, brighter or darker; see :mod:`domains.lidar.vary`."""
        absent = math.nan if self.gaps else 0.0
        return self.to_model(varied(self.to_physical(x), self.far, absent, generator))

    def dataset(self, split: Split) -> SignalSet:
        """The turns of a split; see :func:`domains.lidar.sequences.split_sequences`.

        Returns:
            signals (n, 1 or 2, rows, columns) float32, NaN where there was no echo.

        Raises:
            DataError: when the data are missing, empty, unreadable, or too few to be split.
        """
        items, splits = self._items()
        rows = np.flatnonzero(splits == split)
        if not len(rows):
            raise DataError(
                f"{items.source}: no turn is left for the split {split!r} of {len(items)}",
                expected=f"at least ten turns of one drive, or three drives, for {', '.join(SPLITS)}",
                mend="give more with --data",
            )
        return items.take(rows)

    def small(self) -> Turns:
        """With at most 128 columns."""
        return replace(self, columns=min(self.columns, 128))

    def everything(self) -> SignalSet:
        """All turns."""
        return self._items()[0]

    def to_model(self, x: Tensor) -> Tensor:
        """Metres and reflectances to model units."""
        x = x if x.is_floating_point() else x.to(torch.float32)
        return torch.cat([self.code.to_unit(x[:, :1]), REFLECTED * (2.0 * x[:, 1:] - 1.0)], dim=1)

    def to_physical(self, x: Tensor) -> Tensor:
        """Model units to metres and reflectances."""
        return torch.cat([self.code.to_range(x[:, :1]), (x[:, 1:] / REFLECTED + 1.0) / 2.0], dim=1)

    def degradations(self) -> Mapping[str, Callable[..., Degradation]]:
        """``noise quantise drop spikes edges sector beams``, ``fog rain snow``, and the suite of Robo3D."""
        coded: dict[str, Callable[..., Degradation]] = {
            "noise": happens.RangeNoise,
            "quantise": happens.Quantise,
            "spikes": happens.Spikes,
            "edges": happens.MixedPixels,
            "crosstalk": suite.Crosstalk,
            **weather.WEATHER,
        }
        made = {name: partial(make, code=self.code) for name, make in coded.items()}
        return {
            **made,
            "drop": partial(happens.Drop, ways=raydrop.ways(self, self.code)),
            "sector": happens.Sector,
            "beams": happens.Beams,
            "lost-beams": suite.LostBeams,
            "echo": suite.DarkEcho,
            "wet-ground": partial(suite.WetGround, code=self.code, elevations=self.elevations),
        }

    def baselines(self) -> Mapping[str, Baseline]:
        """Those of scans, and outlier removal by neighbours in space; see :mod:`domains.lidar.baselines`."""
        return turn_baselines(self.code, self.elevations, self.columns, outliers=self.outliers)

    def tuned_by(self) -> str:
        """The mean absolute error in metres: in squares of model units a few edges outweigh all surfaces."""
        return "mae"

    def metrics(self) -> Mapping[str, Any]:
        """Errors of the range alone, under the general measures' names too, and distances of the points."""
        return metrics.turn_metrics(self.elevations, gaps=self.gaps)

    def judge_generated(
        self, drawn: np.ndarray[Any, Any], real: np.ndarray[Any, Any]
    ) -> Mapping[str, Mapping[str, Any]]:
        """JSD and MMD under each of their conventions, and SWD; see :mod:`domains.lidar.generation`."""
        return generation.judge(drawn, real, self.elevations, self.far)

    def read(self, path: Path) -> Recording:
        """One cloud as a range image with what leads back to its points.

        Raises:
            DataError: when the file is missing, truncated, of another format, or has no point in the image.
        """
        recording = read_turn(path, self.raster, reflectance=self.reflectance)
        return recording if self.gaps else replace(recording, signals=np.nan_to_num(recording.signals, nan=0.0))

    def write(self, recording: Recording, path: Path) -> Path:
        """Writes the points back; see :func:`domains.lidar.turn_files.restored_cloud`."""
        return write_turn(recording, path, longest_gap=self.longest_gap, far=self.far)

    def write_marked(self, recording: Recording, path: Path) -> Path:
        """Writes a PCD that says of each point whether it was filled, and whether it was moved."""
        name = path.name[:-3] if is_packed(path) else path.name
        stem = name[: -len(ending(path))] if ending(path) else name
        return write_marked(recording, path.with_name(f"{stem}.marked.pcd"), longest_gap=self.longest_gap, far=self.far)

    def points(self, signals: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """The points of each turn, of all rows and at most 128 columns, spread evenly."""
        return generation.points_of(signals, self.elevations, every=-(-signals.shape[-1] // 128))

    def draw(self, signals: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The range image above the points seen from above, (n, rows, columns, 3) uint8."""
        from domains.lidar.views import draw_turns

        return draw_turns(signals, self.elevations, self.far)

    def _items(self) -> tuple[SignalSet, np.ndarray[Any, Any]]:
        """All turns, and the split of each."""
        options = [_REVISION, self.rows, self.columns, self.far, self.layout, self.up, self.down]
        if self.data is None:
            sha256, source = "", "simulated streets"
            elevations = self.elevations
            key = hashlib.sha256(json.dumps([*options, "streets"]).encode()).hexdigest()

            def simulate() -> dict[str, np.ndarray[Any, Any]]:
                signals, names = streets(self.rows, self.columns, self.far, elevations)
                return {"signals": signals, "sequences": np.asarray(names), "skipped": np.frombuffer(b"[]", np.uint8)}

            arrays = cached_arrays(f"streets-{key[:40]}", simulate)
        else:
            paths = _paths(self.data)
            contents = "\n".join(f"{path.name} {file_sha256(path)}" for path, _ in paths)
            sha256, source = hashlib.sha256(contents.encode()).hexdigest(), str(self.data)
            told = [*options, sha256, *(sequence for _, sequence in paths)]  # the same files may lie in other folders
            key = hashlib.sha256(json.dumps(told).encode()).hexdigest()
            arrays = cached_arrays(f"turns-{key[:40]}", lambda: decode_turns(paths, self.raster))
        sequences = arrays["sequences"].tolist()
        groups, splits = split_sequences(sequences, self.test)
        signals = arrays["signals"] if self.reflectance else arrays["signals"][:, :1]
        if not self.gaps:
            signals = np.nan_to_num(signals, nan=0.0)
        items = SignalSet(
            signals,
            groups,
            names=np.asarray([f"{name} {i}" for i, name in enumerate(sequences)]),
            skipped=tuple(Skipped(*pair) for pair in json.loads(bytes(arrays["skipped"]))),
            source=source,
            sha256=sha256,
        )
        return items, splits


def _paths(data: Path) -> list[tuple[Path, str]]:
    """Files of turns with their sequences, in order."""
    if not data.exists():
        raise DataError(
            f"{data} does not exist", expected="point clouds, or a folder of them", mend="give another --data"
        )
    if data.is_file():
        return [(data, data.stem)]
    found = [path for path in files_below(data) if ending(path) or path.suffix.lower() == ".npz"]
    if not found:
        raise DataError(
            f"{data} holds no point cloud",
            expected="files that end in .bin, .pcd.bin, .pcd, .ply or .npz",
            mend="give another --data",
        )

    inside = {path: path.relative_to(data).parts[:-1] for path in found}
    clouds = [parts for path, parts in inside.items() if path.suffix.lower() != ".npz"]
    shared = _shared(clouds)
    whole = [part for part in (data.absolute().name, *shared) if part not in _INNER] or [data.absolute().name]

    def sequence(path: Path) -> str:
        if path.suffix.lower() == ".npz":
            return path.stem
        own = inside[path][len(shared) :]
        return _drive(own) if own else whole[-1]

    return [(path, sequence(path)) for path in found]


def _shared(folders: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The folders at the beginning that all have in common."""
    first = min(folders, default=())
    last = max(folders, default=())
    return tuple(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))


def _drive(folders: Sequence[str]) -> str:
    """The first folder, or one inside it that begins with its name, as KITTI's drives with the day that they lie in."""
    name = folders[0]
    for inner in folders[1:]:
        if not inner.startswith(name):
            break
        name = inner
    return name
