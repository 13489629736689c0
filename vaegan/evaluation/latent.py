"""What a VAE-GAN owes to its latent, and what its latent space looks like."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vaegan.data import SignalSet
from vaegan.degradation import Degradation, observe
from vaegan.domain import Domain
from vaegan.models.directions import FEWEST
from vaegan.models.latent import LatentModel
from vaegan.nn import DiagonalGaussian, active_units

BLOCK = 64


@torch.no_grad()
def latent_report(
    model: LatentModel,
    domain: Domain,
    items: SignalSet,
    degradation: Degradation | None,
    *,
    n: int = 256,
    seed: int = 0,
) -> dict[str, Any]:
    """How much the latent carries, and how much worse restoration gets without it.

    Args:
        model: in evaluation mode.
        domain: of the signals.
        items: test items; the first ``n`` of a seeded order are used.
        degradation: what they suffer; ``None`` for none, and not used where the items have observed partners.
        n: items at most.
        seed: of the choice and of the degradation.

    Returns:
        ``active_units`` of ``latent_dimensions`` (Burda et al. 2016), ``kl`` in nats an item, ``n``, and the mean PSNR
        in dB of the restoration (``psnr``), of the same with every item's z exchanged for that of an item of another
        group (``psnr_shuffled``; left out with one group), and of decoding z alone without skips (``psnr_latent_only``).
        Items of whose truth nothing is known have no PSNR; where none has, it is left out.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(items))[:n])
    device = next(model.parameters()).device
    x, y, mask = observed(domain, items, rows, degradation, f"latent/{seed}")
    partners = _partners([str(group) for group in items.groups[rows]])
    means, kls, plain, bare, shuffled = [], [], [], [], []
    for part in torch.arange(len(rows)).split(32):
        encoding = model.encode(y[part].to(device), None if mask is None else mask[part].to(device))
        z = encoding.posterior.mean
        truth = x[part].to(device)
        means.append(z.flatten(1).cpu())
        kls.append(encoding.posterior.kl().cpu())
        plain.append(_psnr(model.decode(z, encoding.context), truth))
        bare.append(_psnr(model.decode(z), truth))
    codes = torch.cat(means)
    for part in torch.arange(len(rows)).split(32):
        if partners is None:
            break
        encoding = model.encode(y[part].to(device), None if mask is None else mask[part].to(device))
        z = codes[partners[part]].view_as(encoding.posterior.mean).to(device)
        shuffled.append(_psnr(model.decode(z, encoding.context), x[part].to(device)))
    result: dict[str, Any] = {
        "n": len(rows),
        "latent_dimensions": codes.shape[1],
        "active_units": active_units(codes) if len(rows) > 1 else None,
        "kl": float(torch.cat(kls).mean()),
    }
    psnrs = {"psnr": plain, "psnr_latent_only": bare, "psnr_shuffled": shuffled}
    measured = {name: float(torch.cat(values).nanmean()) for name, values in psnrs.items() if values}
    return {**result, **{name: psnr for name, psnr in measured.items() if not math.isnan(psnr)}}


def observed(
    domain: Domain,
    items: SignalSet,
    rows: Sequence[int] | np.ndarray[Any, Any],
    degradation: Degradation | None,
    key: str,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Some items as they are and as they are observed, in model units, with the mask of what was observed.

    The truth is NaN where it is unknown.

    Args:
        domain: of the signals.
        items: where the rows are taken from; observed partners come before ``degradation``.
        rows: of the items.
        degradation: what they suffer; ``None`` for none.
        key: what the degradation's random numbers are seeded by.
    """
    x = domain.to_model(torch.from_numpy(np.stack([np.asarray(items.signals[row]) for row in rows]))).float()
    partner: Tensor | None = None
    if items.observed is not None:
        partner = domain.to_model(torch.from_numpy(np.stack([np.asarray(items.observed[row]) for row in rows]))).float()
    generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big"))
    with torch.no_grad():
        seen = observe(x, degradation, gaps=domain.spec.gaps, observed=partner, generator=generator)
    return x, seen.y.float(), seen.mask


@torch.no_grad()
def posteriors(
    model: LatentModel,
    domain: Domain,
    items: SignalSet,
    rows: np.ndarray[Any, Any],
    degradation: Degradation | None,
    *,
    seed: int = 0,
) -> DiagonalGaussian:
    """q(z | y) of many items, on the CPU, encoded in blocks.

    Args:
        model: in evaluation mode.
        domain: of the signals.
        items: where the rows are taken from.
        rows: of the items.
        degradation: what they suffer before they are encoded; ``None`` for none.
        seed: of the degradation.
    """
    device = next(model.parameters()).device
    means, logvars = [], []
    for first in range(0, len(rows), BLOCK):
        _, y, mask = observed(domain, items, rows[first : first + BLOCK], degradation, f"posterior/{seed}/{first}")
        q = model.encode(y.to(device), None if mask is None else mask.to(device)).posterior
        means.append(q.mean.float().cpu())
        logvars.append(q.logvar.float().cpu())
    return DiagonalGaussian(torch.cat(means), torch.cat(logvars))


@torch.no_grad()
def interpolate(
    model: LatentModel, domain: Domain, items: SignalSet, *, pairs: int = 4, steps: int = 8, seed: int = 0
) -> np.ndarray[Any, Any]:
    """Decoded points on straight lines between the latents of two items each.

    Returns:
        (pairs, steps, channels, *space) in physical units, decoded from the latent alone; fewer pairs where there are
        fewer than twice as many items.
    """
    rows = np.random.default_rng((seed, 3)).permutation(len(items))[: 2 * pairs]
    rows = rows[: len(rows) // 2 * 2]
    z = posteriors(model, domain, items, rows, None, seed=seed).mean
    weight = torch.linspace(0, 1, steps).view(1, steps, *(1 for _ in z.shape[1:]))
    line = (1 - weight) * z[0::2, None] + weight * z[1::2, None]
    device = next(model.parameters()).device
    decoded = [model.decode(row.to(device)).float().cpu().clamp(-1, 1) for row in line]
    return np.stack([domain.to_physical(row).numpy() for row in decoded])


def separability(
    train: Float[Tensor, "n *latent"],
    train_attributes: np.ndarray[Any, Any],
    test: Float[Tensor, "m *latent"],
    test_attributes: np.ndarray[Any, Any],
    names: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """How well a linear probe reads each attribute from the latent: ridge regression on standardised latents.

    Args:
        train, test: posterior means of training and of test items.
        train_attributes, test_attributes: (n, a) above 0 where an item has an attribute.
        names: of the attributes.

    Returns:
        {ATTRIBUTE: {"mean": area under the ROC curve on the test items, "n", "n_positive", "unit", "better"}}; one half is
        chance. Attributes with fewer than five items on either side, in either set, are left out.
    """
    from sklearn.linear_model import Ridge
    from sklearn.metrics import roc_auc_score

    x, y = train.flatten(1).double().numpy(), train_attributes > 0
    at, truth = test.flatten(1).double().numpy(), test_attributes > 0
    centre, scale = x.mean(0), x.std(0) + 1e-9
    usable = [a for a in range(len(names)) if all(min(t[:, a].sum(), (~t[:, a]).sum()) >= FEWEST for t in (y, truth))]
    if not usable:
        return {}
    probe = Ridge(alpha=float(x.shape[1])).fit((x - centre) / scale, y[:, usable].astype(np.float64))
    scores = np.reshape(probe.predict((at - centre) / scale), (len(at), len(usable)))
    return {
        str(names[a]): {
            "mean": float(roc_auc_score(truth[:, a], scores[:, i])),
            "n": len(at),
            "n_positive": int(truth[:, a].sum()),
            "unit": "AUC",
            "better": "higher",
        }
        for i, a in enumerate(usable)
    }


def _partners(groups: list[str]) -> Tensor | None:
    """For each item the next one, round the list, of another group; ``None`` where there is only one group.

    Neighbours of one group look alike: exchanging their latents would make z look worthless.
    """
    n = len(groups)
    if len(set(groups)) < 2:
        return None
    return torch.tensor([next((i + k) % n for k in range(1, n) if groups[(i + k) % n] != groups[i]) for i in range(n)])


def _psnr(estimate: Tensor, truth: Tensor) -> Float[Tensor, " batch"]:
    """PSNR in dB of signals in model units, whose range is 2; NaN where nothing is known of the truth."""
    error = (estimate.clamp(-1, 1) - truth).square().flatten(1).nanmean(1).clamp(min=1e-12)
    return (10 * torch.log10(4.0 / error)).cpu()
