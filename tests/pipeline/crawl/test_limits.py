"""Each limit of the configuration with its own reason."""

from typing import Any

import pytest

from manifests.reasons import Reason
from pipeline.config.crawl import CrawlConfig, LimitsConfig
from pipeline.crawl.limits import check_category, check_listed, check_live, check_video, spoken_language

GOOD: dict[str, Any] = {
    "live_status": "not_live",
    "age_limit": 0,
    "duration": 300,
    "timestamp": 1_714_521_600,  # 2024-05-01 UTC
    "license": None,
    "view_count": 50,
    "formats": [],
    "automatic_captions": {"en-orig": [{"ext": "json3", "url": "https://x/?kind=asr"}]},
}
LISTED: dict[str, Any] = {
    "title": "A talk",
    "live_status": "",
    "availability": "",
    "duration_s": 300.0,
    "view_count": -1,
}


def verdict(limits: dict[str, Any], info: dict[str, Any], kids: bool = False) -> Reason | None:
    config = CrawlConfig(limits=LimitsConfig(**limits))
    given = {**GOOD, **info}
    found = check_live(given, config.limits) or check_video(given, config, made_for_kids=kids)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("limits", "info", "reason"),
    [
        ({}, {}, None),
        ({}, {"live_status": "is_live"}, Reason.LIVE),
        ({}, {"live_status": "post_live", "media_type": "livestream"}, Reason.LIVE),
        ({"allow_live": True}, {"live_status": "is_live"}, Reason.UPCOMING),
        ({"allow_live": True}, {"live_status": "post_live", "media_type": "livestream"}, Reason.UPCOMING),
        ({}, {"live_status": "is_live", "media_type": "video"}, Reason.UPCOMING),
        ({}, {"live_status": "was_live"}, Reason.LIVE),
        ({"allow_live": True}, {"live_status": "was_live"}, None),
        ({}, {"live_status": "is_upcoming"}, Reason.UPCOMING),
        ({}, {"age_limit": 18}, Reason.AGE_RESTRICTED),
        ({"max_age_limit": 18}, {"age_limit": 18}, None),
        ({}, {"duration": 29}, Reason.TOO_SHORT),
        ({}, {"duration": None}, Reason.BAD_ANSWER),
        ({"max_duration_s": 100}, {}, Reason.TOO_LONG),
        ({"uploaded_after": "20240502"}, {}, Reason.TOO_OLD),
        ({"uploaded_after": "20240501"}, {}, None),
        ({"uploaded_before": "20240430"}, {}, Reason.TOO_NEW),
        ({"uploaded_before": "20240430"}, {"timestamp": None}, None),
        ({"licences": ("creative commons",)}, {}, Reason.LICENCE_NOT_ALLOWED),
        ({"licences": ("standard",)}, {}, None),
        ({"licences": ("Creative Commons",)}, {"license": "Creative Commons Attribution license"}, None),
        ({"min_views": 51}, {}, Reason.TOO_FEW_VIEWS),
        ({"min_views": 51}, {"view_count": None}, None),
        ({"languages": ("de",)}, {}, Reason.WRONG_LANGUAGE),
        ({"languages": ()}, {}, None),
        ({"languages": ("de",)}, {"automatic_captions": {}}, None),
    ],
)
def test_each_limit_has_its_own_reason(limits: dict[str, Any], info: dict[str, Any], reason: Reason | None) -> None:
    assert verdict(limits, info) is reason


def test_made_for_kids_can_be_left_out() -> None:
    assert verdict({"allow_made_for_kids": False}, {}, kids=True) is Reason.MADE_FOR_KIDS
    assert verdict({}, {}, kids=True) is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, None),
        ({"live_status": "is_live"}, Reason.LIVE),
        ({"live_status": "is_upcoming"}, Reason.UPCOMING),
        ({"availability": "subscriber_only"}, Reason.MEMBERS_ONLY),
        ({"title": "[Deleted video]", "duration_s": 0.0}, Reason.UNAVAILABLE),
        ({"title": "[Private video]", "duration_s": 0.0}, Reason.PRIVATE),
        ({"title": "[Private video]"}, None),  # somebody's joke: it has a length
        ({"duration_s": 10.0}, Reason.TOO_SHORT),
        ({"duration_s": 0.0}, None),  # not known
        ({"duration_s": 1e6}, Reason.TOO_LONG),
    ],
)
def test_a_listing_alone_rejects_what_it_can(row: dict[str, Any], reason: Reason | None) -> None:
    found = check_listed({**LISTED, **row}, LimitsConfig())
    assert (found[0] if found else None) is reason


def test_the_videos_own_category_decides() -> None:
    assert check_category("Music", 27, CrawlConfig()) is None
    assert check_category("Howto &amp; Style", 26, CrawlConfig()) is None
    odd = check_category("Shows", 27, CrawlConfig())
    assert odd
    assert odd[0] is Reason.WRONG_CATEGORY
    assert check_category("Music", 27, CrawlConfig(categories=(27,)))
    strict = CrawlConfig(limits=LimitsConfig(other_categories="reject"))
    assert check_category("Music", 27, strict)
    assert check_category("Music", -1, strict) is None


def test_the_spoken_language_is_that_of_the_marked_original_then_of_the_recognition_then_of_any_sound() -> None:
    dubbed = [
        {"acodec": "mp4a", "language": "de", "language_preference": -1},
        {"acodec": "mp4a", "language": "fr", "language_preference": 10},
    ]
    assert spoken_language(GOOD) == "en"
    assert spoken_language({"formats": dubbed}) == "fr"
    assert spoken_language({"formats": dubbed[:1]}) == "de"
    assert spoken_language({**GOOD, "formats": dubbed}) == "fr"
    assert spoken_language({**GOOD, "formats": dubbed[:1]}) == "en", "a mark that the site did not make decides nothing"
    assert spoken_language({}) == ""
