"""Multiple choice, on an encoder whose embeddings are known."""

from __future__ import annotations

import pytest
import torch

from hdvila_testing.drawn_set import encode_mp4
from manifests.errors import UserError
from tests.train.exports.test_inference import folder, pictures  # noqa: F401  (a fixture)
from train import load
from train.annotations.questions import Question
from train.cli import main
from train.distributed import Process
from train.evaluation.benchmark import BenchmarkOptions
from train.evaluation.choices import score_choices
from train.evaluation.videos import open_videos

ALONE = Process(0, 1, torch.device("cpu"))


def test_the_nearest_text_is_the_answer_and_a_tie_is_wrong(folder, tmp_path):  # noqa: F811
    (tmp_path / "one.mp4").write_bytes(encode_mp4(list(pictures()), fps=12))
    encoder = load(folder)
    texts = ["a red square moves right", "a blue bar moves left", "a green disc"]
    nearest = int((encoder.embed_text(texts) @ encoder.embed_video(tmp_path / "one.mp4")).argmax())
    right = Question(0, "one", "", nearest, tuple(texts))
    wrong = Question(1, "one", "", (nearest + 1) % 3, tuple(texts))
    tie = Question(2, "one", "", 0, (texts[nearest], texts[nearest]))
    gone = Question(3, "two", "", 0, tuple(texts))
    videos = open_videos(str(tmp_path), {"one", "two"})

    scores = score_choices(encoder, [right, right, wrong, tie, gone], videos, BenchmarkOptions(), ALONE)

    assert (scores.accuracy, scores.n_questions, scores.missing) == (0.5, 4, ("two",))
    assert scores.chance == pytest.approx((3 / 3 + 1 / 2) / 4)
    assert "50.0% of 4 right" in scores.describe() and "two" in scores.describe()
    with pytest.raises(UserError, match="none of the videos of 1 questions"):
        score_choices(encoder, [gone], videos, BenchmarkOptions(), ALONE)


def test_the_command_finds_what_a_file_is(folder, tmp_path, capsys):  # noqa: F811
    (tmp_path / "one.mp4").write_bytes(encode_mp4(list(pictures()), fps=12))
    (tmp_path / "mc.json").write_text('[{"video": "one.mp4", "caption": ["a", "b"], "answer": 0}]')

    line = ["eval", str(folder), "--videos", str(tmp_path), "--captions", str(tmp_path / "mc.json"), "--workers", "0"]

    for more, code, says in (
        ([], 0, "multiple choice:"),
        (["--dsl"], 2, "--dsl has no effect on --captions that are texts to choose from"),
        (["--best"], 2, "an export holds one set of weights; leave out --best"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*line, *more])
        assert (ended.value.code or 0) == code and says in "".join(capsys.readouterr())
