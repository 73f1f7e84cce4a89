"""What the real yt-dlp hides, made visible: statuses, warnings, deadlines, secrets."""

import contextlib
import functools
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yt_dlp
from pydantic import Secret, SecretStr
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError, RequestError

from manifests.reasons import Reason
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import IdentityConfig
from pipeline.site.failures import A_PAGE, AfterRefusal, DeadlinePassed, classify
from pipeline.site.options import options_for
from pipeline.site.ytdlp import (
    IdentityPaused,
    RecordingYoutubeDL,
    Session,
    extract_video,
    kind_of,
    list_entries,
    no_token,
    open_site,
    read_caption,
    upload_date_of,
)
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import YDL_OPTS, asking_as, config_for

NAMES = ("player_429_once", "watch_429_once", "kids", "captions_locked", "player_stall", "private")


@pytest.fixture
def site() -> Iterator[MiniYouTube]:
    with MiniYouTube(one_of_each(NAMES), draw="lazily") as started:
        yield started


def session(limit_s: float = 30.0, take: Any = no_token) -> Session:
    return Session(take, time.monotonic() + limit_s)


def opened(site: MiniYouTube, work: Session, **settings: Any) -> RecordingYoutubeDL:
    config = config_for(site, **settings)
    return open_site(options_for(config, config.pool()[0]), work)


def video_id(site: MiniYouTube, behaviour: str) -> str:
    return next(video.video_id for video in site.catalogue.videos if video.behaviour == behaviour)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.youtube.com/watch?v=x", ("youtube.com", "page", "/watch")),
        ("https://www.youtube.com/youtubei/v1/player?key=x", ("youtube.com", "player", "/youtubei/v1/player")),
        ("https://www.youtube.com/youtubei/v1/search", ("youtube.com", "list", "/youtubei/v1/search")),
        ("https://www.youtube.com/api/timedtext?v=x", ("youtube.com", "caption", "/api/timedtext")),
        ("https://rr3---sn-x.googlevideo.com/videoplayback?sig=x", ("googlevideo.com", "media", "/videoplayback")),
        ("https://www.youtube.com/", ("youtube.com", "list", "/")),
        ("https://www.youtube.com", ("youtube.com", "list", "")),
        ("https://www.youtube.com/youtubei/v1/next", ("youtube.com", "player", "/youtubei/v1/next")),
        ("https://www.youtube.com/embed/x", ("youtube.com", "page", "/embed/x")),
        ("https://www.youtube.com/@someone/videos", ("youtube.com", "list", "/@someone/videos")),
        ("https://www.youtube.com/tv", ("youtube.com", "other", "/tv")),
        ("https://www.youtube.com/s/player/abc/base.js", ("youtube.com", "other", "/s/player/abc/base.js")),
        ("https://i.ytimg.com/vi/x/0.jpg", ("ytimg.com", "other", "/vi/x/0.jpg")),
    ],
)
def test_every_request_has_a_host_and_a_kind_and_loses_its_query(url: str, expected: tuple[str, str, str]) -> None:
    assert kind_of(url) == expected


def test_after_a_429_no_further_request_leaves_though_yt_dlp_would_go_on(site: MiniYouTube) -> None:
    work = session()
    with opened(site, work, ydl_opts=asking_as("visionos")) as ydl, pytest.raises(AfterRefusal):
        extract_video(ydl, video_id(site, "watch_429_once"))
    assert [seen.status for seen in work.requests] == [429]
    assert len(site.log) == 1
    assert classify(work.evidence()).reason is Reason.RATE_LIMITED


def test_a_player_429_hides_behind_no_formats_and_is_found(site: MiniYouTube) -> None:
    work = session()
    with opened(site, work) as ydl, contextlib.suppress(AfterRefusal):
        assert not extract_video(ydl, video_id(site, "player_429_once")).get("formats")
    assert classify(work.evidence(text="No video formats found!")).reason is Reason.RATE_LIMITED


def test_every_request_takes_a_token(site: MiniYouTube) -> None:
    taken: list[tuple[str, str]] = []
    work = session(take=lambda host, kind: taken.append((host, kind)) or 0.0)  # type: ignore[func-returns-value]
    with opened(site, work) as ydl:
        extract_video(ydl, video_id(site, "kids"))
    assert len(taken) == len(work.requests) == len(site.log)
    assert ("youtube.com", "page") in taken
    assert ("youtube.com", "player") in taken


def test_an_identity_that_is_paused_ends_the_work_before_the_next_request(site: MiniYouTube) -> None:
    answers = iter([0.0, 77.0])
    work = session(take=lambda *_: next(answers))
    with opened(site, work) as ydl, pytest.raises(IdentityPaused) as error:
        extract_video(ydl, video_id(site, "kids"))
    assert error.value.seconds == 77.0
    assert len(site.log) == 1


def test_a_stall_ends_at_the_deadline_though_yt_dlp_would_go_on(site: MiniYouTube) -> None:
    work = session(limit_s=1.5)
    started = time.monotonic()
    options = Secret({**YDL_OPTS, "socket_timeout": 1.0, "retries": 50, "extractor_retries": 50})
    with opened(site, work, ydl_opts=options) as ydl, pytest.raises(DeadlinePassed):
        extract_video(ydl, video_id(site, "player_stall"))
    assert time.monotonic() - started < 20


def test_waiting_for_a_token_does_not_count_towards_the_deadline() -> None:
    work = session(limit_s=0.2, take=lambda *_: time.sleep(0.3) or 0.0)  # type: ignore[func-returns-value]
    work.wait_for_token("youtube.com", "page")
    work.check_deadline()


def test_made_for_kids_and_locked_captions_are_seen(site: MiniYouTube) -> None:
    kids, locked = session(), session()
    with opened(site, kids) as ydl:
        extract_video(ydl, video_id(site, "kids"))
        ydl.begin(locked)
        info = extract_video(ydl, video_id(site, "captions_locked"))
    assert (kids.made_for_kids, kids.captions_locked) == (True, False)
    assert (locked.made_for_kids, locked.captions_locked) == (False, True)
    assert not info["subtitles"]


def test_a_list_gives_its_entries_a_page_at_a_time(site: MiniYouTube) -> None:
    work = session()
    with opened(site, work) as ydl:
        entries = list_entries(ydl, "https://www.youtube.com/results?search_query=lecture")
        first = next(entries)
    assert len(first["id"]) == 11
    assert len(site.log.of("search")) == 1


def test_the_users_cookie_file_is_read_and_never_written(site: MiniYouTube, tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    cookie = ".youtube.com\tTRUE\t/\tTRUE\t4102444800\tPREF\tplanted-secret"
    path.write_text(f"# Netscape HTTP Cookie File\n{cookie}\n")
    before = path.read_bytes(), path.stat().st_mtime_ns
    who = IdentityConfig(name="one", proxy=SecretStr(site.proxy_url), cookies=path)
    config = config_for(site)
    with open_site(options_for(config, who), session()) as ydl:
        assert any(found.value == "planted-secret" or found.name == "PREF" for found in ydl.cookiejar)
        extract_video(ydl, video_id(site, "kids"))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_upload_dates_are_days_in_utc() -> None:
    assert upload_date_of({"timestamp": 1_714_521_600}) == "20240501"
    assert upload_date_of({"upload_date": "20200102", "timestamp": 1}) == "20200102"
    assert upload_date_of({}) == ""


def test_settings_never_show_their_secrets(site: MiniYouTube) -> None:
    config = config_for(site).model_copy(
        update={
            "ydl_opts": Secret({"http_headers": {"X-Token": "planted-1"}}),
            "proxy": SecretStr("http://u:planted-2@h"),
        }
    )
    shown = repr(config) + str(config.model_dump()) + config.model_dump_json()
    assert "planted" not in shown


def a_site(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> tuple[RecordingYoutubeDL, list[str]]:
    """yt-dlp whose requests are answered in turn, and the addresses that it asks for."""
    asked: list[str] = []
    answer = iter(answers)

    def urlopen(self: Any, request: Any) -> Any:
        asked.append(request.url)
        made = next(answer)
        if isinstance(made, Exception):
            raise made
        return made

    monkeypatch.setattr(yt_dlp.YoutubeDL, "urlopen", urlopen)
    return RecordingYoutubeDL({"quiet": True}, session()), asked


def response(body: bytes = b"", url: str = "https://www.youtube.com/x", status: int = 200, **headers: str) -> Response:
    return Response(io.BytesIO(body), url, headers, status)


MEDIA = "https://rr1---sn-x.googlevideo.com/videoplayback"


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Log in", b'\xef\xbb\xbf{"error":{}}', b" <?xml version='1.0'?>"])
def test_a_page_in_place_of_media_is_told_by_its_first_bytes(monkeypatch: pytest.MonkeyPatch, page: bytes) -> None:
    ydl, _ = a_site(monkeypatch, response(page))
    with pytest.raises(RequestError):
        ydl.urlopen(MEDIA)
    assert [(seen.status, seen.error) for seen in ydl.session.requests] == [(200, A_PAGE)]


def test_the_first_bytes_of_media_are_read_like_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    body = bytes(range(256)) * 8
    ydl, _ = a_site(monkeypatch, response(body), response(body), response(b""))
    assert ydl.urlopen(MEDIA).read() == body
    pieces = iter(functools.partial(ydl.urlopen(MEDIA).read, 100), b"")
    assert b"".join(pieces) == body
    assert ydl.urlopen(MEDIA).read() == b""


def moved(to: str) -> HTTPError:
    return HTTPError(response(status=302, url="https://www.youtube.com/api/timedtext", Location=to))


def test_captions_come_from_the_sites_own_hosts_after_five_hops_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    own = "https://www.youtube.com/api/timedtext"
    ydl, asked = a_site(monkeypatch, moved(own), moved(own), moved(own), moved(own), response(b"0123456789", own))
    assert read_caption(ydl, own, 4) == b"01234" and len(asked) == 5
    assert not ydl.session.own_hosts_only
    ydl, asked = a_site(monkeypatch, *[moved(own)] * 9)
    with pytest.raises(RequestError, match="redirected too often"):
        read_caption(ydl, own, 4)
    assert len(asked) == 5
    ydl, asked = a_site(monkeypatch, moved("https://elsewhere.example/x"))
    with pytest.raises(RequestError):
        read_caption(ydl, own, 4)
    assert len(asked) == 1
    ydl, _ = a_site(monkeypatch, HTTPError(response(status=404)))
    with pytest.raises(HTTPError):
        read_caption(ydl, own, 4)
    ydl, asked = a_site(monkeypatch)
    with pytest.raises(RequestError):
        read_caption(ydl, "https://elsewhere.example/x", 4)
    assert asked == []
    hop = moved(own)
    ydl, _ = a_site(monkeypatch, hop, response(b"0", own))
    assert read_caption(ydl, own, 4) == b"0" and hop.response.closed
    ydl, asked = a_site(monkeypatch, response(url="https://elsewhere.example/x"))
    with pytest.raises(RequestError):
        read_caption(ydl, own, 4)


class Fake:
    """A guest session that notes what is asked of it."""

    is_old = False

    def __init__(self, *infos: Any) -> None:
        self.infos, self.asked, self.begun, self.is_closed = iter(infos), [], [], False  # type: ignore[var-annotated]

    def begin(self, work: Session) -> None:
        self.begun.append(work)

    def close(self) -> None:
        self.is_closed = True

    def extract_info(self, url: str, **more: Any) -> Any:
        self.asked.append((url, more))
        made = next(self.infos)
        if isinstance(made, Exception):
            raise made
        return made


def entries(*infos: Any) -> tuple[list[Any], Fake]:
    fake = Fake(*infos)
    return list(list_entries(fake, "https://www.youtube.com/@a")), fake  # type: ignore[arg-type]
