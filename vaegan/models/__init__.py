"""What is trained as a whole."""

from vaegan.models.base import Model, ModelConfig, Restored
from vaegan.models.dcgan import DCGAN, DCGANConfig
from vaegan.models.diffusion import Diffusion, DiffusionConfig
from vaegan.models.dncnn import DnCNN, DnCNNConfig
from vaegan.models.flow import ConditionalFlow, FlowConfig
from vaegan.models.larsen_gan import LarsenGAN, LarsenGANConfig
from vaegan.models.latent import LatentModel
from vaegan.models.pixel_vaegan import PixelVAEGAN, PixelVAEGANConfig
from vaegan.models.presgan import PresGAN, PresGANConfig
from vaegan.models.restoration_gan import RestorationGAN, RestorationGANConfig
from vaegan.models.unet import UNet, UNetConfig
from vaegan.models.unet_vae import UNetVAE, UNetVAEConfig
from vaegan.models.vae import VAE, Autoencoder, ConvVAEConfig, DenseAutoencoderConfig, DenseVAEConfig
from vaegan.models.vaegan import VAEGAN, LarsenConfig, RestoringConfig

__all__ = [
    "DCGAN",
    "VAE",
    "VAEGAN",
    "Autoencoder",
    "ConditionalFlow",
    "ConvVAEConfig",
    "DCGANConfig",
    "DenseAutoencoderConfig",
    "DenseVAEConfig",
    "Diffusion",
    "DiffusionConfig",
    "DnCNN",
    "DnCNNConfig",
    "FlowConfig",
    "LarsenConfig",
    "LarsenGAN",
    "LarsenGANConfig",
    "LatentModel",
    "Model",
    "ModelConfig",
    "PixelVAEGAN",
    "PixelVAEGANConfig",
    "PresGAN",
    "PresGANConfig",
    "RestorationGAN",
    "RestorationGANConfig",
    "Restored",
    "RestoringConfig",
    "UNet",
    "UNetConfig",
    "UNetVAE",
    "UNetVAEConfig",
]
