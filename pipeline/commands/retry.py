"""`hdvila-pipeline retry`: tries rejected videos again, by reason."""

from typing import Annotated

import typer


def retry(
    url: Annotated[str, typer.Argument(help="The output directory: a folder or a url.", metavar="DIR")],
    reason: Annotated[list[str], typer.Option("--reason", help="A reason code; may be given several times.")],
    stage: Annotated[str, typer.Option(help="Only rejects of this stage (extract, media …).")] = "",
) -> None:
    """Tries again what was rejected for a given reason: the next `run` asks for these videos and no others."""
    from manifests.errors import UserError
    from manifests.exits import NothingMatched
    from manifests.reasons import Reason
    from pipeline.outdir.identity import open_directory
    from pipeline.outdir.retries import request_retries

    known = {reason.value for reason in Reason}
    if odd := sorted(r for r in set(reason) - known if "." not in r):  # PACKAGE.WORD: a step of another package
        raise UserError(f"--reason {odd[0]}: no such reason; `hdvila-pipeline status DIR` shows the ones that occurred")
    made = request_retries(open_directory(url), reason, stage)
    if not made:
        where = f" of stage {stage}" if stage else ""
        raise NothingMatched(
            f"{url}: no video{where} was rejected for {', '.join(reason)}, or all have been tried again"
        )
    for name, n_videos in made.items():
        print(f"{name}: {n_videos} videos")
    print("The next `hdvila-pipeline run` takes them up.")
