"""What the Data API decides: as the site would, for no look at it; and whatever goes wrong with it is no verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.reasons import Reason, ReasonClass
from manifests.rows import CandidateRow
from miniyoutube.catalogue import Catalogue
from miniyoutube.data_api import is_public, video_resource
from miniyoutube.faults import Fault
from miniyoutube.misbehave import BEHAVIOURS
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CaptionsConfig, CrawlConfig, IdentityConfig, LimitsConfig
from pipeline.config.sources import ListsConfig
from pipeline.crawl import plan
from pipeline.crawl.first_look import first_look, judge, seconds_of
from pipeline.engine.work.executor import SharedHere
from pipeline.engine.work.unit import StopRun
from pipeline.outdir.tombstones import Tombstones
from pipeline.site.politeness import Politeness
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, config_for
from tests.pipeline.site.api import KEY, asked_of_the_api, looks_at, with_key

EDUCATION = 27
DECIDED = (
    "private",
    "removed",
    "terminated",
    "copyright",
    "age_gate",
    "age_playable",
    "only_480p",
    "non_english",
    "upcoming",
)
LOOKED_AT = ("good", "no_captions", "members_unmarked", "portrait", "automatic_only")


def ids_file(folder: Path, catalogue: Catalogue, *more: str) -> Path:
    """A list of all videos: no search, so that each is a candidate."""
    file = folder / "ids.txt"
    file.write_text("\n".join([*(video.video_id for video in catalogue.videos), *more]))
    return file


def listed(folder: Path, catalogue: Catalogue, *more: str) -> dict[str, Any]:
    return {"sources": ("lists",), "lists": ListsConfig(files=(str(ids_file(folder, catalogue, *more)),))}


def test_what_the_api_decides_costs_no_look_and_has_the_reason_that_a_look_would_give(tmp_path: Path) -> None:
    catalogue = one_of_each((*DECIDED, *LOOKED_AT))
    ends: dict[str, dict[str, Reason | None]] = {}
    for name in ("without", "with"):
        folder = tmp_path / name
        folder.mkdir()
        with MiniYouTube(catalogue, draw="lazily") as site:
            from_list = listed(folder, catalogue)
            config = with_key(site, folder, **from_list) if name == "with" else config_for(site, **from_list)
            road = Road.at(folder / "out", config).crawl({EDUCATION: 100.0})
            looked_at = {catalogue.by_id[video_id].behaviour for video_id in looks_at(site)}
        assert not looked_at & {*DECIDED} if name == "with" else looked_at >= {*DECIDED}
        assert looked_at >= {*LOOKED_AT}
        rejected = {video_id: row["reason"] for video_id, row in road.rejects.items()}
        ends[name] = {v.behaviour: rejected.get(v.video_id) for v in catalogue.videos}
    assert {b: r for b, r in ends["with"].items() if b != "private"} == {
        b: r for b, r in ends["without"].items() if b != "private"
    }
    assert ends["with"]["private"] == Reason.UNAVAILABLE  # to the API, private videos are not there
    (start,) = [row["next_try_at"] for row in road.rejects.values() if row["reason"] == Reason.UPCOMING]
    assert start >= "2099-12-31T23:59", "what is to come is tried again when it starts"


@pytest.mark.parametrize("behaviour", sorted(BEHAVIOURS))
def test_no_video_that_a_look_may_keep_is_rejected(behaviour: str) -> None:
    expected = BEHAVIOURS[behaviour].expected
    video = next(video for video in one_of_each((behaviour,)).videos if video.behaviour == behaviour)
    config = CrawlConfig(limits=LimitsConfig(min_duration_s=5))
    verdict = judge(video_resource(video), -1, config, Tombstones()) if is_public(video) else (Reason.UNAVAILABLE, "")
    if verdict is not None:
        assert not expected.kept_in_the_end
        assert verdict[0].class_ is (expected.reason or Reason.INTERNAL_ERROR).class_


def resource(**changes: Any) -> dict[str, Any]:
    """A video as the API describes it, with some values changed: part__name=value."""
    item: dict[str, Any] = {
        "id": "a" * 11,
        "snippet": {"channelId": "UC1", "categoryId": "27", "liveBroadcastContent": "none"},
        "contentDetails": {"duration": "PT4M5S", "definition": "hd", "caption": "false"},
        "status": {"uploadStatus": "processed", "license": "youtube", "madeForKids": False},
        "statistics": {"viewCount": "10"},
    }
    for name, value in changes.items():
        part, _, key = name.partition("__")
        item[part] = {**item[part], key: value}
    return item


def verdict_on(item: dict[str, Any], wanted_id: int = -1, **settings: Any) -> Reason | None:
    verdict = judge(item, wanted_id, CrawlConfig(**settings), Tombstones())
    return verdict[0] if verdict else None


OF_ONE_COUNTRY = (IdentityConfig(name="one", country="AT"), IdentityConfig(name="two", country="DE"))


@pytest.mark.parametrize(
    ("changes", "settings", "reason"),
    [
        ({}, {}, None),
        ({"snippet__categoryId": "10"}, {"categories": (27,)}, Reason.WRONG_CATEGORY),
        ({"snippet__categoryId": "43"}, {"categories": (27,)}, None),  # a show: the site may call it otherwise
        ({"contentDetails__duration": "PT25S"}, {}, Reason.TOO_SHORT),
        ({"contentDetails__duration": "PT29S"}, {}, None),  # the player may say 30
        ({"contentDetails__duration": "PT3H"}, {}, Reason.TOO_LONG),
        ({"contentDetails__duration": "P0D", "snippet__liveBroadcastContent": "live"}, {}, None),  # maybe a premiere
        (
            {"contentDetails__duration": "P0D", "snippet__liveBroadcastContent": "live"},
            {"limits": LimitsConfig(allow_live=True)},
            Reason.UPCOMING,
        ),
        ({"contentDetails__duration": "P0D", "snippet__liveBroadcastContent": "upcoming"}, {}, Reason.UPCOMING),
        ({"contentDetails__duration": "P0D"}, {}, None),
        ({"contentDetails__definition": "sd"}, {}, Reason.NO_720P),
        ({"contentDetails__contentRating": {"ytRating": "ytAgeRestricted"}}, {}, Reason.AGE_RESTRICTED),
        (
            {"contentDetails__contentRating": {"ytRating": "ytAgeRestricted"}},
            {"limits": LimitsConfig(max_age_limit=18)},
            None,
        ),
        ({"status__madeForKids": True}, {}, None),
        ({"status__madeForKids": True}, {"limits": LimitsConfig(allow_made_for_kids=False)}, Reason.MADE_FOR_KIDS),
        ({}, {"limits": LimitsConfig(licences=("creative commons",))}, Reason.LICENCE_NOT_ALLOWED),
        ({"status__license": "creativeCommon"}, {"limits": LimitsConfig(licences=("creative commons",))}, None),
        ({"status__license": "new"}, {"limits": LimitsConfig(licences=("creative commons",))}, None),
        ({"statistics__viewCount": "9"}, {"limits": LimitsConfig(min_views=10)}, Reason.TOO_FEW_VIEWS),
        ({"snippet__publishedAt": "2009-10-25T06:57:33Z"}, {"limits": LimitsConfig(uploaded_after="20100101")}, "old"),
        ({"snippet__defaultAudioLanguage": "es"}, {}, Reason.WRONG_LANGUAGE),
        ({"snippet__defaultAudioLanguage": "en-GB"}, {}, None),
        ({"snippet__defaultAudioLanguage": "zxx"}, {}, None),
        ({}, {"captions": CaptionsConfig(kinds=("manual",))}, Reason.NO_CAPTIONS),
        ({"contentDetails__caption": "true"}, {"captions": CaptionsConfig(kinds=("manual",))}, None),
        ({"status__uploadStatus": "rejected"}, {}, Reason.UNAVAILABLE),
        ({"contentDetails__regionRestriction": {"blocked": ["AT", "DE"]}}, {}, None),
        (
            {"contentDetails__regionRestriction": {"blocked": ["AT", "DE"]}},
            {"identities": OF_ONE_COUNTRY},
            Reason.GEO_BLOCKED,
        ),
        ({"contentDetails__regionRestriction": {"blocked": ["AT"]}}, {"identities": OF_ONE_COUNTRY}, None),
        (
            {"contentDetails__regionRestriction": {"allowed": ["GB"]}},
            {"identities": OF_ONE_COUNTRY},
            Reason.GEO_BLOCKED,
        ),
    ],
)
def test_only_what_the_api_says_for_certain_decides(
    changes: dict[str, Any], settings: dict[str, Any], reason: Reason | str | None
) -> None:
    assert verdict_on(resource(**changes), **settings) == (Reason.TOO_OLD if reason == "old" else reason)


def test_the_videos_of_a_channel_that_opted_out_are_not_looked_at() -> None:
    assert judge(resource(), -1, CrawlConfig(), Tombstones(channels=frozenset({"UC1"}))) == (
        Reason.OPTED_OUT,
        "channel UC1",
    )


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_duration_is_read_as_it_is_written(days: int, hours: int, minutes: int, seconds: int) -> None:
    time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    written = f"P{f'{days}D' if days else ''}{f'T{time}' if time else ''}"
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert seconds_of(written) == (total or None)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4)
PARTS = ("snippet", "contentDetails", "status", "statistics")
NAMES = ("categoryId", "duration", "definition", "license", "publishedAt", "viewCount", "contentRating", "channelId")


@given(st.fixed_dictionaries({part: JSON | st.fixed_dictionaries(dict.fromkeys(NAMES, JSON)) for part in PARTS}))
def test_values_of_any_kind_are_read(parts: dict[str, Any]) -> None:
    judge({"id": "a" * 11, **parts}, -1, CrawlConfig(), Tombstones())


@given(st.text())
def test_any_text_is_a_duration_or_none(text: str) -> None:
    seconds = seconds_of(text)
    assert seconds is None or seconds > 0


N_OF_EACH = 4
"""Videos of 480p, which the API decides, and good ones beside the first, which it leaves to the look."""


@dataclass
class Desk:
    """A site with its API, and first looks at its videos."""

    site: MiniYouTube
    config: CrawlConfig
    polite: Any = None

    def look(self, *more: str, faults: Sequence[Fault] = ()) -> dict[str, Reason] | None:
        """What is decided of all videos, and of these ids."""
        self.site.relent()
        self.site.misbehave(*faults)
        self.site.log.clear()
        self.polite = SharedHere(Politeness(self.config.politeness, {"one": 1.0}))
        rows = [
            {"video_id": i, "wanted_category_id": -1, "given_spans": "", "attempt": 1}
            for i in [*self.site.catalogue.by_id, *more]
        ]
        decided = first_look(cast(list[CandidateRow], rows), self.config, self.polite, Tombstones())
        return None if decided is None else {i: cast(Reason, reject.reason) for i, reject in decided.items()}

    @property
    def small(self) -> dict[str, Reason]:
        """The verdicts on its videos of 480p."""
        videos = self.site.catalogue.videos
        return {video.video_id: Reason.NO_720P for video in videos if video.behaviour == "only_480p"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with MiniYouTube(one_of_each(("only_480p", "also_1080p") * N_OF_EACH), draw="lazily") as site:
        yield Desk(site, with_key(site, tmp_path_factory.mktemp("key")))


@pytest.mark.parametrize(
    ("fault", "n_asked"),
    [
        (Fault("data_api", "quotaExceeded"), 1),
        (Fault("data_api", "rateLimitExceeded"), 1),
        (Fault("data_api", "invalidParameter"), 1),
        (Fault("data_api", "backendError"), 3),
        (Fault("data_api", "html"), 3),
        (Fault("data_api", "cut"), 3),
        (Fault("data_api", "drop"), 3),
        (Fault("data_api", "reset"), 3),
        (Fault("data_api", "status", status=500), 3),
        (Fault("data_api", "redirect", location="https://example.com/"), 3),
    ],
    ids=lambda value: getattr(value, "effect", ""),
)
def test_an_api_that_fails_decides_nothing_and_is_paused(desk: Desk, fault: Fault, n_asked: int) -> None:
    assert desk.look(faults=[fault]) is None
    assert asked_of_the_api(desk.site) == n_asked
    assert desk.polite.snapshot()["data_api"]["paused_until"] > 0


def test_an_answer_without_any_of_many_ids_is_not_believed(desk: Desk) -> None:
    assert desk.look(faults=[Fault("data_api", "no_items")]) == {}


def test_an_answer_that_came_at_the_second_try_counts(desk: Desk) -> None:
    assert desk.look(faults=[Fault("data_api", "backendError", requests=1)]) == desk.small
    assert asked_of_the_api(desk.site) == 2


def test_ids_that_an_answer_lost_are_not_taken_for_gone(desk: Desk) -> None:
    """Those that are in the answer are decided all the same."""
    decided = desk.look(faults=[Fault("data_api", "items_missing")])
    assert decided and decided.items() < desk.small.items()


def test_ids_that_are_gone_are_not_looked_at(desk: Desk) -> None:
    gone = [f"gone{n:07}" for n in range(3)]
    assert desk.look(*gone) == desk.small | dict.fromkeys(gone, Reason.UNAVAILABLE)


def test_hostile_values_reject_nothing_by_mistake(desk: Desk) -> None:
    decided = desk.look(faults=[Fault("data_api", "hostile")])
    assert decided is not None and {*decided} <= {*desk.small}
    assert all(reason.class_ is ReasonClass.NEVER for reason in decided.values())


@pytest.mark.parametrize("effect", ["keyInvalid", "accessNotConfigured"])
def test_a_key_that_is_refused_stops_the_run_with_one_message(desk: Desk, effect: str) -> None:
    with pytest.raises(StopRun, match="refuses the key") as stopped:
        desk.look(faults=[Fault("data_api", effect)])
    assert stopped.value.reason is Reason.BAD_KEY and KEY not in str(stopped.value)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MOST_IDS", 4)
    monkeypatch.setattr(plan, "BATCH_VIDEOS", 2)


@pytest.mark.usefixtures("small_batches")
def test_when_the_units_are_used_up_the_crawl_goes_on_without_and_the_key_is_in_no_file(tmp_path: Path) -> None:
    catalogue = one_of_each(("only_480p", "also_1080p") * 4)
    with MiniYouTube(catalogue, draw="lazily") as site:
        config = with_key(site, tmp_path, units=1, **listed(tmp_path, catalogue))
        road = Road.at(tmp_path / "out", config).crawl({EDUCATION: 1000.0})
        assert asked_of_the_api(site) == 2, "the second was refused"
        assert 5 < len(looks_at(site)) < 9 and len(road.kept) == 5
        assert not any(KEY in str(request) for request in site.log)
    state = road.polite.snapshot()["data_api"]
    assert state["why"] == "no units left" and state["paused_until"] == state["resets_at"]
    assert road.rejects
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    assert KEY not in repr(config) + config.model_dump_json()


@pytest.mark.usefixtures("small_batches")
def test_a_key_that_comes_within_a_round_changes_none_of_its_batches(tmp_path: Path) -> None:
    """A batch of the plan that is under way keeps its videos: what is committed is not asked for again."""
    catalogue = one_of_each(("only_480p", "also_1080p") * 3)
    with MiniYouTube(catalogue, draw="lazily") as site:
        more = listed(tmp_path, catalogue)
        without = Road.at(tmp_path / "out", config_for(site, **more)).crawl({EDUCATION: 1000.0}, most_rounds=1)
        units = without.store.committed("extract")
        with_one = Road.at(tmp_path / "out", with_key(site, tmp_path, **more)).crawl({EDUCATION: 1000.0})
        assert with_one.store.committed("extract") == units
        assert all(counts["watch"] == 1 for counts in site.log.per_video().values())
