"""The card of an image-text set: its front matter is YAML, its members explained, its numbers those of the head."""

import yaml

from pipeline.config.shards import CardConfig
from pipeline.shards.image_card import MEMBERS, image_card

HEAD = {
    "splits": {"train": {"shards": 2, "samples": 30, "bytes": 900}, "val": {"shards": 1, "samples": 4, "bytes": 80}},
    "members": ["jpg", "txt", "json"],
    "rejected": {"damaged_picture": 3},
}


def test_the_card_says_what_is_there_and_whom_to_ask() -> None:
    card = image_card(HEAD, CardConfig(contact="data@pictures.dev"))
    front = yaml.safe_load(card.split("---")[1])

    assert [f["path"] for f in front["configs"][0]["data_files"]] == ["shards/train/*.tar", "shards/val/*.tar"]
    assert "| train | 2 | 30 | 900 |" in card and "3 damaged_picture" in card
    assert all(f"| `.{name}` | {MEMBERS[name]} |" in card for name in HEAD["members"]) and "`.mjpg`" not in card
    assert "data@pictures.dev" in card and "shards/train/00000.tar" in card


def test_a_set_without_train_reads_the_split_that_it_has() -> None:
    card = image_card({**HEAD, "splits": {"val": HEAD["splits"]["val"]}, "rejected": {}}, CardConfig())
    assert "shards/val/00000.tar" in card and "Rejected: none." in card
