"""Decoding pictures that may be broken, hostile or merely odd, and saying in a few words what is wrong."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

MAX_PIXELS = 100_000_000
"""Pictures with more pixels are refused before they are decoded; Pillow's own limit is 179 million."""

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
    ".webp": "WEBP", ".pgm": "PPM", ".ppm": "PPM", ".gif": "GIF",
}  # fmt: skip
"""The formats that are read and written, by a file name's ending."""

SIXTEEN_BIT = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
"""Pillow's modes of greys with more than eight bits."""


class CorruptPicture(Exception):
    """A picture that cannot be decoded; its text is the reason alone, without the file's name."""


def open_picture(source: Path | bytes, *, least: int = 0, single: bool = False) -> Image.Image:
    """A decoded picture, not yet turned upright.

    Args:
        source: a file, or a file's content.
        least: a JPEG may be decoded smaller, yet no side smaller than this many pixels; 0 for its own size.
        single: whether a file of several pictures (an animation, pages) is refused; else its first one is
            taken.

    Raises:
        CorruptPicture: with the reason: not a picture, truncated, too large, several frames.
        PermissionError: when the file may not be read.
    """
    try:
        stream: Path | io.BytesIO = io.BytesIO(source) if isinstance(source, bytes) else source
        # Only these formats are tried: some others run outside programs to decode a file (PostScript).
        image = Image.open(stream, formats=tuple(dict.fromkeys(FORMATS.values())))
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        # A phone's MPO is a JPEG with a preview or a depth map behind the photograph, the one picture.
        frames = getattr(image, "n_frames", 1)
        if single and frames > 1 and image.format != "MPO":
            raise CorruptPicture(f"has {frames} frames or pages and only one could be written back")
        if single and any(";16" in str(tile.args) for tile in image.tile) and image.mode in ("RGB", "RGBA", "LA"):
            warnings.warn(f"{source!s}: 16-bit colour is read, and will be written, at 8 bits", stacklevel=2)
        if least:
            image.draft(None, (least, least))  # None keeps the mode
        image.load()
    except (CorruptPicture, PermissionError):
        raise
    except Image.DecompressionBombError:
        raise CorruptPicture(f"more than {MAX_PIXELS / 1e6:g} megapixels, not decoded") from None
    except UnidentifiedImageError:
        raise CorruptPicture("not a picture of any known format, whatever its name says") from None
    except Exception as error:  # a decoder fed with broken bytes may raise nearly anything
        raise CorruptPicture(f"cannot be decoded: {error}") from error
    return image


def eight_bit(image: Image.Image, mode: str) -> Image.Image:
    """The picture in mode ``"L"`` or ``"RGB"``; 16-bit greys are scaled (Pillow alone would clip them).

    Raises:
        CorruptPicture: when its pixels have no known full scale, or no way to colour.
    """
    if image.mode == "F":
        raise CorruptPicture("its pixels are floating-point numbers, whose full scale the file does not state")
    if image.mode in SIXTEEN_BIT:
        image = Image.fromarray(np.rint(sixteen_bit_levels(image)).astype(np.uint8))
    try:
        return image if image.mode == mode else image.convert(mode)
    except ValueError as error:
        raise CorruptPicture(f"cannot be decoded: {error}") from error


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; broken EXIF does not spoil the pixels, which then count as upright."""
    try:
        stated = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the parser may raise nearly anything
        return 1
    return stated if 1 <= stated <= 8 else 1


def sixteen_bit_levels(image: Image.Image) -> np.ndarray[Any, Any]:
    """A 16-bit grey picture as (rows, columns) float32, 0 to 255 with fractions.

    Raises:
        CorruptPicture: when a 32-bit picture goes beyond 16 bits.
    """
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise CorruptPicture(f"its pixels reach from {values.min()} to {values.max()}, beyond 16 bits")
    levels: np.ndarray[Any, Any] = values.astype(np.float32) / np.float32(257)
    return levels
