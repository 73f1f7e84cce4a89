"""WebVTT, SubRip and json3 files: what a copy, a live row, a time and a binary file are, at the bounds."""

import json

import pytest

from pipeline.text.captions import BrokenTrack, read_track
from pipeline.text.captions.json3 import read_json3
from pipeline.text.captions.vtt import read_vtt


def at(ms: int) -> str:
    return f"00:{ms // 60_000:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def a_vtt(*cues: tuple[int, int, str]) -> str:
    return "WEBVTT\n\n" + "\n\n".join(f"{at(a)} --> {at(b)}\n{text}" for a, b, text in cues) + "\n"


def said(*cues: tuple[int, int, str]) -> list[str]:
    return [row.text for row in read_vtt(a_vtt(*cues)).rows]


def live(n_stray: int, n_inside: int) -> str:
    cues = [(10_000 * i, 10_000 * i + 900, f"w<{at(55_555)}>x{i}") for i in range(n_stray)]
    return a_vtt(
        *cues, *((200_000 + 1000 * i, 200_900 + 1000 * i, f"a<{at(200_500 + 1000 * i)}> b{i}") for i in range(n_inside))
    )


@pytest.mark.parametrize(
    ("text", "hint", "format"),
    [
        ("1\n00:00:01,000 --> 00:00:02,000\na\n", "", "srt"),
        ("00:00:01.000 --> 00:00:02.000\na\n", "", "vtt"),
        ("00:00:01.000 --> 00:00:02.000\na\n", "srt", "srt"),
        ("1\n00:00:01,000 --> 00:00:02,000\na\n", "vtt", "vtt"),
        ("\nWEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\na\n", "srt", "vtt"),
        ("x\n00:00:01.000 --> 00:00:02.000\na\n", "", "vtt"),
    ],
)
def test_a_format_is_told_by_what_stands_in_a_file_and_a_hint_decides_between_two(
    text: str, hint: str, format: str
) -> None:
    assert read_track(text.encode(), format=hint).format == format


def test_a_vtt_header_names_the_language() -> None:
    cue = "00:01.000 --> 00:02.000\nLanguage: no\n"
    assert read_vtt(f"WEBVTT\nKind: captions\nLanguage: fr\n\n{cue}").language == "fr"
    assert read_vtt(f"WEBVTT\n\n{cue}").language == "", "what is said is no head"


def event(start: object = 0, *segs: tuple[str, object], duration: object = None, **more: object) -> dict[str, object]:
    parts = [{"utf8": text} | ({} if offset is None else {"tOffsetMs": offset}) for text, offset in segs]
    return {"tStartMs": start, "segs": parts} | ({} if duration is None else {"dDurationMs": duration}) | more


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([1], "not json3"), ({"events": {}}, "not json3"), ({"events": [1]}, "event 0 is not an object"),
        ({"events": [{}, {"segs": 5}]}, "event 1: segs is not a list"),
        ({"events": [{"segs": [5]}]}, "event 0: a seg without text"),
        ({"events": [{"segs": [{"utf8": 5}]}]}, "event 0: a seg without text"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_json3_is_named_with_its_event(document: object, words: str) -> None:
    with pytest.raises(BrokenTrack, match=words):
        read_json3(json.dumps(document))
