"""`hdvila-pipeline export`: a finished data set in the forms that others read, also on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # heavy to import
    from pipeline.dataset.hub_folder import Choice
    from pipeline.engine.store.store import Store


class Format(StrEnum):
    """The format to write."""

    HDVILA = "hdvila"
    WEBDATASET = "webdataset"
    HF = "hf"


def export(
    url: Annotated[str, typer.Argument(help="The data set: a folder or an s3:// url.", metavar="DIR")],
    out: Annotated[str, typer.Option(help="Where to write the export: a folder or an s3:// url.")],
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="hdvila (default): ids, spans and texts as HD-VILA-100M was released; webdataset: the data set for "
            "readers that know no offset; hf: a folder for load_dataset and the Hugging Face hub.",
        ),
    ] = None,
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact/--as-is",
            help="Clips that start at frame 0, re-encoded (default), or as they are, from the keyframe before.",
        ),
    ] = None,
    media: Annotated[bool, typer.Option("--media", help="hf: the clips too, not only ids, spans and texts.")] = False,
    licences: Annotated[
        list[str] | None,
        typer.Option("--licence", metavar="WORD", help="hf: only clips whose licence contains it; may be repeated."),
    ] = None,
) -> None:
    """Writes ids, spans and texts, or the clips for readers of others."""
    from manifests.errors import UserError
    from pipeline.dataset.hub_folder import Choice
    from pipeline.engine.store.store import Store
    from pipeline.outdir.identity import open_directory

    form = format_ or (Format.HDVILA if exact is None else Format.WEBDATASET)
    if form is not Format.HF and (media or licences):
        raise UserError("--media and --licence are for --format hf")
    if exact is not None and (form is Format.HDVILA or (form is Format.HF and not media)):
        raise UserError("--exact and --as-is are for clips; this export has none: give --format webdataset, or --media")
    source, store = open_directory(url), Store(out)
    if form is Format.HF:
        _hf(source, store, Choice(media, exact is not False, tuple(licences or ())))
    elif form is Format.WEBDATASET:
        _webdataset(source, store, exact=exact is not False)
    else:
        _hdvila(source, store)


def _hdvila(source: Store, out: Store) -> None:
    from pipeline.dataset.export import CLIPS_NAME, TEXTS_NAME, export_hdvila

    done = export_hdvila(source, out)
    print(f"{out.url}: {done.n_clips} clips of {done.n_videos} videos in {CLIPS_NAME} and {TEXTS_NAME}")
    print("a new run reads them: crawl.sources: [lists], crawl.lists: {files: [...], texts: [...]}")


def _webdataset(source: Store, out: Store, *, exact: bool) -> None:
    from manifests.shards import read_manifest
    from pipeline.dataset.export import export_clips

    if exact:
        head = read_manifest(source.url, **dict(source.options)).head
        _say_hours(head, head["totals"]["hours"])
    totals = export_clips(source, out, exact=exact).head["totals"]
    how = "each clip starts at frame 0" if exact else "the clips as they are"
    print(f"{out.url}: {totals['samples']} samples in {totals['shards']} shards, {how}")


def _say_hours(head: Mapping[str, Any], hours: float) -> None:
    """Says before the work what it costs."""
    from pipeline.dataset.exact import CPU_H_AN_HOUR
    from pipeline.shards.card import cut_mode

    if cut_mode(head) != "exact":
        print(
            f"{hours:.2f} hours of clips are encoded again, so that each starts with its sentence: about "
            f"{hours * CPU_H_AN_HOUR:.2f} hours of a processor; --as-is copies them",
            flush=True,
        )


def _hf(source: Store, out: Store, choice: Choice) -> None:
    from manifests.shards import read_manifest
    from pipeline.dataset.hub_folder import contents_of, facts_of, is_written, write_hub_folder
    from pipeline.outdir.tombstones import read_tombstones, refuse_while_under_way

    refuse_while_under_way(source, read_tombstones(source))
    manifest = read_manifest(source.url, **dict(source.options))
    contents = contents_of(source, manifest, choice)
    facts = facts_of(manifest, contents, choice)
    if not is_written(out, facts):
        if choice.media and choice.exact:
            _say_hours(manifest.head, contents.hours)
        write_hub_folder(source, manifest, out, contents, choice)
    what = "clips" if choice.media else "ids, spans and texts, no media"
    print(f"{out.url}: {facts['n_clips']} clips of {facts['n_videos']} videos ({what}); load_dataset reads the folder")
