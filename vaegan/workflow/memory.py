"""How much memory a piece of work takes at most."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import torch

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """The most memory that this process held since this was made, on the GPU where one is in use.

    Where the system cannot forget an earlier peak (Linux can), a larger one from before this was made counts too.
    """

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError):
            RESET.write_text("5")  # forgets the peak of the resident set, see proc(5)

    def mib(self) -> float | None:
        """The peak in MiB; ``None`` where the system does not tell."""
        if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
            return torch.cuda.max_memory_allocated() / 2**20
        try:
            peak = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
            return float(peak.split()[1]) / 2**10
        except (OSError, StopIteration):
            return peak_memory_mib()


def peak_memory_mib() -> float | None:
    """Most memory that this process ever held, on the GPU where there is one in use, in MiB; ``None`` where unknown."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    if resource is None:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
