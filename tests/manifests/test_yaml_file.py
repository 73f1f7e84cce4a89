"""A configuration's YAML: what cannot be read is said once, with the line, in words for people."""

from pathlib import Path

import pytest

from manifests.errors import ConfigError
from manifests.yaml_file import read_yaml


def message_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"out: a\ncrawl:\n\tsources: [folder]\n", ["line 3, column 1", "a tab", "spaces only"]),
        (b"out: [a, b\ncrawl: {x\n", ["line 2, column 6", "expected ',' or ']'", "crawl: {x"]),
        (b"out: *x\n", ["line 1, column 6", "undefined alias"]),
        (b"out: a\nseed: 1\nout: b\n", ["line 3, column 1", "the key 'out' is given twice"]),
        (b"crawl: {seed: 1, seed: 2}\n", ["line 1", "the key 'seed' is given twice"]),
        (b"out: !!python/object/apply:os.system [true]\n", ["line 1"]),
        (b"- out: a\n", ["must hold keys and values", "not a list"]),
        (b"hello\n", ["must hold keys and values", "not a single value"]),
        (bytes(range(256)), ["is not a text in UTF-8"]),
        ("out: a".encode("utf-16"), ["is not a text in UTF-8"]),
        (b"out: " + b"[" * 3000 + b"]" * 3000, ["brackets in brackets"]),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(tmp_path: Path, content: bytes, words: list[str]):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)

    message = message_of(path)

    assert message.startswith(str(path)) and all(word in message for word in words), message
    assert not [word for word in ("codec", "Errno", "unicode string", "Traceback") if word in message]


def test_a_folder_an_address_and_a_missing_file_are_told_apart(tmp_path: Path):
    assert "is a folder" in message_of(tmp_path)
    assert "no such configuration file" in message_of(tmp_path / "none.yaml")
    assert "a file on this machine" in message_of(Path("https://example.org/run.yaml"))


def test_an_empty_file_holds_no_key_and_anchors_may_be_merged(tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_text("")
    assert read_yaml(path) == {}

    path.write_text("base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\n")
    assert read_yaml(path)["mine"] == {"a": 1, "b": 3}
