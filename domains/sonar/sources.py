"""Files of echoes: found below a folder, read as frames, cut into items once and cached."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from domains.picture_sets import check_path, content_sha256, find_pictures
from domains.sonar.formats import READERS, frames_of, humminbird
from domains.sonar.frames import flaw, resized, windows
from vaegan.data import SignalSet, Skipped, assign_splits, cached_arrays, check_corrupt
from vaegan.errors import DataError

_REVISION = 5  # to be raised when decoding changes, so that older caches are left alone


@dataclass(frozen=True)
class Sources:
    """Files that were found and not yet read.

    Attributes:
        root: the folder that names are relative to.
        paths: the files, without those that another one of them reads.
        unused: names of files of other formats, and of each ``.dat`` without the folder of a record.
        sha256: of all names and contents, those too that another file reads.
    """

    root: Path
    paths: tuple[Path, ...]
    unused: tuple[str, ...]
    sha256: str


def find_sources(data: Path, include: str) -> Sources:
    """All files of echoes at or below a path whose name (or whose folder's name) matches ``include``.

    Raises:
        DataError: when the path is missing, may not be read, or holds no file of echoes.
    """
    expected = "pictures, .npy/.npz rasters, .xtf, .SON, Oculus .raw or .h5 files of echoes"
    check_path(data, expected)
    if data.is_file():
        root, found, unused = data.parent, [data], []
    else:
        root = data
        pictures, others = find_pictures(data)
        known = [name for name in others if _holds_echoes(data / name)]
        found = sorted([*pictures, *(data / name for name in known)])
        unused = sorted(set(others).difference(known))
    kept = [p for p in found if _matches(p.relative_to(root).as_posix(), include)]
    if not kept:
        raise DataError(
            f"{data} holds no file of echoes" + ("" if include == "*" else f" that matches {include!r}"),
            expected=expected,
            mend="give another path with --data" if include == "*" else "set --domain.include",
        )
    read = {channel for path in kept if path.suffix.lower() == ".dat" for channel in humminbird.channels(path)}
    return Sources(
        root, tuple(p for p in kept if p not in read), tuple(unused), content_sha256(sorted({*kept, *read}), root)
    )


def _holds_echoes(path: Path) -> bool:
    """Whether a file is of a format that is read; many a ``.dat`` is no Humminbird's, and has no channels."""
    ending = path.suffix.lower()
    return ending in READERS and (ending != ".dat" or bool(humminbird.channels(path)))


def _matches(name: str, include: str) -> bool:
    return any(fnmatch.fnmatch(part, pattern) for pattern in include.split(",") for part in (name, *name.split("/")))


def read_items(sources: Sources, size: int, fit: str) -> tuple[SignalSet, np.ndarray[Any, Any]]:
    """Items of all files, and the split of each; files are held out whole, the same share of every class.

    So are the lone channels of one Humminbird record, which are a file each.

    Raises:
        DataError: when more than 5 % of the files are corrupt, or nothing is left.
    """
    options = json.dumps([_REVISION, sources.sha256, size, fit])
    key = f"sonar-{hashlib.sha256(options.encode()).hexdigest()[:40]}"
    arrays = cached_arrays(key, lambda: _read_all(sources, size, fit))
    told = json.loads(bytes(arrays["told"]))
    owners = np.asarray(arrays["owners"])
    names = np.asarray(told["names"])[owners]
    groups = np.asarray(_groups(told["names"]))[owners]
    folders = np.asarray([_class(name) for name in told["names"]])
    classes = sorted(set(folders.tolist()))
    items = SignalSet(
        signals=arrays["signals"],
        groups=groups,
        names=np.asarray([f"{name} [{k}]" for name, k in zip(names, arrays["parts"], strict=True)]),
        labels=np.asarray([classes.index(folder) for folder in folders.tolist()], dtype=np.int64)[owners],
        class_names=tuple(classes),
        skipped=tuple(Skipped(*pair) for pair in told["skipped"]),
        unused=sources.unused,
        source=str(sources.root),
        sha256=sources.sha256,
    )
    splits = np.empty(len(items), dtype="<U5")
    for folder in classes:
        rows = np.flatnonzero(folders[owners] == folder)
        splits[rows] = assign_splits(groups[rows], val=0.1, test=0.2)
    return items, splits


def _is_channel(name: str) -> bool:
    return name.lower().endswith(".son")


def _groups(names: list[str]) -> list[str]:
    """What no split may tear apart: a file, or the channels of one folder, by the name of the first of them."""
    first: dict[str, str] = {}
    return [first.setdefault(Path(name).parent.as_posix(), name) if _is_channel(name) else name for name in names]


def _class(name: str) -> str:
    """The folder that a file lies in; that of a channel is its record, which lies in a folder too."""
    folder = Path(name).parent
    return folder.parent.name if _is_channel(name) else folder.name


def _read_all(sources: Sources, size: int, fit: str) -> dict[str, np.ndarray[Any, Any]]:
    names, owners, numbers = [], [], []
    samples = bytearray()  # one block that grows: a list of windows would be held twice when it is joined
    skipped: list[tuple[str, str]] = []
    corrupt: list[Skipped] = []
    for path in sources.paths:
        name = path.relative_to(sources.root).as_posix()
        found, flaws = _cut(path, name, size, fit)
        skipped += flaws
        if not found:
            corrupt.append(Skipped(name, flaws[0][1]))
        for items in found:
            # Channels and pings of one file share its name: the file is what a split holds out.
            names.append(name)
            samples += np.ascontiguousarray(items, dtype=np.float32).data.cast("B")
            owners += [len(names) - 1] * len(items)
            numbers += list(range(len(items)))
    check_corrupt(corrupt, len(sources.paths))
    if not samples:
        raise DataError(f"{sources.root} holds no echoes", expected="frames that are not zero", mend="set --data")
    told = json.dumps({"names": names, "skipped": skipped}).encode()
    return {
        "signals": np.frombuffer(samples, dtype=np.float32).reshape(-1, 1, size, size),
        "owners": np.asarray(owners, dtype=np.int64),
        "parts": np.asarray(numbers, dtype=np.int64),
        "told": np.frombuffer(told, dtype=np.uint8),
    }


def _cut(path: Path, name: str, size: int, fit: str) -> tuple[list[np.ndarray[Any, Any]], list[tuple[str, str]]]:
    """Items (n, size, size) of each frame of a file that is of use, and what the others are called and lack."""
    cut: Callable[[np.ndarray[Any, Any], int], np.ndarray[Any, Any]] = windows if fit == "windows" else resized
    found: list[np.ndarray[Any, Any]] = []
    flaws: list[tuple[str, str]] = []
    try:
        frames = frames_of(path)
    except DataError as error:
        return found, [(name, str(error))]
    for number, frame in enumerate(frames):
        reason = flaw(frame.echo)
        items = cut(frame.echo, size) if not reason else ()
        if len(items):
            found.append(np.asarray(items))
        else:
            shown = name if len(frames) == 1 else f"{name}#{number}"
            flaws.append((shown, reason or "has no window with echoes"))
    return found, flaws
