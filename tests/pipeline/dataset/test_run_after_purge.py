"""A data set from which a video was purged goes on like any other."""

from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from hdvila_testing.video import Film, a_video
from manifests.exits import ExitCode
from pipeline.cli import app
from pipeline.engine.store.store import Store

VTT = """WEBVTT

00:00.200 --> 00:03.000
A brown dog runs over the green field to the old gate, and waits for the boy there.

00:03.200 --> 00:05.800
Then the boy comes home from school with bread and milk for his mother.
"""


def reasons(out: Path) -> dict[str, int]:
    videos = Store(str(out)).read_json("manifest.json")["funnel"]["videos"]
    assert videos["missing"] == 0
    return {reject["reason"]: reject["count"] for reject in videos["rejected"]}


@pytest.mark.slow
def test_a_run_goes_on_after_a_purge(tmp_path: Path) -> None:
    films, out, config, ids = (tmp_path / name for name in ("films", "out", "run.yaml", "ids.txt"))
    films.mkdir()
    words = {"gone": VTT, "kept": VTT.translate(str.maketrans("bdgmw", "tpkns"))}
    for name, seconds in (("gone", 6), ("kept", 7)):  # the same film or the same words would go with it
        a_video(films / f"{name}.mp4", Film(seconds=seconds, fps=Fraction(10), gop=10, width=320, height=180))
        (films / f"{name}.en.vtt").write_text(words[name])
    tree = {
        "out": str(out),
        "crawl": {"sources": ["folder"]},
        "folder": {"path": str(films)},
        "media": {"duplicates": {"action": "off"}, "cut": {"min_short_side": 180}},
        "shards": {"split": {"val": 0}},
        "engine": {"executor": "local"},
    }
    config.write_text(yaml.safe_dump(tree))
    ids.write_text("gone\n")

    def command(*words: object) -> None:
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == ExitCode.OK, done.output + repr(done.exception)

    command("run", config)
    command("remove", out, "--ids", ids, "--purge")
    command("run", config)
    assert reasons(out) == {"opted_out": 1}
    command("run", config, "--redo", "clips")
    assert reasons(out) == {"opted_out": 1}
    command("run", config, "--redo", "folder")
    assert reasons(out) == {"opted_out": 1}
    store = Store(str(out))
    assert "gone" not in str([store.read_table("videos").to_pydict(), store.read_rejects().to_pydict()])
