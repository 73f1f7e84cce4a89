"""Decodes a clip's members to hybrid input: per segment, a high-resolution frame and low-resolution frames around it.

There are three ways to the same views (train.data.crop):

- prepared: `KEY.mjpg` holds high-resolution stills, `KEY.m4v` the clip's frames (or every `proxy_step`-th) at 320x180.
  The still nearest the wanted centre is the high-resolution frame; the proxy's frames around that still's frame are the
  others. This is about ten times cheaper.
- whole: `KEY.mp4`, the 720p video; the clip is its frames `first_frame … first_frame + n_frames - 1`.
- film: a whole file of a folder of videos (train.data.folder), in any common container.

Frames are chosen by HD-VILA's rule: `n_frames` (7) frames that are `stride` (12) source frames apart around a centre,
with `n_segments` centres per clip. Training draws centres and crop; evaluation (`draw=None`) takes the middles of equal
parts and the centre crop, so that scores are reproducible.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import TypeAdapter

from manifests.errors import UserError
from manifests.sample import SampleJson, read_sample
from train.data import video
from train.data.crop import QUARTER, Crop, Pixels, choose_crop, cut_view, full_size, quarter
from train.data.film import Film
from train.data.registry import Seen, Source
from train.data.views import MEMBERS, View, Views, arrange

ReadFrames = Callable[[Sequence[int]], Mapping[int, Pixels]]

BROKEN = (*video.DECODE_ERRORS, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ArithmeticError)


class SampleBroken(Exception):
    """A sample that can't be used (damaged media, empty text, wrong shapes). Only this sample is lost."""


@dataclass(frozen=True, slots=True)
class ClipView(Views):
    """Decodes clips to one of the views."""

    def decode(self, members: Mapping[str, bytes], source: Source, draw: np.random.Generator | None) -> Seen:
        """`img_middle` [S, 3, H, W] and `img_other` [S, n, 3, h, w], whichever the view has."""
        decode = decode_film if source == "film" else decode_sample
        clip = decode(members, source, self, draw)
        pictures = {"img_middle": clip.img_middle, "img_other": clip.img_other}
        return Seen({name: array for name, array in pictures.items() if array is not None}, clip.text)


def make_view(name: View, config: Any) -> ClipView:
    """The view for a training configuration. UserError for a model that doesn't read such views."""
    m, d = config.model, config.data
    if not hasattr(m, "high"):
        raise UserError(f"data.view: {name} shows clips, for HD-VILA; model.kind {m.kind} needs view picture")
    return ClipView(m.high, m.low, m.n_frames, m.n_segments, d.stride, d.backend, name, d.fps, d.flip)


@dataclass(frozen=True, slots=True)
class Hybrid:
    """One sample: uint8 RGB pixels and the caption. The view decides which of the two pictures it has."""

    img_middle: Pixels | None  # [S, 3, H, W]
    img_other: Pixels | None  # [S, N-1, 3, h, w], in time order, without the centre (hybrid)
    text: str


@dataclass(frozen=True, slots=True)
class Still:
    """One entry of KEY.json's `stills`: a JPEG inside KEY.mjpg."""

    offset: int
    size: int
    frame: int
    """Its frame, counted from the clip's first."""


_STILLS = TypeAdapter(tuple[Still, ...])


def decode_sample(
    members: Mapping[str, bytes], source: Source, views: Views, draw: np.random.Generator | None
) -> Hybrid:
    """Decodes a sample's members to hybrid input. Raises SampleBroken with the reason if anything can't be used."""
    missing = [m for m in MEMBERS[source] if m not in members]
    if missing:
        raise SampleBroken(f"has no member {', '.join(missing)}")
    try:
        text = members["txt"].decode("utf-8").strip()
        facts = read_facts(members["json"])
        take = _prepared if source == "prepared" else _whole
        middle, around = take(members, facts, views, draw) if text else ([], [])
    except BROKEN as error:
        raise SampleBroken(f"cannot be decoded ({type(error).__name__}: {error})") from None
    if not text:
        raise SampleBroken("its caption is empty")
    return _hybrid(middle, around, text, views, draw)


def decode_film(members: Mapping[str, bytes], source: Source, views: Views, draw: np.random.Generator | None) -> Hybrid:
    """The same of a file of videos (the path of which is all that is read of such a sample); it has no caption."""
    try:
        film = Film(Path(os.fsdecode(members["film"])), views.fps)
        middle, around = views_of(film.read, film.n_frames, views, draw)
    except UserError as error:
        raise SampleBroken(str(error)) from None
    return _hybrid(middle, around, "", views, draw)


def _hybrid(
    middle: list[Pixels], around: list[Pixels], text: str, views: Views, draw: np.random.Generator | None
) -> Hybrid:
    """A sample of these pictures, mirrored by chance in training."""
    if draw is not None and views.flip and draw.random() < views.flip:
        middle, around = ([picture[:, ::-1] for picture in pictures] for pictures in (middle, around))
    return Hybrid(
        _stacked(middle, views.high) if views.has_middle else None,
        _stacked(around, views.low, views.n_other) if views.n_other else None,
        text,
    )


def read_facts(data: bytes) -> SampleJson:
    """Reads a KEY.json and checks that its numbers are plausible for a clip. ValueError otherwise."""
    facts = read_sample(data)
    sides = facts.width, facts.height
    if min(sides) < 1 or facts.width * facts.height > video.MAX_PIXELS:
        raise ValueError(f"a picture of {facts.width}x{facts.height}")
    if facts.first_frame < 0 or not 1 <= facts.n_frames <= video.MAX_PACKETS:
        raise ValueError(f"a clip of {facts.n_frames} frames from frame {facts.first_frame}")
    return facts


def read_stills(facts: SampleJson) -> tuple[Still, ...]:
    """The stills of a sample, in order. ValueError if the list is damaged or empty."""
    stills = _STILLS.validate_json(facts.stills)
    if not stills:
        raise ValueError("the list of stills is empty")
    return stills


def frames_of(stills: Sequence[Still], proxy: Proxy) -> list[int]:
    """The clip's frame that each still shows. ValueError for a frame that the clip does not have."""
    outside = [still.frame for still in stills if not 0 <= still.frame < proxy.n_frames]
    if outside:
        raise ValueError(f"a still of frame {outside[0]}, the clip has {proxy.n_frames}")
    return [still.frame for still in stills]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A KEY.m4v, addressed by the clip's frame numbers: its frame i is the clip's frame `i * step`."""

    clip: video.Clip
    step: int
    n_frames: int
    """Number of frames of the clip."""

    def read(self, frames: Sequence[int]) -> dict[int, Pixels]:
        """{frame: picture} for frames of the clip, each from the nearest frame in the proxy (of two, the later)."""
        held = {f: min((f + self.step // 2) // self.step, self.clip.n_frames - 1) for f in frames}
        pictures = self.clip.read(list(dict.fromkeys(held.values())))
        return {f: pictures[number] for f, number in held.items()}


def open_proxy(data: bytes, facts: SampleJson) -> Proxy:
    """Opens the proxy of a sample. ValueError unless its number of frames is what its json implies."""
    clip, step = video.open_clip(data), facts.proxy_step
    if step < 1 or clip.n_frames != -(-facts.n_frames // step):
        raise ValueError(f"a proxy of {clip.n_frames} frames, for a clip of {facts.n_frames} with proxy_step {step}")
    return Proxy(clip, step, facts.n_frames)


def _stacked(pictures: Sequence[Pixels], size: tuple[int, int], n_frames: int = 0) -> Pixels:
    """Stacks pictures `[h, w, 3]` to `[S, (N-1,) 3, h, w]`. SampleBroken unless all are uint8 of this size."""
    wanted = (*size, 3)
    array = np.empty((len(pictures), 3, *size), np.uint8)
    for target, picture in zip(array, pictures, strict=True):
        if picture.dtype != np.uint8 or picture.shape != wanted:
            raise SampleBroken(f"frames came as {picture.dtype} {picture.shape}, wanted uint8 {wanted}")
        target[:] = picture.transpose(2, 0, 1)
    return array.reshape(-1, n_frames, 3, *size) if n_frames else array


def choose_centres(
    n_frames: int, views: Views, draw: np.random.Generator | None, source_fps: float = 0.0
) -> tuple[list[int], float]:
    """`(centres, stride)` for a clip of `n_frames`: the segments' centre frames, and the distance between frames.

    Centres are in `[reach*stride, n_frames - reach*stride)`, ascending, and distinct if there are enough frames. A clip
    too short for the stride gets a shorter stride (HD-VILA's rule: floor((n - S) / 2k)), down to 0 (a still picture).
    With `views.fps`, the stride counts frames at that rate, so in frames of the source it need not be an integer.
    """
    reach, segments, stride = views.reach, views.n_segments, views.stride * views.step(source_fps)
    first = math.ceil(reach * stride)
    if n_frames < 2 * first + segments:
        stride = max((n_frames - segments) // (2 * reach), 0)
        first = reach * stride
    count = n_frames - 2 * first
    if draw is not None and count >= segments:
        return sorted(first + int(c) for c in draw.choice(count, segments, replace=False)), stride
    return [first + (2 * s + 1) * count // (2 * segments) for s in range(segments)], stride


def frames_around(centre: int, stride: float, n_frames: int, views: Views) -> list[int]:
    """The other frames of a segment, without the centre, in time order and clamped to the clip."""
    steps = [k for k in range(-views.reach, views.n_frames - views.reach) if k]
    return [min(max(round(centre + k * stride), 0), n_frames - 1) for k in steps]


def _whole(
    members: Mapping[str, bytes], facts: SampleJson, views: Views, draw: np.random.Generator | None
) -> tuple[list[Pixels], list[Pixels]]:
    """Makes the views from the 720p video."""

    def read(frames: Sequence[int]) -> dict[int, Pixels]:
        pictures = video.read_frames(members["mp4"], [facts.first_frame + f for f in frames], views.backend)
        return {n - facts.first_frame: upright(picture, facts) for n, picture in pictures.items()}

    return views_of(read, facts.n_frames, views, draw, fps=facts.fps, size=(facts.width, facts.height))


def views_of(
    read: ReadFrames,
    n_frames: int,
    views: Views,
    draw: np.random.Generator | None,
    *,
    fps: float = 0.0,
    size: tuple[int, int] | None = None,
) -> tuple[list[Pixels], list[Pixels]]:
    """Makes the views of a clip from its frames: `[S]` high-resolution and `[S * (N-1)]` low-resolution pictures.

    `fps` is the rate of the frames (0: that of `views`), `size` their (width, height), which the first one has if it is
    not given.
    """
    centres, stride = choose_centres(n_frames, views, draw, fps)
    around = [frames_around(c, stride, n_frames, views) for c in centres]
    small = low_frames(views, centres, around)
    shown = read([*centres, *small] if views.has_middle else small)
    if size is None:
        height, width = next(iter(shown.values())).shape[:2]
        size = width, height
    crop = choose_crop(*size, views.low, draw)
    full_width, full_height = full_size(*size)
    grid = full_height, full_width
    high = [cut_view(shown[c], crop.times(QUARTER), grid, views.high) for c in centres] if views.has_middle else []
    low = {f: low_view(shown[f], crop, grid, views.low) for f in small}
    return arrange(views, centres, around, high, low)


def low_frames(views: Views, centres: Sequence[int], around: Sequence[Sequence[int]]) -> list[int]:
    """The frames to read at low resolution, without duplicates."""
    frames = (f for c, others in zip(centres, around, strict=True) for f in views.low_frames(c, others))
    return list(dict.fromkeys(frames))


def _grid(facts: SampleJson) -> tuple[int, int]:
    """(height, width) of the clip's pictures scaled to short side 720."""
    width, height = full_size(facts.width, facts.height)
    return height, width


def low_view(picture: Pixels, crop: Crop, grid: tuple[int, int], size: tuple[int, int]) -> Pixels:
    """The low-resolution view of a full-size picture, by HD-VILA's own `quarter` if the picture has the grid's size."""
    if picture.shape[:2] != grid:
        return cut_view(picture, crop.times(QUARTER), grid, size)
    region = crop.times(QUARTER)
    small = quarter(picture[region.y : region.y + region.height, region.x : region.x + region.width])
    return cut_view(small, Crop(0, 0, crop.width, crop.height), small.shape[:2], size)


def upright(picture: Pixels, facts: SampleJson) -> Pixels:
    """Rotates a picture clockwise to how it is displayed; `facts.width x facts.height` is the size after rotation."""
    return np.rot90(picture, k=-(facts.rotation // 90) % 4)


def _prepared(
    members: Mapping[str, bytes], facts: SampleJson, views: Views, draw: np.random.Generator | None
) -> tuple[list[Pixels], list[Pixels]]:
    """Makes the same views from stills and proxy."""
    proxy = open_proxy(members["m4v"], facts)
    stills = read_stills(facts)
    still_frames = frames_of(stills, proxy)
    wanted, stride = choose_centres(proxy.n_frames, views, draw, facts.fps)
    chosen = nearest_stills(wanted, still_frames, views.reach * stride, proxy.n_frames)
    centres = [still_frames[s] for s in chosen]
    around = [frames_around(c, stride, proxy.n_frames, views) for c in centres]
    pictures = proxy.read(low_frames(views, centres, around))
    crop = choose_crop(facts.width, facts.height, views.low, draw)
    height, width = _grid(facts)
    shrink = max(views.high[0] / (QUARTER * crop.height), views.high[1] / (QUARTER * crop.width))
    high = [
        cut_view(read_still(members["mjpg"], stills[s], shrink), crop.times(QUARTER), (height, width), views.high)
        for s in (chosen if views.has_middle else ())
    ]
    small = height // QUARTER, width // QUARTER
    low = {f: cut_view(picture, crop, small, views.low) for f, picture in pictures.items()}
    return arrange(views, centres, around, high, low)


def nearest_stills(wanted: Sequence[int], stills: Sequence[int], margin: float, n_frames: int) -> list[int]:
    """The indexes of the stills nearest to the wanted centres, ascending; each still once if there are enough.

    Stills whose segment would extend beyond the clip (`margin` frames on either side) are used only if there are too
    few others.
    """
    inside = [i for i, frame in enumerate(stills) if margin <= frame < n_frames - margin]
    free = inside if len(inside) >= len(wanted) else list(range(len(stills)))
    chosen: list[int] = []
    for centre in wanted:
        left = [i for i in free if i not in chosen] or free
        chosen.append(min(left, key=lambda i: (abs(stills[i] - centre), i)))
    return sorted(chosen)


def read_still(mjpg: bytes, still: Still, shrink: float = 1.0) -> Image.Image:
    """Decodes a still of a `KEY.mjpg` to RGB. ValueError if it isn't inside the file or is too large.

    If at most `shrink` of its size will be used, JPEG decodes at 1/2, 1/4 or 1/8 scale: several times cheaper, and
    never smaller than needed.
    """
    if still.offset < 0 or still.size < 1 or still.offset + still.size > len(mjpg):
        raise ValueError(f"a still at {still.offset}+{still.size} of {len(mjpg)} bytes")
    data = mjpg[still.offset : still.offset + still.size]
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        if image.width * image.height > video.MAX_PIXELS:
            raise ValueError(f"a still of {image.width}x{image.height} pixels")
        image.draft("RGB", (math.ceil(image.width * shrink), math.ceil(image.height * shrink)))
        image.decodermaxblock = still.size  # all bytes at once
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")
