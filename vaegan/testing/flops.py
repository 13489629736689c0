"""Floating-point operations, counted at dispatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class _Counter(TorchDispatchMode):
    """Adds up the operations of every matrix product and convolution, forward and backward.

    PyTorch's own ``FlopCounterMode`` also tracks modules, by hooks that an ``autograd.grad`` to cut-off leaves refuses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


def count_flops(work: Callable[[], object]) -> int:
    """Floating-point operations (a multiply-add is two) of the matrix products and convolutions that ``work`` runs."""
    with _Counter() as counter:
        work()
    return counter.total
