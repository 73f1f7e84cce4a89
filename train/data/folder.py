"""A folder of videos as a data set (`data.videos`): each file is a sample without a caption of its own.

Its texts or questions come from an annotation file, which goes by the files' names. There are no shards, no members and
no index files: a sample is the path of its file, which is decoded where it lies (train.data.film). The order mixes all
of them, since no file is read in part.
"""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests.errors import UserError
from manifests.sample_index import SampleColumns
from manifests.shards import Manifest, ShardEntry
from train.annotations.files import video_name
from train.data.film import videos_in
from train.data.index import Index

NO_CATEGORY = -1


def films_in(folder: Path) -> dict[str, Path]:
    """The video files under a folder by the names that annotation files give them; of files of one name, the first.

    UserError if there is no such folder, or no video in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of videos")
    films: dict[str, Path] = {}
    for path in videos_in(folder):
        films.setdefault(video_name(path.name), path)
    return films


def open_folder(folder: Path) -> Index:
    """The videos under a folder as samples (`films_in`).

    The manifest that goes with it exists nowhere; its hash is of the names and sizes of the files. UserError if there
    is no such folder, or no video in it.
    """
    films = {f"{name}_00000": str(path) for name, path in films_in(folder).items()}
    digest = hashlib.sha256()
    for path in videos_in(folder):
        digest.update(f"{path.relative_to(folder)}\t{path.stat().st_size}\n".encode())
    n, sha256 = len(films), digest.hexdigest()
    shard = ShardEntry("", "train", 0, sha256, "", 0, n, 0.0, {NO_CATEGORY: n})
    columns = SampleColumns(
        pa.array(films, pa.large_string()),
        np.zeros(n, np.int32),
        np.full(n, NO_CATEGORY, np.int32),
        {},
        {},
        frozenset(),
    )
    return Index(Manifest(str(folder), (shard,), {}, sha256), (shard,), columns, films=films)
