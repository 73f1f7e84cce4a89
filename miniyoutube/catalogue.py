"""The contents of the mini-YouTube: channels, videos with renditions and caption tracks, playlists, and its search.

Everything is frozen and follows from seeds. A video's misbehaviour is a name in `misbehave.BEHAVIOURS`, which
`cast` gives it.
"""

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from manifests.categories import load_categories
from miniyoutube.faults import Fault
from miniyoutube.media_cache import Rendition
from miniyoutube.misbehave import BEHAVIOURS
from miniyoutube.script import Script

CREATIVE_COMMONS = "Creative Commons Attribution license (reuse allowed)"
"""The text of the watch page's licence row; a video without the row is under the site's standard licence."""


def stable_hash(*parts: object) -> int:
    """A number that follows from the parts alone, the same on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def site_id(n_characters: int, *parts: object) -> str:
    """Characters of the site's id alphabet (A-Z a-z 0-9 - _) that follow from the parts."""
    digest = hashlib.sha512("/".join(map(str, parts)).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:n_characters]


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel: `UC…` id of 24 characters, handle with its @, and name."""

    channel_id: str
    handle: str
    name: str

    @property
    def uploads_id(self) -> str:
        """The playlist of everything that the channel has uploaded."""
        return f"UU{self.channel_id[2:]}"


@dataclass(frozen=True, slots=True)
class Track:
    """A caption track. `kind` is manual or auto; `vss_id` is the site's own key, from which yt-dlp derives its key.

    `answer` is what its URL returns: "text", or "empty", "html", "no_text" (json3 without a word), "cut" (half a file),
    "gone" (404), "xml" and "error" (a network's message), "bom" (a byte order mark first); or "elsewhere": the URL is
    on another machine. A `locked` track is withheld without a token.
    """

    kind: str
    language: str
    vss_id: str
    name: str
    answer: str = "text"
    locked: bool = False


MANUAL_EN = Track("manual", "en", ".en", "English")
MANUAL_EN_US = Track("manual", "en-US", ".en-US", "English (United States)")
NAMED_EN = Track("manual", "en", ".en.nP7-2PuUl7o", "English - transcript")
AUTO_EN = Track("auto", "en", "a.en", "English (auto-generated)")
MANUAL_ES = Track("manual", "es", ".es", "Spanish")
AUTO_ES = Track("auto", "es", "a.es", "Spanish (auto-generated)")
AUTO_DE = Track("auto", "de", "a.de", "German (auto-generated)")


@dataclass(frozen=True, slots=True)
class Video:
    """A video as its uploader made it, and how the site answers requests for it.

    `script` is what it says; `footage` is the script that its files are drawn from (another video's if files are
    shared, of equal duration). `listed_under` is the category whose queries find it, which need not be its own. `width`
    and `height` are those of the 720p rendition; `renditions` are the short sides available; `progressive`: whether
    there is a joint 360p file. `tells_length`: whether the player does. `listed_as`: the title of an entry that says no
    more than that the video is gone.
    """

    video_id: str
    title: str
    channel: Channel
    category_id: int
    script: Script
    footage: Script
    tracks: tuple[Track, ...] = (MANUAL_EN, AUTO_EN)
    listed_under: int = -1
    searchable: bool = True
    behaviour: str = "good"
    faults: tuple[Fault, ...] = ()
    width: int = 1280
    height: int = 720
    renditions: tuple[int, ...] = (720, 480, 360)
    progressive: bool = True
    has_audio: bool = True
    dubs: tuple[str, ...] = ()
    short_streams: tuple[str, ...] = ()
    damage: str = ""
    live: str = ""
    family_safe: bool = True
    made_for_kids: bool = False
    members_only: bool = False
    license: str = ""
    upload_date: str = "2024-05-01"
    view_count: int = 1000
    keywords: tuple[str, ...] = ()
    chapters: tuple[str, ...] = ()
    copy_of: str = ""
    tells_length: bool = True
    listed_as: str = ""

    @property
    def duration_s(self) -> int:
        """The length that the site shows, s."""
        return round(self.script.duration_ms / 1000)

    def picture(self, short_side: int) -> Rendition:
        """The adaptive video stream of a rendition in `renditions`."""
        scale = short_side / 720
        width, height = (round(side * scale / 2) * 2 for side in (self.width, self.height))
        return Rendition(self.footage, "video", width, height, damage=self.damage)

    def audio(self, voice: str = "") -> Rendition:
        """The adaptive audio stream (of a dub)."""
        return Rendition(self.footage, "audio", voice=voice)

    def joint(self) -> Rendition:
        """Video and audio in one 360p file."""
        small = self.picture(360)
        return Rendition(self.footage, "progressive", small.width, small.height)


@dataclass(frozen=True, slots=True)
class Playlist:
    """A named list of video ids (`PL…`)."""

    playlist_id: str
    title: str
    channel: Channel
    video_ids: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """All contents. `queries` are the seed queries of each category id; other words are looked up in titles."""

    videos: tuple[Video, ...]
    playlists: tuple[Playlist, ...] = ()
    queries: Mapping[int, tuple[str, ...]] = field(
        default_factory=lambda: {category.id: category.queries for category in load_categories()}
    )

    @cached_property
    def by_id(self) -> dict[str, Video]:
        """Videos by id."""
        return {video.video_id: video for video in self.videos}

    @cached_property
    def channels(self) -> dict[str, Channel]:
        """Channels by id, and by handle in lower case."""
        by_id = {video.channel.channel_id: video.channel for video in self.videos}
        return by_id | {channel.handle.lower(): channel for channel in by_id.values()}

    @cached_property
    def uploads(self) -> dict[str, list[Video]]:
        """Each channel's videos by channel id, newest first."""
        lists: dict[str, list[Video]] = defaultdict(list)
        for video in self.videos:
            lists[video.channel.channel_id].append(video)
        return {key: sorted(videos, key=_newest_first) for key, videos in lists.items()}

    def playlist(self, playlist_id: str) -> Playlist | None:
        """A playlist, or a channel's uploads as a playlist (`UU…`)."""
        for playlist in self.playlists:
            if playlist.playlist_id == playlist_id:
                return playlist
        channel = self.channels.get(f"UC{playlist_id[2:]}") if playlist_id.startswith("UU") else None
        if channel is None:
            return None
        ids = tuple(video.video_id for video in self.uploads[channel.channel_id])
        return Playlist(playlist_id, f"Uploads from {channel.name}", channel, ids)

    def search(self, query: str) -> list[Video]:
        """Returns what a query finds, best first, always the same.

        A seed query finds two thirds of the videos listed under its category (any two neighbouring queries of a
        category together find all). Other queries find videos with their words in title, keywords, chapters, channel or
        category, those with most words first.
        """
        if found_at := self._seed_queries.get(_plain(query)):
            category_id, n = found_at
            videos = [video for video in self._listed(category_id) if (_rank(video) + n) % 3]
            return sorted(videos, key=lambda video: stable_hash(_plain(query), video.video_id))
        wanted = _words(query)
        hits = [(len(wanted & words), video) for words, video in self._texts]
        best = max((n for n, _ in hits), default=0)
        return [video for n, video in sorted(hits, key=lambda hit: -hit[0]) if n and n * 2 >= best]

    def _listed(self, category_id: int) -> list[Video]:
        return self._by_listing.get(category_id, [])

    @cached_property
    def _by_listing(self) -> dict[int, list[Video]]:
        lists: dict[int, list[Video]] = defaultdict(list)
        for video in self.videos:
            if video.searchable:
                lists[video.category_id if video.listed_under < 0 else video.listed_under].append(video)
        return lists

    @cached_property
    def _seed_queries(self) -> dict[str, tuple[int, int]]:
        """The category of each seed query, and its index among that category's queries."""
        return {
            _plain(query): (category_id, n)
            for category_id, queries in self.queries.items()
            for n, query in enumerate(queries)
        }

    @cached_property
    def _texts(self) -> list[tuple[set[str], Video]]:
        names = {category.id: category.name for category in load_categories()}
        return [
            (_words(" ".join((v.title, *v.keywords, *v.chapters, v.channel.name, names.get(v.category_id, "")))), v)
            for v in self.videos
            if v.searchable
        ]


def expected_media(videos: Iterable[Video]) -> list[Rendition]:
    """The streams that a crawl of 720p will ask for: drawn before serving, so that no request waits for drawing.

    Videos that a crawl rejects before media are drawn only if somebody asks for them anyway.
    """
    wanted: list[Rendition] = []
    for video in videos:
        expected = BEHAVIOURS[video.behaviour].expected
        if expected.kept_in_the_end or expected.stage == "media":
            wanted += [video.picture(720), *(video.audio(voice) for voice in video.dubs or ("",))]
    return wanted


def _rank(video: Video) -> int:
    return stable_hash("found", video.video_id) % 3


def _newest_first(video: Video) -> tuple[int, str]:
    return -int(video.upload_date.replace("-", "")), video.video_id


def _plain(query: str) -> str:
    return " ".join(query.casefold().split())


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 2}


_TRACKS: dict[str, tuple[Track, ...]] = {
    "locked": (replace(MANUAL_EN, locked=True), replace(AUTO_EN, locked=True)),
    "spanish": (MANUAL_ES, AUTO_ES),
    "translatable": (MANUAL_ES,),
    "dub": (AUTO_DE, AUTO_EN),
    "english_dub": (AUTO_EN, AUTO_ES),
    "automatic": (AUTO_EN,),
    "both": (MANUAL_EN, AUTO_EN),
    "manual_gone": (replace(MANUAL_EN, answer="gone"), AUTO_EN),
    "regional": (MANUAL_EN_US, AUTO_EN),
    "named": (NAMED_EN,),
    **{
        answer: (replace(MANUAL_EN, answer=answer),)
        for answer in ("empty", "no_text", "html", "xml", "error", "bom", "cut", "elsewhere")
    },
}
"""Sets of caption tracks, by the names that behaviours use."""


def cast(video: Video, behaviour: str, *, another_category: int = -1, original: Video | None = None) -> Video:
    """Gives a well-behaved video a behaviour's faults and changes.

    `wrong_category` needs `another_category` (it is listed there); `reupload` needs the `original` (same words,
    same files).
    """
    row = BEHAVIOURS[behaviour]
    changes: dict[str, Any] = dict(row.changes)
    if isinstance(tracks := changes.get("tracks"), str):
        changes["tracks"] = _TRACKS[tracks]
    if "listed_under" in changes:
        changes["listed_under"] = another_category
    if language := changes.pop("language", ""):
        changes = {"tracks": _TRACKS["spanish"], **changes, "script": replace(video.script, language=language)}
    if "copy_of" in changes:
        if original is None:
            raise ValueError("a re-upload needs its original")
        changes |= {"copy_of": original.video_id, "script": original.script, "footage": original.footage}
    return replace(video, behaviour=behaviour, faults=row.faults, **changes)
