"""How good a signal is: measures of restorations, item by item, and of generated items beside real ones."""

from __future__ import annotations

from vaegan.metrics.features import (
    EfficientNetLite0,
    Extracted,
    Extractor,
    FromFunction,
    InceptionV3,
    default_extractor,
    discriminator_features,
    extract,
)
from vaegan.metrics.generation import (
    Judged,
    density_coverage,
    f1,
    frechet_distance,
    gaussian_distance,
    inception_score,
    judge_features,
    kernel_distance,
    precision_recall,
)
from vaegan.metrics.neighbours import kth_distances, nearest
from vaegan.metrics.restoration import RESTORATION, Metric, summarise

__all__ = [
    "RESTORATION",
    "EfficientNetLite0",
    "Extracted",
    "Extractor",
    "FromFunction",
    "InceptionV3",
    "Judged",
    "Metric",
    "default_extractor",
    "density_coverage",
    "discriminator_features",
    "extract",
    "f1",
    "frechet_distance",
    "gaussian_distance",
    "inception_score",
    "judge_features",
    "kernel_distance",
    "kth_distances",
    "nearest",
    "precision_recall",
    "summarise",
]
