"""A few hours of the week on a virtual clock: rates are kept, a ban is noticed, no video is misjudged."""

from pathlib import Path

from bench.data_api import a_world
from bench.week import NAMES, NEW_WORDS, Week, config_of
from bench.world.asked_directly import Trouble
from bench.world.week_said import lines, most_of
from miniyoutube import innertube
from miniyoutube.faults import Fault
from pipeline.config.crawl import PolitenessConfig

PACE, HOURS = 0.1, 3
TROUBLES = (
    Trouble("four is banned", 1, 1e9, (Fault("player", "bot_check", identity="four"),)),
    Trouble("new words", 2, 1e9, words=NEW_WORDS),
)


def test_a_crawl_keeps_to_its_rates_leaves_a_banned_identity_alone_and_misjudges_no_video(tmp_path: Path) -> None:
    words = dict(innertube.REFUSALS)
    week = Week(a_world(600), HOURS / 24, PACE, TROUBLES)

    lived = week.crawl(tmp_path)

    assert words == innertube.REFUSALS, "the site speaks as before"
    assert len(lived.kept_at) > 5 and not lived.never and not lived.ends
    log = lived.asked.log
    for name in NAMES:
        for kind, per_minute in PolitenessConfig().identity_requests_per_minute.items():
            assert most_of(log, name, kind, 600) <= 10 * per_minute * PACE + 1, (name, kind)
    blocked = [seen for seen in log if seen.is_blocked]
    assert 0 < len(blocked) < 20 and {seen.identity for seen in blocked} == {"four"}
    assert any(f"{len(lived.kept_at)} kept" in line for line in lines(config_of(tmp_path, PACE).crawl, lived, {}))
