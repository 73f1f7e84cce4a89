"""`hdvila-pipeline cut`: a local video, spans in a file, clips in a folder."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hdvila_testing.rows import a_video_row
from hdvila_testing.video import a_video
from manifests.errors import UserError
from manifests.sample import SampleJson
from pipeline.media.cut_files import ONLY_CLIPS, cut_files, media_config, read_spans
from pipeline.media.packs import index_pack, read_members
from pipeline.media.stage import packed
from pipeline.media.video import make_video

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "My film (final).mp4", seconds=6, gop=50, width=640, height=360)


@pytest.fixture
def spans(tmp_path: Path) -> Path:
    lines = [
        {"start_ms": 1000, "end_ms": 2500, "text": "one"},
        {"start_ms": 2000, "end_ms": 5000, "text": "two", "speaker": "ignored"},
        {"start_ms": 60_000, "end_ms": 61_000, "text": "far"},
    ]
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pipeline", "cut", *map(str, arguments)]
    return subprocess.run(words, cwd=REPO, capture_output=True, text=True, check=False, timeout=240)


def test_it_writes_the_members_of_each_clip_and_tells_of_those_that_failed(
    film: Path, spans: Path, tmp_path: Path
) -> None:
    done = command(film, "--spans", spans, "--out", tmp_path / "out", "--any-size")
    assert done.returncode == 1, done.stderr
    assert "2 of 3 clips" in done.stdout
    assert "span_outside" in done.stdout
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    keys = ["My-film-final_00000", "My-film-final_00001"]
    assert names == sorted([f"{k}.{e}" for k in keys for e in ("mp4", "txt", "json", "m4v", "mjpg")] + ["clips.jsonl"])
    rows = [json.loads(line) for line in (tmp_path / "out" / "clips.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["success", "success", "failed"]
    sample = SampleJson.model_validate_json((tmp_path / "out" / f"{keys[0]}.json").read_bytes())
    assert (sample.text, sample.start_ms, sample.n_frames) == ("one", 1000, 38)


HEAVY = {
    *("cv2", "duckdb", "datasketch", "fsspec", "jinja2", "numpy", "pandas", "PIL", "pyarrow", "ray", "requests"),
    *("rich", "scenedetect", "scipy", "torch", "yt_dlp"),
}
"""What clips alone have no use for, and what takes long to import."""


def test_cutting_clips_alone_loads_nothing_heavy(film: Path, spans: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pipeline.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print(sorted(name for name in sys.modules if '.' not in name))\n"
    )
    words = ["cut", film, "--spans", spans, "--out", tmp_path / "out", "--any-size", "--only-clips"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=REPO, capture_output=True, text=True, timeout=240
    )

    assert "2 of 3 clips" in done.stdout, done.stderr
    loaded = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert "av" in loaded
    assert not loaded & HEAVY


def test_its_clips_are_those_of_a_whole_run_byte_for_byte(film: Path, spans: Path, tmp_path: Path) -> None:
    config = media_config(None, ["media.cut.min_short_side=0"])
    cut_files(film, spans, tmp_path / "out", video_id="v1", config=config)
    lines = read_spans(spans)
    video = a_video_row("v1")
    from pipeline.media.cut_files import _clip_row

    clips = [_clip_row("v1", n, line) for n, line in enumerate(lines)]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    output = packed(video, make_video(film, video, clips, config, scratch), tmp_path / "pack.tar")
    assert output.files
    with (tmp_path / "pack.tar").open("rb") as file:
        for packed_sample in list(index_pack(file)):
            for extension, data in read_members(file, packed_sample).items():
                if extension != "json":  # which tells of the video's row
                    assert (tmp_path / "out" / f"{packed_sample.key}.{extension}").read_bytes() == data


def test_only_clips_decodes_nothing_and_makes_no_members(film: Path, spans: Path, tmp_path: Path) -> None:
    cut_files(
        film,
        spans,
        tmp_path / "out",
        video_id="v",
        config=media_config(None, [*ONLY_CLIPS, "media.cut.min_short_side=0"]),
    )
    assert {file.suffix for file in (tmp_path / "out").iterdir()} == {".mp4", ".txt", ".json", ".jsonl"}


def test_errors_name_the_thing_and_the_cure(film: Path, spans: Path, tmp_path: Path) -> None:
    small = command(film, "--spans", spans, "--out", tmp_path / "out")
    assert small.returncode == 2
    assert "below 720p" in small.stderr
    assert "Traceback" not in small.stderr
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"start_ms": 1, "end_ms": 2}\n{"start_ms": "soon", "end_ms": 2}\n')
    with pytest.raises(UserError, match=r"bad\.jsonl, line 2: start_ms"):
        read_spans(bad)
    with pytest.raises(UserError, match="cannot be read"):
        read_spans(tmp_path / "absent.jsonl")
    with pytest.raises(UserError, match="no such file"):
        cut_files(tmp_path / "absent.mp4", spans, tmp_path / "o", video_id="v", config=media_config(None, []))


def test_a_machine_too_busy_for_it_is_told_in_one_message(
    film: Path, spans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.media.work_limit.WALL_FACTOR", 0.0)
    config = media_config(None, ["media.cut.min_short_side=0"])
    with pytest.raises(UserError, match=r"% of a core .* run it again when this machine is less busy"):
        cut_files(film, spans, tmp_path / "out", video_id="v1", config=config)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failed_run_leaves_no_half_clip(spans: Path, tmp_path: Path) -> None:
    fake = tmp_path / "fake.mp4"
    fake.write_text("#EXTM3U\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(UserError, match="does not open as video"):
        cut_files(fake, spans, tmp_path / "out", video_id="v", config=media_config(None, []))
    assert not list((tmp_path / "out").iterdir())
