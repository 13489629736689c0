"""``python -m domains.sonar``: what a run is worth for anomalies, for a classifier, and on frames without a truth."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import vaegan
from domains.sonar.anomaly import evaluate
from domains.sonar.classifier import augmentation_gain, tensors
from domains.sonar.metrics import without_truth
from domains.sonar.sonar import Sonar
from vaegan.errors import UserError
from vaegan.run import Run


def sonar_run(path: Path) -> tuple[Run, Sonar]:
    """A run and its domain.

    Raises:
        UserError: when it is a run of another domain.
    """
    run = vaegan.load(path)
    if not isinstance(run.domain, Sonar):
        raise UserError(f"{path} is a run of {type(run.domain).__name__}", expected="a run of the domain sonar")
    return run, run.domain


def anomaly(run: Run, domain: Sonar) -> dict[str, float]:
    """Area under the ROC curve on the classes that the run never saw, of each score and of PCA.

    Raises:
        UserError: where the run kept no class back.
    """
    test = domain.dataset("test")
    new = domain.novel_in(test)
    if not new.any():
        raise UserError("the run kept no class back", expected="one or more", mend="train with --domain.novel")
    seen, _ = tensors(domain.dataset("train"), domain.to_model)
    x, _ = tensors(test, domain.to_model)
    found = evaluate(run.model, seen, x[torch.from_numpy(~new)], x[torch.from_numpy(new)])
    return {"normal": int((~new).sum()), "novel": int(new.sum()), **found}


def gain(run: Run, domain: Sonar, *, rare: int = 3, each: int = 60) -> dict[str, float]:
    """What generated frames of the rarest classes bring to the classifier; see :func:`augmentation_gain`.

    Raises:
        UserError: where the model knows no classes.
    """
    if not run.model.classes:
        raise UserError("the run's model knows no classes", expected="a conditional run", mend="train sonar/generate")
    train, test = (tensors(domain.dataset(split), domain.to_model) for split in ("train", "test"))
    counts = np.bincount(train[1].numpy(), minlength=run.model.classes).astype(float)
    counts[counts == 0] = np.inf
    chosen = torch.from_numpy(np.argsort(counts)[:rare].copy())
    labels = chosen.repeat_interleave(each)
    drawn = run.draws()(len(labels), 0, labels).clamp(-1, 1)
    return augmentation_gain(train, test, (drawn, labels), run.model.classes)


def measure(run: Run, files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Measures without a truth of files, restored as they are."""
    found = {}
    for path in files:
        recording = run.domain.read(path)
        restored = run.restore(recording).recording
        pair = (np.asarray(part.signals[0, 0], dtype=np.float64) for part in (restored, recording))
        found[str(path)] = without_truth(*pair)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 for a user's mistake, in one line."""
    parser = argparse.ArgumentParser(prog="python -m domains.sonar", description=__doc__)
    parser.add_argument("what", choices=("anomaly", "gain", "measure"))
    parser.add_argument("run", type=Path)
    parser.add_argument("files", type=Path, nargs="*", help="for measure: files to restore")
    parsed = parser.parse_args(arguments)
    try:
        run, domain = sonar_run(parsed.run)
        if parsed.what == "measure":
            found: object = measure(run, parsed.files)
        else:
            found = anomaly(run, domain) if parsed.what == "anomaly" else gain(run, domain)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
