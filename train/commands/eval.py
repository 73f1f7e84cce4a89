"""`hdvila-train eval CONFIG_OR_RUN`: scores a checkpoint on its val split or a benchmark's files; answers questions."""

import json
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from manifests.errors import UserError

if TYPE_CHECKING:
    from train.evaluation.benchmark import BenchmarkOptions
    from train.evaluation.published import PublishedScores, Wanted
    from train.evaluation.scores import Scores


class Form(StrEnum):
    """Forms of a caption file (`train.annotations.captions.FORMS`)."""

    auto = "auto"
    msrvtt = "msrvtt"
    didemo = "didemo"
    lsmdc = "lsmdc"
    activitynet = "activitynet"
    list = "list"


class Truth(StrEnum):
    """What counts as a right answer."""

    id = "id"
    caption = "caption"


Target = Annotated[
    str,
    typer.Argument(
        help="A run's folder or address, one of its checkpoints/step-*, or the run's YAML; with --videos, also an "
        "export."
    ),
]

Captions = Annotated[
    Path | None,
    typer.Option(help="Benchmark: its caption file, as published, or a list of videos and captions as JSON."),
]
Questions = Annotated[
    Path | None,
    typer.Option(help="Benchmark: its file of questions about videos, as published, for a model that answers."),
]
Answers = Annotated[
    Path | None,
    typer.Option(help="Write the official result file here (for models that answer: MSRVTT-QA, TGIF-QA, VQA)."),
]


class Kind(StrEnum):
    """The kinds of evaluation, by what asks for them."""

    run = "a run's own val split"
    captions = "--videos with --captions"
    choices = "--captions that are texts to choose from"
    questions = "--videos with --questions"
    answers = "--answers without --videos"
    pairs = "--matching and --flow"


_FILES = (Kind.captions, Kind.choices, Kind.questions)
OPTIONS: Mapping[str, tuple[Kind, ...]] = MappingProxyType(
    {
        "best": tuple(Kind),
        "as_json": tuple(Kind),
        "overrides": (Kind.run, Kind.answers, Kind.pairs),
        "videos": _FILES,
        "captions": (Kind.captions, Kind.choices),
        "questions": (Kind.questions,),
        "form": (Kind.captions,),
        "split": (Kind.captions,),
        "ground_truth": (Kind.captions,),
        "dsl": (Kind.captions,),
        "segments": _FILES,
        "frames": _FILES,
        "stride": _FILES,
        "fps": _FILES,
        "batch": _FILES,
        "workers": _FILES,
        "matching": (Kind.pairs,),
        "flow": (Kind.pairs,),
        "answers": (*_FILES, Kind.answers),
    }
)
"""The kinds of evaluation on which each option has an effect; on others it is refused."""


def evaluate(
    context: typer.Context,
    target: Target,
    best: Annotated[
        bool, typer.Option("--best", help="Use the best checkpoint by validation, not the newest.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override a key: --set a.b=c.")] = None,
    videos: Annotated[
        str | None,
        typer.Option(help="Benchmark: the folder of its videos, with subfolders; or a data set's manifest.json."),
    ] = None,
    captions: Captions = None,
    questions: Questions = None,
    form: Annotated[Form, typer.Option("--format", help="Form of --captions; auto looks inside.")] = Form.auto,
    split: Annotated[
        str,
        typer.Option(
            help="Benchmark: the split of --captions, by its name there (default: test, else val), or a file that "
            "lists its videos, one a line or in a column video_id."
        ),
    ] = "",
    ground_truth: Annotated[
        Truth,
        typer.Option(help="What counts as right. id: a query's own video; caption: any video with the same words."),
    ] = Truth.id,
    dsl: Annotated[
        bool, typer.Option("--dsl", help="Dual softmax: scores each query with the help of all the others.")
    ] = False,
    segments: Annotated[int, typer.Option(help="Benchmark: segments per video; 0: as in training.", min=0)] = 0,
    frames: Annotated[int, typer.Option(help="Benchmark: frames per segment, odd; 0: as in training.", min=0)] = 0,
    stride: Annotated[
        int, typer.Option(help="Benchmark: step from one frame to the next; 0: as in training.", min=0)
    ] = 0,
    fps: Annotated[
        float, typer.Option(help="Benchmark: read videos at this many frames/s; 0: as in training.", min=0)
    ] = 0.0,
    batch: Annotated[int, typer.Option(help="Benchmark: videos embedded at once.", min=1)] = 8,
    workers: Annotated[
        int | None, typer.Option(help="Benchmark: processes a rank that decode; default: all cores but one.", min=0)
    ] = None,
    matching: Annotated[
        bool,
        typer.Option("--matching", help="Match every held-out picture with every sentence (SOHO, Visual Parsing)."),
    ] = False,
    flow: Annotated[
        bool, typer.Option("--flow", help="Inter-modality flow by layer: a table, and RUN/flow.json.")
    ] = False,
    answers: Answers = None,
) -> None:
    """Text-to-video and video-to-text retrieval on the val split, beside chance; with --videos and --captions on a
    benchmark's files: missing videos are listed, and scores say how many videos they are over."""
    if (videos is None) != (captions is None and questions is None) or (captions and questions):
        raise UserError(
            "--videos and --captions (or --questions) go together: a folder or manifest of videos and the file of "
            "their captions"
        )
    refuse_idle(context, kind_of(captions, questions, answers, pairs=matching or flow))
    from train.loop.bucket import at_hand

    at = at_hand(target, best=best)
    file = captions or questions
    if videos is not None and file is not None:
        from train.evaluation.benchmark import BenchmarkOptions
        from train.evaluation.published import Wanted

        n_workers = max(cores() - 1, 0) if workers is None else workers
        options = BenchmarkOptions(ground_truth.value, dsl, segments, frames, stride, fps, batch, n_workers)
        wanted = Wanted(file, questions is not None, form.value, split)
        _benchmark(context, at, videos, wanted, options, answers, best=best, as_json=as_json)
        return
    if answers is not None:
        _answers(at, answers, best=best, as_json=as_json, overrides=overrides)
        return
    if matching or flow:
        _pairs(at, matching, flow, best=best, as_json=as_json, overrides=overrides)
        return
    _retrieval(at, best=best, as_json=as_json, overrides=overrides)


def kind_of(captions: Path | None, questions: Path | None, answers: Path | None, *, pairs: bool) -> Kind:
    """The kind of evaluation that these options ask for."""
    if captions or questions:
        return Kind.captions if captions else Kind.questions
    if answers:
        return Kind.answers
    return Kind.pairs if pairs else Kind.run


def refuse_idle(context: typer.Context, kind: Kind) -> None:
    """UserError for the first option on the command line that has no effect on this kind of evaluation."""
    for parameter in context.command.params:
        source, name = context.get_parameter_source(parameter.name or ""), parameter.opts[0]
        kinds = OPTIONS.get(parameter.name or "", tuple(Kind))
        if source is not None and source.name == "COMMANDLINE" and kind not in kinds:
            raise UserError(f"{name} has no effect on {kind.value}: leave it out; it goes with {', '.join(kinds)}")


def _retrieval(target: Path, *, best: bool, as_json: bool, overrides: list[str] | None) -> None:
    """Scores retrieval on the val split and prints it."""
    from train.distributed import process_from_environment, process_group
    from train.loop.finished_run import evaluate_run

    process = process_from_environment()
    with process_group(process):
        scores, checkpoint = evaluate_run(target, process, best=best, overrides=overrides)
    if process.is_first:
        text = json.dumps(scores.flat(), indent=2) if as_json else f"{checkpoint}\n{scores.describe()}"
        typer.echo(text)


def cores() -> int:
    """The cores that this process may use, shared by the ranks of its machine."""
    return len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def _benchmark(
    context: typer.Context,
    target: Path,
    videos: str,
    wanted: "Wanted",
    options: "BenchmarkOptions",
    answers: Path | None,
    *,
    best: bool,
    as_json: bool,
) -> None:
    """Scores a run or an export on a benchmark's own files and prints it. Ranks of torchrun share the videos."""
    from train.distributed import process_from_environment, process_group
    from train.evaluation.published import Asked, open_published, score_published
    from train.exports.inference import load_checkpoint

    process = process_from_environment()
    with process_group(process):
        published = open_published(wanted, videos)
        if isinstance(published, Asked) and not wanted.asks:
            refuse_idle(context, Kind.choices)
        encoder = load_checkpoint(target, best=best, device=process.device)
        scores = score_published(encoder, published, options, process)
    if process.is_first:
        if answers is not None:
            write_answers(scores, answers)
        typer.echo(json.dumps(scores.flat(), indent=2) if as_json else scores.describe())


def write_answers(scores: "Scores | PublishedScores", out: Path) -> None:
    """Writes the result file of answers to questions about videos. UserError for other scores."""
    from train.evaluation.video_answers import VideoAnswers

    if not isinstance(scores, VideoAnswers):
        raise UserError("--answers writes answers to questions, and none were asked: give --questions")
    scores.write(out)


def _pairs(target: Path, matching: bool, flow: bool, *, best: bool, as_json: bool, overrides: list[str] | None) -> None:
    """Runs held-out pairs through the layers over both modalities, in one process, and prints what was asked for."""
    from train.distributed import process_from_environment
    from train.evaluation.matching import HeldOutPairs, measure_flow, score_matching
    from train.feed.batches import choose_source
    from train.loop.finished_run import open_run

    process = process_from_environment()
    if process.world > 1:
        raise UserError("--matching and --flow run in one process; start them without torchrun")
    run = open_run(target, process, best=best, overrides=overrides)
    pairs = HeldOutPairs(run.val, run.data.tokenizer, run.config, choose_source(run.config, run.val))
    results: dict[str, object] = {}
    if matching:
        scores = score_matching(run.model, pairs)
        results["matching"] = scores.flat()
        if not as_json:
            typer.echo(f"{run.checkpoint}\n{scores.describe()}")
    if flow:
        measured = measure_flow(run.model, pairs)
        results["flow"] = measured.flat()
        (run.folder / "flow.json").write_text(json.dumps(measured.flat(), indent=2) + "\n")
        if not as_json:
            typer.echo(f"{measured.table()}\n{run.folder / 'flow.json'}")
    if as_json:
        typer.echo(json.dumps(results, indent=2))


def _answers(target: Path, out: Path, *, best: bool, as_json: bool, overrides: list[str] | None) -> None:
    """Answers every held-out question, in one process; writes the result file and prints the score, if any."""
    from train.distributed import process_from_environment
    from train.evaluation.answers import answer_all
    from train.feed.batches import choose_source
    from train.loop.finished_run import open_any, refuse_no_val, score_run

    process = process_from_environment()
    if process.world > 1:
        raise UserError("--answers runs in one process; start it without torchrun")
    run = open_any(target, process, best=best, overrides=overrides)
    if run.config.data.questions:
        scores = score_run(run, process)
        write_answers(scores, out)
        typer.echo(json.dumps(scores.flat(), indent=2) if as_json else f"{run.checkpoint}\n{scores.describe()}\n{out}")
        return
    refuse_no_val(run)
    answers = answer_all(run.model, run.val, run.data.tokenizer, run.config, choose_source(run.config, run.val))
    answers.write(out)
    typer.echo(json.dumps(answers.flat(), indent=2) if as_json else f"{run.checkpoint}\n{answers.describe()}\n{out}")
