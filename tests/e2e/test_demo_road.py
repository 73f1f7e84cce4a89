"""The whole road at a small size: the real yt-dlp on the mini-YouTube, a local Ray, real cuts, shards, a manifest."""

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdvila_testing.readers import codes_by_ffmpeg
from manifests.sample import DEFAULT_MEMBERS, SampleJson
from manifests.shards import Manifest, read_manifest, read_shard_rows
from miniyoutube.script import FPS
from miniyoutube.server import MiniYouTube
from pipeline.balance.result import BALANCE_NAME, BalanceResult
from pipeline.cli import app
from pipeline.dataset.export import CLIPS_NAME, TEXTS_NAME, export_hdvila
from pipeline.engine.run.status_files import read_run_status
from pipeline.engine.store.store import Store
from pipeline.report.audit import SAID_OFTEN
from pipeline.run.road import run_pipeline
from tests.conftest import need
from tests.e2e.conftest import Finished
from tests.e2e.small_run import small_catalogue, small_config
from tests.pipeline.rejected import by_stage_and_reason, rows_in_force

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clips(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[SampleJson, Path]]:
    """Four samples of different shards, as the plain `tar` program unpacks them."""
    need(subprocess.run(["which", "tar"], capture_output=True).returncode == 0, "tar", "kernel")
    folder = tmp_path_factory.mktemp("unpacked")
    for shard in sorted(finished.out.glob("shards/*/*.tar"))[::2][:4]:
        subprocess.run(["tar", "-xf", str(shard), "-C", str(folder)], check=True)
    found = sorted(folder.glob("*.json"))[::2][:4]
    return [(SampleJson.model_validate_json(file.read_bytes()), file.with_suffix(".mp4")) for file in found]


def test_every_candidate_is_kept_or_rejected_with_a_reason(finished: Finished) -> None:
    videos = finished.manifest.head["funnel"]["videos"]

    away = sum(turned["count"] for turned in videos["rejected"])
    assert videos["missing"] == 0
    assert videos["candidates"] == videos["kept"] + away
    assert videos["kept"] > 0


def test_the_demo_is_one_command(tmp_path: Path) -> None:
    sets = ("--set", "balance.total=15", "--set", "crawl.categories=[17, 25]", "--set", "engine.executor=local")
    done = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "out"), "--n-videos", "1", *sets])

    assert done.exit_code == 0, done.output
    assert read_manifest(str(tmp_path / "out")).head["totals"]["samples"] > 0


def test_status_says_exactly_which_videos_are_rejected(finished: Finished) -> None:
    store = Store(str(finished.out))
    whole = by_stage_and_reason(row for row in rows_in_force(store) if not row[2])
    run = read_run_status(store)

    assert run is not None and whole and run.rejects_in_force == whole


def test_no_other_host_was_asked(finished: Finished) -> None:
    assert finished.facts.refused_hosts == []


def test_the_quota_is_met_where_the_supply_allows(finished: Finished) -> None:
    result = BalanceResult.of_document(json.loads((finished.out / BALANCE_NAME).read_text()))

    short = [c for c in result.categories if c.kept < c.asked and c.binding != "supply"]
    assert short == []
    assert result.clips_kept == finished.manifest.head["totals"]["samples"]


def test_a_second_run_asks_for_no_video_again(finished: Finished) -> None:
    assert finished.facts.n_players > 0
    assert finished.facts.asked_again == []


def test_clips_play_to_their_end_and_begin_and_end_with_the_right_frames(clips: list[tuple[SampleJson, Path]]) -> None:
    """Frame f of a source at FPS shows at f/FPS; a clip's frames are those with start <= time < end."""
    assert len(clips) == 4
    for json_, mp4 in clips:
        codes = codes_by_ffmpeg(mp4)[json_.first_frame :][: json_.n_frames]
        first = -(-json_.start_ms * FPS // 1000)
        last = -(-json_.end_ms * FPS // 1000) - 1
        assert (codes[0], codes[-1], len(codes)) == (first, last, last - first + 1), json_.clip_id


def test_the_proxy_holds_exactly_the_clips_frames(clips: list[tuple[SampleJson, Path]]) -> None:
    for json_, mp4 in clips:
        first = -(-json_.start_ms * FPS // 1000)
        assert (
            codes_by_ffmpeg(mp4.with_suffix(".m4v")) == list(range(first, first + json_.n_frames))[:: json_.proxy_step]
        ), json_.clip_id


def test_words_lie_inside_their_clip_and_make_its_text(clips: list[tuple[SampleJson, Path]]) -> None:
    for json_, mp4 in clips:
        words = json.loads(json_.words)
        assert " ".join(word["text"] for word in words) == json_.text == mp4.with_suffix(".txt").read_text()
        assert all(0 <= word["start_ms"] <= word["end_ms"] <= json_.duration_ms for word in words)


def test_members_are_where_the_shards_rows_say(finished: Finished) -> None:
    for shard in finished.manifest.shards:
        tar = (finished.out / shard.url).read_bytes()
        rows = [r for r in read_shard_rows(finished.manifest, shard).to_pylist() if r["status"] == "success"]
        assert len(rows) == shard.nsamples
        for row in rows:
            members = json.loads(row["members"])
            assert tuple(members) == DEFAULT_MEMBERS
            offset, size = members["txt"]
            assert tar[offset : offset + size].decode() == row["caption"]


def test_the_manifest_names_what_is_there(finished: Finished) -> None:
    manifest = finished.manifest

    assert {shard.split for shard in manifest.shards} == {"train", "val"}
    assert sorted(shard.url for shard in manifest.shards) == sorted(
        str(file.relative_to(finished.out)) for file in finished.out.glob("shards/*/*.tar")
    )
    assert (finished.out / "report" / "index.html").stat().st_size > 1000
    report = json.loads((finished.out / "report" / "report.json").read_text())
    counted = {s: n for s, n in report["clips_behind"].items() if s not in ("scene cuts in a clip", SAID_OFTEN)}
    assert set(counted.values()) == {manifest.head["totals"]["samples"]}, "the tables of a run know every clip"
    assert not list((finished.out / "packs").glob("*.tar")), "packs are removed once their samples are in shards"


def test_a_new_run_of_released_ids_spans_and_texts_makes_the_same_clips(finished: Finished, tmp_path: Path) -> None:
    """Of every second video of the release, with all its texts."""
    release = tmp_path / "release"
    export_hdvila(Store(str(finished.out)), Store(str(release)))
    videos = (release / CLIPS_NAME).read_text().splitlines(keepends=True)[::2]
    (release / CLIPS_NAME).write_text("".join(videos))
    released = {json.loads(video)["video_id"] for video in videos}
    given = [f"crawl.lists.files=[{release / CLIPS_NAME}]", f"crawl.lists.texts=[{release / TEXTS_NAME}]"]
    changes = ["crawl.sources=[lists]", *given, "balance.total=null", "balance.max_channel_share=1"]
    with MiniYouTube(small_catalogue()) as site:
        config = small_config(site, tmp_path / "again", "engine.executor=local", *changes)
        again = run_pipeline(config).manifest

    def spans(manifest: Manifest) -> dict[str, tuple[int, int, str]]:
        rows = [r for shard in manifest.shards for r in read_shard_rows(manifest, shard).to_pylist()]
        return {r["clip_id"]: (r["start_ms"], r["end_ms"], r["caption"]) for r in rows if r["status"] == "success"}

    wanted = {clip: span for clip, span in spans(finished.manifest).items() if clip.rpartition(".")[0] in released}
    assert wanted and spans(again) == wanted
