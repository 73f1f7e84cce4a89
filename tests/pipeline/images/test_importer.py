"""Imported sets: they verify, repeat byte for byte, merge, and turn pictures away with a reason."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from manifests.errors import UserError
from manifests.image_sample import ImageJson
from manifests.reasons import Reason
from manifests.shards import read_manifest, read_shard_rows
from pipeline.cli import app
from pipeline.dataset.merge import merge
from pipeline.dataset.remove import remove
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.images.importer import ImportSettings, import_images
from pipeline.outdir.tombstones import Tombstones
from tests.conftest import need
from tests.pipeline.images.published import jpeg, samples_of


def coco(n: int = 4) -> dict[str, Any]:
    """Five pictures as COCO's captions_*.json has them; the ids are far from the places, as in the real file."""
    return {
        "info": {"year": 2014},
        "licenses": [{"id": 4, "name": "Attribution License", "url": "http://creativecommons.org/licenses/by/2.0/"}],
        "images": [
            {"id": 100 + i, "file_name": f"COCO_val2014_{100 + i:012d}.jpg", "height": 48, "width": 64, "license": 4,
             "coco_url": f"http://images.cocodataset.org/val2014/COCO_val2014_{100 + i:012d}.jpg"}
            for i in range(n)
        ],
        "annotations": [
            {"image_id": 100 + i, "id": 10 * i + k, "caption": f"Picture {i}, said {k}  times.\n"}
            for i in range(n) for k in range(5)
        ],
    }  # fmt: skip


@pytest.fixture
def coco_set(tmp_path: Path) -> tuple[Path, Path]:
    """(captions, folder of pictures)."""
    document = coco()
    folder = tmp_path / "val2014"
    folder.mkdir()
    for i, image in enumerate(document["images"]):
        (folder / image["file_name"]).write_bytes(jpeg(colour=(40 * i, 10, 10)))
    captions = tmp_path / "captions_val2014.json"
    captions.write_text(json.dumps(document))
    return captions, folder


def rows_of(out: Path) -> list[dict[str, Any]]:
    manifest = read_manifest(str(out))
    return [row for entry in manifest.shards for row in read_shard_rows(manifest, entry).to_pylist()]


def test_coco_captions_become_a_data_set_that_verifies(coco_set: tuple[Path, Path], tmp_path: Path) -> None:
    captions, folder = coco_set
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["import-images", str(captions), "--pictures", str(folder), "--out", str(out), "--val", "0.5"]
    )
    assert result.exit_code == 0, result.output
    assert "4 pictures with 20 captions" in result.output
    assert list(verify(Store(str(out)), decode=-1)) == []
    manifest = read_manifest(str(out))
    assert manifest.head["kind"] == "image"
    assert manifest.head["totals"]["hours"] == 0
    assert manifest.head["members"] == ["jpg", "txt", "json"]
    first = next(s for s in samples_of(out) if b'"image_id": "102"' in s["json"])
    facts = ImageJson.model_validate_json(first["json"])
    assert facts.captions == [f"Picture 2, said {k} times." for k in range(5)]
    assert first["txt"].decode() == facts.caption == facts.captions[0]
    assert (facts.width, facts.height, facts.licence) == (64, 48, "Attribution License")
    assert first["jpg"] == (folder / facts.file_name).read_bytes()  # a good JPEG stays byte for byte
    assert "Attribution" not in (out / "dataset_card.md").read_text()
    assert "| `.jpg` | the picture |" in (out / "dataset_card.md").read_text()


def test_the_same_import_gives_the_same_bytes(coco_set: tuple[Path, Path], tmp_path: Path) -> None:
    captions, folder = coco_set
    for name in ("one", "two"):
        import_images([captions], folder, Store(str(tmp_path / name)), ImportSettings(val_share=0.5, shard_samples=2))
    one, two = (read_manifest(str(tmp_path / name)).shards for name in ("one", "two"))
    assert one == two


def test_every_picture_is_kept_or_rejected_with_a_reason(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    good = jpeg()
    files = {"good": good, "copy": good, "small": jpeg((20, 64)), "broken": b"\xff\xd8\xff no picture", "mute": jpeg()}
    for name, data in files.items():
        (folder / f"{name}.jpg").write_bytes(data)
    said = {name: [f"a {name} one"] if name != "mute" else [" "] for name in files}
    listed = [{"file_name": f"{name}.jpg", "image_id": name, "captions": said[name]} for name in files]
    listed += [{"file_name": "gone.jpg", "image_id": "gone", "captions": ["not there"]}]
    listed += [{"file_name": "../captions.json", "image_id": "out", "captions": ["leads out"]}]
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps(listed))
    out = tmp_path / "out"
    done = import_images([captions], folder, Store(str(out)), ImportSettings(split="train"))
    assert done.n_pictures == 1
    assert dict(done.rejected) == {
        Reason.DUPLICATE_IMAGE: 1,
        Reason.IMAGE_TOO_SMALL: 1,
        Reason.IMAGE_BROKEN: 1,
        Reason.NO_CAPTION_OF_IMAGE: 1,
        Reason.IMAGE_MISSING: 2,
    }
    rows = rows_of(out)
    assert len(rows) == len(listed)
    assert sorted(row["reason"] for row in rows if row["status"] != "success") == sorted(done.rejected.elements())
    assert list(verify(Store(str(out)), decode=-1)) == []


@pytest.mark.parametrize("archive", ["folder", "zip"])
def test_odd_names_cost_their_pictures_and_odd_words_are_kept_as_far_as_a_file_can(
    tmp_path: Path, archive: str
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(jpeg())
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as packed:
        packed.write(folder / "good.jpg", "good.jpg")
    odd = ["a\0b.jpg", "x" * 300 + ".jpg", "\ud800.jpg"]
    listed = [{"file_name": name, "image_id": f"odd\ud800{i}", "captions": ["said"]} for i, name in enumerate(odd)]
    listed.append(
        {"file_name": "good.jpg", "image_id": "good", "captions": ["half a pair: \ud83d", "whole: \U0001f600"]}
    )
    captions, out = tmp_path / "captions.json", tmp_path / "out"
    captions.write_text(json.dumps(listed))

    done = import_images(
        [captions], folder if archive == "folder" else tmp_path / "pictures.zip", Store(str(out)), ImportSettings()
    )

    assert done.n_pictures == 1 and done.rejected == {Reason.IMAGE_MISSING: 3}
    (sample,) = samples_of(out)
    assert json.loads(sample["json"])["captions"] == ["half a pair: ?", "whole: \U0001f600"]
    assert list(verify(Store(str(out)), decode=-1)) == []


def test_lists_that_share_an_id_keep_both_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    lists = []
    for i, name in enumerate(("one", "two")):
        (folder / f"{name}.jpg").write_bytes(jpeg(colour=(90 * i, 0, 0)))
        lists.append(tmp_path / f"{name}.json")
        lists[-1].write_text(json.dumps([{"file_name": f"{name}.jpg", "image_id": 7, "captions": [f"the {name}"]}]))

    done = import_images(lists, folder, Store(str(tmp_path / "out")), ImportSettings(split="train"))

    assert done.n_pictures == 2 and not done.rejected
    assert {row["caption"] for row in rows_of(tmp_path / "out")} == {"the one", "the two"}
    assert {json.loads(sample["json"])["image_id"] for sample in samples_of(tmp_path / "out")} == {"7"}
    assert list(verify(Store(str(tmp_path / "out")), decode=-1)) == []


def test_nothing_usable_is_one_message_and_no_data_set(coco_set: tuple[Path, Path], tmp_path: Path) -> None:
    captions, _ = coco_set
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"not one of 4 pictures.*image_missing"):
        import_images([captions], tmp_path / "empty", Store(str(tmp_path / "out")), ImportSettings())
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_pictures_come_from_a_zip_archive_too(coco_set: tuple[Path, Path], tmp_path: Path) -> None:
    captions, folder = coco_set
    with zipfile.ZipFile(tmp_path / "val2014.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"val2014/{path.name}")
    done = import_images([captions], tmp_path / "val2014.zip", Store(str(tmp_path / "out")), ImportSettings())
    assert done.n_pictures == 4


def test_sets_merge_and_pictures_are_removed(coco_set: tuple[Path, Path], tmp_path: Path) -> None:
    captions, folder = coco_set
    other = tmp_path / "other.json"
    other.write_text(json.dumps([{"file_name": "new.jpg", "image_id": "new", "captions": ["a new one"]}]))
    (folder / "new.jpg").write_bytes(jpeg((70, 70)))
    stores = [Store(str(tmp_path / name)) for name in ("a", "b", "both")]
    import_images([captions], folder, stores[0], ImportSettings(split="train"))
    import_images([other], folder, stores[1], ImportSettings(split="train"))
    merged = merge(stores[:2], stores[2])
    assert merged.manifest.head["kind"] == "image"
    assert merged.manifest.head["totals"]["samples"] == 5
    assert list(verify(stores[2], decode=-1)) == []
    remove(stores[2], Tombstones(frozenset({"101"})))
    assert read_manifest(stores[2].url).head["totals"]["samples"] == 4
    assert list(verify(stores[2], decode=-1)) == []


def test_the_audit_of_a_crawl_is_refused_by_name(coco_set: tuple[Path, Path], tmp_path: Path) -> None:
    captions, folder = coco_set
    import_images([captions], folder, Store(str(tmp_path / "out")), ImportSettings(split="train"))
    result = CliRunner().invoke(app, ["report", str(tmp_path / "out")])
    assert isinstance(result.exception, UserError)
    assert "image-text set has no crawl" in str(result.exception)


def test_a_picture_that_was_replaced_is_found(coco_set: tuple[Path, Path], tmp_path: Path) -> None:
    captions, folder = coco_set
    out = tmp_path / "out"
    import_images([captions], folder, Store(str(out)), ImportSettings(split="train"))
    tar = out / "shards/train/00000.tar"
    data = tar.read_bytes().replace(b"said 0 times", b"said 9 times", 1)
    tar.write_bytes(data)
    found = [str(fault) for fault in verify(Store(str(out)), decode=-1)]
    assert any("sha256" in fault for fault in found)
    assert any("captions" in fault for fault in found)


@pytest.mark.programs
def test_the_stamps_of_tux_paint_make_a_captioned_set(tmp_path: Path) -> None:
    """951 real pictures with English captions, as Debian's tuxpaint-stamps-default has them, by way of COCO's JSON."""
    folder = Path(os.environ.get("HDVILA_STAMPS", "/usr/share/tuxpaint/stamps"))
    need(folder.is_dir(), f"the stamps of Tux Paint at {folder} (HDVILA_STAMPS; package tuxpaint-stamps-default)")
    pictures = [path for path in sorted(folder.rglob("*.png")) if path.with_suffix(".txt").is_file()][:60]
    document = {
        "images": [{"id": i, "file_name": str(p.relative_to(folder))} for i, p in enumerate(pictures)],
        "annotations": [
            {"image_id": i, "id": i, "caption": p.with_suffix(".txt").read_text("utf-8").splitlines()[0]}
            for i, p in enumerate(pictures)
        ],
    }
    captions = tmp_path / "captions_stamps.json"
    captions.write_text(json.dumps(document))
    out = Store(str(tmp_path / "out"))
    done = import_images([captions], folder, out, ImportSettings(max_side=128, licence="GPL-2"))
    assert done.n_pictures + sum(done.rejected.values()) == len(pictures)
    assert done.n_pictures >= 50
    assert list(verify(out, decode=-1)) == []
