"""Tracks made to break their reader: each costs itself, no more than its bytes, and never the process."""

import json

import pyarrow as pa
import pytest

from manifests.reasons import Reason
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


def test_ttml_spans_may_be_nested_as_deep_as_they_like() -> None:
    depth = 50_000
    body = f'<p begin="1s" end="9s">{"<span>" * depth}{TEXT}{"</span>" * depth} and more</p>'

    track = read_track(f"<tt><body>{body}</body></tt>".encode())

    assert [word.text for word in track.words] == [*TEXT.split(), "and", "more"]


@pytest.mark.parametrize(
    "begin", ["99999999999999s", "9" * 5000 + "s", "9" * 5000 + ":00:00", "999999999:00:00", "1e3s"]
)
def test_a_ttml_time_past_any_video_is_no_time(begin: str) -> None:
    with pytest.raises(BrokenTrack) as broken:
        read_track(f'<tt><body><p begin="{begin}">{TEXT}</p></body></tt>'.encode())

    assert broken.value.reason is Reason.BROKEN_CAPTIONS


@pytest.mark.parametrize("rate", ["1e-320", "nan", "inf", "0", "-1", "1e400"])
def test_a_frame_rate_that_cannot_be_is_refused(rate: str) -> None:
    head = f'xmlns:p="http://www.w3.org/ns/ttml#parameter" p:frameRate="{rate}"'
    with pytest.raises(BrokenTrack, match="rate"):
        read_track(f'<tt {head}><body><p begin="5f">{TEXT}</p></body></tt>'.encode())


@pytest.mark.parametrize(
    "track",
    [
        "<transcript>" + '<text start="1">a b c ' * 1000 + "</text>" * 1000 + "</transcript>",
        '<timedtext format="3"><body>' + '<p t="1">a b c ' * 1000 + "</p>" * 1000 + "</body></timedtext>",
        "<tt><body>" + '<p begin="1s">a b c ' * 1000 + "</p>" * 1000 + "</body></tt>",
    ],
    ids=["srv1", "srv3", "ttml"],
)
def test_nested_cues_say_each_word_once(track: str) -> None:
    assert len(read_track(track.encode()).words) <= 3000


@pytest.mark.parametrize(
    "track",
    [
        b'{"events":[' + b"{}," * 700_000 + b"{}]}",
        b"WEBVTT\n\n00:00.000 --> 00:01.000\n" + b"ab\n" * 600_000,
        b'<timedtext format="3"><body>' + b"<p/>" * 1_100_000 + b"</body></timedtext>",
        json3("w " * 200_000),
        json3("\u266aa" * 200_000),
    ],
    ids=["objects", "lines", "elements", "words", "notes"],
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
