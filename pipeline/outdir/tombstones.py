"""tombstones.txt: the videos and channels that were removed and that no later run may bring back.

    video dQw4w9WgXcQ
    channel UCabcdefghijklmnopqrstuv
    url https://vimeo.com/76979871
    content 5feceb66ffc86f38… film-0
    hashed video 3a7bd3e2360a3d29 4b227777d4dd1fc6…
    hashed text7 3a7bd3e2360a3d29 6b86b273ff34fce1…
    video removed-4b227777d4dd1fc6…
    salt 3a7bd3e2360a3d29

A video is named by its id here, by its id at the site it comes from, by its address, or by the hash of its file
(manifests/content.py) with the id that it had; a sentence by its hash (pipeline/outdir/sayings.py). What was
purged is there as hashes alone too: of its kind and name, with a salt of the data set. In the tables a removed video
goes by its pseudonym, made of that hash, which is a line of its own. A copy lies in removals/, and is read where the
file itself is lost.

Written before anything is removed. While a removal is under way its first line says so.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from manifests.errors import DamagedFile, UserError
from manifests.origin import origin_of
from manifests.seals import is_sealed
from manifests.shards import MANIFEST_NAME, RECORDS, TOMBSTONES
from pipeline.outdir.named import read_named, said_as

if TYPE_CHECKING:
    from pipeline.engine.store.store import Store

log = logging.getLogger("hdvila")

UNDER_WAY = "# a removal is under way; if none is running, run the same `hdvila-pipeline remove` again"
COPY = f"{RECORDS}/{TOMBSTONES}"
KINDS = ("video", "channel", "url", "content")
TEXT = "text"
"""The kind of a sentence; of its hash, with the number of its words: `text7`."""
SALT = "salt"
REMOVED = "removed-"
"""What pseudonyms begin with; the hash of the id follows."""
_PSEUDONYM = re.compile(rf"{REMOVED}[0-9a-f]{{32}}")


class Hashed(NamedTuple):
    """The salted hash of a purged name of a kind. `str()` of it is its line in the file."""

    kind: str
    salt: str
    digest: str

    def __str__(self) -> str:
        return f"hashed {self.kind} {self.salt} {self.digest}"


def hashed(kind: str, name: str, salt: str) -> Hashed:
    """The salted hash of a name."""
    return Hashed(kind, salt, hashlib.sha256(f"{salt}\0{kind}\0{name}".encode()).hexdigest()[:32])


def pseudonym(video_id: str, salt: str) -> str:
    """What the tables call a removed video."""
    return REMOVED + hashed("video", video_id, salt).digest


def is_pseudonym(video_id: str) -> bool:
    """Whether this is no id, but stands for the id of a removed video."""
    return bool(_PSEUDONYM.fullmatch(video_id))


def hash_of_text(text: str, salt: str) -> Hashed:
    """The salted hash of a sentence."""
    return hashed(f"{TEXT}{len(text.split())}", text, salt)


@dataclass(frozen=True, slots=True)
class Tombstones:
    """What must stay out. `under_way`: a removal has not finished, so shards may still hold some of it."""

    videos: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    under_way: bool = False
    urls: frozenset[str] = frozenset()
    contents: Mapping[str, str] = field(default_factory=dict)
    """{hash of a file: the id of the video that it was}"""
    hashed: frozenset[Hashed] = frozenset()
    texts: frozenset[str] = frozenset()
    """Sentences, as they are compared."""
    salt: str = ""
    """Of the pseudonyms among `videos`; "" where there are none."""

    def __bool__(self) -> bool:
        return bool(self.videos or self.channels or self.urls or self.contents or self.hashed or self.texts)

    def cover(self, video_id: str, channel_id: str, url: str = "", content: str = "") -> bool:
        """Whether a video must stay out, by its own id, its channel's, the address it came from, or its file's hash."""
        return bool(self.named(video_id, channel_id, url, content))

    def named(self, video_id: str, channel_id: str, url: str = "", content: str = "") -> str:
        """The tombstone that keeps a video out, as its line in the file; "" if none does."""
        if video_id in self.videos:
            return f"video {video_id}"
        if channel_id in self.channels:
            return f"channel {channel_id}"
        if content in self.contents:
            return f"content {content} {self.contents[content]}"
        if not (self.videos or self.urls or self.hashed):  # checked for every candidate in every plan
            return ""
        origin = origin_of(url)
        if origin and origin in self.videos:  # a file's origin is ""
            return f"video {origin}"
        if origin and origin in self.urls:
            return f"url {origin}"
        return self._among_hashed(video_id, channel_id, origin, content) if self.hashed else ""

    def _among_hashed(self, video_id: str, channel_id: str, origin: str, content: str) -> str:
        facts = (("video", video_id), ("channel", channel_id), ("video", origin), ("url", origin), ("content", content))
        for salt in {it.salt for it in self.hashed}:
            for kind, name in facts:
                if name and (found := hashed(kind, name, salt)) in self.hashed:
                    return str(found)
        return ""

    def known_as(self, video_id: str) -> str:
        """What the tables call a video: by its pseudonym if it was removed."""
        if not self.salt:
            return video_id
        name = pseudonym(video_id, self.salt)
        return name if name in self.videos else video_id

    def plain_ids(self) -> frozenset[str]:
        """The ids among `videos`."""
        return frozenset(name for name in self.videos if not is_pseudonym(name))

    def with_pseudonyms(self, salt: str) -> Tombstones:
        """The same, with the pseudonyms of the videos that are named."""
        return replace(self, videos=self.videos | {pseudonym(name, salt) for name in self.plain_ids()}, salt=salt)

    def joined(self, other: Tombstones) -> Tombstones:
        """The union of both."""
        return Tombstones(
            self.videos | other.videos,
            self.channels | other.channels,
            self.under_way or other.under_way,
            self.urls | other.urls,
            {**self.contents, **other.contents},
            self.hashed | other.hashed,
            self.texts | other.texts,
            self.salt or other.salt,
        )

    def without(self, other: Tombstones) -> Tombstones:
        """These but for what the other names; pseudonyms stay."""
        return replace(
            self,
            videos=self.videos - other.plain_ids(),
            channels=self.channels - other.channels,
            urls=self.urls - other.urls,
            contents={content: name for content, name in self.contents.items() if content not in other.contents},
            texts=self.texts - other.texts,
        )

    def as_hashes(self, salt: str) -> Tombstones:
        """The same as salted hashes alone."""
        names = (self.plain_ids(), self.channels, self.urls, self.contents)
        found = {hashed(kind, name, salt) for kind, of_kind in zip(KINDS, names, strict=True) for name in of_kind}
        found |= {hash_of_text(text, salt) for text in self.texts}
        return Tombstones(under_way=self.under_way, hashed=self.hashed | found)

    def with_texts_hashed(self, salt: str) -> Tombstones:
        """The same without the words of sentences: these are what somebody wants nobody to read."""
        return replace(self, texts=frozenset(), hashed=self.hashed | {hash_of_text(it, salt) for it in self.texts})

    def hashed_in(self, other: Tombstones) -> Tombstones:
        """Those of these names that the other has as hashes."""

        def among(kind: str, names: Collection[str]) -> frozenset[str]:
            salts = {it.salt for it in other.hashed}
            return frozenset(name for name in names if {hashed(kind, name, salt) for salt in salts} & other.hashed)

        contents = {name: self.contents[name] for name in among("content", self.contents)}
        of_kinds = (among(*pair) for pair in zip(KINDS[:3], (self.videos, self.channels, self.urls), strict=True))
        videos, channels, urls = of_kinds
        return Tombstones(videos, channels, urls=urls, contents=contents)

    def counts(self) -> dict[str, int]:
        """How many videos and channels are named, by their ids, and how many sentences, if any are."""
        purged = Counter("text" if it.kind.startswith(TEXT) else it.kind for it in self.hashed)
        n_texts = len(self.texts) + purged["text"]
        named = {"videos": len(self.plain_ids()) + purged["video"], "channels": len(self.channels) + purged["channel"]}
        return {**named, "texts": n_texts} if n_texts else named

    def lines(self) -> list[str]:
        """The lines of the file, sorted, so that the same ones give the same bytes."""
        lines = [f"channel {name}" for name in self.channels] + [f"url {name}" for name in self.urls]
        lines += [f"video {name}" for name in self.videos] + [str(it) for it in self.hashed]
        lines += [f"{TEXT} {text}" for text in self.texts] + [f"{SALT} {self.salt}"] * bool(self.salt)
        return sorted(lines + [f"content {content} {name}" for content, name in self.contents.items()])


def covers(tombstones: Tombstones, row: Mapping[str, Any]) -> bool:
    """Whether the video of a shard's row must stay out."""
    return tombstones.cover(row["video_id"], row["channel_id"], row["url"])


def _is_as_written(kind: str, name: str) -> bool:
    """Whether a line is as a removal writes it: the address that videos came from, whatever it means at its site."""
    return kind == "url" and origin_of(name) == name


def salt_of(tombstones: Tombstones) -> str:
    """The salt of a data set's hashes; a new one if it has none."""
    return tombstones.salt or min((it.salt for it in tombstones.hashed), default=secrets.token_hex(8))


def read_tombstones(store: Store) -> Tombstones:
    """The tombstones of an output directory; none if there never were any.

    UserError for an invalid line, DamagedFile if the file is lost and its copy too; a copy that is used is logged.
    """
    try:
        data = store.read_sealed(TOMBSTONES)
    except FileNotFoundError:
        if (copy := _copy(store)) is None:
            return Tombstones()
        data = copy
    if not is_sealed(data) and store.exists(COPY):
        log.warning("%s/%s: was edited or cut short; what its copy %s names stays out too", store.url, TOMBSTONES, COPY)
        data = data + b"\n" + store.read_sealed(COPY)
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise DamagedFile(f"{store.url}/{TOMBSTONES}: is not UTF-8 text; restore the file") from None
    found = Tombstones(under_way=UNDER_WAY in lines)
    given = [line for line in lines if line.strip() and not line.startswith("#")]
    names: dict[str, set[str]] = {kind: set() for kind in KINDS[:3]}
    contents, hashes, texts, salt = {}, set(), set(), ""
    for line in given:
        kind, _, name = line.partition(" ")
        words = name.split()
        if kind in names and name and ("://" not in name or _is_as_written(kind, name)):
            names[kind].add(name.strip())
        elif kind == "content" and words:
            contents[words[0]] = " ".join(words[1:])
        elif kind == TEXT and words:
            texts.add(said_as(name))
        elif kind == "hashed" and len(words) == 3:
            hashes.add(Hashed(*words))
        elif kind == SALT and len(words) == 1:
            salt = name
        else:
            found = found.joined(_pasted(line, store))
    videos, channels, urls = (frozenset(of_kind) for of_kind in names.values())
    return found.joined(Tombstones(videos, channels, False, urls, contents, frozenset(hashes), frozenset(texts), salt))


def _copy(store: Store) -> bytes | None:
    """The copy of a lost file; None if nothing here says that there ever was one."""
    try:
        data = store.read_sealed(COPY)
    except FileNotFoundError:
        removed = store.read_json(MANIFEST_NAME).get("removed") if store.exists(MANIFEST_NAME) else None
        if isinstance(removed, dict) and any(removed.values()):
            raise DamagedFile(
                f"{store.url}/{TOMBSTONES}: is lost, and its copy too, but {MANIFEST_NAME} says that videos were "
                "removed: restore it from a backup, or `remove` the same videos again from the requests that you keep"
            ) from None
        return None
    log.warning("%s/%s: is lost; its copy %s is read, and the next removal restores it", store.url, TOMBSTONES, COPY)
    return data


def _pasted(line: str, store: Store) -> Tombstones:
    """What a line means that a person wrote into the file."""
    named = read_named([line], f"{store.url}/{TOMBSTONES}")
    if named.open or named.words:
        raise UserError(
            f"{store.url}/{TOMBSTONES}: {line!r} is not `video ID`, `channel ID` or `url ADDRESS`; correct it"
        )
    return Tombstones(named.videos, named.channels, urls=named.urls)


def write_tombstones(store: Store, tombstones: Tombstones) -> None:
    """Writes the file and its copy."""
    lines = [UNDER_WAY] * tombstones.under_way + tombstones.lines()
    for path in (TOMBSTONES, COPY):
        store.write_sealed(path, "".join(f"{line}\n" for line in lines).encode())


def days_of_removal(store: Store, video_id: str) -> list[str]:
    """The days (YYYY-MM-DD, UTC) on which removals took this video out, from the removal records; sorted."""
    names = (name for name in store.names(RECORDS) if name.endswith(".json"))
    records = [store.read_json(f"{RECORDS}/{name}") for name in names]
    salts = {salt for record in records if (salt := record.get("salt"))}
    names_of_it = {video_id, *(hashed("video", video_id, salt).digest for salt in salts)}
    return sorted({record["date"] for record in records if not names_of_it.isdisjoint(record["videos"])})


def refuse_while_under_way(store: Store, tombstones: Tombstones) -> None:
    """Raises UserError if a removal began and did not finish: shards and manifest may disagree."""
    if tombstones.under_way:
        raise UserError(f"{store.url}: a removal was interrupted; run the same `hdvila-pipeline remove` again first")
