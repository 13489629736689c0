"""What a user did wrong, said in one line."""

from __future__ import annotations


class UserError(Exception):
    """A mistake that the user can mend: the command line prints it as one line and exits with code 2.

    Args:
        found: what was found, with the name of the file or argument.
        expected: what was expected instead.
        mend: the argument or action that mends it.
    """

    def __init__(self, found: str, *, expected: str = "", mend: str = "") -> None:
        self.found, self.expected, self.mend = found, expected, mend
        parts = [found.rstrip(".")]
        if expected:
            parts.append(f"expected {expected.rstrip('.')}")
        if mend:
            parts.append(mend.rstrip("."))
        line = "; ".join(parts)
        super().__init__(line if line.endswith("?") else line + ".")


class DataError(UserError):
    """The data at hand cannot be used: a missing folder, a corrupt file, a wrong shape."""


class TrainingError(UserError):
    """Training had to stop: a loss that is not finite, a gradient that is missing."""
