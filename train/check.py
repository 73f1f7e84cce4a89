"""Checks whether a data set is fit to train on: loads some samples of every shard as a run would.

    hdvila-train check MANIFEST [--config CONFIG] [--samples 2] [--seconds 50]

It reports *problems* (a shard or sample that can't be used, a video in two splits), *notes* (what a run would do with
the data that its owner may not expect), and how many samples a data worker loads per second. If `seconds` run out
before every shard was seen, the report says how many it covers.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from manifests.clip_status import is_success
from manifests.errors import UserError
from manifests.settings import load_config
from manifests.shards import read_manifest, read_shard_rows
from train.config import TrainConfig
from train.data.decode import SampleBroken
from train.data.index import Index, load_index
from train.data.read import Reader, ShardUnreadable
from train.data.where import choose, refuse_none
from train.feed.batches import choose_source, view_of

MOST_KEYS = 2_000_000
"""The videos of the splits are compared only in data sets of at most this many samples."""
MOST_NAMED = 10
ANY_NUMBER = 1 << 60
PICTURES = ("model.kind=soho", "objective.contrastive=0", "objective.mlm=1")
"""Settings of a run that can read an image-text set."""


@dataclass(slots=True)
class SplitReport:
    """The facts of a split."""

    split: str
    n_clips: int
    n_shards: int
    source: str = ""
    n_seen: int = 0
    """Shards that were looked at before time ran out."""
    n_loaded: int = 0
    samples_per_s: float = 0.0
    """Samples that a data worker with its own core reads and decodes per second; 0 if nothing could be loaded."""
    bytes_per_sample: float = 0.0

    def describe(self) -> str:
        """The split in a line."""
        line = f"split {self.split}: {self.n_clips} clips in {self.n_shards} shards, {self.n_seen} of them seen"
        if not self.n_loaded:
            return line
        rate, mb = self.samples_per_s, self.bytes_per_sample / 1e6
        return f"{line}; {self.source}: {rate:.1f} samples/s a worker ({mb:.3g} MB each, {self.n_loaded} samples)"


@dataclass(slots=True)
class DataReport:
    """The facts of a data set."""

    root: str
    splits: list[SplitReport] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def flat(self) -> dict[str, object]:
        """The report for --json."""
        return asdict(self)

    def describe(self) -> str:
        """The report as text."""
        lines = [self.root, *(split.describe() for split in self.splits)]
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


def check_data(config: TrainConfig, *, n_samples: int = 2, seconds: float = 50.0) -> DataReport:
    """Checks the data of a configuration: decodes `n_samples` of each shard, for at most `seconds` in all."""
    data = config.data
    manifest = read_manifest(data.manifest, **data.storage_options)
    report = DataReport(manifest.root)
    names = list(dict.fromkeys(shard.split for shard in manifest.shards))
    read = {"data.split": data.split, "data.val_split": data.val_split}
    report.notes += [f"there is no split {name!r} ({key})" for key, name in read.items() if name not in names]
    ends_at, indexes = time.monotonic() + seconds, {}
    for number, name in enumerate(names):
        try:
            index = load_index(manifest, name, max_bad_shards=ANY_NUMBER, storage_options=data.storage_options)
            report.problems += [*index.bad_shards, *filter(None, [index.bad_index])]
            if name == data.split:
                index = _chosen(index, config, report.notes)
            left_s = (ends_at - time.monotonic()) / (len(names) - number)
            _check_split(index, name, config, report, n_samples, max(left_s, 0.0))
            indexes[name] = index
        except UserError as error:
            report.problems.append(f"{name}: {error}")
    report.problems += _shared_videos(indexes)
    return report


def _chosen(index: Index, config: TrainConfig, notes: list[str]) -> Index:
    """The samples that a run would train on; notes how many."""
    data = config.data
    if not data.where and not data.sample_weight:
        return index
    choice = choose(index, data)
    refuse_none(choice, data)
    notes.append(f"{data.split}: {choice.describe()} (data.where, data.sample_weight)")
    return replace(index, columns=index.columns.take(np.flatnonzero(choice.weights > 0)))


def _check_split(
    index: Index, name: str, config: TrainConfig, report: DataReport, n_samples: int, seconds: float
) -> None:
    """Adds a split to the report, looking at its shards in random order for at most `seconds`."""
    split = SplitReport(name, len(index), len(index.manifest.split(name)))
    report.splits.append(split)
    split.source = choose_source(config, index)
    loading = _Loading(config, index)
    ends_at = time.monotonic() + seconds
    for number in np.random.default_rng(config.seed).permutation(len(index.shards)):
        report.problems += _faults_of_rows(index, int(number), config)
        report.problems += loading.faults(_drawn(index, int(number), n_samples, config.seed))
        split.n_seen += 1
        if time.monotonic() > ends_at:
            break
    loading.reader.close()
    split.n_loaded = loading.n
    if loading.n:
        split.samples_per_s, split.bytes_per_sample = loading.n / loading.spent_s, loading.n_bytes / loading.n
    if split.n_seen < split.n_shards:
        report.notes.append(f"{name}: {split.n_seen} of {split.n_shards} shards were seen before the time was over")


def _faults_of_rows(index: Index, number: int, config: TrainConfig) -> Iterator[str]:
    """Yields what is wrong with the rows of a shard."""
    manifest, shard = index.manifest, index.shards[number]
    try:
        rows = read_shard_rows(manifest, shard, ["status", "caption"], **config.data.storage_options)
    except UserError as error:
        yield str(error)
        return
    rows = rows.filter(is_success(rows["status"]))
    if len(rows) != shard.nsamples:
        yield f"{manifest.resolve(shard.rows_url)}: {len(rows)} samples, the manifest promises {shard.nsamples}"
    texts = rows["caption"].to_pylist()
    if empty := sum(not (text or "").strip() for text in texts):
        yield f"{manifest.resolve(shard.url)}: {empty} of {len(texts)} captions are empty"


def _drawn(index: Index, shard: int, n_samples: int, seed: int) -> list[int]:
    """The numbers of up to `n_samples` random samples of a shard."""
    inside = (
        np.arange(*np.searchsorted(index.shard, [shard, shard + 1]))
        if index.by_shard
        else np.flatnonzero(index.shard == shard)
    )
    count = min(n_samples, len(inside))
    return [int(n) for n in np.sort(np.random.default_rng((seed, shard)).choice(inside, count, replace=False))]


class _Loading:
    """Loads samples, and counts what that takes."""

    def __init__(self, config: TrainConfig, index: Index) -> None:
        self.reader = Reader(index, config.data.storage_options)
        self._index, self._view, self._source = index, view_of(config), choose_source(config, index)
        self.n = self.n_bytes = 0
        self.spent_s = 0.0
        """Seconds of waiting for bytes, and of a core for decoding."""

    def faults(self, samples: Sequence[int]) -> Iterator[str]:
        """Loads these samples of a shard; yields why one can't be used. An unreadable shard is named once."""
        for sample in samples:
            try:
                self._load(sample)
            except ShardUnreadable as error:
                yield str(error)
                return
            except SampleBroken as error:
                url = self._index.shards[int(self._index.shard[sample])].url
                yield f"{self._index.manifest.resolve(url)}: sample {self._index.key(sample)} {error}"

    def _load(self, sample: int) -> None:
        began = time.perf_counter()
        members = self.reader.read(sample, self._view.members(self._source))
        read_s, before = time.perf_counter() - began, time.process_time()
        self._view.decode(members, self._source, None)
        self.n += 1
        self.n_bytes += sum(map(len, members.values()))
        self.spent_s += read_s + time.process_time() - before


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


def _listed(what: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = [f"  … and {len(items) - MOST_NAMED} more (--json has all)"] if len(items) > MOST_NAMED else []
    return [f"{len(items)} {what}{'s' * (len(items) > 1)}:", *(f"  {item}" for item in items[:MOST_NAMED]), *more]
