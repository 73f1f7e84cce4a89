"""Fetching media through the real yt-dlp: 720p or nothing, and the right reason for whatever goes wrong."""

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from pydantic import Secret

from manifests.reasons import Reason
from miniyoutube.faults import Fault
from miniyoutube.misbehave import BEHAVIOURS, EDITED
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig, MediaFormatConfig
from pipeline.config.media import CutConfig
from pipeline.engine.work.unit import Rejected, StopRun, Transient
from pipeline.media.probe import Starved
from pipeline.site import fetch as fetch_module
from pipeline.site.fetch import Fetcher, change_of, check_media
from tests.miniyoutube.catalogues import one_of_each
from tests.miniyoutube.client import extract
from tests.pipeline.crawl.site import Road, config_for, hurried

FOR_OTHERS = frozenset({Reason.DECODE_ERRORS})  # what only a decode of every picture can say
AT_MEDIA = tuple(
    name
    for name, row in BEHAVIOURS.items()
    if name.startswith("media_") or (row.expected.stage == "media" and name not in EDITED)
)
SHAPES = ("portrait", "odd_height", "also_1080p", "dubbed", "english_dub")
REFUSED = ("only_480p", "only_progressive", "no_audio_format", "private", "removed", "live_unmarked", "sabr")


@pytest.fixture(scope="module")
def site() -> Iterator[MiniYouTube]:
    with MiniYouTube(one_of_each((*AT_MEDIA, *SHAPES, *REFUSED, "trimmed"))) as started:
        yield started


def fetch(
    site: MiniYouTube, folder: Path, behaviour: str, config: CrawlConfig | None = None, language: str = "en"
) -> Path:
    road = Road.at(folder, config or config_for(site))
    video = next(video for video in site.catalogue.videos if video.behaviour == behaviour)
    row: dict[str, Any] = {"video_id": video.video_id, "media_path": "", "egress": "one", "language": language}
    row |= {"duration_s": float(video.duration_s), "upload_date": video.upload_date.replace("-", "")}
    row |= {"audio_format": "", "audio_bytes": -1}
    return Fetcher(road.config, road.polite)(row, road.context())


def size_of(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return context.width, context.height


@pytest.mark.parametrize(
    "behaviour", [pytest.param(n, marks=pytest.mark.slow) if BEHAVIOURS[n].slow else n for n in AT_MEDIA]
)
def test_each_way_to_go_wrong_at_the_media_ends_as_the_table_says(
    site: MiniYouTube, tmp_path: Path, behaviour: str
) -> None:
    expected = BEHAVIOURS[behaviour].expected
    config = config_for(site)
    if BEHAVIOURS[behaviour].slow:
        small_reads = {
            **config.ydl_opts.get_secret_value(),
            "buffersize": 64,
            "noresizebuffer": True,
            "socket_timeout": 1.0,
        }
        config = config_for(site, fetch_time_limit_s=1.5, ydl_opts=Secret(small_reads))
    if expected.kept_in_the_end or expected.reason in FOR_OTHERS:
        assert size_of(fetch(site, tmp_path, behaviour, config)) == (1280, 720)
        return
    with pytest.raises(Rejected) as error:
        fetch(site, tmp_path, behaviour, config)
    assert error.value.reason is expected.reason
    video = next(video for video in site.catalogue.videos if video.behaviour == behaviour)
    counts = site.log.per_video()[video.video_id]
    assert counts["watch"] == 2  # one more extraction, since that may heal it
    assert counts["media"] <= 8


@pytest.mark.parametrize(
    ("behaviour", "size"),
    [("portrait", (720, 1280)), ("odd_height", (1280, 718)), ("also_1080p", (1280, 720)), ("dubbed", (1280, 720))],
)
def test_720p_is_taken_in_every_shape(site: MiniYouTube, tmp_path: Path, behaviour: str, size: tuple[int, int]) -> None:
    assert size_of(fetch(site, tmp_path, behaviour)) == size


@pytest.mark.parametrize(
    ("behaviour", "language", "voice"), [("dubbed", "en", "en"), ("english_dub", "es", "es"), ("english_dub", "", "es")]
)
def test_the_original_sound_is_fetched_not_a_dub(
    site: MiniYouTube, tmp_path: Path, behaviour: str, language: str, voice: str
) -> None:
    video = next(video for video in site.catalogue.videos if video.behaviour == behaviour)
    before = len(site.log.of("media", video_id=video.video_id))
    fetch(site, tmp_path, behaviour, language=language)
    media = site.log.of("media", video_id=video.video_id)[before:]
    assert {request.query["voice"] for request in media if request.itag == "140"} == {voice}


def test_a_film_that_was_edited_since_it_was_looked_at_is_not_cut_with_its_old_text(
    site: MiniYouTube, tmp_path: Path
) -> None:
    video = next(video for video in site.catalogue.videos if video.behaviour == "trimmed")
    assert extract(site, video.video_id)["duration"] == video.duration_s
    with pytest.raises(
        Rejected, match=f"{video.duration_s} s long when it was looked at, {video.duration_s - 5}"
    ) as error:
        fetch(site, tmp_path, "trimmed")
    assert error.value.reason is BEHAVIOURS["trimmed"].expected.reason
    assert not site.log.of("media", video_id=video.video_id)


LOOKED_AT = {"duration_s": 20.4, "upload_date": "20240501", "audio_format": "140", "audio_bytes": 900}


@pytest.mark.parametrize(
    ("now", "is_changed"),
    [
        ({"duration": 21, "upload_date": "20240501"}, False),
        ({}, False),
        ({"duration": 22}, True),
        ({"duration": 20, "upload_date": "20240601"}, True),
        ({"formats": [{"format_id": "140", "filesize": 901}, {"format_id": "136", "filesize": 900}]}, True),
        ({"formats": [{"format_id": "140", "filesize": 900}, {"format_id": "140", "filesize": 7}]}, False),
        ({"formats": [{"format_id": "140"}, {"format_id": "251", "filesize": 7}]}, False),
    ],
)
def test_an_edited_film_shows_in_its_length_day_or_audio(now: dict[str, Any], is_changed: bool) -> None:
    """Lengths within a rounding, other formats, and what nobody knows are no change."""
    assert bool(change_of(now, LOOKED_AT)) is is_changed
    assert not change_of(now, {"duration_s": 0.0, "upload_date": "", "audio_format": "", "audio_bytes": -1})


@pytest.mark.parametrize("behaviour", REFUSED)
def test_what_the_site_refuses_by_now_costs_no_media(site: MiniYouTube, tmp_path: Path, behaviour: str) -> None:
    with pytest.raises(Rejected) as error:
        fetch(site, tmp_path, behaviour)
    assert error.value.reason is BEHAVIOURS[behaviour].expected.reason
    video = next(video for video in site.catalogue.videos if video.behaviour == behaviour)
    assert not site.log.of("media", video_id=video.video_id)


def test_a_verdict_told_to_who_is_shown_nothing_is_for_now(
    site: MiniYouTube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module.Asking, "unbelieved", lambda asking, rules: {"it"})
    with pytest.raises(Rejected, match="the site shows nothing to who asked: ") as error:
        fetch(site, tmp_path, "private")
    assert error.value.reason is Reason.UNKNOWN_ANSWER


def test_never_smaller_than_720p_however_the_fetch_is_configured(site: MiniYouTube, tmp_path: Path) -> None:
    config = config_for(site, media=MediaFormatConfig(codecs=("vp9",)))
    with pytest.raises(Rejected) as error:
        fetch(site, tmp_path, "media_503_retried", config)
    assert error.value.reason is Reason.UNSUPPORTED_CODEC


def test_fetches_of_an_identity_share_a_session_and_what_it_knows_of_the_player(
    site: MiniYouTube, tmp_path: Path
) -> None:
    names = ("also_1080p", "odd_height", "portrait")
    ids = {video.video_id for video in site.catalogue.videos if video.behaviour in names}
    site.misbehave(Fault("watch", "challenge"), Fault("player", "challenge"))
    site.log.clear()
    try:
        for behaviour in names:
            fetch(site, tmp_path / behaviour, behaviour)
    finally:
        site.relent()
    assert len(site.log.of("script")) == 1
    media = [request for request in site.log.of("media") if request.video_id in ids]
    assert all(request.status == 206 and "n" in request.query for request in media) and len(media) == 6


def test_addresses_are_never_reused_after_a_403(site: MiniYouTube, tmp_path: Path) -> None:
    video = next(video for video in site.catalogue.videos if video.behaviour == "media_403_once")
    site.site.faults.relent(video.video_id)
    site.misbehave(Fault("media", "status", status=403, requests=1))
    fetch(site, tmp_path, "media_403_once")
    media = site.log.of("media", video_id=video.video_id)
    refused = {request.generation for request in media if request.status == 403}
    served = {request.generation for request in media if request.status in (200, 206)}
    assert refused
    assert not refused & served
    site.relent()


def test_one_identity_goes_from_the_extraction_to_the_last_byte(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("media_503_retried",))) as site:
        config = config_for(site, identities=("one", "two"))
        fetch(site, tmp_path, "media_503_retried", config)
        video = next(video for video in site.catalogue.videos if video.behaviour == "media_503_retried")
        assert {request.identity for request in site.log.of(video_id=video.video_id)} == {"one"}


def test_while_everybody_rests_the_unit_goes_back_to_the_engine(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("media_503_retried",)), draw="lazily") as site:
        site.misbehave(Fault("player", "bot_check"))
        config = config_for(site, politeness=hurried(pauses_s=(30.0,), patience_s=0.1))
        with pytest.raises(Transient) as error:
            fetch(site, tmp_path, "media_503_retried", config)
        assert error.value.wait_s > 20


def test_a_full_disk_stops_the_run(site: MiniYouTube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StopRun) as error:
        fetch(site, tmp_path, "also_1080p")
    assert error.value.reason is Reason.NO_DISK


def test_an_interrupted_download_goes_on_where_it_stopped(site: MiniYouTube, tmp_path: Path) -> None:
    video = next(video for video in site.catalogue.videos if video.behaviour == "media_drop_once")
    site.site.faults.relent(video.video_id)
    before = site.log.bytes_of(video.video_id)
    path = fetch(site, tmp_path, "media_drop_once")
    whole = site.log.bytes_of(video.video_id) - before
    assert whole <= path.stat().st_size * 1.2 + 20_000


def test_a_file_with_short_sound_is_told_by_its_packets(site: MiniYouTube, tmp_path: Path) -> None:
    path = fetch(site, tmp_path, "also_1080p")
    with av.open(str(path)) as container:
        duration_s = float(container.duration or 0) / av.time_base
    assert check_media(path, duration_s, CutConfig()) is None
    longer = check_media(path, duration_s + 10, CutConfig())
    assert longer
    assert longer.reason is Reason.TRUNCATED
    path.write_bytes(path.read_bytes()[:100])
    broken = check_media(path, duration_s, CutConfig())
    assert broken
    assert broken.reason is Reason.NOT_A_VIDEO


def test_a_file_that_is_on_disk_already_is_taken_as_it_is(site: MiniYouTube, tmp_path: Path) -> None:
    road = Road.at(tmp_path, config_for(site))
    row = {"video_id": "x", "media_path": "/somewhere/film.mp4", "egress": "", "duration_s": 1.0}
    assert Fetcher(road.config, road.polite)(row, road.context()) == Path("/somewhere/film.mp4")


def a_container(width: int = 1280, height: int = 720, ends_s: tuple[float, ...] = (10.0, 10.0), **more: Any) -> Any:
    """A file with such pictures, whose tracks' last packets end then."""
    context = SimpleNamespace(width=width, height=height)
    streams = [SimpleNamespace(type=kind, codec_context=context) for kind in ("video", "audio", "data")]
    packets = [SimpleNamespace(pts=None, duration=None, time_base=0.5, stream=streams[0])]
    for stream, end_s in zip(streams, ends_s, strict=False):
        for pts, duration in ((int(2 * end_s) - 4, 4), (int(2 * end_s) - 8, None)):  # not in the order of time
            packets.append(SimpleNamespace(pts=pts, duration=duration, time_base=0.5, stream=stream))
    by_kind = {"video": streams[:1], "audio": streams[1:2], **more}
    listed = _Streams(stream for stream in streams if by_kind.get(stream.type, True))
    listed.video, listed.audio = by_kind["video"], by_kind["audio"]
    return SimpleNamespace(streams=listed, demux=lambda *_: iter(packets))


class _Streams(list[Any]):
    video: list[Any]
    audio: list[Any]


@pytest.mark.parametrize(
    ("container", "duration_s", "reason", "said"),
    [
        (a_container(), 10.0, None, ""),
        (a_container(), 12.0, None, ""),
        (a_container(), 12.1, Reason.TRUNCATED, "audio ends at 10.0 s of 12.1 s"),
        (a_container(ends_s=(10.0, 12.5)), 12.6, Reason.TRUNCATED, "video ends at 10.0 s of 12.6 s"),
        (a_container(ends_s=(980.0, 980.0)), 1000.0, None, ""),
        (a_container(ends_s=(979.5, 980.0)), 1000.0, Reason.TRUNCATED, "video ends at 979.5 s"),
        (a_container(width=854, height=480), 10.0, Reason.NO_720P, "came as 854x480"),
        (a_container(video=[]), 10.0, Reason.NOT_A_VIDEO, "no video track"),
        (a_container(audio=[]), 10.0, Reason.NO_AUDIO_FORMAT, "no audio track"),
        (a_container(video=[SimpleNamespace(codec_context=None)]), 10.0, Reason.UNSUPPORTED_CODEC, "without a decoder"),
    ],
)
def test_a_file_is_what_was_asked_for_or_its_reason_is_given(
    monkeypatch: pytest.MonkeyPatch, container: Any, duration_s: float, reason: Reason | None, said: str
) -> None:
    monkeypatch.setattr(fetch_module, "open_media", lambda *_: nullcontext(container))
    failure = check_media(Path("film.mp4"), duration_s, CutConfig())

    assert (failure.reason if failure else None) is reason
    assert not failure or said in failure.detail


def test_a_disk_too_slow_to_open_a_file_from_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any) -> Any:
        raise Starved("opening it took more than 60 s by the clock")

    monkeypatch.setattr(fetch_module, "open_media", slow)
    failure = check_media(Path("film.mp4"), 10.0, CutConfig())
    assert failure and failure.reason is Reason.TIMEOUT and "opening it" in failure.detail
