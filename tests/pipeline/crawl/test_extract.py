"""What is charged to a video, to who asked, and to nobody: through the real yt-dlp, on the mini-YouTube."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from manifests.reasons import Reason
from miniyoutube.catalogue import Catalogue
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig, IdentityConfig, LimitsConfig
from pipeline.config.media import CutConfig
from pipeline.config.sources import ListsConfig
from pipeline.crawl.extract import Extractor, FoundVideo, check_payload
from pipeline.crawl.limits import spoken_language
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.work.executor import SharedHere
from pipeline.engine.work.unit import StopRun
from pipeline.site.failures import Failure
from pipeline.site.options import options_for
from pipeline.site.politeness import Politeness
from pipeline.site.ytdlp import Session, extract_video, no_token, open_site
from pipeline.text.captions.markup import MAX_BYTES
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, asking_as, config_for, hurried

EDUCATION = 27
ONE_LOOK = {"watch": 1, "player": 1}
ONE_PLAYER = asking_as("visionos")
"""Without it, the number of player requests depends on whether there is a JavaScript runtime."""


VERDICTS: list[tuple[str, Reason | None, dict[str, int]]] = [
    ("dub_recognised", None, {"watch": 1, "player": 1, "captions": 1}),
    ("english_dub", Reason.WRONG_LANGUAGE, ONE_LOOK),
    ("geo", Reason.GEO_BLOCKED, ONE_LOOK),
    ("geo_copyright", Reason.GEO_BLOCKED, ONE_LOOK),
    ("legal", Reason.GEO_BLOCKED, ONE_LOOK),
    ("copyright", Reason.UNAVAILABLE, ONE_LOOK),
    ("live_unmarked", Reason.LIVE, ONE_LOOK),
    ("post_live", Reason.LIVE, ONE_LOOK),
    ("premiere", Reason.UPCOMING, ONE_LOOK),
    ("upcoming_unmarked", Reason.UPCOMING, ONE_LOOK),
    ("no_length", Reason.BAD_ANSWER, {"watch": 2, "player": 2}),
    ("captions_404", Reason.CAPTIONS_REFUSED, {"watch": 1, "player": 1, "captions": 2}),
    ("manual_gone", None, {"watch": 1, "player": 1, "captions": 2}),
    ("restricted", Reason.RESTRICTED_NETWORK, {"watch": 2, "player": 2}),
    ("captions_html", Reason.CAPTIONS_REFUSED, {"watch": 2, "player": 2, "captions": 4}),
    ("captions_xml", Reason.CAPTIONS_REFUSED, {"watch": 2, "player": 2, "captions": 4}),
    ("captions_error", Reason.CAPTIONS_REFUSED, {"watch": 2, "player": 2, "captions": 4}),
    ("captions_bom", None, {"watch": 1, "player": 1, "captions": 1}),
]


class Desk:
    """An extractor over a site, and the politeness that it obeys."""

    def __init__(self, site: MiniYouTube, config: CrawlConfig) -> None:
        rates = {identity.name: identity.videos_per_hour for identity in config.pool()}
        self.site, self.config = site, config
        self.polite = SharedHere(Politeness(config.politeness, rates))
        self.extractor = Extractor(config, self.polite, CutConfig())

    def look_at(self, behaviour: str) -> FoundVideo | Failure:
        return self.extractor.look_at(self.id_of(behaviour), EDUCATION)

    def id_of(self, behaviour: str) -> str:
        return next(video.video_id for video in self.site.catalogue.videos if video.behaviour == behaviour)

    def requests(self, behaviour: str) -> dict[str, int]:
        return dict(self.site.log.per_video()[self.id_of(behaviour)])

    def reason(self, behaviour: str) -> Reason | None:
        found = self.look_at(behaviour)
        return found.reason if isinstance(found, Failure) else None

    def paused(self) -> list[str]:
        return [one["name"] for one in self.polite.snapshot()["identities"] if one["paused_s"] > 0]


@pytest.fixture(scope="module")
def everything() -> Iterator[MiniYouTube]:
    """A site with a video of each behaviour that is looked at here."""
    others = "kids", "private", "only_480p", "joint_only", "only_progressive", "upcoming_unmarked", "captions_429_once"
    names = {*(row[0] for row in VERDICTS), *others, "watch_429_once"} - {"good"}
    with MiniYouTube(one_of_each(sorted(names)), draw="lazily") as site:
        yield site


@pytest.fixture
def desk(everything: MiniYouTube) -> Callable[..., Desk]:
    """Makes a desk over it, with these settings."""
    everything.relent()
    everything.log.clear()
    return lambda **settings: Desk(everything, config_for(everything, **settings))


@pytest.mark.parametrize(("behaviour", "reason", "requests"), VERDICTS)
def test_each_behaviour_has_its_verdict_and_costs_no_more_requests_than_it_is_worth(
    behaviour: str, reason: Reason | None, requests: dict[str, int], desk: Callable[..., Desk]
) -> None:
    here = desk(ydl_opts=ONE_PLAYER)
    assert here.reason(behaviour) is reason
    assert here.requests(behaviour) == requests


@pytest.mark.parametrize("behaviour", ["live_unmarked", "post_live", "premiere"])
def test_where_recordings_of_streams_are_taken_one_that_has_not_ended_is_looked_at_later(
    behaviour: str, desk: Callable[..., Desk]
) -> None:
    allowed = LimitsConfig(min_duration_s=5, allow_live=True)
    here = desk(limits=allowed, ydl_opts=ONE_PLAYER)
    assert here.reason(behaviour) is Reason.UPCOMING
    assert here.requests(behaviour) == ONE_LOOK


def test_a_premiere_is_looked_at_again_when_it_begins(desk: Callable[..., Desk]) -> None:
    here = desk()
    found = here.look_at("upcoming_unmarked")
    assert isinstance(found, Failure) and found.wait_s == 10 * 3600


def test_text_of_the_automatic_track_says_so_where_the_manual_one_did_not_come(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("manual_gone",)), draw="lazily") as site:
        road = Road.at(tmp_path, config_for(site)).crawl({EDUCATION: 10.0})
        flags = {site.catalogue.by_id[video_id].behaviour: row["flags"] for video_id, row in road.kept.items()}
    assert flags == {"good": "[]", "manual_gone": '["without_manual_captions"]'}
    captions = road.store.read_table("captions").to_pylist()
    assert {row["kind"] for row in captions if row["video_id"] == site.catalogue.videos[1].video_id} == {"auto"}


def test_made_for_kids_is_a_field_of_the_page_and_no_words_of_a_title() -> None:
    wanted = LimitsConfig(min_duration_s=5, allow_made_for_kids=False)
    plain = one_of_each(("kids",))
    talk = replace(plain.videos[0], title="How films made for kids are drawn")
    with MiniYouTube(Catalogue((talk, plain.videos[1])), draw="lazily") as site:
        here = Desk(site, config_for(site, limits=wanted))
        assert here.reason("good") is None
        assert here.reason("kids") is Reason.MADE_FOR_KIDS


@pytest.mark.parametrize(
    ("behaviour", "languages", "spoken"),
    [
        ("dub_recognised", ("en",), "en"),
        ("dub_recognised", (), "en"),
        ("english_dub", ("es",), "es"),
        ("english_dub", (), "es"),
        ("english_dub", ("en", "es"), "es"),
    ],
)
def test_the_words_are_in_the_language_of_the_original_sound(
    behaviour: str, languages: tuple[str, ...], spoken: str, desk: Callable[..., Desk]
) -> None:
    here = desk(limits=LimitsConfig(min_duration_s=5, languages=languages))
    found = here.look_at(behaviour)
    assert isinstance(found, FoundVideo)
    assert spoken_language(found.info) == spoken
    assert [row["track"] for row in found.captions] == [f"{spoken}-orig"]


def test_yt_dlps_sentence_on_po_tokens_pauses_nobody_and_hides_no_verdict(desk: Callable[..., Desk]) -> None:
    """A client whose formats need a token, before others: a warning that speaks of a 403, and all answers 200."""
    here = desk(ydl_opts=asking_as("mweb", "default"))
    config = here.config
    session = Session(no_token, time.monotonic() + 30)
    with open_site(options_for(config, config.pool()[0]), session) as ydl:
        extract_video(ydl, here.id_of("only_480p"))
    assert any("may yield HTTP Error 403" in warning for warning in session.warnings)
    assert here.reason("only_480p") is Reason.NO_720P
    assert here.reason("good") is None
    assert here.polite.snapshot()["identities"][0]["refusals"] == 0
    assert {request.status for request in here.site.log} == {200}


def test_a_missing_side_page_is_no_verdict(desk: Callable[..., Desk]) -> None:
    here = desk(ydl_opts=asking_as("tv"))
    here.site.misbehave(Fault("home", "status", status=404), Fault("embed", "status", status=404))
    assert here.reason("private") is Reason.PRIVATE
    assert 404 in {request.status for request in here.site.log}


def test_a_joint_file_alone_is_no_missing_720p_where_the_page_lists_it(desk: Callable[..., Desk]) -> None:
    here = desk()
    assert here.reason("joint_only") is Reason.FORMATS_HIDDEN
    assert here.reason("only_progressive") is Reason.NO_720P


def test_after_a_429_nothing_more_is_asked_in_that_extraction(desk: Callable[..., Desk]) -> None:
    here = desk(politeness=hurried(pauses_s=(60.0,), patience_s=0.0))
    assert here.reason("watch_429_once") is Reason.RATE_LIMITED
    assert [request.status for request in here.site.log if request.kind != "home"] == [429]


def test_a_video_with_refused_captions_is_offered_to_another_identity(desk: Callable[..., Desk]) -> None:
    here = desk(identities=("one", "two"))
    video_id = here.id_of("captions_429_once")
    found = here.look_at("captions_429_once")
    assert isinstance(found, FoundVideo)
    asked = here.site.log.of("captions", video_id=video_id)
    assert [request.status for request in asked][:2] == [429, 200]
    assert asked[0].identity != asked[1].identity
    assert here.paused() == []


def test_a_video_that_always_gets_a_bot_check_costs_itself() -> None:
    """Both identities serve others before and after; without this rule one odd video pauses all of them."""
    plain = one_of_each(("kids",))
    odd_one = replace(plain.videos[1], faults=(Fault("player", "bot_check"),))
    with MiniYouTube(Catalogue((plain.videos[0], odd_one)), draw="lazily") as site:
        config = config_for(site, identities=("one", "two"), politeness=hurried(pauses_s=(60.0,), patience_s=0.0))
        here = Desk(site, config)
        good, odd = (video.video_id for video in site.catalogue.videos)
        served = {Extractor(config, here.polite, CutConfig()).look_at(good, EDUCATION).identity for _ in range(2)}  # type: ignore[union-attr]
        assert served == {"one", "two"}, "each session keeps its own"
        found = here.extractor.look_at(odd, EDUCATION)
        assert isinstance(found, Failure)
        assert found.reason is Reason.BOT_CHECK
        assert here.paused() == []


@pytest.mark.parametrize("refusal", ["geo", "copyright"])
def test_a_video_blocked_here_is_tried_where_another_country_may_see_it(refusal: str) -> None:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        plain = config_for(site, identities=("home", "there"))
        pool = tuple(
            identity.model_copy(update={"country": country})
            for identity, country in zip(plain.pool(), ("AT", "DE"), strict=True)
        )
        here = Desk(site, plain.model_copy(update={"identities": pool}))
        site.misbehave(Fault("player", refusal, identity="home"))
        found = here.look_at("good")
        assert isinstance(found, FoundVideo)
        assert found.identity == "there"


def test_sentences_that_no_rule_knows_stop_no_run(tmp_path: Path) -> None:
    """Six videos in a row, each refused in the same unknown words, while a known one is not: it is about them."""
    with MiniYouTube(one_of_each(("unheard_of",) * 6), draw="lazily") as site:
        config = config_for(site, canary=site.catalogue.videos[0].video_id)
        road = Road.at(tmp_path, config).crawl({EDUCATION: 100.0})
    assert road.polite.snapshot()["identities"][0]["refusals"] == 0
    assert len(road.kept) == 1
    assert [row["reason"] for row in road.rejects.values()] == [Reason.UNKNOWN_ANSWER] * 6
    assert all("curtain" in row["detail"] for row in road.rejects.values())


def test_a_dead_proxy_beside_a_good_one_ends_no_run(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("kids", "portrait", "dubbed")), draw="lazily") as site:
        config = config_for(site, identities=("dead", "well"))
        dead = config.pool()[0].model_copy(update={"proxy": SecretStr("http://127.0.0.1:9")})
        config = config.model_copy(update={"identities": (dead, config.pool()[1])})
        road = Road.at(tmp_path, config).crawl({EDUCATION: 100.0})
    assert len(road.kept) == 4
    assert {row["egress"] for row in road.kept.values()} == {"well"}


@contextmanager
def proxy_that_answers(status_line: str) -> Iterator[str]:
    """A proxy that refuses every CONNECT."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(f"HTTP/1.1 {status_line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://user:planted@127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def test_a_wrong_proxy_password_is_said_as_such(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site, proxy_that_answers("407 No") as proxy:
        config = config_for(site)
        who = IdentityConfig(name="office", proxy=SecretStr(proxy), videos_per_hour=3_600_000)
        config = config.model_copy(update={"identities": (who,)})
        with pytest.raises(RunStopped, match=r"identity office: the proxy refused its user name or password") as error:
            Road.at(tmp_path, config).crawl({EDUCATION: 10.0})
    assert "planted" not in str(error.value)


def test_a_body_of_nothing_is_withheld_and_a_document_without_words_is_empty() -> None:
    assert check_payload(b"", "json3") is Reason.CAPTIONS_LOCKED
    assert check_payload(b'{"events":[]}', "json3") is Reason.EMPTY_CAPTIONS
    assert check_payload(b"WEBVTT" + b" " * (MAX_BYTES - 6), "vtt") is None
    assert check_payload(b"WEBVTT" + b" " * (MAX_BYTES - 5), "vtt") is Reason.BROKEN_CAPTIONS, "no text is read from it"
    assert check_payload(b'{"events":[{"segs":[{"utf', "json3") is Reason.BROKEN_CAPTIONS


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    ("body", "format_", "reason"),
    [
        (b'{"events":[{"segs":[{"utf8":"word"}]}]}', "json3", None),
        (b"<!DOCTYPE html><p>Before you continue", "json3", Reason.CAPTIONS_REFUSED),
        (b'<?xml version="1.0"?><error/>', "json3", Reason.CAPTIONS_REFUSED),
        (b'{"error":{"code":451}}', "json3", Reason.CAPTIONS_REFUSED),
        (b"Access denied", "json3", Reason.CAPTIONS_REFUSED),
        (b"WEBVTT\n", "vtt", None),
        (b"<html><p>Log in", "vtt", Reason.CAPTIONS_REFUSED),
        (b'{"error":{"code":451}}', "vtt", Reason.CAPTIONS_REFUSED),
    ],
)
def test_what_a_network_puts_in_place_of_captions_is_no_verdict(
    bom: bytes, body: bytes, format_: str, reason: Reason | None
) -> None:
    assert check_payload(bom + body, format_) is reason


LOGIN = "# Netscape HTTP Cookie File\n" + "".join(
    f".youtube.com\tTRUE\t/\tTRUE\t4102444800\t{name}\tplanted\n" for name in ("LOGIN_INFO", "SAPISID")
)


def with_account(config: CrawlConfig, name: str, cookies: Path) -> CrawlConfig:
    pool = [i.model_copy(update={"cookies": cookies}) if i.name == name else i for i in config.pool()]
    return config.model_copy(update={"identities": tuple(pool)})


@pytest.mark.parametrize("effect", ["logged_out", "rotated"])
def test_cookies_that_rotated_are_noticed_at_the_first_request_and_the_others_go_on(
    tmp_path: Path, effect: str
) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(LOGIN)
    with MiniYouTube(one_of_each(("kids",) * 3), draw="lazily") as site:
        site.misbehave(*(Fault(where, effect, identity="account") for where in ("home", "watch")))
        config = config_for(site, identities=("account", "guest"), politeness=hurried(pauses_s=(60.0,)))
        road = Road.at(tmp_path / "out", with_account(config, "account", cookies)).crawl({EDUCATION: 100.0})
        asked = [request.kind for request in site.log if request.identity == "account"]
    assert len(road.kept) == 4 and not road.rejects
    assert len(asked) == 1
    states = {one["name"]: (one["paused_s"] > 0, one["why"]) for one in road.polite.snapshot()["identities"]}
    assert states == {"account": (True, "bad_cookies"), "guest": (False, "")}
    assert cookies.read_text() == LOGIN, "the user's own file stays as it is"


def test_cookies_that_log_in_are_used(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(LOGIN)
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        config = with_account(config_for(site, identities=("account",)), "account", cookies)
        here = Desk(site, config.model_copy(update={"ydl_opts": asking_as("tv")}))
        assert here.reason("good") is None
        assert here.paused() == []
        site.misbehave(Fault("watch", "rotated"))
        with pytest.raises(StopRun, match="identity account: the site no longer takes its cookies") as error:
            here.look_at("kids")
        assert error.value.reason is Reason.BAD_COOKIES
        assert [request.kind for request in site.log.of(video_id=site.catalogue.videos[1].video_id)] == ["watch"]


@pytest.mark.parametrize("text", ["this is not a cookie file", None])
def test_a_bad_cookie_file_of_one_identity_stops_no_other(tmp_path: Path, text: str | None) -> None:
    cookies = tmp_path / "cookies.txt"
    if text is not None:
        cookies.write_text(text)
    with MiniYouTube(one_of_each(("kids",) * 3), draw="lazily") as site:
        config = config_for(site, identities=("account", "guest"), politeness=hurried(pauses_s=(60.0,)))
        road = Road.at(tmp_path / "out", with_account(config, "account", cookies)).crawl({EDUCATION: 100.0})
        assert {request.identity for request in site.log} == {"guest"}
    assert len(road.kept) == 4
    assert {one["name"]: one["why"] for one in road.polite.snapshot()["identities"]} == {
        "account": "bad_cookies",
        "guest": "",
    }


@pytest.mark.parametrize("proxy", ["http://user:planted@127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_dead_proxy_as_the_only_identity_ends_the_run_and_is_named(tmp_path: Path, proxy: str) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("aaaaaaaaaaa\n")
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        config = config_for(site, sources=("lists",), lists=ListsConfig(files=(str(ids),)), grow_from_channels=False)
        who = config.pool()[0].model_copy(update={"name": "office", "proxy": SecretStr(proxy)})
        with pytest.raises(RunStopped, match=r"no_network.*identity office") as error:
            Road.at(tmp_path / "out", config.model_copy(update={"identities": (who,)})).crawl({EDUCATION: 10.0})
    assert "planted" not in str(error.value)
