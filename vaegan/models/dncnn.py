"""DnCNN (Zhang et al. 2017): a stack of convolutions with batch norm that predicts the damage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.models.base import ModelConfig, measured_reach
from vaegan.models.restorer import NetworkRestorer, with_mask
from vaegan.nn.conv import Conv, Norm, normalisation
from vaegan.signal import SignalSpec


class DnCNN(NetworkRestorer):
    """``y -> x̂ = y − R(y)`` (Zhang et al. 2017, Sec. III): conv + ReLU, (conv + norm + ReLU) x (depth − 2), conv.

    Args:
        spec: the signals that go in and come out; one channel more says what was observed.
        depth: convolutions, at least 2. One of 3x3 looks one sample further: a depth of 17 has a reach of 17.
        width: channels between them.
        norm: of all but the first and the last.
    """

    def __init__(self, spec: SignalSpec, *, depth: int, width: int, norm: Norm) -> None:
        super().__init__()
        self.spec = spec
        dims, wraps = spec.dims, spec.periodic
        layers: list[nn.Module] = [Conv(dims, spec.channels + 1, width, 3, periodic=wraps), nn.ReLU()]
        for _ in range(depth - 2):
            layers.append(Conv(dims, width, width, 3, periodic=wraps, bias=norm == "none"))
            layers += [normalisation(norm, width, dims), nn.ReLU()]
        layers.append(Conv(dims, width, spec.channels, 3, periodic=wraps))
        self.network = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    @cached_property
    def reach(self) -> int | None:  # type: ignore[override]
        """As measured: ``depth`` samples, but with group norm."""
        return measured_reach(self)

    def restored(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂ in model units."""
        seen = with_mask(y, mask)
        return seen[:, : y.shape[1]] - self.network(seen)


@dataclass(frozen=True)
class DnCNNConfig(ModelConfig):
    """DnCNN as published for known noise: 17 layers of 64 channels (20 for unknown noise).

    Args:
        depth: convolutions, at least 2.
        width: channels between them.
        norm: ``"batch"`` as published.
    """

    depth: int = 17
    width: int = 64
    norm: Norm = "batch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth < 2:
            raise UserError(f"depth is {self.depth}", expected="at least 2", mend="set --model.depth")

    def build(self, spec: SignalSpec, classes: int = 0) -> DnCNN:
        """The model for these signals; classes are not used."""
        return DnCNN(spec, depth=self.depth, width=self.width, norm=self.norm)
