"""Degradations: how a clean signal becomes an observed one, ``y = N(A(x))``."""

from __future__ import annotations

from vaegan.degradation.base import Degradation, Level, Measurement
from vaegan.degradation.blur import Downsampling, GaussianBlur, MotionBlur
from vaegan.degradation.codec import JPEG, Grey
from vaegan.degradation.compose import Compose, OneOf
from vaegan.degradation.condition import Step, build, build_where_known, parse_condition
from vaegan.degradation.noise import GaussianNoise, SaltAndPepper, Speckle
from vaegan.degradation.observe import Observation, filled, observe
from vaegan.degradation.occlusion import NoiseRectangles, Strokes

GENERIC: dict[str, type[Degradation]] = {
    "noise": GaussianNoise,
    "speckle": Speckle,
    "salt-and-pepper": SaltAndPepper,
    "blur": GaussianBlur,
    "motion": MotionBlur,
    "downsample": Downsampling,
    "rectangles": NoiseRectangles,
    "strokes": Strokes,
    "jpeg": JPEG,
    "grey": Grey,
}
"""The operators that need to know nothing of the domain, by the name that a condition gives them."""

__all__ = [
    "GENERIC",
    "JPEG",
    "Compose",
    "Degradation",
    "Downsampling",
    "GaussianBlur",
    "GaussianNoise",
    "Grey",
    "Level",
    "Measurement",
    "MotionBlur",
    "NoiseRectangles",
    "Observation",
    "OneOf",
    "SaltAndPepper",
    "Speckle",
    "Step",
    "Strokes",
    "build",
    "build_where_known",
    "filled",
    "observe",
    "parse_condition",
]
