"""What is wrong inside one shard: named with the sample's key."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvila_testing.shards import NO_CARD
from manifests.schema import SHARD_ROWS
from manifests.shards import read_manifest
from pipeline.engine.store.store import Store
from pipeline.media.packs import Sample, index_pack, read_members, write_pack
from pipeline.shards.files import entry_of, stats_bytes
from pipeline.shards.manifest import given_head, publish
from tests.pipeline.dataset.damage import ROWS, STATS, TAR, faults


def _rewrite(folder: Path, change: Callable[[list[Sample]], list[Sample]], **columns: str) -> None:
    """Exchanges samples of the shard and makes rows, stats and manifest agree with the new tar."""
    tar = folder / TAR
    with tar.open("rb") as file:
        samples = [Sample(p.key, read_members(file, p)) for p in index_pack(file)]
    rows = {r["key"]: r for r in pq.read_table(folder / ROWS).to_pylist()}
    new = []
    for place in write_pack(tar, change(samples)):
        at = {e: [place.offset + o, s] for e, (o, s) in place.members.items()}
        old = rows.get(place.key) or next(iter(rows.values()))
        new.append({**old, "key": place.key, "members": json.dumps(at), **columns})
    new += [r for r in rows.values() if r["status"] != "success"]
    table = pa.Table.from_pylist(new, schema=SHARD_ROWS)
    pq.write_table(table, folder / ROWS)
    import hashlib

    data = tar.read_bytes()
    sums = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()
    entry = entry_of(table, TAR, "train", 0, *sums, len(data))
    (folder / STATS).write_bytes(stats_bytes(entry, table))
    publish(Store(str(folder)), [entry], given_head(read_manifest(str(folder)).head)[0], NO_CARD)


def _with_json(**changes) -> Callable[[list[Sample]], list[Sample]]:
    def change(samples: list[Sample]) -> list[Sample]:
        facts = {**json.loads(samples[0].members["json"]), **changes}
        facts = {k: v for k, v in facts.items() if v is not ...}
        return [Sample(samples[0].key, {**samples[0].members, "json": json.dumps(facts).encode()}), *samples[1:]]

    return change


def _with_member(**members: bytes) -> Callable[[list[Sample]], list[Sample]]:
    return lambda samples: [Sample(samples[0].key, {**samples[0].members, **members}), *samples[1:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_with_json(n_frames=None), "json: n_frames: "),
        (_with_json(n_frames="8"), "json: n_frames: "),
        (_with_json(title=...), "json: has no title"),
        (_with_json(words="[1,"), "json: a list in it cannot be read"),
        (_with_json(stills='[{"time_ms": 1}]'), "json: a list in it cannot be read"),
        (_with_json(scene_cuts="5"), "json: a list in it cannot be read"),
        (_with_json(text="other"), "txt, the json's text and the row's caption are not the same"),
        (_with_json(clip_id="video-00000.77"), "key does not belong to clip video-00000.77"),
        (_with_json(start_ms=1), "start_ms is 1 in the json"),
        (_with_json(first_frame=-1), "out of range"),
        (_with_json(n_frames=50), "mp4: 12 frames decode, the json counts 54"),
        (_with_json(proxy_width=64), "m4v: pictures are"),
        (_with_json(stills_width=64), "mjpg: still 0 is 320x180"),
        (_with_member(mp4=b"no film"), "mp4: cannot be decoded"),
        (_with_member(m4v=b"no film"), "m4v: cannot be decoded"),
        (_with_member(mjpg=b"no picture"), "mjpg: still 0 is not a JPEG"),
        (_with_member(txt=b"other words"), "txt, the json's text"),
    ],
)
def test_what_is_wrong_inside_a_sample_is_named_with_its_key(copy: Path, change, words: str):
    _rewrite(copy, change)
    found = faults(copy)
    assert any(words in fault and f"{TAR}: video-" in fault for fault in found), found


def test_a_sample_that_lacks_a_member_of_the_others_is_named(copy: Path):
    def without_proxy(samples: list[Sample]) -> list[Sample]:
        last = samples[-1]
        return [*samples[:-1], Sample(last.key, {e: d for e, d in last.members.items() if e != "m4v"})]

    _rewrite(copy, without_proxy)
    assert "members are mp4 txt json mjpg, those of other samples mp4 txt json m4v mjpg" in faults(copy)[0]


def test_a_sample_without_a_row_and_a_row_without_a_sample_are_named(copy: Path):
    _rewrite(copy, lambda samples: [Sample("stranger_00000", samples[0].members), *samples[1:]])
    table = pq.read_table(copy / ROWS).to_pylist()
    for row in table:
        row["key"] = row["key"].replace("stranger", "another")
    pq.write_table(pa.Table.from_pylist(table, schema=SHARD_ROWS), copy / ROWS)
    found = faults(copy, decode=0)
    assert f"{TAR}: stranger_00000: is in the tar but has no row" in found
    assert f"{TAR}: another_00000: has a row but is not in the tar" in found


def test_only_some_samples_are_decoded_unless_all_are_asked_for(copy: Path):
    def break_all(samples: list[Sample]) -> list[Sample]:
        return [Sample(s.key, {**s.members, "m4v": b"no film"}) for s in samples]

    _rewrite(copy, break_all)
    assert [sum("m4v" in f for f in faults(copy, decode=n)) for n in (0, 2, -1)] == [0, 2, 5]
