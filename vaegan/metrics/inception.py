"""Inception-v3 (Szegedy et al. 2016) as the FID of Heusel et al. 2017 knows it: the network, without weights.

It differs in three ways from the network of the paper: average pooling does not count the padding, the last
block pools by maximum, and there are 1,008 logits. Names of parameters are those of the published weights file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 299
FEATURES = 2048
LOGITS = 1008

Kernel: TypeAlias = int | tuple[int, int]
Step: TypeAlias = dict[str, tuple[int, Kernel]]
"""Convolutions side by side on the same input: (output channels, kernel) by name; their outputs are joined."""
Branch: TypeAlias = tuple[Step, ...]
"""Steps one after the other."""


class Conv(nn.Module):
    """Convolution without bias, batch norm, ReLU.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        kernel: size, or (rows, columns).
        stride: along both axes.
        padded: whether the size is kept (at stride 1).
    """

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, *, padded: bool = True) -> None:
        super().__init__()
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (rows // 2, columns // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, (rows, columns), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Float[Tensor, "batch inputs rows columns"]) -> Float[Tensor, "batch outputs _ _"]:
        """The activation."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches of convolutions and one of pooling, all on the same input, joined along the channels.

    Args:
        inputs: channels that come in.
        branches: of convolutions.
        pooled: channels of the convolution after the average pooling.
        greatest: pool by maximum instead, as only the last block does.
    """

    def __init__(self, inputs: int, branches: Sequence[Branch], pooled: int, *, greatest: bool = False) -> None:
        super().__init__()
        self.names = [[list(step) for step in branch] for branch in branches]
        for branch in branches:
            _add(self, inputs, branch)
        self.branch_pool = Conv(inputs, pooled, 1)
        self.greatest = greatest

    def forward(self, x: Float[Tensor, "batch inputs rows columns"]) -> Float[Tensor, "batch outputs rows columns"]:
        """All branches, the pooling last."""
        pooled = F.max_pool2d(x, 3, 1, 1) if self.greatest else F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return torch.cat([*_follow(self, self.names, x), self.branch_pool(pooled)], dim=1)


class Halving(nn.Module):
    """Branches whose last convolution has stride 2 and no padding, beside pooling by maximum.

    Args:
        inputs: channels that come in.
        branches: of convolutions.
    """

    def __init__(self, inputs: int, branches: Sequence[Branch]) -> None:
        super().__init__()
        self.names = [[list(step) for step in branch] for branch in branches]
        for branch in branches:
            _add(self, inputs, branch, halve=True)

    def forward(self, x: Float[Tensor, "batch inputs rows columns"]) -> Float[Tensor, "batch outputs _ _"]:
        """All branches, the pooling last."""
        return torch.cat([*_follow(self, self.names, x), F.max_pool2d(x, 3, 2)], dim=1)


def _add(block: nn.Module, inputs: int, branch: Branch, *, halve: bool = False) -> None:
    """Gives a block the convolutions of a branch."""
    for number, step in enumerate(branch, start=1):
        last = halve and number == len(branch)
        for name, (outputs, kernel) in step.items():
            block.add_module(name, Conv(inputs, outputs, kernel, 2 if last else 1, padded=not last))
        inputs = sum(outputs for outputs, _ in step.values())


def _follow(block: nn.Module, names: Sequence[Sequence[Sequence[str]]], x: Tensor) -> list[Tensor]:
    """What comes out of each branch."""
    results = []
    for branch in names:
        h = x
        for step in branch:
            h = torch.cat([block.get_submodule(name)(h) for name in step], dim=1)
        results.append(h)
    return results


def _a(inputs: int, pooled: int) -> Mixed:
    """35x35: 1x1, 5x5, and two 3x3 in a row."""
    return Mixed(
        inputs,
        [
            ({"branch1x1": (64, 1)},),
            ({"branch5x5_1": (48, 1)}, {"branch5x5_2": (64, 5)}),
            ({"branch3x3dbl_1": (64, 1)}, {"branch3x3dbl_2": (96, 3)}, {"branch3x3dbl_3": (96, 3)}),
        ],
        pooled,
    )


def _b(inputs: int) -> Halving:
    """35x35 to 17x17."""
    return Halving(
        inputs,
        [
            ({"branch3x3": (384, 3)},),
            ({"branch3x3dbl_1": (64, 1)}, {"branch3x3dbl_2": (96, 3)}, {"branch3x3dbl_3": (96, 3)}),
        ],
    )


def _c(inputs: int, width: int) -> Mixed:
    """17x17: 7x7 taken apart into 1x7 and 7x1, once and twice."""
    return Mixed(
        inputs,
        [
            ({"branch1x1": (192, 1)},),
            ({"branch7x7_1": (width, 1)}, {"branch7x7_2": (width, (1, 7))}, {"branch7x7_3": (192, (7, 1))}),
            (
                {"branch7x7dbl_1": (width, 1)},
                {"branch7x7dbl_2": (width, (7, 1))},
                {"branch7x7dbl_3": (width, (1, 7))},
                {"branch7x7dbl_4": (width, (7, 1))},
                {"branch7x7dbl_5": (192, (1, 7))},
            ),
        ],
        192,
    )


def _d(inputs: int) -> Halving:
    """17x17 to 8x8."""
    return Halving(
        inputs,
        [
            ({"branch3x3_1": (192, 1)}, {"branch3x3_2": (320, 3)}),
            (
                {"branch7x7x3_1": (192, 1)},
                {"branch7x7x3_2": (192, (1, 7))},
                {"branch7x7x3_3": (192, (7, 1))},
                {"branch7x7x3_4": (192, 3)},
            ),
        ],
    )


def _e(inputs: int, *, greatest: bool = False) -> Mixed:
    """8x8: branches that fork into 1x3 and 3x1."""
    return Mixed(
        inputs,
        [
            ({"branch1x1": (320, 1)},),
            ({"branch3x3_1": (384, 1)}, {"branch3x3_2a": (384, (1, 3)), "branch3x3_2b": (384, (3, 1))}),
            (
                {"branch3x3dbl_1": (448, 1)},
                {"branch3x3dbl_2": (384, 3)},
                {"branch3x3dbl_3a": (384, (1, 3)), "branch3x3dbl_3b": (384, (3, 1))},
            ),
        ],
        192,
        greatest=greatest,
    )


class Inception(nn.Module):
    """Pictures of 299x299 to 2,048 pooled features; 23,850,960 parameters with the 1,008 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, 2, padded=False)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _a(192, 32), _a(256, 64), _a(288, 64)
        self.Mixed_6a = _b(288)
        self.Mixed_6b, self.Mixed_6c = _c(768, 128), _c(768, 160)
        self.Mixed_6d, self.Mixed_6e = _c(768, 160), _c(768, 192)
        self.Mixed_7a = _d(768)
        self.Mixed_7b, self.Mixed_7c = _e(1280), _e(2048, greatest=True)
        self.fc = nn.Linear(FEATURES, LOGITS)

    def forward(self, x: Float[Tensor, "batch 3 rows columns"]) -> Float[Tensor, "batch 2048"]:
        """Features of pictures in [-1, 1], after the mean over space and before ``fc``."""
        h = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        h = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(h, 3, 2)))
        h = F.max_pool2d(h, 3, 2)
        for mixed in (self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, self.Mixed_6a, self.Mixed_6b, self.Mixed_6c):
            h = mixed(h)
        for mixed in (self.Mixed_6d, self.Mixed_6e, self.Mixed_7a, self.Mixed_7b, self.Mixed_7c):
            h = mixed(h)
        pooled: Tensor = h.mean(dim=(2, 3))
        return pooled
