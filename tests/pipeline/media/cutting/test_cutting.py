"""Cuts are held against the source's own pictures: the frame code burned in, read back by several decoders."""

import io
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from hdvila_testing.readers import READERS, frame_hashes, timed_hashes
from hdvila_testing.video import Film, a_video
from pipeline.config.media import CutConfig
from pipeline.media.cutting import CutClip, Span, cut_clips
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.probe import Unusable, probe, refuse_unfit
from tests.pipeline.media.cutting.films import FILMS, LIMITS, SMALL, SPANS, cut, film_at, wanted_codes


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "name", ["30 fps with B-frames", "open GOP", "variable frame rate", "HEVC with open GOPs", "AV1"]
)
@pytest.mark.parametrize("mode", ["remux", "exact"])
def test_every_decoder_finds_the_same_frames(films: Path, tmp_path: Path, name: str, reader: str, mode: str) -> None:
    if reader == "torchcodec":
        try:
            import torchcodec.decoders  # noqa: F401
        except (ImportError, OSError, RuntimeError) as error:
            pytest.skip(f"torchcodec does not load here: {str(error).splitlines()[0]}")
    path, _ = film_at(films, name)
    clip = cut(path, [SPANS[2]], mode=mode, exact_preset="ultrafast", exact_crf=16)[2]
    assert isinstance(clip, CutClip)
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip.mp4)
    codes = READERS[reader](file)
    assert codes[clip.first_frame : clip.first_frame + clip.n_frames] == wanted_codes(path, SPANS[2])


@pytest.mark.parametrize("name", FILMS)
def test_offset_ms_is_where_the_clip_starts_inside_the_mp4(films: Path, name: str) -> None:
    """A reader that goes by time alone takes the frames with offset <= time < offset + duration."""
    path, _ = film_at(films, name)
    for clip in cut(path, SPANS).values():
        assert isinstance(clip, CutClip)
        start = Fraction(clip.offset_ms, 1000)
        end = start + Fraction(clip.end_ms - clip.start_ms, 1000)
        times = file_times(clip.mp4)
        assert [i for i, t in enumerate(times) if start <= t < end] == list(
            range(clip.first_frame, clip.first_frame + clip.n_frames)
        )


def file_times(mp4: bytes) -> list[Fraction]:
    import av

    with av.open(io.BytesIO(mp4)) as container:
        stream = container.streams.video[0]
        return sorted(packet.pts * stream.time_base for packet in container.demux(stream) if packet.size)


def test_two_cuts_of_the_same_span_are_the_same_bytes(films: Path) -> None:
    path, _ = film_at(films, "30 fps with B-frames")
    for mode in ("remux", "exact"):
        first, again = (cut(path, [SPANS[2]], mode=mode)[2] for _ in range(2))
        assert isinstance(first, CutClip)
        assert isinstance(again, CutClip)
        assert first.mp4 == again.mp4


SIXTY = {
    "h264, closed": ("mp4", Film(seconds=4, fps=Fraction(60), gop=50, **SMALL)),
    "h264, open": ("mp4", Film(seconds=4, fps=Fraction(60000, 1001), gop=50, open_gop=True, **SMALL)),
    "h264, transport stream": ("ts", Film(seconds=4, fps=Fraction(60), gop=50, start_s=100, **SMALL)),
    "h264, whole milliseconds": ("mkv", Film(seconds=4, fps=Fraction(60), gop=50, **SMALL)),
    "HEVC, open": ("mp4", Film(seconds=4, fps=Fraction(60), gop=50, codec="libx265", open_gop=True, **SMALL)),
}


@pytest.mark.parametrize("mode", ["remux", "exact"])
@pytest.mark.parametrize("name", SIXTY)
def test_at_60_frames_a_second_times_rise_and_ffmpeg_has_nothing_to_say(tmp_path: Path, name: str, mode: str) -> None:
    suffix, film = SIXTY[name]
    path = a_video(tmp_path / f"film.{suffix}", film)
    spans = [Span(0, 0, 1500), Span(1, 733, 2611), Span(2, 1716, 3977)]
    for n, clip in cut(path, spans, mode=mode, exact_preset="ultrafast").items():
        assert isinstance(clip, CutClip), clip
        file = tmp_path / f"{n}.mp4"
        file.write_bytes(clip.mp4)
        with av.open(str(file)) as container:
            for stream in container.streams:
                container.seek(0)
                packets = [packet for packet in container.demux(stream) if packet.size]
                decoded = [packet.dts for packet in packets]
                assert all(a < b for a, b in pairwise(decoded))
                assert len({packet.pts for packet in packets}) == len(packets)
                assert all(packet.pts >= packet.dts for packet in packets)
        read = [find_ffmpeg(), "-v", "warning", "-xerror", "-i", str(file)]
        copied = [*read, "-c", "copy", "-f", "mp4", "-y", "/dev/null"]
        shown = [*read, "-fps_mode", "passthrough", "-f", "null", "-"]
        for command in (copied, shown):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")


def test_rotation_survives_every_mode(films: Path, tmp_path: Path) -> None:
    path, _ = film_at(films, "rotated by a quarter")
    for mode in ("remux", "exact", "keyframe"):
        clip = cut(path, [SPANS[2]], mode=mode)[2]
        assert isinstance(clip, CutClip)
        file = tmp_path / f"{mode}.mp4"
        file.write_bytes(clip.mp4)
        again = probe(file, LIMITS).video
        assert (again.width, again.height, again.rotation) == (180, 320, probe(path, LIMITS).video.rotation)


def test_every_720p_clip_of_the_samples_has_its_source_s_pictures(samples: Path) -> None:
    """Frame by frame, by hash: what a remuxed clip decodes to is what the source decodes to."""
    checked = 0
    for path in sorted((samples / "videos").iterdir()):
        if path.suffix == ".tsv":
            continue
        try:
            refuse_unfit(probe(path, LIMITS), CutConfig(hdr="keep"))
        except Unusable:
            continue
        if path.name not in ("decord__corrupted.mp4", "imageio-binaries__cockatoo.mp4"):  # damaged; H.264 in 4:4:4
            _assert_same_pictures(path)
            checked += 1
    assert checked >= 10


def _assert_same_pictures(path: Path) -> None:
    source = probe(path, LIMITS)
    duration_ms = min(source.duration_ms, 30_000)
    spans = [
        Span(0, duration_ms // 10, duration_ms // 2),
        Span(1, duration_ms // 3, duration_ms * 9 // 10),
        Span(2, source.video.start_ms, duration_ms),
    ]
    pictures = [
        (1000 * (time - source.zero_s), digest)
        for time, digest in timed_hashes(path, source.video.index)
        if 1000 * (time - source.zero_s) < duration_ms + 1000
    ]
    for clip in cut_clips(source, spans, CutConfig(hdr="keep"), LIMITS):
        assert isinstance(clip, CutClip), (path.name, clip)
        wanted = [digest for time_ms, digest in pictures if clip.start_ms <= time_ms < clip.end_ms]
        inside = frame_hashes(clip.mp4)[clip.first_frame : clip.first_frame + clip.n_frames]
        assert inside == wanted, path.name
