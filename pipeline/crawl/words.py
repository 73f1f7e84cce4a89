"""What kept videos are about, as searches for more of a category: TF-IDF over their titles, tags and chapters.

A category's document is a sample of its kept videos: those with the lowest hashes, so that it does not depend on the
order in which videos were kept, and has a bounded size; it lies in a file. What a channel says counts once, however
often it says it, and a phrase counts only if several channels use it: nobody steers the crawl alone, and no one
person's words are searched for.

It is done here, in some lines of numpy: scikit-learn, which has TF-IDF, is no dependency of ours, and its matrix of
documents would have to be cut down to the same counts.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.columns import table_in_a_file
from manifests.hashing import UInt64, hash_texts, splitmix64
from manifests.membership import NOWHERE, are_in, hash_ids, rows_in
from manifests.schema import TABLES
from pipeline.crawl.grown import LEAST_CHANNELS, GrownSearch
from pipeline.crawl.phrases import parts_of, phrases_of
from pipeline.engine.store.many_parts import read_many
from pipeline.engine.store.new_parts import NewParts
from pipeline.engine.store.store import Store

SAMPLE = 20_000
"""Videos of a category whose words are counted: with 4,000, a third as many searches grow."""
LEAST_OWN = 0.5
"""More than this share of the channels with a phrase are of its category: other phrases are everybody's."""
MOST_VIDEOS = 20
"""That a search is recorded to come from."""
_COLUMNS = pa.schema([TABLES["videos"].field(n) for n in ("video_id", "category_id", "channel_id", "title", "about")])


@dataclass(slots=True)
class KeptWords:
    """The words of kept videos, by category; `update` reads those that were committed since."""

    store: Store
    _samples: dict[int, pa.Table] = field(default_factory=dict)
    _parts: NewParts | None = None

    def update(self) -> None:
        """Reads the new parts of `videos`."""
        self._parts = self._parts or NewParts(self.store, "videos")
        for _, table in read_many(self.store, self._parts.new(), _COLUMNS):
            categories = table.column("category_id").to_numpy()
            for category in np.unique(categories).tolist():
                new = table.filter(pa.array(categories == category)).drop_columns("category_id")
                self._samples[category] = _sampled(self._samples.get(category), new)

    def grow(self, n_wanted: Mapping[int, int], known: Iterable[tuple[int, str]]) -> list[GrownSearch]:
        """At most so many searches by category, the best first. `known`: category and words of those there are."""
        spreads = {category: _Spread.of(sample) for category, sample in self._samples.items()}
        are_known: dict[int, set[frozenset[str]]] = {}
        for category, words in known:
            are_known.setdefault(category, set()).add(frozenset(word for part in parts_of(words) for word in part))
        return [
            search
            for category, n in sorted(n_wanted.items())
            if category in spreads
            for search in self._grow(category, n, spreads, are_known.get(category, set()))
        ]

    def _grow(
        self, category: int, n: int, spreads: Mapping[int, "_Spread"], known: Collection[frozenset[str]]
    ) -> Iterator[GrownSearch]:
        taken: list[frozenset[str]] = []
        for phrase, videos in _best_first(self._samples[category], _own_phrases(category, spreads)):
            words = frozenset(phrase.split())
            if len(taken) == n:
                return
            if words in known or any(words <= other or other <= words for other in taken):
                continue
            taken.append(words)
            yield GrownSearch(category, phrase, videos)


def _sampled(sample: pa.Table | None, new: pa.Table) -> pa.Table:
    """A sample with new videos, those with the lowest hashes first, and the hashes of the phrases of each."""
    hashes = hash_ids(new.column("video_id"))
    if sample is not None and sample.num_rows == SAMPLE:
        is_lower = hashes < sample.column("hash")[-1].as_py()
        new, hashes = new.filter(pa.array(is_lower)), hashes[is_lower]
    rows = zip(new.column("title").to_pylist(), new.column("about").to_pylist(), strict=True)
    phrases = [sorted(phrases_of(title, about)) for title, about in rows]
    flat = pa.array(_hashes([phrase for of_video in phrases for phrase in of_video]))
    ends = pa.array(np.cumsum([0, *map(len, phrases)]), pa.int32())
    new = new.append_column("phrases", pa.ListArray.from_arrays(ends, flat))
    new = new.append_column("hash", pa.array(hashes, pa.uint64()))
    both = pa.concat_tables([sample, new] if sample is not None else [new])
    return table_in_a_file(both.sort_by([("hash", "ascending"), ("channel_id", "ascending")]).slice(0, SAMPLE))


@dataclass(frozen=True, slots=True)
class _Spread:
    """How many channels use each phrase. `hashes`: [P] of the phrases, ascending."""

    n_channels: int
    hashes: UInt64
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, sample: pa.Table) -> "_Spread":
        with_channel = sample.filter(pc.not_equal(sample.column("channel_id"), ""))
        channels = hash_ids(with_channel.column("channel_id"))
        phrases, owner = _flat(with_channel)
        pairs = splitmix64(splitmix64(channels)[owner] ^ phrases)
        hashes, counts = np.unique(phrases[np.unique(pairs, return_index=True)[1]], return_counts=True)
        return cls(len(np.unique(channels)), hashes, counts)

    def count(self, hashes: UInt64) -> npt.NDArray[np.int64]:
        """[N] the channels that use each of these phrases."""
        rows = rows_in(self.hashes, hashes)
        return np.where(rows == NOWHERE, 0, np.append(self.counts, 0)[rows])


def _flat(sample: pa.Table) -> tuple[UInt64, npt.NDArray[np.int64]]:
    """All phrases of a sample, and the row of each."""
    lists = sample.column("phrases").combine_chunks()
    return lists.flatten().to_numpy(), pc.list_parent_indices(lists).to_numpy()


def _own_phrases(category: int, spreads: Mapping[int, _Spread]) -> dict[int, float]:
    """The phrases that are this category's own with their TF-IDF."""
    own = spreads[category]
    enough = own.counts >= LEAST_CHANNELS
    hashes, counts = own.hashes[enough], own.counts[enough]
    everywhere = np.sum([spread.count(hashes) for spread in spreads.values()], axis=0)
    n_channels = sum(spread.n_channels for spread in spreads.values())
    score = counts * np.log(1 + n_channels / everywhere)
    is_own = counts > LEAST_OWN * everywhere
    return dict(zip(hashes[is_own].tolist(), score[is_own].tolist(), strict=True))


def _best_first(sample: pa.Table, scores: Mapping[int, float]) -> list[tuple[str, tuple[str, ...]]]:
    """Phrases by their hashes, the best and of these the longest first, each with the videos that use it: one of a
    channel, the lowest hash first.
    """
    hashes, owner = _flat(sample)
    rows = np.unique(owner[are_in(np.array(sorted(scores), np.uint64), hashes)])
    users: dict[str, dict[str, str]] = {}
    score: dict[str, float] = {}
    for video in sample.take(rows).to_pylist():
        phrases = sorted(phrases_of(video["title"], video["about"]))
        for phrase, its_hash in zip(phrases, video["phrases"], strict=True):
            if its_hash in scores and video["channel_id"]:
                score[phrase] = scores[its_hash]
                users.setdefault(phrase, {}).setdefault(video["channel_id"], video["video_id"])
    best = sorted(users, key=lambda phrase: (-score[phrase], -len(phrase.split()), phrase))
    return [(phrase, tuple(users[phrase].values())[:MOST_VIDEOS]) for phrase in best]


def _hashes(phrases: list[str]) -> UInt64:
    return hash_texts(pa.array(phrases, pa.string()), 0)
