"""Frames of a clip: any, in any order, with their times; what is no clip is said."""

from __future__ import annotations

import io
from types import SimpleNamespace

import av
import numpy as np
import pytest

from hdvila_testing.drawn_set import encode_mp4
from train.data import video
from train.data.video import open_clip, read_frames, turns_of


@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_any_frames_in_any_order_are_those_of_a_full_decode(backend):
    pictures = [np.full((64, 128, 3), 5 * i, np.uint8) for i in range(40)]
    data = encode_mp4(pictures, fps=25, gop=9)

    found = read_frames(data, [39, 3, 17, 3, 16, 0], backend)

    assert sorted(found) == [0, 3, 16, 17, 39]
    assert all(abs(int(found[n].mean()) - 5 * n) <= 2 for n in found)


FILM = encode_mp4([np.full((64, 128, 3), 5 * i, np.uint8) for i in range(10)], fps=25, gop=4)
"""Ten frames, one each 40 ms."""


def test_a_clip_says_how_many_frames_it_has_and_their_average_rate():
    late = open_clip(encode_mp4([np.zeros((64, 128, 3), np.uint8)] * 5, fps=20, start_ms=1000))

    assert (late.n_frames, late.fps, late.turns) == (5, 20.0, 0)


@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_a_frame_that_is_not_there_is_named(backend):
    assert sorted(read_frames(FILM, [9, 0], backend)) == [0, 9]
    with pytest.raises(ValueError, match="frame 10 of 10"):
        read_frames(FILM, [0, 10], backend)


def test_a_frame_before_the_first_and_one_that_no_packet_gives_are_named():
    clip = open_clip(FILM)
    with pytest.raises(ValueError, match="frame -1 of 10"):
        clip.read([0, -1])
    clip._groups = clip._groups[:1]
    assert list(clip.read([3])) == [3]
    with pytest.raises(ValueError, match="frame 5 did not decode"):
        clip.read([3, 9, 5])


@pytest.mark.parametrize(
    ("name", "enough", "message"),
    [("MAX_PACKETS", 10, "more than 9 packets"), ("MAX_PIXELS", 64 * 128, "picture of 128x64")],
)
def test_a_clip_of_more_frames_or_pixels_than_any_has_is_refused(monkeypatch, name, enough, message):
    monkeypatch.setattr(video, name, enough)
    assert list(open_clip(FILM).read([9])) == [9]
    monkeypatch.setattr(video, name, enough - 1)
    with pytest.raises(ValueError, match=message):
        open_clip(FILM)


def a_packet(pts, *, key=False, size=9):
    return SimpleNamespace(pts=pts, is_keyframe=key, size=size)


@pytest.mark.parametrize(("rotation", "turns"), [(0, 0), (90, 1), (-90, 3), (180, 2), (-180, 2), (270, 3), (360, 0)])
def test_a_rotation_is_counted_in_quarter_turns_counterclockwise(rotation, turns):
    assert turns_of(SimpleNamespace(rotation=rotation)) == turns


def test_audio_alone_is_no_clip():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        out.mux([*stream.encode(frame), *stream.encode(None)])

    with pytest.raises(ValueError, match="no video stream"):
        open_clip(buffer.getvalue())


def test_colours_are_those_that_were_drawn():
    """By the matrix that the file names, in full range: black and white stay what they are."""
    colours = [(0, 0, 0), (255, 255, 255), (200, 40, 30), (20, 180, 60)]
    clip = open_clip(encode_mp4([np.full((64, 128, 3), colour, np.uint8) for colour in colours], fps=25))

    found = clip.read(range(4))

    for number, colour in enumerate(colours):
        assert np.abs(found[number].mean((0, 1)) - colour).max() <= 3


def test_decord_reads_nothing_that_is_too_large_for_the_trainer(monkeypatch):
    monkeypatch.setattr(video, "MAX_PIXELS", 64 * 128 - 1)

    with pytest.raises(ValueError, match="picture of 128x64"):
        read_frames(FILM, [0], "decord")


@pytest.mark.parametrize(("backend", "taken"), [("pyav", []), ("decord", [[3]])])
def test_frames_are_decoded_by_the_program_that_was_asked_for(monkeypatch, backend, taken):
    by_decord = []
    monkeypatch.setattr(video, "_decord_frames", lambda data, numbers: by_decord.append(list(numbers)) or {3: 0})

    assert list(read_frames(FILM, [3], backend)) == [3] and by_decord == taken


def test_a_file_that_states_no_rate_has_none(monkeypatch):
    stream = SimpleNamespace(width=8, height=8, codec_context=SimpleNamespace(), time_base=None, average_rate=None)
    packets = [a_packet(0, key=True), a_packet(500)]
    container = SimpleNamespace(streams=SimpleNamespace(video=[stream]), demux=lambda _: iter(packets))
    monkeypatch.setattr(video.av, "open", lambda *_, **__: container)

    clip = open_clip(b"")

    assert (clip.fps, clip.n_frames) == (0, 2)
    packets.clear()
    with pytest.raises(ValueError, match="no frames"):
        open_clip(b"")
