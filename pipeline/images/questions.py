"""Reads published questions about pictures: each format as a list of questions.

    vqa        VQA 2.0: v2_OpenEnded_mscoco_*_questions.json, with v2_mscoco_*_annotations.json where answers are known;
               or SOHO's {"data": [{file_name, image_id, vqa: [{question, question_id, labels, scores}]}], "label2ans"}

A sample is one question with its picture; a picture is in the shards once per question.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from manifests.errors import UserError
from manifests.image_sample import normal_answer, vqa_score
from pipeline.images.annotations import Captioned, Format, Question, clean, parsed, text_of

ANSWER_FLOOR = 9
"""How often an answer has to be the most common to become a class: 3,129 answers of VQA 2.0's train and val."""

_MARK = '"question_id"'


def read_questions(
    paths: Sequence[Path], kind: Format | None = None, *, answer_floor: int = ANSWER_FLOOR
) -> tuple[list[Captioned], list[str]] | None:
    """Returns (questions, answers that are classes) of files that belong together; None if without questions.

    Raises UserError for files that are not of the format, or whose parts don't belong together.
    """
    if kind is not None and kind != "vqa":
        return None
    texts = [text_of(path) for path in paths]
    if kind is None and not any(_MARK in text for text in texts):
        return None  # captions: not worth parsing twice
    try:
        documents = [_document(text) for text in texts]
        if kind is None and not any(map(_asks, documents)):
            return None
        askings, answers = _vqa(documents, answer_floor)
        return list(_numbered(askings)), answers
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        names = ", ".join(map(str, paths))
        raise UserError(f"{names}: cannot be read as {kind or 'questions'} ({type(error).__name__}: {error})") from None


def _document(text: str) -> Any:
    """Parses a JSON document; {} for other files."""
    try:
        return parsed(text)
    except (ValueError, RecursionError):
        return {}


def _asks(document: Any) -> bool:
    return isinstance(document, dict) and ("questions" in document or {"data", "label2ans"} <= document.keys())


def _vqa(documents: Sequence[Mapping[str, Any]], answer_floor: int) -> tuple[list[Captioned], list[str]]:
    given = [document for document in documents if "data" in document]
    if given:
        label2ans = [normal_answer(answer) for answer in _in_order(given[0]["label2ans"])]
        return [asking for document in given for asking in _soho_vqa(document["data"], label2ans)], label2ans
    answered = {
        annotation["question_id"]: annotation
        for document in documents if "annotations" in document
        for annotation in document["annotations"]
    }  # fmt: skip
    questions = [(document, q) for document in documents for q in document.get("questions", ())]
    if answered and not any(q["question_id"] in answered for _, q in questions):
        raise ValueError("the questions and the annotations share no question_id")
    askings = [_official_vqa(document, question, answered) for document, question in questions]
    most = Counter(normal_answer(answer["multiple_choice_answer"]) for answer in answered.values())
    classes = sorted((a for a, n in most.items() if n >= answer_floor), key=lambda answer: (-most[answer], answer))
    return askings, classes


def _in_order(label2ans: Any) -> list[str]:
    """Reads SOHO's label2ans: a list, or {label: answer}."""
    if isinstance(label2ans, list):
        return label2ans
    return [label2ans[key] for key in sorted(label2ans, key=int)]


def _official_vqa(document: Mapping[str, Any], question: Mapping[str, Any], answered: Mapping[Any, Any]) -> Captioned:
    image_id = int(question["image_id"])
    name = f"COCO_{document['data_subtype']}_{image_id:012d}.jpg"
    annotation = answered.get(question["question_id"])
    said = (
        Counter(normal_answer(answer["answer"]) for answer in annotation["answers"]) if annotation else Counter[str]()
    )
    scored = tuple((answer, vqa_score(n)) for answer, n in said.most_common())
    return _asking(str(image_id), name, question["question"], str(question["question_id"]), scored)


def _soho_vqa(items: Iterable[Mapping[str, Any]], label2ans: Sequence[str]) -> Iterator[Captioned]:
    for item in items:
        for question in item.get("vqa", [item]):
            pairs = zip(question.get("labels", ()), question.get("scores", ()), strict=True)
            scored = sorted(((label2ans[label], float(score)) for label, score in pairs), key=lambda pair: -pair[1])
            yield _asking(
                str(item["image_id"]),
                item["file_name"],
                question["question"],
                str(question["question_id"]),
                tuple(scored),
            )


def _asking(
    image_id: str, name: str, question: str, question_id: str, scored: tuple[tuple[str, float], ...]
) -> Captioned:
    return Captioned(image_id, name, clean([question]), question=Question(question_id, scored))


def _numbered(askings: Iterable[Captioned]) -> Iterator[Captioned]:
    """Numbers the questions about each picture. Raises ValueError for a repeated question_id."""
    before: Counter[str] = Counter()
    seen: set[str] = set()
    for asking in askings:
        assert asking.question is not None
        if asking.question.question_id in seen:
            raise ValueError(f"question_id {asking.question.question_id} comes twice")
        seen.add(asking.question.question_id)
        yield replace(asking, question=replace(asking.question, number=before[asking.image_id]))
        before[asking.image_id] += 1
