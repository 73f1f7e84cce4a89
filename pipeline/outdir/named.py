"""What a person pastes to say which videos are meant: ids and addresses, a line each, `#` begins a comment.

    dQw4w9WgXcQ                                a video's id, or a channel's if one here is called so
    UCabcdefghijklmnopqrstuv                   a channel's id
    video ID, channel ID                       which of them an id is
    https://youtu.be/dQw4w9WgXcQ?t=3           any address of a video, short, live video or player
    youtube.com/channel/UC…/videos, @handle    any address of a channel; also c/NAME, user/NAME
    https://vimeo.com/76979871                 an address of another site

Names of channels and playlists are looked up in what the crawl has listed (`resolve`). What it has not, and clips, only
the site could tell: these are named as unresolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import UserError
from manifests.origin import CHANNEL_ID, Place, origin_of, place_of

if TYPE_CHECKING:
    from pipeline.engine.store.store import Store

CURE = "open it in a browser and give the channel's id (`channel UC…`, in its page's Share menu) or its videos' ids"
_KINDS = ("video", "channel", "url")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_AROUND = "\ufeff\u200b\u200e\u200f<>\"'“”‘’(),;"
"""What comes along when a text is copied from a mail or a page."""
_PLAYLIST_ID = re.compile(r"PL(?:[A-Za-z0-9_-]{32}|[0-9A-F]{16})")
_HANDLE = re.compile(r"@[^\s/@?#]{1,100}")
_HOST = re.compile(r"[\w.-]+\.[\w-]{2,}(?::\d+)?/|www\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """What lines of a text name. `words`: ids that may be a video's or a channel's. `open`: {what only the site can
    tell: the line that named it}.
    """

    videos: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    open: tuple[tuple[Place, str], ...] = ()

    @property
    def unresolved(self) -> list[str]:
        """The lines that only the site could resolve."""
        return [line for _, line in self.open]


def read_named(lines: Iterable[str], where: str) -> Named:
    """Reads the lines of a text. UserError, with `where` and the line's number, for one that names nothing."""
    found: dict[str, set[str]] = {kind: set() for kind in (*_KINDS, "word")}
    open_: dict[Place, str] = {}
    for number, line in enumerate(lines, 1):
        text = _COMMENT.sub("", line.strip().lstrip(_AROUND)).strip()
        if not text:
            continue
        place = _place_in(text)
        if place is None or (place.kind == "page"):
            raise UserError(
                f"{where}, line {number}: {text[:80]!r} names no video or channel; write one id or address a line, or "
                "`video ID`, or `channel ID`"
            )
        if place.kind in found:
            found[place.kind].add(place.name)
        else:
            open_[place] = text[:200]
    videos, channels, urls, words = (frozenset(found[kind]) for kind in (*_KINDS, "word"))
    return Named(videos, channels, urls, words, tuple(open_.items()))


def _place_in(text: str) -> Place | None:
    """What a line without comment names: a place, `url` or `word`; None for nothing."""
    kind, _, name = text.partition(" ")
    if kind in _KINDS and name.strip():
        name = name.strip(f"{_AROUND} ")
        return _of_address(name) or Place(kind, name) if not _HANDLE.fullmatch(name) else Place("name", name.lower())
    if len(text.split()) > 1:
        return None
    word = text.strip(_AROUND).rstrip(".") if "/" in text else text.strip(_AROUND)
    if address := _of_address(word):
        return address
    if CHANNEL_ID.fullmatch(word):
        return Place("channel", word)
    if _HANDLE.fullmatch(word):
        return Place("name", word.lower())
    if _PLAYLIST_ID.fullmatch(word):
        return Place("playlist", word)
    return Place("word", word) if word and "/" not in word else None


def _of_address(word: str) -> Place | None:
    if "://" not in word and not _HOST.match(word):
        return None
    address = word if "://" in word else f"https://{word}"
    place = place_of(address)
    if place is None:
        return Place("url", origin_of(address))
    return place


def said_as(text: str) -> str:
    """The form in which texts are compared: lower case, letters and digits alone."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def resolve(named: Named, store: Store) -> Named:
    """The same with the names and playlists that this crawl has listed, or knows as channels, as ids."""
    if not named.open:
        return named
    channels, videos, left = set(named.channels), set(named.videos), []
    listed = _listed(store)
    for place, line in named.open:
        ids = listed.get(place, set())
        if place.kind == "name" and len(ids) == 1:
            channels |= ids
        elif place.kind == "playlist" and ids:
            videos |= ids
        else:
            left.append((place, line))
    return replace(named, channels=frozenset(channels), videos=frozenset(videos), open=tuple(left))


def _listed(store: Store) -> dict[Place, set[str]]:
    """{channel's name: ids of channels, playlist: ids of videos} of what was listed by a name, or is a channel here."""
    found: dict[Place, set[str]] = {}
    queries: dict[str, Place | None] = {}
    for table in ("listings", "videos"):
        for rows in store.read_runs(table, ["source", "query", "video_id", "channel_id"]):
            for name in pc.unique(rows.column("channel_id")).to_pylist():
                if _HANDLE.fullmatch(name):  # of files whose info.json knows no other id
                    found[Place("name", name.lower())] = {name}
            lists = rows.filter(pc.is_in(rows.column("source"), value_set=pa.array(["channel", "playlist"])))
            for _, query, video_id, channel_id in zip(*lists.to_pydict().values(), strict=True):
                place = queries[query] if query in queries else queries.setdefault(query, _place_in(query))
                if place is not None and place.kind == "playlist":
                    found.setdefault(place, set()).add(video_id)
                elif place is not None and place.kind == "name" and channel_id:
                    found.setdefault(place, set()).add(channel_id)
    return found
