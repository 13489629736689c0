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
from domains.sonar.formats import READERS, frames_of
from domains.sonar.frames import flaw, resized, windows
from vaegan.data import SignalSet, Skipped, assign_splits, cached_arrays, check_corrupt
from vaegan.errors import DataError

_REVISION = 1  # to be raised when decoding changes, so that older caches are left alone


@dataclass(frozen=True)
class Sources:
    """Files that were found and not yet read.

    Attributes:
        root: the folder that names are relative to.
        paths: the files.
        unused: names of files of other formats.
        sha256: of all names and contents.
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
        known = [data / name for name in others if Path(name).suffix.lower() in READERS]
        found = sorted([*pictures, *known])
        unused = [name for name in others if Path(name).suffix.lower() not in READERS]
    kept = [p for p in found if _matches(p.relative_to(root).as_posix(), include)]
    if not kept:
        raise DataError(
            f"{data} holds no file of echoes" + ("" if include == "*" else f" that matches {include!r}"),
            expected=expected,
            mend="give another path with --data" if include == "*" else "set --domain.include",
        )
    return Sources(root, tuple(kept), tuple(unused), content_sha256(kept, root))


def _matches(name: str, include: str) -> bool:
    return any(fnmatch.fnmatch(part, pattern) for pattern in include.split(",") for part in (name, *name.split("/")))


def read_items(sources: Sources, size: int, fit: str) -> tuple[SignalSet, np.ndarray[Any, Any]]:
    """Items of all files, and the split of each; files are held out whole, the same share of every class.

    Raises:
        DataError: when more than 5 % of the files are corrupt, or nothing is left.
    """
    options = json.dumps([_REVISION, sources.sha256, size, fit])
    key = f"sonar-{hashlib.sha256(options.encode()).hexdigest()[:40]}"
    arrays = cached_arrays(key, lambda: _read_all(sources, size, fit))
    told = json.loads(bytes(arrays["told"]))
    owners = np.asarray(arrays["owners"])
    names = np.asarray(told["names"])[owners]
    folders = np.asarray([Path(name).parent.name for name in told["names"]])
    classes = sorted(set(folders.tolist()))
    items = SignalSet(
        signals=arrays["signals"],
        groups=names,
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
        splits[rows] = assign_splits(names[rows], val=0.1, test=0.2)
    return items, splits


def _read_all(sources: Sources, size: int, fit: str) -> dict[str, np.ndarray[Any, Any]]:
    cut: Callable[[np.ndarray[Any, Any], int], np.ndarray[Any, Any]] = windows if fit == "windows" else resized
    names, parts, owners, numbers = [], [], [], []
    skipped: list[tuple[str, str]] = []
    for path in sources.paths:
        name = path.relative_to(sources.root).as_posix()
        try:
            frames = frames_of(path)
        except DataError as error:
            skipped.append((name, str(error)))
            continue
        for number, frame in enumerate(frames):
            reason = flaw(frame.echo)
            items = cut(frame.echo, size) if not reason else np.zeros((0, size, size), np.float32)
            if not len(items):
                shown = name if len(frames) == 1 else f"{name}#{number}"
                skipped.append((shown, reason or "has no window with echoes"))
                continue
            # Channels and pings of one file share its name: the file is what a split holds out.
            names.append(name)
            parts.append(items)
            owners += [len(names) - 1] * len(items)
            numbers += list(range(len(items)))
    check_corrupt([Skipped(*pair) for pair in skipped], max(1, len(sources.paths)))
    if not parts:
        raise DataError(f"{sources.root} holds no echoes", expected="frames that are not zero", mend="set --data")
    told = json.dumps({"names": names, "skipped": skipped}).encode()
    return {
        "signals": np.concatenate(parts)[:, None].astype(np.float32),
        "owners": np.asarray(owners, dtype=np.int64),
        "parts": np.asarray(numbers, dtype=np.int64),
        "told": np.frombuffer(told, dtype=np.uint8),
    }
