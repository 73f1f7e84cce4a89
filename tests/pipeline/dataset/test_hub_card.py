"""The card of an export: what the hub and `datasets` read of it, whatever strangers wrote into licences."""

from huggingface_hub import DatasetCard

from manifests.shards import ShardEntry, counts_of
from pipeline.config.shards import CardConfig
from pipeline.dataset.hub_card import Contents, hub_card, licence_page

ENTRY = ShardEntry("data/train/00000.tar", "train", 0, "", "", 9, 3, 0.5, {27: 2, 10: 1})
HEAD = {**counts_of([ENTRY, ENTRY]), "members": ["mp4", "txt", "json"], "config": {"media.cut.mode": "exact"}}
CONTENTS = Contents(
    {"a": "CC BY", "b": "", "c": ""}, {"a": "en-US", "b": "no", "c": "<script>"}, {"CC BY": 2, "": 4}, hours=1.0
)
CARD = CardConfig(title="Ours: the data set", contact="removals@hdvila.test")


def test_the_hub_reads_languages_licence_splits_and_features() -> None:
    front = DatasetCard(hub_card(HEAD, CARD, CONTENTS, with_media=False)).data.to_dict()

    assert front["language"] == ["en", "no"] and front["pretty_name"] == CARD.title
    assert (front["license"], front["license_name"], front["license_link"]) == (
        *("other", "as-each-video-says", "LICENSE.md"),
    )
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train/*.parquet"}]
    assert {"name": "caption", "dtype": "string"} in front["dataset_info"]["features"]
    assert front["dataset_info"]["splits"] == [{"name": "train", "num_bytes": 18, "num_examples": 6}]


def test_a_licence_of_the_whole_needs_no_name_and_media_no_features() -> None:
    text = hub_card(HEAD, CARD.model_copy(update={"license": "cc-by-4.0"}), CONTENTS, with_media=True)
    front = DatasetCard(text).data.to_dict()
    assert front["license"] == "cc-by-4.0" and "license_name" not in front and "features" not in front["dataset_info"]
    assert "exactly its sentence" in text and CARD.contact in text


def test_licences_are_counted_and_cannot_break_the_page() -> None:
    page = licence_page(Contents({}, {}, {"": 4, "a|b\n<script>": 1}, hours=0.0))
    assert "| not known | 4 |" in page and "<script>" not in page
    assert page.splitlines()[-1] == "| a\\|b�&lt;script&gt; | 1 |"
