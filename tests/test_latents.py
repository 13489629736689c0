"""Priors, attribute vectors and what latents carry."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vaegan.data import SignalSet, Split
from vaegan.domain import Domain
from vaegan.errors import DataError, UserError
from vaegan.evaluation.latent import _partners, interpolate, latent_report, separability
from vaegan.models.directions import Directions
from vaegan.models.prior import MixturePrior
from vaegan.nn import DiagonalGaussian
from vaegan.signal import Axis, SignalSpec


def two_blobs(n: int, d: int = 3, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    side = torch.randint(0, 2, (n, 1), generator=generator) * 2.0 - 1.0
    stretched = torch.randn(n, d, generator=generator) * torch.linspace(0.1, 0.5, d)
    return 3 * side + stretched


def test_a_mixture_draws_what_it_was_fitted_to() -> None:
    latents = two_blobs(4000)
    prior = MixturePrior.fit(latents, components=2)
    drawn = prior.sample(4000, latents, torch.Generator().manual_seed(1))
    for side in (-1, 1):
        real, fake = (z[z[:, 0] * side > 0] for z in (latents, drawn))
        assert abs(len(real) - len(fake)) < 200
        torch.testing.assert_close(real.mean(0), fake.mean(0), atol=0.05, rtol=0)
        torch.testing.assert_close(torch.cov(real.T), torch.cov(fake.T), atol=0.03, rtol=0)


def test_correlations_within_a_component_are_kept() -> None:
    mix = torch.tensor([[1.0, 0.0], [0.9, 0.4]])
    latents = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0)) @ mix.T
    drawn = MixturePrior.fit(latents, components=1).sample(3000, latents, torch.Generator().manual_seed(1))
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(latents.T), atol=0.08, rtol=0)


@pytest.mark.parametrize("shape", [(2, 3, 2), (600,)])
def test_maps_and_long_vectors_keep_their_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    latents = torch.randn(120, *shape, generator=torch.Generator().manual_seed(0))
    prior = MixturePrior.fit(latents)
    assert prior.scales.dim() == (3 if shape == (2, 3, 2) else 2)
    again = MixturePrior.from_tensors(prior.tensors(), shape, tmp_path)
    drawn = [p.sample(5, latents, torch.Generator().manual_seed(3)) for p in (prior, again)]
    assert drawn[0].shape == (5, *shape)
    torch.testing.assert_close(*drawn, rtol=0, atol=0)
    with pytest.raises(DataError, match="expected a mixture over latents of shape"):
        MixturePrior.from_tensors(prior.tensors(), (7,), tmp_path)


def test_of_a_conditional_model_each_class_draws_from_its_own_gaussian(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 2]).repeat_interleave(torch.tensor([900, 60]))  # of class 1 there is none, 2 is rare
    within = torch.tensor([[1.0, 0.0], [0.9, 0.4]])
    latents = torch.randn(960, 2, generator=generator) @ within.T + 5.0 * (labels[:, None] == 2)
    fitted = MixturePrior.fit(latents, labels)
    prior = MixturePrior.from_tensors(fitted.tensors(), (2,), tmp_path)
    asked = torch.tensor([0, 1, 2]).repeat(2000)
    drawn = prior.sample(len(asked), latents, generator, asked)
    for label in (0, 2):
        torch.testing.assert_close(drawn[asked == label].mean(0), latents[labels == label].mean(0), atol=0.07, rtol=0)
        torch.testing.assert_close(torch.cov(drawn[asked == label].T), within @ within.T, atol=0.12, rtol=0)
    shares = (
        (drawn[asked == 1][:, 0] > 2.5).float().mean(),
        (prior.sample(4000, latents, generator)[:, 0] > 2.5).float().mean(),
    )
    for share in shares:  # of an unknown class, or of none, from all
        assert 0.04 < float(share) < 0.1


def test_a_mixture_needs_latents() -> None:
    with pytest.raises(DataError, match="at least two, with finite values"):
        MixturePrior.fit(torch.zeros(1, 4))
    with pytest.raises(DataError, match="finite: False"):
        MixturePrior.fit(torch.full((9, 4), torch.nan))


def described(n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents whose first dimension says whether the first attribute is there; the second attribute is chance."""
    generator = torch.Generator().manual_seed(0)
    present = torch.randint(0, 2, (n, 3), generator=generator) * 2 - 1
    present[:, 2] = -1
    present[:2, 2] = 1  # too rare
    latents = 0.3 * torch.randn(n, 4, generator=generator)
    latents[:, 0] += present[:, 0]
    return latents, present


def test_an_attribute_vector_points_from_without_to_with() -> None:
    latents, present = described()
    directions = Directions.fit(latents, present, ("Glasses", "Noise", "Rare"))
    assert directions.names == ("Glasses", "Noise")
    with_, without = (latents[present[:, 0] == s].mean(0) for s in (1, -1))
    torch.testing.assert_close(directions.vector("glasses"), with_ - without, atol=1e-5, rtol=0)
    assert directions.counts[0].tolist() == [int((present[:, 0] == s).sum()) for s in (1, -1)]
    with pytest.raises(UserError, match="did you mean Glasses"):
        directions.vector("Glases")
    with pytest.raises(UserError, match="one of Glasses, Noise"):
        directions.vector("hat")


def test_a_probe_reads_what_is_there_and_nothing_else() -> None:
    latents, present = described(600)
    found = separability(
        latents[:400], present[:400].numpy(), latents[400:], present[400:].numpy(), ("Glasses", "Noise", "Rare")
    )
    assert set(found) == {"Glasses", "Noise"}
    assert found["Glasses"]["mean"] > 0.95
    assert abs(found["Noise"]["mean"] - 0.5) < 0.12
    assert found["Glasses"]["n"] == 200
    assert separability(latents, np.ones((600, 1)), latents, np.ones((600, 1)), ("All",)) == {}


class Levels(Domain):
    """Waves of one size around a level of their own, two of each group, in volts of which 2 are a model unit."""

    @property
    def spec(self) -> SignalSpec:
        return SignalSpec(1, (Axis("time", 20, 0.01, "s"),), "V", (-2.0, 2.0))

    def dataset(self, split: Split) -> SignalSet:
        wave = 0.4 * np.sin(np.arange(20) * (2 * np.pi / 20))
        levels = np.linspace(-1.0, 1.0, 8)[:, None, None]
        return SignalSet((levels + wave).astype(np.float32), np.arange(8) // 2)


class LevelCoder(torch.nn.Module):
    """The latent is the level, the context the wave around it; what is decoded is 0.1 too high."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def encode(self, y: torch.Tensor, mask: torch.Tensor | None = None) -> SimpleNamespace:
        level = y.mean(-1)
        return SimpleNamespace(posterior=DiagonalGaussian(level, torch.zeros_like(level)), context=y - level[..., None])

    def decode(self, z: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        return z[..., None] + (torch.zeros(20) if context is None else context) + 0.1


def test_what_a_latent_carries_is_told_by_what_is_lost_without_it() -> None:
    domain = Levels()
    found = latent_report(LevelCoder(), domain, domain.dataset("test"), None)  # type: ignore[arg-type]
    levels = np.linspace(-0.5, 0.5, 8)  # in model units, whose range is 2
    other = np.concatenate([levels[[2, 2, 4, 4, 6, 6]], levels[[0, 0]]])  # of the next item of another group
    assert (found["n"], found["latent_dimensions"], found["active_units"]) == (8, 1, 1)
    assert found["kl"] == pytest.approx(0.5 * np.square(levels).mean())
    assert found["psnr"] == pytest.approx(10 * math.log10(4 / 0.1**2), abs=1e-3)
    assert found["psnr_latent_only"] == pytest.approx(10 * math.log10(4 / (0.1**2 + 0.2**2 / 2)), abs=1e-3)
    shuffled = (10 * np.log10(4 / np.square(other - levels + 0.1))).mean()
    assert found["psnr_shuffled"] == pytest.approx(shuffled, abs=1e-3)
    assert _partners(["a", "a", "b", "a"]).tolist() == [2, 2, 3, 2]  # type: ignore[union-attr]
    assert _partners(["a", "a"]) is None


def test_an_interpolation_goes_from_one_item_to_another() -> None:
    domain = Levels()
    found = interpolate(LevelCoder(), domain, domain.dataset("test"), pairs=3, steps=5)  # type: ignore[arg-type]
    assert found.shape == (3, 5, 1, 20)
    level = found[..., 0, 0] - 0.2  # in volts
    known = np.linspace(-1.0, 1.0, 8)
    for row in level:
        assert min(abs(known - row[0])) < 1e-5 > min(abs(known - row[-1])) and abs(row[-1] - row[0]) > 0.1
        np.testing.assert_allclose(row, np.linspace(row[0], row[-1], 5), atol=1e-5)
    rows = np.random.default_rng((0, 3)).permutation(8)[:6]
    np.testing.assert_allclose(level[:, 0], known[rows[::2]], atol=1e-5)
