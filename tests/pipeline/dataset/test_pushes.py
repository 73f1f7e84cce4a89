"""`export --push` against a stand-in of the hub: what is refused, what is recorded, and what a removal makes of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hdvila_testing.shards import a_data_set
from manifests.errors import UserError
from manifests.shards import read_manifest
from pipeline.cli import app
from pipeline.config.shards import CardConfig, ShardsConfig, SplitConfig
from pipeline.dataset.pushes import PUSHES_NAME, read_pushes
from pipeline.engine.store.store import Store
from tests.hub_stand_in import HubStandIn, hub_stand_in

NAME, REPOSITORY = "someone/clips", "datasets/someone/clips"
CC = "Creative Commons Attribution license (reuse allowed)"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with hub_stand_in(monkeypatch) as server:
        yield server


def a_set(folder: Path, *licences: str, contact: str = "removals@hdvila.test") -> Path:
    card = CardConfig(title="A tiny data set", contact=contact)
    config = ShardsConfig(max_samples=6, split=SplitConfig(val=0.3), card=card)
    return Path(a_data_set(folder / "set", n_videos=4, n_clips=2, config=config, licences=licences).root)


def command(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception:
        raise done.exception
    return done.output.replace("\n", " ")


def push(made: Path, out: Path, *options: str) -> str:
    return command("export", made, "--out", out, "--format", "hf", "--push", NAME, *options)


def test_ids_spans_and_texts_go_to_a_private_repository_and_are_noted(server: HubStandIn, tmp_path: Path) -> None:
    made, out = a_set(tmp_path, CC), tmp_path / "hub"
    said = push(made, out)

    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert server.private == {REPOSITORY: True} and f"{server.url}/{REPOSITORY}" in said
    assert server.files[REPOSITORY] == {".gitattributes": b"", **files}
    assert not [name for name in files if name.endswith((".tar", ".mp4"))]
    (noted,) = read_pushes(Store(str(made)))
    assert noted["commit"] == "1" and noted["address"].endswith(REPOSITORY) and not noted["media"]
    assert noted["manifest"] == read_manifest(str(made)).sha256 and noted["n_clips"] == 7

    file = made / PUSHES_NAME
    file.write_bytes(file.read_bytes().replace(b'"commit": "1"', b'"commit": "2"'))
    done = CliRunner().invoke(app, ["fsck", str(made)])
    assert done.exit_code == 1 and PUSHES_NAME in done.output


@pytest.mark.parametrize(
    ("licences", "contact", "options", "message"),
    [
        ((CC,), "", (), "names nobody who can be asked for removal; set shards.card.contact"),
        ((CC, ""), "a@b.test", (), r"the licence of 4 of 7 clips is not known; leave them out .*--licence WORD"),
        ((CC,), "a@b.test", ("--media",), "name the licences that allow it: --licence WORD"),
    ],
)
def test_what_must_not_be_given_away_is_refused_before_anything_is_written(
    server: HubStandIn, tmp_path: Path, licences: tuple[str, ...], contact: str, options: tuple[str, ...], message: str
) -> None:
    made = a_set(tmp_path, *licences, contact=contact)
    with pytest.raises(UserError, match=message):
        push(made, tmp_path / "hub", *options)
    assert not server.files and not (tmp_path / "hub").exists() and not (made / PUSHES_NAME).exists()


def test_media_of_the_licences_that_were_named_are_pushed(server: HubStandIn, tmp_path: Path) -> None:
    made = a_set(tmp_path, CC, "")
    push(made, tmp_path / "hub", "--media", "--as-is", "--licence", "creative commons")
    assert "data/train/00000.tar" in server.files[REPOSITORY]
    (noted,) = read_pushes(Store(str(made)))
    assert noted["media"] and noted["licences"] == ["creative commons"] and noted["n_clips"] == 3


def test_a_repository_with_files_of_others_is_left_alone(server: HubStandIn, tmp_path: Path) -> None:
    server.private[REPOSITORY], server.files[REPOSITORY] = True, {"data/train/00000.parquet": b"theirs"}
    with pytest.raises(UserError, match=r"holds files that were not pushed from .*name a repository of its own"):
        push(a_set(tmp_path, CC), tmp_path / "hub")
    assert server.files[REPOSITORY] == {"data/train/00000.parquet": b"theirs"}


def test_a_push_that_failed_is_noted_as_perhaps_there_and_done_by_the_same_command(
    server: HubStandIn, tmp_path: Path
) -> None:
    made = a_set(tmp_path, CC)
    server.refuse["/commit/"] = 403
    with pytest.raises(UserError, match=r"could not be uploaded .*403.*the same command"):
        push(made, tmp_path / "hub")
    (noted,) = read_pushes(Store(str(made)))
    assert noted["commit"] == ""
    server.refuse.clear()
    assert "pushed to" in push(made, tmp_path / "hub")


def test_a_removal_names_the_pushes_and_the_next_push_deletes_there_what_was_removed(
    server: HubStandIn, tmp_path: Path
) -> None:
    made, ids = a_set(tmp_path, CC), tmp_path / "ids.txt"
    push(made, tmp_path / "before")
    before = set(server.files[REPOSITORY])
    held_out = next(iter(read_manifest(str(made)).split("val")))
    gone = set(pq.read_table(made / held_out.rows_url)["video_id"].to_pylist())
    ids.write_text("".join(f"video {video_id}\n" for video_id in gone))

    said = command("remove", made, "--ids", ids, "--report", tmp_path / "answer")
    facts = json.loads((tmp_path / "answer/removed.json").read_text())
    assert len(facts["pushes"]) == 1 and f"{server.url}/{REPOSITORY}, commit 1" in facts["pushes"][0]
    assert any("its history keeps it" in line for line in facts["left"]) and "the hub has copies" in said

    said = push(made, tmp_path / "after")
    assert "the hub's history still has it" in said and "super_squash_history" in said
    assert before - set(server.files[REPOSITORY]) == {"data/val/00000.parquet"}
    there = "".join(map(str, server.files[REPOSITORY].values()))
    assert not [video_id for video_id in gone if video_id in there]
    assert [each["commit"] for each in read_pushes(Store(str(made)))] == ["1", "2"]
