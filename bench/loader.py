"""What a training sample costs to load: ours beside what most repositories do, on the same shards, in one run.

    python bench/loader.py [--data DIR] [--samples 40] [--rounds 3]

Samples per core-second (CPU time, so that a busy machine matters less), one decoder thread, in this process; every way
gives the same shapes: one 640x1024 frame and six 160x256 ones of each clip.

    naive       webdataset + decord: open the whole mp4, seven frames spread over the clip at full size, then resize
    hdvila      webdataset + decord with HD-VILA's frames (12 apart) and crop, the six scaled to a quarter
    whole       ours from the same mp4
    prepared    ours from the stills and the low-resolution proxy that the pipeline stores beside it

DIR is a data set of the pipeline (its train split is used). Without one, 720p clips of 10 s are drawn: moving texture,
30 frames/s, a keyframe every 250 frames and two seconds before the clip's start, as a remux of a download has them.
The ways take turns, `rounds` times; the median round counts. Prints a table and one line of JSON.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import decord
import numpy as np
import webdataset
from PIL import Image

from manifests.sample import SampleJson, sample_key
from manifests.shards import read_manifest
from train.data.decode import MEMBERS, Source, Views, decode_sample
from train.data.index import Index, load_index
from train.data.read import Reader
from train.testing import Sample, Scene, Shape, a_sample_json, encode_mp4, replace_facts, write_manifest, write_shard

HIGH, LOW = (640, 1024), (160, 256)
VIEWS = Views(HIGH, LOW, n_frames=7, n_segments=1, stride=12)
FPS, LEAD, LENGTH = 30, 60, 300


def draw_clips(folder: Path, n_clips: int) -> Path:
    """A data set of textured clips with all members."""
    texture = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    texture = cv2.resize(texture, (2560, 1440), interpolation=cv2.INTER_CUBIC)
    shape = Shape(1280, 720, FPS, LENGTH, LEAD)
    samples = []
    for clip in range(n_clips):
        frames = [texture[i : i + 720, 2 * i + 40 * clip : 2 * i + 40 * clip + 1280] for i in range(LEAD + LENGTH)]
        mp4 = encode_mp4(frames, FPS, 250, crf=23, preset="veryfast")
        small = (cv2.resize(f, (320, 180), interpolation=cv2.INTER_AREA) for f in frames[LEAD:])
        members = {"mp4": mp4, "txt": b"a texture moves", "m4v": encode_mp4(small, FPS, 12, crf=23, preset="veryfast")}
        members["mjpg"], stills = jpegs(frames[LEAD:])
        facts = replace_facts(a_sample_json(), video_id=f"v{clip}", n=0, scene=Scene(), shape=shape, stills=stills)
        members["json"] = facts.model_dump_json().encode()
        ordered = {m: members[m] for m in ("mp4", "txt", "json", "m4v", "mjpg")}
        samples.append(Sample(sample_key(f"v{clip}", 0), ordered))
    return write_manifest(folder, [write_shard(folder / "shards/train/00000.tar", samples, "train", folder)])


def jpegs(frames: list[np.ndarray]) -> tuple[bytes, list[dict[str, int]]]:
    """A still every two seconds: JPEGs end to end, and where each stands."""
    data, stills = b"", []
    for number in range(FPS, len(frames), 2 * FPS):
        buffer = io.BytesIO()
        Image.fromarray(frames[number]).save(buffer, "JPEG", quality=90)
        stills.append({"frame": number, "time_ms": 1000 * number // FPS, "offset": len(data), "size": buffer.tell()})
        data += buffer.getvalue()
    return data, stills


def stream(index: Index) -> Iterator[dict[str, bytes]]:
    """Samples as webdataset gives them, for ever."""
    urls = [index.manifest.resolve(shard.url) for shard in index.shards]
    while True:
        yield from webdataset.WebDataset(urls, shardshuffle=False)


def naive(sample: dict[str, bytes], draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Seven frames spread over the clip, decoded at full size, then resized."""
    reader = decord.VideoReader(io.BytesIO(sample["mp4"]), num_threads=1)
    first, n = clip_of(sample, reader)
    frames = reader.get_batch(first + np.linspace(0, n - 1, 7).round().astype(int)).asnumpy()
    resized = [cv2.resize(frame, LOW[::-1], interpolation=cv2.INTER_AREA) for i, frame in enumerate(frames) if i != 3]
    return cv2.resize(frames[3], HIGH[::-1], interpolation=cv2.INTER_AREA), np.stack(resized)


def hdvila(sample: dict[str, bytes], draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """HD-VILA's recipe: seven frames 12 apart, one crop of 640x1024 for all, six scaled to a quarter."""
    reader = decord.VideoReader(io.BytesIO(sample["mp4"]), num_threads=1)
    first, n = clip_of(sample, reader)
    stride = min(12, (n - 1) // 6)
    centre = int(draw.integers(3 * stride, n - 3 * stride))
    frames = reader.get_batch([first + centre + k * stride for k in range(-3, 4)]).asnumpy()
    frames = frames if frames.shape[1:3] == (720, 1280) else np.stack([cv2.resize(f, (1280, 720)) for f in frames])
    y, x = int(draw.integers(0, 81)), int(draw.integers(0, 257))
    crops = frames[:, y : y + HIGH[0], x : x + HIGH[1]]
    resized = [cv2.resize(crop, LOW[::-1], interpolation=cv2.INTER_CUBIC) for i, crop in enumerate(crops) if i != 3]
    return np.ascontiguousarray(crops[3]), np.stack(resized)


def clip_of(sample: dict[str, bytes], reader: decord.VideoReader) -> tuple[int, int]:
    """(first frame, frames) of the clip inside the mp4: the baselines are given the right frames too."""
    facts = SampleJson.model_validate_json(sample["json"])
    return facts.first_frame, min(facts.n_frames, len(reader) - facts.first_frame)


def baseline(way: Callable[..., tuple[np.ndarray, np.ndarray]], index: Index) -> Iterator[tuple[int, ...]]:
    """Shapes of one sample after another."""
    draw = np.random.default_rng(0)
    for sample in stream(index):
        high, low = way(sample, draw)
        yield (*high.shape, *low.shape)


def ours(source: Source, index: Index) -> Iterator[tuple[int, ...]]:
    """The same through our reader and decoder."""
    draw, reader = np.random.default_rng(0), Reader(index)
    for number in itertools.cycle(range(len(index))):
        clip = decode_sample(reader.read(number, MEMBERS[source]), source, VIEWS, draw)
        high, low = clip.img_middle[0].transpose(1, 2, 0), clip.img_other[0].transpose(0, 2, 3, 1)
        yield (*high.shape, *low.shape)


def samples_per_core_s(samples: Iterator[tuple[int, ...]], count: int) -> float:
    """By the CPU time of `count` samples after a first one."""
    assert next(samples) == (*HIGH, 3, 6, *LOW, 3)
    before = time.process_time()
    for _ in range(count):
        next(samples)
    return count / (time.process_time() - before)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a data set of the pipeline; without it clips are drawn")
    parser.add_argument("--samples", type=int, default=40, help="samples a round and way")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=8, help="clips to draw")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        manifest = read_manifest(str(arguments.data or draw_clips(Path(scratch), arguments.clips)))
        index = load_index(manifest, "train")
        ways = {
            "naive": lambda: baseline(naive, index),
            "hdvila": lambda: baseline(hdvila, index),
            "whole": lambda: ours("whole", index),
            "prepared": lambda: ours("prepared", index),
        }
        rounds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, start in ways.items():
                rounds[name].append(samples_per_core_s(start(), arguments.samples))
    result = {name: statistics.median(values) for name, values in rounds.items()}
    for name, value in result.items():
        print(f"{name:10} {value:8.2f} samples per core-second   {value / result['naive']:6.2f} x naive")
    print(json.dumps({"samples_per_core_s": {k: round(v, 3) for k, v in result.items()}, "rounds": rounds}))


if __name__ == "__main__":
    main()
