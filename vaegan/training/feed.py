"""Batches of a training set: rows in random order, degraded as a batch on the device."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import numpy as np
import torch
from torch import Tensor

from vaegan.data import SignalSet
from vaegan.degradation import Degradation, Measurement, Observation, observe
from vaegan.errors import DataError
from vaegan.objectives import Batch

RESIDENT_SHARE = 0.5

UNCLASSED = 0.1
"""Share of samples whose class a conditional model is not told, so that it can restore what has none."""


class Feed:
    """The batches of a stage; each depends on the seed and its number alone, so a resumed run sees the same ones.

    Args:
        data: the training signals, in physical units.
        to_model: physical to model units, on tensors.
        degrade: what turns clean signals into observed ones; not used where the data are pairs.
        batch: signals of this process a step.
        device: where batches are made. On a GPU the data stay resident in their own dtype where they take less than half of
            its free memory.
        seed: of the order and of the degradations.
        rank, world: this process and how many there are; each takes its own rows.
        flip: mirror signals along their last axis with probability ½.
        mix: probability with which a signal is replaced by a sum of two; see :class:`~vaegan.training.TrainingConfig`.
        surrogates: probability with which a signal gets new phases; see there.
        vary: what changes training signals, in model units, into others of their kind, or nothing.
        gaps: whether samples may be missing; see :class:`~vaegan.signal.SignalSpec`.
        fixed: each item has one degraded copy, the same in every epoch, as where no clean signals exist.
        classes: 0, or the number of classes that the model is conditioned on.
        physical: model to physical units, see :class:`~vaegan.objectives.Batch`.
    """

    def __init__(
        self,
        data: SignalSet,
        to_model: Callable[[Tensor], Tensor],
        degrade: Degradation | None,
        *,
        batch: int,
        device: torch.device,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        flip: bool = False,
        mix: float = 0.0,
        surrogates: float = 0.0,
        vary: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        gaps: bool = False,
        fixed: bool = False,
        classes: int = 0,
        physical: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if len(data) == 0:
            raise DataError("the training split is empty", expected="at least one signal", mend="set --data")
        if classes and data.labels is None:
            raise DataError(f"a model of {classes} classes, but the data have no labels", mend="give labelled --data")
        self.data, self.to_model, self.degrade, self.batch = data, to_model, degrade, batch
        self.device, self.seed, self.rank, self.world, self.flip, self.classes = (
            device,
            seed,
            rank,
            world,
            flip,
            classes,
        )
        if mix and (classes or fixed or data.observed is not None):
            raise DataError(
                "a sum of two signals has no class and no recorded damage", mend="set --stages.N.training.mix 0"
            )
        if mix and min(batch, len(data)) < 2:
            raise DataError(
                f"sums of two signals in batches of {batch} from {len(data)}",
                expected="at least 2",
                mend="set --stages.N.training.batch to 2, or its mix to 0",
            )
        if surrogates and (gaps or classes or fixed or data.observed is not None or data.signals.ndim != 3):
            raise DataError(
                "new phases need whole signals of one axis, without classes or recorded damage",
                mend="set --stages.N.training.surrogates 0",
            )
        if vary and (fixed or data.observed is not None):
            raise DataError("a varied signal has no recorded damage", mend="set --stages.N.training.no-vary")
        self.mix, self.surrogates, self.vary, self.gaps, self.fixed = mix, surrogates, vary, gaps, fixed
        self.physical = physical
        self._epoch, self._order = -1, np.arange(0)
        self._signals = self._resident(data.signals)
        self._observed = None if data.observed is None else self._resident(data.observed)

    def __call__(self, step: int, progress: float) -> tuple[Batch, torch.Generator]:
        """The batch of a step, and the generator for everything else that the step draws."""
        generator = torch.Generator(self.device).manual_seed(_mix(self.seed, step, self.rank))
        rows = self._rows(step)
        x = self.to_model(self._take(self._signals, rows)).float()  # data may be of any precision
        if self.vary:
            x = self.vary(x, generator)
        if self.mix:
            x = _mixed(x, self.mix, generator)
        if self.surrogates:
            x = _surrogates(x, self.surrogates, generator)
        flipped = torch.rand(len(rows), generator=generator, device=self.device) < 0.5 if self.flip else None
        partner = None
        if self._observed is not None:
            partner = _mirror(self.to_model(self._take(self._observed, rows)).float(), flipped)
        if self.fixed and partner is None and self.degrade is not None:
            seen = self._fixed_copies(x, rows, flipped)
        else:
            seen = observe(_mirror(x, flipped), self.degrade, gaps=self.gaps, observed=partner, generator=generator)
        x, y = seen.x, seen.y
        condition = None
        if self.classes and self.data.labels is not None:
            labels = self.data.labels[rows].astype(np.int64)
            dice = np.random.default_rng((self.seed, self.rank, step)).random(len(rows))
            condition = self._sent(np.where(dice < UNCLASSED, -1, labels))
        if x.dim() == 4:
            x, y = (t.contiguous(memory_format=torch.channels_last) for t in (x, y))
        return Batch(x, y, seen.mask, condition, step, progress, seen.known, self._measure, self.physical), generator

    def _fixed_copies(self, x: Tensor, rows: np.ndarray, flipped: Tensor | None) -> Observation:
        """Each item degraded on its own, by a generator that depends on the seed and its row alone, and then mirrored."""
        copies = [
            observe(x[i : i + 1], self.degrade, gaps=self.gaps,
                    generator=torch.Generator(self.device).manual_seed(_mix(self.seed, int(row))))
            for i, row in enumerate(rows)
        ]  # fmt: skip
        y, clean = (torch.cat([getattr(copy, name) for copy in copies]) for name in ("y", "x"))
        masks = [[getattr(copy, name) for copy in copies] for name in ("mask", "known")]
        some = (next((m for m in found if m is not None), None) for found in masks)
        mask, known = (
            None if one is None else torch.cat([torch.ones_like(one) if m is None else m for m in found])
            for one, found in zip(some, masks, strict=True)
        )
        return Observation(
            _mirror(y, flipped),
            None if mask is None else _mirror(mask, flipped),
            _mirror(clean, flipped),
            None if known is None else _mirror(known, flipped),
        )

    def _measure(self, x: Tensor, generator: torch.Generator | None) -> Measurement:
        """The training degradation, for objectives that degrade what the model makes."""
        return Measurement(x) if self.degrade is None else self.degrade(x, generator=generator)

    def _rows(self, step: int) -> np.ndarray:
        """Rows of this step: each epoch is one permutation, cut into steps and then between processes."""
        n, whole = len(self.data), self.batch * self.world
        wanted = np.arange(step * whole + self.rank * self.batch, step * whole + (self.rank + 1) * self.batch)
        rows = np.empty(self.batch, dtype=np.int64)
        for epoch in np.unique(wanted // n):
            if epoch != self._epoch:
                self._epoch, self._order = (
                    epoch,
                    np.random.default_rng((self.seed, int(epoch))).permutation(n),
                )
            rows[wanted // n == epoch] = self._order[wanted[wanted // n == epoch] % n]
        return rows

    def _resident(self, array: np.ndarray) -> np.ndarray | Tensor:
        if self.device.type != "cuda" or array.nbytes > RESIDENT_SHARE * torch.cuda.mem_get_info(self.device)[0]:
            return array
        return torch.as_tensor(np.ascontiguousarray(array), device=self.device)

    def _take(self, signals: np.ndarray | Tensor, rows: np.ndarray) -> Tensor:
        if isinstance(signals, Tensor):
            return signals[self._sent(rows)]
        return self._sent(signals[rows])

    def _sent(self, values: np.ndarray) -> Tensor:
        """On the device; through pinned memory, so that the host does not wait for the work before it."""
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor


def _mirror(x: Tensor, which: Tensor | None) -> Tensor:
    if which is None:
        return x
    return torch.where(which.view(-1, *(1 for _ in x.shape[1:])), x.flip(-1), x)


def _mixed(x: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Some signals as ``cos(φ) x_i + sin(φ) x_j`` with φ uniform in a quarter turn, x_j being the one before in the batch.

    Of a sum is known what is known of both.
    """
    chosen, angle = (
        draw.view(-1, *(1 for _ in x.shape[1:])) for draw in torch.rand(2, len(x), generator=generator, device=x.device)
    )
    angle = (angle * (pi / 2)).to(x)
    # Chosen, not weighted: nothing times what is missing is missing too.
    return torch.where(chosen < probability, torch.cos(angle) * x + torch.sin(angle) * x.roll(1, dims=0), x)


def _surrogates(x: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Some signals with phases of their own, one for each frequency and for all channels alike; mean and spectrum stay."""
    spectrum = torch.fft.rfft(x.float())
    phases = torch.rand(len(x), 1, spectrum.shape[-1], generator=generator, device=x.device) * (2 * pi)
    chosen = torch.rand(len(x), 1, 1, generator=generator, device=x.device) < probability
    # The mean, and at an even length the highest frequency, have no phase but a sign.
    real = torch.zeros(spectrum.shape[-1], dtype=torch.bool, device=x.device)
    real[0] = True
    real[-1] |= x.shape[-1] % 2 == 0
    turned = torch.polar(torch.ones_like(phases), torch.where(chosen & ~real, phases, torch.zeros_like(phases)))
    return torch.where(chosen, torch.fft.irfft(spectrum * turned, n=x.shape[-1]).to(x), x)


def _mix(*numbers: int) -> int:
    """One seed from several numbers."""
    return (
        int(
            np.random.SeedSequence(numbers).generate_state(2, np.uint32).astype(np.uint64)
            @ np.array([1, 2**32], dtype=np.uint64)
        )
        >> 1
    )
