"""Windows over whole videos, put together from the frames of their clips: between two clips, too, there is something to
compare a sentence with.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from train.data.crop import Pixels
from train.data.decode import BROKEN, Still, open_proxy, read_facts, read_still, read_stills
from train.data.index import Index
from train.data.read import Reader, ShardUnreadable
from train.data.views import Views
from train.evaluation.encoder import Encoder, Inputs, hybrid_views

BATCH = 32


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows that a model embedded: whose video, where its middle lies in it, and the vectors [m, D]."""

    video: npt.NDArray[np.object_]
    middle_ms: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]


@dataclass(slots=True)
class Timeline:
    """A video's frames by number: small ones from the proxies, and where its stills are."""

    fps: float
    step: int
    small: dict[int, Pixels] = field(default_factory=dict)
    stills: dict[int, tuple[bytes, Still]] = field(default_factory=dict)

    def windows(self, views: Views) -> Iterator[tuple[int, Inputs]]:
        """(the time of its middle, ms; its view) of each window that is shown in full: around a still each, or a window
        a second if the view takes no stills.
        """
        stride = views.stride * views.step(self.fps)
        first = ceil(views.reach * stride)
        every = max(1, round(self.fps))
        middles = self.stills if views.has_still else {g for g in self.small if g % every < self.step}
        for middle in sorted(middles):
            wanted = [round(first + k * stride) for k in range(-views.reach, views.reach + 1)]
            shown = {f: self._nearest(middle - first + f) for f in wanted}
            pictures = {f: picture for f, picture in shown.items() if picture is not None}
            if len(pictures) < len(shown):
                continue
            if views.has_still:
                pictures[first] = np.asarray(read_still(*self.stills[middle]))

            def read(frames: Sequence[int], pictures: Mapping[int, Pixels] = pictures) -> dict[int, Pixels]:
                return {f: pictures[f] for f in frames}

            yield round(1000 * middle / self.fps), hybrid_views(read, 2 * first + 1, views)

    def _nearest(self, frame: int) -> Pixels | None:
        near = (frame + d for d in sorted(range(-self.step + 1, self.step), key=abs))
        return next((self.small[g] for g in near if g in self.small), None)


def windows_of(encoder: Encoder, index: Index, options: Mapping[str, Any]) -> Windows:
    """The windows of all videos of which the index has clips with members for training; damaged clips are left out."""
    views = replace(encoder.views, n_segments=1, fps=encoder.fps)
    reader = Reader(index, options)
    video, middle_ms, vectors = [], [], [np.zeros((0, encoder.model.config.width), np.float32)]
    order = sorted(range(len(index)), key=index.key)
    for name, samples in groupby(order, key=lambda sample: index.key(sample).rpartition("_")[0]):
        for timeline in _timelines(reader, samples):
            shown = list(timeline.windows(views))
            video += [name] * len(shown)
            middle_ms += [ms for ms, _ in shown]
            for at in range(0, len(shown), BATCH):
                vectors.append(encoder.embed_views([view for _, view in shown[at : at + BATCH]]).numpy())
    reader.close()
    return Windows(np.array(video, object), np.array(middle_ms, np.int64), np.concatenate(vectors))


def _timelines(reader: Reader, samples: Iterator[int]) -> list[Timeline]:
    """That of a video's clips; several only if they have several frame rates."""
    found: dict[tuple[float, int], Timeline] = {}
    for sample in samples:
        try:
            members = reader.read(sample, ("json", "m4v", "mjpg"))
            facts = read_facts(members["json"])
            proxy, stills = open_proxy(members["m4v"], facts), read_stills(facts)
            pictures = proxy.read(range(0, proxy.n_frames, proxy.step))
        except (*BROKEN, ShardUnreadable):
            continue
        kind = round(facts.fps, 2), proxy.step
        timeline = found.setdefault(kind, Timeline(*kind))
        at = round(facts.start_ms * facts.fps / 1000)
        timeline.small |= {at + f: picture for f, picture in pictures.items()}
        timeline.stills |= {at + still.frame: (members["mjpg"], still) for still in stills}
    return list(found.values())
