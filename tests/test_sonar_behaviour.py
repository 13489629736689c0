"""How sonar behaves in use: what is written, measured, degraded and shown of records of every kind."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from domains.sonar import Sonar


@pytest.mark.parametrize("scaling", ["amplitude", "power", "log"])
def test_restored_amplitudes_stay_in_the_range_of_a_record(scaling, tmp_path: Path) -> None:
    """Else a record of floats, read again, would be given another scale."""
    domain = Sonar(scaling=scaling)
    units = torch.linspace(-1.5, 1.5, 300).view(1, 1, 15, 20).repeat(1, 1, 1, 2)
    units[..., 0, 0] = torch.nan
    echo = domain.to_physical(units)
    assert (float(echo.nan_to_num().min()), float(echo.nan_to_num().max())) == (0.0, 1.0)
    assert bool(echo[..., 0, 0].isnan())
    path = tmp_path / "restored.npy"
    np.save(path, np.full((15, 40), 0.5, dtype=np.float32))
    written = domain.write(domain.read(path).with_signals(echo.nan_to_num().numpy()), tmp_path / "again.npy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(domain.read(written).signals[0, 0], echo[0, 0].nan_to_num(), atol=1e-6)
