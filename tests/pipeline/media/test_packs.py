"""Packs: the same bytes every time, tars that plain tools read, samples that can be read by offset."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import UserError
from manifests.sample import MEMBER_ORDER
from manifests.tars import BLOCK
from pipeline.media.packs import (
    END,
    Sample,
    copy_range,
    index_pack,
    read_members,
    write_pack,
)

KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,64}_[0-9]{5}", fullmatch=True)
MEMBERS = st.dictionaries(st.sampled_from(MEMBER_ORDER), st.binary(max_size=3 * BLOCK), min_size=1)
SAMPLES = st.lists(st.builds(Sample, KEYS, MEMBERS), max_size=6, unique_by=lambda sample: sample.key)


@given(samples=SAMPLES)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back_by_offset_and_by_tarfile(samples, tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "a.tar"
    packed = write_pack(path, samples)
    with path.open("rb") as file:
        assert [read_members(file, one) for one in packed] == [
            {e: s.members[e] for e in MEMBER_ORDER if e in s.members} for s in samples
        ]
        assert list(index_pack(file)) == packed
    with tarfile.open(path, "r:") as archive:
        names = archive.getnames()
    assert names == [f"{s.key}.{e}" for s in samples for e in MEMBER_ORDER if e in s.members]


@given(samples=SAMPLES, order=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_samples_copied_byte_for_byte_make_the_tar_that_writing_them_would_make(samples, order, tmp_path_factory):
    folder = tmp_path_factory.mktemp("join")
    packed = write_pack(folder / "pack.tar", samples)
    shuffled = list(zip(packed, samples, strict=True))
    order.shuffle(shuffled)
    joined = io.BytesIO()
    with (folder / "pack.tar").open("rb") as source:
        for one, _ in shuffled:
            copy_range(source, one.offset, one.bytes_, joined)
    write_pack(folder / "direct.tar", [sample for _, sample in shuffled])
    assert joined.getvalue() + END == (folder / "direct.tar").read_bytes()


def test_a_member_can_be_a_file_and_its_own_time_does_not_reach_the_tar(tmp_path: Path):
    (tmp_path / "clip.mp4").write_bytes(b"film" * 1000)
    write_pack(tmp_path / "a.tar", [Sample("v_00000", {"mp4": tmp_path / "clip.mp4"})])
    write_pack(tmp_path / "b.tar", [Sample("v_00000", {"mp4": b"film" * 1000})])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_plain_tar_opens_a_pack_without_a_word(tmp_path: Path):
    write_pack(tmp_path / "a.tar", [Sample("v_00000", {"mp4": b"x" * 700, "txt": b"hello"})])
    done = subprocess.run(["tar", "-xvf", "a.tar"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["v_00000.mp4", "v_00000.txt"] and done.stderr == ""
    assert (tmp_path / "v_00000.txt").read_bytes() == b"hello"


@pytest.mark.parametrize("key", ["a.b_00000", "a/b", "", "é", "x" * 91])
def test_a_key_that_readers_would_misread_is_refused(key, tmp_path: Path):
    with pytest.raises(ValueError, match="key"):
        write_pack(tmp_path / "a.tar", [Sample(key, {"mp4": b""})])


def test_an_unknown_member_an_empty_sample_and_a_repeated_key_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="lr"):
        write_pack(tmp_path / "a.tar", [Sample("v_00000", {"lr.mp4": b""})])
    with pytest.raises(ValueError, match="none"):
        write_pack(tmp_path / "a.tar", [Sample("v_00000", {})])
    with pytest.raises(ValueError, match="repeated"):
        write_pack(tmp_path / "a.tar", [Sample("v_00000", {"mp4": b""})] * 2)


def test_a_damaged_pack_is_named_not_read_as_less(tmp_path: Path):
    packed = write_pack(tmp_path / "a.tar", [Sample("v_00000", {"mp4": b"x" * 2000})])
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:1500])
    with (tmp_path / "a.tar").open("rb") as file:
        with pytest.raises(UserError, match=r"v_00000\.mp4"):
            read_members(file, packed[0])
        with pytest.raises(UserError, match="ends 1060 bytes early"):
            copy_range(file, packed[0].offset, packed[0].bytes_, io.BytesIO())
    (tmp_path / "b.tar").write_bytes(b"not a tar" * 200)
    with (tmp_path / "b.tar").open("rb") as file, pytest.raises(UserError, match="not a readable tar"):
        list(index_pack(file))


def test_members_of_a_sample_are_neighbours_and_each_is_there_once(tmp_path: Path):
    def indexed(*names: str):
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as out:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = 3
                out.addfile(info, io.BytesIO(b"abc"))
        with path.open("rb") as file:
            return [(one.key, one.offset, one.bytes_, one.members) for one in index_pack(file)]

    assert indexed("a.mp4", "a.x.npy", "b.txt") == [
        ("a", 0, 4 * BLOCK, {"mp4": (BLOCK, 3), "x.npy": (3 * BLOCK, 3)}),
        ("b", 4 * BLOCK, 2 * BLOCK, {"txt": (BLOCK, 3)}),
    ]
    with pytest.raises(UserError, match=r"a\.txt: its sample's members are not next to each other"):
        indexed("a.mp4", "b.mp4", "a.txt")
    with pytest.raises(UserError, match=r"a\.mp4: is in its sample twice"):
        indexed("a.mp4", "a.mp4")
    assert indexed() == []
