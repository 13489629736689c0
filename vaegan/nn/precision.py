"""What must not be computed in half precision."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def at_least_single(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """``x`` in single precision or better: sums of squares, and what is compared closely, need it."""
    return x if x.dtype == torch.float64 else x.float()
