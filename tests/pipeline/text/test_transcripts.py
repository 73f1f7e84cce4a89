"""The two text stages over a real output directory: best track, rejects, deterministic units, signatures."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from manifests.reasons import Reason
from manifests.schema import TABLES, table_of
from pipeline.config.text import TextConfig
from pipeline.engine.store import Store
from pipeline.engine.unit import Context, Output
from pipeline.text.clips import ClipsStage
from pipeline.text.transcripts import (
    TranscriptsStage,
    choose_track,
    given_transcript_row,
    signature,
    similarity,
    transcript_row,
)

SPEECH = (
    "Hello everyone and welcome back to the workshop. Today we are going to build a small wooden box with a lid. "
    "First we measure the board, and then we cut it into five equal pieces. After that the glue goes on. Wait an hour. "
    "Now the lid can be sanded until it fits. Thank you for watching and see you next time!"
)


def auto(text: str = SPEECH, step: int = 350) -> bytes:
    """An automatic json3 track: about a word each step, lower case, no marks, rows of eight words."""
    words = [word.strip(".,!").lower() for word in text.split()]
    starts = [1000 + i * step + (i % 8 * 37) % 90 for i in range(len(words))]
    events = []
    for at in range(0, len(words), 8):
        row = range(at, min(at + 8, len(words)))
        segs = [{"utf8": (" " if i > at else "") + words[i], "tOffsetMs": starts[i] - starts[at]} for i in row]
        events.append({"tStartMs": starts[at], "dDurationMs": 9 * step, "segs": segs})
    return json.dumps({"events": events}).encode()


def manual(text: str = SPEECH, step: int = 350, shift: int = 400) -> bytes:
    """A manual srt of the same words, its cues late by `shift`."""
    words = text.split()
    blocks = []
    for n, i in enumerate(range(0, len(words), 7), 1):
        a, b = 1000 + shift + i * step, 1000 + shift + min(i + 7, len(words)) * step
        stamps = [f"00:00:{ms // 1000:02d},{ms % 1000:03d}" for ms in (a, b)]
        blocks.append(f"{n}\n{stamps[0]} --> {stamps[1]}\n{' '.join(words[i : i + 7])}")
    return "\n\n".join(blocks).encode()


def caption(video_id: str, kind: str, payload: bytes, language: str = "en", format: str = "json3") -> dict[str, Any]:
    track = language if kind == "manual" else f"{language}-orig"
    return {
        "video_id": video_id, "kind": kind, "language": language, "track": track, "format": format, "payload": payload,
    }  # fmt: skip


def video(video_id: str, **known: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in TABLES["videos"]:
        empty: Any = [] if "list" in str(field.type) else "" if str(field.type) == "string" else 0
        row[field.name] = False if str(field.type) == "bool" else empty
    return row | {"video_id": video_id, "category_id": 3, "channel_id": "ch"} | known


def store_with(folder: Path, captions: list[dict[str, Any]], videos: list[dict[str, Any]] | None = None) -> Store:
    store = Store(str(folder))
    store.write_part("captions", "extract", "abc", captions)
    ids = sorted({row["video_id"] for row in captions})
    store.write_part("videos", "extract", "abc", videos if videos is not None else [video(i) for i in ids])
    store.commit("extract", "abc", {})
    return store


def run(store: Store, stage: TranscriptsStage | ClipsStage, scratch: Path) -> Output:
    (unit,) = stage.units(store)
    output = stage.process(unit, Context(store, scratch, time.monotonic() + 60))
    for table, rows in output.rows.items():
        store.write_part(table, stage.name, unit.name, rows)
    store.commit(stage.name, unit.name, {})
    return output


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
    store.write_part("captions", "extract", "later", [caption("w", "auto", auto())])
    store.commit("extract", "later", {})
    assert [unit.name for unit in stage.units(store)] == [*before, "extract-later"]


def test_a_stage_gives_the_same_rows_twice(tmp_path: Path) -> None:
    store = store_with(tmp_path, [caption("v", "auto", auto()), caption("v", "manual", manual(), format="srt")])
    for stage in (TranscriptsStage(TextConfig()), ClipsStage(TextConfig())):
        (unit,) = stage.units(store)
        again = stage.process(unit, Context(store, tmp_path, time.monotonic() + 60))
        assert again == run(store, stage, tmp_path)


def test_clips_carry_what_the_samples_json_needs(tmp_path: Path) -> None:
    store = store_with(tmp_path, [caption("v", "auto", auto())])
    run(store, TranscriptsStage(TextConfig()), tmp_path)
    output = run(store, ClipsStage(TextConfig()), tmp_path)
    rows = output.rows["clips"]
    assert rows
    assert not [r for r in output.rejects if not r.clip_id]
    for row in rows:
        assert row["clip_id"] == f"v.{row['n']}"
        assert row["boundary_model"].startswith("net")
        assert row["category_id"] == 3
        assert row["start_ms"] <= row["words"][0]["start_ms"] <= row["words"][-1]["end_ms"] <= row["end_ms"]
        assert row["text"] == " ".join(word["text"] for word in row["words"])
    table_of(rows, TABLES["clips"])


def test_given_spans_take_the_place_of_the_plan(tmp_path: Path) -> None:
    spans = [
        {"n": 7, "start_ms": 1000, "end_ms": 3000, "text": ""},
        {"n": 8, "start_ms": 3000, "end_ms": 6000, "text": "their own words"},
        {"n": 9, "start_ms": 900_000, "end_ms": 901_000, "text": ""},
    ]
    store = store_with(tmp_path, [caption("v", "auto", auto())], [video("v", given_spans=json.dumps(spans))])
    run(store, TranscriptsStage(TextConfig()), tmp_path)
    output = run(store, ClipsStage(TextConfig()), tmp_path)
    assert [(r["n"], r["start_ms"], r["end_ms"], r["boundary_model"]) for r in output.rows["clips"]] == [
        (7, 1000, 3000, "given"),
        (8, 3000, 6000, "given"),
    ]
    assert output.rows["clips"][0]["text"] == "hello everyone and welcome back to"
    assert output.rows["clips"][1]["text"] == "their own words"
    assert [(r.clip_id, r.reason) for r in output.rejects] == [("v.9", Reason.TOO_FEW_WORDS)]


def test_a_sentence_that_a_channel_repeats_is_boilerplate(tmp_path: Path) -> None:
    rows = [caption(f"v{i}", "auto", auto(SPEECH)) for i in range(3)]
    config = TextConfig.model_validate({"filters": {"max_boilerplate": 2}})
    store = store_with(tmp_path, rows)
    run(store, TranscriptsStage(config), tmp_path)
    output = run(store, ClipsStage(config), tmp_path)
    assert output.rows["clips"] == []
    assert {r.reason for r in output.rejects} == {Reason.BOILERPLATE, Reason.NO_CLIPS}


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
