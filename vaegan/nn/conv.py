"""Convolutions for 1D and 2D signals from one table, with the padding that each axis asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from vaegan.errors import UserError

CONV: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d}
TRANSPOSE: dict[int, Callable[..., Tensor]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d}
TRANSPOSED: dict[int, type[nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}
BATCH_NORM: dict[int, type[nn.Module]] = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d}

Norm = Literal["batch", "group", "layer", "none"]


def halved(sizes: Sequence[int]) -> tuple[int, ...]:
    """Sizes after a convolution of stride 2 with 'same' padding: half, rounded up."""
    return tuple((size + 1) // 2 for size in sizes)


def pyramid(sizes: Sequence[int], levels: int, *, flag: str = "--model.depth") -> list[tuple[int, ...]]:
    """The sizes at each level of a network that halves ``levels`` times, the finest first.

    Args:
        sizes: at the finest level.
        levels: how often they are halved.
        flag: what mends ``levels``.

    Raises:
        UserError: where there is nothing to halve.
    """
    if levels < 1:
        raise UserError(f"a depth of {levels}", expected="at least 1", mend=f"set {flag}")
    result = [tuple(sizes)]
    for level in range(levels):
        if 1 in result[-1]:
            # There is nothing left to halve; oneDNN's bf16 kernels even return garbage gradients there (torch 2.13).
            raise UserError(
                f"a depth of {levels} for signals of size {tuple(sizes)}",
                expected=f"at most {level}" if level else "at least 2 samples along each axis",
                mend=f"set {flag}" if level else "give Axis(size=...) more samples, or set a smaller --model.patch",
            )
        result.append(halved(result[-1]))
    return result


def normalisation(norm: Norm, channels: int, dims: int) -> nn.Module:
    """A normalisation layer over ``channels``; ``dims`` is 0 for features without axes.

    ``"layer"`` normalises the channels of each place on its own, and keeps a network local.
    Batch norm has the momentum and epsilon of Larsen et al.'s released code (0.9 there is PyTorch's 0.1; 1e-6).
    """
    if norm == "batch":
        return BATCH_NORM[dims](channels, eps=1e-6, momentum=0.1)
    if norm == "group":
        groups = next(g for g in (16, 8, 4, 2, 1) if g == 1 or (channels % g == 0 and channels // g >= 4))
        return nn.GroupNorm(groups, channels, eps=1e-6)
    if norm == "layer":
        return ChannelNorm(channels)
    if norm == "none":
        return nn.Identity()
    raise UserError(f"unknown norm {norm!r}", expected="'batch', 'group', 'layer' or 'none'", mend="set norm=...")


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each sample on its own (Ba et al. 2016; in restoring networks Chen et al. 2022).

    It knows nothing of other places, so a network with it stays local.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """Each place with mean 0 and variance 1 over its channels, scaled and shifted."""
        normed: Tensor = self.norm(x.movedim(1, -1)).movedim(-1, 1)
        return normed.to(x.dtype)


def _constrained(layer: nn.Module, spectral: bool) -> nn.Module:
    return spectral_norm(layer) if spectral else layer


class Conv(nn.Module):
    """A convolution with 'same' padding: zeros at open ends, a wrap along periodic axes.

    Args:
        dims: 1 or 2.
        inputs, outputs: channels.
        kernel: odd size along every axis.
        stride: 1 keeps the size, 2 gives half of it, rounded up.
        periodic: for each axis whether it wraps; an axis whose size the stride does not divide cannot commute with rolls.
        bias: whether a constant is added.
        spectral: whether the weight is divided by its spectral norm (Miyato et al. 2018).
    """

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        periodic: Sequence[bool] = (),
        bias: bool = True,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        wraps = tuple(periodic) or (False,) * dims
        margin = kernel // 2
        self.margins = [margin if wrap else 0 for wrap in wraps]
        padding = tuple(0 if wrap else margin for wrap in wraps)
        layer = CONV[dims](inputs, outputs, kernel, stride=stride, padding=padding, bias=bias)
        self.layer = _constrained(layer, spectral)

    def forward(self, x: Float[Tensor, "batch inputs *space"]) -> Float[Tensor, "batch outputs *smaller"]:
        """Convolves."""
        return self.layer(wrapped(x, self.margins))


def wrapped(x: Tensor, margins: Sequence[int]) -> Tensor:
    """``x`` continued by ``margins`` samples at both ends of each axis as if it were periodic there."""
    for axis, margin in enumerate(margins, start=2):
        if margin:
            size = x.shape[axis]
            if margin > size:  # more than once around
                index = torch.arange(-margin, size + margin, device=x.device) % size
                x = x.index_select(axis, index)
            else:  # ten times as quick, and keeps the memory format
                x = torch.cat([x.narrow(axis, size - margin, margin), x, x.narrow(axis, 0, margin)], dim=axis)
    return x


class Upsample(nn.Module):
    """A transposed convolution of stride 2 that returns exactly the size asked for.

    Args:
        dims: 1 or 2.
        inputs, outputs: channels.
        kernel: odd size along every axis.
        periodic: for each axis whether it wraps.
        bias: whether a constant is added.
    """

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        kernel: int = 5,
        *,
        periodic: Sequence[bool] = (),
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.margins = [(kernel // 2 + 1) // 2 if wrap else 0 for wrap in (tuple(periodic) or (False,) * dims)]
        self.layer = TRANSPOSED[dims](inputs, outputs, kernel, stride=2, padding=kernel // 2, bias=bias)

    def forward(
        self, x: Float[Tensor, "batch inputs *space"], sizes: Sequence[int]
    ) -> Float[Tensor, "batch outputs *larger"]:
        """Up-samples to ``sizes``, each of which halves (rounded up) to that of ``x``."""
        if not any(self.margins):
            return self.layer(x, output_size=list(sizes))
        # Along a wrapped axis the output is made longer, then cut to its middle: 2 samples for each one of the input.
        longer = [
            2 * (n + 2 * margin) if margin else size
            for n, size, margin in zip(x.shape[2:], sizes, self.margins, strict=True)
        ]
        whole = self.layer(wrapped(x, self.margins), output_size=longer)
        for axis, (size, margin) in enumerate(zip(sizes, self.margins, strict=True), start=2):
            if margin:
                whole = whole.narrow(axis, 2 * margin, size)
        return whole


class Doubling(nn.Module):
    """:func:`repeated`, then a convolution of three weights along each axis, at less than half of its products.

    Of three weights two meet the same sample. Added up beforehand they are a transposed convolution of stride 2 with four
    weights along each axis: in two axes 4/9 of the products, and nothing is repeated. An odd size is taken as it is.

    Args:
        dims: 1 or 2.
        inputs, outputs: channels.
        periodic: for each axis whether it wraps.
    """

    def __init__(self, dims: int, inputs: int, outputs: int, *, periodic: Sequence[bool] = ()) -> None:
        super().__init__()
        self.margins = [int(wrap) for wrap in (tuple(periodic) or (False,) * dims)]
        self.layer = CONV[dims](inputs, outputs, 3, padding=tuple(1 - margin for margin in self.margins))
        self.transpose = TRANSPOSE[dims]

    def forward(
        self, x: Float[Tensor, "batch inputs *space"], sizes: Sequence[int]
    ) -> Float[Tensor, "batch outputs *larger"]:
        """Doubles to ``sizes``, each of which halves (rounded up) to that of ``x``."""
        if any(size % 2 for size in sizes):
            whole: Tensor = self.layer(wrapped(repeated(x, sizes), self.margins))
            return whole
        weight, bias = self.layer.weight, self.layer.bias
        assert isinstance(weight, Tensor)
        for axis in range(2, weight.dim()):
            nothing = torch.zeros_like(weight.narrow(axis, 0, 1))
            weight = (torch.cat([weight, nothing], axis) + torch.cat([nothing, weight], axis)).flip(axis)
        whole = self.transpose(wrapped(x, self.margins), weight.transpose(0, 1), bias, stride=2, padding=1)
        for axis, (size, margin) in enumerate(zip(sizes, self.margins, strict=True), start=2):
            if margin:
                whole = whole.narrow(axis, 2, size)
        return whole


class Linear(nn.Module):
    """A dense layer, with spectral norm where asked."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, spectral: bool = False) -> None:
        super().__init__()
        self.layer = _constrained(nn.Linear(inputs, outputs, bias=bias), spectral)

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        """``W x + b``."""
        return self.layer(x)


class ClassVectors(nn.Module):
    """One learned vector for each class.

    Args:
        classes: number of classes; 0 for an unconditional network.
        width: of a vector.
        scale: standard deviation of the vectors at first.
        spectral: spectral norm on all of them together.
    """

    def __init__(self, classes: int, width: int, *, scale: float = 1.0, spectral: bool = False) -> None:
        super().__init__()
        self.table: nn.Module | None = None
        if classes:
            table = nn.Embedding(classes, width)
            nn.init.normal_(table.weight, 0.0, scale)
            self.table = _constrained(table, spectral)

    def vectors(self, condition: Int[Tensor, " batch"] | None) -> Float[Tensor, "some width"] | None:
        """Those of these classes, of an unknown one (-1) the mean of all; for ``None`` that mean in one row.

        ``None`` for an unconditional network.

        Raises:
            UserError: when an unconditional network gets a condition.
        """
        if self.table is None:
            if condition is not None:
                raise UserError(
                    "a condition for an unconditional network",
                    expected="condition=None",
                    mend="build it with classes=...",
                )
            return None
        every: Tensor = self.table.weight  # type: ignore[assignment]
        mean = every.mean(0, keepdim=True)
        return mean if condition is None else torch.cat([every, mean])[condition]


class Condition(ClassVectors):
    """A class as channels that are added to features at every place."""

    def forward(
        self, x: Float[Tensor, "batch channels *space"], condition: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch channels *space"]:
        """Adds the class's vector; an unconditional network's features pass unchanged."""
        shift = self.vectors(condition)
        return x if shift is None else x + shift.view(*shift.shape, *(1 for _ in x.shape[2:]))


class Projection(ClassVectors):
    """How well features agree with a class (Miyato & Koyama 2018, Eq. 3): a term of a conditional discriminator's logit.

    Without spectral norm it starts near 0, so that a discriminator first learns what is real and then of which class.
    """

    def __init__(self, classes: int, width: int, *, spectral: bool = False) -> None:
        super().__init__(classes, width, scale=0.02, spectral=spectral)

    def forward(
        self, x: Float[Tensor, "batch width"], condition: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, " batch"] | float:
        """``x · e_c``; 0 in an unconditional network."""
        towards = self.vectors(condition)
        return 0.0 if towards is None else (x * towards).sum(1)


def repeated(x: Float[Tensor, "batch channels *space"], sizes: Sequence[int]) -> Float[Tensor, "batch channels *other"]:
    """Nearest-neighbour up-sampling to ``sizes``: it knows no borders, so it commutes with rolls of a periodic axis."""
    return F.interpolate(x, size=list(sizes), mode="nearest")


def patched(sizes: Sequence[int], patch: int) -> tuple[int, ...]:
    """Sizes after :func:`space_to_depth`: divided, rounded up."""
    return tuple(-(-size // patch) for size in sizes)


def space_to_depth(
    x: Float[Tensor, "batch channels *space"], patch: int
) -> Float[Tensor, "batch more_channels *smaller"]:
    """Each ``patch`` samples along each axis become channels of one place; what lacks at the ends is 0 (Shi et al. 2016)."""
    if patch == 1:
        return x
    lacking = [-size % patch for size in x.shape[2:]]
    if any(lacking):
        x = F.pad(x, [side for lack in reversed(lacking) for side in (0, lack)])
    pattern = "b c (x p) -> b (c p) x" if x.dim() == 3 else "b c (y p) (x q) -> b (c p q) y x"
    return rearrange(x, pattern, p=patch, **({} if x.dim() == 3 else {"q": patch}))


def depth_to_space(
    x: Float[Tensor, "batch more_channels *smaller"], patch: int, sizes: Sequence[int]
) -> Float[Tensor, "batch channels *space"]:
    """The inverse of :func:`space_to_depth`, cut to ``sizes``."""
    if patch == 1:
        return x
    pattern = "b (c p) x -> b c (x p)" if x.dim() == 3 else "b (c p q) y x -> b c (y p) (x q)"
    x = rearrange(x, pattern, p=patch, **({} if x.dim() == 3 else {"q": patch}))
    for axis, size in enumerate(sizes, start=2):
        x = x.narrow(axis, 0, size)
    return x
