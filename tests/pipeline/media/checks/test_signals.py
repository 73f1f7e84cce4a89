"""Signals are columns of every clip, whatever their checks do with it."""

import json
from pathlib import Path

import pytest

from hdvila_testing.video import Film, a_video
from manifests.sample import SIGNALS, read_sample
from pipeline.media.checks import UNKNOWN, all_checks
from pipeline.media.cut_files import ONLY_CLIPS
from tests.pipeline.media.small_films import made

OFF = [f"media.checks.{facts.name}=ignore" for facts, _ in all_checks()]
LIMITS = {
    "blurred": "most_blur=0",
    "much_text": "most_text=0",
    "plain_picture": "least_entropy=6",
}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "a.mp4", Film(seconds=6, gop=25, width=1280, height=720))


def test_signals_are_measured_where_all_checks_are_off_and_unknown_where_nothing_is_decoded(
    film: Path, tmp_path: Path
) -> None:
    _, samples = made(film, tmp_path / "all", *OFF)
    seen = [read_sample(sample["json"]) for sample in samples]
    assert all(getattr(one, name) >= 0 for one in seen for name in SIGNALS if name != "speech_share")
    _, samples = made(film, tmp_path / "none", *ONLY_CLIPS)
    assert all(json.loads(sample["json"])[name] == UNKNOWN for sample in samples for name in SIGNALS)


def test_a_limit_that_a_signal_passes_flags_the_clip(film: Path, tmp_path: Path) -> None:
    asked = [f"media.checks.{value}" for value in LIMITS.values()]
    _, samples = made(film, tmp_path / "flag", *(f"media.checks.{name}=flag" for name in LIMITS), *asked)
    for sample in samples:
        clip = read_sample(sample["json"])
        expected = {"blurred", "plain_picture"} | ({"much_text"} if clip.text_share else set())
        assert expected <= set(json.loads(clip.flags))
