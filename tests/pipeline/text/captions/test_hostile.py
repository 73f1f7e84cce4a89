"""Tracks made to break their reader: each costs itself, no more than its bytes, and never the process."""

import json

import pyarrow as pa
import pytest

from pipeline.text.captions import BrokenTrack, read_track

TEXT = "plain words that somebody says"


def json3(*texts: str) -> bytes:
    return json.dumps({"events": [{"tStartMs": 0, "segs": [{"utf8": text} for text in texts]}]}).encode()


def test_a_lone_surrogate_becomes_a_sign_that_a_table_can_hold() -> None:
    track = read_track(json3(f"{TEXT} \ud800 and more"))

    texts = [word.text for word in track.words]
    assert texts == [*TEXT.split(), "\ufffd", "and", "more"]
    assert pa.array(texts, pa.string()).to_pylist() == texts


@pytest.mark.parametrize("reference", ["&#" + "9" * 5000 + ";", "&#x" + "f" * 5000 + ";", "&amp;#" + "9" * 5000 + ";"])
def test_a_character_reference_without_end_is_one_sign(reference: str) -> None:
    track = read_track(json3(f"{TEXT} {reference} and more"))

    assert len(track.words) == len(TEXT.split()) + 3


@pytest.mark.parametrize(
    "track",
    [
        b'{"events":[' + b"{}," * 700_000 + b"{}]}",
        b"WEBVTT\n\n00:00.000 --> 00:01.000\n" + b"ab\n" * 600_000,
        json3("w " * 200_000),
        json3("\u266aa" * 200_000),
    ],
    ids=["objects", "lines", "words", "notes"],
)
def test_more_than_any_track_holds_is_refused_before_it_is_made(track: bytes) -> None:
    with pytest.raises(BrokenTrack, match=r"more than|the limit is"):
        read_track(track)


def test_a_live_row_that_is_cut_and_grows_keeps_the_times_of_what_stays() -> None:
    rows = ["one two", "one two three", "one two", "one two four five"]
    cues = [f"00:0{i}.000 --> 00:0{i}.900\n{row}<09:00:00.000><c> x</c>\n" for i, row in enumerate(rows)]
    track = read_track(("WEBVTT\n\n" + "\n".join(cues)).encode())

    assert [word.text for word in track.words][:2] == ["one", "two"]
    assert [word.start_ms for word in track.words] == sorted(word.start_ms for word in track.words)


def test_an_xml_file_is_refused_with_the_cure() -> None:
    with pytest.raises(BrokenTrack, match=r"an XML caption file; read are json3, vtt and srt: ffmpeg"):
        read_track(b'<transcript><text start="0" dur="2">it is here</text></transcript>')
