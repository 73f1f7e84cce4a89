"""`hdvila-train embed MODEL MANIFEST`: what a model makes of every sample, and how well its sentence fits it."""

from typing import Annotated

import typer


def embed(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A run's folder or address, one of its checkpoints/step-*, or an export, with towers."
        ),
    ],
    manifest: Annotated[str, typer.Argument(help="A data set's manifest.json or folder: a path or a url.")],
    out: Annotated[
        str, typer.Option("--out", help="Folder or address of the tables; '': embeddings/MODEL beside the manifest.")
    ] = "",
    best: Annotated[
        bool, typer.Option("--best", help="Use the best checkpoint by validation, not the newest.")
    ] = False,
    batch: Annotated[int, typer.Option(help="Samples that the model takes at once.", min=1)] = 16,
    sentences: Annotated[
        int, typer.Option(help="Sentences of other videos that a clip's own is compared with.", min=1)
    ] = 128,
    workers: Annotated[int, typer.Option(help="Processes that decode for this one; 0: itself.", min=0)] = 0,
) -> None:
    """Embeds every sample of a data set, video and text, and scores how well the two match.

    Under torchrun, ranks share the shards out. The same command goes on after a kill: tables that are there are left as
    they are. Their scores are columns for data.where (data.scores).
    """
    from manifests.embeddings import EMBEDDINGS, Head
    from manifests.files import Files
    from manifests.shards import read_manifest
    from train.distributed import process_from_environment
    from train.evaluation.embed import embed_all, sha256_of_model
    from train.exports.inference import load_checkpoint
    from train.loop.bucket import at_hand

    process = process_from_environment()
    encoder = load_checkpoint(at_hand(target, best=best), best=best, device=process.device)
    data = read_manifest(manifest)
    head = Head(sha256_of_model(encoder), data.sha256, encoder.model.config.width, batch, sentences)
    files = Files(out or f"{data.root}/{EMBEDDINGS}/{head.model[:12]}")
    done = embed_all(encoder, data, files, head, process=process, n_workers=workers)
    typer.echo(f"{files.url}\n{done.describe()}")
