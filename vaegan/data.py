"""Signals in memory or on disk, split by group, and the cache that decodes every source once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vaegan.errors import DataError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
MAX_CORRUPT = 0.05
INSPECTED = 512
"""Items of a split whose values are looked at where all would be too many, spread evenly over it."""


@dataclass(frozen=True)
class Skipped:
    """A source that could not be read, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class SignalSet:
    """Signals of one domain, in physical units.

    Attributes:
        signals: (n, channels, *space), uint8 or float, NaN where a sample is missing; an array or a memory map.
        groups: (n,) names of what must never be torn apart by a split (person, recording, sequence, mission).
        names: (n,) name of each item, for reports.
        observed: (n, channels, *space) damaged partners of ``signals``, where the data come in pairs.
        labels: (n,) class index of each item, where there are classes.
        attributes: (n, a) -1 or 1, where items have named attributes, with ``attribute_names``.
        skipped: sources that were corrupt.
        unused: files of formats that the domain does not use.
        source: where the signals came from, for people.
        sha256: of the sources' contents.
    """

    signals: np.ndarray[Any, Any]
    groups: np.ndarray[Any, Any]
    names: np.ndarray[Any, Any] | None = None
    observed: np.ndarray[Any, Any] | None = None
    labels: np.ndarray[Any, Any] | None = None
    class_names: tuple[str, ...] = ()
    attributes: np.ndarray[Any, Any] | None = None
    attribute_names: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    unused: tuple[str, ...] = ()
    source: str = ""
    sha256: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if (
            not hasattr(self.signals, "shape")
            or not hasattr(self.signals, "dtype")
            or self.signals.dtype.kind not in "uifb"
        ):
            found = getattr(self.signals, "dtype", type(self.signals).__name__)
            raise DataError(f"signals of {found}", expected="an array of numbers", mend="mend SignalSet(signals=...)")
        for name in ("signals", "observed"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, native(getattr(self, name)))
        for name in ("groups", "names", "labels", "attributes"):  # a list is as good, but cannot be indexed by rows
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.asarray(getattr(self, name)))
        n = len(self.signals)
        for name in ("groups", "names", "observed", "labels", "attributes"):
            rows = getattr(self, name)
            if rows is not None and len(rows) != n:
                raise DataError(
                    f"{n} signals but {len(rows)} {name}",
                    expected="one for each signal",
                    mend=f"mend SignalSet({name}=...)",
                )
        if self.attributes is not None and self.attributes.shape != (n, len(self.attribute_names)):
            raise DataError(
                f"attributes of shape {self.attributes.shape}, and {len(self.attribute_names)} attribute_names",
                expected="a column for each name",
                mend="mend SignalSet(attributes=..., attribute_names=...)",
            )

    def __len__(self) -> int:
        return len(self.signals)

    @property
    def fingerprint(self) -> str:
        """``sha256``, or where the domain gives none that of the signals themselves, their partners and their labels."""
        if self.sha256:
            return self.sha256
        digest = hashlib.sha256()
        for name in ("signals", "observed", "labels"):
            rows = getattr(self, name)
            if rows is None:
                continue
            # Signals alone have no name before them, so that the ids of runs on those stay as they were.
            shape = (rows.shape, str(rows.dtype)) if name == "signals" else (name, rows.shape, str(rows.dtype))
            digest.update(repr(shape).encode())
            for first in range(0, len(self), 1024):
                digest.update(np.ascontiguousarray(rows[first : first + 1024]).tobytes())
        return digest.hexdigest()

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> SignalSet:
        """The items of these rows; memory maps stay lazy where the rows are one contiguous run."""
        index = np.asarray(rows, dtype=np.int64)
        contiguous = len(index) > 0 and np.array_equal(index, np.arange(index[0], index[0] + len(index)))
        chosen: slice | np.ndarray[Any, Any] = slice(int(index[0]), int(index[0]) + len(index)) if contiguous else index
        changed = {
            name: getattr(self, name)[chosen]
            for name in ("signals", "groups", "names", "observed", "labels", "attributes")
            if getattr(self, name) is not None
        }
        return replace(self, **changed)


def assign_splits(groups: Iterable[str], *, val: float = 0.1, test: float = 0.1, seed: int = 0) -> np.ndarray[Any, Any]:
    """One of ``"train"``, ``"val"``, ``"test"`` for each item, so that no group is in two splits.

    Groups are ordered by a hash of their name and cut at the given shares of groups, so the split depends neither on the
    items' order nor on the machine. Each of val and test gets at least one group where there are three or more.
    """
    items = np.asarray([str(group) for group in groups])
    unique = sorted(set(items.tolist()), key=lambda g: hashlib.sha256(f"{seed}/{g}".encode()).hexdigest())
    least = 1 if len(unique) >= 3 else 0
    n_test = max(least, round(test * len(unique))) if test else 0
    n_val = max(least, round(val * len(unique))) if val else 0
    where = {g: "test" if i < n_test else "val" if i < n_test + n_val else "train" for i, g in enumerate(unique)}
    return np.asarray([where[group] for group in items.tolist()])


def native(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same numbers in the machine's own byte order, the only one that PyTorch takes."""
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def inspected(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Up to 512 rows, spread evenly."""
    rows = np.unique(np.linspace(0, len(values) - 1, min(len(values), INSPECTED)).astype(np.int64))
    return np.asarray(values[rows])


def check_labels(data: SignalSet, split: str) -> None:
    """Holds labels against the names of the classes.

    Raises:
        DataError: for labels that are no indices of ``class_names``.
    """
    if data.labels is None:
        return
    labels, count = np.asarray(data.labels), len(data.class_names)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{split!r} has labels of shape {labels.shape} and type {labels.dtype}",
            expected="whole numbers (n,)",
            mend="mend SignalSet(labels=...)",
        )
    if not len(labels):
        return
    least, greatest = int(labels.min()), int(labels.max())
    if least < 0 or greatest >= count:
        raise DataError(
            f"{split!r} has labels from {least} to {greatest}",
            expected=f"indices of its {count} class_names, from 0",
            mend="mend SignalSet(labels=..., class_names=...)",
        )


def check_apart(sets: Mapping[str, SignalSet]) -> None:
    """Sees to it that no group is in two splits.

    Raises:
        DataError: with the first groups that are.
    """
    groups = {split: {str(group) for group in data.groups.tolist()} for split, data in sets.items()}
    for first, second in combinations(groups, 2):
        shared = sorted(groups[first] & groups[second])
        if shared:
            raise DataError(
                f"{len(shared)} groups are in both {first} and {second} ({', '.join(shared[:3])})",
                expected="none",
                mend="vaegan.data.assign_splits keeps every group in one split",
            )


def check_corrupt(skipped: Sequence[Skipped], total: int, *, mend: str = "remove or repair them") -> None:
    """Stops when more than 5 % of the sources are corrupt, naming the first few.

    Raises:
        DataError: with the count and up to three names and reasons.
    """
    if total and len(skipped) > MAX_CORRUPT * total:
        shown = ", ".join(f"{item.name} ({item.reason})" for item in skipped[:3])
        raise DataError(
            f"{len(skipped)} of {total} sources are corrupt: {shown}{', ...' if len(skipped) > 3 else ''}",
            expected="at most 5 %",
            mend=mend,
        )


def cache_folder() -> Path:
    """``$VAEGAN_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("VAEGAN_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vaegan"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(stream)


def _digest(stream: Any) -> str:
    digest = hashlib.sha256()
    for block in iter(lambda: stream.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def cached_arrays(
    key: str, build: Callable[[], dict[str, np.ndarray[Any, Any]]], *, folder: Path | None = None
) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays that ``build`` returned once for this key, memory-mapped from then on.

    Every array is one ``.npy`` file (no pickle), written under a temporary name and renamed. Where the cache folder cannot
    be written, the arrays stay in memory.
    """
    place = (folder or cache_folder()) / key
    index = place / "arrays.json"
    if index.is_file():
        try:
            return _mapped(place)
        except (OSError, ValueError):  # a damaged cache is made anew
            shutil.rmtree(place, ignore_errors=True)
    arrays = build()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            for name, array in arrays.items():
                np.save(Path(scratch) / f"{name}.npy", array, allow_pickle=False)
            (Path(scratch) / "arrays.json").write_text(json.dumps(sorted(arrays)), encoding="utf-8")
            Path(scratch).chmod(0o755)
            target = Path(scratch + ".done")
            os.rename(scratch, target)
            os.makedirs(scratch)  # so that TemporaryDirectory has something to remove
            try:
                os.rename(target, place)
            except OSError:  # another process was quicker: its arrays are the same
                for path in target.iterdir():
                    path.unlink()
                target.rmdir()
    except OSError:
        return arrays
    return _mapped(place)


def _mapped(place: Path) -> dict[str, np.ndarray[Any, Any]]:
    names = json.loads((place / "arrays.json").read_text(encoding="utf-8"))
    return {name: np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
