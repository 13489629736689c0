"""Pictures: what is read can be written back."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps, IptcImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from domains.picture_metadata import PictureMetadata, _without_thumbnail
from domains.picture_sets import fit_square, read_square
from domains.pictures import draw_pictures, read_picture, write_picture
from vaegan.domain import Recording

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


def there_and_back(source: Path, channels: int = 3) -> tuple[Image.Image, Image.Image]:
    """The source, and what comes of reading and writing it."""
    target = source.with_name(f"back{source.suffix}")
    assert write_picture(read_picture(source, channels), target) == target
    with Image.open(source) as before, Image.open(target) as after:
        before.load()
        after.load()
        return before, after


@pytest.mark.parametrize(
    ("mode", "channels"),
    [
        *((mode, 3) for mode in ("1", "L", "LA", "RGB", "RGBA", "I;16")),
        *((mode, 1) for mode in ("1", "L", "LA", "I;16")),
    ],
)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_lossless_formats_come_back_equal(tmp_path: Path, mode: str, ending: str, channels: int) -> None:
    source = tmp_path / f"a.{ending}"
    picture(mode).save(source)
    before, after = there_and_back(source, channels)
    assert after.mode == before.mode == mode
    np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("L", "bmp"), ("RGB", "bmp"), ("1", "bmp"), ("L", "pgm"), ("RGB", "ppm"), ("I;16", "pgm"), ("1", "ppm")],
)
def test_other_lossless_formats_come_back_equal(tmp_path: Path, mode: str, ending: str) -> None:
    source = tmp_path / f"a.{ending}"
    picture(mode).save(source)
    before, after = there_and_back(source)
    assert after.mode == before.mode
    np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_is_written_without_loss(tmp_path: Path, mode: str) -> None:
    source = tmp_path / "a.webp"
    picture(mode).save(source, lossless=True, exact=True)
    before, after = there_and_back(source)
    assert after.mode == mode
    np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


@pytest.mark.parametrize(
    ("ending", "transparent"), [("png", False), ("png", True), ("tif", False), ("gif", False), ("gif", True)]
)
def test_palettes_keep_their_colours(tmp_path: Path, ending: str, transparent: bool) -> None:
    source = tmp_path / f"a.{ending}"
    options: dict[str, Any] = {"transparency": 3} if transparent else {}
    picture("P").save(source, **options)
    before, after = there_and_back(source)
    mode = "RGBA" if transparent else "RGB"
    seen, expected = np.asarray(after.convert(mode)), np.asarray(before.convert(mode))
    visible = expected[..., -1] > 0 if transparent else np.ones((ROWS, COLUMNS), bool)
    np.testing.assert_array_equal(seen[visible], expected[visible])
    if transparent:
        assert not visible.all()
        np.testing.assert_array_equal(seen[..., -1], expected[..., -1])


def test_sixteen_bits_keep_their_fractions_through_a_change(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    picture("I;16").save(source)
    recording = read_picture(source, 3)
    assert recording.signals.dtype == np.float32
    assert recording.signals.max() <= 255
    write_picture(recording.with_signals(recording.signals / 2), tmp_path / "half.png")
    half = np.asarray(Image.open(tmp_path / "half.png")).astype(int)
    np.testing.assert_allclose(half, np.asarray(Image.open(source)) / 2, atol=0.51)
    assert len(np.unique(half)) > 256


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_cmyk_stays_cmyk(tmp_path: Path, ending: str) -> None:
    source = tmp_path / f"a.{ending}"
    smooth = Image.linear_gradient("L").resize((40, 30))
    Image.merge("CMYK", [smooth, smooth.transpose(Image.Transpose.ROTATE_180), smooth, smooth]).save(source)
    before, after = there_and_back(source)
    assert after.mode == before.mode == "CMYK"
    np.testing.assert_allclose(np.asarray(after.convert("RGB")), np.asarray(before.convert("RGB")).astype(int), atol=6)


def test_jpeg_is_written_well(tmp_path: Path) -> None:
    source = tmp_path / "a.jpeg"
    picture("RGB").save(source, quality=60)
    _, after = there_and_back(source)
    reference = tmp_path / "reference.jpg"
    picture("RGB").save(reference, quality=95)
    assert isinstance(after, JpegImagePlugin.JpegImageFile)
    assert JpegImagePlugin.get_sampling(after) == 0
    with Image.open(reference) as expected:
        assert after.quantization == expected.quantization


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_orientation_is_applied_and_undone(tmp_path: Path, orientation: int, ending: str) -> None:
    source = tmp_path / f"a.{ending}"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[ExifTags.Base.Artist] = "Ada"
    quality: dict[str, Any] = {"lossless": True} if ending == "webp" else {}
    mode = "RGB" if ending == "jpg" else "RGBA"
    Image.linear_gradient("L").resize((COLUMNS, ROWS)).convert(mode).save(source, exif=exif, **quality)
    with Image.open(source) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    recording = read_picture(source, 3)
    np.testing.assert_array_equal(draw_pictures(recording.signals)[0], np.asarray(upright))
    before, after = there_and_back(source)
    assert after.getexif()[ExifTags.Base.Artist] == "Ada"
    assert after.getexif().get(ORIENTATION, 1) == before.getexif().get(ORIENTATION, 1)
    np.testing.assert_allclose(np.asarray(after), np.asarray(before).astype(int), atol=3 if ending == "jpg" else 0)


def test_a_format_without_exif_gets_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture("RGB").save(tmp_path / "a.png", exif=exif)
    write_picture(read_picture(tmp_path / "a.png", 3), tmp_path / "b.bmp")
    assert Image.open(tmp_path / "b.bmp").size == (ROWS, COLUMNS)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_profile_resolution_and_texts_are_kept(tmp_path: Path, ending: str) -> None:
    source = tmp_path / f"a.{ending}"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "A face")
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Leica"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 200
    options: dict[str, Any] = {"pnginfo": texts} if ending == "png" else {}
    picture("RGB").save(source, icc_profile=profile, dpi=(300, 300), exif=exif.tobytes(), **options)
    before, after = there_and_back(source)
    assert after.info["icc_profile"] == profile
    assert after.getexif()[ExifTags.Base.Make] == "Leica"
    assert after.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 200
    if ending != "webp":
        assert after.info["dpi"] == pytest.approx(before.info["dpi"])
    if isinstance(after, PngImagePlugin.PngImageFile):
        assert after.text["Title"] == "A face"
    write_picture(read_picture(source, 1), source.with_name(f"grey.{ending}"))
    grey = Image.open(source.with_name(f"grey.{ending}"))
    assert ending == "webp" or "icc_profile" not in grey.info, "a colour profile does not describe greys"


PACKET = b'<x:xmpmeta><rdf:Description dc:rights="Ada"%s/></x:xmpmeta>'
ELEMENT = b"<x:xmpmeta><dc:rights>Ada</dc:rights>%s</x:xmpmeta>"


def save_with_xmp(path: Path, packet: bytes, exif: Image.Exif) -> None:
    """Each format has another way."""
    options: dict[str, Any] = {"xmp": packet}
    if path.suffix == ".png":
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", packet.decode())
    elif path.suffix == ".tif":
        exif[700], options = packet, {}
    picture("RGB").save(path, exif=exif, **options)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("stated", ["nowhere", "in XMP", "in EXIF", "in both"])
@pytest.mark.parametrize(
    ("packet", "tag"),
    [(PACKET, b' tiff:Orientation="6"'), (ELEMENT, b"<tiff:Orientation>6</tiff:Orientation>")],
)
def test_xmp_is_kept_and_the_picture_turned_once(
    tmp_path: Path, ending: str, stated: str, packet: bytes, tag: bytes
) -> None:
    source, exif = tmp_path / f"a.{ending}", Image.Exif()
    exif[ExifTags.Base.Artist] = "Ada"
    if stated in ("in EXIF", "in both"):
        exif[ORIENTATION] = 6
    save_with_xmp(source, packet % (tag if stated in ("in XMP", "in both") else b""), exif)
    before, after = there_and_back(source)
    assert after.info["xmp"].replace(b" ", b"") == (packet % b"").replace(b" ", b"")
    assert after.getexif()[ExifTags.Base.Artist] == "Ada"
    turned = [ImageOps.exif_transpose(image).convert("L") for image in (before, after)]
    assert turned[0].size == turned[1].size == ((COLUMNS, ROWS) if stated == "nowhere" else (ROWS, COLUMNS))
    if ending in ("png", "tif"):
        np.testing.assert_array_equal(*(np.asarray(image) for image in turned))


def iptc(caption: bytes = b"Oma, 1912") -> bytes:
    """IPTC's record: a caption, and a keyword."""
    fields = ((120, caption), (25, b"family"))
    return b"".join(b"\x1c\x02" + struct.pack(">BH", number, len(value)) + value for number, value in fields)


def resource(number: int, value: bytes, name: bytes = b"") -> bytes:
    """One of Photoshop's resources; names and values are padded to whole pairs of bytes."""
    told = bytes([len(name)]) + name
    head = b"8BIM" + struct.pack(">H", number) + told + b"\0" * (len(told) % 2)
    return head + struct.pack(">I", len(value)) + value + b"\0" * (len(value) % 2)


def jpeg_with_iptc(path: Path, record: bytes) -> None:
    payload = b"Photoshop 3.0\0" + resource(1061, b"12345", b"ab") + resource(1028, record)
    picture("RGB").save(path, extra=b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload)


def tiff_with_iptc(path: Path, tags: dict[int, bytes]) -> None:
    exif = Image.Exif()
    exif.update(tags)
    picture("RGB").save(path, exif=exif)


def caption_of(path: Path) -> Any:
    with Image.open(path) as image:
        found = IptcImagePlugin.getiptcinfo(image)
    return None if found is None else (found[2, 120], found[2, 25])


@pytest.mark.parametrize("ending", ["jpg", "tif"])
@pytest.mark.parametrize("kept_in", ["jpeg", "tag", "resource"])
def test_an_archive_s_caption_is_kept(kept_in: str, ending: str, tmp_path: Path) -> None:
    source, target = tmp_path / ("a.jpg" if kept_in == "jpeg" else "a.tif"), tmp_path / f"b.{ending}"
    if kept_in == "jpeg":
        jpeg_with_iptc(source, iptc())
    elif kept_in == "tag":
        tiff_with_iptc(source, {33723: iptc()})
    else:
        tiff_with_iptc(source, {34377: resource(1061, b"12345", b"a") + resource(1028, iptc())})
    write_picture(read_picture(source, 3), target)
    assert caption_of(target) == (b"Oma, 1912", b"family")
    assert read_picture(target, 3).metadata.iptc == iptc()


@pytest.mark.parametrize("block", [b"8BIM", b"8BIM\x04\x04", resource(1028, iptc())[:9], b"8BIM" * 9, b"", b"none"])
def test_a_broken_block_of_photoshop_is_no_reason_to_refuse_a_picture(block: bytes, tmp_path: Path) -> None:
    tiff_with_iptc(tmp_path / "a.tif", {34377: block})
    assert read_picture(tmp_path / "a.tif", 3).metadata.iptc == b""


def test_iptc_that_is_too_long_for_a_jpeg_is_left_out(tmp_path: Path) -> None:
    jpeg_with_iptc(tmp_path / "a.jpg", iptc(b"x" * 32_000))
    write_picture(read_picture(tmp_path / "a.jpg", 3), tmp_path / "b.jpg")
    assert caption_of(tmp_path / "b.jpg")[0] == b"x" * 32_000
    tiff_with_iptc(tmp_path / "a.tif", {33723: 3 * iptc(b"x" * 32_000)})
    write_picture(read_picture(tmp_path / "a.tif", 3), tmp_path / "c.jpg")
    assert caption_of(tmp_path / "c.jpg") is None


@pytest.mark.parametrize(
    "block", [b"", b"Exif\0\0", b"II*\0\x08\0\0\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"xy"]
)
def test_a_broken_block_of_exif_stays_as_it_is(block: bytes) -> None:
    assert _without_thumbnail(block) == block


def test_xmp_that_is_too_long_for_a_jpeg_is_left_out(tmp_path: Path) -> None:
    longest = 65_533 - len(b"http://ns.adobe.com/xap/1.0/\0")
    for extra in (0, 1):
        picture("RGB").save(tmp_path / "a.webp", xmp=b" " * (longest + extra), lossless=True)
        write_picture(read_picture(tmp_path / "a.webp", 3), tmp_path / "a.jpg")
        with Image.open(tmp_path / "a.jpg") as written:
            assert ("xmp" in written.info) == (extra == 0)


@pytest.mark.parametrize("ending", ["jpg", "gif"])
def test_a_comment_is_kept(tmp_path: Path, ending: str) -> None:
    picture("L").save(tmp_path / f"a.{ending}", comment=b"By Ada")
    _, after = there_and_back(tmp_path / f"a.{ending}")
    assert after.info["comment"] == b"By Ada"


def test_a_png_keeps_what_it_says_of_its_colours(tmp_path: Path) -> None:
    corners = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    chunks = PngImagePlugin.PngInfo()
    for name, content in (
        (b"gAMA", struct.pack(">I", 45455)),
        (b"cHRM", struct.pack(">8I", *corners)),
        (b"sRGB", b"\1"),
    ):
        chunks.add(name, content)
    picture("RGB").save(tmp_path / "a.png", pnginfo=chunks)
    before, after = there_and_back(tmp_path / "a.png")
    for key in ("gamma", "chromaticity", "srgb"):
        assert after.info[key] == before.info[key], key


def test_exif_in_a_text_of_a_png_turns_it_once(tmp_path: Path) -> None:
    exif, texts = Image.Exif(), PngImagePlugin.PngInfo()
    exif[ORIENTATION] = 6
    block = exif.tobytes().hex()
    texts.add_text("Raw profile type exif", f"\nexif\n{len(block) // 2}\n{block}\n")  # as ImageMagick writes it
    picture("RGB").save(tmp_path / "a.png", pnginfo=texts)
    before, after = there_and_back(tmp_path / "a.png")
    assert after.size == before.size
    assert after.getexif()[ORIENTATION] == 6
    np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


@pytest.mark.parametrize("key", ["dpi", "exif", "icc_profile", "xmp", "gamma", "srgb", "chromaticity", "comment"])
def test_texts_of_a_png_may_be_called_anything(tmp_path: Path, key: str) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text(key, "72")
    picture("RGB").save(tmp_path / "a.png", pnginfo=texts)
    before, after = there_and_back(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_broken_exif_does_not_spoil_a_picture(tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "a.jpg", exif=b"Exif\0\0no tags at all")
    before, after = there_and_back(tmp_path / "a.jpg")
    assert after.size == before.size


def test_a_tiff_keeps_its_compression(tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "a.tiff", compression="tiff_lzw")
    _, after = there_and_back(tmp_path / "a.tiff")
    assert after.info["compression"] == "tiff_lzw"


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("depth", [8, 16])
def test_white_may_be_zero(tmp_path: Path, compression: str, depth: int) -> None:
    inverted = picture("I;16") if depth == 16 else picture("L")
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 0
    inverted.save(tmp_path / "a.tif", tiffinfo=tags, compression=compression)
    # Pillow saves greys of 8 bits the other way round, and those of 16 bits as they stand.
    upright = np.asarray(inverted) if depth == 8 else 65535 - np.asarray(inverted)
    recording = read_picture(tmp_path / "a.tif", 1)
    np.testing.assert_allclose(recording.signals[0, 0], upright / (257 if depth == 16 else 1), rtol=1e-6)
    before, after = there_and_back(tmp_path / "a.tif")
    assert after.mode == before.mode
    assert isinstance(after, TiffImagePlugin.TiffImageFile)
    assert after.tag_v2[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] == 1
    np.testing.assert_array_equal(np.asarray(after), upright)
    square = read_square(tmp_path / "a.tif", size=ROWS, color=False, crop="centre")
    cropped = Image.fromarray(np.rint(recording.signals[0, 0]).astype(np.uint8))
    np.testing.assert_array_equal(square[0, 0], np.asarray(fit_square(cropped, ROWS, "centre")))


def test_a_grey_domain_sees_luma_and_writes_grey(tmp_path: Path) -> None:
    picture("RGBA").save(tmp_path / "a.png")
    recording = read_picture(tmp_path / "a.png", 1)
    assert recording.signals.shape == (1, 1, ROWS, COLUMNS)
    luma = np.asarray(picture("RGBA").convert("RGB").convert("L"), dtype=float)
    np.testing.assert_allclose(recording.signals[0, 0], luma, atol=1)
    write_picture(recording, tmp_path / "b.png")
    assert Image.open(tmp_path / "b.png").mode == "LA"


def test_names_without_an_ending_and_pictures_without_a_past(tmp_path: Path) -> None:
    picture("L").save(tmp_path / "a.png")
    recording = read_picture(tmp_path / "a.png", 3)
    assert recording.format == "PNG"
    assert isinstance(recording.metadata, PictureMetadata)
    assert write_picture(recording, tmp_path / "new" / "b") == tmp_path / "new" / "b.png"
    made = Recording(np.full((1, 3, 4, 5), 300.0), tmp_path / "made.png", "PNG")
    assert Image.open(write_picture(made, tmp_path / "made.png")).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_the_thumbnail_of_the_damaged_picture_is_not_kept(tmp_path: Path, order: str, ending: str) -> None:
    stream = io.BytesIO()
    picture("RGB").resize((4, 4)).save(stream, "JPEG")
    small = stream.getvalue()
    first, second = [(0x0112, 3, 1, 6), (0x010F, 2, 4, b"Cam\0")], [(0x0103, 3, 1, 6)]
    place = 8 + 2 + 12 * len(first) + 4
    second += [(0x0201, 4, 1, place + 2 + 12 * 3 + 4), (0x0202, 4, 1, len(small))]

    def directory(entries: list[tuple[int, int, int, Any]], following: int) -> bytes:
        packed = struct.pack(f"{order}H", len(entries))
        for tag, kind, count, value in entries:
            inside = value if isinstance(value, bytes) else struct.pack(f"{order}{'HI'[kind == 4]}", value)
            packed += struct.pack(f"{order}HHI", tag, kind, count) + inside.ljust(4, b"\0")
        return packed + struct.pack(f"{order}I", following)

    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    exif = b"Exif\0\0" + head + directory(first, place) + directory(second, 0) + small
    source = tmp_path / f"a.{ending}"
    picture("RGB").save(source, exif=exif)
    thumbnail = ExifTags.IFD.IFD1
    assert Image.open(source).getexif().get_ifd(thumbnail), "this file has one"
    kept = Image.open(write_picture(read_picture(source, 3), tmp_path / f"b.{ending}")).getexif()
    assert not kept.get_ifd(thumbnail)
    assert (kept[0x0112], kept[0x010F].rstrip("\0")) == (6, "Cam")


@pytest.mark.parametrize(
    ("name", "mode", "format_"),
    [
        ("a.jpg", "RGBA", "PNG"),
        ("a.jpg", "RGBA", "WEBP"),
        ("a.jpg", "I;16", "PNG"),
        ("a.jpg", "RGB", "PNG"),
        ("a.jfif", "RGB", "JPEG"),
        ("a", "LA", "PNG"),
    ],
)
def test_a_file_under_another_kinds_ending_comes_back_as_what_it_is(
    tmp_path: Path, name: str, mode: str, format_: str
) -> None:
    source = tmp_path / name
    picture(mode).save(source, format=format_, **({"lossless": True, "exact": True} if format_ == "WEBP" else {}))
    target = write_picture(read_picture(source, 3), tmp_path / "out" / name)
    assert target == tmp_path / "out" / name
    with Image.open(source) as before, Image.open(target) as after:
        assert (after.format, after.mode) == (format_, mode)
        if format_ != "JPEG":
            np.testing.assert_array_equal(np.asarray(after), np.asarray(before))
    if name == "a.jpg" and mode == "RGB":  # another ending is a wish for another format
        with Image.open(write_picture(read_picture(source, 3), tmp_path / "b.bmp")) as asked:
            assert asked.format == "BMP"


@pytest.mark.parametrize("channels", [1, 3])
def test_drawing(channels: int) -> None:
    drawn = draw_pictures(np.full((2, channels, 4, 6), [[[[np.nan, -5, 0, 99.6, 255, 900]]]]))
    assert drawn.shape == (2, 4, 6, 3)
    assert drawn.dtype == np.uint8
    assert drawn[0, 0, :, 0].tolist() == [0, 0, 0, 100, 255, 255]


def test_real_photographs_come_back(tmp_path: Path, test_data: Path) -> None:
    sources = sorted(
        path for path in (test_data / "photos" / "old").rglob("*") if path.suffix.lower() in (".png", ".jpg")
    )
    assert sources
    for source in sources[:3]:
        target = write_picture(read_picture(source, 3), tmp_path / source.name)
        with Image.open(source) as before, Image.open(target) as after:
            assert (after.mode, after.size, after.format) == (before.mode, before.size, before.format)
            if before.format == "PNG":
                np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


def cmyk(path: Path, seed: int = 0) -> np.ndarray:
    """Inks (rows, columns, 4), saved without loss."""
    inks = np.random.default_rng(seed).integers(0, 256, (ROWS, COLUMNS, 4), dtype=np.uint8)
    inks[0], inks[1, :, 3], inks[2, :, 3] = (0, 0, 0, 128), 255, 0
    Image.fromarray(inks, mode="CMYK").save(path)
    return inks


@pytest.mark.parametrize("orientation", [1, 6])
def test_inks_come_back_equal_where_nothing_changed(tmp_path: Path, orientation: int) -> None:
    source = tmp_path / "a.tif"
    inks = cmyk(source)
    recording = read_picture(source, 3)
    np.testing.assert_array_equal(np.asarray(Image.open(write_picture(recording, tmp_path / "b.tif"))), inks)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(inks, mode="CMYK").save(tmp_path / "c.jpg", quality=95, exif=exif)
    before, after = there_and_back(tmp_path / "c.jpg")
    assert after.size == before.size
    near = np.abs(np.asarray(after)[..., 3].astype(int) - np.asarray(before)[..., 3])
    assert near.mean() < 4, "the black plate is where it was"


def test_black_stays_black_under_a_change_of_colour(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    inks = cmyk(source)
    recording = read_picture(source, 3)
    darker = recording.with_signals(np.floor(recording.signals * 0.5))
    written = np.asarray(Image.open(write_picture(darker, tmp_path / "dark.tif")))
    np.testing.assert_array_equal(written[..., 3], inks[..., 3])
    lighter = recording.with_signals(255 - 0.25 * (255 - recording.signals))
    written = np.asarray(Image.open(write_picture(lighter, tmp_path / "light.tif")))
    assert (written[..., 3] <= inks[..., 3]).all() and (written[..., 3] < inks[..., 3]).any()
    for name, changed in (("dark", darker), ("light", lighter)):
        seen = read_picture(tmp_path / f"{name}.tif", 3).signals
        np.testing.assert_allclose(seen, np.rint(changed.signals), atol=1, err_msg=name)
    one = recording.signals.copy()
    one[0, :, 4, 5] = 0
    written = np.asarray(Image.open(write_picture(recording.with_signals(one), tmp_path / "one.tif"))).copy()
    written[4, 5] = inks[4, 5]
    np.testing.assert_array_equal(written, inks, "only one pixel changed")
