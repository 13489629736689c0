"""How commands say something: where lines are wrapped, and what the system says of a file in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

UNWRAPPED = 100_000
"""Columns of what no terminal shows: longer than any line."""


def console(*, stderr: bool = False) -> Console:
    """Where a command prints. What goes into a file or another program is not wrapped: a line is found whole by ``grep``.

    Args:
        stderr: what is said beside the answer. Its progress bars fill the width, so that alone is not changed.
    """
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            """As ``print`` does: :func:`vaegan.cli.main` knows what then is to be done."""
            raise BrokenPipeError

    made = Plain(stderr=stderr)
    if made.is_terminal:
        return made
    if stderr:
        return Plain(stderr=True, soft_wrap=True)
    made.width = UNWRAPPED
    return made


def reason(error: OSError) -> str:
    """What went wrong with which file, in one line. An error that a domain raises itself may hold a text alone."""
    if error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}."
    text = " ".join(str(error.strerror or error).split()).rstrip(".")
    return f"{text or type(error).__name__}."
