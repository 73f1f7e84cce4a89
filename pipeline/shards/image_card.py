"""dataset_card.md of an image-text set."""

from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.config.shards import CardConfig

MEMBERS = {
    "jpg": "the picture",
    "txt": "its first caption, or what is asked about it, UTF-8",
    "json": "all captions, size, licence, origin; right answers where something is asked",
}

_READING = """## Reading

```python
import webdataset as wds
pairs = wds.WebDataset("shards/{split}/00000.tar", shardshuffle=False).decode("pil").to_tuple("jpg", "json")
```

`manifest.json` names every shard with its checksum; `hdvila-train` reads it and verifies. `shards/*/*.parquet` have a
row a picture that was tried, with the reason where it was rejected. Keys of the json are img2dataset's and more."""

_RIGHTS = """The pictures remain the property of their owners; each json has the `licence` that the source names.
Anyone who passes the set on must be allowed to pass on its pictures. Removals: {contact}."""


def image_card(head: Mapping[str, Any], card: CardConfig) -> str:
    """Makes the card: Markdown with Hugging Face's YAML block. `head` is the content of manifest.json."""
    front = {
        "license": card.license,
        "pretty_name": card.title,
        "task_categories": ["image-to-text", "image-text-to-text"],
        "tags": ["webdataset", "image", "captions"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"shards/{split}/*.tar"} for split in head["splits"]],
            }
        ],
    }
    rejected = head.get("rejected", {})
    splits = [f"| {s} | {t['shards']} | {t['samples']} | {t['bytes']} |" for s, t in head["splits"].items()]
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---",
        f"# {card.title}",
        card.description,
        "\n".join(["| split | shards | pictures | bytes |", "|---|---|---|---|", *splits]),
        "Rejected: " + (", ".join(f"{n} {reason}" for reason, n in rejected.items()) or "none") + ".",
        "## A sample",
        "\n".join(["| member | what it is |", "|---|---|", *(f"| `.{e}` | {MEMBERS[e]} |" for e in head["members"])]),
        _READING.format(split="train" if "train" in head["splits"] else next(iter(head["splits"]), "train")),
        "## Origin and rights",
        _RIGHTS.format(contact=card.contact or card.url),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
