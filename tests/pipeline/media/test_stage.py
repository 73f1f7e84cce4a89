"""One video from its file to a committed pack: what a run's unit of work gives, and what it says when it can't."""

import io
import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import pytest

from hdvila_testing.frame_code import read_frame_code
from hdvila_testing.rows import a_clip_row, a_video_row, commit_rows
from hdvila_testing.video import a_video
from manifests.reasons import Reason
from manifests.schema import TABLES, table_of
from pipeline.config.media import MediaConfig
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output, Rejected
from pipeline.media.packs import Sample
from pipeline.media.sample_faults import media_faults
from pipeline.media.stage import MediaStage, packed, rows_of_job
from pipeline.media.video import MadeClip, MadeVideo
from tests.pipeline.media.stage_runs import ANY_SIZE, SMALL, SPANS, no_fetch, pack_of, process, samples_of


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "film.mp4", seconds=8, gop=50, cuts=(80,), **SMALL)


@pytest.fixture(scope="module")
def output(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Output:
    """What the film's unit gives."""
    return process(film, tmp_path_factory.mktemp("made"))


def test_a_video_becomes_a_pack_with_a_sample_a_clip(output: Output) -> None:
    table_of(output.rows["packs"], TABLES["packs"])
    assert not output.rows["stills"], "none are kept unless asked for"
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


def test_rows_say_where_each_sample_lies(output: Output) -> None:
    data = pack_of(output).read_bytes()
    for row in output.rows["packs"]:
        assert row["status"] == "success"
        assert row["pack"] == next(iter(output.files))
        offset, size = json.loads(row["members"])["txt"]
        assert data[row["pack_offset"] + offset :][:size].decode() == row["text"]


def test_the_proxy_begins_with_the_clip_s_first_frame_and_ends_within_it(output: Output, tmp_path: Path) -> None:
    for sample, members in samples_of(output):
        file = tmp_path / "proxy.mp4"
        file.write_bytes(members["m4v"])
        with av.open(str(file)) as container:
            codes = [read_frame_code(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
        first = -(-sample.start_ms * 25 // 1000)
        assert codes == list(range(first, first + sample.n_frames))[:: sample.proxy_step]
        assert (sample.proxy_width, sample.proxy_height) == (320, 180)


UNEVEN_S = tuple(n / 30 + (n // 50) * 0.4 for n in range(150))
"""Times of a film whose rate varies: a gap after every fiftieth frame."""


@pytest.mark.parametrize(
    ("step", "times_s"),
    [
        (1, UNEVEN_S),
        (2, ()),
        pytest.param(1, (), marks=pytest.mark.long),
        pytest.param(2, UNEVEN_S, marks=pytest.mark.long),
    ],
    ids=["1-variable rate", "2-even", "1-even", "2-variable rate"],
)
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


def test_stills_show_the_frames_at_their_times(output: Output, tmp_path: Path) -> None:
    for sample, members in samples_of(output):
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


def test_a_missing_file_is_a_reject(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        process(tmp_path / "absent.mp4", tmp_path)
    assert caught.value.reason is Reason.NOT_A_VIDEO


def test_a_video_without_a_file_is_fetched_into_the_scratch_folder(film: Path, tmp_path: Path) -> None:
    def fetch(video: Any, context: Context) -> Path:
        target = context.scratch / "fetched.mp4"
        target.write_bytes(film.read_bytes())
        return target

    assert len(samples_of(process(film, tmp_path, SPANS[:1], fetch=fetch, media_path=""))) == 1


def test_a_source_in_an_object_store_is_read_from_there(film: Path, tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://films/film.mp4", "wb") as file:
        file.write(film.read_bytes())
    assert len(samples_of(process(film, tmp_path, SPANS[:1], media_path="memory://films/film.mp4"))) == 1


def test_the_longest_units_come_first_and_say_where_their_rows_lie(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    videos = [a_video_row(v, duration_s=s) for v, s in (("a", 60.0), ("b", 60.0), ("c", 900.0), ("d", 600.0))]
    commit_rows(store, "crawl", "x", {"videos": videos})
    clips = [a_clip_row(v, n, n * 1000, n * 1000 + 900) for v in ("a", "b", "d") for n in range(2)]
    commit_rows(store, "clips", "x", {"clips": clips})
    units = list(MediaStage(MediaConfig(), ["b", "c", "a", "d"], no_fetch).units(store))
    assert [unit.name for unit in units] == ["d", "b", "a"]  # c has no clip
    video, rows, _ = rows_of_job(units[1].payload, store)
    assert video["video_id"] == "b"
    assert [(clip["video_id"], clip["n"]) for clip in rows] == [("b", 0), ("b", 1)]
    spoken = [{**clip, "n_words": 2} for clip in clips]
    store.write_table("clips/part-clips-x.parquet", table_of(spoken, TABLES["clips"]))
    with pytest.raises(Rejected, match="transcript is gone"):
        rows_of_job(units[0].payload, store)
    store.write_table("clips/part-clips-x.parquet", table_of([], TABLES["clips"]))
    with pytest.raises(Rejected, match="rows are gone"):
        rows_of_job(units[0].payload, store)


def test_a_video_s_time_limit_comes_from_its_length(tmp_path: Path) -> None:
    stage = MediaStage(MediaConfig(), [], no_fetch, fetch_limit_s=1000)
    short, long, fetched = (
        stage.unit_limit_s(seconds, is_file=is_file)
        for seconds, is_file in ((600.0, True), (6 * 3600.0, True), (600.0, False))
    )
    assert (short, fetched) == (60 + 4 * (60 + 600), 60 + 4 * (60 + 600) + 1000)
    assert long + 1000 == stage.resources.time_limit_s
    assert stage.unit_limit_s(1e9, is_file=False) <= stage.resources.time_limit_s


def test_running_a_unit_twice_gives_the_same_pack(film: Path, output: Output, tmp_path: Path) -> None:
    assert pack_of(process(film, tmp_path)).read_bytes() == pack_of(output).read_bytes()


def test_packs_of_other_content_have_other_names(film: Path, output: Output, tmp_path: Path) -> None:
    """A worker that was given up and ends late, with another file of the site, overwrites no committed pack."""
    (first,), (other,) = output.files, process(film, tmp_path, SPANS[:1]).files
    assert first != other and first.startswith("packs/v1-")


def a_clip(n: int, reason: Reason | None = None, sample: Sample | None = None) -> MadeClip:
    return MadeClip(n, 1000 * n, 1000 * n + 900, "it goes", sample, reason, "why" if reason else "", flags=("silent",))


def made_of(*clips: MadeClip) -> MadeVideo:
    picture = SimpleNamespace(width=1280, height=720, fps=Fraction(30000, 1001), codec="h264")
    return MadeVideo(cast(Any, SimpleNamespace(video=picture, duration_ms=8500, bytes_=123)), list(clips), [400])


def test_a_small_still_is_kept_of_each_clip_where_that_is_asked_for(film: Path, tmp_path: Path) -> None:
    config = {**ANY_SIZE, "keep_rejected_stills": True, "scenes": {"action": "drop"}}
    made = process(film, tmp_path / "with", config=config)
    assert [reject.reason for reject in made.rejects] == [Reason.ACROSS_SCENE_CUT]
    table_of(made.rows["stills"], TABLES["stills"])
    assert [row["clip_id"] for row in made.rows["stills"]] == ["v1.0", "v1.1", "v1.2"]
    for row in made.rows["stills"]:
        with av.open(io.BytesIO(row["still"])) as picture:
            assert (picture.streams.video[0].width, picture.streams.video[0].height) == (320, 180)
        assert row["bytes"] == len(row["still"]) < 30_000


def test_a_video_of_which_no_clip_was_made_has_the_reason_that_all_clips_share(tmp_path: Path) -> None:
    def rejects(*reasons: Reason) -> list[tuple[str, str, str]]:
        made = made_of(*(a_clip(n, reason) for n, reason in enumerate(reasons)))
        output = packed(a_video_row("v"), made, tmp_path / "pack.tar")
        assert output.files == {} and not (tmp_path / "pack.tar").exists()
        return [(reject.reason.value, reject.clip_id, reject.detail) for reject in output.rejects]

    assert rejects(Reason.SILENT, Reason.SILENT) == [
        ("silent", "v.0", "why"), ("silent", "v.1", "why"), ("silent", "", "none of 2 clips could be made"),
    ]  # fmt: skip
    assert rejects(Reason.SILENT, Reason.TIMEOUT)[-1] == ("no_clips", "", "none of 2 clips could be made")
    assert rejects() == [("no_clips", "", "none of 0 clips could be made")]


def test_the_row_of_each_clip_says_where_it_lies_or_why_it_is_not_there(tmp_path: Path) -> None:
    sample = Sample("v_00001", {"mp4": b"film", "txt": b"it goes"})
    made = made_of(a_clip(0, Reason.SILENT), a_clip(1, sample=sample))

    output = packed(a_video_row("v", category_id=3), made, tmp_path / "pack.tar")

    failed, good = output.rows["packs"]
    [(name, pack)] = output.files.items()
    assert (failed["status"], failed["reason"], failed["error_message"]) == ("failed", "silent", "why")
    assert (failed["pack"], failed["pack_offset"], failed["pack_bytes"], failed["members"]) == ("", -1, 0, "{}")
    assert (good["status"], good["reason"], good["pack"], good["pack_offset"]) == ("success", "", name, 0)
    assert good["pack_bytes"] == pack.stat().st_size - 1024
    assert json.loads(good["members"]) == {"mp4": [512, 4], "txt": [1536, 7]}
    assert (good["duration_ms"], good["start_ms"], good["fps"]) == (900, 1000, 29.97003)
    assert json.loads(good["flags"]) == ["silent"]
    assert [reject.reason for reject in output.rejects] == [Reason.SILENT], "the video itself is not rejected"
    assert [output.facts[key] for key in ("scene_cuts_ms", "media_s", "media_bytes")] == [[400], 8.5, 123]


def test_a_unit_says_what_it_takes_and_whether_it_is_to_be_fetched(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    known = (("a", 3600.0, ""), ("b", 1800.0, "/b.mp4"))
    rows = [a_video_row(v, duration_s=seconds, media_path=path) for v, seconds, path in known]
    commit_rows(store, "crawl", "x", {"videos": rows})
    commit_rows(store, "clips", "x", {"clips": [a_clip_row(v, 0, 0, 900) for v in ("a", "b")]})
    stage = MediaStage(MediaConfig(), ["b", "a"], no_fetch)
    fetched, local = stage.units(store)
    assert (fetched.name, local.name, stage.unit_names) == ("a", "b", ["b", "a"])
    assert (fetched.is_fetched, local.is_fetched) == (True, False)
    assert fetched.expected_s == 2 * local.expected_s > 0
    assert fetched.time_limit_s == stage.unit_limit_s(3600.0, is_file=True) + 3600
    longest = stage.unit_limit_s(6 * 3600.0, is_file=True)
    assert stage.unit_limit_s(0, is_file=True) == longest, "what is not known may be the longest"
