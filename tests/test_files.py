"""A file is complete or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vaegan.errors import UserError
from vaegan.files import complete, read_json, write_array, write_file, write_json


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


@pytest.mark.parametrize(("text", "said"), [(None, "is missing"), ("{", "is no JSON"), ("[1]", "holds no JSON object")])
def test_what_cannot_be_read_is_one_clear_line(text: str | None, said: str, tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    if text is not None:
        place.write_text(text)
    with pytest.raises(UserError, match=said):
        read_json(place)
