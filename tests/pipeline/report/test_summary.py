"""The summary at the end of a run."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import hdvila_testing.shards as toys
from hdvila_testing.plans import outcomes_of
from manifests.exits import ExitCode
from pipeline.balance.ranking import candidates_of, rank_candidates
from pipeline.balance.selection import select
from pipeline.config.balance import BalanceConfig
from pipeline.engine.run.lines import StageResult
from pipeline.engine.store.store import Store
from pipeline.query.funnel import funnel
from pipeline.report.summary import MOST_REASONS, Delivered, amount, print_summary, rejects_table, stages


def a_run(folder: Path) -> Delivered:
    """A finished toy run with one clip rejected and one video over its quota."""
    store = Store(str(folder))
    for k in range(3):
        toys.commit_video(store, f"video{k:06d}", n_clips=4, category_id=10, failed={0: "silent"} if k == 0 else {})
    packs = store.read_table("packs")
    ranked = rank_candidates(candidates_of(store.read_table("videos"), packs), 0)
    rejects = store.read_rejects()
    selection = select(ranked, outcomes_of([packs], rejects), BalanceConfig(unit="clips", total=5))
    store.write_table("selection.parquet", selection.table)
    manifest = toys.make_shards(store)
    manifest.head["funnel"] = funnel(store).document()
    results = (
        StageResult("media", 0, 2, 2, Counter(), Counter(silent=1), seconds=3.0),
        StageResult("media", 2, 1, 1, Counter(), Counter(), seconds=1.5),
        StageResult("shards", 0, 1, 1, Counter(), Counter(), seconds=0.25),
    )
    return Delivered(manifest, selection.result, results)


def printed(delivered: Delivered) -> str:
    console = Console(width=160, record=True, force_terminal=False)
    print_summary(delivered, console)
    return console.export_text()


@pytest.mark.parametrize(
    ("total", "code", "last"),
    [
        (13, ExitCode.OK, "report: "),
        (100, ExitCode.INCOMPLETE, "far short of what was asked: 8 of 100 clips"),
    ],
)
def test_a_run_far_short_of_what_was_asked_says_so_in_its_last_line_and_ends_with_1(
    tmp_path: Path, total: float, code: ExitCode, last: str
) -> None:
    run = a_run(tmp_path)
    asked = replace(run, balance=replace(run.balance, total_asked=total, total_kept=8))

    assert asked.exit_code == code
    assert printed(asked).strip().splitlines()[-1].startswith(last)


def test_a_run_without_a_shard_says_so_in_its_last_line_and_ends_with_1(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    run.manifest.head["totals"]["shards"] = 0

    assert run.exit_code == ExitCode.INCOMPLETE
    assert printed(run).strip().splitlines()[-1].startswith("no clip was made")


def test_the_summary_says_what_came_of_the_run(tmp_path: Path) -> None:
    text = " ".join(printed(a_run(tmp_path)).split())
    for part in (
        "videos: candidates 3",
        "videos: kept 2",
        "videos: rejected 1",
        "videos: missing 0",
        "clips: in shards 5",
        "over_quota its category is full 1",
        "effective categories 1.0 before, 1.0 after",
        "Music 1 12 11 5",
        "media 3 3 0 1 4.5",
        "report: ",
        "report/index.html",
    ):
        assert part in text, f"{part!r} is not in {text}"


def test_missing_units_are_said_loudly(tmp_path: Path) -> None:
    delivered = a_run(tmp_path)
    short = Delivered(delivered.manifest, delivered.balance, (StageResult("media", 0, 3, 2),))
    assert "1 unit missing: run the same command again" in printed(short)
    assert "missing:" not in printed(delivered)


def test_units_of_batches_that_ran_side_by_side_are_counted_once() -> None:
    """Ten were done by an earlier run; two batches began together, and one while these were under way."""
    batches = (StageResult("media", 10, 20, 20), StageResult("media", 26, 8, 8), StageResult("media", 10, 16, 16))

    table = stages(batches)

    assert [str(next(iter(column.cells))) for column in table.columns][:3] == ["media", "54", "44"]


def test_many_reasons_are_cut_short_and_still_add_up() -> None:
    rejected = [{"stage": "media", "reason": f"reason{k:02d}", "count": k + 1} for k in range(MOST_REASONS + 5)]
    table = rejects_table({"videos": {"rejected": rejected}}, "videos")
    assert table.row_count == MOST_REASONS + 1
    counts = [int(str(cell)) for cell in table.columns[3].cells]
    assert sum(counts) == sum(r["count"] for r in rejected)


def test_hours_keep_the_digits_that_tell_them_apart() -> None:
    assert amount(0.0123, "hours") == "0.012"
    assert amount(30_000.0, "hours") == "30,000"
    assert amount(1234.0, "clips") == "1,234"
