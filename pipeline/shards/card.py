"""dataset_card.md: describes a data set to people and to Hugging Face.

It comes from manifest.json's content and the `shards.card` settings alone, so that it can be rewritten at any time; it
has the counts of a review, too, where there was one.
On the Hugging Face hub the card is a repository's README.md: its `configs:` block keeps `datasets` from mistaking the
Parquet files beside the tars for the data.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from manifests.categories import category_name
from manifests.members import MEMBERS
from manifests.review import Review
from pipeline.config.shards import CardConfig
from pipeline.shards.by_split import clips_by_split, lacking, splits_of

WHAT = {member.extension: member.what for member in MEMBERS}

_KEYFRAME_NOTE = (
    "**Each mp4 begins at the keyframe before its sentence.** The clip itself starts at frame `first_frame` "
    "(presentation order) and has `n_frames` frames; `offset_ms` is the same place in milliseconds, rounded down. "
    "Readers that show the whole file show up to some seconds of what came before. `KEY.m4v` and `KEY.mjpg`, where "
    "present, hold the sentence's frames only (`KEY.m4v` each `proxy_step`-th of them), `KEY.flac` or `KEY.opus` its "
    "audio only. The mp4's audio read as one plain array of samples is in its place within 40 ms; `audio_start_ms` of "
    "silence before it makes that exact."
)
_EXACT_NOTE = (
    "Each mp4 holds exactly its sentence: `first_frame` is 0, and `offset_ms` is the packet of audio (21 ms) before it."
)
NOTES = {"remux": _KEYFRAME_NOTE, "exact": _EXACT_NOTE}


def dataset_card(head: Mapping[str, Any], card: CardConfig, review: Review | None = None) -> str:
    """Makes the card: Markdown with Hugging Face's YAML block. `head` is the content of manifest.json."""
    totals = head["totals"]
    front = yaml.safe_dump(_front_matter(head, card), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{front}---",
        f"# {card.title}",
        NOTES[cut_mode(head)],
        description(card),
        f"{totals['samples']} clips, {totals['hours']:.2f} hours, {totals['shards']} shards.",
        markdown_table(
            ("split", "shards", "clips", "hours", "bytes"),
            [(s, t["shards"], t["samples"], f"{t['hours']:.2f}", t["bytes"]) for s, t in head["splits"].items()],
        ),
        "## Categories",
        markdown_table(("category", "clips", "share", *splits_of(head)), category_rows(head)),
        *(f"{sentence[0].upper()}{sentence[1:]}." for sentence in lacking(head)),
        *reviewed(review),
        "## A sample",
        "A sample is a run of members `<video_id>_<number>.<extension>` in a tar.",
        markdown_table(("member", "what it is"), [(f"`.{e}`", WHAT.get(e, "")) for e in head["members"]]),
        _READING.format(split=_first_split(head)),
        "## Origin and rights",
        _RIGHTS.format(contact=card.removals or NO_CONTACT),
    ]
    return "\n\n".join(parts) + "\n"


def reviewed(review: Review | None) -> list[str]:
    """What people found who looked at clips; [] if none did."""
    if review is None or not review.all.n:
        return []
    verdicts = list(review.all.verdicts)
    rows = [(row.category, row.n, *map(row.share, verdicts)) for row in (review.all, *review.categories)]
    return [
        "## Review",
        f"{review.all.n} clips of `{review.asked}`, drawn by seed {review.seed} evenly over categories and judged "
        f"blindly, on {review.at[:10]} (manifest of {review.manifest_created_at or 'an unknown day'}). Shares in %, "
        "with 95 % intervals (Wilson).",
        markdown_table(("category", "judged", *verdicts), rows),
    ]


_READING = """## Reading

```python
import webdataset as wds
clips = wds.WebDataset("shards/{split}/00000.tar", shardshuffle=False).decode()

from datasets import load_dataset       # from the hub, or from a folder in which this card is README.md
clips = load_dataset("path/or/name", split="{split}", streaming=True).decode(False)   # mp4s as bytes
rows = load_dataset("parquet", data_files="shards/{split}/*.parquet")
```

Without `.decode(False)` the mp4s come decoded, by torchcodec, which has to be installed.

`manifest.json` names every shard with its checksum; `hdvila-train` reads it and verifies. `shards/*/*.parquet` have a
row a clip that was tried, with the reason where it failed. `wids.json` and `sizes.json` serve older readers."""

NO_CONTACT = "**no address is given yet** (`shards.card.contact`); do not publish this data set without one"

_RIGHTS = """The clips were cut from public videos; each sample's json has the `url`, `channel_id` and `license` of its
video. The videos remain the property of their owners. To have a video or channel removed: {contact}.
`tombstones.txt` lists what was removed; a removal rewrites the shards and the manifest. Captions are the uploader's
or automatic ones, or what a recogniser heard (`caption_kind`), and contain errors; sentences end at their marks or
where a model puts the ends (`boundary_model`; `pause`: at pauses alone, as where no model knows the language); people,
places and opinions appear as they do in the videos."""


def cut_mode(head: Mapping[str, Any]) -> str:
    """The mode in which the clips were cut, from the configuration in the manifest; `remux` if it doesn't say."""
    mode = head.get("config", {}).get("media.cut.mode")
    return mode if mode in NOTES else "remux"


def _front_matter(head: Mapping[str, Any], card: CardConfig) -> dict[str, Any]:
    return {
        "license": card.license,
        "pretty_name": card.title,
        "task_categories": ["text-to-video"],
        "tags": ["webdataset", "video", "speech", "hd-vila"],
        "size_categories": [size_category(head["totals"]["samples"])],
        "configs": [{"config_name": "default", "data_files": _data_files(head)}],
    }


def _data_files(head: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"split": split, "path": f"shards/{split}/*.tar"} for split in head["splits"]]


_SIZES = (
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M"),
    *("100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T"),
)
"""The hub's names for the number of samples of a data set: below 1,000, then a name for each power of ten."""


def size_category(n_samples: int) -> str:
    """The hub's name for a data set of that size: `1K<n<10K`."""
    return next((name for power, name in enumerate(_SIZES, 3) if n_samples < 10**power), "n>1T")


def _first_split(head: Mapping[str, Any]) -> str:
    return "train" if "train" in head["splits"] else next(iter(head["splits"]), "train")


def description(card: CardConfig) -> str:
    """The card's own paragraph, or a neutral one."""
    return card.description or (
        "Sentences of speech with the 720p video that goes with them: each clip is one sentence of a video's captions, "
        "cut at its first word's start and its last word's end."
    )


def category_rows(head: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Rows of a table: category, clips, share of all, clips in each split."""
    total = head["totals"]["samples"] or 1
    return [
        (category_name(i), n := sum(clips.values()), f"{100 * n / total:.1f} %", *clips.values())
        for i, clips in clips_by_split(head).items()
    ]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
