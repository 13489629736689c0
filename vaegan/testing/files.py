"""Files in, files out: what ``vaegan restore`` needs of a domain's ``read`` and ``write``, tried on files of the user's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaegan.data import file_sha256
from vaegan.domain import Domain, Recording
from vaegan.testing.degradations import ContractError

LOSS = 0.05
"""Root mean square of what writing may change, as a share of the standard deviation: formats that round, or JPEG."""
DAMPED = 0.9
"""By what the values are multiplied to see that changes arrive in the file."""

Array = NDArray[Any]


def check_read(domain: Domain, path: Path) -> str:
    """Reads a file and holds what comes against the spec; gives a sentence or raises."""
    before = file_sha256(path) if path.is_file() else None
    recording = _read(domain, path)
    if before is not None and file_sha256(path) != before:
        raise ContractError("read changed the file, expected it as it was.")
    spec, shape = domain.spec, recording.signals.shape
    if len(shape) != 2 + spec.dims or shape[1] != spec.channels or 0 in shape:
        raise ContractError(
            f"read gave signals of shape {shape}, expected (n, {spec.channels}, {', '.join(a.name for a in spec.axes)}), "
            "of any size."
        )
    if not isinstance(recording.format, str) or not recording.format:
        raise ContractError(f"read gave the format {recording.format!r}, expected a name.")
    values = np.asarray(recording.signals, dtype=np.float64)
    broken = np.isinf(values) if spec.gaps else ~np.isfinite(values)
    if broken.any():
        raise ContractError(f"read gave {int(broken.sum())} of {values.size} values that are not finite.")
    low, high = np.nanmin(values), np.nanmax(values)
    return f"{recording.format}: {shape}, from {low:g} to {high:g} {spec.unit}."


def check_write(domain: Domain, path: Path) -> str:
    """Writes a file as it was read, and with other values, and reads both again; gives a sentence or raises."""
    recording = _read(domain, path)
    values = np.asarray(recording.signals, dtype=np.float64)
    with tempfile.TemporaryDirectory() as folder:
        same = _written(domain, recording, Path(folder) / "same" / path.name)
        kept = _alike(values, _read(domain, same), "written as it was read")
        identical = path.is_file() and same.is_file() and file_sha256(same) == file_sha256(path)
        damped = recording.with_signals(recording.signals * DAMPED)
        other = _written(domain, damped, Path(folder) / "other" / path.name)
        changed = np.asarray(_read(domain, other).signals, dtype=np.float64)
        if changed.shape == values.shape and np.array_equal(changed, values, equal_nan=True):
            raise ContractError(f"values times {DAMPED} were written, and the file reads as before: changes are lost.")
        _alike(values * DAMPED, _read(domain, other), f"written with values times {DAMPED}")
    return (
        "Byte for byte as it was."
        if identical
        else f"Reads as it was, to {100 * kept:.2g} % of its standard deviation."
    )


def _read(domain: Domain, path: Path) -> Recording:
    recording = domain.read(path)
    if not isinstance(recording, Recording):
        raise ContractError(f"read returned {type(recording).__name__}, expected a Recording.")
    return recording


def _written(domain: Domain, recording: Recording, target: Path) -> Path:
    """Where the domain wrote a file; what it was given must stay as it was."""
    target.parent.mkdir()
    before = recording.signals.copy()
    written = domain.write(recording, target)
    if not isinstance(written, Path) or not written.exists() or target.parent not in written.parents:
        raise ContractError(f"write returned {written!r}, expected the path in {target.parent} that it wrote.")
    if not np.array_equal(before, recording.signals, equal_nan=True):
        raise ContractError("write changed the signals that it was given.")
    return written


def _alike(expected: Array, recording: Recording, what: str) -> float:
    """By how much what was read differs from what was written, as a share of the standard deviation."""
    found = np.asarray(recording.signals, dtype=np.float64)
    if found.shape != expected.shape:
        raise ContractError(f"a file {what} has signals of shape {found.shape}, expected {expected.shape}.")
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        raise ContractError(f"a file {what} has gaps elsewhere.")
    known = ~np.isnan(expected)
    scale = float(expected[known].std()) or max(float(np.abs(expected[known]).max(initial=0.0)), 1e-300)
    apart = float(np.sqrt(np.square((found - expected)[known]).mean())) / scale if known.any() else 0.0
    if not apart <= LOSS:
        raise ContractError(
            f"a file {what} differs by {100 * apart:.2g} % of its standard deviation, expected at most {100 * LOSS:g} %."
        )
    return apart
