"""What the benchmarks' command lines share."""

from __future__ import annotations

import argparse
from typing import NoReturn

from vaegan.errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser that raises ``UserError`` for a mistake, and takes no shortened option.

    Args:
        benchmark: the benchmark's name, as in ``python -m benchmarks NAME``.
        description: what it does.
    """

    def __init__(self, benchmark: str, description: str | None) -> None:
        super().__init__(prog=f"python -m benchmarks {benchmark}", description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises ``UserError``."""
        raise UserError(message, mend=f"see {self.prog} --help")


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)
