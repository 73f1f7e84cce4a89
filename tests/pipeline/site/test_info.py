"""What a site says of a video is taken in the kinds that yt-dlp documents, and costs no error of this program."""

import random
from pathlib import Path
from typing import Any, cast

import pytest

from bench.hostile_inputs import Home
from bench.hostile_inputs.answers import INFO, _infos
from pipeline.site.info import documented


def test_what_yt_dlp_usually_says_stays_as_it_is() -> None:
    assert documented(INFO) == INFO


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("view_count", "many", None),
        ("view_count", float("inf"), None),
        ("age_limit", True, None),
        ("duration", 10**25, None),
        ("title", ["a"], None),
        ("title", "half \ud800", "half \ufffd"),
        ("categories", "Education", []),
        ("tags", ["a", 5, None], ["a"]),
        ("formats", [5, {"ext": "mp4"}, {"format_id": "18", "height": "x"}], [{"format_id": "18"}]),
        ("subtitles", ["en"], {}),
        ("subtitles", {"en": [None, {"url": 5}], 7: []}, {"en": [{}]}),
        ("chapters", {"title": "one"}, []),
        ("another", {"kept": 1}, {"kept": 1}),
    ],
)
def test_a_value_of_another_kind_is_as_if_it_were_not_said(key: str, value: Any, read: Any) -> None:
    assert documented({**INFO, key: value}).get(key) == read


def test_a_look_at_any_info_ends_with_a_row_or_a_reason(tmp_path: Path) -> None:
    ends = {_infos(tmp_path, random.Random(f"look {seed}"), cast(Home, None)) for seed in range(150)}
    assert {"a video", "bad_answer", "no_captions"} <= ends
