"""The surveyor's own formats: each is read as echoes, and written back with only the samples changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from domains.decoding import FORMATS
from domains.sonar.formats import beams, humminbird, oculus, picture, polar, xtf
from domains.sonar.frames import Frame
from vaegan.domain import Recording
from vaegan.errors import DataError

PICTURES = tuple(FORMATS)
"""Endings of pictures."""

READERS: dict[str, Callable[[Path], Recording]] = {
    ".npy": polar.read,
    ".npz": polar.read,
    ".xtf": xtf.read,
    ".son": humminbird.read,
    ".dat": humminbird.read,
    ".raw": oculus.read,
    ".oculus": oculus.read,
    ".h5": beams.read,
    ".hdf5": beams.read,
    **dict.fromkeys(FORMATS, picture.read),
}
"""What reads a file, by its ending in small letters."""

WRITERS: dict[str, Callable[[Recording, Path], Path]] = {
    "XTF": xtf.write,
    "Humminbird": humminbird.write,
    "Oculus": oculus.write,
    "NPY": polar.write,
    "NPZ": polar.write,
    "HDF5": beams.write,
}
"""What writes a recording back, by its format; all others are pictures."""


def read(path: Path) -> Recording:
    """One file of echoes, whole: (n, 1, rows, columns), 1 is full scale, NaN where nothing was recorded.

    Raises:
        DataError: when the file is missing, of no known format, or broken.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {what}", expected="a file of echoes", mend="give the path of one file")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: no sonar format ends in {path.suffix!r}",
            expected=f"one of {', '.join(READERS)}",
            mend="give another file",
        )
    return reader(path)


def write(recording: Recording, path: Path) -> Path:
    """Writes a recording in the format that it was read from; returns where."""
    return WRITERS.get(recording.format, picture.write)(recording, path)


def frames_of(path: Path) -> list[Frame]:
    """The frames of a file: one for each channel, ping or page of it."""
    recording = read(path)
    several = len(recording.signals) > 1
    return [
        Frame(f"{path.name}#{k}" if several else path.name, signal[0], path.parent.name)
        for k, signal in enumerate(recording.signals)
    ]
