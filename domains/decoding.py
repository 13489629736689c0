"""Decoding pictures that may be broken, hostile or merely odd, and saying in a few words what is wrong."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

MAX_PIXELS = 100_000_000
"""Pictures with more pixels are refused before they are decoded; Pillow's own limit is 179 million."""

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
    ".webp": "WEBP", ".pgm": "PPM", ".ppm": "PPM", ".gif": "GIF",
}  # fmt: skip
"""The formats that are read and written, by a file name's ending."""

SIXTEEN_BIT = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
"""Pillow's modes of greys with more than eight bits."""


LARGE = 16_000_000
"""Pixels from which on 8-bit levels are not widened to floating-point numbers, which would take four times the memory."""

STRIP = 2**22
"""Pixels that are converted at once."""

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""What red, green and blue add to a grey (ITU-R BT.601)."""


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
        if image.mode in SIXTEEN_BIT and isinstance(image, TiffImagePlugin.TiffImageFile) and _white_is_zero(image):
            # Pillow turns greys of 8 bits the right way round, and leaves those of 16 bits as they stand.
            image.paste(Image.fromarray(65535 - np.asarray(image)))
    except (CorruptPicture, PermissionError):
        raise
    except Image.DecompressionBombError:
        raise CorruptPicture(f"more than {MAX_PIXELS / 1e6:g} megapixels, not decoded") from None
    except UnidentifiedImageError:
        raise CorruptPicture("not a picture of any known format, whatever its name says") from None
    except Exception as error:  # a decoder fed with broken bytes may raise nearly anything
        raise CorruptPicture(f"cannot be decoded: {error}") from error
    return image


def _white_is_zero(image: TiffImagePlugin.TiffImageFile) -> bool:
    return bool(image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0)


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


def strips(rows: int, columns: int) -> Iterator[slice]:
    """The rows of a picture, some at a time: about :data:`STRIP` pixels."""
    height = max(1, STRIP // max(1, columns))
    return (slice(first, min(first + height, rows)) for first in range(0, rows, height))


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


def levels_of(image: Image.Image, channels: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """A decoded picture as numbers, converted strip by strip.

    Args:
        image: of any mode.
        channels: 1 (colours become luma) or 3 (greys are repeated).

    Returns:
        Levels (channels, rows, columns), 0 to 255, and opacity (rows, columns) uint8 where there is one. Levels are
        float32, those of 8 bits uint8 in a picture of more than :data:`LARGE` pixels.

    Raises:
        CorruptPicture: when its pixels have no known full scale, or no way to colour.
    """
    columns, rows = image.size
    deep, grey = image.mode in SIXTEEN_BIT, is_grey(image)
    whole = not deep and (grey or channels == 3) and rows * columns > LARGE
    levels = np.empty((channels, rows, columns), np.uint8 if whole else np.float32)
    alpha = np.empty((rows, columns), np.uint8) if image.has_transparency_data and not deep else None
    for strip in strips(rows, columns):
        part = image.crop((0, strip.start, columns, strip.stop))
        if alpha is not None:
            alpha[strip] = np.asarray(part.convert("LA" if grey else "RGBA"))[..., -1]
        if deep:
            levels[:, strip] = sixteen_bit_levels(part)
            continue
        pixels = np.asarray(eight_bit(part, "L" if grey else "RGB"))
        if grey:
            levels[:, strip] = pixels
        else:
            levels[:, strip] = pixels @ LUMA if channels == 1 else pixels.transpose(2, 0, 1)
    return levels, alpha


def is_grey(image: Image.Image) -> bool:
    """Whether a picture's mode has no colours."""
    return image.mode in SIXTEEN_BIT or image.mode in ("1", "L", "LA", "La")
