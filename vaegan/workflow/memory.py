"""How much memory a piece of work takes at most."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from pathlib import Path
from typing import ClassVar

import torch

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """The most memory that a training holds, on the GPU where one is in use, as if this process had done nothing before it.

    Of several trainings in one process, as of a comparison or a sweep, each would otherwise count what those before it have
    left behind too: their models, and what allocators keep. Made where the work begins; :meth:`begin` forgets the peak so
    far, as that of data being decoded.
    """

    _fresh: ClassVar[float | None] = None
    """MiB that the process held at least where a training began: mostly its first."""

    def __init__(self) -> None:
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # of glibc alone
            ctypes.CDLL(None).malloc_trim(0)
        held = _status("VmRSS")
        self.alone = PeakMemory._fresh is None
        known = [value for value in (held, PeakMemory._fresh) if value is not None]
        PeakMemory._fresh = min(known, default=0.0)
        self.left = 0.0 if held is None else held - PeakMemory._fresh
        self.left_on_gpu = torch.cuda.memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0

    def begin(self) -> None:
        """Forgets the peak so far, where the system can."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError):
            RESET.write_text("5")  # forgets the peak of the resident set, see proc(5)

    def mib(self) -> float | None:
        """The peak in MiB; ``None`` where the system does not tell, or cannot forget that of an earlier training."""
        if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
            return torch.cuda.max_memory_allocated() / 2**20 - self.left_on_gpu
        peak = _status("VmHWM")
        if peak is None:
            return peak_memory_mib() if self.alone else None
        return peak - self.left


def _status(field: str) -> float | None:
    """MiB that Linux tells of this process."""
    try:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    except (OSError, StopIteration):
        return None
    return float(line.split()[1]) / 2**10


def peak_memory_mib() -> float | None:
    """Most memory that this process ever held, on the GPU where there is one in use, in MiB; ``None`` where unknown."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    if resource is None:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
