"""The command line: it parses, calls, and prints; the work is done elsewhere."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from vaegan.errors import UserError

DEVICES = ("auto", "cpu", "cuda", "mps")


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}", mend=f"see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, or 2 with one line on standard error for a user's mistake."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        parser = _parser()
        options, rest = parser.parse_known_args(words)
        if rest and options.command not in ("run", "train"):
            raise _unknown_flag(rest[0], _flags(options.parser.format_help()), f"vaegan {options.command}")
        options.words = words
        options.work(options, rest)
    except UserError as error:
        print(f"vaegan: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"vaegan: error: {error.filename or 'a file'}: {error.strerror or error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vaegan: interrupted; the same command goes on from the last saved state.", file=sys.stderr)
        return 130
    return 0


def _parser() -> _Parser:
    parser = _Parser(
        prog="vaegan", description="One VAE-GAN toolkit for images, sonar, EEG and LiDAR.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, work: Any, text: str, **more: Any) -> _Parser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False, **more)
        added.set_defaults(work=work, parser=added)
        return added  # type: ignore[no-any-return]

    listing = command("list", _list, "list domains, recipes and models")
    listing.add_argument("--json", action="store_true", help="print JSON")
    for name, text in (("run", "train, evaluate and report a recipe"), ("train", "train a recipe")):
        one = command(name, _run, text + "; the same command again resumes", add_help=False)
        one.add_argument("recipe", metavar="RECIPE", nargs="?", help="a recipe's name; see `vaegan list`")
        one.add_argument("--data", type=Path, help="other data of the recipe's domain: a file or a folder")
        one.add_argument("--domain", dest="domain_name", metavar="NAME", help="another domain, for the recipe generic")
        one.add_argument("--out", type=Path, help="the run's folder (default runs/RECIPE/ID)")
        one.add_argument("--samples", type=int, help="training samples in all")
        one.add_argument("--minutes", type=float, help="minutes of training in all")
        one.add_argument("--smoke", action="store_true", help="the recipe made tiny: does it run?")
        one.add_argument("--device", choices=DEVICES, default="auto")
        one.add_argument("--json", action="store_true", help="print the numbers as JSON")
        one.add_argument(
            "-h", "--help", action="store_true", dest="wants_help", help="show every option, the recipe's too"
        )
    judged = command("evaluate", _evaluate, "judge a run, on its test split or on data that it never saw")
    judged.add_argument("run", type=Path, metavar="RUN", help="a run's folder, or that of a recipe's runs")
    judged.add_argument("--data", type=Path, help="data that the run never saw: every item is a test item")
    judged.add_argument(
        "--out",
        type=Path,
        metavar="FILE.json",
        help="where the numbers go (default: RUN/metrics.json; with --data or --n printed only)",
    )
    judged.add_argument("--n", type=int, help="test items for each condition")
    judged.add_argument("--device", choices=DEVICES, default="auto")
    judged.add_argument("--json", action="store_true", help="print the numbers as JSON")
    restored = command("restore", _restore, "restore files; they come back under their own names and formats")
    restored.add_argument("run", type=Path, metavar="RUN")
    restored.add_argument("files", type=Path, nargs="+", metavar="FILE")
    restored.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the restored files")
    restored.add_argument(
        "--samples",
        type=int,
        default=0,
        help="mean of so many posterior samples instead of the posterior mean",
    )
    restored.add_argument("--overlap", type=float, default=0.5, help="overlap of windows, 0 to below 1")
    restored.add_argument("--device", choices=DEVICES, default="auto")
    drawn = command("sample", _sample, "draw signals from the prior")
    drawn.add_argument("run", type=Path, metavar="RUN")
    drawn.add_argument("-n", type=int, default=64, help="how many")
    drawn.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".png for one picture, .npy for the values"
    )
    drawn.add_argument("--seed", type=int, default=0)
    drawn.add_argument("--device", choices=DEVICES, default="auto")
    checked = command("check-domain", _check_domain, "hold a domain against its contract")
    checked.add_argument("name", metavar="NAME")
    checked.add_argument("--data", type=Path, help="data of the domain; by default its embedded ones")
    checked.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _list(options: argparse.Namespace, _: list[str]) -> None:
    from vaegan import plugins, serial
    from vaegan.models import Model

    domains = {
        name: {
            "class": f"{cls.__module__}.{cls.__qualname__}",
            "summary": (cls.__doc__ or "").strip().split("\n")[0],
        }
        for name, cls in plugins.load_all(plugins.DOMAINS).items()
    }
    recipes = {
        name: {
            "domain": plugins.domain_name(recipe.domain),
            "model": type(recipe.model).__name__.removesuffix("Config"),
            "objective": " + ".join(type(stage.objective).__name__ for stage in recipe.stages),
            "summary": recipe.summary,
        }
        for name, recipe in plugins.recipes().items()
    }
    models = sorted({cls.__name__ for cls in serial.subclasses(Model)})
    if options.json:
        print(json.dumps({"domains": domains, "recipes": recipes, "models": models}, indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    for title, rows in (("domains", domains), ("recipes", recipes)):
        table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, row in rows.items():
            table.add_row(f"[bold]{name}[/]", row["summary"])
        Console().print(table)


def _run(options: argparse.Namespace, rest: list[str]) -> None:
    from rich.console import Console

    from vaegan import plugins, workflow

    known = plugins.recipes()
    if options.wants_help and options.recipe is None:
        print(options.parser.format_help())
        return
    if options.recipe is None:
        raise UserError(f"vaegan {options.command} without a recipe", expected="one of " + ", ".join(known))
    if options.recipe not in known:
        raise plugins.unknown("recipe", options.recipe, list(known))
    recipe = known[options.recipe]
    if options.domain_name:
        recipe = replace(recipe, domain=plugins.domain_class(options.domain_name)(data=options.data))
    recipe = _overridden(options, recipe, rest).with_data(options.data)
    if options.smoke:
        recipe = recipe.smoke()
    recipe = recipe.with_budget(options.samples, options.minutes)
    console = Console(stderr=True)
    run = workflow.train(options.recipe, recipe, out=options.out, device=options.device, console=console)
    if int(os.environ.get("RANK", "0")) > 0:  # of several processes one judges and reports
        return
    if options.command == "train":
        print(run.folder)
        return
    metrics, restoration = workflow.evaluate(run, console=console)
    path = workflow.report(run, metrics, restoration, "vaegan " + shlex.join(options.words))
    if options.json:
        print(json.dumps(metrics, indent=2, ensure_ascii=False))
        return
    _show(metrics)
    print(f"report: {path}")


def _overridden(options: argparse.Namespace, recipe: Any, rest: list[str]) -> Any:
    """The recipe with its fields set by flags such as ``--evaluation.n 50``: tyro makes one for every field."""
    import tyro

    program = f"vaegan {options.command} {options.recipe}"
    # A domain that is no dataclass has a constructor of its own, of which --data is the only argument known.
    kind = type(recipe) if is_dataclass(recipe.domain) else _without_domain(type(recipe))
    default = recipe if kind is type(recipe) else kind(**{f.name: getattr(recipe, f.name) for f in fields(kind)})
    if options.wants_help:
        print(options.parser.format_help())
        tyro.cli(kind, default=default, args=["--help"], prog=program)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            changed = tyro.cli(kind, default=default, args=rest, prog=program)
    except SystemExit as stop:
        known = _flags(tyro.extras.get_parser(kind, default=default).format_help()) | _flags(
            options.parser.format_help()
        )
        for word in rest:
            if word.startswith("-") and word.split("=")[0].replace("_", "-") not in known:
                raise _unknown_flag(word, known, program) from stop
        raise _complaint(said.getvalue(), known, program) from stop
    return replace(recipe, **{f.name: getattr(changed, f.name) for f in fields(kind)})


def _complaint(said: str, known: set[str], program: str) -> UserError:
    """What tyro printed in a box, as one line."""
    text = " ".join(re.sub(r"[│╭╮╰╯─]+|-{5,}", " ", said).split())
    surplus = re.search(r"Unrecognized options: (\S+)", text)
    if surplus:
        return _unknown_flag(surplus[1], known, program)
    text = re.sub(
        r"^(Parsing|Value) error |^Invalid choice |Argument helptext:.*|For full helptext.*", "", text
    ).strip()
    return UserError(f"{program}: {text or 'bad arguments'}", mend=f"see `{program} --help`")


def _without_domain(kind: type) -> type:
    hints = get_type_hints(kind)
    return make_dataclass(
        kind.__name__, [(f.name, hints[f.name]) for f in fields(kind) if f.name != "domain"], frozen=True
    )


def _flags(text: str) -> set[str]:
    """The flags that a help text names."""
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w.-]*", text))


def _unknown_flag(word: str, known: set[str], program: str) -> UserError:
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


def _show(metrics: dict[str, Any]) -> None:
    """The restoration table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    for condition, methods in metrics.get("restoration", {}).items():
        n = next(iter(methods.values()))["psnr"]["n"]
        table = Table(title=f"{condition}  (n = {n})", title_justify="left", box=None, header_style="bold")
        table.add_column("method")
        for heading in ("PSNR dB", "95 % interval", "SSIM", "NRMSE"):
            table.add_column(heading, justify="right")
        best = max(methods, key=lambda method: methods[method]["psnr"]["mean"])
        for method, row in methods.items():
            low, high = row["psnr"]["ci95"]
            table.add_row(
                method,
                f"{row['psnr']['mean']:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{row['ssim']['mean']:.3f}" if "ssim" in row else "",
                f"{row['nrmse']['mean']:.3f}" if "nrmse" in row else "",
                style="bold green" if method == best else "",
            )
        Console().print(table)


def _evaluate(options: argparse.Namespace, _: list[str]) -> None:
    from rich.console import Console

    from vaegan import workflow
    from vaegan.run import write_json

    run = workflow.open_run(options.run, options.device)
    metrics, restoration = workflow.evaluate(run, options.data, n=options.n, console=Console(stderr=True))
    if options.out is not None:
        write_json(options.out, metrics)
    elif options.data is None and options.n is None:
        workflow.report(run, metrics, restoration, "vaegan " + shlex.join(options.words))
    if options.json:
        print(json.dumps(metrics, indent=2, ensure_ascii=False))
        return
    _show(metrics)
    if options.out is not None:
        print(f"numbers: {options.out}")


def _restore(options: argparse.Namespace, _: list[str]) -> None:
    from rich.console import Console
    from rich.progress import track

    from vaegan import workflow

    run = workflow.open_run(options.run, options.device)
    if options.samples < 0:
        raise UserError(f"--samples is {options.samples}", expected="0 or more", mend="set --samples")
    targets = [options.out / path.name for path in options.files]
    for path, target in zip(options.files, targets, strict=True):
        if target.resolve() == path.resolve():
            raise UserError(f"{path} would be overwritten", expected="another folder", mend="set --out")
        if targets.count(target) > 1:
            raise UserError(
                f"two files are named {path.name}",
                expected="different names",
                mend="restore them one folder at a time",
            )
    options.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    pairs = list(zip(options.files, targets, strict=True))
    for path, target in track(pairs, description="restoring", console=console, disable=len(pairs) < 2):
        clean = run.restore(path, samples=options.samples, overlap=options.overlap)
        print(clean.write(target))


def _sample(options: argparse.Namespace, _: list[str]) -> None:
    import numpy as np

    from vaegan import workflow
    from vaegan.drawing import grid, png_bytes
    from vaegan.run import write_file

    if options.n < 1:
        raise UserError(f"-n is {options.n}", expected="at least 1", mend="set -n")
    if options.out.suffix not in (".png", ".npy"):
        raise UserError(
            f"{options.out} ends in {options.out.suffix or 'nothing'}",
            expected=".png or .npy",
            mend="set --out",
        )
    run = workflow.open_run(options.run, options.device)
    drawn = run.sample(options.n, seed=options.seed)
    if options.out.suffix == ".npy":
        values = io.BytesIO()
        np.save(values, drawn, allow_pickle=False)
        content = values.getvalue()
    else:
        content = png_bytes(grid(run.domain.draw(drawn), columns=max(1, round(options.n**0.5))))
    write_file(options.out, content)
    print(options.out)


def _check_domain(options: argparse.Namespace, _: list[str]) -> None:
    from rich.console import Console

    from vaegan import plugins
    from vaegan.testing import check_domain

    checks = check_domain(plugins.domain_class(options.name)(data=options.data))
    failed = [check for check in checks if not check.passed]
    if options.json:
        rows = [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks]
        print(json.dumps({"domain": options.name, "passed": not failed, "checks": rows}, indent=2, ensure_ascii=False))
    else:
        for check in checks:
            mark = "[green]passed[/]" if check.passed else "[red]FAILED[/]"
            Console().print(f"{mark} {check.name}: {check.detail}", highlight=False)
    if failed:
        raise UserError(
            f"the domain {options.name!r} fails {len(failed)} of {len(checks)} checks ({failed[0].name}: {failed[0].detail})"
        )
