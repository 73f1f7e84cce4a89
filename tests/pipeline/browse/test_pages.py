"""The pages in a browser: what plays, by keys alone, on a phone, in the dark, on paper, and to everybody."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import axe_core_python
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipeline.browse.clip import find_member, read_facts
from pipeline.engine.store.store import Store
from tests.pipeline.browse.client import Client

pytestmark = pytest.mark.slow
AXE = Path(axe_core_python.__file__).with_name("axe.min.js").read_text()
Look = Callable[..., Client]
SHOWN = """async () => {
    const film = document.getElementById("film");
    while (film.readyState < 2 || film.seeking) await new Promise((then) => setTimeout(then, 20));
    const canvas = new OffscreenCanvas(32, 18), pen = canvas.getContext("2d");
    pen.drawImage(film, 0, 0, 32, 18);
    return Array.from(pen.getImageData(0, 0, 32, 18).data);
}"""
VIEWS = ("/report", "/clips", "/clips?q=of%3Avideos", "/clips?q=group%3Areason", "/clips?q=nothing%3A1",
         "/clip?id=video000000.1&at=1", "/clip?id=video000001.0", "/like?id=video000000.1", "/near?id=video000000.1",
         "/marks", "/review", "/review?at=2")  # fmt: skip


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as player:
        opened = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(browser: Browser, client: Client, said: list[str], **how: object) -> Page:
    """A window in which the first address was opened; what its pages complain of, ask or load elsewhere is `said`."""
    page = browser.new_page(**how)  # type: ignore[arg-type]
    page.on("console", lambda message: said.append(message.text) if "400" not in message.text else None)
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda it: None if it.url.startswith(client.guard.origin) else said.append(it.url))
    page.goto(client.guard.address)
    return page


def test_a_clip_begins_with_its_first_frame_and_stops_after_its_last(
    browser: Browser, finished: Store, look: Look
) -> None:
    client, said = look(finished), list[str]()
    page = opened(browser, client, said)
    page.goto(f"{client.guard.origin}/clip?id=video000000.1")
    shown = np.array(page.evaluate(SHOWN), float).reshape(18, 32, 4)[..., :3]
    row = client.rows.of_kind("clip", "video000000.1")
    assert row
    with av.open(io.BytesIO(find_member(finished, row, "mp4").read(finished, 1 << 24))) as source:
        frames = [frame.reformat(32, 18, "rgb24").to_ndarray() for frame in source.decode(video=0)]
    facts = read_facts(finished, row)
    unlike = [np.abs(frame - shown).mean() for frame in frames]
    assert int(np.argmin(unlike)) == facts.first_frame > 0
    page.keyboard.press(" ")
    film = page.locator("#film")
    expect(film).to_have_js_property("paused", False)
    expect(film).to_have_js_property("paused", True)
    end_s = (facts.offset_ms + facts.duration_ms) / 1000
    assert page.evaluate("document.getElementById('film').currentTime") == pytest.approx(end_s, abs=0.15)
    page.locator("#words button", has_text="video000000").click()
    assert page.evaluate("document.getElementById('film').currentTime") > facts.offset_ms / 1000 + 0.3
    page.close()
    assert said == []


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (375, "dark")])
def test_every_page_is_accessible_at_any_width_and_runs_nothing_of_a_stranger(
    browser: Browser, hostile: Store, look: Look, width: int, scheme: str
) -> None:
    client, said = look(hostile, 2), list[str]()
    page = opened(
        browser, client, said, viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=False
    )
    for view in VIEWS if scheme == "dark" else VIEWS[1::6]:  # a colour or a width is wrong on many pages at a time
        page.goto(client.guard.origin + view)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{view} is wider than the window"
        page.evaluate(AXE)
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        assert not [(view, v["id"], v["nodes"][0]["html"]) for v in found]
    page.close()
    assert said == []


def test_all_of_it_is_done_by_keys_alone(browser: Browser, finished: Store, look: Look, tmp_path: Path) -> None:
    client, said = look(finished), list[str]()
    page = opened(browser, client, said)
    page.keyboard.press("/")
    page.keyboard.type("status:kept")
    page.keyboard.press("Enter")
    page.wait_for_url("**/clips?q=status%3Akept")
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('to-clip')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/clip?*at=0")
    page.keyboard.press("n")
    page.wait_for_url("**/clip?*at=1")
    page.wait_for_load_state()
    page.keyboard.press("m")
    page.locator("text=This clip is marked").wait_for()
    assert "video000000.1" in (tmp_path / "marks.jsonl").read_text() and "at=1" in page.url
    page.close()
    assert said == []


def test_paper_has_the_clips_and_none_of_what_is_pressed(browser: Browser, finished: Store, look: Look) -> None:
    client = look(finished)
    page = opened(browser, client, [])
    page.emulate_media(media="print")
    assert page.locator("article.sample").first.is_visible()
    assert not page.locator("aside").is_visible() and not page.locator("header form").is_visible()
    page.close()
