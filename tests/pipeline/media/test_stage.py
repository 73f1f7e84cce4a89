"""One video from its file to a committed pack: what a run's unit of work gives, and what it says when it can't."""

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from manifests.reasons import Reason, ReasonClass
from manifests.sample import SampleJson
from manifests.schema import CLIPS, PACKS, VIDEOS, table_of
from pipeline.config.media import MediaConfig
from pipeline.engine.executor import LocalExecutor
from pipeline.engine.lock import RunLock
from pipeline.engine.run import run_stage
from pipeline.engine.store import Store
from pipeline.engine.unit import Context, Output, Rejected, Transient
from pipeline.media.packs import index_pack, read_members
from pipeline.media.row_index import RowIndex
from pipeline.media.stage import MediaStage, rows_of_job
from pipeline.media.verify_media import media_faults
from pipeline.testing.frame_code import read_frame_code
from pipeline.testing.rows import a_clip_row, a_video_row
from pipeline.testing.video import a_video
from tests.pipeline.engine.toys import Copied

SMALL = {"width": 640, "height": 360}
ANY_SIZE: dict[str, Any] = {"cut": {"min_short_side": 0}}
SPANS = [(0, 2500), (2500, 5200), (4000, 7950)]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "film.mp4", seconds=8, gop=50, cuts=(80,), **SMALL)


def no_fetch(video: Any, context: Context) -> Path:
    raise AssertionError("a file of the folder source is not fetched")


def process(
    film: Path,
    scratch: Path,
    spans: list[tuple[int, int]] = SPANS,
    config: dict[str, Any] = ANY_SIZE,
    fetch: Callable[[Any, Context], Path] = no_fetch,
    media_path: str | None = None,
    attempt: int = 1,
) -> Output:
    scratch.mkdir(parents=True, exist_ok=True)
    stage = MediaStage(MediaConfig.model_validate(config), ["v1"], fetch)
    video = a_video_row("v1", media_path=str(film) if media_path is None else media_path)
    clips = [a_clip_row("v1", n, start, end) for n, (start, end) in enumerate(spans)]
    store = Store(str(scratch / "store"))
    for table, rows in (("videos", [video]), ("clips", clips)):
        store.write_part(table, f"some_{table}", "v1", rows)
        store.commit(f"some_{table}", "v1", {})
    [unit] = stage.units(store)
    return stage.process(unit, Context(store, scratch, time.monotonic() + 600, attempt))


def pack_of(output: Output) -> Path:
    """The one pack of a unit."""
    (pack,) = output.files.values()
    return pack


def samples_of(output: Output) -> list[tuple[SampleJson, dict[str, bytes]]]:
    found = []
    with pack_of(output).open("rb") as file:
        for packed in list(index_pack(file)):
            members = read_members(file, packed)
            found.append((SampleJson.model_validate_json(members["json"]), members))
    return found


def test_a_video_becomes_a_pack_with_a_sample_a_clip(film: Path, tmp_path: Path) -> None:
    output = process(film, tmp_path)
    table_of(output.rows["packs"], PACKS)
    assert not output.rejects
    samples = samples_of(output)
    assert [sample.clip_id for sample, _ in samples] == ["v1.0", "v1.1", "v1.2"]
    for sample, members in samples:
        assert set(members) == {"mp4", "txt", "json", "m4v", "mjpg"}
        assert not list(media_faults(sample, members))
        assert members["txt"].decode() == sample.text
        assert len(json.loads(sample.stills)) >= 4
        assert sample.duration_ms == sample.end_ms - sample.start_ms
        assert json.loads(sample.words)[0]["start_ms"] == 0


def test_rows_say_where_each_sample_lies(film: Path, tmp_path: Path) -> None:
    output = process(film, tmp_path)
    data = pack_of(output).read_bytes()
    for row in output.rows["packs"]:
        assert row["status"] == "success"
        assert row["pack"] == next(iter(output.files))
        offset, size = json.loads(row["members"])["txt"]
        assert data[row["pack_offset"] + offset :][:size].decode() == row["text"]


def test_the_proxy_begins_with_the_clip_s_first_frame_and_ends_within_it(film: Path, tmp_path: Path) -> None:
    for sample, members in samples_of(process(film, tmp_path)):
        file = tmp_path / "proxy.mp4"
        file.write_bytes(members["m4v"])
        with av.open(str(file)) as container:
            codes = [read_frame_code(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
        first = -(-sample.start_ms * 25 // 1000)
        assert codes == list(range(first, first + sample.n_frames))[:: sample.proxy_step]
        assert (sample.proxy_width, sample.proxy_height) == (320, 180)


UNEVEN_S = tuple(n / 30 + (n // 50) * 0.4 for n in range(150))
"""Times of a film whose rate varies: a gap after every fiftieth frame."""


@pytest.mark.parametrize("times_s", [(), UNEVEN_S], ids=["even", "variable rate"])
@pytest.mark.parametrize("step", [1, 2])
def test_a_thinned_proxy_holds_each_step_th_frame_at_its_time_and_stills_show_frames_of_it(
    step: int, times_s: tuple[float, ...], tmp_path: Path
) -> None:
    film = a_video(tmp_path / "film.mp4", seconds=5, fps=Fraction(30), gop=50, times_s=times_s, **SMALL)
    config = ANY_SIZE | {"members": {"proxy_step": step}}
    [(sample, members)] = samples_of(process(film, tmp_path, [(510, 4700)], config))
    with av.open(io.BytesIO(members["m4v"])) as container:
        shown = [(read_frame_code(f.to_ndarray(format="rgb24")), f.time) for f in container.decode(video=0)]
    times = times_s or tuple(n / 30 for n in range(150))
    first = next(n for n, at in enumerate(times) if at >= 0.51)
    wanted = list(range(first, first + sample.n_frames))[::step]
    assert sample.proxy_step == step
    assert [code for code, _ in shown] == wanted
    assert [at for _, at in shown] == [pytest.approx(times[n] - 0.51, abs=0.001) for n in wanted]
    assert not [still for still in json.loads(sample.stills) if still["frame"] % step]
    assert not list(media_faults(sample, members))


def test_short_clips_and_slow_films_keep_every_frame_in_the_proxy(film: Path, tmp_path: Path) -> None:
    assert {sample.proxy_step for sample, _ in samples_of(process(film, tmp_path / "short", [(0, 2000)]))} == {1}
    slow = a_video(tmp_path / "slow.mp4", seconds=8, fps=Fraction(15), gop=50, **SMALL)
    assert {sample.proxy_step for sample, _ in samples_of(process(slow, tmp_path / "slow", [(0, 7900)]))} == {1}


def test_stills_show_the_frames_at_their_times(film: Path, tmp_path: Path) -> None:
    for sample, members in samples_of(process(film, tmp_path)):
        for still in json.loads(sample.stills):
            file = tmp_path / "still.jpg"
            file.write_bytes(members["mjpg"][still["offset"] : still["offset"] + still["size"]])
            with av.open(str(file)) as container:
                picture = next(container.decode(video=0))
            assert (picture.width, picture.height) == (1280, 720)
            code = read_frame_code(picture.to_ndarray(format="rgb24"))
            assert code is not None
            assert code * 40 - sample.start_ms == still["time_ms"]
            assert code - -(-sample.start_ms // 40) == still["frame"]


def test_scene_cuts_are_kept_for_the_video_and_for_the_clip(film: Path, tmp_path: Path) -> None:
    output = process(film, tmp_path)
    assert output.facts["scene_cuts_ms"] == [3200]
    cuts = [json.loads(sample.scene_cuts) for sample, _ in samples_of(output)]
    assert cuts == [[], [700], []]
    assert "crosses_scene_cut" in output.rows["packs"][1]["flags"]


@pytest.mark.parametrize(
    ("action", "spans"),
    [
        ("drop", {0: (0, 2500), 2: (4000, 7950)}),
        ("split", {0: (0, 2500), 2: (4000, 7950), 3: (3200, 5200)}),
        ("snap", {0: (0, 3200), 1: (3200, 5200), 2: (3200, 7950)}),
    ],
)
def test_what_a_scene_cut_does_to_a_clip_is_configured(
    film: Path, tmp_path: Path, action: str, spans: dict[int, tuple[int, int]]
) -> None:
    config = ANY_SIZE | {"scenes": {"action": action, "snap_ms": 800, "min_part_ms": 500}}
    output = process(film, tmp_path, config=config)
    made = {row["n"]: (row["start_ms"], row["end_ms"]) for row in output.rows["packs"] if row["status"] == "success"}
    assert {n: made[n] for n in spans} == spans
    if action == "drop":
        assert output.rejects[0].reason is Reason.ACROSS_SCENE_CUT
        assert output.rejects[0].clip_id == "v1.1"
    if action == "split":
        parts = {sample.clip_id: sample for sample, _ in samples_of(output)}
        words = parts["v1.1"].text.split() + parts["v1.3"].text.split()
        assert words == ["these", "are", "the", "words", "of", "clip", "1"]


def test_a_clip_that_fails_costs_only_itself(film: Path, tmp_path: Path) -> None:
    output = process(film, tmp_path, spans=[(0, 2000), (60_000, 62_000)])
    good, bad = output.rows["packs"]
    assert (good["status"], bad["status"], bad["reason"]) == ("success", "failed", "span_outside")
    assert [(r.clip_id, r.reason) for r in output.rejects] == [("v1.1", Reason.SPAN_OUTSIDE)]
    assert len(samples_of(output)) == 1
    table_of(output.rows["packs"], PACKS)


def test_a_video_without_a_good_clip_makes_no_pack_and_says_so(film: Path, tmp_path: Path) -> None:
    output = process(film, tmp_path, spans=[(60_000, 62_000)])
    assert not output.files
    assert [(r.clip_id, r.reason) for r in output.rejects] == [
        ("v1.0", Reason.SPAN_OUTSIDE),
        ("", Reason.SPAN_OUTSIDE),
    ], "the one reason that all its clips have is the video's own"


def test_a_video_below_720p_is_turned_away_whole(film: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        process(film, tmp_path, config={})
    assert caught.value.reason is Reason.BELOW_720P


def test_a_missing_file_is_a_reject(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        process(tmp_path / "absent.mp4", tmp_path)
    assert caught.value.reason is Reason.NOT_A_VIDEO


def test_a_video_without_a_file_is_fetched_into_the_scratch_folder(film: Path, tmp_path: Path) -> None:
    def fetch(video: Any, context: Context) -> Path:
        target = context.scratch / "fetched.mp4"
        target.write_bytes(film.read_bytes())
        return target

    assert len(samples_of(process(film, tmp_path, fetch=fetch, media_path=""))) == 3


def test_a_source_in_an_object_store_is_read_from_there(film: Path, tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://films/film.mp4", "wb") as file:
        file.write(film.read_bytes())
    assert len(samples_of(process(film, tmp_path, media_path="memory://films/film.mp4"))) == 3


def test_the_longest_units_come_first_and_say_where_their_rows_lie(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    videos = [a_video_row(v, duration_s=s) for v, s in (("a", 60.0), ("b", 60.0), ("c", 900.0), ("d", 600.0))]
    store.write_table("videos/part-crawl-x.parquet", table_of(videos, VIDEOS))
    store.commit("crawl", "x", {})
    clips = [a_clip_row(v, n, n * 1000, n * 1000 + 900) for v in ("a", "b", "d") for n in range(2)]
    store.write_table("clips/part-clips-x.parquet", table_of(clips, CLIPS))
    store.commit("clips", "x", {})
    units = list(MediaStage(MediaConfig(), ["b", "c", "a", "d"], no_fetch).units(store))
    assert [unit.name for unit in units] == ["d", "b", "a"]  # c has no clip
    video, rows = rows_of_job(units[1].payload, store)
    assert video["video_id"] == "b"
    assert [(clip["video_id"], clip["n"]) for clip in rows] == [("b", 0), ("b", 1)]
    store.write_table("clips/part-clips-x.parquet", table_of([], CLIPS))
    with pytest.raises(Rejected, match="gone"):
        rows_of_job(units[0].payload, store)


def test_a_later_wave_of_the_same_run_sees_what_was_committed_since(tmp_path: Path) -> None:
    store, places = Store(str(tmp_path / "out")), RowIndex()
    for number, video_id in enumerate(("a", "b")):
        store.write_table(f"videos/part-crawl-{video_id}.parquet", table_of([a_video_row(video_id)], VIDEOS))
        store.commit("crawl", video_id, {})
        store.write_table(f"clips/part-clips-{video_id}.parquet", table_of([a_clip_row(video_id, 0, 0, 900)], CLIPS))
        store.commit("clips", video_id, {})
        units = list(MediaStage(MediaConfig(), ["a", "b"], no_fetch, index=places).units(store))
        assert [unit.name for unit in units] == ["a", "b"][: number + 1]
    assert rows_of_job(units[1].payload, store)[0]["video_id"] == "b"


def test_a_video_s_time_limit_comes_from_its_length(tmp_path: Path) -> None:
    stage = MediaStage(MediaConfig(), [], no_fetch, fetch_limit_s=1000)
    short, long, fetched = (
        stage.unit_limit_s(seconds, is_file=is_file)
        for seconds, is_file in ((600.0, True), (6 * 3600.0, True), (600.0, False))
    )
    assert (short, fetched) == (60 + 4 * (60 + 600), 60 + 4 * (60 + 600) + 1000)
    assert long + 1000 == stage.resources.time_limit_s
    assert stage.unit_limit_s(1e9, is_file=False) <= stage.resources.time_limit_s


_PACK_ON = """
import os, sys, hashlib
os.sched_setaffinity(0, {int(c) for c in sys.argv[1].split(",")})
from pathlib import Path
from tests.pipeline.media.test_stage import pack_of, process
output = process(Path(sys.argv[2]), Path(sys.argv[3]), config={"cut": {"min_short_side": 0, "mode": sys.argv[4]}})
print(hashlib.sha256(pack_of(output).read_bytes()).hexdigest())
"""


@pytest.mark.parametrize("mode", ["remux", "exact"])
def test_one_and_two_cores_give_the_same_bytes(film: Path, tmp_path: Path, mode: str) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core only")
    repo = Path(__file__).resolve().parents[3]
    digests = []
    for i, visible in enumerate((cores[:1], cores[:2])):
        command = [sys.executable, "-c", _PACK_ON, ",".join(map(str, visible)), str(film), str(tmp_path / str(i)), mode]
        environment = os.environ | {"PYTHONPATH": str(repo)}  # the folder of the tests, also with a safe path
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        digests.append(done.stdout.strip())
    assert digests[0] == digests[1]


def test_running_a_unit_twice_gives_the_same_pack(film: Path, tmp_path: Path) -> None:
    digests = {
        hashlib.sha256(pack_of(process(film, tmp_path / name)).read_bytes()).hexdigest() for name in ("first", "second")
    }
    assert len(digests) == 1


def test_packs_of_other_content_have_other_names(film: Path, tmp_path: Path) -> None:
    """A worker that was given up and ends late, with another file of the site, overwrites no committed pack."""
    (first,), (again,), (other,) = (
        process(film, tmp_path / name, spans).files for name, spans in (("a", SPANS), ("b", SPANS), ("c", SPANS[:1]))
    )
    assert first == again != other and first.startswith("packs/v1-")


def test_without_members_scenes_and_checks_nothing_is_decoded(film: Path, tmp_path: Path) -> None:
    from pipeline.media.cut_files import ONLY_CLIPS, media_config

    config = media_config(None, [*ONLY_CLIPS, "media.cut.min_short_side=0"]).model_dump()
    output = process(film, tmp_path, config=config)
    assert "decode" not in output.facts["cpu_s"]
    for sample, members in samples_of(output):
        assert set(members) == {"mp4", "txt", "json"}
        assert (sample.proxy_width, sample.stills) == (0, "[]")


EXPECTED = {  # what becomes of each sample with the default settings: "ok", or its reason
    "LatentSync__demo1_video.mp4": "ok",
    "Panda-70M__0idSKtn42WY.2.mp4": "below_720p",
    "convolution-integral___97.ts": "ok",
    "decord__corrupted.mp4": "decode_errors",
    "imageio-binaries__cockatoo.mp4": "unsupported_media",
    "interactive-examples__friday.mp4": "below_720p",
    "media__bear-vp9-odd-dimensions.webm": "below_720p",
    "media__edit_list_positive_shift.mp4": "ok",
    "media__hdr10-av1.mp4": "hdr",
    "media__hlg10-color-test.mp4": "hdr",
    "media__sample.avi": "below_720p",
    "media__sample.flv": "ok",
    "media__sample_mdat_too_long.mp4": "ok",
    "media__sample_partially_fragmented.mp4": "ok",
    "mediabunny__cursed-vfr.mp4": "ok",
    "mediabunny__multiple-aac-tracks.mp4": "not_a_video",
    "mediabunny__no-initial-keyframe.ts": "below_720p",
    "mediabunny__rotate-buck-bunny.mp4": "ok",
    "metadata-extractor-images__FLIR_Thermal.mp4": "ok",
    "metadata-extractor-images__Sony_ILCE-7M3_A7M3_.mts": "interlaced",
    "moviepy__no_duration.webm": "ok",
    "moviepy__video_with_failing_audio.mp4": "below_720p",
    "mp4parse-rust__invalid_userdata.mp4": "truncated",
    "mp4parse-rust__minimal.mp4": "below_720p",
    "nodejs-docs-samples__ForBiggerEscapes.mp4": "ok",
    "nodejs-docs-samples__googlework_short.mp4": "below_720p",
    "normal-distribution-probability-problems___65.ts": "ok",
    "simpl__av1-2018-06_550.webm": "ok",
    "torchcodec__nasa_13013.mp4": "below_720p",
    "video2dataset__test_video.mp4": "ok",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_sample_is_right_or_turned_away_with_its_own_reason(samples: Path, tmp_path: Path, name: str) -> None:
    path = samples / "videos" / name
    spans = [(100, 4500)] if name != "media__edit_list_positive_shift.mp4" else [(2000, 4500)]
    short = {"media__sample.flv", "media__sample_mdat_too_long.mp4", "media__sample_partially_fragmented.mp4"}
    if name in short:
        spans = [(100, 900)]
    if name == "mediabunny__rotate-buck-bunny.mp4":
        spans = [(200, 1900)]
    try:  # without scenes only the clip is decoded: the longest sample has two minutes
        output = process(path, tmp_path, spans=spans, config={"scenes": {"enabled": False}})
    except Rejected as fault:
        assert fault.reason.value == EXPECTED[name]
        return
    (row,) = output.rows["packs"]
    assert (row["reason"] or "ok") == EXPECTED[name], row["error_message"]
    for sample, members in samples_of(output) if row["status"] == "success" else []:
        assert not list(media_faults(sample, members))


def test_a_video_that_takes_too_long_is_turned_away(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.media.decode_pass.time_limit_s", lambda found, limits: -1.0)
    with pytest.raises(Rejected) as caught:
        process(film, tmp_path)
    assert caught.value.reason is Reason.TIMEOUT


def test_a_busy_machine_is_no_verdict_on_a_video(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.media.clock.WALL_FACTOR", 0.0)

    for attempt in (1, 2):
        with pytest.raises(Transient, match="% of a core") as given_back:
            process(film, tmp_path / str(attempt), attempt=attempt)
        assert given_back.value.reason is Reason.TIMEOUT and given_back.value.wait_s > 0
    with pytest.raises(Rejected, match=r"at a load of [\d.]+ on \d+ cores") as third:
        process(film, tmp_path / "3", attempt=3)
    assert third.value.reason is Reason.TIMEOUT and third.value.reason.class_ is ReasonClass.LATER


@pytest.mark.slow
def test_a_video_that_is_fetched_by_a_task_of_its_own_gives_the_same_pack(film: Path, tmp_path: Path) -> None:
    from pipeline.engine.cluster import RayExecutor

    packs = []
    for executor in (LocalExecutor(tmp_path / "here"), RayExecutor(tmp_path / "there", n_cpus=1)):
        store = Store(str(tmp_path / type(executor).__name__))
        clips = [a_clip_row("v1", n, start, end) for n, (start, end) in enumerate(SPANS)]
        for table, rows in (("videos", [a_video_row("v1", media_path="")]), ("clips", clips)):
            store.write_part(table, f"some_{table}", "v1", rows)
            store.commit(f"some_{table}", "v1", {})
        stage = MediaStage(MediaConfig.model_validate(ANY_SIZE), ["v1"], Copied(film, tmp_path / "fetched"))
        with RunLock(store) as lock:
            run_stage(stage, store, executor, lock)
        executor.close()
        (name,) = (name for name in store.names("packs") if name.endswith(".tar"))
        packs.append((name, store.read(f"packs/{name}")))

    assert packs[0] == packs[1]
    assert [name for name in (tmp_path / "there").iterdir() if name.is_dir()] == []
    by = (tmp_path / "fetched").read_text().split()
    assert len(by) == 2, "fetched once by each"
