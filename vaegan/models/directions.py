"""Attribute vectors: the direction in the latent space along which an attribute appears (Larsen et al. 2015, Sec. 4.2.1)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vaegan.errors import UserError

FEWEST = 5
"""Items that an attribute needs on either side for its direction to mean anything."""


@dataclass(frozen=True)
class Directions:
    """Attribute vectors of a trained model.

    Attributes:
        names: of the attributes.
        vectors: mean latent of the items with an attribute, less that of the items without it.
        counts: items with, and items without each attribute.
    """

    names: tuple[str, ...]
    vectors: Float[Tensor, "a *latent"]
    counts: Int[Tensor, "a 2"]

    @staticmethod
    def fit(latents: Float[Tensor, "n *latent"], attributes: Int[Tensor, "n a"], names: Sequence[str]) -> Directions:
        """Means of the latents with an attribute (above 0), less those without; attributes with fewer than five items on
        a side are left out.
        """
        flat = latents.flatten(1).double()
        present = (attributes > 0).double()
        counts = torch.stack([present.sum(0), (1 - present).sum(0)], dim=1)
        kept = torch.nonzero(counts.amin(1) >= FEWEST).flatten()
        present, counts = present[:, kept], counts[kept]
        vectors = present.T @ flat / counts[:, :1] - (1 - present).T @ flat / counts[:, 1:]
        return Directions(
            tuple(names[int(i)] for i in kept),
            vectors.float().reshape(len(kept), *latents.shape[1:]),
            counts.long(),
        )

    def vector(self, name: str) -> Float[Tensor, "*latent"]:
        """The direction of an attribute, by its name whatever its case.

        Raises:
            UserError: for an attribute that is not there; it names the nearest.
        """
        known = {own.lower(): i for i, own in enumerate(self.names)}
        if name.lower() in known:
            return self.vectors[known[name.lower()]]
        near = difflib.get_close_matches(name.lower(), known, n=1)
        mend = f"did you mean {self.names[known[near[0]]]}?" if near else "set --attribute"
        raise UserError(f"no attribute {name!r}", expected=f"one of {', '.join(self.names)}", mend=mend)

    def tensors(self) -> dict[str, Tensor]:
        """What is saved; the names go beside it."""
        return {"vectors": self.vectors, "counts": self.counts}
