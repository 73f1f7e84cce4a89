"""Pauses as people see them: the state that a run saves, and a one-line summary."""

import logging
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

from pipeline.engine.store.store import Store
from pipeline.site.identities import IdentityState, PolitenessState

log = logging.getLogger("hdvila")


MOST_NAMED = 3
"""Of identities that are paused for the same reason, so many are named."""

STATE_FILE = "politeness.json"
"""The state that a run saves of its identities, so that their pauses outlast restarts."""


class Watched(Protocol):
    """Something with a state to show: Politeness, local or in an actor."""

    def snapshot(self) -> PolitenessState: ...


def read_state(store: Store, now: float | None = None) -> PolitenessState:
    """The last saved state of the identities, with what is left of their pauses; {} if none can be read."""
    try:
        state: dict[str, Any] = store.read_json(STATE_FILE)
        elapsed_s = max(0.0, (time.time() if now is None else now) - state["at"])
        for saved in state["identities"]:
            for key in ("paused_s", "captions_paused_s"):
                saved[key] = round(max(0.0, saved.get(key, 0.0) - elapsed_s), 3)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    return cast(PolitenessState, state)


def forget_videos(store: Store, video_ids: Collection[str]) -> None:
    """Takes removed videos out of the state: none is a canary any more."""
    try:
        state: PolitenessState = store.read_json(STATE_FILE)
        state["canaries"] = [name for name in state["canaries"] if name not in video_ids]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return
    store.write_json(STATE_FILE, state)


@contextmanager
def log_pauses_of(polite: Watched, requests: dict[str, int], every_s: float = 5.0) -> Iterator[None]:
    """During the block, logs when identities are paused or active again, and keeps `requests`, the number of each
    identity's, up to date.
    """
    ended = threading.Event()

    def watch() -> None:
        said = ""
        while not ended.wait(every_s):
            snapshot = polite.snapshot()
            paused = " ".join(identity["name"] for identity in snapshot["identities"] if _is_paused(identity))
            if paused != said:
                log.warning("%s", describe_pauses(snapshot) or "all identities active again")
            said = paused
            for identity in snapshot["identities"]:
                requests[identity["name"]] = sum(identity["requests"].values())

    watcher = threading.Thread(target=watch, name="politeness", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _is_paused(identity: IdentityState) -> bool:
    return identity["paused_s"] > 0


def describe_pauses(snapshot: PolitenessState) -> str:
    """A line for a screen: which identities are paused, why and for how long; "" while all are active."""
    paused = [identity for identity in snapshot.get("identities", []) if _is_paused(identity)]
    if not paused:
        return ""
    by_why: dict[str, list[IdentityState]] = {}
    for identity in paused:
        by_why.setdefault(identity["why"], []).append(identity)
    parts = ", ".join(_describe_alike(why, alike) for why, alike in by_why.items())
    return f"{len(paused)} of {len(snapshot['identities'])} identities: {parts}; no work is lost"


def _describe_alike(why: str, alike: Sequence[IdentityState]) -> str:
    """Identities that are paused for the same reason."""
    names = [identity["name"] for identity in alike]
    shown = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if names[MOST_NAMED:] else "")
    first, last = (f"{pick(identity['paused_s'] for identity in alike):.0f}" for pick in (min, max))
    return f"{shown} paused for another {first if first == last else f'{first} to {last}'} s ({why})"
