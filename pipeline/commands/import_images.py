"""`hdvila-pipeline import-images`: published captions and their pictures as a data set of image-text pairs."""

from pathlib import Path
from typing import Annotated

import typer


def import_images(
    captions: Annotated[list[Path], typer.Argument(help="Annotation files.", metavar="CAPTIONS...")],
    pictures: Annotated[Path, typer.Option(help="Where the pictures are: a folder or a .zip archive.")],
    out: Annotated[str, typer.Option(help="Where to write the data set: a folder or an s3:// url.")],
    kind: Annotated[
        str,
        typer.Option("--format", help="coco, soho, vg, flickr or vqa; by default, recognised by content."),
    ] = "",
    split: Annotated[str, typer.Option(help="Put everything into this split (train, val …).")] = "",
    val: Annotated[
        float, typer.Option(help="Without --split: share of pictures held out as val.", min=0, max=0.99)
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed for the order and for drawing the splits.")] = 0,
    max_side: Annotated[
        int,
        typer.Option(help="Longest side of a picture, in pixels; larger ones are scaled down; 0: as they are.", min=0),
    ] = 0,
    shard_samples: Annotated[int, typer.Option(help="Largest number of pictures in a shard.", min=1)] = 1000,
    name: Annotated[str, typer.Option(help="Name of the data set.")] = "images",
    licence: Annotated[str, typer.Option(help="Licence of pictures whose source names none.")] = "",
    answer_floor: Annotated[
        int, typer.Option(help="VQA: how often an answer must be the most common one to become a class.", min=1)
    ] = 9,
) -> None:
    """Writes shards from COCO captions, SOHO's lists, Visual Genome's regions or Flickr token files. From VQA 2.0
    each question becomes a sample, and answers.json lists the answers that are classes.

    Each picture becomes `KEY.jpg KEY.txt KEY.json`; what cannot be used is counted by reason and listed in the
    shards' rows. The manifest has `kind: image`.
    """
    from typing import get_args

    from manifests.errors import UserError
    from pipeline.engine.store.store import Store
    from pipeline.images.annotations import Format
    from pipeline.images.importer import ImportSettings
    from pipeline.images.importer import import_images as run

    if kind and kind not in get_args(Format):
        raise UserError(f"--format {kind}: is not one of {', '.join(get_args(Format))}")
    shape = (max_side, shard_samples)
    settings = ImportSettings(kind or None, split, val, seed, *shape, name, licence, answer_floor)  # type: ignore[arg-type]
    done = run(captions, pictures, Store(out), settings)
    totals = done.manifest.head["totals"]
    print(f"{out}: {done.n_pictures} pictures with {done.n_captions} captions in {totals['shards']} shards")
    for reason, n in sorted(done.rejected.items()):
        print(f"  rejected: {n} {reason}")
