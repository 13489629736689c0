"""The peer: the same networks, trained by pythae's VAEGAN and its CoupledOptimizerAdversarialTrainer.

It imports pythae at once, so :func:`benchmarks.step.load_peer` imports it only where the peer is needed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Sequence

import pythae.models
import torch
from pythae.data.datasets import BaseDataset, DatasetOutput
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseDiscriminator, BaseEncoder
from pythae.trainers import CoupledOptimizerAdversarialTrainer, CoupledOptimizerAdversarialTrainerConfig
from torch import Tensor, nn

from vaegan.models.vaegan import VAEGAN
from vaegan.nn import Discriminator

# Each module of pythae logs to the console on its own.
for _name in [name for name in logging.root.manager.loggerDict if name.startswith("pythae")]:
    logging.getLogger(_name).setLevel(logging.ERROR)


class _Encoder(BaseEncoder):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> ModelOutput:
        q = self.network(x)
        return ModelOutput(embedding=q.mean, log_covariance=q.logvar)


class _Decoder(BaseDecoder):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.network(z))


class _Discriminator(BaseDiscriminator):
    """Layer ``level`` is the output of convolution ``level``, from 0, before norm and activation."""

    def __init__(self, network: Discriminator) -> None:
        super().__init__()
        self.network = network
        self.depth = len(network.convs) - 1

    def forward(self, x: Tensor, output_layer_levels: Sequence[int] | None = None) -> ModelOutput:
        if output_layer_levels is None:
            # pythae applies a binary cross-entropy to probabilities.
            return ModelOutput(embedding=torch.sigmoid(self.network(x).logits))
        # Like pythae's own discriminators, nothing is computed above the highest layer that was asked for.
        output, h, network = ModelOutput(), x, self.network
        for level in range(max(output_layer_levels) + 1):
            raw = network.convs[level](h)
            if level in output_layer_levels:
                output[f"embedding_layer_{level}"] = raw
            if level < max(output_layer_levels):
                h = network.activation(network.norms[level](raw))
        return output


class PeerStep:
    """One step of pythae's training, called without arguments.

    Args:
        model: the networks, trained in place, on their device.
        x: one batch in model units, contiguous, on the device to train on.
        layer: which convolution of the discriminator measures likeness, from 0.
        lr, betas: of the three Adams.
    """

    def __init__(self, model: VAEGAN, x: Tensor, *, layer: int, lr: float, betas: tuple[float, float]) -> None:
        # pythae skips the decoder or the discriminator where its cost leaves equilibrium ± margin; no cost
        # leaves a margin this wide, so all three players are updated at every step, as ours are.
        config = pythae.models.VAEGANConfig(
            input_dim=tuple(model.spec.shape),
            latent_dim=model.latent_shape[0],
            adversarial_loss_scale=0.5,
            reconstruction_layer=layer,
            margin=1e9,
        )
        wrapped = pythae.models.VAEGAN(
            config, _Encoder(model.encoder), _Decoder(model.decoder), _Discriminator(model.discriminator)
        )
        adam = {"betas": betas}
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            training = CoupledOptimizerAdversarialTrainerConfig(
                output_dir=folder,  # nothing is written: that would be prepare_training's
                per_device_train_batch_size=len(x),
                no_cuda=x.device.type == "cpu",
                encoder_learning_rate=lr,
                decoder_learning_rate=lr,
                discriminator_learning_rate=lr,
                encoder_optimizer_params=adam,
                decoder_optimizer_params=adam,
                discriminator_optimizer_params=adam,
            )
            data = BaseDataset(x.cpu(), torch.zeros(len(x)))
            self.trainer = CoupledOptimizerAdversarialTrainer(wrapped, data, training_config=training)
        # The part of prepare_training that a step needs; the rest seeds, writes folders and calls callbacks.
        self.trainer.set_encoder_optimizer()
        self.trainer.set_decoder_optimizer()
        self.trainer.set_discriminator_optimizer()
        self.trainer.model.train()
        self.inputs = DatasetOutput(data=x)

    def __call__(self) -> None:
        # The body of the loop in CoupledOptimizerAdversarialTrainer.train_step: the forward pass computes the
        # three losses, _optimizers_step runs three backward passes over one retained graph and the three
        # updates. Left out are the data loader, the sums of the losses (their .item()) and the callbacks.
        output = self.trainer.model(self.inputs, epoch=1, dataset_size=len(self.inputs.data), uses_ddp=False)
        self.trainer._optimizers_step(output)
