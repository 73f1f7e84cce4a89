"""The choice of caption tracks from yt-dlp's two dictionaries."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.site.tracks import choose_tracks, list_tracks, speaks


def entries(query: str, *formats: str) -> list[dict[str, Any]]:
    base = f"https://www.youtube.com/api/timedtext?{query}"
    return [{"ext": f, "url": f"{base}&fmt={f}"} for f in formats or ("json3", "srv3", "vtt")]


MANUAL, ASR, TRANSLATED = entries("lang=en"), entries("lang=en&kind=asr"), entries("lang=es&kind=asr&tlang=en")


def keys(subtitles: dict[str, Any], automatic: dict[str, Any], *languages: str) -> list[tuple[str, str]]:
    found = choose_tracks(subtitles, automatic, languages=languages or ("en",))
    return [(track.kind, track.key) for track in found]


@pytest.mark.parametrize(
    ("subtitles", "automatic", "expected"),
    [
        ({"en": MANUAL}, {}, [("manual", "en")]),
        ({"en-US": MANUAL, "en": MANUAL}, {}, [("manual", "en")]),
        ({"en-US": MANUAL}, {}, [("manual", "en-US")]),
        ({"en-nP7-2PuUl7o": MANUAL}, {}, [("manual", "en-nP7-2PuUl7o")]),
        ({}, {"en-orig": ASR, "en": ASR, "de": TRANSLATED}, [("auto", "en-orig")]),
        ({}, {"en": ASR}, [("auto", "en")]),
        ({}, {"en": TRANSLATED}, []),
        ({}, {"en-es": entries("lang=es&tlang=en")}, []),
        ({"live_chat": MANUAL}, {}, []),
        ({"enm": MANUAL}, {}, []),
        ({"en": MANUAL}, {"en-orig": ASR}, [("manual", "en"), ("auto", "en-orig")]),
        ({}, {}, []),
    ],
    ids=[
        "exact",
        "exact before regional",
        "regional",
        "named",
        "recognition",
        "recognition without -orig",
        "translation of the recognition",
        "translation of a manual track",
        "chat",
        "another language that begins alike",
        "both kinds",
        "none",
    ],
)
def test_the_real_track_is_chosen(subtitles: dict[str, Any], automatic: dict[str, Any], expected: list[Any]) -> None:
    assert keys(subtitles, automatic) == expected


def test_the_best_format_on_offer_is_taken() -> None:
    track = choose_tracks({"en": entries("lang=en", "srv3", "vtt")}, {}, languages=("en",))[0]
    assert (track.format, track.url.rpartition("fmt=")[2]) == ("vtt", "vtt")
    assert choose_tracks({"en": entries("lang=en", "ttml")}, {}, languages=("en",)) == []


def test_kinds_can_be_switched_off() -> None:
    found = choose_tracks({"en": MANUAL}, {"en-orig": ASR}, languages=("en",), kinds=("auto",))
    assert [track.kind for track in found] == ["auto"]


def test_languages_are_tried_in_their_order_and_empty_means_any() -> None:
    subtitles = {"fr": MANUAL, "de": MANUAL}
    assert keys(subtitles, {}, "de", "fr") == [("manual", "de")]
    assert choose_tracks(subtitles, {}, languages=())[0].key == "de"


def test_the_table_names_real_tracks_only() -> None:
    automatic = {"en-orig": ASR, "de": TRANSLATED, "en-es": entries("lang=es&tlang=en")}
    assert list_tracks({"en": MANUAL, "live_chat": MANUAL}, automatic) == ["manual:en", "auto:en-orig"]


@given(st.text("abcdefgh-", min_size=1, max_size=12), st.sampled_from(["en", "e", "de-AT"]))
def test_a_language_speaks_itself_and_its_regions_alone(tag: str, language: str) -> None:
    assert speaks(language, language)
    assert speaks(f"{language}-{tag}", language)
    assert not speaks(f"{language}{tag.replace('-', 'x')}", language)


def test_what_is_no_entry_of_a_format_is_passed_over() -> None:
    broken: list[Any] = ["odd", {"ext": "json3"}, {"url": "https://a/"}, *entries("lang=en", "vtt")]
    (track,) = choose_tracks({"en": broken}, None, languages=("en",))
    assert (track.format, track.language, track.key) == ("vtt", "en", "en")
    assert choose_tracks(None, {"en-orig": ["odd"]}, languages=("en",)) == []


def test_the_shortest_key_of_a_language_is_taken_and_the_recognition_s_own_first() -> None:
    assert keys({"en-US": MANUAL, "en-GB": MANUAL, "en-nP7-2PuUl7o": MANUAL}, {}) == [("manual", "en-GB")]
    assert keys({"EN": MANUAL, "en-US": MANUAL}, {}) == [("manual", "EN")]
    assert keys({}, {"en": ASR, "en-US-orig": ASR, "en-orig": ASR}) == [("auto", "en-orig")]
    assert keys({}, {"de-orig": ASR}, "en") == []


def test_with_any_language_wanted_chats_are_none_and_either_kind_may_be_missing() -> None:
    assert choose_tracks({"live_chat": MANUAL, "sv": MANUAL}, {}, languages=())[0].key == "sv"
    assert choose_tracks({"en": MANUAL}, {"en-orig": ASR}, languages=("en",), kinds=("manual",))[0].kind == "manual"
    assert list_tracks(None, None) == [] and list_tracks(None, {"en-orig": ASR}) == ["auto:en-orig"]
    both = entries("lang=en&kind=asr&tlang=de")
    assert list_tracks({}, {"de": both, "en": entries("lang=en")}) == [], "a translation, and no recognition"
