"""`show transcript`: the JSON contract, the drawing, and clear messages, through the real command."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hdvila_testing.rows import commit_rows
from manifests.errors import UserError
from manifests.reasons import Reason
from pipeline.commands.show import show_app
from pipeline.config.text import TextConfig
from pipeline.engine.store.store import Store
from pipeline.text.captions import read_track
from pipeline.text.captions.track import Track, Word
from pipeline.text.clips import plan_video
from pipeline.text.transcripts import Transcript, transcript_row

SRT = """1
00:00:01,000 --> 00:00:04,000
Hello there &lt;script&gt;. [Music]

2
00:00:04,000 --> 00:00:07,000
This is it.
"""


def show(*arguments: str) -> Any:
    return CliRunner().invoke(show_app, ["transcript", *arguments])


def shown(*arguments: str) -> dict[str, Any]:
    done = show(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def srt(tmp_path: Path) -> Path:
    path = tmp_path / "some.srt"
    path.write_text(SRT)
    return path


def test_the_json_has_words_events_sentences_clips_and_track(srt: Path) -> None:
    found = shown(str(srt))
    assert set(found["words"][0]) == {"text", "start_ms", "end_ms", "timed"}
    assert [s["text"] for s in found["sentences"]] == ["Hello there <script>.", "This is it."]
    assert set(found["sentences"][0]) == {"text", "start_ms", "end_ms"}
    assert [(c["text"], c["confidence"]) for c in found["clips"]] == [("Hello there <script>. This is it.", 1.0)]
    assert found["events"][0]["text"] == "[Music]"
    track = found["track"]
    assert (track["format"], track["kind"], track["punctuated"], track["model"]) == (
        "srt",
        "manual",
        True,
        "punctuation",
    )


def test_an_audio_track_gives_a_manual_one_its_times(tmp_path: Path, srt: Path) -> None:
    stamps = [("hello", 1500), ("there", 1840), ("script", 2300), ("this", 4700), ("is", 4900), ("it", 5111)]
    segs = [{"utf8": (" " if i else "") + w, "tOffsetMs": ms - 1500} for i, (w, ms) in enumerate(stamps)]
    auto = tmp_path / "auto.json3"
    auto.write_text(json.dumps({"events": [{"tStartMs": 1500, "segs": segs}]}))
    found = shown(str(srt), "--audio-track", str(auto))
    assert [(w["start_ms"], w["timed"]) for w in found["words"]] == [(ms, True) for _, ms in stamps]
    assert [s["start_ms"] for s in found["sentences"]] == [1500, 4700]
    assert found["clips"][0]["confidence"] == 1.0
    assert found["track"]["kind"] == "manual_aligned"


def test_the_drawing_shows_sentences_clips_and_what_was_rejected(srt: Path) -> None:
    drawn = show(str(srt), "--set", "text.filters.min_words=50").stdout
    assert "sentences by punctuation" in drawn
    assert "Hello there <script>." in drawn
    assert "rejected: too_few_words (6 words)" in drawn


def test_a_broken_file_and_a_missing_one_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "broken.json3").write_text('{"events": [')
    for name, said in (("broken.json3", "broken_captions"), ("none.vtt", "no such file")):
        problem = show(str(tmp_path / name), "--json").exception
        assert isinstance(problem, UserError)
        assert said in str(problem)
        assert name in str(problem)
        assert "\n" not in str(problem)


def test_every_readable_sample_can_be_shown(samples: Path) -> None:
    for name in ("en_auto_punct_news.vtt", "fr_manual_amara.vtt", "ja_translated_interpolated.vtt"):
        found = shown(str(samples / "captions" / name))
        assert found["words"]
        assert " ".join(s["text"] for s in found["sentences"]) == " ".join(w["text"] for w in found["words"])


def test_a_video_of_a_run_is_shown_from_its_output_directory(tmp_path: Path, srt: Path) -> None:
    track = read_track(srt.read_bytes(), kind="manual", language="en")
    store = Store(str(tmp_path / "out"))
    commit_rows(store, "transcripts", "a", {"transcripts": [transcript_row("vid-1", Transcript(track, "en", 1.0))]})
    assert [s["text"] for s in shown("vid-1", "--out", store.url)["sentences"]] == [
        "Hello there <script>.",
        "This is it.",
    ]
    assert "no transcript" in str(show("vid-2", "--out", store.url).exception)


def test_what_a_caption_says_cannot_steer_the_terminal(tmp_path: Path) -> None:
    track = tmp_path / "odd.vtt"
    text = "A dog \x1b[2J\x1b]0;mine\x07 runs \x9b31m over \u202ethe\u202c field."
    track.write_text(f"WEBVTT\n\n00:00.000 --> 00:04.000\n{text}\n", encoding="utf-8")

    shown = CliRunner().invoke(show_app, ["transcript", str(track)]).output

    assert "runs" in shown
    assert not [char for char in shown if char != "\n" and not char.isprintable()]


def test_a_clip_of_a_run_that_few_words_anchor_is_shown_as_the_run_rejects_it(tmp_path: Path) -> None:
    text = "So today we are going to look at how a steam engine turns heat into motion."
    words = [Word(w, 1000 + 300 * i, 1300 + 300 * i, i < 5) for i, w in enumerate(text.split())]
    row = transcript_row(
        "v", Transcript(Track(tuple(words), (), "srt", "manual_aligned", "en", True, True), "en", 0.33)
    )
    commit_rows(Store(str(tmp_path)), "transcripts", "a", {"transcripts": [row]})
    _, rejects = plan_video(row, {}, TextConfig())
    [reject] = shown("v", "--out", str(tmp_path))["rejects"]
    assert (reject["reason"], reject["detail"]) == (rejects[0].reason.value, rejects[0].detail)
    assert rejects[0].reason is Reason.LOW_ALIGNMENT
