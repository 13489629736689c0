"""The DCGAN of the MNIST and CIFAR-10 study, for 1D and 2D signals of any size.

Its networks are small and have no norm: one dense layer and one transposed convolution draw, three convolutions judge. At
28x28x1 they have 5,593,345 and 294,113 parameters, at 32x32x3 7,147,011 and 387,201, as the study's. Further arguments
add what the study wished to add (layers), and what has been said to keep added layers from collapsing (Radford et al. 2016;
Miyato et al. 2018; He et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vaegan.degradation.base import normal, uniform
from vaegan.errors import UserError
from vaegan.models.base import Model, ModelConfig
from vaegan.nn import Conv, Linear, Norm, Verdict, at_least_single, normalisation
from vaegan.nn.blocks import ResBlock
from vaegan.nn.conv import TRANSPOSED, pyramid, wrapped
from vaegan.signal import SignalSpec

Start = Literal["glorot", "normal"]


class Doubling(nn.Module):
    """A transposed convolution, kernel 4 and stride 2: twice the size, or one sample less where asked.

    Args:
        dims: 1 or 2.
        inputs, outputs: channels.
        periodic: for each axis whether it wraps.
        bias: whether a constant is added.
    """

    def __init__(
        self, dims: int, inputs: int, outputs: int, *, periodic: Sequence[bool] = (), bias: bool = True
    ) -> None:
        super().__init__()
        self.margins = [int(wrap) for wrap in (tuple(periodic) or (False,) * dims)]
        self.layer = TRANSPOSED[dims](inputs, outputs, 4, stride=2, padding=1, bias=bias)

    def forward(
        self, x: Float[Tensor, "batch inputs *space"], sizes: Sequence[int]
    ) -> Float[Tensor, "batch outputs *larger"]:
        """Up-samples to ``sizes``; what lies beyond them is cut off."""
        doubled: Tensor = self.layer(wrapped(x, self.margins))
        for axis, (size, margin) in enumerate(zip(sizes, self.margins, strict=True), start=2):
            doubled = doubled.narrow(axis, 2 * margin, size)
        return doubled


class Generator(nn.Module):
    """z to a signal: dense, then doubled until the size is reached, then 3x3 and tanh.

    Args:
        spec: the signals that come out.
        latent: length of z.
        width: channels after each doubling; before the first there are twice as many.
        ups: how often the size is doubled; 1 in the study.
        added: further convolutions (3x3, stride 1) at the finest size.
        residual: make each further convolution a residual block, which starts as the identity.
        norm: after each layer but the last; the study has none.
    """

    def __init__(
        self, spec: SignalSpec, *, latent: int, width: int, ups: int, added: int, residual: bool, norm: Norm
    ) -> None:
        super().__init__()
        dims, wraps = spec.dims, spec.periodic
        self.sizes = pyramid(spec.sizes, ups, flag="ups of the model")[::-1]
        self.coarsest = (2 * width, *self.sizes[0])
        channels = [2 * width, *[width] * ups]
        self.dense = Linear(latent, prod(self.coarsest))
        self.ups = nn.ModuleList(Doubling(dims, a, b, periodic=wraps) for a, b in pairwise(channels))
        self.norms = nn.ModuleList(normalisation(norm, c, dims) for c in channels)
        self.added = _added(added, residual, dims, width, norm, wraps, spectral=False)
        self.last = Conv(dims, width, spec.channels, 3, periodic=wraps)

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch channels *space"]:
        """x̂ = G(z), in model units (-1, 1)."""
        h = F.leaky_relu(self.norms[0](self.dense(z).view(-1, *self.coarsest)), 0.2)
        for up, norm, sizes in zip(self.ups, list(self.norms)[1:], self.sizes[1:], strict=True):
            h = F.leaky_relu(norm(up(h, sizes)), 0.2)
        return torch.tanh(self.last(self.added(h)))


class Critic(nn.Module):
    """3x3 at full size, then 3x3 strided, LeakyReLU 0.2 after each; dropout; dense to one logit.

    Args:
        spec: the signals to judge.
        width: channels of the first convolution; each strided one doubles them.
        downs: how often the size is halved; 2 in the study.
        added: further convolutions (3x3, stride 1) at the coarsest size.
        residual: make each further convolution a residual block, which without spectral norm starts as the identity.
        dropout: share of the last features that are zeroed in training.
        spectral: spectral norm on every layer.
    """

    def __init__(
        self,
        spec: SignalSpec,
        *,
        width: int,
        downs: int,
        added: int,
        residual: bool,
        dropout: float,
        spectral: bool,
    ) -> None:
        super().__init__()
        dims, wraps = spec.dims, spec.periodic
        channels = [width * 2**level for level in range(downs + 1)]
        first = Conv(dims, spec.channels, width, 3, periodic=wraps, spectral=spectral)
        strided = (Conv(dims, a, b, 3, stride=2, periodic=wraps, spectral=spectral) for a, b in pairwise(channels))
        self.convs = nn.ModuleList([first, *strided])
        self.added = _added(added, residual, dims, channels[-1], "none", wraps, spectral=spectral)
        self.last = Linear(
            channels[-1] * prod(pyramid(spec.sizes, downs, flag="downs of the model")[-1]), 1, spectral=spectral
        )
        self.dropout = dropout

    def forward(
        self,
        x: Float[Tensor, "batch channels *space"],
        condition: None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Verdict:
        """Judges signals in model units; in training ``generator`` draws what the dropout zeroes."""
        features = []
        h = x
        for conv in self.convs:
            raw = conv(h)
            features.append(raw)
            h = F.leaky_relu(raw, 0.2)
        h = self.added(h).flatten(1)
        if self.training and self.dropout > 0:
            kept = uniform(tuple(h.shape), h, generator) >= self.dropout
            h = h * kept / (1.0 - self.dropout)
        logits = self.last(h).squeeze(1)
        return Verdict(at_least_single(logits), tuple(features))


class DCGAN(Model):
    """``z ~ N(0, I) -> x̂ = G(z)``, judged by D. It generates and restores nothing.

    Args:
        spec: the signals that come out.
        generator: z to signals.
        discriminator: signals to a verdict.
        latent: length of z.
    """

    def __init__(self, spec: SignalSpec, generator: Generator, discriminator: Critic, *, latent: int) -> None:
        super().__init__()
        self.spec, self.latent_shape = spec, (latent,)
        self.generator, self.discriminator = generator, discriminator

    def players(self) -> dict[str, nn.Module]:
        """``generator`` and ``discriminator``."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def generate(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch channels *space"]:
        """x̂ = G(z)."""
        drawn: Tensor = self.generator(z)
        return drawn

    def judge(
        self,
        x: Float[Tensor, "batch channels *space"],
        condition: None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Verdict:
        """The discriminator's logits and hidden layers."""
        verdict: Verdict = self.discriminator(x, condition, generator=generator)
        return verdict

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, condition: Tensor | None = None
    ) -> Float[Tensor, "n channels *space"]:
        """G of draws from N(0, I)."""
        return self.generate(normal((n, *self.latent_shape), next(self.parameters()), generator))


@dataclass(frozen=True)
class DCGANConfig(ModelConfig):
    """The networks of the study on MNIST; ``discriminator_width=64`` makes them those on CIFAR-10.

    Args:
        latent: length of z.
        width: channels of the generator after each doubling.
        ups: how often the generator doubles the size.
        discriminator_width: channels of the discriminator's first convolution.
        downs: how often the discriminator halves the size.
        added: further convolutions in either network.
        residual: make these residual blocks.
        norm: of the generator.
        spectral: spectral norm in the discriminator.
        dropout: in the discriminator.
        start: first weights: Glorot and Bengio's uniform ones, or N(0, 0.02) of Radford et al. 2016.
    """

    optional: ClassVar[tuple[str, ...]] = ("added",)

    latent: int = 100
    width: int = 128
    ups: int = 1
    discriminator_width: int = 56
    downs: int = 2
    added: int = 0
    residual: bool = False
    norm: Norm = "none"
    spectral: bool = False
    dropout: float = 0.4
    start: Start = "glorot"

    def __post_init__(self) -> None:
        """Checks counts and the dropout."""
        super().__post_init__()
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout is {self.dropout}", expected="0 to 1, 1 excluded", mend="set --model.dropout")

    def networks(self, spec: SignalSpec) -> tuple[Generator, Critic]:
        """Generator and discriminator, freshly initialised."""
        generator = Generator(
            spec,
            latent=self.latent,
            width=self.width,
            ups=self.ups,
            added=self.added,
            residual=self.residual,
            norm=self.norm,
        )
        discriminator = Critic(
            spec,
            width=self.discriminator_width,
            downs=self.downs,
            added=self.added,
            residual=self.residual,
            dropout=self.dropout,
            spectral=self.spectral,
        )
        for network in (generator, discriminator):
            _initialise(network, self.start)
        return generator, discriminator

    def build(self, spec: SignalSpec, classes: int = 0) -> DCGAN:
        """The model for these signals.

        Raises:
            UserError: for a conditional one.
        """
        refuse_classes("DCGAN", classes)
        return DCGAN(spec, *self.networks(spec), latent=self.latent)


def refuse_classes(name: str, classes: int) -> None:
    """Raises a UserError where a model that knows no classes is asked for some."""
    if classes:
        raise UserError(f"a {name} of {classes} classes", expected="no classes", mend="set --no-conditional")


def _added(
    count: int, residual: bool, dims: int, channels: int, norm: Norm, periodic: Sequence[bool], *, spectral: bool
) -> nn.Sequential:
    """Layers that keep size and channels."""
    if residual:
        blocks = (ResBlock(dims, channels, norm=norm, periodic=periodic, spectral=spectral) for _ in range(count))
        return nn.Sequential(*blocks)
    layers: list[nn.Module] = []
    for _ in range(count):
        layers.append(Conv(dims, channels, channels, 3, periodic=periodic, spectral=spectral))
        layers += [normalisation(norm, channels, dims), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


def _initialise(network: nn.Module, start: Start) -> None:
    """First weights; a residual block's, and those under spectral norm, which have no scale of their own, stay."""
    residual = {id(inner) for block in network.modules() if isinstance(block, ResBlock) for inner in block.modules()}
    for module in network.modules():
        if id(module) in residual or hasattr(module, "parametrizations"):
            continue
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.Linear):
            if start == "glorot":
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
