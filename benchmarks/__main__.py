"""``python -m benchmarks NAME``: runs one benchmark, or without a name lists them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from vaegan.errors import UserError

BENCHMARKS: dict[str, str] = {
    "step": "one training step of Larsen's VAE-GAN beside pythae's",
    "generation": "measures of generated items beside independent code, and what they cost",
    "restore": "a picture of 10,000 x 8,000 pixels restored: time and peak memory",
    "sonar": "sonar frames of 320 x 480 restored: frames a second",
    "eeg": "a window of 64 channels of EEG restored, and streamed: milliseconds",
    "lidar": "a LiDAR turn and a planar scan restored end to end: milliseconds against the sensor's rate",
    "depth": "does a DCGAN of digits collapse when layers are added, and what cures it",
    "oracle": "EEG: what a filter that knew the spectra of signal and artifact would leave",
    "vae_failure": "the humanface8000 study's VAE, and what makes it restore worse than its input",
}


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, or 2 after one line that says what the user can mend."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python -m benchmarks NAME [--help]")
        for name, summary in BENCHMARKS.items():
            print(f"  {name}  {summary}")
        return 0
    name, *rest = arguments
    try:
        if name not in BENCHMARKS:
            raise UserError(f"unknown benchmark {name!r}", expected=f"one of {', '.join(sorted(BENCHMARKS))}")
        # Imported only now: the list is to appear at once.
        importlib.import_module(f"benchmarks.{name}").main(rest)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
