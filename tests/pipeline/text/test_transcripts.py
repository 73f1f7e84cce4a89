"""The two text stages over a real output directory: best track, rejects, deterministic units, signatures."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdvila_testing.rows import commit_rows
from manifests.reasons import Reason
from manifests.schema import TABLES, table_of
from pipeline.config.text import TextConfig
from pipeline.engine.work.unit import Context
from pipeline.site.tracks import speaks
from pipeline.text.captions.track import BrokenTrack, Track, Word, primary
from pipeline.text.clips import ClipsStage
from pipeline.text.transcripts import (
    TranscriptsStage,
    choose_track,
    given_transcript_row,
    signature,
    track_language,
    transcript_row,
    unfit,
)
from tests.pipeline.text.caption_tables import SPEECH, auto, caption, manual, run, store_with, video


def similarity(a: bytes, b: bytes) -> float:
    """The estimated share of shingles that two signatures have in common (Jaccard)."""
    return float(np.mean(np.frombuffer(a, "<u4") == np.frombuffer(b, "<u4")))


def test_manual_text_takes_the_automatic_tracks_times(tmp_path: Path) -> None:
    rows = [caption("v", "auto", auto()), caption("v", "manual", manual(), format="srt")]
    (row,) = run(store_with(tmp_path, rows), TranscriptsStage(TextConfig()), tmp_path).rows["transcripts"]
    assert row["kind"] == "manual_aligned"
    assert row["words"][0] == {"text": "Hello", "start_ms": 1000, "end_ms": 1368, "timed": True}
    assert row["alignment_confidence"] == 1.0
    assert " ".join(word["text"] for word in row["words"]) == SPEECH
    table_of([row], TABLES["transcripts"])


def test_a_manual_track_of_another_speech_loses_to_the_automatic_one(tmp_path: Path) -> None:
    other = " ".join(f"These captions describe quite another evening number {i}." for i in range(9))
    rows = [caption("v", "auto", auto()), caption("v", "manual", manual(other), format="srt")]
    (row,) = run(store_with(tmp_path, rows), TranscriptsStage(TextConfig()), tmp_path).rows["transcripts"]
    assert (row["kind"], row["track"]) == ("auto", "en-orig")


def test_a_broken_manual_track_leaves_the_automatic_one(tmp_path: Path) -> None:
    rows = [caption("v", "auto", auto()), caption("v", "manual", b"<html>no</html>", format="vtt")]
    (row,) = run(store_with(tmp_path, rows), TranscriptsStage(TextConfig()), tmp_path).rows["transcripts"]
    assert row["kind"] == "auto"


def test_each_video_without_a_transcript_is_one_reject_with_its_reason(tmp_path: Path) -> None:
    french = " ".join(["bonjour et bienvenue dans cette vidéo où nous allons parler de la semaine"] * 4)
    rows = [
        caption("broken", "auto", b'{"events": ['),
        caption("foreign", "auto", auto(), language="fr"),
        caption("liar", "auto", auto(french)),
        caption("short", "auto", auto("hello there")),
        caption("good", "auto", auto()),
    ]
    output = run(store_with(tmp_path, rows), TranscriptsStage(TextConfig()), tmp_path)
    assert {(r.video_id, r.reason) for r in output.rejects} == {
        ("broken", Reason.BROKEN_CAPTIONS),
        ("foreign", Reason.NO_CAPTIONS),
        ("liar", Reason.WRONG_LANGUAGE),
        ("short", Reason.TOO_FEW_WORDS),
    }
    assert [row["video_id"] for row in output.rows["transcripts"]] == ["good"]


def test_a_longer_crawl_adds_units_and_renames_none(tmp_path: Path) -> None:
    store = store_with(tmp_path, [caption("v", "auto", auto())])
    stage = TranscriptsStage(TextConfig())
    before = [unit.name for unit in stage.units(store)]
    commit_rows(store, "extract", "later", {"captions": [caption("w", "auto", auto())]})
    assert [unit.name for unit in stage.units(store)] == [*before, "extract-later"]


def test_a_stage_gives_the_same_rows_twice(tmp_path: Path) -> None:
    store = store_with(tmp_path, [caption("v", "auto", auto()), caption("v", "manual", manual(), format="srt")])
    for stage in (TranscriptsStage(TextConfig()), ClipsStage(TextConfig())):
        (unit,) = stage.units(store)
        again = stage.process(unit, Context(store, tmp_path, time.monotonic() + 60))
        assert again == run(store, stage, tmp_path)


def test_near_duplicate_texts_have_near_signatures() -> None:
    letters = "abcdefghij"
    words = [letters[i % 10] + letters[i // 10 % 10] + letters[i // 100] for i in range(300)]
    changed = [*words[:150], "different", *words[151:]]
    assert len(signature(words)) == 64 * 4
    assert similarity(signature(words), signature([w.upper() + "." for w in words])) == 1.0
    assert similarity(signature(words), signature(changed)) > 0.85
    assert similarity(signature(words), signature([word[::-1] + "x" for word in words])) < 0.1


@pytest.mark.parametrize("prefer", ["manual", "auto"])
def test_the_preferred_kind_decides_where_only_one_can_be_used(tmp_path: Path, prefer: str) -> None:
    config = TextConfig.model_validate({"transcript": {"prefer": prefer}})
    rows = [caption("v", "auto", auto()), caption("v", "manual", manual(), format="srt")]
    (row,) = run(store_with(tmp_path, rows), TranscriptsStage(config), tmp_path).rows["transcripts"]
    assert row["kind"] == {"manual": "manual_aligned", "auto": "auto"}[prefer]


def test_events_of_any_script_can_be_read_in_the_table() -> None:
    track = b"1\n00:00:00,000 --> 00:00:00,900\n[\xd0\x9c\xd1\x83\xd0\xb7\xd1\x8b\xd0\xba\xd0\xb0]\n\n" + manual()
    transcript = choose_track([caption("v", "manual", track, format="srt")], TextConfig())
    events = transcript_row("v", transcript)["events"]
    assert "Музыка" in events
    assert json.loads(events)[0]["kind"] == "sound"


def test_a_given_caption_is_trusted_as_it_is() -> None:
    row = given_transcript_row("v", "en", [{"n": 0, "start_ms": 0, "end_ms": 1000, "text": "two words"}])

    assert (row["alignment_confidence"], row["n_words"], row["kind"]) == (1.0, 2, "manual")


def track_of(n_words: int, **changes: Any) -> Track:
    words = tuple(Word("this" if i % 2 else "and", 300 * i, 300 * i + 200, True) for i in range(n_words))
    facts = {"format": "vtt", "kind": "auto", "language": "en", "punctuated": False, "word_timed": True}
    return Track(words=words, events=(), **{**facts, **changes})


def test_false_times_turn_a_track_away_only_where_that_is_asked_for() -> None:
    asked = TextConfig.model_validate({"transcript": {"false_times": "reject", "min_words": 1}})
    problem = unfit(track_of(40, false_times=True), asked)

    assert problem is not None and problem.reason is Reason.FALSE_WORD_TIMES
    assert unfit(track_of(40), asked) is None


def test_the_language_of_a_long_track_is_that_of_its_middle() -> None:
    foreign = [
        Word(text, 0, 0, True) for text in ("wir haben das nicht gewusst und es ist auch nicht so " * 40).split()
    ]
    english = [Word(text, 0, 0, True) for text in ("we did not know that and it is not like this at all " * 35).split()]

    assert track_language([*foreign[:300], *english[:400], *foreign[:300]]) == "en"
    assert track_language(english[:20]) == "en" and track_language(foreign[:20]) == "de"


def test_signatures_stay_what_they_are_and_say_how_much_two_texts_share() -> None:
    """They are compared with those that an earlier version wrote."""
    text = [f"word{chr(97 + i % 26)}{i}" for i in range(200)]
    same, other = signature(text), signature(text[:100] + [f"new{i}x" for i in range(100)])

    assert len(same) == 4 * 64 and similarity(same, same) == 1.0
    assert similarity(same, other) == pytest.approx(1 / 3, abs=0.17)
    assert signature(["One,", "two."]) == signature(["one", "two"]) != signature(["two", "one"])
    assert np.frombuffer(signature(["a", "b", "c", "d"]), "<u4")[:3].tolist() == [1649017889, 899623856, 1313948349]


def test_of_several_tracks_of_a_kind_the_plain_language_counts_and_of_no_usable_one_the_first_error() -> None:
    other = manual(SPEECH.replace("Hello", "Howdy"))
    rows = [caption("v", "manual", other, "en-GB", "srt"), caption("v", "manual", manual(), "en", "srt")]
    assert choose_track(rows, TextConfig()).track.words[0].text == "Hello"
    assert choose_track(rows[:1], TextConfig()).track.words[0].text == "Howdy", "a regional one is one too"
    with pytest.raises(BrokenTrack) as caught:
        choose_track([caption("v", "manual", b"<html>", "en", "vtt"), caption("v", "auto", auto("hi"))], TextConfig())
    assert caught.value.reason is Reason.BROKEN_CAPTIONS
    assert choose_track([caption("v", "auto", auto())], TextConfig()).confidence == 1.0


SPANISH = " ".join(["buenos días hoy vamos a hablar de la historia de la ciudad y de su gente"] * 4)


def test_one_run_takes_several_languages_each_video_in_the_first_that_has_a_usable_track() -> None:
    config = TextConfig.model_validate({"transcript": {"languages": ["en", "es"]}})
    english, spanish = caption("v", "auto", auto()), caption("v", "auto", auto(SPANISH), "es-419")
    assert choose_track([spanish, english], config).track.language == "en"
    assert choose_track([spanish], config).track.language == "es-419"
    liar = caption("v", "auto", auto(SPANISH), "en")
    assert choose_track([liar, spanish], config).track.language == "es-419"
    with pytest.raises(BrokenTrack, match="the words are in es"):
        choose_track([liar], config)
    with pytest.raises(BrokenTrack, match="no en or es track"):
        choose_track([caption("v", "auto", auto(), "fr")], config)


def test_given_texts_make_clips_where_the_captions_beside_them_are_unusable(tmp_path: Path) -> None:
    spans = json.dumps([{"n": 0, "start_ms": 0, "end_ms": 4000, "text": "a dog on a beach"}])
    rows = [caption(name, "auto", auto("hi")) for name in ("bare", "given")] + [caption("good", "auto", auto())]
    videos = [video("bare", given_spans=spans.replace("a dog on a beach", "")), video("good", given_spans=spans)]
    store = store_with(tmp_path, rows, [*videos, video("given", given_spans=spans)])
    output = run(store, TranscriptsStage(TextConfig()), tmp_path)
    assert {row["video_id"]: row["format"] for row in output.rows["transcripts"]} == {"good": "json3", "given": "given"}
    assert [reject.video_id for reject in output.rejects] == ["bare"]
    clips = run(store, ClipsStage(TextConfig()), tmp_path).rows["clips"]
    assert {(clip["video_id"], clip["text"]) for clip in clips} == {(i, "a dog on a beach") for i in ("good", "given")}


@pytest.mark.parametrize(
    ("key", "wanted", "text"),
    [
        ("iw", "he", "שלום לכולם וברוכים הבאים לסדנה שלנו היום אנחנו הולכים לבנות קופסה קטנה מעץ עם מכסה"),
        ("fil", "fil", "magandang umaga sa inyong lahat ngayon ay gagawa tayo ng isang maliit na kahon"),
    ],
)  # fmt: skip
def test_a_track_passes_under_each_code_of_its_language(key: str, wanted: str, text: str) -> None:
    """The site writes iw and fil, who wants them he and tl, and so does the detector of languages."""
    rows: list[Any] = [caption("v", "auto", auto(text), language=key)]
    config = TextConfig.model_validate({"transcript": {"languages": [wanted], "min_words": 5}})
    assert choose_track(rows, config).track.language == key
    assert unfit(choose_track(rows, config).track, config) is None
    assert speaks(key, primary(key))
