"""Questions about videos as training data (`data.questions`): the answers that are classes, and each row's target.

    task     model.n_answers  objective.answers_kind  a row reads                    its target
    open     the classes      one (or scores)         the question                   [n_answers], 1 at its answer
    choice   1                one                     the question with each text    [texts], 1 at the right one

The classes of open questions are the training file's commonest answers (MSRVTT-QA: 1,500 of some 4,000), or those in
`data.answers`. A run keeps them beside its checkpoints, in answers.json.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from manifests.errors import UserError
from manifests.image_sample import read_answers
from train.annotations.questions import Questions, Task, read_questions
from train.config import TrainConfig
from train.data.index import Index
from train.distributed import Process, agree, text_from_first
from train.feed.tokenizer import Tokenizer

ANSWERS = "answers.json"
"""The classes of a run or an export: a JSON list of answers."""
WANTED: dict[Task, str] = {
    "open": "model.n_answers above 1 (the number of answers to choose from) and objective.answers_kind: one",
    "choice": "model.n_answers: 1 and objective.answers_kind: one",
}


def task_of(config: TrainConfig) -> Task | None:
    """Which questions about videos a run's model answers; None if none."""
    n_answers = getattr(config.model, "n_answers", 0)
    if not config.data.questions or not n_answers:
        return None
    return "open" if n_answers > 1 else "choice"


def training_questions(config: TrainConfig) -> Questions:
    """The questions of `data.questions`. UserError if they are not what the model is made to answer."""
    questions = read_questions(Path(config.data.questions))
    refuse_other_task(questions.task, task_of(config), config.data.questions)
    return questions


def refuse_other_task(asked: Task, answered: Task | None, source: str) -> None:
    """UserError unless a file of questions asks for what the model answers."""
    if asked != answered:
        made = f"the model is made for {answered}" if answered else "the model answers no questions about videos"
        raise UserError(f"{source}: asks questions of task {asked}, and {made}; {asked} needs {WANTED[asked]}")


def classes_of(config: TrainConfig, questions: Questions, run: Path, process: Process) -> list[str]:
    """The answers that are classes, empty unless questions are open: the run's own, which the first rank
    writes and the others get from it."""
    if questions.task != "open":
        return []
    problem, classes = "", list[str]()
    if process.is_first:
        try:
            classes = read_classes(run)
            if not classes:
                classes = _first_classes(config, questions)
                write_classes(classes, run)
        except UserError as error:
            problem = str(error)
    agree(problem)
    return list(json.loads(text_from_first(json.dumps(classes))))


def _first_classes(config: TrainConfig, questions: Questions) -> list[str]:
    given = config.data.answers
    return _read(Path(given)) if given else questions.commonest(config.model.n_answers)  # type: ignore[attr-defined]


def write_classes(classes: Sequence[str], folder: Path) -> None:
    """Writes the classes into the folder of a run or an export, whole or not at all."""
    part = folder / f".{ANSWERS}"
    part.write_text(json.dumps(list(classes), ensure_ascii=False) + "\n", encoding="utf-8")
    part.rename(folder / ANSWERS)


def read_classes(folder: Path) -> list[str]:
    """The classes that a run or an export holds; empty if none. UserError if the file is damaged."""
    return _read(folder / ANSWERS) if (folder / ANSWERS).is_file() else []


def _read(path: Path) -> list[str]:
    try:
        return read_answers(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a list of answers ({error})") from None


def asked_rows(index: Index, samples: Sequence[int], tokenizer: Tokenizer, config: TrainConfig) -> dict[str, Tensor]:
    """`targets`, and for texts to choose from `input_ids` and `attention_mask` [B, C, L], of these samples."""
    answers = torch.tensor([index.answers[sample] for sample in samples])
    if task_of(config) == "open":
        return {"targets": F.one_hot(answers, config.model.n_answers).float()}  # type: ignore[attr-defined]
    n_texts = len(index.texts[samples[0]])
    texts = [text for sample in samples for text in index.texts[sample]]
    ids, mask = tokenizer.encode(texts, config.model.text_length)
    tokens = {"input_ids": ids, "attention_mask": mask}
    each = {name: tensor.unflatten(0, (len(samples), n_texts)) for name, tensor in tokens.items()}
    return {**each, "targets": F.one_hot(answers, n_texts).float()}
