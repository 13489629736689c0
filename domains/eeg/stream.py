"""Restoring a recording while it arrives."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from domains.eeg.band import bridged
from vaegan.errors import UserError

Array = np.ndarray[Any, Any]


class Stream:
    """Chunks in, restored chunks out, each sample once and in order.

    Every ``hop`` seconds the last window is restored; what it changed is added to the ``hop`` seconds that lie
    ``lookahead`` behind the newest sample, faded in over what the restoration before it said of them. So the output is
    :attr:`latency` behind the input, beside the time that computing takes. Filters run over the window and one more second
    before it, forwards and backwards.

    Args:
        model: what restores, in evaluation mode.
        domain: of its windows.
        sfreq: samples a second of the stream.
        channels: of the stream.
        hop, lookahead: in seconds.
        bfloat16: compute in bfloat16: about twice as quick on processors that have it, for an error of some thousandths of
            what is taken out.
    """

    def __init__(
        self,
        model: Any,
        domain: Any,
        sfreq: float,
        channels: int,
        *,
        hop: float = 0.25,
        lookahead: float = 0.25,
        bfloat16: bool = False,
    ) -> None:
        self.bfloat16 = bfloat16
        self.model, self.domain, self.sfreq, self.channels = model, domain, float(sfreq), channels
        self.window = domain.spec.axes[0].size
        seconds = self.window * domain.spec.axes[0].step
        if not (sfreq > 0 and hop > 0 and lookahead >= 0 and hop + lookahead <= seconds):
            raise UserError(
                f"a stream at {sfreq:g} Hz with a hop of {hop:g} s and a lookahead of {lookahead:g} s",
                expected=f"above 0, and together at most a window of {seconds:g} s",
                mend="set hop and lookahead",
            )
        self.hop, self.ahead = max(1, round(hop * sfreq)), round(lookahead * sfreq)
        self.kept = round((seconds + 1.0) * sfreq)
        self._past = np.zeros((channels, 0))
        self._waiting = np.zeros((channels, 0))
        self._coming = np.zeros((channels, 0))

    @property
    def latency(self) -> float:
        """Seconds by which a sample comes out later than it went in, at most: hop + lookahead."""
        return (self.hop + self.ahead) / self.sfreq

    def process(self, chunk: Array) -> Array:
        """Restored samples that are ready, (channels, any number), for the next (channels, any number) volts.

        Raises:
            UserError: for another number of channels.
        """
        chunk = np.asarray(chunk, np.float64)
        if chunk.ndim != 2 or len(chunk) != self.channels:
            raise UserError(f"a chunk of shape {chunk.shape}", expected=f"({self.channels}, samples)")
        self._waiting = np.concatenate([self._waiting, chunk], axis=1)
        done = []
        while self._waiting.shape[1] >= self.hop + self.ahead:
            done.append(self._step(self.hop))
        return np.concatenate(done, axis=1) if done else np.zeros((self.channels, 0))

    def flush(self) -> Array:
        """What is left at the end of the stream, (channels, up to hop + lookahead)."""
        left = self._waiting.shape[1]
        done = [self._step(min(self.hop, self._waiting.shape[1])) for _ in range(-(-left // self.hop))]
        return np.concatenate(done, axis=1) if done else np.zeros((self.channels, 0))

    def _step(self, count: int) -> Array:
        """Gives out the next ``count`` samples."""
        seen = self._waiting[:, : count + self.ahead]
        whole = np.concatenate([self._past, seen], axis=1)[:, -self.kept :]
        change = self._change(whole)[:, -seen.shape[1] :]
        now, later = change[:, :count], change[:, count:]
        before = self._coming[:, :count]
        if before.shape[1]:  # the last restoration looked ahead to here: fade from it to this one
            fade = (np.arange(before.shape[1]) + 0.5) / before.shape[1]
            now[:, : before.shape[1]] = (1 - fade) * before + fade * now[:, : before.shape[1]]
        self._coming = later
        out = self._waiting[:, :count]
        self._past = np.concatenate([self._past, out], axis=1)[:, -self.kept :]
        self._waiting = self._waiting[:, count:]
        return out + now

    def _change(self, x: Array) -> Array:
        """What the model changes in a stretch, at the stream's rate; nothing where there is next to no past yet."""
        whole, broken = bridged(x)
        if whole.shape[1] < 0.5 * self.sfreq:
            return np.zeros_like(whole)
        band = self.domain.band
        seen = band.seen(whole, self.sfreq)
        window = seen[:, -self.window :]
        missing = self.window - window.shape[1]
        if missing > 0:  # at the beginning the past is mirrored
            window = np.pad(window, ((0, 0), (missing, 0)), mode="symmetric" if missing <= window.shape[1] else "wrap")
        items = window[None] if self.domain.spec.channels > 1 else window[:, None]
        device = next(self.model.parameters()).device
        y = self.domain.to_model(torch.from_numpy(np.ascontiguousarray(items, np.float32))).to(device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            restored = self.domain.to_physical(self.model.restore(y).mean.float().cpu()).numpy()
        # Both rates begin with the same sample, and end where they will.
        change = np.zeros_like(seen)
        change[:, -self.window :] = (restored.reshape(window.shape) - window)[:, max(0, missing) :]
        return np.where(broken, 0.0, band.returned(change, self.sfreq, whole.shape[1]))
