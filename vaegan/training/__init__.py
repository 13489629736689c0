"""Training: the configuration, the loop, and what it keeps."""

from vaegan.training.config import Adam, OptimizerConfig, Precision, RMSProp, TrainingConfig
from vaegan.training.ema import AveragedWeights
from vaegan.training.feed import Feed
from vaegan.training.log import Log
from vaegan.training.loop import Monitor, TrainState, available_device, fit, make_fabric, rehearse

__all__ = [
    "Adam",
    "AveragedWeights",
    "Feed",
    "Log",
    "Monitor",
    "OptimizerConfig",
    "Precision",
    "RMSProp",
    "TrainState",
    "TrainingConfig",
    "available_device",
    "fit",
    "make_fabric",
    "rehearse",
]
