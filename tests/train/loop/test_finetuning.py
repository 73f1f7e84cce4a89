"""A run that is fine-tuned and scored on a benchmark's own files."""

from __future__ import annotations

import json

import pytest

from hdvila_testing.drawn_set import a_tree, encode_mp4, scenes
from manifests.errors import ConfigError, UserError
from manifests.settings import parse_config
from tests.train.loop.test_fit import run
from train.cli import main
from train.config import TrainConfig
from train.loop.checkpoint import best_of, checkpoints, read_facts


@pytest.fixture
def msrvtt(tmp_path):
    """MSRVTT_data.json of the drawn clips, with two texts a video; "val" clips are its test split."""
    names = [(f"train{v:05d}", "train") for v in range(13)] + [(f"val{v:05d}", "test") for v in range(5)]
    document = {
        "videos": [{"video_id": name, "split": split} for name, split in names],
        "sentences": [{"video_id": name, "caption": f"{k} scene of {name}"} for name, _ in names for k in ("a", "the")],
    }
    path = tmp_path / "MSRVTT_data.json"
    path.write_text(json.dumps(document))
    return path


def settings(msrvtt, **more):
    return {"data": {"captions": str(msrvtt), **more}, "eval": {"captions": str(msrvtt), "every": 2}}


def test_a_run_reads_the_train_split_and_is_scored_on_the_test_split_as_it_goes(drawn, msrvtt, tmp_path, capsys):
    outcome = run(drawn, tmp_path / "run", **settings(msrvtt))

    assert "13 clips in" in capsys.readouterr().out
    assert (outcome.scores["n_clips"], outcome.scores["n_queries"], outcome.scores["n_missing"]) == (5, 10, 0)
    folders = checkpoints(tmp_path / "run")
    assert all("t2v_r1" in read_facts(folder).scores for folder in folders) and best_of(folders) in folders
    words = json.loads((tmp_path / "run/tokenizer/tokenizer.json").read_text())["model"]["vocab"]
    assert "scene" in words, "the vocabulary is made of the benchmark's texts"
    with pytest.raises(SystemExit):
        main(["eval", str(tmp_path / "run"), "--json"])
    again = json.loads(capsys.readouterr().out)
    assert again == outcome.scores


def test_a_list_of_videos_is_the_split(drawn, msrvtt, tmp_path, capsys):
    (tmp_path / "train.9k.csv").write_text("video_id\n" + "".join(f"train{v:05d}\n" for v in range(6)))
    ours = settings(msrvtt, captions_split=str(tmp_path / "train.9k.csv"))

    run(drawn, tmp_path / "run", **ours, loop={"steps": 1})

    assert "6 clips in" in capsys.readouterr().out


def test_a_folder_of_videos_is_trained_on_as_it_is_and_pinned_by_its_files(tmp_path):
    (tmp_path / "videos/more").mkdir(parents=True)
    for number, scene in enumerate(scenes(6)):
        name = f"more/video{number}.mp4" if number % 2 else f"video{number}.mp4"
        film = encode_mp4([scene.draw(frame, 160, 96) for frame in range(10)], fps=12)
        (tmp_path / "videos" / name).write_bytes(film)
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps([{"video": f"video{n}", "caption": ["one", f"film {n}"]} for n in range(6)]))
    folder = str(tmp_path / "videos")
    ours = {"data": {"manifest": "", "videos": folder, "captions": str(captions), "fps": 6, "flip": 0.5}}
    ours["eval"] = {"captions": str(captions)}

    outcome = run("", tmp_path / "run", **ours, loop={"steps": 2})

    assert (outcome.scores["n_clips"], outcome.scores["n_queries"]) == (6, 12)
    (tmp_path / "videos/video0.mp4").unlink()
    with pytest.raises(UserError, match=r"its videos have changed; .* was trained on other files"):
        run("", tmp_path / "run", **ours, loop={"steps": 2})


def test_what_cannot_be_scored_is_said_before_the_first_step(drawn, msrvtt, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps([{"video": "video9770", "caption": "a person"}]))
    with pytest.raises(UserError, match=r"has none of the videos that .*other.json names"):
        run(drawn, tmp_path / "run", eval={"captions": str(other)})
    with pytest.raises(ConfigError, match="streaming reads whole shards"):
        parse_config(
            TrainConfig, a_tree(drawn, tmp_path, data={"captions": str(msrvtt), "order": "streaming"}), source="test"
        )
