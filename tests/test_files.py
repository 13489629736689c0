"""A file is complete or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vaegan.errors import UserError
from vaegan.files import (
    check_file,
    check_folder,
    complete,
    folder_for,
    make_folder,
    read_json,
    write_array,
    write_file,
    write_json,
)


def test_what_was_written_is_there_with_its_folder(tmp_path: Path) -> None:
    place = tmp_path / "new" / "deep" / "a.json"
    write_json(place, {"n": 1, "word": "größer"})
    assert read_json(place) == {"n": 1, "word": "größer"}
    write_array(place.with_suffix(".npy"), np.arange(3))
    assert np.load(place.with_suffix(".npy"), allow_pickle=False).tolist() == [0, 1, 2]
    write_file(place, b"{}")
    assert read_json(place) == {}
    assert {path.name for path in place.parent.iterdir()} == {"a.json", "a.npy"}


def test_what_is_broken_off_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "turn.pcd.bin"
    write_file(place, b"old")

    def break_off() -> None:
        with complete(place) as scratch:
            assert (scratch.parent, scratch.suffix) == (tmp_path, ".bin")
            scratch.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    with pytest.raises(FileNotFoundError), complete(place):
        pass  # nothing was written
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(place, {"n": float("nan")})
    assert place.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [place]


def test_a_full_disk_is_said_of_the_file_that_was_to_be(tmp_path: Path) -> None:
    place = tmp_path / "turn.bin"
    for named in (None, "scratch", "/proc/other"):

        def fill(named: str | None = named) -> None:
            with complete(place) as scratch:
                raise OSError(28, "No space left on device", str(scratch) if named == "scratch" else named)

        with pytest.raises(OSError, match="No space") as caught:
            fill()
        assert caught.value.errno == 28
        assert caught.value.filename == (named if named == "/proc/other" else str(place))
    assert not list(tmp_path.iterdir())


def test_a_file_in_a_folders_place_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("in the way")
    with pytest.raises(UserError, match=r"/a is a file; expected a folder; set --out to another one\.$"):
        make_folder(file)
    with pytest.raises(UserError, match=r"/a/b/c lies below .*/a, which is a file; expected a folder; set --report"):
        check_folder(file / "b" / "c", "--report")
    with pytest.raises(UserError, match=r"/a is a file; expected a folder; set --out"):
        check_file(file / "x.png")
    with pytest.raises(UserError, match="is a folder; expected the name of a file; set --out"):
        check_file(tmp_path)
    check_file(file)
    (tmp_path / "broken").symlink_to(tmp_path / "none")
    with pytest.raises(UserError, match="broken is a file; expected a folder"):
        make_folder(tmp_path / "broken")
    check_folder(tmp_path / "x" / "y")
    assert not (tmp_path / "x").exists()
    make_folder(tmp_path / "x" / "y")
    make_folder(tmp_path / "x" / "y")
    assert (tmp_path / "x" / "y").is_dir()


def test_a_folder_that_may_not_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"cannot be made \(Permission denied\); expected a folder that you may.*--out"):
        make_folder(tmp_path / "a")


def test_a_folder_that_takes_no_files_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(folder: str, *_: object) -> None:
        tried.append(Path(folder).parent)
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr("os.mkdir", refuse)
    with pytest.raises(
        UserError, match=r"/a/b cannot be made \(Permission denied\); expected a folder that you may.*--out"
    ):
        check_folder(tmp_path / "a" / "b")
    with pytest.raises(
        UserError, match=r" cannot be written to \(Permission denied\); expected .*; set --report to one of"
    ):
        check_file(tmp_path / "x.json", "--report")
    assert tried == [tmp_path, tmp_path]


def test_a_folder_for_nothing_is_not_left_behind(tmp_path: Path) -> None:
    def break_off(*kept: str) -> None:
        with folder_for(tmp_path / "a" / "b"):
            assert (tmp_path / "a" / "b").is_dir()
            for name in kept:
                (tmp_path / "a" / name).write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        break_off("kept")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept"]
    with folder_for(tmp_path / "a" / "b"):
        pass
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(("text", "said"), [(None, "is missing"), ("{", "is no JSON"), ("[1]", "holds no JSON object")])
def test_what_cannot_be_read_is_one_clear_line(text: str | None, said: str, tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    if text is not None:
        place.write_text(text)
    with pytest.raises(UserError, match=said):
        read_json(place)
