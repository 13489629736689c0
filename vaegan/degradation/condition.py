"""Conditions: a degradation at a stated severity, as one line of text.

The grammar::

    CONDITION = STEP [" + " STEP]...
    STEP      = NAME [VALUE [UNIT]] [KEY=VALUE [UNIT]]...
    VALUE     = NUMBER | NUMBER..NUMBER | true | false | WORD          NUMBER may be a fraction a/b
    UNIT      = % (divides by 100) | dB px s m V Hz rad (say what a number means, and change nothing)

Examples: ``noise sigma=5/255..60/255 clip=true``, ``drop 50 %``, ``eog snr=-3 dB``, ``beams 16->64``.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite

from vaegan.degradation.base import Degradation
from vaegan.degradation.compose import Compose
from vaegan.errors import UserError

Value = bool | int | float | str | tuple[float, float]
"""What a condition can hand to a degradation."""

UNITS: dict[str, float] = {
    "%": 0.01,
    "dB": 1.0,
    "px": 1.0,
    "s": 1.0,
    "m": 1.0,
    "V": 1.0,
    "Hz": 1.0,
    "rad": 1.0,
}
"""Units by name, each with its factor."""

_NUMBER = r"[+-]?(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?"  # a point before a point is that of a range
_FRACTION = rf"{_NUMBER}(?:/{_NUMBER})?"
_QUANTITY = re.compile(rf"({_FRACTION})(?:\.\.({_FRACTION}))?({'|'.join(map(re.escape, UNITS))})?")
_INTEGER = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class Step:
    """One degradation of a condition.

    Attributes:
        name: the degradation's name.
        value: the value without a key, which becomes the first argument, or ``None``.
        arguments: the values with a key.
    """

    name: str
    value: Value | None = None
    arguments: Mapping[str, Value] = field(default_factory=dict)


def parse_condition(condition: str) -> tuple[Step, ...]:
    """Reads a condition, without asking whether its names exist.

    Args:
        condition: as in the grammar above, for example ``"blur sigma=2 px + noise sigma=5/255"``.

    Returns:
        The steps, the first nearest to the signal.

    Raises:
        UserError: when the text does not follow the grammar.
    """
    return tuple(_parse_step(step.split(), condition) for step in re.split(r"(?:^|\s)\+(?:\s|$)", condition))


def _parse_step(tokens: list[str], condition: str) -> Step:
    if not tokens or "=" in tokens[0]:
        raise UserError(f"the condition {condition!r} lacks a name", expected="such as 'noise sigma=50/255'")
    values: dict[str | None, Value] = {}
    last: str | None = None
    unit_may_follow = False
    for position, token in enumerate(tokens[1:]):
        if unit_may_follow and token in UNITS:
            values[last] = _scaled(values[last], token, condition)
            unit_may_follow = False
            continue
        key, equals, text = token.partition("=")
        last, text = (key, text) if equals else (None, token)
        readable = bool(key and text) if equals else position == 0
        if not readable or last in values:
            raise UserError(
                f"cannot read {token!r} in the condition {condition!r}",
                expected=f"KEY=VALUE, each key once, or a unit ({', '.join(UNITS)}) after a number",
            )
        values[last], unit_may_follow = _parse_value(text, condition)
    arguments = {key: value for key, value in values.items() if key is not None}
    return Step(tokens[0], values.get(None), arguments)


def _parse_value(text: str, condition: str) -> tuple[Value, bool]:
    """A value, and whether a unit may still follow it."""
    if text in ("true", "false"):
        return text == "true", False
    quantity = _QUANTITY.fullmatch(text)
    if quantity is None:
        return text, False
    low, high, unit = quantity.groups()
    start = _number(low, condition)
    value: Value = start if high is None else (float(start), float(_number(high, condition)))
    return (value, True) if unit is None else (_scaled(value, unit, condition), False)


def _number(text: str, condition: str) -> int | float:
    numerator, _, denominator = text.partition("/")
    try:
        value = float(numerator) / float(denominator or 1)
    except ZeroDivisionError:
        raise UserError(f"{text} in the condition {condition!r} divides by zero") from None
    if not isfinite(value):
        raise UserError(f"{text} in the condition {condition!r}", expected=f"a number up to {sys.float_info.max:.1e}")
    return int(text) if _INTEGER.fullmatch(text) else value


def _scaled(value: Value, unit: str, condition: str) -> Value:
    factor = UNITS[unit]
    if factor == 1.0:
        return value
    if isinstance(value, tuple):
        return (value[0] * factor, value[1] * factor)
    if isinstance(value, str):
        raise UserError(f"{value!r} {unit} in the condition {condition!r}", expected="a number before a unit")
    return value * factor


def build(condition: str, makers: Mapping[str, Callable[..., Degradation]]) -> Degradation:
    """The degradation that a condition names.

    Args:
        condition: see :func:`parse_condition`; several steps become a :class:`Compose`.
        makers: degradations by name, for example ``Domain.degradations()``.

    Raises:
        UserError: for text outside the grammar, an unknown name, and arguments that are unknown, missing or
            of the wrong type; the line names the known ones.
    """
    steps = [_make(step, condition, makers) for step in parse_condition(condition)]
    return steps[0] if len(steps) == 1 else Compose(*steps)


def build_where_known(condition: str, makers: Mapping[str, Callable[..., Degradation]]) -> Degradation | None:
    """The degradation that a condition names, or ``None`` where a split has no such artifact on record.

    Args:
        condition: see :func:`parse_condition`; one that was built for another split already, so that it has no mistake.
        makers: degradations of this split by name.
    """
    try:
        return build(condition, makers)
    except UserError:
        return None


def _make(step: Step, condition: str, makers: Mapping[str, Callable[..., Degradation]]) -> Degradation:
    if step.name not in makers:
        raise UserError(
            f"unknown degradation {step.name!r} in the condition {condition!r}",
            expected=f"one of {', '.join(makers)}",
        )
    maker = makers[step.name]
    arguments = _bound(step, condition, inspect.signature(maker).parameters, _hints(maker))
    try:
        return maker(**arguments)
    except ValueError as error:
        raise UserError(f"the condition {condition!r}: {error}") from error
    except UserError as error:  # a degradation does not know by which condition it was made
        raise UserError(
            f"the condition {condition!r}: {error.found}", expected=error.expected, mend=error.mend
        ) from error


def _hints(maker: Callable[..., Degradation]) -> dict[str, typing.Any]:
    try:
        return typing.get_type_hints(maker.__init__ if inspect.isclass(maker) else maker)
    except (
        NameError,
        TypeError,
    ):  # partial objects, and names that only a type checker sees: nothing to check against
        return {}


def _bound(
    step: Step, condition: str, parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, typing.Any]
) -> dict[str, Value]:
    """A step's values by the maker's argument names, checked against its signature."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = {name: parameter for name, parameter in parameters.items() if parameter.kind in by_name}
    described = ", ".join(f"{name}={_words(hints.get(name))}" for name in known) or "no argument"
    given = dict(step.arguments)
    if step.value is not None:
        first = next(iter(known), None)
        if first is None or first in given:
            raise UserError(
                f"{step.name} got {step.value!r} too many in the condition {condition!r}", expected=described
            )
        given[first] = step.value
    for name, value in given.items():
        if name not in known:
            raise UserError(f"{step.name} has no argument {name!r} (condition {condition!r})", expected=described)
        if not _accepts(hints.get(name), value):
            raise UserError(f"{step.name} got {name}={value!r} in the condition {condition!r}", expected=described)
    missing = [name for name, parameter in known.items() if parameter.default is parameter.empty and name not in given]
    if missing:
        raise UserError(f"{step.name} lacks {', '.join(missing)} in the condition {condition!r}", expected=described)
    return {name: _as_declared(hints.get(name), value) for name, value in given.items()}


_WORDS: dict[typing.Any, str] = {
    float: "NUMBER",
    int: "INTEGER",
    bool: "true|false",
    str: "WORD",
    tuple: "LOW..HIGH",
}


def _alternatives(hint: typing.Any) -> tuple[typing.Any, ...]:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return tuple(part for part in typing.get_args(hint) if part is not type(None)) if union else (hint,)


def _words(hint: typing.Any) -> str:
    """A type as the grammar calls it."""
    words: list[str] = []
    for part in _alternatives(hint):
        if typing.get_origin(part) is typing.Literal:
            words += [str(word) for word in typing.get_args(part)]
        else:
            words.append(_WORDS.get(typing.get_origin(part) or part, "VALUE"))
    return "|".join(words)


def _accepts(hint: typing.Any, value: Value) -> bool:
    """Whether a value fits a type; types that the grammar cannot express are left to the maker."""
    for part in _alternatives(hint):
        origin = typing.get_origin(part) or part
        if origin is typing.Literal:
            fits = value in typing.get_args(part)
        elif origin not in _WORDS:
            fits = True
        elif origin is float:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        else:
            fits = isinstance(value, origin) and not (origin is int and isinstance(value, bool))
        if fits:
            return True
    return False


def _as_declared(hint: typing.Any, value: Value) -> Value:
    """An integer as a float where the maker declares floats only, as a number in Python would be."""
    parts = _alternatives(hint)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole and float in parts and int not in parts else value  # type: ignore[arg-type]
