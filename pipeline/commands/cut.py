"""`hdvila-pipeline cut`: clips out of any local video by any spans, with the pipeline's own code and members."""

from pathlib import Path
from typing import Annotated

import typer

from manifests.exits import ExitCode


def cut(
    video: Annotated[Path, typer.Argument(help="A local video file.")],
    spans: Annotated[Path, typer.Option(help="JSON lines, one per clip: start_ms, end_ms and text.")],
    out: Annotated[Path, typer.Option(help="Folder for the clips; created if missing.")],
    mode: Annotated[str, typer.Option(help="remux or exact (cut.mode of the configuration).")] = "",
    video_id: Annotated[str, typer.Option("--id", help="Name for the clips; by default, the name of the file.")] = "",
    config: Annotated[Path | None, typer.Option(help="A run's YAML; only its `media` section is used.")] = None,
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set media.members.proxy=false.")] = [],  # noqa: B006
    only_clips: Annotated[
        bool, typer.Option("--only-clips", help="Just cut: no members, scenes or checks; damage stays unseen.")
    ] = False,
    any_size: Annotated[bool, typer.Option("--any-size", help="Accept videos below 720p too.")] = False,
) -> None:
    """Cuts a local video by given spans: KEY.mp4, KEY.txt, KEY.json … for each, clips.jsonl with all that were tried.

    No crawl, no Ray: one process. A file that crashes a decoder ends it; finished clips appear only at the end.
    """
    from pipeline.media.cut_files import ONLY_CLIPS, cut_files, media_config

    given = [*(ONLY_CLIPS if only_clips else ()), *(["media.cut.min_short_side=0"] if any_size else [])]
    given += [f"media.cut.mode={mode}"] if mode else []
    media = media_config(config, [*given, *set_])
    done = cut_files(video, spans, out, video_id=video_id, config=media)
    unseen = "; they were not decoded, so damage in them is unseen" if only_clips and media.cut.mode != "exact" else ""
    typer.echo(f"{done.n_made} of {done.n_made + len(done.failed)} clips in {out}{unseen}")
    for row in done.failed:
        typer.echo(f"  {row['key']}: {row['reason']}: {row['error_message']}")
    if done.failed:
        raise typer.Exit(ExitCode.INCOMPLETE)
