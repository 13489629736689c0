"""Faces: every layout in which they may lie, on made-up data."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from domains.digits import Digits
from domains.faces import Faces
from vaegan.data import SPLITS
from vaegan.errors import DataError

SIZE = 8


def save(path: Path, seed: int = 0, columns: int = 12, rows: int = 10) -> Path:
    """A small picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def celeba(root: Path, codes: list[int], ending: str = "txt") -> Path:
    """CelebA's layout, with one frame for each code of the official split; the face is nearly white, on black."""
    frame = np.zeros((218, 178, 3), np.uint8)
    names = [f"{index + 1:06d}.jpg" for index in range(len(codes))]
    (root / "img_align_celeba").mkdir(parents=True)
    for index, name in enumerate(names):
        frame[40:188, 15:163] = 255 - index  # no two the same
        Image.fromarray(frame).save(root / "img_align_celeba" / name, quality=95)
    partition = [f"{name} {code}" for name, code in zip(names, codes, strict=True)]
    attributes = [f"{name} {1 if index % 2 else -1}  1" for index, name in enumerate(names)]
    if ending == "csv":
        partition = ["image_id,partition", *(row.replace(" ", ",") for row in partition)]
        attributes = ["image_id,Bald,Young", *(",".join(row.split()) for row in attributes)]
    else:
        attributes = [str(len(names)), "Bald Young ", *attributes]
    (root / f"list_eval_partition.{ending}").write_text("\n".join(partition) + "\n")
    (root / f"list_attr_celeba.{ending}").write_text("\n".join(attributes) + "\n")
    return root


def groups_of(domain: Faces) -> dict[str, set[str]]:
    return {split: set(domain.dataset(split).groups.tolist()) for split in SPLITS}


def assert_disjoint(domain: Faces) -> None:
    """No group in two splits, and no item lost."""
    groups = groups_of(domain)
    assert not groups["train"] & groups["val"]
    assert not groups["train"] & groups["test"]
    assert not groups["val"] & groups["test"]
    assert sum(len(domain.dataset(split)) for split in SPLITS) == len(domain.everything())


@pytest.mark.parametrize("ending", ["txt", "csv"])
def test_celeba_follows_its_lists(tmp_path: Path, ending: str) -> None:
    domain = Faces(celeba(tmp_path, [0, 0, 0, 1, 2, 2], ending), size=SIZE)
    assert [len(domain.dataset(split)) for split in SPLITS] == [3, 1, 2]
    train = domain.dataset("train")
    assert train.names is not None
    assert train.names.tolist() == ["000001.jpg", "000002.jpg", "000003.jpg"]
    assert train.attribute_names == ("Bald", "Young")
    assert train.attributes is not None
    assert train.attributes.tolist() == [[-1, 1], [1, 1], [-1, 1]]
    assert "official split" in train.source
    assert train.signals.min() > 250, "the crop holds the face and nothing of the frame"
    assert np.asarray(Faces(tmp_path, size=SIZE, crop="none").everything().signals).min() < 50
    assert_disjoint(domain)
    inner = Faces(tmp_path / "img_align_celeba", size=SIZE)
    np.testing.assert_array_equal(inner.dataset("test").signals, domain.dataset("test").signals)


def test_celeba_people_stay_together(tmp_path: Path) -> None:
    root = celeba(tmp_path, [0, 0, 0, 1, 2, 2])
    identities = [f"{index + 1:06d}.jpg {person}" for index, person in enumerate([7, 7, 8, 9, 5, 5])]
    (root / "identity_CelebA.txt").write_text("\n".join(identities))
    assert groups_of(Faces(root, size=SIZE)) == {"train": {"7", "8"}, "val": {"9"}, "test": {"5"}}
    (root / "identity_CelebA.txt").write_text("\n".join(identities).replace("000004.jpg 9", "000004.jpg 7"))
    domain = Faces(root, size=SIZE)
    assert "tears people" in domain.everything().source
    assert_disjoint(domain)


@pytest.mark.parametrize(
    ("frames", "lists", "given"),
    [
        ("root/celeba/img_align_celeba", "root/celeba", "root"),
        ("root/celeba/img_align_celeba", "root", "root"),
        ("CelebA/Img/img_align_celeba_png.7z/img_align_celeba_png", "CelebA/Anno", "CelebA"),
        ("CelebA/Img/img_align_celeba_png.7z/img_align_celeba_png", "CelebA/Eval", "."),
        ("CelebA/Img/img_align_celeba_png.7z/img_align_celeba_png", "CelebA/Anno", "CelebA/Img"),
        (
            "CelebA/Img/img_align_celeba_png.7z/img_align_celeba_png",
            "CelebA/Anno",
            "CelebA/Img/img_align_celeba_png.7z",
        ),
    ],
)
@pytest.mark.filterwarnings("error")
def test_celeba_is_found_however_deep_it_lies(tmp_path: Path, frames: str, lists: str, given: str) -> None:
    made = celeba(tmp_path / "made", [0, 0, 0, 1, 2, 2])
    inner, beside = tmp_path / "all" / frames, tmp_path / "all" / lists
    inner.parent.mkdir(parents=True)
    beside.mkdir(parents=True, exist_ok=True)
    shutil.move(made / "img_align_celeba", inner)
    for name in ("list_eval_partition.txt", "list_attr_celeba.txt"):
        shutil.move(made / name, beside / name)
    domain = Faces(tmp_path / "all" / given, size=SIZE)
    assert [len(domain.dataset(split)) for split in SPLITS] == [3, 1, 2]
    train = domain.dataset("train")
    assert train.attribute_names == ("Bald", "Young")
    assert train.signals.min() > 250, "the crop holds the face and nothing of the frame"


def test_of_several_celebas_one_is_to_be_given(tmp_path: Path) -> None:
    celeba(tmp_path / "a", [0, 1, 2])
    celeba(tmp_path / "b" / "c", [0, 1, 2])
    with pytest.raises(
        DataError, match=r"CelebA 2 times: a/img_align_celeba, b/c/img_align_celeba; expected one; .*--data"
    ):
        Faces(tmp_path, size=SIZE).everything()


def test_pictures_beside_a_deep_celeba_are_told_of(tmp_path: Path) -> None:
    celeba(tmp_path / "a" / "b", [0, 1, 2])
    save(tmp_path / "others" / "x.png")
    with pytest.warns(UserWarning, match="holds CelebA in a/b/img_align_celeba; 1 pictures elsewhere are not read"):
        assert len(Faces(tmp_path, size=SIZE).everything()) == 3


@pytest.mark.parametrize("ending", ["txt", "csv"])
def test_lists_may_begin_with_a_byte_order_mark(tmp_path: Path, ending: str) -> None:
    celeba(tmp_path, [0, 0, 0, 1, 2, 2], ending)
    for path in tmp_path.glob("list_*"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    train = Faces(tmp_path, size=SIZE).dataset("train")
    assert len(train) == 3
    assert train.attribute_names == ("Bald", "Young")


def test_a_sample_of_celeba_is_split_by_group(tmp_path: Path) -> None:
    domain = Faces(celeba(tmp_path, [0] * 10), size=SIZE)
    assert "leaves val, test empty" in domain.dataset("test").source
    assert [len(domain.dataset(split)) for split in SPLITS] == [8, 1, 1]
    assert_disjoint(domain)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list_eval_partition.txt", "000001.jpg 0\n", "lacks 000002.jpg, 000003.jpg of 3 pictures"),
        (
            "list_eval_partition.txt",
            "000001.jpg a\n",
            "line 1: '000001.jpg a'; expected a picture's name and",
        ),
        (
            "list_eval_partition.txt",
            "".join(f"00000{i}.jpg {i + 3}\n" for i in (1, 2, 3)),
            "holds .4, 5, 6.; expected 0",
        ),
        ("list_attr_celeba.txt", "3\nBald Young\n000001.jpg 1\n", "a line of 2 numbers for each picture"),
    ],
)
def test_broken_lists_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    celeba(tmp_path, [0, 1, 2])
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        Faces(tmp_path, size=SIZE).dataset("train")
    assert str(tmp_path / name) in str(caught.value)
    assert "--data" in str(caught.value)


def test_folders_of_people_are_groups(tmp_path: Path) -> None:
    for person in range(12):
        for shot in range(3):
            save(tmp_path / "people" / f"p{person}" / f"{shot}.png", seed=10 * person + shot)
    (tmp_path / "people" / "p0" / "notes.txt").write_text("not a picture")
    (tmp_path / "people" / "p0" / "._0.png").write_bytes(b"a twin of another system")
    domain = Faces(tmp_path, size=SIZE)
    everything = domain.everything()
    assert set(everything.groups.tolist()) == {f"people/p{person}" for person in range(12)}
    assert everything.unused == ("people/p0/notes.txt",)
    assert everything.skipped == ()
    assert_disjoint(domain)


def test_a_stray_picture_leaves_people_together(tmp_path: Path) -> None:
    for person in range(12):
        for shot in range(5):
            save(tmp_path / f"p{person}" / f"{shot}.png", seed=10 * person + shot)
    people = {f"p{person}" for person in range(12)}
    assert set(Faces(tmp_path, size=SIZE).everything().groups.tolist()) == people
    save(tmp_path / "cover.png", seed=999)
    domain = Faces(tmp_path, size=SIZE)
    with pytest.warns(UserWarning, match=r"cover\.png in no person's folder: each is a group of its own"):
        everything = domain.everything()
    assert set(everything.groups.tolist()) == people | {"cover"}
    assert "61 pictures in 13 groups; 1 of the pictures lie in no person's folder" in everything.source
    assert_disjoint(domain)
    held = [{name.split("/")[0] for name in domain.dataset(split).names.tolist()} for split in SPLITS]
    assert not held[0] & held[1] and not held[0] & held[2] and not held[1] & held[2]


def split_of(domain: Faces) -> dict[str, str]:
    """The split of each picture by its name."""
    return {str(name): split for split in SPLITS for name in domain.dataset(split).names}


@pytest.mark.parametrize("called", [("train", "val", "test"), ("Training", "validation", "TESTING")])
def test_folders_called_train_val_and_test_are_the_split(tmp_path: Path, called: tuple[str, ...]) -> None:
    for part, count in zip(called, (9, 2, 3), strict=True):
        for index in range(count):  # numbers begin anew in each
            save(tmp_path / "faces" / part / f"{index}.png", seed=100 * count + index)
    domain = Faces(tmp_path, size=SIZE)
    assert_disjoint(domain)
    stated = dict(zip(called, SPLITS, strict=True))
    assert all(split == stated[name.split("/")[1]] for name, split in split_of(domain).items())
    assert "split as the folders are called" in domain.everything().source


def test_a_part_that_folders_do_not_state_is_taken_from_training(tmp_path: Path) -> None:
    for part, people in (("train", 20), ("test", 4)):
        for person in range(people):
            for shot in range(2):
                seed = 1000 * len(part) + 10 * person + shot
                save(tmp_path / part / f"{part}-{person}" / f"{shot}.png", seed=seed)
    domain = Faces(tmp_path, size=SIZE)
    assert_disjoint(domain)
    assert {name for name, split in split_of(domain).items() if split == "test"} == {
        f"test/test-{person}/{shot}.png" for person in range(4) for shot in range(2)
    }
    assert groups_of(domain)["val"] < {f"train-{person}" for person in range(20)}
    assert len(groups_of(domain)["val"]) == 2


def test_a_person_in_two_splits_folders_is_one_group(tmp_path: Path) -> None:
    for part, people in (("train", "abcdefgh"), ("test", "ghij")):
        for person in people:
            save(tmp_path / part / person / "0.png", seed=1000 * len(part) + ord(person))
    domain = Faces(tmp_path, size=SIZE)
    assert_disjoint(domain)
    assert set(domain.everything().groups.tolist()) == set("abcdefghij")
    splits = split_of(domain)
    assert all(splits[f"train/{person}/0.png"] == splits[f"test/{person}/0.png"] for person in "gh")
    assert "tears people apart" in domain.everything().source


def test_pictures_beside_the_folders_of_splits_leave_them_unheeded(tmp_path: Path) -> None:
    for place in ("train", "test", "val", "."):
        for index in range(4):
            save(tmp_path / place / f"{index}.png", seed=100 * len(place) + index)
    with pytest.warns(UserWarning, match="4 of 16 pictures lie in no folder called train, val or test"):
        everything = Faces(tmp_path, size=SIZE).everything()
    assert "as the folders are called" not in everything.source
    assert len(set(everything.groups.tolist())) == 16, "a split's folder is nobody"


def test_sessions_of_a_person_stay_together(tmp_path: Path) -> None:
    for person in range(4):
        for session in range(3):
            save(tmp_path / f"p{person}" / f"s{session}" / "x.jpg", seed=10 * person + session)
        save(tmp_path / f"p{person}" / "portrait.jpg", seed=1000 + person)
    everything = Faces(tmp_path, size=SIZE).everything()
    assert sorted(set(everything.groups.tolist())) == [f"p{person}" for person in range(4)]


def test_other_folders_have_one_group_a_name(tmp_path: Path) -> None:
    for index in range(10):
        save(tmp_path / f"{index}.png", seed=index)
    save(tmp_path / "deeper" / "still" / "z.BMP", columns=SIZE, rows=SIZE)
    (tmp_path / "deeper" / "round").symlink_to(tmp_path, target_is_directory=True)
    everything = Faces(tmp_path, size=SIZE).everything()
    assert len(everything) == 11, "a link back up is not walked again"
    assert everything.names is not None
    assert everything.groups.tolist() == [*map(str, range(10)), "z"]
    assert everything.names[-1] == "deeper/still/z.BMP"
    with Image.open(tmp_path / "deeper" / "still" / "z.BMP") as exact:
        np.testing.assert_array_equal(everything.signals[-1].transpose(1, 2, 0), np.asarray(exact))


def test_pairs_of_damaged_and_clear_pictures(tmp_path: Path) -> None:
    root = tmp_path / "set" / "landscape Images"
    for index in range(5):
        save(root / "color" / f"{index}.png", seed=index)
        save(root / "gray" / f"{index}.jpg", seed=100 + index)
    domain = Faces(tmp_path, size=SIZE)
    everything = domain.everything()
    assert everything.observed is not None
    assert everything.observed.shape == everything.signals.shape == (5, 3, SIZE, SIZE)
    np.testing.assert_array_equal(everything.signals, Faces(root / "color", size=SIZE).everything().signals)
    np.testing.assert_array_equal(everything.observed, Faces(root / "gray", size=SIZE).everything().signals)
    assert_disjoint(domain)
    for index in range(20, 27):
        save(root / "gray" / f"{index}.png")
    with pytest.raises(DataError, match="20, 21, 22, 23, 24 and 2 more without a partner in color") as caught:
        domain.everything()
    assert "--data" in str(caught.value)
    shutil.rmtree(root / "color")
    with pytest.raises(DataError, match="holds gray alone; expected gray"):
        domain.everything()


def test_aligned_frames_in_any_folder_are_cut_as_celebas_own(tmp_path: Path) -> None:
    own = Faces(celeba(tmp_path / "celeba", [0, 0, 1, 2]), size=SIZE).everything()
    shutil.copytree(tmp_path / "celeba" / "img_align_celeba", tmp_path / "frames")
    (tmp_path / "frames" / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of 5 sources are corrupt: broken\.jpg"):
        Faces(tmp_path / "frames", size=SIZE).everything()
    (tmp_path / "frames" / "broken.jpg").unlink()
    frames = Faces(tmp_path / "frames", size=SIZE).everything()
    # The same items to the bit: else nobody finds out that a run learned from them.
    np.testing.assert_array_equal(frames.signals, own.signals)
    assert "aligned frames of CelebA" in frames.source
    one = Faces(tmp_path / "frames" / "000003.jpg", size=SIZE).everything()
    np.testing.assert_array_equal(one.signals[0], own.signals[2])
    save(tmp_path / "frames" / "other.png")  # among others a frame is a picture like any
    mixed = Faces(tmp_path / "frames", size=SIZE).everything()
    assert mixed.signals[0].min() < 128 < own.signals[0].min(), "the black around the face is seen"


def test_a_folder_of_pairs_is_one_of_single_pictures_to_digits(tmp_path: Path) -> None:
    for side, seed in (("color", 0), ("gray", 100)):
        for index in range(3):
            save(tmp_path / side / f"{index}.png", seed=seed + index)
    pairs = Faces(tmp_path, size=SIZE, color=False, crop="none").everything()
    single = Digits(tmp_path, size=SIZE).everything()  # the same files at the same size, out of the same cache
    assert (len(pairs), len(single)) == (3, 6)
    assert pairs.observed is not None and single.observed is None
    assert single.class_names == ("color", "gray")


def test_pairs_of_different_proportions_are_corrupt(tmp_path: Path) -> None:
    save(tmp_path / "gray" / "a.png", columns=12, rows=10)
    save(tmp_path / "color" / "a.png", columns=10, rows=10)
    with pytest.raises(DataError, match="the pair differ in proportions"):
        Faces(tmp_path, size=SIZE).everything()


@pytest.mark.parametrize("size", [8, 16, 64])
def test_a_jpeg_that_is_decoded_smaller_keeps_its_proportions(tmp_path: Path, size: int) -> None:
    for index in range(4):
        save(tmp_path / "gray" / f"{index}.jpg", columns=257 + 8 * index, rows=264)
        save(tmp_path / "color" / f"{index}.png", columns=257 + 8 * index, rows=264)
    assert len(Faces(tmp_path, size=size).everything()) == 4


def test_hdf5_of_jpeg_bytes(tmp_path: Path) -> None:
    sources = [save(tmp_path / f"{index}.jpg", seed=index, columns=SIZE, rows=SIZE) for index in range(21)]
    with h5py.File(tmp_path / "faces.h5", "w") as file:
        jpeg = file.create_dataset("jpeg", (21,), dtype=h5py.vlen_dtype(np.uint8))
        for index, source in enumerate(sources):
            content = np.frombuffer(source.read_bytes(), np.uint8)
            jpeg[index] = content if index != 3 else content[:40]
        file["names"] = np.array([f"{index}.jpg" for index in range(21)], dtype="S10")
        file["groups"] = np.array([f"p{index // 3}" for index in range(21)], dtype="S10")
    domain = Faces(tmp_path / "faces.h5", size=SIZE)
    everything = domain.everything()
    assert len(everything) == 20
    assert [item.name for item in everything.skipped] == ["3.jpg"]
    assert everything.groups[:4].tolist() == ["p0", "p0", "p0", "p1"]
    with Image.open(sources[6]) as expected:  # number 3 is not there
        np.testing.assert_array_equal(everything.signals[5].transpose(1, 2, 0), np.asarray(expected))
    assert_disjoint(domain)


@pytest.mark.parametrize("kind", ["fixed strings", "opaque", "rows of opaque bytes", "rows of signed bytes"])
def test_jpeg_bytes_of_any_type(tmp_path: Path, kind: str) -> None:
    sources = [save(tmp_path / f"{index}.jpg", seed=index, columns=SIZE, rows=SIZE) for index in range(4)]
    contents = [source.read_bytes() for source in sources]
    longest = max(map(len, contents))
    with h5py.File(tmp_path / "faces.h5", "w") as file:
        if kind == "fixed strings":
            file["jpeg"] = np.array(contents, dtype="S")
        elif kind == "opaque":
            file["jpeg"] = np.array([content.ljust(longest, b"\0") for content in contents], dtype=f"V{longest}")
        else:
            element = np.dtype("V1") if kind == "rows of opaque bytes" else np.dtype(np.int8)
            jpeg = file.create_dataset("jpeg", (4,), dtype=h5py.vlen_dtype(element))
            for index, content in enumerate(contents):
                jpeg[index] = np.frombuffer(content, element)
    signals = Faces(tmp_path / "faces.h5", size=SIZE).everything().signals
    for signal, source in zip(signals, sources, strict=True):
        with Image.open(source) as expected:
            np.testing.assert_array_equal(signal.transpose(1, 2, 0), np.asarray(expected))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([b"no JPEG", b"nor this"], "not a picture of any known format"),  # strings of any length hold no zero byte
        (np.array([1.5, 2.5]), "is of type float64, not the bytes of a JPEG"),
        (np.array(["a", "b"], dtype=h5py.string_dtype()), "not a picture of any known format"),
    ],
)
def test_what_is_called_jpeg_and_is_none(tmp_path: Path, values: Any, message: str) -> None:
    with h5py.File(tmp_path / "faces.h5", "w") as file:
        file["jpeg"] = values
    with pytest.raises(DataError, match=message):
        Faces(tmp_path / "faces.h5", size=SIZE).everything()


@pytest.mark.parametrize("shape", [(6, SIZE, SIZE, 3), (6, 3, SIZE, SIZE), (6, SIZE, SIZE), (6, SIZE, SIZE, 1)])
@pytest.mark.parametrize("ending", ["h5", "npz", "npy"])
def test_arrays(tmp_path: Path, shape: tuple[int, ...], ending: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / f"faces.{ending}"
    if ending == "h5":
        with h5py.File(path, "w") as file:
            file["x"] = pixels
    else:
        np.savez(path, x=pixels) if ending == "npz" else np.save(path, pixels)
    signals = Faces(path, size=SIZE).everything().signals
    channels_last = pixels[..., None] if pixels.ndim == 3 else pixels
    expected = channels_last if shape[1] == 3 else channels_last.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(signals, np.broadcast_to(expected, (6, 3, SIZE, SIZE)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 4, 4), np.float32)}, r"holds x \(2, 4, 4\) float32; expected a data set 'jpeg'"),
        (
            {"x": np.zeros((2, 4, 4), np.uint8), "y": np.zeros((2, 4, 4), np.uint8)},
            "holds 2 arrays of pictures",
        ),
        ({"x": np.zeros((2, 4, 4, 5), np.uint8)}, "1 or 3 channels, last or second"),
        ({"x": np.zeros((2, 4, 4), np.uint8), "names": np.array(["a"])}, "names of shape"),
        ({"x": np.array([{"an": "object"}])}, "cannot be opened"),
    ],
)
def test_arrays_that_are_no_pictures(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "faces.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        Faces(tmp_path / "faces.npz").everything()
    assert "--data" in str(caught.value)


def make_file(tmp_path: Path) -> Path:
    (tmp_path / "a.h5").write_text("no HDF5")
    return tmp_path / "a.h5"


def make_other(tmp_path: Path) -> Path:
    (tmp_path / "a.docx").write_text("a letter")
    return tmp_path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none", "does not exist; expected a folder of pictures"),
        (lambda folder: folder, "is empty; expected a folder of pictures"),
        (make_other, r"holds no picture, only a\.docx"),
        (lambda folder: make_other(folder) / "a.docx", "is a file of an unknown kind"),
        (make_file, "cannot be opened"),
    ],
)
def test_where_there_are_no_pictures(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Faces(make(tmp_path)).dataset("train")
    assert str(tmp_path) in str(caught.value)
    assert "--data" in str(caught.value)
    assert "\n" not in str(caught.value)
