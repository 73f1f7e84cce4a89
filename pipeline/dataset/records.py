"""What was removed, for those who hold a copy: `removals/<date>-<hash>.json`, ids and keys only.

    {"date": …, "asked": {"videos": […], "channels": […], "urls": […], "texts": […]}, "videos": […], "keys": […],
     "purged": …}

Sentences are there as hashes at once. After a purge each name of it is the salted hash of its kind and itself, with the
`salt` beside (pipeline/outdir/tombstones.py): who holds a copy can tell whether it holds one of them, and nobody else
what they were.
"""

import hashlib
import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from manifests.shards import RECORDS
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import REMOVED, Tombstones, hash_of_text, hashed, is_pseudonym


def write_record(
    store: Store, asked: Tombstones, videos: Iterable[str], keys: Iterable[str], salt: str, *, purged: bool
) -> str:
    """Writes the record of a removal, with hashes in the place of sentences; its path."""
    names = {"videos": sorted(asked.videos), "channels": sorted(asked.channels), "urls": sorted(asked.urls)}
    names["texts"] = sorted(hash_of_text(text, salt).digest for text in asked.texts)
    today = datetime.now(UTC).date().isoformat()
    facts = {"date": today, "asked": names, "videos": sorted(videos), "keys": sorted(keys), "purged": purged}
    facts |= {"salt": salt} if asked.texts else {}
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    path = f"{RECORDS}/{today}-{digest}.json"
    store.write_json(path, facts)
    return path


def found_by_address(store: Store, urls: Collection[str], salt: str) -> frozenset[str]:
    """What removals found that were asked for these addresses: ids and pseudonyms. The tables tell it no more."""
    names = {*urls, *(hashed("url", url, salt).digest for url in urls)}
    records = (store.read_json(f"{RECORDS}/{name}") for name in store.names(RECORDS) if name.endswith(".json"))
    found = {name for it in records if not names.isdisjoint(it["asked"]["urls"]) for name in it["videos"]}
    return frozenset(found | {made for name in found if is_pseudonym(made := f"{REMOVED}{name}")})


def hash_records(store: Store, purged: Tombstones, salt: str) -> None:
    """Puts salted hashes in the place of these names, in all records."""
    for name in store.names(RECORDS):
        if not name.endswith(".json"):
            continue
        record: dict[str, Any] = store.read_json(f"{RECORDS}/{name}")
        asked = record["asked"]
        texts = {hash_of_text(text, record.get("salt", salt)).digest for text in purged.texts}
        of_texts = not texts.isdisjoint(asked["texts"])
        new = {
            **record,
            "asked": {
                kinds: _hashed(asked[kinds], kind, known, salt)
                for kinds, kind, known in (
                    ("videos", "video", purged.videos),
                    ("channels", "channel", purged.channels),
                    ("urls", "url", purged.urls),
                )
            }
            | {"texts": asked["texts"]},
            "videos": _hashed(record["videos"], "video", purged.videos, salt),
            "keys": sorted(
                hashed("key", key, salt).digest if of_texts or key.rpartition("_")[0] in purged.videos else key
                for key in record["keys"]
            ),
        }
        if new != record:
            store.write_json(f"{RECORDS}/{name}", {**new, "salt": salt})


def _hashed(names: Iterable[str], kind: str, purged: Collection[str], salt: str) -> list[str]:
    return sorted(hashed(kind, name, salt).digest if name in purged else name for name in names)
