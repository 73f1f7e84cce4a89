"""Whatever file of an output directory is lost, cut or flipped: fsck names it, and no run builds on it in silence."""

import errno
import http.server
import json
import logging
import os
import random
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from hdvila_testing.rows import a_video_row, commit_rows
from hdvila_testing.s3 import s3_server
from manifests import content
from manifests.errors import DamagedFile, UserError
from manifests.lock import RunLock
from manifests.parquet import open_parquet
from manifests.version import LAYOUT_VERSION, SCHEMA_VERSION
from pipeline.commands.fsck import fsck as print_fsck
from pipeline.crawl.sources.tables import hashes_of
from pipeline.dataset import fsck as engine
from pipeline.dataset import hashes
from pipeline.dataset.fsck import Fsck
from pipeline.dataset.ledger import LEDGER, note_files
from pipeline.dataset.remove import remove
from pipeline.dataset.verify import verify
from pipeline.dataset.verify_shard import Fault
from pipeline.engine.store.delete_merged import sweep_segments
from pipeline.engine.store.store import Store
from pipeline.media.source_files import looked_at
from pipeline.outdir.tombstones import Tombstones
from tests.pipeline.run.small_runs import describe, films_in, start

pytestmark = pytest.mark.slow

HARMS = "deleted", "cut", "flipped"
ALONE = re.compile(r"manifest\.(json|parquet)|run\.json|segments/head\.json|commits/.*|videos/.*|tombstones\.txt")
"""Files without which others are not looked for: of these one is harmed at a time."""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of which the one that is removed is no copy of the others: these stay."""
    folder = films_in(tmp_path_factory.mktemp("films"))
    other = (folder / "film-1.mp4").read_bytes() + b"\0\0\0\x08free"
    (folder / "film-1.mp4").unlink()
    (folder / "film-1.mp4").write_bytes(other)
    return folder


@pytest.fixture(scope="module")
def whole(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its packs, of which a video was removed. Not to be written to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    start(out, films, keep_packs=True)
    shutil.copytree(out, out.with_name("loose"))
    remove(Store(str(out)), Tombstones(frozenset({"film-1"})))
    start(out, films, keep_packs=True)
    sweep_segments(Store(str(out)), grace_s=0)  # what has been merged anew counts no more
    return out


@pytest.fixture(scope="module")
def loose(whole: Path) -> Path:
    """The same before the removal, which merges what it changes: here each unit has files of its own."""
    return whole.with_name("loose")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Callable[..., Path]:
    def fresh(of: Path = whole) -> Path:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        return Path(shutil.copytree(of, tmp_path / "copy"))

    return fresh


def kinds(out: Path) -> dict[str, list[str]]:
    """The files of a directory, by what kind of file each is: what differs is a number or a hash."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = str(path.relative_to(out))
        found.setdefault(re.sub(r"[0-9a-f]{8,}|\d+", "#", name), []).append(name)
    return found


def harm(file: Path, how: str, rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    if how == "deleted":
        file.unlink()
    elif how == "cut":
        file.write_bytes(data[: rng.randrange(len(data))])
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(data)


def faults(out: Path) -> dict[str, str]:
    return {fault.where: fault.what for fault in Fsck(Store(str(out))).run()}


def unnamed(copy: Callable[[], Path], names: Sequence[str], how: str, rng: random.Random) -> list[str]:
    """Those of some files, all harmed in one copy, that a check does not name."""
    out = copy()
    for name in names:
        harm(out / name, how, rng)
    found = faults(out)
    return [f"{name} {how}" for name in names if name not in found]


def test_what_is_whole_is_called_whole_also_after_a_removal_and_a_further_run(whole: Path) -> None:
    check = Fsck(Store(str(whole)))

    assert list(check.run()) == [] and check.n_left == 0
    assert check.n_bytes >= sum(path.stat().st_size for path in whole.glob("*/*/*.tar"))


@pytest.mark.parametrize("how", HARMS)
def test_each_kind_of_file_is_named(copy: Callable[..., Path], whole: Path, loose: Path, how: str) -> None:
    missed = []
    for out in (whole, loose):
        fresh = partial(copy, out)
        files = {kind: names[-1] for kind, names in kinds(out).items()}
        assert len(files) > 35, sorted(files)
        apart = [name for name in files.values() if not ALONE.fullmatch(name)]
        missed += unnamed(fresh, apart, how, random.Random(how))
        for name in ("manifest.json", "manifest.parquet", "run.json", "segments/head.json", "tombstones.txt", LEDGER):
            if (out / name).exists():
                missed += unnamed(fresh, [name], how, random.Random(name))

    assert not missed


def test_a_manifest_whose_sum_of_its_table_is_damaged_is_named_and_not_the_table(copy: Callable[..., Path]) -> None:
    out = copy()
    manifest = out / "manifest.json"
    head = json.loads(manifest.read_text())
    harmed = head["shards_sha256"].translate(str.maketrans("0123456789", "1234567890"))
    manifest.write_text(manifest.read_text().replace(head["shards_sha256"], harmed))

    assert list(faults(out)) == ["manifest.json"] and faults(out) == {}


@pytest.mark.long
@pytest.mark.parametrize("how", HARMS)
def test_each_kind_of_file_is_named_at_fifty_places(copy: Callable[[], Path], whole: Path, how: str) -> None:
    missed: list[str] = []
    for seed in range(50):
        rng = random.Random(seed)
        files = [rng.choice(names) for names in kinds(whole).values()]
        missed += unnamed(copy, [name for name in files if not ALONE.fullmatch(name)], how, rng)
        for name in filter(ALONE.fullmatch, files):
            missed += unnamed(copy, [name], how, rng)

    assert not missed


def remade(out: Path) -> Iterator[str]:
    """Files that follow from others, one of a kind."""
    names = kinds(out)
    yield from ("manifest.json", "manifest.parquet", "wids.json", "sizes.json", "dataset_card.md", "croissant.json")
    yield from ("shards/train/wids.json", "report/index.html", "report/report.json")
    yield from (names[kind][0] for kind in names if kind.startswith("index/") or kind.endswith("_stats.json"))


@pytest.mark.parametrize("how", HARMS)
def test_what_the_rest_can_make_is_made_again(copy: Callable[[], Path], whole: Path, how: str) -> None:
    lost = [name for name in remade(whole) if how == "deleted" or name != "manifest.parquet"]
    out = copy()
    for name in lost:
        harm(out / name, how, random.Random(name))

    found = Fsck(Store(str(out)))
    said = {fault.where: fault.what for fault in found.run()}

    assert found.n_left == 0 and all("made again" in said[name] for name in lost if name != "manifest.parquet")
    same = [name for name in lost if not name.startswith("report/")]  # the page says when it was made
    assert {name: (out / name).read_bytes() for name in same} == {name: (whole / name).read_bytes() for name in same}
    assert faults(out) == {} and not list(verify(Store(str(out)), decode=0))


def test_what_runs_compare_by_is_made_again_by_the_next_run(copy: Callable[[], Path], films: Path) -> None:
    out = copy()
    for path in out.glob("alike/*/*/*.parquet"):
        harm(path, "flipped", random.Random(path.name))

    assert set(faults(out).values()) == {"is not as it was written; the next run makes it again"}
    start(out, films, keep_packs=True)
    assert faults(out) == {} and any(out.glob("alike/*/*/*.parquet"))


@pytest.mark.parametrize(
    ("name", "how", "cure"),
    [
        ("shards/*/00000.tar", "flipped", "run with --redo"),
        ("videos/*.parquet", "deleted", "run with --redo folder"),
        ("generations/00000.json", "cut", "run with --redo shards"),
        ("run.json", "deleted", "begin again in another output directory"),
    ],
)
def test_of_what_cannot_be_made_again_it_says_what_makes_it(
    copy: Callable[..., Path], loose: Path, name: str, how: str, cure: str
) -> None:
    out = copy(*[loose] * name.startswith("videos/"))
    (path,) = out.glob(name)
    harm(path, how, random.Random(0))

    found = Fsck(Store(str(out)))
    said = {fault.where: fault.what for fault in found.run()}

    assert found.n_left == 1 and cure in said[str(path.relative_to(out))]
    assert len(faults(out)) == 1, "it is named again as long as it is so"


SILENT = re.compile(
    r"shards/.*|alike/.*|manifests/.*|index/.*|commits/(ids|ledger)\.parquet|(segments/.*/)?captions.*|packs/.*\.tar"
    r"|removals/.*|segments/.*/ids\.parquet"
)
"""What a run need not read: where it is not read it is not built upon."""


PARTS = re.compile(r"(segments|clips|packs|transcripts|videos)/.*\.parquet")
"""Of these a run that has all its media reads some columns."""


def is_refused_or_the_same(part: Path, whole: Path) -> bool:
    """Whether who reads all of a part is told that it is damaged, or gets what was written: a flip may lie in the head
    of a page, which only the hash of the file covers.
    """
    try:
        return bool(open_parquet(part.read_bytes()).read().equals(open_parquet(whole.read_bytes()).read()))
    except (DamagedFile, OSError, pa.ArrowException):
        return True


def outcome(out: Path, films: Path, caplog: pytest.LogCaptureFixture) -> str:
    """How a run ends on a directory, with what it says."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "hdvila"):
        try:
            accounts = start(out, films, keep_packs=True).accounts
        except UserError as error:
            return str(error)
    return " ".join([str(accounts), *(record.getMessage() for record in caplog.records)])


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("shards/*/00000.tar", "deleted"),
        ("segments/transcripts/*/transcripts.parquet", "deleted"),
        ("compared/part-same_sentences-*.parquet", "deleted"),
        ("batches/00003.json", "flipped"),
        ("manifest.json", "flipped"),
        ("run.json", "deleted"),
        ("tombstones.txt", "deleted"),
        ("commits/media/*.0000000001.*", "flipped"),
    ],
)
def test_a_run_names_what_it_would_build_upon(
    copy: Callable[..., Path],
    whole: Path,
    loose: Path,
    films: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    how: str,
) -> None:
    out = copy(loose if name.startswith("commits/") else whole)
    path = next(out.glob(name))
    harm(path, how, random.Random(1))

    assert str(path.relative_to(out)) in outcome(out, films, caplog)


@pytest.mark.long
@pytest.mark.parametrize("how", HARMS)
def test_no_run_builds_in_silence_upon_any_kind_of_file(
    copy: Callable[[], Path], whole: Path, films: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """It names the file, makes it again, or never reads it: then shards and selection are those of the whole one."""
    silent = []
    for kind, names in kinds(whole).items():
        out, name = copy(), names[-1]
        harm(out / name, how, random.Random(kind))
        if name in outcome(out, films, caplog):
            continue
        left = [fault for fault in faults(out) if fault != name or not SILENT.fullmatch(fault)]
        tars = {path.relative_to(whole) for path in whole.glob("shards/*/*.tar")} - {Path(name)}
        same = all((out / tar).read_bytes() == (whole / tar).read_bytes() for tar in tars)
        if same and PARTS.fullmatch(name) and is_refused_or_the_same(out / name, whole / name):
            continue
        if left or not same or pq.read_table(out / "selection.parquet") != pq.read_table(whole / "selection.parquet"):
            silent.append((name, left))

    assert not silent


@pytest.mark.parametrize(
    ("lost", "how"),
    [("00001", "flipped"), ("00000 00001 00002 00003", "deleted")],
)
def test_a_lost_plan_of_a_batch_is_made_again_and_a_run_goes_on(
    copy: Callable[[], Path], whole: Path, films: Path, tmp_path: Path, lost: str, how: str
) -> None:
    out = copy()
    names = [f"batches/{number}.json" for number in lost.split()]
    for name in names:
        harm(out / name, how, random.Random(name))

    found = Fsck(Store(str(out)))
    said = {fault.where: fault.what for fault in found.run()}
    assert sorted(said) == names and found.n_left == 0 and all("made again" in what for what in said.values())

    more = Path(shutil.copytree(films, tmp_path / "more", symlinks=True))
    another = (films / "film-0.mp4").read_bytes() + b"\0\0\0\x08free"  # its content was removed with film-1
    (more / "film-9.mp4").write_bytes(another)
    describe(more / "film-9.mp4", 9)
    assert start(out, more, keep_packs=True).accounts.is_whole
    assert faults(out) == {} and not list(verify(Store(str(out)), decode=0))
    tars = {path.relative_to(whole): path.read_bytes() for path in whole.glob("shards/*/*.tar")}
    assert all((out / name).read_bytes() == data for name, data in tars.items())
    assert len(list(out.glob("shards/*/*.tar"))) == len(tars) + 1, "what came since has a shard too"


def an_own_video(folder: Path, size: int) -> tuple[Store, Path]:
    """A store whose one video is a file of so many bytes."""
    store, film = Store(str(folder / "out")), folder / "film.mp4"
    film.write_bytes(random.Random(0).randbytes(size))
    seen = looked_at(film)
    row = a_video_row("v", media_path=str(film), media_bytes=seen.bytes_, media_hash=seen.hash_)
    commit_rows(store, "folder", "u", {"videos": [row]})
    store.write_json("run.json", {"schema_version": SCHEMA_VERSION, "layout_version": LAYOUT_VERSION})
    return store, film


def test_an_input_above_64_mb_is_read_in_three_pieces_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(content, "WHOLE_BYTES", 2_000_000)
    monkeypatch.setattr(content, "PIECE_BYTES", 100_000)
    store, film = an_own_video(tmp_path, 3_000_000)

    print_fsck(store.url)
    assert "no fault found" in (said := capsys.readouterr().out) and "of 1 inputs above" in said

    with film.open("r+b") as file:
        file.seek(1_500_000)
        file.write(b"other")
    assert {fault.where for fault in Fsck(store).run()} == {str(film)}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """(its folder, its address, what it was asked for)."""
    folder, asked = tmp_path / "site", list[str]()
    folder.mkdir()

    class Site(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def test_lists_at_addresses_are_asked_for_if_the_owners_configuration_names_them(
    tmp_path: Path, site: tuple[Path, str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder, address, asked), (store, _) = site, an_own_video(tmp_path, 1000)
    lists = [f"{address}/{name}.csv?token=secret" for name in ("same", "other", "gone")]
    for name in ("same", "other", "gone"):
        (folder / f"{name}.csv").write_text("url")
    note_files(store, at_rest=True, inputs=hashes_of(lists))
    (folder / "other.csv").write_text("uri")
    (folder / "gone.csv").unlink()
    asked.clear()

    print_fsck(store.url)
    assert "3 lists at addresses were not asked for" in capsys.readouterr().out and asked == []

    config = tmp_path / "run.yaml"
    config.write_text(json.dumps({"out": store.url, "crawl": {"lists": {"files": lists}}}))
    with pytest.raises(typer.Exit):
        print_fsck(str(config))
    said = capsys.readouterr().out
    assert f"{address}/other.csv: is not the file that was read; restore it" in said
    assert f"{address}/gone.csv: no such file; restore it" in said
    assert "2 faults, 2 of them left" in said and "same.csv" not in said and "secret" not in said


def test_a_file_that_its_disk_does_not_give_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, film = an_own_video(tmp_path, 1000)

    def fails(*_: object) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(hashes, "hash_of_list", fails)
    (fault,) = Fsck(store).run()
    assert (fault.where, fault.what.partition(";")[0]) == (str(film), "cannot be read (Input/output error)")


def test_a_pipe_in_the_place_of_a_film_is_not_waited_for(tmp_path: Path) -> None:
    store, film = an_own_video(tmp_path, 1000)
    film.unlink()
    os.mkfifo(film)

    (fault,) = Fsck(store).run()
    assert (fault.where, fault.what.partition(";")[0]) == (str(film), "is not a file")


def test_with_redo_a_run_makes_again_what_is_lost(copy: Callable[[], Path], films: Path) -> None:
    out = copy()
    for path in (*out.glob("shards/*/00000.tar"), *out.glob("clips/*.parquet"), out / "generations/00001.json"):
        path.unlink()

    start(out, films, keep_packs=True, redo="clips")

    assert faults(out) == {}


def test_own_videos_are_looked_at_where_they_are(whole: Path, copy: Callable[[], Path], films: Path) -> None:
    film = films / "film-0.mp4"
    before = film.read_bytes()
    try:
        film.write_bytes(before + b"more")
        found = faults(copy())
    finally:
        film.write_bytes(before)

    assert "is not the file that was looked at" in found[str(film)]


def test_a_check_that_was_ended_goes_on_where_it_stopped(
    copy: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = copy()
    store = Store(str(out))
    monkeypatch.setattr(engine, "THREADS", 1)
    first = Fsck(store)
    (path,) = out.glob("shards/*/00000.tar")
    harm(path, "flipped", random.Random(0))
    read = Fsck._fault_of

    def until_interrupted(check: Fsck, file: engine.Hashed) -> str:
        if check.n_files == 30:
            raise KeyboardInterrupt
        return read(check, file)

    monkeypatch.setattr(Fsck, "_fault_of", until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(first.run())
    monkeypatch.setattr(Fsck, "_fault_of", read)
    second, third = Fsck(store), Fsck(store)

    assert [fault.where for fault in second.run()] == [str(path.relative_to(out))]
    assert len(list(third.run())) == 1 and second.n_files + 25 < third.n_files, "after its end it begins anew"


def test_while_a_run_works_there_it_does_not(copy: Callable[[], Path]) -> None:
    out = copy()
    with RunLock(Store(str(out))), pytest.raises(UserError, match="in use by"):
        list(Fsck(Store(str(out))).run())


def test_where_nothing_of_ours_is_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run and no data set"):
        list(Fsck(Store(str(tmp_path))).run())


def test_a_bucket_is_read_as_a_disk_is(whole: Path) -> None:
    with s3_server() as s3:
        store = s3.store("fsck")
        for path in whole.rglob("*"):
            if path.is_file():
                store.put(path, str(path.relative_to(whole)))
        assert list(Fsck(store).run()) == []

        tar = next(whole.glob("shards/*/*.tar")).relative_to(whole)
        data = bytearray(store.read(str(tar)))
        data[700] ^= 1
        store.write(str(tar), bytes(data))
        store.delete("wids.json")
        found: list[Fault] = list(Fsck(store).run())
        assert sorted(fault.where for fault in found) == [str(tar), "wids.json"] and store.exists("wids.json")
