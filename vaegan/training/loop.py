"""The only training loop."""

from __future__ import annotations

import copy
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from rich.console import Console
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vaegan.errors import UserError
from vaegan.models import Model
from vaegan.objectives import Objective
from vaegan.objectives.base import check_players, trainable
from vaegan.training.config import Precision, TrainingConfig
from vaegan.training.ema import AveragedWeights
from vaegan.training.feed import Feed
from vaegan.training.gating import step_if
from vaegan.training.log import Log
from vaegan.training.state import (
    load_tensors,
    load_weights,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
)

Monitor = Callable[[Model, Log, int], None]
"""Looks at the averaged model now and then: (model, log, samples seen)."""


@dataclass
class TrainState:
    """Where training stands.

    Attributes:
        model: the trained weights.
        averaged: their exponential average, for evaluation.
        step, samples: done so far.
        seconds: spent in the loop, over all sittings.
        history: means of the logged terms, each with the samples seen.
        warnings: what the monitors said.
        done: whether the budget is used up.
        moved: whether this sitting trained at all, or found everything done.
    """

    model: Model
    averaged: Model
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    done: bool = False
    moved: bool = False


def make_fabric(device: str = "auto", precision: Precision = "auto") -> Fabric:
    """Fabric for this process: one CPU or GPU, or this process's share of those that ``torchrun`` started.

    Args:
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
        precision: see :class:`TrainingConfig`.
    """
    world, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    accelerator = available_device(device)
    if precision == "auto":
        precision = "bf16-mixed" if _has_bf16(accelerator) else "32-true"
    logging.getLogger("lightning_fabric").setLevel(
        logging.WARNING
    )  # its notes on precision would break the progress bar
    fabric = Fabric(
        accelerator=accelerator,
        devices=local,
        num_nodes=max(1, world // local),
        strategy="ddp" if world > 1 else "auto",
        precision=precision,
    )
    fabric.launch()
    return fabric


def fit(
    model: Model,
    objective: Objective,
    feed: Feed,
    config: TrainingConfig,
    *,
    fabric: Fabric,
    folder: Path | None = None,
    title: str = "training",
    console: Console | None = None,
    monitor: Monitor | None = None,
) -> TrainState:
    """Trains a model until its budget is used up; called again with the same folder it goes on where it was.

    Args:
        model: what is trained, in place.
        objective: fills each player's gradient.
        feed: the batches.
        config: how long and how.
        fabric: device, precision and processes.
        folder: where ``state.safetensors`` and ``log/`` go; ``None`` keeps nothing.
        title, console: of the progress bar.
        monitor: called whenever the state is saved.

    Raises:
        TrainingError: when a term is not finite.
        UserError: for an objective of players that the model does not have, and for batch norm over batches of one item
            where a channel has a single value.
    """
    check_players(objective, model)
    torch.manual_seed(config.seed)
    model.to(fabric.device).train()
    if model.spec.dims == 2:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    players = {name: trainable(model.players()[name]) for name in objective.players}
    optimizers = {name: config.optimizer.build(parameters) for name, parameters in players.items()}
    averaged = AveragedWeights(model, config.ema)
    state = TrainState(model, averaged.model)
    path = None if folder is None else folder / "state.safetensors"
    if path is not None and path.is_file():
        _resume(path, state, optimizers)
    budget = _Budget(config, fabric.device.type)
    progress = budget.progress(state.samples, state.seconds)
    state.done = progress >= 1.0
    if state.done:
        return state
    if feed.batch == 1 and any(isinstance(module, _BatchNorm) for module in model.modules()):
        rehearse(model, objective, feed, fabric)
    chief = fabric.is_global_zero
    log = Log(folder / "log" if folder and chief else None, console if chief else None, title)
    log.history, log.warnings = state.history, state.warnings
    began, saved, before = time.monotonic(), time.monotonic(), state.seconds
    samples_before = state.samples
    try:
        while progress < 1.0:
            _set_learning_rates(optimizers, config, progress)
            batch, generator = feed(state.step, progress)
            with fabric.autocast():
                result = objective.backward(model, batch, generator)
            terms = result.terms | _finish_gradients(fabric, players, config.clip)
            _step(optimizers, _common_gates(fabric, result.gates))
            state.step += 1
            state.moved = True
            state.samples += config.batch
            averaged.update(model, state.samples, config.batch)
            log.keep(state.step, terms)
            look = state.step % config.log_every == 0
            if fabric.world_size == 1 or look:
                # The first process's clock counts for all, so that all stop at the same step.
                state.seconds = _agree(fabric, before + time.monotonic() - began)
            progress = budget.progress(state.samples, state.seconds)
            if look or progress >= 1.0 or fabric.device.type == "cpu":
                # On a CPU there is nothing to wait for: a term that is not finite is seen before it is saved.
                log.check()
            if look or progress >= 1.0:
                log.flush(state.samples)
                elapsed = time.monotonic() - began
                log.progress(progress, (state.samples - samples_before) / max(elapsed, 1e-9))
            if chief and path is not None and (progress >= 1.0 or time.monotonic() - saved > 60 * config.save_minutes):
                log.flush(state.samples)
                if monitor is not None:
                    monitor(averaged.model, log, state.samples)
                _save(path, state, optimizers)
                saved = time.monotonic()
        state.done = True
    finally:
        log.close()
    return state


def available_device(device: str) -> str:
    """``"cpu"``, ``"cuda"`` or ``"mps"``; ``"auto"`` is CUDA where there is one, else the CPU.

    Raises:
        UserError: for a device that this machine does not have.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if not there.get(device, False):
        usable = ", ".join(name for name, here in there.items() if here)
        raise UserError(f"no device {device!r} here", expected=f"one of auto, {usable}", mend="set --device")
    return device


def _has_bf16(accelerator: str) -> bool:
    """Whether the hardware multiplies bf16 itself; emulated, it is slower than single precision."""
    if accelerator == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator == "cpu":
        # PyTorch's question after AVX512_BF16 or AMX has no public name in the releases before 2.10.
        asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return any(question() for question in asked if question is not None)
    return False


def rehearse(model: Model, objective: Objective, feed: Feed, fabric: Fabric) -> None:
    """Takes a first step with a copy of the model: what an objective refuses is found before anything is written.

    Raises:
        UserError: for what the objective asks of the model in vain, and for batch norm over batches of one item where a
            channel has a single value.
    """
    batch, generator = feed(0, 0.0)
    try:
        with torch.random.fork_rng(), fabric.autocast():
            objective.backward(copy.deepcopy(model).to(fabric.device).train(), batch, generator)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            "batch norm over batches of one item, in which a channel has a single value",
            expected="at least 2 items a process and step, or another norm",
            mend="set --stages.N.training.batch to 2, or the model's norm and discriminator_norm to group",
        ) from error


class _Budget:
    """Samples or minutes, whichever ends first."""

    def __init__(self, config: TrainingConfig, device: str) -> None:
        self.samples = config.samples
        minutes = config.minutes if config.minutes is not None else config.cpu_minutes if device == "cpu" else math.inf
        self.seconds = 60.0 * minutes

    def progress(self, samples: int, seconds: float) -> float:
        return max(samples / self.samples, seconds / self.seconds)


def _set_learning_rates(optimizers: dict[str, torch.optim.Optimizer], config: TrainingConfig, progress: float) -> None:
    factor = min(1.0, (progress + 1e-3) / config.warmup) if config.warmup > 0 else 1.0
    if config.schedule == "cosine":
        factor *= 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    for name, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = config.optimizer.lr * factor * (config.discriminator_lr if name == "discriminator" else 1.0)


def _finish_gradients(fabric: Fabric, players: dict[str, list[nn.Parameter]], clip: float) -> dict[str, Tensor]:
    """Averages gradients over processes, clips them, and returns each player's norm (before the clipping).

    The objective fills ``.grad`` through ``autograd.grad``, which fires no DDP hook: the mean is taken here.
    """
    norms = {}
    for name, parameters in players.items():
        grads = [p.grad for p in parameters if p.grad is not None]
        if not grads:
            continue
        if fabric.world_size > 1:
            joined = torch.cat([g.flatten() for g in grads])
            flat = cast(Tensor, fabric.all_reduce(joined, reduce_op="mean"))
            torch._foreach_copy_(
                grads,
                [part.view_as(g) for part, g in zip(flat.split([g.numel() for g in grads]), grads, strict=True)],
            )
        norm = torch.nn.utils.get_total_norm(grads)
        if clip > 0 and name != "discriminator":
            torch._foreach_mul_(grads, (clip / (norm + 1e-6)).clamp(max=1.0))
        norms[f"gradient_{name}"] = norm.detach()
    return norms


def _common_gates(fabric: Fabric, gates: dict[str, Tensor]) -> dict[str, Tensor]:
    """The majority of the processes decides, so that all keep the same weights; where nobody would step, all do."""
    if fabric.world_size == 1 or not gates:
        return gates
    votes = cast(Tensor, fabric.all_reduce(torch.stack([gate.float() for gate in gates.values()]), reduce_op="mean"))
    steps = (votes >= 0.5) | (votes < 0.5).all()
    return dict(zip(gates, steps, strict=True))


def _step(optimizers: dict[str, torch.optim.Optimizer], gates: dict[str, Tensor]) -> None:
    for name, optimizer in optimizers.items():
        if name in gates:
            step_if(optimizer, gates[name])
        else:
            optimizer.step()


def _agree(fabric: Fabric, seconds: float) -> float:
    return float(fabric.broadcast(seconds)) if fabric.world_size > 1 else seconds


def _save(path: Path, state: TrainState, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    tensors = {f"model.{k}": v for k, v in state.model.state_dict().items()}
    tensors |= {f"averaged.{k}": v for k, v in state.averaged.state_dict().items()}
    for name, optimizer in optimizers.items():
        tensors |= optimizer_tensors(name, optimizer)
    info = {key: getattr(state, key) for key in ("step", "samples", "seconds", "history", "warnings")}
    save_tensors(path, tensors, info)


def _resume(path: Path, state: TrainState, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    tensors, info = load_tensors(path)
    load_weights(state.model, tensors, "model.", path)
    load_weights(state.averaged, tensors, "averaged.", path)
    for name, optimizer in optimizers.items():
        restore_optimizer(name, optimizer, tensors)
    known: dict[str, Any] = {k: info[k] for k in ("step", "samples", "seconds", "history", "warnings")}
    for key, value in known.items():
        setattr(state, key, value)
