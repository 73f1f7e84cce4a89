"""Runs an answering model on held-out questions: its score by the published rule, and the official result file.

    vqa        the mean over questions of min(n / 3, 1), where n people gave the model's answer; a JSON list of
               {question_id, answer}
    nlvr2      the share of right answers, and of sentences that are right with all their pictures (consistency);
               lines `identifier,True`
    snli_ve    the share of right answers; no official result format exists, so lines {"pairID", "label"}

A right answer outside the classes counts as missed: the answering head cannot give it. If the answers are withheld (a
test set), the file is written but there is no score.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from manifests.errors import UserError
from manifests.image_sample import QuestionJson, parse_image_json
from train.config import TrainConfig
from train.data.index import Index
from train.data.loader import ClipDataset, read_once
from train.data.questions import answers_of
from train.data.read import Reader
from train.data.registry import Source
from train.feed.batches import rows_of, view_of
from train.feed.tokenizer import Tokenizer
from train.models.wrapping import autocast, unwrap

Task = Literal["vqa", "nlvr2", "snli_ve"]


@dataclass(frozen=True, slots=True)
class Given:
    """The model's answer to a question, and its score (None: the right answers are withheld)."""

    question_id: str
    answer: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Answers:
    """The model's answers to all questions of a set, in the order of the set."""

    task: Task
    given: tuple[Given, ...]
    n_lost: int = 0
    """Questions without an answer, because their picture cannot be read."""

    def flat(self) -> dict[str, float]:
        """The accuracy over questions with known answers (for NLVR2 also the consistency), and the counts, by name."""
        known = [answer for answer in self.given if answer.score is not None]
        scores: dict[str, float] = {"n_questions": len(self.given), "n_scored": len(known), "n_lost": self.n_lost}
        if known:
            scores["accuracy"] = sum(answer.score or 0.0 for answer in known) / len(known)
            if self.task == "nlvr2":
                scores["consistency"] = consistency(known)
        return scores

    def describe(self) -> str:
        """The scores as one line of text."""
        flat = self.flat()
        if "accuracy" not in flat:
            return f"{len(self.given)} questions answered; their right answers are kept back"
        more = f", consistency {flat['consistency']:.1%}" if "consistency" in flat else ""
        lost = f"; {self.n_lost} could not be read" if self.n_lost else ""
        return f"{self.task}: accuracy {flat['accuracy']:.2%}{more} over {flat['n_scored']} questions{lost}"

    def write(self, path: Path) -> None:
        """Writes the official result file. UserError if it cannot be written."""
        text = _TEXTS[self.task](self.given)
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from None


def consistency(given: Sequence[Given]) -> float:
    """NLVR2's consistency: the share of sentences that are judged right with all of their pairs of pictures.

    An identifier is split-set-pair-sentence; examples of one sentence differ in the pair alone.
    """
    right: dict[tuple[str, ...], bool] = defaultdict(lambda: True)
    for answer in given:
        parts = answer.question_id.split("-")
        right[(*parts[:2], *parts[3:])] &= answer.score == 1.0
    return sum(right.values()) / len(right)


def _vqa_text(given: Sequence[Given]) -> str:
    return (
        json.dumps([{"question_id": _number(answer.question_id), "answer": answer.answer} for answer in given]) + "\n"
    )


def _nlvr2_text(given: Sequence[Given]) -> str:
    return "".join(f"{answer.question_id},{answer.answer.capitalize()}\n" for answer in given)


def _snli_ve_text(given: Sequence[Given]) -> str:
    return "".join(json.dumps({"pairID": answer.question_id, "label": answer.answer}) + "\n" for answer in given)


_TEXTS = {"vqa": _vqa_text, "nlvr2": _nlvr2_text, "snli_ve": _snli_ve_text}


def _number(question_id: str) -> int | str:
    return int(question_id) if question_id.isdigit() else question_id


@torch.no_grad()
def answer_all(model: nn.Module, index: Index, tokenizer: Tokenizer, config: TrainConfig, source: Source) -> Answers:
    """Answers every question of an index, in one process. UserError for a model without an answering head."""
    inner: Any = unwrap(model)
    if not getattr(inner.config, "n_answers", 0):
        raise UserError(f"model.kind {inner.config.kind} of this run does not answer: it was trained without n_answers")
    model.eval()
    d, device = config.data, next(model.parameters()).device
    classes = answers_of(d.answers)
    dataset = ClipDataset(
        index, view_of(config), source, seed=None, n_workers=d.workers, storage_options=d.storage_options
    )
    reader, given = Reader(index, d.storage_options), []
    for loaded in read_once(dataset, range(len(index)), d.workers, config.eval.batch):
        if not loaded.keys:
            continue
        with autocast(config.loop.precision, device):
            logits = inner(rows_of(loaded, tokenizer, config).to(device)).answer_logits
        for sample, best in zip(loaded.samples, logits.argmax(1).tolist(), strict=True):
            facts = parse_image_json(reader.read(sample, ("json",))["json"])
            assert isinstance(facts, QuestionJson)
            given.append(Given(facts.question_id, classes[best], worth(classes[best], facts)))
    return Answers(task_of(d.answers), tuple(given), len(index) - len(given))


def worth(answer: str, facts: QuestionJson) -> float | None:
    """The score of an answer: 0 if no person gave it, None if the right answers are withheld."""
    if not facts.answers:
        return None
    return dict(zip(facts.answers, facts.answer_scores, strict=True)).get(answer, 0.0)


def task_of(answers: str) -> Task:
    """The task that `data.answers` stands for: nlvr2, snli_ve, or vqa for a file of answers."""
    return "nlvr2" if answers == "nlvr2" else "snli_ve" if answers == "snli_ve" else "vqa"
