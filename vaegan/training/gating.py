"""Optimizer steps that a tensor on the device can call off."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def step_if(optimizer: torch.optim.Optimizer, gate: Tensor) -> None:
    """Steps, and keeps the result only where ``gate`` (a 0-dim bool tensor) is True.

    Weights and the optimizer's moments stay bit for bit as they were otherwise, and the host never learns which:
    reading the gate would wait for the device at every step.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    weights = [p.clone() for p in parameters]
    before = [{k: v.clone() for k, v in optimizer.state[p].items() if isinstance(v, Tensor)} for p in parameters]
    optimizer.step()
    for parameter, old, state in zip(parameters, weights, before, strict=True):
        parameter.copy_(torch.where(gate, parameter, old))
        for key, value in optimizer.state[parameter].items():
            if isinstance(value, Tensor):
                # A first step has no earlier moments: they start at zero.
                was = state.get(key)
                value.copy_(torch.where(gate.to(value.device), value, torch.zeros_like(value) if was is None else was))
