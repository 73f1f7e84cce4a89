"""What a benchmark's file asks for is found from its content, in a run's configuration as on the command line."""

from __future__ import annotations

import json

import pytest

from manifests.errors import UserError
from tests.train.loop.test_fit import run
from train.evaluation.benchmark import Benchmark
from train.evaluation.published import Asked, Wanted, open_published
from train.loop.checkpoint import best_of, checkpoints, read_facts

CHOICES = [{"video": f"val{v:05d}", "caption": [f"one {v}", f"two {v}"], "answer": v % 2} for v in range(5)]


def test_choosing_is_scored_as_a_run_goes_and_the_best_checkpoint_is_the_best_by_it(drawn, tmp_path):
    (tmp_path / "mc.json").write_text(json.dumps(CHOICES))

    outcome = run(drawn, tmp_path / "run", eval={"captions": str(tmp_path / "mc.json"), "every": 2})

    assert outcome.scores["n_questions"] == 5 and outcome.scores["chance"] == 0.5
    folders = checkpoints(tmp_path / "run")
    best = max(read_facts(folder).scores["accuracy"] for folder in folders)
    chosen = best_of(folders)
    assert chosen is not None and read_facts(chosen).scores["accuracy"] == best


@pytest.mark.parametrize(
    ("content", "asks", "kind"),
    [
        (CHOICES, False, Asked),
        ([{"video": "val00000", "caption": "a"}], False, Benchmark),
        ([{"video": "val00000", "question": "who?", "answer": "a man"}], True, Asked),
    ],
    ids=["choices", "captions", "questions"],
)
def test_a_file_is_read_once_and_is_what_its_content_says(drawn, tmp_path, content, asks, kind):
    (tmp_path / "file.json").write_text(json.dumps(content))
    assert isinstance(open_published(Wanted(tmp_path / "file.json", asks), str(drawn)), kind)


def test_a_file_of_other_videos_is_refused(drawn, tmp_path):
    (tmp_path / "file.json").write_text(json.dumps([{"video": "video1", "question": "who?", "answer": "a man"}]))
    with pytest.raises(UserError, match=r"has none of the videos that .*file.json names \(video1 is the first\)"):
        open_published(Wanted(tmp_path / "file.json", True), str(drawn))
