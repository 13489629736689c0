"""The layout of CelebA: aligned frames, and lists of their split, attributes and identities."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from domains.decoding import FORMATS
from domains.folders import walk_folders
from domains.picture_sets import Pictures, check_path, content_sha256, few, find_pictures, path_loader
from vaegan.data import SPLITS
from vaegan.errors import DataError

FOLDERS = ("img_align_celeba", "img_align_celeba_png")
Rows = dict[str, list[int]]


def find_celeba(data: Path) -> Pictures | None:
    """CelebA at a folder: one that holds ``img_align_celeba``, however deep, or this itself.

    The lists (``list_eval_partition``, ``list_attr_celeba``, ``identity_CelebA``; ``.txt`` as the authors
    publish them or ``.csv``) may lie beside the pictures' folder, in ``Anno`` or ``Eval``, or higher, up to the
    given folder. Where the official split leaves a part empty (a sample of the set) or tears a person apart, there
    is none, and ``source`` says so.

    Raises:
        DataError: when the folder holds no picture, or several such folders, or a list is broken or lacks a picture.
    """
    folder = _picture_folder(data)
    if folder is None:
        return None
    check_path(folder, "the pictures of CelebA")
    paths, others = find_pictures(folder)
    if not paths:
        raise DataError(
            f"{folder} holds no pictures",
            expected="000001.jpg and so on",
            mend="give another path with --data",
        )
    homes = [home / inner for home in _above(folder, data) for inner in ("", "Anno", "Eval")]
    lists = {name: find_list(homes, name) for name in ("list_eval_partition", "list_attr_celeba", "identity_CelebA")}
    groups = tuple(path.stem for path in paths)
    if (identities := lists["identity_CelebA"]) is not None:
        _, rows = read_list(identities)
        groups = tuple(str(rows[path.stem][0]) if rows.get(path.stem) else path.stem for path in paths)
    splits, told = _official_split(lists["list_eval_partition"], paths, groups)
    attributes = None
    attribute_names: tuple[str, ...] = ()
    if (described := lists["list_attr_celeba"]) is not None:
        attribute_names, rows = read_list(described)
        attributes = np.asarray(
            rows_of([path.name for path in paths], rows, described, len(attribute_names)), dtype=np.int8
        )
    used = [path for path in lists.values() if path is not None]
    return Pictures(
        names=tuple(path.relative_to(folder).as_posix() for path in paths),
        groups=groups,
        load=path_loader(paths),
        sha256=content_sha256([*paths, *used], Path(os.path.commonpath([folder.parent.parent, *used]))),
        source=f"CelebA at {data} ({len(paths)} pictures; {told})",
        splits=splits,
        attributes=attributes,
        attribute_names=attribute_names,
        unused=tuple(others),
        aligned=True,
    )


def _picture_folder(data: Path) -> Path | None:
    """The folder of the pictures: this one, one in its usual places, or the only one of such a name below.

    Raises:
        DataError: where several lie deeper, which may be several sets.
    """
    if data.name in FOLDERS:
        return data
    places = [data / inner / name for inner in ("", "Img") for name in FOLDERS]
    usual = next((place for place in places if place.is_dir()), None)
    if usual is not None:
        return usual
    found: list[Path] = []
    outside = 0
    for place, folders, files in walk_folders(data):
        found += [place / name for name in folders if name in FOLDERS]
        folders[:] = [name for name in folders if name not in FOLDERS]
        outside += sum(Path(name).suffix.lower() in FORMATS for name in files)
    if len(found) > 1:
        told = few([folder.relative_to(data).as_posix() for folder in found], 3)
        raise DataError(f"{data} holds CelebA {len(found)} times: {told}", expected="one", mend="give one with --data")
    if not found:
        return None
    if outside:
        place = found[0].relative_to(data)
        warnings.warn(f"{data} holds CelebA in {place}; {outside} pictures elsewhere are not read", stacklevel=2)
    return found[0]


def _above(folder: Path, data: Path) -> Sequence[Path]:
    """The folders above the pictures' one: up to the given one, yet two at least."""
    # What the authors' archive of PNGs was unpacked into is one folder more, called img_align_celeba_png.7z.
    least = 3 if folder.parent.suffix == ".7z" else 2
    return folder.parents[: max(least, len(folder.relative_to(data).parts))]


def find_list(homes: Sequence[Path], name: str) -> Path | None:
    """The first of a list's possible places where it lies, as ``.txt`` or ``.csv``."""
    places = [home / f"{name}{ending}" for home in homes for ending in (".txt", ".csv")]
    return next((place for place in places if place.is_file()), None)


def read_list(path: Path) -> tuple[tuple[str, ...], Rows]:
    """The names in a list's header, and the numbers of each picture by its name without the ending.

    Raises:
        DataError: when the list is broken.
    """
    header: tuple[str, ...] = ()
    rows: Rows = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # spreadsheets put a byte-order mark before a .csv
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", expected="a text file", mend="mend it, or give --data anew"
        ) from error
    for number, line in enumerate(lines, start=1):
        cells = line.replace(",", " ").split()
        if cells and Path(cells[0]).suffix.lower() in FORMATS:
            try:
                rows[Path(cells[0]).stem] = [int(cell) for cell in cells[1:]]
            except ValueError:
                raise DataError(
                    f"{path}, line {number}: {line[:60]!r}",
                    expected="a picture's name and whole numbers",
                    mend="mend the list, or give another path with --data",
                ) from None
        elif cells and not (len(cells) == 1 and cells[0].isdigit()):  # the authors' first line is the count
            header = tuple(cell for cell in cells if cell != "image_id")
    return header, rows


def rows_of(names: Sequence[str], rows: Rows, source: Path, width: int) -> list[list[int]]:
    """The row of each picture, all of one width.

    Raises:
        DataError: when the list lacks a picture.
    """
    wrong = [name for name in names if len(rows.get(Path(name).stem, ())) != width]
    if wrong:
        raise DataError(
            f"{source} lacks {few(wrong)} of {len(names)} pictures",
            expected=f"a line of {width} numbers for each picture",
            mend="complete the list, or give another path with --data",
        )
    return [rows[Path(name).stem] for name in names]


def _official_split(
    source: Path | None, paths: Sequence[Path], groups: Sequence[str]
) -> tuple[tuple[str, ...] | None, str]:
    """The official split of each picture where it can be used, and a word about it."""
    if source is None:
        return None, "split by group, as there is no list_eval_partition"
    _, rows = read_list(source)
    codes = [row[0] for row in rows_of([path.name for path in paths], rows, source, 1)]
    if not set(codes) <= {0, 1, 2}:
        odd = sorted(set(codes) - {0, 1, 2})
        raise DataError(
            f"{source} holds {odd[:5]}",
            expected="0, 1 or 2 (train, val, test)",
            mend="mend the list, or --data",
        )
    if set(codes) != {0, 1, 2}:
        absent = ", ".join(name for code, name in enumerate(SPLITS) if code not in codes)
        return None, f"split by group, as the official split leaves {absent} empty"
    if len(set(zip(groups, codes, strict=True))) > len(set(groups)):
        return None, "split by group, as the official split tears people of identity_CelebA apart"
    return tuple(SPLITS[code] for code in codes), "official split"
