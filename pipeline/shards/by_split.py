"""Which split has how much of which category: what manifest.json counts, for the card, the report and `audit`."""

from collections.abc import Mapping
from typing import Any

from manifests.categories import category_name
from pipeline.shards.draw import SPLITS


def splits_of(head: Mapping[str, Any]) -> list[str]:
    """The names of the splits that manifest.json lists: ours in their order, then any others."""
    names = head.get("splits", {})
    return [*(name for name in SPLITS if name in names), *(name for name in names if name not in SPLITS)]


def clips_by_split(head: Mapping[str, Any]) -> dict[int, dict[str, int]]:
    """{category id: {split: clips}} of every category with a clip, uncategorised last."""
    counts = {name: head["splits"][name]["categories"] for name in splits_of(head)}
    ids = {int(category) for of_split in counts.values() for category, n in of_split.items() if n}
    return {
        category_id: {name: of_split.get(str(category_id), 0) for name, of_split in counts.items()}
        for category_id in sorted(ids, key=lambda i: (i < 0, i))
    }


def lacking(head: Mapping[str, Any]) -> list[str]:
    """A sentence for each split that has no clip of some category, or of any; [] where each has some of all."""
    by_category, sentences = clips_by_split(head), []
    for split in splits_of(head):
        names = [category_name(category_id) for category_id, clips in by_category.items() if not clips[split]]
        if names:
            sentences.append(f"{split} has no clip of {', '.join(names)}")
    if sentences:
        sentences.append("a category is in train and in val once it has clips of two channels")
    if by_category and head.get("config", {}).get("shards.split.test", 0) and "test" not in splits_of(head):
        sentences.append("test has no clip: a category is in it once it has clips of three channels")
    return sentences
