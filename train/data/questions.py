"""The view of answering models: a picture, a question, and its right answers (VQA).

`targets` [n_answers] holds the score of each answer class, 0 to 1; an answer outside the classes is left out. Samples
come from `hdvila-pipeline import-images` on the published question files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from manifests.errors import UserError
from manifests.image_sample import QuestionJson, parse_image_json, read_answers
from train.data.decode import BROKEN, SampleBroken
from train.data.picture import Fit, on_canvas, read_jpeg
from train.data.registry import Seen, Source


@dataclass(frozen=True, slots=True)
class QuestionView:
    """A picture on a canvas of `size` (height, width) in pixels, a question, and scores of answers."""

    size: tuple[int, int]
    fit: Fit
    classes: Mapping[str, int]

    @property
    def n_pictures(self) -> int:
        """Pictures of a sample."""
        return 1

    def members(self, source: Source) -> tuple[str, ...]:
        """The members to read; the same for every source."""
        return ("jpg", "txt", "json")

    def blank(self) -> dict[str, npt.NDArray[Any]]:
        """A black picture with no right answer."""
        black, size = np.zeros((3, *self.size), np.uint8), np.array(self.size, np.int64)
        return {"image": black, "valid_hw": size, "targets": np.zeros(len(self.classes), np.float32)}

    def decode(self, members: Mapping[str, bytes], source: Source, draw: np.random.Generator | None) -> Seen:
        """`image` [3, H, W] uint8, `valid_hw` [2] and `targets`."""
        try:
            facts = parse_image_json(members["json"])
            if not isinstance(facts, QuestionJson):
                raise SampleBroken("nothing is asked in it: it is no sample of a set of questions")
            canvas, valid = on_canvas(read_jpeg(members["jpg"]), self.size, self.fit, draw)
            arrays: dict[str, npt.NDArray[Any]] = {"targets": self.targets(facts)}
        except (*BROKEN, ValidationError, KeyError) as error:
            raise SampleBroken(f"cannot be decoded ({type(error).__name__}: {error})") from None
        arrays |= {"image": np.ascontiguousarray(canvas.transpose(2, 0, 1)), "valid_hw": np.array(valid, np.int64)}
        return Seen(arrays, facts.caption)

    def targets(self, facts: QuestionJson) -> npt.NDArray[np.float32]:
        """[n_answers]: the score of each class."""
        targets = np.zeros(len(self.classes), np.float32)
        for answer, score in zip(facts.answers, facts.answer_scores, strict=True):
            if answer in self.classes:
                targets[self.classes[answer]] = score
        return targets


def make_view(name: str, config: Any) -> QuestionView:
    """The view for an answering model. UserError if `n_answers` is 0, or not the number of `data.answers`."""
    model = config.model
    if not getattr(model, "n_answers", 0):
        raise UserError(
            f"data.view: {name} is for models that answer; set model.n_answers (kinds soho, visual_parsing)"
        )
    answers = answers_of(config.data.answers)
    if len(answers) != model.n_answers:
        raise UserError(f"{config.data.answers}: has {len(answers)} answers, model.n_answers is {model.n_answers}")
    classes = {answer: i for i, answer in enumerate(answers)}
    return QuestionView(model.image_size, model.image_fit, classes)


def answers_of(source: str) -> list[str]:
    """The answer classes in the answers.json that `data.answers` names. UserError if it is none."""
    if not source:
        raise UserError("data.answers: name the answers that are classes: the answers.json of an imported set")
    try:
        return read_answers(Path(source).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"data.answers: {source} is no file to read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"data.answers: {source} {error}") from None
