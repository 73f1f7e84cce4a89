"""`hdvila-pipeline reshard`: the same samples in shards of another size, or with another split."""

from typing import Annotated

import typer


def reshard(
    url: Annotated[str, typer.Argument(help="The data set: a folder or an s3:// url.", metavar="DIR")],
    out: Annotated[str, typer.Option(help="Where to write the new data set: a folder or an s3:// url.")],
    max_bytes: Annotated[int, typer.Option(help="Size that a shard should stay below, in bytes.", min=1)] = 512
    * 1024**2,
    max_samples: Annotated[int, typer.Option(help="Largest number of samples in a shard; 0: no limit.", min=0)] = 0,
    split_by: Annotated[
        str, typer.Option(help="Redraw splits by `channel` or `video`; without it each sample keeps its split.")
    ] = "",
    val: Annotated[float, typer.Option(help="With --split-by: share held out for validation.")] = 0.02,
    test: Annotated[float, typer.Option(help="With --split-by: share held out for testing.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed for spreading samples over shards and for drawing splits.")] = 0,
) -> None:
    """Copies a data set into shards of another size, or with other splits; samples stay the same byte for byte."""
    from manifests.settings import parse_config
    from pipeline.config.shards import ShardsConfig
    from pipeline.dataset.reshard import reshard as reshard_data_set
    from pipeline.engine.store.store import Store
    from pipeline.outdir.identity import open_directory

    split = {"by": split_by or "channel", "val": val, "test": test}
    tree = {"max_bytes": max_bytes, "max_samples": max_samples, "split": split}
    config = parse_config(ShardsConfig, tree, source="reshard")
    manifest = reshard_data_set(open_directory(url), Store(out), config, seed=seed, redraw=bool(split_by))
    totals = manifest.head["totals"]
    print(f"{out}: {totals['samples']} samples in {totals['shards']} shards, {totals['hours']:.2f} hours")
