"""Films as recorders, phones and shops write them: each is right, or turned away for its true reason."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from hdvila_testing.readers import codes_by_ffmpeg
from hdvila_testing.video import a_video
from manifests.reasons import Reason
from pipeline.config.media import CutConfig, MediaLimits
from pipeline.media.convert import convert, needs_conversion
from pipeline.media.cutting import CutClip, CutFailure, Span, cut_clips
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.probe import Unusable, probe, refuse_unfit

SMALL = {"width": 320, "height": 180, "seconds": 4, "gop": 25}
ANY_SIZE = CutConfig(min_short_side=0)


def ffmpeg(*words: object) -> None:
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", *map(str, words)], check=True)


def refusal(path: Path) -> tuple[Reason, str]:
    with pytest.raises(Unusable) as caught:
        refuse_unfit(probe(path), ANY_SIZE)
    return caught.value.reason, caught.value.detail


def clips_of(path: Path, *spans: Span) -> Iterator[CutClip]:
    source = probe(path)
    refuse_unfit(source, ANY_SIZE)
    for clip in cut_clips(source, spans, ANY_SIZE, MediaLimits()):
        assert isinstance(clip, CutClip), clip
        yield clip


def codes(clip: CutClip, folder: Path) -> list[int | None]:
    path = folder / f"clip{clip.n}.mp4"
    path.write_bytes(clip.mp4)
    return codes_by_ffmpeg(path)[clip.first_frame : clip.first_frame + clip.n_frames]


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_a_clock_that_begins_at_ten_hours_is_no_length(suffix: str, tmp_path: Path) -> None:
    tracks = {"codec": "libvpx-vp9", "audio": "libopus"} if suffix == "webm" else {}
    film = a_video(tmp_path / f"film.{suffix}", start_s=36_000, crf=16, **SMALL, **tracks)
    assert probe(film).duration_ms == pytest.approx(4000, abs=50)
    spans = (Span(0, 0, 1000), Span(1, 2500, 3500))
    shown = {clip.n: codes(clip, tmp_path) for clip in clips_of(film, *spans)}
    assert shown[1] in ([*range(62, 87)], [*range(63, 88)]) and shown[0][-1] in (24, 25)

    cut_off = tmp_path / f"cut.{suffix}"
    cut_off.write_bytes(film.read_bytes()[: film.stat().st_size // 4])
    assert refusal(cut_off)[0] is Reason.TRUNCATED


def test_frames_of_vp9_that_only_others_refer_to_are_not_counted(tmp_path: Path) -> None:
    film, apart = tmp_path / "film.webm", tmp_path / "apart.mkv"
    source = ("-f", "lavfi", "-i", "mandelbrot=s=160x90:r=25", "-t", 2)
    encoder = ("-c:v", "libvpx-vp9", "-lag-in-frames", 25, "-auto-alt-ref", 1, "-b:v", "100k", "-cpu-used", 4)
    for number, target in ((1, ("-f", "null", "-")), (2, (film,))):
        ffmpeg(*source, *encoder, "-pass", number, "-passlogfile", tmp_path / "log", *target)
    assert in_blocks_of_their_own(film, apart) > 0
    config = ANY_SIZE.model_copy(update={"require_audio": False})
    made = [next(cut_clips(probe(p), [Span(0, 700, 1500)], config, MediaLimits())) for p in (film, apart)]
    one, other = (clip for clip in made if isinstance(clip, CutClip))
    assert (one.first_frame, one.n_frames, one.mp4) == (other.first_frame, other.n_frames, other.mp4)


def in_blocks_of_their_own(film: Path, target: Path) -> int:
    """Copies a film of VP9 with the frames of each superframe (Annex B of its specification) in packets of their own,
    at the same time; returns the number of such packets.
    """
    n_more = 0
    with av.open(str(film)) as source, av.open(str(target), "w", options={"fflags": "-autobsf"}) as copy:
        track = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            data, at = bytes(packet), 0
            if not data:
                continue
            marker, sizes = data[-1], [len(data)]
            if marker & 0xE0 == 0xC0:
                n, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
                index = data[-1 - n * width : -1]
                sizes = [int.from_bytes(index[i : i + width], "little") for i in range(0, n * width, width)]
            n_more += len(sizes) - 1
            for i, size in enumerate(sizes):
                part = av.Packet(data[at : at + size])
                part.pts, part.dts, part.time_base, part.stream = packet.pts, packet.pts, packet.time_base, track
                part.is_keyframe = packet.is_keyframe and i == 0
                copy.mux(part)
                at += size
    return n_more


def test_joined_recordings_are_not_taken_for_the_first_one_alone(tmp_path: Path) -> None:
    one, joined = a_video(tmp_path / "one.ts", **SMALL), tmp_path / "joined.ts"
    joined.write_bytes(2 * one.read_bytes())
    reason, detail = refusal(joined)
    assert reason is Reason.UNSUPPORTED_MEDIA and "its clock jumps back" in detail
    mended = tmp_path / "mended.mkv"
    ffmpeg("-i", joined, "-c", "copy", mended)
    (clip,) = clips_of(mended, Span(0, 6100, 6900))
    assert codes(clip, tmp_path)[5:15] == [*range(57, 67)]


def test_an_avi_with_b_frames_has_no_times_of_them_and_can_be_converted(tmp_path: Path) -> None:
    film, plain = tmp_path / "film.avi", a_video(tmp_path / "plain.mp4", **SMALL)
    ffmpeg("-i", plain, "-c", "copy", film)
    reason, detail = refusal(film)
    assert reason is Reason.UNSUPPORTED_MEDIA and "cut.convert" in detail and needs_conversion(probe(film))
    copy = convert(probe(film), tmp_path / "copy.mp4")
    assert codes_by_ffmpeg(copy) == codes_by_ffmpeg(plain)
    assert needs_conversion(probe(a_video(tmp_path / "without.avi", b_frames=0, **SMALL))) is False


def test_encrypted_films_and_those_that_do_not_decode_are_not_copied(tmp_path: Path) -> None:
    plain, encrypted = a_video(tmp_path / "plain.mp4", **SMALL), tmp_path / "encrypted.mp4"
    key = ("-encryption_key", "0123456789abcdef" * 2, "-encryption_kid", "fedcba9876543210" * 2)
    ffmpeg("-i", plain, "-c", "copy", "-encryption_scheme", "cenc-aes-ctr", *key, encrypted)
    assert refusal(encrypted)[0] is Reason.ENCRYPTED

    data = bytearray(plain.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[begin:end] = bytes(i * 7 % 251 for i in range(end - begin))
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    assert refusal(damaged)[0] is Reason.DECODE_ERRORS


@pytest.mark.parametrize(
    ("suffix", "codecs"),
    [("ogv", ("libtheora", "libvorbis")), ("wmv", ("wmv2", "wmav2")), ("mpg", ("mpeg2video", "mp2"))],
)
def test_a_container_that_is_not_served_is_a_video_all_the_same(
    suffix: str, codecs: tuple[str, str], tmp_path: Path
) -> None:
    film = tmp_path / f"film.{suffix}"
    try:
        ffmpeg("-i", a_video(tmp_path / "plain.mp4", **SMALL), "-c:v", codecs[0], "-c:a", codecs[1], film)
    except subprocess.CalledProcessError:
        pytest.skip(f"this ffmpeg has no encoder of {codecs}")
    assert refusal(film)[0] is Reason.UNSUPPORTED_CONTAINER


def test_an_offset_that_lies_by_days_is_a_broken_film(tmp_path: Path) -> None:
    """Decode times of all pictures lie so far back: its audio would be hours of silence."""
    film = a_video(tmp_path / "film.mp4", **SMALL)
    data = bytearray(film.read_bytes())
    offset = data.index(b"ctts") + 12 + 8 * 40 + 4
    data[offset : offset + 2] = b"\x80\x7f"
    film.write_bytes(data)
    made = next(cut_clips(probe(film), [Span(0, 100, 900)], ANY_SIZE, MediaLimits()))
    assert isinstance(made, CutFailure) and made.reason is Reason.BROKEN_MEDIA, made
    assert "before it is shown" in made.detail
