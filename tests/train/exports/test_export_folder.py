"""An exported folder appears whole or not at all, and is not taken for another format."""

import json
from pathlib import Path

import pytest

from manifests.errors import UserError
from train.exports.export_folder import CONFIG, FORMAT, read_config, refuse_existing_file, whole_folder


def test_a_folder_appears_whole_and_nothing_is_left_of_a_failed_one(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "a" / "out") as part:
        (part / "file").write_text("x")
        assert not (tmp_path / "a" / "out").exists()
    assert (tmp_path / "a" / "out" / "file").read_text() == "x"

    with pytest.raises(RuntimeError), whole_folder(tmp_path / "b"):
        raise RuntimeError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(UserError, match="isn't an empty folder"), whole_folder(tmp_path / "full"):
        pass
    with pytest.raises(UserError, match="exists already"):
        refuse_existing_file(tmp_path / "full" / "mine")
    with pytest.raises(UserError, match="no such folder"):
        refuse_existing_file(tmp_path / "nowhere" / "x")


def test_a_config_of_another_format_or_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not an exported model"):
        read_config(tmp_path)
    for text, words in [("[]", "cannot be read"), ("{", "cannot be read"), ('{"hdvila_format": 99}', "format 99")]:
        (tmp_path / CONFIG).write_text(text)
        with pytest.raises(UserError, match=words):
            read_config(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps({"hdvila_format": FORMAT, "a": 1}))
    assert read_config(tmp_path)["a"] == 1
