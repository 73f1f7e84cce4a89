"""`hdvila-pipeline recheck`: which videos of a data set are gone at the site."""

from pathlib import Path
from typing import Annotated

import typer


def recheck(
    file: Annotated[Path, typer.Argument(help="The run's YAML: it names the data set, and who may ask the site.")],
    sample: Annotated[int, typer.Option(min=0, help="Ask for this many videos, drawn by the seed; 0: for all.")] = 0,
    seed: Annotated[int, typer.Option(help="Another seed draws others.")] = 0,
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set a.b=c.")] = [],  # noqa: B006
    trust_ydl_opts: Annotated[
        bool, typer.Option("--trust-ydl-opts", help="Allow every yt-dlp option: some can run programs on this machine.")
    ] = False,
) -> None:
    """Asks the site for the videos in finished shards, at the crawl's rates, and lists those that are gone there."""
    from manifests.exits import ExitCode
    from manifests.settings import load_config
    from pipeline.config import RunConfig
    from pipeline.config.ydl_opts import TRUST
    from pipeline.dataset.recheck import recheck as look_at_videos
    from pipeline.engine.work.executor import SharedHere
    from pipeline.run.session import open_store
    from pipeline.site.kept_sessions import check_identities
    from pipeline.site.politeness import BuildPoliteness

    config = load_config(RunConfig, file, set_, context={TRUST: trust_ydl_opts})
    check_identities(config.crawl)
    store = open_store(config)
    polite = SharedHere(BuildPoliteness(config.crawl, store, config.seed)())
    found = look_at_videos(store, config.crawl, polite, n_videos=sample, seed=seed)
    print(f"{store.url}: {found.n_videos} videos of the site; {found.n_there} are there, {len(found.gone)} gone")
    for reason, n in found.open.most_common():
        print(f"no verdict on {n}: {reason}")
    if found.path:
        print(f"to take them out: hdvila-pipeline remove {store.url} --ids {found.path}")
    if n_doubted := sum(map(len, found.doubted.values())):
        print(f"{n_doubted} more are said to be gone, but who asked was shown no video since: it may be blocked")
        raise typer.Exit(ExitCode.INCOMPLETE)
