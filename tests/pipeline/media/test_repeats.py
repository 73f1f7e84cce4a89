"""Frames that repeat the one before are found, nothing else is, and what is made of them stays what it was."""

import io
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.config.media import MediaConfig
from pipeline.media.frames import Picture, decode_video
from pipeline.media.probe import probe
from pipeline.media.repeats import Repeats
from pipeline.media.scenes import SceneFinder
from tests.pipeline.media.small_films import made

WIDTH, HEIGHT = 320, 192


def frame_of(luma: NDArray[np.uint8], form: str = "yuv420p") -> av.VideoFrame:
    height, width = luma.shape
    planes = np.concatenate([luma, np.full((height // 2, width), 128, np.uint8)])
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    return frame if form == "yuv420p" else frame.reformat(format=form)


def repeated(frames: list[av.VideoFrame], packet_bytes: int = 40) -> list[bool]:
    repeats = Repeats(WIDTH, HEIGHT)
    return [repeats.is_repeat(Picture(n, n, frame, packet_bytes)) for n, frame in enumerate(frames)]


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(16, 235, (HEIGHT, WIDTH), dtype=np.uint8)


def with_spot(luma: NDArray[np.uint8], top: int, height: int) -> NDArray[np.uint8]:
    spotted = luma.copy()
    spotted[top : top + height, 100:102] ^= 64
    return spotted


def test_a_frame_repeats_the_one_before_if_it_is_equal_and_took_next_to_no_bytes() -> None:
    one, other = noise(1), noise(2)
    shown = [frame_of(luma) for luma in (one, one, other, other, other, one)]
    assert repeated(shown) == [False, True, False, True, True, False]
    assert repeated(shown, packet_bytes=5000) == [False] * 6
    assert repeated(shown, packet_bytes=-1) == [False] * 6, "the size of its packet is not known"


@pytest.mark.parametrize("top", range(0, 32, 5))
def test_a_thin_line_of_sixteen_rows_is_seen_wherever_it_is(top: int) -> None:
    still = noise(1)
    assert repeated([frame_of(still), frame_of(with_spot(still, top, 16))]) == [False, False]


def test_small_changes_do_not_add_up() -> None:
    """Each frame is compared with the last that was looked at, not with the one before it."""
    base = np.full((HEIGHT, WIDTH), 100, np.uint8)
    brighter = [frame_of(base + level) for level in (0, 0, 1, 1, 2)]
    assert repeated(brighter) == [False, True, False, True, False]


def test_frames_of_more_than_eight_bits_or_of_another_size_are_looked_at() -> None:
    deep = frame_of(noise(1), "yuv420p10le")
    assert repeated([deep, deep]) == [False, False]
    flat = [np.full(size, 90, np.uint8) for size in ((HEIGHT, WIDTH), (HEIGHT * 2, WIDTH), (HEIGHT * 2, WIDTH))]
    assert repeated([frame_of(luma) for luma in flat]) == [False, False, True]


def test_of_a_lecture_most_frames_repeat_the_one_before_and_each_of_these_equals_it(samples: Path) -> None:
    source = probe(samples / "videos" / "normal-distribution-probability-problems___65.ts")
    repeats = Repeats(source.video.coded_width, source.video.coded_height)
    before: list[bytes] = []
    n_repeats = n_frames = 0
    for item in decode_video(source, MediaConfig().limits):
        assert isinstance(item, Picture)
        shown = [bytes(np.frombuffer(plane, np.uint8)) for plane in item.frame.planes]
        if repeats.is_repeat(item):
            assert shown == before
            n_repeats += 1
        before, n_frames = shown, n_frames + 1
    assert n_repeats > 0.8 * n_frames


def slide_show(path: Path, n_slides: int = 4, frames_each: int = 40) -> Path:
    """Slides in which a small square moves on now and then, as people point at things."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 368, "yuv420p"
        stream.codec_context.options = {"preset": "veryfast", "crf": "20"}
        for n in range(n_slides * frames_each):
            luma = np.kron(noise(n // frames_each)[::8, ::8], np.ones((16, 16), np.uint8))[:368]
            left = 100 + n % frames_each // 7 * 30
            luma[200:220, left : left + 20] = 255
            container.mux(stream.encode(frame_of(np.ascontiguousarray(luma))))
        container.mux(stream.encode(None))
    return path


def everything(film: Path, scratch: Path, *settings: str) -> tuple[list[int], list[dict[str, Any]]]:
    result, samples = made(film, scratch, *settings)
    return result.cuts_ms, [
        {**sample, "hashes": clip.phashes} for clip, sample in zip(result.clips, samples, strict=True)
    ]


def proxy_of(clip: dict[str, Any]) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(clip.pop("m4v")), "r") as container:
        shown: list[Any] = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        return np.stack(shown)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        pytest.param(("media.members.proxy_short_side=120", "media.members.proxy_step=1"), marks=pytest.mark.long),
        ("media.scenes.action=split",),
    ],
)
def test_what_is_made_of_a_slide_show_is_the_same_as_if_each_frame_were_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    film = slide_show(tmp_path / "slides.mp4")
    is_repeat, found = Repeats.is_repeat, list[bool]()

    def counted(self: Repeats, picture: Picture) -> bool:
        found.append(is_repeat(self, picture))
        return found[-1]

    monkeypatch.setattr(Repeats, "is_repeat", counted)
    quick = everything(film, tmp_path / "quick", *settings)
    assert found.count(True) > len(found) / 2
    monkeypatch.setattr(Repeats, "is_repeat", lambda self, picture: False)
    slow = everything(film, tmp_path / "slow", *settings)
    for clip, other in zip(quick[1], slow[1], strict=True):
        apart = np.abs(proxy_of(clip).astype(int) - proxy_of(other))
        assert apart.max() < 32 and apart.mean() < 0.02, "an encoder mends a block here and there with a few bits"
    assert slow == quick
    assert quick[0], "cuts between slides are found"


def test_the_detector_takes_a_repeated_frame_without_looking_at_it() -> None:
    one, other = (np.kron(noise(n)[::8, ::8], np.ones((8, 8), np.uint8)) for n in (1, 2))
    finder = SceneFinder(Fraction(25), 0)
    n_made = []

    def small(frame: av.VideoFrame) -> av.VideoFrame:
        n_made.append(1)
        return frame

    for luma, first in ((one, 0), (other, 40)):
        frame = frame_of(luma)
        shown = partial(small, frame)
        for n in range(40):
            finder.feed(frame, (first + n) * 40, shown)
    assert finder.scenes().cuts_ms == [1600]
    assert len(n_made) <= 2
