"""The domain of sonar."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float
from torch import Tensor

from domains.sonar import formats
from domains.sonar.baselines import despecklers
from domains.sonar.classifier import DebrisFeatures
from domains.sonar.frames import flaw
from domains.sonar.gain import BeamPattern, CrossTalk, LogCompression, Stripes, TVGError
from domains.sonar.metrics import EPI
from domains.sonar.motion import Ghost, LostLines, Smear
from domains.sonar.scaling import Scaling, check_scaling, to_amplitude, to_model
from domains.sonar.simulator import CLASSES, Scene, simulate
from domains.sonar.sources import find_sources, read_items
from domains.sonar.speckle import GammaSpeckle, RangeNoise, RayleighSpeckle
from domains.sonar.views import grey
from vaegan.baselines import Baseline
from vaegan.data import SignalSet, Split, assign_splits
from vaegan.degradation import GENERIC, Degradation
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.signal import Axis, SignalSpec

Fit = Literal["windows", "resize"]

SIMULATED = 200
"""Frames of the embedded default."""

GENERAL = ("noise", "blur", "downsample")
"""Of the general degradations, those that echoes suffer as pictures do."""


OWN: dict[str, Callable[..., Degradation]] = {
    "speckle": GammaSpeckle,
    "rayleigh": RayleighSpeckle,
    "range-noise": RangeNoise,
    "tvg": TVGError,
    "beam-pattern": BeamPattern,
    "stripes": Stripes,
    "missing-pings": LostLines,
    "beam-dropout": partial(LostLines, along="columns"),
    "smear": Smear,
    "ghost": Ghost,
    "cross-talk": CrossTalk,
    "log-8bit": LogCompression,
}
"""What happens to echoes, by the name that a condition gives it."""


@dataclass(frozen=True)
class Sonar(Domain):
    """Echo amplitudes over range and beam, or over ping and range; 1 is full scale.

    Args:
        data: a folder (searched recursively; pictures in class folders) or a file: pictures of 8 or 16 bits, NumPy
            rasters, XTF, Humminbird, Oculus messages, HDF5 of beams; ``None`` for 200 frames of a simulator
            (:mod:`domains.sonar.simulator`).
        size: samples along each axis of an item.
        scaling: how amplitudes become model units (see :mod:`domains.sonar.scaling`): ``"amplitude"``, ``"power"`` or
            ``"log"``.
        fit: ``"windows"`` cuts items out of frames at their own resolution; ``"resize"`` squeezes each frame into one item.
        include: only files whose path, name or folder matches this pattern, such as ``fls_*``; several with commas.
        novel: classes that are never trained on, such as ``hook,propeller``: all of their files are in the test split.
    """

    data: Path | None = None
    size: int = 64
    scaling: Scaling = "power"
    fit: Fit = "windows"
    include: str = "*"
    novel: str = ""

    def __post_init__(self) -> None:
        if self.data is not None:
            object.__setattr__(self, "data", Path(self.data).expanduser())
        if self.size < 8:
            raise UserError(f"items of size {self.size}", expected="at least 8 samples", mend="set --domain.size")
        check_scaling(self.scaling)
        if self.fit not in get_args(Fit):
            raise UserError(f"fit {self.fit!r}", expected=" or ".join(get_args(Fit)), mend="set --domain.fit")

    @property
    def spec(self) -> SignalSpec:
        """One channel over range and beam (or ping and range); gaps are what lies outside of a fan, and lost pings."""
        axes = (Axis("range", self.size), Axis("beam", self.size))
        return SignalSpec(channels=1, axes=axes, unit="full scale", value_range=(0.0, 1.0), gaps=True)

    def to_model(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """Amplitudes to model units, by the domain's scaling."""
        return to_model(x if x.is_floating_point() else x.float(), self.scaling)

    def to_physical(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """Model units to amplitudes, cut to [0, 1]: read again, a record that left it would be given another scale.

        There is no gradient through what is cut.
        """
        return to_amplitude(x, self.scaling).clamp(0.0, 1.0)

    def dataset(self, split: Split) -> SignalSet:
        """The items of a split; whole files are held out, 70, 10 and 20 % of those of each class.

        Raises:
            DataError: when the data are missing, empty, unreadable or too few to be split.
        """
        items, splits = self._read()
        rows = np.flatnonzero(splits == split)
        if not len(rows):
            raise DataError(
                f"{items.source}: no item is left for the split {split!r} of {len(items)} items in "
                f"{len(set(items.groups.tolist()))} files",
                expected="at least three files of one class",
                mend="give more files with --data",
            )
        return items.take(rows)

    def everything(self) -> SignalSet:
        """All items."""
        return self._read()[0]

    def _read(self) -> tuple[SignalSet, np.ndarray[Any, Any]]:
        if self.data is None:
            items, splits = _simulated(self.size)
        else:
            items, splits = read_items(find_sources(self.data, self.include), self.size, self.fit)
        return items, np.where(self.novel_in(items), "test", splits)

    def novel_in(self, items: SignalSet) -> np.ndarray[Any, Any]:
        """True for the items of classes that are never trained on."""
        patterns = [part.strip() for part in self.novel.split(",") if part.strip()]
        chosen = [any(fnmatch.fnmatch(name, p) for p in patterns) for name in items.class_names]
        unknown = [p for p in patterns if not any(fnmatch.fnmatch(name, p) for name in items.class_names)]
        if unknown:
            raise UserError(
                f"no class {', '.join(unknown)}",
                expected=f"some of {', '.join(items.class_names)}",
                mend="set --domain.novel",
            )
        assert items.labels is not None
        return np.asarray(chosen)[np.asarray(items.labels)]

    def features(self) -> Callable[[Tensor], Tensor] | None:
        """A classifier of the classes at hand, where frames are whole items; see :mod:`domains.sonar.classifier`."""
        if self.fit != "resize" and self.data is not None:
            return None
        train = self.dataset("train")
        if len(train.class_names) < 2:
            return None
        return DebrisFeatures(train, self.to_model)  # type: ignore[return-value]

    def degradations(self) -> Mapping[str, Callable[..., Degradation]]:
        """Those of sonar, which know the scaling, and the general ones that make sense for echoes."""
        general = {name: GENERIC[name] for name in GENERAL}
        return {**general, **{name: partial(make, scaling=self.scaling) for name, make in OWN.items()}}

    def baselines(self) -> Mapping[str, Baseline]:
        """The general methods, Lee, Kuan, Frost, and four that denoise the logarithm.

        One of them, log-BM3D, is left out of the embedded default, which is for a quick first look.
        """
        return despecklers(self.spec, self.scaling, slow=self.data is not None)

    def metrics(self) -> Mapping[str, Any]:
        """The edge preservation index."""
        return {"epi": EPI}

    def report_sections(self, restore: Callable[[Recording], Recording], test: SignalSet, n: int) -> Mapping[str, str]:
        """Waterfalls and fans, and what can be measured without a truth; see :mod:`domains.sonar.report`."""
        from domains.sonar import report

        return report.sections(test, self.data, restore)

    def draw(self, signals: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(n, 1, rows, columns) amplitudes as (n, rows, columns, 3) uint8, brightened by a power; gaps are dark grey."""
        return grey(np.asarray(signals)[:, 0])

    def read(self, path: Path) -> Recording:
        """One file of echoes, whole; see :func:`domains.sonar.formats.read`. Frames that are of no use are told of."""
        recording = formats.read(Path(path))
        for number, signal in enumerate(recording.signals):
            if reason := flaw(signal[0]):
                shown = f"{path}#{number}" if len(recording.signals) > 1 else str(path)
                warnings.warn(f"{shown} {reason}", stacklevel=2)
        return recording

    def write(self, recording: Recording, path: Path) -> Path:
        """Writes a recording in the format that it was read from, with only the samples changed."""
        return formats.write(recording, Path(path))


@lru_cache(maxsize=4)
def _simulated(size: int) -> tuple[SignalSet, np.ndarray[Any, Any]]:
    echo, labels = simulate(SIMULATED, Scene(size=size))
    names = np.asarray([f"scene-{k:03d}" for k in range(len(echo))])
    items = SignalSet(echo[:, None], names, names, labels=labels, class_names=CLASSES, source="domains.sonar.simulator")
    return items, assign_splits(names, val=0.1, test=0.2)
