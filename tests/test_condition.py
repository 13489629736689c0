"""Conditions: text to degradations, and what is said of text that makes no sense."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import pytest
import torch

from vaegan.degradation import (
    GENERIC,
    Compose,
    Degradation,
    GaussianNoise,
    Level,
    Measurement,
    Step,
    build,
    parse_condition,
)
from vaegan.errors import UserError


class Anything(Degradation):
    """Takes one argument of every kind."""

    def __init__(
        self,
        level: Level = 0.0,
        L: int = 1,
        change: str = "",
        kind: Literal["ocular", "muscular"] = "ocular",
        snr: float | None = None,
        loud: bool = False,
    ) -> None:
        super().__init__(level)
        self.got = {"L": L, "change": change, "kind": kind, "snr": snr, "loud": loud}

    def degrade(self, x: torch.Tensor, level: torch.Tensor, generator: torch.Generator | None) -> Measurement:
        return Measurement(x)


def beams(change: str) -> Degradation:
    return Anything(change=change)


def picky(level: float) -> Degradation:
    raise ValueError("level must be 7")


MAKERS: dict[str, Callable[..., Degradation]] = {**GENERIC, "any": Anything, "beams": beams, "picky": picky}


@pytest.mark.parametrize(
    ("condition", "steps"),
    [
        ("strokes", [Step("strokes")]),
        ("noise sigma=50/255", [Step("noise", None, {"sigma": 50 / 255})]),
        (
            "noise sigma=5/255..60/255 clip=true",
            [Step("noise", None, {"sigma": (5 / 255, 60 / 255), "clip": True})],
        ),
        ("speckle L=4", [Step("speckle", None, {"L": 4})]),
        ("eog snr=-3 dB", [Step("eog", None, {"snr": -3})]),
        ("eog snr=-7..2dB kind=ocular", [Step("eog", None, {"snr": (-7.0, 2.0), "kind": "ocular"})]),
        ("drop 50 %", [Step("drop", 0.5)]),
        ("drop 20..50 %", [Step("drop", (0.2, 0.5))]),
        ("drop 50%", [Step("drop", 0.5)]),
        ("beams 16->64", [Step("beams", "16->64")]),
        ("blur .5..2.5 px", [Step("blur", (0.5, 2.5))]),
        ("blur 1...5", [Step("blur", (1.0, 0.5))]),
        ("blur 1..2.", [Step("blur", (1.0, 2.0))]),
        ("noise 1e-3 clip=false", [Step("noise", 0.001, {"clip": False})]),
        ("noise  0.1 +  blur 2 px", [Step("noise", 0.1), Step("blur", 2)]),
        ("blur +2", [Step("blur", 2)]),
        ("x file=a=b", [Step("x", None, {"file": "a=b"})]),
        ("x nan", [Step("x", "nan")]),
    ],
)
def test_conditions_are_read(condition: str, steps: list[Step]) -> None:
    found = parse_condition(condition)
    assert [step.name for step in found] == [step.name for step in steps]
    for step, expected in zip(found, steps, strict=True):
        assert step.value == pytest.approx(expected.value)
        assert dict(step.arguments).keys() == expected.arguments.keys()
        for key, value in expected.arguments.items():
            assert step.arguments[key] == pytest.approx(value)
            assert type(step.arguments[key]) is type(value)


@pytest.mark.parametrize("name", sorted(GENERIC))
def test_every_generic_degradation_can_be_named_alone(name: str) -> None:
    made = build(name, GENERIC)
    assert type(made) is GENERIC[name]
    assert made.low <= made.high


def test_values_reach_the_degradation() -> None:
    noise = build("noise sigma=5/255..60/255 clip=true", GENERIC)
    assert isinstance(noise, GaussianNoise)
    assert (noise.low, noise.high, noise.clip) == (5 / 255, 60 / 255, True)
    assert build("strokes 10 %", GENERIC).high == pytest.approx(0.1)
    made = build("any 2 L=4 change=16->64 kind=muscular snr=-3 dB loud=true", MAKERS)
    assert isinstance(made, Anything)
    assert made.got == {"L": 4, "change": "16->64", "kind": "muscular", "snr": -3, "loud": True}
    made = build("beams 16->64", MAKERS)
    assert isinstance(made, Anything)
    assert made.got["change"] == "16->64"
    assert build("half", {"half": partial(Anything, 0.5)}).low == 0.5


def test_chains_become_a_composition_in_order() -> None:
    made = build("blur sigma=2 px + noise sigma=50/255", GENERIC)
    assert isinstance(made, Compose)
    assert [type(step).__name__ for step in made.steps] == ["GaussianBlur", "GaussianNoise"]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("", "the condition '' lacks a name; expected such as 'noise sigma=50/255'"),
        ("noise + ", "lacks a name"),
        ("+ noise", "lacks a name"),
        ("sigma=3", "lacks a name"),
        (
            "fog",
            "unknown degradation 'fog' in the condition 'fog'; expected one of noise, speckle, salt-",
        ),
        ("noise sigm=1", "noise has no argument 'sigm' (condition 'noise sigm=1'); expected sigma="),
        (
            "noise sigma=loud",
            "noise got sigma='loud' in the condition 'noise sigma=loud'; expected sigma=NUMBER|LOW..HIGH",
        ),
        ("noise clip=1", "expected sigma=NUMBER|LOW..HIGH, clip=true|false"),
        ("noise sigma=true", "noise got sigma=True"),
        ("noise 0.1 sigma=0.2", "noise got 0.1 too many"),
        ("noise sigma=0.1 sigma=0.2", "cannot read 'sigma=0.2'"),
        ("noise sigma=0.1 parsecs", "cannot read 'parsecs' in the condition"),
        ("noise sigma=0.1 dB dB", "cannot read 'dB'"),
        ("noise 0.1 0.2", "a unit (%, dB, px, s, m, V, Hz, rad) after a number"),
        ("noise sigma=", "cannot read 'sigma='"),
        ("noise =3", "cannot read '=3'"),
        ("noise sigma=1/0", "1/0 in the condition 'noise sigma=1/0' divides by zero"),
        ("noise sigma=1e999", "1e999 in the condition 'noise sigma=1e999'; expected a number up to 1.8e+308."),
        (f"noise sigma={'9' * 5000}", "; expected a number up to 1.8e+308."),
        ("noise sigma=60/255..5/255", "expected (low, high)"),
        ("noise sigma=-1", "the condition 'noise sigma=-1': GaussianNoise got -1; expected values in [0, inf]"),
        ("noise sigma=nan", "noise got sigma='nan'"),
        ("noise self=3", "noise has no argument 'self'"),
        ("any L=2.5", "any got L=2.5"),
        ("any L=1..2", "any got L=(1.0, 2.0)"),
        ("any kind=dental", "kind=ocular|muscular"),
        ("any snr=1..2", "any got snr=(1.0, 2.0)"),
        ("beams", "beams lacks change in the condition 'beams'; expected change=WORD"),
        ("picky 3", "the condition 'picky 3': level must be 7"),
    ],
)
def test_mistakes_are_named_in_one_line(condition: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        build(condition, MAKERS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_is_evaluated() -> None:
    assert parse_condition("noise sigma=__import__('os')")[0].arguments == {"sigma": "__import__('os')"}
