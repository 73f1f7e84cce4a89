"""A crawl whose queries are at their end goes on with words that its kept videos share, and a removal finds these."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from miniyoutube.big_catalogue import a_video
from miniyoutube.catalogue import Catalogue, Video
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig
from pipeline.crawl.grown import GrownSearch, forget_videos, grown_from, read_grown, write_grown
from pipeline.crawl.plan import CrawlFacts
from pipeline.crawl.round_files import read_plans, with_grown
from pipeline.dataset.remove import remove
from pipeline.engine.store.store import Store
from pipeline.outdir.identity import redo_from
from pipeline.outdir.tombstones import Tombstones
from tests.pipeline.crawl.site import Road, config_for

EDUCATION = 27
N_VIDEOS = 15
HOSTILE = (
    "../../etc/passwd | owl carving",
    "<script>alert(1)</script> owl carving",
    'owl carving "before:2009" -the @someone https://evil.example/owl',
    "owl carving \u202e call 0043 1 5551234567",
    "owl carving " + "x" * 3000,
)


def videos() -> Iterator[Video]:
    """Of as many channels. A query finds two thirds of them; all are about owls, as their titles say, or tags, or
    chapters.
    """
    for n in range(N_VIDEOS):
        video = a_video(0, (EDUCATION, n), 1)
        if n % 3 == 0:
            yield replace(video, title=HOSTILE[n // 3 % len(HOSTILE)])
        elif n % 3 == 1:
            yield replace(video, title=f"film {n}", keywords=("Owl carving",))
        else:
            yield replace(video, title=f"film {n}", chapters=("Greeting", "Owl carving", "The end"))


@pytest.fixture(scope="module")
def site() -> Iterator[MiniYouTube]:
    catalogue = Catalogue(tuple(videos()), queries={EDUCATION: ("lecture", "essay", "course")})
    with MiniYouTube(catalogue, draw="lazily") as started:
        yield started


def config(site: MiniYouTube, **more: object) -> CrawlConfig:
    one_query = {EDUCATION: ("lecture",)}
    return config_for(site, categories=(EDUCATION,), queries=one_query, grow_from_channels=False, **more)


@pytest.fixture(scope="module")
def grown(site: MiniYouTube, tmp_path_factory: pytest.TempPathFactory) -> Road:
    return Road.at(tmp_path_factory.mktemp("grown"), config(site)).crawl({EDUCATION: 1000.0})


def test_words_of_kept_videos_find_what_the_queries_do_not(site: MiniYouTube, grown: Road, tmp_path: Path) -> None:
    without = Road.at(tmp_path, config(site, grow_from_words=False)).crawl({EDUCATION: 1000.0})
    assert len(without.kept) < N_VIDEOS
    assert len(grown.kept) == N_VIDEOS
    assert {row["source"] for row in grown.kept.values()} == {"search", "grown"}
    assert "owl carving" in {search.words for search in read_grown(grown.store).values()}


def test_grown_words_are_words_of_several_channels_and_nothing_else(grown: Road) -> None:
    for search in read_grown(grown.store).values():
        assert len({grown.kept[video_id]["channel_id"] for video_id in search.video_ids}) >= 3
        assert all(word.isalnum() for word in search.words.split())
        assert len(search.words) < 80
        assert not {"someone", "evil", "script", "passwd"} & set(search.words.split())


def test_their_words_lie_in_one_place(grown: Road) -> None:
    for table in ("listings", "sources", "candidates", "videos"):
        rows = grown.store.read_table(table).to_pylist()
        assert not [row for row in rows if "owl" in row["query"]], table
    elsewhere = [path for path in Path(grown.store.root, "rounds").glob("*.json") if "owl" in path.read_text()]
    assert not elsewhere


def test_a_killed_crawl_grows_the_same_searches(site: MiniYouTube, grown: Road, tmp_path: Path) -> None:
    n_before = min(plan.round for plan in grown.plans if any(ask.source == "grown" for ask in plan.asks))
    road = Road.at(tmp_path, config(site)).crawl({EDUCATION: 1000.0}, most_rounds=n_before)
    recorded = f"rounds/grown/{n_before:05d}.json"  # killed before its plan
    (tmp_path / recorded).parent.mkdir()
    shutil.copy(Path(grown.store.root, recorded), tmp_path / recorded)
    Road.at(tmp_path, config(site)).crawl({EDUCATION: 1000.0})
    assert read_plans(road.store) == read_plans(grown.store)
    assert read_grown(road.store) == read_grown(grown.store)


def test_a_removal_leaves_nothing_of_a_video_among_the_searches(grown: Road, tmp_path: Path) -> None:
    shutil.copytree(Path(grown.store.root), tmp_path / "out")
    store = Store(str(tmp_path / "out"))
    every = sorted({video_id for search in read_grown(store).values() for video_id in search.video_ids})
    remove(store, Tombstones(frozenset(every[:1])))
    assert not grown_from(store, every[:1])
    assert "owl carving" in {search.words for search in read_grown(store).values()}
    remove(store, Tombstones(frozenset(every)))
    assert {search.words for search in read_grown(store).values()} == {""}


def test_a_crawl_that_is_done_again_grows_its_searches_anew(grown: Road, tmp_path: Path) -> None:
    shutil.copytree(Path(grown.store.root), tmp_path / "out")
    store = Store(str(tmp_path / "out"))
    redo_from(store, "list")
    assert not read_grown(store)


def test_a_removal_finds_the_searches_of_a_video(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_grown(store, 3, [GrownSearch(27, "owl carving", ("a", "b", "c")), GrownSearch(27, "kite", ("d", "e", "f"))])
    write_grown(store, 7, [GrownSearch(15, "owl nest", ("g", "a", "h", "i"))])
    assert [search.words for search in grown_from(store, ["a"]).values()] == ["owl carving", "owl nest"]
    forget_videos(store, ["a", "nobody"])
    assert not grown_from(store, ["a"])
    assert [search.words for search in read_grown(store).values()] == ["", "kite", "owl nest"]
    assert read_grown(store)["00007.0"].video_ids == ("g", "h", "i")
    assert with_grown(CrawlFacts(), read_grown(store)).grown == {27: ("00003.1",), 15: ("00007.0",)}
