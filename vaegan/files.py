"""Files that are complete or not there."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from vaegan.errors import UserError

WRITABLE = "a folder that you may write to"


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """A place to write to, in the folder of ``path`` and with its ending, that becomes ``path`` when all went well.

    What stood at ``path`` stays until then, and whatever went wrong, nothing else stays behind. The folder is made.

    Raises:
        OSError: where folder or file cannot be written; it names ``path``, which those of a full disk do not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield scratch
        os.replace(scratch, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(scratch), scratch):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        scratch.unlink(missing_ok=True)


def check_folder(folder: Path, argument: str = "--out") -> None:
    """Makes sure that a folder can be where one is to be made, and be written to, before long work is done for it.

    Args:
        folder: is not made.
        argument: what named it.

    Raises:
        UserError: where a file has its name, or that of a folder above it, or nothing can be written there.
    """
    for place in (folder, *folder.parents):
        if os.path.lexists(place) and not os.path.isdir(place):  # a broken link is in the way, too
            told = f"{place} is a file" if place == folder else f"{folder} lies below {place}, which is a file"
            raise UserError(told, expected="a folder", mend=f"set {argument} to another one")
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    try:  # rights alone do not tell: there are disks without room, and folders of the system that take no files
        with tempfile.TemporaryDirectory(dir=there, prefix=".vaegan-"):
            pass
    except OSError as error:
        told = f"{folder} cannot be {'written to' if there == folder else 'made'} ({error.strerror})"
        raise UserError(told, expected=WRITABLE, mend=f"set {argument} to one of yours") from error


def check_file(path: Path, argument: str = "--out") -> None:
    """The same for a file that is to be written.

    Raises:
        UserError: where a folder has its name, or a file that of its folder.
    """
    check_folder(path.parent, argument)
    if path.is_dir():
        raise UserError(f"{path} is a folder", expected="the name of a file", mend=f"set {argument} to one in it")


def make_folder(folder: Path, argument: str = "--out") -> None:
    """Makes the folder of what a command writes, where it is missing.

    Args:
        folder: with those above it.
        argument: what named it.

    Raises:
        UserError: where a file is in the way, or it may not be made.
    """
    check_folder(folder, argument)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found, mend = f"{folder} cannot be made ({error.strerror})", f"set {argument} to one of yours"
        raise UserError(found, expected=WRITABLE, mend=mend) from error


@contextmanager
def folder_for(folder: Path, argument: str = "--out") -> Iterator[None]:
    """Makes a folder for what is written meanwhile; where that fails, no folder that it made is left behind, empty.

    Args:
        folder: with those above it.
        argument: what named it.

    Raises:
        UserError: as :func:`make_folder`.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        make_folder(folder, argument)
        yield
    except BaseException:
        with suppress(OSError):  # from the innermost on; one that holds something stays
            for place in missing:
                place.rmdir()
        raise


def write_file(path: Path, content: bytes) -> None:
    """Writes bytes."""
    with complete(path) as scratch:
        scratch.write_bytes(content)


def write_array(path: Path, values: np.ndarray[Any, Any]) -> None:
    """Writes a ``.npy`` file."""
    with complete(path) as scratch, scratch.open("wb") as stream:
        np.save(stream, values, allow_pickle=False)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON, which holds no NaN and no infinity."""
    write_file(path, (json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: when the file is missing or no JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing", expected="a complete run", mend="train it with `vaegan run`") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no JSON ({error})", mend="train the run again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object", mend="train the run again")
    return content
