"""Untrusted data sets: manifests, rows, tars, samples and indexes that are damaged or lead elsewhere."""

# ruff: noqa: E501 - a table of texts reads better in long lines

import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.hostile_inputs import Case, Home, mutated
from manifests.errors import UserError
from pipeline.config.shards import ShardsConfig
from pipeline.dataset.merge import merge
from pipeline.dataset.remove import remove
from pipeline.dataset.reshard import reshard
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.report.page import write_report


def cases(seed: int, n: int, home: Home) -> Iterator[Case]:
    """Yields `n` sets, each with one file damaged or rewritten, tried with two of the commands."""
    for number in range(n):
        chance = random.Random(f"{seed} data sets {number}")
        change = _CHANGES[number % len(_CHANGES)]
        commands = chance.sample(sorted(_COMMANDS), 2)
        name = f"{change.__name__.strip('_').replace('_', ' ')} for {', '.join(commands)}, {number}"
        yield Case("data sets", name, lambda folder, h=change, c=chance, m=commands: _try(h, c, m, folder, home))  # type: ignore[misc]


def _try(change: Callable[..., None], chance: random.Random, commands: list[str], folder: Path, home: Home) -> str:
    """Runs the commands on the set and returns their answers. Everything beside the set must stay as it was."""
    source = folder / "in" / "set"
    shutil.copytree(home.data_set, source)
    shutil.copytree(home.data_set, folder / "in" / "victim")
    change(source, chance, home)
    with untouched(folder):
        said = [_say(_COMMANDS[name], Store(str(source)), folder / "in" / f"out-{name}") for name in commands]
    return f"{'; '.join(said)}"


@contextlib.contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """AssertionError if a file below a folder changes, goes or comes that is not in `in/set` or an `in/out-…`."""

    def beside() -> dict[Path, bytes]:
        own = (folder / "in" / "set", *(folder / "in").glob("out-*"))
        files = (Path(top, name) for top, _, names in os.walk(folder) for name in names)
        return {p: p.read_bytes() for p in files if not any(p.is_relative_to(top) for top in own)}

    before = beside()
    yield
    after = beside()
    if changed := sorted(str(p) for p in before.keys() | after.keys() if before.get(p) != after.get(p)):
        raise AssertionError(f"escaped: {changed}")


def _say(command: Callable[[Store, Path], str], source: Store, out: Path) -> str:
    try:
        return command(source, out)
    except UserError as error:
        return f"UserError: {error}"


def _verify(source: Store, out: Path) -> str:
    return f"{len([str(fault) for fault in verify(source, decode=1)])} faults"


def _merge(source: Store, out: Path) -> str:
    merge([source], Store(str(out)))
    return "merged"


def _reshard(source: Store, out: Path) -> str:
    reshard(source, Store(str(out)), ShardsConfig(max_samples=3))
    return "resharded"


def _remove(source: Store, out: Path) -> str:
    return f"{remove(source, Tombstones(videos=frozenset({'video-00001'}))).n_samples} removed"


def _report(source: Store, out: Path) -> str:
    return write_report(source)


_COMMANDS = {"verify": _verify, "merge": _merge, "reshard": _reshard, "remove": _remove, "report": _report}


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
    import hashlib

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


def _a_tars_headers(source: Path, chance: random.Random, home: Home) -> None:
    """Changes a header's name, size, kind or link, with a correct checksum."""
    path = chance.choice(sorted(source.glob("shards/*/0*.tar")))
    data = bytearray(path.read_bytes())
    at = 0
    header = bytearray(data[at : at + 512])
    name = chance.choice(
        (b"../../escaped.txt", b"/etc/x", b"a" * 99, b"", b"\xff\xfe", b"video-00000_00000.mp4.mp4", b".")
    )
    match chance.choice(("name", "size", "kind", "link")):
        case "name":
            header[0:100] = name.ljust(100, b"\0")
        case "size":
            header[124:136] = chance.choice(
                (b"77777777777\0", b"00000000000\0", b"-0000000001\0", b"\x80" + b"\xff" * 11)
            )
        case "kind":
            header[156:157] = chance.choice((b"1", b"2", b"5", b"x", b"g", b"L", b"S", b"\xff"))
        case _:
            header[156:157], header[157:257] = b"2", (str(home.trap / "secret.txt").encode()).ljust(100, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    data[at : at + 512] = header
    path.write_bytes(bytes(data))


_CHANGES = (
    _any_file_damaged,
    _manifest_json,
    _manifest_rows,
    _shard_rows,
    _a_samples_json,
    _a_tars_headers,
    _a_file_gone_or_a_folder,
)
