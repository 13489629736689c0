"""Networks for 1D and 2D signals from one code."""

from vaegan.nn.blocks import ResBlock
from vaegan.nn.conv import Conv, Doubling, Linear, Norm, Upsample, normalisation
from vaegan.nn.decoder import Decoder
from vaegan.nn.discriminator import Discriminator, Verdict
from vaegan.nn.encoder import Encoder
from vaegan.nn.posterior import DiagonalGaussian, active_units, posterior
from vaegan.nn.precision import at_least_single
from vaegan.nn.unet import Context, Encoding, RestoringDecoder, RestoringEncoder

__all__ = [
    "Context",
    "Conv",
    "Decoder",
    "DiagonalGaussian",
    "Discriminator",
    "Doubling",
    "Encoder",
    "Encoding",
    "Linear",
    "Norm",
    "ResBlock",
    "RestoringDecoder",
    "RestoringEncoder",
    "Upsample",
    "Verdict",
    "active_units",
    "at_least_single",
    "normalisation",
    "posterior",
]
