"""64 questions about 16 drawn films in each of the published formats: `TASKS[name](folder)` gives the file.

Films go into folder/films: of one colour in one light, so that any crop shows both.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hdvila_testing.drawn_set import COLOURS, encode_mp4
from train.data.crop import Pixels

N_FILMS, N = 16, 64
FRAMES, HEIGHT, WIDTH = 8, 96, 160
LIGHTS = {"bright": 1.0, "pale": 0.65, "dim": 0.4, "dark": 0.22}


@dataclass(frozen=True, slots=True)
class Scene:
    """What a film shows."""

    colour: str
    light: str

    def describe(self) -> str:
        """A text that tells of it."""
        return f"a {self.light} {self.colour} film"

    def draw(self) -> Pixels:
        """A frame: [HEIGHT, WIDTH, 3]."""
        lit = LIGHTS[self.light] * np.array(COLOURS[self.colour])
        return np.full((HEIGHT, WIDTH, 3), lit.round(), np.uint8)


SCENES = [Scene(colour, light) for light in LIGHTS for colour in COLOURS]


def films(folder: Path, name: Callable[[int], str]) -> list[Scene]:
    """The scenes of the films, which are written; `name` gives each file's name without its suffix."""
    (folder / "films").mkdir(exist_ok=True)
    for i, scene in enumerate(SCENES):
        (folder / "films" / f"{name(i)}.mp4").write_bytes(encode_mp4([scene.draw()] * FRAMES, fps=12))
    return SCENES


def msrvtt_qa(folder: Path) -> Path:
    """train_qa.json: what, how and who, and one answer that is given but once."""
    entries: list[dict[str, Any]] = []
    for i, scene in enumerate(films(folder, lambda i: f"video{6513 + i}")):
        asked = {
            "what color is it?": scene.colour,
            "how is its light?": scene.light,
            "who is seen?": "a painter" if i else "nobody",
            f"what is {scene.colour}?": "film",
        }
        for n, (question, answer) in enumerate(asked.items()):
            entry = {"answer": answer, "category_id": 14, "id": 100 + 4 * i + n, "question": question}
            entries.append({**entry, "video_id": 6513 + i})
    path = folder / "train_qa.json"
    path.write_text(json.dumps(entries))
    return path


def msrvtt_mc(folder: Path) -> Path:
    """msrvtt_mc_test.jsonl: four draws of five texts for each film, of which one tells of it."""
    lines = []
    for i, scene in enumerate(films(folder, lambda i: f"video{7010 + i}")):
        for n in range(4):
            options, answer = _five(i, n, scene.describe(), [one.describe() for one in SCENES])
            lines.append({"qid": 4 * i + n, "clip_name": f"video{7010 + i}", "options": options, "answer": answer})
    path = folder / "msrvtt_mc_test.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def tgif_action(folder: Path) -> Path:
    """Train_action_question.csv."""
    return _tgif_choice(folder, "action", "What does the {colour} film do {n} times ?")


def tgif_transition(folder: Path) -> Path:
    """Train_transition_question.csv."""
    return _tgif_choice(folder, "transition", "What does the {colour} film do after {n} others ?")


def tgif_frame(folder: Path) -> Path:
    """Train_frameqa_question.csv: object, number, color and location."""
    rows = ["gif_name\tquestion\tanswer\ttype\tvid_id\tkey\tdescription"]
    for i, scene in enumerate(films(folder, _gif)):
        asked = {
            "what is seen ?": ("film", 0),
            'how many "things" are seen ?': ("one", 1),
            "what is the color of the film ?": (scene.colour, 2),
            "where is the light ?": (scene.light, 3),
        }
        for n, (question, (answer, kind)) in enumerate(asked.items()):
            rows.append(f"{_gif(i)}\t{question}\t{answer}\t{kind}\tFRAMEQA{4 * i + n}\t{i}\ta {scene.colour} film .")
    return _table(folder, "frameqa", rows)


def _gif(i: int) -> str:
    return f"tumblr_nk172bbdPI1u1lr18o1_{250 + i}"


def _tgif_choice(folder: Path, task: str, question: str) -> Path:
    rows = ["gif_name\tquestion\ta1\ta2\ta3\ta4\ta5\tanswer\tvid_id\tkey"]
    for i, scene in enumerate(films(folder, _gif)):
        for n in range(4):
            options, answer = _five(i, n, scene.light, [*LIGHTS, "dotted", "torn"])
            asked = question.format(colour=scene.colour, n=n + 2)
            rows.append("\t".join([_gif(i), asked, *options, str(answer), f"{task.upper()}{4 * i + n}", str(i)]))
    return _table(folder, task, rows)


def _five(i: int, n: int, right: str, texts: list[str]) -> tuple[list[str], int]:
    """(five of the texts with the right one among them, its number)."""
    others = [text for text in texts if text != right]
    wrong = [others[(5 * i + 3 * n + k) % len(others)] for k in range(4)]
    answer = (i + 2 * n) % 5
    return [*wrong[:answer], right, *wrong[answer:]], answer


def _table(folder: Path, task: str, rows: list[str]) -> Path:
    path = folder / f"Train_{task}_question.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


TASKS: dict[str, Callable[[Path], Path]] = {
    "msrvtt_qa": msrvtt_qa,
    "msrvtt_mc": msrvtt_mc,
    "tgif_action": tgif_action,
    "tgif_transition": tgif_transition,
    "tgif_frame": tgif_frame,
}
