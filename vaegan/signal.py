"""What a signal is: its channels, its axes, its unit and its range."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vaegan.errors import UserError


@dataclass(frozen=True)
class Axis:
    """One axis along which a signal is sampled.

    Args:
        name: what the axis is, for example ``"time"``, ``"height"``, ``"azimuth"``.
        size: number of samples, at least 1.
        step: distance between two samples, in ``unit``.
        unit: SI unit of ``step`` (``"s"``, ``"m"``, ``"rad"``), or ``"px"``.
        periodic: whether the last sample neighbours the first (azimuth does, time does not).
    """

    name: str
    size: int
    step: float = 1.0
    unit: str = "px"
    periodic: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(
                f"axis {self.name!r} has size {self.size}", expected="at least 1", mend="set Axis(size=...)"
            )
        if not self.step > 0:
            raise UserError(f"axis {self.name!r} has step {self.step}", expected="above 0", mend="set Axis(step=...)")


@dataclass(frozen=True)
class SignalSpec:
    """What every signal of a domain looks like.

    Args:
        channels: number of channels, at least 1.
        axes: one axis for a 1D signal, two (rows, columns) for a 2D one.
        unit: physical unit of the values, for example ``"V"``, ``"m"``, ``"8-bit level"``.
        value_range: the physical values that become -1 and 1 in model units.
        gaps: whether samples may be missing. They are NaN, in every channel; losses and measures leave them out.
    """

    channels: int
    axes: tuple[Axis, ...]
    unit: str
    value_range: tuple[float, float]
    gaps: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        object.__setattr__(self, "value_range", (float(self.value_range[0]), float(self.value_range[1])))
        if self.channels < 1:
            raise UserError(
                f"a signal of {self.channels} channels",
                expected="at least 1",
                mend="set SignalSpec(channels=...)",
            )
        if len(self.axes) not in (1, 2):
            raise UserError(f"a signal of {len(self.axes)} axes", expected="1 or 2", mend="set SignalSpec(axes=...)")
        if not self.value_range[0] < self.value_range[1]:
            raise UserError(
                f"value_range {self.value_range}",
                expected="low < high",
                mend="set SignalSpec(value_range=(low, high))",
            )

    @property
    def dims(self) -> int:
        """Number of axes: 1 for a time series or a scan, 2 for a picture or a range image."""
        return len(self.axes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Samples along each axis."""
        return tuple(axis.size for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(channels, *sizes)``."""
        return (self.channels, *self.sizes)

    @property
    def periodic(self) -> tuple[bool, ...]:
        """Which axes wrap around."""
        return tuple(axis.periodic for axis in self.axes)

    def resized(self, *sizes: int) -> SignalSpec:
        """The same signal with other axis sizes; each step is scaled so that the extent stays."""
        axes = tuple(
            replace(axis, size=size, step=axis.step * axis.size / size)
            for axis, size in zip(self.axes, sizes, strict=True)
        )
        return replace(self, axes=axes)
