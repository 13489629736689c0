"""The contract of a degradation, run on any implementation of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vaegan.degradation.base import Degradation, Measurement
from vaegan.signal import SignalSpec

BATCHES = (1, 2, 5)
DTYPES = (torch.float32, torch.float64)


class ContractError(AssertionError):
    """A part of a contract that does not hold; the message is one sentence."""


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ContractError(sentence)


def _signals(spec: SignalSpec, batch: int, dtype: torch.dtype, device: str, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    # Drawn in double and rounded, so that every dtype and device sees the same signal.
    x = 1.8 * torch.rand((batch, *spec.shape), generator=generator, dtype=torch.float64) - 0.9
    return x.to(device=device, dtype=dtype)


def _measure(degradation: Degradation, x: Tensor, seed: int = 1, severity: Tensor | None = None) -> Measurement:
    generator = torch.Generator().manual_seed(seed)
    measured = degradation(x, generator=generator, severity=severity)
    _require(
        isinstance(measured, Measurement),
        f"{type(degradation).__name__} returned {type(measured).__name__} where a Measurement was expected.",
    )
    return measured  # type: ignore[no-any-return]


def _same(a: Measurement, b: Measurement, rows: slice | list[int] = slice(None)) -> bool:
    if (a.mask is None) != (b.mask is None):
        return False
    masks = a.mask is None or b.mask is None or torch.equal(a.mask[rows], b.mask[rows])
    return torch.equal(a.y[rows], b.y[rows]) and masks


def _default_devices() -> tuple[str, ...]:
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def check_degradation(
    degradation: Degradation,
    spec: SignalSpec,
    *,
    batches: Sequence[int] = BATCHES,
    dtypes: Sequence[torch.dtype] = DTYPES,
    devices: Sequence[str] | None = None,
) -> None:
    """Checks the contract of a degradation on random signals.

    Shape, dtype, device and finiteness of what comes out; the input left as it was; the same result from the
    same generator, whatever the global random state; each sample independent of the others' content; severity
    0 the exact identity; the same result on every device from a generator on the CPU.

    Args:
        degradation: what to check.
        spec: the signals that it must work on.
        batches: batch sizes.
        dtypes: floating-point types of the signals.
        devices: by default the CPU, and a CUDA device where there is one.

    Raises:
        ContractError: naming the degradation, the batch size, the dtype and the part that does not hold.
    """
    devices = _default_devices() if devices is None else devices
    for dtype in dtypes:
        for device in devices:
            for batch in batches:
                x = _signals(spec, batch, dtype, device)
                name = f"{type(degradation).__name__} on {batch} x {spec.shape} {dtype} on {device}"
                _check_output(degradation, x, name)
                _check_determinism(degradation, x, name)
                _check_independence(degradation, x, name)
                _check_severity(degradation, x, name)
        for device in [device for device in devices if device != "cpu"]:
            _check_devices(degradation, _signals(spec, max(batches), dtype, "cpu"), device)


def _check_output(degradation: Degradation, x: Tensor, name: str) -> None:
    before = x.clone()
    measured = _measure(degradation, x)
    y, mask = measured.y, measured.mask
    _require(torch.equal(x, before), f"{name}: the input was changed in place.")
    _require(y.shape == x.shape, f"{name}: y has the shape {tuple(y.shape)}, expected {tuple(x.shape)}.")
    _require(y.dtype == x.dtype, f"{name}: y is {y.dtype}, expected {x.dtype}.")
    _require(y.device == x.device, f"{name}: y is on {y.device}, expected {x.device}.")
    _require(bool(y.isfinite().all()), f"{name}: y has {int((~y.isfinite()).sum())} values that are not finite.")
    if mask is not None:
        shape = (len(x), 1, *x.shape[2:])
        _require(mask.dtype == torch.bool, f"{name}: the mask is {mask.dtype}, expected torch.bool.")
        _require(
            tuple(mask.shape) == shape,
            f"{name}: the mask has the shape {tuple(mask.shape)}, expected {shape}.",
        )
        _require(mask.device == x.device, f"{name}: the mask is on {mask.device}, expected {x.device}.")


def _check_determinism(degradation: Degradation, x: Tensor, name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = _measure(degradation, x)
        torch.manual_seed(2)
        second = _measure(degradation, x)
    _require(
        _same(first, second),
        f"{name}: the same generator state gave two results; draw every random number from the generator.",
    )


def _check_independence(degradation: Degradation, x: Tensor, name: str) -> None:
    first = _measure(degradation, x)
    for changed in {0, len(x) - 1} if len(x) > 1 else set():
        other = x.clone()
        other[changed] = -0.5 * other[changed] + 0.1
        rows = [row for row in range(len(x)) if row != changed]
        _require(
            _same(first, _measure(degradation, other), rows),
            f"{name}: changing sample {changed} changed the result of another sample.",
        )


def _check_severity(degradation: Degradation, x: Tensor, name: str) -> None:
    for untouched in {1, len(x)}:
        severity = torch.ones(len(x), dtype=x.dtype, device=x.device)
        severity[:untouched] = 0.0
        measured = _measure(degradation, x, severity=severity)
        _require(
            torch.equal(measured.y[:untouched], x[:untouched]),
            f"{name}: severity 0 is not exactly the identity.",
        )
        _require(
            measured.mask is None or bool(measured.mask[:untouched].all()),
            f"{name}: severity 0 leaves samples that the mask calls unobserved.",
        )
    strongest = _measure(degradation, x, severity=torch.ones(len(x), dtype=x.dtype, device=x.device)).y
    _require(bool(strongest.isfinite().all()), f"{name}: severity 1 gives values that are not finite.")
    _require(strongest.dtype == x.dtype, f"{name}: severity 1 gives {strongest.dtype}, expected {x.dtype}.")


def _check_devices(degradation: Degradation, x: Tensor, device: str) -> None:
    here, there = _measure(degradation, x), _measure(degradation, x.to(device))
    differs = (here.y - there.y.cpu()).abs() > 1e-2
    # Sums are ordered otherwise on an accelerator, so a sample at the edge of an occlusion may fall to the
    # other side.
    share = float(differs.double().mean())
    _require(
        share < 0.01,
        f"{type(degradation).__name__}: the same CPU generator gives other results on {device} "
        f"than on the CPU ({100 * share:.1f} % of the values differ).",
    )


def check_linear_adjoint(
    degradation: Degradation, spec: SignalSpec, *, batch: int = 2, seed: int = 0, tolerance: float = 1e-9
) -> None:
    """Checks that a degradation is linear at a fixed generator state, and that autograd has its adjoint.

    In double precision: A(a x + b v) = a A x + b A v, and ⟨A x, v⟩ = ⟨x, Aᵀ v⟩ with Aᵀ v the vector-Jacobian
    product.

    Args:
        degradation: a degradation without additive or signal-dependent noise.
        spec: the signals that it must work on.
        batch: batch size.
        seed: of the generator that draws the operator.
        tolerance: greatest error, relative to the norms.

    Raises:
        ContractError: with the error found.
    """
    name = f"{type(degradation).__name__} on {batch} x {spec.shape}"
    x, v = (_signals(spec, batch, torch.float64, "cpu", seed=s) for s in (seed + 10, seed + 11))

    def operator(signal: Tensor) -> Tensor:
        return _measure(degradation, signal, seed).y

    expected = 2.0 * operator(x) - 3.0 * operator(v)
    error = float((operator(2.0 * x - 3.0 * v) - expected).norm() / (expected.norm() + 1e-300))
    _require(
        error <= tolerance,
        f"{name} is not linear: A(2x - 3v) differs from 2Ax - 3Av by {error:.1e} (relative).",
    )
    source = x.clone().requires_grad_()
    image = operator(source)
    _require(image.requires_grad, f"{name}: no gradient passes through it, so that it has no adjoint.")
    (back,) = torch.autograd.grad(image, source, v)
    left, right = float((image.detach() * v).sum()), float((x * back).sum())
    scale = float(image.detach().norm() * v.norm()) + 1e-300
    _require(
        abs(left - right) <= tolerance * scale,
        f"{name} fails the adjoint test: <Ax, v> = {left:.12g}, <x, A^T v> = {right:.12g}.",
    )
