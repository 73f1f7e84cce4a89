"""`hdvila-pipeline identity`: pauses an identity of a run by name, or lets it continue."""

from typing import Annotated, Literal

import typer


def identity(
    action: Annotated[Literal["pause", "resume"], typer.Argument(help="What to do.")],
    name: Annotated[str, typer.Argument(help="A name from crawl.identities; `status` shows them.")],
    url: Annotated[str, typer.Argument(help="The output directory: a folder or a url.", metavar="DIR")],
) -> None:
    """Pauses one identity of a crawl, or lets it continue; the others carry on. A live run obeys within seconds."""
    from manifests.errors import UserError
    from pipeline.outdir.identity import open_directory_of_a_run
    from pipeline.site.pauses import pause_by_hand, read_state

    store = open_directory_of_a_run(url)
    known = [identity["name"] for identity in read_state(store).get("identities", [])]
    if name not in known:
        choice = f"choose from: {', '.join(known)}" if known else "none has asked a site yet"
        raise UserError(f"{url}: no identity is called {name}; {choice}")
    pause_by_hand(store, name, paused=action == "pause")
    print(f"identity {name} {'paused' if action == 'pause' else 'resumed'}")
