"""Batches: captions compared as people read them."""

from train.feed.batches import caption_ids


def test_captions_are_compared_without_case_and_spacing() -> None:
    texts = ["A red  car", "a red car", "a red cat"]
    same, also, other = caption_ids(texts)
    assert same == also != other
