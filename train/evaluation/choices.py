"""Multiple choice: how often a video is nearest to its own text among those offered with it (MSRVTT-MC)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from manifests.errors import UserError
from train.annotations.questions import Question
from train.distributed import Process
from train.evaluation.benchmark import BenchmarkOptions, embed_texts, embed_videos, left_out
from train.evaluation.encoder import Encoder
from train.evaluation.scores import wilson_interval
from train.evaluation.videos import Videos


@dataclass(frozen=True, slots=True)
class ChoiceScores:
    """The share of questions that are answered right."""

    accuracy: float
    chance: float
    n_questions: int
    missing: tuple[str, ...]
    unreadable: tuple[str, ...]

    def flat(self) -> dict[str, float]:
        """The scores and counts as a flat dict, for logs and --json."""
        counts = {"n_missing": len(self.missing), "n_unreadable": len(self.unreadable)}
        return {"accuracy": self.accuracy, "chance": self.chance, "n_questions": self.n_questions, **counts}

    def describe(self) -> str:
        """The scores as text, with the names of left-out videos."""
        low, high = wilson_interval(self.accuracy, self.n_questions)
        lines = [
            f"multiple choice: {self.accuracy:.1%} of {self.n_questions} right (95 %: {low:.1%} to {high:.1%}; chance "
            f"{self.chance:.1%})"
        ]
        return "\n".join([*lines, *left_out(self.missing, self.unreadable)])


def score_choices(
    encoder: Encoder, choices: Sequence[Question], videos: Videos, options: BenchmarkOptions, process: Process
) -> ChoiceScores:
    """Chooses for each video by similarity; a tie is a wrong answer. UserError if no video can be read, or the right
    texts are kept back."""
    read, unreadable = embed_videos(encoder, videos, options, process)
    kept = [choice for choice in choices if choice.video in read]
    if not kept:
        raise UserError(f"none of the videos of {len(choices)} questions can be read")
    texts = list(dict.fromkeys(text for choice in kept for text in choice.options))
    embedded = dict(zip(texts, embed_texts(encoder, texts), strict=True))
    n_right = 0
    for choice in kept:
        nearness = torch.stack([embedded[text] for text in choice.options]) @ read[choice.video]
        if not isinstance(choice.answer, int):
            raise UserError(f"the right text of video {choice.video} is kept back: there is nothing to score")
        n_right += int((nearness >= nearness[choice.answer]).sum() == 1)
    missing = sorted({choice.video for choice in choices} - set(videos.names))
    chance = sum(1 / len(choice.options) for choice in kept) / len(kept)
    return ChoiceScores(n_right / len(kept), chance, len(kept), tuple(missing), tuple(unreadable))
