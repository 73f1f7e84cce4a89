"""The view of answering models: one or two pictures, a question, and its right answers (VQA, NLVR2, SNLI-VE).

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
from manifests.image_sample import FIXED_ANSWERS, SECOND_MEMBER, QuestionJson, parse_image_json, read_answers
from train.data.decode import BROKEN, SampleBroken
from train.data.picture import Fit, on_canvas, read_jpeg
from train.data.registry import Seen, Source


@dataclass(frozen=True, slots=True)
class QuestionView:
    """`n_pictures` pictures on canvases of `size` (height, width) in pixels, a question, and scores of answers."""

    size: tuple[int, int]
    fit: Fit
    classes: Mapping[str, int]
    n_pictures: int = 1

    def members(self, source: Source) -> tuple[str, ...]:
        """The members to read; the same for every source."""
        return ("jpg", *((SECOND_MEMBER,) if self.n_pictures == 2 else ()), "txt", "json")

    def blank(self) -> dict[str, npt.NDArray[Any]]:
        """Black pictures with no right answer."""
        pictures = {name: np.zeros((3, *self.size), np.uint8) for name in self._names("image")}
        sizes = {name: np.array(self.size, np.int64) for name in self._names("valid_hw")}
        return {**pictures, **sizes, "targets": np.zeros(len(self.classes), np.float32)}

    def decode(self, members: Mapping[str, bytes], source: Source, draw: np.random.Generator | None) -> Seen:
        """`image` [3, H, W] uint8, `valid_hw` [2] and `targets`; for two pictures also `image_2` and `valid_hw_2`."""
        try:
            facts = parse_image_json(members["json"])
            if not isinstance(facts, QuestionJson):
                raise SampleBroken("nothing is asked in it: it is no sample of a set of questions")
            arrays: dict[str, npt.NDArray[Any]] = {"targets": self.targets(facts)}
            files = ("jpg", SECOND_MEMBER)[: self.n_pictures]
            for member, image, valid_hw in zip(files, self._names("image"), self._names("valid_hw"), strict=True):
                canvas, valid = on_canvas(read_jpeg(members[member]), self.size, self.fit, draw)
                arrays[image] = np.ascontiguousarray(canvas.transpose(2, 0, 1))
                arrays[valid_hw] = np.array(valid, np.int64)
        except (*BROKEN, ValidationError, KeyError) as error:
            raise SampleBroken(f"cannot be decoded ({type(error).__name__}: {error})") from None
        return Seen(arrays, facts.caption)

    def targets(self, facts: QuestionJson) -> npt.NDArray[np.float32]:
        """[n_answers]: the score of each class."""
        targets = np.zeros(len(self.classes), np.float32)
        for answer, score in zip(facts.answers, facts.answer_scores, strict=True):
            if answer in self.classes:
                targets[self.classes[answer]] = score
        return targets

    def _names(self, name: str) -> tuple[str, ...]:
        return (name, f"{name}_2")[: self.n_pictures]


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
    return QuestionView(model.image_size, model.image_fit, classes, model.n_pictures)


def answers_of(source: str) -> list[str]:
    """The answer classes that `data.answers` names: a task's own, or an answers.json. UserError if it is neither."""
    if source in FIXED_ANSWERS:
        return list(FIXED_ANSWERS[source])
    names = ", ".join(FIXED_ANSWERS)
    if not source:
        raise UserError(f"data.answers: name the answers that are classes: an answers.json, or {names}")
    try:
        return read_answers(Path(source).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"data.answers: {source} is none of {names}, and no file to read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"data.answers: {source} {error}") from None
