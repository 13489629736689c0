"""Algorithm 1 of Larsen et al. 2015, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vaegan.errors import UserError
from vaegan.models.base import Model
from vaegan.nn import Verdict
from vaegan.objectives import terms
from vaegan.objectives.base import Batch, Objective, Step, assign, check_numbers, detached, gradient, leaf, trainable
from vaegan.objectives.cut import Noise, as_vaegan, encode, encoder_gradient


def likeness(real: Verdict, rebuilt: Verdict, layer: int) -> Float[Tensor, ""]:
    """L_llike of one layer of the discriminator.

    Raises:
        UserError: for a layer that it has not.
    """
    layers = len(real.features)
    if not 0 <= layer < layers:
        found = f"layer {layer} of a discriminator of {layers}"
        raise UserError(found, expected=f"0 to {layers - 1}", mend="set objective.layer")
    return terms.learned_similarity(real.features[layer], rebuilt.features[layer])


@dataclass(frozen=True)
class Equilibrium:
    """The released code's gating: a player that is too far ahead waits.

    With c the mean −log of the discriminator's probability of being right, one for the real side and one for the fakes:
    the discriminator waits where either is below ``target - margin``, the decoder where either is above
    ``target + margin``; where both would wait, neither does.
    """

    target: float = 0.68
    margin: float = 0.35

    def __post_init__(self) -> None:
        check_numbers(self, "objective.equilibrium", weights=("target", "margin"))

    def gates(self, real: Tensor, *fakes: Tensor) -> dict[str, Tensor]:
        """For decoder and discriminator whether they step, as 0-dim bool tensors on the device (never read by the host)."""
        sides = torch.stack([F.softplus(-real).mean(), torch.stack([F.softplus(fake).mean() for fake in fakes]).mean()])
        dis = (sides >= self.target - self.margin).all()
        dec = (sides <= self.target + self.margin).all()
        neither = ~(dis | dec)
        return {"decoder": dec | neither, "discriminator": dis | neither}


@dataclass(frozen=True)
class LarsenObjective(Objective):
    """L_prior + L_llike for the encoder, γ L_llike − L_GAN for the decoder, L_GAN for the discriminator.

    With L_GAN = −log D(x) − log(1 − D(x̃)) − log(1 − D(x_p)), x̃ = G(z), z ~ q(z | y), x_p = G(z_p), z_p ~ N(0, I).
    The step costs 3 encoder, 7 decoder and 10 discriminator forward-equivalents.

    Args:
        gamma: weight of the likeness against the discriminator's opinion, for the decoder (Larsen: 1e-6 on faces).
        layer: which convolution of the discriminator measures likeness, from 0 (Larsen: 3, the third strided one).
        reconstructions_as_fakes: show x̃ to the discriminator as a fake, as in the paper; the released code shows only x_p.
        equilibrium: the released code's gating, or ``None``.
    """

    players: ClassVar[tuple[str, ...]] = ("encoder", "decoder", "discriminator")

    gamma: float = 1e-6
    layer: int = 3
    reconstructions_as_fakes: bool = True
    equilibrium: Equilibrium | None = None

    def __post_init__(self) -> None:
        check_numbers(self, weights=("gamma",))

    def losses(self, model: Model, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """One scalar a player, on one graph: the definition that ``backward`` is held against."""
        model = as_vaegan(model)
        noise = Noise.draw(model, batch, generator)
        encoded = encode(model, batch, noise, cut=False)
        x_tilde = batch.judged(model.decode(encoded.leaves[0], encoded.context, batch.condition))
        x_p = batch.judged(model.decode(noise.prior, None, batch.condition))
        real, rebuilt, sampled = (model.judge(x, batch.condition) for x in (batch.x, x_tilde, x_p))
        prior = terms.kl_prior(encoded.q)
        llike = likeness(real, rebuilt, self.layer)
        adversarial = terms.gan(real.logits, *self._fakes(rebuilt.logits, sampled.logits))
        return {
            "encoder": prior + llike,
            "decoder": self.gamma * llike - adversarial,
            "discriminator": adversarial,
        }

    def backward(self, model: Model, batch: Batch, generator: torch.Generator | None) -> Step:
        """The same gradients from a graph cut at z, x̃ and x_p."""
        model = as_vaegan(model)
        enc, dec, dis = (trainable(model.players()[name]) for name in self.players)
        noise = Noise.draw(model, batch, generator)

        encoded = encode(model, batch, noise, cut=True)
        x_tilde = batch.judged(model.decode(encoded.leaves[0], encoded.context, batch.condition))
        x_p = batch.judged(model.decode(noise.prior, None, batch.condition))
        seen_tilde, seen_p = leaf(x_tilde), leaf(x_p)
        real, rebuilt, sampled = (model.judge(x, batch.condition) for x in (batch.x, seen_tilde, seen_p))

        llike = likeness(real, rebuilt, self.layer)
        (of_likeness,) = gradient([llike], [seen_tilde], retain=True)
        adversarial = terms.gan(real.logits, *self._fakes(rebuilt.logits, sampled.logits))
        *for_dis, opinion_tilde, opinion_p = gradient([adversarial], [*dis, seen_tilde, seen_p])
        assign(dis, for_dis)

        assert of_likeness is not None and opinion_p is not None, "the discriminator ignores its input"
        wanted = self.gamma * of_likeness if opinion_tilde is None else self.gamma * of_likeness - opinion_tilde
        handed_back = gradient([x_tilde], encoded.leaves, [of_likeness], retain=True)
        assign(dec, gradient([x_tilde], dec, [wanted]), gradient([x_p], dec, [-opinion_p]))

        prior = terms.kl_prior(encoded.q)
        assign(enc, encoder_gradient(encoded, prior, handed_back, enc))

        gates = {}
        if self.equilibrium is not None:
            fakes = self._fakes(rebuilt.logits, sampled.logits)
            gates = self.equilibrium.gates(real.logits.detach(), *(fake.detach() for fake in fakes))
        logged = {
            "prior": prior,
            "likeness": llike,
            "gan": adversarial,
            "d_real": real.logits.sigmoid().mean(),
            "d_rebuilt": rebuilt.logits.sigmoid().mean(),
            "d_sampled": sampled.logits.sigmoid().mean(),
        }
        return Step(detached(logged), gates)

    def _fakes(self, rebuilt: Tensor, sampled: Tensor) -> tuple[Tensor, ...]:
        return (rebuilt, sampled) if self.reconstructions_as_fakes else (sampled,)
