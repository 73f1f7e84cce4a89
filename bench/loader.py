"""Measures the cost of loading a training sample: ours beside what most repositories do, on the same shards.

    python -m bench.loader [--data DIR | --films FILE …] [--fps 12 24 30] [--seconds 4 10]
                           [--segments 1 2] [--samples 40] [--ways …]

Samples per core-second (CPU time, so that a busy machine matters less), one decoder thread, in this process; every way
gives the same shapes: for each segment of a clip, one 640x1024 frame and six 160x256 ones.

    naive       webdataset + PyAV: seven frames per segment spread over the clip, decoded in order, then resized
    decord      the same frames asked of decord
    webdataset  like its own decoder of videos (read_video): every frame of the clip, then choose and resize
    whole       ours from the same mp4
    prepared    ours from the stills and the low-resolution proxy that the pipeline stores beside it

webdataset's decoder is reimplemented here by its requests to decord, not imported. DIR is a data set of
the pipeline (its train split is used), FILEs are films. Without either, 720p films of drifting textures are drawn,
`--fps` frames/s, a keyframe every 250 frames. The pipeline itself cuts films, with its default members, into clips of
`--seconds`: a ratio belongs to a length, since naive decoding grows with it and ours hardly does. The ways take turns,
`rounds` times; the median round counts. Prints a table with source, segments and the machine's load.
"""

import argparse
import io
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import cv2
import decord
import numpy as np
import webdataset

from bench.loader_clips import cut_films, drawn_film
from manifests.shards import read_manifest
from train.data.decode import decode_sample
from train.data.index import Index, load_index
from train.data.read import Reader
from train.data.registry import Source
from train.data.views import MEMBERS, Views

HIGH, LOW = (640, 1024), (160, 256)
N_FRAMES, STRIDE = 7, 12
Pictures = tuple[np.ndarray, np.ndarray]
Way = Callable[[dict[str, bytes], np.random.Generator, int], Pictures]


def stream(index: Index) -> Iterator[dict[str, bytes]]:
    """Yields what a method on videos needs of a sample, as webdataset gives it, for ever."""
    urls = [index.manifest.resolve(shard.url) for shard in index.shards]
    while True:
        yield from webdataset.WebDataset(urls, shardshuffle=False, select_files=of_video)


def of_video(name: str) -> bool:
    """Whether a member is read by those who do not know the others: stills and proxy are passed over, not loaded."""
    return name.endswith((".mp4", ".txt", ".json"))


def naive(sample: dict[str, bytes], draw: np.random.Generator, segments: int) -> Pictures:
    """Seven frames per segment spread over the clip: decodes in order up to the last, converts only these, resizes."""
    facts = json.loads(sample["json"])
    wanted = spread(facts["n_frames"], segments) + facts["first_frame"]
    frames: dict[int, np.ndarray] = {}
    with av.open(io.BytesIO(sample["mp4"]), "r") as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                frames[number] = frame.to_ndarray(format="rgb24")
            if number == wanted[-1]:
                break
    return resized(np.stack([frames[number] for number in wanted]), segments)


def by_decord(sample: dict[str, bytes], draw: np.random.Generator, segments: int) -> Pictures:
    """The same frames through decord."""
    reader, first, n = opened(sample)
    return resized(reader.get_batch(first + spread(n, segments)).asnumpy(), segments)


def spread(n_frames: int, segments: int) -> np.ndarray:
    """The numbers of seven frames per segment, evenly over the clip."""
    return np.linspace(0, n_frames - 1, N_FRAMES * segments).round().astype(int)


def webdatasets(sample: dict[str, bytes], draw: np.random.Generator, segments: int) -> Pictures:
    """Every frame of the clip, then as many as are wanted."""
    reader, first, n = opened(sample)
    frames = reader.get_batch(range(first, first + n)).asnumpy()
    return resized(frames[spread(n, segments)], segments)


def resized(frames: np.ndarray, segments: int) -> Pictures:
    """The middle frame of each segment at high resolution, the others at low."""
    high, low = [], []
    for part in np.split(frames, segments):
        high.append(cv2.resize(part[3], HIGH[::-1], interpolation=cv2.INTER_AREA))
        others = (frame for i, frame in enumerate(part) if i != 3)
        low.append([cv2.resize(frame, LOW[::-1], interpolation=cv2.INTER_AREA) for frame in others])
    return np.stack(high), np.array(low)


def opened(sample: dict[str, bytes]) -> tuple[decord.VideoReader, int, int]:
    """(the mp4, first frame and number of frames of the clip inside it)."""
    reader = decord.VideoReader(io.BytesIO(sample["mp4"]), num_threads=1)
    return reader, *clip_of(sample, reader)


def clip_of(sample: dict[str, bytes], reader: decord.VideoReader) -> tuple[int, int]:
    """(first frame, number of frames) of the clip inside the mp4: the baselines get the right frames too."""
    facts = json.loads(sample["json"])
    return facts["first_frame"], min(facts["n_frames"], len(reader) - facts["first_frame"])


def baseline(way: Way, index: Index, segments: int) -> Iterator[tuple[int, ...]]:
    """Yields the shapes of one sample after another."""
    draw = np.random.default_rng(0)
    for sample in stream(index):
        high, low = way(sample, draw, segments)
        yield (*high.shape, *low.shape)


def ours(source: Source, index: Index, segments: int) -> Iterator[tuple[int, ...]]:
    """The same through our reader and decoder."""
    draw, reader = np.random.default_rng(0), Reader(index)
    views = Views(HIGH, LOW, N_FRAMES, segments, STRIDE)
    for number in itertools.cycle(range(len(index))):
        clip = decode_sample(reader.read(number, MEMBERS[source]), source, views, draw)
        assert clip.img_middle is not None and clip.img_other is not None
        high, low = clip.img_middle.transpose(0, 2, 3, 1), clip.img_other.transpose(0, 1, 3, 4, 2)
        yield (*high.shape, *low.shape)


def samples_per_core_s(samples: Iterator[tuple[int, ...]], count: int, segments: int) -> float:
    """Samples per core-second, by the CPU time of `count` samples after a first one."""
    assert next(samples) == (segments, *HIGH, 3, segments, 6, *LOW, 3)
    before = time.process_time()
    for _ in range(count):
        next(samples)
    return count / (time.process_time() - before)


WAYS: dict[str, Way] = {
    "naive": naive,
    "decord": by_decord,
    "webdataset": webdatasets,
}


def compare(index: Index, segments: int, given: argparse.Namespace) -> dict[str, float]:
    """Returns the median round of each way."""
    ways: dict[str, Callable[[], Iterator[tuple[int, ...]]]] = {
        name: partial(baseline, way, index, segments) for name, way in WAYS.items()
    }
    sources: tuple[Source, ...] = ("whole", "prepared")
    ways |= {source: partial(ours, source, index, segments) for source in sources}
    ways = {name: start for name, start in ways.items() if name in {"naive", *given.ways}}
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, start in ways.items():
            rounds[name].append(samples_per_core_s(start(), given.samples, segments))
    return {name: statistics.median(values) for name, values in rounds.items()}


def bytes_read(index: Index, source: Source) -> float:
    """Mean bytes of a sample's members."""
    sizes = [sum(index.members(n)[m][1] for m in MEMBERS[source]) for n in range(len(index))]
    return statistics.mean(sizes)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a data set of the pipeline")
    parser.add_argument("--films", type=Path, nargs="+", default=[], help="films to cut; without either they are drawn")
    parser.add_argument("--fps", type=int, nargs="+", default=[30], help="of the drawn clips")
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0], help="lengths of the clips")
    parser.add_argument("--segments", type=int, nargs="+", default=[2])
    every = [*WAYS, "whole", "prepared"]
    parser.add_argument("--ways", nargs="+", default=every, choices=every, help="naive is always one")
    parser.add_argument("--samples", type=int, default=40, help="samples a round and way")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=8, help="clips to draw")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        for source, place in sources(given, Path(scratch)):
            index = load_index(read_manifest(str(place)), "train")
            for segments in given.segments:
                print_comparison(compare(index, segments, given), index, segments, source)


def sources(given: argparse.Namespace, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Yields (description, data set) for each source that was asked for."""
    if given.data:
        yield str(given.data), given.data
    for seconds in () if given.data else given.seconds:
        clip_ms = round(1000 * seconds)
        for n, film in enumerate(given.films):
            yield f"{film.name}, {seconds:g} s", cut_films([film], scratch / f"film{n}-{clip_ms}", clip_ms)
        for fps in () if given.films else given.fps:
            film = drawn_film(scratch / f"drawn{fps}-{clip_ms}.mp4", given.clips, fps, clip_ms)
            yield (
                f"drawn, 720p, {fps} frames/s, {seconds:g} s",
                cut_films([film], scratch / f"set{fps}-{clip_ms}", clip_ms),
            )


def print_comparison(result: dict[str, float], index: Index, segments: int, source: str) -> None:
    """Prints the table for one source and number of segments."""
    print(f"{source}; {len(index)} clips, {segments} segments of 1 + 6 frames; load {os.getloadavg()[0]:.1f}")
    for name, value in result.items():
        print(f"  {name:10} {value:8.2f} samples per core-second   {value / result['naive']:6.2f} x naive")
    read = {name: bytes_read(index, name) for name in ("whole", "prepared")}
    print(f"  bytes read a sample: whole {read['whole'] / 1e6:.2f} MB, prepared {read['prepared'] / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
