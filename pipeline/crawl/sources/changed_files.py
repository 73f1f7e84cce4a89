"""The files of the folder source that are others than those that were looked at: a run looks at them anew.

Asked at the start of a run: a video's file by its size and the time of its last change (media compares the content
before it cuts), a rejected file and what lies beside it by that time. Clips that were cut stay: they have the text of
the film that they were cut from. A run says which of their files have changed.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pyarrow.compute as pc

from manifests.reasons import Reason
from pipeline.config import RunConfig
from pipeline.crawl.sources.file_names import without_format
from pipeline.engine.store.store import Store
from pipeline.media.source_files import is_touched, path_of
from pipeline.outdir.retries import look_again
from pipeline.query.rejects import rejects_in_force

log = logging.getLogger("hdvila")
MOST_NAMED = 5
"""Files in the line about those that have changed."""


def look_at_changed_files(config: RunConfig, store: Store) -> None:
    """Takes back what was made of files that have changed since they were looked at, and says so in a line."""
    folder = config.folder.path
    if "folder" not in config.crawl.sources or folder is None or not folder.is_dir():
        return
    packs = store.read_table("packs", ["video_id", "pack"])
    cut = set(packs.filter(pc.not_equal(packs.column("pack"), "")).column("video_id").to_pylist())
    changed = dict(_changed_videos(store))
    if stay := {video_id: name for video_id, name in changed.items() if video_id in cut}:
        said = "files have changed since clips were cut of them; these stay, and --redo media cuts all videos anew"
        log.warning("%s: %d %s: %s", folder, len(stay), said, _named(stay))
    again = {video_id: name for video_id, name in changed.items() if video_id not in cut}
    again |= dict(_changed_rejects(store, folder))
    if again:
        look_again(store, "folder", again.keys())
        said = "files are others than when they were looked at, and are looked at anew"
        log.warning("%s: %d %s: %s", folder, len(again), said, _named(again))


def _named(files: Mapping[str, str]) -> str:
    return ", ".join(sorted(files.values())[:MOST_NAMED]) + " …" * (len(files) > MOST_NAMED)


def _changed_videos(store: Store) -> Iterator[tuple[str, str]]:
    """(id, file name) of the videos whose file has another size or time of change, or that media found changed."""
    videos = store.read_table("videos", ["video_id", "media_path", "media_bytes", "media_stamp"])
    videos = videos.filter(pc.not_equal(videos.column("media_path"), ""))
    of_media = rejects_in_force(store, "stage = 'media' AND reason = ?", Reason.CHANGED.value)
    found = set(of_media.column("video_id").to_pylist())
    for row in videos.to_pylist():
        path = path_of(row["media_path"])
        if row["video_id"] in found or (path.is_file() and is_touched(path, row["media_bytes"], row["media_stamp"])):
            yield row["video_id"], path.name


def _changed_rejects(store: Store, folder: Path) -> Iterator[tuple[str, str]]:
    """(id, file name) of the rejected files that were changed after their look, or that have other files beside them.

    A reject's detail begins with the name of its file.
    """
    rejects = rejects_in_force(store, "stage = 'folder'").to_pylist()
    if not rejects:
        return
    paths: dict[str, list[Path]] = defaultdict(list)
    changed_s: dict[tuple[Path, str], int] = defaultdict(int)
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        paths[path.name].append(path)
        words = path.name.split(".")
        for n in range(1, len(words) + 1):
            stem = path.parent, ".".join(words[:n])
            changed_s[stem] = max(changed_s[stem], _changed_s(path))
    for row in rejects:
        seen_s = datetime.fromisoformat(row["at"]).timestamp()
        words = row["detail"].split(": ")
        names = (": ".join(words[:n]) for n in range(1, len(words)))
        named = next((paths[name] for name in names if name in paths), [])
        if any(changed_s[path.parent, without_format(path.stem)] > seen_s for path in named):
            yield row["video_id"], named[0].name


def _changed_s(path: Path) -> int:
    """When a file came to be what it is under its name, in whole seconds since 1970: written, or put in place."""
    facts = path.stat()
    return int(max(facts.st_mtime, facts.st_ctime))
