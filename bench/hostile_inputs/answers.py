"""Hostile answers of a site or a list: bodies of captions, lines of id and HD-VILA lists, names of caption tracks, and what
yt-dlp makes of a video's pages.
"""

# ruff: noqa: E501 - a table of values reads better in long lines

import json
import math
import random
import string
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock, patch

from bench.hostile_inputs import Case, Home, mutated
from manifests.errors import UserError
from manifests.rows import CandidateRow
from manifests.schema import TABLES, table_of
from pipeline.config.crawl import CrawlConfig
from pipeline.config.media import CutConfig
from pipeline.config.sources import ListsConfig
from pipeline.crawl import extract
from pipeline.crawl.extract import BEGINNINGS, Extractor, check_payload, video_row
from pipeline.crawl.sources.lists import list_part
from pipeline.site.asking import Turn
from pipeline.site.failures import Failure
from pipeline.site.info import documented
from pipeline.site.redact import redact
from pipeline.site.tracks import choose_tracks, list_tracks
from pipeline.site.ytdlp import Session

LINE = {
    "video_id": "abcdefghijk",
    "url": "https://www.youtube.com/watch?v=abcdefghijk",
    "clip": [
        {"clip_id": "abcdefghijk.0.mp4", "span": ["00:00:01.500", "00:00:09.100"]},
        {"clip_id": "abcdefghijk.1.mp4", "span": ["00:00:12.000", "00:00:21.000"]},
    ],
}


def cases(seed: int, n: int, home: Home) -> Iterator[Case]:
    """Yields `n` answers, a quarter of each kind."""
    for number in range(n):
        chance = random.Random(f"{seed} answers {number}")
        kind = (_captions, _lists, _tracks, _infos)[number % 4]
        name = f"{kind.__name__.strip('_')}, {number}"
        yield Case("answers", name, lambda folder, k=kind, c=chance: k(folder, c, home))  # type: ignore[misc]


def _captions(folder: Path, chance: random.Random, home: Home) -> str:
    """Makes the body of a caption request."""
    real = chance.choice(sorted((home.samples / "captions").glob("*.*")))
    body = mutated(real.read_bytes(), chance)
    if chance.random() < 0.2:
        body = chance.choice(
            (b'{"events": ' + b"[" * 200_000, b"null", b'{"events": 5}', b'{"events": [[]]}', b"[]", b"<html>")
        )
    verdict = check_payload(body, chance.choice(sorted(BEGINNINGS)))
    return verdict.value if verdict else "a track"


def _lists(folder: Path, chance: random.Random, home: Home) -> str:
    """Makes a list of HD-VILA-100M's lines, in a file of some kind."""
    lines = [json.dumps(LINE).encode()] * 60 + [mutated(json.dumps(LINE).encode(), chance) for _ in range(40)]
    lines += [
        b"[" * 100_000,
        b'{"video_id": ' + b"9" * 5000 + b"}",
        b'{"video_id": "\\ud800"}',
        b"https://[x",
        json.dumps(LINE).encode(),
    ]
    path = folder / chance.choice(("list.txt", "list.jsonl", "list.csv"))
    path.write_bytes(b"\n".join(lines) + b"\n")
    try:
        read, _ = list_part(str(path), ListsConfig(), 0)
    except UserError:
        return "not understood"
    for found in read:
        found.video_id.encode()
        found.given_spans.encode()
    return f"{min(len(read), 1)} or more results"


def _tracks(folder: Path, chance: random.Random, home: Home) -> str:
    """Makes yt-dlp's lists of tracks, and a text that may contain secrets."""
    names = ["en", "en-US", "en-orig", "a.en", "live_chat", "", "\ud800", "x" * 5000, "../en"]
    urls = ["https://www.youtube.com/api/timedtext?v=x", home.trap_url, "file:///etc/passwd", "", "http://[x"]

    def tracks() -> dict[str, Any]:
        def one() -> list[dict[str, Any]]:
            kinds = ("vtt", "json3", "srv1", "", "m3u8")
            return [{"ext": chance.choice(kinds), "url": chance.choice(urls)} for _ in range(chance.randint(0, 4))]

        return {chance.choice(names): one() for _ in range(chance.randint(0, 6))}

    found = choose_tracks(tracks(), tracks(), languages=["en"], kinds=["manual", "auto"])
    list_tracks(tracks(), tracks())
    noise = "".join(chance.choice(string.printable) for _ in range(chance.choice((10, 1000, 100_000))))
    redact(noise + chance.choice(urls) + noise, ["a secret"])
    return f"{min(len(found), 1)} or more tracks"


CAPTIONS = b'{"events": [{"tStartMs": 0, "dDurationMs": 900, "segs": [{"utf8": "words"}]}]}'
INFO: dict[str, Any] = {
    "id": "abcdefghijk", "title": "A title", "channel": "A channel", "channel_id": "UCabcdefghijklmnopqrstuv", "duration": 61,
    "categories": ["Education"], "tags": ["a", "b"], "chapters": [{"title": "one", "start_time": 0.0, "end_time": 9.5}],
    "upload_date": "20240102", "view_count": 1000, "age_limit": 0, "live_status": "not_live", "license": "", "language": "en",
    "release_timestamp": 1700000000, "availability": "public", "description": "words", "_type": "video", "extractor": "youtube",
    "subtitles": {"en": [{"ext": "json3", "url": "https://www.youtube.com/api/timedtext?v=x"}]}, "automatic_captions": {},
    "formats": [
        {"format_id": "136", "ext": "mp4", "vcodec": "avc1.4d401f", "acodec": "none", "width": 1280, "height": 720, "fps": 30,
         "tbr": 1200.5, "filesize": 9_000_000, "protocol": "https", "url": "https://r1.googlevideo.com/videoplayback?x"},
        {"format_id": "140", "ext": "m4a", "vcodec": "none", "acodec": "mp4a.40.2", "abr": 128, "filesize": 900_000,
         "protocol": "https", "url": "https://r1.googlevideo.com/videoplayback?y", "language": "en", "asr": 44100},
    ],
}  # fmt: skip
"""What yt-dlp says of a video that is taken."""
DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (
    None, "", 0, -1, 10**25, 1e300, float("nan"), float("inf"), True, [], {}, [None], {"a": 1}, "x" * 50_000, "\ud800",
    "\x1b]0;title\x07", "../../etc/passwd", "not_live", "is_upcoming", "99999999", "en", "file:///etc/passwd", b"bytes", DEEP,
)  # fmt: skip


def _infos(folder: Path, chance: random.Random, home: Home) -> str:
    """Changes one to four values of yt-dlp's own info, and takes the way of a look from there to the row of `videos`."""
    info = json.loads(json.dumps(INFO))
    for _ in range(chance.randint(1, 4)):
        _change(info, chance)
    config = CrawlConfig(sources=("search",))
    turn = SimpleNamespace(session=Session(lambda host, kind: 0.0, math.inf), identity=config.pool()[0], clients=())
    read: dict[str, Any] = {
        "site_for": MagicMock(),
        "extract_video": lambda site, video_id: {"id": video_id, **documented(info)},
        "read_caption": lambda *_: CAPTIONS,
    }
    with patch.multiple(extract, **read):
        found = Extractor(config, MagicMock(), CutConfig())._attempt("abcdefghijk", -1, False, cast(Turn, turn))
    if isinstance(found, Failure):
        return found.reason.value
    candidate = {"video_id": "abcdefghijk", "source": "ids", "query": "", "given_spans": ""}
    table_of([video_row(found, cast(CandidateRow, candidate), 0)], TABLES["videos"])
    table_of(found.captions, TABLES["captions"])
    return "a video"


def _change(value: Any, chance: random.Random) -> None:
    """Replaces, takes out or adds a value somewhere inside."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = chance.choice(keys)
    if isinstance(value[key], dict | list) and value[key] and chance.random() < 0.7:
        _change(value[key], chance)
    elif chance.random() < 0.15:
        del value[key]
    else:
        value[key] = chance.choice(VALUES)
