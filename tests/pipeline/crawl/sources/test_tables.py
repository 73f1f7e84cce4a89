"""Tables of addresses in every format."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import UserError
from pipeline.crawl.sources.tables import read_rows
from pipeline.crawl.sources.urls import given_spans


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_kind_of_table_gives_the_same_spans(tmp_path: Path, kind: str) -> None:
    path, clips = tmp_path / f"t.{kind}", [[0.5, 2.0], [2.0, 4.25]]
    if kind == "parquet":
        pq.write_table(pa.table({"url": ["http://a.org/x"], "clips": [clips], "caption": [["one", "two"]]}), path)
    elif kind == "jsonl":
        path.write_text(json.dumps({"url": "http://a.org/x", "clips": clips, "caption": ["one", "two"]}) + "\n")
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if kind == "tsv" else ",")
            writer.writerows([["url", "clips", "caption"], ["http://a.org/x", json.dumps(clips), '["one", "two"]']])

    (row,) = read_rows(str(path))

    assert given_spans(row) == [
        {"n": 0, "start_ms": 500, "end_ms": 2000, "text": "one"},
        {"n": 1, "start_ms": 2000, "end_ms": 4250, "text": "two"},
    ]


@pytest.mark.parametrize(
    ("name", "content"), [("t.txt", "x"), ("t.jsonl", "[1]\n"), ("t.parquet", "x"), ("none.csv", None)]
)
def test_a_table_that_cannot_be_read_is_one_message(tmp_path: Path, name: str, content: str | None) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=name):
        list(read_rows(str(tmp_path / name)))
