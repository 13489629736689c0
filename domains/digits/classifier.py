"""A small network that reads digits: what drawn digits are judged by.

Its weights lie beside this file (MODEL_CARD.md). ``python -m domains.digits.classifier --data MNIST`` trains them anew.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vaegan.metrics.features import Extracted

WEIGHTS = Path(__file__).with_name("classifier.safetensors")
SIDE, CLASSES, FEATURES = 28, 10, 64


class DigitClassifier(nn.Module):
    """5x5 16, pooled, 5x5 32, pooled, dense 64, dense 10: 114,314 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(1, 16, 5, padding=2), nn.Conv2d(16, 32, 5, padding=2)])
        self.dense = nn.Linear(32 * 7 * 7, FEATURES)
        self.last = nn.Linear(FEATURES, CLASSES)

    def features(self, x: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch 64"]:
        """The hidden layer before the classes, of pictures in [-1, 1] with bright strokes on a dark ground."""
        h = x
        for conv in self.convs:
            h = F.max_pool2d(F.relu(conv(h)), 2)
        return F.relu(self.dense(h.flatten(1)))

    def forward(self, x: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch 10"]:
        """Logits of the ten digits."""
        logits: Tensor = self.last(self.features(x))
        return logits


@cache
def load_classifier() -> DigitClassifier:
    """The classifier with the weights that come with the domain, in evaluation mode."""
    network = DigitClassifier()
    network.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return network.eval().requires_grad_(False)


class DigitFeatures:
    """The extractor of digits: 64 features and ten probabilities a picture.

    Of stacked pictures each channel is read alone: 192 features, and the probabilities of the 1,000 numbers, of which a
    drawn one can be counted as a mode.
    """

    name = "digit-classifier"
    note = (
        "a small convolutional network trained on MNIST (domains/digits/MODEL_CARD.md), 64 hidden features a digit; "
        "not comparable with published FIDs, which are those of Inception-v3"
    )
    counts_modes = True

    def __call__(self, x: Float[Tensor, "batch channels rows columns"]) -> Extracted:
        """(batch, 64) features and (batch, 10) probabilities; of three channels (batch, 192) and (batch, 1000)."""
        network = load_classifier().to(x.device)
        digits = _upright(x)
        features = network.features(digits)
        probabilities = network.last(features).softmax(1).unflatten(0, (len(x), -1))
        joint = probabilities[:, 0]
        for channel in range(1, probabilities.shape[1]):
            joint = (joint[:, :, None] * probabilities[:, channel, None, :]).flatten(1)
        return Extracted(features.view(len(x), -1).cpu(), joint.cpu())

    @torch.no_grad()
    def read(self, x: Float[Tensor, "batch 1 rows columns"]) -> Int[Tensor, " batch"]:
        """The most probable digit of each picture, given in model units."""
        found: Tensor = load_classifier().to(x.device)(_upright(x)).argmax(1)
        return found.cpu()


def _upright(x: Tensor) -> Tensor:
    """Each channel as a picture of its own, 28x28."""
    pictures = x.float().clamp(-1, 1).flatten(0, 1).unsqueeze(1)
    if pictures.shape[2:] != (SIDE, SIDE):
        pictures = F.interpolate(pictures, (SIDE, SIDE), mode="bilinear", antialias=True)
    return pictures


def train_classifier(
    images: np.ndarray, labels: np.ndarray, *, epochs: int = 8, batch: int = 128, seed: int = 0
) -> DigitClassifier:
    """Trains the classifier with Adam at a falling rate, each picture shifted by up to two pixels.

    Args:
        images: (n, 1, 28, 28) uint8.
        labels: (n,) 0 to 9.
        epochs: passes over all pictures.
        batch: pictures a step.
        seed: of first weights, order and shifts.
    """
    torch.manual_seed(seed)
    network, generator = DigitClassifier(), torch.Generator().manual_seed(seed)
    steps = epochs * (len(images) // batch)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    x, y = torch.from_numpy(np.array(images)), torch.from_numpy(np.array(labels))
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for rows in order[: len(x) // batch * batch].split(batch):
            pictures = x[rows].float() / 127.5 - 1
            down, right = (int(v) for v in torch.randint(-2, 3, (2,), generator=generator))
            pictures = pictures.roll((down, right), (2, 3))  # the two outer rows of these pictures are empty
            optimizer.zero_grad()
            F.cross_entropy(network(pictures), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def main() -> None:
    """Trains on the training split, says the accuracy on the test split, writes the weights in half precision."""
    from domains.digits import Digits

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="MNIST's folder")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    domain = Digits(arguments.data)
    train, test = domain.dataset("train"), domain.dataset("test")
    assert train.labels is not None and test.labels is not None
    network = train_classifier(train.signals, train.labels)
    halves = {name: value.half() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in halves.items()})
    with torch.no_grad():
        parts = torch.from_numpy(np.array(test.signals)).split(1000)
        found = torch.cat([network(part.float() / 127.5 - 1).argmax(1) for part in parts])
    right = (found.numpy() == test.labels).mean()
    save_file(halves, arguments.out)
    print(f"{len(train)} training pictures; {right:.4f} of {len(test)} test pictures read rightly; {arguments.out}")


if __name__ == "__main__":
    main()
