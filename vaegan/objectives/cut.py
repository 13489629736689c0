"""Where an objective cuts the graph of a VAE-GAN, so that each player's gradient is computed once.

The graph is cut at the latent and the context (between encoder and decoder) and at every generated signal (between decoder
and discriminator). A gradient that arrives at a cut is carried on by hand, as the cotangent of the part before it. Nothing
is recomputed, and no gradient can reach a player that it is not meant for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vaegan.degradation.base import normal, uniform
from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.models.latent import LatentModel
from vaegan.models.vaegan import VAEGAN
from vaegan.nn import Context, DiagonalGaussian
from vaegan.objectives.base import Batch, gradient, leaf


@dataclass(frozen=True)
class Noise:
    """The random numbers of a step, drawn once so that every way to compute its gradients sees the same.

    Attributes:
        posterior: standard normal, for z ~ q(z | y).
        prior: standard normal, z_p itself.
        keep: 1 for the items that keep their context, 0 for those restored from the latent alone.
    """

    posterior: Float[Tensor, "batch *latent"]
    prior: Float[Tensor, "batch *latent"]
    keep: Float[Tensor, " batch"] | None

    @staticmethod
    def draw(model: LatentModel, batch: Batch, generator: torch.Generator | None, bare: float = 0.0) -> Noise:
        """Draws in a fixed order; ``bare`` is the share of items that lose their context."""
        shape = (batch.x.shape[0], *model.latent_shape)
        posterior, prior = normal(shape, batch.x, generator), normal(shape, batch.x, generator)
        keep = (uniform(shape[0], batch.x, generator) >= bare).to(batch.x) if bare > 0 else None
        return Noise(posterior, prior, keep)


@dataclass(frozen=True)
class Encoded:
    """The encoder's side of the cut: what it says, what it hands over, and the leaves that the decoder receives.

    Attributes:
        q: the posterior.
        outputs: z and the skips, still attached to the encoder.
        leaves: the same values, detached, each asking for its gradient.
        context: the context made of the leaves, or ``None``.
    """

    q: DiagonalGaussian
    outputs: tuple[Tensor, ...]
    leaves: tuple[Tensor, ...]
    context: Context | None


def encode(model: LatentModel, batch: Batch, noise: Noise, *, cut: bool) -> Encoded:
    """Runs the encoder and draws z; with ``cut`` the decoder's inputs are detached, without they stay attached."""
    encoding = model.encode(batch.y, batch.mask)
    context = encoding.context
    if context is not None and noise.keep is not None:
        context = context.kept(noise.keep)
    skips = () if context is None else context.skips
    outputs = (encoding.posterior.sample(noise.posterior.to(encoding.posterior.mean)), *skips)
    leaves = tuple(leaf(output) for output in outputs) if cut else outputs
    if context is not None:
        context = replace(context, skips=leaves[1:])
    return Encoded(encoding.posterior, outputs, leaves, context)


def encoder_gradient(
    encoded: Encoded, prior: Tensor, handed_back: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]
) -> tuple[Tensor | None, ...]:
    """The encoder's gradient: of its own term, and of what the decoder hands back through the cut.

    Args:
        encoded: the encoder's side of the cut.
        prior: the term of the posterior alone.
        handed_back: the gradient at each leaf, ``None`` where the decoder does not use it.
        parameters: the encoder's.
    """
    pairs = [(prior, None), *zip(encoded.outputs, handed_back, strict=True)]
    used = [(o, g) for o, g in pairs if o.requires_grad and (o is prior or g is not None)]
    return gradient([o for o, _ in used], parameters, [g for _, g in used])


def as_vaegan(model: Model) -> VAEGAN:
    """The model, if it is a VAE-GAN.

    Raises:
        UserError: if it is not.
    """
    if not isinstance(model, VAEGAN):
        raise UserError(
            f"a {type(model).__name__} for a VAE-GAN's objective",
            expected="a VAEGAN",
            mend="set another objective",
        )
    return model


def as_latent(model: Model) -> LatentModel:
    """The model, if it has an encoder and a decoder.

    Raises:
        UserError: if it has not.
    """
    if not isinstance(model, LatentModel):
        raise UserError(
            f"a {type(model).__name__} for the objective of a model with a latent",
            expected="a VAE or a VAEGAN",
            mend="set another objective",
        )
    return model
