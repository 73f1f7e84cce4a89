"""Speech in real recordings: found where it is, in any container; and borders that move by it leave exact clips."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from hdvila_testing.rows import a_clip_row, a_video_row, with_transcript
from hdvila_testing.video import a_video
from manifests.sample import GIVEN, read_sample
from pipeline.config.media import MediaLimits
from pipeline.media.borders import ClipWords
from pipeline.media.cut_files import media_config
from pipeline.media.cutting.span import Span
from pipeline.media.probe import probe
from pipeline.media.sample_faults import media_faults
from pipeline.media.speech import Speech, hear_speech
from pipeline.media.video import MadeVideo, make_video
from pipeline.media.work_limit import WorkLimit
from tests.pipeline.media.stage_runs import SMALL

pytest.importorskip("webrtcvad")

RATE = 48_000
SPOKEN_MS = [(1000, 3000), (3600, 6600), (8000, 9500)]
"""Where the film speaks: pieces of a recording, with silence between them."""


def voice(samples: Path, start_ms: int, end_ms: int) -> NDArray[np.float32]:
    """A piece of a recording of somebody who talks to a camera."""
    parts = []
    with av.open(str(samples / "videos" / "LatentSync__demo1_video.mp4")) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
        for frame in container.decode(container.streams.audio[0]):
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    return np.concatenate(parts)[start_ms * RATE // 1000 : end_ms * RATE // 1000]


def a_talking_film(path: Path, samples: Path, start_s: float = 0.0) -> Path:
    """Drawn pictures, with a voice at SPOKEN_MS."""
    silent = a_video(path.with_name(f"silent-{path.name}"), seconds=10, gop=40, audio="", start_s=start_s, **SMALL)
    sound = np.zeros(10 * RATE, np.float32)
    for start_ms, end_ms in SPOKEN_MS:
        sound[start_ms * RATE // 1000 : end_ms * RATE // 1000] = voice(samples, 1000, 1000 + end_ms - start_ms)
    with av.open(str(silent)) as source, av.open(str(path), "w") as out:
        pictures = out.add_stream_from_template(source.streams.video[0], opaque=True)
        track = out.add_stream("aac", rate=RATE, layout="mono")
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = pictures
                out.mux(packet)
        for at in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, at : at + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, at + round(start_s * RATE), Fraction(1, RATE)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return path


def heard(path: Path, *spans: tuple[int, int]) -> Speech | None:
    limits = MediaLimits()
    numbered = [Span(n, start_ms, end_ms) for n, (start_ms, end_ms) in enumerate(spans)]
    return hear_speech(probe(path, limits), limits, numbered, WorkLimit(60.0))


@pytest.mark.parametrize(("name", "start_s"), [("film.mp4", 0.0), ("film.ts", 518.75), ("film.mkv", 0.0)])
def test_a_voice_is_heard_where_it_is_and_nowhere_else(
    samples: Path, tmp_path: Path, name: str, start_s: float
) -> None:
    speech = heard(a_talking_film(tmp_path / name, samples, start_s), (0, 10_000))
    assert speech is not None
    assert all(speech.share(start_ms, end_ms) > 0.7 for start_ms, end_ms in SPOKEN_MS)
    quiet = [(0, 900), (3150, 3550), (6750, 7900), (9650, 9900)]
    assert all(speech.share(start_ms, end_ms) < 0.2 for start_ms, end_ms in quiet)
    assert not any(speech.is_cut_at(ms) for span in quiet for ms in span)
    near = [min(abs(end - a) for a, _ in speech.silences(0, 10_000)) for _, end in SPOKEN_MS]
    assert max(near) <= 150


def test_only_what_is_near_a_clip_is_heard(samples: Path, tmp_path: Path) -> None:
    speech = heard(a_talking_film(tmp_path / "film.mp4", samples), (1000, 3000), (99_000, 99_500), (500, 400))
    assert speech is not None
    assert speech.share(1000, 3000) > 0.7 and speech.share(4000, 9000) == -1.0
    assert not speech.is_cut_at(8500)


def test_a_film_without_audio_or_with_silence_has_no_speech(tmp_path: Path) -> None:
    assert heard(a_video(tmp_path / "mute.mp4", seconds=2, audio="", **SMALL), (0, 2000)) is None
    silent = heard(a_video(tmp_path / "silent.mp4", seconds=2, silent=True, **SMALL), (0, 2000))
    assert silent is not None and silent.share(0, 1900) < 0.2


LATE = [(1200, 3250), (3250, 6800)]
"""Planned by captions that are late: the voice begins before the first clip."""


def made(
    path: Path, folder: Path, *settings: str, spans: Sequence[tuple[int, int]] = LATE, model: str = "punctuation"
) -> MadeVideo:
    """The film's clips, their words spread evenly over them."""
    folder.mkdir()
    rows = [a_clip_row("a", n, *span, boundary_model=model) for n, span in enumerate(spans)]
    transcript, named = with_transcript(rows)
    words = {row["n"]: ClipWords(transcript["words"], row["first_word"], row["n_words"]) for row in named}
    config = media_config(None, ["media.cut.min_short_side=0", *settings])
    return make_video(path, a_video_row("a"), named, config, folder, words)


def test_clips_begin_and_end_in_silence_and_their_frames_are_exact(samples: Path, tmp_path: Path) -> None:
    film = a_talking_film(tmp_path / "film.mp4", samples)
    for mode in ("remux", "exact"):
        clips = made(film, tmp_path / mode, f"media.cut.mode={mode}").clips
        for clip, planned, spoken in zip(clips, LATE, SPOKEN_MS, strict=False):
            assert clip.sample is not None
            members = {e: c.read_bytes() if isinstance(c, Path) else c for e, c in clip.sample.members.items()}
            sample = read_sample(members["json"])
            assert (sample.planned_start_ms, sample.planned_end_ms) == planned
            assert (clip.start_ms, clip.end_ms) == (sample.start_ms, sample.end_ms)
            assert sample.start_ms <= spoken[0] + 50 and sample.end_ms >= spoken[1] - 50
            assert 0.5 < sample.speech_share <= 1 and "cut_speech" not in clip.flags
            assert all(0 <= w["start_ms"] <= w["end_ms"] <= sample.duration_ms for w in json.loads(sample.words))
            assert not list(media_faults(sample, members))


def test_given_spans_stay_and_say_that_they_cut_speech(samples: Path, tmp_path: Path) -> None:
    film, spans = a_talking_film(tmp_path / "film.mp4", samples), [(5500, 6800), (6800, 9700)]
    clips = made(film, tmp_path / "clips", spans=spans, model=GIVEN).clips
    assert [(clip.start_ms, clip.end_ms) for clip in clips] == spans
    assert ["cut_speech" in clip.flags for clip in clips] == [True, False]


def test_borders_can_be_left_as_planned(samples: Path, tmp_path: Path) -> None:
    film = a_talking_film(tmp_path / "film.mp4", samples)
    clips = made(film, tmp_path / "clips", "media.cut.borders=planned").clips
    documents: list[Any] = [json.loads(clip.sample.members["json"]) for clip in clips if clip.sample]  # type: ignore[arg-type]
    assert [(clip.start_ms, clip.end_ms) for clip in clips] == LATE
    assert [document["speech_share"] for document in documents] == [-1.0, -1.0]
    assert not any("cut_speech" in clip.flags for clip in clips)
