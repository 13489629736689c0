"""``python -m domains.sonar``: what a run is worth for anomalies, for a classifier, and on frames without a truth."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

import vaegan
from domains.sonar.anomaly import evaluate
from domains.sonar.classifier import DebrisFeatures, augmentation_gain, recalls, tensors
from domains.sonar.metrics import without_truth
from domains.sonar.sonar import Sonar
from vaegan.domain import Recording
from vaegan.errors import DataError, UserError
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


def classes(run: Run, domain: Sonar, *, each: int = 50, seed: int = 0) -> dict[str, dict[str, float]]:
    """Whether frames show the class that they were drawn for, as the classifier of real frames sees it.

    Returns:
        Of the test frames and of ``each`` draws a class, for each class the share in which the classifier finds it, and
        under ``mean`` their mean.

    Raises:
        UserError: where the model knows no classes.
    """
    _knows_classes(run)
    judge = DebrisFeatures(domain.dataset("train"), domain.to_model).model
    asked = torch.arange(run.model.classes).repeat(each)
    frames = {"test frames": tensors(domain.dataset("test"), domain.to_model)}
    frames["drawn"] = run.draws()(len(asked), seed, asked).clamp(-1, 1), asked
    if run.extras.prior is not None:
        frames["drawn from the mixture"] = run.draws(mixture=True)(len(asked), seed, asked).clamp(-1, 1), asked
    names = domain.dataset("train").class_names
    found = {}
    for name, (x, labels) in frames.items():
        shares = recalls(judge, x, labels)
        found[name] = {"mean": float(np.mean(list(shares.values())))} | {names[k]: v for k, v in shares.items()}
    return found


def gain(run: Run, domain: Sonar, *, rare: int = 3, each: int = 60) -> dict[str, float]:
    """What generated frames of the rarest classes bring to the classifier; see :func:`augmentation_gain`.

    Raises:
        UserError: where the model knows no classes.
    """
    _knows_classes(run)
    train, test = (tensors(domain.dataset(split), domain.to_model) for split in ("train", "test"))
    counts = np.bincount(train[1].numpy(), minlength=run.model.classes).astype(float)
    counts[counts == 0] = np.inf
    chosen = torch.from_numpy(np.argsort(counts)[:rare].copy())
    labels = chosen.repeat_interleave(each)
    drawn = run.draws()(len(labels), 0, labels).clamp(-1, 1)
    return augmentation_gain(train, test, (drawn, labels), run.model.classes)


def _knows_classes(run: Run) -> None:
    if not run.model.classes:
        raise UserError("the run's model knows no classes", expected="a conditional run", mend="train sonar/generate")


def measure(run: Run, files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Measures without a truth of files, restored as they are.

    Returns:
        The measures of each file by its path; of several channels (or frames) each by its number too, as ``path#0``.

    A channel in which nothing can be measured is left out of several, with a warning.

    Raises:
        DataError: for a file that cannot be read, or in which nothing can be measured.
    """
    found: dict[str, dict[str, float]] = {}
    for path in files:
        recording = run.domain.read(path)
        restored = run.restore(recording).recording
        found |= _measured(path, restored, recording)
    return found


def _measured(path: Path, restored: Recording, recording: Recording) -> dict[str, dict[str, float]]:
    found, failed = {}, {}
    for number, pair in enumerate(zip(restored.signals, recording.signals, strict=True)):
        name = f"{path}#{number}" if len(recording.signals) > 1 else str(path)
        try:
            found[name] = without_truth(*(np.asarray(part[0], dtype=np.float64) for part in pair))
        except DataError as error:
            failed[name] = error
    for name, reason in failed.items():
        if not found:
            raise DataError(f"{name}: {reason.found}", expected=reason.expected, mend=reason.mend)
        warnings.warn(f"{name} is left out: {reason}", stacklevel=3)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 for a user's mistake, in one line."""
    parser = argparse.ArgumentParser(prog="python -m domains.sonar", description=__doc__)
    parser.add_argument("what", choices=("anomaly", "classes", "gain", "measure"))
    parser.add_argument("run", type=Path)
    parser.add_argument("files", type=Path, nargs="*", help="for measure: files to restore")
    parsed = parser.parse_args(arguments)
    try:
        run, domain = sonar_run(parsed.run)
        if parsed.what == "measure":
            found: object = measure(run, parsed.files)
        else:
            measures: dict[str, Callable[[Run, Sonar], object]] = {"anomaly": anomaly, "classes": classes, "gain": gain}
            found = measures[parsed.what](run, domain)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
