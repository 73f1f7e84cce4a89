"""Answers to questions about pictures: the classes, how two answers are compared, how an answer is scored.

answers.json of an imported set lists the answers that are classes, in class order: `data.answers` of a training run.
"""

import json
import re

ANSWERS_NAME = "answers.json"

FIXED_ANSWERS: dict[str, tuple[str, ...]] = {
    "nlvr2": ("false", "true"),
    "snli_ve": ("contradiction", "neutral", "entailment"),
}
"""The answers of tasks that have a fixed set of them."""

AGREEING = 3
"""How many people must give an answer for the full score."""

_ARTICLE = re.compile(r"\b(a|an|the)\b")


def vqa_score(n_people: int) -> float:
    """The score of an answer that n of ten people gave: min(n / 3, 1), the published rule."""
    return min(n_people / AGREEING, 1.0)


def normal_answer(answer: str) -> str:
    """The form in which answers are compared: lower case, without articles, outer spaces and a final full stop.

    VQA's own evaluation also normalises contractions and numbers; here they stay as written.
    """
    return " ".join(_ARTICLE.sub(" ", str(answer).lower().strip().rstrip(".")).split()) or str(answer).lower().strip()


def read_answers(text: str) -> list[str]:
    """The classes of an answers.json. ValueError if it is not one."""
    found = json.loads(text)
    if not isinstance(found, list) or not found or not all(isinstance(answer, str) for answer in found):
        raise ValueError("is not a list of answers")
    if len(set(found)) < len(found):
        raise ValueError("names an answer twice")
    return found
