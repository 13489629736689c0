"""Faces: CelebA, folders and arrays of pictures, pairs of damaged and clear ones, and an embedded default."""

from domains.faces.faces import Faces

__all__ = ["Faces"]
