"""Frozen dataclasses to JSON and back, by the name of their class: no code travels in data."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vaegan.errors import UserError

T = TypeVar("T")
KIND = "kind"


def encode(value: Any) -> Any:
    """A dataclass as a dictionary with its class's name under ``"kind"``; tuples as lists; paths as strings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {KIND: type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def decode(data: Any, expected: type[T], known: Mapping[str, type]) -> T:
    """The dataclass that ``encode`` wrote.

    Args:
        data: what JSON holds.
        expected: class, or base class, of the result.
        known: classes that may be built, by name; classes that only stand in a known class's annotations count too.

    Raises:
        UserError: for an unknown class or field.
    """
    name = data.get(KIND) if isinstance(data, dict) else None
    cls = known.get(str(name), expected if name in (None, getattr(expected, "__name__", None)) else None)
    if cls is None or not dataclasses.is_dataclass(cls) or not issubclass(cls, expected):
        raise UserError(
            f"unknown {expected.__name__} {name!r}",
            expected="one of " + ", ".join(sorted(n for n, c in known.items() if issubclass(c, expected))),
            mend="install the package that brings it",
        )
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    unknown = set(data) - set(fields) - {KIND}
    if unknown:
        raise UserError(f"{cls.__name__} has no field {', '.join(sorted(unknown))}", expected=", ".join(fields))
    return cls(**{key: _value(data[key], hints[key], known) for key in fields if key in data})


def _value(data: Any, hint: Any, known: Mapping[str, type]) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _value(data, arguments[0], known)
    if origin in (typing.Union, types.UnionType):
        return (
            None if data is None else _value(data, _fitting(data, [a for a in arguments if a is not type(None)]), known)
        )
    if origin is tuple:
        inner = arguments[0] if len(arguments) == 2 and arguments[1] is Ellipsis else None
        return tuple(_value(item, inner or arguments[i], known) for i, item in enumerate(data))
    if isinstance(hint, type):
        if issubclass(hint, Path):
            return Path(data)
        if hint is float:
            return float(data)
        if isinstance(data, dict):
            return decode(data, hint, known)
    return data


def _fitting(data: Any, choices: list[Any]) -> Any:
    """The member of a union that these data were written from."""
    if isinstance(data, dict):
        return next((c for c in choices if getattr(c, "__name__", None) == data.get(KIND)), choices[0])
    return next((c for c in choices if isinstance(c, type) and isinstance(data, c)), choices[0])


def subclasses(base: type) -> Iterator[type]:
    """All classes below ``base`` that were imported so far."""
    child: type
    for child in base.__subclasses__():
        yield child
        yield from subclasses(child)
