"""The answer to a request to be left out: what was found where, and what is left that this program does not reach.

    removed.json    for programs
    removed.html    a page for the person who asked

Both say the same and name each other's source: `sha256` is that of the JSON without itself. It is written outside the
data set, which after a purge names nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

from manifests.version import made_by

if TYPE_CHECKING:
    from pipeline.dataset.remove import Removal
    from pipeline.engine.store.store import Store

JSON_NAME, PAGE_NAME = "removed.json", "removed.html"
BACKUPS = "Backups of the folder, and copies, exports and merges elsewhere, as far as they were made before."
COPIES = "Who holds one of these manifests has a copy of the samples, and a training run that names one has read them."
PUSHED = (
    "What was pushed to the Hugging Face hub: the next `export --push` to the same name deletes there what was removed "
    "here, and its history keeps it until it is deleted too."
)
NAMES = "The ids by which later runs are kept from taking it again; `remove --purge` leaves hashes alone of them."
TABLES = "Captions and words in the tables of the crawl, which are not published; `remove --purge` erases them."
_SAYS = {
    "asked": "What was asked",
    "videos": "Videos that were found",
    "clips": "Clips that say one of the sentences",
    "repeats": "Of these, the same film as one that was asked for",
    "unknown": "Not found; kept out from now on",
    "samples": "Samples that were removed",
    "shards": "Files that were rewritten without them",
    "packs_deleted": "Files that were deleted",
    "rows_emptied": "Rows of tables that were emptied",
    "manifest_after": "The data set as it is now",
    "manifests_before": "Published as",
    "pushes": "Pushed to the Hugging Face hub",
    "left": "What is left",
}


def write_answer(folder: Store, url: str, asked: Sequence[str], done: Removal, *, purged: bool) -> str:
    """Writes both files into a folder; returns the page's address. `asked`: the lines of the request."""
    kept = [*[NAMES] * bool(done.videos), *[TABLES] * bool(done.clips)]
    left = [BACKUPS, *[COPIES] * bool(done.manifests), *[PUSHED] * bool(done.pushes), *(() if purged else kept)]
    facts: dict[str, Any] = {
        "data_set": url,
        "date": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "made_by": made_by(),
        "asked": list(asked),
        "videos": list(done.videos),
        "clips": list(done.clips),
        "repeats": list(done.repeats),
        "unknown": list(done.unknown),
        "samples": list(done.keys),
        "shards": list(done.shards),
        "packs_deleted": done.n_packs,
        "rows_emptied": done.n_purged,
        "manifest_after": done.manifest_after,
        "manifests_before": list(done.manifests),
        "pushes": list(done.pushes),
        "left": left,
    }
    facts["sha256"] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    folder.write(JSON_NAME, json.dumps(facts, indent=1).encode())
    folder.write(PAGE_NAME, _page(facts).encode())
    return f"{folder.url.rstrip('/')}/{PAGE_NAME}"


def _page(facts: Mapping[str, Any]) -> str:
    body = "".join(f"<h2>{escape(title)}</h2>{_shown(facts[name])}" for name, title in _SAYS.items())
    head = f"{escape(facts['data_set'])}, {escape(facts['date'])}, {escape(facts['made_by'])}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>What was removed</title>'
        "<style>body{font:1rem/1.5 sans-serif;max-width:50rem;margin:2rem auto}code{overflow-wrap:anywhere}</style>"
        f"<h1>What was removed</h1><p>{head}</p>{body}<p>Signed off: <code>{facts['sha256']}</code></p></html>\n"
    )


def _shown(value: object) -> str:
    if isinstance(value, list):
        items = "".join(f"<li><code>{escape(str(it))}</code></li>" for it in value)
        return f"<ul>{items}</ul>" if items else "<p>none</p>"
    return f"<p><code>{escape(str(value)) or 'none'}</code></p>"
