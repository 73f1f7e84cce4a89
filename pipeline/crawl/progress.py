"""What an unfinished extraction unit has so far: a kill loses the video in flight, not the whole batch.

    progress/<unit>.<video_id>.json     one video's rows, or its reject; read when the unit is tried again
    progress/<unit>.first_look.json     the rejects of the Data API

The site's answers are recorded, not recomputed, so taking them from here does not change what is committed. The driver
removes a unit's files once it is committed.
"""

import base64
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from manifests.reasons import Reason
from manifests.rows import CaptionRow, VideoRow
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Reject

FOLDER = "progress"
STAGE = "extract"
FIRST_LOOK = "first_look"
"""In the place of a video's id, which has 11 characters."""

Found = tuple[VideoRow, list[CaptionRow]]
"""A row of `videos` and its rows of `captions`."""


def remember(store: Store, unit: str, video_id: str, outcome: Found | Reject) -> None:
    """Records the outcome of a video. Internal errors are not recorded, so that they are tried again."""
    if isinstance(outcome, Reject):
        if outcome.reason is not Reason.INTERNAL_ERROR:
            store.write_json(_path(unit, video_id), {"reject": asdict(outcome)})
        return
    video, captions = outcome
    texts = [{**row, "payload": base64.b64encode(row["payload"]).decode()} for row in captions]
    store.write_json(_path(unit, video_id), {"video": video, "captions": texts})


def remember_first_look(store: Store, unit: str, decided: Mapping[str, Reject]) -> None:
    """Records what the Data API decided of a unit's videos; of the others it says nothing."""
    store.write_json(_path(unit, FIRST_LOOK), [asdict(reject) for reject in decided.values()])


def recall_first_look(store: Store, unit: str) -> dict[str, Reject] | None:
    """What an earlier attempt recorded of the Data API's answer; None if nothing can be read."""
    try:
        rejects = [_reject(facts) for facts in store.read_json(_path(unit, FIRST_LOOK))]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return {reject.video_id: reject for reject in rejects}


def recall(store: Store, unit: str) -> dict[str, Found | Reject]:
    """What earlier attempts at a unit recorded, by video id; damaged files count as missing."""
    outcomes: dict[str, Found | Reject] = {}
    for name in store.names(FOLDER):
        of_unit, _, rest = name.partition(".")
        if of_unit != unit:
            continue
        video_id = rest.removesuffix(".json")
        if video_id == FIRST_LOOK:
            continue
        try:
            outcomes[video_id] = _read(store.read_json(f"{FOLDER}/{name}"))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            continue
    return outcomes


def _read(facts: dict[str, Any]) -> Found | Reject:
    if "reject" in facts:
        return _reject(facts["reject"])
    captions = [{**row, "payload": base64.b64decode(row["payload"])} for row in facts["captions"]]
    return cast(VideoRow, facts["video"]), cast(list[CaptionRow], captions)


def _reject(facts: dict[str, Any]) -> Reject:
    return Reject(**{**facts, "reason": Reason(facts["reason"])})


def forget_committed(store: Store) -> None:
    """Deletes the records of units that are committed."""
    names = store.names(FOLDER)
    done = store.committed_of(STAGE, {name.partition(".")[0] for name in names}) if names else set()
    for name in names:
        if name.partition(".")[0] in done:
            store.delete(f"{FOLDER}/{name}")


def forget_unfinished(store: Store) -> None:
    """Deletes all of it: what is still wanted is asked again, a batch for each worker at most."""
    store.delete_all([f"{FOLDER}/{name}" for name in store.names(FOLDER)])


def _path(unit: str, video_id: str) -> str:
    return f"{FOLDER}/{unit}.{video_id}.json"  # units and ids contain no dot; one folder, so none is left empty
