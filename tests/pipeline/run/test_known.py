"""What a driver keeps of the tables is what it would read afresh, however the rows came and were merged."""

import random
from pathlib import Path

import pyarrow as pa
import pytest

from hdvila_testing.plans import outcomes_of
from hdvila_testing.requests import count_requests
from hdvila_testing.rows import a_clip_row, a_video_row, commit_rows
from hdvila_testing.shards import commit_video
from manifests.reasons import Reason
from pipeline.balance.next_batch import next_batch
from pipeline.config import RunConfig
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import reject_row
from pipeline.engine.work.unit import Reject
from pipeline.likeness import sentences
from pipeline.query.rejects import rejects_in_force
from pipeline.run.candidates import Candidates
from pipeline.run.known import PACK_COLUMNS, Known
from tests.pipeline.engine.merges import merge_all
from tests.pipeline.likeness.compare import compare
from tests.pipeline.rejected import by_stage_and_reason, rows_in_force

MERGES = (MergeSizes(3, 2, grace_s=0), MergeSizes(2, 8, grace_s=3600))


def grow(store: Store, number: int, draw: random.Random) -> None:
    """One more unit of the extraction, with what came of its videos."""
    ids = [f"v{number:03d}-{i}" for i in range(3)]
    videos = [a_video_row(i, channel_id=f"c{number % 2}", round=number // 4) for i in ids]
    commit_rows(store, "extract", f"e{number}", {"videos": videos})
    clips = [
        a_clip_row(i, n, 10_000 * n, 10_000 * n + 900 + n, text=f"one two three four {n % 2}")
        for i in ids
        for n in range(3)
    ]
    commit_rows(store, "clips", f"c{number}", {"clips": clips})
    for video_id in ids[:2]:
        if draw.random() < 0.3:
            row = reject_row("media", Reject(draw.choice([Reason.TIMEOUT, Reason.NOT_A_VIDEO]), video_id), 1)
            commit_rows(store, "media", video_id, {}, [row])
        else:
            commit_video(store, video_id, n_clips=3)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_what_is_kept_over_batches_plans_what_a_fresh_start_plans(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    store, config = Store(str(tmp_path)), RunConfig(out=str(tmp_path))
    kept = Known(config, store)
    for number in range(12):
        grow(store, number, draw)
        kept.update()
        videos = kept.rows.videos().append_column("order", kept.rows.videos().column("round"))
        compare(store, sentences.kind_of(), videos, tmp_path)
        if draw.random() < 0.5:
            merge_all(store, draw.choice(MERGES))
        rounds, but = draw.choice([None, 1, 2]), [f"v{draw.randrange(number + 1):03d}-0"]
        one = Candidates.read(kept, config, rounds)
        other = Candidates.read(Known(config, Store(store.url)), config, rounds)
        assert one.ranked.video_id.equals(other.ranked.video_id) and one.repeated_texts == other.repeated_texts
        a, b = one.outcomes(but), other.outcomes(but)
        assert a.duplicates == b.duplicates
        assert next_batch(one.ranked, a, config.balance) == next_batch(other.ranked, b, config.balance)
        assert sorted(zip(a.made.video_id.to_pylist(), a.made.counts(), strict=True)) == sorted(
            zip(b.made.video_id.to_pylist(), b.made.counts(), strict=True)
        )
        in_force = rejects_in_force(store)
        assert kept.rejects.counts() == by_stage_and_reason(rows_in_force(store))
        rejected = kept.rejects.of(kept.rows.videos().column("video_id").combine_chunks())
        names = ["video_id", "stage", "reason"]
        assert rejected.sort_by("video_id").equals(in_force.select(names).sort_by("video_id").combine_chunks())
    packs = [store.read_part(part, PACK_COLUMNS) for part in store.parts("packs")]
    plain = outcomes_of(packs, rejects_in_force(store))
    every = Candidates.read(kept, config).outcomes()
    assert sorted(plain.rejected.to_pylist(), key=str) == sorted(every.rejected.to_pylist(), key=str)
    assert one.repeated_texts, "the sentences of a channel repeat"


def test_an_update_of_all_tables_takes_the_turns_of_one_look(tmp_path: Path) -> None:
    store, draw = Store(str(tmp_path)), random.Random(2)
    known = Known(RunConfig(out=store.url), store)
    turns = []
    for number in range(4):
        grow(store, number, draw)
        with count_requests(pool_wait_s=0.002) as counted:
            known.update()
        turns.append((counted.kinds["ls"], counted.n_sequential))
    assert max(n for n, _ in turns) <= 10 and max(n for _, n in turns) <= 12, (
        "listings, and requests one after the other"
    )


def test_what_a_merge_moves_in_the_middle_of_a_look_comes_once(tmp_path: Path) -> None:
    store, draw = Store(str(tmp_path)), random.Random(3)
    for number in range(4):
        grow(store, number, draw)
    other = Store(store.url)
    with store.one_look():
        first = list(Follower(store, "videos", ["video_id"]).new())
        merge_all(other, MergeSizes(2, 2, grace_s=0))
        late = [rows for table in ("videos", "clips") for rows in Follower(store, table, ["video_id"]).new()]
    ids = [sorted(pa.concat_tables(tables)["video_id"].to_pylist()) for tables in (first, late)]
    videos, clips = (
        sorted(other.read_table(table, ["video_id"])["video_id"].to_pylist()) for table in ("videos", "clips")
    )
    assert ids[0] == videos and ids[1] == sorted([*videos, *clips])
