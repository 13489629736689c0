"""The contract of an adapter: how one kind of signal enters the toolkit and leaves it again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vaegan import baselines as classical
from vaegan.data import SPLITS, SignalSet, Split, native
from vaegan.degradation import GENERIC, Degradation
from vaegan.drawing import draw_signals
from vaegan.errors import DataError
from vaegan.metrics.features import Extractor
from vaegan.signal import SignalSpec


@dataclass(frozen=True)
class Recording:
    """Signals read from one file, with what is needed to write the same kind of file back.

    Attributes:
        signals: (n, channels, *any size) in physical units; NaN where nothing was observed, if ``spec.gaps``.
        path: the file that was read.
        format: the domain's name for the file's format.
        metadata: whatever the domain needs to write the file back; nothing else reads it.
        spread: standard deviation of a restoration, shaped as ``signals``, in the same unit.
    """

    signals: np.ndarray[Any, Any]
    path: Path
    format: str
    metadata: Any = None
    spread: np.ndarray[Any, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "signals", native(self.signals))

    def with_signals(self, signals: np.ndarray[Any, Any], spread: np.ndarray[Any, Any] | None = None) -> Recording:
        """The same recording with other values."""
        return replace(self, signals=signals, spread=spread)


class Domain(ABC):
    """One kind of signal. ``spec`` and ``dataset`` are all that a new domain must write.

    Args:
        data: the user's data (a file or a folder), or ``None`` for the domain's embedded default.
    """

    data: Path | None

    def __init__(self, data: str | Path | None = None) -> None:
        self.data = None if data is None else Path(data)

    @property
    @abstractmethod
    def spec(self) -> SignalSpec:
        """What one signal looks like."""

    @abstractmethod
    def dataset(self, split: Split) -> SignalSet:
        """The signals of a split; no group may be in two splits."""

    def small(self) -> Domain:
        """The same domain with signals small enough for a trial of a few steps; itself where they are."""
        return self

    def everything(self) -> SignalSet:
        """All signals of all splits, for judging a run on data that it never saw; what some splits lack is left out."""
        parts = [self.dataset(split) for split in SPLITS]
        joined: dict[str, Any] = {}
        for name in ("signals", "groups", "names", "observed", "labels", "attributes"):
            rows = [getattr(part, name) for part in parts]
            joined[name] = None if any(some is None for some in rows) else np.concatenate(rows)
        return replace(parts[0], **joined)

    def to_model(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """Physical units to model units: ``spec.value_range`` becomes [-1, 1]."""
        low, high = self.spec.value_range
        x = x if x.is_floating_point() else x.to(torch.float32)
        return (x - low) * (2.0 / (high - low)) - 1.0

    def to_physical(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """Model units to physical units; the inverse of ``to_model``."""
        low, high = self.spec.value_range
        return (x + 1.0) * ((high - low) / 2.0) + low

    def on_split(self, split: Split) -> Domain:
        """The domain as it is used for the items of a split; its ``degradations`` are asked for there.

        A domain whose degradations are made of recordings, such as artifacts, returns one that uses those of the split
        alone, so that nothing which was trained with is judged with.
        """
        return self

    def vary(
        self, x: Float[Tensor, "batch channels *space"], generator: torch.Generator
    ) -> Float[Tensor, "batch channels *space"]:
        """Training signals changed at random into others that might have been recorded: for recipes with ``vary``.

        Args:
            x: signals in model units; NaN in gaps.
            generator: for everything that is drawn; on the device of ``x``.
        """
        return x

    def assets(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """Arrays that the domain needs beside its signals, such as recorded artifacts: they are kept with a run."""
        return {}

    def with_assets(self, assets: Mapping[str, np.ndarray[Any, Any]]) -> Domain:
        """The same domain with the arrays that a run kept, whatever its data hold now."""
        return self

    def degradations(self) -> Mapping[str, Callable[..., Degradation]]:
        """Degradations by name, each a callable whose arguments a condition such as ``noise sigma=50/255`` gives."""
        return {name: make for name, make in GENERIC.items() if self.spec.dims in make.dims}

    def baselines(self) -> Mapping[str, classical.Baseline]:
        """Classical restorers that stand beside the network in every table."""
        return classical.defaults(self.spec)

    def tuned_by(self) -> str:
        """The measure by which classical methods are set on validation items: what restorations are judged by first."""
        return "psnr"

    def metrics(self) -> Mapping[str, Any]:
        """Restoration metrics that this domain adds to the general ones (see :mod:`vaegan.metrics.restoration`)."""
        return {}

    def features(self) -> Callable[[Tensor], Tensor] | Extractor | None:
        """A feature extractor for judging generated signals, (batch, channels, *space) in model units to (batch, d).

        An :class:`~vaegan.metrics.features.Extractor` has a name of its own; a function is called ``domain``.
        """
        return None

    def points(self, signals: np.ndarray[Any, Any]) -> Sequence[np.ndarray[Any, Any]] | None:
        """The points in space, (k, 3) in metres, z upward, of each of (n, channels, *space) signals in physical units.

        The report shows them so that they can be turned by hand: a few thousand each do. ``None``, the default: the
        signals are no points in space.
        """
        return None

    def report_sections(self, restore: Callable[[Recording], Recording], test: SignalSet, n: int) -> Mapping[str, str]:
        """Further sections of a run's report, title to HTML (the page takes nothing from outside, so pictures are embedded).

        They are asked for once, when the report is written, of a recipe that restores; of the domain as it is used for the
        items that are judged (:meth:`on_split`), on the data that those are from.

        Args:
            restore: what the run makes of a recording of any size, whose signals are in physical units.
            test: the items that the run is judged on: the test split, the validation split, or all items of data that it
                never saw.
            n: how many of them the recipe judges each condition on: more need not be looked at.
        """
        return {}

    def judge_generated(
        self, drawn: np.ndarray[Any, Any], real: np.ndarray[Any, Any]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Measures of generated signals that need no features, by name, each as it stands in ``metrics.json``.

        That is ``{"mean": ..., "n": ..., "unit": ..., "better": "lower"}``, with ``ci95`` and ``n_real`` where known.

        Args:
            drawn: (n, channels, *space) generated signals in physical units; once they are training items, judged as though
                they had been drawn, with NaN in gaps.
            real: (m, channels, *space) real ones, NaN in gaps.
        """
        return {}

    def read(self, path: Path) -> Recording:
        """Reads one file whole, at its own size.

        Raises:
            DataError: when the domain reads no files, or not this one.
        """
        raise DataError(
            f"{path}: the domain {type(self).__name__} reads no files",
            expected="a domain with read and write",
            mend="implement Domain.read and Domain.write",
        )

    def read_item(self, path: Path) -> Recording:
        """Reads one file as one item of a data set: cropped and resized as those are, where the domain does so.

        Raises:
            DataError: when the domain cannot read it.
        """
        return self.read(path)

    def write(self, recording: Recording, path: Path) -> Path:
        """Writes a recording in the format that it was read from; returns where.

        Raises:
            DataError: when the domain writes no files.
        """
        raise DataError(f"{path}: the domain {type(self).__name__} writes no files", mend="implement Domain.write")

    def write_marked(self, recording: Recording, path: Path) -> Path:
        """Writes beside ``path`` a file that marks which samples a restoration filled or changed; returns where.

        Raises:
            DataError: when the domain has no such form.
        """
        raise DataError(
            f"{path}: the domain {type(self).__name__} has no form that marks what was filled",
            expected="a domain that has, such as lidar-turn",
            mend="leave --mark out",
        )

    def draw(self, signals: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Pictures of signals for a report: (n, channels, *space) in physical units to (n, rows, columns, 3) uint8."""
        return draw_signals(signals, self.spec)
