"""Sonar's own formats: what is read, what comes back byte for byte, and what is said of broken files."""

from __future__ import annotations

import contextlib
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domains.sonar import Sonar, formats
from domains.sonar.formats.common import full_scale, to_echo
from domains.sonar.formats.xtf import CHANNEL_HEADER, HEADER, PING_HEADER
from domains.sonar.views import fan
from vaegan.errors import DataError

RAW = ("xtf/scotsman-iver2.xtf", "humminbird/test.DAT", "humminbird/test/B002.SON", "oculus/three_pings_8bit.raw")


def xtf_bytes(
    counts: list[list[int]],
    *,
    size: int = 2,
    extra: bytes = b"",
    types: str = "121212",
    first: int = 0,
    older: int = 0,
) -> bytes:
    """A file of pings, each with its channels' numbers of samples; sample k of channel c is 100 (c + 1) + k.

    Args:
        counts: numbers of samples of each ping's channels.
        size: bytes a sample.
        extra: what follows the last ping.
        types: of the channels: sub-bottom, port or starboard.
        first: number that pings give to the first channel.
        older: number of samples that the file header states, so that pings do not.
    """
    header = bytearray(HEADER)
    header[0] = 123
    struct.pack_into("<H", header, 166, max(len(ping) for ping in counts))
    for c in range(6):
        header[256 + 128 * c] = int(types[c])
        struct.pack_into("<HI", header, 256 + 128 * c + 6, size if not first or c < len(counts[0]) else 0, older)
    content = bytes(header)
    for number, ping in enumerate(counts):
        body = b""
        for c, count in enumerate(ping):
            channel = bytearray(CHANNEL_HEADER)
            struct.pack_into("<H", channel, 0, c + first)
            struct.pack_into("<I", channel, 42, 0 if older else count)
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


def oculus_bytes(n: int = 2, ranges: int = 5, beams: int = 4, *, kind: str = "<u1", gains: Sequence[int] = ()) -> bytes:
    """Messages, those of ``gains`` with 4 bytes of gain before each range; sample k of message m is 10 m + k."""
    whole = b""
    for k in range(n):
        samples = (10 * k + np.arange(ranges * beams)).astype(np.uint8).astype(kind).reshape(ranges, beams)
        gain = struct.pack("<f", 1.5) if k in gains else b""
        image, offset = b"".join(gain + row.tobytes() for row in samples), 160
        message = bytearray(offset + len(image))
        struct.pack_into("<HHHHHI", message, 0, 0x4F53, 1, 0, 35, 0, len(message) - 16)
        message[20] = 4 if k in gains else 0
        struct.pack_into("<HHIII", message, 106, ranges, beams, offset, len(image), len(message))
        message[offset:] = image
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


def test_sub_bottom_channels_of_an_xtf_file_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.xtf"
    content = bytearray(xtf_bytes([[400, 400, 3]] * 2, types="120000"))
    path.write_bytes(xtf_bytes([[400, 400]] * 2))
    sidescan = formats.read(path)
    for ping in range(2):  # a waveform with a sign: what is below 0 would be above 32,767, and set the scale of all
        end = len(content) - (1 - ping) * (len(content) - HEADER) // 2
        content[end - 6 : end] = np.array([-3000, 1, 3000], "<i2").tobytes()
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="sub-bottom or bathymetry are left as they are: 2"):
        recording = formats.read(path)
    np.testing.assert_array_equal(recording.signals, sidescan.signals)
    assert formats.write(recording, tmp_path / "b.xtf").read_bytes() == content
    dark = formats.write(recording.with_signals(recording.signals * 0), tmp_path / "c.xtf").read_bytes()
    changed = {i for i, (a, b) in enumerate(zip(content, dark, strict=True)) if a != b}
    assert changed and changed <= changed_places(path, recording)
    path.write_bytes(xtf_bytes([[6]], types="000000"))
    with pytest.warns(UserWarning, match="no channel states its type; all are read as sidescan"):
        assert formats.read(path).signals.shape == (1, 1, 1, 6)


def test_a_packet_of_sub_bottom_alone_is_no_ping_without_samples(tmp_path: Path) -> None:
    sidescan, other = xtf_bytes([[6]], types="100000"), bytearray(xtf_bytes([[6]])[HEADER:])
    struct.pack_into("<H", other, PING_HEADER, 1)
    path = tmp_path / "a.xtf"
    path.write_bytes((sidescan + bytes(other)) + (sidescan[HEADER:] + bytes(other)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        recording = formats.read(path)
    assert recording.signals.shape == (1, 1, 2, 6) and not np.isnan(recording.signals).any()
    assert not any("without samples" in str(w.message) for w in said)


def test_depths_among_the_channels_of_an_xtf_file_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.xtf"
    content = xtf_bytes([[100, 100, 40]] * 3, types="123000")
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="sub-bottom or bathymetry are left as they are: 2"):
        recording = formats.read(path)
    assert recording.signals.shape == (2, 1, 3, 100)
    dark = formats.write(recording.with_signals(recording.signals * 0), tmp_path / "b.xtf").read_bytes()
    depths = (300 + np.arange(40)).astype("<u2").tobytes()
    assert dark.count(depths) == content.count(depths) == 3
    path.write_bytes(xtf_bytes([[6]], types="300000"))
    with pytest.raises(DataError, match=r"channels of sub-bottom .* or bathymetry .* alone"):
        formats.read(path)


def test_packets_of_two_frequencies_are_no_lost_pings_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.xtf"
    low, high = ([[5 + ping, 5 + ping] for ping in range(4)], [[9, 9] for _ in range(4)])
    first, second = (xtf_bytes(rows, types="121200") for rows in (low, high))
    header = bytearray(first[:HEADER])
    struct.pack_into("<H", header, 166, 4)
    packets = [[], []]
    for which, content in enumerate((first, second)):
        at = HEADER
        while at < len(content):
            packet = bytearray(content[at : at + struct.unpack_from("<I", content, at + 10)[0]])
            if which:  # channels 2 and 3
                struct.pack_into("<H", packet, PING_HEADER, 2)
                struct.pack_into("<H", packet, PING_HEADER + CHANNEL_HEADER + 9 * 2, 3)
            packets[which].append(bytes(packet))
            at += len(packet)
    content = bytes(header) + b"".join(one + other for one, other in zip(*packets, strict=True))
    path.write_bytes(content)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        recording = formats.read(path)
    assert recording.signals.shape == (4, 1, 4, 9) and not any("without samples" in str(w.message) for w in said)
    assert np.isfinite(recording.signals[2:]).all()
    assert [int(np.isfinite(row).sum()) for row in recording.signals[0, 0]] == [5, 6, 7, 8]
    assert formats.write(recording, tmp_path / "b.xtf").read_bytes() == content
    path.write_bytes(content[: -len(packets[1][0])])  # one ping less of the second
    with pytest.warns(UserWarning, match="2 pings without samples"):
        assert np.isnan(formats.read(path).signals[2:, 0, 3]).all()


def test_a_broken_ping_is_not_taken_for_the_end_of_a_channel(tmp_path: Path) -> None:
    path, whole = tmp_path / "B001.SON", son_bytes([bytes(range(1, 40))] * 3)
    path.write_bytes(whole[:200] + b"garbage" + whole)
    with pytest.raises(DataError, match=r"no ping at byte 212; .*cut the file before"):
        formats.read(path)
    for cut in (2, 30, 90):
        path.write_bytes(whole + whole[:cut])
        with pytest.warns(UserWarning, match=f"ends within a ping: {cut} bytes are left"):
            assert formats.read(path).signals.shape == (1, 1, 3, 39)


def test_ibm_floats_are_refused(tmp_path: Path) -> None:
    content = bytearray(xtf_bytes([[6]], size=4))
    content[256 + 74] = 1
    (tmp_path / "a.xtf").write_bytes(content)
    with pytest.raises(DataError, match="channel 0 has IBM floats"):
        formats.read(tmp_path / "a.xtf")


@pytest.mark.parametrize("padding", [0, 40])
def test_older_xtf_files_state_their_samples_in_the_file_header(padding: int, tmp_path: Path) -> None:
    counts = [[20, 20]] * 3
    (tmp_path / "new.xtf").write_bytes(xtf_bytes(counts))
    old = bytearray(xtf_bytes(counts, older=20))
    length = (len(old) - HEADER) // 3
    pings = [bytearray(old[HEADER + k * length : HEADER + (k + 1) * length]) + bytes(padding) for k in range(3)]
    for ping in pings:
        struct.pack_into("<I", ping, 10, length + padding)
    content = bytes(old[:HEADER]) + b"".join(pings)
    (tmp_path / "old.xtf").write_bytes(content)
    new, recording = (formats.read(tmp_path / name) for name in ("new.xtf", "old.xtf"))
    np.testing.assert_array_equal(recording.signals, new.signals)
    assert formats.write(recording, tmp_path / "out.xtf").read_bytes() == content


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_ping_without_samples_is_not_taken_for_one_of_an_older_file(tmp_path: Path) -> None:
    content = bytearray(xtf_bytes([[6, 6], [0, 300], [0, 0]]))
    struct.pack_into("<I", content, 256 + 8, 40)  # what newer programs write there for older ones
    struct.pack_into("<I", content, 256 + 128 + 8, 40)
    content[-600 - 2 * CHANNEL_HEADER - PING_HEADER : -2 * CHANNEL_HEADER - PING_HEADER] = bytes(600)
    (tmp_path / "a.xtf").write_bytes(content)
    assert formats.read(tmp_path / "a.xtf").metadata.counts.tolist() == [[6, 0, 0], [6, 300, 0]]


def test_channels_that_are_numbered_from_1_are_taken_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "0.xtf").write_bytes(xtf_bytes([[6, 6], [6, 6]]))
    content = xtf_bytes([[6, 6], [6, 6]], first=1)
    (tmp_path / "1.xtf").write_bytes(content)
    with pytest.warns(UserWarning, match="describes no channels 1, 2, as pings have"):
        recording = formats.read(tmp_path / "1.xtf")
    np.testing.assert_array_equal(recording.signals, formats.read(tmp_path / "0.xtf").signals)
    assert formats.write(recording, tmp_path / "out.xtf").read_bytes() == content
    (tmp_path / "7.xtf").write_bytes(xtf_bytes([[6], [6, 6, 6]], first=1))
    with pytest.raises(DataError, match="ping 0 is of channel 1; expected one that the file header describes"):
        formats.read(tmp_path / "7.xtf")


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
    with pytest.warns(UserWarning, match="no 16-bit sample is above 32767"):
        assert full_scale(np.array([3, 32767], np.uint16), "a") == 32767.0
    assert full_scale(np.array([3, 40000], np.uint16), "a") == 65535.0
    levels = np.random.default_rng(0).integers(1, 200, (9, 9)).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    with pytest.warns(UserWarning, match="16 bits holds 8-bit values"):
        recording = formats.read(tmp_path / "deep.png")
    np.testing.assert_allclose(recording.signals[0, 0], levels / 255, atol=1e-5)
    formats.write(recording, tmp_path / "again.png")
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "again.png")), levels)


def test_a_picture_of_16_bits_below_32767_keeps_its_white(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(300, 30000, (9, 9)).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "dim.png")
    np.testing.assert_allclose(formats.read(tmp_path / "dim.png").signals[0, 0], levels / 65535, atol=1e-5)
    np.save(tmp_path / "dim.npy", levels)
    np.testing.assert_allclose(formats.read(tmp_path / "dim.npy").signals[0, 0], levels / 32767, atol=1e-5)


@pytest.mark.parametrize("kind", ["int32", "uint32", "int64"])
def test_wide_types_that_hold_16_bits_are_not_black(kind: str, tmp_path: Path) -> None:
    for highest, scale in ((60000, 65535.0), (30000, 32767.0)):
        samples = np.linspace(1, highest, 63).reshape(9, 7).astype(kind)
        np.save(tmp_path / "a.npy", samples)
        with pytest.warns(UserWarning, match="-bit samples hold 16-bit values"):
            recording = formats.read(tmp_path / "a.npy")
        np.testing.assert_allclose(recording.signals[0, 0], samples / scale, rtol=1e-6)
        np.testing.assert_array_equal(np.load(formats.write(recording, tmp_path / "b.npy")), samples)
    with pytest.warns(UserWarning, match="-bit samples hold 24-bit values; 16777215 is taken for full scale"):
        assert full_scale(np.array([70000], kind), "a") == 2.0**24 - 1
    assert full_scale(np.array([2**24], kind), "a") == float(np.iinfo(kind).max)


@pytest.mark.parametrize("end", ["npy", "npz", "h5"])
@pytest.mark.parametrize("highest", [1.0001, 3.4, 256.5, 40000.5])
def test_floats_are_not_black_because_of_one_high_sample(end: str, highest: float, tmp_path: Path) -> None:
    import h5py

    samples = np.random.default_rng(0).uniform(0.3, 0.9, (9, 7)).astype(np.float32) * np.float32(min(highest, 257.0))
    samples[0, 0] = highest
    path = tmp_path / f"a.{end}"
    if end == "npy":
        np.save(path, samples)
    elif end == "npz":
        np.savez(path, echo=samples)
    else:
        with h5py.File(path, "w") as file:
            file["echo"] = samples
    with pytest.warns(UserWarning, match="floats go up to .* is taken for full scale"):
        recording = formats.read(path)
    np.testing.assert_allclose(recording.signals[0, 0], samples / np.float32(highest), rtol=1e-6)


def test_floats_that_are_counts_keep_the_scale_of_their_counter() -> None:
    for highest, scale in ((200.0, 255.0), (256.0, 32767.0), (40000.0, 65535.0), (70000.0, 70000.0)):
        with pytest.warns(UserWarning, match=f"{scale:g} is taken for full scale"):
            assert full_scale(np.array([3.0, np.nan, np.inf, highest]), "a") == scale
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert full_scale(np.array([0.2, 1.0]), "a") == 1.0


@pytest.mark.parametrize("end", ["npy", "xtf"])
def test_decibels_are_refused(end: str, tmp_path: Path) -> None:
    decibels = np.linspace(-60, 20, 60).astype("<f4").reshape(10, 6)
    path = tmp_path / f"a.{end}"
    if end == "npy":
        np.save(path, decibels)
    else:
        content = bytearray(xtf_bytes([[6]] * 10, size=4))
        content[256 + 74] = 5  # the samples' format: IEEE floats
        for ping, row in enumerate(decibels):
            start = HEADER + (ping + 1) * (PING_HEADER + CHANNEL_HEADER) + ping * 24
            content[start : start + 24] = row.tobytes()
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"75 % of the samples are negative.*convert decibels") as caught:
        formats.read(path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("kind", ["<i2", "<f4"])
def test_waveforms_and_fill_values_are_no_amplitudes(kind: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "a.npy"
    waveform = 3000 * np.sin(np.arange(2400) / 3).reshape(40, 60) + 1.0
    echo = generator.integers(100, 30000, (40, 60)).astype(kind)
    filled = echo.copy()
    filled[:, :10] = -9999
    for samples, lowest in ((waveform.astype(kind), "-299"), (filled, "-9999")):
        np.save(path, samples)
        with pytest.raises(DataError, match=rf"% of the samples are negative, down to {lowest}.*a mask"):
            formats.read(path)
    mask = np.ones((40, 60), bool)
    mask[:, :10] = False
    np.savez(tmp_path / "a.npz", echo=filled, mask=mask)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*negative")
        found = formats.read(tmp_path / "a.npz").signals[0, 0]
    np.testing.assert_array_equal(np.isnan(found), ~mask)
    echo[3, :30] = -40  # noise about 0
    np.save(path, echo)
    with pytest.warns(
        UserWarning, match=r"a\.npy: 1\.2 % of the samples are negative, down to -40; they are taken for 0"
    ):
        formats.read(path)


def test_what_a_mask_leaves_out_does_not_set_the_scale(tmp_path: Path) -> None:
    import h5py

    echo, mask = np.random.default_rng(0).random((2, 9, 7)).astype(np.float32), np.ones((2, 9, 7), bool)
    echo[0, 0, :4], mask[0, 0, :4] = 1e20, False
    np.savez(tmp_path / "a.npz", echo=echo, mask=mask)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["echo"], file["mask"] = echo, mask
    for end in ("npz", "h5"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = formats.read(tmp_path / f"a.{end}").signals[:, 0]
        np.testing.assert_array_equal(found[mask], echo[mask])


def test_arrays_of_another_order_of_bytes_come_back_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, (16 * np.arange(1, 4001, 50).reshape(8, 10)).astype(">u2"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recording = formats.read(path)
    formats.write(recording.with_signals(recording.signals * np.float32(0.5)), tmp_path / "b.npy")
    back = np.load(tmp_path / "b.npy")
    assert back.dtype == np.dtype(">u2")
    np.testing.assert_allclose(back, np.load(path) / 2, atol=1)


def test_amplitudes_are_those_of_double_precision() -> None:
    generator = np.random.default_rng(0)
    for samples in (generator.integers(0, 2**32, (40, 50), dtype=np.uint32), generator.gamma(2.0, 300.0, (40, 50))):
        expected = (samples.astype(np.float64) / 65535.0).astype(np.float32)
        np.testing.assert_array_equal(to_echo(samples, 65535.0), expected)


def test_channels_of_an_xtf_file_keep_their_ratio(tmp_path: Path) -> None:
    path = tmp_path / "a.xtf"
    content = bytearray(xtf_bytes([[400, 400], [400, 400]]))
    path.write_bytes(content)
    before = formats.read(path)
    struct.pack_into("<H", content, int(before.metadata.offsets[1, 0]), 40000)
    path.write_bytes(content)
    after = formats.read(path)
    assert before.metadata.scales == (32767.0, 32767.0)
    assert after.metadata.scales == (65535.0, 65535.0)
    means = [recording.signals.mean(axis=(1, 2, 3)) for recording in (before, after)]
    assert means[1][0] / means[0][0] == pytest.approx(32767 / 65535)
    np.testing.assert_allclose(after.signals[:, 0, 1], before.signals[:, 0, 1] * np.float32(32767 / 65535), rtol=1e-5)


def test_a_float_that_is_no_number_does_not_set_the_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.xtf"
    content = bytearray(xtf_bytes([[6], [6]], size=4))
    content[256 + 74] = 5  # the samples' format: IEEE floats
    recorded = np.linspace(0, 5000, 6).astype("<f4")
    recorded[0] = np.nan
    for ping in range(2):
        start = HEADER + (ping + 1) * (PING_HEADER + CHANNEL_HEADER) + ping * 24
        content[start : start + 24] = recorded.tobytes()
    path.write_bytes(content)
    recording = formats.read(path)
    assert recording.metadata.scales == (32767.0,)
    assert np.isnan(recording.signals[0, 0, :, 0]).all()
    np.testing.assert_allclose(recording.signals[0, 0, 1, 1:], recorded[1:] / 32767, rtol=1e-6)


def lossy(folder: Path) -> dict[str, Path]:
    """A file of each format that holds one raster of echoes whose rows 30 to 35 are zero; of Oculus: whose columns are."""
    import h5py

    levels = np.random.default_rng(0).integers(1, 200, (100, 40)).astype(np.uint8)
    beams = levels.copy()
    levels[30:36] = 0
    beams[:, 30:36] = 0
    Image.fromarray(levels).save(folder / "a.png")
    np.save(folder / "a.npy", levels)
    np.savez(folder / "a.npz", echo=levels)
    with h5py.File(folder / "a.h5", "w") as file:
        file["echo"] = levels
    (folder / "a.SON").write_bytes(son_bytes([row.tobytes() for row in levels]))
    content = bytearray(xtf_bytes([[40]] * 100, size=1))
    for ping, row in enumerate(levels):
        start = HEADER + (ping + 1) * (PING_HEADER + CHANNEL_HEADER) + ping * 40
        content[start : start + 40] = row.tobytes()
    (folder / "a.xtf").write_bytes(content)
    message = bytearray(oculus_bytes(1, 100, 40))
    message[-4000:] = beams.tobytes()
    (folder / "a.raw").write_bytes(message)
    return {end: folder / f"a.{end}" for end in ("png", "npy", "npz", "h5", "SON", "xtf", "raw")}


@pytest.mark.parametrize("end", ["png", "npy", "npz", "h5", "SON", "xtf", "raw"])
def test_lost_pings_are_gaps_and_what_fills_them_is_written(end: str, tmp_path: Path) -> None:
    path = lossy(tmp_path)[end]
    told = {"SON": "pings", "xtf": "pings", "raw": "beams"}.get(end, "rows or columns")
    with pytest.warns(UserWarning, match=f"6 {told} that are zero throughout are taken for lost"):
        recording = formats.read(path)
    lost = np.zeros((100, 40), dtype=bool)
    lost[(slice(None), slice(30, 36)) if end == "raw" else slice(30, 36)] = True
    np.testing.assert_array_equal(np.isnan(recording.signals[0, 0]), lost)
    filled = np.where(np.isnan(recording.signals), np.float32(0.5), recording.signals)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = formats.read(formats.write(recording.with_signals(filled), tmp_path / "out" / path.name))
    np.testing.assert_allclose(again.signals[0, 0][lost], 0.5, atol=0.003)
    np.testing.assert_array_equal(again.signals[0, 0][~lost], recording.signals[0, 0][~lost])
    with pytest.warns(UserWarning, match="taken for lost"):
        as_it_was = formats.read(formats.write(recording, tmp_path / "same" / path.name))
    np.testing.assert_array_equal(as_it_was.signals, recording.signals)


def test_colours_of_a_display_are_said_to_be_lost(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(1, 250, (40, 30)).astype(np.uint8)
    copper = Image.fromarray(grey)
    copper.putpalette([part for level in range(256) for part in (level, level // 2, 0)])
    copper.save(tmp_path / "copper.png")
    with pytest.warns(UserWarning, match=r"copper\.png has colours: .*written in greys"):
        recording = formats.read(tmp_path / "copper.png")
    assert Image.open(formats.write(recording, tmp_path / "b.png")).mode == "L"
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "three.png")
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "three.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("three.png", "three.jpg"):
            formats.read(tmp_path / name)


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_no_echo(kind: str, tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(1, 250, (40, 30)).astype(np.uint8)
    outside = np.abs(np.arange(30) - 15) > np.arange(40)[:, None] / 3 + 2
    grey[outside] = 255  # as programs that draw figures leave it
    opaque = np.where(outside, 0, 255).astype(np.uint8)
    if kind == "P":
        image = Image.fromarray(grey)
        image.putpalette([level for level in range(256) for _ in range(3)])
        image.save(tmp_path / "a.png", transparency=255)
    else:
        layers = [grey] * (3 if kind == "RGBA" else 1)
        Image.fromarray(np.stack([*layers, opaque], axis=-1)).save(tmp_path / "a.png")
    recording = formats.read(tmp_path / "a.png")
    np.testing.assert_array_equal(np.isnan(recording.signals[0, 0]), outside)
    formats.write(recording.with_signals(np.full((1, 1, 40, 30), 0.2, np.float32)), tmp_path / "b.png")
    back = np.asarray(Image.open(tmp_path / "b.png"))
    np.testing.assert_array_equal(back[..., -1], opaque)
    assert (back[..., 0][outside] == 255).all() and (back[..., 0][~outside] == 51).all()
    Image.fromarray(np.stack([grey, np.zeros_like(grey)], axis=-1)).save(tmp_path / "none.png")
    assert np.isfinite(formats.read(tmp_path / "none.png").signals).all(), "an opacity that means nothing"


@pytest.mark.parametrize(("kind", "none"), [("u1", 255), ("u1", 0), ("<u2", 65535), ("<u2", 7)])
def test_a_mosaic_keeps_its_place_and_what_stands_for_no_data(kind: str, none: int, tmp_path: Path) -> None:
    most = np.iinfo(kind).max
    samples = np.random.default_rng(0).integers(most // 50, most - 9, (40, 30)).astype(kind)
    outside = np.zeros((40, 30), bool)
    outside[10:20, 12:20] = True  # a hole between two lines of a survey
    samples[outside] = none
    tags = Image.Exif()
    tags[33550], tags[42112], tags[42113] = (0.5, 0.5, 0.0), "<GDALMetadata></GDALMetadata>", str(none)
    Image.fromarray(samples).save(tmp_path / "a.tif", exif=tags)
    recording = formats.read(tmp_path / "a.tif")
    echo = recording.signals[0, 0]
    np.testing.assert_array_equal(np.isnan(echo), outside)
    np.testing.assert_allclose(echo[~outside], samples[~outside] / most, rtol=1e-6)
    for level in (0.0, 1.0, none / most):
        formats.write(recording.with_signals(np.full((1, 1, 40, 30), level, np.float32)), tmp_path / "b.tif")
        with Image.open(tmp_path / "b.tif") as image:
            back = np.asarray(image)
            assert [image.tag_v2[tag] for tag in (33550, 42112, 42113)] == [tags[33550], tags[42112], str(none)]
        np.testing.assert_array_equal(back == none, outside)
        assert np.abs(back[~outside] - level * most).max() <= 1


def test_few_and_many_lost_lines_of_a_picture_are_marked(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(1, 200, (1000, 60)).astype(np.uint8)
    levels[300:306] = levels[500:560] = 0  # fewer, and more, than what may be the outside of a fan
    levels[:, 7] = 0
    levels[-5:] = 0  # where the record ends, nothing was lost
    Image.fromarray(levels).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match="67 rows or columns"):
        recording = formats.read(tmp_path / "a.png")
    lost = (levels == 0) & ((np.arange(1000) < 995)[:, None] | (np.arange(60) == 7))
    np.testing.assert_array_equal(np.isnan(recording.signals[0, 0]), lost)
    formats.write(recording.with_signals(np.nan_to_num(recording.signals, nan=0.2)), tmp_path / "b.png")
    written = np.asarray(Image.open(tmp_path / "b.png"))
    np.testing.assert_array_equal(written, np.where(lost, 51, levels))


def test_a_lost_row_of_a_fan_is_filled_inside_of_it_alone(tmp_path: Path) -> None:
    polar = np.random.default_rng(0).uniform(0.2, 0.8, (90, 50))
    picture = np.rint(255 * np.nan_to_num(fan(polar, rows=120))).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "whole.png")
    outside = np.isnan(formats.read(tmp_path / "whole.png").signals[0, 0])
    assert outside.any(1)[60:64].all() and not outside[60:64].all()
    torn = picture.copy()
    torn[61:63] = 0
    Image.fromarray(torn).save(tmp_path / "torn.png")
    with pytest.warns(UserWarning, match="2 rows or columns"):
        recording = formats.read(tmp_path / "torn.png")
    gaps = np.isnan(recording.signals[0, 0])
    assert gaps[61:63].all() and np.array_equal(np.delete(gaps, [61, 62], 0), np.delete(outside, [61, 62], 0))
    formats.write(recording.with_signals(np.full_like(recording.signals, 0.4)), tmp_path / "b.png")
    written = np.asarray(Image.open(tmp_path / "b.png"))
    between = outside[60] & outside[63]
    assert (written[61:63][:, between] == 0).all() and (written[61:63][:, ~between] == 102).all()
    assert (np.delete(written, [61, 62], 0)[np.delete(outside, [61, 62], 0)] == 0).all()


def test_lost_pings_of_a_waterfall_may_be_its_first_and_last(tmp_path: Path) -> None:
    pings = [bytes(range(1, 21))] * 6
    (tmp_path / "a.SON").write_bytes(son_bytes([bytes(20), *pings, bytes(20)]))
    with pytest.warns(UserWarning, match="2 pings that are zero throughout"):
        recording = formats.read(tmp_path / "a.SON")
    assert np.isnan(recording.signals[0, 0]).any(1).tolist() == [True, *[False] * 6, True]


@pytest.mark.parametrize("end", ["xtf", "SON", "raw"])
def test_ranges_that_were_blanked_are_not_lost(end: str, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(1, 200, (60, 40)).astype(np.uint8)
    levels[:, 4:20] = 0  # a transmit pulse, a blanked water column, then the seabed
    path = tmp_path / f"a.{end}"
    if end == "xtf":
        content = bytearray(xtf_bytes([[40]] * 60, size=1))
        for ping, row in enumerate(levels):
            start = HEADER + (ping + 1) * (PING_HEADER + CHANNEL_HEADER) + ping * 40
            content[start : start + 40] = row.tobytes()
    elif end == "SON":
        content = bytearray(son_bytes([row.tobytes() for row in levels]))
    else:
        levels = levels.T
        content = bytearray(oculus_bytes(1, 40, 60))
        content[-2400:] = levels.tobytes()
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recording = formats.read(path)
    np.testing.assert_array_equal(recording.signals[0, 0], levels / np.float32(255.0))
    filled = recording.with_signals(np.nan_to_num(recording.signals, nan=0.3))
    assert formats.write(filled, tmp_path / "out" / path.name).read_bytes() == bytes(content)


def test_a_raster_of_few_echoes_has_lost_nothing(tmp_path: Path) -> None:
    levels = np.zeros((40, 40), np.uint8)
    levels[5, 5] = levels[30, 20] = 200
    np.save(tmp_path / "a.npy", levels)
    assert not np.isnan(formats.read(tmp_path / "a.npy").signals).any()


@pytest.mark.parametrize("end", ["npz", "h5"])
def test_gaps_of_a_mask_are_written_as_they_were_filled(end: str, tmp_path: Path) -> None:
    import h5py

    levels = np.random.default_rng(0).integers(1, 200, (12, 8)).astype(np.uint8)
    mask = np.random.default_rng(1).random((12, 8)) > 0.2
    path = tmp_path / f"a.{end}"
    if end == "npz":
        np.savez(path, echo=levels, mask=mask)
    else:
        with h5py.File(path, "w") as file:
            file["echo"], file["mask"] = levels, mask
    recording = formats.read(path)
    assert np.array_equal(np.isnan(recording.signals[0, 0]), ~mask)
    out = formats.write(recording.with_signals(np.nan_to_num(recording.signals, nan=0.8)), tmp_path / f"b.{end}")
    stored = np.load(out) if end == "npz" else h5py.File(out)
    np.testing.assert_array_equal(stored["echo"][()], np.where(mask, levels, 204))
    np.testing.assert_array_equal(stored["mask"][()], mask, "it still says what was recorded")
    stored.close()


def test_a_mask_that_does_not_fit_gets_one_clear_line(tmp_path: Path) -> None:
    import h5py

    def wrong(file: h5py.File) -> None:
        file["mask"] = np.ones((3, 5), bool)

    def group(file: h5py.File) -> None:
        file.create_group("mask")

    def words(file: h5py.File) -> None:
        file["mask"] = ["yes", "no"]

    for number, (make, message) in enumerate(
        ((wrong, r"a mask of shape \(3, 5\); expected \(2, 12, 8\)"), (group, "no data set"), (words, "no data set"))
    ):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["echo"] = np.ones((2, 12, 8), np.uint8)
            make(file)
        with pytest.raises(DataError, match=message) as caught:
            formats.read(tmp_path / f"{number}.h5")
        assert f"{number}.h5" in str(caught.value)


@pytest.mark.parametrize("end", ["npy", "npz"])
def test_arrays_with_broken_bytes_get_one_clear_line(end: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{end}"
    levels = np.random.default_rng(0).integers(1, 200, (40, 40)).astype(np.uint8)
    if end == "npy":
        np.save(path, levels)
        path.write_bytes(path.read_bytes().replace(b"}", b" "))  # the header has no end
    else:
        np.savez_compressed(path, echo=levels)
        content = path.read_bytes()
        path.write_bytes(content[:60] + b"\xff" * 4 + content[64:])  # within what is compressed
    with pytest.raises(DataError, match="is no array of numbers") as caught:
        formats.read(path)
    assert "\n" not in str(caught.value)


def test_hdf5_files_with_broken_bytes_get_one_clear_line(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["echo"] = np.random.default_rng(0).integers(1, 200, (12, 8)).astype(np.uint8)
    whole = path.read_bytes()

    def damage(start: int) -> None:
        path.write_bytes(whole[:start] + b"\xf0\x9f\x03\x7f\xff\x11" + whole[start + 6 :])

    for start in (64, whole.index(b"TREE") + 24, whole.index(b"HEAP") + 24):
        damage(start)
        with pytest.raises(DataError, match=r"no HDF5 file that can be read|a data set named echo") as caught:
            formats.read(path)
        assert "a.h5" in str(caught.value) and "\n" not in str(caught.value)
    for start in range(8, len(whole) - 96, 8):
        damage(start)
        with contextlib.suppress(DataError):  # some bytes do not matter; nothing else is ever raised
            formats.read(path)


def test_echoes_that_a_copy_would_not_hold_are_refused(tmp_path: Path) -> None:
    import h5py

    levels = np.random.default_rng(0).integers(1, 200, (12, 8)).astype(np.uint8)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["echo"] = levels
    before = (tmp_path / "other.h5").read_bytes()
    layout = h5py.VirtualLayout((12, 8), np.uint8)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "echo", (12, 8))
    cases: dict[str, tuple[object, str]] = {
        "gone": (h5py.ExternalLink("gone.h5", "/echo"), "no HDF5 file that can be read"),
        "nowhere": (h5py.SoftLink("/nowhere"), "no HDF5 file that can be read"),
        "empty": (h5py.Empty("f4"), "echo is empty"),
        "link": (h5py.ExternalLink(str(tmp_path / "other.h5"), "/echo"), "echo lies in another file"),
        "virtual": (layout, "echo lies in another file"),
    }
    for name, (echo, message) in cases.items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            if name == "virtual":
                file.create_virtual_dataset("echo", echo)
            else:
                file["echo"] = echo
        with pytest.raises(DataError, match=message) as caught:
            formats.read(path)
        assert path.name in str(caught.value)
    with h5py.File(tmp_path / "mask.h5", "w") as file:
        file["echo"], file["mask"] = levels, h5py.Empty("f4")
    with pytest.raises(DataError, match="mask is no data set"):
        formats.read(tmp_path / "mask.h5")
    assert (tmp_path / "other.h5").read_bytes() == before


@pytest.mark.parametrize("kind", ["<u1", "<u2", "<u4"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gains_of_oculus_messages_are_left_as_they_are(kind: str, tmp_path: Path) -> None:
    for beams in (4, 7):  # with 4 beams the image is as large as one of wider samples
        plain, gained = tmp_path / "plain.raw", tmp_path / "gained.raw"
        plain.write_bytes(oculus_bytes(3, 5, beams, kind=kind))
        content = oculus_bytes(3, 5, beams, kind=kind, gains=(0, 2))
        gained.write_bytes(content)
        recording = formats.read(gained)
        np.testing.assert_array_equal(recording.signals, formats.read(plain).signals)
        assert formats.write(recording, tmp_path / "same.raw").read_bytes() == content
        dark = formats.write(recording.with_signals(recording.signals * 0), tmp_path / "dark.raw").read_bytes()
        assert dark.count(struct.pack("<f", 1.5)) == 10
        changed = {i for i, (a, b) in enumerate(zip(content, dark, strict=True)) if a != b}
        assert changed and changed <= changed_places(gained, recording)


def record(folder: Path, name: str, channels: int, *, dat: bool, seed: int = 0) -> None:
    """A Humminbird record of 40 pings of 40 samples, with or without its ``.DAT``."""
    (folder / name).mkdir(parents=True)
    for c in range(channels):
        levels = np.random.default_rng((seed, c)).integers(1, 200, (40, 40)).astype(np.uint8)
        (folder / name / f"B00{c}.SON").write_bytes(son_bytes([row.tobytes() for row in levels]))
        (folder / name / f"B00{c}.IDX").write_bytes(b"\0" * 8)
    if dat:
        (folder / f"{name}.DAT").write_bytes(b"\0" * 64)


def test_a_humminbird_record_is_one_source(tmp_path: Path) -> None:
    for k in range(6):
        record(tmp_path, f"R{k}", 2, dat=True, seed=k)
    items = Sonar(tmp_path, size=16).everything()
    assert set(items.groups.tolist()) == {f"R{k}.DAT" for k in range(6)}
    assert items.class_names == ("",)
    assert len({item.tobytes() for item in items.signals}) == len(items) == 6 * 2 * 4
    before = items.sha256
    changed = bytearray((tmp_path / "R1" / "B001.SON").read_bytes())
    changed[-1] ^= 255
    (tmp_path / "R1" / "B001.SON").write_bytes(changed)
    assert Sonar(tmp_path, size=16).everything().sha256 != before, "what a .DAT reads belongs to its contents"
    alone = Sonar(tmp_path / "R1.DAT", size=16).everything().sha256
    (tmp_path / "R1" / "B001.SON").write_bytes(bytes(changed[:-1]) + b"\1")
    assert Sonar(tmp_path / "R1.DAT", size=16).everything().sha256 != alone


def test_lone_channels_of_a_record_stay_together(tmp_path: Path) -> None:
    for k in range(6):
        record(tmp_path, f"R{k}", 3, dat=k == 5, seed=k)
    domain = Sonar(tmp_path, size=16)
    items = domain.everything()
    assert set(items.groups.tolist()) == {*(f"R{k}/B000.SON" for k in range(5)), "R5.DAT"}
    assert items.class_names == ("",), "a record's folder is no class"
    folders = [{name.split("/")[0] for name in domain.dataset(split).names.tolist()} for split in ("train", "test")]
    assert not folders[0] & folders[1] and folders[1]
    channels = Sonar(tmp_path, size=16, include="B00*").everything()
    assert "R5/B000.SON" in channels.groups, "where the .DAT is not asked for, its channels are read alone"


@pytest.mark.parametrize("silent", [b"", son_bytes([b""] * 3)], ids=["no bytes", "pings without samples"])
def test_a_silent_channel_does_not_condemn_its_record(silent: bytes, tmp_path: Path) -> None:
    record(tmp_path, "whole", 3, dat=True)
    record(tmp_path, "R", 3, dat=True)
    (tmp_path / "R" / "B000.SON").write_bytes(silent)
    with pytest.warns(UserWarning, match="channels without samples are left as they are: B000.SON"):
        recording = formats.read(tmp_path / "R.DAT")
    np.testing.assert_array_equal(recording.signals, formats.read(tmp_path / "whole.DAT").signals[1:])
    formats.write(recording, tmp_path / "out" / "S.DAT")
    names = sorted(p.name for p in (tmp_path / "R").iterdir())
    assert sorted(p.name for p in (tmp_path / "out" / "S").iterdir()) == names
    for name in names:
        assert (tmp_path / "out" / "S" / name).read_bytes() == (tmp_path / "R" / name).read_bytes(), name
    for c in (1, 2):
        (tmp_path / "R" / f"B00{c}.SON").write_bytes(silent)
    for name in ("R.DAT", "R/B000.SON"):
        with pytest.raises(DataError, match=r"B000\.SON (is empty|holds no ping with samples)"):
            formats.read(tmp_path / name)


def test_a_dat_that_is_no_record_is_unused(tmp_path: Path) -> None:
    for k in range(10):
        levels = np.random.default_rng(k).integers(1, 200, (20, 20)).astype(np.uint8)
        Image.fromarray(levels).save(tmp_path / f"{k}.png")
    (tmp_path / "navigation.dat").write_text("1 2 3\n")
    (tmp_path / "notes.txt").write_text("none\n")
    record(tmp_path, "R", 1, dat=True)
    items = Sonar(tmp_path, size=16).everything()
    assert items.unused == ("R/B000.IDX", "navigation.dat", "notes.txt")
    assert not items.skipped and "R.DAT" in items.groups
    with pytest.raises(DataError, match=r"has no \.SON files"):
        formats.read(tmp_path / "navigation.dat")


def test_the_real_humminbird_record_is_read_once(test_data: Path) -> None:
    items = Sonar(test_data / "sonar" / "raw" / "humminbird").everything()
    assert (set(items.groups.tolist()), items.class_names) == ({"test.DAT"}, ("",))
    assert len({item.tobytes() for item in items.signals}) == len(items) == 161
