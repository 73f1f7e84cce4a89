"""One identity: what bounds it, and pauses that go on after a restart."""

import math
import random

from pipeline.site.buckets import Breaker, Bucket
from pipeline.site.identities import Identity


def an_identity() -> Identity:
    return Identity("one", Bucket(1.0, 0.0, random.Random(0)))


def test_a_pause_of_captions_holds_back_captions_alone_and_one_by_hand_everything() -> None:
    one = an_identity()
    one.captions = Breaker(50.0, 1, "captions_refused")
    assert (one.free_at(captions=False), one.free_at(captions=True)) == (0.0, 50.0)
    one.breaker = Breaker(70.0, 2, "bot_check")
    assert one.free_at(captions=True) == 70.0
    one.by_hand = True
    assert one.free_at(captions=False) == math.inf


def test_pauses_go_on_with_what_was_left_of_them() -> None:
    before = an_identity()
    before.breaker, before.captions = Breaker(1070.0, 2, "bot_check"), Breaker(1020.0, 1, "captions_refused")
    after = an_identity()
    after.go_on_pausing(before.facts(1000.0), 5.0)

    assert (after.breaker.paused_until, after.breaker.level, after.breaker.why) == (75.0, 2, "bot_check")
    assert after.captions.paused_until == 25.0
    quiet = an_identity()
    quiet.go_on_pausing(an_identity().facts(1000.0), 5.0)
    assert quiet.free_at(captions=True) == 0.0


def test_what_people_read_of_an_identity_counts_from_now_in_milliseconds() -> None:
    one = an_identity()
    one.bucket.full_at = 1000.12345
    facts = one.facts(1000.0)
    assert (facts["paused_s"], facts["captions_paused_s"], facts["next_token_s"]) == (0.0, 0.0, 0.123)
    assert [facts[name] for name in ("videos", "answers", "refusals", "level")] == [0, 0, 0, 0] and not facts["by_hand"]
    assert (one.n_lost, one.serves_others, one.probe_until) == (0, False, 0.0)
    one.breaker, one.captions = Breaker(1001.23456, 2, "x"), Breaker(1002.34567, 1, "y")
    facts = one.facts(1000.0)
    assert (facts["paused_s"], facts["captions_paused_s"], facts["level"]) == (1.235, 2.346, 2)


def test_state_without_a_level_is_one_pause_and_captions_go_on_alone() -> None:
    one = an_identity()
    one.go_on_pausing({"name": "one", "paused_s": 0.5, "captions_paused_s": 0.5}, 10.0)  # type: ignore[typeddict-item]
    assert (one.breaker.level, one.breaker.paused_until, one.captions.level) == (1, 10.5, 1)
    none = an_identity()
    none.go_on_pausing({"name": "one", "paused_s": 0.0}, 10.0)  # type: ignore[typeddict-item]
    assert none.captions.level == none.breaker.level == 0
