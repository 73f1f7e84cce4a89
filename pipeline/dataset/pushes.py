"""What of a data set was pushed to the Hugging Face hub, where and when: pushes.json, a list that only grows.

An entry is written before the upload, without a commit: what may have arrived is listed rather than missed. So a
removal can say where copies are, the hub's history included, and a push knows which repository is its own to replace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests import hub
from manifests.errors import UserError
from pipeline.engine.store.store import Store

if TYPE_CHECKING:  # whatever removes or looks for files reads what was pushed, and makes no export
    from pipeline.config.shards import CardConfig
    from pipeline.dataset.hub_card import Contents
    from pipeline.dataset.hub_folder import Choice

PUSHES_NAME = "pushes.json"
DATA = "data"
"""Folder of an export with all that is not about it: its next version replaces what is there."""


def read_pushes(store: Store) -> list[dict[str, Any]]:
    """Each push, the oldest first: `repository`, `at`, `address`, `commit`, `public`, and the facts of hdvila.json."""
    pushes: list[dict[str, Any]] = store.read_json(PUSHES_NAME) if store.exists(PUSHES_NAME) else []
    return pushes


def lines_of(pushes: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each push: where, when, and what."""
    lines = []
    for each in pushes:
        media = "with media" if each["media"] else "without media"
        where = f"{each['address']}, commit {each['commit']}" if each["commit"] else f"{each['repository']}, perhaps"
        lines.append(f"{where}: {each['n_clips']} clips {media}, {each['at']}")
    return lines


def _to(name: str, pushes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in pushes if each["repository"] == name]


def refuse_push(store: Store, name: str, card: CardConfig, contents: Contents, choice: Choice) -> None:
    """Raises UserError, before anything is written, for what must not be pushed, or not there."""
    if not card.removals:
        raise UserError(
            f"--push: {store.url} names nobody who can be asked for removal; set shards.card.contact in its "
            "configuration to an address that somebody reads, and run it again"
        )
    if choice.media and not choice.licences:
        raise UserError(
            "--push --media: films are for their owners to give away; name the licences that allow it: --licence WORD "
            f"(here: {contents.licences()})"
        )
    if unknown := contents.clips.get("", 0):
        raise UserError(
            f"--push: the licence of {unknown} of {sum(contents.clips.values())} clips is not known; leave them out by "
            f"naming those to take: --licence WORD (here: {contents.licences()})"
        )
    if not _to(name, read_pushes(store)) and (others := hub.files_at(name, "dataset")):
        raise UserError(
            f"--push {name}: holds files that were not pushed from {store.url} ({others[0][:80]}); "
            "name a repository of its own"
        )


def push(store: Store, folder: Path, name: str, facts: Mapping[str, Any], *, public: bool) -> list[str]:
    """Uploads a written folder and notes it; the lines to print. What the repository had of an earlier push goes."""
    before = read_pushes(store)
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    entry = {"repository": name, "at": now, "public": public, "address": "", "commit": "", **facts}
    store.write_json(PUSHES_NAME, [*before, entry])
    done = hub.push(folder, name, kind="dataset", public=public, again="the same command", replaced=f"{DATA}/*")
    store.write_json(PUSHES_NAME, [*before, {**entry, "address": done.address, "commit": done.commit}])
    said = [f"pushed to {done.address} ({'public' if public else 'private'}); noted in {store.url}/{PUSHES_NAME}"]
    if earlier := _to(name, before):
        said.append(
            f"what was removed here since the push of {earlier[-1]['at']} is deleted there; the hub's history "
            f"still has it: huggingface_hub.HfApi().super_squash_history({name!r}, repo_type='dataset') drops that"
        )
    return said
