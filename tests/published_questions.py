"""64 questions about drawn pictures in each of the published formats: `TASKS[name](folder)` gives the files.

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


def nlvr2(folder: Path) -> list[Path]:
    """32 pairs of pictures with two sentences each."""
    names, lines = list(COLOURS), []
    for i in range(N // 2):
        colours = {"left": names[i % 4], "right": names[(i // 4 + i) % 4]}
        for side, (_, colour) in enumerate(colours.items()):
            draw(folder / "pictures", f"dev-{i}-0-img{side}.png", colour, i // 8)
        for n, (side, colour) in enumerate(colours.items()):
            said = colour if (i + n + i // 4) % 2 else names[(names.index(colour) + 1 + i % 3) % 4]
            sentence = f"The {side} image is {said}."
            lines.append({"identifier": f"dev-{i}-0-{n}", "sentence": sentence, "label": str(said == colour)})
    (folder / "dev.json").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return [folder / "dev.json"]


def snli_ve(folder: Path) -> list[Path]:
    """16 pictures with four hypotheses each; one more on which people did not agree."""
    names, lines = list(COLOURS), []
    for i, (colour, shade) in enumerate(shown()):
        draw(folder / "pictures", f"{900 + i}.jpg", colour, shade)
        others = [names[(names.index(colour) + k) % 4] for k in (1, 2)]
        hypotheses = {f"It is {colour}.": "entailment", "It was made in June.": "neutral"}
        hypotheses |= {f"It is {other}.": "contradiction" for other in others}
        for k, (hypothesis, label) in enumerate(hypotheses.items()):
            lines.append({"Flickr30K_ID": str(900 + i), "pairID": f"{900 + i}.jpg#{k}r", "gold_label": label,
                          "sentence1": "not used", "sentence2": hypothesis})  # fmt: skip
    lines.append({**lines[0], "pairID": "unsettled", "gold_label": "-"})
    (folder / "ve.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return [folder / "ve.jsonl"]


TASKS = {"vqa": vqa, "nlvr2": nlvr2, "snli_ve": snli_ve}
