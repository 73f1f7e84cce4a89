"""Caption tracks as the site lists them and as their addresses answer, read by yt-dlp and by the pipeline."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from pipeline.demo.big_catalogue import a_catalogue, one_of_each
from pipeline.demo.catalogue import Catalogue
from pipeline.demo.media_cache import MediaCache
from pipeline.demo.script import Script, sentences_of, shots_of, words_of
from pipeline.demo.server import MiniYouTube
from pipeline.demo.speech import automatic_json3, automatic_lines, caption_file, manual_cues, manual_json3
from pipeline.text.captions import read_track
from tests.pipeline.demo.client import extract, read_url

SCRIPT = Script(7, 15, 52_000)
FORMATS = ["json3", "vtt", "srv3", "srt"]


@pytest.mark.parametrize(
    ("behaviour", "manual", "automatic"),
    [
        ("automatic_only", [], ["en-orig", "en"]),
        ("regional_track", ["en-US"], ["en-orig", "en"]),
        ("named_track", ["en-nP7-2PuUl7o"], []),
        ("translated_only", ["es"], []),
        ("non_english", ["es"], ["es-orig", "es", "en"]),
        ("captions_locked", [], []),
        ("no_captions", [], []),
        ("captions_empty", ["en"], []),
    ],
)
def test_tracks_carry_the_keys_that_yt_dlp_makes_of_them(
    demo_cache: MediaCache, behaviour: str, manual: list[str], automatic: list[str]
) -> None:
    catalogue = one_of_each([behaviour])
    with MiniYouTube(catalogue, cache=demo_cache, draw="lazily") as site:
        info = extract(site, catalogue.videos[1].video_id)
    assert list(info["subtitles"]) == manual
    assert set(automatic) <= set(info["automatic_captions"])
    if not automatic:
        assert not info["automatic_captions"]


def test_an_english_track_by_machine_translation_says_so_in_its_address(demo_cache: MediaCache) -> None:
    catalogue = one_of_each(["non_english"])
    with MiniYouTube(catalogue, cache=demo_cache, draw="lazily") as site:
        tracks = extract(site, catalogue.videos[1].video_id)["automatic_captions"]
        assert "tlang=en" in tracks["en"][0]["url"]
        assert "tlang" not in tracks["es-orig"][0]["url"]
        english = read_url(site, tracks["en"][0]["url"]).decode()
        spanish = read_url(site, tracks["es-orig"][0]["url"]).decode()
    assert "wall" in english
    assert "fondo" in spanish


def test_translations_of_manual_tracks_appear_where_automatic_ones_are_asked_for(demo_cache: MediaCache) -> None:
    plain = a_catalogue(40, misbehaving=0)
    video = next(v for v in plain.videos if len(v.tracks) == 2)
    with MiniYouTube(Catalogue((video,)), cache=demo_cache, draw="lazily") as site:
        info = extract(site, video.video_id, writeautomaticsub=True)
    assert {"en-en", "de-en", "en-orig", "en"} <= set(info["automatic_captions"])


@pytest.mark.parametrize(
    ("behaviour", "body"),
    [
        ("captions_empty", b""),
        ("captions_html", b"<!DOCTYPE html>"),
        ("captions_no_text", b'{"wireMagic"'),
        ("captions_cut", b'{"wireMagic"'),
    ],
)
def test_what_a_bad_caption_address_gives(demo_cache: MediaCache, behaviour: str, body: bytes) -> None:
    catalogue = one_of_each([behaviour])
    with MiniYouTube(catalogue, cache=demo_cache, draw="lazily") as site:
        info = extract(site, catalogue.videos[1].video_id)
        data = read_url(site, info["subtitles"]["en"][0]["url"])
    assert data.startswith(body)
    if behaviour == "captions_cut":
        with pytest.raises(json.JSONDecodeError):
            json.loads(data)
    if behaviour == "captions_no_text":
        assert not any("segs" in event for event in json.loads(data)["events"])


def test_the_automatic_track_rolls() -> None:
    events = json.loads(automatic_json3(SCRIPT))["events"]
    assert "segs" not in events[0]
    lines = [event for event in events[1:] if "aAppend" not in event]
    assert any(a["tStartMs"] + a["dDurationMs"] > b["tStartMs"] for a, b in pairwise(lines))
    assert sum("aAppend" in event for event in events) == len(lines) - 1
    texts = [segment["utf8"] for line in lines for segment in line["segs"]]
    assert "".join(texts).replace(" ", "").islower()
    assert not set("".join(texts)) & set(".,!?")


def test_automatic_words_carry_their_own_times() -> None:
    lines = [e for e in json.loads(automatic_json3(SCRIPT))["events"][1:] if "aAppend" not in e]
    got = [(s["utf8"].strip(), line["tStartMs"] + s.get("tOffsetMs", 0)) for line in lines for s in line["segs"]]
    assert got == [(word.text, word.start_ms) for word in words_of(SCRIPT)]


def test_manual_cues_are_the_punctuated_sentences() -> None:
    cues = manual_cues(SCRIPT)
    assert " ".join(cue.text for cue in cues) == " ".join(sentences_of(SCRIPT))
    assert all(len(cue.text) <= 71 for cue in cues)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(cues))
    assert len(json.loads(manual_json3(SCRIPT))["events"]) == len(cues)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", ["auto", "manual"])
def test_every_format_gives_the_pipeline_each_word_once(format_: str, kind: str) -> None:
    data = caption_file(SCRIPT, kind, format_)
    assert data is not None
    track = read_track(data, format=format_, kind=kind, language="en")
    got = [word.text.lower().strip(".") for word in track.words]
    assert got == [word.text for word in words_of(SCRIPT)]


def test_a_format_that_is_not_served_is_none() -> None:
    assert caption_file(SCRIPT, "auto", "ttml") is None


def test_no_line_runs_over_a_pause() -> None:
    for line in automatic_lines(SCRIPT):
        assert all(b.start_ms - a.end_ms < 200 for a, b in pairwise(line))


@pytest.mark.parametrize("seed", range(20))
def test_sentences_last_about_as_long_as_they_should_with_pauses_between(seed: int) -> None:
    spoken = [shot.words for shot in shots_of(Script(seed, 1 + seed % 2, 60_000)) if shot.words]
    lengths_s = [(words[-1].end_ms - words[0].start_ms) / 1000 for words in spoken]
    assert all(8 <= length <= 14 for length in lengths_s)
    pauses_ms = [b[0].start_ms - a[-1].end_ms for a, b in pairwise(spoken)]
    assert all(800 <= pause < 1600 for pause in pauses_ms)


@pytest.mark.parametrize("seed", range(20))
def test_the_picture_changes_in_the_pause_before_a_sentence(seed: int) -> None:
    shots = shots_of(Script(seed, 20, 60_000))
    assert shots[0].start_ms == 0
    assert shots[-1].end_ms == 60_000
    for before, after in pairwise(shots):
        assert before.end_ms == after.start_ms
        assert before.words[-1].end_ms < after.start_ms < after.words[0].start_ms


def test_a_sentence_says_what_its_shot_shows() -> None:
    for shot in shots_of(SCRIPT):
        text = " ".join(word.text for word in shot.words)
        scene = shot.scene
        for word in (scene.background, scene.texture, scene.shape, scene.colour, scene.motion, scene.noun):
            assert word in text


def test_a_greeting_is_spoken_first_and_only_once() -> None:
    script = replace(SCRIPT, greeting="hello and welcome back to the channel for shapes and colours of every kind")
    sentences = sentences_of(script)
    assert sentences[0].startswith("Hello and welcome back")
    assert sum("welcome" in sentence for sentence in sentences) == 1
