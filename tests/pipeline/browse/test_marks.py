"""Marks: the last line on a thing counts, and each export is read by the command that it is for."""

import csv
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

import hdvila_testing.shards as toys
from manifests.errors import UserError
from manifests.where import Expression
from pipeline.browse.filters import read_line
from pipeline.browse.marks import Mark, Marks, exported
from pipeline.browse.rows import Rows
from pipeline.dataset.remove import meant_by, remove
from pipeline.engine.store.store import Store
from pipeline.outdir.named import read_named, resolve
from pipeline.outdir.sayings import read_sayings
from pipeline.outdir.tombstones import Tombstones

ROW = {"clip_id": "video000000.1", "video_id": "video000000", "channel_id": "UC'1", "title": "t", "channel": "c"}


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    made = Marks(tmp_path / "marks.jsonl")
    row = {**ROW, "text": "=this is  sentence 1 of video video000000"}
    made.set(row, "clip", "x" * 900, is_marked=True)
    made.set(row, "video", "", is_marked=True)
    made.set(row, "channel", "", is_marked=True)
    return made


def test_the_last_line_on_a_thing_counts(marks: Marks) -> None:
    assert [kind for kind, _ in marks.all()] == ["clip", "video", "channel"]
    mark = marks.all()["clip", "video000000.1"]
    assert mark.by and mark.at.startswith("20") and len(mark.note) == 500
    marks.set(ROW, "video", "", is_marked=False)
    marks.set({**ROW, "text": ""}, "clip", "again", is_marked=True)
    assert [(mark.kind, mark.note) for mark in marks.all().values()] == [("channel", ""), ("clip", "again")]


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("not ours\n")
    with pytest.raises(UserError, match="cannot be read as marks"):
        Marks(tmp_path / "x").all()
    with pytest.raises(UserError, match="cannot be written"):
        Marks(tmp_path).set({**ROW, "text": ""}, "clip", "", is_marked=True)


def test_training_leaves_out_what_is_marked(marks: Marks) -> None:
    rows = pa.table(
        {
            "clip_id": ["video000000.1", "b.0", "c.0"],
            "video_id": ["video000000", "b", "c"],
            "channel_id": ["", "", "UC'1"],
        }
    )
    where = Expression("data.where", exported(marks.all(), "where"), lambda name: [])
    assert where.truths(rows).to_pylist() == [False, True, False]
    assert Expression("data.where", exported({}, "where"), lambda name: []).truths(rows).to_pylist() == [True] * 3


def test_what_is_marked_can_be_taken_out(tmp_path: Path) -> None:
    store = toys.a_data_set(tmp_path / "out", n_videos=3, n_clips=2)
    said = Mark("clip", "video-00000.1", "", "this is sentence 1 of video video-00000", "me", "now")
    film = Mark("video", "video-00001", "", "", "me", "now")
    marks = {(mark.kind, mark.id): mark for mark in (said, film)}
    sayings = read_sayings(exported(marks, "sentences").splitlines(), "marks")
    assert remove(store, Tombstones(texts=sayings)).n_samples == 1
    named = resolve(read_named(exported(marks, "ids").splitlines(), "marks"), store)
    assert remove(store, meant_by(named, store)).n_samples == 2
    assert Store(store.url).read_json("manifest.json")["totals"]["samples"] == 5 - 3
    with closing(Rows(store)) as rows:
        kept = {row["clip_id"] for row in rows.find(read_line("status:kept")).rows}
        gone = rows.of_kind("clip", "video-00000.1")
    assert kept == {"video-00000.0", "video-00002.0"} and gone
    assert (gone["status"], gone["reason"]) == ("rejected", "opted_out")


def test_no_cell_is_a_formula(marks: Marks) -> None:
    rows = [*csv.reader(exported(marks.all(), "csv").splitlines())]
    assert rows[0][0] == "kind" and len(rows) == 4
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
