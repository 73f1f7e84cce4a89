"""The whole road at a small size: the real yt-dlp on the mini-YouTube, a local Ray, real cuts, shards, a manifest."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pytest

from hdvila_testing.readers import codes_by_ffmpeg
from manifests.funnel import by_stage_and_reason, rejects_in_force
from manifests.sample import DEFAULT_MEMBERS, SampleJson
from manifests.shards import Manifest, read_manifest, read_shard_rows
from miniyoutube.demo_catalogue import demo_catalogue
from miniyoutube.job import demo_config, pointed_at, some_of
from miniyoutube.request_log import RequestLog
from miniyoutube.script import FPS
from miniyoutube.server import MiniYouTube
from pipeline.dataset.export import CLIPS_NAME, TEXTS_NAME, export_hdvila
from pipeline.engine.run.status_and_control import read_run_status
from pipeline.engine.store.store import Store
from pipeline.report.summary import Delivered
from pipeline.run.road import run_pipeline
from tests.conftest import need

pytestmark = pytest.mark.slow

N_VIDEOS = 12
"""Videos served: some of each kind of the demo's, drawn once and kept in the demo's cache."""


@dataclass(frozen=True)
class Road:
    """A finished run and what it asked the site for, the first time and the second."""

    out: Path
    delivered: Delivered
    first: RequestLog
    second: RequestLog


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    out = tmp_path_factory.mktemp("road") / "out"
    config = demo_config(out, None, ["balance.total=20", "shards.split.val=0.3"])
    logs = []
    for _ in range(2):
        with MiniYouTube(some_of(demo_catalogue(), N_VIDEOS)) as site:
            delivered = run_pipeline(pointed_at(site, config))
        logs.append(site.log)
    return Road(out, delivered, *logs)


@pytest.fixture(scope="module")
def clips(road: Road, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[SampleJson, Path]]:
    """Every sample as the plain `tar` program unpacks it."""
    need(subprocess.run(["which", "tar"], capture_output=True).returncode == 0, "tar")
    folder = tmp_path_factory.mktemp("unpacked")
    for shard in sorted(road.out.glob("shards/*/*.tar")):
        subprocess.run(["tar", "-xf", str(shard), "-C", str(folder)], check=True)
    found = sorted(folder.glob("*.json"))
    return [(SampleJson.model_validate_json(file.read_bytes()), file.with_suffix(".mp4")) for file in found]


def test_every_candidate_is_kept_or_rejected_with_a_reason(road: Road) -> None:
    videos = road.delivered.manifest.head["funnel"]["videos"]

    away = sum(turned["count"] for turned in videos["rejected"])
    assert videos["missing"] == 0
    assert videos["candidates"] == videos["kept"] + away
    assert videos["kept"] > 0


def test_status_says_exactly_which_videos_are_rejected(road: Road) -> None:
    store = Store(str(road.out))
    rejects = rejects_in_force(store)
    whole = by_stage_and_reason(rejects.filter(pc.equal(rejects.column("clip_id"), "")))
    run = read_run_status(store)

    assert run is not None and whole and run.rejects_in_force == whole


def test_no_other_host_was_asked(road: Road) -> None:
    assert road.first.refused_hosts() == []


def test_the_quota_is_met_where_the_supply_allows(road: Road) -> None:
    result = road.delivered.balance

    short = [c for c in result.categories if c.kept < c.asked and c.binding != "supply"]
    assert short == []
    assert result.clips_kept == road.delivered.manifest.head["totals"]["samples"]


def test_a_second_run_asks_for_no_video_again(road: Road) -> None:
    assert len(road.first.of("player")) > 0
    assert [r.path for r in road.second.of("watch", "player", "caption", "media")] == []


def test_clips_play_to_their_end_and_begin_and_end_with_the_right_frames(clips: list[tuple[SampleJson, Path]]) -> None:
    """Frame f of a source at FPS shows at f/FPS; a clip's frames are those with start <= time < end."""
    assert len(clips) >= 10
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


def test_members_are_where_the_shards_rows_say(road: Road) -> None:
    for shard in road.delivered.manifest.shards:
        tar = (road.out / shard.url).read_bytes()
        rows = [r for r in read_shard_rows(road.delivered.manifest, shard).to_pylist() if r["status"] == "success"]
        assert len(rows) == shard.nsamples
        for row in rows:
            members = json.loads(row["members"])
            assert tuple(members) == DEFAULT_MEMBERS
            offset, size = members["txt"]
            assert tar[offset : offset + size].decode() == row["caption"]


def test_the_manifest_names_what_is_there(road: Road) -> None:
    manifest = read_manifest(str(road.out))

    assert {shard.split for shard in manifest.shards} == {"train", "val"}
    assert sorted(shard.url for shard in manifest.shards) == sorted(
        str(file.relative_to(road.out)) for file in road.out.glob("shards/*/*.tar")
    )
    assert (road.out / "report" / "index.html").stat().st_size > 1000
    report = json.loads((road.out / "report" / "report.json").read_text())
    counted = {subject: n for subject, n in report["clips_behind"].items() if subject != "scene cuts in a clip"}
    assert set(counted.values()) == {manifest.head["totals"]["samples"]}, "the tables of a run know every clip"
    assert not list((road.out / "packs").glob("*.tar")), "packs are removed once their samples are in shards"


def test_a_new_run_of_the_released_ids_spans_and_texts_makes_the_same_clips(road: Road, tmp_path: Path) -> None:
    release = tmp_path / "release"
    export_hdvila(Store(str(road.out)), Store(str(release)))
    given = [f"crawl.hdvila.clips=[{release / CLIPS_NAME}]", f"crawl.hdvila.texts=[{release / TEXTS_NAME}]"]
    changes = ["crawl.sources=[hdvila]", *given, "balance.total=null", "balance.max_channel_share=1"]
    config = demo_config(tmp_path / "again", None, changes)
    with MiniYouTube(some_of(demo_catalogue(), N_VIDEOS)) as site:
        again = run_pipeline(pointed_at(site, config)).manifest

    def spans(manifest: Manifest) -> dict[str, tuple[int, int, str]]:
        rows = [r for shard in manifest.shards for r in read_shard_rows(manifest, shard).to_pylist()]
        return {r["clip_id"]: (r["start_ms"], r["end_ms"], r["caption"]) for r in rows if r["status"] == "success"}

    assert spans(again) == spans(road.delivered.manifest)
