"""The crawl through the real yt-dlp: every way in which the site goes wrong, sources, rounds, resume, retry."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import Secret, SecretStr

from manifests.reasons import Reason, ReasonClass
from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.catalogue import Catalogue
from miniyoutube.faults import Fault
from miniyoutube.misbehave import BEHAVIOURS
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import LimitsConfig
from pipeline.config.sources import ListsConfig
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.plan import BATCH_VIDEOS
from pipeline.dataset.remove import remove
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.work.unit import Rejected, Transient
from pipeline.outdir.retries import request_retries
from pipeline.outdir.tombstones import Tombstones, read_tombstones
from pipeline.site.fetch import Fetcher
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, config_for, hurried

AT_CRAWL = tuple(name for name, row in BEHAVIOURS.items() if not row.slow and row.expected.stage == "crawl")
EDUCATION = 27
PAGE = 3
PLANTED = "planted"
CRAWLED_REASONS = frozenset({Reason.DUPLICATE_TEXT})  # what only a later stage can say
STRICT = LimitsConfig(min_duration_s=5, other_categories="reject")


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class TableRun:
    """One crawl over a video of each behaviour, and the requests that it made."""

    def __init__(self, folder: Path) -> None:
        with MiniYouTube(one_of_each(AT_CRAWL), draw="lazily") as site:
            config = config_for(site, limits=STRICT)
            self.road = Road.at(folder, config).crawl({EDUCATION: 1000.0})
            self.requests = site.log.per_video()
            self.canaries = self.road.polite.snapshot()["canaries"]
            self.refused_hosts = site.log.refused_hosts()
            self.ids = {video.behaviour: video.video_id for video in site.catalogue.videos}
            before = len(site.log)
            Road.at(folder, config).crawl({EDUCATION: 1000.0})
            self.n_requests_of_second_run = len(site.log) - before


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> TableRun:
    return TableRun(tmp_path_factory.mktemp("table"))


@pytest.mark.parametrize("behaviour", AT_CRAWL)
def test_each_way_to_go_wrong_ends_as_the_table_says(table_run: TableRun, behaviour: str) -> None:
    expected = BEHAVIOURS[behaviour].expected
    video_id = table_run.ids[behaviour]
    reject = table_run.road.rejects.get(video_id)
    if expected.kept_in_the_end or expected.reason in CRAWLED_REASONS:
        assert video_id in table_run.road.kept, reject
        assert reject is None
    else:
        assert reject is not None
        assert reject["reason"] == expected.reason
        assert video_id not in table_run.road.kept
        assert bool(reject["next_try_at"]) == (Reason(reject["reason"]).class_ is ReasonClass.LATER)
    check_requests(table_run, behaviour)


def check_requests(table_run: TableRun, behaviour: str) -> None:
    """No video is asked for more often than its failure is worth."""
    expected = BEHAVIOURS[behaviour].expected
    counts: dict[str, int] = dict(table_run.requests.get(table_run.ids[behaviour], {}))
    if behaviour in ("live", "members", "upcoming", "listed_deleted", "listed_private"):  # the listing alone told
        most = 0
    elif expected.heals or (expected.reason and expected.reason.class_ is ReasonClass.LATER):
        most = 2
    else:
        most = 1
    second_look = behaviour in ("not_available", "kids", "sabr", "sign_in", "joint_only")
    if table_run.ids[behaviour] in table_run.canaries:
        assert counts["captions"] <= 2, "looked at again as a canary alone"
    else:
        assert counts.get("watch", 0) <= most + second_look
    assert counts.get("media", 0) == 0  # not a byte of media before the clips are known


def test_a_second_run_asks_nothing_and_only_the_sites_own_hosts_are_asked(table_run: TableRun) -> None:
    assert table_run.n_requests_of_second_run == 0 and table_run.refused_hosts == []
    text = json.dumps(list(table_run.road.rejects.values()))
    assert "googlevideo.com/videoplayback?" not in text and "signature" not in text


def a_site() -> MiniYouTube:
    """Nine videos in its largest category, of two channels; a query finds seven of them, on three pages."""
    return MiniYouTube(a_catalogue(45, misbehaving=0.0), draw="lazily", page_size=PAGE)


@pytest.fixture(scope="module")
def shared_site() -> Iterator[MiniYouTube]:
    with a_site() as started:
        yield started


@pytest.fixture
def site(shared_site: MiniYouTube) -> MiniYouTube:
    """The site without faults, and nothing asked of it."""
    shared_site.relent()
    shared_site.log.clear()
    return shared_site


@pytest.fixture
def large_site() -> Iterator[MiniYouTube]:
    """Its largest category has more videos than a unit."""
    with MiniYouTube(a_catalogue(66, misbehaving=0.0), draw="lazily", page_size=PAGE) as started:
        yield started


def largest(catalogue: Catalogue) -> int:
    """The category with the most videos."""
    ids = [video.category_id for video in catalogue.videos]
    return max(set(ids), key=lambda category_id: (ids.count(category_id), category_id))


def of_category(catalogue: Catalogue, category_id: int) -> set[str]:
    return {video.video_id for video in catalogue.videos if video.category_id == category_id}


def test_a_category_stops_when_it_is_full(site: MiniYouTube, tmp_path: Path) -> None:
    category_id = largest(site.catalogue)
    road = Road.at(tmp_path, config_for(site, reserve=0.0)).crawl({category_id: 3.0})
    assert 3 <= len(road.kept) <= 5
    assert len(site.log.of("watch")) == len(road.kept)


class FilledRun:
    """A crawl that takes all of a category, and one after it that asks for more."""

    def __init__(self, site: MiniYouTube, folder: Path) -> None:
        self.category_id = largest(site.catalogue)
        self.config = config_for(site, categories=(self.category_id,))
        self.all_ids = of_category(site.catalogue, self.category_id)
        self.road = Road.at(folder, self.config).crawl({self.category_id: 1000.0})
        self.requests, before = site.log.per_video(), len(site.log)
        Road.at(folder, self.config).crawl({self.category_id: 2000.0})
        self.n_requests_of_second_run = len(site.log) - before


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> FilledRun:
    with a_site() as site:
        return FilledRun(site, tmp_path_factory.mktemp("filled"))


def test_a_dry_category_is_filled_as_far_as_it_goes_and_says_why(filled: FilledRun) -> None:
    from pipeline.crawl.plan import Wanted
    from pipeline.crawl.round_files import category_states

    assert set(filled.road.kept) == filled.all_ids
    states = category_states(filled.config, filled.road.store, Wanted({filled.category_id: 1000.0}))
    state = next(s for s in states if s.category_id == filled.category_id)
    assert state.state == "dry" and "listed to their end" in state.why
    listed = filled.road.store.read_table("listings").column("video_id").to_pylist()
    assert len(listed) > len(set(listed)), "some are found by two queries"
    assert all(counts["watch"] == 1 for counts in filled.requests.values())
    assert filled.n_requests_of_second_run == 0, "no list is asked for again once it is finished"


def test_channels_of_kept_videos_become_sources_when_queries_run_dry(site: MiniYouTube, tmp_path: Path) -> None:
    category_id = largest(site.catalogue)
    one_query = {category_id: (site.catalogue.queries[category_id][0],)}
    settings: dict[str, Any] = {"categories": (category_id,), "queries": one_query}
    short = Road.at(tmp_path / "a", config_for(site, grow_from_channels=False, **settings)).crawl({category_id: 1000.0})
    grown = Road.at(tmp_path / "b", config_for(site, **settings)).crawl({category_id: 1000.0})
    assert set(short.kept) < set(grown.kept) == of_category(site.catalogue, category_id)
    assert {row["source"] for row in grown.kept.values()} == {"search", "channel"}
    sources = grown.store.read_table("sources").to_pylist()
    assert all(row["exhausted"] for row in sources if row["source"] == "channel")


def test_channels_and_playlists_are_sources(site: MiniYouTube, tmp_path: Path) -> None:
    channel = site.catalogue.videos[0].channel
    uploads = {video.video_id for video in site.catalogue.uploads[channel.channel_id]}
    by_handle = config_for(site, sources=("channel",), channels={-1: (channel.handle,)}, grow_from_channels=False)
    road = Road.at(tmp_path / "a", by_handle).crawl(dict.fromkeys(range(1, 30), 100.0))
    assert set(road.kept) == uploads
    by_list = config_for(site, sources=("playlist",), playlists={-1: (channel.uploads_id,)}, grow_from_channels=False)
    road = Road.at(tmp_path / "b", by_list).crawl(dict.fromkeys(range(1, 30), 100.0))
    assert set(road.kept) == uploads


def test_a_missing_channel_ends_its_source_and_not_the_run(site: MiniYouTube, tmp_path: Path) -> None:
    missing = "UC" + "x" * 22
    road = Road.at(tmp_path, config_for(site, sources=("channel",), channels={-1: (missing,)})).crawl({27: 10.0})
    source = road.store.read_table("sources").to_pylist()[-1]
    assert (source["n_listed"], source["reason"]) == (0, Reason.UNAVAILABLE)


def test_ids_and_addresses_from_a_file(site: MiniYouTube, tmp_path: Path) -> None:
    wanted = [video.video_id for video in site.catalogue.videos[:5]]
    path = tmp_path / "ids.txt"
    path.write_text(f"# mine\n{wanted[0]}\nhttps://youtu.be/{wanted[1]}\nnonsense\n" + "\n".join(wanted[2:]) + "\n")
    config = config_for(site, sources=("lists",), lists=ListsConfig(files=(str(path),)))
    road = Road.at(tmp_path / "out", config).crawl(dict.fromkeys(range(1, 30), 1000.0))
    assert set(road.kept) == set(wanted)
    assert {video_id: row["reason"] for video_id, row in road.rejects.items()} == {"nonsense": Reason.BAD_ID}
    assert len(site.log.of("search", "home")) == 0


def test_who_asked_to_be_left_out_is_not_asked_for(site: MiniYouTube, tmp_path: Path) -> None:
    category_id = largest(site.catalogue)
    theirs = [video for video in site.catalogue.videos if video.category_id == category_id]
    gone, channel = theirs[0].video_id, theirs[-1].channel.channel_id
    out = Tombstones(frozenset({gone}), frozenset({channel})).with_pseudonyms("a salt")
    road = Road.at(tmp_path, config_for(site, categories=(category_id,)), opt_outs=out).crawl({category_id: 1000.0})
    left_out = {gone} | {video.video_id for video in theirs if video.channel.channel_id == channel}
    assert not left_out & road.kept.keys()
    assert {i for i, row in road.rejects.items() if row["reason"] == Reason.OPTED_OUT} == {*map(out.known_as, left_out)}
    assert gone not in str([road.store.read_table(table).to_pydict() for table in ("listings", "candidates")])
    assert not any(site.log.of("watch", video_id=video_id) for video_id in left_out)


def test_a_removed_video_of_the_last_round_is_not_looked_at_again_nor_are_others(site: MiniYouTube, tmp_path: Path):
    config, quotas = config_for(site, categories=(largest(site.catalogue),)), {largest(site.catalogue): 1000.0}
    road = Road.at(tmp_path, config).crawl(quotas, most_rounds=1)
    n_kept, n_asked = len(road.kept), len(site.log.of("watch"))

    remove(road.store, Tombstones(frozenset([min(road.kept)])))
    again = Road.at(tmp_path, config, opt_outs=read_tombstones(road.store)).crawl(quotas, most_rounds=1)

    assert len(again.kept) == n_kept and len(site.log.of("watch")) == n_asked


@pytest.mark.parametrize(
    "fault",
    [
        Fault("search", "status", status=429, page=2, requests=1),
        Fault("search", "reset", page=2, requests=2),
        Fault("search", "empty", page=2, requests=2),
    ],
    ids=["429", "reset", "200 without contents"],
)
def test_a_list_that_breaks_off_is_listed_again_to_its_end(site: MiniYouTube, tmp_path: Path, fault: Fault) -> None:
    category_id = largest(site.catalogue)
    query = site.catalogue.queries[category_id][0]
    config = config_for(site, categories=(category_id,), queries={category_id: (query,)}, grow_from_channels=False)
    site.misbehave(fault)
    road = Road.at(tmp_path, config).crawl({category_id: 1000.0})
    assert len(site.catalogue.search(query)) > PAGE
    assert set(road.kept) == {video.video_id for video in site.catalogue.search(query)}
    assert any(request.fault for request in site.log)


def test_a_list_that_never_recovers_keeps_the_pages_that_came(site: MiniYouTube, tmp_path: Path) -> None:
    category_id = largest(site.catalogue)
    query = site.catalogue.queries[category_id][0]
    config = config_for(site, categories=(category_id,), queries={category_id: (query,)}, grow_from_channels=False)
    site.misbehave(Fault("search", "status", status=503, page=2))
    road = Road.at(tmp_path, config).crawl({category_id: 1000.0})
    found = [video.video_id for video in site.catalogue.search(query)]
    assert set(road.kept) == set(found[:PAGE])
    assert road.store.read_table("sources").to_pylist()[-1]["reason"] == Reason.SERVER_ERROR


@pytest.mark.parametrize("fault", [None, Fault("search", "unknown_layout", after=3)], ids=["no hits", "another layout"])
def test_words_without_hits_are_searched_for_once_and_an_unknown_page_is_tried_again(
    tmp_path: Path, fault: Fault | None
) -> None:
    queries = {EDUCATION: ("lecture",), 10: ("a1", "a2", "a3"), 15: ("b1", "b2", "b3")}
    with MiniYouTube(Catalogue(one_of_each(("good",) * 3).videos, queries=queries), draw="lazily") as site:
        if fault:
            site.misbehave(fault)
        config = config_for(site, categories=(10, 15, EDUCATION), queries=queries, reserve=0.0)
        road = Road.at(tmp_path, config).crawl({EDUCATION: 1.0, 10: 1.0, 15: 1.0})
    listed = [row["query"] for row in road.store.read_table("sources").to_pylist() if row["query"] != "lecture"]
    n_times = {query: listed.count(query) for query in listed}
    once = dict.fromkeys(("a1", "a2", "a3", "b1", "b2", "b3"), 1)
    assert n_times == (once if fault is None else once | dict.fromkeys(("a2", "a3", "b2", "b3"), 3))
    assert len(road.plans) == (3 if fault is None else 7)


def test_a_bot_check_in_the_middle_pauses_the_identity_and_rejects_nothing(site: MiniYouTube, tmp_path: Path) -> None:
    category_id = largest(site.catalogue)
    config = config_for(site, categories=(category_id,), identities=("one", "two"))
    site.misbehave(Fault("player", "bot_check", after=2, identity="one"))
    road = Road.at(tmp_path, config).crawl({category_id: 1000.0})
    assert set(road.kept) == of_category(site.catalogue, category_id)
    assert not road.rejects
    states = {one["name"]: one for one in road.polite.snapshot()["identities"]}
    assert states["one"]["refusals"] >= 1
    assert states["two"]["refusals"] == 0


def test_a_video_that_is_refused_whoever_asks_is_deferred_not_lost(site: MiniYouTube, tmp_path: Path) -> None:
    category_id = largest(site.catalogue)
    config = config_for(site, categories=(category_id,), politeness=hurried(pauses_s=(0.05,)))
    site.misbehave(Fault("player", "bot_check"))
    road = Road.at(tmp_path, config)
    road.crawl({category_id: 2.0}, most_rounds=1)
    assert {row["reason"] for row in road.rejects.values()} == {Reason.BOT_CHECK}
    site.relent()
    assert set(request_retries(road.store, ["bot_check"]).values()) == {len(road.rejects)}
    deferred = set(road.rejects)
    Road.at(tmp_path, config).crawl({category_id: 2.0})
    assert deferred <= set(road.kept)


def test_retry_takes_up_only_what_it_names(tmp_path: Path) -> None:
    names = ("private", "no_captions", "player_403")
    with MiniYouTube(one_of_each(names), draw="lazily") as site:
        config = config_for(site)
        road = Road.at(tmp_path, config).crawl({EDUCATION: 100.0})
        ids = {video.behaviour: video.video_id for video in site.catalogue.videos}
        for video_id in ids.values():
            site.relent(video_id)
        assert set(request_retries(road.store, ["private", "forbidden"]).values()) == {1}
        assert request_retries(road.store, ["drm"]) == {}
        before = len(site.log)
        Road.at(tmp_path, config).crawl({EDUCATION: 100.0})
        asked = {request.video_id for request in list(site.log)[before:] if request.video_id}
    assert asked == {ids["private"], ids["player_403"]}
    assert {ids["private"], ids["player_403"]} <= set(road.kept)
    assert request_retries(road.store, ["private"]) == {}


def test_what_was_deferred_is_tried_again_when_its_time_has_come(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("player_403",)), draw="lazily") as site:
        road = Road.at(tmp_path, config_for(site)).crawl({EDUCATION: 100.0})
        video_id = next(v.video_id for v in site.catalogue.videos if v.behaviour == "player_403")
    now, ledger = datetime.now(UTC), CrawlLedger(road.store)
    ledger.update()
    soon, in_two_hours = (ledger.facts(9, now + timedelta(hours=hours)) for hours in (0, 2))
    assert (soon.due, soon.n_waiting) == ((), 1)
    assert (in_two_hours.due, in_two_hours.n_waiting) == (((video_id, 2),), 0)


def test_a_killed_crawl_repeats_no_more_than_one_unit_of_its_round(large_site: MiniYouTube, tmp_path: Path) -> None:
    category_id = largest(large_site.catalogue)
    config = config_for(large_site, categories=(category_id,))

    class Killed(BaseException):
        pass

    class Dying:
        """A politeness whose caller is killed at its fourth watch page once a unit is committed."""

        n_pages = 0

        def take(self, identity: str, host: str, kind: str) -> float:
            self.n_pages += kind == "page" and bool(road.kept)
            if self.n_pages == 4:
                raise Killed
            return float(plain.take(identity, host, kind))

        def __getattr__(self, name: str) -> Any:
            return getattr(plain, name)

    road = Road.at(tmp_path, config)
    plain, road.polite = road.polite, Dying()
    with pytest.raises(Killed):
        road.crawl({category_id: 1000.0})
    committed = set(road.kept)
    Road.at(tmp_path, config).crawl({category_id: 1000.0})

    n_looks = {video_id: counts["watch"] for video_id, counts in large_site.log.per_video().items()}
    again = {video_id for video_id, n in n_looks.items() if n > 1}
    assert committed and 0 < len(again) <= BATCH_VIDEOS and not again & committed
    assert set(road.kept) == of_category(large_site.catalogue, category_id)
    whole = Road.at(tmp_path.with_name(f"{tmp_path.name}-whole"), config).crawl({category_id: 1000.0})
    columns = ["video_id", "title", "category_id", "caption_tracks", "round"]
    assert road.store.read_table("videos", columns).equals(whole.store.read_table("videos", columns))


def test_requests_never_come_faster_than_configured(site: MiniYouTube, tmp_path: Path) -> None:
    category_id = largest(site.catalogue)
    rates = {"list": 600_000.0, "page": 600.0, "player": 1200.0, "caption": 1200.0}
    politeness = hurried(identity_requests_per_minute=rates)
    config = config_for(site, politeness=politeness)
    Road.at(tmp_path, config).crawl({category_id: 64.0}, most_rounds=2)
    assert len(site.log.of("watch")) >= 8
    assert min(site.log.gaps_s("watch")) >= 0.1 - 0.03  # one each 100 ms; arrival may jitter a little
    assert site.log.peak_rate("player", window_s=1.0) <= 21
    assert site.log.peak_rate("captions", window_s=1.0) <= 21


def test_a_yt_dlp_that_no_longer_knows_the_site_stops_the_run(
    site: MiniYouTube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yt_dlp.extractor.youtube import YoutubeIE

    def changed(*_: object) -> None:
        raise KeyError("videoSecondaryInfoRenderer")

    monkeypatch.setattr(YoutubeIE, "_list_formats", changed)
    category_id = largest(site.catalogue)
    with pytest.raises(RunStopped, match=r"yt_dlp_too_old.*upgrade it"):
        Road.at(tmp_path, config_for(site)).crawl({category_id: 50.0})


def test_one_video_that_the_extractor_cannot_read_costs_no_other(
    site: MiniYouTube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yt_dlp.extractor.youtube import YoutubeIE

    category_id = largest(site.catalogue)
    odd = min(of_category(site.catalogue, category_id))
    plain = YoutubeIE._list_formats

    def sometimes(self: Any, video_id: str, *args: Any) -> Any:
        if video_id == odd:
            raise AttributeError("'NoneType' object has no attribute 'get'")
        return plain(self, video_id, *args)

    monkeypatch.setattr(YoutubeIE, "_list_formats", sometimes)
    road = Road.at(tmp_path, config_for(site, categories=(category_id,))).crawl({category_id: 1000.0})
    assert {video_id: row["reason"] for video_id, row in road.rejects.items()} == {odd: Reason.EXTRACTOR_ERROR}
    assert set(road.kept) == of_category(site.catalogue, category_id) - {odd}


def test_a_bad_cookie_file_ends_the_run_and_names_it(tmp_path: Path, site: MiniYouTube) -> None:
    missing = tmp_path / "cookies.txt"
    config = config_for(site)
    who = config.pool()[0].model_copy(update={"cookies": missing})
    config = config.model_copy(update={"identities": (who,)})
    with pytest.raises(RunStopped, match="bad_cookies"):
        Road.at(tmp_path / "a", config).crawl({EDUCATION: 10.0})
    missing.write_text("this is not a cookie file")
    with pytest.raises(RunStopped, match="bad_cookies"):
        Road.at(tmp_path / "b", config).crawl({EDUCATION: 10.0})


def test_no_secret_reaches_the_output_or_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ("bot_check_once", "player_403", "player_reset_once", "captions_404", "sabr", "media_403")
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(f"# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t4102444800\tSID\t{PLANTED}-1\n")
    caplog.set_level("DEBUG")
    with MiniYouTube(one_of_each(names), draw="lazily") as site:
        plain = config_for(site)
        proxy = SecretStr(site.proxy_url.replace("http://", f"http://{PLANTED}-2:{PLANTED}-3@"))
        own = Secret({"extractor_args": {"youtube": {"po_token": [f"web.gvs+{PLANTED}-5"]}}})
        who = plain.pool()[0].model_copy(update={"cookies": cookies, "proxy": proxy, "ydl_opts": own})
        options = {**plain.ydl_opts.get_secret_value(), "http_headers": {"X-Token": f"{PLANTED}-4"}}
        config = plain.model_copy(update={"identities": (who,), "ydl_opts": Secret(options)})
        road = Road.at(tmp_path / "out", config).crawl({EDUCATION: 100.0})
        for video in road.kept.values():
            with contextlib.suppress(Rejected, Transient):
                Fetcher(config, road.polite)(video, road.context())
        signed = {request.path for request in site.log.of("media")}
    assert signed
    shutil.rmtree(tmp_path / "out" / "scratch")
    shown = caplog.text + json.dumps(road.polite.snapshot())
    for table in ("listings", "sources", "candidates", "videos"):
        shown += json.dumps(road.store.read_table(table).to_pylist())
    shown += json.dumps(road.store.read_rejects().to_pylist())
    for file in (tmp_path / "out").rglob("*"):
        shown += file.read_bytes().decode("latin-1") if file.is_file() and file.suffix == ".json" else ""
    assert PLANTED not in shown
    assert "videoplayback?" not in shown
    assert road.rejects
