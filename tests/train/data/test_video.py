"""Frames of a clip: any, in any order, with their times; what is no clip is said."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from hdvila_testing.drawn_set import encode_mp4
from train.data import video
from train.data.video import open_clip, read_frames


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
