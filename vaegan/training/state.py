"""Saving and loading: weights as safetensors, everything else as JSON, written atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.files import complete


def save_tensors(path: Path, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """One file, complete or not there."""
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        with complete(path) as scratch:
            save_file(flat, scratch, metadata={"info": json.dumps(info)})
            scratch.chmod(0o644)
    except SafetensorError as error:
        raise UserError(f"{path} cannot be written ({error})", mend="free space, or set --out") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What ``save_tensors`` wrote.

    Raises:
        UserError: when the file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing", expected="a trained run", mend="train it with `vaegan run`")
    try:
        with safe_open(path, framework="pt") as stream:
            info = json.loads((stream.metadata() or {}).get("info", "{}"))
            return {name: stream.get_tensor(name) for name in stream.keys()}, info  # noqa: SIM118
    except (SafetensorError, ValueError, OSError) as error:
        raise UserError(
            f"{path} cannot be read ({error})",
            expected="safetensors",
            mend="delete it, then run the same command again",
        ) from error


def optimizer_tensors(name: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's moments, flat, under ``optimizer.<name>.<parameter>.<moment>``."""
    return {
        f"optimizer.{name}.{index}.{key}": value
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(name: str, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts the moments back."""
    prefix = f"optimizer.{name}."
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, moment = key[len(prefix) :].split(".", 1)
            state.setdefault(int(index), {})[moment] = value
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
    for parameter, moments in optimizer.state.items():
        for key, value in moments.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # Fused optimizers walk raw memory: moments must lie as their weights do, which files do not keep.
                moments[key] = torch.empty_like(parameter).copy_(value)


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], prefix: str, path: Path) -> None:
    """Copies ``prefix``-ed tensors into a model.

    Raises:
        UserError: when names or shapes differ.
    """
    own = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    try:
        model.load_state_dict(own)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UserError(
            f"{path} does not fit the model ({first})", mend="use the recipe that the run was trained with"
        ) from error
