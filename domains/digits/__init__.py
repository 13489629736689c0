"""Digits, and other small labelled pictures: MNIST and what comes in its form, CIFAR-10, folders, and stacked MNIST."""

from domains.digits.digits import Digits

__all__ = ["Digits"]
