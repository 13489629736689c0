"""What a model is trained for: terms (one equation each) and objectives (one file each)."""

from vaegan.objectives.base import Batch, Objective, Step
from vaegan.objectives.larsen import Equilibrium, LarsenObjective
from vaegan.objectives.modern import ModernObjective
from vaegan.objectives.vae import VAEObjective

__all__ = ["Batch", "Equilibrium", "LarsenObjective", "ModernObjective", "Objective", "Step", "VAEObjective"]
