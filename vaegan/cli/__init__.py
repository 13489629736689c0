"""The command line: it parses, calls, and prints; the work is done elsewhere."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from vaegan.cli.overrides import flags_of, unknown_flag
from vaegan.cli.parser import build_parser
from vaegan.cli.saying import reason
from vaegan.errors import UserError

NOBODY_READS = 141
"""The code of a program that SIGPIPE ends, 128 + 13: shells know it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, or 2 with one line on standard error for a user's mistake."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            return _obey(words)
        finally:
            sys.stdout.flush()  # what cannot be printed is noticed here, not when Python ends
    except BrokenPipeError:  # who read it has left, as ``head`` does
        _fall_silent()
        return NOBODY_READS


def _obey(words: list[str]) -> int:
    try:
        options, rest = build_parser().parse_known_args(words)
        if rest and options.command not in ("run", "train"):
            raise unknown_flag(rest[0], flags_of(options.parser.format_help()), f"vaegan {options.command}")
        options.words = words
        with _plain_warnings():
            options.work(options, rest)
    except UserError as error:
        print(f"vaegan: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"vaegan: error: {reason(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vaegan: interrupted; the same command goes on from the last saved state.", file=sys.stderr)
        return 130
    return 0


def _fall_silent() -> None:
    """Sends nowhere what is still to be printed: Python would fail at it once more when it ends, and say so."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError), open(os.devnull, "wb") as nowhere:  # a stream of a test has no number
            os.dup2(nowhere.fileno(), stream.fileno())


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """What a file's reader says of the file is one line, without the place in the code that says it."""
    usual = warnings.formatwarning

    def plain(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> str:
        return f"warning: {message}\n" if category is UserWarning else usual(message, category, *place, **more)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = usual
