"""Makes films with known transitions, spliced from the samples' shots, to measure scene detectors with.

Every film joins shots of different samples by one kind of transition. `flash`, `exposure` and `pan` are joined by hard
cuts, and each shot has something inside that is not a transition. All choices come from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 180
KINDS = ("hard", "dark", "flash", "dissolve", "fade", "exposure", "pan")
SHOTS_A_FILM = 8
_MOST_FRAMES = 400
_BLACK = np.array([16, 128, 128], np.float32)

Frame = NDArray[np.uint8]
"""Planes of a yuv444 picture, HEIGHT x WIDTH x 3."""


@dataclass(frozen=True, slots=True)
class Event:
    """Frames first … last of a film: a join of shots (a hard cut is the new shot's first frame), or another event."""

    first: int
    last: int
    is_join: bool
    is_gradual: bool = False


@dataclass(slots=True)
class TruthFilm:
    """A film's frames and its events."""

    kind: str
    frames: list[Frame] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


SHOTS = (
    ("LatentSync__demo1_video.mp4", 0, 249),
    ("Panda-70M__0idSKtn42WY.2.mp4", 0, 314),
    ("convolution-integral___97.ts", 0, 127),
    ("decord__corrupted.mp4", 0, 27),
    ("imageio-binaries__cockatoo.mp4", 0, 279),
    ("interactive-examples__friday.mp4", 0, 184),
    ("media__bear-vp9-odd-dimensions.webm", 0, 29),
    ("media__hdr10-av1.mp4", 0, 126),
    ("media__sample.avi", 18, 95),
    ("media__sample_partially_fragmented.mp4", 0, 29),
    ("mediabunny__cursed-vfr.mp4", 10, 62),
    ("metadata-extractor-images__FLIR_Thermal.mp4", 0, 83),
    ("moviepy__video_with_failing_audio.mp4", 0, 215),
    ("nodejs-docs-samples__ForBiggerEscapes.mp4", 0, 82),
    ("nodejs-docs-samples__ForBiggerEscapes.mp4", 122, 195),
    ("nodejs-docs-samples__googlework_short.mp4", 222, 290),
    ("normal-distribution-probability-problems___65.ts", 0, 127),
    ("simpl__av1-2018-06_550.webm", 0, 43),
    ("simpl__av1-2018-06_550.webm", 47, 200),
    ("simpl__av1-2018-06_550.webm", 300, 399),
    ("torchcodec__nasa_13013.mp4", 150, 200),
    ("torchcodec__nasa_13013.mp4", 206, 324),
    ("video2dataset__test_video.mp4", 0, 212),
)
"""(file, first frame, last frame) of one shot each, found by eye; without copies of a shot and shots of nothing."""


def shots_of(folder: Path) -> dict[str, list[Frame]]:
    """{file and first frame: the frames} of the samples' shots."""
    films = {name: _frames(folder / name) for name in dict.fromkeys(name for name, _, _ in SHOTS)}
    return {f"{name}@{first}": films[name][first : last + 1] for name, first, last in SHOTS if films[name]}


def _frames(path: Path) -> list[Frame]:
    frames: list[Frame] = []
    reformatter = av.video.reformatter.VideoReformatter()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return []
            for frame in container.decode(video=0):
                small = reformatter.reformat(frame, WIDTH, HEIGHT, "yuv444p", interpolation="AREA")
                frames.append(np.ascontiguousarray(np.moveaxis(small.to_ndarray(), 0, -1)))
                if len(frames) == _MOST_FRAMES:
                    break
    except av.FFmpegError:
        pass
    return frames


def truth_films(shots: dict[str, list[Frame]], seed: int, joins_a_kind: int) -> list[TruthFilm]:
    """Makes films of every kind with at least this many joins per kind."""
    films = []
    for number, kind in enumerate(KINDS):
        dice = np.random.default_rng([seed, number])
        for _ in range(-(-joins_a_kind // (SHOTS_A_FILM - 1))):
            films.append(_film(kind, shots, dice))
    return films


def _film(kind: str, shots: dict[str, list[Frame]], dice: Any) -> TruthFilm:
    film = TruthFilm(kind)
    names: Sequence[str] = sorted(shots)
    last = ""
    for number in range(SHOTS_A_FILM):
        last = str(dice.choice([n for n in names if n.partition("@")[0] != last.partition("@")[0]]))
        shot = _shot(shots[last], int(dice.integers(60, 120)), dice)
        if kind == "dark":
            shot = [_scaled(frame, 0.25) for frame in shot]
        inner = _inside(kind, shot, dice)
        _join(film, shot, kind, dice) if number else film.frames.extend(shot)
        if inner:
            start = len(film.frames) - len(shot)
            film.events.append(Event(start + inner[0], start + inner[1], is_join=False))
    return film


def _shot(frames: list[Frame], length: int, dice: Any) -> list[Frame]:
    """This many frames from a random position on, played forward and back if the sample is shorter."""
    there_and_back = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    start = int(dice.integers(len(there_and_back)))
    return [frames[there_and_back[(start + i) % len(there_and_back)]] for i in range(length)]


def _inside(kind: str, shot: list[Frame], dice: Any) -> tuple[int, int] | None:
    """Puts something that is not a transition into the middle of a shot; returns where it is."""
    at = int(dice.integers(20, len(shot) - 35))
    if kind == "flash":
        n, strength = int(dice.integers(1, 4)), float(dice.uniform(0.6, 0.95))
        for i in range(at, at + n):
            shot[i] = _mixed(shot[i], np.array([235, 128, 128], np.float32), strength)
        return at, at + n
    if kind == "exposure":
        n, gain = int(dice.integers(1, 4)), float(dice.choice([0.5, 0.65, 1.4, 1.7]))
        for i in range(at, len(shot)):
            shot[i] = _scaled(shot[i], 1 + (gain - 1) * min(1.0, (i - at + 1) / n))
        return at, at + n
    if kind == "pan":
        n, zoom = int(dice.integers(8, 16)), 2.5
        for i in range(len(shot)):
            shot[i] = _window(shot[i], zoom, min(1.0, max(0.0, (i - at) / n)))
        return at, at + n
    return None


def _join(film: TruthFilm, shot: list[Frame], kind: str, dice: Any) -> None:
    if kind == "dissolve":
        n = int(dice.integers(8, 21))
        first = len(film.frames) - n
        for i in range(n):
            share = (i + 1) / (n + 1)
            mixed = cv2.addWeighted(film.frames[first + i], 1 - share, shot[i], share, 0)
            film.frames[first + i] = np.asarray(mixed, np.uint8)
        film.frames.extend(shot[n:])
        film.events.append(Event(first, first + n - 1, is_join=True, is_gradual=True))
        return
    if kind == "fade":
        out, black, into = (int(dice.integers(*bounds)) for bounds in ((6, 13), (1, 6), (6, 13)))
        first = len(film.frames) - out
        for i in range(out):
            film.frames[first + i] = _mixed(film.frames[first + i], _BLACK, (i + 1) / (out + 1))
        film.frames.extend([np.full((HEIGHT, WIDTH, 3), _BLACK, np.uint8)] * black)
        for i in range(into):
            shot[i] = _mixed(shot[i], _BLACK, 1 - (i + 1) / (into + 1))
        film.frames.extend(shot)
        film.events.append(Event(first, first + out + black + into - 1, is_join=True, is_gradual=True))
        return
    film.events.append(Event(len(film.frames), len(film.frames), is_join=True))
    film.frames.extend(shot)


def _mixed(frame: Frame, colour: NDArray[np.float32], share: float) -> Frame:
    return np.asarray(np.rint(frame * np.float32(1 - share) + colour * np.float32(share)), np.uint8)


def _scaled(frame: Frame, gain: float) -> Frame:
    """Multiplies a picture's brightness and colours."""
    return np.asarray(np.clip((frame.astype(np.float32) - _BLACK) * gain + _BLACK, 16, 240), np.uint8)


def _window(frame: Frame, zoom: float, place: float) -> Frame:
    """An enlarged part of the picture: `place` 0 at the left end, 1 at the right one."""
    width, height = round(WIDTH / zoom), round(HEIGHT / zoom)
    left, top = round((WIDTH - width) * place), (HEIGHT - height) // 2
    part = frame[top : top + height, left : left + width]
    return np.asarray(cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.uint8)


def as_small(frame: Frame) -> Any:
    """The picture as the decode pass would pass it on: yuv420p."""
    halves = [cv2.resize(frame[..., i], (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA) for i in (1, 2)]
    planes = [np.ascontiguousarray(plane).reshape(-1) for plane in (frame[..., 0], *halves)]
    return av.VideoFrame.from_ndarray(np.concatenate(planes).reshape(HEIGHT * 3 // 2, WIDTH), format="yuv420p")
