"""What an attempt at a video does with what yt-dlp says and leaves: no site and no media, only what they would do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from yt_dlp.utils import YoutubeDLError

from manifests.reasons import Reason
from pipeline.config.crawl import CrawlConfig, IdentityConfig
from pipeline.config.media import CutConfig, MediaConfig
from pipeline.engine.work.unit import Rejected
from pipeline.site import fetch as fetch_module
from pipeline.site.addresses import SLOWEST_BYTES_PER_S
from pipeline.site.asking import Turn
from pipeline.site.failures import DeadlinePassed, Failure, SeenRequest
from pipeline.site.fetch import Fetcher
from pipeline.site.formats import Choice
from pipeline.site.ytdlp import Session, no_token


class Site:
    """A yt-dlp that leaves files instead of asking for media, or does what it is told to."""

    def __init__(self, staging: Path, *files: str, then: Callable[["Site"], None] = lambda site: None) -> None:
        self.staging, self.files, self.then = staging, files, then
        self.session, self.asked, self.hooks = Session(no_token, 0.0), list[Any](), list[Any]()
        self.format, self.options = "", dict[str, Any]()

    @contextmanager
    def downloading(self, format_: str, options: dict[str, Any], hook: Any) -> Iterator[None]:
        self.format, self.options = format_, options
        self.hooks.append(hook)
        yield

    def process_ie_result(self, info: Any, download: bool) -> None:
        self.asked.append((info, download, self.session.own_hosts_only))
        for name in self.files:
            (self.staging / name).write_bytes(b"film")
        self.then(self)


CHOICE = Choice("136+140", ({"format_id": "136"},), bytes_=7)


class Fetching:
    """Fetches of a video from a site that is told what it says: `info` of the video, `choices` of its formats in turn.

    Each fetch is as many attempts as sites.
    """

    def __init__(self, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scratch, self.staging, self.session = scratch, scratch / "fetch", Session(no_token, 1e12)
        self.info: dict[str, Any] = {"formats": [{}]}
        self.choices, self.checked_s = [CHOICE], list[float]()
        self.flaw: Failure | None = None
        self.sites: list[Site] = []
        monkeypatch.setattr(fetch_module.Asking, "ask", self.ask)
        monkeypatch.setattr(fetch_module, "extract_video", lambda *_: self.info)
        monkeypatch.setattr(fetch_module, "judge_formats", lambda *_: self.choices.pop(0))
        monkeypatch.setattr(fetch_module, "check_media", self.check)
        monkeypatch.setattr(fetch_module, "site_for", lambda *_: self.sites.pop(0))

    def ask(self, _subject: str, attempt: Any, _rules: Any) -> Any:
        for _ in range(len(self.sites)):
            result = attempt(Turn(IdentityConfig(name="one"), (), self.session))
        return result

    def check(self, _path: Path, duration_s: float, _cut: CutConfig) -> Failure | None:
        self.checked_s.append(duration_s)
        return self.flaw

    def leaving(self, *files: str, then: Callable[[Site], None] = lambda site: None) -> Path:
        """What a fetch gives from a site that leaves these files."""
        return self.of(Site(self.staging, *files, then=then))

    def of(self, *sites: Site, left_s: float = 1000.0, media: MediaConfig | None = None) -> Path:
        self.sites = list(sites)
        return fetch_with(CrawlConfig(), self.scratch, left_s, media)


def fetch_with(config: CrawlConfig, scratch: Path, left_s: float = 1000.0, media: MediaConfig | None = None) -> Path:
    """A fetch with so much left of its unit's time."""
    context: Any = SimpleNamespace(scratch=scratch, remaining_s=lambda: left_s)
    video = {
        "video_id": "v",
        "media_path": "",
        "egress": "one",
        "upload_date": "",
        "audio_format": "",
        "audio_bytes": -1,
        "language": "en",
        "duration_s": 10.0,
    }
    polite: Any = SimpleNamespace(fresh_look=lambda _: None)
    return Fetcher(config, polite, media or MediaConfig())(video, context)


@pytest.fixture
def fetching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetching:
    return Fetching(tmp_path, monkeypatch)


LEAST = int(SLOWEST_BYTES_PER_S)


@pytest.mark.parametrize(
    ("told", "is_slow"),
    [
        ([(10, second * LEAST) for second in range(0, 200, 10)], False),
        ([(0, None), (30, 30 * LEAST - 1), (30, 60 * LEAST - 1)], False),
        ([(0, None), (30, 30 * LEAST - 1), (30, 60 * LEAST - 1), (0.1, 60 * LEAST - 1)], True),
        ([(0, 10), (59, 20), (0.5, "finished"), (1, 30), (60, 30 + 60 * LEAST)], False),
        ([(0, 10), (59, 20), (0.5, 5), (1, 5), (60, 5 + 61 * LEAST)], False),
        ([(0, 7), (30, 7), (31, 7)], True),
    ],
    ids=["steady", "a minute", "more than a minute", "the next file", "one of which less has come", "no progress"],
)
def test_a_slow_drip_is_given_up_after_a_minute_of_it(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch, told: list[tuple[float, Any]], is_slow: bool
) -> None:
    now = [1000.0]
    monkeypatch.setattr(fetch_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def download(site: Site) -> None:
        for seconds, n_bytes in told:
            now[0] += seconds
            ended = {"status": "finished", "downloaded_bytes": 20}
            goes_on = {"status": "downloading", "downloaded_bytes": n_bytes}
            site.hooks[0](ended if n_bytes == "finished" else goes_on)

    with pytest.raises(DeadlinePassed, match="slower than 16384 bytes a second") if is_slow else nullcontext():
        fetching.leaving("v.mp4", then=download)


@pytest.mark.parametrize(("status", "is_wiped"), [(416, True), (503, False)])
def test_a_range_that_the_site_refuses_begins_the_download_anew(
    fetching: Fetching, status: int, is_wiped: bool
) -> None:
    def fail(site: Site) -> None:
        fetching.session.requests.append(SeenRequest("media", "googlevideo.com", "/videoplayback", status))
        raise YoutubeDLError("odd")

    with pytest.raises(Rejected):
        fetching.leaving("v.mp4.part", then=fail)

    assert list(fetching.staging.iterdir()) == ([] if is_wiped else [fetching.staging / "v.mp4.part"])


@pytest.mark.parametrize(
    ("second", "goes_on"),
    [(CHOICE, True), (replace(CHOICE, bytes_=8), False), (replace(CHOICE, format="137+140"), False)],
)
def test_what_was_fetched_of_another_rendition_is_not_continued(
    fetching: Fetching, second: Choice, goes_on: bool
) -> None:
    def fail(site: Site) -> None:
        raise YoutubeDLError("odd")

    fetching.choices = [CHOICE, second]
    fetching.staging.mkdir()
    (fetching.staging / "left.part").write_bytes(b"by another unit")
    fetching.of(Site(fetching.staging, "v.mp4.part", then=fail), Site(fetching.staging, "v.mp4"))

    there = {path.name for path in fetching.staging.iterdir()}
    assert there == ({"v.mp4", "v.mp4.part"} if goes_on else {"v.mp4"})


@pytest.mark.parametrize("files", [(), ("a.mp4", "b.mp4")])
def test_a_download_leaves_one_file(fetching: Fetching, files: tuple[str, ...]) -> None:
    with pytest.raises(Rejected) as rejected:
        fetching.leaving(*files)

    assert rejected.value.reason is Reason.BAD_ANSWER
    assert rejected.value.detail == f"the download left {len(files)} files"
