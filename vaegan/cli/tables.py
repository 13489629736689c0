"""Numbers on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vaegan.cli.saying import console

if TYPE_CHECKING:
    from rich.table import Table

TITLES = {"ssim": "SSIM", "nrmse": "NRMSE"}
SHOWN = ("fid", "kid", "is", "precision", "recall", "f1", "density", "coverage")
NONE = ("", "1")
"""What stands for no unit."""


def show(metrics: dict[str, Any]) -> None:
    """The restoration table on the terminal."""
    from rich.markup import escape
    from rich.table import Table

    from vaegan.metrics.restoration import RESTORATION

    for condition, methods in metrics.get("restoration", {}).items():
        n = max((row["psnr"]["n"] for row in methods.values() if "psnr" in row), default=0)
        if not n:
            console().print(f"{condition}  (of no item is the truth known)", markup=False, highlight=False)
            continue
        table = Table(box=None, header_style="bold")
        table.add_column("method")
        # A domain's own measures say more of its signals than the general ones.
        own = [name for name in next(iter(methods.values())) if name.partition("[")[0] not in RESTORATION]
        entries = {name: row[name] for row in methods.values() for name in own[:3] or ["ssim", "nrmse"] if name in row}
        further = list(entries)  # what is defined for no item, as the NRMSE of black pictures, has no column
        for heading in ("PSNR dB", "95 % interval", *(_heading(name, entries[name]) for name in further)):
            table.add_column(heading, justify="right")
        best = max(methods, key=lambda method: methods[method]["psnr"]["mean"])
        for method, row in methods.items():
            low, high = row["psnr"]["ci95"]
            table.add_row(
                escape(method),
                f"{row['psnr']['mean']:.2f}",
                f"{low:.2f} to {high:.2f}",
                *(_number(row[name]) if name in row else "" for name in further),
                style="bold green" if method == best else "",
            )
        _print(f"{condition}  (n = {n})", table)

    methods = metrics.get("generation", {})
    if methods and not any(name.partition("[")[0] in SHOWN for by in methods.values() for name in by):
        notes = "; ".join(metrics.get("generation_notes", []))  # no table, and no word would look like no result
        console(stderr=True).print(f"drawn signals: {notes}", markup=False, highlight=False)
    for extractor in dict.fromkeys(name.partition("[")[2] for by in methods.values() for name in by):
        columns = [
            f"{name}[{extractor}" for name in SHOWN if any(f"{name}[{extractor}" in by for by in methods.values())
        ]
        if not columns:  # a domain's own measures: they stand in the report
            continue
        table = Table(box=None, header_style="bold")
        table.add_column("method")
        for column in columns:
            table.add_column(column.partition("[")[0], justify="right")
        for method, by in methods.items():
            table.add_row(escape(method), *(_number(by[column]) if column in by else "" for column in columns))
        _print(f"drawn signals, by {extractor[:-1]}", table)
    skipped = metrics.get("data", {}).get("skipped", [])
    if skipped:
        named = ", ".join(item["name"] for item in skipped[:3]) + (", ..." if len(skipped) > 3 else "")
        console(stderr=True).print(
            f"[yellow]skipped {len(skipped)} corrupt sources:[/] {escape(named)}", highlight=False
        )


def _print(title: str, table: Table) -> None:
    """A table below its title, which rich would wrap where the table ends."""
    shown = console()
    shown.print(title, style="table.title", markup=False, highlight=False)
    shown.print(table)


def _heading(name: str, entry: Mapping[str, Any]) -> str:
    """A measure's name and its unit, where it has one."""
    from rich.markup import escape

    title = TITLES.get(name, name)
    return escape(title if entry["unit"] in NONE else f"{title} {entry['unit']}")


def _number(entry: Mapping[str, Any]) -> str:
    """Three decimals, or three significant digits where these would be fewer: what is in volts or metres may be small."""
    value, least = entry["mean"], 0.01 if entry["unit"] in NONE else 0.1
    return f"{value:.3f}" if value == 0 or abs(value) >= least else f"{value:#.3g}"
