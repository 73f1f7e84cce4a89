"""The sessions that a process keeps for its identities, and options that none can be made with."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import Secret
from yt_dlp.utils import YoutubeDLError

from manifests.errors import UserError
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import IdentityConfig
from pipeline.site import kept_sessions, ytdlp
from pipeline.site.kept_sessions import site_for
from pipeline.site.ytdlp import Session
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import config_for
from tests.pipeline.site.test_ytdlp import Fake, session


@pytest.fixture
def site() -> Iterator[MiniYouTube]:
    with MiniYouTube(one_of_each(()), draw="lazily") as started:
        yield started


def test_a_guest_session_is_kept_for_each_identity_and_clients_and_ended_after_a_refusal(
    site: MiniYouTube, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Fake] = []
    monkeypatch.setattr(kept_sessions, "_SITES", {})
    monkeypatch.setattr(kept_sessions, "MAX_SITES", 3)
    monkeypatch.setattr(kept_sessions, "open_site", lambda options, work: made.append(Fake()) or made[-1])
    config = config_for(site)
    one, two = (IdentityConfig(name=name) for name in ("one", "two"))
    works = [session() for _ in range(3)]

    first = site_for(config, one, (), works[0])
    assert site_for(config, one, (), works[1]) is first and first.begun == works[:2]  # type: ignore[attr-defined]
    site_for(config, one, ("tv",), works[2])
    other = site_for(config, two, (), works[2])
    kept_sessions.forget_sites("one")
    assert [one.is_closed for one in made] == [True, True, False]
    assert site_for(config, two, (), works[0]) is other
    for clients in (("a",), ("b",)):
        site_for(config, two, clients, works[0])
    assert not other.is_closed  # type: ignore[attr-defined]
    site_for(config, two, ("c",), works[0])
    assert all(one.is_closed for one in made[:-1]) and not made[-1].is_closed, "no more than so many at a time"


@pytest.mark.parametrize(("n_works", "seconds"), [(1000, 0.0), (1, 6 * 3600.1)])
def test_a_session_ends_after_a_thousand_pieces_of_work_or_six_hours(
    site: MiniYouTube, monkeypatch: pytest.MonkeyPatch, n_works: int, seconds: float
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(kept_sessions, "_SITES", {})
    monkeypatch.setattr(ytdlp, "time", SimpleNamespace(monotonic=lambda: now))
    config = config_for(site)
    one = config.pool()[0]
    first = site_for(config, one, (), session())
    assert all(site_for(config, one, (), session()) is first for _ in range(n_works - 1))
    now += seconds
    assert site_for(config, one, (), session()) is not first


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"format_srot": []}, None, r"yt-dlp .* has no option format_srot$"),
        ({"zzzzz": 1}, None, "has no option zzzzz$"),
        ({}, YoutubeDLError("Impersonate target is not available\nmore"), r"not available; pip install 'hdvila\[imp"),
        ({}, KeyError(), "yt-dlp cannot be set up: KeyError; see its ydl_opts"),
    ],
)
def test_options_that_yt_dlp_cannot_take_are_found_before_a_run(
    site: MiniYouTube, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], error: Exception | None, said: str
) -> None:
    def open_it(options: Any, work: Session) -> Fake:
        if error:
            raise error
        return Fake()

    monkeypatch.setattr(kept_sessions, "open_site", open_it)
    fine = {"retry_sleep_functions": {}, "match_filter": None, "format_sort": []}
    kept_sessions.check_identities(config_for(site)) if not error else None
    with pytest.raises(UserError, match=said):
        kept_sessions.check_identities(config_for(site).model_copy(update={"ydl_opts": Secret({**fine, **options})}))
