"""`hdvila-pipeline doctor`: what this machine lacks for a real crawl."""

from pathlib import Path
from typing import Annotated

import typer

from manifests.exits import ExitCode


def doctor(
    file: Annotated[
        Path | None, typer.Argument(help="The run's YAML, to check its proxies, cookies and bucket.")
    ] = None,
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set a.b=c.")] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Make no network requests.")] = False,
    canary: Annotated[str, typer.Option(help="A video id to extract, as a check that all parts work together.")] = "",
    trust_ydl_opts: Annotated[
        bool, typer.Option("--trust-ydl-opts", help="Allow every yt-dlp option: some can run programs on this machine.")
    ] = False,
) -> None:
    """Says what this machine lacks for a run and how to fix it: ffmpeg, yt-dlp, cookies, proxies, disk, Ray, bucket."""
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from manifests.settings import load_config
    from pipeline.config import RunConfig
    from pipeline.config.ydl_opts import TRUST
    from pipeline.run.doctor import examine
    from pipeline.run.site_checks import FAIL

    has_out = file is not None or any(override.startswith("out=") for override in set_)
    config = load_config(RunConfig, file, set_ if has_out else ["out=unused", *set_], context={TRUST: trust_ydl_opts})
    findings = list(examine(config, output=has_out, online=not offline, canary=canary))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        table = Table("", Column("what", no_wrap=True), "found", box=None)
        for finding in findings:
            found = f"{finding.found}\n→ {finding.cure}" if finding.cure else finding.found
            table.add_row(Text(finding.state, style=colours[finding.state]), finding.name, Text(found))
        Console().print(table)
    raise typer.Exit(ExitCode.INCOMPLETE if any(finding.state == FAIL for finding in findings) else ExitCode.OK)
