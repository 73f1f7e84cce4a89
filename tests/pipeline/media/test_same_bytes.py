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
video, spans, out = map(Path, sys.argv[2:])
for mode in ("remux", "exact"):
    cut_files(video, spans, out / mode, video_id="film", config=media_config(None, [f"media.cut.mode={mode}"]))
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    spans = [{"start_ms": 500, "end_ms": 1500, "text": "one"}, {"start_ms": 1200, "end_ms": 2600, "text": "two"}]
    (folder / "spans.jsonl").write_text("".join(json.dumps(span) + "\n" for span in spans))
    a_video(folder / "film.mp4", seconds=3.0, gop=40)
    return folder


@pytest.mark.slow
def test_one_and_two_visible_cores_give_the_same_clips_and_members(film: Path, tmp_path: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    need(len(cores) >= 2, "two cores", "kernel")
    found = []
    for n in (1, 2):
        out = tmp_path / f"{n}"
        visible = ",".join(map(str, cores[:n]))
        files = [str(film / "film.mp4"), str(film / "spans.jsonl"), str(out)]
        subprocess.run([sys.executable, "-c", _CUT, visible, *files], check=True)
        found.append({path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*.*"))})
    for mode in ("remux", "exact"):
        kinds = {path.suffix for path in found[0] if path.parent.name == mode}
        assert kinds >= {".mp4", ".txt", ".json", ".m4v", ".mjpg"}
    assert found[0] == found[1]
