"""64 questions about drawn pictures in the published format: `vqa(folder)` gives the files.

Pictures go into folder/pictures.
"""

import json
from pathlib import Path

from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 190, 40), "blue": (40, 60, 220), "yellow": (240, 220, 30)}
N = 64


def draw(folder: Path, name: str, colour: str, shade: int) -> None:
    """A picture of one colour, a little darker with each shade."""
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (96, 64), tuple(max(0, value - 8 * shade) for value in COLOURS[colour])).save(folder / name)


def shown() -> list[tuple[str, int]]:
    """(colour, shade) of 16 pictures."""
    return [(colour, shade) for shade in range(4) for colour in COLOURS]


def vqa(folder: Path) -> list[Path]:
    """16 pictures with four questions each, and ten people's answers, as VQA 2.0 has them."""
    questions, annotations = [], []
    for i, (colour, shade) in enumerate(shown()):
        draw(folder / "pictures", f"COCO_train2014_{i:012d}.jpg", colour, shade)
        asked = {"What color is it?": colour}
        asked |= {f"Is it {other}?": "yes" if other == colour else "no" for other in list(COLOURS)[:3]}
        for n, (question, said) in enumerate(asked.items()):
            question_id = 1000 * i + n
            questions.append({"image_id": i, "question": question, "question_id": question_id})
            people = [said] * 8 + ["maybe", f"The {said}."]
            annotations.append(
                {"question_id": question_id, "image_id": i, "multiple_choice_answer": said,
                 "answers": [{"answer": a, "answer_confidence": "yes", "answer_id": j}
                             for j, a in enumerate(people, 1)]}
            )  # fmt: skip
    head = {"data_type": "mscoco", "data_subtype": "train2014", "info": {}, "license": {}}
    files = {"questions": {**head, "questions": questions}, "annotations": {**head, "annotations": annotations}}
    for name, document in files.items():
        (folder / f"v2_{name}.json").write_text(json.dumps(document))
    return [folder / f"v2_{name}.json" for name in files]
