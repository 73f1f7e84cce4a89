"""What a person has to take out: `removals/due.txt`, written by each run, a line each.

video dQw4w9WgXcQ                    in finished shards, and asked to be left out since: `remove --ids` takes it out

Beside it `removals/gone.txt`, by `recheck`: what is gone at the site, in the form that `remove --ids` reads; and while
that is not finished, `recheck.json`: how far it came.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from manifests.seals import sealed
from manifests.shards import RECORDS
from manifests.stages import n_units
from pipeline.engine.store.store import Store

PATH = f"{RECORDS}/due.txt"
GONE = f"{RECORDS}/gone.txt"
RECHECK = "recheck.json"
_ASKED = "video "


@dataclass(frozen=True, slots=True)
class Due:
    """How many videos of finished shards were asked to be left out."""

    url: str
    n_asked: int = 0

    def lines(self) -> list[str]:
        """What to tell a person, with the command; nothing if nothing is due."""
        if not self.n_asked:
            return []
        return [
            f"asked to be left out, and in finished shards: {n_units(self.n_asked, 'media')}: "
            f"hdvila-pipeline remove {self.url} --ids {self.url}/{PATH}"
        ]


def write_due(store: Store, asked: Iterable[str]) -> Due:
    """Notes these videos. The file goes when nothing is due."""
    _put(store, PATH, [f"{_ASKED}{video_id}" for video_id in sorted(asked)])
    return read_due(store)


def settle_due(store: Store, gone: Collection[str]) -> None:
    """Takes the videos off that were removed. A recheck that names one begins anew."""
    write_gone(store, {video_id: why for video_id, why in read_gone(store).items() if video_id not in gone})
    if store.exists(RECHECK) and any(video_id.encode() in store.read(RECHECK) for video_id in gone):
        store.delete(RECHECK)
    lines = _read(store).decode().splitlines()
    asked = {line.removeprefix(_ASKED) for line in lines if line.startswith(_ASKED)}
    write_due(store, asked - set(gone))


def write_gone(store: Store, gone: Mapping[str, str]) -> str:
    """Notes what is gone at the site: {video id: why}. The file's address; "" for none: then it goes."""
    _put(store, GONE, [f"{_ASKED}{video_id}  # {why}" for video_id, why in sorted(gone.items())])
    return f"{store.url.rstrip('/')}/{GONE}" if gone else ""


def read_gone(store: Store) -> dict[str, str]:
    """What `write_gone` noted."""
    listed = [line.split() for line in _read(store, GONE).decode().splitlines() if line.startswith(_ASKED)]
    return {words[1]: " ".join(words[3:]) for words in listed}


def _put(store: Store, path: str, lines: Iterable[str]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    if data and sealed(data) != _read(store, path):
        store.write_sealed(path, data)
    if not data and store.exists(path):
        store.delete(path)


def read_due(store: Store) -> Due:
    """What is due of a data set."""
    lines = _read(store).decode().splitlines()
    return Due(store.url.rstrip("/"), sum(line.startswith(_ASKED) for line in lines))


def _read(store: Store, path: str = PATH) -> bytes:
    try:
        return store.read_sealed(path)
    except FileNotFoundError:
        return b""
