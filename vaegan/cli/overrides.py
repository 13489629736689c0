"""A recipe's fields as flags: what was typed becomes another recipe, or one clear line."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import re
from dataclasses import fields, is_dataclass, make_dataclass, replace
from typing import Any, get_type_hints

from vaegan.errors import UserError


def overridden(options: argparse.Namespace, recipe: Any, rest: list[str]) -> Any:
    """The recipe with its fields set by flags such as ``--evaluation.n 50``: tyro makes one for every field."""
    import tyro

    program = f"vaegan {options.command} {options.recipe}"
    kind, default = _settable(recipe)
    if options.wants_help:
        print(options.parser.format_help())
        tyro.cli(kind, default=default, args=["--help"], prog=program)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            changed = tyro.cli(kind, default=default, args=rest, prog=program)
    except SystemExit as stop:
        known = flags_of(tyro.extras.get_parser(kind, default=default).format_help()) | flags_of(
            options.parser.format_help()
        )
        for word in rest:
            if word.startswith("-") and word.split("=")[0].replace("_", "-") not in known:
                raise unknown_flag(word, known, program) from stop
        raise _complaint(said.getvalue(), known, program) from stop
    except UserError as error:
        raise _as_typed(error, rest) from error
    own = _values(changed, kind)
    if "domain" in own and not isinstance(changed.domain, type(recipe.domain)):
        own["domain"] = replace(recipe.domain, **_values(changed.domain, type(changed.domain)))
    return replace(recipe, **own)


def _as_typed(error: UserError, rest: list[str]) -> UserError:
    """A field by the flag that was typed: a configuration does not know which stage, or which other one, it belongs to."""
    field = re.fullmatch(r"set (?:--stages\.N\.)?((?:objective|training)\.[\w.-]+)", error.mend)
    start = "--stages."
    if field is None:
        field, start = re.fullmatch(r"set --model\.([\w-]+)", error.mend), "--model."
    typed = {word.split("=")[0].replace("_", "-") for word in rest if word.startswith(start)}
    flags = sorted(flag for flag in typed if field and flag.endswith("." + field[1].replace("_", "-")))
    return UserError(error.found, expected=error.expected, mend="set " + " or ".join(flags)) if flags else error


def _complaint(said: str, known: set[str], program: str) -> UserError:
    """What tyro printed in a box, as one line."""
    text = " ".join(re.sub(r"[│╭╮╰╯─]+|-{5,}", " ", said).split())
    surplus = re.search(r"Unrecognized options: (\S+)", text)
    if surplus:
        return unknown_flag(surplus[1], known, program)
    text = re.sub(
        r"^(Parsing|Value) error |^Invalid choice |Argument helptext:.*|For full helptext.*", "", text
    ).strip()
    return UserError(f"{program}: {text or 'bad arguments'}", mend=f"see `{program} --help`")


def _settable(recipe: Any) -> tuple[type, Any]:
    """A recipe with the fields that flags can give, and its class.

    A domain that is no dataclass has a constructor of its own, of which --data is the only argument known. Of one that is,
    fields that hold what a run keeps (its assets) are left out.
    """
    kind, domain = type(recipe), recipe.domain
    if not is_dataclass(domain):
        part = _part(kind, "domain")
        return part, part(**_values(recipe, part))
    held = [f.name for f in fields(domain) if f.metadata.get("asset")]
    if not held:
        return kind, recipe
    options = _part(type(domain), *held)
    part = _part(kind, domain=options)
    return part, part(**{**_values(recipe, part), "domain": options(**_values(domain, options))})


def _part(kind: type, *without: str, **types: type) -> type:
    """A dataclass of the same fields, but for some that are left out and some of other types; its words are the help."""
    hints = {**get_type_hints(kind), **types}
    kept = [(f.name, hints[f.name]) for f in fields(kind) if f.name not in without]
    return make_dataclass(kind.__name__, kept, frozen=True, namespace={"__doc__": kind.__doc__})


def _values(config: Any, kind: type) -> dict[str, Any]:
    return {f.name: getattr(config, f.name) for f in fields(kind)}


def flags_of(text: str) -> set[str]:
    """The flags that a help text names."""
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w.-]*", text))


def unknown_flag(word: str, known: set[str], program: str) -> UserError:
    """What is wrong with a word that no argument takes, and the flag that was probably meant."""
    flag = word.split("=")[0]
    if not flag.startswith("-"):
        return UserError(f"{program}: {word!r} is one argument too many", mend=f"see `{program} --help`")
    # A misspelt leaf is as near as a misspelt whole name: --size for --domain.size.
    leaves = {name.split(".")[-1].lstrip("-"): name for name in sorted(known, key=len, reverse=True)}
    near = difflib.get_close_matches(flag, known, n=1) or [
        leaves[name] for name in difflib.get_close_matches(flag.lstrip("-"), leaves, n=1)
    ]
    return UserError(
        f"{program}: unknown flag {flag}",
        mend=f"did you mean {near[0]}?" if near else f"see `{program} --help`",
    )
