"""`hdvila-pipeline status`: where a run stands, also while it is running."""

from typing import Annotated

import typer


def status(
    url: Annotated[str, typer.Argument(help="The output directory: a folder or a url.", metavar="DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    tables: Annotated[
        bool, typer.Option("--tables", help="Also read every table; slow with a million videos.")
    ] = False,
    n_sources: Annotated[int, typer.Option("--sources", help="How many sources to show, best yield first.")] = 10,
) -> None:
    """Shows how a run is doing; with --tables also rows, rejects, categories, the yield of each source, identities."""
    import json
    import time
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from manifests.errors import UserError
    from manifests.live import STATUS_NAME
    from pipeline.engine.desk import read_run_status
    from pipeline.engine.store import Store
    from pipeline.report.live import print_identities, print_run
    from pipeline.report.status import read_status
    from pipeline.site.pauses import read_state

    store = Store(url)
    if not store.exists(STATUS_NAME) and not store.stages():
        raise UserError(f"{url}: holds no run; give the `out` of a run")
    run_status = read_run_status(store)
    found = read_status(store) if tables or run_status is None else None
    if as_json:
        facts = {"run": run_status.model_dump() if run_status else None} | (asdict(found) if found else {})
        print(json.dumps(facts, indent=1))
        return
    console = Console()
    if run_status is not None:
        print_run(run_status, console, time.time())
    print_identities(read_state(store), console)
    if found is None:
        return
    console.print(", ".join(f"{n} {table}" for table, n in found.rows.items()), highlight=False)
    rejects = Table("stage", "reason", "videos or clips", box=None)
    for stage, counts in found.rejects.items():
        for reason, n in counts.items():
            rejects.add_row(stage, reason, str(n))
    console.print(rejects)
    if found.waiting:
        console.print(f"{found.waiting} were refused temporarily; the first is tried again after {found.next_try_at}")
    categories = Table("category", "videos", "planned clips", "hours", "quota", "crawl", box=None)
    for row in found.categories:
        numbers = str(row["videos"]), str(row["clips"]), f"{row['hours']:.2f}", f"{row['quota']:.1f}"
        categories.add_row(row["name"], *numbers, f"{row['state']} {row['why']}".strip())
    console.print(categories)
    sources = Table("source", "query", "listed", "kept", "", box=None)
    for source in found.sources[:n_sources]:
        end = source["reason"] or ("at its end" if source["exhausted"] else "")
        sources.add_row(source["source"], source["query"], str(source["listed"]), str(source["kept"]), end)
    console.print(sources)
    if found.pace:
        console.print(found.pace, highlight=False)
