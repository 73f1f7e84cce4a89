"""A blind review: an even draw by its seed, judged once each, taken up again, and signed into report and card."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import hdvila_testing.shards as toys
from manifests.errors import UserError
from manifests.review import read_review
from pipeline.browse.filters import read_line
from pipeline.browse.marks import Marks
from pipeline.browse.review import Drawn
from pipeline.browse.rows import Rows
from pipeline.engine.store.store import Store
from pipeline.report.page import write_report
from pipeline.shards.manifest import CARD_NAME
from tests.pipeline.browse.client import serving


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three categories, of which one has many more clips."""
    made = Store(str(tmp_path_factory.mktemp("review") / "out"))
    for k, category_id in enumerate([10, 10, 10, 17, 25]):
        toys.commit_video(made, f"video{k:06d}", n_clips=4, category_id=category_id)
    toys.select(made)
    toys.make_shards(made)
    return made


@pytest.fixture
def rows(store: Store) -> Iterator[Rows]:
    with closing(Rows(store)) as opened:
        yield opened


def test_the_draw_is_even_over_categories_and_the_seeds_alone(rows: Rows) -> None:
    asked = read_line("status:kept")
    drawn = rows.drawn(asked, 9, 1)
    assert Counter(category for _, category in drawn) == {"Music": 3, "Sports": 3, "News & Politics": 3}
    assert rows.drawn(asked, 9, 1) == drawn != rows.drawn(asked, 9, 2)
    assert len(set(rows.drawn(asked, 100, 1))) == 20, "all that there are"
    assert Counter(c for _, c in rows.drawn(asked, 15, 1)) == {"Music": 7, "Sports": 4, "News & Politics": 4}


def test_it_goes_on_where_it_stopped_and_is_of_one_draw(rows: Rows, tmp_path: Path) -> None:
    begun = Drawn.begun(tmp_path / "r.jsonl", rows, "status:kept", 1, 5)
    first = begun.clips[0][0]
    begun.judge(first, "unsure")
    begun.judge(first, "right")
    again = Drawn.begun(tmp_path / "r.jsonl", rows, "status:kept", 1, 5)
    assert again == begun and again.next_one() == 1 and again.verdicts()[first][0] == "right"
    for clip_id, verdict in (("video000000.99", "right"), (first, "splendid")):
        with pytest.raises(UserError, match="was not drawn, or"):
            begun.judge(clip_id, verdict)
    with pytest.raises(UserError, match="is a review of 'status:kept' by seed 1"):
        Drawn.begun(tmp_path / "r.jsonl", rows, "status:kept", 2, 5)
    with pytest.raises(UserError, match="no clip of 'reason:silent'"):
        Drawn.begun(tmp_path / "s.jsonl", rows, "reason:silent", 0, 5)


def test_it_is_blind_and_its_counts_get_into_report_and_card(store: Store, rows: Rows, tmp_path: Path) -> None:
    drawn = Drawn.begun(tmp_path / "r.jsonl", rows, "status:kept", 1, 3)
    with serving(store, rows, Marks(tmp_path / "marks.jsonl"), drawn) as client:
        own = {"Origin": client.guard.origin}
        for k, (clip_id, category) in enumerate(drawn.clips):
            page = client.get("/review")
            assert f"Clip {k + 1} of 3" in page.text and "this is sentence" in page.text
            for told in (category, "kept", "motion", "confidence", "UC-"):
                assert told not in page.text.partition("<main")[2]
            verdict = "wrong+text" if k == 1 else "right"
            assert client.ask("/judge", "POST", f"id={clip_id}&verdict={verdict}", **own).status == 303
        assert "3 of 3 clips judged" in client.get("/review").text
        assert client.ask("/judge", "POST", "id=other&verdict=right", **own).status == 502
        assert client.ask("/sign", "POST").status == 403 and read_review(store) is None
        assert client.ask("/sign", "POST", **own, Content_Length="0").status == 200
    review = read_review(store)
    assert review and review.all.verdicts["right"] == 2 and review.by
    assert "67 (21 to 94)" in store.read(CARD_NAME).decode()
    assert "67 (21 to 94)" in store.read(write_report(store)).decode()
    assert not [name for name in ("video00000",) if name in store.read("report/review.json").decode()], "counts alone"
