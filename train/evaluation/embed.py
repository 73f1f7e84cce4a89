"""Embeds every sample of a data set, shard by shard; ranks of torchrun share the shards out.

Rank r of n makes the tables of shards r, r + n, r + 2n …, and leaves out those that are there. The bytes are the same
however often it is started and by however many ranks: batches are fixed by shard and position, the last one is padded,
the model runs on one thread.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from manifests.clip_status import is_success
from manifests.embeddings import Head, put_head, table_bytes, table_name
from manifests.errors import UserError
from manifests.files import Files
from manifests.hashing import hash_name
from manifests.schema import EMBEDDED
from manifests.shards import Manifest, read_shard_rows
from manifests.time_left import told
from train.data.decode import ClipView
from train.data.index import Index, load_index
from train.data.loader import ClipDataset, Loaded, read_once
from train.data.registry import Source
from train.distributed import Process
from train.evaluation.encoder import Encoder, Inputs

LOOKED_INTO = 64
"""For each sentence that is drawn, shards are looked into until they have this many samples."""
SPARE = 8
"""Sentences that are drawn beyond those compared: some are of a clip's own video."""
SEED = 0
ALONE = Process(0, 1, torch.device("cpu"))

Float = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Done:
    """What this process did."""

    n_shards: int
    """Shards of the data set."""
    n_made: int
    """Those of which it made the table."""
    n_lost: int
    """Samples in these that could not be read, and have no row."""

    def describe(self) -> str:
        """As a line."""
        lost = f"; {self.n_lost} samples could not be read and have no row" if self.n_lost else ""
        return f"{self.n_made} of {self.n_shards} shards were embedded by this process{lost}"


def embed(
    encoder: Encoder,
    indexes: Mapping[str, Index],
    files: Files,
    head: Head,
    *,
    process: Process = ALONE,
    n_workers: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Done:
    """Makes this rank's tables that are missing. UserError if the folder holds other embeddings."""
    put_head(files, head)
    encoder.model.to(memory_format=torch.channels_last)  # a quarter less for convolutions on a CPU
    work = {table_name(shard): (split, n) for split, index in indexes.items() for n, shard in enumerate(index.shards)}
    if len(work) < sum(len(index.shards) for index in indexes.values()):
        raise UserError("two shards of a split have the same file name: their tables would be one")
    there = set(files.names(""))
    missing = [name for name in sorted(work)[process.rank :: process.world] if name not in there]
    embedders: dict[str, _Embedder] = {}
    n_lost = 0
    for name in told(missing, len(missing), "shards"):
        split, number = work[name]
        if split not in embedders:
            embedders[split] = _Embedder(encoder, indexes[split], head, n_workers, dict(options or {}))
        data, lost = embedders[split].table(number)
        files.write(name, data)
        n_lost += lost
    return Done(len(work), len(missing), n_lost)


def embed_all(
    encoder: Encoder,
    manifest: Manifest,
    files: Files,
    head: Head,
    *,
    process: Process = ALONE,
    n_workers: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Done:
    """As `embed`, of all splits of a data set, on one thread: with more, sums are rounded otherwise."""
    splits = dict.fromkeys(shard.split for shard in manifest.shards if shard.nsamples)
    indexes = {split: load_index(manifest, split, storage_options=dict(options or {})) for split in splits}
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return embed(encoder, indexes, files, head, process=process, n_workers=n_workers, options=options)
    finally:
        torch.set_num_threads(n_threads)


class _Embedder:
    """Embeds the shards of a split."""

    def __init__(self, encoder: Encoder, index: Index, head: Head, n_workers: int, options: dict[str, Any]) -> None:
        self._encoder, self._index, self._head, self._n_workers = encoder, index, head, n_workers
        view = view_of(encoder)
        source: Source = "prepared" if index.has(*view.members("prepared")) else "whole"
        self._clips = ClipDataset(index, view, source, seed=None, n_workers=n_workers, storage_options=options)
        self._rivals = _Rivals(encoder, index, head, options)

    def table(self, number: int) -> tuple[bytes, int]:
        """(A shard's table, the number of its samples that could not be read)."""
        first, stop = np.searchsorted(self._index.shard, [number, number + 1]).tolist()
        parts: list[tuple[Float, Float]] = []
        rows: dict[str, list[Any]] = {name: [] for name in EMBEDDED.names}
        n_lost = 0
        for loaded in read_once(self._clips, range(first, stop), self._n_workers, self._head.batch):
            n_lost += len(loaded.lost)
            if loaded.keys:
                video, text = self._vectors(loaded)
                parts.append((video, text))
                rows["key"] += loaded.keys
                for name, values in self._rivals.scores(loaded, video, text).items():
                    rows[name] += values.tolist()
        width = self._head.width
        both = [np.concatenate([np.zeros((0, width), np.float32), *(part[k] for part in parts)]) for k in (0, 1)]
        video16, text16 = (vectors.astype(np.float16) for vectors in both)
        return table_bytes(self._index.shards[number], self._head, rows, video16, text16), n_lost

    def _vectors(self, loaded: Loaded) -> tuple[Float, Float]:
        """The embeddings of the clips and of their texts, [n, D] each; the batch is filled with its first rows."""
        n, size = len(loaded.keys), self._head.batch
        fill = [at % n for at in range(size)]
        pictures = (loaded.img_middle, loaded.img_other)
        views = [tuple(None if picture is None else picture[at] for picture in pictures) for at in fill]
        video = self._encoder.embed_views(cast(list[Inputs], views))
        return video[:n].numpy(), texts_embedded(self._encoder, loaded.texts, size)


def sha256_of_model(encoder: Encoder) -> str:
    """A hash of all that embeddings depend on: weights, vocabulary, views, precision; however they are stored."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.model.state_dict().items()):
        data = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {data.dtype} {tuple(data.shape)}\n".encode())
        digest.update(data.flatten().view(torch.uint8).numpy().data)
    words = encoder.tokenizer.as_text() if encoder.tokenizer else ""
    digest.update(json.dumps([words, asdict(view_of(encoder)), encoder.precision], sort_keys=True).encode())
    return digest.hexdigest()


def view_of(encoder: Encoder) -> ClipView:
    """How samples are decoded for a model: as in its evaluation."""
    views = replace(encoder.views, fps=encoder.fps)
    return ClipView(**{field.name: getattr(views, field.name) for field in fields(views)})


def texts_embedded(encoder: Encoder, texts: Sequence[str], batch: int) -> Float:
    """The embeddings of texts, [n, D], `batch` at a time, the last filled up with its first."""
    made = []
    for at in range(0, len(texts), batch):
        part = list(texts[at : at + batch])
        made.append(encoder.embed_text([part[k % len(part)] for k in range(batch)])[: len(part)])
    return torch.cat(made).numpy()


class _Rivals:
    """Sentences of a split, drawn by a seed, that a clip's own is compared with."""

    def __init__(self, encoder: Encoder, index: Index, head: Head, options: dict[str, Any]) -> None:
        self._n, self._temperature = head.sentences, encoder.temperature
        drawn = _drawn(index, head.sentences, options)
        texts = [text for _, text in drawn]
        self._texts = np.array([plain(text) for text in texts], object)
        self._videos = np.array([video for video, _ in drawn], object)
        self._vectors = texts_embedded(encoder, texts, head.batch) if texts else np.zeros((0, head.width), np.float32)

    def scores(self, loaded: Loaded, video: Float, text: Float) -> dict[str, npt.NDArray[Any]]:
        """Of each clip: log probability and rank of its own sentence among those of other videos with another text."""
        own = (video * text).sum(1) / self._temperature
        others = video @ self._vectors.T / self._temperature
        videos = np.array([key.rpartition("_")[0] for key in loaded.keys], object)
        texts = np.array([plain(text) for text in loaded.texts], object)
        strange = (self._videos[None] != videos[:, None]) & (self._texts[None] != texts[:, None])
        match, rank = _among(own, others, _first(strange, self._n))
        return {"match": match, "match_rank": rank}


def plain(text: str) -> str:
    """A text by which equal ones are known: up to case and spacing."""
    return " ".join(text.casefold().split())


def _first(allowed: npt.NDArray[np.bool_], n: int) -> npt.NDArray[np.bool_]:
    """The first n that are allowed in each row."""
    return allowed & (np.cumsum(allowed, 1) <= n)


def _among(own: Float, others: Float, compared: npt.NDArray[np.bool_]) -> tuple[Float, npt.NDArray[np.int32]]:
    """(log of own's share in the softmax over it and those compared, its rank among them, from 1)."""
    rivals = np.where(compared, others, -np.inf)
    highest = np.maximum(own, rivals.max(1, initial=-np.inf))
    total = np.exp(own - highest) + np.exp(rivals - highest[:, None]).sum(1)
    match = own - highest - np.log(total)
    rank = 1 + (rivals >= own[:, None]).sum(1)
    return match.astype(np.float32), rank.astype(np.int32)


def _drawn(index: Index, n: int, options: dict[str, Any]) -> list[tuple[str, str]]:
    """(video id, sentence) of sentences that differ, in the order of a hash: enough for n."""
    found: dict[str, tuple[int, str, str]] = {}
    n_seen = 0
    for shard in sorted(index.shards, key=lambda shard: hash_name(SEED, "rivals", shard.url)):
        rows = read_shard_rows(index.manifest, shard, ["key", "status", "caption"], **options)
        for row in rows.filter(is_success(rows["status"])).to_pylist():
            text, order = plain(row["caption"]), hash_name(SEED, "rivals", row["key"])
            if text and (text not in found or order < found[text][0]):
                found[text] = (order, row["key"].rpartition("_")[0], row["caption"])
        n_seen += rows.num_rows
        if n_seen >= LOOKED_INTO * n:
            break
    return [(video, text) for _, video, text in sorted(found.values())[: n + SPARE]]
