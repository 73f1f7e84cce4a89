"""From a manifest to the model's batches: opens a run's data and turns loaded samples into named rows.

A row holds what the view gives (pixels), its text as `input_ids` and `attention_mask` [L], `video_ids` and
`caption_ids` (int64: equal if two rows are from one video, or have the same caption up to case and spacing), and what
objectives add.

Lost data is accounted for here: each unusable sample is written to RUN/lost.jsonl. Unreadable shards are tolerated up
to `data.max_bad_shards`, unusable samples up to `MOST_LOST`; beyond either, the run stops and names them.

Batches are made one ahead, by a thread, and copied to a GPU on a separate stream, while the GPU computes.
"""

import difflib
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor

from manifests.categories import category_by_name, load_categories
from manifests.errors import ConfigError, UserError
from manifests.shards import Manifest, read_manifest
from train.annotations.captions import read_queries
from train.config import TrainConfig
from train.data.folder import open_folder
from train.data.index import Index, load_index, read_captions, refuse_bad_shards
from train.data.loader import ClipDataset, Loaded, PlannedLoader
from train.data.plan import Mixing, Stream
from train.data.registry import SampleView, Source, make_view
from train.data.stream import StreamingLoader
from train.data.texts import with_questions, with_texts
from train.data.where import chosen
from train.data.workers import Workers
from train.distributed import Process, agree, text_from_first
from train.feed.asked import asked_rows, classes_of, training_questions
from train.feed.teacher import teacher_of
from train.feed.tokenizer import (
    MASK,
    MAX_CAPTIONS,
    Tokenizer,
    load_tokenizer,
    tokenizer_beside,
    tokenizer_from_captions,
    tokenizer_of_text,
)
from train.objectives import Draw, active, prepare
from train.rows import Rows

MIN_FOR_SHARE, MOST_LOST = 200, 0.05
"""Samples to read before the share of lost ones is checked; the share of them at which a run stops."""


@dataclass(frozen=True, slots=True)
class TrainData:
    """The data of a run: manifest, indexes, tokenizer and sample order."""

    manifest: Manifest
    train: Index
    val: Index | None
    tokenizer: Tokenizer
    source: Source
    stream: Stream
    classes: Sequence[str] = ()
    """The answers that are classes, where open questions are asked (`data.questions`)."""

    @property
    def epoch_length(self) -> int:
        """Samples per epoch."""
        return self.stream.epoch_length()


def open_data(config: TrainConfig, run: Path, process: Process, manifest: Manifest | None = None) -> TrainData:
    """Indexes both splits, plans the order, loads or makes the tokenizer. UserError for anything missing.

    A folder of videos has no val split, and one that has questions in it is not asked any.

    `manifest` defaults to that at data.manifest.
    """
    data = config.data
    if data.videos:
        train, val = open_folder(Path(data.videos)), None
        manifest = train.manifest
    else:
        manifest = manifest or read_manifest(data.manifest, **data.storage_options)
        train, val = _open_indexes(config, manifest, run / "index", process)
    classes: list[str] = []
    if data.questions:
        questions = training_questions(config)
        classes = classes_of(config, questions, run, process)
        train, val = with_questions(train, questions, classes, data.questions), None
    if data.captions:
        queries = read_queries(Path(data.captions), split=data.captions_split, prefer=("train",))
        train = with_texts(train, queries, data.captions)
    _refuse_world(config, process, train)
    mixing = Mixing(data.window_shards, _weights_by_id(data.weights))
    stream = Stream(train, config.seed, mixing, config.loop.batch)
    _refuse_batch(config.loop.batch, stream.epoch_length())
    source = choose_source(config, train)
    return TrainData(manifest, train, val, _tokenizer(config, train, run, process), source, stream, classes)


def _open_indexes(config: TrainConfig, manifest: Manifest, cache: Path, process: Process) -> tuple[Index, Index | None]:
    """The indexes of both splits. The first rank fetches or builds them; the others map the result."""
    data = config.data
    index = partial(
        load_index, manifest, max_bad_shards=data.max_bad_shards, storage_options=data.storage_options, cache=cache
    )

    def both() -> tuple[Index, Index | None]:
        train = chosen(index(data.split), data, cache)
        return train, index(data.val_split) if manifest.split(data.val_split) else None

    problem = ""
    if process.is_first:
        try:
            opened = both()
        except UserError as error:
            problem = str(error)
    agree(problem)
    return opened if process.is_first else both()


def view_of(config: TrainConfig) -> SampleView:
    """The view that samples are decoded to (`data.view`)."""
    return make_view(config.data.view, config)


def choose_source(config: TrainConfig, index: Index) -> Source:
    """Resolves `data.source`: auto is prepared if all samples have the members. UserError if prepared is impossible."""
    if index.films:
        return "film"
    data, wanted = config.data, view_of(config).members("prepared")
    prepared = index.has(*wanted)
    if data.source == "prepared" and not prepared:
        raise UserError(
            f"{index.manifest.root}: not all samples have the members {', '.join(wanted)}, which data.source: prepared "
            "reads; set data.source: whole, or make the shards with members"
        )
    if data.source == "auto":
        return "prepared" if prepared else "whole"
    return data.source


def _refuse_batch(batch: int, n_clips: int) -> None:
    if batch > n_clips:
        raise UserError(
            f"loop.batch={batch} is more than the {n_clips} clips of an epoch: a batch would hold clips twice, and "
            f"contrast them with themselves; take {n_clips} or less, or more data"
        )


def _refuse_world(config: TrainConfig, process: Process, index: Index) -> None:
    """UserError for a world size that doesn't divide the batch, or too few shards to stream to all workers."""
    batch, world = config.loop.batch, process.world
    if batch % world:
        below, above = batch - batch % world, batch - batch % world + world
        nearest = f"{below} or {above}" if below else str(above)
        raise UserError(
            f"loop.batch={batch} cannot be shared by {world} ranks: each takes as many clips as the others; the "
            f"nearest batches are {nearest}. To go on with a run, start a number of ranks that divides its batch"
        )
    readers = process.world * max(config.data.workers, 1)
    if config.data.order == "streaming" and len(index.shards) < readers:
        raise UserError(
            f"{len(index.shards)} shards cannot feed {process.world} ranks x {max(config.data.workers, 1)} workers: "
            "streaming gives out whole shards; use fewer workers, more shards, or data.order: planned"
        )


def _weights_by_id(weights: dict[str, float]) -> dict[int, float]:
    """Mixing weights by category id. ConfigError for an unknown category suggests the nearest."""
    by_id: dict[int, float] = {}
    for name, weight in weights.items():
        category = None if name.lstrip("-").isdigit() else category_by_name(name)
        if category is None and not name.lstrip("-").isdigit():
            near = difflib.get_close_matches(name, [c.name for c in load_categories()], n=1)
            raise ConfigError(f"data.weights.{name}: no such category" + (f"; did you mean {near[0]}?" if near else ""))
        by_id[category.id if category else int(name)] = weight
    return by_id


def _tokenizer(config: TrainConfig, train: Index, run: Path, process: Process) -> Tokenizer:
    """The run's own tokenizer, which the first rank loads, or makes if there is none yet, and the others get from it:
    on another node they may have no such folder.
    """
    folder = run / "tokenizer"
    problem, text = "", ""
    if process.is_first:
        try:
            if not folder.exists():
                _make_tokenizer(config, train, folder)
            text = load_tokenizer(folder).as_text()
        except UserError as error:
            problem = str(error)
    agree(problem)
    return tokenizer_of_text(text_from_first(text))


def _make_tokenizer(config: TrainConfig, train: Index, folder: Path) -> None:
    tokenizer = _first_tokenizer(config, train)
    part = folder.with_name(f".{folder.name}")
    part.mkdir(parents=True, exist_ok=True)
    tokenizer.save(part)
    part.rename(folder)


def _first_tokenizer(config: TrainConfig, train: Index) -> Tokenizer:
    """The tokenizer in `data.tokenizer`, else that of the initial weights, else a tokenizer made from the captions.

    UserError if the initial weights' vocabulary is missing or differs from it, or if it is too large for the model.
    """
    source, given = config.model.words_from(), config.data.tokenizer
    of_weights = tokenizer_beside(source) if source else None
    tokenizer = load_tokenizer(Path(given)) if given else of_weights
    if tokenizer is None and source:
        raise UserError(
            f"{source}: the initial weights know words by their numbers, and no vocabulary lies beside them (or it is "
            "out of reach); put vocab.txt or tokenizer.json there, or name it in data.tokenizer"
        )
    if given and of_weights is not None and of_weights.pieces() != load_tokenizer(Path(given)).pieces():
        raise UserError(f"{given}: is another vocabulary than that of the initial weights, {source}; leave it out")
    if tokenizer is None:
        tokenizer = tokenizer_from_captions(
            _captions_of(train, config), vocab_size=config.model.vocab_size, seed=config.seed
        )
    if not tokenizer.can_mask and "mlm" in {objective.name for objective, _ in active(config.objective)}:
        raise UserError(f"objective.mlm: the tokenizer of {given or source} has no {MASK}")
    if tokenizer.vocab_size > config.model.vocab_size:
        raise UserError(
            f"the tokenizer has {tokenizer.vocab_size} pieces, the model room for {config.model.vocab_size}; "
            "raise model.vocab_size"
        )
    return tokenizer


def _captions_of(train: Index, config: TrainConfig) -> list[str]:
    """The texts that are trained on: those of `data.captions`, else the samples' own."""
    if train.texts:
        return [text for texts in train.texts for text in texts]
    data = config.data
    return read_captions(train.manifest, data.split, data.storage_options, at_most=MAX_CAPTIONS, seed=config.seed)


def rows_of(loaded: Loaded, tokenizer: Tokenizer, config: TrainConfig) -> Rows:
    """The loaded tensors, with the texts as tokens, and the ids of videos and captions."""
    ids, mask = tokenizer.encode(loaded.texts, config.model.text_length)
    videos = _numbers([key.rpartition("_")[0] for key in loaded.keys])
    more = {"input_ids": ids, "attention_mask": mask, "video_ids": videos, "caption_ids": caption_ids(loaded.texts)}
    return loaded.tensors.having(more)


def caption_ids(texts: Sequence[str]) -> Tensor:
    """A hash of each caption, [n] int64: equal for equal captions (up to case and spacing), the same on every rank."""
    return _numbers([" ".join(text.casefold().split()) for text in texts])


def _numbers(names: Sequence[str]) -> Tensor:
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return torch.tensor([int.from_bytes(digest, "big", signed=True) for digest in digests], dtype=torch.int64)


class Batches:
    """The model's batches, step by step; keeps account of lost samples and shards."""

    def __init__(self, data: TrainData, config: TrainConfig, run: Path, process: Process) -> None:
        self._data, self._config, self._process = data, config, process
        self._log = run / "lost.jsonl"
        self._bad_shards: dict[str, str] = {}
        self._names: list[str] = []
        self.n_lost = 0
        self.counts: dict[str, int] = {}
        """What the objectives counted in this rank's rows of the last step."""
        self._n_read = 0
        self._teacher = teacher_of(config, data.train)
        d = config.data
        workers = Workers(d.workers)
        dataset = ClipDataset(
            data.train,
            view_of(config),
            data.source,
            seed=config.seed,
            n_workers=d.workers,
            storage_options=d.storage_options,
        )
        loader = StreamingLoader if d.order == "streaming" else PlannedLoader
        self._copies = Copies(process.device)
        self._loader = loader(
            dataset, data.stream, rank=process.rank, world=process.world, workers=workers, run_dir=run
        )

    def steps(self, first: int, stop: int) -> Iterator[tuple[int, Rows, Loaded]]:
        """Yields `(step, batch, loaded samples)` for steps first … stop-1.

        While a step is being trained on, a thread builds the next step's rows (in pinned memory if there is a GPU).
        What involves communication between ranks (drawing partners for matching) happens in this thread, step by step.
        """
        whole = ((loaded, self._rows(loaded)) for loaded in self._loader.steps(first, stop))
        for step, (loaded, rows) in zip(range(first, stop), ahead(whole), strict=True):
            self._account(step, loaded)
            draw = Draw(self._config.seed, step, self._data.tokenizer.mask_tokens)
            rows = prepare(rows, draw, self._config.objective)
            self.counts = dict(draw.counts)
            yield step, self._copies.to_device(rows), loaded

    def _rows(self, loaded: Loaded) -> Rows:
        rows = rows_of(loaded, self._data.tokenizer, self._config)
        if self._data.train.answers:
            rows = rows.having(asked_rows(self._data.train, loaded.samples, self._data.tokenizer, self._config))
        if self._teacher:
            rows = rows.having(self._teacher.rows(loaded.samples))
        return rows.pin_memory() if self._process.device.type == "cuda" else rows

    def _account(self, step: int, loaded: Loaded) -> None:
        """Counts and records what was lost. UserError once it is too much."""
        self._n_read += len(loaded.keys)
        for sample in loaded.samples if self._bad_shards else ():
            if sample >= 0:  # a shard that has become readable again no longer counts as bad
                index = self._data.train
                self._bad_shards.pop(index.manifest.resolve(index.shards[index.shard[sample]].url), None)
        if not loaded.lost:
            return
        with self._log.open("a") as file:
            file.writelines(json.dumps({"step": step + 1, **asdict(lost)}) + "\n" for lost in loaded.lost)
        self.n_lost += len(loaded.lost)
        self._names.extend(f"{lost.key}: {lost.reason}" for lost in loaded.lost if not lost.shard)
        self._bad_shards.update({lost.shard: lost.reason for lost in loaded.lost if lost.shard})
        bad = (*self._data.train.bad_shards, *self._bad_shards.values())
        refuse_bad_shards(bad, self._config.data.max_bad_shards)
        share = len(self._names) / self._n_read
        if self._n_read >= MIN_FOR_SHARE and share > MOST_LOST:
            last = "\n  ".join(self._names[-10:])
            raise UserError(
                f"{share:.1%} of {self._n_read} samples are unusable, more than {MOST_LOST:.0%}: data is damaged, or "
                f"its media is away; the last of them:\n  {last}"
            )


class Copies:
    """Copies rows to a device; a CPU device needs no stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def to_device(self, rows: Rows) -> Rows:
        """The rows on the device. Later work on the current stream waits for the copy; the copy waits for nothing."""
        if self._stream is None:
            return rows.to(self._device)
        with torch.cuda.stream(self._stream):
            there = rows.to(self._device)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._stream)
        for tensor in there.tensors().values():
            tensor.record_stream(computing)  # keeps its memory from being reused while a step still reads it
        return there


T = TypeVar("T")

_END = object()


def ahead(things: Iterator[T]) -> Iterator[T]:
    """Yields the same items in the same order, each made before it is asked for.

    An error is raised at the position of the item that caused it. When the caller stops early, the thread stops too,
    once it has finished its current item.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        coming = pool.submit(next, things, cast(T, _END))
        while (thing := coming.result()) is not _END:
            coming = pool.submit(next, things, cast(T, _END))
            yield thing
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
