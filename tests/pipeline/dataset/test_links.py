"""Folders of a stranger's data set that are links: no command writes through them, unless their owner says so."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from manifests.errors import UserError
from manifests.inside import LINKED
from pipeline.commands import export, import_images, merge, remove, report, reshard, run

FOLDERS = ("shards", "packs", "index", "manifests", "report")


def ids_in(folder: Path) -> str:
    ids = folder.parent / "ids.txt"
    ids.write_text("video video-00001\n")
    return str(ids)


def a_run(folder: Path) -> Path:
    videos = folder.parent / "videos"
    videos.mkdir(exist_ok=True)
    config = folder.parent / "run.yaml"
    config.write_text(f"out: {folder}\ncrawl: {{sources: [folder]}}\nfolder: {{path: {videos}}}\n")
    return config


def pictures_beside(folder: Path) -> tuple[list[Path], Path]:
    coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": "a picture"}]}
    (folder.parent / "captions.json").write_text(json.dumps(coco))
    return [folder.parent / "captions.json"], folder.parent


IN_PLACE: dict[str, Callable[[Path], object]] = {
    "remove": lambda at: remove.remove(str(at), ids_in(at)),
    "remove --purge": lambda at: remove.remove(str(at), ids_in(at), purge=True),
    "report": lambda at: report.report([str(at)]),
    "run": lambda at: run.run(a_run(at)),
}
ELSEWHERE: dict[str, Callable[[Path, Path], object]] = {
    "merge": lambda at, out: merge.merge([str(at)], str(out)),
    "reshard": lambda at, out: reshard.reshard(str(at), str(out), max_samples=2),
    "export --exact": lambda at, out: export.export(str(at), str(out), exact=True),
    "import-images": lambda at, out: import_images.import_images(*pictures_beside(out), str(out)),
}


@pytest.fixture
def victim(made: Path, tmp_path: Path) -> Path:
    (tmp_path / "victim").mkdir()
    folder = tmp_path / "victim" / "set"
    shutil.copytree(made, folder)
    for name in FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def link(folder: Path, name: str, target: Path) -> None:
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).symlink_to(target)


@pytest.mark.parametrize("command", [*IN_PLACE, *ELSEWHERE])
def test_a_link_to_another_data_set_is_refused_with_its_cure(command: str, copy: Path, victim: Path) -> None:
    before = contents(victim)
    for name in FOLDERS if command != "report" else ("report",):  # it writes nowhere else
        at = copy if command in IN_PLACE else copy.with_name(f"out-{name}")
        at.mkdir(exist_ok=True)
        link(at, name, victim / name)
        with pytest.raises(UserError, match=rf"/{name}: a link leads out of .* {LINKED}={victim / name}$"):
            IN_PLACE[command](at) if command in IN_PLACE else ELSEWHERE[command](copy, at)
        (at / name).unlink()
    assert contents(victim) == before


def test_a_link_that_lies_deeper_is_refused_where_it_would_be_written_through(copy: Path, victim: Path) -> None:
    before = contents(victim)
    link(copy / "shards", "train", victim / "shards" / "train")
    with pytest.raises(UserError, match=r"/shards/train: a link leads out of"):
        remove.remove(str(copy), ids_in(copy))
    assert contents(victim) == before


def test_the_owner_s_own_link_to_a_larger_disk_is_followed(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    shutil.move(copy / "shards", disk / "shards")
    (copy / "shards").symlink_to(disk / "shards")
    monkeypatch.setenv(LINKED, f"/nowhere:{disk}")
    before = contents(disk)

    remove.remove(str(copy), ids_in(copy))

    assert (copy / "shards").is_symlink() and contents(disk) != before
