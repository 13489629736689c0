"""Ranges in metres and what stands for them in model units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vaegan.errors import UserError

Encoding = Literal["linear", "log", "inverse"]


@dataclass(frozen=True)
class RangeCode:
    """Ranges from 0 to ``far`` metres as model units from -1 to 1, strictly increasing.

    With s from 0 to 1 and model units 2 s - 1: ``"linear"`` is s = r / far; ``"log"`` is
    s = log(1 + r) / log(1 + far) (as LiDARGen encodes, Zyrianov et al. 2022); ``"inverse"`` is
    s = (1 - 1 / (1 + r)) / (1 - 1 / (1 + far)), the inverse range of DUSty (Nakashima and Kurazume 2021)
    shifted by one metre, so that it is defined at 0.

    Args:
        encoding: one of these names.
        far: the farthest range, in metres.

    Raises:
        UserError: for another name, or a range that is not above 0.
    """

    encoding: Encoding
    far: float

    def __post_init__(self) -> None:
        if self.encoding not in get_args(Encoding):
            raise UserError(
                f"the range encoding {self.encoding!r}",
                expected=f"one of {', '.join(get_args(Encoding))}",
                mend="set --domain.encoding",
            )
        if not (math.isfinite(self.far) and self.far > 0):
            raise UserError(f"a farthest range of {self.far} m", expected="above 0", mend="set --domain.far")

    def to_unit(self, ranges: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Metres to model units; finite from 0 on, also beyond ``far``. NaN stays NaN."""
        if self.encoding == "linear":
            share = ranges / self.far
        elif self.encoding == "log":
            share = torch.log1p(ranges) / math.log1p(self.far)
        else:
            share = (1.0 - 1.0 / (1.0 + ranges)) / (1.0 - 1.0 / (1.0 + self.far))
        return 2.0 * share - 1.0

    def to_range(self, unit: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Model units to metres; the inverse of :meth:`to_unit`. Units beyond [-1, 1] are cut where it has a pole."""
        share = (unit + 1.0) / 2.0
        if self.encoding == "linear":
            return share * self.far
        if self.encoding == "log":
            return torch.expm1(share.clamp(max=1.5) * math.log1p(self.far))
        whole = 1.0 - 1.0 / (1.0 + self.far)
        return 1.0 / (1.0 - share.clamp(max=1.0) * whole) - 1.0
