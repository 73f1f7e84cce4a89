"""Fetching media through the real yt-dlp: 720p or nothing, and the right reason for whatever goes wrong."""

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from pydantic import Secret
from yt_dlp.utils import YoutubeDLError

from manifests.reasons import Reason
from miniyoutube.big_catalogue import one_of_each
from miniyoutube.misbehave import BEHAVIOURS, Fault
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig, IdentityConfig, MediaFormatConfig
from pipeline.config.media import CutConfig, MediaConfig, MediaLimits
from pipeline.engine.work.unit import Rejected, StopRun, Transient
from pipeline.media.probe import Starved
from pipeline.site import fetch as fetch_module
from pipeline.site.addresses import VIDEO_TRIES
from pipeline.site.asking import Turn
from pipeline.site.failures import DeadlinePassed, Failure, SeenRequest
from pipeline.site.fetch import Fetcher, check_media
from pipeline.site.formats import Choice
from pipeline.site.ytdlp import Session, no_token
from tests.pipeline.crawl.site import Road, config_for, hurried

FOR_OTHERS = frozenset({Reason.DECODE_ERRORS})  # what only a decode of every picture can say
AT_MEDIA = tuple(name for name, row in BEHAVIOURS.items() if name.startswith("media_") or row.expected.stage == "media")
SHAPES = ("portrait", "odd_height", "also_1080p", "dubbed")
REFUSED = ("only_480p", "only_progressive", "no_audio_format", "private", "removed", "live_unmarked", "sabr")


@pytest.fixture(scope="module")
def site() -> Iterator[MiniYouTube]:
    with MiniYouTube(one_of_each((*AT_MEDIA, *SHAPES, *REFUSED))) as started:
        yield started


def fetch(site: MiniYouTube, folder: Path, behaviour: str, config: CrawlConfig | None = None) -> Path:
    road = Road.at(folder, config or config_for(site))
    video = next(video for video in site.catalogue.videos if video.behaviour == behaviour)
    row = {"video_id": video.video_id, "media_path": "", "egress": "one", "duration_s": float(video.duration_s)}
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
        config = config_for(site, fetch_time_limit_s=4.0, ydl_opts=Secret(small_reads))
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


def test_the_original_sound_is_fetched_not_a_dub(site: MiniYouTube, tmp_path: Path) -> None:
    video = next(video for video in site.catalogue.videos if video.behaviour == "dubbed")
    fetch(site, tmp_path, "dubbed")
    voices = {request.query.get("xtags", "") for request in site.log.of("media", video_id=video.video_id)}
    assert not any("lang=de" in voice for voice in voices)


@pytest.mark.parametrize("behaviour", REFUSED)
def test_what_the_site_refuses_by_now_costs_no_media(site: MiniYouTube, tmp_path: Path, behaviour: str) -> None:
    with pytest.raises(Rejected) as error:
        fetch(site, tmp_path, behaviour)
    assert error.value.reason is BEHAVIOURS[behaviour].expected.reason
    video = next(video for video in site.catalogue.videos if video.behaviour == behaviour)
    assert not site.log.of("media", video_id=video.video_id)


def test_never_smaller_than_720p_however_the_fetch_is_configured(site: MiniYouTube, tmp_path: Path) -> None:
    config = config_for(site, media=MediaFormatConfig(codecs=("vp9",)))
    with pytest.raises(Rejected) as error:
        fetch(site, tmp_path, "media_503_retried", config)
    assert error.value.reason is Reason.UNSUPPORTED_CODEC


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


def test_a_slow_drip_is_given_up_after_a_minute_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(fetch_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def told(watch: Any, seconds: float, n_bytes: int | None, status: str = "downloading") -> None:
        now[0] += seconds
        watch({"status": status, "downloaded_bytes": n_bytes})

    steady = fetch_module._SpeedWatch(100.0)
    for second in range(0, 200, 10):
        told(steady, 10, second * 100)
    slow = fetch_module._SpeedWatch(100.0)
    told(slow, 0, None)
    told(slow, 30, 2999)
    told(slow, 30, 5999)
    with pytest.raises(DeadlinePassed, match="slower than 100 bytes a second"):
        told(slow, 0.1, 5999)
    for ends in (("finished", 9999), ("downloading", 5)):  # the next file, of which less has come
        watch = fetch_module._SpeedWatch(100.0)
        told(watch, 0, 10)
        told(watch, 59, 20)
        told(watch, 0.5, ends[1], ends[0])
        assert watch.seen == []
        told(watch, 1, 5)
        told(watch, 60, 6005)
    equal = fetch_module._SpeedWatch(100.0)
    told(equal, 0, 7)
    told(equal, 0, 7)
    assert len(equal.seen) == 2, "no progress is no new file"


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
    return SimpleNamespace(streams=listed, demux=lambda **_: iter(packets))


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


def a_fetch(tmp_path: Path, left_s: float = 1000.0, media: MediaConfig | None = None, **settings: Any) -> Any:
    """One fetch of a video by a configuration, with so much left of its unit's time."""
    config = CrawlConfig(**settings)
    context = SimpleNamespace(scratch=tmp_path, remaining_s=lambda: left_s)
    video = {"video_id": "v", "media_path": "", "egress": "one", "duration_s": 10.0}
    return fetch_module._Fetch(config, SimpleNamespace(), media or MediaConfig(), video, context)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("patience_s", "waits_s"), [(100.0, 100.0), (5000.0, 600.0)], ids=["as the settings say", "ten minutes at most"]
)
def test_how_long_and_how_often_a_video_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience_s: float, waits_s: float
) -> None:
    rules: list[Any] = []
    results: Iterator[Any] = iter([Path("film.mp4"), Failure(Reason.LIVE, "live")])

    def ask(self: Any, subject: str, attempt: Any, given: Any) -> Any:
        rules.append((subject, self.prefer, given))
        return next(results)

    monkeypatch.setattr(fetch_module.Asking, "ask", ask)
    fetching = a_fetch(tmp_path, politeness={"patience_s": patience_s, "later_s": 77.0})
    assert fetching.run() == Path("film.mp4")
    with pytest.raises(Rejected) as rejected:
        fetching.run()

    assert (rejected.value.reason, rejected.value.retry_after_s) == (Reason.LIVE, 77.0)
    subject, prefer, given = rules[0]
    config = fetching.config
    assert (subject, prefer, given.patience_s) == ("v", "one", waits_s)
    assert (given.limit_s, given.tries) == (config.fetch_time_limit_s, VIDEO_TRIES)
    assert given.heals == {Reason.TRUNCATED, Reason.BROKEN_MEDIA, Reason.NOT_A_VIDEO}


@pytest.mark.parametrize(("left_s", "ends_in_s"), [(1000.0, 50.0), (40.0, 30.0), (5.0, 1.0)])
def test_a_download_ends_ten_seconds_before_its_unit_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_s: float, ends_in_s: float
) -> None:
    monkeypatch.setattr(fetch_module, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    monkeypatch.setattr(fetch_module, "open_site", lambda options, session: nullcontext(options))
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(fetch_module, "extract_video", lambda site, video_id: asked.append(site) or {"_type": "url"})
    session = Session(no_token, 1050.0)
    turn = Turn(IdentityConfig(name="one"), (), session)

    failure = a_fetch(tmp_path, left_s)._attempt(turn)

    assert failure == Failure(Reason.PAYMENT_REQUIRED, "only a trailer is shown")
    assert session.deadline == 1000.0 + ends_in_s
    (options,) = asked
    assert (options["continuedl"], options["writesubtitles"], options["fixup"]) == (True, False, "never")


@pytest.mark.parametrize(("status", "is_wiped"), [(416, True), (503, False)])
def test_a_range_that_the_site_refuses_begins_the_download_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, is_wiped: bool
) -> None:
    def fail(site: Any, video_id: str) -> Any:
        session.requests.append(SeenRequest("media", "googlevideo.com", "/videoplayback", status))
        raise YoutubeDLError("odd")

    session = Session(no_token, 1e12)
    monkeypatch.setattr(fetch_module, "open_site", lambda options, session: nullcontext(options))
    monkeypatch.setattr(fetch_module, "extract_video", fail)
    fetching = a_fetch(tmp_path)
    fetching.staging.mkdir()
    (fetching.staging / "v.mp4.part").write_bytes(b"half")

    assert isinstance(fetching._attempt(Turn(IdentityConfig(name="one"), (), session)), Failure)
    assert list(fetching.staging.iterdir()) == ([] if is_wiped else [fetching.staging / "v.mp4.part"])


@pytest.mark.parametrize(
    ("info", "reason", "detail"),
    [
        ({"_type": "url_transparent"}, Reason.PAYMENT_REQUIRED, "trailer"),
        ({"live_status": "is_live", "formats": [1]}, Reason.LIVE, "is_live"),
        ({"live_status": "post_live", "formats": [1]}, Reason.LIVE, "post_live"),
        ({"live_status": "was_live", "formats": []}, Reason.FORMATS_HIDDEN, ""),
    ],
)
def test_what_can_be_told_before_any_media_is_asked_for(
    tmp_path: Path, info: dict[str, Any], reason: Reason, detail: str
) -> None:
    failure = a_fetch(tmp_path)._choose(info, Session(no_token, 0.0))

    assert failure.reason is reason and detail in failure.detail


@pytest.mark.parametrize(("over", "is_refused"), [(0, False), (1, True)])
def test_a_video_is_as_large_as_the_settings_allow_and_needs_room_for_twice_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: int, is_refused: bool
) -> None:
    fetching = a_fetch(tmp_path, media=MediaConfig(limits=MediaLimits(max_bytes=1 << 30)))
    choice = Choice("136+140", bytes_=(1 << 30) + over)
    free = [2 * (1 << 30) + 256 * 1024**2]
    monkeypatch.setattr(fetch_module, "judge_formats", lambda *_: choice)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    info = {"formats": [1]}

    made = fetching._choose(info, Session(no_token, 0.0))
    assert made.reason is Reason.OVERSIZED if is_refused else made is choice
    free[0] -= 1
    if not is_refused:
        with pytest.raises(StopRun, match=r"2303 MiB free under .*, 2304 needed"):
            fetching._choose(info, Session(no_token, 0.0))


class Site:
    """A yt-dlp that leaves files instead of asking for media."""

    def __init__(self, staging: Path, *files: str) -> None:
        self.staging, self.files, self.params = staging, files, {}  # type: ignore[var-annotated]
        self.session, self.asked, self.hooks = Session(no_token, 0.0), [], []  # type: ignore[var-annotated]

    def build_format_selector(self, text: str) -> str:
        return f"selects {text}"

    def add_progress_hook(self, hook: Any) -> None:
        self.hooks.append(hook)

    def process_ie_result(self, info: Any, download: bool) -> None:
        self.asked.append((info, download, self.session.own_hosts_only))
        for name in self.files:
            (self.staging / name).write_bytes(b"film")


def test_what_was_fetched_of_another_rendition_is_not_continued_and_what_is_wrong_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching, choice = a_fetch(tmp_path), Choice("136+140", ({"format_id": "136"},), bytes_=7)
    failures = iter([None, Failure(Reason.TRUNCATED, "short")])
    durations: list[float] = []
    monkeypatch.setattr(
        fetch_module, "check_media", lambda path, duration_s, cut: durations.append(duration_s) or next(failures)
    )
    fetching.staging.mkdir()
    (fetching.staging / "other.part").write_bytes(b"of another")
    site = Site(fetching.staging, "v.mp4", "v.f140.m4a.part", "v.ytdl")

    assert fetching._download(site, {"duration": 9.0}, choice) == fetching.staging / "v.mp4"
    assert not (fetching.staging / "other.part").exists() and (fetching.staging / "v.ytdl").exists()
    assert site.params["format"] == "136+140" and site.format_selector == "selects 136+140"  # type: ignore[attr-defined]
    assert site.asked == [({"duration": 9.0, "formats": [{"format_id": "136"}]}, True, True)] and len(site.hooks) == 1
    (fetching.staging / "kept.part").write_bytes(b"of this one")
    assert fetching._download(site, {}, choice).reason is Reason.TRUNCATED
    assert list(fetching.staging.iterdir()) == [] and fetching.staged == ("", 0)
    assert durations == [9.0, 10.0], "as the site says, or said before"
    two = fetching._download(Site(fetching.staging, "a.mp4", "b.mp4"), {}, choice)
    assert two == Failure(Reason.BAD_ANSWER, "the download left 2 files")
    assert fetching._download(Site(fetching.staging), {}, replace(choice, bytes_=8)).detail.endswith("left 0 files")
