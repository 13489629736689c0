"""What a model is trained for: terms (one equation each) and objectives (one file each)."""

from vaegan.objectives.ambient import AmbientObjective
from vaegan.objectives.autoencoder import AutoencoderObjective
from vaegan.objectives.base import Batch, Objective, Step
from vaegan.objectives.density import DiffusionObjective, LikelihoodObjective
from vaegan.objectives.gan import GANObjective
from vaegan.objectives.larsen import Equilibrium, LarsenObjective
from vaegan.objectives.larsen_systems import LearnedVAEObjective, PriorGANObjective
from vaegan.objectives.modern import ModernObjective
from vaegan.objectives.observed import BlindSpotObjective, ThinningObjective
from vaegan.objectives.paired_gan import PairedGANObjective
from vaegan.objectives.pixel_vaegan import PixelVAEGANObjective
from vaegan.objectives.presgan import PresGANObjective
from vaegan.objectives.restoring import PixelObjective, UNetVAEObjective
from vaegan.objectives.vae import VAEObjective

__all__ = [
    "AmbientObjective",
    "AutoencoderObjective",
    "Batch",
    "BlindSpotObjective",
    "DiffusionObjective",
    "Equilibrium",
    "GANObjective",
    "LarsenObjective",
    "LearnedVAEObjective",
    "LikelihoodObjective",
    "ModernObjective",
    "Objective",
    "PairedGANObjective",
    "PixelObjective",
    "PixelVAEGANObjective",
    "PresGANObjective",
    "PriorGANObjective",
    "Step",
    "ThinningObjective",
    "UNetVAEObjective",
    "VAEObjective",
]
