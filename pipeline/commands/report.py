"""`hdvila-pipeline report`: the audit page of an output directory."""

from typing import Annotated

import typer


def report(
    out: Annotated[str, typer.Argument(help="The output directory: a folder or an s3:// url.", metavar="DIR")],
) -> None:
    """Writes report/index.html anew from the tables alone: balance, funnel, distributions, samples."""
    from pipeline.engine.store import Store
    from pipeline.report.page import write_report

    print(f"{out.rstrip('/')}/{write_report(Store(out))}")
