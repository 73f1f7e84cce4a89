"""`hdvila-pipeline report`: the audit page of an output directory, or two data sets side by side."""

from typing import Annotated

import typer


def report(
    urls: Annotated[
        list[str] | None, typer.Argument(help="The output directory, a folder or an s3:// url.", metavar="DIR...")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed for the samples and examples: another seed shows others.")] = 0,
    compare: Annotated[
        bool, typer.Option("--compare", help="Print the numbers of two data sets side by side: --compare A B.")
    ] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of report/report.json.")] = False,
) -> None:
    """Writes report/index.html and report.json again from the tables alone: balance, funnel, distributions, samples."""
    import json

    from manifests.audit import Audit
    from manifests.errors import UserError
    from pipeline.outdir.identity import open_directory
    from pipeline.report.page import write_report

    if schema:
        print(json.dumps(Audit.model_json_schema(), indent=2))
        return
    urls = urls or []
    if len(urls) != 1 + compare:
        raise UserError("report: name one output directory, or two with --compare")
    if compare:
        _compare(*urls)
        return
    print(f"{urls[0].rstrip('/')}/{write_report(open_directory(urls[0]), seed)}")


def _compare(a: str, b: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipeline.outdir.identity import open_directory
    from pipeline.report.audit import compare, read_audit

    lines = compare(read_audit(open_directory(a)), read_audit(open_directory(b)))
    table = Table("", "A", "B", "B - A", box=None, title=f"A: {a}  B: {b}", title_justify="left")
    for what, *numbers in lines:
        table.add_row(what, *numbers)
    Console(highlight=False, markup=False).print(table)
