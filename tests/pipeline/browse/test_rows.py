"""The rows of the page: every clip and video with its end, as SQL says it too, while the tables change."""

from contextlib import closing
from pathlib import Path

import pytest

import hdvila_testing.shards as toys
from manifests.errors import UserError
from pipeline.browse import rows as rows_module
from pipeline.browse.filters import equal_statement, inlined, like_statement, read_line
from pipeline.browse.rows import Rows
from pipeline.dataset.remove import remove
from pipeline.engine.store.store import Store
from pipeline.media.phash import N_HASHES, pack_hashes
from pipeline.outdir.tombstones import Tombstones
from pipeline.query.ask import ask
from tests.pipeline.browse.conftest import a_run

LINES = (
    "", "status:kept", "status:rejected sort:-words", "reason:silent,over_quota", "category:music -video:video000000",
    '"SENTENCE 2"', "sentence video", "-sentence", "words:>3 year:2024", "split:train", "flag:none",
    "seconds:0..<9", "words:>=50%", "-motion:<200%", "sort:-motion", "speech:>0",
    "of:videos", "of:videos reason:private", "of:videos status:kept sort:title", 'title:"video video"', "shard:\"\"",
)  # fmt: skip


def ids(rows: Rows, line: str) -> list[str]:
    found = rows.find(read_line(line)).rows
    return [row["clip_id"] or row["video_id"] for row in found]


def test_each_clip_stands_there_with_its_end(finished: Store) -> None:
    with closing(Rows(finished)) as rows:
        ends = {row["clip_id"]: row for row in rows.find(read_line("")).rows}
    assert len(ends) == 12
    kept = ends["video000000.1"]
    assert (kept["status"], kept["reason"], kept["category"]) == ("kept", "", "Music")
    assert kept["tar"] == kept["shard"] and kept["text"] == "this is sentence 1 of video video000000"
    silent = ends["video000001.0"]
    assert [silent[name] for name in ("status", "stage", "reason", "detail")] == [
        "rejected", "media", "silent", "as the test asked",
    ]  # fmt: skip
    left = ends["video000003.0"]
    assert [left[name] for name in ("status", "stage", "reason")] == ["rejected", "balance", "over_quota"]
    assert left["tar"].startswith("packs/"), "it can be played from its pack"


def test_each_video_stands_there_too_with_its_reason(finished: Store) -> None:
    with closing(Rows(finished)) as rows:
        (lost,) = rows.find(read_line("of:videos reason:private")).rows
        assert (lost["video_id"], lost["stage"], lost["detail"]) == ("private0000", "extract", "sign in to see it")
        assert lost["at"] and rows.find(read_line("of:videos")).n == 5


def test_the_statement_to_copy_gives_the_same_rows_in_the_same_order(finished: Store) -> None:
    with closing(Rows(finished)) as rows:
        for line in LINES:
            asked = read_line(line)
            with ask(finished, equal_statement(asked)) as answer:
                there = [row[0] for some in answer.rows for row in some]
            assert ids(rows, line) == there[: rows_module.A_PAGE], line
            assert rows.find(asked).n == len(there), line


def test_groups_count_as_the_statement_does(finished: Store) -> None:
    asked = read_line("group:reason")
    with closing(Rows(finished)) as rows, ask(finished, equal_statement(asked)) as answer:
        groups = rows.find(asked).groups
        assert [(row["value"], row["n"]) for row in groups] == [row for some in answer.rows for row in some]


def test_the_clips_that_look_like_one_are_those_of_the_nearest_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = {0: 0b0000, 1: 0b1111, 2: 0b0001}
    row = toys._pack_row

    def with_hashes(video_id: str, n: int, *given: object) -> dict[str, object]:
        pictures = [(look,) * N_HASHES for look in (9, looks[n] + (64 if video_id[-1] == "1" else 0), 5)]
        return {**row(video_id, n, *given), "phashes": pack_hashes(pictures)}  # type: ignore[arg-type]

    monkeypatch.setattr(toys, "_pack_row", with_hashes)
    store = a_run(tmp_path / "out")
    with closing(Rows(store)) as rows:
        alike = [(found["clip_id"], bits) for found, bits in rows.alike("video000002.0")]
        text = inlined(*like_statement("video000002.0"))
        with ask(store, text) as answer:
            assert [row for some in answer.rows for row in some] == alike
        assert alike[0] == ("video000002.0", 0) and [bits for _, bits in alike] == sorted(bits for _, bits in alike)
        assert ("video000000.0", 0) in alike and ("video000001.1", 5) in alike and ("video000002.2", 1) in alike
        assert rows.alike("no.0") == []


def test_facets_count_what_is_shown(finished: Store) -> None:
    with closing(Rows(finished)) as rows:
        found = rows.find(read_line("status:rejected"))
    assert {value: n for value, n, _ in found.facets["reason"]} == {"over_quota": 3, "silent": 1}
    assert all(sum(n for _, n, _ in found.facets[name]) == found.n for name in ("status", "category", "channel"))


def test_pages_have_each_clip_once(finished: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "A_PAGE", 5)
    with closing(Rows(finished)) as rows:
        asked = read_line("sort:words")
        pages = [[row["clip_id"] for row in rows.find(asked, first).rows] for first in (0, 5, 10)]
        flat = [clip_id for page in pages for clip_id in page]
        assert len(set(flat)) == len(flat) == 12
        assert [rows.id_at(asked, k) for k in range(13)] == [*flat, ""]


def test_what_a_run_adds_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "LOOK_AGAIN_S", 0.0)
    store = a_run(tmp_path / "out")
    with closing(Rows(store)) as rows:
        monkeypatch.setattr(rows, "_look_at", 0.0)
        toys.commit_video(store, "later000000", n_clips=2)
        rows.follow()
        (first, second) = rows.find(read_line("video:later000000")).rows
        assert first["status"] == second["status"] == "waiting"


def test_what_was_removed_is_in_no_cache_afterwards(tmp_path: Path, cache: Path) -> None:
    store = a_run(tmp_path / "out")
    with closing(Rows(store)):
        assert [path for path in cache.iterdir() if "browse" in path.name]
        remove(store, Tombstones(videos=frozenset(["video000000"])), purge=True)
        assert not [path for path in cache.iterdir() if "browse" in path.name and path.is_file()]


def test_a_damaged_table_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    store = a_run(tmp_path / "out")
    part = next(Path(store.root).glob("videos/*.parquet"))
    part.write_bytes(b"PAR1" + part.read_bytes()[4:-20] + bytes(20))
    with closing(Rows(store)) as rows:
        assert any(part.name in problem for problem in rows.problems)
        assert rows.find(read_line("status:kept")).n == 8


def test_what_cannot_be_read_for_a_while_keeps_what_was_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = a_run(tmp_path / "out")
    with closing(Rows(store)) as rows:

        def gone(*given: object, **named: object) -> None:
            raise UserError("the store is gone")

        monkeypatch.setattr(rows, "_look_at", 0.0)
        monkeypatch.setattr(rows_module, "open_tables", gone)
        rows.follow()
        assert rows.problems == ("the store is gone",) and rows.find(read_line("")).n == 12
