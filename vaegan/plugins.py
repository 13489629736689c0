"""Entry points to domains and recipes: the one registry, through which the built-in ones enter too."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from vaegan.domain import Domain
from vaegan.errors import UserError

PARTS = ("summary", "domain", "model", "stages")
"""What tells a recipe from what is none: its class stands above this module."""
DOMAINS, RECIPES, STUDIES = "vaegan.domains", "vaegan.recipes", "vaegan.studies"


def found(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name; the first of two with one name wins, as on the import path."""
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        points.setdefault(point.name, point)
    return dict(sorted(points.items()))


def unknown(kind: str, name: str, known: list[str], listing: str = "vaegan list") -> UserError:
    """The error for a name that no plug-in has, with the nearest ones."""
    near = difflib.get_close_matches(name, known, n=1)
    return UserError(
        f"unknown {kind} {name!r}",
        expected="one of " + ", ".join(known) if known else f"an installed {kind}",
        mend=f"did you mean {near[0]!r}?" if near else f"see `{listing}`",
    )


def load_all(group: str) -> dict[str, Any]:
    """Every plug-in of a group that can be imported; a broken one warns and is left out."""
    loaded = {}
    for name, point in found(group).items():
        try:
            loaded[name] = point.load()
        except Exception as error:
            warnings.warn(f"the plug-in {name!r} ({point.value}) cannot be loaded: {error}", stacklevel=2)
    return loaded


def domain_class(name: str) -> type[Domain]:
    """The domain of this name.

    Raises:
        UserError: for an unknown name (with the known ones), or an entry point that is not a Domain.
    """
    points = found(DOMAINS)
    if name not in points:
        raise unknown("domain", name, list(points))
    try:
        cls = points[name].load()
    except Exception as error:
        raise UserError(f"the domain {name!r} ({points[name].value}) cannot be loaded: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, Domain)):
        raise UserError(f"the entry point {name!r} is {cls!r}", expected="a subclass of vaegan.domain.Domain")
    return cls


def domain_name(domain: Domain) -> str:
    """The entry-point name of a domain's class, or the class's own name where it has none."""
    cls = type(domain)
    value = f"{cls.__module__}:{cls.__qualname__}"
    for name, point in found(DOMAINS).items():
        if point.value.replace(" ", "") == value or (
            point.attr == cls.__qualname__ and cls.__module__.startswith(point.module)
        ):
            return name
    return cls.__name__


def studies() -> dict[str, Any]:
    """Every :class:`vaegan.study.Study` by its name: an entry point holds one of its own name."""
    return load_all(STUDIES)


def recipes() -> dict[str, Any]:
    """Every recipe by its full name: an entry point holds one recipe, or a mapping from the second half of its name."""
    result: dict[str, Any] = {}
    for name, value in load_all(RECIPES).items():
        several = (
            {f"{name}/{key}": recipe for key, recipe in value.items()} if isinstance(value, Mapping) else {name: value}
        )
        for full, recipe in several.items():
            if all(hasattr(recipe, part) for part in PARTS):
                result[full] = recipe
            else:
                warnings.warn(f"the plug-in {full!r} is {type(recipe).__name__}, and no recipe; left out", stacklevel=2)
    return result
