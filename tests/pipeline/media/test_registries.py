"""Checks and members are data: what the tables in manifests/ name is what the program makes, configures and skips."""

import subprocess
import sys
from pathlib import Path

import pytest

from hdvila_testing.video import Film, a_video
from manifests.checks import CHECKS
from manifests.members import MEMBERS
from manifests.sample import DEFAULT_MEMBERS, read_sample
from manifests.settings import walk_keys
from pipeline.config.media import MediaConfig
from pipeline.media.checks import all_checks
from pipeline.media.cut_files import ONLY_CLIPS, media_config
from pipeline.media.hearing import is_wanted
from pipeline.media.members import all_members
from pipeline.media.video import _needs_frames
from tests.pipeline.media.small_films import made

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "a.mp4", Film(seconds=6, gop=25, width=320, height=180))


def test_each_line_of_the_tables_has_its_module_and_its_key() -> None:
    keys = {path for path, _ in walk_keys(MediaConfig)}

    assert [facts.name for facts, _ in all_checks()] == [facts.name for facts in CHECKS]
    assert [facts.extension for facts, _ in all_members()] == [facts.extension for facts in MEMBERS if facts.switch]
    assert {f"checks.{facts.name}" for facts in CHECKS} <= keys
    assert {f"members.{facts.switch}" for facts in MEMBERS if facts.switch} <= keys


def test_only_clips_switches_everything_off() -> None:
    config = media_config(None, list(ONLY_CLIPS))

    assert not _needs_frames(config) and not is_wanted(config)


@pytest.mark.parametrize("facts", CHECKS, ids=lambda facts: facts.name)
def test_a_check_that_alone_is_on_gets_what_it_needs(facts) -> None:
    config = media_config(None, [*ONLY_CLIPS, f"media.checks.{facts.name}=flag"])
    need = next(check.needs for found, check in all_checks() if found is facts)

    gets = {"audio": is_wanted, "frames": _needs_frames, "words": lambda _: True}  # words come with the clip
    assert gets[need](config)


def test_clips_alone_load_no_opencv() -> None:
    code = (
        "import sys, pipeline.media.cut_files\nfrom pipeline.media.members import all_members\nall_members()\n"
        "assert 'cv2' not in sys.modules"
    )

    subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd=REPO, env={"PYTHONPATH": str(REPO)}, timeout=120)


def test_a_member_that_is_off_leaves_bytes_and_json_as_they_were(film: Path, tmp_path: Path) -> None:
    _, plain = made(film, tmp_path / "plain")
    _, with_mel = made(film, tmp_path / "mel", "media.members.mel=true")

    assert [tuple(sample) for sample in plain] == [DEFAULT_MEMBERS] * 2
    for one, other in zip(plain, with_mel, strict=True):
        assert not [key for key in read_sample(one["json"]).model_extra or {} if key.startswith("mel")]
        assert all(one[name] == other[name] for name in one if name != "json")
        assert other["json"].startswith(one["json"][:-1]), "what the member adds comes last"
