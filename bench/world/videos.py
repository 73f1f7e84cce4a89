"""What there is to crawl: channels with their videos. A video is a function of its number, so that nothing is kept of
it, and a unit gives the same wherever and however often it is made.

A video's number is its channel's and its place in the channel; its id holds this number, mixed by a function that can
be inverted, in the eleven letters of the site's ids.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.world.distribution import Distribution
from manifests.categories import load_categories
from manifests.hashing import UInt64, hash_name

LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", dtype=np.uint8)
LENGTH = 11
PLACE_BITS = 24
PLENTY = 5.0
"""How many times as many videos there are as the crawl needs to look at."""
RESERVE = 1.25
"""What a crawl looks at beyond what is wanted (`crawl.reserve`)."""
MOST_S, LEAST_S = 6 * 3600.0, 30.0
"""Lengths of videos, seconds."""
_SHIFTS = np.array([58 - 6 * k for k in range(10)], np.uint64)
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of SplitMix64: both steps can be inverted
_UNMIX = tuple(pow(factor, -1, 1 << 64) for factor in _MIX)
_VALUES = np.zeros(128, np.uint64)
_VALUES[LETTERS] = np.arange(64, dtype=np.uint64)

Floats = NDArray[np.float64]


def mixed(x: UInt64) -> UInt64:
    """A permutation of the 64-bit numbers."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_MIX[0])
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_MIX[1])
    return np.asarray(x ^ (x >> np.uint64(31)), np.uint64)


def unmixed(x: UInt64) -> UInt64:
    """The inverse of `mixed`."""
    x = (x ^ (x >> np.uint64(31)) ^ (x >> np.uint64(62))) * np.uint64(_UNMIX[1])
    x = (x ^ (x >> np.uint64(27)) ^ (x >> np.uint64(54))) * np.uint64(_UNMIX[0])
    return np.asarray(x ^ (x >> np.uint64(30)) ^ (x >> np.uint64(60)), np.uint64)


def ids_of(hashes: UInt64) -> pa.Array:
    """[N] the ids that hold these numbers."""
    letters = np.empty((len(hashes), LENGTH), np.uint8)
    letters[:, :10] = LETTERS[(hashes[:, None] >> _SHIFTS) & np.uint64(63)]
    letters[:, 10] = LETTERS[(hashes << np.uint64(2)) & np.uint64(63)]
    return fixed_texts(letters)


def hashes_of(ids: Sequence[str]) -> UInt64:
    """[N] the inverse of `ids_of`."""
    letters = np.frombuffer("".join(ids).encode(), np.uint8).reshape(len(ids), LENGTH)
    values = _VALUES[letters]
    high = np.bitwise_or.reduce(values[:, :10] << _SHIFTS, axis=1) if len(ids) else np.zeros(0, np.uint64)
    return np.asarray(high | (values[:, 10] >> np.uint64(2)), np.uint64)


def fixed_texts(letters: NDArray[np.uint8]) -> pa.Array:
    """[N] strings of equal length from a matrix of their bytes."""
    n, width = letters.shape
    ends = np.arange(n + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(n, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(letters)))


@dataclass(frozen=True, slots=True)
class Videos:
    """Some videos: columns [N]. `hashes` are in their ids; `likeness` is the same for a video and its second upload."""

    hashes: UInt64
    ids: pa.Array
    channel: NDArray[np.int64]
    category_id: NDArray[np.int32]
    n_clips: NDArray[np.int64]
    length_s: Floats
    likeness: UInt64

    def __len__(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True)
class World:
    """A world with enough videos for a data set of `n_videos`."""

    distribution: Distribution
    n_videos: int
    seed: int = 0

    @cached_property
    def category_ids(self) -> NDArray[np.int32]:
        """[15] the categories, the largest one first."""
        return np.array([category.id for category in load_categories()], np.int32)

    @cached_property
    def shares(self) -> Floats:
        """[15] the categories' shares of the videos."""
        first, n = self.distribution.largest_category, len(self.category_ids)
        return np.array([first, *[(1 - first) / (n - 1)] * (n - 1)])

    @cached_property
    def n_candidates(self) -> int:
        """About how many candidates a crawl for `n_videos` looks at."""
        return round(self.n_videos * self.distribution.candidates_a_video * RESERVE)

    @cached_property
    def channel_sizes(self) -> NDArray[np.int64]:
        """[C] videos of each channel, kept or not; the largest comes first."""
        of, rng = self.distribution, np.random.default_rng([self.seed, 1])
        n_all = round(self.n_candidates * PLENTY) + 1000
        n = round(n_all / of.channel_videos_mean)
        median = np.log(of.channel_videos_mean) - of.channel_videos_spread**2 / 2
        sizes = np.maximum(1, rng.lognormal(median, of.channel_videos_spread, n).round().astype(np.int64))
        largest = max(1, min(round(of.largest_channel * of.candidates_a_video), n_all // 20))
        return np.append(largest, np.minimum(sizes, largest))

    @cached_property
    def channel_categories(self) -> NDArray[np.int8]:
        """[C] the index in `category_ids` of each channel's category."""
        rng = np.random.default_rng([self.seed, 2])
        drawn = rng.choice(len(self.shares), len(self.channel_sizes), p=self.shares)
        drawn[0] = 0
        return np.asarray(drawn, np.int8)

    @cached_property
    def _by_category(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """For each category its channels, and their sizes added up."""
        channels = [np.flatnonzero(self.channel_categories == i) for i in range(len(self.category_ids))]
        return [(those, np.cumsum(self.channel_sizes[those])) for those in channels]

    def draw(self, hashes: UInt64, purpose: str) -> Floats:
        """[N] numbers from 0 to 1 that depend on these hashes, the purpose and the seed alone."""
        salt = np.uint64(hash_name(self.seed, "world", purpose))
        return np.asarray((mixed(mixed(hashes) ^ salt) >> np.uint64(11)) * 2.0**-53)

    # what a site lists

    def found(self, query: str, category_id: int, n: int) -> UInt64:
        """[n] the first results of a search for a category's videos: mostly of the category, larger channels more."""
        places = np.arange(n, dtype=np.uint64) + np.uint64(hash_name(self.seed, "query", query))
        wanted = int(np.flatnonzero(self.category_ids == category_id)[0])
        is_other = self.draw(places, "off the category") >= self.distribution.in_category
        any_ = np.searchsorted(np.cumsum(self.shares), self.draw(places, "which"), side="right")
        category = np.where(is_other, np.minimum(any_, len(self.shares) - 1), wanted)
        at, hashes = self.draw(places, "video"), np.zeros(n, np.uint64)
        for i in np.unique(category).tolist():
            channels, ends = self._by_category[i]
            if len(channels):
                rows = np.flatnonzero(category == i)
                video = (at[rows] * ends[-1]).astype(np.int64)
                k = np.searchsorted(ends, video, side="right")
                hashes[rows] = self._hashes(channels[k], ends[k] - 1 - video)
        return hashes[hashes > 0]

    def of_channel(self, channel_id: str, n: int) -> UInt64:
        """[n] a channel's videos, or all if it has fewer."""
        channel = int(channel_id.removeprefix("UC"))
        places = np.arange(min(n, int(self.channel_sizes[channel])))
        return self._hashes(np.full(len(places), channel), places)

    def some(self, first: int, n: int) -> UInt64:
        """[n] videos from number `first` on, in an order that goes through all channels alike."""
        ends = np.cumsum(self.channel_sizes)
        n_all = int(ends[-1])
        step = next(k for k in range(round(n_all * 0.618), n_all + 2) if math.gcd(k, n_all) == 1)
        video = (np.arange(first, first + n, dtype=np.int64) % n_all) * step % n_all
        channel = np.searchsorted(ends, video, side="right")
        return self._hashes(channel, ends[channel] - 1 - video)

    def nobodys(self, n: int) -> UInt64:
        """[n] hashes of videos that there are not."""
        channels = len(self.channel_sizes) + np.arange(n, dtype=np.int64)
        return self._hashes(channels, np.zeros(n, np.int64))

    def _hashes(self, channel: NDArray[np.int64], place: NDArray[np.int64]) -> UInt64:
        numbers = (channel.astype(np.uint64) << np.uint64(PLACE_BITS)) | place.astype(np.uint64)
        return mixed(numbers ^ np.uint64(hash_name(self.seed, "world", "ids")))

    # what is known of a video

    def videos(self, hashes: UInt64) -> Videos:
        """The videos with these hashes."""
        of = self.distribution
        number = unmixed(hashes) ^ np.uint64(hash_name(self.seed, "world", "ids"))
        channel = (number >> np.uint64(PLACE_BITS)).astype(np.int64)
        place = (number & np.uint64((1 << PLACE_BITS) - 1)).astype(np.int64)
        is_again = (self.draw(hashes, "again") < of.repeated) & (place > 0)
        likeness = np.where(is_again, self._hashes(channel, np.maximum(place - 1, 0)), hashes)
        angle, far = self.draw(likeness, "clips"), 1 - self.draw(likeness, "clips too")
        normal = np.sqrt(-2 * np.log(far)) * np.cos(2 * np.pi * angle)
        median = np.log(of.clips_mean) - of.clips_spread**2 / 2
        n_clips = np.clip(np.exp(median + of.clips_spread * normal).round(), 1, of.clips_most).astype(np.int64)
        return Videos(
            hashes=hashes,
            ids=ids_of(hashes),
            channel=channel,
            category_id=self.category_ids[self.channel_categories[channel]],
            n_clips=n_clips,
            length_s=np.clip(n_clips * of.clip_ms / 1000 / of.spoken, LEAST_S, MOST_S),
            likeness=likeness,
        )

    def of_ids(self, ids: Sequence[str]) -> Videos:
        """The videos with these ids."""
        return self.videos(hashes_of(ids))

    def queries(self) -> dict[int, tuple[str, ...]]:
        """Search words by category, enough for the share of the candidates that queries are to give."""
        n = self.n_candidates * self.distribution.from_queries / self.distribution.results_a_query
        return {
            int(category): tuple(f"query {k} of {category}" for k in range(max(1, round(share * n))))
            for category, share in zip(self.category_ids, self.shares, strict=True)
        }
