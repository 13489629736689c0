"""Pictures: what cannot be read or written is named, in one line."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from domains.decoding import CorruptPicture, eight_bit, open_picture
from domains.pictures import read_picture, write_picture
from vaegan.errors import DataError

ROWS, COLUMNS = 13, 22
ORIENTATION = ExifTags.Base.Orientation


def picture(mode: str, seed: int = 0) -> Image.Image:
    """Noise in any mode, wider than high so that a swap of the axes shows."""
    rng = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (ROWS, COLUMNS), dtype=np.uint16))
    if mode == "1":
        return Image.fromarray(rng.random((ROWS, COLUMNS)) > 0.5)
    if mode == "P":
        return picture("RGB", seed).quantize(40)
    depth = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    pixels = rng.integers(0, 256, (ROWS, COLUMNS, depth), dtype=np.uint8)
    return Image.fromarray(pixels[..., 0]) if depth == 1 else Image.fromarray(pixels, mode=mode)


def png(chunks: tuple[bytes, ...]) -> bytes:
    """A PNG of these chunks, each its type and content."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def huge_png(columns: int, rows: int) -> bytes:
    """A PNG of no pixels: whoever decodes it fails otherwise than by its size."""
    return png((b"IHDR" + struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0), b"IDAT", b"IEND"))


def broken(kind: str) -> tuple[str, bytes]:
    """A file's name, and content that is no whole single picture."""
    stream = io.BytesIO()
    if kind == "text":
        return "a.png", b"not a picture\n"
    if kind == "empty":
        return "a.png", b""
    if kind == "huge":
        return "a.png", huge_png(30000, 30000)
    if kind == "large":
        return "a.png", huge_png(10100, 10000)
    if kind == "truncated":
        picture("RGB").resize((200, 200)).save(stream, "JPEG")
        return "a.jpg", stream.getvalue()[:-800]
    if kind == "broken":
        picture("RGB").save(stream, "PNG")
        content = bytearray(stream.getvalue())
        content[60:90] = bytes(30)
        return "a.png", bytes(content)
    if kind == "float":
        Image.fromarray(np.ones((4, 4), np.float32)).save(stream, "TIFF")
        return "a.tif", stream.getvalue()
    form = {"gif": "GIF", "tif": "TIFF"}[kind]
    picture("L").save(stream, form, save_all=True, append_images=[picture("L", 1), picture("L", 2)])
    return f"a.{kind}", stream.getvalue()


def test_sixteen_bit_colour_is_not_cut_in_silence(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + bytes([value, 0] * 3 * 4) for value in (10, 200))
    head = struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(png((b"IHDR" + head, b"IDAT" + zlib.compress(rows), b"IEND")))
    with pytest.warns(UserWarning, match=r"a\.png: 16-bit colour is read, and will be written, at 8 bits"):
        recording = read_picture(tmp_path / "a.png", 3)
    assert np.unique(recording.signals).tolist() == [10, 200]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("text", "not a picture"),
        ("empty", "not a picture"),
        ("huge", "more than 100 megapixels"),
        ("large", "more than 100 megapixels"),
        ("truncated", "truncated"),
        ("broken", "cannot be decoded"),
        ("float", "floating-point"),
        ("gif", "3 frames"),
        ("tif", "3 frames"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, kind: str, reason: str) -> None:
    name, content = broken(kind)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        read_picture(tmp_path / name, 3)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_data_set_takes_the_first_frame(tmp_path: Path) -> None:
    _, content = broken("gif")
    np.testing.assert_array_equal(np.asarray(eight_bit(open_picture(content), "L")), np.asarray(picture("L")))


def test_sixteen_bit_greys_are_scaled_not_clipped() -> None:
    ramp = Image.fromarray(np.arange(0, 65536, 257, dtype=np.uint16)[None])
    np.testing.assert_array_equal(np.asarray(eight_bit(ramp, "L"))[0], np.arange(256))
    with pytest.raises(CorruptPicture, match="beyond 16 bits"):
        eight_bit(Image.fromarray(np.full((2, 2), 70000, np.int32)), "L")


def test_missing_files_folders_and_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_picture(tmp_path / "none.png", 3)
    with pytest.raises(DataError, match="is a folder"):
        read_picture(tmp_path, 3)
    picture("L").save(tmp_path / "a.png")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(DataError, match=r"a\.png cannot be read: Permission denied"):
        read_picture(tmp_path / "a.png", 3)


def test_values_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    picture("L").save(tmp_path / "a.png")
    recording = read_picture(tmp_path / "a.png", 1)
    recording.signals[0, 0, 2, 3] = np.nan
    with pytest.raises(DataError, match=f"1 of {ROWS * COLUMNS} values are not finite"):
        write_picture(recording, tmp_path / "b.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture("L").save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    recording = read_picture(tmp_path / "a.png", 1)

    def fail(self: Image.Image, place: Path, **_: Any) -> None:
        Path(place).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(DataError, match=r"cannot be written: No space left on device.*--out"):
        write_picture(recording, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == content


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    picture("RGBA").save(tmp_path / "a.png")
    recording = read_picture(tmp_path / "a.png", 3)
    with pytest.raises(DataError, match=r"a\.png/b\.png cannot be written.*--out"):
        write_picture(recording, tmp_path / "a.png" / "b.png")
    with pytest.raises(DataError, match=r"JPEG cannot hold pixels of mode RGBA.*\.png.*write it under such an ending"):
        write_picture(recording, tmp_path / "b.jpg")
    with pytest.raises(DataError, match=r"no picture format ends in '\.xyz'"):
        write_picture(recording, tmp_path / "b.xyz")
    with pytest.raises(DataError, match="expected the source's"):
        write_picture(recording.with_signals(recording.signals[..., :5]), tmp_path / "b.png")
    with pytest.raises(DataError, match="signals of shape"):
        write_picture(recording.with_signals(recording.signals[0]), tmp_path / "b.png")


def test_a_tiff_with_broken_tags_is_whole_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    Image.fromarray(pixels).save(tmp_path / "a.tif")

    def broken(self: Image.Exif) -> Any:
        raise KeyError(34853)

    monkeypatch.setattr(Image.Exif, "items", broken)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif", 1).signals[0, 0], pixels)
