"""Checks whether a data set is fit to train on: loads and tokenises some samples of every shard as a run would.

    hdvila-train check MANIFEST [--config CONFIG] [--samples 2] [--seconds 50]

It reports *problems* (a shard or sample that can't be used, a video in two splits), *notes* (what a run would do with
the data that its owner may not expect), the mix of categories, lengths, words, and how many samples a data worker loads
per second. If `seconds` run out before every shard was seen, the report says how many it covers.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from manifests.categories import category_name
from manifests.clip_status import is_success
from manifests.errors import UserError
from manifests.settings import load_config
from manifests.shards import Manifest, ShardEntry, read_manifest, read_shard_rows
from train.config import TrainConfig
from train.data.decode import SampleBroken
from train.data.index import Index, load_index
from train.data.read import Reader, ShardUnreadable
from train.data.registry import SampleView, Source
from train.data.where import choose, refuse_none
from train.feed.batches import choose_source, view_of
from train.feed.tokenizer import UNK, Tokenizer, load_tokenizer, tokenizer_from_captions
from train.sections import DataConfig

MOST_KEYS = 2_000_000
"""The videos of the splits are compared only in data sets of at most this many samples."""
MOST_NAMED = 10
PERCENTILES = (5, 50, 95)
ANY_NUMBER = 1 << 60
PICTURES = ("model.kind=soho", "objective.contrastive=0", "objective.mlm=1")
"""Settings of a run that can read an image-text set."""


@dataclass(slots=True)
class Loading:
    """The cost of reading and decoding the drawn samples."""

    n: int = 0
    bytes_: int = 0
    read_s: float = 0.0
    """Seconds spent waiting for bytes."""
    decode_cpu_s: float = 0.0

    @property
    def worker_samples_per_s(self) -> float:
        """Samples that a data worker with its own core loads per second; 0 if nothing could be loaded."""
        spent_s = self.read_s + self.decode_cpu_s
        return self.n / spent_s if spent_s else 0.0

    @property
    def bytes_per_sample(self) -> float:
        """Bytes read per sample."""
        return self.bytes_ / max(self.n, 1)


@dataclass(slots=True)
class SplitReport:
    """The facts of a split. The lists have one entry per clip of the shards that were seen."""

    split: str
    source: str = ""
    n_shards: int = 0
    n_seen: int = 0
    """Shards that were looked at before time ran out."""
    n_clips: int = 0
    categories: dict[str, int] = field(default_factory=dict)
    """Number of clips by category, over all shards."""
    durations_ms: list[int] = field(default_factory=list)
    n_words: list[int] = field(default_factory=list)
    n_distinct_captions: int = 0
    share_cut: float = 0.0
    """Share of captions that are longer than the model's text."""
    share_unknown: float = 0.0
    """Share of tokens that are [UNK]."""
    share_short: float = 0.0
    """Share of clips that are too short for a segment at data.stride, so that its frames move closer together."""
    loading: Loading = field(default_factory=Loading)


@dataclass(slots=True)
class DataReport:
    """The facts of a data set."""

    root: str
    splits: list[SplitReport] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_workers: int = 1

    def flat(self) -> dict[str, object]:
        """The report for --json, with percentiles in place of the lists."""
        return {
            "root": self.root,
            "problems": self.problems,
            "notes": self.notes,
            "workers": self.n_workers,
            "splits": [_flat_split(split, self.n_workers) for split in self.splits],
        }

    def describe(self) -> str:
        """The report as text."""
        lines = [self.root]
        for split in self.splits:
            lines += _lines_of(split, self.n_workers)
        lines += _listed("problem", self.problems) + _listed("note", self.notes)
        return "\n".join([*lines, "" if self.problems else "no problem found"]).rstrip()


def plain_config(overrides: Sequence[str]) -> TrainConfig:
    """A default configuration for `data.manifest=…`: HD-VILA, or SOHO for an image-text set."""
    keys = [*overrides, "loop.steps=1"]
    config = load_config(TrainConfig, None, keys)
    options = config.data.storage_options
    manifest = read_manifest(config.data.manifest, **options)
    for name in dict.fromkeys(shard.split for shard in manifest.shards):
        try:
            index = load_index(manifest, name, max_bad_shards=ANY_NUMBER, storage_options=options)
        except UserError:
            continue  # reported by check_data
        return load_config(TrainConfig, None, [*PICTURES, *keys]) if index.has("jpg") else config
    return config


def check_data(config: TrainConfig, *, n_samples: int = 2, seconds: float = 50.0, n_workers: int = 1) -> DataReport:
    """Checks the data of a configuration: decodes `n_samples` of each shard, for at most `seconds` in all."""
    data = config.data
    manifest = read_manifest(data.manifest, **data.storage_options)
    report = DataReport(manifest.root, n_workers=n_workers)
    names = list(dict.fromkeys(shard.split for shard in manifest.shards))
    report.notes += [f"there is no split {s!r} ({k})" for k, s in _splits_read(config).items() if s not in names]
    ends_at, indexes = time.monotonic() + seconds, {}
    for index, name in enumerate(names):
        try:
            indexes[name] = load_index(manifest, name, max_bad_shards=ANY_NUMBER, storage_options=data.storage_options)
        except UserError as error:
            report.problems.append(f"{name}: {error}")
            continue
        if name == data.split:
            report.problems += _choose(indexes, name, data, report.notes)
        report.problems += indexes[name].bad_shards
        report.problems += [fault for fault in (indexes[name].bad_index,) if fault]
        left_s = (ends_at - time.monotonic()) / (len(names) - index)
        report.splits.append(_check_split(indexes[name], name, config, report, n_samples, max(left_s, 0.0)))
    report.problems += _shared_videos(indexes)
    return report


def _choose(indexes: dict[str, Index], name: str, data: DataConfig, notes: list[str]) -> Iterator[str]:
    """Leaves the samples that a run would train on, and notes how many; yields why none can be chosen."""
    if not data.where and not data.sample_weight:
        return
    index = indexes[name]
    try:
        choice = choose(index, data)
        refuse_none(choice, data)
    except UserError as error:
        yield f"{name}: {error}"
        return
    notes.append(f"{name}: {choice.describe()} (data.where, data.sample_weight)")
    indexes[name] = replace(index, columns=index.columns.take(np.flatnonzero(choice.weights > 0)))


def _splits_read(config: TrainConfig) -> dict[str, str]:
    return {"data.split": config.data.split, "data.val_split": config.data.val_split}


def _check_split(
    index: Index, name: str, config: TrainConfig, report: DataReport, n_samples: int, seconds: float
) -> SplitReport:
    """Checks a split for at most `seconds`; problems and notes are added to `report`."""
    manifest, options = index.manifest, config.data.storage_options
    split = SplitReport(name, n_shards=len(manifest.split(name)), n_clips=len(index))
    split.categories = _categories(index)
    try:
        source = choose_source(config, index)
    except UserError as error:
        report.problems.append(f"{name}: {error}")
        return split
    split.source = source
    view, reader = view_of(config), Reader(index, options)
    captions: list[str] = []
    fps: list[float] = []
    ends_at = time.monotonic() + seconds
    for number in np.random.default_rng(config.seed).permutation(len(index.shards)):
        shard = index.shards[number]
        report.problems += _look_at_rows(manifest, shard, options, split, captions, fps)
        drawn = _draw(index, int(number), n_samples, config.seed)
        report.problems += _load(reader, index, view, source, drawn, split.loading)
        split.n_seen += 1
        if time.monotonic() > ends_at:
            break
    reader.close()
    _measure_text(split, captions, config)
    reach = config.data.stride * _span(view)  # frames
    short = [d / 1000 < reach / rate for d, rate in zip(split.durations_ms, fps, strict=True) if rate > 0]
    split.share_short = sum(short) / max(len(short), 1)
    report.notes += _notes_of(split, config)
    return split


def _span(view: SampleView) -> int:
    """Number of strides from a segment's first frame to its last."""
    return int(getattr(view, "n_frames", 1)) - 1


def _look_at_rows(
    manifest: Manifest,
    shard: ShardEntry,
    options: Mapping[str, Any],
    split: SplitReport,
    captions: list[str],
    fps: list[float],
) -> Iterator[str]:
    """Adds a shard's rows to the report; yields what is wrong with them."""
    try:
        rows = read_shard_rows(manifest, shard, **options)
    except UserError as error:
        yield str(error)
        return
    rows = rows.filter(is_success(rows["status"]))
    if len(rows) != shard.nsamples:
        yield f"{manifest.resolve(shard.rows_url)}: {len(rows)} samples, the manifest promises {shard.nsamples}"
    texts = rows["caption"].to_pylist()
    if empty := sum(not (text or "").strip() for text in texts):
        yield f"{manifest.resolve(shard.url)}: {empty} of {len(texts)} captions are empty"
    captions += [text or "" for text in texts]
    split.durations_ms += rows["duration_ms"].to_pylist()
    fps += rows["fps"].to_pylist()


def _draw(index: Index, shard: int, n_samples: int, seed: int) -> list[int]:
    """The numbers of up to `n_samples` random samples of a shard."""
    inside = (
        np.arange(*np.searchsorted(index.shard, [shard, shard + 1]))
        if index.by_shard
        else np.flatnonzero(index.shard == shard)
    )
    count = min(n_samples, len(inside))
    return [int(n) for n in np.sort(np.random.default_rng((seed, shard)).choice(inside, count, replace=False))]


def _load(
    reader: Reader, index: Index, view: SampleView, source: Source, samples: Sequence[int], loading: Loading
) -> Iterator[str]:
    """Reads and decodes these samples; yields why one can't be used. An unreadable shard is reported once."""
    for sample in samples:
        began = time.perf_counter()
        try:
            members = reader.read(sample, view.members(source))
            read_s, before = time.perf_counter() - began, time.process_time()
            view.decode(members, source, None)
        except ShardUnreadable as error:
            yield str(error)
            return
        except SampleBroken as error:
            url = index.shards[int(index.shard[sample])].url
            yield f"{index.manifest.resolve(url)}: sample {index.key(sample)} {error}"
            continue
        loading.n += 1
        loading.read_s += read_s
        loading.decode_cpu_s += time.process_time() - before
        loading.bytes_ += sum(map(len, members.values()))


def _categories(index: Index) -> dict[str, int]:
    """Number of clips by category name, most frequent first."""
    ids, counts = np.unique(index.category, return_counts=True)
    pairs = sorted(zip(ids.tolist(), counts.tolist(), strict=True), key=lambda pair: -pair[1])
    return {category_name(number): count for number, count in pairs}


def _measure_text(split: SplitReport, captions: Sequence[str], config: TrainConfig) -> None:
    split.n_words = [len(caption.split()) for caption in captions]
    split.n_distinct_captions = len({" ".join(c.casefold().split()) for c in captions})
    if not captions:
        return
    length = config.model.text_length
    tokenizer = _tokenizer(captions, config)
    ids, mask = tokenizer.encode(captions, length + 1)
    inside = mask.bool()
    unknown = ids == tokenizer.pieces().get(UNK, -1)
    split.share_cut = float(inside[:, -1].float().mean())
    split.share_unknown = float((unknown & inside).sum() / inside.sum())


def _tokenizer(captions: Sequence[str], config: TrainConfig) -> Tokenizer:
    if config.data.tokenizer:
        return load_tokenizer(Path(config.data.tokenizer))
    return tokenizer_from_captions(captions, vocab_size=config.model.vocab_size, seed=config.seed)


def _shared_videos(indexes: Mapping[str, Index]) -> Iterator[str]:
    """Yields videos that are in more than one split: scores on them would not be scores on unseen videos."""
    if sum(map(len, indexes.values())) > MOST_KEYS:
        return
    of_split = {name: {key.rpartition("_")[0] for key in index.keys.to_pylist()} for name, index in indexes.items()}
    names = list(of_split)
    for at, first in enumerate(names):
        for second in names[at + 1 :]:
            if both := sorted(of_split[first] & of_split[second]):
                yield f"{len(both)} videos are in both {first} and {second}: {', '.join(both[:MOST_NAMED])}"


def _notes_of(split: SplitReport, config: TrainConfig) -> Iterator[str]:
    name = split.split
    if split.n_seen < split.n_shards:
        yield f"{name}: {split.n_seen} of {split.n_shards} shards were seen before the time was over (--seconds)"
    if split.share_cut > 0.01:
        yield f"{name}: {split.share_cut:.0%} of captions are cut at model.text_length={config.model.text_length}"
    if split.share_unknown > 0.01:
        yield f"{name}: {split.share_unknown:.1%} of pieces are unknown to the vocabulary"
    if split.share_short > 0.01:
        yield (
            f"{name}: {split.share_short:.0%} of clips are too short for data.stride={config.data.stride}: their "
            "frames stand closer together"
        )
    n_captions = len(split.n_words)
    if n_captions and split.n_distinct_captions < 0.99 * n_captions:
        yield (
            f"{name}: {n_captions} captions, {split.n_distinct_captions} of them distinct; clips of one caption push "
            "each other away unless objective.same_caption: ignored"
        )


# ---- the report ------------------------------------------------------------------------------------------------------


def _flat_split(split: SplitReport, n_workers: int) -> dict[str, Any]:
    flat = asdict(split)
    for name in ("durations_ms", "n_words"):
        flat[name] = _percentiles(flat[name])
    loading, rate = split.loading, split.loading.worker_samples_per_s
    flat["loading"] |= {
        "bytes_per_sample": round(loading.bytes_per_sample),
        "samples_per_s_of_a_worker": round(rate, 2),
        "samples_per_s": round(rate * n_workers, 2),
        "gb_per_s": round(rate * n_workers * loading.bytes_per_sample / 1e9, 6),
    }
    return flat


def _percentiles(numbers: Sequence[int]) -> dict[str, float]:
    """{"p5": …, "p50": …, "p95": …}; empty if there are no numbers."""
    if not numbers:
        return {}
    values: npt.NDArray[np.float64] = np.percentile(np.asarray(numbers, np.float64), PERCENTILES)
    return {f"p{p}": round(float(value), 1) for p, value in zip(PERCENTILES, values, strict=True)}


def _lines_of(split: SplitReport, n_workers: int) -> Iterator[str]:
    yield f"split {split.split}: {split.n_clips} clips in {split.n_shards} shards, {split.n_seen} of them seen"
    shares = [f"{name} {count / split.n_clips:.0%}" for name, count in split.categories.items()]
    yield f"  categories   {', '.join(shares)}"
    for label, numbers, unit in (("length", split.durations_ms, 1000), ("words", split.n_words, 1)):
        percentiles = [value / unit for value in _percentiles(numbers).values()]
        if percentiles:
            low, middle, high = percentiles
            yield f"  {label:12} {middle:.3g}{' s' * (unit > 1)} in the middle, 5 to 95 %: {low:.3g} to {high:.3g}"
    loading = split.loading
    if not loading.n:
        return
    rate, mb = loading.worker_samples_per_s, loading.bytes_per_sample / 1e6
    yield (
        f"  loading      {split.source}: {rate:.1f} samples/s a worker ({1000 * loading.decode_cpu_s / loading.n:.1f} "
        f"ms CPU and {1000 * loading.read_s / loading.n:.1f} ms of reading each, {loading.n} samples); "
        f"{n_workers} workers: {rate * n_workers:.0f} samples/s, {rate * n_workers * mb / 1000:.3g} GB/s "
        f"({mb:.3g} MB a sample)"
    )


def _listed(what: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = [f"  … and {len(items) - MOST_NAMED} more (--json has all)"] if len(items) > MOST_NAMED else []
    return [f"{len(items)} {what}{'s' * (len(items) > 1)}:", *(f"  {item}" for item in items[:MOST_NAMED]), *more]
