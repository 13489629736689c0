"""What is trained as a whole."""

from vaegan.models.base import Model, ModelConfig, Restored
from vaegan.models.vaegan import VAEGAN, LarsenConfig, RestoringConfig

__all__ = ["VAEGAN", "LarsenConfig", "Model", "ModelConfig", "Restored", "RestoringConfig"]
