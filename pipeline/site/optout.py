"""Who asked to be left out: files and URLs with lists of video and channel ids, and the data set's own tombstones.

A line holds a video id, a channel id (UC…), or an address of either, of any site; `#` begins a comment.
"""

import re
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError

import fsspec

from manifests.errors import UserError
from manifests.origin import origin_of, video_id_of
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones, read_tombstones
from pipeline.site.redact import redact

CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")
MAX_BYTES = 256 * 1024**2
TIMEOUT_S = 30


def load_opt_outs(sources: Sequence[str], store: Store) -> Tombstones:
    """Everything that must be left out. UserError if a list cannot be read or has a line that is not an id: an opt-out
    must never be dropped silently.
    """
    tombstones = read_tombstones(store)
    for source in sources:
        tombstones = tombstones.joined(parse_opt_out(read_source(source), source))
    return tombstones


def parse_opt_out(text: str, source: str) -> Tombstones:
    """The ids of a list."""
    videos, channels, urls = set(), set(), set()
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip().removeprefix("\ufeff").split(" ")[0]
        if not word or word.startswith("#"):
            continue
        if channel := _channel_of(word):
            channels.add(channel)
        elif video := video_id_of(word):
            videos.add(video)
        elif "://" in word and (origin := origin_of(word)):
            urls.add(origin)
        else:
            raise UserError(
                f"{redact(source)}, line {number}: {word[:80]!r} is not a video or channel id; correct the list"
            )
    return Tombstones(frozenset(videos), frozenset(channels), urls=frozenset(urls))


def _channel_of(word: str) -> str:
    if CHANNEL_ID.fullmatch(word):
        return word
    pieces = word.partition("?")[0].split("/") if "youtube.com/" in word else []
    return next((piece for piece in pieces if CHANNEL_ID.fullmatch(piece)), "")


def read_source(source: str) -> str:
    """Reads the text of a file, an object in a bucket, or an http address (at most 256 MiB)."""
    shown = redact(source)
    try:
        if source.startswith(("http://", "https://")):
            with urllib.request.urlopen(source, timeout=TIMEOUT_S) as answer:
                data = answer.read(MAX_BYTES + 1)
        else:
            with fsspec.open(str(Path(source).expanduser()) if "://" not in source else source, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except (OSError, URLError, ValueError, ImportError) as error:
        raise UserError(
            f"crawl.opt_out: {shown} cannot be read ({type(error).__name__}); check the path or address"
        ) from None
    if len(data) > MAX_BYTES:
        raise UserError(f"crawl.opt_out: {shown} is larger than {MAX_BYTES} bytes; split it")
    return bytes(data).decode("utf-8", errors="replace")
