"""Draws the frames of a script, flat and directly in the planes that x264 takes (I420), 12 per second.

A shot's background and object are painted once; a frame is a copy of them with the moving things and the frame's own
number (`hdvila_testing.frame_code`) on top. Positions depend on the frame's number alone, so any frame can be drawn
without the earlier ones.
"""

import math
import random
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from hdvila_testing.frame_code import draw_frame_code
from miniyoutube.script import FPS, Scene, Script, Trimmed, shots_of

Plane = NDArray[np.uint8]

DRAWING_VERSION = 4
"""Part of the key of cached media: raise it if a script's video or audio changes."""

_RGB: dict[str, tuple[int, int, int]] = {
    "red": (225, 30, 30),
    "orange": (250, 140, 10),
    "yellow": (250, 230, 40),
    "green": (30, 165, 60),
    "blue": (40, 90, 235),
    "purple": (160, 50, 200),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
    "crimson": (150, 20, 45),
    "amber": (215, 165, 75),
    "lemon": (250, 245, 160),
    "olive": (105, 120, 55),
    "navy": (25, 35, 110),
    "violet": (190, 145, 225),
    "ivory": (230, 225, 210),
    "charcoal": (60, 62, 66),
}
_STEP_PX = 14.0
"""How far a moving thing goes from frame to frame, for a short side of 720."""
_CIRCLE_FRAMES = 30
"""Number of frames of a turn "around in a circle"."""
_DIGIT_PX = 22
"""Height of the small number for a short side of 720: below 6 pixels in a 180-line copy."""
TEXTURE_PX = 20
"""Period of the textures for a short side of 720."""
TEXTURES: dict[str, tuple[tuple[int, int], ...]] = {
    "ruled": ((0, 1),),
    "striped": ((1, 0),),
    "tilted": ((1, 1),),
    "checkered": ((1, 1), (1, -1)),
}
"""The waves for each word for a background's texture: how many per period along x and y."""
_AMPLITUDE = 30.0
_GRAIN, _GRAIN_PX = 11.0, 10
"""Standard deviation of the ground's grain in luma steps, and its size for a short side of 720."""
_ROOM = 50
"""Distance of a background's colour from black and from full light, of 255: room for its texture and grain."""


def frames_of(script: Script, width: int, height: int) -> Iterator[Plane]:
    """Yields every frame of a script as I420: uint8, (height * 3 / 2) x width, limited range, BT.601.

    The array is reused for the next frame: copy what has to last. Width and height are even. A trimmed film shows the
    frames of the whole one, with their numbers.
    """
    first, whole = 0, script
    if isinstance(script, Trimmed):
        first, whole = _frame_at(script.head_ms), script.whole
    for shot in shots_of(whole):
        numbers = range(max(first, _frame_at(shot.start_ms)), min(_frame_at(shot.end_ms), whole.n_frames))
        for number, canvas in zip(numbers, frames_of_scene(shot.scene, numbers, width, height), strict=True):
            _burn_number(canvas, number, height)
            yield canvas


def frames_of_scene(scene: Scene, numbers: Iterable[int], width: int, height: int) -> Iterator[Plane]:
    """Yields these frames of a scene, as `frames_of` does, without the number in a corner."""
    ground, canvas = _ground(scene, width, height), np.empty((height * 3 // 2, width), np.uint8)
    for number in numbers:
        canvas[:] = ground
        _draw_things(_planes(canvas), scene, number, width, height)
        yield canvas


def _frame_at(ms: int) -> int:
    """The first frame that is shown at or after a time."""
    return -(-ms * FPS // 1000)


def _planes(canvas: Plane) -> tuple[Plane, Plane, Plane]:
    """The Y, U and V planes of an I420 frame, as views (U and V at half the size)."""
    height, width = canvas.shape[0] * 2 // 3, canvas.shape[1]
    chroma = canvas[height:].reshape(2, height // 2, width // 2)
    return canvas[:height], chroma[0], chroma[1]


def _yuv(colour: str) -> tuple[int, int, int]:
    """A colour in limited-range BT.601 (ITU-R BT.601-7, 8 bits)."""
    red, green, blue = (value / 255 for value in _RGB[colour])
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (round(16 + 219 * luma), round(128 + 224 * (blue - luma) / 1.772), round(128 + 224 * (red - luma) / 1.402))


def _ground(scene: Scene, width: int, height: int) -> Plane:
    """Draws what doesn't move in a shot: the background, the category's object and the small number beside it."""
    canvas = np.empty((height * 3 // 2, width), np.uint8)
    unit = min(width, height) / 720
    y, u, v = _planes(canvas)
    level, u[:], v[:] = _ground_yuv(scene.background)
    y[:] = np.rint(level + _texture(scene, width, height, unit)).clip(16, 235)
    _paint_icon((y, u, v), scene.noun, "black" if level > 100 else "white", height, unit)
    _paint_digit((y, u, v), scene.digit, height, unit)
    return canvas


def _ground_yuv(background: str) -> tuple[int, int, int]:
    """A background's colour, made lighter or darker so that its texture stays within the range of colours."""
    darkest, lightest = min(_RGB[background]), max(_RGB[background])
    moved = max(0, _ROOM - darkest) - max(0, lightest - (255 - _ROOM))
    level, u, v = _yuv(background)
    return level + round(moved * 219 / 255), u, v


def _texture(scene: Scene, width: int, height: int, unit: float) -> NDArray[np.float32]:
    """How much lighter or darker each point of the background is: luma, height x width. The scene is its seed."""
    dice = random.Random(str(scene))
    phase, step = dice.uniform(0, 2 * math.pi), 2 * math.pi / (TEXTURE_PX * unit)
    x, y = np.arange(width)[None], np.arange(height)[:, None]
    waves = [np.sin(step * across * x + step * down * y + phase) for across, down in TEXTURES[scene.texture]]
    cells = round(height / (_GRAIN_PX * unit)), round(width / (_GRAIN_PX * unit))
    grain = np.random.default_rng(dice.randrange(2**32)).normal(0, _GRAIN, cells).astype(np.float32)
    wave = np.asarray(sum(waves) / np.sqrt(len(waves)), np.float32)
    return _AMPLITUDE * wave + cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)


def _paint_icon(planes: tuple[Plane, Plane, Plane], noun: str, colour: str, height: int, unit: float) -> None:
    """Paints the object, 160 pixels wide at 720 lines, in the lower left corner."""
    cell = max(2, round(20 * unit)) // 2 * 2
    left, top = round(30 * unit) // 2 * 2, (height - 8 * cell - round(30 * unit)) // 2 * 2
    for plane, value, scale in zip(planes, _yuv(colour), (1, 2, 2), strict=True):
        mask = np.kron(icon(noun), np.ones((cell // scale, cell // scale), bool))
        area = plane[top // scale :, left // scale :][: mask.shape[0], : mask.shape[1]]
        area[mask] = value


def _paint_digit(planes: tuple[Plane, Plane, Plane], digit: int, height: int, unit: float) -> None:
    """Paints the small number: black on a white tag right of the object."""
    side = max(8, round(1.6 * _DIGIT_PX * unit)) // 2 * 2
    left, top = round(210 * unit) // 2 * 2, (height - side - round(36 * unit)) // 2 * 2
    y, u, v = planes
    y[top : top + side, left : left + side] = _yuv("white")[0]
    u[top // 2 : (top + side) // 2, left // 2 : (left + side) // 2] = 128
    v[top // 2 : (top + side) // 2, left // 2 : (left + side) // 2] = 128
    scale = _DIGIT_PX * unit / 22
    origin = (left + round(9 * unit), top + round((1.6 * _DIGIT_PX - 7) * unit))
    thickness = max(1, round(2 * unit))
    cv2.putText(y, str(digit), origin, cv2.FONT_HERSHEY_SIMPLEX, scale, _yuv("black")[0], thickness, cv2.LINE_AA)


def _draw_things(planes: tuple[Plane, Plane, Plane], scene: Scene, number: int, width: int, height: int) -> None:
    """Draws the scene's moving shapes at their positions in frame `number`."""
    unit = min(width, height) / 720
    radius = 100 * unit
    for index in range(scene.count):
        x, y = _position(scene, index, number, width, height, unit)
        centre = np.array([x, y])
        outline = _outline(scene.shape, radius) + centre
        hole = _outline("circle", radius * 0.55) + centre
        levels = zip(planes, _yuv(scene.colour), _ground_yuv(scene.background), (1, 2, 2), strict=True)
        for plane, level, level_behind, scale in levels:
            cv2.fillPoly(plane, [(outline / scale).round().astype(np.int32)], level)
            if scene.shape == "ring":
                cv2.fillPoly(plane, [(hole / scale).round().astype(np.int32)], level_behind)


def _position(scene: Scene, index: int, number: int, width: int, height: int, unit: float) -> tuple[float, float]:
    """The centre of a thing: evenly spread, moved by the scene's motion, wrapping around to the other side."""
    x = width * (index + 0.5) / scene.count
    y = height * (0.5 if scene.count < 3 else 0.36 + 0.28 * (index % 2))
    way, margin = number * _STEP_PX * unit, 100 * unit
    match scene.motion:
        case "to the left":
            x = (x - way) % (width + 2 * margin) - margin
        case "to the right":
            x = (x + way) % (width + 2 * margin) - margin
        case "upwards":
            y = (y - way) % (height + 2 * margin) - margin
        case "downwards":
            y = (y + way) % (height + 2 * margin) - margin
        case _:
            turn = 2 * math.pi * number / _CIRCLE_FRAMES
            x, y = x + 130 * unit * math.cos(turn), y + 130 * unit * math.sin(turn)
    return x, y


def _outline(shape: str, radius: float) -> NDArray[np.float64]:
    """The corners of a shape around the origin: float64, n x 2."""
    if shape == "square":
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * radius * 0.88
    if shape == "triangle":
        return _corners(3, -90) * radius * 1.15
    if shape == "star":
        points = _corners(10, -90)
        points[1::2] *= 0.45
        return points * radius * 1.15
    if shape == "cross":
        a = 0.33
        arms = [
            (-a, -1),
            (a, -1),
            (a, -a),
            (1, -a),
            (1, a),
            (a, a),
            (a, 1),
            (-a, 1),
            (-a, a),
            (-1, a),
            (-1, -a),
            (-a, -a),
        ]
        return np.array(arms) * radius
    return _corners(40, 0) * radius


def _corners(n: int, first_degrees: float) -> NDArray[np.float64]:
    """The corners of a regular polygon of radius 1."""
    angles = np.radians(first_degrees + np.arange(n) * 360 / n)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _burn_number(canvas: Plane, number: int, height: int) -> None:
    """Burns the frame code into the luma plane, with grey chroma under it so that it is black and white in colour."""
    y, u, v = _planes(canvas)
    draw_frame_code(y, number)
    side = min(canvas.shape[1], height) / 720
    bottom, right = math.ceil(64 * side / 2), math.ceil(306 * side / 2)
    u[:bottom, :right] = 128
    v[:bottom, :right] = 128


_ICONS: dict[str, str] = {
    "camera": "......../..##..../.######./.#.##.#./.##..##./.#.##.#./.######./........",
    "ticket": "......../########/##.##.##/.######./.######./##.##.##/########/........",
    "car": "......../..####../.##..##./########/########/########/.##..##./........",
    "wheel": "..####../.##..##./##.##.##/#.####.#/#.####.#/##.##.##/.##..##./..####..",
    "note": "...#####/...#####/...#...#/...#...#/...#...#/.###.###/####.###/.##.....",
    "drum": ".######./########/#.####.#/########/##.##.##/#.#..#.#/########/.######.",
    "cat": "#......#/##....##/########/#.####.#/########/###..###/.######./..####..",
    "fish": "......../#..###../##.####./########/########/##.####./#..###../........",
    "ball": "..####../.#.##.#./##.##.##/########/########/##.##.##/.#.##.#./..####..",
    "trophy": "########/#.####.#/#.####.#/.######./..####../...##.../...##.../.######.",
    "plane": "...##.../...##.../..####../########/########/...##.../..####../.######.",
    "tent": "...##.../...##.../..####../..#..#../.##..##./.##..##./##....##/##....##",
    "joystick": "..###.../..###.../..###.../...#..../...#..../.######./########/########",
    "monster": ".######./########/#..##..#/#..##..#/########/########/##.##.##/#..##..#",
    "house": "...##.../..####../.######./########/.######./.#..#.#./.#..###./.#..###.",
    "mug": "......../######../#######./#####.#./#####.#./#######./######../.####...",
    "mask": "......../###..###/########/#..##..#/#..##..#/########/.##..##./........",
    "banana": "......#./.....##./....###./...####./..####../.####.../####..../##......",
    "balloon": "..####../.######./.######./.######./..####../...##.../....#.../...#....",
    "hat": "......../..####../..####../..####../..####../########/########/........",
    "newspaper": "########/#......#/########/#..#...#/#..#####/#..#...#/########/########",
    "flag": "#######./########/########/########/#######./#......./#......./#.......",
    "hammer": ".######./########/.######./...##.../...##.../...##.../...##.../...##...",
    "flower": "..#..#../.######./##.##.##/.######./..#..#../...##.../.####.../...##...",
    "book": "......../###..###/########/#..##..#/#..##..#/#..##..#/########/...##...",
    "pencil": "......##/.....###/....###./...###../..###.../.###..../##....../#.......",
    "rocket": "...##.../..####../..#..#../..####../..####../.######./##.##.##/...##...",
    "robot": "...##.../.######./.#.##.#./.######./########/#.####.#/..#..#../.##..##.",
    "heart": ".##..##./########/########/########/.######./..####../...##.../........",
    "tree": "...##.../..####../..####../.######./.######./########/...##.../...##...",
}
"""Pixel pictures, 8 by 8, one for each noun of `script.NOUNS`."""


def icon(noun: str) -> NDArray[np.bool_]:
    """The picture of a noun: bool 8 x 8, True where it is painted."""
    return np.array([[cell == "#" for cell in row] for row in _ICONS[noun].split("/")])
