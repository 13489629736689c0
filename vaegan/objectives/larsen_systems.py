"""What Larsen et al. 2015 set beside the VAE-GAN: its discriminator as a GAN's, and as a VAE's measure of likeness.

With :class:`~vaegan.objectives.VAEObjective` (pixels) these make the paper's comparison on the same networks: VAE, GAN, VAE
with learned similarity (``VAE_Dis_l``: first :class:`PriorGANObjective`, then :class:`LearnedVAEObjective`) and VAE-GAN.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from vaegan.degradation.base import normal
from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.models.larsen_gan import LarsenGAN
from vaegan.models.vaegan import VAEGAN
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, Step, assign, gradient, leaf, trainable
from vaegan.objectives.cut import Noise, as_vaegan, encode
from vaegan.objectives.larsen import likeness


@dataclass(frozen=True)
class PriorGANObjective(Objective):
    """A GAN of a VAE-GAN's decoder and discriminator: −log D(x_p) and −log D(x) − log(1 − D(x_p)), x_p = G(z_p).

    An encoder, where the model has one, is left alone. The decoder's loss is the non-saturating one of Goodfellow et al.
    2014, which has a slope where the discriminator is sure. The step costs 3 decoder and 7 discriminator
    forward-equivalents.
    """

    players: ClassVar[tuple[str, ...]] = ("decoder", "discriminator")

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """One scalar a player, on one graph."""
        _, real, sampled = self._judged(model, batch, generator, cut=False)
        return {"decoder": terms.non_saturating(sampled), "discriminator": terms.gan(real, sampled)}

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """The same gradients from a graph cut at x_p."""
        (x_p, seen), real, sampled = self._judged(model, batch, generator, cut=True)
        dec, dis = (trainable(model.players()[name]) for name in self.players)
        fooled, adversarial = terms.non_saturating(sampled), terms.gan(real, sampled)
        wanted = gradient([fooled], [seen], retain=True)
        assign(dis, gradient([adversarial], dis))
        assign(dec, gradient([x_p], dec, wanted))
        logged = {"gan": adversarial, "d_real": real.sigmoid().mean(), "d_sampled": sampled.sigmoid().mean()}
        return Step({name: value.detach() for name, value in logged.items()})

    def _judged(
        self, model: Model, batch: Batch, generator: torch.Generator | None, *, cut: bool
    ) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
        """x_p on both sides of the cut, and the logits of x and x_p."""
        if not isinstance(model, VAEGAN | LarsenGAN):
            found = f"a {type(model).__name__} for the GAN of a decoder and a discriminator"
            raise UserError(found, expected="a VAEGAN or a LarsenGAN", mend="set another objective")
        z = normal((len(batch.x), *model.latent_shape), batch.x, generator)
        x_p = batch.judged(model.decode(z, None, batch.condition))
        seen = leaf(x_p) if cut else x_p
        real, sampled = (model.judge(x, batch.condition).logits for x in (batch.x, seen))
        return (x_p, seen), real, sampled


@dataclass(frozen=True)
class LearnedVAEObjective(Objective):
    """L_prior + L_llike of Dis_l, for encoder and decoder alike: a VAE whose error is a discriminator's hidden layer.

    The discriminator is used as in evaluation and left as an earlier stage has trained it, its running statistics too. The
    step costs 3 encoder, 3 decoder and 3 discriminator forward-equivalents.

    Args:
        layer: which convolution of the discriminator measures likeness, from 0 (Larsen: 3, the third strided one).
    """

    players: ClassVar[tuple[str, ...]] = ("encoder", "decoder")

    layer: int = 3

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The negative evidence lower bound under the learned likelihood, the same for both players."""
        loss = sum(self._terms(model, batch, generator), batch.x.new_zeros(()))
        return dict.fromkeys(self.players, loss)

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """One pass for both players, whose loss is the same."""
        prior, llike = self._terms(model, batch, generator)
        parameters = [p for name in self.players for p in trainable(model.players()[name])]
        assign(parameters, gradient([prior + llike], parameters))
        return Step({"prior": prior.detach(), "likeness": llike.detach()})

    def _terms(self, model: Model, batch: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        model = as_vaegan(model)
        encoded = encode(model, batch, Noise.draw(model, batch, generator), cut=False)
        x_tilde = batch.judged(model.decode(encoded.leaves[0], encoded.context, batch.condition))
        with _finished(model.discriminator):
            with torch.no_grad():
                real = model.judge(batch.x, batch.condition)
            rebuilt = model.judge(x_tilde, batch.condition)
        return terms.kl_prior(encoded.q), likeness(real, rebuilt, self.layer)


@contextmanager
def _finished(player: nn.Module) -> Iterator[None]:
    """A player as in evaluation: nothing about it changes."""
    training = player.training
    player.eval()
    try:
        yield
    finally:
        player.train(training)
