"""Bytes do not depend on the machine's size: the same clips with one visible core and with two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hdvila_testing.video import a_video
from tests.conftest import need

_CUT = """
import os, sys
from pathlib import Path
from pipeline.media.cut_files import cut_files, media_config
os.sched_setaffinity(0, set(map(int, sys.argv[1].split(","))))
video, spans, out, mode = sys.argv[2:]
cut_files(Path(video), Path(spans), Path(out), video_id="film", config=media_config(None, [f"media.cut.mode={mode}"]))
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    spans = [{"start_ms": 500, "end_ms": 2500, "text": "one"}, {"start_ms": 2000, "end_ms": 4400, "text": "two"}]
    (folder / "spans.jsonl").write_text("".join(json.dumps(span) + "\n" for span in spans))
    a_video(folder / "film.mp4", seconds=5.0, gop=60)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["remux", "exact"])
def test_one_and_two_visible_cores_give_the_same_clips_and_members(film: Path, tmp_path: Path, mode: str):
    cores = sorted(os.sched_getaffinity(0))
    need(len(cores) >= 2, "two cores")
    found = []
    for n in (1, 2):
        out = tmp_path / f"{n}"
        visible = ",".join(map(str, cores[:n]))
        command = [
            sys.executable,
            "-c",
            _CUT,
            visible,
            str(film / "film.mp4"),
            str(film / "spans.jsonl"),
            str(out),
            mode,
        ]
        subprocess.run(command, check=True)
        found.append({path.name: path.read_bytes() for path in sorted(out.iterdir())})
    assert {Path(name).suffix for name in found[0]} >= {".mp4", ".txt", ".json", ".m4v", ".mjpg"}
    assert found[0] == found[1]
