"""Measures what prepared members cost and save: bytes and CPU to make them, CPU to decode a training sample from them.

    python -m bench.members [VIDEO …] [--samples ../shared/samples] [--default]

Without VIDEO: a drawn film of 720p30 and samples of at least 720p. `--default` measures only the default settings.

A training sample is HD-VILA's: 1 high-resolution frame and 6 low-resolution ones around it. From the clip, PyAV seeks
to the keyframe before and decodes to the last frame; from members, it decodes the proxy's frames and one JPEG.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from hdvila_testing.rows import a_clip_row, a_video_row
from hdvila_testing.video import a_video
from manifests.sample import SampleJson
from pipeline.config.media import MediaConfig, MembersConfig, ScenesConfig
from pipeline.media.members import proxy
from pipeline.media.video import make_video

SETTINGS: list[dict[str, Any]] = [
    {},
    {"proxy_step": 1},
    {"proxy_step": 1, "PROXY_PRESET": "veryfast", "PROXY_CRF": 26},
    {"PROXY_GOP": 12},
    {"PROXY_CRF": 23},
    {"still_quality": 80},
    {"still_quality": 95},
]
SAMPLES = ("nodejs-docs-samples__ForBiggerEscapes.mp4", "video2dataset__test_video.mp4")
N_READS = 12
LOW_FRAMES, LOW_STRIDE = 6, 4


def main() -> None:
    """Prints a line per setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*")
    parser.add_argument("--samples", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "samples")
    parser.add_argument("--default", action="store_true", help="only the default settings")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn.mp4"
        for path in arguments.videos or [drawn, *(arguments.samples / "videos" / name for name in SAMPLES)]:
            if path == drawn:
                a_video(drawn, seconds=16, fps=Fraction(30), gop=60)
            print(path.name)
            for changes in [{}] if arguments.default else SETTINGS:
                measure(path, changes)


def measure(path: Path, changes: dict[str, Any]) -> None:
    """Measures one setting: bytes and CPU per second of clip, and decode time from the clip and from members."""
    scenes = ScenesConfig(detector="off")  # so that only the clips are decoded
    members = {key: value for key, value in changes.items() if key.islower()}
    config = MediaConfig(members=MembersConfig.model_validate(members), scenes=scenes)
    clips = [a_clip_row("v", n, n * 5000, n * 5000 + 4900) for n in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        with constants_of(proxy, {name: value for name, value in changes.items() if name.isupper()}):
            made = make_video(path, a_video_row("v"), clips, config, Path(folder))
        samples = [
            {k: c if isinstance(c, bytes) else c.read_bytes() for k, c in clip.sample.members.items()}
            for clip in made.clips
            if clip.sample
        ]
    seconds = sum(clip.end_ms - clip.start_ms for clip in made.clips) / 1000
    sizes = {e: sum(len(s.get(e, b"")) for s in samples) / 1000 / seconds for e in ("mp4", "m4v", "mjpg")}
    steps = made.stopwatch.seconds
    cpu = {name: 1000 * steps.get(name, 0.0) / seconds for name in ("proxy", "stills")}
    line = f"{changes or 'default'!s:36s} kB/s: mp4 {sizes['mp4']:.0f} m4v {sizes['m4v']:.1f} mjpg {sizes['mjpg']:.1f}"
    line += f"; made in CPU ms/s: proxy {cpu['proxy']:.1f} stills {cpu['stills']:.1f}"
    if samples and "m4v" in samples[0]:
        slow, fast = decode_ms(samples, from_clip), decode_ms(samples, from_members)
        line += f"; a sample decodes in {slow:.1f} ms from the clip, {fast:.1f} from members ({slow / fast:.1f}x)"
    print(line, flush=True)


@contextmanager
def constants_of(module: Any, changes: dict[str, Any]) -> Iterator[None]:
    """Constants of a module that have other values meanwhile."""
    before = {name: getattr(module, name) for name in changes}
    for values in changes, before:
        for name, value in values.items():
            setattr(module, name, value)
        if values is changes:
            yield


def decode_ms(samples: list[dict[str, bytes]], read: Callable[..., None]) -> float:
    """Median CPU time, ms, of reading a sample at random places."""
    rng = np.random.default_rng(0)
    times = []
    for _ in range(N_READS):
        members = samples[int(rng.integers(len(samples)))]
        facts = SampleJson.model_validate_json(members["json"])
        first = int(rng.integers(max(1, facts.n_frames - LOW_FRAMES * LOW_STRIDE)))
        began = time.process_time()
        read(members, facts, first)
        times.append(1000 * (time.process_time() - began))
    return float(np.median(times))


def from_clip(members: dict[str, bytes], facts: SampleJson, first: int) -> None:
    """Decodes all seven frames from the 720p clip."""
    frames = _frames(members["mp4"], facts.first_frame + first, LOW_FRAMES * LOW_STRIDE)
    for i in range(0, len(frames), LOW_STRIDE):
        picture = frames[i].to_ndarray(format="rgb24")
        cv2.resize(picture, (picture.shape[1] // 4, picture.shape[0] // 4), interpolation=cv2.INTER_AREA)


def from_members(members: dict[str, bytes], facts: SampleJson, first: int) -> None:
    """Decodes six frames from the proxy and one still."""
    step = facts.proxy_step
    for frame in _frames(members["m4v"], first // step, LOW_FRAMES * LOW_STRIDE // step)[:: LOW_STRIDE // step]:
        frame.to_ndarray(format="rgb24")
    end = members["mjpg"].index(b"\xff\xd9\xff\xd8") + 2 if b"\xff\xd9\xff\xd8" in members["mjpg"] else None
    cv2.imdecode(np.frombuffer(members["mjpg"][:end], np.uint8), cv2.IMREAD_COLOR)


def _frames(mp4: bytes, first: int, count: int) -> list[Any]:
    """Frames first … first + count - 1 in presentation order, decoded from the keyframe before."""
    with av.open(io.BytesIO(mp4), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        packets = [p for p in container.demux(stream) if p.size]
        times = [p.pts or 0 for p in packets]
        wanted = sorted(times)[first : first + count]
        keys = [i for i, p in enumerate(packets) if p.is_keyframe and times[i] <= wanted[0]]
        found: list[Any] = []
        for packet in [*packets[keys[-1] :], None]:
            found += [f for f in stream.codec_context.decode(packet) if wanted[0] <= (f.pts or 0) <= wanted[-1]]
            if found and found[-1].pts == wanted[-1]:
                break
    return found


if __name__ == "__main__":
    main()
