"""The domain of planar laser scans."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from domains.folders import files_below
from domains.lidar import degradations as happens
from domains.lidar import hits, metrics, raydrop
from domains.lidar.baselines import planar_baselines
from domains.lidar.planar import ENDINGS, Scan, on_grid, read_scans
from domains.lidar.ranges import Encoding, RangeCode
from domains.lidar.scan_files import join_scans, write_scans
from domains.lidar.sequences import split_sequences
from domains.lidar.simulate import rooms
from vaegan.baselines import Baseline
from vaegan.data import SPLITS, SignalSet, Skipped, Split, cached_arrays, check_corrupt, file_sha256
from vaegan.degradation import Degradation
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.signal import Axis, SignalSpec

_REVISION = 4  # to be raised when decoding changes, so that older caches are left alone


@dataclass(frozen=True)
class PlanarScans(Domain):
    """Scans of a planar laser scanner: ranges in metres along one axis of angle.

    A beam without echo is a gap (NaN), never a distance. The axis wraps only where the scanner turns fully.

    Args:
        data: a CARMEN log, a file of LaserScan dictionaries (JSON or JSON lines), a ROS bag, or a folder of these (searched
            recursively, one sequence a file, named by its path where two names are the same); ``None`` for simulated rooms.
        beams: of one item; scans with more are thinned to this grid.
        view: field of view of one item, in degrees; 360 for a scanner that turns fully.
        far: ranges beyond are gaps, in metres.
        encoding: of the ranges in model units; see :class:`~domains.lidar.ranges.RangeCode`.
        test: sequences (names of files, or their beginnings) that are the test; by default a hash of the names
            decides.
        phases: take the beams between those of the grid too, as further training items, where scans are finer.
        longest_gap: beams; only gaps of at most so many, with an echo on both sides, are filled in what is written.
    """

    data: Path | None = None
    beams: int = 180
    view: float = 180.0
    far: float = 20.0
    encoding: Encoding = "linear"
    test: tuple[str, ...] = ()
    phases: bool = True
    longest_gap: int = 5

    def __post_init__(self) -> None:
        if self.data is not None:
            object.__setattr__(self, "data", Path(self.data).expanduser())
        object.__setattr__(self, "test", tuple(self.test))
        if self.beams < 2:
            raise UserError(f"scans of {self.beams} beams", expected="at least 2", mend="set --domain.beams")
        if not 0 < self.view <= 360:
            raise UserError(f"a view of {self.view} degrees", expected="above 0, at most 360", mend="set --domain.view")
        _ = self.code

    @property
    def code(self) -> RangeCode:
        """How ranges become model units."""
        return RangeCode(self.encoding, self.far)

    @property
    def spec(self) -> SignalSpec:
        """One channel of ``beams`` ranges in metres."""
        step = math.radians(self.view) / self.beams
        axis = Axis("angle", self.beams, step, "rad", periodic=self.view == 360.0)
        return SignalSpec(channels=1, axes=(axis,), unit="m", value_range=(0.0, self.far), gaps=True)

    def dataset(self, split: Split) -> SignalSet:
        """The scans of a split; see :func:`domains.lidar.sequences.split_sequences`.

        Returns:
            signals (n, 1, beams) float32 in metres, NaN where there was no echo.

        Raises:
            DataError: when the data are missing, empty, unreadable, or too few to be split.
        """
        items, splits, phases = self._items()
        rows = np.flatnonzero((splits == split) & ((phases == 0) | (self.phases and split == "train")))
        if not len(rows):
            raise DataError(
                f"{items.source}: no scan is left for the split {split!r} of {len(items)}",
                expected=f"enough scans for {', '.join(SPLITS)}",
                mend="give more with --data",
            )
        return items.take(rows)

    def everything(self) -> SignalSet:
        """All scans, each once."""
        items, _, phases = self._items()
        return items.take(np.flatnonzero(phases == 0))

    def to_model(self, x: Tensor) -> Tensor:
        """Metres to model units."""
        return self.code.to_unit(x if x.is_floating_point() else x.to(torch.float32))

    def to_physical(self, x: Tensor) -> Tensor:
        """Model units to metres."""
        return self.code.to_range(x)

    def degradations(self) -> Mapping[str, Callable[..., Degradation]]:
        """``noise quantise drop spikes edges sector``, in metres and shares."""
        made: dict[str, Callable[..., Degradation]] = {
            "noise": happens.RangeNoise,
            "quantise": happens.Quantise,
            "spikes": happens.Spikes,
            "edges": happens.MixedPixels,
        }
        return {
            **{name: partial(make, code=self.code) for name, make in made.items()},
            "drop": partial(happens.Drop, ways=raydrop.ways(self, self.code)),
            "sector": happens.Sector,
        }

    def baselines(self) -> Mapping[str, Baseline]:
        """Interpolation, nearest, median, despiking, bilateral; see :mod:`domains.lidar.baselines`."""
        return planar_baselines(self.code, self.spec.periodic)

    def tuned_by(self) -> str:
        """The mean absolute error in metres: in squares of model units a few edges outweigh all surfaces."""
        return "mae"

    def metrics(self) -> Mapping[str, Any]:
        """Shares of the beams within 10 and 30 cm."""
        return metrics.WITHIN

    def report_sections(self, restore: Callable[[Recording], Recording], test: SignalSet, n: int) -> Mapping[str, str]:
        """Which beams have a range in what is written; see :mod:`domains.lidar.hits`."""
        return hits.section(test, longest=self.longest_gap, wraps=self.spec.periodic[0])

    def read(self, path: Path) -> Recording:
        """All scans of a file, at their own number of beams.

        Scans that are finer than the grid which the domain was set to are taken apart into interleaved scans of about its
        step, as the network knows them, and put together again when they are written.

        Raises:
            DataError: when the file cannot be read, holds no scan, or scans of different numbers of beams.
        """
        step, wraps = math.radians(self.view) / self.beams, self.spec.periodic[0]
        return join_scans(read_scans(path), path, step=step, far=self.far, wraps=wraps)

    def write(self, recording: Recording, path: Path) -> Path:
        """Writes the file again with restored ranges; gaps longer than ``longest_gap`` stay what they were."""
        return write_scans(recording, path, longest_gap=self.longest_gap, far=self.far)

    def draw(self, signals: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The scans from above, (n, rows, columns, 3) uint8."""
        from domains.lidar.views import draw_scans

        return draw_scans(signals, math.radians(self.view), self.far)

    def _items(self) -> tuple[SignalSet, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """All scans on the grid, the split of each, and its phase (0 for those that stand for the scan itself)."""
        if self.data is None:
            ranges, sites = rooms(self.beams, math.radians(self.view), self.far)
            arrays = {"signals": ranges, "sequences": np.asarray(sites), "phases": np.zeros(len(sites), np.int64)}
            source, sha256, skipped = "simulated rooms", "", tuple[Skipped, ...]()
        else:
            paths = self._paths()
            hashes = [f"{name} {file_sha256(path)}" for name, path in paths.items()]
            sha256 = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
            key = hashlib.sha256(json.dumps([_REVISION, sha256, self.beams, self.view, self.far]).encode()).hexdigest()
            arrays = cached_arrays(f"scans-{key[:40]}", lambda: self._decode(paths))
            source = str(self.data)
            skipped = tuple(Skipped(*pair) for pair in json.loads(bytes(arrays["skipped"])))
        sequences, phases = arrays["sequences"].tolist(), np.asarray(arrays["phases"])
        whole = np.flatnonzero(phases == 0)
        groups, splits = split_sequences([sequences[row] for row in whole], self.test)
        owner = np.cumsum(phases == 0) - 1
        names = np.asarray([f"{sequences[row]} {owner[row]}" for row in range(len(sequences))])
        items = SignalSet(arrays["signals"], groups[owner], names=names, skipped=skipped, source=source, sha256=sha256)
        return items, splits[owner], phases

    def _paths(self) -> dict[str, Path]:
        """Files of scans by the name of their sequence."""
        assert self.data is not None
        if not self.data.exists():
            raise DataError(f"{self.data} does not exist", expected="a log or a folder", mend="give another --data")
        if self.data.is_file():
            return {_sequence(self.data): self.data}
        found = [path for path in files_below(self.data) if path.suffix.lower() in ENDINGS]
        if not found:
            raise DataError(
                f"{self.data} holds no scans",
                expected=f"files that end in {', '.join(ENDINGS)}",
                mend="give another --data",
            )
        names = [_sequence(path) for path in found]
        inside = [path.relative_to(self.data).as_posix() for path in found]
        times = Counter(names)
        named = [name if times[name] == 1 else whole for name, whole in zip(names, inside, strict=True)]
        return dict(zip(named if len(set(named)) == len(named) else inside, found, strict=True))

    def _decode(self, paths: Mapping[str, Path]) -> dict[str, np.ndarray[Any, Any]]:
        signals, sequences, phases, skipped = [], [], [], []
        for name, path in paths.items():
            try:
                scans = read_scans(path).scans
            except DataError as error:
                skipped.append(Skipped(path.name, str(error)))
                continue
            for scan in scans:
                grids = self._phases_of(scan)
                if np.isnan(grids[0]).all():  # nothing came back: there is nothing to learn or to judge
                    continue
                for phase, values in enumerate(grids):
                    signals.append(values)
                    sequences.append(name)
                    phases.append(phase)
        check_corrupt(skipped, len(paths), mend="remove or repair them, or give other scans with --data")
        if not signals:
            raise DataError(
                f"no scan of {self.data} has an echo nearer than {self.far:g} m in view",
                expected="at least one",
                mend="set --domain.far and --domain.view, or give other scans with --data",
            )
        told = json.dumps([[item.name, item.reason] for item in skipped]).encode()
        return {
            "signals": np.stack(signals)[:, None].astype(np.float32),
            "sequences": np.asarray(sequences),
            "phases": np.asarray(phases, dtype=np.int64),
            "skipped": np.frombuffer(told, dtype=np.uint8),
        }

    def _phases_of(self, scan: Scan) -> list[np.ndarray[Any, Any]]:
        step = math.radians(self.view) / self.beams
        fine = max(1, round(step / abs(scan.beam)))
        grids = [on_grid(scan, self.beams, math.radians(self.view), phase / fine) for phase in range(fine)]
        return [np.where(grid < self.far, grid, np.nan) for grid in grids]


def _sequence(path: Path) -> str:
    """The name of a file without its endings and the word that logs carry."""
    name = (path.stem if path.suffix.lower() == ".gz" else path.name).rsplit(".", 1)[0]
    return name.removesuffix("-corrected").removesuffix(".gfs")
