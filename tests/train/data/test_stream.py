"""Streaming: full steps of real clips, and ranks that read different shards."""

from __future__ import annotations

import gzip
import itertools
import shutil
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from manifests.errors import UserError
from manifests.shards import read_manifest
from tests.train.data.loaders import VIEWS, a_loader
from train.data import stream as stream_module
from train.data.index import load_index
from train.data.loader import ClipDataset
from train.data.plan import Mixing, Stream
from train.data.registry import Seen
from train.data.stream import StreamingLoader
from train.data.workers import Workers


@pytest.mark.parametrize("workers", [0, 2])
def test_streaming_gives_full_steps_of_real_clips(index, workers):
    loaded = list(a_loader(index, workers=workers, kind=StreamingLoader).steps(0, 5))

    assert [len(s.keys) for s in loaded] == [4] * 5
    assert {k for s in loaded for k in s.keys} <= {index.key(i) for i in range(11)}
    assert all(s.img_other.shape == (4, 1, 2, 3, 16, 32) and s.img_other.dtype == torch.uint8 for s in loaded)
    assert len({k for s in loaded for k in s.keys}) > 6


def test_streaming_ranks_read_different_shards(index):
    first, second = (next(a_loader(index, r, 2, kind=StreamingLoader, batch=4).steps(0, 1)) for r in (0, 1))

    assert not set(first.keys) & set(second.keys)
    assert np.isfinite(first.img_middle.float().mean())


class Recorded:
    """webdataset's stand-in: what it is asked for, and one sample a shard."""

    tariterators = SimpleNamespace(group_by_keys=iter)
    ignore_and_continue = None

    def __init__(self) -> None:
        self.passes: list[tuple[list[str], int, int]] = []
        self.numbers = itertools.count()

    def shuffle(self, buffer, *, initial, seed):
        assert 1 <= initial <= buffer, "the first sample leaves it before it is full"
        return buffer, seed

    def DataPipeline(self, members, groups, shuffle):
        (shards,) = members.args
        self.passes.append(([shard.url.rpartition("/")[2] for shard in shards], *shuffle))
        return self.samples(shards)

    def samples(self, shards):
        return iter([{"__key__": f"./some/k{next(self.numbers)}"} for _ in shards])


@pytest.fixture
def web(monkeypatch):
    found = Recorded()
    monkeypatch.setitem(sys.modules, "webdataset", found)
    return found


class Undecoded:
    """A view that decodes nothing, and notes a draw of its augmentation for each sample."""

    blank = VIEWS.blank

    def __init__(self) -> None:
        self.draws: list[float] = []

    def decode(self, sample, source, draw):
        self.draws.append(float(draw.random()))
        return Seen(VIEWS.blank(), "words")


def clips_of(index, *, view=None, rank=0, world=1, first=0, seed=1, window=2):
    """A reader's clips, one by one."""
    dataset = ClipDataset(index, view or Undecoded(), "prepared", seed=1)
    stream, workers = Stream(index, seed, Mixing(window), world), Workers(0, chunk=1)
    return StreamingLoader(dataset, stream, rank=rank, world=world, workers=workers).steps(first, first + 99)


def passes(index, web, n, *, worker=None, monkeypatch=None, **reader):
    """(shards, buffer, seed) of the first passes of a reader."""
    if monkeypatch:
        monkeypatch.setattr(stream_module, "get_worker_info", lambda: worker)
    web.passes.clear()
    clips = clips_of(index, **reader)
    while len(web.passes) <= n:
        next(clips)
    return web.passes[:n]


def test_readers_of_all_ranks_and_workers_share_the_shards_of_a_pass(index, web, monkeypatch):
    """Three shards, two ranks with two workers each: one of the four has none, and reads its next pass."""
    whole, _, _ = passes(index, web, 1)[0]
    assert sorted(whole) == ["00000.tar", "00001.tar", "00002.tar"]

    def reads(rank, worker):
        info = SimpleNamespace(id=worker, num_workers=2)
        return passes(index, web, 1, rank=rank, world=2, worker=info, monkeypatch=monkeypatch)[0][0]

    assert [reads(rank, worker) for rank, worker in ((0, 0), (0, 1), (1, 0))] == [[name] for name in whole]


def test_passes_seeds_and_resumes_have_orders_of_their_own_that_stay_from_version_to_version(index, web):
    first, second, third = (order for order, _, _ in passes(index, web, 3))
    resumed = [order for order, _, _ in passes(index, web, 3, first=7)]
    of_seed = [order for order, _, _ in passes(index, web, 3, seed=2)]

    assert all(sorted(order) == sorted(first) for order in (second, third))
    assert len({tuple(map(tuple, orders)) for orders in ([first, second, third], resumed, of_seed)}) == 3
    assert ["".join(name[4] for name in order) for order in (first, second, third)] == ORDERS
    assert [seed for _, _, seed in passes(index, web, 2)] == SEEDS


ORDERS, SEEDS = ["120", "102", "102"], [3656272214, 1375743533]


def a_tar(*headers: tarfile.TarInfo) -> bytes:
    return b"".join(h.tobuf(tarfile.GNU_FORMAT) for h in headers) + bytes(1024)


def a_header(name: str = "k_00000.mp4", kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info


def a_hole() -> bytes:
    """A sparse member of 2^60 bytes, of which none is in the tar."""
    header = bytearray(a_header(kind=tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT)[:512])
    header[386:410] = b"%011o\0%011o\0" % (0, 0)
    header[483:495] = b"\x80" + (2**60).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


STRANGERS = {
    "a size of 2^60": a_tar(a_header(size=2**60)),
    "pax records of 2^60": a_tar(a_header(kind=tarfile.XHDTYPE, size=2**60)),
    "a long name of 2^60": a_tar(a_header(kind=tarfile.GNUTYPE_LONGNAME, size=2**60)),
    "a hole of 2^60": a_hole(),
    "a link": a_tar(a_header(kind=tarfile.SYMTYPE)),
    "names that are no members'": a_tar(a_header("README")),
    "no members": a_tar(),
    "zeros, compressed": gzip.compress(bytes(1 << 20)),
    "no tar": b"no tar",
    "no file": None,
}


@pytest.mark.parametrize("attack", STRANGERS)
def test_a_strangers_shard_is_lost_with_one_line_and_the_others_are_read(index, tmp_path, attack):
    shutil.copytree(index.manifest.root, tmp_path, dirs_exist_ok=True)
    there = load_index(read_manifest(str(tmp_path)), "train")
    shard = tmp_path / there.shards[1].url
    attacked(shard, STRANGERS[attack])

    shares = list(a_loader(there, kind=StreamingLoader).steps(0, 4))
    lost = {loss.shard: loss.reason for share in shares for loss in share.lost}
    assert [len(share.keys) for share in shares] == [4] * 4
    assert list(lost) == [str(shard)] and lost[str(shard)].startswith(str(shard)) and "\n" not in lost[str(shard)]

    for entry in there.shards:
        attacked(tmp_path / entry.url, STRANGERS[attack])
    with pytest.raises(UserError, match=r"step 0: .*unusable") as stopped:
        next(a_loader(there, kind=StreamingLoader).steps(0, 4))
    assert str(shard) in str(stopped.value)


def attacked(shard: Path, data: bytes | None) -> None:
    shard.unlink(missing_ok=True) if data is None else shard.write_bytes(data)
