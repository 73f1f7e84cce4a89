"""Runs an answering model on held-out questions about pictures (VQA 2.0).

The score by the published rule is the mean over questions of min(n / 3, 1), where n people gave the model's answer; the
official result file is a JSON list of {question_id, answer}.

A right answer outside the classes counts as missed: the answering head cannot give it. If the answers are withheld (a
test set), the file is written but there is no score.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Given:
    """The model's answer to a question, and its score (None: the right answers are withheld)."""

    question_id: str
    answer: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Answers:
    """The model's answers to all questions of a set, in the order of the set."""

    given: tuple[Given, ...]
    n_lost: int = 0
    """Questions without an answer, because their picture cannot be read."""

    def flat(self) -> dict[str, float]:
        """The accuracy over questions with known answers, and the counts, by name."""
        known = [answer for answer in self.given if answer.score is not None]
        scores: dict[str, float] = {"n_questions": len(self.given), "n_scored": len(known), "n_lost": self.n_lost}
        if known:
            scores["accuracy"] = sum(answer.score or 0.0 for answer in known) / len(known)
        return scores

    def describe(self) -> str:
        """The scores as one line of text."""
        flat = self.flat()
        if "accuracy" not in flat:
            return f"{len(self.given)} questions answered; their right answers are kept back"
        lost = f"; {self.n_lost} could not be read" if self.n_lost else ""
        return f"accuracy {flat['accuracy']:.2%} over {flat['n_scored']} questions{lost}"

    def write(self, path: Path) -> None:
        """Writes the official result file. UserError if it cannot be written."""
        entries = [{"question_id": _number(one.question_id), "answer": one.answer} for one in self.given]
        try:
            path.write_text(json.dumps(entries) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from None


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
    return Answers(tuple(given), len(index) - len(given))


def worth(answer: str, facts: QuestionJson) -> float | None:
    """The score of an answer: 0 if no person gave it, None if the right answers are withheld."""
    if not facts.answers:
        return None
    return dict(zip(facts.answers, facts.answer_scores, strict=True)).get(answer, 0.0)
