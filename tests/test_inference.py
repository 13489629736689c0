"""Windows over signals of any size."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from vaegan.errors import UserError
from vaegan.inference import Cover, blending, covers, restore_any_size, starts
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


def test_a_mask_goes_with_its_windows() -> None:
    class Observed(Doubling):
        def restore(self, y, mask=None, *, samples=0, generator=None):
            return Restored(y if mask is None else torch.where(mask, y, 0.0))

    y, mask = torch.rand(2, 3, 40, 23), torch.rand(2, 1, 40, 23) > 0.5
    torch.testing.assert_close(restore_any_size(Observed(PICTURE), y, mask).mean, y * mask)


@pytest.mark.parametrize("size", [1, 7, 16, 17, 1000])
def test_one_dimension_too(size) -> None:
    y = torch.rand(1, 2, size)
    torch.testing.assert_close(restore_any_size(Doubling(SERIES), y).mean, 2 * y)


def test_windows_cover_everything_and_end_at_the_end() -> None:
    for size in (16, 17, 31, 100):
        begins = starts(size, 16, 8)
        assert begins[0] == 0
        assert begins[-1] + 16 == size
        assert all(b - a <= 8 for a, b in pairwise(begins))
    assert starts(5, 16, 8) == [0]


@pytest.mark.parametrize("size", [65, 100, 203, 1001])
@pytest.mark.parametrize(("hop", "stride"), [(8, 4), (24, 8), (40, 8)])
@pytest.mark.parametrize("ring", [False, True])
def test_windows_begin_on_the_grid(size, hop, stride, ring) -> None:
    begins = starts(size, 64, hop, stride=stride, ring=ring)
    assert all(begin % stride == 0 for begin in begins)
    assert all(0 < b - a <= hop for a, b in pairwise(begins))
    if ring:
        assert size - begins[-1] <= hop
    else:
        assert size - 64 <= begins[-1] < size - 64 + stride


def test_two_neighbours_add_up_to_one() -> None:
    for rise in (1, 2, 7, 8):
        up, down = blending(16, rise, 0), blending(16, 0, rise)
        assert (up > 0).all()
        torch.testing.assert_close(up[:rise] + down[16 - rise :], torch.ones(rise))
        torch.testing.assert_close(up, down.flip(0))


@pytest.mark.parametrize("size", [10, 64, 65, 150, 203])
@pytest.mark.parametrize(("hop", "margin"), [(64, 0), (32, 0), (16, 0), (5, 0), (24, 20), (16, 8)])
@pytest.mark.parametrize("ring", [False, True])
def test_weights_are_a_partition_of_unity(size, hop, margin, ring) -> None:
    cover = Cover(size, 64, hop, margin=margin, ring=ring)
    total = torch.zeros(size)
    for k in range(len(cover)):
        first, end = cover.counts(k)
        assert (cover.weight(k) > 0).all()
        total.index_add_(0, torch.arange(first, end) % size, cover.weight(k))
        seen = cover.reads(k)[cover.offset(k) : cover.offset(k) + end - first]
        assert (seen == np.arange(first, end) % size).all(), "what is added up is what was seen there"
    torch.testing.assert_close(total, torch.ones(size))


def test_a_short_axis_is_mirrored_and_a_short_ring_goes_round() -> None:
    assert Cover(5, 8, 4).reads(0).tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    assert Cover(5, 8, 4, ring=True).reads(0).tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert Cover(3, 8, 4, ring=True).reads(0).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    turn = SignalSpec(2, (Axis("azimuth", 16, periodic=True),), "m", (-1, 1))
    (cover,) = covers(Doubling(turn), (5,), overlap=0.5)
    assert cover.reads(0).tolist() == [*range(5), *range(5), *range(5), 0]
    y = torch.rand(1, 2, 5)
    torch.testing.assert_close(restore_any_size(Doubling(turn), y).mean, 2 * y)


def test_progress_is_told_to_the_end() -> None:
    told = []
    restore_any_size(
        Doubling(SERIES), torch.rand(3, 2, 100), progress=lambda done, all_: told.append((done, all_)), batch=4
    )
    assert told[0] == (0, told[-1][1])
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
    with pytest.raises(UserError, match=r"signals of shape \(1, 3, 0, 16\)"):
        restore_any_size(Doubling(PICTURE), torch.rand(1, 3, 0, 16))
    with pytest.raises(UserError, match="--overlap"):
        restore_any_size(Doubling(PICTURE), torch.rand(1, 3, 16, 16), overlap=1.0)


# --- what differs from window to window

TILE = SignalSpec(1, (Axis("height", 32), Axis("width", 32)), "V", (-1, 1))


class Global(Model):
    """Adds the mean of what it sees."""

    def __init__(self, spec: SignalSpec) -> None:
        super().__init__()
        self.spec, self.scale = spec, torch.nn.Parameter(torch.ones(()))

    def players(self):
        return {"only": self}

    def sample(self, n, *, generator=None, condition=None):
        return torch.zeros(n, *self.spec.shape)

    def restore(self, y, mask=None, *, samples=0, generator=None):
        assert y.shape[1:] == self.spec.shape
        return Restored(y + self.scale * y.flatten(2).mean(2)[..., None, None])


def second_differences(x: torch.Tensor) -> torch.Tensor:
    """Along the last axis, the largest at each place."""
    return x.diff(n=2, dim=-1).abs().amax(dim=tuple(range(x.dim() - 1)))


@pytest.mark.parametrize("overlap", [0.25, 0.5, 0.75])
def test_no_seam_on_a_slope(overlap) -> None:
    """What differs from window to window fades over: at borders nothing bends more than within a blend."""
    slope = (torch.linspace(-1, 1, 231) + torch.linspace(-1, 1, 150)[:, None])[None, None]
    restored = restore_any_size(Global(TILE), slope, overlap=overlap).mean
    ramp = 32 * overlap
    for n, x in ((231, restored), (150, restored.transpose(2, 3))):
        step = 32 * (1 - overlap) * 2 / (n - 1)  # from one window's mean to the next
        bend = step / 2 * (torch.pi / ramp) ** 2  # of half a cosine of this height and length
        assert second_differences(x).max() < 1.8 * bend < step / 6, "a seam would bend by the whole step"


@pytest.mark.parametrize("ring", [False, True])
def test_where_a_window_begins_or_ends_it_counts_for_next_to_nothing(ring) -> None:
    cover = Cover(500, 64, 32, ring=ring)
    inner = range(len(cover)) if ring else range(1, len(cover) - 1)
    assert all(cover.weight(k)[end] < 0.001 for k in inner for end in (0, -1))
    steps = [cover.weight(k).diff().abs().max() for k in range(len(cover))]
    assert max(steps) < 1.2 * torch.pi / 2 / 32, "of half a cosine over 32 samples"


def test_no_seam_with_a_vector_latent() -> None:
    config = RestoringConfig(latent=3, vector=True, width=4, widest=8, discriminator_width=2, discriminator_hidden=4)
    torch.manual_seed(0)
    model = config.build(TILE).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, (parameter[0].numel() if parameter.dim() > 1 else 16) ** -0.5)
    assert not model.local
    slope = torch.linspace(-1, 1, 400).expand(1, 1, 40, 400).contiguous()
    cover = covers(model, (40, 400), overlap=0.5, memory=0)[1]
    borders = {end + d for k in range(len(cover)) for end in cover.counts(k) for d in (-2, -1, 0)}
    for y in (slope, slope + 0.3 * torch.randn(1, 1, 40, 400)):
        bends = second_differences(restore_any_size(model, y).mean)
        at = torch.tensor([i in borders for i in range(len(bends))])
        assert bends[at][6:-6].max() <= bends[~at][6:-6].max()  # away from the picture's own ends


def test_a_ring_of_windows_is_closed() -> None:
    spec = SignalSpec(1, (Axis("height", 32), Axis("azimuth", 32, periodic=True)), "m", (-1, 1))
    phase = torch.arange(256) / 256 * 2 * torch.pi
    wave = torch.sin(phase).expand(1, 1, 40, 256).contiguous()
    restored = restore_any_size(Global(spec), wave).mean
    turned = restore_any_size(Global(spec), wave.roll(80, dims=-1)).mean
    torch.testing.assert_close(turned, restored.roll(80, dims=-1))
    across = second_differences(torch.cat([restored, restored], -1))
    torch.testing.assert_close(across[240:272], across[112:144], msg="where it wraps, a wave bends as half a turn on")
    upright = replace(spec, axes=spec.axes[::-1])
    tall = restore_any_size(Global(upright), wave.transpose(2, 3).contiguous(), overlap=0.75).mean
    torch.testing.assert_close(
        tall.transpose(2, 3), restore_any_size(Global(spec), wave, overlap=0.75).mean, atol=1e-5, rtol=0
    )
