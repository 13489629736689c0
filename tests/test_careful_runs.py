"""What must not go wrong around a run: data of any kind, folders of their own, numbers that flatter nobody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vaegan import plugins
from vaegan.data import SignalSet
from vaegan.recipe import from_json, identity, to_json
from vaegan.training import Feed


def waves(n: int = 8, kind: str = "float32") -> SignalSet:
    time = np.linspace(0, 2 * np.pi, 32)
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (n, 1, 1))
    return SignalSet((0.8 * np.sin(2 * time + phase)).astype(kind), np.asarray([str(i) for i in range(n)]))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_signals_of_any_precision_reach_a_network_as_its_own(kind: str) -> None:
    data = waves(kind=kind)
    for given in (data, replace(data, observed=data.signals / 2)):
        batch, _ = Feed(given, lambda x: x * 2, None, batch=4, device=torch.device("cpu"))(0, 0.0)
        assert (batch.x.dtype, batch.y.dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize("name", ["faces/restoration-unet", "sonar/despeckle", "faces/quickstart"])
def test_a_smoke_run_never_takes_the_place_of_the_run_itself(name: str) -> None:
    recipe = plugins.recipes()[name]
    tiny = recipe.smoke()
    assert identity(name, tiny, "same") != identity(name, recipe, "same")
    assert from_json(to_json(name, tiny)) == (name, tiny)
