"""Training that begins with the weights of another run: learn from plenty, then from the little that there is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vaegan.data import SignalSet
from vaegan.errors import DataError, UserError
from vaegan.files import read_json
from vaegan.models import Model
from vaegan.recipe import to_json
from vaegan.run import Run, find, load
from vaegan.workflow.items import example, seen_before


@dataclass(frozen=True)
class Pretrained:
    """A trained run whose weights another training begins with.

    Attributes:
        run: the trained run.
        sha256: of its weights.
        training: the content of its ``training.json``.
    """

    run: Run
    sha256: str
    training: Mapping[str, Any]

    @staticmethod
    def open(path: Path) -> Pretrained:
        """A run from its own folder.

        The newest in a folder of runs, which other commands take, would soon be the run that is now trained, and the same
        command another one's.

        Raises:
            UserError: where there is no complete run, or a folder of runs.
        """
        folder = find(path)
        if folder != path:
            raise UserError(
                f"{path} is a folder of runs",
                expected="one run, so that the same command begins with the same weights",
                mend=f"set --pretrained {folder}",
            )
        weights = (folder / "model" / "model.safetensors").read_bytes()
        return Pretrained(load(folder), hashlib.sha256(weights).hexdigest(), read_json(folder / "training.json"))

    def describe(self) -> dict[str, Any]:
        """What the new run keeps: the old one's recipe, data, domain, number of samples, hash of weights, own beginning."""
        data = self.run.domain.data
        before = self.training.get("pretrained")
        return {
            "recipe": self.run.name,
            "source": "embedded default" if data is None else str(data),
            "samples": int(self.training["samples"]),
            "sha256": self.sha256,
            "domain": to_json(self.run.name, self.run.recipe)["domain"],
            **({} if before is None else {"pretrained": before}),
        }

    def start(self, model: Model) -> None:
        """Gives a new model of the same sizes these weights, the discriminator's among them.

        Raises:
            UserError: where names or shapes of the weights differ; the first difference is named.
        """
        mine, given = model.state_dict(), self.run.model.state_dict()
        for name in sorted(mine.keys() | given.keys()):
            wanted, found = (
                "none" if name not in weights else "x".join(map(str, weights[name].shape)) or "one number"
                for weights in (mine, given)
            )
            if wanted != found:
                raise UserError(
                    f"{self.run.folder} has other networks ({name}: {found}, this recipe's: {wanted})",
                    expected="the same --model and sizes of signals in both",
                    mend="set --pretrained to such a run",
                )
        model.load_state_dict(given)

    def check_unseen(self, test: SignalSet, console: Console | None = None) -> None:
        """Makes sure that no test item was a training item of the old run, or of one that it began with.

        What was learned by heart flatters. Items are compared by content; see :func:`vaegan.workflow.items.learned_rows`.

        Raises:
            DataError: where one was.
        """
        seen = seen_before(self.run, test, self.training, console)
        if seen is not None:
            who, rows = seen
            raise DataError(
                f"{len(rows)} of {len(test)} test items were training items of {who} ({example(test, rows)})",
                expected="none",
                mend="set --pretrained to a run on other data, or on the same split",
            )
