"""Checks and members are data: what the tables in manifests/ name is what the program makes, configures and skips."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from manifests.checks import CHECKS
from manifests.members import MEMBERS
from manifests.sample import DEFAULT_MEMBERS, read_sample
from manifests.settings import walk_keys
from pipeline.config.media import MediaConfig
from pipeline.media.checks import all_checks
from pipeline.media.cut_files import ONLY_CLIPS, media_config
from pipeline.media.hearing import is_wanted
from pipeline.media.members import all_members
from pipeline.media.members.mel import log_mel, mel_filters
from pipeline.media.probe import probe
from pipeline.media.verify_media import media_faults
from pipeline.media.video import MadeVideo, _needs_frames, make_video
from pipeline.testing.rows import a_clip_row, a_video_row
from pipeline.testing.video import Film, a_video
from train.data.mel import read_mel

REPO = Path(__file__).resolve().parents[3]


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

    assert is_wanted(config) if need == "audio" else _needs_frames(config)


def test_clips_alone_load_no_opencv() -> None:
    code = (
        "import sys, pipeline.media.cut_files\nfrom pipeline.media.members import all_members\nall_members()\n"
        "assert 'cv2' not in sys.modules"
    )

    subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd=REPO, env={"PYTHONPATH": str(REPO)}, timeout=120)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "a.mp4", Film(seconds=6, gop=25, width=320, height=180))


def made(film: Path, scratch: Path, *settings: str) -> tuple[MadeVideo, list[dict[str, bytes]]]:
    scratch.mkdir()
    config = media_config(None, ["media.cut.min_short_side=0", *settings])
    video, clips = a_video_row("film"), [a_clip_row("film", 0, 1000, 3500), a_clip_row("film", 1, 3500, 5500)]
    result = make_video(film, video, clips, config, scratch)
    samples = [clip.sample.members for clip in result.clips if clip.sample]
    return result, [{e: c.read_bytes() if isinstance(c, Path) else c for e, c in s.items()} for s in samples]


def test_a_member_that_is_off_leaves_bytes_and_json_as_they_were(film: Path, tmp_path: Path) -> None:
    _, plain = made(film, tmp_path / "plain")
    _, with_mel = made(film, tmp_path / "mel", "media.members.mel=true")

    assert [tuple(sample) for sample in plain] == [DEFAULT_MEMBERS] * 2
    for one, other in zip(plain, with_mel, strict=True):
        assert not [key for key in read_sample(one["json"]).model_extra or {} if key.startswith("mel")]
        assert all(one[name] == other[name] for name in one if name != "json")
        assert other["json"].startswith(one["json"][:-1]), "what the member adds comes last"


def test_a_spectrogram_is_made_verified_and_read_with_its_ticks_where_they_sound(film: Path, tmp_path: Path) -> None:
    """The film ticks for 5 ms at each whole second: 0, 1 and 2 s of a clip that begins at 1 s."""
    _, (sample, _) = made(film, tmp_path / "mel", "media.members.mel=true", "media.members.mel_hop_ms=5")
    assert not list(media_faults(read_sample(sample["json"]), sample))

    mel = read_mel(sample)

    assert mel.values.shape == (80, 500) and mel.hop_ms == 5
    loud = np.flatnonzero(mel.values.max(axis=0) > mel.values.max() - 2) * mel.hop_ms
    assert all(min(abs(ms - tick) for tick in (0, 1000, 2000)) <= 20 for ms in loud)
    assert {round(ms, -3) for ms in loud} == {0, 1000, 2000}
    assert mel.stretch(1000, 2000).shape == (80, 200)


def test_a_damaged_spectrogram_is_named_by_verify_and_refused_by_the_reader(film: Path, tmp_path: Path) -> None:
    _, (sample, _) = made(film, tmp_path / "mel", "media.members.mel=true")
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 4), np.float16))

    for data in (b"no array", buffer.getvalue()):
        damaged = {**sample, "mel.npy": data}
        assert any(fault.startswith("mel.npy: ") for fault in media_faults(read_sample(sample["json"]), damaged))
        with pytest.raises(ValueError, match=r"mel\.npy|pickled"):
            read_mel(damaged)


def test_silence_has_a_spectrogram_at_its_floor(tmp_path: Path) -> None:
    path = a_video(tmp_path / "mute.mp4", Film(seconds=3, gop=25, width=320, height=180, audio=""))
    assert probe(path).audio is None
    film_scratch = tmp_path / "made"
    _, samples = made_of(path, film_scratch)

    assert np.allclose(read_mel(samples[0]).values, np.log(1e-10), atol=0.05)


def made_of(path: Path, scratch: Path) -> tuple[MadeVideo, list[dict[str, bytes]]]:
    scratch.mkdir()
    config = media_config(None, ["media.cut.min_short_side=0", "media.members.mel=true"])
    result = make_video(path, a_video_row("mute"), [a_clip_row("mute", 0, 500, 2500)], config, scratch)
    samples = [clip.sample.members for clip in result.clips if clip.sample]
    return result, [{e: c.read_bytes() if isinstance(c, Path) else c for e, c in s.items()} for s in samples]


def test_a_tone_stands_in_the_filter_of_its_frequency() -> None:
    rate = 16_000
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)

    mel = log_mel(tone, rate, 160, 40)

    centres = mel_filters(rate, 512, 40) @ np.fft.rfftfreq(512, 1 / rate) / mel_filters(rate, 512, 40).sum(axis=1)
    assert abs(centres[int(mel[:, 50].argmax())] - 1000) < 100
