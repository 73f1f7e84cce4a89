"""The files of the folder source that are others than those that were looked at: a run says which.

Asked at the start of a run, by size and time of change; media compares the content before it cuts. Clips that were cut
stay: they have the text of the film that they were cut from.
"""

import logging

import pyarrow.compute as pc

from pipeline.config import RunConfig
from pipeline.engine.store.store import Store
from pipeline.media.source_files import is_touched, path_of

log = logging.getLogger("hdvila")
MOST_NAMED = 5
"""Files in the line about those that have changed."""


def say_changed_files(config: RunConfig, store: Store) -> None:
    """Names the files of videos that have another size or time of change than when they were looked at."""
    if "folder" not in config.crawl.sources:
        return
    videos = store.read_table("videos", ["media_path", "media_bytes", "media_stamp"])
    of_files = videos.filter(pc.not_equal(videos.column("media_path"), "")).to_pylist()
    paths = ((path_of(row["media_path"]), row) for row in of_files)
    changed = sorted(
        path.name for path, row in paths if path.is_file() and is_touched(path, row["media_bytes"], row["media_stamp"])
    )
    if changed:
        log.warning(
            "%s: %d files have changed since they were looked at: %s%s; --redo folder looks at all of it again",
            config.folder.path,
            len(changed),
            ", ".join(changed[:MOST_NAMED]),
            " …" * (len(changed) > MOST_NAMED),
        )
