"""Hostile answers of a site or a list: bodies of captions, lines of id and HD-VILA lists, names of caption tracks."""

import json
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.hostile_inputs import Case, Home, mutated
from manifests.errors import UserError
from pipeline.config.sources import ListsConfig
from pipeline.crawl.extract import check_payload
from pipeline.crawl.sources.lists import list_part
from pipeline.site.redact import redact
from pipeline.site.tracks import choose_tracks, list_tracks

LINE = {
    "video_id": "abcdefghijk",
    "url": "https://www.youtube.com/watch?v=abcdefghijk",
    "clip": [
        {"clip_id": "abcdefghijk.0.mp4", "span": ["00:00:01.500", "00:00:09.100"]},
        {"clip_id": "abcdefghijk.1.mp4", "span": ["00:00:12.000", "00:00:21.000"]},
    ],
}


def cases(seed: int, n: int, home: Home) -> Iterator[Case]:
    """Yields `n` answers, a third of each kind."""
    for number in range(n):
        chance = random.Random(f"{seed} answers {number}")
        kind = (_captions, _lists, _tracks)[number % 3]
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
    verdict = check_payload(body, chance.choice(("json3", real.suffix[1:])))
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
