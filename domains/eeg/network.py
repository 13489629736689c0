"""A small network that hears what is wrong with a channel of EEG: what generated EEG is judged by.

It was trained to tell untouched windows of semi-simulated EEG from windows that were spoilt in ways in which generated EEG
goes wrong. Its weights lie beside this file (MODEL_CARD.md). ``python -m domains.eeg.network`` trains them anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vaegan.metrics.features import Extracted

WEIGHTS = Path(__file__).with_name("network.safetensors")
RATE, LENGTH, FEATURES = 128.0, 256, 32
"""Samples a second and samples of a window that the network hears, and its hidden features."""
FAULTS = ("none", "tilt", "smooth", "white", "shift", "steady", "jump", "eog", "emg")
"""What was done to a window; see :func:`spoilt`."""


class EEGNetwork(nn.Module):
    """Convolutions 15, 9, 5, 5 wide to 16, 24, 32, 48 channels, each halving time; pooled; dense 32, dense 9."""

    def __init__(self) -> None:
        super().__init__()
        widths, kernels = (1, 16, 24, 32, 48), (15, 9, 5, 5)
        self.convs = nn.ModuleList(
            nn.Conv1d(widths[i], widths[i + 1], k, stride=2, padding=k // 2) for i, k in enumerate(kernels)
        )
        self.dense = nn.Linear(2 * widths[-1], FEATURES)
        self.last = nn.Linear(FEATURES, len(FAULTS))

    def features(self, x: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch 32"]:
        """The hidden layer before the classes, of windows with variance 1 at 128 Hz."""
        h = x
        for conv in self.convs:
            h = F.gelu(conv(h))
        return F.gelu(self.dense(torch.cat([h.mean(-1), h.square().mean(-1).add(1e-6).sqrt()], dim=1)))

    def forward(self, x: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch 9"]:
        """Logits of :data:`FAULTS`."""
        logits: Tensor = self.last(self.features(x))
        return logits


@cache
def load_network() -> EEGNetwork:
    """The network with the weights that come with the domain, in evaluation mode."""
    network = EEGNetwork()
    network.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return network.eval().requires_grad_(False)


class NetworkFeatures:
    """The extractor of EEG: 32 features of each channel, the mean over the channels. Blind to amplitudes.

    Args:
        rate: samples a second of the signals.
    """

    name = "eeg-network"
    note = (
        "a small convolutional network trained on semi-simulated EEG (domains/eeg/MODEL_CARD.md), 32 hidden features, the "
        "mean over channels, blind to amplitude and to what channels share; comparable within this toolkit only"
    )

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, x: Float[Tensor, "batch channels time"]) -> Extracted:
        """(batch, 32) features."""
        network = load_network().to(x.device)
        found = network.features(standard(x.float().flatten(0, 1), self.rate)[:, None])
        return Extracted(found.view(len(x), -1, FEATURES).mean(1).cpu())


def standard(x: Float[Tensor, "rows time"], rate: float) -> Float[Tensor, "rows heard"]:
    """Rows at 128 Hz (by their Fourier series), with mean 0 and variance 1; a constant row becomes 0."""
    size = max(16, round(x.shape[-1] * RATE / rate))
    x = x - x.mean(-1, keepdim=True)
    x = torch.fft.irfft(torch.fft.rfft(x)[:, : size // 2 + 1], size)
    return x / x.std(-1, keepdim=True).clamp(min=1e-12)


def spoilt(
    x: NDArray[np.float64], fault: str, generator: np.random.Generator, artifacts: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """A window of 2 s at 128 Hz after a fault.

    Args:
        x: (256,) of variance 1.
        fault: ``none``; ``tilt`` of the spectrum by f^±0.3 to 0.8 in amplitude; ``smooth``, a low-pass at 12 to 30 Hz;
            ``white`` noise of 0.3 to 1; ``shift`` of all frequencies by a factor of 0.6 to 1.6; ``steady``, the envelope of
            7 to 14 Hz held; ``jump``, two halves that do not meet; ``eog`` and ``emg``, an artifact of 0.5 to 3 times the
            window's RMS.
        generator: of what is drawn.
        artifacts: eye movements and muscle, (n,) each.
    """
    n, spectrum, frequency = len(x), np.fft.rfft(x), np.fft.rfftfreq(len(x), 1 / RATE)
    if fault == "tilt":
        slope = generator.choice([-1, 1]) * generator.uniform(0.3, 0.8)
        spectrum = spectrum * np.maximum(frequency, 0.5) ** slope
    elif fault == "smooth":
        spectrum = spectrum / np.sqrt(1 + (frequency / generator.uniform(12, 30)) ** 8)
    elif fault == "white":
        return x + generator.uniform(0.3, 1.0) * generator.normal(size=n)
    elif fault == "shift":
        factor = generator.choice([generator.uniform(0.6, 0.8), generator.uniform(1.25, 1.6)])
        return np.interp(np.arange(n) * factor % (n - 1), np.arange(n), x)
    elif fault == "steady":
        inside = (frequency > 7) & (frequency < 14)
        band = np.fft.ifft(np.concatenate([2 * spectrum * inside, np.zeros(n - len(spectrum))]))
        return x - band.real + band.real / np.maximum(np.abs(band), 1e-9) * np.abs(band).mean()
    elif fault == "jump":
        return np.concatenate(
            [x[: n // 2], np.roll(x, generator.integers(20, 100))[n // 2 :] * generator.choice([-1, 1])]
        )
    elif fault in ("eog", "emg"):
        source = artifacts[("eog", "emg").index(fault)]
        first = generator.integers(0, len(source) - n)
        piece = source[first : first + n] - source[first : first + n].mean()
        return x + generator.uniform(0.5, 3.0) * piece / max(float(piece.std()), 1e-12)
    return np.fft.irfft(spectrum, n)


def lessons(subjects: Sequence[int], windows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Windows of simulated subjects and what was done to them: (n, 256) and (n,)."""
    from domains.eeg.band import Band
    from domains.eeg.simulate import SINGLE, background, bursts, eyes

    band, signals, labels = Band(0.5, 57.6, RATE), [], []
    for subject in subjects:
        generator = np.random.default_rng((seed, subject))
        seconds = 2.0 * windows
        eeg = band.filtered(background(generator, SINGLE, RATE, seconds)[0], RATE)
        artifacts = [band.filtered(make(generator, RATE, 60.0), RATE) for make in (eyes, bursts)]
        for row in eeg:
            for x in row[: windows * LENGTH].reshape(windows, LENGTH):
                label = int(generator.integers(len(FAULTS)))
                x = (x - x.mean()) / x.std()
                signals.append(spoilt(x, FAULTS[label], generator, artifacts))
                labels.append(label)
    return standard(torch.from_numpy(np.asarray(signals, np.float32)), RATE), torch.tensor(labels)


def train_network(x: Tensor, labels: Tensor, *, epochs: int = 20, batch: int = 64, seed: int = 0) -> EEGNetwork:
    """Trains with Adam at a falling rate; signs are drawn anew for each batch.

    Args:
        x: (n, 256) standardised windows.
        labels: (n,) what was done to each.
        epochs: passes over all windows.
        batch: windows a step.
        seed: of first weights, order and signs.
    """
    torch.manual_seed(seed)
    network, generator = EEGNetwork(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (len(x) // batch))
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for rows in order[: len(x) // batch * batch].split(batch):
            signs = torch.randint(0, 2, (batch, 1, 1), generator=generator) * 2.0 - 1.0
            optimizer.zero_grad()
            F.cross_entropy(network(x[rows, None] * signs), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def main() -> None:
    """Trains on 24 simulated subjects, says the accuracy on six others, writes the weights in half precision."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    network = train_network(*lessons(range(24), 60, 11))
    halves = {name: value.half() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in halves.items()})
    x, labels = lessons(range(40, 46), 60, 11)
    with torch.no_grad():
        said = network(x[:, None]).argmax(1)
    print(f"{100 * (said == labels).double().mean():.1f} % of {len(x)} windows told rightly")
    for number, fault in enumerate(FAULTS):
        print(f"  {fault}: {100 * (said == number)[labels == number].double().mean():.1f} %")
    save_file(halves, arguments.out)


if __name__ == "__main__":
    main()
