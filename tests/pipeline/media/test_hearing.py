"""Audio in the decode pass: the same checks and members as of audio read by itself, whatever the order of the file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from hdvila_testing.rows import a_clip_row, a_video_row
from hdvila_testing.video import Film, a_video
from pipeline.media import video
from pipeline.media.cut_files import media_config
from pipeline.media.cutting.audio import ClipAudio
from pipeline.media.hearing import Hearing
from pipeline.media.video import MadeVideo, make_video

SPANS = [(0, 1500), (1900, 3500), (5000, 6990)]
SECONDS = 15
AS_GIVEN = {"max_interleave_delta": "1"}
"""Options of a muxer that does not wait for packets of another track."""
AUDIBLE = -9.0
"""What is fainter, ln of power, is what an AAC decoder still remembers of the packets before."""


def made(path: Path, folder: Path, *settings: str, spans: Sequence[tuple[int, int]] = tuple(SPANS)) -> MadeVideo:
    folder.mkdir()
    wanted = ["media.cut.min_short_side=0", "media.members.mel=true", "media.checks.silence=flag", *settings]
    clips = [a_clip_row("a", n, start, end) for n, (start, end) in enumerate(spans)]
    return make_video(path, a_video_row("a"), clips, media_config(None, wanted), folder)


def mels(result: MadeVideo) -> list[NDArray[np.float32]]:
    members = [clip.sample.members["mel.npy"] for clip in result.clips if clip.sample]
    assert len(members) == len(result.clips)
    found = [np.load(member).astype(np.float32) for member in members if isinstance(member, Path)]
    return [np.maximum(mel, AUDIBLE) for mel in found]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = Film(seconds=SECONDS, gop=40, width=320, height=180)
    return a_video(tmp_path_factory.mktemp("films") / "film.mp4", shape)


@contextmanager
def counted_readings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The starts, in ms, of what is read by itself inside the block."""
    starts: list[int] = []
    read = video.decode_audio

    def counting(container: Any, stream: Any, source: Any, start_ms: int, end_ms: int) -> Any:
        starts.append(start_ms)
        return read(container, stream, source, start_ms, end_ms)

    with monkeypatch.context() as patched:
        patched.setattr(video, "decode_audio", counting)
        yield starts


@contextmanager
def deaf_pass(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside the block the decode pass hears nothing, so that all audio is read by itself."""
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.media.hearing.Hearing.hear", lambda *_: None)
        yield


def same(one: MadeVideo, other: MadeVideo, *, rounded: bool = False) -> bool:
    """Whether two results have the same flags, and spectrograms that differ by no more than a codec's memory.

    `rounded`: the file gives times in whole ms, and a clip's are those of its first block, which may not be the same:
    where a tone begins, spectrograms then differ; half a ms is 0.01 in the mean, a column 0.14.
    """
    pairs = zip(mels(one), mels(other), strict=True)
    alike = all(
        a.shape == b.shape and (np.abs(a - b).mean() < 0.02 if rounded else np.abs(a - b).max() < 0.05)
        for a, b in pairs
    )
    return alike and [clip.flags for clip in one.clips] == [clip.flags for clip in other.clips]


@pytest.mark.parametrize("whole", ["true", "false"], ids=["whole film", "stretches"])
def test_audio_of_the_pass_is_that_of_a_reader_of_its_own(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: str
) -> None:
    scenes = f"media.scenes.detector={'shots' if whole else 'off'}"
    with counted_readings(monkeypatch) as starts:
        together = made(film, tmp_path / "together", scenes)
    with deaf_pass(monkeypatch):
        apart = made(film, tmp_path / "apart", scenes)

    assert not starts, "the pass heard every clip"
    assert same(together, apart)


def test_a_clip_that_ends_with_the_file_is_heard_in_the_pass(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = [(0, 1500), (SECONDS * 1000 - 2000, SECONDS * 1000)]
    with counted_readings(monkeypatch) as starts:
        together = made(film, tmp_path / "together", spans=spans)
    with deaf_pass(monkeypatch):
        apart = made(film, tmp_path / "apart", spans=spans)

    assert not starts
    assert same(together, apart)


def test_audio_far_from_its_pictures_is_read_by_itself(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pictures stand before all audio: of three clips, two end more than ten seconds before the pictures do."""
    far = tmp_path / "far.mkv"
    with av.open(str(film)) as source, av.open(str(far), "w", format="matroska", options=AS_GIVEN) as out:
        tracks = {s.index: out.add_stream_from_template(s) for s in source.streams if s.type in ("video", "audio")}
        packets = [p for p in source.demux() if p.size and p.stream_index in tracks]
        for packet in sorted(packets, key=lambda p: (p.stream.type != "video", p.dts * p.time_base)):
            packet.stream = tracks[packet.stream_index]
            out.mux([packet])

    with counted_readings(monkeypatch) as starts:
        found = made(far, tmp_path / "found", "media.scenes.detector=shots")
    with deaf_pass(monkeypatch):
        apart = made(far, tmp_path / "apart", "media.scenes.detector=shots")

    assert starts, "at least one clip was given up"
    assert same(found, apart, rounded=True)


@contextmanager
def counted_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The samples of each block of audio that is decoded for clips inside the block."""
    sizes: list[int] = []
    add = ClipAudio.add

    def counting(audio: ClipAudio, frame: Any) -> None:
        sizes.append(frame.samples)
        add(audio, frame)

    with monkeypatch.context() as patched:
        patched.setattr(ClipAudio, "add", counting)
        yield sizes


@pytest.mark.parametrize("whole", ["true", "false"], ids=["whole film", "stretches"])
def test_where_the_beginning_of_the_audio_is_enough_the_rest_is_not_decoded(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: str
) -> None:
    settings = ("media.members.mel=false", f"media.scenes.detector={'shots' if whole else 'off'}")
    with counted_blocks(monkeypatch) as sizes:
        clips = made(film, tmp_path / "few", *settings).clips
    with counted_blocks(monkeypatch) as all_sizes:
        made(film, tmp_path / "all", f"media.scenes.detector={'shots' if whole else 'off'}")

    assert [clip.flags for clip in clips] == [()] * len(SPANS)
    assert sum(sizes) < 0.5 * sum(all_sizes)


def with_audio(film: Path, path: Path, samples: NDArray[np.int16], rate: int) -> Path:
    """The pictures of a film with other audio, mono."""
    with av.open(str(film)) as source, av.open(str(path), "w", format="matroska") as out:
        pictures = out.add_stream_from_template(source.streams.video[0])
        audio = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = pictures
                out.mux(packet)
        for at in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, at : at + 1024], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            out.mux(audio.encode(frame))
    return path


def test_a_clip_in_which_something_is_heard_at_its_very_end_is_not_silent(film: Path, tmp_path: Path) -> None:
    rate = 48000
    samples = np.zeros(8 * rate, np.int16)
    samples[rate * 27 // 10 : rate * 29 // 10] = 9000 * np.sin(np.arange(rate // 5) / 20)
    loud = with_audio(film, tmp_path / "loud.mkv", samples, rate)

    clips = made(loud, tmp_path / "made", "media.members.mel=false", spans=[(0, 3000), (3000, 7000)]).clips

    assert [clip.flags for clip in clips] == [(), ("silent",)]


def hearing(*spans: tuple[int, int], track_start_ms: int = 0, **settings: str) -> Hearing:
    """The collector of clips with these spans, on a track whose clock counts ms."""
    track = SimpleNamespace(start_ms=track_start_ms, time_base=Fraction(1, 1000), rate=48_000, channels=1)
    source: Any = SimpleNamespace(audio=track, zero_s=Fraction(0), video=None)
    clips: Any = [SimpleNamespace(n=n, start_ms=a, end_ms=b) for n, (a, b) in enumerate(spans)]
    config = media_config(None, [f"media.{key.replace('__', '.')}={value}" for key, value in settings.items()])
    return Hearing.of(source, config, clips)
