"""Makes films with known transitions, spliced from films of one shot each, to measure scene detectors with.

Every film joins eight shots by one kind of transition. In some kinds the joins are hard cuts, and something that is no
transition happens inside each shot (INSIDE). All choices come from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 160, 90
RATES = (24, 30, 50)
KINDS = (
    *("hard", "dark", "short", "letterbox", "colour", "flash", "exposure", "light", "pan", "zoom", "shaky", "caption"),
    *("inset", "dissolve", "long dissolve", "fade", "white", "wipe", "push", "iris"),
)
SHOTS_A_FILM = 8
_MOST_FRAMES, _LEAST_FRAMES = 100, 50
_BLACK, _WHITE = np.array([16, 128, 128], np.float32), np.array([235, 128, 128], np.float32)

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
    """A film's frames, at `rate` a second, and its events."""

    kind: str
    rate: int
    frames: list[Frame] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Shot:
    """The frames of one shot, at `fps` a second."""

    fps: float
    frames: list[Frame]


def shots_of(folder: Path) -> dict[str, Shot]:
    """{file: its first frames} of the films in a folder, which show one shot each; short ones are not used."""
    shots = {path.name: _shot_of(path) for path in sorted(folder.glob("*.*"))}
    return {name: shot for name, shot in shots.items() if len(shot.frames) >= _LEAST_FRAMES}


def _shot_of(path: Path) -> Shot:
    frames: list[Frame] = []
    fps = 25.0
    reformatter = av.video.reformatter.VideoReformatter()
    try:
        with av.open(str(path)) as container:
            fps = float(container.streams.video[0].average_rate or fps)
            every = 2 if fps > 45 else 1
            for i, frame in enumerate(container.decode(video=0)):
                if i % every:
                    continue
                small = reformatter.reformat(frame, WIDTH, HEIGHT, "yuv444p", interpolation="AREA")
                frames.append(np.ascontiguousarray(np.moveaxis(small.to_ndarray(), 0, -1)))
                if len(frames) == _MOST_FRAMES:
                    break
            fps /= every
    except (av.FFmpegError, IndexError):
        pass
    return Shot(fps, frames)


def truth_films(shots: dict[str, Shot], seed: int, rates: Sequence[int] = RATES) -> list[TruthFilm]:
    """A film of each kind and rate."""
    return [
        _film(TruthFilm(kind, rate), shots, np.random.default_rng([seed, number, rate]))
        for number, kind in enumerate(KINDS)
        for rate in rates
    ]


def _film(film: TruthFilm, shots: dict[str, Shot], dice: Any) -> TruthFilm:
    chosen = dice.permutation(sorted(shots))[:SHOTS_A_FILM]
    for number, name in enumerate(chosen):
        bounds = (0.6, 1.0) if film.kind == "short" else (2.8, 3.8) if film.kind == "long dissolve" else (1.6, 2.8)
        shot = _shot(shots[name], film.rate, float(dice.uniform(*bounds)), dice)
        if film.kind in ALL_OF_A_SHOT:
            shot = [ALL_OF_A_SHOT[film.kind](frame, number) for frame in shot]
        inner = INSIDE[film.kind](shot, film.rate, dice) if film.kind in INSIDE else None
        if not number:
            film.frames.extend(shot)
        elif film.kind in GRADUAL:
            GRADUAL[film.kind](film, shot, dice)
        else:
            film.events.append(Event(len(film.frames), len(film.frames), is_join=True))
            film.frames.extend(shot)
        if inner:
            start = len(film.frames) - len(shot)
            film.events += [Event(start + first, start + last, is_join=False) for first, last in inner]
    return film


def _shot(shot: Shot, rate: int, seconds: float, dice: Any) -> list[Frame]:
    """So many seconds from a random position on, played forward and back if the film is shorter."""
    n = len(shot.frames)
    there_and_back = [*range(n), *range(n - 2, 0, -1)]
    start = int(dice.integers(n))
    return [
        shot.frames[there_and_back[int(start + i * shot.fps / rate) % len(there_and_back)]]
        for i in range(round(seconds * rate))
    ]


def _letterboxed(frame: Frame, number: int) -> Frame:
    """Every second shot has bars above and below: 2.39:1."""
    if number % 2:
        return frame
    inside = round(HEIGHT * 16 / 9 / 2.39)
    top = (HEIGHT - inside) // 2
    boxed = np.full_like(frame, _BLACK.astype(np.uint8))
    boxed[top : top + inside] = cv2.resize(frame, (WIDTH, inside), interpolation=cv2.INTER_AREA)
    return boxed


def _coloured(frame: Frame, number: int) -> Frame:
    """A shot of little contrast and the same brightness as all others, in a colour of its own."""
    angle = number * 2.4
    pale = (frame.astype(np.float32) - frame[..., :1].mean()) * 0.03 + 120
    pale[..., 1:] = 128 + 45 * np.array([np.cos(angle), np.sin(angle)], np.float32)
    return np.asarray(np.clip(pale, 16, 235), np.uint8)


ALL_OF_A_SHOT: dict[str, Callable[[Frame, int], Frame]] = {
    "dark": lambda frame, _: _scaled(frame, 0.25),
    "letterbox": _letterboxed,
    "colour": _coloured,
}

Spans = list[tuple[int, int]]


def _place(shot: list[Frame], rate: int, dice: Any) -> int:
    return int(dice.integers(round(0.5 * rate), max(round(0.5 * rate) + 1, len(shot) - round(0.8 * rate))))


def _flash(shot: list[Frame], rate: int, dice: Any) -> Spans:
    at, n, strength = _place(shot, rate, dice), int(dice.integers(1, 4)), float(dice.uniform(0.6, 0.95))
    shot[at : at + n] = [_mixed(frame, _WHITE, strength) for frame in shot[at : at + n]]
    return [(at, at + n)]


def _exposure(shot: list[Frame], rate: int, dice: Any) -> Spans:
    at, n, gain = _place(shot, rate, dice), int(dice.integers(1, 4)), float(dice.choice([0.5, 0.65, 1.4, 1.7]))
    for i in range(at, len(shot)):
        shot[i] = _scaled(shot[i], 1 + (gain - 1) * min(1.0, (i - at + 1) / n))
    return [(at, at + n)]


def _light(shot: list[Frame], rate: int, dice: Any) -> Spans:
    """The light changes its colour at once, as on a stage."""
    at, angle = _place(shot, rate, dice), float(dice.uniform(0, 6.28))
    tint = np.array([0, 40 * np.cos(angle), 40 * np.sin(angle)], np.float32)
    shot[at:] = [np.asarray(np.clip(frame + tint, 16, 240), np.uint8) for frame in shot[at:]]
    return [(at, at)]


def _pan(shot: list[Frame], rate: int, dice: Any) -> Spans:
    at, n = _place(shot, rate, dice), round(float(dice.uniform(0.3, 0.6)) * rate)
    shot[:] = [_window(frame, 2.5, min(1.0, max(0.0, (i - at) / n))) for i, frame in enumerate(shot)]
    return [(at, at + n)]


def _zoom(shot: list[Frame], rate: int, dice: Any) -> Spans:
    at, n = _place(shot, rate, dice), round(float(dice.uniform(0.2, 0.5)) * rate)
    shot[:] = [_window(f, 1 + 1.2 * min(1.0, max(0.0, (i - at) / n)), 0.5) for i, f in enumerate(shot)]
    return [(at, at + n)]


def _shaky(shot: list[Frame], rate: int, dice: Any) -> Spans:
    """A camera in an unsteady hand: up to 6 % of the picture's width from frame to frame, all the time."""
    ways = np.cumsum(dice.normal(0, 5 * (24 / rate) ** 0.5, (len(shot), 2)), axis=0)
    ways = np.clip(ways - ways.mean(axis=0), -12, 12)
    for i, (right, down) in enumerate(ways.round().astype(int).tolist()):
        big = cv2.resize(shot[i], (WIDTH + 24, HEIGHT + 24), interpolation=cv2.INTER_LINEAR)
        shot[i] = np.asarray(big[12 + down : 12 + down + HEIGHT, 12 + right : 12 + right + WIDTH], np.uint8)
    return [(0, len(shot))]


def _shown(shot: list[Frame], rate: int, dice: Any, covered: Callable[[int, Frame], None]) -> Spans:
    at, n = _place(shot, rate, dice), round(float(dice.uniform(0.5, 1.2)) * rate)
    for i in range(at, min(len(shot), at + n)):
        shot[i] = shot[i].copy()
        covered(i, shot[i])
    return [(at, at), (at + n, at + n)] if at + n < len(shot) else [(at, at)]


def _caption(shot: list[Frame], rate: int, dice: Any) -> Spans:
    """A box of 17 % of the picture with lines of text comes, and goes."""
    light, top = bool(dice.integers(2)), int(dice.choice([4, 62]))
    box, ink = (225, 30) if light else (25, 225)

    def covered(_: int, frame: Frame) -> None:
        frame[top : top + 24, 24:126] = (box, 128, 128)
        for y in (top + 4, top + 14):
            for x in range(30, 120, 5):
                frame[y : y + 5, x : x + 3] = (ink, 128, 128)

    return _shown(shot, rate, dice, covered)


def _inset(shot: list[Frame], rate: int, dice: Any) -> Spans:
    """A second picture of a sixth of the first one's area comes into a corner, and goes."""
    x, y = int(dice.choice([6, 90])), int(dice.choice([4, 50]))
    other = [cv2.resize(frame, (64, 36), interpolation=cv2.INTER_AREA)[::-1, ::-1] for frame in shot]

    def covered(i: int, frame: Frame) -> None:
        frame[y : y + 36, x : x + 64] = 255 - other[i]

    return _shown(shot, rate, dice, covered)


INSIDE: dict[str, Callable[[list[Frame], int, Any], Spans]] = {
    "flash": _flash,
    "exposure": _exposure,
    "light": _light,
    "pan": _pan,
    "zoom": _zoom,
    "shaky": _shaky,
    "caption": _caption,
    "inset": _inset,
}
"""What happens inside each shot of a kind, and is no transition: changes the frames, returns where."""


def _blend(low_s: float, high_s: float, mixed: Callable[[Frame, Frame, float], Frame]) -> Any:
    def join(film: TruthFilm, shot: list[Frame], dice: Any) -> None:
        n = round(float(dice.uniform(low_s, high_s)) * film.rate)
        first = len(film.frames) - n
        for i in range(n):
            film.frames[first + i] = mixed(film.frames[first + i], shot[i], (i + 1) / (n + 1))
        film.frames.extend(shot[n:])
        film.events.append(Event(first, first + n - 1, is_join=True, is_gradual=True))

    return join


def _fade(colour: NDArray[np.float32]) -> Any:
    def join(film: TruthFilm, shot: list[Frame], dice: Any) -> None:
        out, flat, into = (
            max(1, round(float(dice.uniform(*s)) * film.rate)) for s in ((0.25, 0.5), (0.04, 0.25), (0.25, 0.5))
        )
        first = len(film.frames) - out
        for i in range(out):
            film.frames[first + i] = _mixed(film.frames[first + i], colour, (i + 1) / (out + 1))
        film.frames.extend([np.full((HEIGHT, WIDTH, 3), colour, np.uint8)] * flat)
        for i in range(into):
            shot[i] = _mixed(shot[i], colour, 1 - (i + 1) / (into + 1))
        film.frames.extend(shot)
        film.events.append(Event(first, first + out + flat + into - 1, is_join=True, is_gradual=True))

    return join


def _crossed(old: Frame, new: Frame, share: float) -> Frame:
    return np.asarray(cv2.addWeighted(old, 1 - share, new, share, 0), np.uint8)


def _wiped(old: Frame, new: Frame, share: float) -> Frame:
    edge = round(WIDTH * share)
    return np.concatenate([new[:, :edge], old[:, edge:]], axis=1)


def _pushed(old: Frame, new: Frame, share: float) -> Frame:
    edge = round(WIDTH * share)
    return np.concatenate([old[:, edge:], new[:, :edge]], axis=1)


def _opened(old: Frame, new: Frame, share: float) -> Frame:
    """A circle that grows from the middle until it holds the picture."""
    mask = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (WIDTH // 2, HEIGHT // 2), round(92 * share), 1, -1)
    return np.where(mask[..., None] > 0, new, old)


GRADUAL: dict[str, Callable[[TruthFilm, list[Frame], Any], None]] = {
    "dissolve": _blend(0.3, 0.8, _crossed),
    "long dissolve": _blend(1.5, 2.4, _crossed),
    "fade": _fade(_BLACK),
    "white": _fade(_WHITE),
    "wipe": _blend(0.4, 1.2, _wiped),
    "push": _blend(0.4, 1.0, _pushed),
    "iris": _blend(0.5, 1.2, _opened),
}
"""Joins a shot to a film by a transition that takes time."""


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
    picture = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, values in zip(picture.planes, planes, strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        rows[:, : plane.width] = values.reshape(plane.height, plane.width)
    return picture
