"""Sonar's own formats: what is read, what comes back byte for byte, and what is said of broken files."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domains.sonar import Sonar, formats
from domains.sonar.formats.common import full_scale
from domains.sonar.formats.xtf import CHANNEL_HEADER, HEADER, PING_HEADER
from vaegan.errors import DataError

RAW = ("xtf/scotsman-iver2.xtf", "humminbird/test.DAT", "humminbird/test/B002.SON", "oculus/three_pings_8bit.raw")


def xtf_bytes(counts: list[list[int]], *, size: int = 2, extra: bytes = b"") -> bytes:
    """A file of pings, each with its channels' numbers of samples; sample k of channel c is 100 (c + 1) + k."""
    header = bytearray(HEADER)
    header[0] = 123
    struct.pack_into("<H", header, 166, max(len(ping) for ping in counts))
    for c in range(6):
        struct.pack_into("<H", header, 256 + 128 * c + 6, size)
    content = bytes(header)
    for number, ping in enumerate(counts):
        body = b""
        for c, count in enumerate(ping):
            channel = bytearray(CHANNEL_HEADER)
            struct.pack_into("<H", channel, 0, c)
            struct.pack_into("<I", channel, 42, count)
            body += bytes(channel) + (100 * (c + 1) + np.arange(count)).astype(f"<u{size}").tobytes()
        start = bytearray(PING_HEADER)
        struct.pack_into("<HBBH", start, 0, 0xFACE, 0, 0, len(ping))
        struct.pack_into("<I", start, 10, PING_HEADER + len(body))
        struct.pack_into("<I", start, 28, number)
        content += bytes(start) + body
    return content + extra


def son_bytes(pings: list[bytes], header: int = 67) -> bytes:
    content = b""
    for samples in pings:
        head = bytearray(header)
        head[:4] = b"\xc0\xde\xab\x21"
        struct.pack_into(">BIB", head, header - 6, 0xA0, len(samples), 0x21)
        content += bytes(head) + samples
    return content


def oculus_bytes(n: int = 2, ranges: int = 5, beams: int = 4) -> bytes:
    whole = b""
    for k in range(n):
        image, offset = ranges * beams, 160
        message = bytearray(offset + image)
        struct.pack_into("<HHHHHI", message, 0, 0x4F53, 1, 0, 35, 0, len(message) - 16)
        struct.pack_into("<HHIII", message, 106, ranges, beams, offset, image, len(message))
        message[offset:] = bytes((10 * k + np.arange(image)).astype(np.uint8))
        whole += bytes(message)
    return whole


def made(folder: Path) -> dict[str, Path]:
    """One small file of each format."""
    rng = np.random.default_rng(0)
    contents = {
        "survey.xtf": xtf_bytes([[6, 6], [6, 6], [6, 6]]),
        "B000.SON": son_bytes([bytes(range(20)), bytes(range(20))]),
        "pings.raw": oculus_bytes(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "B000.IDX").write_bytes(b"\x00" * 16)
    np.save(folder / "polar.npy", rng.integers(300, 60000, (3, 12, 8)).astype(np.uint16))
    np.savez(folder / "polar.npz", echo=rng.random((12, 8)).astype(np.float32), mask=rng.random((12, 8)) > 0.2)
    import h5py

    with h5py.File(folder / "beams.h5", "w") as file:
        file["echo"] = rng.integers(0, 255, (2, 12, 8)).astype(np.uint8)
        file["bearing"] = np.arange(8.0)
    Image.fromarray(rng.integers(1, 255, (20, 15)).astype(np.uint8)).save(folder / "frame.png")
    Image.fromarray(rng.integers(1000, 65535, (20, 15)).astype(np.uint16)).save(folder / "deep.tif")
    names = [*contents, "polar.npy", "polar.npz", "beams.h5", "frame.png", "deep.tif"]
    return {name: folder / name for name in names}


def test_what_is_read_is_written_back(tmp_path: Path) -> None:
    domain = Sonar()
    out = tmp_path / "out"
    for name, path in made(tmp_path).items():
        recording = domain.read(path)
        assert recording.signals.ndim == 4 and recording.signals.shape[1] == 1, name
        assert np.nanmin(recording.signals) >= 0.0 and np.nanmax(recording.signals) <= 1.0, name
        again = domain.read(domain.write(recording, out / name))
        np.testing.assert_array_equal(again.signals, recording.signals, err_msg=name)
        halved = domain.read(domain.write(recording.with_signals(recording.signals * 0.5), out / "half" / name))
        assert np.nanmax(halved.signals) < np.nanmax(recording.signals) or name == "polar.npz", name


def test_only_samples_change(tmp_path: Path) -> None:
    for name in ("survey.xtf", "B000.SON", "pings.raw"):
        path = made(tmp_path)[name]
        before = path.read_bytes()
        recording = formats.read(path)
        assert formats.write(recording, tmp_path / "same" / name).read_bytes() == before, name
        after = formats.write(recording.with_signals(recording.signals * 0.0), tmp_path / "other" / name).read_bytes()
        assert len(after) == len(before)
        changed = {i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b}
        assert changed
        samples = changed_places(path, recording)
        assert changed <= samples, name
    assert (tmp_path / "same" / "B000.IDX").read_bytes() == b"\x00" * 16


def changed_places(path: Path, recording) -> set[int]:
    """Bytes of the file that are samples."""
    meta = recording.metadata
    records = meta.records if hasattr(meta, "records") else (meta.record,) if hasattr(meta, "record") else (meta,)
    found: set[int] = set()
    for record in records:
        for c, dtype in enumerate(record.dtypes):
            for offset, count in zip(record.offsets[c], record.counts[c], strict=True):
                found |= set(range(int(offset), int(offset + count * np.dtype(dtype).itemsize)))
    return found


def test_samples_of_32_bits_and_floats_come_back_where_nothing_changed(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    wide = generator.integers(0, 2**32, (9, 7), dtype=np.uint32)
    loud = generator.gamma(2.0, 300.0, (9, 7))
    loud[0, 0] = np.inf
    for samples in (wide, loud, loud.astype(np.float32)):
        np.save(tmp_path / "a.npy", samples)
        recording = formats.read(tmp_path / "a.npy")
        assert np.nanmax(recording.signals) <= 1.0 and not np.isinf(recording.signals).any()
        np.testing.assert_array_equal(np.load(formats.write(recording, tmp_path / "b.npy")), samples)


@pytest.mark.parametrize("name", RAW)
def test_real_records_come_back_byte_for_byte(name: str, test_data: Path, tmp_path: Path) -> None:
    path = test_data / "sonar" / "raw" / name
    domain = Sonar()
    recording = domain.read(path)
    written = domain.write(recording, tmp_path / Path(name).name)
    assert written.read_bytes() == path.read_bytes()
    darker = domain.write(recording.with_signals(recording.signals * 0.5), tmp_path / "dark" / Path(name).name)
    assert np.nanmean(domain.read(darker).signals) < np.nanmean(recording.signals)
    if name.endswith(".DAT"):
        inside = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if "dark" not in p.parts)
        assert {"test.DAT", "test/B002.IDX", "test/B002.SON"} <= set(inside)
        original = path.with_suffix("") / "B002.SON"
        assert (tmp_path / "test" / "B002.SON").read_bytes() == original.read_bytes()


def test_pyxtf_opens_what_was_written(test_data: Path, tmp_path: Path) -> None:
    pyxtf = pytest.importorskip("pyxtf")
    path = test_data / "sonar" / "raw" / "xtf" / "scotsman-iver2.xtf"
    domain = Sonar()
    recording = domain.read(path)
    out = domain.write(recording.with_signals(recording.signals * 0.5), tmp_path / "out.xtf")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pings, before = (pyxtf.xtf_read(str(p))[1][pyxtf.XTFHeaderType.sonar] for p in (out, path))
    assert len(pings) == len(before) == recording.signals.shape[2]
    assert [p.PingNumber for p in pings] == [p.PingNumber for p in before]
    for channel in (0, 1):
        stored = np.stack([ping.data[channel] for ping in before]).astype(float)
        np.testing.assert_allclose(recording.signals[channel, 0] * 32767, stored, atol=0.01)
        halved = np.stack([ping.data[channel] for ping in pings]).astype(float)
        assert np.abs(halved - 0.5 * stored).max() <= 0.51
        assert [p.ping_chan_headers[channel].SlantRange for p in pings] == [
            p.ping_chan_headers[channel].SlantRange for p in before
        ]


def test_odd_xtf_files_are_handled_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.xtf"
    path.write_bytes(xtf_bytes([[6, 6], [4, 6], [0, 6]]))
    with pytest.warns(UserWarning, match="pings of 4 to 6 samples") as said:
        recording = formats.read(path)
    assert "1 pings without samples" in " ".join(str(w.message) for w in said)
    assert recording.signals.shape == (2, 1, 3, 6)
    assert np.isnan(recording.signals[0, 0, 1]).tolist() == [False] * 4 + [True] * 2
    assert np.isnan(recording.signals[0, 0, 2]).all()
    filled = recording.with_signals(np.nan_to_num(recording.signals))
    assert formats.write(filled, tmp_path / "b.xtf").read_bytes() == path.read_bytes()
    strange = struct.pack("<HBBHHHI", 0xFACE, 222, 0, 0, 0, 0, 20) + b"\0" * 6
    path.write_bytes(xtf_bytes([[6]], extra=strange))
    with pytest.warns(UserWarning, match=r"unknown type 222 \(1x\)"):
        formats.read(path)
    path.write_bytes(xtf_bytes([[6], [6]])[:-5])
    with pytest.warns(UserWarning, match="ends within a packet"):
        assert formats.read(path).signals.shape[2] == 1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_files_get_one_clear_line(tmp_path: Path) -> None:
    whole = xtf_bytes([[6], [6]])
    broken = {
        "short.xtf": (whole[:500], "500 bytes; expected an XTF file header"),
        "other.xtf": (b"\x01" + whole[1:], "begins with the byte 1"),
        "torn.xtf": (whole[: HEADER + 334] + b"\0" * 40, "no packet at byte"),
        "none.xtf": (whole[:HEADER], "holds no sonar ping"),
        "zero.xtf": (xtf_bytes([[0], [0]]), "all 2 pings are without samples"),
        "float.xtf": (xtf_bytes([[6]], size=8), "samples of 8 bytes"),
        "empty.xtf": (b"", "is empty"),
        "a.SON": (b"\0" * 99, "does not begin with 0xC0DEAB21"),
        "b.SON": (son_bytes([b"1234", b"1234"]) + b"\0" * 99, "no ping at byte"),
        "c.SON": (b"\xc0\xde\xab\x21" + b"\0" * 90, "has no end"),
        "d.DAT": (b"\0" * 64, "has no .SON files"),
        "a.raw": (b"\0" * 64, "no Oculus message"),
        "b.raw": (oculus_bytes()[:100], "holds no ping"),
        "a.npy": (b"no array", "no array of numbers"),
        "a.h5": (b"no file", "no HDF5 file"),
        "a.png": (b"no picture", "not a picture"),
        "a.jsf": (b"\0", "no sonar format ends in '.jsf'"),
    }
    for name, (content, message) in broken.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            formats.read(path)
        text = str(caught.value)
        assert message in text and "\n" not in text and name in text, text
    with pytest.raises(DataError, match="does not exist"):
        formats.read(tmp_path / "missing.xtf")


def test_16_bit_data_that_hold_8_bits_are_not_black(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="hold 8-bit values"):
        assert full_scale(np.array([3, 250], np.uint16), "a") == 255.0
    assert full_scale(np.array([3, 32767], np.uint16), "a") == 32767.0
    assert full_scale(np.array([3, 40000], np.uint16), "a") == 65535.0
    levels = np.random.default_rng(0).integers(1, 200, (9, 9)).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    with pytest.warns(UserWarning, match="16 bits holds 8-bit values"):
        recording = formats.read(tmp_path / "deep.png")
    np.testing.assert_allclose(recording.signals[0, 0], levels / 255, atol=1e-5)
    formats.write(recording, tmp_path / "again.png")
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "again.png")), levels)
