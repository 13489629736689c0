"""Numbers on the terminal."""

from __future__ import annotations

from typing import Any

TITLES = {"ssim": "SSIM", "nrmse": "NRMSE"}
SHOWN = ("fid", "kid", "is", "precision", "recall", "f1", "density", "coverage")


def show(metrics: dict[str, Any]) -> None:
    """The restoration table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    from vaegan.metrics.restoration import RESTORATION

    for condition, methods in metrics.get("restoration", {}).items():
        n = next(iter(methods.values()))["psnr"]["n"]
        table = Table(title=f"{condition}  (n = {n})", title_justify="left", box=None, header_style="bold")
        table.add_column("method")
        # A domain's own measures say more of its signals than the general ones.
        own = [name for name in next(iter(methods.values())) if name.partition("[")[0] not in RESTORATION]
        further = own[:3] or ["ssim", "nrmse"]
        for heading in ("PSNR dB", "95 % interval", *(TITLES.get(name, name) for name in further)):
            table.add_column(heading, justify="right")
        best = max(methods, key=lambda method: methods[method]["psnr"]["mean"])
        for method, row in methods.items():
            low, high = row["psnr"]["ci95"]
            table.add_row(
                method,
                f"{row['psnr']['mean']:.2f}",
                f"{low:.2f} to {high:.2f}",
                *(f"{row[name]['mean']:.3f}" if name in row else "" for name in further),
                style="bold green" if method == best else "",
            )
        Console().print(table)

    methods = metrics.get("generation", {})
    for extractor in dict.fromkeys(name.partition("[")[2] for by in methods.values() for name in by):
        columns = [
            f"{name}[{extractor}" for name in SHOWN if any(f"{name}[{extractor}" in by for by in methods.values())
        ]
        if not columns:  # a domain's own measures: they stand in the report
            continue
        table = Table(title=f"drawn signals, by {extractor[:-1]}", title_justify="left", box=None, header_style="bold")
        table.add_column("method")
        for column in columns:
            table.add_column(column.partition("[")[0], justify="right")
        for method, by in methods.items():
            table.add_row(method, *(f"{by[column]['mean']:.3f}" if column in by else "" for column in columns))
        Console().print(table)
    skipped = metrics.get("data", {}).get("skipped", [])
    if skipped:
        named = ", ".join(item["name"] for item in skipped[:3]) + (", ..." if len(skipped) > 3 else "")
        Console(stderr=True).print(f"[yellow]skipped {len(skipped)} corrupt sources:[/] {named}", highlight=False)
