"""What each command is told."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from vaegan.cli import commands
from vaegan.errors import UserError

DEVICES = ("auto", "cpu", "cuda", "mps")
INCEPTION = "weights of Inception-v3 (pytorch-fid's file), for distances comparable with published FIDs"

Add = Callable[..., argparse.Action]
"""``add_argument`` of a command's parser."""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Raises a UserError instead of leaving."""
        raise UserError(f"{self.prog}: {message}", mend=f"see `{self.prog} --help`")


def build_parser() -> Parser:
    """The parser of the whole command line; ``options.work`` is what the chosen command does."""
    parser = Parser(
        prog="vaegan", description="One VAE-GAN toolkit for images, sonar, EEG and LiDAR.", allow_abbrev=False
    )
    known = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    def command(name: str, work: Any, arguments: Callable[[Add], None], text: str, **more: Any) -> None:
        added = known.add_parser(name, help=text, description=text, allow_abbrev=False, **more)
        added.set_defaults(work=work, parser=added)
        arguments(added.add_argument)

    command("list", commands.list_command, _list, "list domains and recipes; models too with --json")
    for name, arguments, text in (
        ("run", _run, "train, evaluate and report a recipe"),
        ("train", _train, "train a recipe"),
    ):
        command(name, commands.run_command, arguments, text + "; the same command again resumes", add_help=False)
    command(
        "evaluate", commands.evaluate_command, _evaluate, "judge a run, on its test split or on data that it never saw"
    )
    command(
        "restore",
        commands.restore_command,
        _restore,
        "restore files; they come back under their own names and formats",
    )
    command("sample", commands.sample_command, _sample, "draw signals from the prior")
    command("edit", commands.edit_command, _edit, "add an attribute to a signal, or take it away")
    command(
        "compare",
        commands.compare_command,
        _compare,
        "judge several runs on the same test items; a recipe is trained first",
    )
    command(
        "sweep",
        commands.sweep_command,
        _sweep,
        "train and judge a recipe with its sizes varied; the same command again goes on",
    )
    command("check-domain", commands.check_domain_command, _check_domain, "hold a domain against its contract")
    return parser


def _list(add: Add) -> None:
    add("--json", action="store_true", help="print JSON")


def _train(add: Add) -> None:
    add("recipe", metavar="RECIPE", nargs="?", help="a recipe's name; see `vaegan list`")
    add("--data", type=Path, help="other data of the recipe's domain: a file or a folder")
    add("--domain", dest="domain_name", metavar="NAME", help="another domain, for the recipe generic")
    add("--out", type=Path, help="the run's folder (default runs/RECIPE/ID)")
    add("--pretrained", type=Path, metavar="RUN", help="a run of the same networks whose weights training begins with")
    add("--samples", type=int, help="training samples in all")
    add("--minutes", type=float, help="minutes of training in all")
    add("--smoke", action="store_true", help="the recipe made tiny: does it run?")
    add("--device", choices=DEVICES, default="auto")
    add("--json", action="store_true", help="print the numbers as JSON")
    add("-h", "--help", action="store_true", dest="wants_help", help="show every option, the recipe's too")


def _run(add: Add) -> None:
    _train(add)
    add("--inception", type=Path, metavar="FILE", help=INCEPTION)


def _evaluate(add: Add) -> None:
    add("run", type=Path, metavar="RUN", help="a run's folder, or that of a recipe's runs")
    add("--data", type=Path, help="data that the run never saw: every item is a test item")
    add(
        "--out",
        type=Path,
        metavar="FILE.json",
        help="where the numbers go (default: RUN/metrics.json; with --data or --n printed only)",
    )
    add("--report", type=Path, metavar="DIR", help="write metrics.json and report.html there")
    add(
        "--private", action="store_true", help="with --report: a page without pictures of the data, which may be shared"
    )
    add("--n", type=int, help="test items for each condition")
    add("--inception", type=Path, metavar="FILE", help=INCEPTION)
    add("--device", choices=DEVICES, default="auto")
    add("--json", action="store_true", help="print the numbers as JSON")


def _restore(add: Add) -> None:
    add("run", type=Path, metavar="RUN")
    add("files", type=Path, nargs="+", metavar="FILE")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the restored files")
    add(
        "--samples",
        type=int,
        default=0,
        help="mean of so many posterior samples instead of the posterior mean",
    )
    add("--spread", action="store_true", help="write the spread beside each file, as NAME.spread.npy; with --samples")
    add(
        "--mark",
        action="store_true",
        help="write beside each file one that marks what was filled, where the domain can",
    )
    add(
        "--fidelity",
        type=float,
        default=0.0,
        help="0 for the model as it was trained (sharp) to 1 for the least error (soft); default 0",
    )
    add("--overlap", type=float, default=0.5, help="overlap of windows, 0 to below 1")
    add(
        "--bfloat16", action="store_true", help="compute in bfloat16: quicker where the hardware has it, and less exact"
    )
    add("--device", choices=DEVICES, default="auto")


def _sample(add: Add) -> None:
    add("run", type=Path, metavar="RUN")
    add("-n", type=int, default=64, help="how many")
    add("--out", type=Path, required=True, metavar="FILE", help=".png for one picture, .npy for the values")
    add("--prior", choices=("normal", "mixture"), default="normal", help="what latents are drawn from")
    add(
        "--class",
        dest="label",
        metavar="NAME",
        help="of a conditional run: draw this class alone; default each in turn",
    )
    add("--seed", type=int, default=0)
    add("--device", choices=DEVICES, default="auto")


def _edit(add: Add) -> None:
    add("run", type=Path, metavar="RUN")
    add("files", type=Path, nargs="+", metavar="FILE")
    add("--attribute", required=True, metavar="NAME", help="as the training data name it")
    add("--strength", type=float, default=1.0, help="how far; negative takes it away (default 1)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the edited files")
    add("--device", choices=DEVICES, default="auto")


def _compare(add: Add) -> None:
    add("runs", nargs="*", metavar="RUN_OR_RECIPE")
    add("--study", metavar="NAME", help="a comparative study: its recipes (where none are given) and its measures")
    add("--data", type=Path, help="what recipes are trained on")
    add("--out", type=Path, metavar="DIR", help="where the page goes (default runs/compare/NAMES)")
    add("--n", type=int, help="test items for each condition")
    add("--minutes", type=float, help="minutes of training for each recipe")
    add("--smoke", action="store_true", help="recipes made tiny")
    add("--inception", type=Path, metavar="FILE", help=INCEPTION)
    add("--device", choices=DEVICES, default="auto")
    add("--json", action="store_true", help="print the numbers as JSON")


def _sweep(add: Add) -> None:
    add("recipe", metavar="RECIPE")
    add(
        "--vary",
        action="append",
        default=[],
        metavar="FIELD=a,b,c",
        help="a field, such as model.width; repeat for more",
    )
    add("--data", type=Path, help="what the recipe is trained on")
    add("--out", type=Path, metavar="DIR", help="the sweep's folder (default runs/sweep/RECIPE)")
    add(
        "--quality",
        choices=("psnr", "kid"),
        help="by what: restored or drawn signals (default: psnr, or what there is)",
    )
    add("--storage", metavar="URL", help="an RDB that several machines share (default SQLite in --out)")
    add("--trials", type=int, help="at most so many combinations, in random order")
    add("--minutes", type=float, help="minutes of each training")
    add("--samples", type=int, help="training samples of each training")
    add("--smoke", action="store_true", help="recipes made tiny")
    add("--device", choices=DEVICES, default="auto")
    add("--json", action="store_true", help="print the numbers as JSON")


def _check_domain(add: Add) -> None:
    add("name", metavar="NAME")
    add("--data", type=Path, help="data of the domain; by default its embedded ones")
    add("--file", type=Path, nargs="+", default=[], metavar="PATH", help="files to read, write and read again")
    add("--json", action="store_true", help="print JSON")
