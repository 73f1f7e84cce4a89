"""Settings: what is wrong is said with the file, the key and the nearest right key; secrets stay secret."""

from pathlib import Path
from typing import ClassVar, get_args

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_core import core_schema

from manifests.errors import ConfigError
from manifests.settings import (
    Section,
    describe_keys,
    identity,
    identity_values,
    load_config,
    nearest_key,
    operational,
    parse_config,
    read_yaml,
)
from manifests.wrong_value import wrong_value

OF_THE_LIBRARY = (
    "Field required",
    "Input should",
    "Value error",
    "Extra inputs",
    "a valid",
    "validation error",
    "pydantic",
)


class Engine(Section):
    """How a run goes."""

    workers: int = operational(2, ge=1, doc="workers, a count")
    cookie: SecretStr = operational(SecretStr(""), doc="a secret")


class Cut(Section):
    """What comes out."""

    stage: ClassVar[str] = "cut"
    mode: str = identity("remux", doc="how clips are cut")
    margin_ms: int = identity(250, ge=0, doc="margin, ms")


class Root(Section):
    """A run."""

    out: str = operational(doc="where")
    seed: int = identity(0, doc="seed")
    engine: Engine = Engine()
    cut: Cut = Cut()


def load(tmp_path: Path, text: str, overrides: list[str] | None = None) -> Root:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return load_config(Root, path, overrides)


class Identity(Section):
    """Who asks."""

    name: str = operational(doc="a name")
    proxy: str = operational("", doc="an address")


class Data(Section):
    """What is read."""

    manifest: str = operational(doc="a path")
    share: float = operational(1.0, gt=0, doc="a share")


class Lists(Section):
    """A configuration with a list of sections, and a section with a key that has no default."""

    data: Data
    identities: list[Identity] = operational(list, doc="identities")


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        (
            {"data": {"manifest": "m"}, "identities": [{"nam": "a"}]},
            "identities.0.nam: no such key; did you mean identities.0.name?",
        ),
        ({}, "data.manifest: is required (a path)"),
        ({"data": {"manifest": None}}, "not null (a path)"),
        ({"data": {"manifest": "m", "share": -1}}, "must be more than 0, not -1"),
        ({"data": {"manifest": "m", "share": float("inf")}}, "must be a finite number, not inf"),
    ],
)
def test_keys_are_named_as_a_person_writes_them(tree: dict, line: str):
    with pytest.raises(ConfigError) as caught:
        parse_config(Lists, tree, source="run.yaml")
    assert line in str(caught.value)


def test_a_file_and_overrides_on_top_of_it_make_the_settings(tmp_path: Path):
    config = load(tmp_path, "out: a\ncut: {mode: exact}\n", ["cut.margin_ms=10", "engine.workers=3", "out=b"])
    assert (config.out, config.cut.mode, config.cut.margin_ms, config.engine.workers) == ("b", "exact", 10, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("out: a\ncutt: {}\n", ["cutt: no such key", "did you mean cut?"]),
        ("out: a\ncut: {mod: exact}\n", ["cut.mod: no such key", "did you mean cut.mode?"]),
        ("out: a\nworkers: 3\n", ["workers: no such key", "engine.workers"]),
        ("out: a\nxyzzy: 3\n", ["xyzzy: no such key"]),
        ("out: a\nengine: {workers: 0}\n", ["engine.workers: must be 1 or more, not 0 (workers, a count)"]),
        ("out: a\nengine: {workers: many}\n", ["engine.workers: must be an integer", "not 'many' (workers, a count)"]),
        ("out: a\nengine: {workers: [1]}\n", ["engine.workers: must be an integer", "not [1]"]),
        ("out: a\nengine: {workers: .nan}\n", ["engine.workers: must be"]),
        ("out: 5\n", ["out: must be a string", "not 5 (where)"]),
        ("{}", ["out: is required (where)"]),
        ("- 1\n", ["must hold keys and values"]),
        ("a: [1\n", ["is not valid YAML"]),
        ("out: a\nengine: 5\n", ["engine: must be a section"]),
        ("out: a\n1: b\n", ["1: no such key"]),
        (f"out: {'9' * 5000}\n", ["holds a value that cannot be read", "4300 digits"]),
        ("out: 2027-02-31\n", ["holds a value that cannot be read"]),
        ('out: "\\ud800"\n', ["holds a value that cannot be read"]),
        ("out: 2027-01-31\n", ["out: must be a string", "not 2027-01-31 (where)"]),
    ],
)
def test_what_is_wrong_is_named_with_the_file_and_the_key(tmp_path: Path, text: str, words: list[str]):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert str(tmp_path / "run.yaml") in message and all(word in message for word in words), message
    assert not [word for word in OF_THE_LIBRARY if word in message]


@pytest.mark.parametrize("secret", ["[planted-77]", "{a: planted-77}", "77.77"])
def test_a_secret_of_the_wrong_kind_is_not_repeated(tmp_path: Path, secret: str):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"out: a\nengine: {{cookie: {secret}}}\n")
    assert "engine.cookie: must be a string" in str(caught.value)
    assert "planted" not in str(caught.value) and "77" not in str(caught.value).replace(str(tmp_path), "")


def test_no_kind_of_fault_is_told_in_the_librarys_words():
    """Every type of fault that pydantic knows has words of ours, with or without its facts."""
    for kind in get_args(core_schema.ErrorType):
        line = wrong_value(Root, {"type": kind, "loc": ("seed",), "input": 7, "ctx": {}})
        assert "seed" in line and not [word for word in OF_THE_LIBRARY if word in line]


def test_every_fault_of_a_file_is_named_at_once(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "out: a\nengine: {workers: 0}\nseeed: 1\n")
    assert "engine.workers" in str(caught.value) and "did you mean seed?" in str(caught.value)


@pytest.mark.parametrize(
    "override", ["nothing", "=1", "out.deeper=1", "cut.mode=[1", f"out={'9' * 5000}", 'out="\\ud800"']
)
def test_an_override_that_cannot_be_used_says_how_one_is_written(tmp_path: Path, override: str):
    with pytest.raises(ConfigError, match="--set"):
        load(tmp_path, "out: a\n", [override])


def test_a_missing_file_is_one_message(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_config(Root, tmp_path / "none.yaml")


def test_identity_keys_are_listed_with_their_stage_and_operational_ones_are_not():
    values = identity_values(parse_config(Root, {"out": "a", "cut": {"margin_ms": 7}}, source="test"))
    assert values == {"seed": (0, ""), "cut.mode": ("remux", "cut"), "cut.margin_ms": (7, "cut")}


def test_every_key_is_described_with_default_and_kind_and_no_secret_is_shown():
    rows = {row["key"]: row for row in describe_keys(Root)}
    assert rows["engine.workers"] == {
        "key": "engine.workers",
        "default": "2",
        "kind": "operational",
        "doc": "workers, a count",
    }
    assert rows["out"]["default"] == "(required)" and rows["engine.cookie"]["default"] == "(secret)"
    assert rows["cut.mode"]["kind"] == "identity"


def test_the_nearest_key_is_found_beside_and_elsewhere_or_not_at_all():
    assert nearest_key(Root, ["cut", "margin"]) == "cut.margin_ms"
    assert nearest_key(Root, ["zzzzzz"]) == ""


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValidationError, match="frozen"):
        Cut().mode = "exact"  # type: ignore[misc]


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


class Word(Section):
    """A section that takes any value."""

    value: object = identity(None, doc="anything")


@pytest.mark.parametrize("text", ["off", "on", "yes", "no", "true", "false", "null", "y", "n", "nan", "inf", "exact"])
def test_a_word_on_the_command_line_means_what_it_means_in_a_file(tmp_path: Path, text: str):
    (path := tmp_path / "run.yaml").write_text(f"value: {text}\n")
    assert load_config(Word, None, [f"value={text}"]) == load_config(Word, path)
