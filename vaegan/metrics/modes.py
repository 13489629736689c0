"""How many classes a generator draws: the mode count of stacked MNIST and its kin (Metz et al. 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vaegan.errors import DataError


def judge_modes(
    real: Float[Tensor, "n classes"], fake: Float[Tensor, "m classes"], *, extractor: str
) -> dict[str, dict[str, Any]]:
    """The classes that are drawn at least once, and how unevenly.

    Each item counts for its most probable class. ``modes`` grows with the number of draws: of K equally likely classes, m
    perfect draws find K (1 − e^(−m / K)), so it is to be read beside the same number of real items.

    Args:
        real: class probabilities of real items.
        fake: class probabilities of drawn items.
        extractor: for the names.

    Returns:
        ``modes``: the number of classes found, with an interval in which other draws of the same number would mostly lie,
        from the variance of a sum of independent occupancies, Σ e^(−c) (1 − e^(−c)) over the counts c of the classes found;
        ``mode_kl``: KL(drawn classes || real classes) in nats, where classes without a real item count as half of one; the
        interval is that of the mean of its logarithms (it is biased upwards where there are few draws a class).

    Raises:
        DataError: for other classes, or no item.
    """
    if real.shape[1:] != fake.shape[1:] or not len(real) or not len(fake):
        found = f"probabilities of shape {tuple(real.shape)} and {tuple(fake.shape)}"
        raise DataError(found, expected="the same classes, and at least one item each")
    classes = real.shape[1]
    there, drawn = (torch.bincount(p.argmax(1), minlength=classes).double().numpy() for p in (real, fake))
    missed = np.exp(-drawn[drawn > 0])
    modes = int((drawn > 0).sum())
    half = 1.96 * float(np.sqrt((missed * (1 - missed)).sum()))
    expected = np.maximum(there, 0.5)
    share, wanted = drawn / drawn.sum(), expected / expected.sum()
    share, gain = share[share > 0], np.log(share[share > 0] / wanted[share > 0])
    kl = float((share * gain).sum())
    error = 1.96 * float(np.sqrt(max(0.0, float((share * gain**2).sum()) - kl**2) / len(fake)))
    counted = {"n": len(fake), "n_real": len(real)}
    return {
        f"modes[{extractor}]": {
            "mean": float(modes),
            "ci95": [max(0.0, modes - half), min(float(classes), modes + half)],
            "unit": f"of {classes}",
            "better": "higher",
            **counted,
        },
        f"mode_kl[{extractor}]": {
            "mean": kl,
            "ci95": [kl - error, kl + error],
            "unit": "nat",
            "better": "lower",
            **counted,
        },
    }
