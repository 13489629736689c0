"""Windows over signals of any size."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from vaegan.errors import UserError
from vaegan.inference import blending, restore_any_size, starts
from vaegan.models import RestoringConfig
from vaegan.models.base import Model, Restored
from vaegan.signal import Axis, SignalSpec


class Doubling(Model):
    """Doubles its input: whatever the windows, the blended result must be exactly the double."""

    def __init__(self, spec: SignalSpec) -> None:
        super().__init__()
        self.spec = spec
        self.scale = torch.nn.Parameter(torch.tensor(2.0))

    def players(self):
        return {"only": self}

    def sample(self, n, *, generator=None, condition=None):
        return torch.zeros(n, *self.spec.shape)

    def restore(self, y, mask=None, *, samples=0, generator=None):
        assert y.shape[1:] == self.spec.shape, "windows must have the size that the model was trained on"
        return Restored(self.scale * y, torch.ones_like(y) if samples else None)


PICTURE = SignalSpec(3, (Axis("height", 16), Axis("width", 16)), "8-bit level", (0, 255))
SERIES = SignalSpec(2, (Axis("time", 16, 0.01, "s"),), "V", (-1, 1))


@pytest.mark.parametrize("sizes", [(16, 16), (40, 23), (5, 50), (3, 2), (1, 16)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_a_local_operation_leaves_no_seam_and_keeps_the_size(sizes, overlap) -> None:
    y = torch.rand(2, 3, *sizes) * 2 - 1
    restored = restore_any_size(Doubling(PICTURE), y, overlap=overlap, samples=2)
    torch.testing.assert_close(restored.mean, 2 * y)
    torch.testing.assert_close(restored.spread, torch.ones_like(y))


@pytest.mark.parametrize("size", [1, 7, 16, 17, 1000])
def test_one_dimension_too(size) -> None:
    y = torch.rand(1, 2, size)
    torch.testing.assert_close(restore_any_size(Doubling(SERIES), y).mean, 2 * y)


def test_windows_cover_everything_and_end_at_the_end() -> None:
    for size in (16, 17, 31, 100):
        begins = starts(size, 16, 0.5)
        assert begins[0] == 0
        assert begins[-1] + 16 == size
        assert all(b - a <= 8 for a, b in pairwise(begins))
    assert starts(5, 16, 0.5) == [0]


def test_weights_are_positive_and_symmetric() -> None:
    weight = blending((16, 9))
    assert (weight > 0).all()
    torch.testing.assert_close(weight, weight.flip(2, 3))


def test_progress_is_told_to_the_end() -> None:
    told = []
    restore_any_size(
        Doubling(SERIES), torch.rand(3, 2, 100), progress=lambda done, all_: told.append((done, all_)), batch=4
    )
    assert told[-1][0] == told[-1][1]
    assert len(told) > 3


def test_a_network_gives_the_same_on_its_own_size() -> None:
    model = (
        RestoringConfig(latent=2, width=4, widest=8, depth=2, discriminator_width=2, discriminator_hidden=4)
        .build(PICTURE)
        .eval()
    )
    y = torch.rand(2, *PICTURE.shape)
    with torch.no_grad():
        torch.testing.assert_close(restore_any_size(model, y).mean, model.restore(y).mean)


def test_wrong_channels_and_overlap_are_said() -> None:
    with pytest.raises(UserError, match=r"signals of shape \(1, 1, 16, 16\); expected \(batch, 3, height, width\)"):
        restore_any_size(Doubling(PICTURE), torch.rand(1, 1, 16, 16))
    with pytest.raises(UserError, match="--overlap"):
        restore_any_size(Doubling(PICTURE), torch.rand(1, 3, 16, 16), overlap=1.0)
