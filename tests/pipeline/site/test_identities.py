"""One identity: what bounds it, and pauses that go on after a restart."""

import random

from pipeline.site.buckets import Breaker, Bucket
from pipeline.site.identities import Identity


def an_identity() -> Identity:
    return Identity("one", Bucket(1.0, 0.0, random.Random(0)))


def test_a_pause_of_captions_holds_back_captions_alone() -> None:
    one = an_identity()
    one.captions = Breaker(50.0, 1, "captions_refused")
    assert (one.free_at(captions=False), one.free_at(captions=True)) == (0.0, 50.0)
    one.breaker = Breaker(70.0, 2, "bot_check")
    assert one.free_at(captions=True) == 70.0


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
