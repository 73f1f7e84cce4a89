"""Builders for tests: a small data set of drawn clips, written through `manifests` as the pipeline would write it.

    write_dataset(tmp_path, videos=12, clips=2)           shards, their rows and a manifest
    a_sample("video", n=3)                                a sample's members

Every frame shows a moving coloured shape and, in a strip that is inside every crop, its own frame number in twelve
blocks (`read_number`), so that a test can tell which frame it got. Captions describe the shape and its motion.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from manifests.colour import SMPTE170M
from manifests.parquet import parquet_bytes
from manifests.sample import MEMBER_ORDER, SampleJson, clip_id, read_sample, sample_key
from manifests.schema import SHARD_ROWS, table_of
from manifests.shards import ShardEntry, manifest_bytes, recorded_in
from train.data.crop import Pixels

BITS = 12
#: Where the number is drawn, as fractions of the picture: inside every crop of 256x160 out of 320x180.
STRIP = (64 / 320, 80 / 180, 256 / 320, 100 / 180)

COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 70, 230), "yellow": (230, 210, 40)}
SHAPES = ("square", "circle", "bar")
MOTIONS = ("left", "right", "up", "down")
CATEGORY_IDS = (10, 27, 17)


@dataclass(frozen=True, slots=True)
class Scene:
    """The content of a clip. `describe()` is its caption."""

    colour: str = "red"
    shape: str = "square"
    motion: str = "right"
    shade: int = 90

    def describe(self) -> str:
        """The caption of the scene."""
        return f"a {self.colour} {self.shape} moves {self.motion}"

    def draw(self, number: int, width: int, height: int) -> Pixels:
        """Draws frame `number`, RGB `[height, width, 3]`."""
        picture = np.full((height, width, 3), self.shade, np.uint8)
        travel = 0.3 + 0.4 * ((number % 40) / 40)
        across = {"left": 1 - travel, "right": travel}.get(self.motion, 0.5)
        down = {"up": 1 - travel, "down": travel}.get(self.motion, 0.7)
        picture[self._mask(across, down, width, height)] = COLOURS[self.colour]
        return draw_number(picture, number)

    def _mask(self, across: float, down: float, width: int, height: int) -> np.ndarray:
        x = (np.arange(width)[None] / width - across) * width / height
        y = np.arange(height)[:, None] / height - down
        if self.shape == "circle":
            return np.asarray(x**2 + y**2 < 0.15**2)
        return (abs(x) < (0.3 if self.shape == "bar" else 0.14)) & (abs(y) < (0.06 if self.shape == "bar" else 0.14))


def scenes(count: int) -> list[Scene]:
    """The first `count` scenes; up to 48, all have different captions."""
    names = list(COLOURS)
    return [Scene(names[i % 4], SHAPES[i // 4 % 3], MOTIONS[i // 12 % 4], 70 + 13 * (i % 7)) for i in range(count)]


def draw_number(picture: Pixels, number: int) -> Pixels:
    """Draws a frame number (0..4095) into the strip, most significant bit first, white for 1."""
    height, width = picture.shape[:2]
    left, top, right, bottom = (round(p * s) for p, s in zip(STRIP, (width, height) * 2, strict=True))
    edges = np.linspace(left, right, BITS + 1).round().astype(int)
    for bit, (start, stop) in enumerate(pairwise(edges)):
        picture[top:bottom, start:stop] = 235 if number >> (BITS - 1 - bit) & 1 else 20
    return picture


def read_number(picture: Pixels, box: tuple[float, float, float, float] = (0, 0, 1, 1)) -> int:
    """Reads the number from a picture that shows `box` (left, top, right, bottom as fractions) of a drawn picture."""
    height, width = picture.shape[:2]
    y = ((STRIP[1] + STRIP[3]) / 2 - box[1]) / (box[3] - box[1]) * height
    number = 0
    for bit in range(BITS):
        at = STRIP[0] + (bit + 0.5) / BITS * (STRIP[2] - STRIP[0])
        x = (at - box[0]) / (box[2] - box[0]) * width
        number = 2 * number + int(picture[int(y), int(x)].mean() > 128)
    return number


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a drawn clip. Small by default: tests need many clips, not many pixels."""

    width: int = 320
    height: int = 180
    fps: int = 12
    n_frames: int = 30
    first_frame: int = 5
    """Number of frames in the mp4 before the clip, as in a remux."""
    n_stills: int = 4
    prepared: bool = True
    gop: int = 12
    lead_ms: int = 50
    """Time from the clip's start to its first frame: a sentence doesn't begin exactly at a frame."""


@dataclass(slots=True)
class Sample:
    """The members of a sample, in `MEMBER_ORDER`, with its key and category."""

    key: str
    members: dict[str, bytes]
    category_id: int = 10


def a_sample(
    video_id: str = "video", n: int = 0, scene: Scene | None = None, shape: Shape | None = None, category_id: int = 10
) -> Sample:
    """Makes a sample: mp4, caption, json, and if `shape.prepared`, proxy and stills."""
    scene, shape = scene or Scene(), shape or Shape()
    pictures = [scene.draw(i, shape.width, shape.height) for i in range(shape.n_frames)]
    lead = [scene.draw(4095 - i, shape.width, shape.height) for i in range(shape.first_frame)]
    members = {"mp4": encode_mp4([*lead, *pictures], shape.fps, shape.gop), "txt": scene.describe().encode()}
    stills: list[dict[str, int]] = []
    if shape.prepared:
        small = [np.asarray(Image.fromarray(p).resize((320, 180), Image.Resampling.BICUBIC)) for p in pictures]
        members["m4v"] = encode_mp4(small, shape.fps, shape.gop, start_ms=shape.lead_ms)
        members["mjpg"], stills = _stills(pictures, shape)
    facts = replace_facts(a_sample_json(), video_id=video_id, n=n, scene=scene, shape=shape, stills=stills)
    facts = facts.model_copy(update={"category_id": category_id})
    members["json"] = facts.model_dump_json().encode()
    ordered = {m: members[m] for m in MEMBER_ORDER if m in members}
    return Sample(sample_key(video_id, n), ordered, category_id)


def a_sample_json() -> SampleJson:
    """A KEY.json with every field at a neutral value."""
    zero: dict[Any, Any] = {int: 0, float: 0.0, bool: False, str: ""}
    fields = SampleJson.model_fields.items()
    blank = {name: zero[info.annotation] for name, info in fields if info.annotation in zero and info.is_required()}
    return SampleJson.model_validate({**blank, "cut_mode": "remux", "words": "[]", "stills": "[]", "flags": "[]"})


def replace_facts(
    facts: SampleJson, *, video_id: str, n: int, scene: Scene, shape: Shape, stills: Sequence[dict[str, int]]
) -> SampleJson:
    """Fills in the facts of a drawn clip."""
    duration_ms = 1000 * shape.n_frames // shape.fps
    return facts.model_copy(
        update={
            "clip_id": clip_id(video_id, n),
            "video_id": video_id,
            "text": scene.describe(),
            "end_ms": duration_ms,
            "duration_ms": duration_ms,
            "first_frame": shape.first_frame,
            "n_frames": shape.n_frames,
            "width": shape.width,
            "height": shape.height,
            "fps": float(shape.fps),
            "codec": "h264",
            "proxy_width": 320 if shape.prepared else 0,
            "proxy_height": 180 if shape.prepared else 0,
            "stills": json.dumps(stills),
        }
    )


def encode_mp4(pictures: Iterable[Pixels], fps: int, gop: int = 12, *, crf: int = 16, start_ms: int = 0) -> bytes:
    """Encodes RGB pictures as an H.264 mp4 with B-frames, near lossless by default. The first is at `start_ms`."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.pix_fmt = "yuv420p"
        stream.options = {"g": str(gop), "bf": "2", "crf": str(crf), "preset": "ultrafast", "threads": "1"}
        stream.codec_context.time_base = Fraction(1, 1000 * fps)
        stream.codec_context.colorspace = SMPTE170M  # the matrix of the frames below, whatever their size
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = start_ms * fps + 1000 * number, Fraction(1, 1000 * fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def _stills(pictures: Sequence[Pixels], shape: Shape) -> tuple[bytes, list[dict[str, int]]]:
    """JPEGs, concatenated, and the entry of each in KEY.json's `stills`."""
    data, stills = b"", []
    for number in np.linspace(0, shape.n_frames, shape.n_stills, endpoint=False).astype(int) + 2:
        buffer = io.BytesIO()
        Image.fromarray(pictures[number]).save(buffer, "JPEG", quality=92)
        jpeg = buffer.getvalue()
        time_ms = shape.lead_ms + 1000 * int(number) // shape.fps
        stills.append({"frame": int(number), "time_ms": time_ms, "offset": len(data), "size": len(jpeg)})
        data += jpeg
    return data, stills


def write_shard(path: Path, samples: Sequence[Sample], split: str, root: Path) -> ShardEntry:
    """Writes a tar and its rows; returns the entry for the manifest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            rows.append(_row(sample, {e: _append(tar, f"{sample.key}.{e}", d) for e, d in sample.members.items()}))
    path.with_suffix(".parquet").write_bytes(parquet_bytes(table_of(rows, SHARD_ROWS)))
    data = path.read_bytes()
    categories = {c: sum(s.category_id == c for s in samples) for c in {s.category_id for s in samples}}
    return ShardEntry(
        url=path.relative_to(root).as_posix(),
        split=split,
        generation=0,
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        bytes_=len(data),
        nsamples=len(samples),
        hours=0.0,
        categories=categories,
    )


def _append(tar: tarfile.TarFile, name: str, data: bytes) -> list[int]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
    return [tar.offset - (len(data) + 511) // 512 * 512, len(data)]


def _row(sample: Sample, members: dict[str, list[int]]) -> dict[str, object]:
    blank = {f.name: "" if f.type == "string" else 0 for f in SHARD_ROWS}
    of_clip = read_sample(sample.members["json"]) if "json" in sample.members else a_sample_json()
    facts = {
        **{name: getattr(of_clip, name) for name in ("start_ms", "end_ms", "duration_ms", "width", "height", "fps")},
        "key": sample.key,
        "caption": sample.members.get("txt", b"").decode(),
        "status": "success",
        "category_id": sample.category_id,
        "members": json.dumps(members),
    }
    return {**blank, **recorded_in(sample.members.get("json", b"")), **facts}


def write_dataset(
    root: Path,
    *,
    videos: int = 12,
    clips: int = 1,
    val_videos: int = 0,
    shard_size: int = 4,
    shape: Shape | None = None,
    same_captions: bool = False,
) -> Path:
    """Writes a data set under `root`; returns the path of its manifest.

    Train and val videos show the same scenes in the same order, so that training has seen the val captions, with other
    pictures. `same_captions` gives every clip the same caption.
    """
    entries = []
    for split, count in (("train", videos), ("val", val_videos)):
        shown = scenes(count) if not same_captions else [Scene()] * count
        samples = [
            a_sample(
                f"{split}{v:05d}",
                n,
                replace(shown[v], shade=shown[v].shade + 5 * n + (2 if split == "val" else 0)),
                shape,
                CATEGORY_IDS[v % len(CATEGORY_IDS)],
            )
            for v in range(count)
            for n in range(clips)
        ]
        for number, start in enumerate(range(0, len(samples), shard_size)):
            path = root / "shards" / split / f"{number:05d}.tar"
            entries.append(write_shard(path, samples[start : start + shard_size], split, root))
    return write_manifest(root, entries)


#: Changes to the preset `tiny` with which a step takes milliseconds.
MICRO_MODEL: dict[str, Any] = {
    "preset": "tiny",
    "high": [64, 128],
    "trunk_width": 4,
    "width": 32,
    "n_heads": 2,
    "n_space_time_blocks": 1,
    "n_text_layers": 1,
    "n_multimodal_layers": 1,
    "vocab_size": 128,
    "text_length": 12,
    "max_text_positions": 16,
}


def a_tree(manifest: Path, out: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    """A training configuration for drawn clips, as a tree of plain values; `sections` override single keys."""
    tree: dict[str, Any] = {
        "out": str(out),
        "data": {"manifest": str(manifest), "stride": 3},
        "model": dict(MICRO_MODEL),
        "optim": {"lr": 1e-3},
        "loop": {"steps": 6, "batch": 4, "threads": 1, "device": "cpu"},
        "checkpoint": {"every": 2},
        "eval": {"every": 0},
        "observe": {"tensorboard": False, "every": 1},
    }
    for name, keys in sections.items():
        tree[name] = {**tree.get(name, {}), **keys}
    return tree


def write_manifest(root: Path, entries: Sequence[ShardEntry]) -> Path:
    """Writes manifest.json and manifest.parquet; returns the path of manifest.json."""
    document, table = manifest_bytes(entries, {"name": "drawn clips"})
    (root / "manifest.parquet").write_bytes(table)
    (root / "manifest.json").write_bytes(document)
    return root / "manifest.json"
