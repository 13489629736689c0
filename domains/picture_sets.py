"""Many pictures as one array: found in a folder, decoded once, cropped and resized to one size."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track

from domains.decoding import FORMATS, CorruptPicture, eight_bit, open_picture
from domains.folders import refused, walk_folders
from vaegan.data import SignalSet, Skipped, cached_arrays, check_corrupt, file_sha256
from vaegan.errors import DataError

Crop = Literal["centre", "celeba", "none"]
Loader = Callable[[int, int], Image.Image]
"""A picture by its index; a JPEG may come smaller, no side below the second argument (0: at its own size)."""

CELEBA_FRAME = (178, 218)
CELEBA_BOX = (15, 40, 163, 188)
"""Left, upper, right, lower: columns 15:163 and rows 40:188 of the aligned frame (Larsen et al. 2015)."""

PARTS = {
    "test": ("t10k", "test", "testing"),
    "val": ("val", "valid", "validation"),
    "train": ("train", "training"),
}
"""What folders of a split are called."""

_LONG = 2000
MOST_STRETCHED = 1.02
"""How much wider by its height one picture of a pair may be than the other."""
_REVISION = 3  # to be raised when decoding changes, so that older caches are left alone


@dataclass(frozen=True)
class Pictures:
    """Pictures that were found and not yet decoded.

    Attributes:
        names: one for each picture.
        groups: what no split may tear apart, one for each picture.
        load: decodes a picture.
        sha256: of all names and contents.
        source: where they came from, for people.
        load_observed: decodes the damaged partner of a picture, where they come in pairs.
        splits: the split of each picture, where the data state it.
        attributes: (n, a) -1 or 1, with ``attribute_names``.
        unused: files of formats that are not read.
        aligned: whether all pictures are aligned frames of CelebA.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    load: Loader
    sha256: str
    source: str
    load_observed: Loader | None = None
    splits: tuple[str, ...] | None = None
    attributes: np.ndarray[Any, Any] | None = None
    attribute_names: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    aligned: bool = False


def check_path(path: Path, expected: str) -> None:
    """Raises a DataError when a path is missing or may not be read; ``expected`` says what belongs there."""
    mend = "give another path with --data"
    try:
        folder = path.is_dir()
        if not path.exists():
            raise DataError(f"{path} does not exist", expected=expected, mend=mend)
    except PermissionError:
        raise refused(path) from None
    if not os.access(path, os.R_OK | (os.X_OK if folder else 0)):
        raise refused(path)


def find_pictures(root: Path) -> tuple[list[Path], list[str]]:
    """All pictures below a folder in the order of their names, and the names of all other files.

    Hidden files (among them the ``._name`` twins that macOS leaves on other disks) are neither.

    Raises:
        DataError: when a folder may not be read.
    """
    pictures, others = [], []
    for path in _walk(root):
        if path.suffix.lower() in FORMATS:
            pictures.append(path)
        else:
            others.append(path.relative_to(root).as_posix())
    return sorted(pictures, key=lambda path: path.relative_to(root).as_posix()), sorted(others)


def content_sha256(paths: Sequence[Path], root: Path) -> str:
    """SHA-256 over the names relative to ``root`` and the contents of files.

    Raises:
        DataError: when a file may not be read.
    """
    with ThreadPoolExecutor(_workers()) as pool:
        digests = pool.map(_file_digest, paths)
        total = hashlib.sha256()
        for path, digest in zip(paths, digests, strict=True):
            total.update(f"{path.relative_to(root).as_posix()}\0{digest}\n".encode())
    return total.hexdigest()


def part_of(folders: Sequence[str]) -> str:
    """The split that a picture's folders state, or an empty string."""
    lowered = {name.lower() for name in folders}
    return next((part for part, names in PARTS.items() if lowered & {*names}), "")


def are_parts(parts: Sequence[str]) -> bool:
    """Whether some pictures lie in a folder called train, and others in one of another split's name."""
    return len({*parts} - {""}) > 1 and "train" in parts


def stated_parts(parts: Sequence[str], root: Path) -> bool:
    """Whether folders state the split of every picture, some of them for training; where only some do, that is said.

    Args:
        parts: of each picture, as :func:`part_of` tells.
        root: for the warning.
    """
    if not are_parts(parts):
        return False
    if "" not in parts:
        return True
    told = f"{root}: {parts.count('')} of {len(parts)} pictures lie in no folder called train, val or test"
    warnings.warn(f"{told}; all are split by a hash, whatever such folders state", stacklevel=3)
    return False


def few(names: Sequence[str], limit: int = 5) -> str:
    """The first names and how many more there are, for a message of one line."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def path_loader(paths: Sequence[Path]) -> Loader:
    """A loader of these files."""
    return lambda index, least: open_picture(paths[index], least=least)


def are_aligned(paths: Sequence[Path]) -> bool:
    """Whether pictures are aligned frames of CelebA, by their size: all that can be opened, and one at least."""
    found = False
    for path in paths:
        try:
            state = path.stat()
            size = _size_of_state(path, state.st_size, state.st_mtime_ns)
        except Exception:  # a broken head may raise nearly anything; the picture is named where it is decoded
            continue
        if size != CELEBA_FRAME:
            return False
        found = True
    return found


def fit_square(image: Image.Image, size: int, crop: Crop) -> Image.Image:
    """Crops a picture to a square and resizes it with Lanczos' antialiasing filter.

    Args:
        image: an upright picture in mode L or RGB.
        size: pixels along each side of the result.
        crop: ``"centre"`` for the largest central square, ``"celeba"`` for the face in a 178x218 frame,
            ``"none"`` to squash the whole picture.

    Raises:
        CorruptPicture: when ``"celeba"`` is asked of a picture of another size.
    """
    if crop == "celeba":
        if image.size != CELEBA_FRAME:
            raise CorruptPicture(f"is {image.width}x{image.height}, and the CelebA crop is of frames of 178x218")
        image = image.crop(CELEBA_BOX)
    elif crop == "centre" and image.width != image.height:
        side = min(image.size)
        left, upper = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, upper, left + side, upper + side))
    return image if image.size == (size, size) else image.resize((size, size), Image.Resampling.LANCZOS)


def read_square(path: Path, *, size: int, color: bool, crop: Crop) -> np.ndarray[Any, Any]:
    """One picture as an item of a set: (1, 1 or 3, size, size) uint8.

    Raises:
        DataError: when the file is missing, may not be read, or is no whole picture.
    """
    check_path(path, "a picture")
    try:
        return _square(path_loader([path]), 0, size, color, crop)[0][None]
    except (CorruptPicture, OSError) as error:
        raise DataError(f"{path} {error}", expected="one whole picture", mend="give another file") from error


@dataclass(frozen=True)
class Decoded:
    """Pictures that were decoded.

    Attributes:
        items: the set, signals (n, 1 or 3, size, size) uint8 in the order of ``pictures``.
        kept: (n,) the index of each in ``pictures``.
        groups: of all in ``pictures``, those that could not be decoded too; pictures of the same pixels are in one group
            whatever their names, so that no copy crosses a split (a split that the authors state is left alone).
        twins: (all,) of each in ``pictures`` the first one of the same pixels, perhaps itself.
    """

    items: SignalSet
    kept: np.ndarray[Any, Any]
    groups: np.ndarray[Any, Any]
    twins: np.ndarray[Any, Any]


def decode(pictures: Pictures, *, size: int, color: bool, crop: Crop) -> Decoded:
    """All pictures that can be decoded, from the cache where these contents were decoded before.

    Raises:
        DataError: when more than 5 % are corrupt.
    """
    # A folder of pairs is one of single pictures to a domain that knows no pairs.
    paired = [] if pictures.load_observed is None else ["pairs"]
    options = json.dumps([_REVISION, pictures.sha256, size, color, crop, *paired])
    key = f"pictures-{hashlib.sha256(options.encode()).hexdigest()[:40]}"
    arrays = cached_arrays(key, lambda: _decode_all(pictures, size, color, crop))
    kept = np.asarray(arrays["kept"])
    twins = np.asarray(arrays["twins"])
    groups = np.asarray(pictures.groups)
    if pictures.splits is None:
        groups = groups[twins]
    items = SignalSet(
        signals=arrays["signals"],
        observed=arrays.get("observed"),
        groups=groups[kept],
        names=np.asarray(pictures.names)[kept],
        attributes=None if pictures.attributes is None else pictures.attributes[kept],
        attribute_names=pictures.attribute_names,
        skipped=tuple(Skipped(*pair) for pair in json.loads(bytes(arrays["skipped"]))),
        unused=pictures.unused,
        source=pictures.source,
        sha256=pictures.sha256,
    )
    return Decoded(items, kept, groups, twins)


def _decode_all(pictures: Pictures, size: int, color: bool, crop: Crop) -> dict[str, np.ndarray[Any, Any]]:
    count, loaders = len(pictures.names), {"signals": pictures.load}
    if pictures.load_observed is not None:
        loaders["observed"] = pictures.load_observed
    arrays = {name: np.zeros((count, 3 if color else 1, size, size), dtype=np.uint8) for name in loaders}

    digests = [b""] * count

    def decode_one(index: int) -> str:
        try:
            shapes = set()
            for name, load in loaders.items():
                image = _square(load, index, size, color, crop)
                arrays[name][index] = image[0]
                shapes.add(image[1])
            if max(shapes) > MOST_STRETCHED * min(shapes):  # sides of a JPEG that was decoded smaller are rounded
                shapes = {_proportion(_upright(load, index, 0)) for load in loaders.values()}
        except (CorruptPicture, OSError) as error:
            return str(error)
        if max(shapes) > MOST_STRETCHED * min(shapes):  # one of the pair was cropped: their pixels do not correspond
            return "the two pictures of the pair differ in proportions"
        digests[index] = hashlib.blake2b(arrays["signals"][index].tobytes(), digest_size=16).digest()
        return ""

    with ThreadPoolExecutor(_workers()) as pool:
        shown = track(
            pool.map(decode_one, range(count)), "decoding pictures", total=count,
            console=Console(stderr=True), transient=True, disable=count < _LONG,
        )  # fmt: skip
        reasons = list(shown)
    skipped = [Skipped(pictures.names[i], reason) for i, reason in enumerate(reasons) if reason]
    check_corrupt(skipped, count, mend="remove or repair them, or give other pictures with --data")
    kept = np.flatnonzero([not reason for reason in reasons])
    first: dict[bytes, int] = {}
    twins = [first.setdefault(digest, i) if digest else i for i, digest in enumerate(digests)]
    if skipped:
        arrays = {name: array[kept] for name, array in arrays.items()}
    told = json.dumps([[item.name, item.reason] for item in skipped]).encode()
    return {
        **arrays,
        "kept": kept,
        "twins": np.asarray(twins, dtype=np.int64),
        "skipped": np.frombuffer(told, dtype=np.uint8),
    }


def _square(load: Loader, index: int, size: int, color: bool, crop: Crop) -> tuple[np.ndarray[Any, Any], float]:
    """One picture as (channels, size, size), and its width by its height before the crop."""
    # Twice the size leaves the antialiasing filter enough to work on; the CelebA crop counts in full pixels.
    image = _upright(load, index, 0 if crop == "celeba" else 2 * size)
    square = np.asarray(fit_square(eight_bit(image, "RGB" if color else "L"), size, crop))
    return (square.transpose(2, 0, 1) if color else square[None]), _proportion(image)


def _upright(load: Loader, index: int, least: int) -> Image.Image:
    image = load(index, least)
    with contextlib.suppress(Exception):  # broken EXIF raises nearly anything, and the pixels are none the worse
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _proportion(image: Image.Image) -> float:
    return image.width / image.height


def _walk(root: Path) -> Iterator[Path]:
    return (place / name for place, _, files in walk_folders(root) for name in files)


def _workers() -> int:
    return min(8, os.cpu_count() or 1)


def _file_digest(path: Path) -> str:
    try:
        state = path.stat()
        return _digest_of_state(path, state.st_size, state.st_mtime_ns)
    except OSError:
        raise refused(path) from None


@functools.lru_cache(maxsize=1 << 19)
def _digest_of_state(path: Path, size: int, mtime_ns: int) -> str:
    """The size and the time are there to be hashed: the three splits of a set then read its files once."""
    return file_sha256(path)


@functools.lru_cache(maxsize=1 << 19)
def _size_of_state(path: Path, size: int, mtime_ns: int) -> tuple[int, int]:
    """Columns and rows, of which a file's head tells."""
    with Image.open(path, formats=tuple(dict.fromkeys(FORMATS.values()))) as image:
        return image.size
