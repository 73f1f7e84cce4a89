"""`hdvila-pipeline show`: one thing of a run, or a caption file, rendered for reading or printed for a script."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from manifests.errors import UserError
from manifests.exits import NothingMatched, epilog

if TYPE_CHECKING:
    from pipeline.config.text import TextConfig
    from pipeline.text.captions import Track

show_app = typer.Typer(no_args_is_help=True, help="Shows a transcript: words, sentences, clips, what was filtered.")


@show_app.callback()
def show() -> None:
    """Shows one thing."""


@show_app.command("transcript", epilog=epilog("hdvila-pipeline", "show"))
def transcript(
    what: Annotated[str, typer.Argument(metavar="FILE_OR_VIDEO", help="A caption file, or a video's id with --out.")],
    out: Annotated[str, typer.Option("--out", help="Output directory of a run, for a video's id.")] = "",
    audio_track: Annotated[
        Path | None,
        typer.Option("--audio-track", help="A word-timed track of the same speech, to take word times from."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print words, events, sentences and clips as JSON.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="A run's configuration; without it, the defaults.")
    ] = None,
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set text.clips.target_s=9.")] = [],  # noqa: B006
    format_: Annotated[str, typer.Option("--format", help="Format of the file, if its content does not tell.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="manual or auto, if known.")] = "",
) -> None:
    """Shows a caption track: words on the time line, sentence and clip boundaries, what was filtered and why."""
    from pipeline.text import shown_transcript as transcripts

    settings = _text_config(config, set_)
    track = _load(what, out, format_, kind)
    stamped = _from_file(audio_track, "", "auto") if audio_track is not None else None
    shown = transcripts.shown_transcript(track, settings, stamped)
    if as_json:
        print(json.dumps(transcripts.as_json(shown), ensure_ascii=False, indent=1))
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        for style, line in transcripts.terminal_lines(shown):
            console.print(Text(transcripts.printable(line), style=style), soft_wrap=True)


def _text_config(path: Path | None, overrides: list[str]) -> "TextConfig":
    """The text section of a run's configuration, or the defaults; overrides may omit the prefix `text.`."""
    from manifests.settings import Section, load_config
    from pipeline.config.text import TextConfig

    if path is not None:
        from pipeline.config import RunConfig

        return load_config(RunConfig, path, overrides).text

    class OnlyText(Section):
        """The configuration of a run reduced to its text section."""

        text: TextConfig = TextConfig()

    return load_config(OnlyText, None, overrides).text


def _load(what: str, out: str, format_: str, kind: str) -> "Track":
    """Loads the track of a file, or of a video in an output directory."""
    path = Path(what)
    if path.is_file():
        return _from_file(path, format_, kind)
    if not out:
        raise UserError(f"{what}: no such file; for a video of a run, name its output directory with --out")
    return _from_run(what, out)


def _from_file(path: Path, format_: str, kind: str) -> "Track":
    from pipeline.text.captions import BrokenTrack, read_track

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return read_track(data, format=format_ or path.suffix.lstrip(".").lower(), kind=kind)
    except BrokenTrack as error:
        raise UserError(f"{path}: {error.reason.value}: {error.detail}") from None


def _from_run(video_id: str, out: str) -> "Track":
    import pyarrow.compute as pc

    from pipeline.outdir.identity import open_directory
    from pipeline.text.clips import track_of_row

    table = open_directory(out).read_table("transcripts")
    rows = table.filter(pc.equal(table.column("video_id"), video_id)).to_pylist()
    if not rows:
        raise NothingMatched(
            f"{video_id}: no transcript in {out}; `hdvila-pipeline why {video_id} --out {out}` may say why"
        )
    return track_of_row(rows[0])
