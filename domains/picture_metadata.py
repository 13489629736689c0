"""What a picture's file says beside its pixels, and how that is written again."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from domains.decoding import orientation_of

HOLDS_EXIF = {"PNG", "JPEG", "TIFF", "WEBP"}
_HOLDS_DPI = {"PNG", "JPEG", "TIFF", "BMP"}
_HOLDS_COMMENT = {"JPEG", "GIF"}
_SEGMENT = 65_533
"""Bytes that a segment of a JPEG holds."""
_XMP_HEAD = {"JPEG": b"http://ns.adobe.com/xap/1.0/\0", "PNG": b"XML:com.adobe.xmp\0\0\0\0\0"}
_XMP_TAG = 700
_IPTC_TAG = 33723
_IPTC_RESOURCE = 0x0404
"""Photoshop's number for IPTC's record among its own; a JPEG holds it there, a TIFF there or in a tag of its own."""
_PHOTOSHOP_TAG = 34377
_PHOTOSHOP_HEAD = b"Photoshop 3.0\0"
_EXIF_TEXT = "Raw profile type exif"
# As an attribute or as an element: a packet that keeps it contradicts pixels that are written upright, or states it twice.
_XMP_ORIENTATION = re.compile(
    rb"""\s*tiff:Orientation\s*=\s*(["'])\s*\d\s*\1|<tiff:Orientation>\s*\d\s*</tiff:Orientation>"""
)
# Groups 3 and 4 hold one bit a pixel only, and the others that Pillow can read are not free of loss.
_TIFF_COMPRESSIONS = {"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate"}
NODATA = 42113
"""GDAL's tag: the sample, as a text, that stands where nothing was recorded."""
# Tags about the scene and its author; all others describe how this one file was laid out.
_TIFF_KEPT = {270, 271, 272, 305, 306, 315, 33432, 33550, 33922, 34665, 34735, 34736, 34737, 34853, 42112, NODATA}


@dataclass(frozen=True, eq=False)
class PictureMetadata:
    """What is needed to write a picture back as it came.

    Attributes:
        mode: Pillow's name for the pixels that are written: 1, L, LA, RGB, RGBA, CMYK or I;16.
        size: (rows, columns) of the upright picture.
        alpha: (rows, columns) uint8 opacity of the upright picture, where it has one.
        orientation: the orientation that ``exif`` states, 1 to 8; 1 is upright.
        exif: the EXIF block as bytes, without its thumbnail.
        icc: the ICC profile as bytes.
        dpi: dots per inch across and down.
        text: a PNG's texts by key.
        xmp: the XMP packet, without the orientation that it may state.
        iptc: IPTC's record of a JPEG or TIFF: caption, author, keywords, rights.
        comment: a JPEG's or GIF's comment.
        colours: a PNG's chunks about its colours (gAMA, cHRM, sRGB) by name.
        compression: Pillow's name for a TIFF's compression.
        inks: (4, rows, columns) uint8 cyan, magenta, yellow and black of the upright picture, where it was printed in them.
    """

    mode: str
    size: tuple[int, int]
    alpha: np.ndarray[Any, Any] | None = None
    orientation: int = 1
    exif: bytes = field(default=b"", repr=False)
    icc: bytes = field(default=b"", repr=False)
    dpi: tuple[float, float] | None = None
    text: tuple[tuple[str, str], ...] = ()
    xmp: bytes = field(default=b"", repr=False)
    iptc: bytes = field(default=b"", repr=False)
    comment: bytes = field(default=b"", repr=False)
    colours: tuple[tuple[bytes, bytes], ...] = ()
    compression: str = "raw"
    inks: np.ndarray[Any, Any] | None = field(default=None, repr=False)

    @property
    def nodata(self) -> float | None:
        """The sample that stands where nothing was recorded, as a GeoTIFF may state it."""
        stated = Image.Exif()
        try:
            stated.load(self.exif)
            value = float(str(stated.get(NODATA, "")).strip("\0 "))
        except Exception:  # the parser may raise nearly anything
            return None
        return value if np.isfinite(value) else None


def bytes_of(image: Image.Image, key: str) -> bytes:
    """What a file says under this key, unless it is a PNG's text that happens to be called so."""
    value = image.info.get(key)
    return value if isinstance(value, bytes) else b""


def iptc_of(image: Image.Image) -> bytes:
    """IPTC's record, as its own tag or among Photoshop's resources; nothing where it is broken."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        resources = image.info.get("photoshop")
        found = resources.get(_IPTC_RESOURCE) if isinstance(resources, dict) else None
        return found if isinstance(found, bytes) else b""
    own, theirs = (image.tag_v2.get(tag) for tag in (_IPTC_TAG, _PHOTOSHOP_TAG))
    if isinstance(own, bytes):
        return own
    block = theirs if isinstance(theirs, bytes) else b""
    at = 0
    while block[at : at + 4] == b"8BIM" and at + 12 <= len(block):
        number, name = struct.unpack_from(">HB", block, at + 4)
        at += 6 + (name + 2) // 2 * 2  # names, and what follows them, are padded to whole pairs of bytes
        (length,) = struct.unpack_from(">I", block.ljust(at + 4, b"\0"), at)
        if number == _IPTC_RESOURCE:
            return block[at + 4 : at + 4 + length]
        at += 4 + (length + 1) // 2 * 2
    return b""


def _app13(iptc: bytes) -> bytes:
    """IPTC's record as a segment of a JPEG; nothing where there is none or it is too long for one."""
    resource = b"8BIM" + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    payload = _PHOTOSHOP_HEAD + resource
    fits = iptc and len(payload) <= _SEGMENT
    return b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload if fits else b""


def colours_of(image: Image.Image) -> tuple[tuple[bytes, bytes], ...]:
    """A PNG's chunks about its colours, as they stand in the file."""
    if not isinstance(image, PngImagePlugin.PngImageFile):
        return ()
    gamma, corners, intent = (image.info.get(key) for key in ("gamma", "chromaticity", "srgb"))
    chunks = []
    if isinstance(gamma, float):
        chunks.append((b"gAMA", struct.pack(">I", round(gamma * 100_000))))
    if isinstance(corners, tuple) and len(corners) == 8:
        chunks.append((b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in corners))))
    if isinstance(intent, int):
        chunks.append((b"sRGB", bytes([intent])))
    return tuple(chunks)


def exif_of(image: Image.Image) -> bytes:
    """The EXIF block without its thumbnail; of a TIFF, the tags about the scene and its author."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        if _EXIF_TEXT not in image.info or "exif" in image.info:
            return _without_thumbnail(bytes_of(image, "exif"))
        try:
            return image.getexif().tobytes()
        except Exception:  # the parser may raise nearly anything
            return b""
    kept = Image.Exif()
    try:
        for tag, value in image.getexif().items():
            if tag in _TIFF_KEPT:
                kept[tag] = image.getexif().get_ifd(tag) if tag in (34665, 34853) else value
        return kept.tobytes() if len(kept) else b""
    except Exception:  # of broken tags the parser may raise nearly anything; the picture is whole without them
        return b""


def _without_thumbnail(exif: bytes) -> bytes:
    """The same block without its second directory, that of a thumbnail: it would go on showing the picture as it was."""
    start = 6 if exif.startswith(b"Exif\0\0") else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2], "")
    try:
        (first,) = struct.unpack_from(f"{order}I", exif, start + 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start + first)
        after = start + first + 2 + 12 * count
        struct.unpack_from(f"{order}I", exif, after)
    except struct.error:  # broken EXIF is kept as it is
        return exif
    return exif[:after] + bytes(4) + exif[after + 4 :] if order else exif


def texts_of(image: Image.Image) -> tuple[tuple[str, str], ...]:
    """A PNG's texts by key.

    Other programs put XMP and EXIF there, too: their orientation would contradict the pixels.
    """
    if not isinstance(image, PngImagePlugin.PngImageFile):
        return ()
    return tuple((key, str(text)) for key, text in image.text.items() if "xmp" not in key and key != _EXIF_TEXT)


def xmp_of(image: Image.Image) -> bytes:
    """The XMP packet, without the orientation that it may state."""
    return _XMP_ORIENTATION.sub(b"", bytes_of(image, "xmp"))


def states_orientation(exif: bytes) -> bool:
    """Whether an EXIF block says that the picture is not upright."""
    carrier = Image.new("L", (1, 1))
    carrier.info["exif"] = exif
    return orientation_of(carrier) != 1


def save_options(name: str, meta: PictureMetadata) -> dict[str, Any]:
    """What Pillow is told when it writes a format (by Pillow's name): as much of the metadata as the format holds."""
    options: dict[str, Any] = {}
    if name in HOLDS_EXIF and meta.exif:
        options["exif"] = meta.exif
    profile = {b"RGB ": ("RGB", "RGBA"), b"GRAY": ("1", "L", "LA", "I;16"), b"CMYK": ("CMYK",)}
    if name in HOLDS_EXIF and meta.mode in profile.get(meta.icc[16:20], ()):
        options["icc_profile"] = meta.icc
    if name in _HOLDS_DPI and meta.dpi:
        options["dpi"] = meta.dpi
    # What is too long for a JPEG's one segment is left out.
    if name in _HOLDS_COMMENT and meta.comment and (name != "JPEG" or len(meta.comment) <= _SEGMENT):
        options["comment"] = meta.comment
    if name == "WEBP" or (name == "JPEG" and len(_XMP_HEAD[name] + meta.xmp) <= _SEGMENT):
        options["xmp"] = meta.xmp
    elif name == "TIFF" and (meta.xmp or meta.iptc):
        options["exif"] = Image.Exif()
        options["exif"].load(meta.exif)
        options["exif"].update({tag: found for tag, found in ((_XMP_TAG, meta.xmp), (_IPTC_TAG, meta.iptc)) if found})
    if name == "JPEG":
        options |= {"quality": 95, "subsampling": 0, "extra": _app13(meta.iptc)}
    elif name == "WEBP":
        options |= {"lossless": True, "exact": True}
    elif name == "TIFF":
        options["compression"] = meta.compression if meta.compression in _TIFF_COMPRESSIONS else "raw"
        if meta.mode == "1" and meta.compression in ("group3", "group4"):
            options["compression"] = meta.compression
    elif name == "PNG" and (meta.text or meta.xmp or meta.colours):
        options["pnginfo"] = chunks = PngImagePlugin.PngInfo()
        for chunk in meta.colours:
            chunks.add(*chunk)
        for key, text in meta.text:
            chunks.add_itxt(key, text)
        if meta.xmp:
            chunks.add(b"iTXt", _XMP_HEAD["PNG"] + meta.xmp)
    return options
