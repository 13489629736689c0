"""What a person watches while a model trains: scalars, pictures, a progress bar, and warnings of the usual failures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from vaegan.errors import TrainingError

DEAD = (
    "it may be dead; if it has batch norm and batches are small, each is normalised by itself and says the same: set "
    "--model.discriminator-norm group; else raise discriminator_lr"
)


class Log:
    """Scalars kept as tensors until it is time to write them: only then does the host wait for the device.

    Args:
        folder: where TensorBoard's files go; ``None`` writes none.
        console: where the progress bar goes; ``None`` shows none.
        title: of the progress bar.
    """

    def __init__(self, folder: Path | None, console: Console | None, title: str) -> None:
        self.history: list[dict[str, float]] = []
        self.warnings: list[str] = []
        self._pending: list[tuple[int, dict[str, Tensor]]] = []
        self._checked = 0
        self._writer: Any = None
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder))
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]:.0f} samples/s"),
            TimeRemainingColumn(),
            console=console or Console(quiet=True),
            transient=False,
            disable=console is None,
        )
        self._task = self._bar.add_task(title, total=1.0, rate=0.0)
        self._bar.start()

    def keep(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Remembers a step's terms without looking at them."""
        self._pending.append((step, dict(terms)))

    def check(self) -> None:
        """Looks at the remembered terms.

        Raises:
            TrainingError: when a term of any step is not finite; it names the first one.
        """
        fresh = self._pending[self._checked :]
        values = [value.float() for _, terms in fresh for value in terms.values()]
        if values and not bool(torch.isfinite(torch.stack(values)).all()):
            step, name, value = next(
                (step, name, float(value))
                for step, terms in fresh
                for name, value in terms.items()
                if not bool(torch.isfinite(value))
            )
            raise TrainingError(
                f"the term {name!r} is {value} at step {step}",
                expected="finite numbers",
                mend="lower the learning rate, raise its warm-up, or set the precision to 32-true; "
                "the last saved state is intact",
            )
        self._checked = len(self._pending)

    def flush(self, samples: int) -> dict[str, float]:
        """Checks the remembered terms, and writes their means.

        Raises:
            TrainingError: when a term of any step is not finite; it names the first one.
        """
        if not self._pending:
            return {}
        self.check()
        names = list(self._pending[0][1])
        table = torch.stack([torch.stack([terms[n].float() for n in names]) for _, terms in self._pending])
        means = dict(zip(names, table.mean(0).tolist(), strict=True))
        self._pending.clear()
        self._checked = 0
        self.history.append({"samples": float(samples), **means})
        if self._writer is not None:
            for name, value in means.items():
                self._writer.add_scalar(name, value, samples)
        self._watch(means)
        return means

    def scalar(self, name: str, value: float, samples: int) -> None:
        """One more number, such as the active units."""
        if self._writer is not None:
            self._writer.add_scalar(name, value, samples)
        if self.history:
            self.history[-1][name] = value

    def picture(self, name: str, picture: np.ndarray, samples: int) -> None:
        """A picture (rows, columns, 3) uint8."""
        if self._writer is not None:
            self._writer.add_image(name, picture, samples, dataformats="HWC")

    def progress(self, share: float, rate: float) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=min(share, 1.0), rate=rate)

    def warn(self, message: str) -> None:
        """Says something once."""
        if message not in self.warnings:
            self.warnings.append(message)
            self._bar.console.print(f"[yellow]warning:[/] {message}")

    def close(self) -> None:
        """Ends bar and files."""
        self._bar.stop()
        if self._writer is not None:
            self._writer.close()

    def _watch(self, means: Mapping[str, float]) -> None:
        """A discriminator that is certain, or that cannot tell, teaches nothing."""
        recent = self.history[-5:]
        if len(recent) < 5:
            return
        margins = [row["d_margin"] for row in recent if "d_margin" in row]
        if len(margins) == 5 and min(margins) > 12:
            self.warn("the discriminator wins by far (mean margin above 12): raise penalty or lower discriminator_lr")
        if len(margins) == 5 and max(abs(margin) for margin in margins) < 0.01:
            self.warn(f"the discriminator cannot tell real from restored at all (margin below 0.01): {DEAD}")
        sure = [(row["d_real"], row["d_sampled"]) for row in recent if "d_real" in row]
        if len(sure) == 5 and all(real > 0.99 and fake < 0.01 for real, fake in sure):
            self.warn(
                "the discriminator is certain of everything, and its saturated loss no longer moves the decoder: "
                "lower discriminator_lr"
            )
        if len(sure) == 5 and all(abs(real - fake) < 0.005 for real, fake in sure):
            self.warn(f"the discriminator cannot tell real from generated at all: {DEAD}")
