"""A small classifier of debris, trained in seconds on the classes at hand: it judges generated frames."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vaegan.data import SignalSet
from vaegan.errors import DataError
from vaegan.metrics.features import Extracted

EPOCHS = 12
BATCH = 32
Array = np.ndarray[Any, Any]


class Classifier(nn.Module):
    """Four convolutions of stride 2, mean and maximum over space, a dense layer of 64 features, and the classes."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        sizes = (1, width, 2 * width, 3 * width, 4 * width)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.GroupNorm(4, b) for b in sizes[1:])
        self.hidden, self.out = nn.Linear(8 * width, 64), nn.Linear(64, classes)

    def features(self, x: Float[Tensor, "batch 1 rows columns"]) -> Float[Tensor, "batch 64"]:
        """Of frames in model units."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.leaky_relu(norm(layer(x)), 0.1)
        return F.leaky_relu(self.hidden(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)), 0.1)

    def forward(self, x: Float[Tensor, "batch 1 rows columns"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        logits: Tensor = self.out(self.features(x))
        return logits


def train_classifier(
    x: Float[Tensor, "n 1 rows columns"],
    labels: Int[Tensor, " n"],
    classes: int,
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
) -> Classifier:
    """Adam at 2e-3 falling to 0; frames mirrored and shifted by up to four samples; rare classes weigh more (by a root)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Classifier(classes)
    counts = torch.bincount(labels, minlength=classes).clamp(min=1).float()
    weight = (counts.max() / counts).sqrt()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        first = (step * BATCH) % len(x)
        if step == 0 or first < BATCH:
            order = torch.randperm(len(x), generator=generator)
        rows = order[first : first + BATCH]
        shift = torch.randint(-4, 5, (2,), generator=generator)
        seen = torch.roll(x[rows], (int(shift[0]), int(shift[1])), (2, 3))
        seen = seen.flip(-1) if float(torch.rand((), generator=generator)) < 0.5 else seen
        loss = F.cross_entropy(model(seen), labels[rows], weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


class DebrisFeatures:
    """The classifier as an extractor for distances between generated and real frames; it is trained when first used.

    Args:
        data: the training split, with labels.
        to_model: amplitudes to model units.
    """

    name = "debris-classifier"

    def __init__(self, data: SignalSet, to_model: Callable[[Tensor], Tensor]) -> None:
        self.data, self.to_model = data, to_model
        self._model: Classifier | None = None

    @property
    def note(self) -> str:
        """In words."""
        return (
            f"the 64 features of a classifier of {len(self.data.class_names)} classes, trained on the "
            f"training split ({len(self.data)} frames, {EPOCHS} epochs, seed 0)"
        )

    @property
    def model(self) -> Classifier:
        """The trained classifier."""
        if self._model is None:
            with torch.enable_grad():
                self._model = train_classifier(*tensors(self.data, self.to_model), len(self.data.class_names))
        return self._model

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "batch channels *space"]) -> Extracted:
        """Features and class probabilities of frames in model units."""
        seen = x.float().cpu().clamp(-1, 1)
        features = self.model.features(seen)
        return Extracted(features, self.model.out(features).softmax(1))


def tensors(data: SignalSet, to_model: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Frames in model units (gaps are -1) and labels.

    Raises:
        DataError: without labels.
    """
    if data.labels is None:
        raise DataError("frames without classes", expected="class folders", mend="give such --data")
    x = to_model(torch.from_numpy(np.nan_to_num(np.asarray(data.signals, dtype=np.float32))))
    return x, torch.from_numpy(np.asarray(data.labels, dtype=np.int64))


@torch.no_grad()
def recalls(model: Classifier, x: Tensor, labels: Tensor) -> dict[int, float]:
    """Share of each class's frames that are recognised."""
    found = torch.cat([model(part).argmax(1) for part in x.split(128)])
    return {int(k): float((found[labels == k] == k).float().mean()) for k in labels.unique()}


def augmentation_gain(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    generated: tuple[Tensor, Tensor],
    classes: int,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> dict[str, float]:
    """What generated frames of rare classes bring to the classifier: train real, train real and generated, test real.

    Returns:
        Mean recall over classes (``macro``) and over the generated classes (``rare``), in both settings, means over the
        seeds; both settings take the same number of steps.
    """
    rare = {int(k) for k in generated[1].unique()}
    both = torch.cat([train[0], generated[0]]), torch.cat([train[1], generated[1]])
    rows: dict[str, list[float]] = {}
    for seed in seeds:
        longer = max(1, round(EPOCHS * len(both[0]) / len(train[0])))
        for name, (x, labels), epochs in (("real", train, longer), ("real+generated", both, EPOCHS)):
            found = recalls(train_classifier(x, labels, classes, seed=seed, epochs=epochs), *test)
            rows.setdefault(f"macro {name}", []).append(float(np.mean(list(found.values()))))
            rows.setdefault(f"rare {name}", []).append(float(np.mean([v for k, v in found.items() if k in rare])))
    return {name: float(np.mean(values)) for name, values in rows.items()}
