"""BrainVision and EEGLAB out: the files that were read, with other samples in them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def copied(source: Path, raw: Any, before: Any, path: Path) -> bool:
    """Writes a file as another was, but for its samples: with its markers, header fields, references and ICA.

    Args:
        source: the ``.vhdr`` or ``.set`` that the recording was read from.
        raw: an MNE Raw in volts, restored.
        before: the same as it was read.
        path: where to, of the same ending; its companions go beside it.

    Returns:
        Whether it could be done. If not (another kind of file, data in ASCII, MATLAB 7.3), what is at ``path`` is of no use.
    """
    if source.suffix.lower() != path.suffix.lower() or not source.is_file():
        return False
    write = _brainvision if path.suffix.lower() == ".vhdr" else _eeglab
    try:
        return write(source, raw, before, path) and _reads_the_same(path, raw)
    except (OSError, ValueError, KeyError, IndexError, TypeError, NotImplementedError):
        return False


def _reads_the_same(path: Path, raw: Any) -> bool:
    """Whether MNE finds in a file what was to be written."""
    import mne

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mne.io.read_raw(path, preload=True, verbose="ERROR")
    if (found.ch_names, found.get_channel_types()) != (raw.ch_names, raw.get_channel_types()):
        return False
    if list(found.annotations.description) != list(raw.annotations.description):
        return False
    return found.n_times == raw.n_times and all(_alike(found, raw, i) for i in range(len(raw.ch_names)))


def _alike(found: Any, raw: Any, i: int) -> bool:
    """Whether a channel holds what it should, as exactly as single precision can."""
    values, wanted = (part.get_data(picks=[i])[0] for part in (found, raw))
    largest = np.nanmax(np.abs(wanted), initial=0.0)
    return bool((np.abs(values - wanted) <= 1e-6 * largest)[np.isfinite(wanted)].all())


def _brainvision(source: Path, raw: Any, before: Any, path: Path) -> bool:
    """The header with other file names and the number format float32, the markers, and the samples in the header's units."""
    head = source.read_bytes()
    if _field(head, "DataFormat") not in (b"BINARY", None):
        return False
    encoding = "utf-8" if (_field(head, "Codepage") or b"").upper() == b"UTF-8" else "latin-1"
    data, markers = (path.with_suffix(ending) for ending in (".eeg", ".vmrk"))
    given = _field(head, "MarkerFile")
    if given:
        name = given.decode(encoding).replace("$b", source.stem)
        texts = (source.parent / name).read_bytes()
        markers.write_bytes(_with(texts, "DataFile", data.name.encode(encoding)))
        head = _with(head, "MarkerFile", markers.name.encode(encoding))
    head = _with(head, "DataFile", data.name.encode(encoding))
    head = _with(head, "BinaryFormat", b"IEEE_FLOAT_32")
    head = _with(head, "DataOrientation", b"MULTIPLEXED")
    path.write_bytes(head)
    samples = np.empty((raw.n_times, len(raw.ch_names)), "<f4")
    for i, channel in enumerate(before.info["chs"]):
        samples[:, i] = raw.get_data(picks=[i])[0] / (channel["cal"] * channel["range"])
    samples.tofile(data)
    return True


def _field(text: bytes, name: str) -> bytes | None:
    found = re.search(rb"(?mi)^" + name.encode() + rb"[ \t]*=[ \t]*([^\r\n]*?)[ \t]*\r?$", text)
    return found[1] if found else None


def _with(text: bytes, name: str, value: bytes) -> bytes:
    """The first line of this name with another value.

    Raises:
        ValueError: where there is none.
    """
    pattern = rb"(?mi)^(" + name.encode() + rb"[ \t]*=[ \t]*)[^\r\n]*"
    changed, count = re.subn(pattern, lambda line: line[1] + value, text, count=1)
    if not count:
        raise ValueError(f"no line {name}=")
    return changed


def _eeglab(source: Path, raw: Any, before: Any, path: Path) -> bool:
    """The structure that was read, with the samples inside; activations of ICA, which follow from them, are left out."""
    from scipy.io import loadmat, savemat

    content = {name: value for name, value in loadmat(source).items() if not name.startswith("__")}
    structure = content["EEG"][0, 0] if "EEG" in content else content
    given = structure["data"]
    channels, samples = (int(np.squeeze(structure[name])) for name in ("nbchan", "pnts"))
    if given.dtype.kind == "U":  # the name of a file beside it
        companion = source.parent / str(np.squeeze(given))
        if companion.suffix.lower() != ".fdt":
            return False
        given = np.fromfile(companion, "<f4").reshape(samples, channels).T
    if given.shape != (channels, samples) or channels != len(raw.ch_names):
        return False
    restored = given.astype(given.dtype if given.dtype.kind == "f" else np.float32)
    for i in range(channels):
        moved = (raw.get_data(picks=[i])[0] - before.get_data(picks=[i])[0]) * 1e6  # EEGLAB counts in microvolts
        restored[i] = np.where(np.isfinite(moved), given[i] + moved, given[i])
    structure["data"] = restored
    names = tuple(structure) if isinstance(structure, dict) else structure.dtype.names
    if "icaact" in names:
        structure["icaact"] = np.zeros((0, 0))
    if "datfile" in names:
        structure["datfile"] = np.zeros((0, 0))
    savemat(path, content, appendmat=False, long_field_names=True, oned_as="row")
    return True
