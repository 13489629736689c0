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
from vaegan.degradation.observe import filled
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
    limits: Mapping[str, Draw] | None = None,
) -> Generation:
    """Judges draws against test items, in the features of each extractor.

    Every method draws ``n`` signals. The reference is the test split: at most 10 ``n`` and 10,000 items of it, beside at
    most 5 ``n`` and 5,000 training items. So that a number can be read, ``n`` of these (as many as there are) are judged as
    though they had been generated.

    Memorisation is measured in the features of the first extractor: ``nearer_than_test`` is the probability that a draw
    lies nearer to its nearest training item than a test item does to its own (ties count half): one half for draws as new
    as the test items, 1 for copies. ``copies`` is the share of draws that lie nearer than 99 % of the test items do. Both
    know the training items that were looked at alone: where these are not all, a note says how many, as copies of the others
    pass for new.

    Args:
        draws: by method; each is called with a number and a seed.
        domain: of the signals.
        train: what the model was trained on; without it there is no word about memorisation.
        test: real items that the model never saw.
        extractors: with different names; without any, draws are shown and judged by the domain's own measures alone.
        n: draws of each method.
        seed: of the draws and of the choice of items.
        device: where features are extracted.
        progress: called after every chunk.
        limits: draws that no prior made, by what they are, to read the others by: only their measures are kept.

    Raises:
        UserError: for fewer than two draws.
    """
    if n < 2:
        raise UserError(f"{n} samples to judge", expected="at least 2", mend="set --evaluation.samples")
    judgement = _Judgement(domain, train, test, _Look(extractors, device, progress), n, seed)
    for method, draw in draws.items():
        judgement.drawn(method, draw)
    for what, draw in (limits or {}).items():
        judgement.limit(what, draw)
    judgement.training_items()
    return Generation(judgement.numbers, judgement.told(), judgement.samples, judgement.neighbours, None, domain.draw)


class _Judgement:
    """What is found of one method after another, against the same test items and beside the same training items."""

    def __init__(
        self, domain: Domain, train: SignalSet | None, test: SignalSet, look: _Look, n: int, seed: int
    ) -> None:
        self.domain, self.train, self.look, self.n, self.seed = domain, train, look, n, seed
        self.numbers: dict[str, dict[str, dict[str, Any]]] = {}
        self.samples: dict[str, Array] = {}
        self.neighbours: Nearest | None = None
        self._notes: dict[str, list[str]] = {}
        chosen = np.sort(np.random.default_rng(seed).permutation(len(test))[: min(MOST_REAL, 10 * n)])
        self._real = look("test items", _items(domain, test, chosen), len(chosen))
        self._rows, self._known = np.asarray([], dtype=np.int64), list[Extracted]()
        if train is not None:
            self._rows = np.sort(np.random.default_rng((seed, 1)).permutation(len(train))[: min(MOST_TRAINING, 5 * n)])
            self._known = look(REAL, _items(domain, train, self._rows), len(self._rows))
        own = judges_generated(domain)
        self._truth = np.stack([np.asarray(test.signals[row]) for row in chosen]) if own else None

    def drawn(self, method: str, draw: Draw) -> None:
        """Judges ``n`` draws of a method, and how near they come to training items."""
        found, kept = self._measured(method, draw)
        shown = self.samples[method] = _physical(self.domain, kept)
        if self.train is None or not found:
            return
        name, features = self.look.extractors[0].name, (found[0], self._known[0], self._real[0])
        if not all(bool(one.features.isfinite().all()) for one in features):  # of which nothing else is said either
            return
        self.numbers[method] |= _memorisation(name, *features, self.seed)
        if self.neighbours is None:
            self.neighbours = _nearest(method, name, self.domain, shown, *features, self.train, self._rows)

    def limit(self, what: str, draw: Draw) -> None:
        """Judges ``n`` draws that come from training items, so that to be near these says nothing against them."""
        self._measured(what, draw)

    def training_items(self) -> None:
        """Judges ``n`` training items as though they had been drawn."""
        if self.train is None or len(self._rows) < 2 or not (self._known or self._truth is not None):
            return
        part = np.random.default_rng((self.seed, 2)).permutation(len(self._rows))[: self.n]
        some = [
            Extracted(k.features[part], None if k.probabilities is None else k.probabilities[part]) for k in self._known
        ]
        self._compare(REAL, some)
        if self._truth is not None:
            items = np.stack([np.asarray(self.train.signals[row]) for row in self._rows[part]])
            self._by_domain(REAL, items, self._truth)

    def told(self) -> tuple[str, ...]:
        """What the extractors are, and what is to be said of the methods: of which, where not of all."""
        extractors = [f"{extractor.name}: {extractor.note}" for extractor in self.look.extractors]
        of = {note: "" if len(m) == len(self.numbers) else f"{', '.join(m)}: " for note, m in self._notes.items()}
        few = []
        if self.train is not None and self._known and len(self._rows) < len(self.train):
            looked = f"{len(self._rows):,} of {len(self.train):,} training items"
            few = [f"copies were looked for among {looked}: those of the others pass for new"]
        return (*extractors, *(methods + note for note, methods in of.items()), *few)

    def _measured(self, method: str, draw: Draw) -> tuple[list[Extracted], Tensor]:
        """Features of the draws, which are compared with the test items, and the first of them."""
        kept: list[Tensor] = []
        found = self.look(method, _drawn(draw, self.n, self.seed, kept), self.n)
        self._compare(method, found)
        if self._truth is not None:
            everything = _physical(self.domain, torch.cat(list(_drawn(draw, self.n, self.seed, []))))
            self._by_domain(method, everything, self._truth)
        return found, torch.cat(kept)[:SHOWN]

    def _compare(self, method: str, found: Sequence[Extracted]) -> None:
        self.numbers[method], said = _judge(self.look.extractors, self._real, found, self.seed)
        for note in said:
            self._notes.setdefault(note, []).append(method)

    def _by_domain(self, method: str, signals: Array, truth: Array) -> None:
        own = self.domain.judge_generated(signals, truth)
        self.numbers[method] |= {key: dict(entry) for key, entry in own.items()}


def judges_generated(domain: Domain) -> bool:
    """Whether a domain has measures of its own for what is drawn."""
    return type(domain).judge_generated is not Domain.judge_generated


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
        x = domain.to_model(torch.from_numpy(signals)).float()
        yield (
            filled(x)[0] if domain.spec.gaps else x
        )  # as a network sees them: NaN would be all that an extractor gives


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
