"""Films that were edited between the look at them and their fetch: what later runs make of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hdvila_testing.readers import codes_by_ffmpeg
from hdvila_testing.rows import commit_rows
from manifests.reasons import Reason
from manifests.sample import SampleJson
from manifests.schema import TABLES
from miniyoutube.big_catalogue import a_video
from miniyoutube.catalogue import Catalogue, Video, cast
from miniyoutube.media_cache import MediaCache
from miniyoutube.script import FPS, Script, as_written, duration_for, shots_of
from miniyoutube.server import MiniYouTube
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import reject_row
from pipeline.engine.work.unit import Reject
from pipeline.outdir.accounts import check_accounts
from pipeline.outdir.retries import read_retries, request_retries
from pipeline.query.rejects import rejects_in_force
from pipeline.report.summary import Delivered
from pipeline.run.anew import look_anew
from pipeline.run.road import run_pipeline
from pipeline.site import fresh_looks
from tests.e2e.small_run import small_config
from tests.pipeline.query.worlds import fill_row

MUSIC = 10
NAMES = ("good", "trimmed", "shrinking", "reencoded")


def film(n: int, behaviour: str) -> Video:
    """A film of half a minute with a sentence every four seconds."""
    script = Script(n, MUSIC, duration_for(n, MUSIC, 6, "plain"), "plain")
    return cast(replace(a_video(0, (MUSIC, n), 1), script=script, footage=script), behaviour)


@pytest.fixture(scope="module")
def films() -> dict[str, Video]:
    return {name: film(n, name) for n, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def ran(films: dict[str, Video], demo_cache: MediaCache, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Runs of one output directory, three times, and what each left: rejects by video. Each fetch comes long after the
    look.
    """
    out = tmp_path_factory.mktemp("edited") / "out"
    seen: list[dict[str, tuple[str, str]]] = []
    films_site = MiniYouTube(Catalogue(tuple(films.values())), cache=demo_cache)
    with pytest.MonkeyPatch.context() as late, films_site as site:
        late.setattr(fresh_looks, "MAX_AGE_S", 0.0)
        for _ in range(3):
            delivered = run(site, out)
            assert check_accounts(Store(str(out))).is_whole
            assert delivered.accounts.is_whole
            seen.append(rejected(out))
        yield out, seen, site


def run(site: MiniYouTube, out: Path, *changes: str) -> Delivered:
    changes = ("engine.executor=local", f"crawl.categories=[{MUSIC}]", "balance.total=100", *changes)
    return run_pipeline(small_config(site, out, "crawl.politeness.later_s=0.01", *changes))


def rejected(out: Path) -> dict[str, tuple[str, str]]:
    rows = rejects_in_force(Store(str(out)), "clip_id = ''").to_pylist()
    return {row["video_id"]: (row["reason"], row["class"]) for row in rows}


def samples(out: Path, folder: Path) -> list[tuple[SampleJson, Path]]:
    folder.mkdir()
    for shard in sorted(out.glob("shards/*/*.tar")):
        subprocess.run(["tar", "-xf", str(shard), "-C", str(folder)], check=True)
    found = sorted(folder.glob("*.json"))
    return [(SampleJson.model_validate_json(file.read_bytes()), file.with_suffix(".mp4")) for file in found]


def said_at(script: Script, frame: int) -> str:
    """The sentence that the film as it was drawn says while it shows a frame."""
    ms = (2 * frame + 1) * 1000 // (2 * FPS)
    return next(as_written(s.words) for s in shots_of(script) if s.start_ms <= ms < s.end_ms)


@pytest.mark.slow
def test_an_edited_film_is_looked_at_anew_by_the_next_run(ran: Any, films: dict[str, Video]) -> None:
    _, seen, _ = ran
    ids = {name: films[name].video_id for name in NAMES}
    assert seen[0] == {ids[name]: ("changed", "later") for name in NAMES[1:]}
    assert seen[1] == {ids["shrinking"]: ("changed", "later")}
    assert seen[2] == {ids["shrinking"]: ("keeps_changing", "never")}


@pytest.mark.slow
def test_clips_of_an_edited_film_show_what_they_say(ran: Any, films: dict[str, Video], tmp_path: Path) -> None:
    """The pictures' numbers are those of the film before: the trimmed film begins with frame 60."""
    out, _, _ = ran
    by_id = {video.video_id: video for video in films.values()}
    n_clips = dict.fromkeys(NAMES, 0)
    for sample, mp4 in samples(out, tmp_path / "unpacked"):
        video = by_id[sample.video_id]
        n_clips[video.behaviour] += 1
        if video.behaviour != "trimmed":
            continue
        codes = codes_by_ffmpeg(mp4)[sample.first_frame :][: sample.n_frames]
        shown = {said_at(video.script, code) for code in (codes[len(codes) // 4], codes[len(codes) // 2])}
        assert all(sentence.casefold().strip(".") in sample.text.casefold() for sentence in shown)
    assert min(n_clips[name] for name in ("good", "trimmed", "reencoded")) >= 3
    assert n_clips["shrinking"] == 0


@pytest.mark.slow
def test_nothing_of_the_film_before_counts(ran: Any, films: dict[str, Video]) -> None:
    out, _, _ = ran
    store, trimmed = Store(str(out)), films["trimmed"]
    columns = {"videos": ["duration_s"], "captions": ["track"], "clips": ["end_ms", "n"]}
    tables = store.rows_of(trimmed.video_id, {table: ["video_id", *names] for table, names in columns.items()})
    assert tables["videos"].column("duration_s").to_pylist() == [trimmed.duration_s - 5]
    assert len(set(tables["captions"].column("track").to_pylist())) == tables["captions"].num_rows
    assert len(set(tables["clips"].column("n").to_pylist())) == tables["clips"].num_rows
    assert max(tables["clips"].column("end_ms").to_pylist()) <= (trimmed.duration_s - 5) * 1000
    funnel = json.loads((out / "manifest.json").read_text())["funnel"]
    assert funnel["videos"]["candidates"] == len(NAMES) and funnel["clips"]["missing"] == 0


@pytest.mark.slow
def test_a_person_may_ask_for_another_look(ran: Any, films: dict[str, Video]) -> None:
    out, _, site = ran
    n_before = len(site.log.of("player", video_id=films["shrinking"].video_id))
    assert sum(request_retries(Store(str(out)), ["keeps_changing"]).values()) == 1
    site.relent(films["shrinking"].video_id)
    assert run(site, out).accounts.is_whole
    assert len(site.log.of("player", video_id=films["shrinking"].video_id)) > n_before
    assert rejected(out) == {}


@pytest.mark.parametrize("looks", ["extract", "urls"])
@pytest.mark.parametrize("killed_at", ["", "write_json", "write_part", "commit", "uncommit"])
def test_a_kill_on_the_way_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str, looks: str
) -> None:
    store = a_store_with_a_changed_film(tmp_path, looks)
    now = datetime.now(UTC) + timedelta(days=1)
    if killed_at:
        with monkeypatch.context() as patch:
            patch.setattr(Store, killed_at, killed)
            with pytest.raises(KeyboardInterrupt):
                look_anew(store, now)
        assert rejects_in_force(store).num_rows == 1, "until all is ready it stays rejected"

    look_anew(store, now)

    requests = dict(read_retries(store, [looks]))
    is_told = (looks, killed_at) != ("urls", "write_json")  # else it may be looked at once more
    assert list(requests.values()) == [("a",)] * is_told
    assert rejects_in_force(store).num_rows == 0
    for table in ("videos", "captions", "transcripts", "clips"):
        assert store.read_table(table, ["video_id"]).column("video_id").to_pylist() == ["b"], table
    assert look_anew(store, now) == 0


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_film_alone_in_its_unit_is_listed_again(tmp_path: Path) -> None:
    """A list of addresses gives it the same unit as before."""
    store = a_store_with_a_changed_film(tmp_path, "urls", "a")

    look_anew(store, datetime.now(UTC) + timedelta(days=1))

    assert not any(store.committed(stage) for stage in ("urls", "transcripts", "clips", "media"))


def a_store_with_a_changed_film(folder: Path, looks: str, names: str = "ab") -> Store:
    """Two videos that were looked at; of one the film had changed when it was fetched."""
    store = Store(str(folder))
    tables = {
        looks: ("u", ("videos", "captions")),
        "transcripts": (f"{looks}-u", ("transcripts",)),
        "clips": (f"transcripts-{looks}-u", ("clips",)),
    }
    for stage, (unit, made) in tables.items():
        rows = {table: [fill_row(TABLES[table], video_id=name) for name in names] for table in made}
        commit_rows(store, stage, unit, rows)
    commit_rows(store, "media", "a", {}, [reject_row("media", Reject(Reason.CHANGED, "a"), 1)])
    return store
