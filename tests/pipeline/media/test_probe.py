"""What a file is, and which files are turned away before a frame of them is decoded."""

import csv
import resource
from fractions import Fraction
from pathlib import Path

import av
import ffmpeg
import pytest

from manifests.reasons import Reason
from pipeline.config.media import CutConfig, MediaLimits
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.probe import Unusable, probe, refuse_unfit
from pipeline.testing.video import Film, a_video

SMALL = {"width": 320, "height": 180}


def reason_of(path: Path, config: CutConfig | None = None, limits: MediaLimits | None = None) -> Reason | None:
    """The reason why a file is turned away, None where it isn't."""
    try:
        refuse_unfit(probe(path, limits), config or CutConfig())
    except Unusable as fault:
        return fault.reason
    return None


def test_a_plain_film_is_told_rightly(tmp_path: Path) -> None:
    found = probe(a_video(tmp_path / "a.mp4", seconds=2, fps=Fraction(30000, 1001), gop=30, n_audio_tracks=2))
    video = found.video
    assert (video.codec, video.width, video.height, video.rotation) == ("h264", 1280, 720, 0)
    assert (video.pix_fmt, video.bit_depth, video.interlaced, video.hdr) == ("yuv420p", 8, False, "")
    assert video.fps == Fraction(30000, 1001)
    assert found.zero_s == 0
    assert found.duration_ms == 2002  # 60 frames
    assert found.audio is not None
    assert (found.audio.codec, found.audio.rate, found.n_audio_tracks) == ("aac", 48000, 2)


def test_the_short_side_is_taken_after_rotation_and_with_square_pixels(tmp_path: Path) -> None:
    turned = probe(a_video(tmp_path / "r.mp4", seconds=1, rotation=90, **SMALL)).video
    assert (turned.width, turned.height, turned.short_side, turned.rotation) == (180, 320, 180, 270)
    squeezed = probe(a_video(tmp_path / "s.mp4", seconds=1, width=160, height=180, sar=Fraction(2))).video
    assert (squeezed.width, squeezed.height) == (320, 180)


def test_source_time_begins_with_the_earliest_track(tmp_path: Path) -> None:
    found = probe(a_video(tmp_path / "t.ts", seconds=2, start_s=100, **SMALL))
    assert found.zero_s == pytest.approx(100, abs=0.03)
    assert 0 <= found.video.start_ms <= 30
    assert found.duration_ms == pytest.approx(2000, abs=30)


def test_720p_is_a_short_side_of_704_or_a_wide_picture_of_1280() -> None:
    config = CutConfig()
    for width, height in [(1280, 720), (720, 1280), (1280, 718), (960, 720), (1280, 544), (1920, 800), (544, 1280)]:
        assert config.is_720p(width, height), (width, height)
    for width, height in [(854, 480), (640, 480), (1138, 640), (1024, 576), (1024, 436)]:
        assert not config.is_720p(width, height), (width, height)
    assert not CutConfig(accept_wide=False).is_720p(1280, 544)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nhttp://127.0.0.1:9/segment.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile /etc/passwd\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>",
        "",
        "not a video",
    ],
)
def test_a_text_that_names_other_files_is_no_video_whatever_it_is_called(tmp_path: Path, text: str) -> None:
    path = tmp_path / "film.mp4"
    path.write_text(text)
    assert reason_of(path) is Reason.NOT_A_VIDEO


def test_an_image_bomb_is_turned_away_without_the_memory_it_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 8192, 4096, "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast"}
        frame = av.VideoFrame(8192, 4096, "yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert reason_of(path) is Reason.OVERSIZED


@pytest.mark.parametrize("name", [b"free", b"xtsd", bytes(4)])
def test_an_mp4_that_does_not_say_how_it_is_encoded_has_a_reason(name: bytes, tmp_path: Path) -> None:
    film = a_video(tmp_path / "film.mp4", seconds=1, width=640, height=360)
    film.write_bytes(film.read_bytes().replace(b"stsd", name))
    with pytest.raises(Unusable, match="no decoder for its video") as caught:
        probe(film)
    assert caught.value.reason is Reason.UNSUPPORTED_CODEC


def test_tags_in_any_encoding_are_no_reason_to_refuse_a_file(tmp_path: Path) -> None:
    path = a_video(tmp_path / "a.mp4", **SMALL, seconds=1)
    graph = ffmpeg.output(ffmpeg.input(str(path)), str(tmp_path / "tagged.mp4"), c="copy", metadata="title=TITLE")
    run_ffmpeg(graph, time_limit_s=30)
    tagged = tmp_path / "latin1.mp4"
    data = (tmp_path / "tagged.mp4").read_bytes()
    assert b"TITLE" in data
    tagged.write_bytes(data.replace(b"TITLE", b"\xff\xfeTIT"))

    assert probe(tagged).duration_ms == probe(path).duration_ms


def test_limits_of_bytes_and_length_are_kept(tmp_path: Path) -> None:
    path = a_video(tmp_path / "a.mp4", seconds=2, **SMALL)
    assert reason_of(path, limits=MediaLimits(max_bytes=1000)) is Reason.OVERSIZED
    assert reason_of(path, limits=MediaLimits(max_duration_s=1)) is Reason.OVERSIZED


def test_a_file_that_ends_before_its_own_description_is_truncated(tmp_path: Path) -> None:
    whole = a_video(tmp_path / "whole.mkv", seconds=30, gop=25, **SMALL).read_bytes()
    cut_off = tmp_path / "cut.mkv"
    cut_off.write_bytes(whole[: len(whole) // 2])
    assert reason_of(cut_off, CutConfig(min_short_side=0)) is Reason.TRUNCATED


def test_hdr_interlaced_and_silent_files_have_reasons_of_their_own(tmp_path: Path, samples: Path) -> None:
    videos = samples / "videos"
    assert reason_of(videos / "media__hdr10-av1.mp4") is Reason.HDR
    assert reason_of(videos / "media__hdr10-av1.mp4", CutConfig(hdr="keep")) is None
    assert reason_of(videos / "metadata-extractor-images__Sony_ILCE-7M3_A7M3_.mts") is Reason.INTERLACED
    silent = a_video(tmp_path / "s.mp4", seconds=1, audio="")
    assert reason_of(silent) is None
    assert reason_of(silent, CutConfig(require_audio=True)) is Reason.NO_AUDIO


def test_the_samples_are_what_their_index_says(samples: Path) -> None:
    with (samples / "videos" / "index.tsv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file, delimiter="\t")}
    for name, row in rows.items():
        if row["video_codec"] == "none" or name in (
            "mp4parse-rust__invalid_userdata.mp4",
            "torchcodec__nasa_13013.mp4",  # two pictures: the larger is taken
            "mediabunny__rotate-buck-bunny.mp4",  # the index has the picture as stored
            "mediabunny__no-initial-keyframe.ts",  # the index has pixels that aren't square
        ):
            continue
        video = probe(samples / "videos" / name).video
        assert (video.width, video.height) == (int(row["width"]), int(row["height"])), name
        assert (video.codec, video.pix_fmt) == (row["video_codec"], row["pix_fmt"]), name
    assert probe(samples / "videos" / "mediabunny__rotate-buck-bunny.mp4").video.height == 1920
    for name, reason in [
        ("mediabunny__multiple-aac-tracks.mp4", Reason.NOT_A_VIDEO),
        ("mp4parse-rust__invalid_userdata.mp4", Reason.TRUNCATED),
        ("media__sample.avi", Reason.BELOW_720P),
        ("mp4parse-rust__minimal.mp4", Reason.BELOW_720P),
    ]:
        assert reason_of(samples / "videos" / name) is reason


def test_probing_needs_little_memory(samples: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    probe(samples / "videos" / "video2dataset__test_video.mp4")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_file_says_how_long_it_is(tmp_path: Path) -> None:
    found = probe(a_video(tmp_path / "film.mp4", Film(seconds=3, gop=25, width=320, height=180)))

    assert abs(found.declared_ms - 3000) <= 40
    assert abs(found.duration_ms - 3000) <= 40
