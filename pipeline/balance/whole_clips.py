"""Quotas in hours, met in whole clips: what cutting at a clip's end left of the total goes on, clip by clip.

Each category ends up to a clip below its quota, and fifteen of them up to fifteen clips below the total. So the next
clip in a category's order is taken as long as it fits into what is left of all quotas together, the emptiest category
by weight first. A category so gets less than a clip more than its quota, and no cap in hours is exceeded. A channel
may have its share, and one clip in any case, as where clips are counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.balance.standing import Standing

AT_ONCE = 4096


@dataclass(slots=True)
class Room:
    """What one category may still take. `rows`: its candidates with more clips than are taken, in its order.

    `is_rounded`: its next clip was too long for what is left; else nothing that it may take is left.
    """

    rows: NDArray[np.int64]
    weight: float
    taken: int
    most: int
    at: int = 0
    is_rounded: bool = False


@dataclass(slots=True)
class Channels:
    """`key` [N]: the channel of each candidate, -1 if unknown. `has`, `most` [G + 1]: what each has and may have.

    The last is for unknown channels, which have no limit.
    """

    key: NDArray[np.int64]
    has: NDArray[np.int64]
    most: NDArray[np.int64]
    is_closed: NDArray[np.bool_]

    @classmethod
    def of(cls, key: NDArray[np.int64], has: NDArray[np.int64], most: NDArray[np.int64]) -> "Channels":
        """From those of the known channels [G]."""
        return cls(key, np.append(has, 0), np.append(most, 0), np.zeros(len(has) + 1, dtype=np.bool_))

    def closes(self, key: int, length: int) -> bool:
        """Whether a channel's next clip does not fit: a later, shorter one would come before it, so none is taken."""
        self.is_closed[key] = key >= 0 and self.has[key] > 0 and self.has[key] + length > self.most[key]
        return bool(self.is_closed[key])


def fill_up(
    current: Standing,
    clips: NDArray[np.int64],
    ms: NDArray[np.int64],
    rooms: Sequence[Room],
    channels: Channels,
    left: int,
) -> None:
    """Adds to the `clips` and `ms` [N] that are taken, in whole clips of at most `left` milliseconds together."""
    open_ = [one for one in rooms if one.weight and len(one.rows)]
    while open_:
        nexts: Mapping[int, int] = {
            k: n for k, one in enumerate(open_) if (n := _next_ms(one, current, clips, channels, left))
        }
        if not nexts:
            return
        k = min(nexts, key=lambda k: ((open_[k].taken + nexts[k]) / open_[k].weight, k))
        chosen, length = open_[k], nexts[k]
        i = int(chosen.rows[chosen.at])
        clips[i] += 1
        ms[i] += length
        chosen.taken += length
        left -= length
        channels.has[channels.key[i]] += length
        open_ = [one for j, one in enumerate(open_) if j in nexts]


def _next_ms(one: Room, current: Standing, clips: NDArray[np.int64], channels: Channels, left: int) -> int:
    """The length of the next clip in a category's order; 0 if it does not fit.

    A video that is in shards gets no more clips, and another may come in its place only if its own would have fitted.
    """
    while one.at < len(one.rows):
        ahead = one.rows[one.at : one.at + AT_ONCE]
        free = np.flatnonzero(~channels.is_closed[channels.key[ahead]])
        if not len(free):
            one.at += len(ahead)
            continue
        one.at += int(free[0])
        i = int(one.rows[one.at])
        n_taken = int(clips[i])
        if n_taken >= int(current.clips[i]):
            one.at += 1
            continue
        length = int(current.lists.ms[int(current.lists.starts[current.row[i]]) + n_taken])
        if channels.closes(int(channels.key[i]), length):
            continue
        if length > left or one.taken + length > one.most:
            one.is_rounded = True
            return 0
        if not current.kept_clips[i]:
            return length
        one.at += 1
    return 0
