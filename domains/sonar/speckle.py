"""Noise of coherent imaging: it multiplies the echo, or grows with range."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from domains.sonar.lines import Along, check_along
from domains.sonar.scaling import Scaling, to_amplitude, to_model
from vaegan.degradation import Degradation, Level, Measurement
from vaegan.degradation.base import normal, per_sample, uniform
from vaegan.errors import UserError


class EchoDegradation(Degradation):
    """A degradation of echo amplitudes: model units are undone before it and made again after it.

    Args:
        level: of the degradation.
        scaling: of the model units that it is applied to.
        clip: cut amplitudes to [0, 1], as a recorder of whole numbers does.
    """

    def __init__(self, level: Level, scaling: Scaling = "amplitude", clip: bool = True) -> None:
        super().__init__(level)
        self.scaling: Scaling = scaling
        self.clip = clip

    def degrade(
        self,
        x: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Degrades each sample's amplitudes at its own level."""
        measured = self.echo(to_amplitude(x, self.scaling), level, generator)
        u = measured.y.clamp(0.0, 1.0) if self.clip else measured.y
        return Measurement(to_model(u, self.scaling), measured.mask)

    @abstractmethod
    def echo(
        self,
        u: Float[Tensor, "batch channels *space"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Measurement:
        """Degrades amplitudes, of which 1 is full scale."""


class PolarDegradation(EchoDegradation):
    """A degradation of ranges and beams, told for a raster of ranges by beams: one of pings by ranges is turned for it.

    Args:
        level, scaling, clip: see :class:`EchoDegradation`.
        turned: whether ranges are columns instead of rows.
    """

    dims: ClassVar[tuple[int, ...]] = (2,)

    def __init__(self, level: Level, turned: bool, scaling: Scaling = "amplitude", clip: bool = True) -> None:
        super().__init__(level, scaling, clip)
        self.turned = turned

    def echo(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        """Degrades the raster with its ranges from top to bottom."""
        if not self.turned:
            return Measurement(self.polar(u, level, generator))
        return Measurement(self.polar(u.mT.contiguous(), level, generator).mT.contiguous())

    @abstractmethod
    def polar(
        self,
        u: Float[Tensor, "batch channels ranges beams"],
        level: Float[Tensor, " batch"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, "batch channels ranges beams"]:
        """Degrades amplitudes over range and beam."""


class GammaSpeckle(EchoDegradation):
    """Speckle of L looks: ``u' = u n`` with ``n ~ Gamma(L, 1/L)``, of mean 1 and variance ``1/L``.

    With L = 1 it is the exponential law of a single look (Goodman 1976). A range of looks is drawn from uniformly in
    ``1/L``.

    Args:
        L: number of looks, above 0; it need not be whole.
        scaling, clip: see :class:`EchoDegradation`.

    Raises:
        UserError: when L is not above 0.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def __init__(self, L: Level = (1.0, 10.0), scaling: Scaling = "amplitude", clip: bool = True) -> None:
        low, high = (L, L) if isinstance(L, int | float) else L
        if not 0 < low <= high:
            raise UserError(f"speckle of {low:g} to {high:g} looks", expected="L above 0, LOW..HIGH")
        super().__init__((1.0 / high, 1.0 / low), scaling, clip)
        self.looks = float(low) if low == high else None

    def echo(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        """Multiplies by gamma noise of variance ``level``."""
        return Measurement(u * gamma(u, 1.0 / level.clamp(min=1e-6), generator))


class RayleighSpeckle(EchoDegradation):
    """Amplitude speckle: ``u' = u (1 + a (n - 1))``, ``n`` Rayleigh of mean 1 (variance ``4/pi - 1``).

    Args:
        amount: a, 0 for no noise and 1 for fully developed speckle.
        scaling, clip: see :class:`EchoDegradation`.

    Raises:
        UserError: when the amount leaves [0, 1].
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, amount: Level = 1.0, scaling: Scaling = "amplitude", clip: bool = True) -> None:
        super().__init__(amount, scaling, clip)

    def echo(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Measurement:
        """Multiplies by Rayleigh noise."""
        n = rayleigh(u, generator) * math.sqrt(2.0 / math.pi)
        return Measurement(u * (1.0 + per_sample(level, u) * (n - 1.0)))


class RangeNoise(PolarDegradation):
    """Multiplicative noise, and additive noise that grows with range, as the simulator OceanSim makes it.

    ``u' = u (1 + s n) + s (r / r_max)^2 (1 + c exp(-(a - 1/2)^2 / w)) R / 2`` with ``n ~ N(0, 1)``, ``R`` Rayleigh of
    scale 1, ``r`` the range and ``a`` the beam, 0 to 1.

    Args:
        strength: s, 0 or more.
        centre: c, how much more the middle beams get.
        width: w, of the middle, as a share of the aperture squared.
        along: whether a range is one of the ``rows`` or of the ``columns`` (pings by ranges; the middle is then that of the
            pings, so set ``centre`` to 0).
        scaling, clip: see :class:`EchoDegradation`.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def __init__(
        self,
        strength: Level = (0.05, 0.3),
        centre: float = 1.0,
        width: float = 0.05,
        along: Along = "rows",
        scaling: Scaling = "amplitude",
        clip: bool = True,
    ) -> None:
        check_along(along)
        super().__init__(strength, along == "columns", scaling, clip)
        self.centre, self.width = centre, width

    def polar(self, u: Tensor, level: Tensor, generator: torch.Generator | None) -> Tensor:
        """Multiplies and adds."""
        s = per_sample(level, u)
        r, a = (steps(u, axis) for axis in (-2, -1))
        lobe = 1.0 + self.centre * torch.exp(-((a - 0.5) ** 2) / self.width)
        added = r.unsqueeze(-1) ** 2 * lobe * rayleigh(u, generator) / 2.0
        return u * (1.0 + s * normal(tuple(u.shape), u, generator)) + s * added


def gamma(like: Tensor, looks: Float[Tensor, " batch"], generator: torch.Generator | None) -> Tensor:
    """Gamma noise of mean 1 and variance 1/L, a number of looks for each sample."""
    device = like.device if generator is None else generator.device
    alpha = per_sample(looks, like).expand(like.shape).to(device)
    drawn: Tensor = torch._standard_gamma(alpha.contiguous(), generator=generator)
    return (drawn / alpha).to(like)


def rayleigh(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Rayleigh noise of scale 1 (mean ``sqrt(pi/2)``), by inversion."""
    return torch.sqrt(-2.0 * torch.log1p(-uniform(tuple(like.shape), like, generator).clamp(max=1.0 - 1e-7)))


def steps(u: Tensor, axis: int) -> Tensor:
    """0 to 1 along an axis."""
    return torch.linspace(0.0, 1.0, u.shape[axis], device=u.device, dtype=u.dtype)
