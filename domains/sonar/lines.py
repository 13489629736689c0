"""Rows and columns of a raster: which of the two are pings, beams or ranges depends on the record."""

from __future__ import annotations

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from vaegan.errors import UserError

Along = Literal["rows", "columns"]


def axis_of(along: Along) -> int:
    """The axis whose positions are single rows (pings) or columns (beams)."""
    return -2 if along == "rows" else -1


def check_along(along: str) -> None:
    """Stops for lines that there are not.

    Raises:
        UserError: with the known ones.
    """
    if along not in get_args(Along):
        raise UserError(f"along={along}", expected=" or ".join(get_args(Along)))


def lines(along: Along, values: Float[Tensor, "batch n"]) -> Float[Tensor, "batch 1 rows columns"]:
    """A value for each row, or column, shaped to broadcast over the raster."""
    return values[:, None, :, None] if along == "rows" else values[:, None, None, :]
