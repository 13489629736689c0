"""Faces in one file: HDF5 with JPEG bytes or an array, or NumPy's .npz and .npy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from domains.decoding import CorruptPicture, open_picture
from domains.faces.celeba import find_list, read_list, rows_of
from domains.picture_sets import Loader, Pictures, content_sha256
from vaegan.errors import DataError

ARCHIVES = {".h5", ".hdf5", ".hdf", ".npz", ".npy"}
_EXPECTED = (
    "a data set 'jpeg' of JPEG bytes, or one uint8 array of shape (n, rows, columns, channels), "
    "(n, channels, rows, columns) or (n, rows, columns)"
)
_MEND = "give another file with --data"


def find_archive(path: Path) -> Pictures:
    """The pictures in an HDF5 or NumPy file, with its ``names`` and ``groups`` where it has them.

    Attributes come from the file's own ``attributes`` (n, a), above 0 where a picture has one, and ``attribute_names``
    (a,); else from CelebA's ``list_attr_celeba`` beside the file, where that has a line for every name.

    Raises:
        DataError: when the file is broken, or holds no pictures, or several arrays that could be them.
    """
    sets = _open(path)
    key = _choose(sets, path)
    values = sets[key]
    load = _jpeg_loader(values) if key == "jpeg" else _array_loader(values, f"{path}[{key!r}]")
    count = len(values)
    names = _texts(sets, "names", count, path) or tuple(f"{index:06d}" for index in range(count))
    attribute_names, attributes, lists = _attributes(sets, names, path)
    return Pictures(
        names=names,
        groups=_texts(sets, "groups", count, path) or names,
        load=load,
        sha256=content_sha256([path, *lists], path.parent),
        source=f"{path} ({count} pictures in {key!r})",
        attributes=attributes,
        attribute_names=attribute_names,
    )


def _attributes(
    sets: Mapping[str, Any], names: tuple[str, ...], path: Path
) -> tuple[tuple[str, ...], np.ndarray[Any, Any] | None, list[Path]]:
    """Names and values of attributes, and the list that they were read from."""
    if "attributes" in sets and "attribute_names" in sets:
        values = np.asarray(sets["attributes"][...])
        known = _texts(sets, "attribute_names", values.shape[-1] if values.ndim == 2 else 0, path)
        if values.shape != (len(names), len(known)):
            found = f"{path}: attributes of shape {values.shape}, {len(known)} attribute_names"
            raise DataError(found, expected=f"({len(names)}, one a name)", mend=_MEND)
        return known, np.where(values > 0, 1, -1).astype(np.int8), []
    listed = find_list([path.parent], "list_attr_celeba")
    if listed is None:
        return (), None, []
    known, rows = read_list(listed)
    if any(len(rows.get(Path(name).stem, ())) != len(known) for name in names):
        return (), None, []  # a list of other pictures
    return known, np.asarray(rows_of(names, rows, listed, len(known)), dtype=np.int8), [listed]


def _open(path: Path) -> Mapping[str, Any]:
    """The data sets of a file by name; those of HDF5 stay on disk."""
    try:
        if path.suffix.lower() == ".npy":
            return {"array": np.load(path, mmap_mode="r", allow_pickle=False)}
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as store:
                return {name: store[name] for name in store.files}
        file = h5py.File(path, "r")  # stays open for as long as one of its data sets is held
        return {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
    except Exception as error:  # zip, HDF5 and NumPy each raise their own when the bytes are not theirs
        raise DataError(f"{path} cannot be opened: {error}", expected=_EXPECTED, mend=_MEND) from error


def _choose(sets: Mapping[str, Any], path: Path) -> str:
    if "jpeg" in sets and sets["jpeg"].ndim == 1:
        fitting = ["jpeg"]
    else:
        fitting = [name for name, item in sets.items() if item.dtype == np.uint8 and item.ndim in (3, 4)]
    if len(fitting) == 1 and len(sets[fitting[0]]):
        return fitting[0]
    found = ", ".join(f"{name} {item.shape} {item.dtype}" for name, item in sets.items()) or "nothing"
    many = f"{len(fitting)} arrays of pictures in " if len(fitting) > 1 else ""
    raise DataError(f"{path} holds {many}{found}", expected=_EXPECTED, mend=_MEND)


def _jpeg_loader(values: Any) -> Loader:
    def load(index: int, least: int) -> Image.Image:
        return open_picture(_content(values[index]), least=least)

    return load


def _content(value: Any) -> bytes:
    """A JPEG's bytes, which may be kept as a row of uint8, as a string of bytes, or opaque.

    Raises:
        CorruptPicture: when it is none of these.
    """
    if isinstance(value, bytes):  # NumPy's strings of bytes, too; the zeros that they lose lie behind a JPEG's end
        return value
    row = np.asarray(value)
    if row.dtype.kind in "SV":
        return row.tobytes()
    if row.dtype.kind not in "ui":
        raise CorruptPicture(f"is of type {row.dtype}, not the bytes of a JPEG")
    return row.astype(np.uint8).tobytes()


def _array_loader(values: Any, name: str) -> Loader:
    shape = values.shape
    last = len(shape) == 3 or shape[3] in (1, 3)
    if not last and shape[1] not in (1, 3):
        raise DataError(f"{name} has shape {shape}", expected="1 or 3 channels, last or second", mend=_MEND)

    def load(index: int, least: int) -> Image.Image:
        pixels = np.asarray(values[index])
        pixels = pixels if last else pixels.transpose(1, 2, 0)
        if not pixels.size:
            raise CorruptPicture("has no pixels")
        return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels))

    return load


def _texts(sets: Mapping[str, Any], key: str, count: int, path: Path) -> tuple[str, ...]:
    if key not in sets:
        return ()
    values = np.asarray(sets[key][...])
    if values.shape != (count,):
        raise DataError(f"{path}: {key} of shape {values.shape}", expected=f"({count},), one a picture", mend=_MEND)
    return tuple(
        value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values.tolist()
    )
