"""Searches grown from kept videos: which words, and whose they are. Their text lies here and nowhere else.

rounds/grown/<round>.json    [{category_id, words, video_ids}], written before the round is planned

Everywhere else (asks, sources, listings, candidates, videos) such a search is called by its number, so that a
removal has one place to look at: `grown_from` finds the searches of a video, `forget_videos` takes it out of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace

from pipeline.engine.store.store import Store

FOLDER = "rounds/grown"
LEAST_CHANNELS = 3
"""Words that fewer channels use are not searched for: they may be about one person, or be put there for us to find."""


@dataclass(frozen=True, slots=True)
class GrownSearch:
    """A search. `video_ids`: kept videos that have these words in title, tags or chapters, each of another channel.
    Both are empty once too few of these are left.
    """

    category_id: int
    words: str
    video_ids: tuple[str, ...]


def write_grown(store: Store, round_: int, searches: Sequence[GrownSearch]) -> None:
    """Records the searches that are grown for a round."""
    store.write_json(f"{FOLDER}/{round_:05d}.json", [asdict(search) for search in searches])


def has_grown(store: Store, round_: int) -> bool:
    """Whether searches were grown for a round."""
    return store.exists(f"{FOLDER}/{round_:05d}.json")


def read_grown(store: Store) -> dict[str, GrownSearch]:
    """All searches by number, in the order in which they were grown."""
    files = [name.removesuffix(".json") for name in store.names(FOLDER)]
    return {f"{file}.{n}": search for file in files for n, search in enumerate(_read(store, file))}


def words_of(store: Store, number: str) -> str:
    """What to search for; "" if it is forgotten."""
    file, _, n = number.partition(".")
    return _read(store, file)[int(n)].words


def grown_from(store: Store, video_ids: Collection[str]) -> dict[str, GrownSearch]:
    """The searches that were grown from any of these videos, by number."""
    return {n: search for n, search in read_grown(store).items() if not set(video_ids).isdisjoint(search.video_ids)}


def forget_videos(store: Store, video_ids: Collection[str]) -> dict[str, GrownSearch]:
    """Takes videos out of the searches that were grown from them, and gives what these are then, by number.

    A search that stands on fewer than LEAST_CHANNELS other videos loses its words: it is not made again.
    """
    changed = {number: _without(search, video_ids) for number, search in grown_from(store, video_ids).items()}
    for file in sorted({number.partition(".")[0] for number in changed}):
        searches = [changed.get(f"{file}.{n}", search) for n, search in enumerate(_read(store, file))]
        write_grown(store, int(file), searches)
    return changed


def _without(search: GrownSearch, video_ids: Collection[str]) -> GrownSearch:
    left = tuple(video_id for video_id in search.video_ids if video_id not in video_ids)
    if len(left) < LEAST_CHANNELS:
        return GrownSearch(search.category_id, "", ())
    return replace(search, video_ids=left)


def _read(store: Store, file: str) -> list[GrownSearch]:
    read = store.read_json(f"{FOLDER}/{file}.json")
    return [GrownSearch(row["category_id"], row["words"], tuple(row["video_ids"])) for row in read]
