"""Questions about videos, answered by a model's head: the score by the published rule, and the result file.

    open      the share of right answers, over all and by what is asked for; an answer that is none of the classes
              cannot be given, so it counts as wrong
    choice    the share of questions whose right text scores highest; a tie counts as wrong

The result file is a JSON list of {question_id, answer}: words, or the number of a text (from 0). Each video is
decoded and passed through the encoder once, whatever number of questions is asked about it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import torch
from torch import Tensor

from manifests.errors import UserError
from train.annotations.questions import Question, Questions, Task
from train.distributed import Process, gathered
from train.evaluation.benchmark import BenchmarkOptions, apply_options, left_out
from train.evaluation.encoder import Encoder, blank_inputs
from train.evaluation.scores import wilson_interval
from train.evaluation.videos import Read, Videos, read_videos
from train.feed.asked import refuse_other_task

TEXTS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class VideoAnswers:
    """A model's answers to the questions of a file, in the file's order."""

    task: Task
    given: tuple[tuple[Question, str | int], ...]
    """Each question with the answer to it; -1 for a tie between texts."""
    missing: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def flat(self) -> dict[str, float]:
        """{"accuracy": …} over questions whose answers are known, and counts, for logs and --json."""
        known = [(question, answer) for question, answer in self.given if question.answer is not None]
        right = [question.answer == answer for question, answer in known]
        scores: dict[str, float] = {}
        if known:
            scores["accuracy"] = sum(right) / len(known)
        kinds = sorted({question.kind for question, _ in known if question.kind})
        for kind in kinds if len(kinds) > 1 else ():
            of_kind = [ok for ok, (question, _) in zip(right, known, strict=True) if question.kind == kind]
            scores[f"accuracy_{kind}"] = sum(of_kind) / len(of_kind)
        left = {"n_missing": len(self.missing), "n_unreadable": len(self.unreadable)}
        return {**scores, "n_questions": len(self.given), "n_scored": len(known), **left}

    def describe(self) -> str:
        """The scores as text, with the names of left-out videos."""
        flat = self.flat()
        lines = [f"{len(self.given)} questions answered; their right answers are kept back"]
        if "accuracy" in flat:
            n = int(flat["n_scored"])
            low, high = wilson_interval(flat["accuracy"], n)
            share = f"{flat['accuracy']:.1%} of {n} right (95 %: {low:.1%} to {high:.1%})"
            lines = [f"questions about videos, {self.task}: {share}"]
        kinds = [f"{name[9:]} {value:.1%}" for name, value in flat.items() if name.startswith("accuracy_")]
        lines += [f"  {', '.join(kinds)}"] if kinds else []
        return "\n".join([*lines, *left_out(self.missing, self.unreadable)])

    def write(self, path: Path) -> None:
        """Writes the result file. UserError if it cannot be written."""
        entries = [{"question_id": question.id, "answer": answer} for question, answer in self.given]
        try:
            path.write_text(json.dumps(entries, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from None


def answer_videos(
    encoder: Encoder, questions: Questions, videos: Videos, options: BenchmarkOptions, process: Process, *, source: str
) -> VideoAnswers:
    """Answers the questions whose videos are there; ranks share the videos and all get the answers.

    UserError if the model is made for another task than the file's (`source`), or if no video can be read.
    """
    refuse_other_task(questions.task, encoder.task, source)
    apply_options(encoder, options)
    asked: dict[str, list[int]] = {}
    for number, question in enumerate(questions.all):
        asked.setdefault(question.video, []).append(number)
    shares = [videos.names[rank :: process.world] for rank in range(process.world)]
    reads = read_videos(
        videos, shares[process.rank], encoder.views, encoder.fps, batch=options.batch, n_workers=options.workers
    )
    answers: dict[int, str | int] = {}
    problems: list[str] = []
    for first in range(0, len(shares[0]), options.batch):
        batch = next(reads, [])
        problems += [read.problem for read in batch if read.problem]
        rounds = [_n_texts(share[first : first + options.batch], asked, questions) for share in shares]
        answers |= _answers_of(encoder, batch, asked, questions, ceil(max(rounds) / TEXTS_AT_ONCE))
    parts = gathered((answers, problems), process)
    every = {number: answer for part, _ in parts for number, answer in part.items()}
    if not every:
        raise UserError(f"none of the {len(asked)} videos that {source} names can be read")
    return VideoAnswers(
        questions.task,
        tuple((questions.all[number], every[number]) for number in sorted(every)),
        tuple(sorted(asked.keys() - set(videos.names))),
        tuple(problem for _, part in parts for problem in part),
    )


def _n_texts(names: Sequence[str], asked: dict[str, list[int]], questions: Questions) -> int:
    return sum(len(questions.all[number].readings) for name in names for number in asked[name])


def _answers_of(
    encoder: Encoder, batch: Sequence[Read], asked: dict[str, list[int]], questions: Questions, n_passes: int
) -> Iterator[tuple[int, str | int]]:
    """Yields (number of a question, its answer) for the readable videos of a batch, in `n_passes` passes.

    Under FSDP all ranks have to run the model equally often, so a rank with fewer texts reads an empty one.
    """
    good = [read for read in batch if not read.problem]
    maps = encoder.maps_of([read.inputs for read in good] or [blank_inputs(encoder.views)])
    numbers = [(row, number) for row, read in enumerate(good) for number in asked[read.name]]
    texts = [(row, text) for row, number in numbers for text in questions.all[number].readings]
    parts = []
    for first in range(0, n_passes * TEXTS_AT_ONCE, TEXTS_AT_ONCE):
        part = texts[first : first + TEXTS_AT_ONCE] or [(0, "")]
        parts.append(encoder.answer(maps[[row for row, _ in part]], [text for _, text in part]))
    logits, at = torch.cat(parts), 0
    for _, number in numbers:
        n = len(questions.all[number].readings)
        yield number, answer_of(questions.task, logits[at : at + n], encoder.classes)
        at += n


def answer_of(task: Task, logits: Tensor, classes: Sequence[str]) -> str | int:
    """The answer that the head's outputs [texts, n_answers] mean; -1 if there is none (see `VideoAnswers.given`)."""
    if task == "open":
        return classes[int(logits[0, : len(classes)].argmax())]
    best = logits[:, 0].argmax()
    return int(best) if int((logits[:, 0] >= logits[best, 0]).sum()) == 1 else -1
