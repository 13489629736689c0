"""What contaminates an EEG: eye movements and muscle from real recordings, and faults that formulas describe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from vaegan.degradation.base import Degradation, Level, Measurement, normal, per_sample, uniform
from vaegan.errors import UserError

SNRConvention = Literal["eegdenoisenet", "power"]
SNR: Level = (-7.0, 2.0)
"""Range of the signal-to-noise ratio in training, in dB (EEGdenoiseNet)."""
TINY = 1e-12
TRAVELLING = "artifacts are those that the run was trained and tested on"


@dataclass(frozen=True)
class Bank:
    """Recordings of an artifact, in one row, and where pieces of it may begin.

    Attributes:
        samples: (m,) float32, in any unit: its amplitude is set by an SNR.
        starts: (k,) int64 indices into ``samples`` at which a piece of ``length`` may begin.
        length: samples of a piece.
        vary: no piece is played twice alike, for training: half of them are sums of two, and each is played up to a quarter
            slower, forwards or backwards, with either sign and a spectrum that is tilted a little.
    """

    samples: NDArray[Any]
    starts: NDArray[Any]
    length: int
    vary: bool = False


def artifact_scale(
    x: Float[Tensor, "batch channels *space"],
    noise: Float[Tensor, "batch channels *space"],
    snr: Float[Tensor, " batch"],
    convention: SNRConvention,
) -> Float[Tensor, "batch 1 *ones"]:
    """λ of ``y = x + λ n`` for an SNR.

    ``"eegdenoisenet"``: SNR = 10 log10(RMS(x) / RMS(λ n)) (Zhang et al. 2021, eq. 2); ``"power"``: 20 log10 of the same
    quotient, the usual ratio of powers. A level of the first is twice as many dB of the second.
    """
    axes = tuple(range(1, x.dim()))
    rms_x = x.square().mean(axes, keepdim=True).sqrt()
    rms_n = noise.square().mean(axes, keepdim=True).sqrt().clamp(min=TINY)
    decade = 10.0 if convention == "eegdenoisenet" else 20.0
    return rms_x / rms_n * per_sample(torch.pow(torch.full_like(snr, 10.0), -snr / decade), x)


class Artifact(Degradation):
    """An additive artifact at a set SNR, ``y = x + λ n``; see :func:`artifact_scale`.

    Severity 0 changes nothing; from there to 1 the SNR falls from 40 dB to the lowest of the range.

    Args:
        snr: in dB under the convention.
        convention: what a dB means.
    """

    harmless: ClassVar[float] = 40.0
    bounds: ClassVar[tuple[float, float]] = (-60.0, 60.0)
    dims: ClassVar[tuple[int, ...]] = (1,)

    def __init__(self, snr: Level = SNR, convention: SNRConvention = "eegdenoisenet") -> None:
        if convention not in ("eegdenoisenet", "power"):
            raise UserError(f"snr convention {convention!r}", expected="eegdenoisenet or power")
        super().__init__(snr)
        self.convention: SNRConvention = convention

    def noise(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """(batch, channels, samples) of the artifact, at any amplitude."""
        raise NotImplementedError

    def degrade(
        self, x: Float[Tensor, "batch channels time"], level: Float[Tensor, " batch"], generator: torch.Generator | None
    ) -> Measurement:
        """Adds the artifact at each item's SNR."""
        noise = self.noise(x, generator)
        return Measurement(x + artifact_scale(x, noise, level, self.convention) * noise)


class Recorded(Artifact):
    """An artifact cut at random from recordings of it (EOG, EMG).

    With several channels the same piece reaches all of them with the gains of ``pattern``, drawn per item where it is
    random.

    Args:
        bank: the recordings.
        snr, convention: see :class:`Artifact`.
        gains: (channels,) how strongly each channel takes part, or ``None`` for equally.
        spread: channels get pieces of their own (muscles) instead of the same one (eyes).
    """

    samples: Tensor
    starts: Tensor
    gains: Tensor | None

    def __init__(
        self,
        bank: Bank,
        snr: Level = SNR,
        convention: SNRConvention = "eegdenoisenet",
        *,
        gains: NDArray[Any] | None = None,
        spread: bool = False,
    ) -> None:
        super().__init__(snr, convention)
        if not len(bank.starts):
            raise UserError("an artifact bank without recordings", expected="at least one piece")
        self.bank, self.spread = bank, spread
        self.register_buffer("samples", torch.from_numpy(np.array(bank.samples, np.float32)), persistent=False)
        self.register_buffer("starts", torch.from_numpy(np.array(bank.starts, np.int64)), persistent=False)
        weights = None if gains is None else torch.from_numpy(np.array(gains, np.float32))
        self.register_buffer("gains", weights, persistent=False)

    def noise(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """A random piece for each item (and for each channel where they differ)."""
        n, channels, length = x.shape
        rows = n * channels if self.spread else n
        noise = self._pieces(rows, x, generator)
        if self.bank.vary:
            noise = self._varied(noise, self._pieces(rows, x, generator), generator)
        noise = noise.reshape(n, channels, length) if self.spread else noise[:, None].expand(n, channels, length)
        if self.gains is not None:
            noise = noise * self.gains.to(x)[:, None]
        return noise

    def _pieces(self, rows: int, x: Tensor, generator: torch.Generator | None) -> Float[Tensor, "rows time"]:
        """Random pieces of the bank, without their mean."""
        draws = uniform((3, rows), x, generator)
        samples, starts = self.samples.to(x.device), self.starts.to(x.device)
        first = starts[(draws[0] * len(starts)).long().clamp(max=len(starts) - 1)]
        # A piece shorter than the signal is played again and again; a window's piece is as long as the window.
        at = (torch.arange(x.shape[-1], device=x.device) % self.bank.length).to(x.dtype).expand(rows, -1)
        if self.bank.vary:
            at = at * (1.0 - 0.25 * draws[1][:, None])
        below = at.floor()
        part = at - below
        index = first[:, None] + below.long()
        low, high = samples[index].to(x), samples[(index + 1).clamp(max=len(samples) - 1)].to(x)
        pieces = low + part * (high - low)
        pieces = pieces - pieces.mean(-1, keepdim=True)
        if self.bank.vary:
            pieces = pieces * torch.where(draws[2] < 0.5, -1.0, 1.0).to(x)[:, None]
        return pieces

    def _varied(self, pieces: Tensor, others: Tensor, generator: torch.Generator | None) -> Tensor:
        """Sums with other pieces, reversed, tilted: a bank of a minute or two is soon known by heart otherwise."""
        summed, share, turned, tilt = uniform((4, len(pieces)), pieces, generator)[..., None]
        pieces, others = (p / p.square().mean(-1, keepdim=True).sqrt().clamp(min=TINY) for p in (pieces, others))
        angle = torch.where(summed < 0.5, share * (math.pi / 2), torch.zeros_like(share))
        pieces = torch.cos(angle) * pieces + torch.sin(angle) * others
        pieces = torch.where(turned < 0.5, pieces.flip(-1), pieces)
        return pieces + (tilt - 0.5) * torch.cat([pieces[:, :1], pieces[:, :-1]], dim=-1)


class Together(Artifact):
    """Two artifacts of equal RMS at once, their sum at the set SNR.

    Args:
        first, second: what is added up.
        snr, convention: of the sum; see :class:`Artifact`.
    """

    def __init__(
        self, first: Artifact, second: Artifact, snr: Level = SNR, convention: SNRConvention = "eegdenoisenet"
    ) -> None:
        super().__init__(snr, convention)
        self.first, self.second = first, second

    def noise(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """The sum of both, each divided by its RMS."""
        parts = [artifact.noise(x, generator) for artifact in (self.first, self.second)]
        axes = tuple(range(1, x.dim()))
        scaled = [part / part.square().mean(axes, keepdim=True).sqrt().clamp(min=TINY) for part in parts]
        return scaled[0] + scaled[1]


class White(Artifact):
    """White Gaussian sensor noise."""

    def noise(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """N(0, 1) at each sample and channel."""
        return normal(tuple(x.shape), x, generator)


class Line(Artifact):
    """Mains hum: a sine with harmonics whose amplitude drifts, the same phase in all channels.

    ``n(t) = (1 + ½ sin(2π f_d t + φ_d)) Σ_k sin(2π k f t + φ_k) / k²`` for the harmonics below half of the rate, with
    f_d uniform from 0.05 to 0.5 Hz and f within 0.1 Hz of the mains.

    Args:
        rate: of the signals, in Hz.
        frequency: of the mains, in Hz.
        snr, convention: see :class:`Artifact`.
    """

    def __init__(
        self, rate: float, snr: Level = SNR, frequency: float = 50.0, convention: SNRConvention = "eegdenoisenet"
    ) -> None:
        super().__init__(snr, convention)
        if not 0 < frequency < rate / 2:
            raise UserError(f"mains of {frequency:g} Hz at {rate:g} Hz", expected="0 to half of the rate")
        self.rate, self.frequency = rate, frequency

    def noise(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Hum for each item, with a gain of ½ to 1 for each channel."""
        n, channels, length = x.shape
        t = torch.arange(length, device=x.device, dtype=x.dtype) / self.rate
        harmonics = [k for k in (1, 2, 3) if k * self.frequency < self.rate / 2]
        draws = uniform((3 + len(harmonics), n, 1), x, generator)
        f = self.frequency + 0.2 * (draws[0] - 0.5)
        drift = 1 + 0.5 * torch.sin(2 * math.pi * ((0.05 + 0.45 * draws[1]) * t + draws[2]))
        hum = sum(torch.sin(2 * math.pi * (k * f * t + draws[3 + i])) / k**2 for i, k in enumerate(harmonics))
        return (drift * hum)[:, None] * (0.5 + 0.5 * uniform((n, channels, 1), x, generator))


class Drift(Artifact):
    """Slow drift below 0.5 Hz: a random walk whose faster steps are smoothed away, own to each channel.

    Args:
        rate: of the signals, in Hz.
        snr, convention: see :class:`Artifact`.
    """

    def __init__(self, rate: float, snr: Level = SNR, convention: SNRConvention = "eegdenoisenet") -> None:
        super().__init__(snr, convention)
        self.rate = rate

    def noise(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Cosines of 0.05 to 0.5 Hz with 1/f amplitudes, which is the spectrum of a walk."""
        n, channels, length = x.shape
        t = torch.arange(length, device=x.device, dtype=x.dtype) / self.rate
        f = torch.linspace(0.05, 0.5, 8, device=x.device, dtype=x.dtype)
        draws = normal((2, n, channels, len(f)), x, generator)
        angle = 2 * math.pi * f[:, None] * t
        walk = (draws[0] / f) @ torch.cos(angle) + (draws[1] / f) @ torch.sin(angle)
        return walk - walk.mean(-1, keepdim=True)


class Pop(Artifact):
    """An electrode pop: a step in one channel that dies away, ``exp(-t / τ)`` with τ log-uniform from 0.1 to 2 s.

    Args:
        rate: of the signals, in Hz.
        snr, convention: see :class:`Artifact`.
    """

    def __init__(self, rate: float, snr: Level = SNR, convention: SNRConvention = "eegdenoisenet") -> None:
        super().__init__(snr, convention)
        self.rate = rate

    def noise(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """One step a signal, somewhere in its first nine tenths."""
        n, channels, length = x.shape
        draws = uniform((4, n), x, generator)
        begin = (draws[0] * 0.9 * length)[:, None]
        tau = 0.1 * torch.pow(torch.full_like(draws[1], 20.0), draws[1])[:, None]
        t = torch.arange(length, device=x.device, dtype=x.dtype)
        after = (t - begin).clamp(min=0.0) / self.rate
        step = torch.where(t >= begin, torch.exp(-after / tau), torch.zeros_like(after))
        step = step * torch.where(draws[2] < 0.5, -1.0, 1.0).to(x)[:, None]
        chosen = (draws[3] * channels).long().clamp(max=channels - 1)
        where = torch.nn.functional.one_hot(chosen, channels).to(x)
        return where[:, :, None] * step[:, None]


class Heart(Artifact):
    """The heart's field: five Gaussians a beat (P, Q, R, S, T; after McSharry et al. 2003), 50 to 100 beats a minute.

    Args:
        rate: of the signals, in Hz.
        snr, convention: see :class:`Artifact`.
    """

    WAVES: ClassVar[tuple[tuple[float, float, float], ...]] = (
        (-0.20, 0.15, 0.025),
        (-0.04, -0.12, 0.010),
        (0.0, 1.0, 0.012),
        (0.04, -0.25, 0.012),
        (0.27, 0.30, 0.045),
    )

    def __init__(self, rate: float, snr: Level = SNR, convention: SNRConvention = "eegdenoisenet") -> None:
        super().__init__(snr, convention)
        self.rate = rate

    def noise(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Beats for each item, with a gain of -1 to 1 for each channel."""
        n, channels, length = x.shape
        draws = uniform((2, n, 1), x, generator)
        period = 60.0 / (50.0 + 50.0 * draws[0])
        t = torch.arange(length, device=x.device, dtype=x.dtype) / self.rate
        phase = torch.remainder(t + draws[1] * period + 0.4 * period, period) - 0.4 * period
        waves = [h * torch.exp(-0.5 * ((phase - at) / width).square()) for at, h, width in self.WAVES]
        beat = torch.stack(waves).sum(0)
        gain = 0.2 + 0.8 * uniform((n, channels, 1), x, generator)
        return (beat - beat.mean(-1, keepdim=True))[:, None] * gain
