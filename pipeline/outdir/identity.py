"""What a data set is made of: the identity keys of its configuration, kept in run.json.

A run over an output directory whose identity keys differ is refused, naming each key and the first stage it touches;
`--redo STAGE` takes back the commits from that stage on.
"""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from manifests.errors import UserError
from manifests.schema import SCHEMA_VERSION
from manifests.settings import identity_values
from pipeline.engine.store import Store

RUN_FILE = "run.json"

STAGE_ORDER = ("folder", "list", "choose", "extract", "transcripts", "clips", "balance", "media", "shards", "manifest")
"""Stages in the order of data flow. What a changed key touches is its first stage and all that follow."""

ALIASES = {
    "fetch": "media",
    "scenes": "media",
    "cut": "media",
    "members": "media",
    "checks": "media",
}
"""Parts of a unit by the stage that runs them."""

OUTPUTS = {
    "balance": ("selection.parquet", "balance.json"),
    "manifest": ("manifest.json", "manifest.parquet", "wids.json", "sizes.json"),
}


def check_identity(store: Store, config: BaseModel, *, redo: str = "") -> None:
    """Compares a configuration with the one that made the output directory; writes run.json where it is new.

    Raises UserError for a difference that `redo` does not cover.
    """
    wanted = {key: value for key, (value, _) in identity_values(config).items()}
    stages = {key: stage for key, (_, stage) in identity_values(config).items()}
    if redo:
        redo_from(store, redo)
    if store.exists(RUN_FILE):
        kept = store.read_json(RUN_FILE)
        _refuse_unknown(store, kept)
        changed = {
            key for key in wanted.keys() | kept["identity"].keys() if wanted.get(key) != kept["identity"].get(key)
        }
        if not changed:
            return
        touched = kept.get("stages", {}) | stages
        first = min((stage_of(touched.get(key, "")) for key in changed), key=STAGE_ORDER.index)
        if not redo or STAGE_ORDER.index(stage_of(redo)) > STAGE_ORDER.index(first):
            raise UserError(_difference(store, kept["identity"], wanted, changed, first))
    facts = {
        "schema_version": SCHEMA_VERSION,
        "created_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "identity": wanted,
        "stages": stages,
    }
    store.write_json(RUN_FILE, facts)


def stage_of(name: str) -> str:
    """The stage that a name stands for. Raises UserError for a name that is none."""
    stage = ALIASES.get(name, name or STAGE_ORDER[0])
    if stage not in STAGE_ORDER:
        raise UserError(f"--redo {name}: no such stage; stages are {', '.join(STAGE_ORDER)}")
    return stage


def redo_from(store: Store, name: str) -> None:
    """Takes back every commit of a stage and of those after it, so that they run again."""
    first = STAGE_ORDER.index(stage_of(name))
    if first > STAGE_ORDER.index("media"):
        _refuse_without_packs(store, name)
    if first <= STAGE_ORDER.index("extract"):  # the crawl is planned anew
        for folder in ("rounds", "rounds/wanted", "retries"):
            for plan in store.names(folder):
                store.delete(f"{folder}/{plan}")
    for stage in STAGE_ORDER[first:]:
        for relative in OUTPUTS.get(stage, ()):
            store.delete(relative)
        for unit in store.committed(stage):
            store.uncommit(stage, unit)


def _refuse_without_packs(store: Store, name: str) -> None:
    """Shards are joined from packs; where these were removed, only the media stage can make them again."""
    present = {f"packs/{pack}" for pack in store.names("packs")}
    needed = set(store.read_table("packs", ["pack"]).column("pack").to_pylist()) - {""}
    if gone := len(needed - present):
        raise UserError(
            f"{store.url}: --redo {name} needs the packs of {gone} videos, which were removed once their samples "
            "were in shards (shards.keep_packs: false); run with --redo media, or choose another output directory"
        )


def _refuse_unknown(store: Store, kept: Any) -> None:
    if not isinstance(kept, dict) or kept.get("schema_version") != SCHEMA_VERSION:
        found = kept.get("schema_version") if isinstance(kept, dict) else None
        raise UserError(
            f"{store.url}: made by another version of this program (schema {found}); use a new output directory"
        )


def _difference(store: Store, kept: dict[str, Any], wanted: dict[str, Any], changed: set[str], first: str) -> str:
    lines = [f"  {key}: was {kept.get(key)!r}, is now {wanted.get(key)!r}" for key in sorted(changed)]
    again = ", ".join(STAGE_ORDER[STAGE_ORDER.index(first) :])
    return (
        f"{store.url}: was made with other settings:\n"
        + "\n".join(lines)
        + f"\nThe first stage they touch is {first}. "
        f"Use another output directory, or run with --redo {first}, which does again: {again}"
    )
