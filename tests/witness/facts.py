"""An output directory as facts, each a text: what a run says and made, without where, when and under which name."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.schema import TABLES
from pipeline.engine.store.store import Store

Facts = dict[str, dict[str, str]]
"""{file or table: {part: text}}: a part is a column, a key of a JSON document, a heading, or ""."""
_SORTED_BY = (
    "video_id", "clip_id", "n", "source", "query", "wanted_category_id", "up_to", "cursor", "position", "kind", "track",
    "stage", "reason", "attempt", "attempts", "round",
)  # fmt: skip
"""Columns that give the rows of a table their order: units commit in any."""
_DOCUMENTS = {
    3: ("manifest.json",),
    2: ("run.json", "report/report.json"),
    1: ("balance.json", "batches/*.json", "generations/*.json", "retries/*.json", "removals/*.json"),
    0: ("wids.json", "sizes.json", "shards/*/*.json"),
}
"""JSON files by the depth to which their keys are facts of their own."""
_TEXTS = ("*.md", "*.txt", "report/index.html")
_SETTINGS = ("config.", "identity.", "stages.")
_CHANCES = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)?)?|(?<=-)[0-9a-f]{12}(?=\.json)")
"""Times and days, and names that follow from them."""
_SALTED = re.compile(r"(?<=removed-)[0-9a-f]{32}|(?<=salt )[0-9a-f]{16}|(?<=hashed )\w+ [0-9a-f]{16} [0-9a-f]{32}")
"""Pseudonyms of removed videos, and hashes of their names, with a salt of the data set."""


def facts_of(out: Path, *, work: Path, settings: bool) -> Facts:
    """All facts of an output directory on this disk, `work` masked where they name it; its settings only if asked."""
    facts: Facts = {name: _columns(table) for name, table in _tables(out)}
    for path in _files(out, ("shards/*/*.tar",)):
        facts[path] = {"bytes": hashlib.sha256((out / path).read_bytes()).hexdigest()}
    for depth, patterns in _DOCUMENTS.items():
        for path in _files(out, patterns):
            keys = _keys(json.loads((out / path).read_bytes()), depth)
            if path.startswith("removals/"):
                keys = {key: re.sub(r'(?<=")[0-9a-f]{16,32}(?=")', "SALTED", text) for key, text in keys.items()}
            facts[path] = {key: text for key, text in keys.items() if settings or not key.startswith(_SETTINGS)}
    for path in _files(out, _TEXTS):
        facts[path] = _sections((out / path).read_text().rstrip())  # without its checksum, in blanks, of times too

    def masked(text: str) -> str:
        return _SALTED.sub("SALTED", _CHANCES.sub("TIME", text.replace(str(work), "WORK")))

    return {masked(path): {part: masked(text) for part, text in parts.items()} for path, parts in facts.items()}


def _files(out: Path, patterns: tuple[str, ...]) -> list[str]:
    return sorted({str(file.relative_to(out)) for pattern in patterns for file in out.glob(pattern)})


def _tables(out: Path) -> Iterator[tuple[str, pa.Table]]:
    """Tables of the crawl in an order of their own, files of the data set in theirs, the samples of all shards."""
    store = Store(str(out))
    for name in (*TABLES, "rejects"):
        table = store.read_rejects() if name == "rejects" else store.read_table(name)
        if table.num_rows:
            yield name, table.sort_by([(key, "ascending") for key in _SORTED_BY if key in table.schema.names])
    for path in _files(out, ("selection.parquet", "manifest.parquet")):
        yield path, pq.read_table(out / path)
    if shards := _files(out, ("shards/*/*.parquet",)):
        yield "shards/*.parquet", pa.concat_tables([pq.ParquetFile(out / path).read() for path in shards])
    if indexes := _files(out, ("index/*.arrow",)):
        yield "index/*.arrow", pa.concat_tables([pa.ipc.open_file(out / path).read_all() for path in indexes])
    if samples := [sample for path in _files(out, ("shards/*/*.tar",)) for sample in _samples(out / path)]:
        yield "samples", pa.table({name: [one.get(name) for one in samples] for one in samples for name in one})


def _samples(tar: Path) -> Iterator[dict[str, Any]]:
    """Key, members, text and all fields of KEY.json of the samples of a shard."""
    with tarfile.open(tar) as shard:
        members = shard.getnames()
        for name in members:
            if name.endswith(".json"):
                key = name.removesuffix(".json")
                own = [other.removeprefix(key) for other in members if other.startswith(f"{key}.")]
                text = _read(shard, f"{key}.txt").decode()
                yield {"KEY": key, "MEMBERS": ",".join(own), "TXT": text} | json.loads(_read(shard, name))


def _read(shard: tarfile.TarFile, name: str) -> bytes:
    file = shard.extractfile(name)
    assert file is not None, name
    return file.read()


def _columns(table: pa.Table) -> dict[str, str]:
    values = {
        field.name: f"{field.type} {json.dumps(table[field.name].to_pylist(), default=bytes.hex)}"
        for field in table.schema
    }
    return {"ROWS": str(table.num_rows), "COLUMNS": ",".join(table.schema.names), **values}


def _sections(text: str) -> dict[str, str]:
    """{heading: section} of a page in HTML or Markdown, its head under ""."""
    head, *sections = re.split(r"<h2[^>]*>|^## ", text, flags=re.MULTILINE)
    return {"": head} | {re.split(r"</h2>|\n", section)[0]: section for section in sections}


def _keys(document: Any, depth: int) -> dict[str, str]:
    """{dotted path: JSON} of a document down to a depth."""
    if not depth or not isinstance(document, dict) or not document:
        return {"": json.dumps(document, sort_keys=True)}
    below = {key: _keys(value, depth - 1) for key, value in document.items()}
    return {f"{key}.{path}".rstrip("."): text for key, texts in below.items() for path, text in texts.items()}
