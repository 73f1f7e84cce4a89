"""Real caption files: the words of each compared with an independent reading of its raw text."""

import itertools
import json
import re
from collections import Counter
from html import unescape
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.config.text import TextConfig
from pipeline.text.captions import BrokenTrack, Track, read_track
from pipeline.text.captions.words import ends_with_mark
from pipeline.text.clips import plan_track

FILES = """
en_auto_2018_colour.vtt ru_auto_2018_onerow.vtt ru_manual_linux.vtt ru_manual_quotes.vtt en_auto_rolling_unpunct.vtt
en_auto_rolling_short.vtt en_auto_punct_a.vtt en_auto_punct_b.vtt en_auto_punct_news.vtt ja_translated_interpolated.vtt
en_auto_live608_head.vtt en_auto_punct_speakers.json3 en_manual.json3 en_fixture_plain.json3 en_fixture_windows.json3
en_manual_dash_speaker.vtt en_manual_tedx_credits.vtt
en_manual_ted.vtt en_auto_cue_comma.vtt en_auto_blank_first.vtt en_manual_speaker_label.vtt fr_manual_amara.vtt
en_manual_sparse.vtt en_gb_manual.vtt en_fixture_no_blank_lines.vtt en_fixture_rolling.vtt en_auto_overlap.srt
ru_broken_no_header.vtt
"""
SPOKEN_ROWS = """
en_auto_2018_colour.vtt en_auto_rolling_unpunct.vtt en_auto_rolling_short.vtt en_auto_punct_a.vtt en_auto_punct_b.vtt
en_auto_punct_news.vtt
"""
LIVE = "en_auto_live608_head.vtt"
ROLLING = [*SPOKEN_ROWS.split(), LIVE, "ja_translated_interpolated.vtt", "en_fixture_rolling.vtt"]


def load(folder: Path, name: str) -> Track:
    return read_track((folder / "captions" / name).read_bytes())


def letters(text: str) -> list[str]:
    """The letter-and-digit runs of a text: what any reader must agree on."""
    return re.findall(r"[^\W_]+", text.casefold())


def raw_text(path: Path) -> str:
    """All text of a file, without regard to times: tags and heads out, nothing else."""
    data = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    if path.suffix == ".json3":
        events = json.loads(data)["events"]
        return "\n".join("".join(seg["utf8"] for seg in event.get("segs", [])) for event in events)
    body = data[max(data.index("-->") - 14, 0) :]
    if path.suffix == ".srt":
        body = re.sub(r"(?m)^\d+\n(?=.*-->)", "", data)
    lines = [line for line in body.split("\n") if "-->" not in line]
    return unescape(re.sub(r"<[^>]*>", "", "\n".join(lines)))


def everything(track: Track) -> str:
    """The track's words and what became events, in one text."""
    sounds = [event.text for event in track.events if event.kind not in ("speaker_change", "masked")]
    return " ".join([word.text for word in track.words] + sounds)


@pytest.mark.parametrize("name", FILES.split())
def test_word_times_never_go_back_and_words_do_not_overlap(samples: Path, name: str) -> None:
    words = load(samples, name).words
    assert all(word.start_ms <= word.end_ms for word in words)
    assert all(a.start_ms <= b.start_ms and a.end_ms <= b.start_ms for a, b in itertools.pairwise(words))


@pytest.mark.parametrize("name", [name for name in FILES.split() if name not in ROLLING])
def test_a_track_that_does_not_roll_keeps_exactly_its_text(samples: Path, name: str) -> None:
    path = samples / "captions" / name
    assert Counter(letters(everything(load(samples, name)))) == Counter(letters(raw_text(path)))


@pytest.mark.parametrize("name", SPOKEN_ROWS.split())
def test_a_rolling_track_gives_the_words_of_its_timed_rows_once(samples: Path, name: str) -> None:
    """An independent rule: rows with inner times are spoken; rows without are new if the cue before lacked them."""
    data = (samples / "captions" / name).read_text(encoding="utf-8")
    spoken: list[str] = []
    shown: list[str] = []
    for block in re.split(r"\n\n+", data):
        if "-->" not in block:
            continue
        rows = [row for row in block.split("\n")[1:] if row.strip() and "-->" not in row]
        plain = [re.sub(r"<[^>]*>", "", row).strip() for row in rows]
        for row, text in zip(rows, plain, strict=True):
            if re.search(r"<\d\d:", row) or text not in shown:
                spoken.append(text)
        shown = plain
    assert Counter(letters(everything(load(samples, name)))) == Counter(letters(unescape(" ".join(spoken))))


def test_kinds_and_word_times_are_told_from_the_content(samples: Path) -> None:
    lines = (samples / "captions" / "index.tsv").read_text(encoding="utf-8").splitlines()[1:]
    for line in lines:
        name, _, kind = line.split("\t")[:3]
        if kind.startswith(("auto", "manual")) and not name.endswith((".srv1", ".srv3")):
            assert load(samples, name).kind == kind.split("-")[0].split(" ")[0], name


def test_translated_and_live_tracks_are_taken_as_cue_timed(samples: Path) -> None:
    for name in ("ja_translated_interpolated.vtt", LIVE):
        track = load(samples, name)
        assert track.false_times
        assert not any(word.timed for word in track.words)


def test_the_live_track_reads_as_speech(samples: Path) -> None:
    text = " ".join(word.text for word in load(samples, LIVE).words)
    assert text.startswith("And there will be no roll call at this time. Or we can do a roll call. Okay, Mr. Clerk,")


def test_no_clip_of_a_live_track_parts_inside_a_sentence_at_the_typists_delay(samples: Path) -> None:
    words = load(samples, LIVE).words
    clips, _ = plan_track(load(samples, LIVE), TextConfig(), language="en")
    assert any(after.start_ms - before.end_ms > 2000 for before, after in pairwise(words))
    assert all(ends_with_mark(words[clip.last - 1].text) for clip in clips[:-1])


def test_an_editors_insertion_is_text_and_a_sound_is_not(samples: Path) -> None:
    track = load(samples, "en_manual.json3")
    text = " ".join(word.text for word in track.words)
    assert "surely a depth of 256 is" in text
    assert "[shows textbook]" in [event.text for event in track.events]


def test_an_empty_file_is_a_reject(samples: Path) -> None:
    with pytest.raises(BrokenTrack):
        load(samples, "empty.vtt")
