"""Films that are to be had at 720p only as HLS: what is fetched is the film, to the frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from hdvila_testing.frame_code import read_frame_code
from miniyoutube.misbehave import BEHAVIOURS
from miniyoutube.script import FPS
from miniyoutube.server import MiniYouTube
from pipeline.config.media import MediaLimits
from pipeline.engine.work.unit import Rejected
from pipeline.media.probe import open_media, probe
from pipeline.site.hls import join
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.site.test_fetch import fetch

FETCHED, REFUSED = ("hls_only", "hls_apart"), ("hls_locked", "hls_gone")


@pytest.fixture(scope="module")
def site() -> Iterator[MiniYouTube]:
    with MiniYouTube(one_of_each((*FETCHED, *REFUSED))) as started:
        yield started


def pictures(film: Path) -> list[tuple[int, int]]:
    """Of each picture: its time in frames, counted as the pipeline counts, and the number that it shows."""
    zero_s = probe(film).zero_s
    with av.open(str(film)) as container:
        frames = [(f.pts * f.time_base - zero_s, f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    return [(round(time_s * FPS * 1000), read_frame_code(picture) or 0) for time_s, picture in frames]


def sound(film: Path) -> NDArray[np.float32]:
    """Samples from the film's time 0 on; of sound alone, from its own."""
    zero_s = 0 if film.suffix == ".m4a" else probe(film).zero_s
    with av.open(str(film)) as container:
        frames = list(container.decode(audio=0))
    begins = round(float(frames[0].pts * frames[0].time_base - zero_s) * frames[0].sample_rate)
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return np.concatenate([np.zeros(begins, np.float32), samples]) if begins >= 0 else samples[-begins:]


@pytest.mark.parametrize("behaviour", FETCHED)
def test_every_picture_and_sound_has_its_time(site: MiniYouTube, tmp_path: Path, behaviour: str) -> None:
    video = next(video for video in site.catalogue.videos if video.behaviour == behaviour)
    film = fetch(site, tmp_path, behaviour)

    assert pictures(film) == [(n * 1000, n) for n in range(video.footage.n_frames)]
    drawn = sound(site.site.cache.path(video.audio()))
    mine = sound(film)[: len(drawn)]
    n = min(len(mine), len(drawn)) - 4096
    assert np.abs(mine[4096:n] - drawn[4096:n]).max() < 1e-4
    assert not list(tmp_path.rglob("*.part*"))


@pytest.mark.parametrize("behaviour", FETCHED)
def test_segments_are_asked_for_once_and_only_of_the_site(site: MiniYouTube, tmp_path: Path, behaviour: str) -> None:
    video = next(video for video in site.catalogue.videos if video.behaviour == behaviour)
    before = len(site.log.of("media", video_id=video.video_id))
    fetch(site, tmp_path, behaviour)
    asked = [(r.itag, r.query["seg"]) for r in site.log.of("media", video_id=video.video_id)[before:]]
    assert len(asked) == len(set(asked)) > 1
    assert site.log.refused_hosts() == []


@pytest.mark.parametrize("behaviour", REFUSED)
def test_a_film_with_holes_or_a_lock_is_tried_later(site: MiniYouTube, tmp_path: Path, behaviour: str) -> None:
    with pytest.raises(Rejected) as error:
        fetch(site, tmp_path, behaviour)
    assert error.value.reason is BEHAVIOURS[behaviour].expected.reason


def test_sound_before_the_first_picture_is_left_out(tmp_path: Path, site: MiniYouTube) -> None:
    video = site.catalogue.videos[0]
    join([site.site.cache.path(video.joint())], tmp_path / "joined.mp4", MediaLimits())
    with open_media(tmp_path / "joined.mp4", MediaLimits()) as container:
        assert container.streams.audio[0].start_time >= 0
