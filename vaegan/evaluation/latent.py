"""What a VAE-GAN owes to its latent."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vaegan.data import SignalSet
from vaegan.degradation import Degradation
from vaegan.domain import Domain
from vaegan.models.vaegan import VAEGAN
from vaegan.nn import active_units


@torch.no_grad()
def latent_report(
    model: VAEGAN,
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
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(items))[:n])
    device = next(model.parameters()).device
    x = domain.to_model(torch.from_numpy(np.stack([np.asarray(items.signals[row]) for row in rows]))).float()
    y, mask = x, None
    if items.observed is not None:
        y = domain.to_model(torch.from_numpy(np.stack([np.asarray(items.observed[row]) for row in rows]))).float()
    elif degradation is not None:
        digest = hashlib.sha256(f"latent/{seed}".encode()).digest()
        measured = degradation(x, generator=torch.Generator().manual_seed(int.from_bytes(digest[:6], "big")))
        y, mask = measured.y.float(), measured.mask
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
        "psnr": float(torch.cat(plain).mean()),
        "psnr_latent_only": float(torch.cat(bare).mean()),
    }
    if shuffled:
        result["psnr_shuffled"] = float(torch.cat(shuffled).mean())
    return result


def _partners(groups: list[str]) -> Tensor | None:
    """For each item the next one, round the list, of another group; ``None`` where there is only one group.

    Neighbours of one group look alike: exchanging their latents would make z look worthless.
    """
    n = len(groups)
    if len(set(groups)) < 2:
        return None
    return torch.tensor([next((i + k) % n for k in range(1, n) if groups[(i + k) % n] != groups[i]) for i in range(n)])


def _psnr(estimate: Tensor, truth: Tensor) -> Float[Tensor, " batch"]:
    """PSNR in dB of signals in model units, whose range is 2."""
    error = (estimate.clamp(-1, 1) - truth).square().flatten(1).mean(1).clamp(min=1e-12)
    return (10 * torch.log10(4.0 / error)).cpu()
