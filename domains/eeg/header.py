"""The header of an EDF or BDF (Kemp et al. 1992; Kemp and Olivan 2003): its signals, and where their samples lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaegan.errors import DataError

Array = NDArray[Any]
WIDTHS = {".edf": 2, ".bdf": 3}
"""Bytes of a sample, by a name's ending."""
ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
"""Labels of signals that are no signals, but texts."""
FIXED = 256
"""Bytes before the fields of the signals."""
FIELDS = {
    "label": 16, "transducer": 80, "unit": 8, "low": 8, "high": 8, "least": 8, "most": 8, "filters": 80, "samples": 8,
    "reserved": 32,
}  # fmt: skip
"""Fields of each signal with their characters, in their order; a field of all signals comes before the next field."""
VOLTS = {
    **dict.fromkeys(("uv", "µv", "\u03bcv", "\x83êv", "âµv", "î¼v", "microv", "microvolt"), 1e-6),
    "nv": 1e-9, "mv": 1e-3, "v": 1.0,
}  # fmt: skip
"""Volts in a unit, by its spellings in lower case: µ stands there in Latin-1, Shift JIS or UTF-8, all read as Latin-1."""
ONSET = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15[\d.]*)?\x14\x14")
"""The time of a data record, with which its annotations begin."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        width: bytes of a sample.
        size: bytes of the header.
        records: data records in the file.
        seconds: that a data record lasts.
        split: whether there may be time between the records (``EDF+D``).
        fields: texts by the names of :data:`FIELDS`, one a signal.
    """

    width: int
    size: int
    records: int
    seconds: float
    split: bool
    fields: dict[str, tuple[str, ...]]

    @staticmethod
    def read(path: Path) -> Header:
        """The header of a file; of an unknown number of records as many as there are.

        Raises:
            DataError: for a header that is broken, or promises more than the file holds.
        """
        width = WIDTHS[path.suffix.lower()]
        with path.open("rb") as stream:
            head = stream.read(FIXED)
            try:
                size, stated, signals = int(head[184:192]), int(head[236:244]), int(head[252:256])
                seconds = float(head[244:252].replace(b",", b"."))
                fields = {
                    name: tuple(stream.read(characters).decode("latin-1").strip() for _ in range(signals))
                    for name, characters in FIELDS.items()
                }
                per_record = sum(int(text) for text in fields["samples"])
            except ValueError:
                raise DataError(
                    f"{path} has a broken header", expected="an intact EDF or BDF", mend="copy or export it again"
                ) from None
        found = path.stat().st_size
        wanted = size + stated * per_record * width
        if stated >= 0 and found < wanted:
            raise DataError(
                f"{path} is truncated: {found:,} bytes",
                expected=f"{wanted:,}, as its header says ({stated} records)",
                mend="copy or export it again",
            )
        records = stated if stated >= 0 else (found - size) // max(1, per_record * width)
        return Header(width, size, records, seconds, head[196:197] == b"D", fields)

    @property
    def samples(self) -> list[int]:
        """Samples of each signal in a data record."""
        return [int(text) for text in self.fields["samples"]]

    @property
    def channels(self) -> list[int]:
        """The signals that are no annotations, in the order in which MNE has them."""
        return [i for i, label in enumerate(self.fields["label"]) if label not in ANNOTATIONS]

    def volts(self, signal: int) -> float | None:
        """How many volts a signal's unit is; ``None`` where it is none of volts."""
        return VOLTS.get(self.fields["unit"][signal].lower())

    def rate(self, signal: int) -> float:
        """Samples a second of a signal; 0 where records have no duration."""
        return self.samples[signal] / self.seconds if self.seconds > 0 else 0.0

    def place(self, field: str, signal: int) -> slice:
        """Where a signal's field lies in the file."""
        before = sum(FIELDS[name] for name in list(FIELDS)[: list(FIELDS).index(field)])
        first = FIXED + len(self.fields["label"]) * before + signal * FIELDS[field]
        return slice(first, first + FIELDS[field])

    def span(self, signal: int) -> slice:
        """Where a signal's samples lie in a data record, in bytes."""
        first = sum(self.samples[:signal]) * self.width
        return slice(first, first + self.samples[signal] * self.width)

    def body(self, content: bytes | bytearray) -> Array:
        """(records, bytes of a record), a view of the content of the file."""
        length = sum(self.samples) * self.width
        return np.frombuffer(content, np.uint8, self.records * length, self.size).reshape(self.records, length)

    def gaps(self, path: Path) -> list[int]:
        """The records before which time is missing, as far as a file says when its records begin."""
        texts = [i for i, label in enumerate(self.fields["label"]) if label in ANNOTATIONS]
        if not (self.split and texts):
            return []
        body = self.body(path.read_bytes())[:, self.span(texts[0])]
        found = [ONSET.match(record.tobytes()) for record in body]
        if not all(found):
            return []
        onsets = np.asarray([float(match[1]) for match in found if match])
        return [int(i) + 1 for i in np.flatnonzero(np.diff(onsets) > self.seconds + 1e-3)]


def is_edf(path: Path) -> bool:
    """Whether a file's name is that of an EDF or BDF."""
    return path.suffix.lower() in WIDTHS
