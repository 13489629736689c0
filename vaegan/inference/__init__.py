"""A model over a signal of any size: overlapping windows, each read, restored, blended in and forgotten.

A local network restores a signal in windows as it would in one piece: they begin on its coarsest grid, they overlap by
what it looks at, and what an inner border may have touched counts for nothing. They are as large as memory allows. Any
other model sees windows of the size that it was trained on, blended over all that neighbours share.

Whatever the signal's size, few windows are in memory at a time beside what the caller reads from and writes to.
"""

from vaegan.inference.cover import MEMORY, Cover, blending, covers, starts
from vaegan.inference.parts import Progress, Read, Write, check_signals, restore_any_size, restore_in_parts

__all__ = [
    "MEMORY",
    "Cover",
    "Progress",
    "Read",
    "Write",
    "blending",
    "check_signals",
    "covers",
    "restore_any_size",
    "restore_in_parts",
    "starts",
]
