"""What a model that answers says of a held-out set: its score by the published rule, and the official result file.

    vqa        the share min(n / 3, 1) of the answer given, over all questions; a JSON list of {question_id, answer}
    nlvr2      the share of right answers, and of sentences that are right with all their pictures (consistency);
               lines `identifier,True`
    snli_ve    the share of right answers; no result file is published, so lines {"pairID", "label"}

A right answer outside the classes counts as missed: an answering head cannot give it. Where answers are kept back (a
test set), there is a file and no score.
"""

from __future__ import annotations

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
from train.batches import rows_of, view_of
from train.config import TrainConfig
from train.data.index import Index
from train.data.loader import ClipDataset, read_once
from train.data.questions import answers_of
from train.data.read import Reader
from train.data.registry import Source
from train.distributed import unwrap
from train.evaluate import autocast
from train.tokenizer import Tokenizer

Task = Literal["vqa", "nlvr2", "snli_ve"]


@dataclass(frozen=True, slots=True)
class Given:
    """One answer, and what it is worth (None: the right answers are kept back)."""

    question_id: str
    answer: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Answers:
    """All answers of a set, in its order."""

    task: Task
    given: tuple[Given, ...]
    n_lost: int = 0
    """Questions whose picture cannot be read: they have no answer."""

    def flat(self) -> dict[str, float]:
        """{"accuracy": …} over the questions whose answers are known; NLVR2's consistency too."""
        known = [answer for answer in self.given if answer.score is not None]
        found: dict[str, float] = {"n_questions": len(self.given), "n_scored": len(known), "n_lost": self.n_lost}
        if known:
            found["accuracy"] = sum(answer.score or 0.0 for answer in known) / len(known)
            if self.task == "nlvr2":
                found["consistency"] = consistency(known)
        return found

    def describe(self) -> str:
        """One line for people."""
        flat = self.flat()
        if "accuracy" not in flat:
            return f"{len(self.given)} questions answered; their right answers are kept back"
        more = f", consistency {flat['consistency']:.1%}" if "consistency" in flat else ""
        lost = f"; {self.n_lost} could not be read" if self.n_lost else ""
        return f"{self.task}: accuracy {flat['accuracy']:.2%}{more} over {flat['n_scored']} questions{lost}"

    def write(self, path: Path) -> None:
        """The official result file. UserError where it cannot be written."""
        text = _TEXTS[self.task](self.given)
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from None


def consistency(given: Sequence[Given]) -> float:
    """Of NLVR2's sentences, the share that is answered rightly with every pair of pictures that it was written for.

    An identifier is split-set-pair-sentence; the pair tells a sentence's examples apart.
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
    """What the model answers to every question of an index, in one process. UserError for a model that gives none."""
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
        with autocast(config, device):
            logits = inner(rows_of(loaded, tokenizer, config).to(device)).answer_logits
        for sample, best in zip(loaded.samples, logits.argmax(1).tolist(), strict=True):
            facts = parse_image_json(reader.read(sample, ("json",))["json"])
            assert isinstance(facts, QuestionJson)
            given.append(Given(facts.question_id, classes[best], worth(classes[best], facts)))
    return Answers(task_of(d.answers), tuple(given), len(index) - len(given))


def worth(answer: str, facts: QuestionJson) -> float | None:
    """The score of an answer, 0 for one that nobody gave; None where the right ones are kept back."""
    if not facts.answers:
        return None
    return dict(zip(facts.answers, facts.answer_scores, strict=True)).get(answer, 0.0)


def task_of(answers: str) -> Task:
    """The task whose answers `data.answers` names; a file of answers is VQA's."""
    return "nlvr2" if answers == "nlvr2" else "snli_ve" if answers == "snli_ve" else "vqa"
