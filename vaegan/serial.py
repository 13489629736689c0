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
    """A dataclass as a dictionary with its class's name under ``"kind"``; tuples as lists; paths as strings.

    Raises:
        UserError: for a value that has no place in JSON, and a field of the name that the class has there.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        if KIND in fields:
            raise UserError(
                f"{type(value).__name__} has a field {KIND!r}, which names its class in a recipe", mend="rename it"
            )
        return {KIND: type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise UserError(
        f"a {type(value).__name__} has no place in a recipe, which is kept as JSON",
        expected="text, a number, true or false, None, a path, a tuple, or a frozen dataclass of these",
        mend="give the field one of these types",
    )


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
    return cls(**decode_fields({key: value for key, value in data.items() if key != KIND}, cls, known))


def decode_fields(data: Mapping[str, Any], cls: type, known: Mapping[str, type]) -> dict[str, Any]:
    """The fields of a dataclass as its annotations say, from what ``encode`` made of each.

    Args:
        data: by the name of the field.
        cls: the dataclass.
        known: as of :func:`decode`.

    Raises:
        UserError: for a field that it has not.
    """
    fields = [f.name for f in dataclasses.fields(cls) if f.init]
    unknown = set(data) - set(fields)
    if unknown:
        raise UserError(f"{cls.__name__} has no field {', '.join(sorted(unknown))}", expected=", ".join(fields))
    try:
        hints = typing.get_type_hints(cls)
    except NameError:  # names that only a type checker sees: nothing to go by
        hints = {}
    return {key: _value(data[key], hints.get(key), known) for key in fields if key in data}


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
