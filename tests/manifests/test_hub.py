"""`export --push`: one commit in a private repository, or one message."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from manifests import hub
from manifests.errors import UserError
from tests.hub_stand_in import TOKEN, HubStandIn, hub_stand_in

NAME = "someone/a-model"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with hub_stand_in(monkeypatch) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export")
    (out / "README.md").write_text("a card")
    (out / "model.safetensors").write_bytes(b"weights")
    return out


def test_the_folder_is_uploaded_whole_to_a_private_repository(server: HubStandIn, folder: Path) -> None:
    hub.refuse_name(NAME)
    assert hub.push(folder, NAME, public=False) == (f"{server.url}/{NAME}", "1")
    assert server.private == {NAME: True}
    assert server.files[NAME] == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert server.tokens == {f"Bearer {TOKEN}"}


def test_public_is_asked_for(server: HubStandIn, folder: Path) -> None:
    hub.push(folder, NAME, public=True)
    assert server.private == {NAME: False}
    with pytest.raises(UserError, match="is public: give --public"):
        hub.push(folder, NAME, public=False)


@pytest.mark.parametrize("part", ["/api/repos/create", "/preupload/", "/info/lfs/", "/large/", "/commit/"])
def test_a_push_that_is_refused_gives_one_message_without_the_token(
    server: HubStandIn, folder: Path, part: str
) -> None:
    server.refuse[part] = 403
    with pytest.raises(UserError, match=f"could not be uploaded to {NAME}.*403.*hf upload {NAME}") as raised:
        hub.push(folder, NAME, public=False)
    assert TOKEN not in str(raised.value) and "\n" not in str(raised.value)


def test_a_hub_out_of_reach_gives_one_message(
    server: HubStandIn, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="could not be uploaded"):
        hub.push(folder, NAME, public=False)


@pytest.mark.parametrize("name", ["no-owner", "a/b/c", "a//b", "some one/x"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(server: HubStandIn, name: str) -> None:
    with pytest.raises(UserError, match=f"--push {name}"):
        hub.refuse_name(name)


def test_without_a_token_nothing_is_tried(server: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(UserError, match="set HF_TOKEN or run hf auth login"):
        hub.refuse_name(NAME)
