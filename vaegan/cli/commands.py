"""The commands: each calls, and prints; the work is done elsewhere. What they need is imported when they run."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vaegan.cli.overrides import overridden
from vaegan.cli.saying import console, reason
from vaegan.cli.tables import show
from vaegan.cli.writing import Outputs
from vaegan.errors import UserError

if TYPE_CHECKING:
    from vaegan.run import Clean


def list_command(options: argparse.Namespace, _: list[str]) -> None:
    """``vaegan list``."""
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
    whole = (cls for cls in serial.subclasses(Model) if not inspect.isabstract(cls))
    models = sorted({cls.__name__ for cls in whole if not cls.__name__.startswith("_")})
    if options.json:
        print(json.dumps({"domains": domains, "recipes": recipes, "models": models}, indent=2, ensure_ascii=False))
        return
    from rich.markup import escape
    from rich.table import Table

    for title, rows in (("domains", domains), ("recipes", recipes)):
        table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, row in rows.items():
            table.add_row(f"[bold]{escape(name)}[/]", escape(row["summary"]))
        console().print(table)


def run_command(options: argparse.Namespace, rest: list[str]) -> None:
    """``vaegan run`` and ``vaegan train``."""
    from vaegan import plugins, workflow
    from vaegan.workflow.judging import check_told

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
    recipe = overridden(options, recipe, rest).with_data(options.data)
    if options.smoke:
        recipe = recipe.smoke()
    recipe = recipe.with_budget(options.samples, options.minutes)
    if options.command == "run":
        check_told(recipe.domain.spec, inception=options.inception)
    shown = console(stderr=True)
    run = workflow.train(
        options.recipe, recipe, out=options.out, pretrained=options.pretrained, device=options.device, console=shown
    )
    if int(os.environ.get("RANK", "0")) > 0:  # of several processes one judges and reports
        return
    if options.command == "train":
        told = {name: value for name, value in run.history().items() if not isinstance(value, (list, dict))}
        print(json.dumps({"run": str(run.folder), **told}, indent=2) if options.json else run.folder)
        return
    findings = workflow.evaluate(run, inception=options.inception, console=shown)
    path = workflow.report(run, findings, "vaegan " + shlex.join(options.words))
    if options.json:
        print(json.dumps(findings.metrics, indent=2, ensure_ascii=False))
        return
    show(findings.metrics)
    print(f"report: {path}")


def evaluate_command(options: argparse.Namespace, _: list[str]) -> None:
    """``vaegan evaluate``."""
    from vaegan import workflow
    from vaegan.files import check_file, check_folder, write_json

    if options.private and options.report is None:
        raise UserError("--private without a report", expected="a folder for it", mend="set --report DIR")
    if options.out is not None:
        check_file(options.out)
    if options.report is not None:
        check_folder(options.report, "--report")
    run = workflow.open_run(options.run, options.device)
    run.history()  # a damaged one is better found before the judging than after it
    if options.report is None and options.out is None and options.data is None and options.n is None:
        check_folder(run.folder, "--report")
    findings = workflow.evaluate(
        run, options.data, n=options.n, inception=options.inception, console=console(stderr=True)
    )
    if options.out is not None:
        write_json(options.out, findings.metrics)
    words = "vaegan " + shlex.join(options.words)
    if options.report is not None:
        judged = run if options.data is None else run.on(options.data)
        page = workflow.report(judged, findings, words, options.report, private=options.private)
        print(f"report: {page}", file=sys.stderr)
    elif options.out is None and options.data is None and options.n is None:
        workflow.report(run, findings, words)
    if options.json:
        print(json.dumps(findings.metrics, indent=2, ensure_ascii=False))
        return
    show(findings.metrics)
    if options.out is not None:
        print(f"numbers: {options.out}")


def restore_command(options: argparse.Namespace, _: list[str]) -> None:
    """``vaegan restore``: a bad file among several does not keep the others from being restored."""
    from rich.markup import escape
    from rich.progress import Progress

    from vaegan import workflow

    run = workflow.open_run(options.run, options.device)
    if options.samples < 0:
        raise UserError(f"--samples is {options.samples}", expected="0 or more", mend="set --samples")
    if not 0 <= options.overlap < 1:
        raise UserError(f"--overlap is {options.overlap}", expected="0 up to, not including, 1", mend="set --overlap")
    if options.spread and options.samples < 2:
        raise UserError("--spread without draws", expected="at least 2", mend="set --samples 8")
    if not 0 <= options.fidelity <= 1:
        raise UserError(f"--fidelity is {options.fidelity}", expected="0 to 1", mend="set --fidelity")
    outputs, several = Outputs(options.files, options.out), len(options.files) > 1
    shown, failed = console(stderr=True), 0
    with Progress(console=shown, disable=not shown.is_terminal, redirect_stdout=sys.stdout.isatty()) as bar:
        files = bar.add_task("restoring", total=len(options.files), visible=several)
        windows = bar.add_task("", visible=False)
        for path in options.files:

            def tell(done: int, total: int, name: str = escape(path.name)) -> None:
                bar.update(windows, description=name, completed=done, total=total, visible=1 < total > done)

            try:
                clean = run.restore(
                    path,
                    samples=options.samples,
                    fidelity=options.fidelity,
                    overlap=options.overlap,
                    keep_spread=options.spread,
                    bfloat16=options.bfloat16,
                    progress=tell,
                )
                for written in outputs.write(path.name, partial(_restored, clean, options)):
                    print(written)
            except BrokenPipeError:
                raise
            except (UserError, OSError) as error:
                if not several:
                    raise
                failed += 1
                told = reason(error) if isinstance(error, OSError) else str(error)
                named = "" if str(path) in told else f"{path}: "
                print(f"vaegan: not restored: {named}{told}", file=sys.stderr)
            bar.advance(files)
    if failed:
        raise UserError(
            f"{failed} of {len(options.files)} files were not restored", mend="mend or leave out those named above"
        )


def sample_command(options: argparse.Namespace, _: list[str]) -> None:
    """``vaegan sample``."""
    import torch

    from vaegan import workflow
    from vaegan.drawing import grid, png_bytes
    from vaegan.files import check_file, write_array, write_file
    from vaegan.training.config import LARGEST_SEED

    if options.n < 1:
        raise UserError(f"-n is {options.n}", expected="at least 1", mend="set -n")
    if options.out.suffix not in (".png", ".npy"):
        raise UserError(
            f"{options.out} ends in {options.out.suffix or 'nothing'}",
            expected=".png or .npy",
            mend="set --out",
        )
    if abs(options.seed) >= LARGEST_SEED:
        raise UserError(f"--seed is {options.seed}", expected="less than 2^63", mend="set --seed")
    check_file(options.out)
    run = workflow.open_run(options.run, options.device)
    classes = None if options.label is None else torch.full((options.n,), run.class_index(options.label))
    drawn = run.sample(options.n, seed=options.seed, classes=classes, mixture=options.prior == "mixture")
    if options.out.suffix == ".npy":
        write_array(options.out, drawn)
    else:
        columns = max(1, round(options.n**0.5))
        write_file(options.out, png_bytes(grid(run.domain.draw(drawn), columns=columns)))
    print(options.out)


def edit_command(options: argparse.Namespace, _: list[str]) -> None:
    """``vaegan edit``."""
    from vaegan import workflow

    run = workflow.open_run(options.run, options.device)
    outputs = Outputs(options.files, options.out)
    for path in options.files:
        edited = run.edit(path, options.attribute, options.strength)
        for written in outputs.write(path.name, lambda target, edited=edited: [edited.write(target)]):  # type: ignore[misc]
            print(written)


def compare_command(options: argparse.Namespace, _: list[str]) -> None:
    """``vaegan compare``."""
    from vaegan import workflow

    metrics, page = workflow.compare(
        options.runs,
        options.data,
        study=options.study,
        out=options.out,
        n=options.n,
        minutes=options.minutes,
        smoke=options.smoke,
        inception=options.inception,
        device=options.device,
        command="vaegan " + shlex.join(options.words),
        console=console(stderr=True),
    )
    if options.json:
        print(json.dumps(metrics, indent=2, ensure_ascii=False))
        return
    show(metrics)
    print(f"report: {page}")


def sweep_command(options: argparse.Namespace, _: list[str]) -> None:
    """``vaegan sweep``."""
    from vaegan import workflow
    from vaegan.evaluation.report.markup import number
    from vaegan.evaluation.report.sweep import QUALITIES

    metrics, page = workflow.sweep(
        options.recipe,
        options.vary,
        options.data,
        out=options.out,
        quality=options.quality,
        storage=options.storage,
        trials=options.trials,
        minutes=options.minutes,
        samples=options.samples,
        smoke=options.smoke,
        device=options.device,
        command="vaegan " + shlex.join(options.words),
        console=console(stderr=True),
    )
    if options.json:
        print(json.dumps(metrics, indent=2, ensure_ascii=False))
        return
    quality = QUALITIES[metrics["quality"]]
    for trial in sorted(metrics["trials"], key=quality.worth, reverse=True):
        sizes = ", ".join(f"{field}={value}" for field, value in trial["values"].items())
        held = f", {trial['peak_memory_mib']:.0f} MiB" if "peak_memory_mib" in trial else ""
        cost = f"{number(trial['ms_per_item'])} ms{held}"
        named = f"{metrics['measured']} " if quality.name == "kid" else ""
        print(f"{sizes}: {named}{quality.told(trial)}, {cost}{'  *' if trial['pareto'] else ''}")
    print(f"report: {page}  (* on the Pareto front)")


def check_domain_command(options: argparse.Namespace, _: list[str]) -> None:
    """``vaegan check-domain``."""
    from rich.markup import escape

    from vaegan import plugins
    from vaegan.testing import check_domain

    checks = check_domain(plugins.domain_class(options.name)(data=options.data), options.file)
    failed = [check for check in checks if not check.passed]
    if options.json:
        rows = [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks]
        print(json.dumps({"domain": options.name, "passed": not failed, "checks": rows}, indent=2, ensure_ascii=False))
    else:
        shown = console()
        for check in checks:
            mark = "[green]passed[/]" if check.passed else "[red]FAILED[/]"
            shown.print(f"{mark} {escape(check.name)}: {escape(check.detail)}", highlight=False)
    if failed:
        raise UserError(
            f"the domain {options.name!r} fails {len(failed)} of {len(checks)} checks ({failed[0].name}: {failed[0].detail})"
        )


def _restored(clean: Clean, options: argparse.Namespace, target: Path) -> Iterator[Path]:
    """Writes what was restored, and what was asked for beside it."""
    written = clean.write(target)
    yield written
    if options.spread:
        yield clean.write_spread(written.with_name(f"{written.name}.spread.npy"))
    if options.mark:
        yield clean.domain.write_marked(clean.recording, written)
