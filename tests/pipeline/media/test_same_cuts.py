"""Where shots end in pictures of every kind, and what pictures are known by, stays from version to version.

The pictures are drawn: textures that are cut, dissolved, faded, flashed, moved and made noisy, by amounts around those
at which a cut is none any more. Where a change is meant, raise the number `made_by` of stage `media`, and write the
list anew:

    python -m tests.pipeline.media.test_same_cuts > tests/pipeline/media/same_cuts.json
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.media.shots import ShotFinder, transitions
from tests.pipeline.media.looks import picture_hashes

LIST = Path(__file__).with_name("same_cuts.json")
N, N_HASHED = 240, 60
ROUNDING = 2
"""So many of them may differ, by one more or less of what lies at a limit: another processor rounds otherwise."""

Picture = NDArray[np.float32]


def stretched(values: Picture, length: int, axis: int) -> Picture:
    """Linear interpolation along one side; by hand, since a library's may change with its version."""
    at = np.linspace(0, values.shape[axis] - 1, length)
    low = np.minimum(at.astype(np.int64), values.shape[axis] - 2)
    share = np.expand_dims(at - low, 1 - axis)
    return (np.take(values, low, axis) * (1 - share) + np.take(values, low + 1, axis) * share).astype(np.float32)


def texture(random: np.random.Generator, size: tuple[int, int] = (72, 128)) -> Picture:
    """A picture of soft shapes, of any contrast and brightness."""
    coarse = random.normal(size=(int(random.integers(3, 9)), int(random.integers(4, 14)))).astype(np.float32)
    smooth = stretched(stretched(coarse, size[0], 0), size[1], 1)
    return np.clip(random.uniform(60, 170) + smooth * random.uniform(6, 60), 0, 255).astype(np.float32)


def moved(picture: Picture, right: float, down: float) -> Picture:
    """Moved by parts of a pixel; what leaves on one side comes back on the other."""
    for axis, way in ((1, right), (0, down)):
        whole, share = int(way // 1), way % 1
        one, next_one = np.roll(picture, whole, axis), np.roll(picture, whole + 1, axis)
        picture = (one * (1 - share) + next_one * share).astype(np.float32)
    return picture


def few_pixels(picture: Picture, times: int = 2) -> NDArray[np.uint8]:
    height, width = picture.shape
    parts = picture.reshape(height // times, times, width // times, times)
    return parts.mean(axis=(1, 3)).astype(np.uint8)


def run_of(random: np.random.Generator) -> list[Picture]:
    """Two shots of some frames, with something between them."""
    one, other = texture(random), texture(random)
    if random.random() < 0.3:  # the same place once more, brighter, or with more in it
        other = np.clip(one * random.uniform(0.5, 1.5) + random.uniform(-40, 40), 0, 255).astype(np.float32)
    if random.random() < 0.2:
        share = random.uniform(0.1, 0.9)
        other = (one + share * (other - one)).astype(np.float32)
    before, after = (int(n) for n in random.integers(20, 50, 2))
    speed = random.choice([0.0, 0.0, 0.5, 2.0, 6.0], 2)
    first = [moved(one, speed[0] * i, 0) for i in range(before)]
    second = [moved(other, 0, speed[1] * i) for i in range(after)]
    kind = random.integers(0, 6)
    between: list[Picture] = []
    if kind == 1:  # a dissolve, even or not
        n, bend = int(random.integers(1, 26)), random.uniform(0.6, 1.6)
        shares = [((i + 1) / (n + 1)) ** bend for i in range(n)]
        between = [(first[-1] + s * (second[0] - first[-1])).astype(np.float32) for s in shares]
    elif kind == 2:  # a fade through black, of any depth and length
        n, black, deep = int(random.integers(2, 20)), int(random.integers(0, 32)), random.uniform(10, 30)
        out = [deep + (first[-1] - deep) * (1 - (i + 1) / (n + 1)) for i in range(n)]
        into = [deep + (second[0] - deep) * (i + 1) / (n + 1) for i in range(n)]
        between = [np.asarray(p, np.float32) for p in [*out, *[np.full_like(one, deep)] * black, *into]]
    elif kind == 3:  # a flash
        flash = np.clip(first[-1] * 0.2 + random.uniform(150, 230), 0, 255).astype(np.float32)
        between = [flash] * int(random.integers(1, 9))
        second = first[::-1] if random.random() < 0.7 else second
    elif kind == 4:  # one mixed frame
        share = random.uniform(0, 1)
        between = [(first[-1] + share * (second[0] - first[-1])).astype(np.float32)]
    noise = random.choice([0.0, 1.0, 4.0])
    return [
        np.clip(p + random.normal(0, noise, p.shape), 0, 255).astype(np.float32) for p in [*first, *between, *second]
    ]


def cuts_of(seed: int) -> list[list[int]]:
    random = np.random.default_rng(seed)
    few = np.stack([few_pixels(picture) for picture in run_of(random)])
    found = transitions(few.astype(np.float32), step=1 + seed % 5 // 4)
    return [[one.first, one.last] for one in found]


def cuts_of_a_long_run(fps: float) -> list[list[int]]:
    """Several blocks of pictures, and of more pixels than are looked at."""
    random = np.random.default_rng(99)
    finder = ShotFinder(fps)
    for _ in range(5):
        for picture in run_of(random):
            finder.feed(np.kron(picture.astype(np.uint8), np.ones((5, 5), np.uint8)))
    return [[one.first, one.last] for one in finder.finish()]


def hashes_of(seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    size = (int(random.integers(40, 240)), int(random.integers(40, 400)))
    picture = texture(random, size).astype(np.uint8)
    if seed % 3 == 0:  # bars, of any height, more or less black
        bar = int(random.integers(1, size[0] // 3))
        picture[:bar] = picture[-bar:] = random.integers(10, 40)
    if seed % 5 == 0:  # nearly nothing
        picture = (100 + picture // int(random.integers(10, 60))).astype(np.uint8)
    return [f"{value:016x}" for value in picture_hashes(picture)]


def everything(step: int = 1) -> dict[str, Any]:
    """Of runs and pictures each `step`-th one."""
    return {
        "cuts": [cuts_of(seed) for seed in range(0, N, step)],
        "long": [cuts_of_a_long_run(fps) for fps in (25.0, 50.0)],
        "hashes": [hashes_of(seed) for seed in range(0, N_HASHED, step)],
    }


def differing(found: list[Any], before: list[Any]) -> list[int]:
    return [i for i, (one, other) in enumerate(zip(found, before, strict=True)) if one != other]


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
def test_drawn_pictures_are_parted_and_known_as_before(step: int) -> None:
    now, before = everything(step), json.loads(LIST.read_text())

    others = differing(now["cuts"], before["cuts"][::step])
    assert len(others) <= ROUNDING, others
    assert now["long"] == before["long"]
    assert not differing(now["hashes"], before["hashes"][::step])


if __name__ == "__main__":
    print(json.dumps(everything()))
