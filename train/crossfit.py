"""Scores every sample by a model that never saw its video: two models, each trained on half of the videos.

    OUT/half-0, OUT/half-1   their runs, as of `hdvila-train fit`
    OUT/by-0, OUT/by-1       what each makes of the half that it did not see, as of `hdvila-train embed`
    OUT/scores               the scores of both, for data.scores
    OUT/where.txt            which samples fit, as a data.where
    OUT/weight.txt           the probability that a sample fits, as a data.sample_weight
    OUT/crossfit.json        how that was found; written last

Each step goes on with what there is of it: a run from its newest checkpoint, embeddings with the next shard.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from manifests.embeddings import Head, put_head, read_embedded, table_bytes, table_name
from manifests.errors import UserError
from manifests.files import Files
from manifests.schema import EMBEDDED
from manifests.shards import read_manifest
from train.config import TrainConfig
from train.data.index import Index, load_index
from train.data.where import choose
from train.distributed import Process, gathered
from train.evaluation.embed import embed, sha256_of_model
from train.evaluation.mixture import Mixture, fit_mixture
from train.exports.inference import load_checkpoint
from train.loop.bucket import at_hand
from train.loop.fit import StopRequest, fit

WHERE, WEIGHT, RESULT = "where.txt", "weight.txt", "crossfit.json"


@dataclass(frozen=True, slots=True)
class Crossfit:
    """What came out. `where`: the samples that fit, for data.where with data.scores."""

    scores: str
    where: str
    n_samples: int
    n_kept: int
    mixture: Mixture

    def describe(self) -> str:
        """As lines, the last of which are the keys to set."""
        wrong, right = self.mixture.wrong, self.mixture.right
        found = f"{wrong.share:.1%} wrong around {wrong.mean:.2f}, {right.share:.1%} right around {right.mean:.2f}"
        if self.mixture.threshold is None:
            kept = f"these are not two kinds of pairs: all {self.n_samples} are kept"
        else:
            kept = f"{self.n_kept} of {self.n_samples} are kept"
        keys = f"--set data.scores={self.scores} --set data.where='{self.where}'"
        return f"log odds of the matches: {found}; {kept}\n{keys}"


def half(k: int, seed: int) -> str:
    """The videos of a half, as a condition on rows: equal on every machine, and even on average."""
    return f"md5('{seed}/' || regexp_replace(key, '_[^_]*$', '')) {'>=' if k else '<'} '8'"


def train_halves(config: TrainConfig, out: str, process: Process, stop: StopRequest) -> bool:
    """Trains both models; False if that was stopped on request. UserError if a run cannot be cross-fitted."""
    if config.data.videos:
        raise UserError("crossfit scores the samples of a data set: give data.manifest instead of data.videos")
    return all(fit(of_half(config, k, out), process, stop).status == "finished" for k in (0, 1))


def score_halves(config: TrainConfig, out: str, process: Process, *, batch: int, sentences: int) -> Crossfit:
    """Scores the samples of all splits by the model that did not see them, and finds the threshold on `data.split`."""
    options = config.data.storage_options
    manifest = read_manifest(config.data.manifest, **options)
    splits = dict.fromkeys(shard.split for shard in manifest.shards if shard.nsamples)
    indexes = {split: load_index(manifest, split, storage_options=options) for split in splits}
    torch.set_num_threads(1)  # with more, sums are rounded otherwise
    heads = [embed_half(config, k, out, indexes, process, batch, sentences) for k in (0, 1)]
    scores = join(indexes, [Files(f"{out}/by-{k}") for k in (0, 1)], heads, Files(f"{out}/scores"))
    index, rows = indexes[config.data.split], scores[config.data.split]
    rows = rows.filter(pa.array(choose(index, config.data).weights > 0))
    rows = rows.filter(pc.is_finite(rows["match"]))
    match = rows["match"].to_numpy().astype(np.float64)
    mixture = fit_mixture(match, rows["match_rank"].to_numpy())
    own, fits = config.data.where, "" if mixture.threshold is None else f"match > {mixture.threshold:.6g}"
    where = f"({own}) and {fits}" if own and fits else own or fits or "1 = 1"
    n_kept = len(match) if mixture.threshold is None else int((match > mixture.threshold).sum())
    found = Crossfit(f"{out}/scores", where, len(match), n_kept, mixture)
    if process.is_first:
        Files(out).write(WHERE, f"{where}\n".encode())
        Files(out).write(WEIGHT, f"{mixture.probability()}\n".encode())
        Files(out).write(RESULT, json.dumps(asdict(found), indent=1, sort_keys=True).encode() + b"\n")
    return found


def of_half(config: TrainConfig, k: int, out: str) -> TrainConfig:
    """The run of a half."""
    own = f"({config.data.where}) and " if config.data.where else ""
    data = config.data.model_copy(update={"where": own + half(k, config.seed)})
    return config.model_copy(update={"data": data, "out": f"{out}/half-{k}"})


def embed_half(
    config: TrainConfig, k: int, out: str, indexes: Mapping[str, Index], process: Process, batch: int, sentences: int
) -> Head:
    """Embeds the half that model k did not see; returns the head of its tables."""
    encoder = load_checkpoint(at_hand(f"{out}/half-{k}"), device=process.device)
    manifest = next(iter(indexes.values())).manifest
    head = Head(sha256_of_model(encoder), manifest.sha256, encoder.model.config.width, batch, sentences)
    unseen = config.data.model_copy(update={"where": half(1 - k, config.seed), "sample_weight": "", "scores": ""})
    parts = {split: _only(index, choose(index, unseen).weights > 0) for split, index in indexes.items()}
    options = config.data.storage_options
    n_workers = config.data.workers
    embed(encoder, parts, Files(f"{out}/by-{k}"), head, process=process, n_workers=n_workers, options=options)
    gathered(None, process)  # the others' tables are there too
    return head


def _only(index: Index, kept: npt.NDArray[np.bool_]) -> Index:
    return replace(index, columns=index.columns.take(np.flatnonzero(kept)))


def join(
    indexes: Mapping[str, Index], halves: Sequence[Files], heads: Sequence[Head], out: Files
) -> dict[str, pa.Table]:
    """Writes the tables of both halves as one, in the order of the shards; returns each split's, in the order of its
    index, with nulls for what could not be read.
    """
    model = hashlib.sha256("\n".join(head.model for head in heads).encode()).hexdigest()
    joined = replace(heads[0], model=model, width=0)
    put_head(out, joined)
    tables: dict[str, pa.Table] = {}
    for split, index in indexes.items():
        own = []
        for number, shard in enumerate(index.shards):
            parts = [read_embedded(*of, shard, vectors=False).rows for of in zip(halves, heads, strict=True)]
            rows = pa.concat_tables(parts).combine_chunks()
            first, stop = np.searchsorted(index.shard, [number, number + 1]).tolist()
            keys = index.keys.slice(first, stop - first).cast(pa.string())
            rows = rows.take(pc.index_in(keys, rows["key"].combine_chunks()))
            own.append(rows)
            if not out.exists(table_name(shard)):
                rows = rows.filter(pc.is_valid(rows["key"]))
                out.write(table_name(shard), table_bytes(shard, joined, {n: rows[n] for n in EMBEDDED.names}))
        tables[split] = pa.concat_tables(own)
    return tables
