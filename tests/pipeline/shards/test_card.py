"""The card: read by the library it is written for."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from hdvila_testing.shards import a_data_set
from manifests.categories import category_name
from manifests.errors import ConfigError
from manifests.settings import parse_config
from manifests.shards import read_manifest
from pipeline.config.shards import CardConfig
from pipeline.shards.card import dataset_card


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    a_data_set(folder, n_videos=5)
    return folder


def _card(made: Path, **config) -> str:
    head = json.loads((made / "manifest.json").read_text())
    return dataset_card({**head, "config": config}, CardConfig(title="Title", contact="removals@hdvila.test"))


def _front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_front_matter_gives_each_split_its_tars(made: Path):
    front = _front_matter((made / "dataset_card.md").read_text())
    (default,) = front["configs"]
    assert default["data_files"] == [
        {"split": "train", "path": "shards/train/*.tar"},
        {"split": "val", "path": "shards/val/*.tar"},
    ]


@pytest.mark.parametrize(
    ("n_samples", "words"),
    [
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (999_999, "100K<n<1M"),
        (10_000_000, "10M<n<100M"),
        (100_000_000, "100M<n<1B"),
    ],
)
def test_the_size_is_named_as_the_hub_names_it(made: Path, n_samples: int, words: str):
    head = json.loads((made / "manifest.json").read_text())
    head["totals"]["samples"] = n_samples
    card = dataset_card({**head, "config": {}}, CardConfig(title="Title", contact="removals@hdvila.test"))
    assert _front_matter(card)["size_categories"] == [words]


@pytest.mark.parametrize(
    ("mode", "words"),
    [("remux", "begins at the keyframe"), ("exact", "exactly its sentence")],
)
def test_the_first_lines_say_where_a_clip_starts_in_its_mp4(made: Path, mode: str, words: str):
    card = _card(made, **{"media.cut.mode": mode})
    first = card.split("---\n")[2].strip().splitlines()[2]
    assert words in first


def test_every_category_stands_with_its_clips_and_its_share_of_them(made: Path):
    counts = read_manifest(str(made)).head["totals"]["categories"]
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| ([\d.]+) % \|(?: \d+ \|)+$", _card(made), re.MULTILINE)

    assert {name: int(n) for name, n, _ in rows} == {category_name(int(i)): n for i, n in counts.items()}
    total = sum(counts.values())
    assert all(abs(float(share) - 100 * int(n) / total) <= 0.05 for _, n, share in rows)


def test_a_rights_holder_finds_whom_to_ask(made: Path):
    assert "removals@hdvila.test" in _card(made)


@pytest.mark.parametrize("address", ["removals@example.org", "https://example.com/", "https://www.example.net/a"])
def test_an_address_of_an_example_is_no_contact(address: str):
    with pytest.raises(ConfigError, match="contact: this is an example address"):
        parse_config(CardConfig, {"contact": address}, source="x")


def test_a_card_without_contact_says_so_and_the_run_does(made: Path):
    head = json.loads((made / "manifest.json").read_text())
    assert "no address is given yet" in dataset_card(head, CardConfig())


def test_the_cards_streaming_example_runs(made: Path, tmp_path: Path, monkeypatch):
    folder = tmp_path / "path" / "or" / "name"
    shutil.copytree(made, folder)
    (folder / "dataset_card.md").rename(folder / "README.md")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    code = (folder / "README.md").read_text().split("```python")[1].split("```")[0]
    names: dict = {}
    streaming = [line for line in code.splitlines() if "load_dataset" in line and "parquet" not in line]
    exec("\n".join(streaming), names)
    first = next(iter(names["clips"]))
    assert first["mp4"]["bytes"] or first["mp4"]["path"]
    assert first["txt"] == first["json"]["text"]


def test_the_cards_names_are_written_as_they_are_and_its_keys_in_the_hubs_order(made: Path):
    head = json.loads((made / "manifest.json").read_text())
    text = dataset_card(head, CardConfig(title="Überblick", contact="a@hdvila.test"))

    assert "pretty_name: Überblick" in text
    keys = ["license", "pretty_name", "task_categories", "tags", "size_categories", "configs"]
    assert list(_front_matter(text)) == keys


@pytest.mark.parametrize(("splits", "first"), [(["test", "train"], "train"), (["test", "val"], "test"), ([], "train")])
def test_the_example_reads_train_or_else_the_first_split_there_is(made: Path, splits: list[str], first: str):
    head = json.loads((made / "manifest.json").read_text())
    given = dict.fromkeys(splits, head["splits"]["train"])

    assert f'"shards/{first}/00000.tar"' in dataset_card({**head, "splits": given}, CardConfig())
