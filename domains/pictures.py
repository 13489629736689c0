"""Pictures in files: read whole at their own size, and written back as the same kind of file.

What a network sees is an upright picture of one or three channels, 0 to 255. What it does not see (opacity,
the way the camera was held, EXIF, XMP, the ICC profile, the resolution, the bit depth) waits in
:class:`~domains.picture_metadata.PictureMetadata` until the picture is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from domains.decoding import (
    FORMATS,
    LUMA,
    SIXTEEN_BIT,
    CorruptPicture,
    is_grey,
    levels_of,
    open_picture,
    orientation_of,
    strips,
)
from domains.picture_metadata import (
    HOLDS_EXIF,
    PictureMetadata,
    bytes_of,
    colours_of,
    exif_of,
    iptc_of,
    save_options,
    states_orientation,
    texts_of,
    xmp_of,
)
from vaegan.domain import Recording
from vaegan.errors import DataError
from vaegan.files import complete

_WRITTEN_MODES = {
    "PNG": {"1", "L", "LA", "RGB", "RGBA", "I;16"},
    "TIFF": {"1", "L", "LA", "RGB", "RGBA", "I;16", "CMYK"},
    "JPEG": {"L", "RGB", "CMYK"},
    "WEBP": {"L", "LA", "RGB", "RGBA"},
    "BMP": {"1", "L", "RGB"},
    "PPM": {"1", "L", "RGB", "I;16"},
    "GIF": {"1", "L", "LA", "RGB", "RGBA"},
}
# EXIF orientation -> (swap rows and columns first, then flip the rows, flip the columns).
_UPRIGHT = {
    1: (False, False, False), 2: (False, False, True), 3: (False, True, True), 4: (False, True, False),
    5: (True, False, False), 6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip


def read_picture(path: Path, channels: int) -> Recording:
    """One picture, whole, upright, at its own size.

    Args:
        path: a file in one of :data:`FORMATS`.
        channels: 1 (colours become luma) or 3 (greys are repeated).

    Returns:
        A recording with signals (1, channels, rows, columns) float32, 0 to 255; 16-bit greys keep their
        fractions. Beyond 16 megapixels, levels of 8 bits are uint8.

    Raises:
        DataError: when the file is missing, may not be read, is no picture, is too large or has several
            frames.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {what}", expected="a picture's file", mend="give the path of one picture")
    try:
        image = open_picture(path, single=True)
        signals, metadata = _separate(image, channels)
    except CorruptPicture as error:
        raise DataError(
            f"{path}: {error}",
            expected=f"one whole picture ({', '.join(name[1:] for name in FORMATS)})",
            mend="give another file, or save this one anew",
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", mend="give yourself the right to read it"
        ) from error
    return Recording(signals[None], path, "JPEG" if image.format == "MPO" else str(image.format), metadata)


def write_picture(recording: Recording, path: Path) -> Path:
    """Writes a picture as it was read: its size, depth, opacity, orientation, EXIF, XMP, comment, profile and resolution.

    The format is the source's where ``path`` has the source's ending (whatever that names) or none, else the one that its
    ending names. JPEG is written at quality 95 with full colour resolution, WebP without loss, GIF with at most 256
    colours. The picture of a grey domain is grey. CMYK keeps its inks where the colour did not change, and its black
    wherever that leaves room for the new colour. The file appears whole or not at all.

    Args:
        recording: signals (1, 1 or 3, rows, columns), 0 to 255; without metadata they become a plain picture.
        path: the file to write; its folder is made where it is missing.

    Returns:
        The path that was written.

    Raises:
        DataError: when values are not finite, the format cannot hold the picture, or the folder cannot be
            written.
    """
    path, name = _target(Path(path), recording)
    levels = np.asarray(recording.signals)
    if levels.ndim != 4 or levels.shape[0] != 1 or levels.shape[1] not in (1, 3):
        raise DataError(f"{path}: signals of shape {levels.shape}", expected="(1, 1 or 3, rows, columns)")
    bad = sum(int(np.count_nonzero(~np.isfinite(levels[..., rows, :]))) for rows in strips(*levels.shape[2:]))
    if bad:
        raise DataError(f"{path}: {bad} of {levels.size} values are not finite", expected="finite values")
    meta = recording.metadata
    if not isinstance(meta, PictureMetadata):
        meta = PictureMetadata(mode="RGB" if levels.shape[1] == 3 else "L", size=levels.shape[2:])
    if levels.shape[2:] != meta.size:
        raise DataError(f"{path}: signals of {levels.shape[2:]} pixels", expected=f"the source's {meta.size}")
    if meta.mode not in _WRITTEN_MODES[name]:
        fitting = [end for end, form in FORMATS.items() if meta.mode in _WRITTEN_MODES[form]]
        raise DataError(
            f"{path}: {name} cannot hold pixels of mode {meta.mode}",
            expected=f"one of {', '.join(fitting)}",
            mend="write it under such an ending",
        )
    image = _join(levels[0], meta, undo=name in HOLDS_EXIF)
    _save_atomically(image, path, name, save_options(name, meta))
    return path


def draw_pictures(signals: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Pictures (n, 1 or 3, rows, columns), 0 to 255, as (n, rows, columns, 3) uint8; NaN is black."""
    levels = np.nan_to_num(np.asarray(signals, dtype=np.float32), nan=0.0, posinf=255.0, neginf=0.0)
    pixels = np.rint(levels.clip(0, 255)).astype(np.uint8)
    colour = np.broadcast_to(pixels, (len(pixels), 3, *pixels.shape[2:]))
    return np.ascontiguousarray(colour.transpose(0, 2, 3, 1))


def _turn(pixels: np.ndarray[Any, Any], orientation: int, *, back: bool = False) -> np.ndarray[Any, Any]:
    """Turns (channels, rows, columns) upright, or ``back`` to how the camera was held."""
    swap, flip_rows, flip_columns = _UPRIGHT.get(orientation, _UPRIGHT[1])
    flips = tuple(axis for axis, flip in ((1, flip_rows), (2, flip_columns)) if flip)
    if back:
        pixels = np.flip(pixels, flips)
        return pixels.swapaxes(1, 2) if swap else pixels
    return np.flip(pixels.swapaxes(1, 2) if swap else pixels, flips)


def _separate(image: Image.Image, channels: int) -> tuple[np.ndarray[Any, Any], PictureMetadata]:
    """A decoded picture as upright levels (channels, rows, columns) and all else."""
    levels, alpha = levels_of(image, channels)
    grey = is_grey(image) or channels == 1
    if image.mode in SIXTEEN_BIT:
        mode = "I;16"
    elif alpha is not None:
        mode = "LA" if grey else "RGBA"
    elif image.mode in ("1", "L", "CMYK"):
        mode = "L" if grey and image.mode == "CMYK" else image.mode
    else:
        mode = "L" if grey else "RGB"
    orientation = orientation_of(image)
    levels = np.ascontiguousarray(_turn(levels, orientation))
    exif, dpi = exif_of(image), image.info.get("dpi")
    inks = np.asarray(image).transpose(2, 0, 1) if mode == "CMYK" else None
    return levels, PictureMetadata(
        mode=mode,
        size=(levels.shape[1], levels.shape[2]),
        alpha=None if alpha is None else _turn(alpha[None], orientation)[0],
        # Stated elsewhere (XMP, a TIFF's own tag), it is not written, and the picture stays upright.
        orientation=orientation if states_orientation(exif) else 1,
        exif=exif,
        icc=bytes_of(image, "icc_profile"),
        dpi=dpi if isinstance(dpi, tuple) else None,
        text=texts_of(image),
        xmp=xmp_of(image),
        iptc=iptc_of(image),
        comment=bytes_of(image, "comment"),
        colours=colours_of(image),
        compression=str(image.info.get("compression", "raw")),
        inks=None if inks is None else np.ascontiguousarray(_turn(inks, orientation)),
    )


def _join(levels: np.ndarray[Any, Any], meta: PictureMetadata, *, undo: bool) -> Image.Image:
    """Levels (1 or 3, rows, columns) as a picture of the metadata's mode, made strip by strip."""
    beside = meta.inks if meta.alpha is None else meta.alpha[None]
    if undo:
        levels = _turn(levels, meta.orientation, back=True)
        beside = None if beside is None else _turn(beside, meta.orientation, back=True)
    rows, columns = levels.shape[1:]
    image = Image.new(meta.mode, (columns, rows))
    for strip in strips(rows, columns):
        part = _strip(levels[:, strip], None if beside is None else beside[:, strip], meta.mode)
        image.paste(part, (0, strip.start))
    return image


def _strip(levels: np.ndarray[Any, Any], beside: np.ndarray[Any, Any] | None, mode: str) -> Image.Image:
    """Levels, and the source's opacity (1, rows, columns) or inks (4, rows, columns), as a picture of this mode."""
    if mode in ("1", "L", "LA", "I;16") and len(levels) == 3:
        levels = np.tensordot(LUMA, levels, axes=1)[None]
    levels = np.clip(levels, 0, 255)
    pixels = np.rint(levels * 257).astype(np.uint16) if mode == "I;16" else np.rint(levels).astype(np.uint8)
    if mode in ("RGB", "RGBA", "CMYK"):
        pixels = np.broadcast_to(pixels, (3, *pixels.shape[1:]))
    if mode == "CMYK" and beside is not None:
        return _of_inks(_inks(pixels, beside))
    if beside is not None:
        pixels = np.concatenate([pixels, beside])
    if mode == "1":
        return Image.fromarray(pixels[0] >= 128)
    image = Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))
    return image.convert("CMYK") if mode == "CMYK" else image


def _inks(pixels: np.ndarray[Any, Any], source: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The inks (4, rows, columns) that print these pixels.

    Args:
        pixels: (3, rows, columns) uint8 red, green and blue.
        source: (4, rows, columns) uint8 inks; they stay where they print these pixels, and black where it leaves room.
    """
    same = pixels == np.asarray(_of_inks(source).convert("RGB")).transpose(2, 0, 1)
    # Pillow prints (255 - K)(255 - C) / 255: what is lighter than 255 - K cannot be had with that much black.
    light = np.maximum(255 - source[3], np.where(same, 0, pixels).max(axis=0))
    kept = same & (light == 255 - source[3])
    paper = np.maximum(light, 1).astype(np.float32)  # where all is black, any colour is
    colours = np.where(kept, source[:3], np.rint(255.0 * (1.0 - pixels / paper)).clip(0, 255))
    found: np.ndarray[Any, Any] = np.concatenate([colours, 255 - light[None]]).astype(np.uint8)
    return found


def _of_inks(inks: np.ndarray[Any, Any]) -> Image.Image:
    return Image.merge("CMYK", [Image.fromarray(np.ascontiguousarray(ink)) for ink in inks])


def _target(path: Path, recording: Recording) -> tuple[Path, str]:
    """Where to write, and Pillow's name for the format."""
    if not path.suffix:
        path = path.with_name(path.name + recording.path.suffix)
    # What was read under this ending is written under it as what it was: PNGs are often called .jpg.
    as_read = isinstance(recording.metadata, PictureMetadata) and recording.format in _WRITTEN_MODES
    if as_read and path.suffix == recording.path.suffix:
        return path, recording.format
    if path.suffix.lower() not in FORMATS:
        raise DataError(
            f"{path}: no picture format ends in {path.suffix!r}",
            expected=f"one of {', '.join(FORMATS)}",
            mend="write it under such an ending",
        )
    return path, FORMATS[path.suffix.lower()]


def _save_atomically(image: Image.Image, path: Path, name: str, options: dict[str, Any]) -> None:
    try:
        with complete(path) as scratch:
            image.save(scratch, format=name, **options)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}",
            expected="a folder that can be written",
            mend="give another place with --out",
        ) from error
