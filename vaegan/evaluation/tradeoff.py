"""Perception against distortion: what a restorer gains in error when it gives up looking real, and the other way round."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vaegan.data import SignalSet
from vaegan.degradation import Degradation
from vaegan.domain import Domain
from vaegan.errors import DataError
from vaegan.evaluation.latent import observed
from vaegan.evaluation.result import Tradeoff
from vaegan.metrics.features import Extractor
from vaegan.metrics.generation import judge_features
from vaegan.models import Model
from vaegan.models.blend import Blend

SETTINGS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHOWN = 4
BLOCK = 16


@torch.no_grad()
def evaluate_tradeoff(
    sharp: Model,
    faithful: Model | None,
    domain: Domain,
    test: SignalSet,
    condition: str,
    degradation: Degradation | None,
    extractor: Extractor,
    *,
    n: int,
    seed: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> Tradeoff | None:
    """PSNR against the distance between restored and real signals, at five settings of the knob.

    Each setting restores the same degraded test items. The distance is Fréchet's where there are more items than features,
    else the kernel distance; both are between the restored items and the true ones.

    Args:
        sharp, faithful: the ends of the line, see :class:`vaegan.models.blend.Blend`.
        domain: of the signals.
        test: items with their truth.
        condition: the name of what they suffer.
        degradation: that; ``None`` where the items have observed partners.
        extractor: whose features are compared.
        n: items.
        seed: of their choice and of the degradation.
        progress: called after each setting.

    Returns:
        The curve, or ``None`` where the features cannot be compared (too few items, or restorations all alike), or nothing
        is known of any truth.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(test))[: max(n, 1)])
    device = next(sharp.parameters()).device
    x, y, mask = observed(domain, test, rows, degradation, f"tradeoff/{seed}/{condition}")
    known = ~x.isnan()
    if not known.any():
        return None
    real = _features(extractor, torch.where(known, x, 0.0), device)
    points, pictures, name = [], {}, ""
    for done, setting in enumerate(SETTINGS):
        blend = Blend(sharp, faithful, setting)
        generator = torch.Generator(device).manual_seed(seed)
        restored = torch.cat(
            [
                blend.restore(
                    y[part].to(device), None if mask is None else mask[part].to(device), generator=generator
                ).mean.float().cpu()
                for part in torch.arange(len(rows)).split(BLOCK)
            ]
        ).clamp(-1, 1)  # fmt: skip
        restored = torch.where(known, restored, 0.0)
        try:
            found = judge_features(real, _features(extractor, restored, device), extractor=extractor.name, seed=seed)
        except DataError:
            return None
        name = next(key for key in (f"fid[{extractor.name}]", f"kid[{extractor.name}]") if key in found.numbers)
        error = (restored - x).square().flatten(1).nanmean(1).clamp(min=1e-12)
        psnr = float((10 * torch.log10(4.0 / error)).nanmean())
        points.append({"fidelity": setting, "psnr": psnr, "distance": float(found.numbers[name]["mean"])})
        pictures[setting] = np.asarray(domain.to_physical(restored[:SHOWN]).numpy())
        if progress is not None:
            progress(f"fidelity {setting:g}", done + 1, len(SETTINGS))
    truth = np.asarray(domain.to_physical(x[:SHOWN]).numpy())
    return Tradeoff(condition, name, tuple(points), pictures, truth, domain.draw)


def _features(extractor: Extractor, signals: Tensor, device: torch.device) -> Tensor:
    return torch.cat([extractor(part.to(device)).features for part in signals.split(BLOCK)])
