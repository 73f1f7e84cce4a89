"""Published pictures and captions, in small, and what became of them."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from manifests.shards import read_manifest
from pipeline.media.packs import index_pack, read_members


def jpeg(size: tuple[int, int] = (64, 48), colour: Any = (200, 30, 30), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG", **options)
    return out.getvalue()


def samples_of(out: Path) -> list[dict[str, bytes]]:
    """The members of every sample, shard by shard."""
    found = []
    for entry in read_manifest(str(out)).shards:
        with (out / entry.url).open("rb") as file:
            found += [read_members(file, sample) for sample in index_pack(file)]
    return found
