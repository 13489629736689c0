"""One VAE-GAN toolkit for images, sonar, EEG and LiDAR: it restores, it generates, and it judges both.

``vaegan.load("runs/faces/denoise")`` returns a trained run; everything else is imported from its module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaegan.run import Run, load

__all__ = ["Run", "load"]


def __getattr__(name: str) -> Any:
    """Imports what is asked for: ``import vaegan`` itself is cheap."""
    if name in __all__:
        from vaegan import run

        return getattr(run, name)
    raise AttributeError(f"module 'vaegan' has no attribute {name!r}")
