"""Untrusted data sets: manifests, rows, tars, samples and indexes that are damaged or lead elsewhere."""

# ruff: noqa: E501 - a table of texts reads better in long lines

import hashlib
import io
import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.hostile_inputs import Case, Home, mutated
from bench.hostile_inputs.commands import COMMANDS, runner, try_set

Change = Callable[[Path, random.Random, Home], None]


def cases(seed: int, n: int, home: Home) -> Iterator[Case]:
    """Yields `n` sets, each with one file damaged or rewritten, tried with one of the commands."""
    run = runner()
    for number in range(n):
        chance = random.Random(f"{seed} data sets {number}")
        change, command = _CHANGES[number % len(_CHANGES)], chance.choice(sorted(COMMANDS))
        name = f"{change.__name__.strip('_').replace('_', ' ')} for {command}, {number}"
        attack = partial(_changed, change, chance, home)
        yield Case("data sets", name, lambda folder, a=attack, c=command: try_set(run, a, c, folder, home))  # type: ignore[misc]


def _changed(change: Change, chance: random.Random, home: Home, source: Path) -> None:
    change(source, chance, home)


def _any_file_damaged(source: Path, chance: random.Random, home: Home) -> None:
    files = sorted(p for p in source.rglob("*") if p.is_file() and "packs" not in p.parts)
    path = chance.choice(files)
    path.write_bytes(mutated(path.read_bytes(), chance))


def _a_file_gone_or_a_folder(source: Path, chance: random.Random, home: Home) -> None:
    path = chance.choice(sorted(p for p in source.rglob("*") if p.is_file()))
    path.unlink()
    if chance.random() < 0.5:
        path.mkdir()


def _manifest_json(source: Path, chance: random.Random, home: Home) -> None:
    path = source / "manifest.json"
    document = json.loads(path.read_bytes())
    for key in chance.sample(sorted(document), chance.randint(1, 3)):
        document[key] = chance.choice(_values(home))
    path.write_text(json.dumps(document))


def _manifest_rows(source: Path, chance: random.Random, home: Home) -> None:
    """Other rows with a correct checksum, as an attacker would write."""
    path = source / "manifest.parquet"
    _rewrite(path, chance, home)
    document = json.loads((source / "manifest.json").read_bytes())
    document["shards_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    if chance.random() < 0.5:
        document.pop("totals")
    (source / "manifest.json").write_text(json.dumps(document))


def _shard_rows(source: Path, chance: random.Random, home: Home) -> None:
    _rewrite(chance.choice(sorted(source.glob("shards/*/0*.parquet"))), chance, home)


def _rewrite(path: Path, chance: random.Random, home: Home) -> None:
    """Replaces one column of a Parquet file with unfitting values."""
    table = pq.read_table(path)
    name = chance.choice(table.column_names)
    kind = table.schema.field(name).type
    n = table.num_rows
    if chance.random() < 0.15:
        table = table.drop_columns([name])
    elif chance.random() < 0.1:
        text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4000, np.int32)), pa.array(["x" * 1_000_000]))
        table = pa.table({c: text if c == name else pa.array([""] * 4000) for c in table.column_names})
    else:
        values = [v for v in _values(home) if isinstance(v, str)] if pa.types.is_string(kind) else [-1, 2**40, 0, 7]
        column = pa.array([chance.choice(values) for _ in range(n)]) if pa.types.is_string(kind) else None
        if column is None:
            column = pa.array([chance.choice(values) for _ in range(n)], pa.int64())
        table = table.set_column(table.column_names.index(name), name, column)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    path.write_bytes(buffer.getvalue())


def _values(home: Home) -> list[Any]:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    return [
        "../victim/shards/train/00000.tar", "../../..", f"{home.trap}/secret.txt", f"file://{home.trap}/secret.mp4", home.trap_url,
        "http://[x", "", "\x1b[31m", "<script>", "shards/train/00000.tar", "x" * 50_000, '{"mp4": [-5, 9]}', "[1]", "{}",
        '{"mp4": [512, 99999999999]}', '{"json": [1e9, 2]}', "success", "/etc/passwd", "nan", "\0", "..", "train",
        None, 5, -1, 10**25, 1e300, [], {}, {"a": 1}, True, deep, ["../x"], {"samples": -1}, {"1": "x"},
    ]  # fmt: skip


def _a_samples_json(source: Path, chance: random.Random, home: Home) -> None:
    """Changes values of a KEY.json inside the tar, keeping its length so that every offset stays right."""
    path = chance.choice(sorted(source.glob("shards/*/0*.tar")))
    data = bytearray(path.read_bytes())
    start = data.find(b'{"schema_version"')
    end = data.find(b"\0", start)
    if start < 0:
        return
    document = json.loads(bytes(data[start:end]))
    for key in chance.sample(sorted(document), chance.randint(1, 4)):
        document[key] = chance.choice(_values(home))
    text = json.dumps(document).encode()[: end - start].ljust(end - start)
    data[start:end] = text
    path.write_bytes(bytes(data))


_CHANGES: tuple[Change, ...] = (
    _any_file_damaged,
    _manifest_json,
    _manifest_rows,
    _shard_rows,
    _a_samples_json,
    _a_file_gone_or_a_folder,
)
