"""How echo amplitudes become model units: by name, and back."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vaegan.errors import UserError

Scaling = Literal["amplitude", "power", "log"]

EXPONENT = 0.5
"""Of the power scaling."""

GAIN = 255.0
"""Of the logarithmic scaling: one level of 8 bits is an eighth of the range."""


def check_scaling(scaling: str) -> None:
    """Stops for a scaling that there is not.

    Raises:
        UserError: with the known ones.
    """
    if scaling not in get_args(Scaling):
        known = ", ".join(get_args(Scaling))
        raise UserError(f"scaling {scaling!r}", expected=f"one of {known}", mend="set --domain.scaling")


def to_model(u: Float[Tensor, "*any"], scaling: Scaling) -> Float[Tensor, "*any"]:
    """Amplitudes, of which 1 is full scale, to model units; 0 becomes -1 and 1 becomes 1.

    ``"amplitude"`` is ``2 u - 1``; ``"power"`` is ``2 u^0.5 - 1``; ``"log"`` is ``2 log(1 + 255 u) / log(256) - 1``.
    Multiplicative noise has about the same strength at every level of the logarithm.
    """
    if scaling == "log":
        return torch.log1p(GAIN * u.clamp(min=0.0)) * (2.0 / math.log1p(GAIN)) - 1.0
    if scaling == "power":
        dark = u <= 0  # where the power has no finite slope, and there would be no gradient but NaN
        u = torch.where(dark, 0.0, torch.where(dark, 1.0, u) ** EXPONENT)
    return 2.0 * u - 1.0


def to_amplitude(m: Float[Tensor, "*any"], scaling: Scaling) -> Float[Tensor, "*any"]:
    """The inverse of :func:`to_model`; below -1 the curved scalings give 0."""
    if scaling == "log":
        return torch.expm1((m.clamp(min=-1.0) + 1.0) * (math.log1p(GAIN) / 2.0)) / GAIN
    half = (m + 1.0) / 2.0
    return half.clamp(min=0.0) ** (1.0 / EXPONENT) if scaling == "power" else half
