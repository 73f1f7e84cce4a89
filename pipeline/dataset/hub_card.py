"""README.md and LICENSE.md of an export for the Hugging Face hub.

The YAML block is what `datasets` and the viewer go by
(https://huggingface.co/docs/hub/datasets-cards, https://huggingface.co/docs/hub/datasets-manual-configuration).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import yaml

from manifests.errors import printable
from manifests.review import Review
from pipeline.config.shards import CardConfig
from pipeline.shards.by_split import lacking, splits_of
from pipeline.shards.card import (
    NO_CONTACT,
    NOTES,
    WHAT,
    category_rows,
    cut_mode,
    description,
    markdown_table,
    reviewed,
    size_category,
)
from pipeline.text.captions.track import primary

COLUMNS = {
    "clip_id": ("string", "`<video_id>.<number>`"),
    "video_id": ("string", "the site's id of the video"),
    "url": ("string", "where the video is"),
    "start_ms": ("int64", "start of the sentence in the video, ms"),
    "end_ms": ("int64", "its end"),
    "caption": ("string", "the sentence"),
    "channel_id": ("string", "who published the video"),
    "category": ("string", "one of the 15 categories, or `uncategorised`"),
    "language": ("string", "of the captions"),
    "license": ("string", "of the video, as its page says; empty: not known"),
}
"""Of an export without media, in their order: type and meaning."""
_LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True)
class Contents:
    """What an export holds: its videos with their licences ("" if unknown) and languages, {licence: clips}, hours."""

    licence_of: Mapping[str, str]
    language_of: Mapping[str, str]
    clips: Mapping[str, int]
    hours: float

    def languages(self) -> list[str]:
        """The languages by their codes, sorted."""
        codes = {primary(language) for language in self.language_of.values()}
        return sorted(filter(_LANGUAGE.fullmatch, codes))

    def licences(self) -> str:
        """The licences as a message has them."""
        return named_licences(self.clips)


def named_licences(clips: Mapping[str, int]) -> str:
    """{licence: clips} as a message has them, the most frequent first: 'Creative …' (12 clips), unknown (3 clips)."""
    ordered = sorted(clips.items(), key=lambda item: -item[1])
    return ", ".join(f"{repr(licence[:80]) if licence else 'unknown'} ({n} clips)" for licence, n in ordered[:9])


def hub_card(
    head: Mapping[str, Any], card: CardConfig, contents: Contents, *, with_media: bool, review: Review | None = None
) -> str:
    """Makes README.md. `head` is a manifest's content, with the counts of what is exported."""
    totals = head["totals"]
    front = yaml.safe_dump(_front(head, card, contents, with_media), sort_keys=False, allow_unicode=True)
    meaning = [(f"`{name}`", what) for name, (_, what) in COLUMNS.items()]
    members = [(f"`{extension}`", WHAT.get(extension, "")) for extension in head.get("members", [])]
    shown = _CLIPS if with_media else _TEXTS
    parts = [
        f"---\n{front}---",
        f"# {card.title}",
        NOTES[cut_mode(head)] if with_media else _NO_MEDIA,
        description(card),
        f"{totals['samples']} clips of {len(contents.licence_of)} videos, {totals['hours']:.2f} hours.",
        markdown_table(
            ("split", "clips", "hours"),
            [
                (split, head["splits"][split]["samples"], f"{head['splits'][split]['hours']:.2f}")
                for split in splits_of(head)
            ],
        ),
        shown.format(split=splits_of(head)[0]),
        markdown_table(("column", "what it is"), members if with_media else meaning),
        "## Categories",
        markdown_table(("category", "clips", "share", *splits_of(head)), category_rows(head)),
        *(f"{sentence[0].upper()}{sentence[1:]}." for sentence in lacking(head)),
        *reviewed(review),
        "## Rights",
        _RIGHTS.format(contact=card.removals or NO_CONTACT),
        *([f"To cite: {card.citation}"] if card.citation else []),
    ]
    return "\n\n".join(parts) + "\n"


_NO_MEDIA = "**Ids, spans and texts, without media**: each row is a sentence and where it is said in which video."

_READ = """## Reading

```python
from datasets import load_dataset
clips = load_dataset("path/or/name", split="{{split}}", streaming=True){more}
```"""
_TEXTS = _READ.format(more='\nprint(next(iter(clips))["caption"])')
_CLIPS = (
    _READ.format(more='.decode(False)     # mp4s as bytes\nprint(next(iter(clips))["txt"])')
    + "\n\nWithout `.decode(False)` the mp4s come decoded, by torchcodec, which has to be installed. The tars are "
    "WebDataset's."
)
_RIGHTS = """The videos remain the property of their owners, under the licences that LICENSE.md counts. To have a video
or channel removed: {contact}. What is removed is not in the next version of this repository; its history keeps earlier
ones until they are deleted there. Captions are the uploader's or automatic ones and contain errors; people, places and
opinions appear as they do in the videos."""


def _front(head: Mapping[str, Any], card: CardConfig, contents: Contents, with_media: bool) -> dict[str, Any]:
    is_other = card.license == "other"
    ending = "tar" if with_media else "parquet"
    splits = splits_of(head)
    features = [{"name": name, "dtype": kind} for name, (kind, _) in COLUMNS.items()]
    return {
        "license": card.license,
        **({"license_name": "as-each-video-says", "license_link": "LICENSE.md"} if is_other else {}),
        "language": contents.languages(),
        "pretty_name": card.title,
        "task_categories": ["text-to-video"],
        "tags": ["video", "speech", "hd-vila", *["webdataset"] * with_media],
        "size_categories": [size_category(head["totals"]["samples"])],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}/*.{ending}"} for split in splits],
            }
        ],
        "dataset_info": {
            **({} if with_media else {"features": features}),
            "splits": [_split(split, head["splits"][split]) for split in splits],
        },
    }


def _split(name: str, counts: Mapping[str, Any]) -> dict[str, Any]:
    """A split with its size, by which `datasets` sees whether it has loaded all."""
    return {"name": name, "num_bytes": counts["bytes"], "num_examples": counts["samples"]}


def licence_page(contents: Contents) -> str:
    """Makes LICENSE.md: no licence of the collection's own, but those of its videos."""
    by_clips = sorted(contents.clips.items(), key=lambda item: -item[1])
    rows = [(escape(printable(licence[:200])).replace("|", "\\|") or "not known", n) for licence, n in by_clips]
    return (
        "# Licences\n\nEach clip is under the licence of its video, which `license` of its row or json names, as the "
        "video's page says it.\n\n" + markdown_table(("licence", "clips"), rows) + "\n"
    )
