"""Answers to questions about pictures: which there are, how two are compared, what one is worth.

answers.json of an imported set is the list of answers that are classes, class by class: `data.answers` of a run.
"""

import json
import re

ANSWERS_NAME = "answers.json"

FIXED_ANSWERS: dict[str, tuple[str, ...]] = {
    "nlvr2": ("false", "true"),
    "snli_ve": ("contradiction", "neutral", "entailment"),
}
"""Where a task's answers are given."""

AGREEING = 3
"""People who have to give an answer to make it wholly right."""

_ARTICLE = re.compile(r"\b(a|an|the)\b")


def vqa_score(n_people: int) -> float:
    """What an answer is worth that n of ten people gave: min(n / 3, 1), the published rule."""
    return min(n_people / AGREEING, 1.0)


def normal_answer(answer: str) -> str:
    """An answer as it is compared: lower case, without articles, surrounding spaces and a full stop at the end.

    VQA's own evaluation also spells out contractions and numbers; here they stay as they are written.
    """
    return " ".join(_ARTICLE.sub(" ", str(answer).lower().strip().rstrip(".")).split()) or str(answer).lower().strip()


def read_answers(text: str) -> list[str]:
    """The classes of an answers.json. ValueError where it is none."""
    found = json.loads(text)
    if not isinstance(found, list) or not found or not all(isinstance(answer, str) for answer in found):
        raise ValueError("is not a list of answers")
    if len(set(found)) < len(found):
        raise ValueError("names an answer twice")
    return found
