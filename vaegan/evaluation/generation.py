"""Judges generated signals: are they real, do they cover the data, are they copies?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from vaegan.data import SignalSet
from vaegan.domain import Domain
from vaegan.errors import DataError, UserError
from vaegan.evaluation.result import REAL, Generation, Nearest
from vaegan.metrics.features import Extracted, Extractor
from vaegan.metrics.generation import judge_features
from vaegan.metrics.modes import judge_modes
from vaegan.metrics.neighbours import nearest
from vaegan.metrics.restoration import summarise

Array: TypeAlias = NDArray[Any]
Draw: TypeAlias = Callable[[int, int], Tensor]
"""(How many, seed) to signals (n, channels, *space) in model units, on the CPU."""
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, and how much of it is done."""

SHOWN = 64
NEIGHBOURS = 4
SHOWN_NEIGHBOURS = 8
MOST_TRAINING = 5_000
MOST_REAL = 10_000
CHUNK = 64


def evaluate_generation(
    draws: Mapping[str, Draw],
    domain: Domain,
    train: SignalSet | None,
    test: SignalSet,
    extractors: Sequence[Extractor],
    *,
    n: int,
    seed: int,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Generation:
    """Judges draws against test items, in the features of each extractor.

    Every method draws ``n`` signals. The reference is the test split: at most 10 ``n`` and 10,000 items of it, beside at
    most 5 ``n`` and 5,000 training items. So that a number can be read, ``n`` of these (as many as there are) are judged as
    though they had been generated.

    Memorisation is measured in the features of the first extractor: ``nearer_than_test`` is the probability that a draw
    lies nearer to its nearest training item than a test item does to its own (ties count half): one half for draws as new
    as the test items, 1 for copies. ``copies`` is the share of draws that lie nearer than 99 % of the test items do.

    Args:
        draws: by method; each is called with a number and a seed.
        domain: of the signals.
        train: what the model was trained on; without it there is no word about memorisation.
        test: real items that the model never saw.
        extractors: at least one, with different names.
        n: draws of each method.
        seed: of the draws and of the choice of items.
        device: where features are extracted.
        progress: called after every chunk.

    Raises:
        UserError: for fewer than two draws, or no extractor.
    """
    if n < 2:
        raise UserError(f"{n} samples to judge", expected="at least 2", mend="set --evaluation.samples")
    if not extractors:
        raise UserError("no extractor to judge generated signals by", expected="at least one")
    look = _Look(extractors, device, progress)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(test))[: min(MOST_REAL, 10 * n)])
    real = look("test items", _items(domain, test, chosen), len(chosen))
    rows = np.asarray([], dtype=np.int64)
    if train is not None:
        rows = np.sort(np.random.default_rng((seed, 1)).permutation(len(train))[: min(MOST_TRAINING, 5 * n)])
    known = look(REAL, _items(domain, train, rows), len(rows)) if train is not None else None

    numbers: dict[str, dict[str, dict[str, Any]]] = {}
    notes: dict[str, list[str]] = {}
    samples: dict[str, Array] = {}
    neighbours: Nearest | None = None
    own = type(domain).judge_generated is not Domain.judge_generated
    truth = np.stack([np.asarray(test.signals[row]) for row in chosen]) if own else None
    for method, draw in draws.items():
        kept: list[Tensor] = []
        found = look(method, _drawn(draw, n, seed, kept), n)
        numbers[method], said = _judge(extractors, real, found, seed)
        for note in said:
            notes.setdefault(note, []).append(method)
        samples[method] = _physical(domain, torch.cat(kept)[:SHOWN])
        if truth is not None:
            everything = _physical(domain, torch.cat(list(_drawn(draw, n, seed, []))))
            numbers[method] |= {key: dict(entry) for key, entry in domain.judge_generated(everything, truth).items()}
        if known is not None and train is not None:
            name = extractors[0].name
            numbers[method] |= _memorisation(name, found[0], known[0], real[0], seed)
            if neighbours is None:
                neighbours = _nearest(method, name, domain, samples[method], found[0], known[0], real[0], train, rows)
    if known is not None and len(rows) > 1:
        part = np.random.default_rng((seed, 2)).permutation(len(rows))[:n]
        some = [Extracted(k.features[part], None if k.probabilities is None else k.probabilities[part]) for k in known]
        numbers[REAL], said = _judge(extractors, real, some, seed)
        if truth is not None and train is not None:
            items = np.stack([np.asarray(train.signals[row]) for row in rows[part]])
            numbers[REAL] |= {key: dict(entry) for key, entry in domain.judge_generated(items, truth).items()}
        for note in said:
            notes.setdefault(note, []).append(REAL)
    told = [f"{extractor.name}: {extractor.note}" for extractor in extractors]
    for note, methods in notes.items():  # what is said of all needs no names
        told.append(note if len(methods) == len(numbers) else f"{', '.join(methods)}: {note}")
    return Generation(numbers, tuple(told), samples, neighbours, None, domain.draw)


class _Look:
    """Features of signals that come in chunks, by every extractor."""

    def __init__(self, extractors: Sequence[Extractor], device: torch.device | str, progress: Progress | None) -> None:
        self.extractors, self.device, self.progress = extractors, device, progress

    @torch.no_grad()
    def __call__(self, what: str, chunks: Iterator[Tensor], total: int) -> list[Extracted]:
        found: list[list[Extracted]] = [[] for _ in self.extractors]
        done = 0
        for chunk in chunks:
            for parts, extractor in zip(found, self.extractors, strict=True):
                parts.append(extractor(chunk.to(self.device)))
            done += len(chunk)
            if self.progress is not None:
                self.progress(what, done, total)
        return [_joined(parts) for parts in found]


def _joined(parts: Sequence[Extracted]) -> Extracted:
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    return Extracted(torch.cat([part.features for part in parts]), torch.cat(probabilities) if probabilities else None)


def _items(domain: Domain, data: SignalSet, rows: Array) -> Iterator[Float[Tensor, "chunk channels *space"]]:
    for first in range(0, len(rows), CHUNK):
        signals = np.stack([np.asarray(data.signals[row]) for row in rows[first : first + CHUNK]])
        yield domain.to_model(torch.from_numpy(signals)).float()


def _drawn(draw: Draw, n: int, seed: int, kept: list[Tensor]) -> Iterator[Tensor]:
    """Chunks of draws, each with a seed of its own; the first ones are kept to be shown."""
    for number, first in enumerate(range(0, n, CHUNK)):
        chunk = draw(min(CHUNK, n - first), seed * 1_000_003 + number).clamp(-1, 1)
        if first < SHOWN:
            kept.append(chunk)
        yield chunk


def _physical(domain: Domain, signals: Tensor) -> Array:
    return np.asarray(domain.to_physical(signals).numpy())


def _judge(
    extractors: Sequence[Extractor], real: Sequence[Extracted], found: Sequence[Extracted], seed: int
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    numbers: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    for extractor, a, b in zip(extractors, real, found, strict=True):
        try:
            judged = judge_features(
                a.features, b.features, extractor=extractor.name, probabilities=b.probabilities, seed=seed
            )
        except DataError as error:  # a generator that draws one and the same picture is a finding, not a mistake
            notes.append(f"not judged by {extractor.name}: {error}")
            continue
        numbers |= judged.numbers
        notes += judged.notes
        if getattr(extractor, "counts_modes", False) and a.probabilities is not None and b.probabilities is not None:
            numbers |= judge_modes(a.probabilities, b.probabilities, extractor=extractor.name)
    return numbers, notes


def _memorisation(
    extractor: str, found: Extracted, known: Extracted, real: Extracted, seed: int
) -> dict[str, dict[str, Any]]:
    """How near draws lie to training items, beside how near test items do."""
    own = nearest(found.features, known.features, 1)[0][:, 0].double().numpy()
    theirs = np.sort(nearest(real.features, known.features, 1)[0][:, 0].double().numpy())
    below = np.searchsorted(theirs, own, side="left"), np.searchsorted(theirs, own, side="right")
    nearer = 1.0 - 0.5 * (below[0] + below[1]) / len(theirs)
    copies = (own < np.percentile(theirs, 1)).astype(np.float64)
    shared = {"unit": "1", "better": "lower", "n_real": len(theirs)}
    return {
        f"nearer_than_test[{extractor}]": {**summarise(nearer, seed=seed), **shared},
        f"copies[{extractor}]": {**summarise(copies, seed=seed), **shared},
    }


def _nearest(
    method: str,
    extractor: str,
    domain: Domain,
    samples: Array,
    found: Extracted,
    known: Extracted,
    real: Extracted,
    train: SignalSet,
    rows: Array,
) -> Nearest:
    k = min(NEIGHBOURS, len(rows))
    some = samples[:SHOWN_NEIGHBOURS]
    distances, indices = nearest(found.features[: len(some)], known.features, k)
    usual = nearest(real.features, known.features, 1)[0][:, 0].median()
    items = np.stack([[np.asarray(train.signals[rows[int(i)]], dtype=np.float64) for i in row] for row in indices])
    return Nearest(method, extractor, some, items, np.asarray(distances.numpy()), float(usual))
