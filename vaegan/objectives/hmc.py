"""Hamiltonian Monte Carlo over the latents of a generator with Gaussian noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from vaegan.degradation.base import normal, per_sample, uniform


def sample_latents(
    generate: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch channels *space"],
    z: Float[Tensor, "batch latent"],
    sigma: Float[Tensor, "1 *space"],
    *,
    step: Tensor | float,
    burn_in: int,
    samples: int,
    leapfrog: int,
    generator: torch.Generator | None,
) -> tuple[list[Float[Tensor, "batch latent"]], Float[Tensor, ""]]:
    """Draws from p(z | x) ∝ N(z; 0, I) N(x; G(z), diag σ²), each item on a chain of its own (Neal 2011, fig. 2).

    Args:
        generate: G.
        x: the signals.
        z: where the chains begin.
        sigma: standard deviation of the noise.
        step: size of a leapfrog step.
        burn_in: transitions whose states are left out.
        samples: transitions whose states are returned.
        leapfrog: steps a transition.
        generator: of momenta and acceptances.

    Returns:
        The states after each counted transition, detached, and the mean probability of acceptance.
    """

    def energy(state: Tensor) -> tuple[Tensor, Tensor]:
        """−log p(z, x) of each item up to a constant, and its gradient."""
        with torch.enable_grad():
            state = state.detach().requires_grad_()
            misfit = (x - generate(state)) / sigma
            value = 0.5 * (misfit.square().flatten(1).sum(1) + state.square().flatten(1).sum(1))
            (slope,) = torch.autograd.grad(value.sum(), state)
        return value.detach(), slope

    x, sigma, z = x.detach(), sigma.detach(), z.detach()
    value, slope = energy(z)
    kept, accepted = [], []
    for turn in range(burn_in + samples):
        momentum = normal(tuple(z.shape), z, generator)
        before = value + 0.5 * momentum.square().flatten(1).sum(1)
        place, force = z, slope
        for _ in range(leapfrog):
            momentum = momentum - 0.5 * step * force
            place = place + step * momentum
            reached, force = energy(place)
            momentum = momentum - 0.5 * step * force
        after = reached + 0.5 * momentum.square().flatten(1).sum(1)
        # A trajectory that ran away is not finite: it is refused as any other that gains too much energy.
        chance = torch.nan_to_num(torch.exp((before - after).clamp(max=0.0)), nan=0.0)
        taken = uniform(len(z), chance, generator) < chance
        z = torch.where(per_sample(taken, z), place, z)
        slope = torch.where(per_sample(taken, slope), force, slope)
        value = torch.where(taken, reached, value)
        accepted.append(chance.mean())
        if turn >= burn_in:
            kept.append(z)
    return kept, torch.stack(accepted).mean()
