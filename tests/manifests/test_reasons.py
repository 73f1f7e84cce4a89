"""Reason codes: a closed list, each with one class and words for people."""

import re

import pytest

from manifests.reasons import FACTS, Reason, ReasonClass

IN_USE = "private bot_check rate_limited no_720p below_720p truncated killed_worker over_memory timeout no_captions "
IN_USE += "opted_out over_quota not_needed duplicate_video no_disk bad_cookies pack_lost"


def test_every_reason_has_a_class_and_a_meaning_and_no_fact_is_left_over():
    assert set(FACTS) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_code_is_a_plain_word_that_a_command_line_can_take(reason: Reason):
    assert re.fullmatch(r"[a-z0-9_]{3,40}", reason.value)
    assert 5 <= len(reason.meaning) <= 120 and "\n" not in reason.meaning


def test_meanings_tell_reasons_apart():
    assert len({reason.meaning for reason in Reason}) == len(Reason)


@pytest.mark.parametrize("code", IN_USE.split())
def test_codes_that_users_filter_by_keep_their_names(code: str):
    assert Reason(code).value == code


def test_what_passes_is_tried_again_and_what_needs_a_person_stops_the_run():
    assert Reason.RATE_LIMITED.class_ is ReasonClass.LATER
    assert Reason.PRIVATE.class_ is ReasonClass.NEVER
    assert {r for r in Reason if r.class_ is ReasonClass.STOP} >= {
        Reason.NO_DISK,
        Reason.BAD_COOKIES,
        Reason.NO_NETWORK,
    }
