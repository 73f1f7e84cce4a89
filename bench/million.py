"""How fast and how truly browse's index finds the ten nearest of a million clips, beside comparing all.

    python -m bench.million MANIFEST EMBEDDINGS… [--clips 1000000]

EMBEDDINGS are folders of `hdvila-train embed`, of one data set; those of several models are set side by side, as one
wider embedding. The clips are grown to a million: each is drawn from the normal distribution around one of them that
its 16 nearest spread. Queries are the data set's sentences, one at a time, on one thread; times are CPU time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from manifests.embeddings import Scores
from manifests.shards import read_manifest
from pipeline.browse.meaning import N_PROBED, index_for

Floats = npt.NDArray[np.float32]
N_NEAR, N_FOUND, N_TIMED = 16, 10, 50
PROBED = (8, N_PROBED, 128)


def unit(rows: Floats) -> Floats:
    """Rows of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def embeddings(manifest: str, folders: list[str]) -> tuple[Floats, Floats]:
    """(clips, sentences that differ), [n, D] each."""
    data, tables = read_manifest(manifest), [Scores(folder) for folder in folders]
    parts = [[table.embedded(shard) for table in tables] for shard in data.shards if shard.nsamples]
    assert all(other.rows["key"].equals(first.rows["key"]) for first, *others in parts for other in others)
    clips, texts = (
        unit(np.concatenate([np.hstack([getattr(one, name) for one in part]).astype(np.float32) for part in parts]))
        for name in ("video", "text")
    )
    return clips, np.unique(texts.round(5), axis=0)


def grown(clips: Floats, n: int) -> Floats:
    """n clips that are spread as these, [n, D]."""
    dice = np.random.default_rng(0)
    near = np.argsort(-clips @ clips.T, axis=1)[:, 1 : N_NEAR + 1]
    made = np.empty((n, clips.shape[1]), np.float32)
    for k, rows in enumerate(np.array_split(np.arange(n), len(clips))):
        steps = dice.standard_normal((len(rows), N_NEAR), np.float32) / N_NEAR**0.5
        made[rows] = unit(clips[k] + steps @ (clips[near[k]] - clips[k]))
    return made[dice.permutation(n)]


def timed(index: Any, queries: Floats) -> tuple[npt.NDArray[np.int64], float]:
    """(the numbers of the nearest of each, [n, 10]; CPU ms a query)."""
    begin = time.process_time()
    found = np.concatenate([index.search(query[None], N_FOUND)[1] for query in queries])
    return found, 1000 * (time.process_time() - begin) / len(queries)


def built(index: Any, made: Floats, drawn: Floats) -> tuple[float, float]:
    """Trains and fills an index; returns (CPU seconds, MB in a file)."""
    begin = time.process_time()
    index.train(drawn)
    index.add(made)
    spent = time.process_time() - begin
    with tempfile.NamedTemporaryFile() as file:
        faiss.write_index(index, file.name)
        return spent, Path(file.name).stat().st_size / 1e6


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    parser.add_argument("embeddings", nargs="+")
    parser.add_argument("--clips", type=int, default=1_000_000)
    given = parser.parse_args()
    faiss.omp_set_num_threads(1)
    clips, queries = embeddings(given.manifest, given.embeddings)
    made, queries = grown(clips, given.clips), np.random.default_rng(0).permutation(queries)[:N_TIMED]
    width = made.shape[1]
    print(f"{len(made)} clips grown from {len(clips)}, {width} wide; {len(queries)} sentences")
    print("| index | recall@10 | CPU ms a query | CPU s to build | MB |\n" + "|---" * 5 + "|")
    true: npt.NDArray[np.int64] | None = None
    exact: dict[str, Callable[[], Any]] = {
        "all, fp32": lambda: faiss.IndexFlatIP(width),
        "all, fp16": lambda: faiss.index_factory(width, "SQfp16", faiss.METRIC_INNER_PRODUCT),
    }
    for name, make in {**exact, "browse's": lambda: index_for(width, len(made))[0]}.items():
        index = make()
        drawn = made[: int(len(made) * index_for(width, len(made))[1])]
        spent, size = built(index, made, drawn)
        for n_probed in PROBED if name == "browse's" else (0,):
            if n_probed:
                faiss.extract_index_ivf(index).nprobe = n_probed
            found, ms = timed(index, queries)
            true = found if true is None else true
            hits = np.mean([len(set(a) & set(b)) / N_FOUND for a, b in zip(found, true, strict=True)])
            cells = [f"{name}, {n_probed} cells" if n_probed else name, f"{hits:.3f}", f"{ms:.2f}"]
            print(f"| {' | '.join([*cells, f'{spent:.0f}', f'{size:.0f}'])} |", flush=True)


if __name__ == "__main__":
    main()
