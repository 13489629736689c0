"""What lies below a folder, for every domain alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vaegan.errors import DataError


def walk_folders(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """A folder and those below it, each with the names of its folders and files, hidden ones left out.

    Links to folders are followed, once each, so that a loop of links ends. A name that the caller takes out of the list of
    folders is not entered.

    Raises:
        DataError: when a folder may not be read.
    """
    seen: set[str] = set()

    def refuse(error: OSError) -> None:
        raise refused(Path(error.filename)) from None

    for place, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        if os.path.realpath(place) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        yield Path(place), folders, [name for name in files if not name.startswith(".")]


def files_below(root: Path) -> list[Path]:
    """The files of a folder and of those below it, sorted; hidden ones and links to nothing are left out.

    Raises:
        DataError: when a folder may not be read.
    """
    found = (place / name for place, _, files in walk_folders(root) for name in files)
    return sorted(path for path in found if path.is_file())


def refused(path: Path) -> DataError:
    """What is said of a file or folder that may not be read."""
    return DataError(f"{path} may not be read", mend="give yourself the right to read it, or another path with --data")
