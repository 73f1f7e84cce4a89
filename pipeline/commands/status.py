"""`hdvila-pipeline status`: the state of a run, also while it is running."""

from typing import Annotated

import typer


def status(
    url: Annotated[str, typer.Argument(help="The output directory: a folder or a url.", metavar="DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON; `version` says its form.")] = False,
    tables: Annotated[
        bool, typer.Option("--tables", help="Also read every table; slow with a million videos.")
    ] = False,
    n_sources: Annotated[int, typer.Option("--sources", help="How many sources to show, best yield first.")] = 10,
) -> None:
    """Shows what there is and how a run does; with --tables also rows, rejects, categories, sources and identities."""
    import json
    import time
    from dataclasses import asdict

    from rich.console import Console

    from manifests.run_status import VERSION
    from manifests.shards import MANIFEST_NAME
    from pipeline.engine.run.status_files import read_run_status
    from pipeline.outdir.due import read_due
    from pipeline.outdir.identity import open_directory_of_a_run
    from pipeline.report.run_lines import print_identities, print_run, print_tables, result_line
    from pipeline.report.status import read_status
    from pipeline.site.pauses import read_state

    store = open_directory_of_a_run(url)
    run_status = read_run_status(store)
    from_tables = read_status(store) if tables or run_status is None else None
    if as_json:
        facts = {"version": VERSION, "run": run_status.model_dump() if run_status else None}
        facts |= asdict(from_tables) if from_tables else {}
        print(json.dumps(facts, indent=1))
        return
    console, now = Console(), time.time()
    head = store.read_json(MANIFEST_NAME) if store.exists(MANIFEST_NAME) else {}
    console.print(result_line(head, run_status, now), highlight=False, markup=False, soft_wrap=True)
    if run_status is not None:
        print_run(run_status, console, now)
    print_identities(read_state(store), console, is_over=run_status is not None and run_status.state == "ended")
    for line in read_due(store).lines():
        console.print(line, style="bold", markup=False)
    if from_tables is None:
        return
    print_tables(from_tables, console, n_sources)
