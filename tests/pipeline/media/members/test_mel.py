"""The log-mel spectrogram: made, verified and read, with its ticks where they sound."""

import io
from pathlib import Path

import numpy as np
import pytest

from hdvila_testing.rows import a_clip_row, a_video_row
from hdvila_testing.video import Film, a_video
from manifests.sample import read_sample
from pipeline.media.cut_files import media_config
from pipeline.media.members.mel import log_mel, mel_filters
from pipeline.media.probe import probe
from pipeline.media.sample_faults import media_faults
from pipeline.media.video import MadeVideo, make_video
from tests.pipeline.media.small_films import made
from train.data.mel import read_mel


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "a.mp4", Film(seconds=6, gop=25, width=320, height=180))


def test_a_spectrogram_is_made_verified_and_read_with_its_ticks_where_they_sound(film: Path, tmp_path: Path) -> None:
    """The film ticks for 5 ms at each whole second: 0, 1 and 2 s of a clip that begins at 1 s."""
    _, (sample, _) = made(film, tmp_path / "mel", "media.members.mel=true")
    assert not list(media_faults(read_sample(sample["json"]), sample))

    mel = read_mel(sample)

    assert mel.values.shape == (80, 250) and mel.hop_ms == 10
    loud = np.flatnonzero(mel.values.max(axis=0) > mel.values.max() - 2) * mel.hop_ms
    assert all(min(abs(ms - tick) for tick in (0, 1000, 2000)) <= 20 for ms in loud)
    assert {round(ms, -3) for ms in loud} == {0, 1000, 2000}
    assert mel.stretch(1000, 2000).shape == (80, 100)


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
