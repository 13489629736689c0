"""A model blind to amplitude: what becomes of flat signals, and of signals restored from the latent alone."""

from __future__ import annotations

import pytest
import torch

from vaegan.models.standardised import StandardisedConfig, StandardisedVAEGAN, mean_square
from vaegan.objectives import Batch, LarsenObjective, ModernObjective, Objective, PriorGANObjective, VAEObjective
from vaegan.objectives.cut import Noise, encode
from vaegan.signal import Axis, SignalSpec
from vaegan.testing import check_objective

SPEC = SignalSpec(2, (Axis("time", 32, 0.01, "s"),), "V", (-1.0, 1.0))
CONFIG = StandardisedConfig(
    latent=3, width=4, widest=8, depth=2, discriminator_width=2, discriminator_depth=2, discriminator_hidden=5
)


def some(*, flat: bool = False) -> tuple[StandardisedVAEGAN, Batch]:
    torch.manual_seed(0)
    model = CONFIG.build(SPEC)
    x = 0.3 * torch.randn(4, *SPEC.shape)
    x[0] = 0.0 if flat else x[0]
    return model, Batch(x, x + 0.1 * torch.randn_like(x) * (x != 0), progress=1.0)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    "objective",
    [
        LarsenObjective(layer=1),
        PriorGANObjective(),
        ModernObjective(),
        ModernObjective(prior_samples=True),
        ModernObjective(bare=0.5),
        VAEObjective(bare=1.0),
    ],
    ids=lambda o: type(o).__name__,
)
def test_flat_signals_have_gradients_of_the_size_of_others(objective: Objective, flat: bool) -> None:
    """A new network draws flat signals and nothing else, and some electrodes record them."""
    model, batch = some(flat=flat)
    objective.backward(model, batch, torch.Generator().manual_seed(0))
    for name in objective.players:
        slopes = [p.grad for p in model.players()[name].parameters() if p.grad is not None]
        assert slopes and all(bool(slope.isfinite().all()) for slope in slopes)
        assert max(float(slope.abs().max()) for slope in slopes) < 1e4


@pytest.mark.parametrize("objective", [ModernObjective(bare=0.5, prior_samples=True), VAEObjective(bare=0.5)])
def test_gradients_are_each_players_own(objective: Objective) -> None:
    check_objective(objective, *some())


def test_the_size_of_a_signal_is_that_of_what_was_observed_of_it() -> None:
    y = torch.tensor([[[3.0, 4.0, 100.0], [5.0, 12.0, 100.0]]])
    seen = torch.tensor([[[True, True, False]]])
    assert float(mean_square(y, seen)) == pytest.approx((9 + 16 + 25 + 144) / 4)
    assert float(mean_square(y)) == pytest.approx((9 + 16 + 25 + 144 + 20_000) / 6)
    model, _ = some()
    torch.nn.init.normal_(model.decoder.last.layer.weight, 0.0, 0.1)
    drawn = []
    for typical in (0.1, 0.3):
        model.typical = typical
        with torch.no_grad():
            drawn.append(model.sample(3, generator=torch.Generator().manual_seed(0)))
    assert float(drawn[0].abs().max()) > 0
    torch.testing.assert_close(drawn[1], 3 * drawn[0])


def test_from_the_latent_alone_a_signal_gets_the_observed_size() -> None:
    model, batch = some()
    torch.nn.init.normal_(model.decoder.last.layer.weight, 0.0, 0.1)
    sizes = torch.tensor([1.0, 10.0, 0.1, 0.01])[:, None, None]
    generator = torch.Generator().manual_seed(0)
    noise = Noise.draw(model, batch, generator, bare=1.0)

    def bare(y: torch.Tensor) -> torch.Tensor:
        encoded = encode(model, Batch(y, y), noise, cut=False)
        assert encoded.context is not None and not encoded.context.observed.any(), (
            "of the signal itself nothing is left"
        )
        return model.decode(encoded.leaves[0], encoded.context).detach()

    one, other = bare(batch.y), bare(batch.y * sizes)
    assert (mean_square(one).sqrt() > 1e-3).all()
    torch.testing.assert_close(other, one * sizes, rtol=1e-4, atol=1e-6)


def test_a_flat_signal_stays_flat() -> None:
    model, batch = some(flat=True)
    torch.nn.init.normal_(model.decoder.last.layer.weight, 0.0, 0.1)
    with torch.no_grad():
        restored = model.restore(batch.y).mean
    assert restored[0].abs().max() < 1e-5 < 1e-2 < restored[1].abs().max()
