"""A fetch soon after the look goes on where the look ended; whatever is in the way of that, it begins anew."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifests.reasons import Reason
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import IdentityConfig
from pipeline.config.media import CutConfig, MediaLimits
from pipeline.crawl.extract import Extractor, FoundVideo
from pipeline.media.probe import probe, probe_sound
from pipeline.site import fresh_looks
from pipeline.site.failures import Failure, Pause
from pipeline.site.fetch import Fetcher
from pipeline.site.formats import Choice
from pipeline.site.fresh_looks import FreshLook, FreshLooks
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, config_for

NAMES = ("media_503_retried", "media_403_once")


@pytest.fixture
def site() -> Iterator[MiniYouTube]:
    with MiniYouTube(one_of_each(NAMES)) as started:
        yield started


class Desk:
    """A look at a video and a fetch of it, as one run makes them."""

    def __init__(self, site: MiniYouTube, folder: Path, behaviour: str = "good") -> None:
        self.site, self.road = site, Road.at(folder, config_for(site, identities=("one", "two")))
        self.video = next(video for video in site.catalogue.videos if video.behaviour == behaviour)

    def look(self) -> FoundVideo:
        extractor = Extractor(self.road.config, self.road.polite, CutConfig())
        found = extractor.look_at(self.video.video_id, self.video.category_id)
        assert isinstance(found, FoundVideo)
        return found

    def fetch(self, found: FoundVideo, *, sound_only: bool = False, **facts: Any) -> Path:
        info = found.info
        row: dict[str, Any] = {"video_id": info["id"], "media_path": "", "egress": found.identity, "language": "en"}
        row |= {"duration_s": float(info["duration"]), "upload_date": "", "audio_format": "", "audio_bytes": -1}
        row |= facts
        fetcher = Fetcher(self.road.config, self.road.polite, sound_only=sound_only)
        return fetcher(row, self.road.context())

    @property
    def n_extractions(self) -> int:
        return self.site.log.per_video()[self.video.video_id]["watch"]

    @property
    def n_leases(self) -> int:
        return sum(identity["videos"] for identity in self.road.polite.snapshot()["identities"])


def test_a_video_is_extracted_once_for_its_look_and_its_media(site: MiniYouTube, tmp_path: Path) -> None:
    desk = Desk(site, tmp_path)
    found = desk.look()
    path = desk.fetch(found)
    assert (desk.n_extractions, desk.n_leases) == (1, 1)
    again = desk.fetch(found)
    assert (desk.n_extractions, desk.n_leases) == (2, 2) and again.read_bytes() == path.read_bytes()


def test_the_sound_is_fetched_alone_and_the_media_after_it_without_another_look(
    site: MiniYouTube, tmp_path: Path
) -> None:
    desk = Desk(site, tmp_path)
    found = desk.look()
    before = len(site.log.of("media", video_id=desk.video.video_id))
    sound = desk.fetch(found, sound_only=True)
    asked = site.log.of("media", video_id=desk.video.video_id)[before:]
    assert {request.itag for request in asked} == {"140"}
    probed = probe_sound(sound, MediaLimits())
    assert probed.audio and abs(probed.duration_ms - 1000 * desk.video.duration_s) < 500
    assert probe(desk.fetch(found)).audio
    assert (desk.n_extractions, desk.n_leases) == (1, 1)
    desk.fetch(found, sound_only=True)  # nothing is kept any more
    desk.fetch(found)
    assert (desk.n_extractions, desk.n_leases) == (2, 2)


def elsewhere(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = desk.road.config.pool()[0].model_copy(update={"proxy": IdentityConfig(name="one").proxy})
    look = desk.road.polite.fresh_look(desk.video.video_id)
    monkeypatch.setattr(fresh_looks, "host_name", lambda: "another-machine")
    desk.road.polite.keep_look(desk.video.video_id, FreshLook.of(look.info, look.choice, direct, ()))
    monkeypatch.undo()


def expired(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_looks, "SPARE_S", fresh_looks.MAX_AGE_S + 1)


def paused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.road.polite.report("one", "another", Failure(Reason.BOT_CHECK, "bot", Pause.HARD))


def replaced(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    look = desk.road.polite.fresh_look(desk.video.video_id)
    formats = tuple({**one, "filesize": one["filesize"] + 1} for one in look.choice.formats)
    choice = replace(look.choice, formats=formats, bytes_=look.choice.bytes_ + 2)
    desk.road.polite.keep_look(desk.video.video_id, replace(look, choice=choice))


def refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.site.misbehave(Fault("media", "status", status=403, requests=1))


@pytest.mark.parametrize("spoil", [elsewhere, expired, paused, replaced, refused])
def test_what_cannot_go_on_begins_anew(
    site: MiniYouTube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Desk, Any], None]
) -> None:
    desk = Desk(site, tmp_path)
    found = desk.look()
    spoil(desk, monkeypatch)
    desk.fetch(found)
    assert desk.n_extractions > 1 and desk.n_leases == 2


def test_a_look_that_is_not_the_rows_is_not_gone_on_with(site: MiniYouTube, tmp_path: Path) -> None:
    desk = Desk(site, tmp_path)
    found = desk.look()
    with pytest.raises(Exception, match="20 s long when it was looked at"):
        desk.fetch(found, duration_s=20.0)
    assert desk.n_extractions > 1


def test_a_refusal_of_the_media_pauses_the_identity_that_looked(site: MiniYouTube, tmp_path: Path) -> None:
    desk = Desk(site, tmp_path)
    found = desk.look()
    site.misbehave(Fault("media", "status", status=429, requests=1))
    desk.fetch(found)
    two = {one["name"]: one for one in desk.road.polite.snapshot()["identities"]}
    assert two[found.identity]["refusals"] == 1 and desk.n_leases == 2


def test_addresses_last_as_long_as_they_say_and_five_hours_at_most() -> None:
    def look(url: str) -> FreshLook:
        return FreshLook("one", (), "", {}, Choice("136", ({"url": url},)))

    looks = FreshLooks()
    for name, url, lasts_s in (
        ("said", "https://a.b/v?expire=10000", 10_000.0),
        ("not said", "https://a.b/v", 5 * 3600.0),
    ):
        for after_s, is_there in ((lasts_s - 900, True), (lasts_s - 899, False)):
            looks.keep(name, look(url), 0.0)
            assert (looks.take(name, after_s) is not None) is is_there
            assert looks.take(name, after_s) is None


def test_the_most_recent_looks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_looks, "MAX_LOOKS", 2)
    looks, look = FreshLooks(), FreshLook("one", (), "", {}, Choice())
    for name in ("a", "b", "a", "c"):
        looks.keep(name, look, 0.0)
    assert [name for name in "abc" if looks.take(name, 0.0)] == ["a", "c"]
