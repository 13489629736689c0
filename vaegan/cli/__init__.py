"""The command line: it parses, calls, and prints; the work is done elsewhere."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from vaegan.cli import commands
from vaegan.cli.overrides import flags_of, unknown_flag
from vaegan.errors import UserError

DEVICES = ("auto", "cpu", "cuda", "mps")
INCEPTION = "weights of Inception-v3 (pytorch-fid's file), for distances comparable with published FIDs"


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
            raise unknown_flag(rest[0], flags_of(options.parser.format_help()), f"vaegan {options.command}")
        options.words = words
        with _plain_warnings():
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


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """What a file's reader says of the file is one line, without the place in the code that says it."""
    usual = warnings.formatwarning

    def plain(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> str:
        return f"warning: {message}\n" if category is UserWarning else usual(message, category, *place, **more)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _parser() -> _Parser:
    parser = _Parser(
        prog="vaegan", description="One VAE-GAN toolkit for images, sonar, EEG and LiDAR.", allow_abbrev=False
    )
    known = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, work: Any, text: str, **more: Any) -> _Parser:
        added = known.add_parser(name, help=text, description=text, allow_abbrev=False, **more)
        added.set_defaults(work=work, parser=added)
        return added  # type: ignore[no-any-return]

    listing = command("list", commands.list_command, "list domains, recipes and models")
    listing.add_argument("--json", action="store_true", help="print JSON")
    for name, text in (("run", "train, evaluate and report a recipe"), ("train", "train a recipe")):
        one = command(name, commands.run_command, text + "; the same command again resumes", add_help=False)
        one.add_argument("recipe", metavar="RECIPE", nargs="?", help="a recipe's name; see `vaegan list`")
        one.add_argument("--data", type=Path, help="other data of the recipe's domain: a file or a folder")
        one.add_argument("--domain", dest="domain_name", metavar="NAME", help="another domain, for the recipe generic")
        one.add_argument("--out", type=Path, help="the run's folder (default runs/RECIPE/ID)")
        one.add_argument("--samples", type=int, help="training samples in all")
        one.add_argument("--minutes", type=float, help="minutes of training in all")
        one.add_argument("--smoke", action="store_true", help="the recipe made tiny: does it run?")
        one.add_argument("--inception", type=Path, metavar="FILE", help=INCEPTION)
        one.add_argument("--device", choices=DEVICES, default="auto")
        one.add_argument("--json", action="store_true", help="print the numbers as JSON")
        one.add_argument(
            "-h", "--help", action="store_true", dest="wants_help", help="show every option, the recipe's too"
        )
    judged = command(
        "evaluate", commands.evaluate_command, "judge a run, on its test split or on data that it never saw"
    )
    judged.add_argument("run", type=Path, metavar="RUN", help="a run's folder, or that of a recipe's runs")
    judged.add_argument("--data", type=Path, help="data that the run never saw: every item is a test item")
    judged.add_argument(
        "--out",
        type=Path,
        metavar="FILE.json",
        help="where the numbers go (default: RUN/metrics.json; with --data or --n printed only)",
    )
    judged.add_argument("--report", type=Path, metavar="DIR", help="write metrics.json and report.html there")
    judged.add_argument("--n", type=int, help="test items for each condition")
    judged.add_argument("--inception", type=Path, metavar="FILE", help=INCEPTION)
    judged.add_argument("--device", choices=DEVICES, default="auto")
    judged.add_argument("--json", action="store_true", help="print the numbers as JSON")
    restored = command(
        "restore", commands.restore_command, "restore files; they come back under their own names and formats"
    )
    restored.add_argument("run", type=Path, metavar="RUN")
    restored.add_argument("files", type=Path, nargs="+", metavar="FILE")
    restored.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the restored files")
    restored.add_argument(
        "--samples",
        type=int,
        default=0,
        help="mean of so many posterior samples instead of the posterior mean",
    )
    restored.add_argument(
        "--spread", action="store_true", help="write the spread beside each file, as NAME.spread.npy; with --samples"
    )
    restored.add_argument(
        "--mark",
        action="store_true",
        help="write beside each file one that marks what was filled, where the domain can",
    )
    restored.add_argument(
        "--fidelity",
        type=float,
        default=0.0,
        help="0 for the model as it was trained (sharp) to 1 for the least error (soft); default 0",
    )
    restored.add_argument("--overlap", type=float, default=0.5, help="overlap of windows, 0 to below 1")
    restored.add_argument(
        "--bfloat16", action="store_true", help="compute in bfloat16: quicker where the hardware has it, and less exact"
    )
    restored.add_argument("--device", choices=DEVICES, default="auto")
    drawn = command("sample", commands.sample_command, "draw signals from the prior")
    drawn.add_argument("run", type=Path, metavar="RUN")
    drawn.add_argument("-n", type=int, default=64, help="how many")
    drawn.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".png for one picture, .npy for the values"
    )
    drawn.add_argument("--prior", choices=("normal", "mixture"), default="normal", help="what latents are drawn from")
    drawn.add_argument("--seed", type=int, default=0)
    drawn.add_argument("--device", choices=DEVICES, default="auto")
    edited = command("edit", commands.edit_command, "add an attribute to a signal, or take it away")
    edited.add_argument("run", type=Path, metavar="RUN")
    edited.add_argument("files", type=Path, nargs="+", metavar="FILE")
    edited.add_argument("--attribute", required=True, metavar="NAME", help="as the training data name it")
    edited.add_argument("--strength", type=float, default=1.0, help="how far; negative takes it away (default 1)")
    edited.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the edited files")
    edited.add_argument("--device", choices=DEVICES, default="auto")
    compared = command(
        "compare", commands.compare_command, "judge several runs on the same test items; a recipe is trained first"
    )
    compared.add_argument("runs", nargs="*", metavar="RUN_OR_RECIPE")
    compared.add_argument(
        "--study", metavar="NAME", help="a comparative study: its recipes (where none are given) and its measures"
    )
    compared.add_argument("--data", type=Path, help="what recipes are trained on")
    compared.add_argument("--out", type=Path, metavar="DIR", help="where the page goes (default runs/compare/NAMES)")
    compared.add_argument("--n", type=int, help="test items for each condition")
    compared.add_argument("--minutes", type=float, help="minutes of training for each recipe")
    compared.add_argument("--smoke", action="store_true", help="recipes made tiny")
    compared.add_argument("--inception", type=Path, metavar="FILE", help=INCEPTION)
    compared.add_argument("--device", choices=DEVICES, default="auto")
    compared.add_argument("--json", action="store_true", help="print the numbers as JSON")
    swept = command(
        "sweep",
        commands.sweep_command,
        "train and judge a recipe with its sizes varied; the same command again goes on",
    )
    swept.add_argument("recipe", metavar="RECIPE")
    swept.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="FIELD=a,b,c",
        help="a field, such as model.width; repeat for more",
    )
    swept.add_argument("--data", type=Path, help="what the recipe is trained on")
    swept.add_argument("--out", type=Path, metavar="DIR", help="the sweep's folder (default runs/sweep/RECIPE)")
    swept.add_argument("--storage", metavar="URL", help="an RDB that several machines share (default SQLite in --out)")
    swept.add_argument("--trials", type=int, help="at most so many combinations, in random order")
    swept.add_argument("--minutes", type=float, help="minutes of each training")
    swept.add_argument("--samples", type=int, help="training samples of each training")
    swept.add_argument("--smoke", action="store_true", help="recipes made tiny")
    swept.add_argument("--device", choices=DEVICES, default="auto")
    swept.add_argument("--json", action="store_true", help="print the numbers as JSON")
    checked = command("check-domain", commands.check_domain_command, "hold a domain against its contract")
    checked.add_argument("name", metavar="NAME")
    checked.add_argument("--data", type=Path, help="data of the domain; by default its embedded ones")
    checked.add_argument("--json", action="store_true", help="print JSON")
    return parser
