"""Who asked to be left out gets a list of what was found where, and of what is left."""

import hashlib
import json
from pathlib import Path

from typer.testing import CliRunner

import hdvila_testing.shards as toys
from manifests.shards import read_manifest
from pipeline.cli import app
from pipeline.config.shards import ShardsConfig, SplitConfig

CONFIG = ShardsConfig(max_samples=5, split=SplitConfig(val=0), card=toys.NO_CARD)


def test_the_answer_says_what_was_found_where_and_what_is_left(tmp_path: Path) -> None:
    out, answer = tmp_path / "out", tmp_path / "answer"
    toys.a_data_set(out, n_videos=3, n_clips=2, config=CONFIG)
    before = read_manifest(str(out)).sha256
    (tmp_path / "asked.txt").write_text("video-00001  # <script>alert(1)</script>\n@\u202eevil<b>\nstranger\n")
    words = ["remove", str(out), "--ids", str(tmp_path / "asked.txt"), "--report", str(answer)]

    done = CliRunner().invoke(app, words)

    facts = json.loads((answer / "removed.json").read_text())
    assert done.exit_code == 1 and str(answer / "removed.html") in done.output.replace("\n", "")
    assert facts["videos"] == ["video-00001"] and facts["unknown"] == ["stranger"] and facts["packs_deleted"] == 1
    assert facts["samples"] == ["video-00001_00000", "video-00001_00001"] and len(facts["shards"]) == 1
    assert facts["manifests_before"] == [before] and facts["manifest_after"] == read_manifest(str(out)).sha256
    assert len(facts["left"]) == 3
    signed = facts.pop("sha256")
    assert hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest() == signed
    page = (answer / "removed.html").read_text()
    assert signed in page and "<script>" not in page and "<b>" not in page and "video-00001_00001" in page
