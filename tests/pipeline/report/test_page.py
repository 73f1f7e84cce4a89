"""The audit page: complete, self-contained, and safe whatever a stranger wrote into a title."""

import base64
import errno
import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import axe_core_python
import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Browser, sync_playwright

import hdvila_testing.shards as toys
from hdvila_testing.plans import outcomes_of
from hdvila_testing.rows import commit_rows
from manifests.errors import UserError
from manifests.reasons import Reason
from pipeline.balance.ranking import candidates_of, rank_candidates
from pipeline.balance.selection import Selection, select
from pipeline.config.balance import BalanceConfig
from pipeline.dataset.merge import merge
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import reject_row
from pipeline.engine.work.unit import Reject
from pipeline.query.rejects import rejects_in_force
from pipeline.report import page
from pipeline.report.clips import COUNTS
from pipeline.report.data import read_report_data
from pipeline.report.page import render, short_categories, write_report
from tests.pipeline.html_page import Page

AXE = Path(axe_core_python.__file__).with_name("axe.min.js")
HOSTILE = "<script>alert('t')</script><img src=x onerror=alert(1)> \" ' & {{ 7*7 }}"


def a_run(folder: Path, *, total: int = 6) -> tuple[Store, Selection]:
    """A finished run of a few toy videos in three categories, balanced by the real code."""
    store = Store(str(folder))
    for k, category_id in enumerate([10, 10, 10, 17, 17, 25]):
        toys.commit_video(
            store, f"video{k:06d}", n_clips=3, category_id=category_id, failed={0: "silent"} if k == 3 else {}
        )
    packs = store.read_table("packs")
    ranked = rank_candidates(candidates_of(store.read_table("videos"), packs), 0)
    config = BalanceConfig(unit="clips", total=total, policy="weights", weights={"10": 1, "17": 1, "25": 4})
    selection = select(ranked, outcomes_of([packs], rejects_in_force(store)), config)
    store.write_table("selection.parquet", selection.table)
    store.write_json("balance.json", selection.result.document())
    toys.make_shards(store)
    return store, selection


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return a_run(tmp_path_factory.mktemp("run"))[0]


def test_the_page_shows_balance_funnel_distributions_and_samples(finished: Store) -> None:
    page = Page(finished.read(write_report(finished)).decode())
    for part in ("Balance", "What could not be filled", "Funnel", "The clips", "Samples to look at", "over_quota"):
        assert part in page.text
    assert page.tags.count("svg") == 7  # five histograms, lengths by category, concentration of channels
    for subject in ("licence", "language", "captions", "sentence model", "resolution", "codec", "HD-VILA-100M 13.4"):
        assert subject in page.text
    assert "hdvila-pipeline why ID" in page.text and "video000003.0" in page.text  # a clip that was rejected
    assert page.tags.count("article") == 5  # two of a category, one of the category that has one clip
    assert "silent" in page.text and "News & Politics" in page.text
    assert re.search(r"videos: 6 = 3 kept \+ 3 rejected \+ 0 missing", page.text)


def test_what_was_lost_to_an_error_of_this_program_is_said_at_the_top(tmp_path: Path, finished: Store) -> None:
    store = a_run(tmp_path)[0]
    lost = Reject(Reason.INTERNAL_ERROR, "videolost00", detail="ZeroDivisionError")
    commit_rows(store, "extract", "lost", {}, [reject_row("extract", lost, 2)])

    text = Page(store.read(write_report(store)).decode()).text
    assert re.search(r"1 videos or clips were lost to errors of this program", text[: text.index("Balance")])
    assert "errors of this program" not in Page(finished.read(write_report(finished)).decode()).text


def test_the_page_loads_nothing_and_runs_one_script_that_its_policy_names(finished: Store) -> None:
    text = render(finished, read_report_data(finished))
    page = Page(text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy and "default-src 'none'" in policy
    assert "unsafe-eval" not in policy and "eval(" not in script and "Function(" not in script
    assert all(address.startswith("data:") for address in page.loads)
    assert page.tags.count("script") == 1 and "iframe" not in page.tags and not page.handlers
    assert all(link.startswith(("https://", "#")) for link in page.links)


def test_another_seed_shows_other_samples(finished: Store) -> None:
    pages = {seed: Page(render(finished, read_report_data(finished, seed))).text for seed in range(4)}
    shown = {seed: frozenset(re.findall(r"video\d{6}_\d{5} in", text)) for seed, text in pages.items()}
    assert len(set(shown.values())) > 1
    assert "draws others" in pages[0] and "--seed 1" in pages[0]


def test_the_same_directory_gives_the_same_page(finished: Store) -> None:
    assert render(finished, read_report_data(finished)) == render(finished, read_report_data(finished))


def test_hostile_titles_captions_and_queries_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = toys._json_fields

    def hostile_fields(*given: object) -> dict:
        return {**original(*given), "title": HOSTILE, "text": HOSTILE, "url": "javascript:alert(1)"}

    monkeypatch.setattr(toys, "_json_fields", hostile_fields)
    store, _ = a_run(tmp_path)
    source = {"source": "search", "query": HOSTILE, "reason": HOSTILE, "detail": "", "wanted_category_id": 10}
    row = {**source, "up_to": 9, "n_listed": 9, "cursor": 0, "exhausted": False, "round": 0}
    commit_rows(store, "list", "u", {"sources": [row]})
    text = render(store, read_report_data(store))
    page = Page(text)
    assert page.tags.count("script") == 1 and not page.handlers
    assert all(link.startswith("#") for link in page.links) and all(s.startswith("data:") for s in page.loads)
    assert HOSTILE in page.text
    assert text.count("<script>") == 1 and "javascript:" not in text


def test_a_run_without_manifest_still_has_a_page_and_an_empty_folder_has_none(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(UserError, match="no run has written here"):
        write_report(store)
    toys.commit_video(store, "video000000", n_clips=2)
    page = Page(store.read(write_report(store)).decode())
    assert "There is no manifest yet" in page.text and "1 missing" in page.text


def test_a_merged_data_set_shows_its_clips_and_no_funnel_of_zeros(tmp_path: Path) -> None:
    parts = [toys.a_data_set(tmp_path / name, n_videos=2, n_clips=2, prefix=name) for name in ("one", "two")]
    merged = Store(str(tmp_path / "merged"))
    merge(parts, merged)

    page = Page(merged.read("report/index.html").decode())
    assert "8 clips in shards" in page.text and "what became of every candidate is told by the reports" in page.text
    for part in ("Funnel", "What could not be filled", "candidate videos", "0 = 0 kept"):
        assert part not in page.text
    assert "#funnel" not in page.links and "#samples" in page.links


def test_only_categories_below_what_was_asked_are_listed_as_short(tmp_path: Path) -> None:
    _, selection = a_run(tmp_path, total=12)
    assert [row.category for row in short_categories(selection.result)] == ["News & Politics"]


@pytest.mark.slow
def test_a_browser_shows_all_of_it_at_any_width_and_finds_nothing_inaccessible(
    tmp_path: Path, chromium: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = toys._json_fields
    monkeypatch.setattr(toys, "_json_fields", lambda *given: {**original(*given), "title": HOSTILE + "x" * 300})
    store, _ = a_run(tmp_path / "run")
    address = (tmp_path / "run" / write_report(store)).as_uri()
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width, scheme in ((1200, "light"), (375, "dark")):
            look_at(browser, address, width, scheme)
        browser.close()


def look_at(browser: Browser, address: str, width: int, scheme: Literal["light", "dark"]) -> None:
    """Everything is there at this width and in these colours, and nothing is loaded or complained of."""
    said: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page is wider than the window"
    shares = page.locator("#balance .wide").first
    numbers = page.locator("#balance .wide").nth(1)
    for table in (shares, numbers):
        assert table.evaluate("it => it.scrollWidth <= it.clientWidth"), "a column is cut off"
    assert numbers.locator("td", has_text="ran dry").first.is_visible(), "why a category has not more"
    tiles = [page.locator(".cards li").nth(i).bounding_box() for i in (0, 1)]
    assert tiles[0] and tiles[1] and tiles[0]["y"] == tiles[1]["y"], "two tiles a row on a phone too"
    count = page.locator("#funnel .losses th.n").first.bounding_box()
    assert count and count["x"] + count["width"] <= width, "the funnel's count is whole"
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    assert not [(v["id"], v["nodes"][0]["html"]) for v in found]
    head = page.locator("#balance th", has_text="kept").first
    assert head.get_attribute("aria-sort") == "none", "it shows that it sorts"
    head.locator("button").click()
    first = page.locator("#balance tbody tr").first.inner_text()
    assert head.get_attribute("aria-sort") == "descending" and "News & Politics" in first
    page.locator("#balance input[type=search]").first.fill("music")
    assert page.locator("#balance table.sortable tbody tr:visible").count() == 1
    page.close()
    assert said == []


@pytest.mark.slow
def test_paper_keeps_bars_legend_and_pictures(finished: Store, chromium: str) -> None:
    address = (Path(finished.root) / write_report(finished)).as_uri()
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.emulate_media(media="print")
        page.goto(address)
        for part in ("#balance .bar.after", "#balance .key i", "#samples img", "#distributions svg rect"):
            assert page.locator(part).first.is_visible(), part
        why = page.locator("#balance .broad td:last-child").first
        assert why.evaluate("it => it.clientWidth") > 80, "words broken to letters"
        printed = "getComputedStyle(document.querySelector('#balance .bar.after')).printColorAdjust"
        assert page.evaluate(printed) == "exact"
        assert page.locator("#made-with td").first.is_visible(), "the configuration, folded up on a screen"
        for kept_with_next in ("#samples h2", "#samples h2 + p", "#balance .broad thead"):
            style = f"getComputedStyle(document.querySelector('{kept_with_next}'))"
            together = f"[{style}.breakAfter, {style}.breakInside].join()"
            assert page.evaluate(together) == "avoid,avoid", "a heading alone at the end of a page"
        assert len(page.pdf()) > 20_000
        browser.close()


def test_the_page_of_a_large_data_set_stays_small(finished: Store) -> None:
    """Counts of 100,000 clips, all of other lengths, words and channels: the page grows by numbers, not by rows."""
    data, k = read_report_data(finished), np.arange(100_000)
    columns = {
        "channel_id": [f"UC{i}" for i in k],
        "width": k % 999,
        "height": k % 777,
        "fps": k / 7,
        "codec": [f"codec {i % 50}" for i in k],
        "category_id": 10 + k % 3,
        "duration_ms": k,
        "n_words": k % 300,
    }
    counts = {}
    for name, schema in COUNTS.items():
        values = [pa.array(columns[field.name]).cast(field.type) for field in schema]
        counts[name] = pa.table([*values, pa.array(np.ones(len(k), np.int64))], names=[*schema.names, "n"])
    text = render(finished, replace(data, clips=replace(data.clips, n=len(k), counts=counts)))
    assert len(text) < 1_000_000


def test_a_data_set_without_room_for_its_first_report_says_which_command_makes_it(
    finished: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that published it would be refused: the data set is there."""

    def full(store: Store) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(page, "write_report", full)
    with pytest.raises(UserError, match=rf"whole.*No space left.*hdvila-pipeline report {finished.url}"):
        page.write_first_report(finished)
