"""What a demo video says and shows: everything follows from its `Script`, which is a seed.

A script is a run of shots. Each shot has one spoken sentence that describes its scene: the background, what moves on it
and where to, an object of the video's category, and a number so small that only the 720p picture shows it. The picture
changes in the pause before a sentence, so a clip cut at its sentence shows what the sentence says. Plain sentences name
only the background and the colour of what moves, each one of four, so that a few hundred of them are enough to teach a
small model.
"""

import random
from dataclasses import dataclass, fields
from functools import lru_cache

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
GROUNDS = ("crimson", "amber", "lemon", "olive", "navy", "violet", "ivory", "charcoal")
"""Colours of backgrounds: words of their own, so that a tiny model need not tell a colour's role from its position."""
PLAIN_COLOURS, PLAIN_GROUNDS = COLOURS[::2], GROUNDS[1::2]
"""Colours of what moves, and of backgrounds, in scenes that are described plainly; all combinations occur."""
TEXTURES = ("ruled", "striped", "tilted", "checkered")
"""Textures of backgrounds: level, upright or slanting lines, or squares (`drawing.py`)."""
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
MOTIONS = ("to the left", "to the right", "upwards", "downwards", "around in a circle")
COUNTS = ("one", "two", "three", "four")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VERBS = ("move", "drift", "slide", "float")

NOUNS: dict[int, tuple[str, str]] = {
    1: ("camera", "ticket"),
    2: ("car", "wheel"),
    10: ("note", "drum"),
    15: ("cat", "fish"),
    17: ("ball", "trophy"),
    19: ("plane", "tent"),
    20: ("joystick", "monster"),
    22: ("house", "mug"),
    23: ("mask", "banana"),
    24: ("balloon", "hat"),
    25: ("newspaper", "flag"),
    26: ("hammer", "flower"),
    27: ("book", "pencil"),
    28: ("rocket", "robot"),
    29: ("heart", "tree"),
}
"""Two objects of each category (by YouTube's category id); `icons.py` draws them."""

FPS = 12
"""Frames per second of every demo video."""

_LONG = (
    "in this scene {things} {motion} across a {texture} {background} background while a {noun} waits in the corner "
    "and a tiny number {digit} is printed right beside it",
    "now we are looking at a {texture} {background} background where {things} {motion} and next to the {noun} below "
    "you may read the very small number {digit}",
    "behind the {noun} with its tiny number {digit} you can see a {texture} {background} wall and in front of it "
    "{things} {motion} without any pause",
    "watch how {things} {motion} in front of a {texture} {background} wall with a {noun} standing below and the "
    "little number {digit} written at its side",
)
_SHORT = (
    "{things} {motion} over a {texture} {background} wall beside a {noun} with the number {digit}",
    "on a {texture} {background} wall {things} {motion} near the {noun} marked {digit}",
)
_PLAIN = (
    "now some {colour} things {verb} over a {texture} {background} wall",
    "now the {colour} things {verb} over a {texture} {background} wall",
    "now there are {colour} things on a {texture} {background} wall",
    "now a {texture} {background} wall has {colour} things on it",
)
"""Each begins with a word that no sentence ends with: without marks, as in automatic captions, there is little else by
which sentences this short can be separated.
"""
_ENGLISH = {"long": _LONG, "short": _SHORT, "plain": _PLAIN}
_SPANISH = {
    "long": "en esta escena vemos {things} que se mueve {motion} sobre un fondo {background} mientras en la esquina "
    "espera un objeto pequeño con el número {digit} escrito a su lado",
    "short": "vemos {things} {motion} sobre un fondo {background} junto al número {digit}",
    "plain": "ahora vemos {things} sobre un fondo {background}",
}
_SPANISH_WORDS = {
    **dict(zip(COLOURS, ("rojo", "naranja", "amarillo", "verde", "azul", "morado", "blanco", "negro"), strict=True)),
    **dict(zip(GROUNDS, ("carmesí", "ámbar", "limón", "oliva", "marino", "violeta", "marfil", "carbón"), strict=True)),
    **dict(zip(SHAPES, ("círculo", "cuadrado", "triángulo", "estrella", "anillo", "cruz"), strict=True)),
    **dict(zip(COUNTS, ("un", "dos", "tres", "cuatro"), strict=True)),
    **dict(
        zip(MOTIONS, ("hacia la izquierda", "a la derecha", "hacia arriba", "hacia abajo", "en círculo"), strict=True)
    ),
}
_SPANISH_DIGITS = ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve")

_PAUSES_MS = {"long": (800, 1600), "short": (800, 1600), "plain": (600, 1000)}
"""Shortest and longest pause between two sentences."""
_LEAD_MS = 250
"""The picture changes this long before the sentence starts."""
_FIRST_WORD_MS = 900
_TAIL_MS = 1200
"""Shortest quiet time after the last sentence."""


@dataclass(frozen=True, slots=True)
class Script:
    """The seed of a video's words and pictures; equal scripts give equal bytes.

    `sentences` is "long" (about 8 to 14 s each), "short" (about 5 to 7 s) or "plain" (about 3 to 4 s); `language` is
    "en" or "es"; `greeting` is a sentence spoken first, the same in all videos of a channel; `duration_ms` is the
    length of video and audio.
    """

    seed: int
    category_id: int
    duration_ms: int
    sentences: str = "long"
    language: str = "en"
    greeting: str = ""

    @property
    def n_frames(self) -> int:
        """Number of frames, at 12 per second."""
        return self.duration_ms * FPS // 1000


@dataclass(frozen=True, slots=True)
class Trimmed(Script):
    """What its uploader left of a film: without its first `head_ms`, a whole number of frames."""

    head_ms: int = 0

    @property
    def whole(self) -> Script:
        """The film before."""
        facts = {field.name: getattr(self, field.name) for field in fields(Script)}
        return Script(**{**facts, "duration_ms": self.duration_ms + self.head_ms})


def without_head(script: Script, head_ms: int) -> Trimmed:
    """A film without its first `head_ms`."""
    facts = {field.name: getattr(script, field.name) for field in fields(Script)}
    return Trimmed(**{**facts, "duration_ms": script.duration_ms - head_ms}, head_ms=head_ms)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is visible in a shot; all words come from the tables above."""

    background: str
    texture: str
    shape: str
    colour: str
    count: int
    motion: str
    noun: str
    digit: int


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word (no punctuation, lower case) and its time in the video."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Shot:
    """A scene, its time in the video, and the sentence spoken in it (no words: a silent shot)."""

    start_ms: int
    end_ms: int
    scene: Scene
    words: tuple[Word, ...]


@lru_cache(maxsize=4096)
def shots_of(script: Script) -> tuple[Shot, ...]:
    """The shots in order of time, without gaps from 0 to the script's duration.

    Sentences are placed while they fit; about one in six continues the scene of the last.
    """
    if isinstance(script, Trimmed):
        return tuple(_earlier(shot, script.head_ms) for shot in shots_of(script.whole) if shot.end_ms > script.head_ms)
    dice = random.Random(f"{script.seed}/{script.category_id}/{script.language}")
    shots: list[Shot] = []
    now_ms, shot_start_ms = _FIRST_WORD_MS, 0
    scene = _draw_scene(dice, script, None)
    texts = [script.greeting] if script.greeting else []
    while True:
        text = texts.pop() if texts else _describe(dice, scene, script)
        words = _speak(dice, text, now_ms)
        if words[-1].end_ms + _TAIL_MS > script.duration_ms:
            break
        next_ms = words[-1].end_ms + dice.randrange(*_PAUSES_MS[script.sentences])
        shots.append(Shot(shot_start_ms, next_ms - _LEAD_MS, scene, words))
        now_ms, shot_start_ms = next_ms, next_ms - _LEAD_MS
        if text == script.greeting or dice.random() >= 1 / 6:
            scene = _draw_scene(dice, script, scene)
    return _fill_to_end(shots, script, scene)


def words_of(script: Script) -> list[Word]:
    """Every word of a script in order of time."""
    return [word for shot in shots_of(script) for word in shot.words]


def as_written(words: tuple[Word, ...]) -> str:
    """A spoken sentence with capital and full stop."""
    text = " ".join(word.text for word in words)
    return text[:1].upper() + text[1:] + "."


def in_english(script: Script) -> Script:
    """The same pictures described in English at other times, like a machine translation of the track."""
    return Script(script.seed, script.category_id, script.duration_ms, script.sentences, "en")


def duration_for(seed: int, category_id: int, n_sentences: int, sentences: str = "long") -> int:
    """The duration, ms (whole seconds), that `n_sentences` of this kind and seed need."""
    roomy = Script(seed, category_id, 40_000 * (n_sentences + 1), sentences, "en")
    last = [shot for shot in shots_of(roomy) if shot.words][n_sentences - 1]
    return -(-(last.words[-1].end_ms + _TAIL_MS) // 1000) * 1000


def _earlier(shot: Shot, ms: int) -> Shot:
    """A shot that begins earlier; what would be before the film's begin is gone."""
    words = tuple(Word(w.text, w.start_ms - ms, w.end_ms - ms) for w in shot.words if w.start_ms >= ms)
    return Shot(max(0, shot.start_ms - ms), shot.end_ms - ms, shot.scene, words)


def _fill_to_end(shots: list[Shot], script: Script, scene: Scene) -> tuple[Shot, ...]:
    """Extends the last shot to the end of the video; a script too short for any sentence is a silent shot."""
    if not shots:
        return (Shot(0, script.duration_ms, scene, ()),)
    last = shots[-1]
    return (*shots[:-1], Shot(last.start_ms, script.duration_ms, last.scene, last.words))


def _draw_scene(dice: random.Random, script: Script, before: Scene | None) -> Scene:
    """Draws a scene of random attributes; its background differs from the previous, so that the cut shows."""
    plain = script.sentences == "plain"
    colours, grounds = (PLAIN_COLOURS, PLAIN_GROUNDS) if plain else (COLOURS, GROUNDS)
    background = dice.choice([ground for ground in grounds if before is None or ground != before.background])
    return Scene(
        background=background,
        texture=dice.choice(TEXTURES),
        shape=dice.choice(SHAPES),
        colour=dice.choice([c for c in colours if c != COLOURS[GROUNDS.index(background)]]),
        count=dice.randrange(2 if plain else 1, 5),
        motion=dice.choice(MOTIONS),
        noun=dice.choice(NOUNS[script.category_id]),
        digit=dice.randrange(10),
    )


def _describe(dice: random.Random, scene: Scene, script: Script) -> str:
    """Describes the scene in a sentence, lower case and without punctuation."""
    if script.language == "es":
        return _describe_in_spanish(scene, script.sentences)
    template = dice.choice(_ENGLISH[script.sentences])
    verb = dice.choice(VERBS)
    if scene.count == 1:
        things = f"one {scene.colour} {scene.shape} {verb}s"
    else:
        things = f"{COUNTS[scene.count - 1]} {scene.colour} {_plural(scene.shape)} {verb}"
    return template.format(
        things=things,
        colour=scene.colour,
        verb=verb,
        motion=scene.motion,
        texture=scene.texture,
        background=scene.background,
        noun=scene.noun,
        digit=DIGITS[scene.digit],
    )


def _describe_in_spanish(scene: Scene, sentences: str) -> str:
    count = _SPANISH_WORDS[COUNTS[scene.count - 1]]
    return _SPANISH[sentences].format(
        things=f"{count} {_SPANISH_WORDS[scene.shape]} {_SPANISH_WORDS[scene.colour]}",
        motion=_SPANISH_WORDS[scene.motion],
        background=_SPANISH_WORDS[scene.background],
        digit=_SPANISH_DIGITS[scene.digit],
    )


def _plural(shape: str) -> str:
    return f"{shape}es" if shape.endswith("s") else f"{shape}s"


def _speak(dice: random.Random, text: str, start_ms: int) -> tuple[Word, ...]:
    """Times a sentence's words: longer words last longer; about 400 ms each with the gap after."""
    words, now_ms = [], start_ms
    for text_word in text.split():
        end_ms = now_ms + 130 + 45 * len(text_word) + dice.randrange(-30, 31)
        words.append(Word(text_word, now_ms, end_ms))
        now_ms = end_ms + dice.randrange(30, 90)
    return tuple(words)
