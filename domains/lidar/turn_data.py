"""Many turns as one array: from point clouds, or from prepared range images."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from domains.lidar.cloud_files import read_cloud
from domains.lidar.turn_files import DOUBTED, MOST_OUTSIDE, Raster, image_of, outside_told
from vaegan.data import Skipped, check_corrupt
from vaegan.errors import DataError

HDL64 = (
    2.47, 2.09, 1.82, 1.38, 1.09, 0.68, 0.42, 0.05, -0.30, -0.70, -0.99, -1.32,
    -1.69, -2.02, -2.33, -2.68, -2.96, -3.32, -3.58, -3.93, -4.25, -4.57, -4.87, -5.20,
    -5.57, -5.89, -6.19, -6.44, -6.82, -7.17, -7.40, -7.77, -8.39, -8.91, -9.37, -9.76,
    -10.23, -10.83, -11.32, -11.75, -12.20, -12.62, -13.14, -13.66, -14.24, -14.67, -15.17, -15.53,
    -16.14, -16.66, -17.22, -17.67, -18.17, -18.57, -19.02, -19.56, -20.07, -20.67, -21.15, -21.55,
    -21.99, -22.63, -23.15, -23.63,
)  # fmt: skip
"""Elevations of the rings of one Velodyne HDL-64E in degrees, top to bottom: medians over frames of a KITTI drive."""


def decode_turns(paths: Sequence[tuple[Path, str]], raster: Raster) -> dict[str, np.ndarray[Any, Any]]:
    """Signals (n, 2, rows, columns) in metres and reflectances, NaN where there is none, and the sequence of each.

    One warning counts the clouds whose rings could not be trusted, another one those with many points outside of the view.

    Raises:
        DataError: when more than 5 % of the files cannot be read.
    """
    signals, sequences, skipped, doubted, outside = [], [], [], [], []
    for path, sequence in paths:
        try:
            if path.suffix.lower() == ".npz":
                images = prepared(path, raster)
            else:
                image, turn = image_of(read_cloud(path), raster, str(path))
                images = image[None]
                doubted += [path] if turn.doubted else []
                outside += [path] if turn.outside > MOST_OUTSIDE else []
        except DataError as error:
            skipped.append(Skipped(path.name, str(error)))
            continue
        signals.append(images.astype(np.float32))
        sequences += [sequence] * len(images)
    check_corrupt(skipped, len(paths), mend="remove or repair them, or give other turns with --data")
    if doubted:
        warnings.warn(f"{len(doubted)} of {len(paths)} files, the first {doubted[0]}: {DOUBTED}", stacklevel=2)
    if outside:
        warnings.warn(
            f"{len(outside)} of {len(paths)} files, the first {outside[0]}: {outside_told(raster)}", stacklevel=2
        )
    told = json.dumps([[item.name, item.reason] for item in skipped]).encode()
    return {
        "signals": np.concatenate(signals),
        "sequences": np.asarray(sequences),
        "skipped": np.frombuffer(told, dtype=np.uint8),
    }


def prepared(path: Path, raster: Raster) -> np.ndarray[Any, Any]:
    """Prepared range images: ``range_cm`` (n, rows, columns), 0 for no echo, and ``intensity``, 100 times the reflectance.

    Images that are a whole number of times larger than asked for are thinned: each k-th row and column is taken. Images
    without any echo are left out.

    Raises:
        DataError: when the file cannot be read, lacks an array, or holds images of another size or no echo.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            lost = [name for name in ("range_cm", "intensity") if name not in arrays]
            if lost:
                raise DataError(
                    f"{path} lacks {', '.join(lost)}", expected="range_cm and intensity", mend="prepare it anew"
                )
            ranges, intensity = np.asarray(arrays["range_cm"]), np.asarray(arrays["intensity"])
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read ({error})", expected="an .npz file", mend="get the whole file"
        ) from None
    if ranges.ndim == 3 and ranges.shape == intensity.shape:
        down, across = (
            max(1, have // want) for have, want in zip(ranges.shape[1:], (raster.rows, raster.columns), strict=True)
        )
        ranges, intensity = ranges[:, ::down, ::across], intensity[:, ::down, ::across]
    if ranges.ndim != 3 or ranges.shape != intensity.shape or ranges.shape[1:] != (raster.rows, raster.columns):
        raise DataError(
            f"{path} holds range images of {ranges.shape[1:]}",
            expected=f"{(raster.rows, raster.columns)}",
            mend="set --domain.rows and --domain.columns",
        )
    metres = ranges.astype(np.float32) / 100.0
    there = (metres > 0) & (metres < raster.far)
    images: np.ndarray[Any, Any] = np.where(there[:, None], np.stack([metres, intensity / 100.0], axis=1), np.nan)
    images = images[~np.isnan(images).all(axis=(1, 2, 3))]
    if not len(images):
        raise DataError(
            f"{path} holds no echo nearer than {raster.far:g} m", expected="at least one", mend="set --domain.far"
        )
    return images
