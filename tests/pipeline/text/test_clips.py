"""Clips: what each carries, and given spans."""

import json
from pathlib import Path
from typing import Any

import pytest

from manifests.reasons import Reason
from manifests.sample import WHOLE_MS, WHOLE_VIDEO
from manifests.schema import TABLES, table_of
from pipeline.config.text import TextConfig
from pipeline.text.clips import ClipsStage, plan_video
from pipeline.text.transcripts import (
    TranscriptsStage,
)
from tests.pipeline.text.caption_tables import auto, caption, manual, run, store_with, video


def test_clips_carry_what_the_samples_json_needs(tmp_path: Path) -> None:
    store = store_with(tmp_path, [caption("v", "auto", auto())])
    run(store, TranscriptsStage(TextConfig()), tmp_path)
    output = run(store, ClipsStage(TextConfig()), tmp_path)
    rows = output.rows["clips"]
    [spoken] = store.read_table("transcripts", ["words"]).column("words").to_pylist()
    assert rows
    assert not [r for r in output.rejects if not r.clip_id]
    for row in rows:
        assert row["clip_id"] == f"v.{row['n']}"
        assert row["boundary_model"].startswith("net")
        assert row["category_id"] == 3
        words = spoken[row["first_word"] :][: row["n_words"]]
        assert row["start_ms"] <= words[0]["start_ms"] <= words[-1]["end_ms"] <= row["end_ms"]
        assert row["text"] == " ".join(word["text"] for word in words)
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


def test_flags_of_a_video_are_those_of_its_clips(tmp_path: Path) -> None:
    rows = [video("v", flags='["without_manual_captions"]'), video("w", flags="[]")]
    store = store_with(tmp_path, [caption("v", "auto", auto()), caption("w", "auto", auto())], rows)
    run(store, TranscriptsStage(TextConfig()), tmp_path)
    clips = run(store, ClipsStage(TextConfig()), tmp_path).rows["clips"]
    marked = {row["video_id"]: "without_manual_captions" in json.loads(row["flags"]) for row in clips}
    assert marked == {"v": True, "w": False}


@pytest.mark.parametrize(("duration_s", "end_ms"), [(12.5, 12_500), (0.0, 10_000)])
def test_a_given_whole_is_as_long_as_its_video_and_counts_as_10_s_where_that_is_not_known(
    tmp_path: Path, duration_s: float, end_ms: int
) -> None:
    whole = json.dumps([{"n": 0, "start_ms": 0, "end_ms": WHOLE_MS, "text": "what is shown"}])
    row = video("v", given_spans=whole, duration_s=duration_s)
    store = store_with(tmp_path, [caption("v", "auto", auto())], [row])
    run(store, TranscriptsStage(TextConfig()), tmp_path)

    (clip,) = run(store, ClipsStage(TextConfig()), tmp_path).rows["clips"]

    assert (clip["start_ms"], clip["end_ms"], clip["text"]) == (0, end_ms, "what is shown")
    assert WHOLE_VIDEO in json.loads(clip["flags"])


@pytest.mark.parametrize("verses", [1, 3])
def test_a_song_is_one_reject_with_its_reason(tmp_path: Path, verses: int) -> None:
    chorus = "oh carry me over the silver water until the morning comes again my dear and stay "
    verse = "so we left the harbour with a lantern and a map that nobody could read {} and sailed on through {} nights "
    text = "".join(verse.format(n, name) + chorus for n, name in enumerate(("seven", "eleven", "many")[:verses]))
    store = store_with(tmp_path, [caption("v", "manual", manual(text), format="srt")])
    run(store, TranscriptsStage(TextConfig()), tmp_path)
    output = run(store, ClipsStage(TextConfig()), tmp_path)
    assert (Reason.SONG in {reject.reason for reject in output.rejects}) == (verses > 1)
    assert bool(output.rows["clips"]) == (verses == 1)


def a_transcript(**changes: Any) -> Any:
    words = [{"text": "w", "start_ms": 1000 * i, "end_ms": 1000 * i + 500, "timed": True} for i in range(4)]
    row = {"video_id": "v", "words": words, "events": "[]", "format": "vtt", "kind": "auto", "language": "en"}
    return {**row, "punctuated": True, "word_timed": True, **changes}


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "text", "words", "reason"),
    [
        (1000, 3000, "w w", range(1, 3), None), (1001, 3001, "w w", range(2, 4), None), (0, 1, "w", range(1), None),
        (500, 1000, "", range(0), Reason.TOO_FEW_WORDS), (2000, 2000, "", range(0), Reason.SPAN_OUTSIDE),
        (-5, 2000, "", range(0), Reason.SPAN_OUTSIDE), (3000, 2000, "", range(0), Reason.SPAN_OUTSIDE),
    ],
)  # fmt: skip
def test_a_given_span_has_the_words_that_begin_inside_it(
    start_ms: int, end_ms: int, text: str, words: range, reason: Reason | None
) -> None:
    spans = json.dumps([{"n": 4, "start_ms": start_ms, "end_ms": end_ms}])
    rows, rejects = plan_video(a_transcript(), {"given_spans": spans}, TextConfig())
    found = [(row["text"], range(row["first_word"], row["first_word"] + row["n_words"])) for row in rows]
    assert found == ([] if reason else [(text, words)]) and all(row["category_id"] == -1 for row in rows)
    assert [(r.reason, r.clip_id, r.detail) for r in rejects] == (
        [(reason, "v.4", f"{start_ms}-{end_ms} ms")] if reason else []
    )
