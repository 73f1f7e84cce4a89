"""What a file is, and which files are rejected before a frame of them is decoded."""

import csv
import os
import resource
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import ffmpeg
import pytest

from hdvila_testing.video import a_video
from manifests.reasons import Reason
from pipeline.config.media import CutConfig, MediaLimits
from pipeline.media import probe as module
from pipeline.media.cutting.window import packets_from
from pipeline.media.ffmpeg import run_ffmpeg
from pipeline.media.probe import Probe, Starved, Unusable, open_media, probe, refuse_unfit
from tests.pipeline.media.cutting.films import begun_earlier

SMALL = {"width": 320, "height": 180}


def reason_of(path: Path, config: CutConfig | None = None, limits: MediaLimits | None = None) -> Reason | None:
    """The reason why a file is rejected, None where it isn't."""
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
    assert abs(found.declared_ms - 2002) <= 40
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


def test_an_image_bomb_is_rejected_without_the_memory_it_asks_for(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("sar", "reason"), [(Fraction(9), None), (Fraction(10), Reason.BROKEN_MEDIA)])
def test_pixels_of_an_impossible_shape_are_rejected_before_stills_of_it_are_made(
    sar: Fraction, reason: Reason | None, tmp_path: Path
) -> None:
    film = a_video(tmp_path / "film.mp4", seconds=0.2, sar=sar, **SMALL)  # 16:1, and 17.8:1
    assert reason_of(film, CutConfig(min_short_side=0)) is reason


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


def test_a_disk_that_is_slow_by_the_clock_is_no_verdict_on_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_video(tmp_path / "a.mp4", seconds=2, **SMALL)
    with monkeypatch.context() as patch, pytest.raises(Starved, match="opening it took more than 1e-09 s"):
        patch.setattr(module, "OPEN_TIMEOUT_S", 1e-9)
        probe(path)

    with monkeypatch.context() as patch, pytest.raises(Starved, match="reading a packet"):
        patch.setattr(module, "open_media", lambda *_: av.open(str(path), timeout=(60, 1e-9)))
        probe(path)
    with av.open(str(path), timeout=(60, 1e-9)) as slow, pytest.raises(Starved, match="reading a packet"):
        list(packets_from(slow, slow.streams.video[0], 0))


def test_a_file_that_ends_before_its_own_description_is_truncated(tmp_path: Path) -> None:
    whole = a_video(tmp_path / "whole.mkv", seconds=12, gop=25, **SMALL).read_bytes()
    cut_off = tmp_path / "cut.mkv"
    cut_off.write_bytes(whole[: len(whole) // 2])
    assert reason_of(cut_off, CutConfig(min_short_side=0)) is Reason.TRUNCATED


@pytest.mark.parametrize("suffix", ["mkv", "flv"])
def test_audio_that_goes_on_after_the_pictures_does_not_make_them_truncated(suffix: str, tmp_path: Path) -> None:
    pictures, longer = a_video(tmp_path / "a.mp4", seconds=3, gop=25, **SMALL), tmp_path / f"longer.{suffix}"
    sound = a_video(tmp_path / "sound.mp4", seconds=9, **SMALL)
    with av.open(str(longer), "w") as joined, av.open(str(pictures)) as one, av.open(str(sound)) as other:
        taken = [(one, one.streams.video[0]), (other, other.streams.audio[0])]
        packets = []
        for container, stream in taken:
            copy = joined.add_stream_from_template(stream)
            packets += [(packet, copy) for packet in container.demux(stream) if packet.dts is not None]
        for packet, copy in sorted(packets, key=lambda entry: entry[0].dts * entry[0].time_base):
            packet.stream = copy
            joined.mux(packet)

    assert reason_of(longer, CutConfig(min_short_side=0)) is None
    assert probe(longer).declared_ms == -1 and probe(longer).duration_ms == pytest.approx(3000, abs=100)
    cut_off = tmp_path / f"cut.{suffix}"
    cut_off.write_bytes(longer.read_bytes()[: longer.stat().st_size // 2])
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


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """A film of 720p with sound, all of it there."""
    return probe(a_video(tmp_path_factory.mktemp("plain") / "a.mp4", seconds=0.4))


def refused(source: Probe, **config: Any) -> Reason | None:
    try:
        refuse_unfit(source, CutConfig(**config))
    except Unusable as fault:
        return fault.reason
    return None


@pytest.mark.parametrize(("declared_ms", "may_lack_ms"), [(0, 2000), (100_000, 2000), (100_050, 2001), (400_000, 8000)])
def test_a_file_may_lack_two_seconds_or_a_fiftieth_of_what_it_says(
    plain: Probe, declared_ms: int, may_lack_ms: int
) -> None:
    ends = declared_ms - may_lack_ms
    assert refused(replace(plain, declared_ms=declared_ms, duration_ms=ends)) is None
    assert refused(replace(plain, declared_ms=declared_ms, duration_ms=ends - 1)) is Reason.TRUNCATED
    assert refused(replace(plain, declared_ms=-1, duration_ms=-9000)) is None


def test_a_pipe_is_no_video_and_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    os.mkfifo(path)
    with pytest.raises(Unusable, match="not a regular file"):
        probe(path)


def test_a_decoder_uses_the_one_core_that_a_unit_is_given(tmp_path: Path) -> None:
    with open_media(a_video(tmp_path / "a.mp4", seconds=0.4, **SMALL), MediaLimits()) as container:
        assert container.streams.video[0].codec_context.thread_count == 1


def test_a_matroska_file_whose_first_pictures_have_no_time_is_refused_with_the_cure(tmp_path: Path) -> None:
    """FFmpeg gives what is shown before time zero no time: cut exactly, its first clip began a second late."""
    film = a_video(tmp_path / "film.mp4", seconds=2, gop=20, **SMALL)
    with pytest.raises(Unusable, match="its first pictures have no time; ffmpeg encodes it") as caught:
        probe(begun_earlier(film, tmp_path / "film.mkv", Fraction(1, 2)))
    assert caught.value.reason is Reason.UNSUPPORTED_MEDIA
