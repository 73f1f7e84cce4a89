"""`hdvila-pipeline status`: where a run stands, also while it is running."""

from typing import Annotated

import typer


def status(
    url: Annotated[str, typer.Argument(help="The output directory: a folder or a url.", metavar="DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    n_sources: Annotated[int, typer.Option("--sources", help="How many sources to show, best yield first.")] = 10,
) -> None:
    """Shows rows, rejects by reason, categories, the yield of sources, and which identities are paused and why."""
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from manifests.errors import UserError
    from pipeline.engine.store import Store
    from pipeline.report.status import read_status
    from pipeline.site.politeness import describe

    store = Store(url)
    if not store.folders("commits"):
        raise UserError(f"{url}: holds no run; give the `out` of a run")
    found = read_status(store)
    if as_json:
        print(json.dumps(asdict(found), indent=1))
        return
    console = Console()
    console.print(", ".join(f"{n} {table}" for table, n in found.rows.items()), highlight=False)
    rejects = Table("stage", "reason", "videos or clips", box=None)
    for stage, counts in found.rejects.items():
        for reason, n in counts.items():
            rejects.add_row(stage, reason, str(n))
    console.print(rejects)
    if found.waiting:
        console.print(f"{found.waiting} were refused for now; the first is tried again after {found.next_try_at}")
    categories = Table("category", "videos", "planned clips", "hours", "quota", "crawl", box=None)
    for row in found.categories:
        numbers = str(row["videos"]), str(row["clips"]), f"{row['hours']:.2f}", f"{row['quota']:.1f}"
        categories.add_row(row["name"], *numbers, f"{row['state']} {row['why']}".strip())
    console.print(categories)
    sources = Table("source", "query", "listed", "kept", "", box=None)
    for row in found.sources[:n_sources]:
        end = row["reason"] or ("at its end" if row["exhausted"] else "")
        sources.add_row(row["source"], row["query"], str(row["listed"]), str(row["kept"]), end)
    console.print(sources)
    console.print(describe({"identities": found.identities}) or "no identity is paused")
