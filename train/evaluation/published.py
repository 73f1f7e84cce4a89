"""The benchmark that a file asks for: retrieval, choosing among texts, or questions; opened and scored.

eval --captions FILE, eval.captions      queries (train.annotations.captions): retrieval
                                         several texts a video, of which one is right (MSRVTT-MC): choosing
eval --questions FILE, eval.questions    questions (train.annotations.questions), for a model that answers
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn

from manifests.errors import UserError
from train.annotations.captions import queries_of
from train.annotations.files import read_content
from train.annotations.questions import Questions, are_choices, questions_of
from train.config import TrainConfig
from train.data.views import View
from train.distributed import Process
from train.evaluation.benchmark import Benchmark, BenchmarkOptions, BenchmarkScores, run_benchmark
from train.evaluation.choices import ChoiceScores, score_choices
from train.evaluation.encoder import Encoder
from train.evaluation.video_answers import VideoAnswers, answer_videos
from train.evaluation.videos import Videos, open_videos
from train.feed.asked import task_of
from train.feed.tokenizer import Tokenizer
from train.models.wrapping import unwrap


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions of a file and where their videos are."""

    questions: Questions
    videos: Videos
    source: str
    """The file."""


Published = Benchmark | Asked
PublishedScores = BenchmarkScores | ChoiceScores | VideoAnswers


@dataclass(frozen=True, slots=True)
class Wanted:
    """The file of a benchmark: of questions or of captions, in a form and of a split."""

    file: Path
    asks: bool
    form: str = "auto"
    split: str = ""


def open_published(
    wanted: Wanted, videos: str, cache: Path | None = None, options: Mapping[str, Any] | None = None
) -> Published:
    """Reads a benchmark's file and finds its videos. UserError if none of them is there."""
    content = read_content(wanted.file)
    if wanted.asks or are_choices(content):
        questions = questions_of(wanted.file, content)
        names = {question.video for question in questions.all}
        opened: Published = Asked(questions, open_videos(videos, names, cache, options), str(wanted.file))
        first = questions.all[0].video
    else:
        queries = queries_of(wanted.file, content, wanted.form, split=wanted.split)
        opened = Benchmark(queries, open_videos(videos, {query.video for query in queries}, cache, options))
        first = queries[0].video
    if not opened.videos.names:
        raise UserError(f"{videos}: has none of the videos that {wanted.file} names ({first} is the first)")
    return opened


def published_of(config: TrainConfig, cache: Path) -> Published | None:
    """The benchmark that a run is scored on (`eval.captions`, `eval.questions`), if any."""
    given, data = config.eval, config.data
    file = given.questions or given.captions
    if not file:
        return None
    wanted = Wanted(Path(file), bool(given.questions), split=given.captions_split)
    return open_published(wanted, given.videos or data.videos or data.manifest, cache, data.storage_options)


def encoder_of_run(model: nn.Module, tokenizer: Tokenizer, config: TrainConfig, classes: Sequence[str] = ()) -> Encoder:
    """The encoder of a run's model, with its views and precision, and the answers to choose from."""
    inner, data = unwrap(model), config.data
    return Encoder(
        inner,
        tokenizer,
        stride=data.stride,
        view=cast(View, data.view),
        fps=data.fps,
        precision=config.loop.precision,
        task=task_of(config),
        classes=classes,
    )


def score_published(
    encoder: Encoder, published: Published, options: BenchmarkOptions, process: Process
) -> PublishedScores:
    """The scores of a model; questions are answered by its head, or chosen among by similarity if it has none."""
    if isinstance(published, Benchmark):
        return run_benchmark(encoder, published, options, process)
    questions, videos = published.questions, published.videos
    if encoder.task is None and questions.task == "choice" and not questions.all[0].text:
        return score_choices(encoder, questions.all, videos, options, process)
    return answer_videos(encoder, questions, videos, options, process, source=published.source)
