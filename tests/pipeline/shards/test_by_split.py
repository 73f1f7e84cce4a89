"""Which split has what, in words."""

from pipeline.shards.by_split import clips_by_split, lacking, splits_of

HEAD = {"splits": {"val": {"categories": {"10": 2}}, "train": {"categories": {"10": 5, "29": 3, "-1": 1}}}}


def test_a_split_without_a_category_is_named_with_what_it_takes() -> None:
    assert splits_of(HEAD) == ["train", "val"]
    assert clips_by_split(HEAD) == {
        10: {"train": 5, "val": 2},
        29: {"train": 3, "val": 0},
        -1: {"train": 1, "val": 0},
    }
    assert lacking(HEAD) == [
        "val has no clip of Nonprofits & Activism, uncategorised",
        "a category is in train and in val once it has clips of two channels",
    ]


def test_where_each_split_has_some_of_all_there_is_nothing_to_say() -> None:
    assert lacking({"splits": {name: {"categories": {"10": 1}} for name in ("train", "val")}}) == []
    assert lacking({}) == []


def test_a_test_split_that_was_asked_for_and_is_empty_is_said() -> None:
    head = {**HEAD, "splits": {"train": HEAD["splits"]["train"]}, "config": {"shards.split.test": 0.1}}

    assert lacking(head) == ["test has no clip: a category is in it once it has clips of three channels"]
