"""What already lies on a disk becomes candidates as it is, and what cannot be used says why."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from yt_dlp import YoutubeDL

from hdvila_testing.video import a_video
from manifests.errors import UserError
from manifests.lock import RunLock
from pipeline.config import RunConfig
from pipeline.config.media import MediaConfig
from pipeline.config.sources import FolderConfig
from pipeline.crawl.sources.file_names import id_in_name
from pipeline.crawl.sources.folder import FolderStage, content_id, identify, media_files
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.engine.work.unit import Context
from pipeline.media import probe
from pipeline.media.source_files import source_file
from pipeline.outdir.identity import check_identity

WATCH = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
CAPTIONS = "WEBVTT\n\n00:00.000 --> 00:02.000\nA dog runs over the field.\n"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    a_video(folder / "tall.mp4", seconds=1)
    a_video(folder / "small.mp4", seconds=1, width=640, height=360)
    return folder


@pytest.fixture
def folder(tmp_path: Path, films: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    add(folder, films / "tall.mp4", "abc_123-XYZ.mp4")
    return folder


def add(folder: Path, film: Path, name: str, *, captions: str | None = "en.vtt", **info: object) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.hardlink_to(film)
    if captions:
        (file.parent / f"{file.stem}.{captions}").write_text(CAPTIONS)
    if info:
        (file.parent / f"{file.stem}.info.json").write_text(json.dumps(info))
    return file


def run(tmp_path: Path, folder: Path, **config: object) -> Store:
    store = Store(str(tmp_path / "out"))
    stage = FolderStage(FolderConfig(path=folder, **config), MediaConfig())
    with RunLock(store) as lock:
        run_stage(stage, store, LocalExecutor(tmp_path / "scratch"), lock)
    return store


def videos(store: Store) -> dict[str, dict[str, object]]:
    return {row["video_id"]: row for row in store.read_table("videos").to_pylist()}


def reasons(store: Store) -> dict[str, str]:
    return {row["video_id"]: row["reason"] for row in store.read_rejects().to_pylist()}


def test_a_good_name_is_the_id_and_the_captions_beside_it_are_its_own(tmp_path: Path, folder: Path) -> None:
    store = run(tmp_path, folder)

    (video,) = videos(store).values()
    assert (video["video_id"], video["category"], video["heights"]) == ("abc_123-XYZ", "uncategorised", [720])
    (track,) = store.read_table("captions").to_pylist()
    assert (track["kind"], track["language"], track["format"]) == ("manual", "en", "vtt")
    assert track["payload"].decode() == CAPTIONS


def test_what_the_info_json_says_is_taken_over(tmp_path: Path, folder: Path, films: Path) -> None:
    facts = {"title": "A film", "channel_id": "UCx", "categories": ["Howto & Style"], "license": "CC BY"}
    add(folder, films / "tall.mp4", "told.mp4", captions="en-orig.vtt", automatic_captions={"en-orig": []}, **facts)

    store = run(tmp_path, folder)

    video = videos(store)["told"]
    assert (video["title"], video["channel_id"], video["category_id"], video["license"]) == (
        "A film",
        "UCx",
        26,
        "CC BY",
    )
    assert video["caption_tracks"] == ["auto:en-orig"]


def test_a_name_that_cannot_be_an_id_gives_way_to_the_contents_hash(tmp_path: Path, folder: Path, films: Path) -> None:
    file = add(folder, films / "tall.mp4", "A film [abc].v2.mp4")

    assert content_id(file) in videos(run(tmp_path, folder))
    assert len(content_id(file)) == 16


DEFAULT_NAMES = {
    "now": "%(title)s [%(id)s].%(ext)s",
    "before 2021": "%(title)s-%(id)s.%(ext)s",
    "youtube-dl --id": "%(id)s.%(ext)s",
    "dated": "%(upload_date)s - %(title)s (%(id)s).%(ext)s",
    "by channel": "%(channel)s/%(playlist_index|0)s - %(title)s [%(id)s].%(ext)s",
    "id first": "%(id)s - %(title)s.%(ext)s",
    "dots": "%(title)s.%(id)s.%(ext)s",
    "a stream not merged": "%(title)s [%(id)s].f137.%(ext)s",
}
INFO = {"id": "dQw4w9WgXcQ", "title": "A film - part two", "ext": "mp4", "channel": "Them", "upload_date": "20240131"}


@pytest.mark.parametrize("with_info", [False, True])
@pytest.mark.parametrize("template", DEFAULT_NAMES.values(), ids=DEFAULT_NAMES.keys())
def test_a_name_as_yt_dlp_writes_it_gives_the_sites_id(
    tmp_path: Path, films: Path, template: str, with_info: bool
) -> None:
    with YoutubeDL({"outtmpl": template, "quiet": True}) as ydl:
        name = ydl.prepare_filename(INFO)
    folder = tmp_path / "videos"
    file = add(folder, films / "tall.mp4", name)
    stem = file.stem.removesuffix(".f137")
    file.with_suffix(".en.vtt").rename(file.with_name(f"{stem}.en.vtt"))
    if with_info:
        file.with_name(f"{stem}.info.json").write_text(json.dumps(INFO | {"webpage_url": WATCH}))

    (video,) = videos(run(tmp_path, folder)).values()
    assert video["video_id"] == "dQw4w9WgXcQ"
    assert not with_info or (video["url"], video["title"]) == (WATCH, INFO["title"])


@pytest.mark.parametrize("template", ["%(title)s.%(ext)s", "%(title)s-%(height)s.%(ext)s"])
def test_a_name_without_id_gets_it_from_the_info_json(tmp_path: Path, films: Path, template: str) -> None:
    with YoutubeDL({"outtmpl": template, "quiet": True}) as ydl:
        name = ydl.prepare_filename(INFO | {"height": 720})
    add(tmp_path / "videos", films / "tall.mp4", name, **INFO)

    assert set(videos(run(tmp_path, tmp_path / "videos"))) == {"dQw4w9WgXcQ"}


@pytest.mark.parametrize("name", ["My holiday-interesting.mp4", "a day out (Switzerland).mp4", "one.Information.mp4"])
def test_a_word_of_eleven_letters_is_no_id_unless_in_brackets(name: str) -> None:
    assert id_in_name(Path(name).stem) in ("", "Switzerland")


def test_an_id_in_an_info_json_that_is_none_is_not_taken(tmp_path: Path, films: Path) -> None:
    add(tmp_path / "videos", films / "tall.mp4", "told.mp4", id="../../etc/passwd")

    assert set(videos(run(tmp_path, tmp_path / "videos"))) == {"told"}


def test_a_file_that_became_a_video_keeps_its_id_when_an_info_json_comes_later(tmp_path: Path, films: Path) -> None:
    folder = tmp_path / "videos"
    file = add(folder, films / "tall.mp4", "A film.mp4")
    before = set(videos(run(tmp_path, folder)))
    file.with_suffix(".info.json").write_text(json.dumps(INFO))

    assert set(videos(run(tmp_path, folder))) == before == {content_id(file)}


def test_any_file_that_opens_as_video_counts_and_one_that_does_not_is_a_reject(
    tmp_path: Path, folder: Path, films: Path
) -> None:
    add(folder, films / "tall.mp4", "odd.bin")
    (folder / "fake.mp4").write_text("#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:1/x.ts\n")

    store = run(tmp_path, folder)

    assert "odd" in videos(store)
    assert reasons(store) == {"fake": "not_a_video"}


def test_a_disk_too_slow_to_read_a_film_from_is_tried_again_later(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "OPEN_TIMEOUT_S", 1e-9)
    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        run_stage(
            FolderStage(FolderConfig(path=folder), MediaConfig()), store, LocalExecutor(tmp_path / "scratch"), lock
        )

    (reject,) = store.read_rejects().to_pylist()
    assert (reject["reason"], reject["class"]) == ("timeout", "later") and "opening it took" in reject["detail"]


def test_below_720p_and_without_captions_are_rejects_with_their_reasons(
    tmp_path: Path, folder: Path, films: Path
) -> None:
    add(folder, films / "small.mp4", "small.mp4")
    add(folder, films / "tall.mp4", "mute.mp4", captions=None)

    assert reasons(run(tmp_path, folder)) == {"small": "below_720p", "mute": "no_captions"}


def test_a_video_without_captions_stays_where_it_gets_some_later(tmp_path: Path, folder: Path, films: Path) -> None:
    add(folder, films / "tall.mp4", "mute_captions.mp4", captions=None, language="en-GB")
    store = Store(str(tmp_path / "out"))
    stage = FolderStage(FolderConfig(path=folder), MediaConfig(), recognises=True)
    with RunLock(store) as lock:
        run_stage(stage, store, LocalExecutor(tmp_path / "scratch"), lock)
    [row] = [row for row in store.read_table("videos").to_pylist() if row["video_id"] == "mute_captions"]
    assert (row["caption_tracks"], row["language"]) == ([], "en-GB")


def test_the_category_comes_from_the_folders_name_or_from_a_mapping(tmp_path: Path, folder: Path, films: Path) -> None:
    add(folder, films / "tall.mp4", "Music/song.mp4")
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("song: Gaming\nabc_123-XYZ.mp4: 27\n")

    by_folder = videos(run(tmp_path / "a", folder, category_from="folder"))
    by_mapping = videos(run(tmp_path / "b", folder, category_from="mapping", mapping=mapping))

    assert (by_folder["song"]["category"], by_folder["abc_123-XYZ"]["category_id"]) == ("Music", -1)
    assert (by_mapping["song"]["category"], by_mapping["abc_123-XYZ"]["category"]) == ("Gaming", "Education")


def test_a_folder_whose_name_is_no_category_is_named_with_the_fifteen(
    tmp_path: Path, folder: Path, films: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add(folder, films / "tall.mp4", "Music/song.mp4")
    add(folder, films / "tall.mp4", "Cookery/soup.mp4")

    run(tmp_path, folder, category_from="folder")

    (line,) = [record.getMessage() for record in caplog.records if "no category" in record.getMessage()]
    assert (
        "'Cookery'" in line and "'Music'" not in line and line.endswith("Science & Technology, Nonprofits & Activism")
    )


def test_a_mapping_to_no_category_is_refused_with_its_word(tmp_path: Path, folder: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("song: Musik\n")

    with pytest.raises(UserError, match="'Musik', which is not one of the 15"):
        run(tmp_path, folder, category_from="mapping", mapping=mapping)


def test_a_second_run_takes_up_only_what_is_new(tmp_path: Path, folder: Path, films: Path) -> None:
    store = run(tmp_path, folder)
    add(folder, films / "tall.mp4", "later.mp4")
    run(tmp_path, folder)

    counts = [store.commit_facts("folder", unit)["rows"]["videos"] for unit in store.committed("folder")]
    assert counts == [1, 1]
    assert set(videos(store)) == {"abc_123-XYZ", "later"}


def test_what_a_run_left_inside_the_folder_is_no_source(tmp_path: Path, folder: Path, films: Path) -> None:
    check_identity(Store(str(folder / "out")), RunConfig(out=str(folder / "out")))
    add(folder, films / "tall.mp4", "out/packs/abc_123-XYZ.mp4")
    add(folder, films / "tall.mp4", "holiday/other.mp4")
    (folder / "holiday" / "run.json").write_text('{"distance_km": 10}')

    assert [file.name for file in media_files(folder)] == ["abc_123-XYZ.mp4", "other.mp4"]


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_a_folder_that_is_missing_or_empty_is_named(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "nothing"
    if kind == "empty":
        folder.mkdir()

    with pytest.raises(UserError, match="nothing"):
        run(tmp_path, folder)


def test_two_files_of_one_name_both_have_an_id(folder: Path, films: Path) -> None:
    add(folder, films / "tall.mp4", "other/abc_123-XYZ.mkv")

    ids = [video_id for video_id, _ in identify(folder)]
    assert len(ids) == len(set(ids)) == 2


def test_every_real_sample_is_a_candidate_or_a_reject_with_a_reason(tmp_path: Path, samples: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    for file in sorted((samples / "videos").glob("*")):
        if file.suffix == ".tsv":
            continue
        (folder / file.name).symlink_to(file)
        (folder / f"{file.stem}.en.vtt").write_text(CAPTIONS)

    store = run(tmp_path, folder)

    rejected, kept = reasons(store), set(videos(store))
    assert len(rejected) + len(kept) == len(list(identify(folder)))
    assert rejected["mediabunny__multiple-aac-tracks"] == "not_a_video"
    assert rejected["torchcodec__nasa_13013"] == "below_720p"
    assert {"video2dataset__test_video", "LatentSync__demo1_video"} <= kept
    assert "internal_error" not in rejected.values()


@pytest.mark.parametrize(
    "info",
    [
        b'{"title": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"title": "a \\ud800 title", "channel": "\\udfff", "categories": ["\\ud800"]}',
        b'{"view_count": 99999999999999999999999, "age_limit": 1e999, "categories": ["99999999999999999999"]}',
        b'{"view_count": ' + b"9" * 5000 + b"}",
        b'{"webpage_url": "http://[x", "categories": [[]], "subtitles": 5, "_version": []}',
        b"null",
        b"\xff\xfe\x00",
    ],
    ids=["deep", "surrogates", "past 64 bits", "5,000 digits", "wrong types", "null", "no UTF-8"],
)
def test_an_info_json_of_any_kind_costs_no_video(tmp_path: Path, folder: Path, films: Path, info: bytes) -> None:
    file = add(folder, films / "tall.mp4", "odd_info-01.mp4")
    file.with_name("odd_info-01.info.json").write_bytes(info)

    store = run(tmp_path, folder)

    assert videos(store).keys() == {"abc_123-XYZ", "odd_info-01"}
    assert videos(store)["odd_info-01"]["url"] == "file:odd_info-01.mp4"
    assert reasons(store) == {}


def odd_caption(path: Path, kind: str) -> None:
    match kind:
        case "directory":
            path.mkdir()
        case "dangling":
            path.symlink_to("/nowhere/at/all")
        case "fifo":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)


@pytest.mark.parametrize("kind", ["directory", "dangling", "fifo", "device", "loop"])
def test_a_caption_that_is_no_file_costs_its_video_at_most(
    tmp_path: Path, folder: Path, films: Path, kind: str
) -> None:
    add(folder, films / "tall.mp4", "only_odd-001.mp4", captions=None)
    odd_caption(folder / "only_odd-001.en.vtt", kind)
    add(folder, films / "tall.mp4", "with_good-01.mp4")
    odd_caption(folder / "with_good-01.en-GB.vtt", kind)

    store = run(tmp_path, folder)

    assert videos(store).keys() == {"abc_123-XYZ", "with_good-01"}
    assert set(reasons(store).items()) <= {("only_odd-001", "no_captions"), ("only_odd-001", "unreadable_input")}
    assert len(reasons(store)) == 1


def test_names_that_are_not_utf8_or_as_long_as_names_get_are_taken(tmp_path: Path, folder: Path, films: Path) -> None:
    odd = folder / os.fsdecode(b"\xff\xfe name.mp4")
    odd.hardlink_to(films / "tall.mp4")
    odd.with_name(os.fsdecode(b"\xff\xfe name.en.vtt")).write_text(CAPTIONS)
    long = folder / f"{'n' * 251}.mp4"
    shutil.copy(films / "tall.mp4", long)
    with long.open("ab") as file:
        file.write(b"\0\0\0\x08free")  # other content, so that it is another video
    (folder / f"{'n' * 251}.vtt").write_text(CAPTIONS)

    store = run(tmp_path, folder)
    found = videos(store)

    assert len(found) == 3
    assert reasons(store) == {}
    paths = {source_file(str(row["media_path"]), a_context(store, tmp_path)) for row in found.values()}
    assert {odd, long} <= paths


def test_a_file_that_its_disk_does_not_give_costs_itself(tmp_path: Path, folder: Path) -> None:
    (folder / "no_disk-0001.mp4").symlink_to("/proc/self/mem")

    store = run(tmp_path, folder)

    assert videos(store).keys() == {"abc_123-XYZ"}
    assert list(reasons(store).values()) == ["unreadable_input"]


def a_context(store: Store, tmp_path: Path) -> Context:
    return Context(store, tmp_path / "scratch", time.monotonic() + 60)
