"""Where a command writes files: into one folder, under their own names, and nothing over what it wrote before."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vaegan.errors import UserError
from vaegan.files import check_folder, folder_for


class Outputs:
    """The folder that several files are written to.

    Args:
        files: what is read.
        out: the folder; it is made when there is something to write.

    Raises:
        UserError: where a file would be overwritten, two would get the same name, or the folder cannot be written to.
    """

    def __init__(self, files: Sequence[Path], out: Path) -> None:
        self.out, self._inputs = out, {path.resolve() for path in files}
        self._written: set[Path] = set()
        names: set[str] = set()
        for path in files:
            if (out / path.name).resolve() == path.resolve():
                raise _overwritten(path)
            if path.name in names:
                raise UserError(
                    f"two files are named {path.name}",
                    expected="different names",
                    mend="treat them one folder at a time",
                )
            names.add(path.name)
        check_folder(out)

    def write(self, name: str, write: Callable[[Path], Iterable[Path]]) -> list[Path]:
        """Lets a file and its companions be written elsewhere, then moves them all into the folder.

        Only a writer knows the names that it gives: a recording of a format that nobody writes comes out under another one.

        Args:
            name: of the file.
            write: writes it at a place, with companions beside it; returns those that are to be told of.

        Returns:
            These, where they are now.

        Raises:
            UserError: where one has the name of what was written before, or of a file that is read.
        """
        with folder_for(self.out), tempfile.TemporaryDirectory(dir=self.out.resolve(), prefix=".vaegan-") as place:
            scratch = Path(place)
            with _under_their_last_names(place, str(self.out)):
                told = [path.resolve().relative_to(scratch) for path in write(scratch / name)]
                made = {path.relative_to(scratch) for path in scratch.rglob("*") if path.is_file()}
                self._check(name, sorted(made))
            for part in sorted(made, key=lambda part: (part in told, part)):  # companions first
                (self.out / part).parent.mkdir(parents=True, exist_ok=True)
                os.replace(scratch / part, self.out / part)
        self._written |= made
        return [self.out / part for part in told]

    def _check(self, name: str, made: Sequence[Path]) -> None:
        for part in made:
            if part in self._written:
                raise UserError(
                    f"{name} would be written to {self.out / part}, as another file was before",
                    expected="different names",
                    mend="treat it apart, with another --out",
                )
            if (self.out / part).resolve() in self._inputs:
                raise _overwritten(self.out / part)


def _overwritten(path: Path) -> UserError:
    return UserError(f"{path} would be overwritten", expected="another folder", mend="set --out")


@contextmanager
def _under_their_last_names(scratch: str, out: str) -> Iterator[None]:
    """Errors and warnings name files where they will be, not where they are written first."""
    with warnings.catch_warnings(record=True) as told:
        try:
            yield
        except UserError as error:
            found, expected, mend = (text.replace(scratch, out) for text in (error.found, error.expected, error.mend))
            raise type(error)(found, expected=expected, mend=mend) from error
        except OSError as error:
            if error.filename is not None:
                error.filename = str(error.filename).replace(scratch, out)
            elif error.errno is not None:  # of a full disk
                error.filename = out
            raise
        finally:
            said = [(str(warning.message).replace(scratch, out), warning.category) for warning in told]
    for text, category in said:
        warnings.warn(text, category, stacklevel=2)
